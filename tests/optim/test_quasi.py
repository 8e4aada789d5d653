"""L-BFGS and AdGD beyond the contract of all rules."""

import math

import numpy as np
import pytest

import gdcore as gd
from tests.problems import PROBLEMS


def adgd(gradient, x, steps, initial):
    """The points of Malitsky & Mishchenko's algorithm 1, written out."""
    pace, growth, points = initial, math.inf, []
    last = g = None
    for _ in range(steps):
        before, g = g, gradient(x)
        if before is not None:
            near = np.linalg.norm(x - last) / (2 * np.linalg.norm(g - before))
            new = min(math.sqrt(1 + growth) * pace, near)
            growth, pace = new / pace, new
        last, x = x, x - pace * g
        points.append(x)
    return points


def test_adgd_is_its_algorithm():
    def gradient(x):
        return np.array([x[0] ** 3 + x[0], 10 * x[1] + np.sin(x[1])])

    rule, theta = gd.optim.AdGD(initial=1e-4), np.array([2.0, -1.0])
    state = rule.init(theta)
    expected = adgd(gradient, theta.copy(), 50, 1e-4)
    for point in expected:
        rule.step(theta, gradient(theta), state, rule.lr)
        np.testing.assert_allclose(theta, point, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("curvature", [1e-6, 1e-2, 1.0, 1e3, 1e6])
def test_adgd_needs_no_rate(curvature):
    bend = curvature * np.geomspace(0.1, 1, 5)
    result = gd.minimize(
        lambda x: (0.5 * float(bend @ x**2), bend * x), np.ones(5), method="adgd", max_iter=500,
        gtol=1e-6 * curvature,
    )  # fmt: skip
    assert result.success
    assert np.abs(result.x).max() < 1e-4


def test_adgd_stays_where_nothing_changes():
    rule, theta = gd.optim.AdGD(), np.ones(3)
    state = rule.init(theta)
    for _ in range(50):
        rule.step(theta, np.zeros(3), state, 1.0)
    assert (theta == 1).all()
    assert np.isfinite(state["pace"][0])


@pytest.mark.parametrize("memory", [1, 3, 10, 40])
def test_lbfgs_with_little_memory_and_much(memory):
    fun, x0 = PROBLEMS["Rosenbrock 10"]
    result = gd.minimize(fun, x0, method=gd.optim.LBFGS(memory=memory))
    assert result.success
    np.testing.assert_allclose(result.x, 1, atol=1e-3)


def test_lbfgs_without_search_descends_on_a_quadratic_as_newton_would():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 5))
    H = root @ root.T + np.eye(5)
    rule, theta = gd.optim.LBFGS(memory=10), rng.normal(size=5)
    state = rule.init(theta)
    for _ in range(40):
        rule.step(theta, H @ theta, state, 1.0)
    assert np.abs(theta).max() < 1e-8


def test_lbfgs_keeps_no_pair_of_negative_curvature():
    rule, theta = gd.optim.LBFGS(), np.array([1.0, 0.5])
    state = rule.init(theta)
    for _ in range(5):
        rule.step(theta, np.array([1.0, -1.0]) * theta, state, 0.1)
        S, Y = state["S"], state["Y"]
        rows = np.flatnonzero(state["rho"])
        assert ((S[rows] * Y[rows]).sum(axis=1) > 0).all()


def test_lbfgs_trains_a_model_where_the_loop_searches():
    data = gd.datasets.load_breast_cancer()
    model = gd.LogisticRegression(optimizer="lbfgs", tol=1e-12).fit(data.X, data.y)
    fista = gd.LogisticRegression(optimizer="fista", tol=1e-12).fit(data.X, data.y)
    assert model.result_.success
    np.testing.assert_allclose(model.coef_, fista.coef_, rtol=1e-2, atol=1e-4)
    assert model.result_.nfev < fista.result_.nfev
