"""Who multiplies two matrices: the compiled kernel where it is the faster one, or NumPy's BLAS."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._numpy.products import padded
from gdcore._typing import Array

NARROW = 512  # a sum no longer than this, over a row that lies in one piece: BLAS packs more then
FEW = 32  # fewer rows do not pay for packing the other matrix
DTYPES = {np.dtype(np.float32), np.dtype(np.float64)}
_compiled = kernels.backend()["matrix_product"] == "native"
_wide = kernels.simd_level() in ("x86-64-v3", "x86-64-v4")  # where its speed has been measured


def packs() -> bool:
    """Whether products of packed weights are there and fast."""
    return _compiled and _wide


def panel_numbers(b: Array) -> int:
    """How many numbers the panels of b hold."""
    return len(b) * padded(b.shape[1], b.itemsize)


def by_tiles(a: Array, b: Array, out: Array) -> bool:
    """Whether the kernel computes out = a·b: layouts and the width of a say, which no cut changes.

    What the kernel does not take, as integers and an out that is a, is NumPy's.
    """
    if not (packs() and a.ndim == b.ndim == out.ndim == 2):
        return False
    n, m = a.shape
    lies = a.strides[1] == a.itemsize and out.strides[1] == out.itemsize
    lies = lies and a.flags.aligned and b.flags.aligned and out.flags.aligned
    alike = a.dtype == b.dtype == out.dtype and a.dtype in DTYPES
    apart = not (np.may_share_memory(a, out) or np.may_share_memory(b, out))
    return n >= FEW and m <= NARROW and lies and alike and apart


def product(a: Array, b: Array, out: Array) -> Array:
    """out = a·b."""
    if by_tiles(a, b, out):
        kernels.matrix_product(a, b, False, out)
        return out
    return np.matmul(a, b, out=out)


def bound(a: Array, b: Array, out: Array) -> Callable[[], Any]:
    """A call without arguments that computes out = a·b."""
    if by_tiles(a, b, out):
        return partial(kernels.matrix_product, a, b, False, out)
    return partial(np.matmul, a, b, out)
