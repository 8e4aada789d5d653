"""Kernels for arrays on devices, where the NumPy twins' way, block by block, is not theirs.

All others are the NumPy twins themselves, which take a `DeviceArray` for an array of NumPy's.
Results agree with the twins' within 1e-12 (float64) and 1e-4 (float32) of the largest number.
"""

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from gdcore._numpy._losses import loss_named
from gdcore._numpy.activations import KINDS, _logistic
from gdcore._numpy.chains import HEADS, NAMES
from gdcore._numpy.updates import LASTING, RULES, _settle
from gdcore.devices import DeviceArray as DeviceArray

AT_ONCE = 1 << 25  # numbers of X that are brought into coordinates at once


def either(native: Callable[..., Any], twin: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that one answers for arrays of the host, the other for those on devices."""

    @functools.wraps(native)
    def kernel(*given: Any, **named: Any) -> Any:
        if not any(isinstance(each, DeviceArray) for each in (*given, *named.values())):
            return native(*given, **named)
        with np.errstate(all="ignore"):
            return twin(*given, **named)

    kernel.__module__, kernel.__qualname__ = "gdcore.kernels", native.__name__  # for pickles
    return kernel


def dot(a: Any, b: Any) -> float:
    return float(a @ b)


def norm(a: Any) -> float:
    square = float(a @ a)
    if 1e-30 < square < 1e30 or math.isnan(square):
        return math.sqrt(square)
    most = float(np.abs(a).max(initial=0))
    if most == 0 or not math.isfinite(most):
        return most
    scaled = a / most
    return math.sqrt(float(scaled @ scaled)) * most


def all_finite(a: Any) -> bool:
    return bool(np.isfinite(a).all())


def secant(x: Any, before: Any, g: Any, was: Any) -> tuple[float, ...]:
    dx, dg = x - before, g - was
    found = dot(dx, dx), dot(g, was), dot(dg, dg), 0.5 * dot(g + was, dx), dot(g, g)
    before[:], was[:] = x, g
    return found


def update(rule: str, w: Any, g: Any, state: Iterable[Any], numbers: Iterable[float]) -> None:
    move, _, _ = RULES[rule]
    c = [float(np.asarray(each, w.dtype)) for each in numbers]
    step, root = np.empty_like(w), np.empty_like(w)
    parts = list(state)
    move(c, w, g, *parts, step, root)
    for moment in parts[LASTING.get(rule, 0) :]:
        _settle(moment, step)


def linear_gradient(
    loss: str, shape: float, smooth: float, X: Any, y: Any, weights: Any, columns: Any, theta: Any,
    g: Any, margins: Any,
) -> float:  # fmt: skip
    p, total = X.shape[1], 0.0
    k = len(theta) // (p + 1)
    for rows in _blocks(X):
        x = _seen(X[rows], columns)
        z = _margins(x, columns, theta, k)
        if len(margins):
            margins[rows] = z
        lost, r = _lost(loss, z, y[rows], shape, smooth)
        r = r * weights[rows][:, None]
        total = total + weights[rows] @ lost
        _combine(x, r, columns, g)
    return float(total)


def linear_margins(X: Any, columns: Any, theta: Any, margins: Any) -> None:
    for rows in _blocks(X):
        margins[rows] = _margins(_seen(X[rows], columns), columns, theta, margins.shape[1])


def linear_combine(X: Any, slopes: Any, columns: Any, g: Any) -> None:
    for rows in _blocks(X):
        _combine(_seen(X[rows], columns), slopes[rows], columns, g)


def row_lengths(X: Any, columns: Any, lengths: Any) -> None:
    for rows in _blocks(X):
        x = _seen(X[rows], columns)
        lengths[rows] = (x * x).sum(axis=1)


def column_moments(X: Any, weights: Any, mean: Any, square: Any, low: Any, high: Any) -> float:
    """The weight of all rows; mean and extremes of each column, and Σ s(x − mean)²."""
    mass, at = weights.sum(), weights[:, None]
    mean[:] = (X * at).sum(axis=0) / mass
    away = X - mean
    square[:] = (away * away * at).sum(axis=0)
    low[:], high[:] = X.min(axis=0), X.max(axis=0)
    return float(mass)


def softmax(z: Any, out: Any) -> None:
    e = np.exp(z - z.max(axis=1)[:, None])
    out[...] = e / e.sum(axis=1)[:, None]


def sigmoid(z: Any, out: Any) -> None:
    out[...] = _logistic(z)


def softmax_cross_entropy(z: Any, y: Any, weights: Any, scale: float, dz: Any) -> float:
    lost, r = _softmax_lost(z, y)
    dz[...] = r * (weights * scale)[:, None]
    return float(weights @ lost)


def logistic_cross_entropy(z: Any, y: Any, weights: Any, scale: float, dz: Any) -> float:
    lost = np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z)))
    dz[...] = (_logistic(z) - y) * (weights * scale)[:, None]
    return float(weights @ lost.sum(axis=1))


def squared_error(z: Any, y: Any, weights: Any, scale: float, dz: Any) -> float:
    r = z - y
    dz[...] = r * (weights * scale)[:, None]
    return float(0.5 * (weights @ (r * r).sum(axis=1)))


def chain_gradient(
    X: Any, rows: Any, shift: Any, inverse: Any, Y: Any, weights: Any, widths: Any, kinds: Any,
    theta: Any, head: str, scale: float, g: Any,
) -> float:  # fmt: skip
    x, y = X[rows], Y[rows]
    if len(shift):
        x = (x - shift) * inverse
    links = list(links_of(x.astype(theta.dtype, copy=False), widths, kinds, theta))
    x = links[-1][-1]
    d = np.empty_like(x)
    heads_ = {HEADS[0]: softmax_cross_entropy, HEADS[1]: logistic_cross_entropy,
              HEADS[2]: squared_error}  # fmt: skip
    loss = heads_[head](x, y[:, 0] if head == HEADS[0] else y, weights[rows], scale, d)
    for (weight, bias), x, W, slope, found in reversed(links):
        d = d * slope(found)
        g[weight], g[bias] = (x.T @ d).ravel(), d.sum(axis=0)
        d = d @ W.T
    return float(loss)


def links_of(x: Any, widths: Any, kinds: Any, theta: Any) -> Iterator[tuple[Any, ...]]:
    """((where W and b are in θ), x, W, the slope as a function of what is found, found = f(xW + b))
    of each layer in turn."""
    at = 0
    for p, k, kind in zip(widths[:-1].tolist(), widths[1:].tolist(), kinds.tolist(), strict=True):
        W, end = theta[at : at + p * k].reshape(p, k), at + p * k
        value, slope = KINDS[NAMES[kind]]
        found, own = value(x @ W + theta[end : end + k])
        yield (slice(at, end), slice(end, end + k)), x, W, slope or _always(own), found
        x, at = found, end + k


def _always(answer: Any) -> Callable[[Any], Any]:
    return lambda _: answer


def _blocks(X: Any) -> Iterator[slice]:
    n, p = X.shape
    rows = max(1, AT_ONCE // max(p, 1))
    return (slice(a, min(a + rows, n)) for a in range(0, n, rows))


def _seen(X: Any, columns: Any) -> Any:
    """Rows as the descent sees them."""
    p = X.shape[1]
    return (X - columns[0, :p].astype(X.dtype)) * columns[1, :p].astype(X.dtype)


def _margins(x: Any, columns: Any, theta: Any, k: int) -> Any:
    p = x.shape[1]
    z = x @ theta[: k * p].reshape(k, p).T.astype(x.dtype)
    return z.astype(theta.dtype) + theta[k * p :] * columns[1, p]


def _combine(x: Any, r: Any, columns: Any, g: Any) -> None:
    k, p = r.shape[1], x.shape[1]
    g[: k * p] += (r.astype(x.dtype).T @ x).ravel().astype(g.dtype)
    g[k * p :] += columns[1, p] * r.sum(axis=0)


def _lost(loss: str, z: Any, y: Any, *knobs: float) -> tuple[Any, Any]:
    return _softmax_lost(z, y) if loss == "softmax" else loss_named(loss)(z, y, *knobs)


def _softmax_lost(z: Any, y: Any) -> tuple[Any, Any]:
    own = (y[:, None] == y.like(np.arange(float(z.shape[1])), y.dtype)).astype(z.dtype)
    most = z.max(axis=1)
    e = np.exp(z - most[:, None])
    total = e.sum(axis=1)
    return most - (z * own).sum(axis=1) + np.log(total), e / total[:, None] - own
