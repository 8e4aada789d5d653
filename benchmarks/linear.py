"""Linear models made for measuring: problems with an L2 penalty, their minima, and who solves them.

J(w, b) = mean log-loss + ½‖w‖²/n, the intercept unpenalised, is computed by one formula for all.
skglm and SGDClassifier take too long for a race, where they arrive: see `benchmarks/slow.py`.
"""

import gzip
import os
import warnings
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

import gdcore as gd

GOAL = 1e-6  # (J − J*)/J*
FASHION = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows in double and single precision, labels 0 and 1, the minimum of J, tolerances found."""

    X: object
    X32: object
    y: np.ndarray
    least: float
    found: dict = field(default_factory=dict)

    def excess(self, model):
        """(J − J*)/J* at a fitted model."""
        return cost(self.X, self.y, model) / self.least - 1


def cost(X, y, model):
    """J in double precision, of two classes or, by softmax, of more."""
    W = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64))
    z = X @ W.T + np.asarray(model.intercept_, dtype=np.float64)
    penalty = 0.5 * float((W * W).sum()) / len(y)
    if len(W) == 1:
        return float(np.logaddexp(0, z[:, 0]).mean() - y @ z[:, 0] / len(y)) + penalty
    top = z.max(axis=1)
    total = np.log(np.exp(z - top[:, None]).sum(axis=1)) + top
    return float((total - z[np.arange(len(y)), y.astype(int)]).mean()) + penalty


@cache
def dense(smoke):
    """300,000 × 54, columns of mean 0 and deviation 1, correlated through ten common causes."""
    n, p, causes = (2_000 if smoke else 300_000), 54, 10
    rng = np.random.default_rng(0)
    loadings = rng.normal(size=(causes, p)) * np.geomspace(3, 0.3, causes)[:, None]
    X = rng.standard_normal((n, causes)) @ loadings + rng.standard_normal((n, p))
    X -= X.mean(axis=0)
    X /= X.std(axis=0)
    return _problem(X, X @ rng.normal(size=p) / np.sqrt(causes) - 1, rng)


@cache
def rare(smoke):
    """CSR 100,000 × 50,000: 75 entries a row in columns drawn by Zipf's law, rows of length 1."""
    n, p, entries = (1_000, 500, 20) if smoke else (100_000, 50_000, 75)
    rng = np.random.default_rng(0)
    mass = np.cumsum(1 / np.arange(1, p + 1))
    indices = np.empty((n, entries), np.int32)
    for a in range(0, n, 5_000):
        drawn = np.searchsorted(mass, rng.uniform(0, mass[-1], (min(5_000, n - a), 8 * entries)))
        indices[a : a + 5_000] = _first_distinct(drawn, entries)
    data = rng.lognormal(0, 0.5, (n, entries)) * np.log(indices + 2.0)  # the rare ones say more
    data /= np.linalg.norm(data, axis=1, keepdims=True)
    starts = np.arange(0, n * entries + 1, entries, dtype=np.int32)
    X = sparse.csr_matrix((data.ravel(), indices.ravel(), starts), shape=(n, p))
    X.sort_indices()
    return _problem(X, X @ (4 * rng.normal(size=p)), rng)


def _first_distinct(drawn, count):
    """The first so many different numbers of each row."""
    order = np.argsort(drawn, axis=1, kind="stable")
    ranked = np.take_along_axis(drawn, order, axis=1)
    new, first = np.ones(drawn.shape, bool), np.empty(drawn.shape, bool)
    new[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    np.put_along_axis(first, order, new, axis=1)
    first &= np.cumsum(first, axis=1) <= count
    return drawn[first].reshape(len(drawn), count)


def _problem(X, z, rng):
    """With labels drawn at odds of eᶻ; J* by scikit-learn's Newton method, far beyond the goal."""
    y = (rng.logistic(size=len(z)) < z).astype(np.float64)
    with warnings.catch_warnings():  # it goes as far as rounding lets it, and complains of that
        warnings.simplefilter("ignore")
        best = LogisticRegression(solver="newton-cg", tol=1e-9, max_iter=100).fit(X, y)
    return Problem(X, X.astype(np.float32), y, cost(X, y, best))


def ours(problem, threads, single=False):
    """A fit to a tolerance."""
    X = problem.X32 if single else problem.X
    make = partial(
        gd.LogisticRegression, alpha=1 / len(problem.y), standardize=False, n_threads=threads
    )
    return lambda tol: make(tol=tol).fit(X, problem.y)


def theirs(problem, threads, **settings):
    make = partial(LogisticRegression, C=1.0, max_iter=100_000, random_state=0, **settings)
    return lambda tol: make(tol=tol).fit(problem.X, problem.y)


SOLVERS = {
    "gdcore": ours,
    "gdcore: float32": partial(ours, single=True),
    **{
        f"scikit-learn: {name}": partial(theirs, solver=name)
        for name in ("lbfgs", "newton-cholesky", "newton-cg", "sag", "saga")
    },
    # It penalises the intercept, too: as little as a column of tens makes it.
    "scikit-learn: liblinear": partial(theirs, solver="liblinear", intercept_scaling=10.0),
}


def to_the_goal(name, problem, threads):
    """A fit with the largest tolerance that reaches the goal; gdcore's is the goal itself."""
    run = SOLVERS[name](problem, threads)
    if name.startswith("gdcore"):
        tol = GOAL
        assert problem.excess(run(tol)) <= GOAL
    elif (name, threads) in problem.found:
        tol = problem.found[name, threads]
    else:
        tol = problem.found[name, threads] = loosest(run, problem)
    return partial(run, tol)


def loosest(run, problem):
    """The largest tolerance that reaches the goal, to a third of a decade."""
    for decade in range(1, 12):
        if problem.excess(run(10.0**-decade)) <= GOAL:
            break
    else:
        raise AssertionError(f"{run} did not reach {GOAL}")
    finer = (tol for tol in (5 * 10.0**-decade, 2 * 10.0**-decade))
    return next((tol for tol in finer if problem.excess(run(tol)) <= GOAL), 10.0**-decade)


def fashion(smoke):
    """Fashion-MNIST as Debian packages it: 70,000 × 784 in [0, 1], ten classes."""
    if not FASHION.is_dir():
        pytest.skip(f"{FASHION} is not there: apt install dataset-fashion-mnist")
    parts = [FASHION / f"{part}-{{}}-ubyte.gz" for part in ("train", "t10k")]
    X = np.concatenate([_idx(str(part).format("images-idx3"), 16) for part in parts])
    y = np.concatenate([_idx(str(part).format("labels-idx1"), 8) for part in parts])
    X, y = X.reshape(len(y), -1)[: _most(smoke)], y[: _most(smoke)]
    return X / 255.0, y.astype(np.float64)


def _idx(path, header):
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def _most(smoke):
    return 1_000 if smoke else 70_000


def pictures(smoke):
    """Made, of the same shape: thirty patterns, laid over each other in [0, 1], and ten classes."""
    n, p, classes = _most(smoke), 784, 10
    rng = np.random.default_rng(0)
    patterns = np.cumsum(rng.normal(size=(30, p)), axis=1) / np.sqrt(p)
    causes = rng.standard_normal((n, 30))
    X = causes @ patterns
    X += 0.1 * rng.standard_normal((n, p))
    np.divide(1, 1 + np.exp(-X), out=X)
    z = 2 * causes @ rng.normal(size=(30, classes)) / np.sqrt(30)
    return X, (z + rng.gumbel(size=z.shape)).argmax(axis=1).astype(np.float64)
