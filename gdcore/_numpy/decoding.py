"""Attention of one more token, in NumPy. Compiled twin: src/decoding.pyx.

Twins agree within 1e-5 (float32) and 1e-13 (float64) of the largest number of an array.
"""

import math
import operator

import numpy as np

from gdcore._numpy._require import (
    require_apart,
    require_arrays,
    require_like,
    require_whole,
    require_writeable,
)
from gdcore._numpy.attention import turned
from gdcore._typing import Array

__all__ = ["cached_attention"]


def cached_attention(
    qkv: Array,
    bias: Array,
    turns: Array,
    heads: int,
    texts: Array,
    places: Array,
    keys: Array,
    values: Array,
    out: Array,
) -> None:
    """Row i of qkv + bias (r, 3·heads·d) holds query, key and value of place places[i] of text texts[i]: its key, turned by that row of turns (t, d), and its value are put into keys and values (texts, t, heads·d), then out[i] = softmax(qKᵀ/√d)·V over all places up to it, for each head. bias and turns may be empty. Changes keys, values and out."""
    require_arrays(qkv, out, ndim=2)
    require_like(qkv, bias)
    require_like(qkv, turns, ndim=2)
    require_like(qkv, keys, values, ndim=3)
    require_whole(texts=texts, places=places)
    require_writeable(keys, values, out)
    heads = operator.index(heads)
    _require_shapes(qkv, bias, turns, heads, texts, places, keys, values, out)
    require_apart((keys, values, out), qkv, bias, turns, texts, places)
    width = out.shape[1]
    d = width // heads
    for i, (text, place) in enumerate(zip(texts.tolist(), places.tolist(), strict=True)):
        with np.errstate(all="ignore"):
            row = qkv[i] + bias if len(bias) else qkv[i]
            q, k, v = row.reshape(3, heads, d)
            if turns.size:
                q, k = turned(q, turns[place]), turned(k, turns[place])
            keys[text, place], values[text, place] = k.reshape(-1), v.reshape(-1)
            K, V = (kept[text, : place + 1].reshape(-1, heads, d) for kept in (keys, values))
            z = np.einsum("hd,jhd->hj", q * qkv.dtype.type(1 / math.sqrt(d)), K)
            p = np.exp(z - z.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            out[i] = np.einsum("hj,jhd->hd", p, V).reshape(-1)


def _require_shapes(
    qkv: Array,
    bias: Array,
    turns: Array,
    heads: int,
    texts: Array,
    places: Array,
    keys: Array,
    values: Array,
    out: Array,
) -> None:
    n, width = qkv.shape
    if heads < 1 or width == 0 or width % (3 * heads):
        raise ValueError("qkv must be 3·heads·d wide. Pass heads that divide its thirds.")
    if len(bias) not in (0, width):
        raise ValueError("The bias must have one number a column, or none. Pass such.")
    if out.shape != (n, width // 3) or len(texts) != n or len(places) != n:
        raise ValueError("out must be (r, heads·d), texts and places (r,). Pass such.")
    if keys.shape != values.shape or keys.shape[2] != width // 3:
        raise ValueError("keys and values must be (texts, t, heads·d). Pass such.")
    d = width // 3 // heads
    if turns.size and (turns.shape != (keys.shape[1], d) or d % 2):
        raise ValueError("turns must have d numbers for each place, d even, or none. Pass such.")
    inside = (texts >= 0) & (texts < len(keys)) & (places >= 0) & (places < keys.shape[1])
    if not inside.all():
        raise ValueError("texts and places must be those of keys and values. Pass numbers of them.")
