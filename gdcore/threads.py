"""A small pool of threads that lives for one fit; kernels release the GIL, BLAS is held to one."""

import os

from gdcore import kernels
from gdcore.errors import require_number


def available():
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resolve(n_threads):
    """The number of threads behind an n_threads argument; None is every core available."""
    if n_threads is None:
        return available()
    require_number("n_threads", n_threads, low=1, whole=True)
    return int(n_threads)


class Threads:
    """Run a function over shards, in order of the shards, by `n_threads` threads.

    Where the work holds products of matrices, or NumPy answers for the kernels, BLAS is held to
    one thread: a multi-threaded OpenBLAS called from several threads has returned wrong products
    (numpy#11046, numpy#29391). Where the BLAS is one that threadpoolctl does not know, shards run
    one after another.
    """

    def __init__(self, n_threads, products=False):
        self.n_threads = n_threads
        self._pool = self._limit = None
        answers = kernels.backend()
        native = all(answers[name] == "native" for name in answers if "gradient" in name)
        self._native = native and not products

    def __enter__(self):
        if not self._native:
            self._limit = _hold_blas()
            if self._limit is None:
                self.n_threads = 1
        return self

    def __exit__(self, *_):
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        if self._limit is not None:
            self._limit.restore_original_limits()
            self._limit = None

    def map(self, function, items):
        """[function(item) for item in items], in parallel where it pays."""
        if self.n_threads == 1 or len(items) == 1:
            return [function(item) for item in items]
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self.n_threads, thread_name_prefix="gdcore")
        try:
            return list(self._pool.map(function, items))
        except BaseException:  # Ctrl-C: what still runs must not write into the next sum
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
            raise


_controller = None


def _hold_blas():
    """Limit every BLAS to one thread; None where there is one that cannot be limited."""
    global _controller
    if _controller is None:
        from threadpoolctl import ThreadpoolController

        _controller = ThreadpoolController()  # finding the libraries takes 0.6 ms: once a process
    blas = _controller.select(user_api="blas")
    if not len(blas):
        return None
    limit = blas.limit(limits=1)
    if any(library["num_threads"] != 1 for library in blas.info()):
        limit.restore_original_limits()
        return None
    return limit
