"""Cost and gradient of the linear family in NumPy. Compiled twins: src/gradients.pyx.

Letters: n rows, p columns, k outputs, z margins, r slopes dℓ/dz. θ is (k, p) coefficients, then k
intercepts. `columns` says how the descent sees each column, the intercept last: row 0 a shift,
row 1 an inverse scale, row 2 the weight of ½θ² and row 3 of |θ| in the penalty.

Blocks of rows that stay in the cache are standardised, multiplied, and multiplied again, so X is
read from memory once here too. Twins agree within 1e-12 (float64) and 1e-4 (float32), relative to
the gradient's norm: long sums run in another order.
"""

import math

import numpy as np

from gdcore._numpy import updates
from gdcore._numpy._losses import logistic, softmax, squared
from gdcore._numpy._require import require_arrays, require_writeable

__all__ = [
    "logistic_epoch",
    "logistic_gradient",
    "softmax_epoch",
    "softmax_gradient",
    "squared_epoch",
    "squared_gradient",
]

BLOCK_BYTES = 1 << 18
RULES = {"sgd": (0, 0), "momentum": (1, 1), "nesterov": (1, 1), "adagrad": (1, 1),
         "rmsprop": (1, 2), "adam": (2, 3), "adamw": (2, 4)}  # rows of state, constants  # fmt: skip


def squared_gradient(X, y, weights, columns, theta, g):
    """Weighted sum of ½(z − y)² over the rows of X; adds its gradient in theta to g. Changes g."""
    return _accumulate(squared, X, y, weights, columns, theta, g)


def logistic_gradient(X, y, weights, columns, theta, g):
    """Weighted sum of log(1 + e^z) − y·z over the rows of X, y in [0, 1]; adds its gradient in theta to g. Changes g."""
    return _accumulate(logistic, X, y, weights, columns, theta, g)


def softmax_gradient(X, y, weights, columns, theta, g):
    """Weighted sum of log Σ e^z − z_y over the rows of X, y a class number; adds its gradient in theta to g. Changes g."""
    return _accumulate(softmax, X, y, weights, columns, theta, g)


def squared_epoch(
    X, y, weights, order, columns, theta, state, average, rule, constants, rates,
    first_step, batch_size,
):  # fmt: skip
    """One pass of steps on ½(z − y)² over the rows in `order`, batch by batch; returns the summed loss as met. Adds theta after each step to average, where that has a length. Changes theta, state and average."""
    work = (X, y, weights, order, columns, theta, state, average)
    return _epoch(squared, *work, rule, constants, rates, first_step, batch_size)


def logistic_epoch(
    X, y, weights, order, columns, theta, state, average, rule, constants, rates,
    first_step, batch_size,
):  # fmt: skip
    """One pass of steps on log(1 + e^z) − y·z over the rows in `order`, batch by batch; returns the summed loss as met. Adds theta after each step to average, where that has a length. Changes theta, state and average."""
    work = (X, y, weights, order, columns, theta, state, average)
    return _epoch(logistic, *work, rule, constants, rates, first_step, batch_size)


def softmax_epoch(
    X, y, weights, order, columns, theta, state, average, rule, constants, rates,
    first_step, batch_size,
):  # fmt: skip
    """One pass of steps on log Σ e^z − z_y over the rows in `order`, batch by batch; returns the summed loss as met. Adds theta after each step to average, where that has a length. Changes theta, state and average."""
    work = (X, y, weights, order, columns, theta, state, average)
    return _epoch(softmax, *work, rule, constants, rates, first_step, batch_size)


def _accumulate(loss, X, y, weights, columns, theta, g):
    _require(loss, X, y, weights, columns, theta, 2)
    require_arrays(theta, g)
    require_writeable(g)
    if len(g) != len(theta):
        raise ValueError("theta and g must have one length. Pass g=numpy.zeros_like(theta).")
    return _add_gradient(loss, X, y, weights, columns, theta, g)


@np.errstate(all="ignore")
def _add_gradient(loss, X, y, weights, columns, theta, g):
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


