"""Mean and deviation of the columns of rows in CSR form, in NumPy. Compiled: src/sparse_moments.pyx.

Twins differ by 1e-13 of the largest number.
"""

import math

import numpy as np

from gdcore._numpy._require import (
    require_apart,
    require_doubles,
    require_writeable,
)
from gdcore._numpy.sparse import require_csr, row_of_each
from gdcore._typing import Array

__all__ = ["csr_moments"]

LARGE, SMALL = 1e140, 1e-140  # whose squares, summed, are safe
CLEAR = 0.05  # of Σ w·x²/Σ w: a variance that is less is not left as a difference


def csr_moments(
    data: Array, indices: Array, indptr: Array, weights: Array, mean: Array, deviation: Array
) -> None:
    """Weighted mean and standard deviation of each column, zeros that are not stored included; no row may name a column twice. Changes mean and deviation."""
    _require_moments(data, indices, indptr, weights, mean, deviation)
    if len(weights) == 0 or len(mean) == 0:
        return
    with np.errstate(all="ignore"):
        others = _by_sums(data, indices, indptr, weights, mean, deviation)
        if others.any():
            careful = np.empty((2, len(mean)))
            _moments(data, indices, indptr, weights, *careful)
            mean[others], deviation[others] = careful[:, others]


def _by_sums(
    data: Array, indices: Array, indptr: Array, weights: Array, mean: Array, deviation: Array
) -> Array:
    """Write what Σ w·x and Σ w·x² tell; True for columns of which they do not tell enough."""
    x, w = data.astype(np.float64), weights[row_of_each(indptr)]
    size, total = np.abs(x), float(np.add.accumulate(weights)[-1])
    mean[:] = np.bincount(indices, w * x, minlength=len(mean)) / total
    square = np.bincount(indices, w * (x * x), minlength=len(mean)) / total
    around = square - mean * mean
    deviation[:] = np.sqrt(np.maximum(around, 0))
    strange = data.dtype == np.float64 and ((size > LARGE) | ((size < SMALL) & (x != 0))).any()
    return np.full(len(mean), True) if strange else ~(around >= CLEAR * square)


def _moments(
    data: Array, indices: Array, indptr: Array, weights: Array, mean: Array, deviation: Array
) -> None:
    n, p = len(weights), len(mean)
    rows, tiny = row_of_each(indptr), np.finfo(data.dtype).eps
    columns, x, w = indices, data.astype(np.float64), weights[rows]

    def sums(values: Array) -> Array:
        return np.bincount(columns, values, minlength=p)

    count, total = np.bincount(columns, minlength=p), float(np.add.accumulate(weights)[-1])
    # The weight of the zeros is a difference: the first parts, multiples of one unit, sum exactly.
    big = math.ldexp(1.5, math.frexp(total)[1])
    high = (weights + big) - big
    low = weights - high
    zeros = (high.sum() - sums(high[rows])) + (low.sum() - sums(low[rows]))
    zeros = np.where(count < n, np.maximum(zeros, 0), 0)
    least = np.where(count < n, 0.0, np.inf)
    most = -least
    np.minimum.at(least, columns, x)
    np.maximum.at(most, columns, x)
    origin = np.zeros(p)  # where none is zero, the first row: a constant column's mean is exact
    begin = slice(0, indptr[1])
    origin[columns[begin]] = np.where(count[columns[begin]] == n, x[begin], 0)
    mean[:] = origin + sums(w * (x - origin[columns])) / total
    most = np.maximum(most - mean, mean - least)
    unit = np.where(most > 0, most, 1)  # squares of 1e-200 or 1e200 would leave the range
    square = sums(w * ((x - mean[columns]) / unit[columns]) ** 2) + zeros * (mean / unit) ** 2
    deviation[:] = unit * np.sqrt(square / total)
    deviation[most <= 8 * tiny * np.abs(mean)] = 0


def _require_moments(
    data: Array, indices: Array, indptr: Array, weights: Array, mean: Array, deviation: Array
) -> None:
    require_csr(data, indices, indptr)
    require_doubles(weights, mean, deviation)
    require_writeable(mean, deviation)
    if len(weights) != len(indptr) - 1 or len(deviation) != len(mean):
        raise ValueError(
            "There must be one weight a row, and mean and deviation of one length. Pass such."
        )
    if not ((indices >= 0) & (indices < len(mean))).all():
        raise ValueError("indices must hold column numbers. Pass numbers from 0 to p − 1.")
    require_apart((mean, deviation), data, indices, indptr, weights)
