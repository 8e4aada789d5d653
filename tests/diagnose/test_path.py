"""The recorder of where a descent went."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.diagnose import path as recording
from gdcore.result import Result

Path = gd.plots.Path
DATA = gd.datasets.load_diabetes()


def valley(x):
    return 0.5 * (x[0] ** 2 + 10 * x[1] ** 2), np.array([x[0], 10 * x[1]])


class Valley(gd.cost.PlainCost):
    def value_and_gradient(self, theta, g):
        value, g[:] = valley(theta)
        return value


def test_every_point_of_minimize():
    seen, path = [], Path(start=[3.0, 1.0])
    gd.minimize(valley, [3.0, 1.0], method="sgd", callback=lambda x: seen.append(x))
    result = gd.minimize(valley, [3.0, 1.0], method="sgd", callback=path)
    assert np.array_equal(path.points, [[3.0, 1.0], *seen])
    assert path.steps.tolist() == list(range(result.nit + 1))
    assert np.isnan(path.costs[0])
    assert path.costs[1:].tolist() == result.trace.cost[1:].tolist()


def test_structures_are_flattened():
    path = Path(start={"a": [1.0, 2.0], "b": 3.0})
    gd.minimize(
        lambda x: (x["a"] @ x["a"] + x["b"] ** 2, {"a": 2 * x["a"], "b": 2 * x["b"]}),
        {"a": np.array([1.0, 2.0]), "b": np.array(3.0)}, callback=path, max_iter=3,
    )  # fmt: skip
    assert path.points.shape[1] == 3
    assert path.points[0].tolist() == [1, 2, 3]


def test_descend_tells_of_the_start_and_its_cost():
    path = Path()
    result = gd.descend(
        Valley(), np.array([3.0, 1.0]), gd.optim.SGD(0.05), learning_rate=0.05, max_epochs=9,
        callbacks=[path],
    )  # fmt: skip
    assert path.points[0].tolist() == [3.0, 1.0]
    assert path.costs.tolist() == result.trace.cost.tolist()
    assert np.array_equal(path.points[-1], result.x)
    assert np.array_equal(path.solution, result.x)
    # θ ← θ − η∇J has a closed form on a parabola
    factors = np.array([1 - 0.05, 1 - 0.5]) ** np.arange(10)[:, None]
    assert np.allclose(path.points, factors * [3.0, 1.0], rtol=1e-12)


def test_an_estimators_path_ends_in_its_coefficients_and_changes_nothing():
    path = Path()
    model = gd.LinearRegression(optimizer="fista", callbacks=[path]).fit(DATA.X, DATA.y)
    plain = gd.LinearRegression(optimizer="fista").fit(DATA.X, DATA.y)
    assert np.array_equal(model.coef_, plain.coef_)
    coef, intercept = path.cost.model.original(path.points[-1])
    assert np.allclose(coef, model.coef_)
    assert np.allclose(intercept, model.intercept_)
    assert path.steps[-1] == model.result_.nit


def test_batches_are_recorded_step_by_step_and_a_new_fit_starts_anew():
    path = Path(every=5)
    model = gd.LogisticRegression(batch_size=64, max_epochs=2, tol=0, random_state=0)
    model.set_params(callbacks=[path]).fit(DATA.X, DATA.y > 140)
    assert path.steps.tolist() == [0, 5, 10, 14]  # 7 batches an epoch
    first = path.points
    assert np.array_equal(model.fit(DATA.X, DATA.y > 140).callbacks[0].points, first)


def test_precision_is_that_of_the_descent():
    path = Path(every=4)
    model = gd.MLPRegressor(hidden_layer_sizes=(4,), max_epochs=2, tol=0, callbacks=[path])
    model.fit(DATA.X, DATA.y)
    assert path.points.dtype == np.float32


def test_rounded_corners_are_one_path():
    path = Path()
    model = gd.LinearRegression(loss=gd.losses.Quantile(0.9), optimizer="auto", callbacks=[path])
    model.fit(DATA.X, DATA.y)
    assert (np.diff(path.steps) > 0).all()
    assert len(path) == path.steps[-1] + 1


@pytest.mark.parametrize("steps", [9, 10, 11, 57, 300])
def test_memory_is_bounded_and_both_ends_are_there(steps):
    path = Path(every=2, limit=8, start=np.array([-1.0]))
    for t in range(1, steps + 1):
        path(Result(x=np.array([float(t)]), fun=float(-t), nit=t))
        assert len(path) <= 8
        assert path.points[-1] == t
    assert path.points[0] == -1
    assert len(path) >= 4
    gaps = np.diff(path.steps)[:-1]
    assert (gaps == gaps[0]).all()  # even, but for the latest
    assert path.costs[1:].tolist() == (-path.steps[1:]).tolist()


def test_large_points_are_fewer(monkeypatch):
    monkeypatch.setattr(recording, "MOST_BYTES", 8 * 100 * 6)
    path = Path()
    for t in range(1, 40):
        path(Result(x=np.full(100, float(t)), fun=0.0, nit=t))
    assert len(path) <= 6
    assert path.points[-1, 0] == 39


def test_restarts_begin_anew():
    path = Path(start=[2.0, 2.0])
    gd.minimize(valley, [2.0, 2.0], restarts=2, random_state=0, callback=path)
    assert path.steps[0] == 0
    assert (np.diff(path.steps) > 0).all()


@pytest.mark.parametrize(("bad", "what"), [({"every": 0}, "every"), ({"limit": 3}, "limit")])
def test_bad_arguments(bad, what):
    with pytest.raises(ValueError, match=what):
        Path(**bad)
    assert repr(Path()) == "Path(empty)"
