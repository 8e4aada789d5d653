"""Logistic regression made for measuring: examples, gdcore's cost on them, the plain formulas."""

import numpy as np

import gdcore as gd
from gdcore.data import Rows
from gdcore.models.family import LinearFamily


def examples(n, p, dtype=np.float64):
    """X (n, p) of standard normal numbers and labels y (n,), float64; no copy of X on the way."""
    rng = np.random.default_rng(0)
    X, y, w = np.empty((n, p), dtype), np.empty(n), rng.standard_normal(p) / np.sqrt(p)
    step = max(1, (1 << 20) // p)
    for a in range(0, n, step):
        rows = X[a : a + step]
        rng.standard_normal(dtype=dtype, out=rows)
        y[a : a + step] = rows @ w.astype(dtype) + rng.logistic(size=len(rows)) > 0
    return X, y


def cost_of(X, y, ridge=0.0, threads=1):
    """gdcore's J(θ), θ the coefficients and then the intercept, which is not penalised."""
    p = X.shape[1]
    weights = np.full(p + 1, ridge)
    weights[p] = 0
    rows = Rows(X, y, np.ones(len(X)))
    penalty = gd.penalties.Penalty(weights, np.zeros(p + 1))
    return gd.Cost(LinearFamily(gd.losses.Logistic(), p), rows, penalty, threads)


def numpy_cost(X, y, w):
    """Mean log-loss and gradient as one would write them: stable, exp taken once."""
    p = X.shape[1]
    z = X @ w[:p] + w[p]
    e = np.exp(-np.abs(z))
    loss = np.maximum(z, 0).sum() + np.log1p(e).sum() - y @ z
    r = np.where(z > 0, 1, e) / (1 + e) - y
    return float(loss) / len(X), np.append(X.T @ r, r.sum()) / len(X)
