"""Activations and normalisers in NumPy. Compiled twins: src/layers.pyx.

Twins agree within 4 ulp in sigmoid and logsumexp, within 8 + √k ulp in softmax over k classes.
"""

import numpy as np

from gdcore._numpy._require import (
    require_apart,
    require_arrays,
    require_like,
    require_same_or_apart,
    require_writeable,
)
from gdcore._typing import Array

__all__ = ["logsumexp", "sigmoid", "softmax"]


def sigmoid(z: Array, out: Array) -> None:
    """Logistic function out = 1/(1 + e⁻ᶻ), without overflow; out may be z. Changes out."""
    require_arrays(z, out)
    require_writeable(out)
    if z.shape != out.shape:
        raise ValueError("z and out must have one shape. Pass out=numpy.empty_like(z).")
    require_same_or_apart(out, z)
    with np.errstate(under="ignore"):
        e = np.exp(-np.abs(z))
    np.divide(np.where(z >= 0, z.dtype.type(1), e), 1 + e, out=out)


def softmax(Z: Array, out: Array) -> None:
    """Rows of out become e^Z / Σ e^Z, without overflow; out may be Z. Changes out."""
    require_arrays(Z, out, ndim=2)
    require_writeable(out)
    if Z.shape != out.shape:
        raise ValueError("Z and out must have one shape. Pass out=numpy.empty_like(Z).")
    require_same_or_apart(out, Z)
    if Z.size:
        with np.errstate(all="ignore"):
            np.subtract(Z, Z.max(axis=1, keepdims=True), out=out)
            np.exp(out, out=out)
            out /= out.sum(axis=1, keepdims=True, dtype=np.float64)


def logsumexp(Z: Array, out: Array) -> None:
    """out = log Σ e^Z of each row, without overflow. Changes out."""
    require_arrays(Z, ndim=2)
    require_like(Z, out)
    require_writeable(out)
    if len(Z) != len(out) or Z.shape[1] == 0:
        raise ValueError(
            "out must have one number a row of Z, and Z at least one column. Pass such."
        )
    require_apart((out,), Z)
    if Z.size:
        most = Z.max(axis=1)
        with np.errstate(all="ignore"):
            out[:] = most + np.log(np.exp(Z - most[:, None]).sum(axis=1, dtype=np.float64))
