"""What a fit says while it runs, and that it says nothing where nobody looks."""

import io
import logging
import math
import os
import re
import sys
import time
import types

import numpy as np
import pytest

import gdcore as gd
from gdcore import progress
from gdcore.callbacks import Progress
from gdcore.convergence import Moment
from gdcore.hooks import Plan

X, Y = [[0.0], [1.0], [2.0], [4.0]], [0.0, 1.0, 2.0, 3.0]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(params=["tqdm", "plain"])
def kind(request, monkeypatch):
    if request.param == "tqdm":
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    return request.param


@pytest.fixture
def screen(monkeypatch, kind):
    screen = Terminal()  # pytest puts sys.stderr back between a fixture and its test
    monkeypatch.setattr(progress, "sys", types.SimpleNamespace(stderr=screen))
    monkeypatch.setenv("COLUMNS", "80")
    return screen


def shown(text, wide=80):
    """(all that a line of a terminal showed in turn, what is left of it, where the cursor is)."""
    line, at, frames = [" "] * wide, 0, []
    for letter in re.sub(r"\x1b\[A", "", text):
        if letter == "\r":
            frames.append("".join(line).rstrip())
            at = 0
        else:
            assert letter != "\n"
            assert at < wide, "the line is wrapped"
            line[at] = letter
            at += 1
    return [frame for frame in frames if frame], "".join(line).rstrip(), at


def test_a_line_on_a_terminal(screen):
    model = gd.LinearRegression(progress=True).fit(X, Y)
    frames, left, at = shown(screen.getvalue())
    assert frames[0].startswith("epoch 0/1000  cost 0.625  ‖∇J‖ ")
    assert f"{model.trace_.cost[0]:.6g}" in frames[0]
    assert (left, at) == ("", 0)


def test_descend_minimize_and_networks_have_the_same_line(screen, kind):
    def bowl(x):
        time.sleep(0.02)
        return x @ x, 2 * x

    gd.minimize(bowl, np.ones(2), method=gd.optim.SGD(0.01), max_iter=12, callbacks=Progress())
    frames, left, _ = shown(screen.getvalue())
    assert frames[0].startswith("iteration 0/12  cost 2  ")
    assert frames[-1].startswith("iteration 12/12  cost ")
    assert "examples/s" not in frames[-1]
    assert len(frames) < 8  # ten a second at most
    assert left == ""
    screen.truncate(0)
    net = gd.MLPRegressor(restarts=1, max_epochs=2, tol=0, progress=True)
    net.fit(np.random.default_rng(0).normal(size=(99, 1)), np.arange(99.0))
    text = screen.getvalue()
    assert "fit 1/2, epoch 0/2" in text
    assert "fit 2/2, epoch 2/2" in text


@pytest.mark.parametrize("wide", [12, 30, 60, 100, 200])
def test_the_line_fits_and_says_first_what_matters_most(monkeypatch, screen, kind, wide):
    monkeypatch.setenv("COLUMNS", str(wide))
    monkeypatch.setattr(progress, "PAUSE", -1)
    run = Progress()
    run.on_begin(Plan(None, 9, 1000, 100, 50, math.inf))
    for epoch in range(51):
        run(Moment(
            epoch * 10, epoch, 0.123456789, 0, 1.5e-5, 0, 0.01, epoch * 2.0, epoch * 1000, 0.321
        ))  # fmt: skip
    run.on_end()
    frames, left, at = shown(screen.getvalue(), wide)
    assert max(map(len, frames)) <= wide - 2
    assert (left, at) == ("", 0)
    parts = [
        "epoch 10/50", "cost 0.123457", "≤ 1:20 left", "‖∇J‖ 1.5e-05", "held out 0.321",
        "rate 0.01", "500 examples/s",
    ]  # fmt: skip
    line = next(frame for frame in frames if "epoch 10/" in frame or wide < 14)
    there = [part in line for part in parts]
    assert there == sorted(there, reverse=True)
    few = {"plain": {12: 0, 30: 2, 60: 4}, "tqdm": {12: 0, 30: 1, 60: 3, 100: 6}}[kind]
    assert sum(there) == few.get(wide, 7)


def test_time_left_is_that_of_the_budget_which_ends_first(screen):
    def at(plan, epoch, seconds):
        run = Progress()
        run.on_begin(plan)
        run(Moment(0, plan.epoch, 1.0, 0, 0, 0, 0, 4.0, 0))
        return list(run._parts(Moment(9, epoch, 1.0, 0, 0, 0, 0, seconds, 9)))[2]

    plan = Plan(None, 9, 9, 9, 100, math.inf)
    assert at(plan, 10, 14.0) == "≤ 1:30 left"
    assert at(Plan(None, 9, 9, 9, 10**6, 60.0), 10, 14.0) == "≤ 0:46 left"
    assert at(Plan(None, 9, 9, 9, 10**6, math.inf), 10, 14.0) == "≤ 277:46:30 left"
    assert at(Plan(None, 9, 9, 9, 100, math.inf, epoch=50), 60, 24.0) == "≤ 1:20 left"
    assert at(plan, 100, 104.0) == "≤ 0:00 left"
    assert at(Plan(None, 9, 9, 9, 10**6, 10.0), 10, 11.0) == "≤ 0:00 left"


@pytest.mark.parametrize("end", ["error", "interrupt"])
def test_whatever_ends_a_fit_the_line_is_cleared(screen, end):
    def stop(moment):
        if moment.epoch == 1:
            screen.write("^C")  # as a terminal does
            raise RuntimeError("mine") if end == "error" else KeyboardInterrupt

    model = gd.LogisticRegression(progress=True, callbacks=stop, optimizer="sgd")
    try:
        model.fit(X, [0, 0, 1, 1])
    except RuntimeError:
        assert end == "error"
    frames, left, at = shown(screen.getvalue())
    assert "^C" in frames[-1]
    assert (left, at) == ("", 0)


def test_quiet_without_a_terminal(capsys):
    gd.LinearRegression(progress=True).fit(X, Y)
    assert capsys.readouterr() == ("", "")


def test_quiet_without_a_stream_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert gd.LinearRegression(progress=True).fit(X, Y).result_.success


def test_a_notebook_is_looked_at(monkeypatch, kind):
    """Its stream is no terminal, but what is written there appears below the cell."""
    output = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stderr", output)
    gd.LinearRegression(progress=True).fit(X, Y)
    assert "epoch 0/1000  cost 0.625" in output.getvalue()


def test_a_real_terminal_knows_its_width(kind):
    if not hasattr(os, "openpty"):
        pytest.skip("no pseudo-terminals here")
    import fcntl
    import struct
    import termios

    main, other = os.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 61, 0, 0))
    with open(other, "w") as stream:
        assert progress.watched(stream)
        assert progress.columns(stream) == 61
    os.close(main)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (0.2, "0:01"), (65, "1:05"), (7384, "2:03:04")]
)
def test_clocks(seconds, text):
    assert progress.clock(seconds) == text


def test_verbose_goes_through_logging(caplog):
    with caplog.at_level(logging.INFO, logger="gdcore"):
        model = gd.LinearRegression(verbose=2).fit(X, Y)
    assert len(caplog.records) == model.n_iter_ + 1
    assert "cost" in caplog.text
    assert "gradient" in caplog.text
