"""Visits to single rows in CSR form: in which coordinates they cost what the rows hold.

A shift of the columns moves every coefficient at every step. SGD under an L2 penalty of one weight
bears it in one number; else θ is taken to columns without a shift, which changes the intercept
alone: b′ = b − Σ shift·inverse·θ / unit. The cost is the same there, the way to its minimum not.
"""

from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.sparse import CSR

SHIFT, INVERSE, RIDGE, LASSO = range(4)
NEAR = 1e-14  # relative: ridge weights that differ by less are one, but for rounding
FILLED = 0.25  # share of entries from where on rows are visited sooner as dense ones


def bears_shift(columns: Array) -> bool:
    """Whether steps under these penalties can shift columns without touching each of them."""
    live = columns[INVERSE, :-1] != 0
    return not columns[LASSO, :-1][live].any() and _one_ridge(columns)


def lazy(rule: str, X: CSR, columns: Array, rates: Array) -> bool:
    """Whether `csr_visits` can run an epoch of this rule."""
    if rule != "sgd" or not (bears_shift(columns) or movable(columns)):
        return False
    ridge = columns[RIDGE, :-1]
    return _one_ridge(columns) or bool(((rates == rates[0]) & (rates * ridge.max() < 1)).all())


def movable(columns: Array) -> bool:
    """Whether θ can be taken to columns without a shift."""
    return columns[INVERSE, -1] != 0 or not columns[SHIFT].any()


def filled(X: CSR) -> bool:
    """Whether so much of X is stored that its zeros may as well be written down."""
    return len(X.data) >= FILLED * X.shape[0] * X.shape[1]


def without_shift(columns: Array) -> Array:
    """The same columns, unshifted."""
    bare = columns.copy()
    bare[SHIFT] = 0
    return bare


def move(theta: Array, columns: Array, sign: int) -> None:
    """Take θ, or a sum of such, to columns without a shift by sign −1, back by 1. Changes theta."""
    p = columns.shape[1] - 1
    k = len(theta) // (p + 1)
    around = theta[: k * p].reshape(k, p) @ (columns[SHIFT, :p] * columns[INVERSE, :p])
    if around.any():
        theta[k * p :] += sign * around / columns[INVERSE, p]


def csr_visits(
    loss: Any,
    rows: Any,
    columns: Array,
    theta: Array,
    average: Array,
    *,
    order: Array,
    rates: Array,
    batch_size: int,
) -> float:
    """An epoch of SGD; returns the summed loss as met. Changes theta and average."""
    X = rows.X
    work = (X.data, X.indices, X.indptr, rows.y, rows.weights, order)
    known = (loss.name, loss.shape, loss.smooth, *work)
    if bears_shift(columns):
        return kernels.csr_epoch(*known, columns, theta, average, rates, batch_size)
    path = np.zeros_like(average)
    move(theta, columns, -1)
    total = kernels.csr_epoch(*known, without_shift(columns), theta, path, rates, batch_size)
    move(theta, columns, 1)
    if len(path):
        move(path, columns, 1)
        average += path
    return total


def _one_ridge(columns: Array) -> bool:
    ridge = columns[RIDGE, :-1][columns[INVERSE, :-1] != 0]
    return len(ridge) == 0 or ridge.max() - ridge.min() <= NEAR * ridge.max()
