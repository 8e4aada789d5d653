"""Causal multi-head attention, forward and backward, in NumPy. Compiled twins: src/attention.pyx.

Twins agree within 1e-5 (float32) and 1e-13 (float64) of the largest number of an array. Scores
exist for one head of one sequence at a time.
"""

import math
import operator

import numpy as np

from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_arrays,
    require_like,
    require_same_or_apart,
    require_writeable,
)
from gdcore._numpy.sampling import unsigned, words
from gdcore._typing import Array

__all__ = ["causal_attention", "causal_attention_backward"]


def causal_attention(
    qkv: Array,
    bias: Array,
    turns: Array,
    heads: int,
    rate: float,
    key: int,
    first: int,
    out: Array,
    lse: Array,
) -> None:
    """out = softmax(QKᵀ/√d, over no later place)·V for each head, where Q, K and V are the thirds of qkv + bias (n, t, 3·heads·d), Q and K rotated by turns (t, d) of cosines and sines; lse = log Σ e^score. bias and turns may be empty. Weights are dropped with probability rate: sequence i has the words of first + i. Changes out and lse."""
    heads, rate, first, key = _checked(qkv, bias, turns, heads, rate, key, first, out, lse)
    require_writeable(out, lse)
    require_apart((out, lse), qkv, bias, turns)
    for i, h in np.ndindex(len(qkv), heads):
        with np.errstate(all="ignore"):
            q, k, v, mine = _head(qkv[i], bias, turns, heads, h)
            P, most = _scores(q, k)
            most = most.max(axis=1, initial=-np.inf)  # which no place has where there is none
            np.exp(np.subtract(P, most[:, None], out=P), out=P)
            total = np.tril(P).sum(axis=1)
            lse[i, h] = most + np.log(total)
            P = np.tril(P) / total[:, None]
            out[i][:, mine] = _dropped(P, rate, key, (first + i) * heads + h) @ v


def causal_attention_backward(
    qkv: Array,
    bias: Array,
    turns: Array,
    heads: int,
    rate: float,
    key: int,
    first: int,
    out: Array,
    lse: Array,
    dout: Array,
    dqkv: Array,
    dbias: Array,
) -> None:
    """dqkv from dout, the gradient of what `causal_attention` gave in out and lse; its sums over sequences and places are added to dbias, which may be empty. dqkv may be qkv. Changes dqkv and dbias."""
    heads, rate, first, key = _checked(qkv, bias, turns, heads, rate, key, first, out, lse)
    require_arrays(qkv, dqkv, ndim=3)
    require_arrays(out, dout, ndim=3)
    require_like(qkv, dbias)
    require_writeable(dqkv, dbias)
    if dqkv.shape != qkv.shape or dout.shape != out.shape:
        raise ValueError("dqkv and dout must have the shapes of qkv and out. Pass such.")
    if len(dbias) != len(bias):
        raise ValueError("dbias must be as long as bias. Pass such.")
    require_same_or_apart(dqkv, qkv)
    require_apart((dbias,), qkv)
    require_apart((dbias, dqkv), bias, turns, out, lse, dout)
    width = qkv.shape[2] // 3
    for i, h in np.ndindex(len(qkv), heads):
        with np.errstate(all="ignore"):
            q, k, v, mine = _head(qkv[i], bias, turns, heads, h)
            P, _ = _scores(q, k)
            P = np.tril(np.exp(P - lse[i, h][:, None]))
            d = np.ascontiguousarray(dout[i][:, mine])
            share = (d * out[i][:, mine]).sum(axis=1, keepdims=True)
            number = (first + i) * heads + h
            dS = P * (_dropped(d @ v.T, rate, key, number) - share)
            dv = _dropped(P, rate, key, number).T @ d
            dq = turned(dS @ k, turns, -1) * qkv.dtype.type(1 / math.sqrt(q.shape[1]))
            dk = turned(dS.T @ q, turns, -1)
        for part, slope in enumerate((dq, dk, dv)):
            columns = slice(part * width + mine.start, part * width + mine.stop)
            dqkv[i][:, columns] = slope
            if len(dbias):
                dbias[columns] += slope.sum(axis=0)


