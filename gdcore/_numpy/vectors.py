"""Norm, dot, clip, finite check and secants of vectors, in NumPy. Compiled twins: src/vectors.pyx."""

import math

import numpy as np

from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_arrays,
    require_one_length,
    require_writeable,
)
from gdcore._typing import Array

__all__ = [
    "add_scaled",
    "all_finite",
    "clip_norm",
    "clip_value",
    "dot",
    "largest",
    "norm",
    "secant",
    "simd_level",
]

BLOCK = 16384


def norm(a: Array) -> float:
    """Euclidean norm ‖a‖₂, summed in double; never under- or overflows where the result is a number."""
    require_arrays(a)
    square = _dot(a, a)
    if 1e-290 < square < 1e300 or math.isnan(square):
        return math.sqrt(square)
    most = float(np.abs(a).max(initial=0))
    if most == 0 or most == math.inf:
        return most
    unit = 2.0 ** min(math.frexp(most)[1], 1023)
    scaled = np.asarray(a, np.float64) / unit
    return math.sqrt(_dot(scaled, scaled)) * unit


def add_scaled(a: Array, b: Array, factor: float) -> None:
    """a + factor·b into a. Changes a."""
    require_arrays(a, b)
    require_writeable(a)
    require_one_length(a, b)
    require_apart((a,), b)
    (factor,) = numbers(factor)
    with np.errstate(all="ignore"):
        a += a.dtype.type(factor) * b


def dot(a: Array, b: Array) -> float:
    """Inner product ⟨a, b⟩, summed in double."""
    require_arrays(a, b)
    require_one_length(a, b)
    return _dot(a, b)


def largest(a: Array) -> float:
    """Largest absolute element ‖a‖∞; 0 for none, NaN where one is."""
    require_arrays(a)
    return float(np.abs(a).max(initial=0))


def clip_norm(a: Array, limit: float) -> float:
    """Scale a down to norm limit where it is longer; return the norm it had. Changes a."""
    require_arrays(a)
    require_writeable(a)
    (limit,) = numbers(limit)
    size = norm(a)
    if limit < size < math.inf:
        a *= a.dtype.type(limit / size)
    return size


def clip_value(a: Array, limit: float) -> None:
    """Move every element of a into [−limit, limit]; NaN stays. Changes a."""
    require_arrays(a)
    require_writeable(a)
    (limit,) = numbers(limit)
    if not limit >= 0:
        raise ValueError("limit must not be negative. Pass the largest size allowed.")
    with np.errstate(over="ignore"):  # beyond float32, infinity: nothing is clipped
        high = a.dtype.type(limit)
    np.clip(a, -high, high, out=a)


def all_finite(a: Array) -> bool:
    """True where no element of a is NaN or infinite."""
    require_arrays(a)
    return all(
        bool(np.isfinite(a[start : start + BLOCK]).all()) for start in range(0, len(a), BLOCK)
    )


def secant(
    x: Array, before: Array, g: Array, was: Array
) -> tuple[float, float, float, float, float]:
    """(‖Δx‖², ⟨g, was⟩, ‖Δg‖², ½⟨g + was, Δx⟩, ‖g‖²) between a point and gradient before and those now, which then take their place. Changes before and was."""
    require_arrays(x, before, g, was)
    require_one_length(x, before, g, was)
    require_writeable(before, was)
    require_apart((before, was), x, g)
    with np.errstate(all="ignore"):
        dx, now, then = np.subtract(x, before, dtype=np.float64), g.astype(float), was.astype(float)
        dg = now - then
        found = (_dot(dx, dx), _dot(now, then), _dot(dg, dg), 0.5 * _dot(now + then, dx))
        size = _dot(now, now)
    before[:], was[:] = x, g
    return *found, size


def simd_level() -> str:
    """Name of the instruction set that the compiled kernels run on; "numpy" where NumPy answers."""
    return "numpy"


def _dot(a: Array, b: Array) -> float:
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for start in range(0, len(a), BLOCK):
            left, right = a[start : start + BLOCK], b[start : start + BLOCK]
            total += float(np.einsum("i,i->", left, right, dtype=np.float64))
    return total
