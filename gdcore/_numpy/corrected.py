"""Variance-reduced steps of the linear family, a row at a time, in NumPy. Compiled twins:
src/corrected.pyx.

θ is double in both, whatever X is. Twins agree as sums in another order do, an epoch long.
"""

import math
import operator
from collections.abc import Callable

import numpy as np

from gdcore._numpy._losses import Loss, loss_named
from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_doubles,
    require_whole,
    require_writeable,
)
from gdcore._numpy.gradients import require_rows
from gdcore._numpy.sparse_epochs import require_sparse_work, row_entries
from gdcore._typing import Array

__all__ = ["csr_corrected", "linear_corrected"]


def linear_corrected(
    loss: str,
    shape: float,
    smooth: float,
    X: Array,
    y: Array,
    weights: Array,
    order: Array,
    columns: Array,
    theta: Array,
    margins: Array,
    mean: Array,
    rate: float,
    learn: int,
) -> None:
    """One pass of steps over the rows in `order`, each by the change of the row's slope since its margin was noted and by the mean gradient at the margins noted, and a proximal step of the penalty. Where learn is not 0, margins and mean follow every row. Changes theta, margins and mean."""
    knobs, (rate,), learn = numbers(shape, smooth), numbers(rate), operator.index(learn)
    function = loss_named(loss)
    _require_rate(rate)
    require_rows(loss, X, y, weights, columns, theta, 4)
    require_whole(order=order)
    if not ((order >= 0) & (order < len(X))).all():
        raise ValueError("order must hold row numbers of X. Pass numbers from 0 to n − 1.")
    _require_noted(theta, margins, mean, len(X), len(theta) // columns.shape[1])
    require_apart((theta, margins, mean), X, y, weights, order, columns)

    def row(i: int) -> Array:
        x = (X[i].astype(np.float64) - columns[0, :-1]) * columns[1, :-1]
        return np.append(x, columns[1, -1])

    _visit(function, knobs, row, (y, weights, order), columns, (theta, margins, mean), rate, learn)


def csr_corrected(
    loss: str, shape: float, smooth: float, data: Array, indices: Array, indptr: Array, y: Array,
    weights: Array, order: Array, columns: Array, theta: Array, margins: Array, mean: Array,
    rate: float, learn: int,
) -> None:  # fmt: skip
    """One pass of the same steps over rows in CSR form, none of which may name a column twice, and columns without a shift. Changes theta, margins and mean."""
    knobs, (rate,), learn = numbers(shape, smooth), numbers(rate), operator.index(learn)
    function = loss_named(loss)
    _require_rate(rate)
    k = require_sparse_work(loss, (data, indices, indptr), y, weights, order, columns, theta)
    _require_noted(theta, margins, mean, len(y), k)
    require_apart((theta, margins, mean), data, indices, indptr, y, weights, order, columns)
    if (columns[0, :-1][columns[1, :-1] != 0] != 0).any():
        raise ValueError("columns must have no shift. Pass theta for columns as they are.")

    def row(i: int) -> Array:
        x = np.zeros(columns.shape[1])
        numbers_, at = row_entries(data, indices, indptr, columns, i)
        np.add.at(x, at, numbers_)
        x[-1] = columns[1, -1]
        return x

    _visit(function, knobs, row, (y, weights, order), columns, (theta, margins, mean), rate, learn)


@np.errstate(all="ignore")
def _visit(
    function: Loss,
    knobs: tuple[float, ...],
    row: Callable[[int], Array],
    targets: tuple[Array, Array, Array],
    columns: Array,
    changed: tuple[Array, Array, Array],
    rate: float,
    learn: int,
) -> None:
    (y, weights, order), (theta, margins, mean) = targets, changed
    p, k = columns.shape[1] - 1, margins.shape[1]
    W, G = _by_output(theta, p, k), _by_output(mean, p, k)
    ridge, lasso = columns[2], columns[3]
    for i in order.tolist():
        x, own = row(i), slice(i, i + 1)
        z = (W @ x)[None]
        change = function(z, y[own], *knobs)[1] - function(margins[own], y[own], *knobs)[1]
        change = weights[i] * change[0, :, None] * x
        W -= rate * (change + G)
        W[:] = np.copysign(np.maximum(np.abs(W) - rate * lasso, 0), W) / (1 + rate * ridge)
        if learn:
            G += change / len(y)
            margins[own] = z
    theta[:], mean[:] = _flat(W), _flat(G)


def _require_rate(rate: float) -> None:
    if not 0 <= rate < math.inf:
        raise ValueError("rate must be finite, and not negative. Pass the length of a step.")


def _by_output(theta: Array, p: int, k: int) -> Array:
    """(k, p + 1): one row an output, its intercept last."""
    return np.column_stack([theta[: k * p].reshape(k, p), theta[k * p :]])


def _flat(W: Array) -> Array:
    return np.concatenate([W[:, :-1].ravel(), W[:, -1]])


def _require_noted(theta: Array, margins: Array, mean: Array, n: int, k: int) -> None:
    require_doubles(mean)
    require_doubles(margins, ndim=2)
    require_writeable(theta, margins, mean)
    if margins.shape != (n, k) or len(mean) != len(theta):
        raise ValueError(
            "margins must be (n, k), and mean have theta's length. Pass those of one point."
        )