def attention_weights(qkv: Array, bias: Array, turns: Array, heads: int) -> Array:
    """softmax(QKᵀ/√d, over no later place) of each head, (n, heads, t, t): what `causal_attention` multiplies V by, and keeps nowhere."""
    n, t, _ = qkv.shape
    P = np.empty((n, heads, t, t), qkv.dtype)
    for i, h in np.ndindex(n, heads):
        q, k, _, _ = _head(qkv[i], bias, turns, heads, h)
        _, S = _scores(q, k)
        P[i, h] = np.exp(S - S.max(axis=1, keepdims=True))
    P /= P.sum(axis=3, keepdims=True)
    return P


def _head(
    qkv: Array, bias: Array, turns: Array, heads: int, h: int
) -> tuple[Array, Array, Array, slice]:
    """Q/√d, K and V of a head, and its columns within a third."""
    width = qkv.shape[1] // 3
    mine = slice(h * width // heads, (h + 1) * width // heads)
    q, k, v = (
        qkv[:, start + mine.start : start + mine.stop]
        + (bias[start + mine.start : start + mine.stop] if len(bias) else 0)
        for start in (0, width, 2 * width)
    )
    q, k = turned(q, turns, 1), turned(k, turns, 1)
    return q * qkv.dtype.type(1 / math.sqrt(q.shape[1])), k, v.astype(qkv.dtype), mine


def _scores(q: Array, k: Array) -> tuple[Array, Array]:
    """QKᵀ, and the same with −∞ for later places."""
    S = q @ k.T
    later = np.triu(np.ones(S.shape, bool), 1)
    return S, np.where(later, -np.inf, S)


def turned(x: Array, turns: Array, sign: int = 1) -> Array:
    """Pairs (x_j, x_{j + d/2}) of the last axis turned by the angle whose cosine and sine `turns` holds."""
    if not turns.size:
        return x
    half = x.shape[-1] // 2
    cosine, sine = turns[..., :half], sign * turns[..., half:]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cosine - b * sine, a * sine + b * cosine], axis=-1)


def _dropped(P: Array, rate: float, key: int, number: int) -> Array:
    """Each weight over 1 − rate or zero: element (i, j) of a head by word (number·t + i)·t + j."""
    if rate == 0:
        return P
    mine = words(number * P.size, P.size, key).reshape(P.shape)
    kept = mine >= np.uint64(int(rate * 2**32))
    left: Array = np.where(kept, P * P.dtype.type(1 / (1 - rate)), P.dtype.type(0))
    return left


def _checked(
    qkv: Array,
    bias: Array,
    turns: Array,
    heads: int,
    rate: float,
    key: int,
    first: int,
    out: Array,
    lse: Array,
) -> tuple[int, float, int, int]:
    require_arrays(qkv, out, lse, ndim=3)
    require_like(qkv, bias)
    require_like(qkv, turns, ndim=2)
    heads, (rate,) = operator.index(heads), numbers(rate)
    key, first = unsigned(key), unsigned(first)
    n, t, width = qkv.shape
    if heads < 1 or width == 0 or width % (3 * heads):
        raise ValueError("qkv must be 3·heads·d wide. Pass heads that divide its thirds.")
    if len(bias) not in (0, width):
        raise ValueError("The bias must have one number a column, or none. Pass such.")
    d = width // 3 // heads
    if turns.size and (turns.shape != (t, d) or d % 2):
        raise ValueError("turns must have d numbers for each place, d even, or none. Pass such.")
    if out.shape != (n, t, width // 3) or lse.shape != (n, heads, t):
        raise ValueError("out must be (n, t, heads·d) and lse (n, heads, t). Pass such.")
    if not 0 <= rate < 1:
        raise ValueError("rate must be in [0, 1). Pass the share to leave out.")
    return heads, rate, first, key
