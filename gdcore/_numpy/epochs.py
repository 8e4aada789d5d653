"""A whole epoch of steps of the linear family in NumPy. Compiled twins: src/epochs.pyx.

Twins agree as the gradients do, a step at a time: rounding differs in the long sums, and an epoch
carries it along.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from gdcore._numpy._losses import loss_named
from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_doubles,
    require_whole,
    require_writeable,
)
from gdcore._numpy.gradients import add_gradient, require_rows
from gdcore._numpy.updates import update
from gdcore._typing import Array

__all__ = ["linear_epoch"]

RULES = {"sgd": (0, 0), "momentum": (1, 1), "nesterov": (1, 1), "adagrad": (1, 1),
         "rmsprop": (1, 2), "adam": (2, 3), "adamw": (2, 4)}  # rows of state, constants  # fmt: skip


def linear_epoch(
    loss: str, shape: float, smooth: float, X: Array, y: Array, weights: Array, order: Array,
    columns: Array, theta: Array, state: Array, average: Array, rule: str, constants: Array,
    rates: Array, first_step: int, batch_size: int,
) -> float:  # fmt: skip
    """One pass of steps on the loss over the rows in `order`, batch by batch; returns the summed loss as met. Adds theta after each step to average, where that has a length. Changes theta, state and average."""
    knobs, function = numbers(shape, smooth), loss_named(loss)
    require_rows(loss, X, y, weights, columns, theta, 4)
    require_doubles(average, constants, rates)
    require_doubles(state, ndim=2)
    require_writeable(theta, state, average)
    require_whole(order=order)
    first_step, batch = operator.index(first_step), operator.index(batch_size)
    _require_steps(rule, order, len(X), len(theta), state, average, constants, rates, batch)
    if first_step < 1:
        raise ValueError("first_step must count from 1, as the corrections need it. Pass 1 first.")
    require_apart((theta, state, average), X, y, weights, order, columns, constants, rates)
    if len(order) == 0:
        return 0.0
    p = X.shape[1]
    k = len(theta) // (p + 1)
    ridge, lasso = (
        np.concatenate([np.tile(row[:p], k), np.repeat(row[p], k)]).astype(X.dtype)
        for row in columns[2:4]
    )
    name = "adam" if rule == "adamw" else rule
    w, moments = theta.astype(X.dtype), state.astype(X.dtype)  # steps are in X's precision
    g, step, total = np.zeros_like(theta), np.zeros_like(w), 0.0
    for t, rate in enumerate(rates.tolist()):
        rows = order[t * batch : (t + 1) * batch]
        g[:] = 0
        part = X[rows], y[rows], weights[rows]
        total += add_gradient(function, knobs, part, columns, w.astype(np.float64), g)
        with np.errstate(all="ignore"):
            step[:] = g / len(rows) + ridge * w
            update(name, w, step, moments, _numbers(rule, rate, constants.tolist(), first_step + t))
            if lasso.any():
                reach = _reach(rule, moments, rate, constants, first_step + t)
                w[:] = np.copysign(np.maximum(np.abs(w) - reach * lasso, 0), w)
        if len(average):
            average += w
    theta[:] = w
    state[:] = moments
    return total


def _numbers(rule: str, lr: float, constants: Sequence[float], t: int) -> tuple[float, ...]:
    """What the rule's update takes at step t, from the optimizer's constants."""
    if rule == "sgd":
        return (lr,)
    if rule in ("momentum", "nesterov"):
        return (lr, constants[0], 1.0)
    if rule == "adagrad":
        return (lr, 0.0, constants[0])
    if rule == "rmsprop":
        decay, eps = constants
        return (lr, decay, 1 - decay, 0.0, eps)
    beta1, beta2, eps, decay = (*constants, 0.0)[:4]
    root_c2 = math.sqrt(1 - beta2**t)
    rate = lr * root_c2 / (1 - beta1**t)
    return (rate, beta1, 1 - beta1, beta2, 1 - beta2, 0.0, eps * root_c2, 1 - lr * decay)


def _reach(rule: str, moments: Array, lr: float, constants: Array, t: int) -> Any:
    """How far one unit of gradient moves each coordinate: the step length of its proximal step."""
    if rule in ("momentum", "nesterov"):
        return lr / (1 - constants[0])
    if rule == "adagrad":
        return lr / (np.sqrt(moments[0]) + constants[0])
    if rule == "rmsprop":
        return lr / (np.sqrt(moments[0]) + constants[1])
    if rule in ("adam", "adamw"):
        root_c2 = math.sqrt(1 - constants[1] ** t)
        return lr * root_c2 / (np.sqrt(moments[1]) + constants[2] * root_c2)
    return lr


def _require_steps(
    rule: str,
    order: Array,
    n: int,
    width: int,
    state: Array,
    average: Array,
    constants: Array,
    rates: Array,
    batch_size: int,
) -> None:
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
