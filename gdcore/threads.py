"""A few threads that live for one fit; kernels release the GIL, BLAS is held to one."""

import math
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from typing import Any, Self, TypeVar

from gdcore import kernels
from gdcore.errors import require_number

T = TypeVar("T")
R = TypeVar("R")


def available() -> int:
    """Cores that this process may use: by its affinity, a container's quota, and OMP_NUM_THREADS,
    by which joblib and Dask tell their workers that there are others beside them."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    asked_for = int(asked) if asked.isdigit() and int(asked) else cores
    return int(max(1, min(cores, _container(), asked_for)))


@cache
def _container() -> float:
    """The quota of this process: every fit asks, and it is in a file."""
    return _quota()


def _quota(path: Any = "/sys/fs/cgroup/cpu.max") -> float:
    """Cores that the control group of a container allows, rounded up."""
    try:
        with open(path) as file:
            most, period = file.read().split()
        return math.ceil(int(most) / int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf


def resolve(n_threads: int | None) -> int:
    """The number of threads behind an n_threads argument; None is every core available."""
    if n_threads is None:
        return available()
    require_number("n_threads", n_threads, low=1, whole=True)
    return int(n_threads)


class Threads:
    """Run a function over shards by `n_threads` threads, of which the caller's is one.

    Where the work holds products of matrices, or NumPy answers for the kernels, BLAS is held to
    one thread: a multi-threaded OpenBLAS called from several threads has returned wrong products
    (numpy#11046, numpy#29391). Where the BLAS is one that threadpoolctl does not know, shards run
    one after another.
    """

    def __init__(self, n_threads: int, products: bool = False) -> None:
        self.n_threads = n_threads
        self._inbox: SimpleQueue[_Job | None] | None = None
        self._helpers: list[threading.Thread] = []
        self._holds = False
        answers = kernels.backend()
        native = all(answers[name] == "native" for name in answers if "gradient" in name)
        self._native = native and not products

    def hold_blas(self) -> None:
        """From the next entry on BLAS has one thread, whoever answers for the kernels."""
        self._native = False

    def __enter__(self) -> Self:
        if not self._native:
            self._holds = _blas.hold()
            if not self._holds:
                self.n_threads = 1
        return self

    def __exit__(self, *_: object) -> None:
        if self._inbox is not None:
            self._inbox.put(None)
        for helper in self._helpers:
            helper.join()
        self._inbox, self._helpers = None, []
        if self._holds:
            _blas.release()
            self._holds = False

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """[function(item) for item in items], in parallel where it pays."""
        if self.n_threads == 1 or len(items) <= 1:
            return [function(item) for item in items]
        job = _Job(function, items)
        try:
            self._call_helpers(job, min(self.n_threads, len(items)) - 1)
            job.work()
        except KeyboardInterrupt as error:
            job.error = error
        ended = False
        while not ended:  # Ctrl-C or not: what still runs must not write into the next sum
            try:
                ended = job.wait()
            except KeyboardInterrupt as error:
                job.error = error
        if job.error is not None:
            raise job.error
        return job.results

    def _call_helpers(self, job: "_Job", count: int) -> None:
        if self._inbox is None:
            self._inbox = SimpleQueue()
        while len(self._helpers) < count:
            name = f"gdcore_{len(self._helpers)}"
            helper = threading.Thread(target=_help, args=(self._inbox,), name=name, daemon=True)
            helper.start()
            self._helpers.append(helper)
        for _ in range(count):
            self._inbox.put(job)


def _help(inbox: "SimpleQueue[_Job | None]") -> None:
    """What a helper does until it is sent None."""
    if _blas.holders:
        _blas.hold_here()
    while (job := inbox.get()) is not None:
        job.help()
        del job  # its data are not this thread's to keep
    inbox.put(None)  # for the next one, also if Ctrl-C came before it was counted


def given_back(lock: Any) -> None:
    """Release an RLock if it is this thread's; Ctrl-C leaves unknown whether it was taken."""
    with suppress(RuntimeError):
        while True:
            lock.release()


class _Job:
    """Items that several threads take one by one. A pool of futures takes three times as long.

    Nobody waits for a helper that has not begun: it may itself be waiting, in an item of this job
    or another's, for what this thread would help with.
    """

    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> None:
        self.function, self.items = function, items
        self.results: list[Any] = [None] * len(items)
        self.numbers, self.bell = iter(range(len(items))), SimpleQueue[None]()
        self.error: BaseException | None = None
        self.inside, self.closed = 0, False
        self.turn = threading.RLock()  # which knows whose it is: see `wait`

    def work(self) -> None:
        """Take items until there are none, or one has failed."""
        try:
            while self.error is None:
                with self.turn:
                    number = next(self.numbers, None)
                if number is None:
                    return
                self.results[number] = self.function(self.items[number])
        except BaseException as error:  # Ctrl-C too: the others are to stop as well
            self.error = error

    def help(self) -> None:
        with self.turn:
            if self.closed:
                return
            self.inside += 1
        self.work()
        with self.turn:
            self.inside -= 1
        self.bell.put(None)

    def wait(self) -> bool:
        """True once no helper is inside. The bell only wakes: Ctrl-C may swallow what it says, and
        come between taking the lock and the block that gives it back (from CPython 3.14 on)."""
        given_back(self.turn)
        while True:
            with self.turn:
                self.closed = True
                if self.inside == 0:
                    return True
            self.bell.get()


class _Blas:
    """Every BLAS of the process held to one thread, as long as anybody asks for that."""

    def __init__(self) -> None:
        self.libraries: list[Any] | None = None
        self.before: list[int] = []
        self.holders, self.lock = 0, threading.RLock()

    def hold(self) -> bool:
        """False where there is a BLAS that cannot be held, or none that is known."""
        with self.lock:
            if self.holders == 0 and not self._limit():
                return False
            self.holders += 1
            return True

    def release(self) -> None:
        """The last one gives back the threads that there were."""
        with self.lock:
            if self.holders == 0:  # taken before a fork, released in the child
                return
            self.holders -= 1
            if self.holders == 0:
                self._restore()

    def forget(self) -> None:
        """In a forked child: who held it, or the lock, was another thread of the parent's."""
        self.lock = threading.RLock()
        if self.holders:
            self.holders = 0
            self._restore()

    def hold_here(self) -> None:
        """In a thread of its own: some libraries count threads for each that calls them."""
        for library in self.libraries or ():
            if library.get_num_threads() != 1:
                _set(library, 1)

    def _limit(self) -> bool:
        if self.libraries is None:
            from threadpoolctl import ThreadpoolController  # finding the libraries takes 0.6 ms

            self.libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        self.before = [library.get_num_threads() for library in self.libraries]
        self.hold_here()
        held = all(library.get_num_threads() == 1 for library in self.libraries)
        if not held:
            self._restore()
        return held and bool(self.libraries)

    def _restore(self) -> None:
        for library, count in zip(self.libraries or (), self.before, strict=True):
            _set(library, count)


def _set(library: Any, count: int) -> None:
    """From whichever thread: threadpoolctl 3.8 obeys only the first one that asked, lest two
    threads fight over the pool. Here nobody fights: `_Blas` counts who holds it."""
    getattr(library, "_real_set_num_threads", library.set_num_threads)(count)


_blas = _Blas()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_blas.forget)
