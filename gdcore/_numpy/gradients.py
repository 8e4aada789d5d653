"""Cost and gradient of the linear family in NumPy. Compiled twins: src/gradients.pyx.

Losses are those of _losses.py, by name. Letters: n rows, p columns, k outputs, z margins, r slopes
dℓ/dz. θ is (k, p) coefficients, then k intercepts. `columns` says how the descent sees each column, the intercept last: row 0 a shift,
row 1 an inverse scale, row 2 the weight of ½θ² and row 3 of |θ| in the penalty.

Blocks of rows that stay in the cache are standardised, multiplied, and multiplied again, so X is
read from memory once here too. Twins agree within 1e-12 (float64) and 1e-4 (float32), relative to
the gradient's norm: long sums run in another order; 1e-11 where a mean is thousands of deviations.
"""

from collections.abc import Iterator

import numpy as np

from gdcore._numpy._losses import Loss, loss_named
from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_arrays,
    require_doubles,
    require_writeable,
)
from gdcore._typing import Array

__all__ = ["linear_combine", "linear_gradient", "linear_losses", "linear_margins"]

BLOCK_BYTES = 1 << 18
NONE = np.empty((0, 0))  # margins that nobody wants


def linear_gradient(
    loss: str,
    shape: float,
    smooth: float,
    X: Array,
    y: Array,
    weights: Array,
    columns: Array,
    theta: Array,
    g: Array,
    margins: Array,
) -> float:
    """Weighted sum of the loss over the rows of X; adds its gradient in theta to g, and writes the margins, where those have rows. Changes g and margins."""
    knobs = numbers(shape, smooth)
    function = loss_named(loss)
    require_rows(loss, X, y, weights, columns, theta, 2)
    require_doubles(g)
    require_doubles(margins, ndim=2)
    require_writeable(g, margins)
    if len(g) != len(theta):
        raise ValueError("theta and g must have one length. Pass g=numpy.zeros_like(theta).")
    k = len(theta) // (X.shape[1] + 1)
    if len(margins) and margins.shape != (len(X), k):
        raise ValueError("margins must be (n, k), or have no rows. Pass numpy.empty((n, k)).")
    require_apart((g, margins), X, y, weights, columns, theta)
    return add_gradient(function, knobs, (X, y, weights), columns, theta, g, margins)


def linear_margins(X: Array, columns: Array, theta: Array, margins: Array) -> None:
    """Write the margins of the rows of X under theta. Changes margins."""
    require_arrays(X, ndim=2)
    require_doubles(columns, margins, ndim=2)
    require_doubles(theta)
    require_writeable(margins)
    k = outputs_of(columns, X.shape[1], len(theta))
    if margins.shape != (len(X), k):
        raise ValueError("margins must be (n, k). Pass numpy.empty((n, k)).")
    require_apart((margins,), X, columns, theta)
    W, b = _coefficients(X, columns, theta)
    with np.errstate(all="ignore"):
        for rows in row_blocks(X):
            margins[rows] = (seen(X, columns, rows) @ W).astype(np.float64) + b


def linear_combine(X: Array, slopes: Array, columns: Array, g: Array) -> None:
    """Add the sum of the rows of X, as the descent sees them, times their slopes (n, k) to g. Changes g."""
    require_arrays(X, ndim=2)
    require_doubles(slopes, columns, ndim=2)
    require_doubles(g)
    require_writeable(g)
    k = outputs_of(columns, X.shape[1], len(g))
    if slopes.shape != (len(X), k):
        raise ValueError("slopes must be (n, k). Pass one slope a row and output.")
    require_apart((g,), X, slopes, columns)
    with np.errstate(all="ignore"):
        for rows in row_blocks(X):
            _combine(seen(X, columns, rows), slopes[rows], columns, g)


