"""Fits that are killed and go on: run as a program, which forks one child after another.

A child is killed by SIGKILL: from outside, when a share of the time has passed that a whole fit
takes, or by itself in the midst of a checkpoint, at the k-th call that writes, syncs or moves.
"""

import builtins
import hashlib
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import numpy as np

import gdcore as gd
from gdcore import disk
from gdcore.callbacks import Checkpoint, load_checkpoint

COLUMNS = (
    "step", "epoch", "cost", "gradient_norm", "learning_rate", "examples", "validation", "score",
    "step_norm", "gradient_dot", "cosine", "curvature", "promised",
)  # fmt: skip
CALLS = ("write", "fsync", "replace", "replaced")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(1500, 12))
Y = X @ RNG.normal(size=12) + RNG.normal(size=1500)
LABELS = np.digitize(Y, [-1.0, 1.0])
TEXT = "the cat sat on the mat, and the rat ate it. " * 12
for _array in (X, Y, LABELS):
    _array.flags.writeable = False


def linear(path):
    """Mini-batches at a rate that is found on the way, with rows held out."""
    keep = Checkpoint(path, resume=True) if path else None
    given = {"batch_size": 32, "optimizer": "adam", "early_stopping": 50, "max_epochs": 14}
    return gd.LinearRegression(callbacks=keep, random_state=0, tol=0, **given).fit(X, Y)


def mlp(path):
    """Dropout, a schedule, rows held out."""
    keep = Checkpoint(path, resume=True) if path else None
    given = {"hidden_layer_sizes": (16,), "dropout": 0.2, "early_stopping": 50, "max_epochs": 12}
    rate = gd.schedules.Cosine(12 * 22)
    return gd.MLPClassifier(
        callbacks=keep, random_state=0, tol=0, learning_rate=rate, optimizer=gd.optim.Adam(0.01),
        batch_size=64, **given,
    ).fit(X, LABELS)  # fmt: skip


def gpt(path):
    """Dropout, a schedule, a text held out."""
    given = {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 16, "dropout": 0.2}
    run = {"max_steps": 50, "batch_size": 3, "eval_every": 5, "learning_rate": 0.01}
    return gd.GPT(**given).fit(TEXT, **run, checkpoint=path, resume=path is not None)


FITS = {"linear": linear, "mlp": mlp, "gpt": gpt}


def bits(model):
    """A digest of θ, of the course but for its seconds, and of the result."""
    theta = model.theta_.vector if hasattr(model, "theta_") else model.coef_
    parts = [theta, np.asarray(getattr(model, "intercept_", 0.0)), model.result_.jac]
    parts += [np.float64(model.result_.fun), *(getattr(model.trace_, name) for name in COLUMNS)]
    return hashlib.sha256(b"".join(np.ascontiguousarray(p).tobytes() for p in parts)).hexdigest()


def _data():
    return hashlib.sha256(X.tobytes() + Y.tobytes() + LABELS.tobytes()).hexdigest()


def forked(work, seconds=None):
    """What a child prints who does some work, and how it ended; killed after so many seconds."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", gd.ConvergenceWarning)
                os.write(theirs, json.dumps(work()).encode())
            os._exit(0)
        except BaseException as error:
            os.write(theirs, json.dumps(repr(error)).encode())
            os._exit(1)
    os.close(theirs)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    with open(ours, "rb") as answer:
        said = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return (json.loads(said) if said else None), status


def killed_at(call, number):
    """From now on this process kills itself at that call of a kind, counted from 0."""
    count = [0]

    def counted():
        count[0] += 1
        if count[0] == number + 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(function):
        def run(*args):
            counted()
            return function(*args)

        return run

    def after(function):
        def run(*args):
            function(*args)
            counted()

        return run

    if call == "write":

        def opened(*args, **kwargs):
            file = builtins.open(*args, **kwargs)
            return _Writing(file, counted) if "x" in args[1] else file

        disk.open = opened
    elif call == "replaced":
        os.replace = after(os.replace)
    else:
        setattr(os, call, before(getattr(os, call)))


class _Writing:
    """A file, each of whose writes is counted before it is done."""

    def __init__(self, file, counted):
        self._file, self._counted = file, counted

    def write(self, data):
        self._counted()
        done = self._file.write(data)
        self._file.flush()
        return done

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)


def moment(name, folder, kill, seconds):
    """Kill a fit at one moment, look at what it left, let it go on: what came of it."""
    folder.mkdir()
    path, fit = folder / "run", FITS[name]

    def work():
        if kill[0] != "share":
            killed_at(*kill)
        return bits(fit(path))

    said, status = forked(work, kill[1] * seconds if kill[0] == "share" else None)
    there = path.exists()
    if there:  # at any time a whole one
        _ = gd.GPT.load(path) if name == "gpt" else load_checkpoint(path)
    again, ended = forked(lambda: bits(fit(path)))
    left = sorted(each.name for each in folder.iterdir())
    return {
        "kill": kill, "said": said, "killed": status == -signal.SIGKILL, "there": there,
        "bits": again, "ended": ended, "left": left,
    }  # fmt: skip


def _warm():
    """Import once what each child would: that takes longer than a fit, and is none of it."""
    _ = gd.GPT, gd.MLPClassifier
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        gd.LinearRegression(optimizer="adam", batch_size=32, max_epochs=1).fit(X[:64], Y[:64])


def main(name, folder, kills):
    """JSON of a whole fit and of each of these moments."""
    _warm()
    before = _data()
    whole, _ = forked(lambda: bits(FITS[name](None)))
    began = time.perf_counter()
    kept, _ = forked(lambda: bits(FITS[name](Path(folder) / "whole")))
    seconds = time.perf_counter() - began
    found = [
        moment(name, Path(folder) / str(number), kill, seconds)
        for number, kill in enumerate(json.loads(kills))
    ]
    print(json.dumps({"whole": whole, "kept": kept, "moments": found, "same": _data() == before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
