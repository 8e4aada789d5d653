"""A cluster of two worker processes on the loopback interface, for the tests of a file."""

import os
import signal
import time
from contextlib import contextmanager

import numpy as np
import pytest


@contextmanager
def started():
    """A LocalCluster that starts each worker anew, however often it dies: Dask gives up those whose
    name it misses 15 s after a death, as it does where a second one comes just then."""
    distributed = pytest.importorskip("distributed")
    from dask import config

    # Dask leaves OMP_NUM_THREADS=1 in the process that starts workers, and so in later tests
    often = config.set({"distributed.deploy.lost-worker-timeout": "300s"})
    with pytest.MonkeyPatch.context() as environment, often:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment.setenv(name, os.environ.get(name, "1"))  # which puts back what there was
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1",
            dashboard_address=":0",
        ) as cluster:  # fmt: skip
            yield cluster


@pytest.fixture(scope="module")
def client():
    """One for each file: the tests of clocks set that of the process, whose event loops would wait
    until a year later."""
    with started() as cluster:
        from distributed import Client

        with Client(cluster) as client:
            yield client


@pytest.fixture
def own():
    """(cluster, client) that a test may harm."""
    from distributed import Client

    with started() as cluster, Client(cluster, set_as_default=False) as client:
        yield cluster, client


def kill(client, number=0):
    """SIGKILL to one of the workers, or, for None, to all."""
    pids = {each: pid for each, pid in client.run(os.getpid, on_error="ignore").items() if pid}
    struck = sorted(pids) if number is None else [sorted(pids)[number % len(pids)]]
    for each in struck:
        os.kill(pids[each], signal.SIGKILL)


def until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def table(n=600, p=6, seed=0):
    """X, and targets: numbers, two classes, three, counts."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * np.linspace(1, 5, p) + 3
    z = (X - 3) @ np.linspace(-1, 1, p) / 3
    noisy = z + rng.normal(size=n) / 2
    return X, {
        "numbers": noisy,
        "two": np.where(noisy > 0, "yes", "no"),
        "three": np.digitize(noisy, [-0.7, 0.7]),
        "counts": rng.poisson(np.exp(z / 2)).astype(float),
    }
