"""Cost and gradient of the linear family in NumPy. Compiled twins: src/gradients.pyx.

Letters: n rows, p columns, k outputs, z margins, r slopes dℓ/dz. θ is (k, p) coefficients, then k
intercepts. `columns` says how the descent sees each column, the intercept last: row 0 a shift,
row 1 an inverse scale, row 2 the weight of ½θ² and row 3 of |θ| in the penalty.

Blocks of rows that stay in the cache are standardised, multiplied, and multiplied again, so X is
read from memory once here too. Twins agree within 1e-12 (float64) and 1e-4 (float32), relative to
the gradient's norm: long sums run in another order; 1e-11 where a mean is thousands of deviations.
"""

import numpy as np

from gdcore._numpy._losses import logistic, softmax, squared
from gdcore._numpy._require import require_arrays, require_doubles, require_writeable

__all__ = ["logistic_gradient", "softmax_gradient", "squared_gradient"]

BLOCK_BYTES = 1 << 18


def squared_gradient(X, y, weights, columns, theta, g):
    """Weighted sum of ½(z − y)² over the rows of X; adds its gradient in theta to g. Changes g."""
    return _accumulate(squared, X, y, weights, columns, theta, g)


def logistic_gradient(X, y, weights, columns, theta, g):
    """Weighted sum of log(1 + e^z) − y·z over the rows of X, y in [0, 1]; adds its gradient in theta to g. Changes g."""
    return _accumulate(logistic, X, y, weights, columns, theta, g)


def softmax_gradient(X, y, weights, columns, theta, g):
    """Weighted sum of log Σ e^z − z_y over the rows of X, y a class number; adds its gradient in theta to g. Changes g."""
    return _accumulate(softmax, X, y, weights, columns, theta, g)


def _accumulate(loss, X, y, weights, columns, theta, g):
    require_rows(loss, X, y, weights, columns, theta, 2)
    require_arrays(theta, g)
    require_writeable(g)
    if len(g) != len(theta):
        raise ValueError("theta and g must have one length. Pass g=numpy.zeros_like(theta).")
    return add_gradient(loss, X, y, weights, columns, theta, g)


@np.errstate(all="ignore")
def add_gradient(loss, X, y, weights, columns, theta, g):
    n, p = X.shape
    k = len(theta) // (p + 1)
    shift, inverse = (row[:p].astype(X.dtype) for row in columns[:2])
    one = columns[1, p]
    W, b = theta[: k * p].reshape(k, p).T.astype(X.dtype), theta[k * p :] * one
    total = 0.0
    for rows in _row_blocks(n, p, X.itemsize):
        x = X[rows] - shift
        x *= inverse
        z = (x @ W).astype(np.float64)
        z += b
        lost, r = loss(z, y[rows])
        r *= weights[rows, None]
        total += float(weights[rows] @ lost)
        g[: k * p] += (r.astype(X.dtype).T @ x).ravel()
        g[k * p :] += one * r.sum(axis=0)
    return total


def _row_blocks(n, p, itemsize):
    rows = max(8, BLOCK_BYTES // (itemsize * (p + 1)))
    return (slice(start, start + rows) for start in range(0, n, rows))


def require_rows(loss, X, y, weights, columns, theta, settings):
    require_arrays(X, ndim=2)
    require_doubles(y, weights, theta)
    require_doubles(columns, ndim=2)
    n, p = X.shape
    k = len(theta) // (p + 1)
    if not len(y) == len(weights) == n:
        raise ValueError(
            "X, y and weights must have one number of rows. Pass one y and weight a row."
        )
    if len(columns) < settings or columns.shape[1] != p + 1:
        raise ValueError(
            "columns must describe each column of X and the intercept. Pass p + 1 columns."
        )
    if k < 1 or k * (p + 1) != len(theta) or (k > 1 and loss is not softmax):
        raise ValueError(
            "theta must hold the coefficients, then the intercepts. Pass k·(p + 1) numbers."
        )
    if loss is softmax and not ((y >= 0) & (y < k) & (y == np.floor(y))).all():
        raise ValueError("y must hold class numbers from 0 to k − 1. Encode the classes first.")
