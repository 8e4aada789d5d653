"""What every cost of layers shares: steps on batches of rows, whatever a row is.

A batch is cut into shards for the threads, and into micro-batches where memory ends.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from gdcore._typing import Array
from gdcore.models.arena import Arena, Plan, Shard
from gdcore.models.stepped import SteppedCost
from gdcore.parameters import aligned

MOST_BYTES = 1 << 28  # of an arena; a batch that needs more is accumulated from micro-batches
GOLDEN = 0x9E3779B97F4A7C15  # keys of successive steps differ in every bit

Backward: TypeAlias = Callable[[Array, Any], Any]


class BatchCost(SteppedCost):
    """A cost over rows that a subclass sends through a model, forward and back.

    The same bits for any number of threads: shards and tiles are cut by the sizes alone.
    """

    looked_at = 1 << 62  # rows that go through at once, untrained, where memory holds them

    def __init__(
        self, model: Any, alpha: float, n_threads: int | None, micro_batch: int | None, seed: int
    ) -> None:
        super().__init__(model, alpha, n_threads)
        self.seed, self._micro = seed, micro_batch
        self._plans: dict[int, Plan] = {}
        self._spare: list[Array] = []
        self._arena: Any = None

    @abstractmethod
    def _forward(self, shard: Shard, rows: Array, scale: float) -> tuple[float, Array, Backward]:
        """(a shard's summed loss, its gradient in the last outputs times scale, backward)."""

    @abstractmethod
    def _at_once(self, theta: Array, g: Array, rows: Array) -> float | None:
        """Summed loss and gradient by another way than shards, or None."""

    def __del__(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        """Scopes and shards know each other: else the arena would wait for the collector."""
        for plan in getattr(self, "_plans", {}).values():
            plan.release()
        self._plans, self._arena = {}, None

    def gradient(self, theta: Array, g: Array, rows: Array, training: bool = True) -> float:
        """Summed loss over these rows; the gradient of their mean loss and penalty goes into g."""
        if training:
            self.steps += 1
        key = (self.seed + self.steps * GOLDEN) & 0xFFFFFFFFFFFFFFFF
        loss = self._at_once(theta, g, rows)
        if loss is None:
            loss = self._by_passes(theta, g, rows, (key, training))
        self._latest = g
        self._add_decay(theta, g)
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
