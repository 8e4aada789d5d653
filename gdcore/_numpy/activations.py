"""Activations fused with the bias before them, in NumPy. Compiled twins: src/activations.pyx.

Twins agree within 1e-6 (float32) and 1e-14 (float64) of the largest number of an array.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from gdcore._numpy._require import (
    require_apart,
    require_arrays,
    require_like,
    require_same_or_apart,
    require_writeable,
)
from gdcore._typing import Array

__all__ = ["activate", "activate_backward"]

ROOT_HALF, ROOT_2_PI = 0.7071067811865476, 0.3989422804014327
ROOT_8_PI, CUBIC = 1.5957691216057308, 0.044715
Found: TypeAlias = tuple[Array, Array | None]  # values, and slopes where these do not tell them
Kind: TypeAlias = tuple[Callable[[Array], Found], Callable[[Array], Any] | None]
# erfc(a)·e^(a²)·(1 + 2a) as a polynomial in (a − 3.75)/(a + 3.75), the highest power first.
TAIL = (
    1.7312209083118933e-08, 8.5125594517613314e-09, -2.1321360409864602e-07,
    -2.7685663849700945e-08, 1.6939254478276176e-06, -1.0084713725546233e-06,
    -1.1397625287921655e-05, 2.241015775977701e-05, 5.1624792009427781e-05,
    -0.00029016639136143893, 0.00029372183419192641, 0.0017556295487634313,
    -0.0097465812624944557, 0.02836227674782648, -0.058693398383975408, 0.092304321227711553,
    -0.10880393015433062, 0.082276738487040452, 0.0035854154857627857, -0.14024059858550575,
    1.2375126308378264,
)  # fmt: skip


def _logistic(z: Array) -> Array:
    e = np.exp(-np.abs(z))
    p: Array = np.where(z >= 0, z.dtype.type(1), e) / (1 + e)
    return p


def _linear(z: Array) -> Found:
    return z, None


def _relu(z: Array) -> Found:
    return np.maximum(z, 0), None


def _leaky_relu(z: Array) -> Found:
    return np.where(z < 0, z.dtype.type(0.01) * z, z), None


def _tanh(z: Array) -> Found:
    return np.tanh(z), None


def _sigmoid(z: Array) -> Found:
    return _logistic(z), None


def _gelu(z: Array) -> Found:
    a = np.abs(z) * ROOT_HALF
    bell = np.exp(-(a * a))
    t = (a - 3.75) / (a + 3.75)
    tail = np.zeros_like(t)
    for c in TAIL:
        tail = tail * t + z.dtype.type(c)
    p = 0.5 * bell * tail / (1 + a + a)
    p = np.where(z < 0, p, 1 - p)
    return z * p, p + z * (ROOT_2_PI * bell)


def _gelu_tanh(z: Array) -> Found:
    u = z * z
    p = _logistic(ROOT_8_PI * z * (1 + CUBIC * u))
    y = z * p
    return y, p + y * (1 - p) * ROOT_8_PI * (1 + 3 * CUBIC * u)


def _silu(z: Array) -> Found:
    p = _logistic(z)
    y = z * p
    return y, p + y * (1 - p)


def _softplus(z: Array) -> Found:
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))), _logistic(z)


# name: (value and slope of z, the slope from the value)
KINDS: dict[str, Kind] = {
    "linear": (_linear, lambda y: 1),
    "relu": (_relu, lambda y: y > 0),
    "leaky_relu": (_leaky_relu, lambda y: np.where(y > 0, y.dtype.type(1), y.dtype.type(0.01))),
    "tanh": (_tanh, lambda y: 1 - y * y),
    "sigmoid": (_sigmoid, lambda y: y * (1 - y)),
    "gelu": (_gelu, None),
    "gelu_tanh": (_gelu_tanh, None),
    "silu": (_silu, None),
    "softplus": (_softplus, None),
}


@np.errstate(all="ignore")
def activate(name: str, Z: Array, bias: Array, slope: Array) -> None:
    """Z = act(Z + bias), row by row; slope = act′ where it cannot be told from the value. bias may be empty. Changes Z and slope."""
    require_arrays(Z, slope, ndim=2)
    require_like(Z, bias)
    require_writeable(Z, slope)
    value, from_value = _kind(name)
    _require_shapes(from_value is None, Z, bias, slope)
    require_apart((Z, slope), bias)
    Z[:], found = value(Z + bias if len(bias) else Z)
    if from_value is None:
        slope[:] = found


@np.errstate(all="ignore")
def activate_backward(name: str, Y: Array, slope: Array, dY: Array, db: Array) -> None:
    """dY, the gradient of act's values Y, becomes that of its arguments; its column sums are added to db, which may be empty. dY may be Y. Changes dY and db."""
    require_arrays(Y, slope, dY, ndim=2)
    require_like(Y, db)
    require_writeable(dY, db)
    _, from_value = _kind(name)
    if Y.shape != dY.shape:
        raise ValueError("Y and dY must have one shape. Pass the gradient of what the layer gave.")
    _require_shapes(from_value is None, dY, db, slope)
    require_apart((db,), dY, Y, slope)
    require_apart((dY,), slope)
    require_same_or_apart(dY, Y)
    dY *= slope if from_value is None else from_value(Y)
    if len(db):
        db += dY.sum(axis=0)


def _kind(name: str) -> Kind:
    if not isinstance(name, str) or name not in KINDS:
        raise ValueError(f"name must be one of {', '.join(KINDS)}, got {name!r}. Pass one of them.")
    return KINDS[name]


def _require_shapes(kept: bool, Z: Array, bias: Array, slope: Array) -> None:
    if len(bias) not in (0, Z.shape[1]):
        raise ValueError("The bias must have one number a column, or none. Pass such.")
    if slope.shape != Z.shape if kept else slope.size:
        raise ValueError(
            "slope must have the shape of the values where it is kept, else (0, 0). Pass such."
        )
