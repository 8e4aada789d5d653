"""Products of matrices in NumPy, which asks its BLAS. Compiled twin: src/products.pyx.

Twins agree within 2e-5 (float32) and 1e-13 (float64) of the largest number of an array.
"""

import operator

import numpy as np

from gdcore._numpy._require import (
    require_aligned,
    require_apart,
    require_like,
    require_writeable,
)
from gdcore._typing import Array

__all__ = ["matrix_product", "pack_panels", "panel_product"]

PANEL, DEEP = 128, 384  # bytes of a row of a panel, and its rows


def matrix_product(A: Array, B: Array, add: int, C: Array) -> None:
    """C = A·B, or C += A·B where add is true. Rows of C must lie without gaps, and share no memory with A or B. Changes C."""
    _require_matrices(A, B, C)
    require_writeable(C)
    also = operator.index(add)
    if A.shape[1] != len(B) or C.shape != (len(A), B.shape[1]):
        raise ValueError("A (n, m), B (m, k) and C (n, k) must fit together. Pass such.")
    require_apart((C,), A)
    require_apart((C,), B)
    _require_rows(C)
    _multiply(A, B, also, C)


def pack_panels(B: Array, panels: Array) -> None:
    """panels = the columns of B (m, k), 32 at a time (16 in float64), row by row, zeros beyond the last, of 384 rows after the other: what `panel_product` reads. Changes panels."""
    _require_matrices(B)
    require_like(B, panels)
    require_writeable(panels)
    m, k = B.shape
    width = padded(k, B.itemsize)
    if len(panels) != m * width:
        raise ValueError("panels must hold m times the columns of whole panels. Pass such.")
    require_apart((panels,), B)
    whole = np.zeros((m, width), B.dtype)
    whole[:, :k] = B
    for q, deep, panel in _blocks(m, width, B.itemsize):
        panels[q * width : (q + deep) * width].reshape(-1, deep, panel)[:] = (
            whole[q : q + deep].reshape(deep, -1, panel).transpose(1, 0, 2)
        )


def panel_product(A: Array, panels: Array, add: int, C: Array) -> None:
    """C = A·B, or C += A·B where add is true, with the panels of B: `matrix_product` to the bit where rows of A lie without gaps. Changes C."""
    _require_matrices(A, C)
    require_like(A, panels)
    require_writeable(C)
    also = operator.index(add)
    m, k = A.shape[1], C.shape[1]
    width = padded(k, A.itemsize)
    if len(C) != len(A) or len(panels) != m * width:
        raise ValueError("A (n, m), panels of B (m, k) and C (n, k) must fit together. Pass such.")
    require_apart((C,), A, panels)
    _require_rows(C)
    B = np.empty((m, width), A.dtype)
    for q, deep, panel in _blocks(m, width, A.itemsize):
        packed = panels[q * width : (q + deep) * width].reshape(-1, deep, panel)
        B[q : q + deep].reshape(deep, -1, panel)[:] = packed.transpose(1, 0, 2)
    _multiply(A, np.ascontiguousarray(B[:, :k]), also, C)


def padded(k: int, itemsize: int) -> int:
    """Columns of whole panels."""
    return -(-k * itemsize // PANEL) * (PANEL // itemsize)


def _blocks(m: int, width: int, itemsize: int) -> list[tuple[int, int, int]]:
    """(first row, rows, columns of a panel) of each block of rows."""
    return [(q, min(DEEP, m - q), PANEL // itemsize) for q in range(0, m if width else 0, DEEP)]


def _multiply(A: Array, B: Array, also: int, C: Array) -> None:
    with np.errstate(all="ignore"):
        if also:
            C += A @ B
        else:
            np.matmul(A, B, out=C)


def _require_rows(C: Array) -> None:
    if len(C) and C.shape[1] > 1 and C.strides[1] != C.itemsize:
        raise ValueError("The rows of C must lie without gaps. Pass such an array.")


def _require_matrices(*arrays: Array) -> None:
    """What the compiled twin takes: any strides, one dtype."""
    for array in arrays:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"A kernel takes NumPy arrays, got {type(array).__name__}. Convert it.")
        same = array.dtype == arrays[0].dtype and array.dtype.isnative and array.ndim == 2
        if not same or array.dtype.char not in "fd":
            raise ValueError("A kernel takes float32 or float64 arrays of one dtype. Convert them.")
        require_aligned(array)
        if any(stride % array.itemsize for stride in array.strides):
            raise ValueError("Strides must be multiples of the size of a number. Pass a copy.")
