"""Mean, spread and extremes of columns, lengths of rows, in NumPy. Compiled: src/moments.pyx.

Twins agree within 1e-13 of the largest number (1e-6 for lengths in float32): sums run in another
order.
"""

import numpy as np

from gdcore._numpy._require import (
    require_apart,
    require_arrays,
    require_doubles,
    require_writeable,
)
from gdcore._numpy.gradients import row_blocks, seen
from gdcore._typing import Array

__all__ = ["column_moments", "row_lengths"]


@np.errstate(all="ignore")
def column_moments(
    X: Array, weights: Array, mean: Array, square: Array, low: Array, high: Array
) -> float:
    """Write the weighted mean of each column of X, the weighted sum of squares around it, the least and the largest number; returns the sum of the weights. Changes mean, square, low and high."""
    require_arrays(X, ndim=2)
    require_doubles(weights, mean, square, low, high)
    require_writeable(mean, square, low, high)
    n, p = X.shape
    if len(weights) != n:
        raise ValueError("X and weights must have one number of rows. Pass one weight a row.")
    if not len(mean) == len(square) == len(low) == len(high) == p:
        raise ValueError("mean, square, low and high must have one number a column. Pass such.")
    require_apart((mean, square, low, high), X, weights)
    total = float(weights.sum())
    if n == 0 or p == 0:
        return 0.0
    base = X[0].astype(np.float64)
    low[:], high[:], square[:], mean[:] = base, base, 0, 0
    counted = [rows for rows in row_blocks(X) if weights[rows].any()]
    for rows in counted:
        mean += np.einsum("i,ij->j", weights[rows], X[rows] - base)
    mean /= total or 1.0
    for rows in counted:
        away = X[rows] - base - mean
        square += np.einsum("i,ij->j", weights[rows], away * away)
        np.minimum(low, X[rows].min(axis=0), out=low)
        np.maximum(high, X[rows].max(axis=0), out=high)
    mean += base
    return total


def row_lengths(X: Array, columns: Array, lengths: Array) -> None:
    """Write the squared length of each row of X as the descent sees it, without the intercept's 1. Changes lengths."""
    require_arrays(X, ndim=2)
    require_doubles(columns, ndim=2)
    require_doubles(lengths)
    require_writeable(lengths)
    if len(columns) < 2 or columns.shape[1] != X.shape[1] + 1:
        raise ValueError(
            "columns must describe each column of X and the intercept. Pass p + 1 columns."
        )
    if len(lengths) != len(X):
        raise ValueError("lengths must have one number a row. Pass numpy.empty(len(X)).")
    require_apart((lengths,), X, columns)
    with np.errstate(all="ignore"):
        for rows in row_blocks(X):
            x = seen(X, columns, rows)
            lengths[rows] = np.einsum("ij,ij->i", x, x)
