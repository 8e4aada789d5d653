"""Learning from one sparse example after the other, at the cost of what it holds. Compiled twins:
src/sparse_online.pyx, which differ by the rounding of sums and of eˣ.

The rule is that of online.py on the columns that a row holds, seen from zero instead of their mean. A
penalty waits for a column's next turn: what it does in two times is what it does in their sum. In place
of means, the fourth part of the state is the time at which each column stands, the last one today's.
"""

import numpy as np

from gdcore._numpy._require import (
    require_apart,
    require_doubles,
    require_writeable,
)
from gdcore._numpy.online import (
    Job,
    learn,
    require_learnable,
    require_loss,
    require_sizes,
    require_state,
    six,
)
from gdcore._numpy.sparse import require_csr
from gdcore._typing import Array

__all__ = ["csr_online_pass", "csr_online_settle"]


def csr_online_pass(
    loss: str,
    data: Array,
    indices: Array,
    indptr: Array,
    y: Array,
    weights: Array,
    state: Array,
    clock: Array,
    numbers: tuple[float, ...],
) -> float:
    """Learn from rows in CSR form, none of which may name a column twice, as online_pass does but without centring the columns; returns the summed loss of each before it was learnt. The fourth part of state is no mean, but the time at which penalties stand, which wait for a column's turn. Changes state and clock."""
    require_loss(loss)
    numbers = six(numbers)
    require_csr(data, indices, indptr)
    require_doubles(y, weights, clock)
    require_doubles(state, ndim=2)
    require_writeable(state, clock)
    if not len(y) == len(weights) == len(indptr) - 1:
        raise ValueError(
            "X, y and weights must have one number of rows. Pass one y and weight a row."
        )
    p = state.shape[1] - 1
    k = require_state(loss, state, clock, p)
    if not ((indices >= 0) & (indices < p)).all():
        raise ValueError("indices must hold column numbers. Pass numbers from 0 to p − 1.")
    require_learnable(loss, data, y, weights, k, numbers)
    require_apart((state, clock), data, indices, indptr, y, weights)
    job, lost = Job(loss, clock, numbers), 0.0
    job.centred = False
    with np.errstate(all="ignore"):
        for i in np.flatnonzero(weights).tolist():
            held = slice(indptr[i], indptr[i + 1])
            x, at = data[held].astype(np.float64), indices[held]
            x, at = np.append(x[x != 0], job.constant), np.append(at[x != 0], p)
            lost += _learn(job, state, at, x, (float(y[i]), float(weights[i])))
    return lost


def csr_online_settle(state: Array, numbers: tuple[float, ...]) -> None:
    """Bring the penalties of all columns to today. Changes state."""
    numbers = six(numbers)
    require_doubles(state, ndim=2)
    require_writeable(state)
    clock = np.zeros(5)
    k = require_state("softmax", state, clock, state.shape[1] - 1)
    require_sizes(numbers)
    job = Job("softmax", clock, numbers)
    with np.errstate(all="ignore"):
        _catch_up(job, state, k)


def _learn(job: Job, state: Array, at: Array, x: Array, known: tuple[float, float]) -> float:
    """One example, whose columns `at` catch up, learn, and go back to the state."""
    k, part = len(state) // 2 - 1, state[:, at]
    _catch_up(job, part, k)
    now = part[2 * k + 1, -1]
    part[2 * k + 1] = 0  # the rule's means
    lost = learn(job, x, *known)
    part[2 * k + 1] = now + job.push
    state[:, at] = part
    return lost


def _catch_up(job: Job, state: Array, k: int) -> None:
    job.hold(state, k)
    time = np.maximum(state[2 * k + 1, -1] - state[2 * k + 1], 0.0)
    if job.l1 > 0 or job.l2 > 0:
        job.w[:, :-1] = job.after(time)[:, :-1]
    state[2 * k + 1] = state[2 * k + 1, -1]
