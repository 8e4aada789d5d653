"""What costs of layers share, whose rows are here or elsewhere: steps, decay, clipping."""

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, Self

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, State
from gdcore.claims import counted
from gdcore.cost import PlainCost
from gdcore.optim.base import Optimizer, Rule
from gdcore.parameters import aligned_like
from gdcore.threads import Threads, resolve

SLICES = 1 << 17  # numbers of θ from where on a step is cut among the threads


@lru_cache(maxsize=8)
def _without_decay(optimizer: Optimizer) -> Optimizer:
    return optimizer.without_decay()


class SteppedCost(PlainCost):
    """A cost of layers over rows, of which a subclass tells the gradient.

    Use it as a context, which holds the threads and keeps BLAS to one.
    """

    costly = True  # J is not measured over all rows between epochs of mini-batches
    keeps_precision = True

    def __init__(self, model: Any, alpha: float, n_threads: int | None) -> None:
        self.model, self.alpha = model, float(alpha)
        self.size, self.shapes = model.size, list(model.shapes().values())
        self.threads = Threads(resolve(n_threads), products=True)
        self.decayed = model.slices(lambda part: part.trainable and len(part.shape) > 1)
        self.frozen = model.slices(lambda part: not part.trainable)
        self.steps = 0
        self._g: Any = None
        self._latest: Array | None = None
        self.clip_norm: float | None = None
        self.gradient_norm = math.nan
        self.spared = 0  # where in θ those parts begin, at its end, that decay spares; 0 is nowhere

    @abstractmethod
    def __len__(self) -> int:
        """Rows."""

    @abstractmethod
    def gradient(self, theta: Array, g: Array, rows: Array, training: bool = True) -> float:
        """Summed loss over these rows; the gradient of their mean loss and penalty goes into g."""

    def __enter__(self) -> Self:
        self.threads.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.threads.__exit__(*error)

    def step(
        self, theta: Array, optimizer: Optimizer, state: State, rows: Array, lr: float
    ) -> float:
        """One step of an optimizer on the rows of these numbers; the mean loss that it met."""
        loss = self.gradient(theta, self._gradient_like(theta), rows) / len(rows)
        met = loss + self.penalty(theta) if optimizer.needs_cost else None
        if self.clip_norm is not None:
            self._clip(self._g, self.clip_norm)
        kept = self._kept(theta)
        self._move(theta, optimizer, state, lr, met)
        self._put_back(theta, kept)
        return loss

    def memory(self) -> dict[str, Any]:
        """How many gradients of training there were: each has a dropout of its own."""
        return {"steps": self.steps}

    def put_back(self, memory: dict[str, Any], theta: Array) -> None:
        """Go on with the next of them."""
        self.steps = counted(memory, "steps")

    def _kept(self, theta: Array) -> list[Array]:
        """Copies of the parts that no optimizer is to move."""
        return [theta[part].copy() for part in self.frozen]

    def _put_back(self, theta: Array, kept: list[Array]) -> None:
        for part, values in zip(self.frozen, kept, strict=True):
            theta[part] = values

    def _gradient_like(self, theta: Array) -> Array:
        if self._g is None or self._g.dtype != theta.dtype:
            self._g = aligned_like(theta)
        g: Array = self._g
        return g

    def _move(
        self, theta: Array, optimizer: Any, state: State, lr: float, met: float | None
    ) -> None:
        """The optimizer's step, cut where decay ends and among the threads."""
        free = optimizer.elementwise and type(optimizer).step is Rule.step
        with np.errstate(all="ignore"):
            if not free or (not self.spared and len(theta) < 2 * SLICES):
                optimizer.step(theta, self._g, state, lr, cost=met)
                return
            optimizer.advance(state, lr)
            spared, tasks = self.spared, []
            ends = [(optimizer, 0, spared), (_without_decay(optimizer), spared, len(theta))]
            for rule, start, stop in ends if spared else [(optimizer, 0, len(theta))]:
                pieces = max(1, min(self.threads.n_threads, (stop - start) // SLICES))
                cuts = [start + (stop - start) * i // pieces for i in range(pieces + 1)]
                loop = rule.kernel(state, lr)
                tasks += [(slice(a, b), *loop) for a, b in pairwise(cuts)]

            def move(task: Any) -> None:
                piece, name, c = task
                moments = [state[moment][piece] for moment in optimizer.moments]
                kernels.update(name, theta[piece], self._g[piece], moments, c)

            self.threads.map(move, tasks)

    def _clip(self, g: Array, most: float) -> None:
        """Scale g down to ‖g‖ = most where it is longer; the size alone cuts the sums."""
        parts = [g[a : a + SLICES] for a in range(0, len(g), SLICES)]
        size = math.hypot(*self.threads.map(kernels.norm, parts))
        if size > most:
            by = g.dtype.type(most / size)
            self.threads.map(lambda part: np.multiply(part, by, out=part), parts)
        self.gradient_norm = size

    def _add_decay(self, theta: Array, g: Array) -> None:
        """The penalty's gradient. Changes g."""
        if self.alpha:
            for part in self.decayed:
                kernels.add_scaled(g[part], theta[part], self.alpha)

    def penalty(self, theta: Array) -> float:
        """½·alpha·‖W‖²."""
        if not self.alpha:
            return 0.0
        return 0.5 * self.alpha * sum(kernels.dot(theta[p], theta[p]) for p in self.decayed)

    def sweep(
        self, theta: Array, optimizer: Optimizer, state: State, *, order: Array, rates: Array,
        batch_size: int, average: Array, told: Callable[[Array, float, int], bool] | None = None,
    ) -> float:  # fmt: skip
        """Steps over the batches of `order`, one rate each. Returns J as met on the way; told(θ,
        loss, rows), if any, hears of each step and ends the epoch where it answers True."""
        average[:] = 0
        total, seen = 0.0, 0
        for t, rate in enumerate(rates.tolist()):
            rows = order[t * batch_size : (t + 1) * batch_size]
            loss = self.step(theta, optimizer, state, rows, rate)
            total, seen = total + loss * len(rows), seen + len(rows)
            if len(average):
                average += theta
            if told is not None and told(theta, loss, len(rows)):
                break
        average /= t + 1
        return total / seen + self.penalty(theta)
