"""CSV files in and out, for the command line: read, train, report, predict."""

import csv
import sys
import warnings
from pathlib import Path

import numpy as np

from gdcore.errors import ConvergenceWarning, require, require_choice
from gdcore.files import load, save
from gdcore.info import backend_line
from gdcore.models import LinearRegression, LogisticRegression

MOST_CLASSES = 20


def read(path):
    """(names, rows of strings) of a CSV file with a header; comma, semicolon or tab."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        text = file.read()
    require(text.strip() != "", f"{path} is empty. Pass a CSV file with a header line.")
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    names, *rows = csv.reader(text.splitlines(), delimiter=delimiter)
    names = [name.strip() for name in names]
    require(len(set(names)) == len(names), f"{path} names a column twice. Rename one of them.")
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    for number, row in enumerate(rows, start=2):
        require(
            len(row) == len(names),
            f"{path} has {len(row)} cells in line {number} and {len(names)} in its header. "
            "Mend that line.",
        )
    require(len(rows) > 0, f"{path} has a header but no rows. Pass at least one example.")
    return names, rows


def numbers(names, rows, wanted):
    """The wanted columns as float64 (n, p)."""
    places = [names.index(name) for name in wanted]
    X = np.empty((len(rows), len(places)))
    for i, row in enumerate(rows):
        for j, place in enumerate(places):
            try:
                X[i, j] = float(row[place])
            except ValueError:
                what = f"{row[place]!r}, which is no number" if row[place].strip() else "nothing"
                raise ValueError(
                    f"Column {wanted[j]!r} holds {what} in row {i + 1}. Fill or encode it, or "
                    f"leave the column out with --drop {wanted[j]!r}."
                ) from None
    return X


def train(arguments):
    """The command `gdcore train`."""
    output = Path(arguments.output or Path(arguments.file).with_suffix(".gdcore.npz"))
    _refuse_overwriting(output, arguments.force)
    require(
        0 <= arguments.test_fraction < 1,
        f"--test-fraction must be at least 0 and below 1, got {arguments.test_fraction}. Try 0.25.",
    )
    names, rows = read(arguments.file)
    for name in (arguments.target, *arguments.drop):
        require_choice("column", name, names)
    features = [name for name in names if name != arguments.target and name not in arguments.drop]
    require(bool(features), "No column is left to predict from. Drop fewer.")
    X = numbers(names, rows, features)
    y, logistic, why = _targets([row[names.index(arguments.target)].strip() for row in rows],
                                arguments.model)  # fmt: skip
    order = np.random.default_rng(arguments.seed).permutation(len(X))
    held = order[: round(arguments.test_fraction * len(X))]
    fit = order[len(held) :]
    model = (LogisticRegression if logistic else LinearRegression)(
        alpha=arguments.alpha, l1_ratio=arguments.l1_ratio, optimizer=arguments.optimizer,
        learning_rate=arguments.learning_rate, batch_size=arguments.batch_size,
        max_epochs=arguments.max_epochs, tol=arguments.tol, random_state=arguments.seed,
        verbose=int(arguments.verbose),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the report says it
        model.fit(X[fit], y[fit])
    model.feature_names_in_ = np.array(features, dtype=object)
    print(backend_line())
    print(f"{type(model).__name__}: {why}.")
    print()
    for line in _report(model, features, (X[fit], y[fit]), (X[held], y[held])):
        print(line)
    save(model, output)
    print(f"saved            {output}")


def predict(arguments):
    """The command `gdcore predict`."""
    if arguments.output:
        _refuse_overwriting(Path(arguments.output), arguments.force)
    model = load(arguments.model)
    names, rows = read(arguments.file)
    wanted = getattr(model, "feature_names_in_", None)
    if wanted is None:
        require(
            len(names) == model.n_features_in_,
            f"The model knows {model.n_features_in_} columns without names, the file has "
            f"{len(names)}. Pass exactly those columns.",
        )
        wanted = names
    missing = [name for name in wanted if name not in names]
    require(
        not missing, f"{arguments.file} lacks {missing}. Pass the columns of the training file."
    )
    X = numbers(names, rows, list(wanted))
    if arguments.proba:
        require(
            isinstance(model, LogisticRegression),
            "--proba needs a classifier, and this model predicts numbers. Leave --proba out.",
        )
        header = [f"P({label})" for label in model.classes_]
        body = model.predict_proba(X)
    else:
        header, body = ["prediction"], model.predict(X)[:, None]
    with open(arguments.output, "w", newline="") if arguments.output else _Terminal() as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(body.tolist())


class _Terminal:
    """Standard output as a context that is not closed."""

    def __enter__(self):
        return sys.stdout

    def __exit__(self, *_):
        sys.stdout.flush()


def _refuse_overwriting(path, force):
    if path.exists() and not force:
        raise ValueError(f"{path} exists. Pass --force to overwrite it, or another --output.")


def _targets(cells, wanted):
    """(y, logistic?, why)."""
    empty = [i for i, cell in enumerate(cells, start=1) if not cell]
    require(not empty, f"The target is missing in row {empty[0] if empty else 0}. Remove the row.")
    try:
        values = np.array([float(cell) for cell in cells])
    except ValueError:
        require(
            wanted != "linear",
            "--model linear needs a target of numbers, and this one holds text. "
            "Use --model logistic.",
        )
        return np.array(cells), True, "the target is text"
    kinds = np.unique(values)
    whole = bool((values == np.round(values)).all())
    few = whole and len(kinds) <= MOST_CLASSES
    if wanted == "logistic" or (wanted == "auto" and few):
        require(
            whole, "--model logistic needs classes, and the target holds fractions. Use linear."
        )
        return values.astype(np.int64), True, f"the target has {len(kinds)} whole values"
    return values, False, f"the target is a number with {len(kinds)} values"


def _report(model, features, fit, held):
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
    for j in np.argsort(-spread)[:8]:
        values = " ".join(
            f"{v:+.4g}" for v in np.atleast_2d(model.coef_)[:6, j] * fit[0][:, j].std()
        )
        yield f"                 {features[j]:24} {values}"
