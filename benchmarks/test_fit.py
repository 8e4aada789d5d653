"""A whole fit of logistic regression to one gradient norm, on real data, columns standardised."""

from functools import partial

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import gdcore as gd
from benchmarks.group import Group, each
from benchmarks.replay import clock

GOAL = 1e-5  # ‖∇J‖, J = mean loss + ½·alpha·‖W‖²
TOLERANCES = 10.0 ** np.arange(-3, -10.25, -0.25)


def gradient_norm(model, X, y, alpha):
    """‖∇J‖ at a fitted model, by the formula."""
    z = X @ model.coef_.T + model.intercept_
    if z.shape[1] == 1:
        r = 1 / (1 + np.exp(-z)) - y[:, None]
    else:
        e = np.exp(z - z.max(axis=1, keepdims=True))
        r = e / e.sum(axis=1, keepdims=True) - np.eye(z.shape[1])[y]
    slopes = r.T @ X / len(X) + alpha * model.coef_
    return np.hypot(np.linalg.norm(slopes), np.linalg.norm(r.mean(axis=0)))


def loosest(make, X, y, alpha):
    """A fit with the largest tolerance that reaches the goal: each counts its gradient its way."""
    for tolerance in TOLERANCES:
        model = make(tol=tolerance)
        if gradient_norm(model.fit(X, y), X, y, alpha) <= GOAL:
            return lambda: model.fit(X, y)
    raise AssertionError(f"{model} did not reach {GOAL}")


def build(setting, load):
    X, y = load(return_X_y=True)
    X, alpha = StandardScaler().fit_transform(X), 1 / len(X)
    ours = partial(
        gd.LogisticRegression, alpha=alpha, standardize=False, batch_size="full",
        max_epochs=100_000, n_threads=setting.threads,
    )  # fmt: skip
    theirs = partial(LogisticRegression, C=1 / (alpha * len(X)), max_iter=100_000)
    return {
        "gdcore": loosest(ours, X, y, alpha),
        "scikit-learn: lbfgs": loosest(theirs, X, y, alpha),
        "scikit-learn: newton-cholesky": loosest(
            partial(theirs, solver="newton-cholesky"), X, y, alpha
        ),
    }


CONTENDERS = ("gdcore", "scikit-learn: lbfgs", "scikit-learn: newton-cholesky")
LABEL = "logistic regression to ‖∇J‖ ≤ 1e-5, {}"
GROUPS = {
    "breast-cancer": Group(
        LABEL.format("569 × 30"), partial(build, load=load_breast_cancer), CONTENDERS
    ),
    "digits": Group(
        LABEL.format("1,797 × 64, 10 classes"), partial(build, load=load_digits), CONTENDERS
    ),
}


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_fit(contend, group, contender):
    contend(GROUPS[group], contender)
