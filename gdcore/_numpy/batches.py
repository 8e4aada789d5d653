"""Rows of a batch, gathered and standardised, in NumPy. Compiled twin: src/batches.pyx.

Twins agree to the bit.
"""

import numpy as np

from gdcore._numpy._require import (
    require_apart,
    require_arrays,
    require_like,
    require_whole,
    require_writeable,
)
from gdcore._typing import Array

__all__ = ["take_rows"]


def take_rows(X: Array, rows: Array, shift: Array, inverse: Array, out: Array) -> None:
    """out = (X[rows] − shift)·inverse; where shift and inverse are empty, X[rows] itself. Changes out."""
    _require(X, rows, shift, inverse, out)
    if len(rows) == 0 or X.shape[1] == 0:
        return
    with np.errstate(all="ignore"):
        taken = np.take(X, rows, axis=0)
        if len(shift):
            taken -= shift
            out[:] = taken
            out *= inverse
        else:
            out[:] = taken


def _require(X: Array, rows: Array, shift: Array, inverse: Array, out: Array) -> None:
    require_arrays(X, ndim=2)
    require_whole(rows=rows)
    require_like(X, shift)
    require_arrays(out, ndim=2)
    require_like(out, inverse)
    require_writeable(out)
    if out.shape != (len(rows), X.shape[1]):
        raise ValueError("out must have one row for each of rows, as wide as X. Pass such.")
    if len(shift) != len(inverse) or len(shift) not in (0, X.shape[1]):
        raise ValueError("shift and inverse must have one number a column, or none. Pass such.")
    if not ((rows >= 0) & (rows < len(X))).all():
        raise ValueError("rows must hold row numbers of X. Pass numbers from 0 to n − 1.")
    require_apart((out,), X, rows, shift, inverse)
