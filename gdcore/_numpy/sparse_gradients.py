"""Cost and gradient over rows in CSR form, in NumPy. Compiled: src/sparse_gradients.pyx.

Shift and scale are folded into θ and g: z = x·w′ + b′, g = (Σ rx − shift·Σ r)·inverse. Twins agree
within 1e-12 (float64) and 1e-4 (float32) of the largest number: sums run in another order, the
compiled ones in X's precision.
"""

import numpy as np

from gdcore._numpy._losses import loss_named
from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_doubles,
    require_writeable,
)
from gdcore._numpy.gradients import outputs_of, require_targets
from gdcore._numpy.sparse import require_csr, row_of_each
from gdcore._typing import Array

__all__ = ["csr_combine", "csr_gradient", "csr_lengths", "csr_margins"]


@np.errstate(all="ignore")
def csr_gradient(
    loss: str,
    shape: float,
    smooth: float,
    data: Array,
    indices: Array,
    indptr: Array,
    y: Array,
    weights: Array,
    columns: Array,
    theta: Array,
    g: Array,
    margins: Array,
) -> float:
    """Weighted sum of the loss over rows in CSR form; adds its gradient in theta to g, and writes the margins, where those have rows. Changes g and margins."""
    knobs, function = numbers(shape, smooth), loss_named(loss)
    n = _require(data, indices, indptr, columns)
    require_doubles(y, weights, theta, g)
    require_doubles(margins, ndim=2)
    require_writeable(g, margins)
    k, p = outputs_of(columns, columns.shape[1] - 1, len(theta)), columns.shape[1] - 1
    if not len(y) == len(weights) == n:
        raise ValueError(
            "X, y and weights must have one number of rows. Pass one y and weight a row."
        )
    if k > 1 and loss != "softmax":
        raise ValueError(
            "theta must hold the coefficients, then the intercepts. Pass k·(p + 1) numbers."
        )
    require_targets(loss, y, k)
    if len(g) != len(theta):
        raise ValueError("theta and g must have one length. Pass g=numpy.zeros_like(theta).")
    if len(margins) and margins.shape != (n, k):
        raise ValueError("margins must be (n, k), or have no rows. Pass numpy.empty((n, k)).")
    require_apart((g, margins), data, indices, indptr, y, weights, columns, theta)
    _require_inside(indices, p)
    if n == 0:
        return 0.0
    z = _margins(data, indices, indptr, columns, theta)
    if len(margins):
        margins[:] = z
    lost, r = function(z, y, *knobs)
    _combine(data, indices, indptr, r * weights[:, None], columns, g)
    return float(weights @ lost)


@np.errstate(all="ignore")
def csr_margins(
    data: Array, indices: Array, indptr: Array, columns: Array, theta: Array, margins: Array
) -> None:
    """Write the margins of rows in CSR form under theta. Changes margins."""
    n = _require(data, indices, indptr, columns)
    require_doubles(theta)
    require_doubles(margins, ndim=2)
    require_writeable(margins)
    if margins.shape != (n, outputs_of(columns, columns.shape[1] - 1, len(theta))):
        raise ValueError("margins must be (n, k). Pass numpy.empty((n, k)).")
    require_apart((margins,), data, indices, indptr, columns, theta)
    _require_inside(indices, columns.shape[1] - 1)
    margins[:] = _margins(data, indices, indptr, columns, theta)


@np.errstate(all="ignore")
def csr_combine(
    data: Array, indices: Array, indptr: Array, slopes: Array, columns: Array, g: Array
) -> None:
    """Add the sum of rows in CSR form, as the descent sees them, times their slopes (n, k) to g. Changes g."""
    n = _require(data, indices, indptr, columns)
    require_doubles(slopes, ndim=2)
    require_doubles(g)
    require_writeable(g)
    if slopes.shape != (n, outputs_of(columns, columns.shape[1] - 1, len(g))):
        raise ValueError("slopes must be (n, k). Pass one slope a row and output.")
    require_apart((g,), data, indices, indptr, slopes, columns)
    _require_inside(indices, columns.shape[1] - 1)
    _combine(data, indices, indptr, slopes, columns, g)


def csr_lengths(data: Array, indices: Array, indptr: Array, columns: Array, lengths: Array) -> None:
    """Write the squared length of each row in CSR form as the descent sees it, without the intercept's 1. Changes lengths."""
    n = _require(data, indices, indptr, columns)
    require_doubles(lengths)
    require_writeable(lengths)
    if len(columns) < 2 or columns.shape[1] == 0:
        raise ValueError(
            "columns must describe each column of X and the intercept. Pass p + 1 columns."
        )
    if len(lengths) != n:
        raise ValueError("lengths must have one number a row. Pass numpy.empty(len(X)).")
    require_apart((lengths,), data, indices, indptr, columns)
    _require_inside(indices, columns.shape[1] - 1)
    middle = columns[0, :-1] * columns[1, :-1]
    x = data * columns[1, indices]
    change = np.bincount(row_of_each(indptr), x * (x - 2 * middle[indices]), minlength=n)
    lengths[:] = np.maximum(float(middle @ middle) + change, 0)


def _require(data: Array, indices: Array, indptr: Array, columns: Array) -> int:
    """The number of rows."""
    require_csr(data, indices, indptr)
    require_doubles(columns, ndim=2)
    return len(indptr) - 1


def _require_inside(indices: Array, p: int) -> None:
    if not ((indices >= 0) & (indices < p)).all():
        raise ValueError("indices must hold column numbers. Pass numbers from 0 to p − 1.")


def _margins(data: Array, indices: Array, indptr: Array, columns: Array, theta: Array) -> Array:
    p, n = columns.shape[1] - 1, len(indptr) - 1
    k, rows = len(theta) // (p + 1), row_of_each(indptr)
    z = np.empty((n, k))
    for c in range(k):
        w = theta[c * p : (c + 1) * p] * columns[1, :p]
        bias = theta[k * p + c] * columns[1, p] - columns[0, :p] @ w
        z[:, c] = bias + np.bincount(rows, data * w[indices], minlength=n)
    return z


def _combine(
    data: Array, indices: Array, indptr: Array, r: Array, columns: Array, g: Array
) -> None:
    p, k = columns.shape[1] - 1, r.shape[1]
    rows = row_of_each(indptr)
    for c in range(k):
        total = r[:, c].sum()
        sums = np.bincount(indices, data * r[rows, c], minlength=p)
        g[c * p : (c + 1) * p] += columns[1, :p] * (sums - columns[0, :p] * total)
        g[k * p + c] += columns[1, p] * total
