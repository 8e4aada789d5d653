"""A clock that jumps: no fit fails, ends by accident or never, and no time is negative."""

import io
import re
import sys
import time
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd
from gdcore.callbacks import Checkpoint, CSVLogger, Progress, TimeLimit
from tests.tally import count, times

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3))
Y = X @ [1.0, -1.0, 2.0] + RNG.normal(size=80)
THREE = np.digitize(Y, [-1.0, 1.0])
X.flags.writeable = Y.flags.writeable = THREE.flags.writeable = False
DAY, YEAR = 86_400.0, 365 * 86_400.0
real = time.perf_counter


class Clock:
    """One that is right until its call number `at`, and then something else."""

    def __init__(self, kind, at=15):
        self.kind, self.at, self.calls, self.stood = kind, at, 0, None

    def __call__(self):
        self.calls += 1
        now = real()
        if self.calls < self.at:
            return now
        if self.stood is None:
            self.stood = now
        if self.kind == "to and fro":
            return now + (DAY if self.calls % 2 else -DAY)
        jumped = {"back a day": now - DAY, "on a year": now + YEAR, "frozen": self.stood}
        return jumped[self.kind]


KINDS = ("back a day", "on a year", "frozen", "to and fro")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def minimized(**given):
    return gd.minimize(lambda x: (x @ x, 2 * x), np.ones(3), method="adgd", **given)


def hinge(callbacks=(), **given):
    given = {"batch_size": 10, "max_epochs": 3, "tol": 0, "random_state": 0} | given
    return gd.LinearClassifier(callbacks=callbacks, **given).fit(X, THREE)


def fit(kind, y=Y, **set_):
    def fitted(callbacks=(), **given):
        return kind(callbacks=callbacks, random_state=0, **set_ | given).fit(X, y)

    return fitted


def gpt(callbacks=(), **given):
    model = gd.GPT(n_layer=1, n_head=1, n_embd=8, block_size=8)
    return model.fit(
        "ab" * 60, max_steps=8, eval_every=2, callbacks=callbacks, progress=True, **given
    )


FITS = {
    "all rows": fit(gd.LinearRegression, optimizer="adam", max_epochs=30, tol=0),
    "mini-batches": fit(gd.LinearRegression, batch_size=8, max_epochs=12, tol=0),
    "closed form": fit(gd.LinearRegression, optimizer="closed-form"),
    "one class after another": hinge,
    "a network": fit(gd.MLPRegressor, hidden_layer_sizes=(4,), max_epochs=12, tol=0),
    "restarts": fit(gd.MLPRegressor, hidden_layer_sizes=(4,), max_epochs=4, restarts=2, tol=0),
    "gpt": gpt, "minimize": minimized,
}  # fmt: skip


def theta(found):
    for name in ("coef_", "x"):
        if hasattr(found, name):
            return np.asarray(getattr(found, name)).tobytes()
    return found.theta_.vector.tobytes()


@cache
def usual(name):
    """θ by a clock that is right."""
    return theta(FITS[name]())


@pytest.fixture
def terminal(monkeypatch):
    """stderr as a terminal, so that bars are drawn."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    return stream


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", FITS)
def test_a_clock_that_jumps(tmp_path, monkeypatch, terminal, name, kind):
    whole = usual(name)
    for at in times((9,), (2, 9, 15, 40)):
        log = tmp_path / f"{at}.csv"
        keep = Checkpoint(tmp_path / f"{at}.npz", every=times(4, 1), resume=True)
        watch = [Progress(), CSVLogger(log), keep]
        with monkeypatch.context() as patch:
            patch.setattr(time, "perf_counter", Clock(kind, at))
            patch.setattr(time, "time", Clock(kind, at))
            patch.setattr(time, "monotonic", Clock(kind, at))
            found = FITS[name](callbacks=watch)
        assert theta(found) == whole
        seconds = found.trace_.seconds if hasattr(found, "trace_") else found.trace.seconds
        assert (seconds >= 0).all()
        assert (np.diff(seconds) >= 0).all()
        if log.exists():  # a closed form has nothing to log but its end
            rows = np.genfromtxt(log, delimiter=",", names=True)
            assert (np.atleast_1d(rows["seconds"]) >= 0).all()
        count("faults survived: a clock that jumps")
    assert "-" not in "".join(re.findall(r"(\S+) left", terminal.getvalue()))


@pytest.mark.parametrize("kind", KINDS)
def test_budgets_of_time_end_or_let_the_other_budget_end(monkeypatch, kind):
    other = ("EPOCHS",)  # whether it is read while it is behind or before is chance
    ended = {"on a year": ("TIME", "CALLBACK"), "to and fro": ("TIME", "CALLBACK", "EPOCHS")}
    for given, limits in (({"max_time": 3600.0}, ()), ({}, [TimeLimit(3600.0, every="step")]),
                          ({}, [TimeLimit(3600.0)])):  # fmt: skip
        for name in ("all rows", "mini-batches", "a network"):
            with monkeypatch.context() as patch:
                patch.setattr(time, "perf_counter", Clock(kind, 7))
                with warnings.catch_warnings():  # that the time is over, where it is
                    warnings.simplefilter("ignore", gd.ConvergenceWarning)
                    found = FITS[name](callbacks=limits, **given)
            assert found.result_.status.name in ended.get(kind, other)
            count("faults survived: a clock that jumps")


@pytest.mark.parametrize("kind", KINDS)
def test_streams_count_no_negative_seconds(monkeypatch, kind):
    for model, y in ((gd.LogisticRegression(), THREE), (gd.MLPClassifier(random_state=0), THREE)):
        monkeypatch.setattr(time, "perf_counter", Clock(kind, 3))
        for start in range(0, 80, 20):
            part = slice(start, start + 20)
            model.partial_fit(X[part], y[part], classes=[0, 1, 2])
        monkeypatch.undo()
        assert (np.diff(model.trace_.seconds, prepend=0) >= 0).all()
        count("faults survived: a clock that jumps")


def test_no_part_of_gdcore_asks_the_wall_clock_how_long_something_took():
    house = Path(gd.__file__).parent
    for path in house.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\btime\.time\(|from time import", text), path
