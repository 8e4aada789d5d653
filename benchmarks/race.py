"""Contenders of one group take turns; pytest-benchmark gets each one's times afterwards.

pytest-benchmark measures one benchmark to its end before the next begins, so a machine that slows
down in between decides who wins. Here all contenders of a group are built together and run in
rounds, one turn each, in another order every round. The samples are then replayed through
pytest-benchmark's own timer option: its tables, groups, JSON and comparisons stay as usual.
"""

import gc
import random
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import torch
from threadpoolctl import threadpool_info

from benchmarks.group import SelfTimed, opened

TURN = 0.01  # seconds a turn takes at least, by repeated calls
BUDGET = 5.0  # seconds a race takes, give or take a round
ROUNDS = 100  # at most
SETTLE = 0.05  # OpenBLAS and libgomp threads spin after their work: let them fall asleep


@dataclass(frozen=True)
class Outcome:
    """Samples in seconds a call, calls in a turn, and the thread pools as they were found."""

    samples: dict
    calls: dict
    pools: list

    def ratio(self, ours, peer):
        """The peer's median time over ours."""
        return statistics.median(self.samples[peer]) / statistics.median(self.samples[ours])

    def quartiles(self, ours, peer):
        """Quartiles of the ratio within one round: how far it wavers."""
        pairs = zip(self.samples[peer], self.samples[ours], strict=True)
        return statistics.quantiles((theirs / own for theirs, own in pairs), n=4)[::2]


@contextmanager
def no_garbage():
    """The collector is off during turns and has next to nothing to look through between rounds."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def race(group):
    """Rounds of turns until the budget is spent."""
    with opened(group, smoke=False) as contenders, no_garbage():
        pools = _pools(group.threads)
        calls = {name: _calls(run) for name, run in contenders.items()}
        samples = {name: [] for name in contenders}
        rng, rounds, started = random.Random(0), 0, time.perf_counter()
        while rounds < group.rounds or (rounds < ROUNDS and time.perf_counter() - started < BUDGET):
            gc.collect()
            for name in rng.sample(list(contenders), len(contenders)):
                time.sleep(SETTLE if group.threads > 1 else 0)
                samples[name].append(_turn(contenders[name], calls[name], group.threads))
            rounds += 1
    return Outcome(samples, calls, pools)


def _pools(threads):
    """Every pool of threads in the process; each has as many as the group says."""
    found = [
        {"library": pool["prefix"], "of": "/".join(Path(pool["filepath"]).parts[-3:-1]),
         "threads": pool["num_threads"]}
        for pool in threadpool_info()
    ]  # fmt: skip
    found.append({"library": "torch", "of": "torch", "threads": torch.get_num_threads()})
    assert {pool["threads"] for pool in found} == {threads}, found
    return found


def _calls(run):
    """How many calls make a turn; 1 for what is long or measures itself. Warms up, too."""
    calls = 1
    while (seconds := _turn(run, calls) * calls) < TURN and not isinstance(run, SelfTimed):
        calls = max(calls + 1, min(10 * calls, round(1.1 * calls * TURN / max(seconds, 1e-9))))
    return calls


def warm(run, seconds):
    """Calls for at least so long."""
    until = time.perf_counter() + seconds
    run()
    while time.perf_counter() < until:
        run()


def _turn(run, calls, threads=1):
    """Seconds a call."""
    if isinstance(run, SelfTimed):
        return run.seconds()
    if threads > 1:
        warm(run, SETTLE)  # the scheduler needs some steps to give each thread a core of its own
    elif calls > 1:
        run()  # the others' data are in the caches
    began = time.perf_counter()
    for _ in repeat(None, calls):
        run()
    return (time.perf_counter() - began) / calls
