"""Second moments of the rows of X as the descent sees them, in NumPy. Compiled: src/hessians.pyx.

Twins agree within 1e-13 (float64) and 1e-5 (float32) of the largest: sums run in another order.
"""

import numpy as np

from gdcore._numpy._require import require_arrays, require_doubles, require_writeable
from gdcore._numpy.gradients import row_blocks, seen

__all__ = ["linear_hessian"]


def linear_hessian(X, bends, columns, H):
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
    with np.errstate(all="ignore"):
        for rows in row_blocks(*X.shape, X.itemsize):
            x = seen(X, columns, rows)
            x = np.column_stack([x, np.full(len(x), columns[1, -1], x.dtype)])
            H += (x * bends[rows, None].astype(x.dtype)).T @ x
