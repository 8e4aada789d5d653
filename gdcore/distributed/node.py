"""What runs on a worker: an actor that holds partitions, and answers for those below it, too."""

import asyncio
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.data import Rows, mass_of
from gdcore.distributed.partitions import Partition, aligned
from gdcore.distributed.plan import Plan
from gdcore.models.classifier import encode
from gdcore.survey import Tally


class Node:
    """A Dask actor: the partitions of one worker, and its share of a cost.

    Its answers are sums: over its partitions in their order, then over the nodes below it in
    theirs, whatever comes first. Computing has a thread of its own, so that the worker's event
    loop stays free.
    """

    def __init__(
        self, numbers: Sequence[int], n_threads: int, plan: bytes | None, *parts: Partition
    ) -> None:
        from distributed import get_worker

        self.share: Any = None
        self.parts = list(zip(numbers, map(aligned, parts), strict=True))
        self.n_threads = n_threads
        self.worker: Any = get_worker()
        self.below: Sequence[tuple[str, str]] = ()
        self.waiting: set[Any] = set()
        self.pool = ThreadPoolExecutor(1, "gdcore_node")
        if plan is not None:
            self.begin(plan)

    async def link(self, below: Sequence[tuple[str, str]]) -> None:
        """From now on answer for these nodes, too: (address of the worker, key of the actor)."""
        self.below = below

    async def total(self, packed: bytes) -> bytes:
        """The sum of what a method gives here and below; given and answered in pickles."""
        waiting = [asyncio.ensure_future(self._ask(*node, packed)) for node in self.below]
        self.waiting.update(waiting)
        try:
            loop = asyncio.get_running_loop()
            own = await loop.run_in_executor(self.pool, self._own, packed)
            for each in waiting:
                own = added(own, pickle.loads(await each))
        finally:
            self.waiting.difference_update(waiting)
            for each in waiting:
                each.cancel()
        return pickle.dumps(own)

    async def _ask(self, address: str, key: str, packed: bytes) -> bytes:
        """What a node below answers, as Dask's own proxies of actors ask for it."""
        message = {"function": "total", "actor": key, "args": [packed], "kwargs": {}}
        reply = await self.worker.rpc(address).actor_execute(**message)
        if reply["status"] != "OK":
            raise reply["exception"]
        answer: bytes = reply["result"]
        return answer

    async def close(self) -> None:
        """Wait for nobody any more, and let go of the rows."""
        for each in self.waiting:
            each.cancel()
        await asyncio.get_running_loop().run_in_executor(self.pool, self._end)
        self.pool.shutdown(wait=False)

    def _end(self) -> None:
        if self.share is not None:
            self.share.close()
        self.share, self.parts = None, []

    def __del__(self) -> None:
        """Where the client went without a word: threads would stay, and BLAS held to one."""
        self._end()

    def _own(self, packed: bytes) -> Any:
        name, given = pickle.loads(packed)
        own = self if hasattr(Node, name) else self.share
        method: Callable[..., Any] = getattr(own, name, _nothing)
        return method(*given)

    def labels(self) -> list[tuple[int, Array, Array]]:
        """(number of the partition, its labels, the weight of each)."""
        found = []
        for number, (_, y, weights) in self.parts:
            if len(y):
                values, where = encode(y)
                found.append((number, values, np.bincount(where, weights, len(values))))
        return found

    def survey(self, plan: Plan) -> tuple[Tally, list[tuple[int, int]], int]:
        """(what is counted of the rows, rows of each partition, how many are held out)."""
        tally, counts, held = Tally(), [], 0
        for number, part in self.parts:
            rows = plan.rows(number, part)
            counts.append((number, len(rows)))
            held += len(plan.held_rows(number, part))
            if len(rows):
                tally.add(rows)
        return tally, counts, held

    def begin(self, packed: bytes) -> float:
        """Make ready for a cost by this `Plan`. The weight of the rows held out."""
        plan: Plan = pickle.loads(packed)
        rows = [(plan.first[number], plan.rows(number, part)) for number, part in self.parts]
        held = [plan.held_rows(number, part) for number, part in self.parts]
        scaled = [(a, Rows(r.X, r.y, r.weights / plan.mass)) for a, r in rows if len(r)]
        if self.share is not None:
            self.share.close()
        held = [each for each in held if len(each)]
        self.share = plan.kind(plan, scaled, held, self.n_threads) if scaled or held else None
        return sum(mass_of(each.weights) for each in held)


def _nothing(*given: Any) -> None:
    """What a node without rows has to say."""


def added(one: Any, other: Any) -> Any:
    """Their sum; of tuples one by one, of lists what both hold; None is nothing."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, tuple):
        return tuple(added(a, b) for a, b in zip(one, other, strict=True))
    return one + other
