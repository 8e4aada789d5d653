"""Second moments of the rows of X as the descent sees them, in NumPy. Compiled: src/hessians.pyx.

Twins agree within 1e-13 (float64) and 1e-5 (float32) of the largest: sums run in another order.
"""

import operator

import numpy as np

from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_arrays,
    require_doubles,
    require_writeable,
)
from gdcore._numpy.gradients import row_blocks, seen
from gdcore._typing import Array

__all__ = ["lasso_step", "linear_hessian"]


def lasso_step(
    H: Array, g: Array, theta: Array, lasso: Array, step: Array, sweeps: int, tolerance: float
) -> int:
    """Write the d into step that minimises g·d + ½d·H·d + lasso·|theta + d|, by coordinate descent until no coordinate moves H by more than the tolerance; returns the sweeps that took. Changes step."""
    sweeps, (tolerance,) = operator.index(sweeps), numbers(tolerance)
    require_doubles(H, ndim=2)
    require_doubles(g, theta, lasso, step)
    require_writeable(step)
    n = len(g)
    if not len(H) == H.shape[1] == n == len(theta) == len(lasso) == len(step):
        raise ValueError("H must be (n, n) and the vectors of length n. Pass such.")
    require_apart((step,), H, g, theta, lasso)
    slope, used = g.copy(), 0
    step[:] = 0
    with np.errstate(all="ignore"):
        for used in range(1, sweeps + 1):  # noqa: B007
            most = 0.0
            for j in np.flatnonzero(np.diag(H) > 0).tolist():
                curve = H[j, j]
                there = theta[j] + step[j] - slope[j] / curve
                size = abs(there) - lasso[j] / curve
                there = 0.0 if size <= 0 else (size if there > 0 else -size)
                move = there - (theta[j] + step[j])
                if move != 0:
                    step[j] += move
                    slope += move * H[j]
                    most = max(most, abs(move) * curve)
            if not most > tolerance:
                break
    return used


def linear_hessian(X: Array, bends: Array, columns: Array, H: Array) -> None:
    """Add the sum of h·x̃x̃ᵀ over the rows of X as the descent sees them, its 1 for the intercept last, to H (p + 1, p + 1). Changes H."""
    require_arrays(X, ndim=2)
    require_doubles(bends)
    require_doubles(columns, H, ndim=2)
    require_writeable(H)
    width = X.shape[1] + 1
    if len(bends) != len(X):
        raise ValueError("X and bends must have one number of rows. Pass one weight a row.")
    if len(columns) < 2 or columns.shape[1] != width:
        raise ValueError(
            "columns must describe each column of X and the intercept. Pass p + 1 columns."
        )
    if H.shape != (width, width):
        raise ValueError("H must be (p + 1, p + 1). Pass numpy.zeros((p + 1, p + 1)).")
    require_apart((H,), X, bends, columns)
    with np.errstate(all="ignore"):
        for rows in row_blocks(X):
            x = seen(X, columns, rows)
            x = np.column_stack([x, np.full(len(x), columns[1, -1], x.dtype)])
            H += (x * bends[rows, None].astype(x.dtype)).T @ x
