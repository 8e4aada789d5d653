"""Who multiplies two matrices: the compiled kernel where it is the faster one, or NumPy's BLAS."""

from functools import partial

import numpy as np

from gdcore import kernels
from gdcore._numpy.products import padded
from gdcore._typing import Array
from gdcore.layers.calls import Call, prepared

FEW = 32  # fewer rows do not pay for packing the other matrix
LEAST = 1 << 17  # multiplications: BLAS is called in less time,
LEAST_AT_ONCE = 1 << 20  # and asked in less time than it takes to choose
DTYPES = {np.dtype(np.float32), np.dtype(np.float64)}
_compiled = kernels.backend()["matrix_product"] == "native"
# Where the kernel has been measured, and is not the slower one. BLAS packs both factors: that
# pays for large ones alone.
_level = kernels.simd_level()
_wide = _level in ("x86-64-v3", "x86-64-v4")
NARROW = 512  # x86-64-v3: a sum no longer than this, over a row that lies in one piece
MOST_READ, MOST_WRITTEN = 3_500_000, 2_500_000  # x86-64-v4: bytes of b, or of out where a is turned


def packs() -> bool:
    """Whether products of packed weights are there and fast."""
    return _compiled and _wide


def reads_rows() -> bool:
    """Whether it reads b as it lies where its rows have no gaps: packing it is no gain then."""
    return _level == "x86-64-v4"


def panel_numbers(b: Array) -> int:
    """How many numbers the panels of b hold."""
    return len(b) * padded(b.shape[1], b.itemsize)


def by_tiles(a: Array, b: Array, out: Array) -> bool:
    """Whether the kernel computes out = a·b, as layouts and sizes say (of rows, if they are few).

    What the kernel does not take, as integers and an out that is a, is NumPy's.
    """
    if not (packs() and a.ndim == b.ndim == out.ndim == 2):
        return False
    lies = out.strides[1] == out.itemsize
    lies = lies and a.flags.aligned and b.flags.aligned and out.flags.aligned
    alike = a.dtype == b.dtype == out.dtype and a.dtype in DTYPES
    apart = not (np.may_share_memory(a, out) or np.may_share_memory(b, out))
    return lies and alike and apart and _pays(a, b, out)


def _pays(a: Array, b: Array, out: Array) -> bool:
    (n, m), k, size = a.shape, b.shape[1], a.itemsize
    if n < FEW or n * m * k < LEAST:
        return False
    if _level == "x86-64-v3":
        return a.strides[1] == size and m <= NARROW
    if b.strides[1] == size:
        columns = -(-k * size // 64) * (64 // size)  # as whole registers count them
        if k * size < 128 or 8 * columns > 9 * k:
            return False
    if a.strides[1] == size:
        return b.size * size <= MOST_READ
    return a.strides[0] == b.strides[1] == size and out.size * size <= MOST_WRITTEN


def product(a: Array, b: Array, out: Array) -> Array:
    """out = a·b."""
    if a.size * b.shape[-1] >= LEAST_AT_ONCE and by_tiles(a, b, out):
        kernels.matrix_product(a, b, False, out)
        return out
    return np.matmul(a, b, out=out)


def bound(a: Array, b: Array, out: Array) -> Call:
    """A call without arguments that computes out = a·b."""
    if by_tiles(a, b, out):
        return prepared(kernels.matrix_product, a, b, False, out)
    return partial(np.matmul, a, b, out)
