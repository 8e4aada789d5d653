"""The partitions of a fit on the workers of a Dask cluster, computed anew where a worker dies."""

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Any
from warnings import warn

from gdcore.distributed.partitions import (
    About,
    blocks,
    checked,
    described,
    lengths,
    require_alike,
)
from gdcore.distributed.placement import by_holder, by_number
from gdcore.errors import LostError

SOON = 10  # seconds after which it is said that nobody is there who computes


class GoneError(Exception):
    """A worker, or what it had, is not there any more."""


class Parts:
    """Checked partitions as futures of Dask, and what is known of each.

    What is only to be computed goes to workers by number; what lies on workers stays there.
    """

    def __init__(self, client: Any, X: Any, y: Any, weights: Any) -> None:
        import dask

        self.client = client
        make = dask.delayed(checked, pure=False)
        self.given = [make(number, *block) for number, block in enumerate(blocks(X, y, weights))]
        self.homes = self._homes(X, y, weights)
        self.futures: list[Any] = self._asked()
        self.about: list[About] = []
        try:
            self._describe()
        except BaseException:
            self.release()
            raise

    def _homes(self, *collections: Any) -> dict[int, str]:
        """{partition: the worker that is to compute it}."""
        threads = threads_of(self.client)
        if not threads or any(map(_held, collections)):
            return {}
        return dict(enumerate(by_number(lengths(collections[0], len(self.given)), threads)))

    def _asked(self) -> list[Any]:
        """Futures of all partitions; others than their homes may compute them where those die."""
        if not self.homes:
            return list(self.client.compute(self.given))
        futures = []
        for home, run in groupby(enumerate(self.given), key=lambda each: self.homes[each[0]]):
            own = [given for _, given in run]
            futures += self.client.compute(own, workers=[home], allow_other_workers=True)
        return futures

    def _describe(self) -> None:
        """Wait for all; the first one that is no partition ends it with what is wrong."""
        while not self.about:
            self._wait(patient=True)
            looks = self.client.map(described, self.futures, pure=False)
            try:
                while not (there := settled(self.client, looks)) and not self.lost():
                    pass
                if there:
                    self.about = list(self.client.gather(looks))
            finally:
                for look in looks:  # an error's traceback would hold them
                    look.release()
        require_alike(self.about)

    def release(self) -> None:
        """Let Dask forget them."""
        for future in self.futures:
            future.release()
        self.futures, self.given = [], []

    def lost(self) -> bool:
        """Whether some are not there now."""
        return any(future.status != "finished" for future in self.futures)

    def require(self) -> None:
        """Wait until all are there again.

        Raises
        ------
        GoneError
            Where no worker is left to compute them.
        LostError
            Where nobody can.
        """
        self._wait()
        for number, future in enumerate(self.futures):
            if future.status != "finished":
                raise LostError(
                    f"Partition {number} is gone ({future.status}), and Dask cannot compute it "
                    "anew. Pass collections that come from files or functions, not scattered ones."
                )

    def _wait(self, patient: bool = False) -> None:
        """Until all are there, or one has failed."""
        self._ask_anew()
        alone = 0  # looks, of a second, without any worker
        while not settled(self.client, self.futures):  # which may take long, if somebody does it
            if any(future.status == "error" for future in self.futures):
                return
            if not workers_of(self.client):
                if not patient:
                    raise GoneError
                alone += 1
                if alone == SOON:
                    said = f"The cluster has had no worker for {SOON} s. The fit waits for one."
                    warn(said, stacklevel=2)
            self._ask_anew()

    def _ask_anew(self) -> None:
        """Ask anybody for lost ones whose home died: Dask may wait for that one for ever.

        It has to forget their tasks before, since where those may run stays with them.
        """
        lost = [n for n in self.homes if self.futures[n].status in ("pending", "lost")]
        here = workers_of(self.client) if lost else {}
        numbers = [number for number in lost if here and self.homes[number] not in here]
        if not numbers:
            return
        for number in numbers:
            self.futures[number].release()
            del self.homes[number]
        self.client.sync(asyncio.sleep, 0)  # releases are only noted, and done in their turn
        anew = self.client.compute([self.given[number] for number in numbers])
        for number, future in zip(numbers, anew, strict=True):
            self.futures[number] = future

    def places(self) -> tuple[dict[str, int], list[str]]:
        """({worker: threads}, the worker of each partition)."""
        threads = threads_of(self.client)
        if not threads:
            raise GoneError
        homes = list(self.homes.values())
        if len(homes) == len(self.futures) and threads.keys() >= set(homes):
            return threads, homes
        held = self.client.who_has(self.futures)
        holders = [held.get(future.key, ()) for future in self.futures]
        return threads, by_holder([each.rows for each in self.about], threads, holders)


def _held(collection: Any) -> bool:
    """Whether it is made of futures, which are rows that lie on workers."""
    from dask.base import is_dask_collection
    from distributed import Future

    if isinstance(collection, (list, tuple)):
        return any(map(_held, collection))
    if not is_dask_collection(collection):
        return isinstance(collection, Future)
    graph = dict(collection.__dask_graph__())
    return any(
        isinstance(task, Future) or not set(getattr(task, "dependencies", ())) <= graph.keys()
        for task in graph.values()
    )


def settled(client: Any, futures: Sequence[Any]) -> bool:
    """Whether each is there or has failed after a second at most; each tells which."""
    from distributed import wait

    try:
        with client.as_current():
            wait(futures, timeout=1)
    except TimeoutError:
        return False
    except Exception as error:
        if not is_of_dask(error):
            raise
    return True


def workers_of(client: Any) -> dict[str, Any]:
    """{address: what the scheduler knows of a worker}, empty where it does not answer."""
    if client.status != "running":
        return {}
    try:
        known: dict[str, Any] = client.scheduler_info(n_workers=-1).get("workers", {})
    except (OSError, RuntimeError):
        return {}
    return known


def threads_of(client: Any) -> dict[str, int]:
    """{address of a worker: its threads}."""
    return {address: int(each["nthreads"]) or 1 for address, each in workers_of(client).items()}


def is_of_dask(error: BaseException) -> bool:
    """Whether Dask says that something is lost or cancelled, and not the code that it ran."""
    return type(error).__module__.partition(".")[0] == "distributed"
