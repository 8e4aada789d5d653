"""A worker's share of the cost of a linear model: sums over the rows of its partitions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gdcore import sweeps
from gdcore._typing import Array, State
from gdcore.cost import Cost
from gdcore.data import Rows
from gdcore.distributed.pieces import Placed
from gdcore.penalties import Penalty
from gdcore.second_order import bends, curvature, loss_hessian


class LinearShare:
    """Sums over the rows of one worker, by the kernels and all its threads.

    Every method takes the loss first, None for the plan's own: that of a loss with a corner is
    rounded on the way.
    """

    def __init__(
        self, plan: Any, rows: Sequence[tuple[int, Rows]], held: Sequence[Rows], n_threads: int
    ) -> None:
        self.placed, self.held, self.model = Placed(rows), held, plan.model
        self.penalty: Penalty = plan.settings["penalty"]
        free = Penalty(np.zeros(plan.model.size), np.zeros(plan.model.size))
        self.n, self.loss = len(self.placed), None
        self.cost: Any = Cost(plan.model, self.placed, free, n_threads)  # type: ignore[arg-type]
        self.cost.__enter__()
        self.product: tuple[Any, ...] = (None, None, None)  # of which θ and loss, v → n·H·v

    def close(self) -> None:
        """End the threads."""
        self.cost.__exit__()

    def _of(self, loss: Any) -> Any:
        """The cost with this loss."""
        if loss != self.loss:
            threads, margins = self.cost.threads, self.cost.margins
            self.cost = self.cost.like(self.model.loss if loss is None else loss)
            self.cost.threads, self.loss = threads, loss
            if margins is not None:
                self.cost.keep_margins()
        return self.cost

    def _seen(self, loss: Any, theta: Array) -> Any:
        """The same with the margins of θ, which from now on are kept: many fits never ask for them,
        and writing them takes a twentieth of a step."""
        cost = self._of(loss)
        if cost.margins is None:
            cost.keep_margins()
            cost.value_and_gradient(theta, np.empty_like(theta))
        return cost

    def gradient(self, loss: Any, theta: Array) -> tuple[float, Array] | None:
        """(Σ s·ℓ, its gradient)."""
        if not self.n:
            return None
        g = np.empty_like(theta)
        value = self._of(loss).value_and_gradient(theta, g)
        return value * self.n, g * self.n

    def batch(self, loss: Any, theta: Array, rows: Array) -> tuple[float, Array] | None:
        """The same over those of these rows that are here."""
        part, g = self.placed.chosen(rows), np.zeros_like(theta)
        if part is None:
            return None
        with np.errstate(all="ignore"):
            return self._of(loss).model.add_cost_and_gradient(theta, part, g), g

    def judged(self, loss: Any, theta: Array) -> float:
        """Σ s·ℓ over the rows held out here."""
        g = np.zeros_like(theta)
        with np.errstate(all="ignore"):
            parts = [self.model.add_cost_and_gradient(theta, rows, g) for rows in self.held]
        return float(sum(parts))

    def rows(self, loss: Any, numbers: Array) -> list[tuple[int, Rows]]:
        """Those of these rows that are here, with the number of the first row of each part."""
        return self.placed.found(numbers)

    def lengths(self, loss: Any) -> list[tuple[float, float]]:
        """[(Σ squared lengths of rows, the largest)]."""
        measured = [(self.model.measure(part), len(part)) for part in self.placed.parts]
        return [(mean * n, most) for (mean, most), n in measured]

    def moments(self, loss: Any, v: Array) -> Any:
        """(Σ s·x̃x̃ᵀ)·v."""
        return self.cost.second_moments(v) * self.n if self.n else None

    def hessian(self, loss: Any, theta: Array) -> Any:
        """Σ s·ℓ″·x̃x̃ᵀ."""
        return loss_hessian(self._seen(loss, theta), theta) * self.n if self.n else None

    def bend(self, loss: Any, theta: Array) -> float:
        """Σ s·ℓ″."""
        if not self.n:
            return 0.0
        cost = self._seen(loss, theta)
        return float(sum(part.sum() for part in bends(cost, cost.margins_at(theta))))

    def times(self, loss: Any, theta: Array, v: Array) -> Any:
        """(Σ s·ℓ″·x̃x̃ᵀ)·v."""
        if not self.n:
            return None
        known, same, product = self.product
        if known is None or same != loss or not np.array_equal(known, theta):
            product = curvature(self._seen(loss, theta), theta)[0]
            self.product = theta, loss, product
        return product(v) * self.n

    def points(
        self, loss: Any, theta: Array, steps: Sequence[Callable[..., Any]],
        count: Callable[..., Any],
    ) -> Any:  # fmt: skip
        """Σ count over what `steps` make of (rows, z)."""
        return self._points(loss, theta, steps).total(count) if self.n else None

    def gather(
        self, loss: Any, theta: Array, steps: Sequence[Callable[..., Any]],
        count: Callable[..., Any],
    ) -> Any:  # fmt: skip
        """(Σ s·r·x̃, Σ count) over what `steps` make of (rows, z)."""
        if not self.n:
            return None
        sums, counted = self._of(loss).gather(self._points(loss, theta, steps), count)
        return sums * self.n, counted * self.n

    def _points(self, loss: Any, theta: Array, steps: Sequence[Callable[..., Any]]) -> Any:
        points = self._seen(loss, theta).seen(theta)
        for step in steps:
            points = points.then(step)
        return points

    def local(
        self, loss: Any, theta: Array, optimizer: Any, state: State, steps: tuple[Any, ...]
    ) -> Any:
        """n times what steps make of θ and of its state, and the loss met; `steps` are their rates,
        the share of the rows of here that each takes, and a seed."""
        if not self.n:
            return None
        rates, share, seed = steps
        batch_size = max(1, round(share * self.n))
        rng, count = np.random.default_rng([seed, self.placed.first]), len(rates) * batch_size
        order = np.concatenate([rng.permutation(self.n) for _ in range(-(-count // self.n))])
        own = {name: np.array(values) for name, values in state.items()}
        cost = Cost(self._of(loss).model, self.placed, self.penalty, 1)  # type: ignore[arg-type]
        with np.errstate(all="ignore"):
            total, seen, _ = sweeps.interpreted(
                cost, theta, optimizer, own, order=order[:count], rates=rates,
                batch_size=batch_size, average=theta[:0],
            )  # fmt: skip
        names = sorted(own)
        parts = theta * self.n, *(own[name] * float(self.n) for name in names)
        return self.n, total / seen * self.n, parts
