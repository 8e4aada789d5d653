"""Who multiplies two matrices: the compiled kernel where it is the faster one, or NumPy's BLAS."""

from functools import partial

import numpy as np

from gdcore import kernels

NARROW = 512  # a sum no longer than this, over a row that lies in one piece: BLAS packs more then
FEW = 32  # fewer rows do not pay for packing the other matrix
_compiled = kernels.backend()["matrix_product"] == "native"
_wide = kernels.simd_level() in ("x86-64-v3", "x86-64-v4")  # where its speed has been measured


def by_tiles(a):
    """Whether the kernel multiplies a by something: its layout and width say, which no cut changes."""
    n, m = a.shape
    return _compiled and _wide and n >= FEW and m <= NARROW and a.strides[1] == a.itemsize


def product(a, b, out):
    """out = a·b."""
    if by_tiles(a):
        kernels.matrix_product(a, b, False, out)
        return out
    return np.matmul(a, b, out=out)


def bound(a, b, out):
    """A call without arguments that computes out = a·b."""
    if by_tiles(a):
        return partial(kernels.matrix_product, a, b, False, out)
    return partial(np.matmul, a, b, out)
