"""A grid search over two workers, each of whose fits may have threads: python benchmarks/nested.py

GridSearchCV(n_jobs=2) over eight penalties and three folds of 60,000 × 50 rows, with loky's workers
started and warm. A fit with n_threads=None takes the cores that joblib leaves to its worker; beside
it stand one thread a fit (nothing to be won by more than the cores), two (twice as many threads as
cores), one worker whose fits have both cores, and scikit-learn's own. Rounds are interleaved.
Ratios of medians to one thread a fit; JSON under benchmarks/results/nested.
"""

import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import gdcore as gd  # noqa: E402
from benchmarks.saved import save  # noqa: E402
from gdcore.threads import available  # noqa: E402

FOLDER = ROOT / "benchmarks" / "results" / "nested"
ROUNDS, ROWS, COLUMNS, WORKERS = 7, 60_000, 50, 2
PENALTIES = np.logspace(-6, -1, 8)
PLAIN = "n_threads=1"


def searches():
    """{name: GridSearchCV}: ours by n_threads, ours in one process, scikit-learn's."""

    def ours(n_threads, n_jobs=WORKERS):
        model = gd.LogisticRegression(n_threads=n_threads)
        return GridSearchCV(model, {"alpha": PENALTIES}, cv=3, n_jobs=n_jobs, refit=False)

    theirs = LogisticRegression(solver="newton-cholesky", tol=1e-6)
    inverse = {"C": 1 / (PENALTIES * ROWS * 2 / 3)}
    return {
        PLAIN: ours(1),
        "n_threads=None": ours(None),
        "n_threads=2": ours(2),
        "n_threads=None, n_jobs=1": ours(None, n_jobs=1),
        "scikit-learn": GridSearchCV(theirs, inverse, cv=3, n_jobs=WORKERS, refit=False),
    }


def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, COLUMNS))
    X[:, 1:] += 0.5 * X[:, :-1]
    z = X @ (rng.normal(size=COLUMNS) / 4)
    return X, z + rng.logistic(size=ROWS) > 0


def main():
    X, y = rows()
    chosen, seconds = searches(), {}
    for round_ in range(ROUNDS + 1):
        for name, search in chosen.items():
            start = time.perf_counter()
            search.fit(X, y)
            if round_:  # the first starts the workers
                seconds.setdefault(name, []).append(time.perf_counter() - start)
    told = joblib.Parallel(n_jobs=WORKERS)(joblib.delayed(available)() for _ in range(WORKERS))
    medians = {name: median(times) for name, times in seconds.items()}
    for name, value in medians.items():
        print(f"{name:26} {value:6.2f} s  {value / medians[PLAIN]:.2f}")
    print(f"threads that workers are left: {told}")
    report = {
        "what": f"seconds of GridSearchCV(n_jobs={WORKERS}), medians of {ROUNDS}, interleaved",
        "medians": medians,
        "to one thread a fit": {name: value / medians[PLAIN] for name, value in medians.items()},
        "all": seconds, "threads left to workers": told, "cores": len(os.sched_getaffinity(0)),
        "simd": gd.kernels.simd_level(), "machine": platform.machine(),
        "versions": {name: version(name) for name in ("numpy", "scikit-learn", "joblib")}
        | {"gdcore": gd.__version__, "python": platform.python_version()},
    }  # fmt: skip
    save(FOLDER, report)


if __name__ == "__main__":
    main()
