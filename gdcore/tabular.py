"""CSV files in and out, for the command line: read, train, report, predict."""

import codecs
import csv
import io
import math
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gdcore._typing import Array, PathLike
from gdcore.convergence import Status
from gdcore.diagnose.doctor import doctor
from gdcore.diagnose.report import require_own
from gdcore.disk import refuse_overwriting, replace
from gdcore.errors import ConvergenceWarning, require, require_choice
from gdcore.files import load, save
from gdcore.info import backend_line
from gdcore.models import LinearRegression, LogisticRegression

MOST_CLASSES = 20
MOST_EXACT = 2**53  # beyond, float64 skips whole numbers


class Table:
    """A CSV file with a header: names, and rows of cells with the lines that they end in."""

    def __init__(self, path: PathLike) -> None:
        try:
            text = Path(path).read_text(encoding="utf-8-sig", errors="strict")
            self._parse(str(path), text)
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(
                f"{path} is no CSV text in UTF-8 ({error}). Save it as CSV in UTF-8."
            ) from error

    def _parse(self, path: str, text: str) -> None:
        require(text.strip() != "", f"{path} is empty. Pass a CSV file with a header line.")
        # the header is parsed with each: a delimiter inside quotes is none
        delimiter = max(",;\t", key=lambda each: len(next(_cells(text, each))))
        reader = _cells(text, delimiter)
        self.names = [name.strip() for name in next(reader)]
        double = [name for name in self.names if self.names.count(name) > 1]
        require(not double, f"{path} names a column twice: {double[:1]}. Rename one of them.")
        self.rows: list[list[str]] = []
        self.lines: list[int] = []
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            require(
                len(row) == len(self.names),
                f"{path} has {len(row)} cells in line {reader.line_num} and {len(self.names)} in "
                "its header. Mend that line.",
            )
            self.rows.append(row)
            self.lines.append(reader.line_num)
        require(bool(self.rows), f"{path} has a header but no rows. Pass at least one example.")

    def column(self, name: str) -> list[str]:
        """The cells of a column, without spaces around them."""
        place = self.names.index(name)
        return [row[place].strip() for row in self.rows]

    def where(self, i: int) -> str:
        """How to find row i."""
        return f"row {i + 1} (line {self.lines[i]})"

    def numbers(self, wanted: Sequence[str], cure: str) -> Array:
        """The wanted columns as finite float64 (n, p); `cure` says what helps, {} is the column."""
        X = np.empty((len(self.rows), len(wanted)))
        for j, name in enumerate(wanted):
            for i, cell in enumerate(self.column(name)):
                X[i, j] = value = _number(cell)
                if math.isnan(value):
                    what = f"{cell!r}, which is no finite number," if cell else "nothing"
                    raise ValueError(
                        f"Column {name!r} holds {what} in {self.where(i)}. {cure.format(name)}"
                    )
        return X


def _cells(text: str, delimiter: str) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def _number(cell: str) -> float:
    """The finite number in a cell, else NaN."""
    try:
        value = float(cell) if "_" not in cell else math.nan  # Python's 1_000 is no CSV number
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def train(arguments: Namespace) -> None:
    """The command `gdcore train`."""
    file = Path(arguments.file)
    output = Path(arguments.output or file.parent / f"{file.stem}.gdcore.npz")
    refuse_overwriting(output, arguments.force, file)
    if arguments.report:
        refuse_overwriting(Path(arguments.report), arguments.force, file, "--report")
        apart = Path(arguments.report).resolve() != output.resolve()
        require(apart, "--report and --output are one file. Pass another --report.")
        require_own(arguments.report)
    require(
        0 <= arguments.test_fraction < 1,
        f"--test-fraction must be at least 0 and below 1, got {arguments.test_fraction}. Try 0.25.",
    )
    require(arguments.seed >= 0, f"--seed must be at least 0, got {arguments.seed}. Try 0.")
    table = Table(file)
    features = _features(table.names, arguments.target, arguments.drop)
    X = table.numbers(features, "Fill or encode it, or leave the column out with --drop {!r}.")
    y, logistic, why = _targets(table, arguments.target, arguments.model)
    order = np.random.default_rng(arguments.seed).permutation(len(X))
    held = order[: round(arguments.test_fraction * len(X))]
    fit = order[len(held) :]
    require(
        len(fit) > 0,
        f"--test-fraction {arguments.test_fraction} leaves none of {len(X)} rows to train on. "
        "Pass a smaller one, or more rows.",
    )
    model = _model(arguments, logistic)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the report says it
        rows = X[fit]
        model.fit(rows, y[fit])
    model.feature_names_in_ = np.array(features, dtype=object)
    print(backend_line())
    print(f"{type(model).__name__}: {why}.")
    print()
    for line in _report(model, features, (X[fit], y[fit]), (X[held], y[held])):
        print(line)
    for finding in doctor(model):
        print(f"doctor           {finding}")
    require(
        model.result_.status is not Status.DIVERGED,
        "The fit diverged, and nothing is saved. Pass a smaller --learning-rate, or auto.",
    )
    save(model, output)
    print(f"saved            {output}")
    if arguments.report:
        model.result_.report(arguments.report, title=f"{file.name}: {arguments.target}")
        print(f"report           {arguments.report}")


def _features(names: list[str], target: str, drop: Sequence[str]) -> list[str]:
    for name in (target, *drop):
        require_choice("column", name, names)
    require(target not in drop, f"--drop {target!r} drops the target. Drop another column.")
    features = [name for name in names if name != target and name not in drop]
    require(bool(features), "No column is left to predict from. Drop fewer.")
    return features


