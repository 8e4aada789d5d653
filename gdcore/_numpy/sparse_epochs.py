"""A whole epoch of the linear family over rows in CSR form. Compiled: src/sparse_epochs.pyx.

Here every step moves all of θ; there, only what its rows hold. θ is double in both, and twins agree
as sums in another order do, an epoch long.
"""

import operator
from collections.abc import Callable

import numpy as np

from gdcore._numpy._losses import loss_named
from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_doubles,
    require_whole,
    require_writeable,
)
from gdcore._numpy.gradients import require_targets
from gdcore._numpy.sparse import require_csr
from gdcore._typing import Array

__all__ = ["csr_epoch"]

NEAR = 1e-14  # relative: ridge weights that differ by less are one, but for rounding


@np.errstate(all="ignore")
def csr_epoch(
    loss: str, shape: float, smooth: float, data: Array, indices: Array, indptr: Array, y: Array,
    weights: Array, order: Array, columns: Array, theta: Array, average: Array, rates: Array,
    batch_size: int,
) -> float:  # fmt: skip
    """One pass of plain steps on the loss over the rows in `order`, batch by batch, at the cost of their entries; returns the summed loss as met. Adds theta after each step to average, where that has a length. Changes theta and average."""
    knobs, function = numbers(shape, smooth), loss_named(loss)
    k = require_sparse_work(loss, (data, indices, indptr), y, weights, order, columns, theta)
    require_doubles(average, rates)
    require_writeable(theta, average)
    batch = operator.index(batch_size)
    if len(average) not in (0, len(theta)):
        raise ValueError("average must have theta's length, or none. Pass numpy.zeros_like(theta).")
    if batch < 1 or len(rates) != -(-len(order) // batch):
        raise ValueError(
            "rates must hold one step length a batch. Pass ceil(rows / batch_size) of them."
        )
    stored = data, indices, indptr
    require_apart((theta, average), *stored, y, weights, order, columns, rates)
    _require_lazy(columns, rates)
    if len(order) == 0:
        return 0.0
    p = columns.shape[1] - 1
    ridge, lasso = (np.r_[np.tile(row[:p], k), np.repeat(row[p], k)] for row in columns[2:4])
    shift = _outer(columns[0, :p] * columns[1, :p], k)
    total, g = 0.0, np.empty_like(theta)
    for t, rate in enumerate(rates.tolist()):
        rows = order[t * batch : (t + 1) * batch]
        entries = [row_entries(data, indices, indptr, columns, i) for i in rows.tolist()]
        z = np.array([row_margins(*each, columns, theta) for each in entries])
        lost, r = function(z, y[rows], *knobs)
        total += float(weights[rows] @ lost)
        r = r * weights[rows, None]
        g[:] = -shift(r.sum(axis=0))
        g[k * p :] = r.sum(axis=0) * columns[1, p]
        for (x, at), slope in zip(entries, r, strict=True):
            for c in range(k):
                np.add.at(g, c * p + at, slope[c] * x)
        theta -= rate * (g / len(rows) + ridge * theta)
        theta[:] = np.copysign(np.maximum(np.abs(theta) - rate * lasso, 0), theta)
        if len(average):
            average += theta
    return total


def _outer(around: Array, k: int) -> Callable[[Array], Array]:
    """From one number an output to the coefficients' part of g."""
    return lambda total: np.r_[np.outer(total, around).ravel(), np.zeros(k)]


def row_entries(
    data: Array, indices: Array, indptr: Array, columns: Array, i: int
) -> tuple[Array, Array]:
    """(scaled numbers, columns) of a row."""
    held = slice(indptr[i], indptr[i + 1])
    return data[held] * columns[1, indices[held]], indices[held]


def row_margins(x: Array, at: Array, columns: Array, theta: Array) -> Array:
    """The margins of a row, one an output."""
    p = columns.shape[1] - 1
    k = len(theta) // (p + 1)
    w = theta[: k * p].reshape(k, p)
    z: Array = w[:, at] @ x - w @ (columns[0, :p] * columns[1, :p]) + theta[k * p :] * columns[1, p]
    return z


def require_sparse_work(
    loss: str,
    stored: tuple[Array, Array, Array],
    y: Array,
    weights: Array,
    order: Array,
    columns: Array,
    theta: Array,
) -> int:
    """Check what an epoch over rows in CSR form needs; return the number of outputs."""
    data, indices, indptr = stored
    require_csr(data, indices, indptr)
    require_doubles(y, weights, theta)
    require_doubles(columns, ndim=2)
    require_whole(order=order)
    n, p = len(indptr) - 1, columns.shape[1] - 1
    if not len(y) == len(weights) == n:
        raise ValueError(
            "X, y and weights must have one number of rows. Pass one y and weight a row."
        )
    if len(columns) < 4 or p < 0:
        raise ValueError(
            "columns must describe each column of X and the intercept. Pass p + 1 columns."
        )
    k: int = len(theta) // (p + 1)
    if k < 1 or k * (p + 1) != len(theta) or (k > 1 and loss != "softmax"):
        raise ValueError(
            "theta must hold the coefficients, then the intercepts. Pass k·(p + 1) numbers."
        )
    require_targets(loss, y, k)
    if not ((order >= 0) & (order < n)).all():
        raise ValueError("order must hold row numbers of X. Pass numbers from 0 to n − 1.")
    if not ((indices >= 0) & (indices < p)).all():
        raise ValueError("indices must hold column numbers. Pass numbers from 0 to p − 1.")
    return k


def _require_lazy(columns: Array, rates: Array) -> None:
    """What nothing but a step over all columns could do is refused."""
    live = columns[1, :-1] != 0
    ridge = columns[2, :-1][live]
    differ = bool(len(ridge)) and ridge.max() - ridge.min() > NEAR * np.abs(ridge).max()
    if not differ and not columns[3, :-1][live].any():
        return
    if (columns[0, :-1][live] != 0).any():
        raise ValueError(
            "columns must have no shift beside a lasso weight or ridge weights that differ. "
            "Pass theta for columns as they are."
        )
    if differ and len(rates) and not ((rates == rates[0]) & (rates * ridge.max() < 1)).all():
        raise ValueError(
            "rates must be equal, and below 1/ridge, where ridge weights differ. Pass such."
        )
