"""What the trace costs: steps of a full batch with it, and with one that keeps nothing."""

from functools import partial
from unittest import mock

import numpy as np
import pytest

import gdcore as gd
from benchmarks.group import Group, each
from benchmarks.problem import cost_of, examples
from benchmarks.replay import clock
from gdcore import run

SIZES = {"1,000 × 20": (1_000, 20), "10,000 × 50": (10_000, 50), "100,000 × 50": (100_000, 50)}
STEPS = 100
WITHOUT = "without a trace"


class Nothing:
    """A trace and its secants that keep nothing."""

    layers = None

    def __init__(self, *_):
        self.cost = np.zeros(1)

    def __len__(self):
        return 0

    def append(self, row):
        """Forget it."""

    def look(self, theta, g):
        """Nothing is known."""
        return run.UNKNOWN


def descents(setting, size):
    n, p = (100, 5) if setting.smoke else SIZES[size]
    cost = cost_of(*examples(n, p), threads=setting.threads)

    def with_trace():
        rule = gd.optim.SGD(0.1)
        return gd.descend(cost, np.zeros(p + 1), rule, learning_rate=0.1, max_epochs=STEPS)

    def without():
        with mock.patch.object(run, "Trace", Nothing), mock.patch.object(run, "Secants", Nothing):
            return with_trace()

    assert len(with_trace().trace) == STEPS + 1
    assert len(without().trace) == 0
    return {"gdcore": with_trace, WITHOUT: without}


GROUPS = {
    size: Group(
        f"{STEPS} steps of logistic regression {size} with the trace",
        partial(descents, size=size),
        ("gdcore", WITHOUT),
        wanted={WITHOUT: 0.98},
        rounds=41,
    )
    for size in SIZES
}


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_trace(contend, group, contender):
    contend(GROUPS[group], contender)
