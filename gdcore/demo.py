"""Train every kind of model on real data and print one table."""

import time
import warnings
from dataclasses import dataclass, field

import numpy as np

from gdcore import datasets
from gdcore.errors import ConvergenceWarning
from gdcore.info import backend_line
from gdcore.models import LinearRegression, LogisticRegression

HEAD = (
    "model", "data", "examples", "optimizer", "batch", "steps", "cost first → last", "‖∇J‖",
    "held-out", "seconds", "stopped because",
)  # fmt: skip
RIGHT = {"examples", "batch", "steps", "cost first → last", "‖∇J‖", "held-out", "seconds"}


@dataclass(frozen=True)
class Entry:
    """One row: what to train on what, and what its held-out score is called."""

    model: str
    data: str
    estimator: type
    score: str
    settings: dict = field(default_factory=dict)


LINEAR = ("linear regression", "diabetes", LinearRegression, "R²")
BINARY = ("logistic regression", "breast_cancer", LogisticRegression, "acc")
SOFTMAX = ("softmax regression", "digits", LogisticRegression, "acc")
TIGHT = {"tol": 1e-12}  # to be compared with the closed form
ENTRIES = [
    Entry(*LINEAR, {"optimizer": "closed-form"}),
    *(
        Entry(*kind, {"batch_size": size, "random_state": 0, "max_epochs": 4000} | more)
        for kind in (LINEAR, BINARY, SOFTMAX)
        for size, more in (("full", TIGHT if kind is LINEAR else {}), (32, {}), (1, {}))
    ),
]


def run(entries=ENTRIES, write=print):
    """Print which backend answers, the table, and how near descent came to the closed form."""
    write(backend_line())
    write("")
    rows, models = [], {}
    for entry in entries:
        row, model = train(entry)
        rows.append(row)
        models[entry.data, str(entry.settings.get("batch_size", "closed-form"))] = model
    for line in table(rows):
        write(line)
    exact, near = models.get(("diabetes", "closed-form")), models.get(("diabetes", "full"))
    if exact is not None and near is not None:
        gap = np.abs(near.coef_ / exact.coef_ - 1).max()
        write("")
        write(
            f"Batch descent and the closed form differ by {gap:.1e} in the worst coefficient, "
            f"by {near.result_.fun / exact.result_.fun - 1:.1e} in the cost."
        )


def train(entry):
    """(cells of the row, fitted model) on a fixed 75 % of the data."""
    data = datasets.load(entry.data)
    order = np.random.default_rng(0).permutation(len(data.X))
    cut = round(0.75 * len(order))
    fit, held = order[:cut], order[cut:]
    model = entry.estimator(**entry.settings)
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last column says it
        model.fit(data.X[fit], data.y[fit])
    seconds = time.perf_counter() - started
    result = model.result_
    name = (
        result.optimizer if isinstance(result.optimizer, str) else type(result.optimizer).__name__
    )
    first, last = model.trace_.cost[0], result.fun
    digits = 1 if last > 100 else 4
    cells = (
        entry.model, entry.data.replace("_", " "), f"{cut}×{data.X.shape[1]}", name,
        str(entry.settings.get("batch_size", "–")), f"{result.nit}",
        f"{first:.{digits}f} → {last:.{digits}f}", f"{np.linalg.norm(result.jac):.1e}",
        f"{entry.score} {model.score(data.X[held], data.y[held]):.3f}", f"{seconds:.2f}",
        result.message.split(". ")[0].split(" while ")[0],
    )  # fmt: skip
    return cells, model


def table(rows):
    """Aligned lines; numbers to the right."""
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]

    def line(cells):
        pairs = zip(cells, widths, HEAD, strict=True)
        return "  ".join(
            cell.rjust(width) if name in RIGHT else cell.ljust(width) for cell, width, name in pairs
        ).rstrip()

    yield line(HEAD)
    yield "  ".join("─" * width for width in widths)
    previous = None
    for row in rows:
        shown = row if row[:3] != previous else ("", "", "", *row[3:])
        previous = row[:3]
        yield line(shown)