def _epoch(
    loss, X, y, weights, order, columns, theta, state, average, rule, constants, rates,
    first_step, batch,
):  # fmt: skip
    _require(loss, X, y, weights, columns, theta, 4)
    _require_steps(rule, order, len(X), len(theta), state, average, constants, rates, batch)
    p = X.shape[1]
    k = len(theta) // (p + 1)
    ridge, lasso = (
        np.concatenate([np.tile(row[:p], k), np.repeat(row[p], k)]).astype(X.dtype)
        for row in columns[2:4]
    )
    update = getattr(updates, rule)
    w, moments = theta.astype(X.dtype), state.astype(X.dtype)  # steps are in X's precision
    g, step, total = np.zeros_like(theta), np.zeros_like(w), 0.0
    for t, rate in enumerate(rates.tolist()):
        rows = order[t * batch : (t + 1) * batch]
        g[:] = 0
        total += _add_gradient(
            loss, X[rows], y[rows], weights[rows], columns, w.astype(np.float64), g
        )
        step[:] = g / len(rows) + ridge * w
        count = (first_step + t,) if rule in ("adam", "adamw") else ()
        with np.errstate(all="ignore"):
            update(w, step, *moments, rate, *constants.tolist(), *count)
            if lasso.any():
                reach = _reach(rule, moments, rate, constants, first_step + t)
                w[:] = np.copysign(np.maximum(np.abs(w) - reach * lasso, 0), w)
        if len(average):
            average += w
    theta[:] = w
    state[:] = moments
    return total


def _reach(rule, moments, lr, constants, t):
    """How far one unit of gradient moves each coordinate: the step length of its proximal step."""
    if rule == "adagrad":
        return lr / (np.sqrt(moments[0]) + constants[0])
    if rule == "rmsprop":
        return lr / (np.sqrt(moments[0]) + constants[1])
    if rule in ("adam", "adamw"):
        root_c2 = math.sqrt(1 - constants[1] ** t)
        return lr * root_c2 / (np.sqrt(moments[1]) + constants[2] * root_c2)
    return lr


def _require(loss, X, y, weights, columns, theta, settings):
    require_arrays(X, ndim=2)
    require_arrays(y, weights, theta)
    require_arrays(columns, ndim=2)
    if any(array.dtype != np.float64 for array in (y, columns, theta)):
        raise ValueError("y, weights, columns and theta must be float64. Convert them.")
    n, p = X.shape
    k = len(theta) // (p + 1)
    if not len(y) == len(weights) == n:
        raise ValueError("X, y and weights must have one number of rows. Pass one y and weight a row.")
    if len(columns) < settings or columns.shape[1] != p + 1:
        raise ValueError(
            "columns must describe each column of X and the intercept. Pass p + 1 columns."
        )
    if k < 1 or k * (p + 1) != len(theta) or (k > 1 and loss is not softmax):
        raise ValueError(
            "theta must hold the coefficients, then the intercepts. Pass k·(p + 1) numbers."
        )
    if loss is softmax and not ((y >= 0) & (y < k)).all():
        raise ValueError("y must hold class numbers from 0 to k − 1. Encode the classes first.")


def _require_steps(rule, order, n, width, state, average, constants, rates, batch_size):
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}. Pass one of them.")
    moments, needed = RULES[rule]
    if len(state) != moments or (moments and state.shape[1] != width):
        raise ValueError(
            "state must hold one row of theta's length a moment. Pass the optimizer's own."
        )
    if len(average) not in (0, width):
        raise ValueError("average must have theta's length, or none. Pass numpy.zeros_like(theta).")
    if len(constants) != needed:
        raise ValueError("constants must hold the rule's own numbers. Pass them in its order.")
    if batch_size < 1 or len(rates) != -(-len(order) // batch_size):
        raise ValueError(
            "rates must hold one step length a batch. Pass ceil(rows / batch_size) of them."
        )
    if not ((order >= 0) & (order < n)).all():
        raise ValueError("order must hold row numbers of X. Pass numbers from 0 to n − 1.")
