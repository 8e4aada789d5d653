"""The `contend` fixture, and what is written into the JSON about the machine."""

import os
import platform
from contextlib import ExitStack
from importlib.metadata import version

import pytest
from threadpoolctl import threadpool_info

import gdcore as gd
from benchmarks.group import once, opened
from benchmarks.race import race
from benchmarks.replay import replay
from gdcore.threads import available

LOAD = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # before we add our own
PEERS = ("numpy", "scipy", "scikit-learn", "torch", "thinc", "optax", "jax", "river")
SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # run.py unsets them


def pytest_configure(config):
    found = [name for name in SLOWING if name in os.environ]
    if found and not config.getoption("benchmark_disable"):
        raise pytest.UsageError(
            f"{' and '.join(found)} would slow NumPy and scikit-learn down. "
            "Run benchmarks/run.py, which unsets them."
        )


@pytest.fixture(scope="session")
def outcomes():
    """{group: its outcome}, each raced when its first contender is asked for."""
    return {}


class Opening:
    """The group that is open in a smoke run: built once, and not once for each contender."""

    def __init__(self):
        self.group, self.stack = None, ExitStack()

    def contenders(self, group):
        if group is not self.group:
            self.close()
            self.found = self.stack.enter_context(opened(group, smoke=True))
            self.group = group
        return self.found

    def close(self):
        self.group = None
        self.stack.close()


@pytest.fixture(scope="module")
def opening():
    one = Opening()
    yield one
    one.close()


@pytest.fixture
def contend(benchmark, outcomes, opening):
    """Report one contender of a group; with --benchmark-disable run it once, on small sizes."""

    def report(group, contender):
        benchmark.group = f"{group.label}, {threads(group.threads)}"
        if benchmark.disabled:
            benchmark.pedantic(once, args=(opening.contenders(group)[contender],))
            return
        if group.threads > available():
            pytest.skip(f"needs {group.threads} cores")
        if group not in outcomes:
            outcomes[group] = race(group)
        outcome = outcomes[group]
        samples = outcome.samples[contender]
        benchmark.pedantic(replay(samples), rounds=len(samples))
        benchmark.extra_info |= {
            "label": group.label,
            "contender": contender,
            "threads": group.threads,
            "pools": outcome.pools,
            "calls_per_turn": outcome.calls[contender],
        }
        if contender.startswith("gdcore"):
            benchmark.extra_info |= comparison(group, contender, outcome)

    return report


def comparison(group, ours, outcome):
    """Our ratios to every peer: how many times longer its median turn took."""
    peers = [name for name in group.contenders if not name.startswith("gdcore")]
    return {
        "ratios": {peer: outcome.ratio(ours, peer) for peer in peers},
        "quartiles": {peer: outcome.quartiles(ours, peer) for peer in peers},
        "wanted": group.wanted if ours == "gdcore" else {},
    }


def threads(count):
    return f"{count} thread" + "s" * (count > 1)


def pytest_benchmark_update_machine_info(machine_info):
    del machine_info["node"]  # whose machine it was is nobody's business
    machine_info["cores"] = available()
    machine_info["simd"] = gd.kernels.simd_level()
    machine_info["load"] = LOAD
    machine_info["blas"] = [
        {key: pool[key] for key in ("prefix", "version", "architecture") if key in pool}
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    machine_info["versions"] = {
        "python": platform.python_version(),
        "gdcore": gd.__version__,
        **{name: version(name) for name in PEERS},
        "pytest-benchmark": version("pytest-benchmark"),
    }


def pytest_benchmark_update_commit_info(commit_info):
    commit_info["project"] = "gdcore"
