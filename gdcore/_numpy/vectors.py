"""Norm, dot, clip and finite check of one vector, in NumPy. Compiled twins: src/vectors.pyx."""

import math
import operator

import numpy as np

from gdcore._numpy._require import (
    numbers,
    require_arrays,
    require_doubles,
    require_one_length,
    require_writeable,
)

__all__ = [
    "all_finite", "clip_norm", "clip_value", "curvature_pair", "dot", "largest", "norm", "ray",
    "simd_level", "two_loop",
]  # fmt: skip

BLOCK = 16384


def norm(a):
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


def dot(a, b):
    """Inner product ⟨a, b⟩, summed in double."""
    require_arrays(a, b)
    require_one_length(a, b)
    return _dot(a, b)


def largest(a):
    """Largest absolute element ‖a‖∞; 0 for none, NaN where one is."""
    require_arrays(a)
    return float(np.abs(a).max(initial=0))


def ray(x, d, t, out):
    """Write the point x + t·d into out. Changes out."""
    require_doubles(x, d, out)
    require_one_length(x, d, out)
    require_writeable(out)
    (t,) = numbers(t)
    with np.errstate(all="ignore"):
        np.multiply(d, t, out=out)
        out += x


def two_loop(g, S, Y, rho, newest, count, d):
    """Write −H·g into d, H the inverse Hessian of `count` pairs of steps S and gradient changes Y whose last is row `newest` (Nocedal, 1980); rho is 1/sᵀy. Returns ⟨g, d⟩. Changes d."""
    newest, count = operator.index(newest), operator.index(count)
    require_doubles(g, d)
    require_writeable(d)
    require_one_length(g, d)
    _require_pairs(g, S, Y, rho, newest, count)
    np.negative(g, out=d)
    if not count:
        return _dot(g, d)
    rows, alphas = [(newest - k) % len(rho) for k in range(count)], []
    with np.errstate(all="ignore"):
        for row in rows:
            alpha = float(rho[row]) * _dot(S[row], d)
            alphas.append(alpha)
            d -= alpha * Y[row]
        square = float(rho[newest]) * _dot(Y[newest], Y[newest])
        d *= 1 / square if square > 0 else 1.0
        for row, alpha in zip(reversed(rows), reversed(alphas), strict=True):
            beta = float(rho[row]) * _dot(Y[row], d)
            d += (alpha - beta) * S[row]
    return _dot(g, d)


def curvature_pair(x, before, g, was, S, Y, rho, row, caution):
    """Write the pair s = x − before, y = g − was into a row of S and Y, and 1/sᵀy into rho, where sᵀy > caution·‖s‖‖y‖, else zero. Returns ‖s‖. Changes S, Y and rho."""
    row = operator.index(row)
    (caution,) = numbers(caution)
    require_doubles(x, before, g, was)
    require_one_length(x, before, g, was)
    _require_pairs(x, S, Y, rho, row, 1)
    require_writeable(S, Y, rho)
    s, y = S[row], Y[row]
    with np.errstate(all="ignore"):
        np.subtract(x, before, out=s)
        np.subtract(g, was, out=y)
        product, far = _dot(s, y), norm(s)
        good = product > caution * far * norm(y) and product > 1e-300
        rho[row] = 1 / product if good else 0.0
    return far


def _require_pairs(g, S, Y, rho, newest, count):
    require_doubles(rho)
    require_doubles(S, Y, ndim=2)
    if S.shape != Y.shape or S.shape != (len(rho), len(g)):
        raise ValueError("S and Y must hold one row of g's length for each rho. Pass such.")
    if not (0 <= count <= len(rho) and (0 <= newest < len(rho) or not count)):
        raise ValueError("Rows must lie within S. Pass numbers from 0 to the number of pairs.")


def clip_norm(a, limit):
    """Scale a down to norm limit where it is longer; return the norm it had. Changes a."""
    require_arrays(a)
    require_writeable(a)
    (limit,) = numbers(limit)
    size = norm(a)
    if limit < size < math.inf:
        a *= a.dtype.type(limit / size)
    return size


def clip_value(a, limit):
    """Move every element of a into [−limit, limit]; NaN stays. Changes a."""
    require_arrays(a)
    require_writeable(a)
    (limit,) = numbers(limit)
    with np.errstate(over="ignore"):  # beyond float32, infinity: nothing is clipped
        high = a.dtype.type(limit)
    np.clip(a, -high, high, out=a)


def all_finite(a):
    """True where no element of a is NaN or infinite."""
    require_arrays(a)
    return all(
        bool(np.isfinite(a[start : start + BLOCK]).all()) for start in range(0, len(a), BLOCK)
    )


def simd_level():
    """Name of the instruction set that the compiled kernels run on; "numpy" where NumPy answers."""
    return "numpy"


def _dot(a, b):
    total = 0.0
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for start in range(0, len(a), BLOCK):
            left, right = a[start : start + BLOCK], b[start : start + BLOCK]
            total += float(np.einsum("i,i->", left, right, dtype=np.float64))
    return total
