"""An epoch of mini-batch steps of a linear model: in one call of a kernel, or step by step."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from gdcore._typing import Array, State

Told: TypeAlias = Callable[[Array, float, int], bool]  # θ, loss, rows: whether to stop
CHUNK = 1 << 22  # numbers of X in one call of an epoch kernel, so that Ctrl-C is heard soon


def compiled(
    cost: Any,
    theta: Array,
    optimizer: Any,
    state: State,
    *,
    order: Array,
    rates: Array,
    batch_size: int,
    average: Array,
) -> float:
    """The summed loss met on the way, by a kernel. Changes θ, state and average."""
    moments = np.array([state[name] for name in optimizer.moments]).reshape(-1, len(theta))
    constants = np.array(optimizer.constants(), dtype=np.float64)
    batches = max(1, cost.rows.per_call(CHUNK) // batch_size)
    total = 0.0
    for first in range(0, len(rates), batches):
        part = slice(first, first + batches)
        rows = order[first * batch_size : (first + batches) * batch_size]
        total += cost.model.epoch(
            theta, cost.rows, cost.penalty, order=rows, moments=moments, average=average,
            rule=optimizer.rule, constants=constants, rates=rates[part],
            first_step=int(state["t"][0]) + 1, batch_size=batch_size,
        )  # fmt: skip
        state["t"] += len(rates[part])
        for name, moment in zip(optimizer.moments, moments, strict=True):
            state[name][:] = moment
    return total


def rehearsed(
    cost: Any,
    theta: Array,
    optimizer: Any,
    state: State,
    *,
    order: Array,
    rates: Array,
    batch_size: int,
    told: Told,
) -> int:
    """How many of these steps there are to take: told(θ, loss, rows) hears of each and may stop.

    On copies, before the kernel takes them all at once: it puts off what sparse columns are due,
    and would round otherwise if it were asked for single steps. Who listens changes nothing.
    """
    theta, state = theta.copy(), {name: values.copy() for name, values in state.items()}
    for t in range(len(rates)):
        rows = order[t * batch_size : (t + 1) * batch_size]
        loss = compiled(
            cost, theta, optimizer, state, order=rows, rates=rates[t : t + 1],
            batch_size=batch_size, average=theta[:0],
        )  # fmt: skip
        if told(theta, loss / len(rows), len(rows)):
            return t + 1
    return len(rates)


def interpreted(
    cost: Any,
    theta: Array,
    optimizer: Any,
    state: State,
    *,
    order: Array,
    rates: Array,
    batch_size: int,
    average: Array,
    told: Told | None = None,
) -> tuple[float, int, int]:
    """(the summed loss met on the way, rows, steps), by a loop over batches; `told` may stop it."""
    g, total, seen = np.empty_like(theta), 0.0, 0
    confine = getattr(cost, "confine", None)
    for t, rate in enumerate(rates.tolist()):
        rows = order[t * batch_size : (t + 1) * batch_size]
        loss = cost.batch(theta, rows, g)
        total, seen = total + loss, seen + len(rows)
        g /= len(rows)
        cost.penalty.add_gradient(theta, g)
        met = loss / len(rows) + cost.penalty.value(theta) if optimizer.needs_cost else None
        optimizer.step(theta, g, state, rate, cost=met)
        cost.prox(theta, optimizer.reach(state, rate))
        optimizer.extrapolate(theta, g, state)
        if confine is not None:
            confine(theta)
        if len(average):
            average += theta
        if told is not None and told(theta, loss / len(rows), len(rows)):
            break
    return total, seen, t + 1
