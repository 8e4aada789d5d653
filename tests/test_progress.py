"""What a fit says while it runs, and that it says nothing where nobody looks."""

import io
import logging
import sys

import pytest

import gdcore as gd

X, Y = [[0.0], [1.0], [2.0], [4.0]], [0.0, 1.0, 2.0, 3.0]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("tqdm", [True, False])
def test_a_bar_on_a_terminal(monkeypatch, tqdm):
    if tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    model = gd.LinearRegression(progress=True).fit(X, Y)
    text = screen.getvalue()
    assert "epoch" in text
    assert text.endswith("\r")  # the line is cleared, the cursor at its beginning
    assert tqdm or f"{model.trace_.cost[0]:.6g}" in text


def test_quiet_without_a_terminal(capsys):
    gd.LinearRegression(progress=True).fit(X, Y)
    assert capsys.readouterr() == ("", "")


def test_verbose_goes_through_logging(caplog):
    with caplog.at_level(logging.INFO, logger="gdcore"):
        model = gd.LinearRegression(verbose=2).fit(X, Y)
    assert len(caplog.records) == model.n_iter_ + 1
    assert "cost" in caplog.text
    assert "gradient" in caplog.text
