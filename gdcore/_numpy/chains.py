"""Loss and gradient of small dense networks in one call, in NumPy. Compiled twin: src/chains.pyx.

Twins agree within 1e-5 (float32) and 1e-13 (float64) of the largest number of an array.
"""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from gdcore._numpy import heads
from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_arrays,
    require_doubles,
    require_like,
    require_whole,
    require_writeable,
)
from gdcore._numpy.activations import KINDS, activate, activate_backward
from gdcore._typing import Array

__all__ = ["chain_gradient"]

HEADS = ("softmax_cross_entropy", "logistic_cross_entropy", "squared_error")
NAMES = tuple(KINDS)  # the code of an activation is its place here
MOST_LAYERS = 32
BLOCK = 64  # rows at a time in the compiled twin, which sums over such blocks in their order


def chain_gradient(
    X: Array, rows: Array, shift: Array, inverse: Array, Y: Array, weights: Array,
    widths: Array, kinds: Array, theta: Array, head: str, scale: float, g: Array,
) -> float:  # fmt: skip
    """Weighted sum of the losses of a chain of dense layers over the rows (X[rows] − shift)·inverse; g = scale times its gradient in theta, which holds W and b of each layer. Changes g."""
    _require_types(X, rows, shift, inverse, Y, weights, widths, kinds, theta, g)
    (scale,) = numbers(scale)
    if not isinstance(head, str) or head not in HEADS:
        raise ValueError(f"head must be one of {', '.join(HEADS)}, got {head!r}. Pass one of them.")
    _require_chain(X, shift, inverse, Y, widths, kinds, theta, head, g)
    _require_rows(X, rows, Y, weights, widths[-1], head)
    require_apart((g,), X, rows, shift, inverse, Y, weights, widths, kinds, theta)
    if len(rows) == 0:
        g[:] = 0
        return 0.0
    with np.errstate(all="ignore"):
        x = X[rows] - shift if len(shift) else X[rows]
        x = np.ascontiguousarray(x, theta.dtype)
        if len(inverse):
            x *= inverse
    parts = list(_parts(theta, widths))
    kept, none = [], np.empty((0, 0), theta.dtype)
    for (W, b), kind in zip(parts, kinds.tolist(), strict=True):
        with np.errstate(all="ignore"):
            z = x @ W
        slope = np.empty_like(z) if KINDS[NAMES[kind]][1] is None else none
        activate(NAMES[kind], z, b, slope)
        kept.append((NAMES[kind], W, x, z, slope))
        x = z
    d = np.empty_like(x)
    y = np.ascontiguousarray(Y[rows])
    y = y[:, 0].copy() if head == HEADS[0] else y
    loss: float = getattr(heads, head)(x, y, weights[rows], scale, d)
    for (dW, db), (name, W, x, z, slope) in zip(
        reversed(list(_parts(g, widths))), reversed(kept), strict=True
    ):
        db[:] = 0
        activate_backward(name, z, slope, d, db)
        with np.errstate(all="ignore"):
            np.matmul(x.T, d, out=dW)
            d = d @ W.T
    return loss


def _parts(vector: Array, widths: Array) -> Iterator[tuple[Array, Array]]:
    """(W, b) of each layer, views of a vector."""
    start = 0
    for p, k in zip(widths[:-1].tolist(), widths[1:].tolist(), strict=True):
        yield vector[start : start + p * k].reshape(p, k), vector[start + p * k :][:k]
        start += (p + 1) * k


def _require_types(
    X: Array,
    rows: Array,
    shift: Array,
    inverse: Array,
    Y: Array,
    weights: Array,
    widths: Array,
    kinds: Array,
    theta: Array,
    g: Array,
) -> None:
    require_arrays(X, ndim=2)
    require_arrays(theta, g)
    require_doubles(Y, ndim=2)
    require_doubles(weights)
    require_whole(rows=rows, widths=widths, kinds=kinds)
    require_like(X, shift)
    require_like(theta, inverse)
    require_writeable(g)


def _require_chain(
    X: Array,
    shift: Array,
    inverse: Array,
    Y: Array,
    widths: Array,
    kinds: Array,
    theta: Array,
    head: str,
    g: Array,
) -> None:
    layers, p = len(kinds), X.shape[1]
    if not 0 < layers <= MOST_LAYERS or len(widths) != layers + 1:
        raise ValueError(
            "widths must have one number more than kinds, for 1 to 32 layers. Pass such."
        )
    if not ((kinds >= 0) & (kinds < len(NAMES))).all():
        raise ValueError("kinds must hold codes of activations. Pass numbers from 0 to 8.")
    if not ((widths > 0) & (widths < 1 << 24)).all():
        raise ValueError("widths must be positive, below 2²⁴. Pass those of the layers.")
    total = sum(math.prod((p + 1, k)) for p, k in itertools.pairwise(widths))
    if widths[0] != p or not len(theta) == len(g) == total:
        raise ValueError("X, theta and g must be as wide and long as widths say. Pass such.")
    if Y.shape[1] != (1 if head == HEADS[0] else widths[-1]):
        raise ValueError(
            "Y must have a column for each output, or one of class numbers. Pass such."
        )
    if len(shift) != len(inverse) or len(shift) not in (0, p):
        raise ValueError("shift and inverse must have one number a column, or none. Pass such.")


def _require_rows(X: Array, rows: Array, Y: Array, weights: Array, k: int, head: str) -> None:
    if not len(X) == len(Y) == len(weights):
        raise ValueError(
            "X, Y and weights must have one number of rows. Pass one target and weight a row."
        )
    if not ((rows >= 0) & (rows < len(X))).all():
        raise ValueError("rows must hold row numbers of X. Pass numbers from 0 to n − 1.")
    if head == HEADS[0] and not ((Y[rows] >= 0) & (Y[rows] < k)).all():
        raise ValueError("Y must hold class numbers. Pass numbers from 0 to k − 1.")
