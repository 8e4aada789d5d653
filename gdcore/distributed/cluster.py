"""The client's side: partitions on the workers, an actor on each, sums over all of them."""

import asyncio
import pickle
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from typing import Any, NoReturn, Self

import numpy as np

from gdcore.distributed.node import Node, added
from gdcore.distributed.partitions import About
from gdcore.distributed.parts import GoneError, Parts, is_of_dask, settled, workers_of
from gdcore.distributed.plan import Plan
from gdcore.errors import LostError, require

FANOUT = 8  # nodes that one node, or the client, asks
LOOK = 0.25  # seconds between two looks at whether the nodes are still there
PATIENCE = 30.0  # seconds in which a worker has to appear where there is none
REACHED = 2.0  # seconds in which a worker answers who is reached at all, or lets go
OFTEN = 5  # times in a row that workers may be lost


@dataclass(frozen=True, eq=False)
class _Actor:
    """A node: where it is, and Dask's future of the actor."""

    address: str
    future: Any


class Cluster:
    """Partitions that a Dask cluster holds, and a `Node` on each worker that computes on them.

    Nodes hold what the workers hold anyway. Where a worker is lost, Dask computes its partitions
    anew, the nodes are made anew, and the sum is asked for again. Use it as a context.

    Parameters
    ----------
    client : distributed.Client
    n_threads : int or None
    X, y, weights : collections, see `gdcore.distributed.DaskCost`
    """

    def __init__(
        self, client: Any, n_threads: int | None, X: Any, y: Any = None, weights: Any = None
    ) -> None:
        self.client, self.n_threads = client, n_threads
        self.plan: bytes | None = None
        self.nodes: list[_Actor] = []
        self.roots: list[_Actor] = []
        self.direct = False
        self.parts = Parts(client, X, y, weights)
        self.names = _names(X)
        try:
            self._renew()
        except BaseException:
            self.parts.release()
            raise

    @property
    def filled(self) -> About:
        """What is known of the first partition with rows."""
        return next(each for each in self.parts.about if each.rows)

    @property
    def dtype(self) -> np.dtype[Any]:
        """What holds the numbers of X of all partitions."""
        return np.result_type(*(each.dtype for each in self.parts.about if each.rows))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()
        self.parts.release()

    def _close(self) -> None:
        """Let nodes go, those that wait for lost ones first."""
        if self.client.status == "running":
            with suppress(Exception):  # they may be going just now
                self.client.sync(self._closed)
        self.nodes, self.roots = [], []

    async def _closed(self) -> None:
        alive = [node for node in self.nodes if node.future.status == "finished"]
        closing = [self._call(node, "close") for node in alive]
        await asyncio.wait_for(asyncio.gather(*closing, return_exceptions=True), REACHED)

    def begin(self, plan: Plan) -> float:
        """Nodes of now, and those that take their place, are to make ready for this plan."""
        import cloudpickle

        packed = cloudpickle.dumps(plan)
        mass: float = self.total("begin", packed)
        self.plan = packed
        return mass

    def total(self, name: str, *given: Any) -> Any:
        """The sum of what method `name` of nodes, or of their shares of the cost, gives.

        What goes out and what comes back are pickled in one piece: a tenth of a millisecond less,
        and arrays would lie anywhere in memory as Dask sends them.
        """
        import cloudpickle

        require(self.parts.futures, "These rows were let go as their context ended. Open another.")
        packed = cloudpickle.dumps((name, given))
        for _ in range(OFTEN):
            try:
                return self.client.sync(self._summed, packed)
            except GoneError:
                self._renew()
        raise LostError(f"{OFTEN} times in a row a worker died over one sum.")

    async def _summed(self, packed: bytes) -> Any:
        """One round: all roots asked at once, their answers added in their order."""
        waiting = [asyncio.ensure_future(self._call(root, "total", packed)) for root in self.roots]
        try:
            while (await asyncio.wait(waiting, timeout=LOOK))[1]:
                self._look()
            return reduce(added, [pickle.loads(each.result()) for each in waiting])
        except OSError as error:
            await self._understand(error)
        finally:
            for each in waiting:
                each.cancel()

    async def _call(self, node: "_Actor", method: str, *given: Any) -> Any:
        """What a method of a node answers, as Dask's own proxies of actors ask for it."""
        message = {"function": method, "actor": node.future.key, "args": list(given), "kwargs": {}}
        if self.direct:
            reply = await self.client.rpc(node.address).actor_execute(**message)
        else:
            packed = message | {"op": "actor_execute"}
            reply = await self.client.scheduler.proxy(worker=node.address, msg=packed)
        if reply["status"] != "OK":
            raise reply["exception"]
        return reply["result"]

    async def _understand(self, error: OSError) -> NoReturn:
        """Raise `GoneError` where a node is gone, as soon as that is known, else the error."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            self._look()
            await asyncio.sleep(LOOK)
        raise error

    def _look(self) -> None:
        """Raise where nodes are gone."""
        alive = all(node.future.status in ("finished", "pending") for node in self.nodes)
        if self.client.status != "running" or not alive:
            raise GoneError

    def _renew(self) -> None:
        """Nodes on the workers that there are now."""
        self._close()
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self._require_scheduler()
                began = time.monotonic()
                self.parts.require()
                end += time.monotonic() - began  # computing them may take long
                self._spread()
                return
            except LostError:
                raise
            except (GoneError, OSError) as error:
                if time.monotonic() > end:
                    if self.client.status != "running":
                        raise LostError(f"{self._scheduler()} does not answer.") from error
                    raise LostError("The cluster's workers come and go.") from error
                time.sleep(LOOK)

    def _require_scheduler(self) -> None:
        end = time.monotonic() + PATIENCE
        while not workers_of(self.client):
            if self.client.status in ("closing", "closed"):
                raise LostError(f"{self._scheduler()} does not answer.")
            if time.monotonic() > end:
                lacks = "has had no worker" if self.client.status == "running" else "did not answer"
                raise LostError(f"{self._scheduler()} {lacks} for {PATIENCE:.0f} s.")
            time.sleep(LOOK)

    def _scheduler(self) -> str:
        address = getattr(getattr(self.client, "scheduler", None), "address", "")
        return f"The scheduler at {address}" if address else "The scheduler"

    def _spread(self) -> None:
        """A node on each worker that has partitions."""
        threads, places = self.parts.places()
        homes: dict[str, list[int]] = {}
        for number, address in enumerate(places):
            homes.setdefault(address, []).append(number)
        self.nodes = []
        for address, numbers in homes.items():  # in the order of their first partitions
            future = self.client.submit(
                Node, numbers, self.n_threads or threads[address], self.plan,
                *(self.parts.futures[i] for i in numbers), workers=[address], actor=True,
                allow_other_workers=False, pure=False,
            )  # fmt: skip
            self.nodes.append(_Actor(address, future))
        self._made()
        self.roots = self.nodes[:FANOUT]
        self.direct = self.client.sync(self._reached)
        self.client.sync(self._linked)

    def _made(self) -> None:
        """Wait for the nodes; `GoneError` where a worker died over one."""
        while not settled(self.client, [node.future for node in self.nodes]):  # it may take long
            here = workers_of(self.client)
            if self.parts.lost() or any(node.address not in here for node in self.nodes):
                raise GoneError
        for node in self.nodes:
            failed = node.future.exception() if node.future.status == "error" else None
            if failed is not None and not is_of_dask(failed):
                raise failed
        self._look()

    async def _reached(self) -> bool:
        """Whether workers are reached without the scheduler between, which saves a millisecond."""
        calls = [self.client.rpc(root.address).identity() for root in self.roots]
        try:
            await asyncio.wait_for(asyncio.gather(*calls), REACHED)
        except (OSError, TimeoutError):
            return False
        return True

    async def _linked(self) -> None:
        """Tell each node which others it asks."""
        for place, node in enumerate(self.nodes):
            below = self.nodes[FANOUT * (place + 1) : FANOUT * (place + 2)]
            if below:
                try:
                    where = [(each.address, each.future.key) for each in below]
                    await self._call(node, "link", where)
                except OSError as error:
                    await self._understand(error)


def _names(X: Any) -> list[str] | None:
    """Names of the columns of a frame where they are all strings."""
    names = list(getattr(X, "columns", ()))
    return names if names and all(isinstance(name, str) for name in names) else None


def client_for(given: Any) -> Any:
    """The client that was given, or that of the process.

    Raises
    ------
    ImportError, TypeError, ValueError
        Where Dask is missing, or there is no client.
    """
    try:
        from distributed import Client, default_client
    except ImportError as error:
        raise ImportError(
            "gdcore.distributed needs Dask. Install it by pip install 'gdcore[dask]'."
        ) from error
    if given is not None:
        if not isinstance(given, Client):
            raise TypeError(f"client must be a distributed.Client, got {given!r}. Pass one.")
        require(not given.asynchronous, "client is asynchronous. Pass one that is not.")
        require(
            given.status not in ("closing", "closed"),
            "client is closed. Pass one that is connected to its scheduler.",
        )
        return given
    try:
        return default_client()
    except ValueError as error:
        raise ValueError(
            "There is no Dask client. Start one, as client = distributed.Client(), or pass client=."
        ) from error
