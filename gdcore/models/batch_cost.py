"""What every cost of layers shares: steps on batches of rows, whatever a row is.

A batch is cut into shards for the threads, and into micro-batches where memory ends.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, Self, TypeAlias

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, State
from gdcore.claims import counted
from gdcore.cost import PlainCost
from gdcore.models.arena import Arena, Plan, Shard
from gdcore.optim.base import Optimizer, Rule
from gdcore.parameters import aligned
from gdcore.threads import Threads, resolve

MOST_BYTES = 1 << 28  # of an arena; a batch that needs more is accumulated from micro-batches
GOLDEN = 0x9E3779B97F4A7C15  # keys of successive steps differ in every bit
SLICES = 1 << 17  # numbers of θ from where on a step is cut among the threads

Backward: TypeAlias = Callable[[Array, Any], Any]


@lru_cache(maxsize=8)
def _without_decay(optimizer: Optimizer) -> Optimizer:
    return optimizer.without_decay()


class BatchCost(PlainCost):
    """A cost over rows that a subclass sends through a model, forward and back.

    The same bits for any number of threads: shards and tiles are cut by the sizes alone. Use it as
    a context, which holds the threads and keeps BLAS to one.
    """

    costly = True  # J is not measured over all rows between epochs of mini-batches
    keeps_precision = True
    looked_at = 1 << 62  # rows that go through at once, untrained, where memory holds them

    def __init__(
        self, model: Any, alpha: float, n_threads: int | None, micro_batch: int | None, seed: int
    ) -> None:
        self.model, self.alpha = model, float(alpha)
        self.size, self.shapes = model.size, list(model.shapes().values())
        self.threads = Threads(resolve(n_threads), products=True)
        self.decayed = model.slices(lambda part: part.trainable and len(part.shape) > 1)
        self.frozen = model.slices(lambda part: not part.trainable)
        self.seed, self.steps, self._micro = seed, 0, micro_batch
        self._plans: dict[int, Plan] = {}
        self._spare: list[Array] = []
        self._arena: Any = None
        self._g: Any = None
        self._latest: Array | None = None
        self.clip_norm: float | None = None
        self.gradient_norm = math.nan
        self.spared = 0  # where in θ those parts begin, at its end, that decay spares; 0 is nowhere

    @abstractmethod
    def __len__(self) -> int:
        """Rows."""

    @abstractmethod
    def _forward(self, shard: Shard, rows: Array, scale: float) -> tuple[float, Array, Backward]:
        """(a shard's summed loss, its gradient in the last outputs times scale, backward)."""

    @abstractmethod
    def _at_once(self, theta: Array, g: Array, rows: Array) -> float | None:
        """Summed loss and gradient by another way than shards, or None."""

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

    def __del__(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        """Scopes and shards know each other: else the arena would wait for the collector."""
        for plan in getattr(self, "_plans", {}).values():
            plan.release()
        self._plans, self._arena = {}, None

    def _kept(self, theta: Array) -> list[Array]:
        """Copies of the parts that no optimizer is to move."""
        return [theta[part].copy() for part in self.frozen]

    def _put_back(self, theta: Array, kept: list[Array]) -> None:
        for part, values in zip(self.frozen, kept, strict=True):
            theta[part] = values

    def gradient(self, theta: Array, g: Array, rows: Array, training: bool = True) -> float:
        """Summed loss over these rows; the gradient of their mean loss and penalty goes into g."""
        if training:
            self.steps += 1
        key = (self.seed + self.steps * GOLDEN) & 0xFFFFFFFFFFFFFFFF
        loss = self._at_once(theta, g, rows)
        if loss is None:
            loss = self._by_passes(theta, g, rows, (key, training))
        self._latest = g
        if self.alpha:
            for part in self.decayed:
                kernels.add_scaled(g[part], theta[part], self.alpha)
        return loss

    def _by_passes(self, theta: Array, g: Array, rows: Array, how: tuple[int, bool]) -> float:
        """The same by shards, and by micro-batches where all rows do not fit into the arena."""
        total, most = len(rows), self._rows_at_once(theta, len(rows))
        micro = -(-total // -(-total // most))  # equal parts
        loss = self._pass(theta, g, rows[:micro], total, how)
        if total > micro:
            (spare,), (key, training) = self._spare_for(g, 1), how
            for number, a in enumerate(range(micro, total, micro), start=1):
                part = rows[a : a + micro]
                loss += self._pass(theta, spare, part, total, (key + number, training), True)
                g += spare
        return loss

    def _plan(
        self, theta: Array, g: Array, rows: int, how: tuple[int, bool], spare: bool = False
    ) -> Plan:
        """The plan for so many rows; one more for a spare gradient, so that neither binds anew."""
        name = -rows if spare else rows
        plan = self._plans.get(name)
        if plan is None:
            plan = self._plans[name] = Plan(self.model, rows, self._arena, theta.dtype)
        plan.bind(theta, g)
        plan.begin(*how, self.threads)
        return plan

    def _pass(
        self, theta: Array, g: Array, rows: Array, total: int, how: tuple[int, bool],
        spare: bool = False,
    ) -> float:  # fmt: skip
        """Summed loss of rows that fit into the arena; their gradient, divided by total, into g."""
        plan = self._plan(theta, g, len(rows), how, spare)

        def run(shard: Shard) -> float:
            loss, dz, backward = self._forward(shard, rows[shard.a : shard.b], 1.0 / total)
            backward(dz, shard.gradient)
            return loss

        with np.errstate(all="ignore"):
            loss = sum(self.threads.map(run, plan.shards))
            plan.finish(self.threads)
        return loss

    def loss(self, theta: Array, rows: Array) -> float:
        """Summed loss over these rows, untrained."""
        some = min(len(rows), self.looked_at)
        micro, total = min(some, self._rows_at_once(theta, some)), 0.0
        g = self._gradient_like(theta)
        for a in range(0, len(rows), micro):
            part = rows[a : a + micro]
            plan = self._plan(theta, g, len(part), (0, False))

            def run(shard: Shard, part: Array = part) -> float:
                return self._forward(shard, part[shard.a : shard.b], 0.0)[0]

            with np.errstate(all="ignore"):
                total += sum(self.threads.map(run, plan.shards))
        return total

    def _gradient_like(self, theta: Array) -> Array:
        if self._g is None or self._g.dtype != theta.dtype:
            self._g = np.empty_like(theta)
        g: Array = self._g
        return g

    def _rows_at_once(self, theta: Array, rows: int) -> int:
        """Rows of a micro-batch: as many of these as an arena of MOST_BYTES holds."""
        if self._micro is None:
            self._micro = min(len(self), max(1, MOST_BYTES // self._bytes_a_row(theta)))
        most = max(1, int(self._micro))
        if self._arena is None or self._arena.rows < min(rows, most):
            self._let_go()
            self._arena = Arena(min(rows, most))
        return most

    def _bytes_a_row(self, theta: Array) -> int:
        """What two rows on their way through the network take, halved."""
        n = min(2, len(self))
        self._let_go()
        self._arena = Arena(n)
        kept = self._kept(theta)
        self._pass(theta, np.empty_like(theta), np.arange(n), n, (0, True))
        self._put_back(theta, kept)
        size: int = max(1, self._arena.nbytes // n)
        self._let_go()
        return size

    def _spare_for(self, g: Array, count: int) -> list[Array]:
        """So many other vectors like g, the same ones at each call."""
        if not self._spare or self._spare[0].dtype != g.dtype:
            self._spare = []
        while len(self._spare) < count:
            self._spare.append(aligned(len(g), g.dtype))
        return self._spare[:count]

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
