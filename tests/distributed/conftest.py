"""A cluster of two worker processes on the loopback interface, for all tests of this folder."""

import os
import signal
import time

import numpy as np
import pytest


def started():
    distributed = pytest.importorskip("distributed")
    return distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=":0"
    )


@pytest.fixture(scope="session")
def client():
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
    """SIGKILL to one of the workers."""
    pids = {each: pid for each, pid in client.run(os.getpid, on_error="ignore").items() if pid}
    os.kill(pids[sorted(pids)[number % len(pids)]], signal.SIGKILL)


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
