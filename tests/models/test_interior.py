"""The interior-point method of losses with a corner: its floor, its steps, its way out."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.datasets import load_breast_cancer, load_diabetes
from gdcore.interior import InteriorPoint

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")


def hinge(n=400, p=6, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * np.geomspace(1e-3, 1e3, p)
    X[:, 1] = 7  # says nothing
    y = (X[:, 0] * 1e3 + X[:, 2] + rng.normal(size=n) > 1).astype(int)
    return gd.LinearClassifier, X, y


def quantile(n=400, p=6, seed=0):
    _, X, _ = hinge(n, p, seed)
    y = X[:, 0] * 1e3 + np.random.default_rng(seed + 1).standard_t(2, n)
    return gd.LinearRegression, X, y


@pytest.mark.parametrize("make", [hinge, quantile])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_bound_holds_at_every_step(make, fit_intercept, weighted):
    kind, X, y = make()
    settings = {"alpha": 0.01, "fit_intercept": fit_intercept, "n_threads": 1}
    if make is quantile:
        settings["loss"] = gd.losses.Quantile(q=0.8)
    weights = np.random.default_rng(2).uniform(0, 2, len(y)) if weighted else None
    fit = [kind(max_epochs=t, **settings).fit(X, y, weights).result_ for t in range(1, 14)]
    best = kind(tol=1e-12, **settings).fit(X, y, weights).result_
    assert isinstance(best.optimizer, InteriorPoint) or best.bound < 1e-9 * best.fun
    for result in fit:
        assert result.fun - result.bound <= best.fun * (1 + 1e-12)
    assert fit[-1].bound < 1e-2 * fit[-1].fun


@pytest.mark.parametrize("make", [hinge, quantile])
def test_few_steps_whatever_the_data(make):
    for seed, n, p in ((0, 30, 60), (1, 300, 5), (2, 2000, 30)):
        kind, X, y = make(n, p, seed)
        loss = {"loss": "quantile"} if make is quantile else {}
        result = kind(**loss).fit(X, y).result_
        assert result.choice.startswith("an interior-point method")
        assert result.status is gd.Status.CERTIFIED
        assert result.nit <= 40


def test_real_data_and_threads():
    data, sick = load_breast_cancer(), load_diabetes()
    X, y = np.tile(data.X, (8, 1)), np.tile(data.y, 8)
    one, two = (gd.LinearClassifier(n_threads=k).fit(X, y) for k in (1, 2))
    assert one.coef_.tobytes() == two.coef_.tobytes()
    assert one.result_.nit < 40
    for q in (0.1, 0.5, 0.9):
        model = gd.LinearRegression(loss=gd.losses.Quantile(q=q), alpha=1e-3).fit(sick.X, sick.y)
        assert model.result_.status is gd.Status.CERTIFIED
        assert np.mean(sick.y <= model.predict(sick.X)) == pytest.approx(q, abs=0.04)


def test_where_it_ends_at_rounding_the_rounded_corner_goes_on():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 8))
    X = np.c_[X, X[:, 0]]
    model = gd.LinearRegression(loss="quantile").fit(X, 1e-6 * X[:, 1])  # nearly nothing is left
    assert model.result_.fun < 1e-13
    assert len(model.trace_.cost) == model.result_.nit + 1 or model.result_.nit > 80


def test_single_precision_is_left_to_the_rounded_corner():
    kind, X, y = hinge()
    assert "interior" not in kind().fit(X.astype(np.float32), y).result_.choice


def test_it_says_what_it_is_for():
    with pytest.raises(TypeError, match="needs the rows of a sum"):
        InteriorPoint().step(np.zeros(1), np.zeros(1), {}, 1.0)
    with pytest.raises(TypeError, match="hinge and quantile"):
        gd.LogisticRegression(optimizer=InteriorPoint()).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match="needs lr > 0"):
        InteriorPoint(0.0)


@pytest.mark.parametrize("classify", [True, False])
def test_nearly_collinear_columns_without_a_penalty_prove_nothing(classify):
    rng = np.random.default_rng(0)
    x, e = rng.normal(size=(2, 2000))
    X = np.c_[x, x + 1e-13 * e]
    d = (X[:, 1] - x) / 1e-13  # along which J falls much further
    if classify:
        y = (x + d + rng.logistic(size=2000) > 0).astype(int)
        result = gd.LogisticRegression(alpha=0, tol=1e-2).fit(X, y).result_
    else:
        y = d + 0.01 * rng.normal(size=2000)
        result = gd.LinearRegression(alpha=0, optimizer="closed-form").fit(X, y).result_
    assert result.bound > 0.05 * result.fun


def test_what_is_proven_is_a_success():
    rng = np.random.default_rng(102)
    X = np.where(rng.random((200, 6)) < 0.8, 0, rng.normal(size=(200, 6)))
    X[:, 5] += 3
    y = (X @ rng.normal(size=6) + 0.5 * rng.normal(size=200) > 0).astype(int)
    result = gd.LinearClassifier(alpha=0.05, l1_ratio=1.0, tol=1e-4).fit(X, y).result_
    assert result.bound <= 1e-4 * result.fun
    assert result.success
    assert "CERTIFIED" in result.status.name
