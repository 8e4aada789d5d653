"""Losses at a network's end with their gradients, in NumPy. Compiled twins: src/heads.pyx.

Twins agree within 1e-6 (float32) and 1e-14 (float64) of the largest number of an array.
"""

import numpy as np

from gdcore._numpy import _losses
from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_arrays,
    require_doubles,
    require_same_or_apart,
    require_writeable,
)
from gdcore._typing import Array

__all__ = ["logistic_cross_entropy", "softmax_cross_entropy", "squared_error"]


def softmax_cross_entropy(Z: Array, y: Array, weights: Array, scale: float, dZ: Array) -> float:
    """Weighted sum of log Σ e^z − z_y over the rows of Z, y a class number; dZ = scale times its gradient. dZ may be Z. Changes dZ."""
    require_doubles(y, weights)
    (scale,) = _require(Z, y, weights, scale, dZ)
    if not ((y >= 0) & (y < Z.shape[1])).all():
        raise ValueError("y must hold class numbers. Pass numbers from 0 to k − 1.")
    return _fused(_losses.softmax, Z, y, weights, scale, dZ)


def logistic_cross_entropy(Z: Array, Y: Array, weights: Array, scale: float, dZ: Array) -> float:
    """Weighted sum of log(1 + e^z) − Y·z over the elements of Z, Y in [0, 1]; dZ = scale times its gradient. dZ may be Z. Changes dZ."""
    return _elementwise(_losses.logistic, Z, Y, weights, scale, dZ)


def squared_error(Z: Array, Y: Array, weights: Array, scale: float, dZ: Array) -> float:
    """Weighted sum of ½(Z − Y)² over the elements of Z; dZ = scale times its gradient. dZ may be Z. Changes dZ."""
    return _elementwise(_losses.squared, Z, Y, weights, scale, dZ)


def _elementwise(
    loss: _losses.Loss, Z: Array, Y: Array, weights: Array, scale: float, dZ: Array
) -> float:
    require_doubles(Y, ndim=2)
    require_doubles(weights)
    (scale,) = _require(Z, Y, weights, scale, dZ)
    if Y.shape != Z.shape:
        raise ValueError("Z and Y must have one shape. Pass one target an output.")

    def by_row(z: Array, y: Array) -> tuple[Array, Array]:
        value, slope = loss(z.reshape(-1, 1), y.ravel())
        return value.reshape(z.shape).sum(axis=1), slope.reshape(z.shape)

    return _fused(by_row, Z, Y, weights, scale, dZ)


@np.errstate(all="ignore")
def _fused(
    loss: _losses.Loss, Z: Array, y: Array, weights: Array, scale: float, dZ: Array
) -> float:
    value, slope = loss(Z.astype(np.float64), y)
    dZ[:] = scale * weights[:, None] * slope
    return float(weights @ value)


def _require(Z: Array, y: Array, weights: Array, scale: float, dZ: Array) -> tuple[float, ...]:
    require_arrays(Z, dZ, ndim=2)
    require_writeable(dZ)
    if not len(Z) == len(y) == len(weights):
        raise ValueError(
            "Z, the targets and weights must have one number of rows. Pass one target and weight a row."
        )
    if Z.shape != dZ.shape or Z.shape[1] == 0:
        raise ValueError(
            "Z and dZ must have one shape, with at least one column. Pass dZ=numpy.empty_like(Z)."
        )
    require_same_or_apart(dZ, Z)
    require_apart((dZ,), y, weights)
    return numbers(scale)