def linear_losses(
    loss: str, shape: float, smooth: float, z: Array, y: Array, lost: Array, r: Array
) -> None:
    """Write the loss of each row of margins z (n, k), and its slopes in them. Changes lost and r."""
    knobs = numbers(shape, smooth)
    function = loss_named(loss)
    require_doubles(z, r, ndim=2)
    require_doubles(y, lost)
    require_writeable(lost, r)
    n, k = z.shape
    if not (len(y) == len(lost) == n and r.shape == z.shape):
        raise ValueError(
            "z, y, lost and r must have one number of rows, z and r one of columns. Pass such."
        )
    if k < 1 or (k > 1 and loss != "softmax"):
        raise ValueError("z must be (n, 1), or (n, k) of softmax. Pass one margin an output.")
    require_targets(loss, y, k)
    require_apart((lost, r), z, y)
    with np.errstate(all="ignore"):
        lost[:], r[:] = function(z, y, *knobs)


def seen(X: Array, columns: Array, rows: slice) -> Array:
    """Rows as the descent sees them."""
    p = X.shape[1]
    shift, inverse = (row[:p].astype(X.dtype) for row in columns[:2])
    x: Array = X[rows] - shift
    x *= inverse
    return x


def _coefficients(X: Array, columns: Array, theta: Array) -> tuple[Array, Array]:
    """(W (p, k) in X's precision, b (k,))."""
    p = X.shape[1]
    k = len(theta) // (p + 1)
    W = theta[: k * p].reshape(k, p).T.astype(X.dtype)
    return W, theta[k * p :] * columns[1, p]


def _combine(x: Array, r: Array, columns: Array, g: Array) -> None:
    k, p = r.shape[1], x.shape[1]
    g[: k * p] += (r.astype(x.dtype).T @ x).ravel()
    g[k * p :] += columns[1, p] * r.sum(axis=0)


@np.errstate(all="ignore")
def add_gradient(
    loss: Loss,
    knobs: tuple[float, ...],
    data: tuple[Array, Array, Array],
    columns: Array,
    theta: Array,
    g: Array,
    margins: Array = NONE,
) -> float:
    X, y, weights = data
    W, b = _coefficients(X, columns, theta)
    total = 0.0
    for rows in row_blocks(X):
        x = seen(X, columns, rows)
        z = (x @ W).astype(np.float64)
        z += b
        if len(margins):
            margins[rows] = z
        lost, r = loss(z, y[rows], *knobs)
        r *= weights[rows, None]
        total += float(weights[rows] @ lost)
        _combine(x, r, columns, g)
    return total


def outputs_of(columns: Array, p: int, width: int) -> int:
    if len(columns) < 2 or p < 0 or columns.shape[1] != p + 1:
        raise ValueError(
            "columns must describe each column of X and the intercept. Pass p + 1 columns."
        )
    if width == 0 or width % (p + 1):
        raise ValueError(
            "theta must hold the coefficients, then the intercepts. Pass k·(p + 1) numbers."
        )
    return width // (p + 1)


def row_blocks(X: Array) -> Iterator[slice]:
    n, p = X.shape
    rows = max(8, BLOCK_BYTES // (X.itemsize * (p + 1)))
    return (slice(start, start + rows) for start in range(0, n, rows))


def require_rows(
    loss: str, X: Array, y: Array, weights: Array, columns: Array, theta: Array, settings: int
) -> None:
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
    if k < 1 or k * (p + 1) != len(theta) or (k > 1 and loss != "softmax"):
        raise ValueError(
            "theta must hold the coefficients, then the intercepts. Pass k·(p + 1) numbers."
        )
    require_targets(loss, y, k)


def require_targets(loss: str, y: Array, k: int) -> None:
    if loss == "softmax" and not ((y >= 0) & (y < k) & (y == np.floor(y))).all():
        raise ValueError("y must hold class numbers from 0 to k − 1. Encode the classes first.")
    if (loss == "poisson" and not (y >= 0).all()) or (loss == "gamma" and not (y > 0).all()):
        raise ValueError(
            "y must be positive for gamma, and not negative for poisson. Pass such targets."
        )