def _model(arguments: Namespace, logistic: bool) -> LogisticRegression | LinearRegression:
    return (LogisticRegression if logistic else LinearRegression)(
        alpha=arguments.alpha, l1_ratio=arguments.l1_ratio, optimizer=arguments.optimizer,
        learning_rate=arguments.learning_rate, batch_size=arguments.batch_size,
        max_epochs=arguments.max_epochs, tol=arguments.tol, random_state=arguments.seed,
        verbose=int(arguments.verbose),
    )  # fmt: skip


def predict(arguments: Namespace) -> None:
    """The command `gdcore predict`."""
    if arguments.output:
        refuse_overwriting(Path(arguments.output), arguments.force, arguments.file)
        apart = Path(arguments.output).resolve() != Path(arguments.model).resolve()
        require(apart, f"{arguments.output} is the model. Pass another --output.")
    model: Any = load(arguments.model)
    table = Table(arguments.file)
    wanted = getattr(model, "feature_names_in_", None)
    if wanted is None:
        require(
            len(table.names) == model.n_features_in_,
            f"The model knows {model.n_features_in_} columns without names, the file has "
            f"{len(table.names)}. Pass exactly those columns.",
        )
        wanted = table.names
    missing = [name for name in wanted if name not in table.names]
    require(
        not missing,
        f"{arguments.file} lacks {', '.join(map(repr, missing))}. Pass the columns of the training "
        "file.",
    )
    X = table.numbers(list(wanted), "Fill it as in the training file: the model needs {!r}.")
    if arguments.proba:
        require(
            isinstance(model, LogisticRegression),
            "--proba needs a classifier, and this model predicts numbers. Leave --proba out.",
        )
        header = [f"P({label})" for label in model.classes_]
        body = model.predict_proba(X)
    else:
        header, body = ["prediction"], model.predict(X)[:, None]
    rows = [header, *body.tolist()]
    if arguments.output:
        replace(arguments.output, lambda file: _write_rows(codecs.getwriter("utf-8")(file), rows))
    else:
        _write_rows(sys.stdout, rows)
        sys.stdout.flush()


def _write_rows(file: Any, rows: Iterable[Any]) -> None:
    csv.writer(file, lineterminator="\n").writerows(rows)


def _targets(table: Table, name: str, wanted: str) -> tuple[Array, bool, str]:
    """(y, logistic?, why)."""
    cells = table.column(name)
    for i, cell in enumerate(cells):
        require(cell != "", f"The target {name!r} is missing in {table.where(i)}. Remove that row.")
    values = np.array([_number(cell) for cell in cells])
    bad = np.flatnonzero(np.isnan(values))
    if len(bad):
        _refuse_stray_text(table, name, wanted, bad)
        return np.array(cells), True, "the target is text"
    kinds = len(np.unique(values))
    whole = bool((values == np.round(values)).all() and np.abs(values).max() <= MOST_EXACT)
    if wanted == "logistic" or (wanted == "auto" and whole and kinds <= MOST_CLASSES):
        require(
            whole, "--model logistic needs classes, and the target holds fractions. Use linear."
        )
        found = f"the target has {kinds} whole values; --model linear takes them as numbers"
        why = "as asked" if wanted == "logistic" else found
        return values.astype(np.int64), True, why
    return (
        values,
        False,
        "as asked" if wanted == "linear" else (f"the target is a number with {kinds} values"),
    )


def _refuse_stray_text(table: Table, name: str, wanted: str, bad: Array) -> None:
    """A cell like NA in a column of numbers is no class."""
    cells = table.column(name)
    where = f"{name!r} holds {cells[bad[0]]!r} in {table.where(bad[0])}"
    require(
        wanted != "linear",
        f"--model linear needs a target of numbers, and {where}. Mend it, or use --model logistic.",
    )
    require(
        wanted == "logistic" or len(bad) == len(cells),
        f"The target {where}, and numbers in other rows. Mend that row, or pass --model logistic "
        "if each text is a class.",
    )


def _report(
    model: Any, features: Sequence[str], fit: tuple[Array, Array], held: tuple[Array, Array]
) -> Iterator[str]:
    """Lines on the data, the course, the end and the result."""
    result, score = model.result_, "accuracy" if hasattr(model, "classes_") else "R²"
    name = (
        result.optimizer if isinstance(result.optimizer, str) else type(result.optimizer).__name__
    )
    yield f"examples         {len(fit[0])} to train on, {len(held[0])} held out"
    yield f"features         {len(features)}"
    rate = f"rate {result.learning_rate:.3g}"
    yield f"optimizer        {name}, {result.batch_size} rows a step, {rate}"
    yield f"steps            {result.nit} in {model.n_iter_} epochs"
    yield f"cost             {model.trace_.cost[0]:.6g} → {result.fun:.6g}"
    yield f"gradient norm    {np.linalg.norm(result.jac):.3g}"
    yield f"stopped          {result.status.name}: {result.message}"
    yield f"{score:16} {model.score(*fit):.4f} in training" + (
        f", {model.score(*held):.4f} held out" if len(held[0]) else ""
    )
    spread = np.abs(np.atleast_2d(model.coef_)).max(axis=0) * fit[0].std(axis=0)
    yield "coefficients     the largest, a standard deviation of the column each"
    if len(np.atleast_2d(model.coef_)) > 1:
        shown = ", ".join(map(str, model.classes_[:6]))
        yield f"{'':16} {'for the classes':24} {shown}{', …' if len(model.classes_) > 6 else ''}"
    for j in np.argsort(-spread)[:8]:
        values = " ".join(
            f"{v:+.4g}" for v in np.atleast_2d(model.coef_)[:6, j] * fit[0][:, j].std()
        )
        yield f"                 {features[j]:24} {values}"
