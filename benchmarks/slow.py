"""How long the slow peers take to J − J* ≤ 1e-6·J*: python benchmarks/slow.py [SECONDS]

skglm and SGDClassifier, on the two problems of benchmarks/linear.py, one fit each, what is compiled
compiled before. skglm's L2 penalty has no distances, which its coordinate descent and its Newton
method ask for, so they get an elastic net without L1; its L-BFGS knows no intercept, so a column of
tens stands for it. SGDClassifier gets what suits it best of rates and schedules, averages included,
and as many epochs as fit into the seconds (60). Saves JSON under benchmarks/results/slow. Needs
skglm.
"""

import math
import sys
import time
import warnings
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import sparse
from skglm import GeneralizedLinearEstimator
from skglm.datafits import Logistic
from skglm.penalties import L2, L1_plus_L2
from skglm.solvers import LBFGS, AndersonCD, ProxNewton
from sklearn.linear_model import SGDClassifier
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import linear  # noqa: E402
from benchmarks.saved import save  # noqa: E402

FOLDER = ROOT / "benchmarks" / "results" / "slow"
HIGH = 10.0  # the column that stands for an intercept
SCHEDULES = [
    {"learning_rate": "adaptive", "tol": 1e-6, "n_iter_no_change": 1},
    {"learning_rate": "invscaling", "power_t": 0.5, "average": True, "tol": None},
    {"learning_rate": "constant", "average": True, "tol": None},
]
RATES = [0.01, 0.1, 1.0, 10.0]


class Quasi:
    """skglm's L-BFGS."""

    def __init__(self, problem):
        column = np.full((len(problem.y), 1), HIGH)
        if sparse.issparse(problem.X):
            self.X = sparse.hstack([problem.X, column], format="csc")
        else:
            self.X = np.asfortranarray(np.hstack([problem.X, column]))
        self.y = 2 * problem.y - 1

    def __call__(self, tol):
        solver = LBFGS(max_iter=10_000, tol=tol)
        w, *_ = solver.solve(self.X, self.y, Logistic(), L2(1 / len(self.y)))
        self.coef_, self.intercept_ = w[:-1], HIGH * w[-1]
        return self


def elastic(problem, solver):
    """skglm's solvers that want a penalty with distances."""
    to = sparse.csc_matrix if sparse.issparse(problem.X) else np.asfortranarray
    X, y, penalty = to(problem.X), 2 * problem.y - 1, L1_plus_L2(1 / len(problem.y), 0.0)

    def run(tol):
        made = solver(tol=tol, max_iter=1_000, fit_intercept=True)
        return GeneralizedLinearEstimator(Logistic(), penalty, made).fit(X, y)

    return run


SKGLM = {
    "skglm: L-BFGS": Quasi,
    "skglm: coordinate descent": partial(elastic, solver=AndersonCD),
    "skglm: Newton": partial(elastic, solver=ProxNewton),
}


def timed(problem, run):
    """(seconds, excess)."""
    began = time.perf_counter()
    model = run()
    return time.perf_counter() - began, problem.excess(model)


def skglms(problem, small, make, most):
    """The first of falling tolerances that reaches the goal, or where the seconds were over."""
    make(small)(1e-3)  # compiles
    run = make(problem)
    for tol in 10.0 ** -np.arange(4, 9):
        seconds, excess = timed(problem, partial(run, tol))
        if excess <= linear.GOAL or seconds > most:
            break
    return {"seconds": seconds, "excess": excess, "tol": float(tol)}


def sgds(problem, most):
    """The best of schedules and rates, by one epoch in ten of what the seconds allow, given all."""
    base = {"loss": "log_loss", "alpha": 1 / len(problem.y), "random_state": 0}

    def run(epochs, settings):
        model = SGDClassifier(**base, **settings, max_iter=epochs)
        return timed(problem, lambda: model.fit(problem.X, problem.y))

    one, _ = run(1, {"eta0": 0.01, "learning_rate": "constant", "tol": None})
    epochs = max(2, math.floor(most / one))
    every = [{**schedule, "eta0": rate} for schedule in SCHEDULES for rate in RATES]
    best = min(every, key=lambda settings: run(max(1, epochs // 10), settings)[1])
    seconds, excess = run(epochs, best)
    return {"seconds": seconds, "excess": excess, "epochs at most": epochs, **best}


def main():
    most = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    found = {}
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, load in (("dense", linear.dense), ("sparse", linear.rare)):
            problem = load(False)
            ours = partial(linear.ours(problem, 1), linear.GOAL)
            rows = {"gdcore": dict(zip(("seconds", "excess"), timed(problem, ours), strict=True))}
            for peer, make in SKGLM.items():
                rows[peer] = skglms(problem, load(True), make, most)
                print(name, peer, rows[peer], flush=True)
            rows["SGDClassifier"] = sgds(problem, most)
            print(name, "SGDClassifier", rows["SGDClassifier"], flush=True)
            found[name] = rows
    report = {
        "what": "(J − J*)/J* that was reached and the seconds it took; 1e-6 is the goal",
        "problems": found,
        "versions": {name: version(name) for name in ("numpy", "scikit-learn", "skglm", "numba")},
    }
    if most >= 60:
        save(FOLDER, report, default=float)


if __name__ == "__main__":
    main()
