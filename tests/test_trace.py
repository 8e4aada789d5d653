"""What the trace holds beside the cost, and in which forms it comes."""

import json
import math

import numpy as np
import pytest

import gdcore as gd
from gdcore.trace import CLOSELY, COLUMNS, EVERY, Trace


def valley(x):
    return 0.5 * (x[0] ** 2 + 100 * x[1] ** 2), np.array([x[0], 100 * x[1]])


@pytest.fixture(scope="module")
def descent():
    """Plain steps in the valley, with the points they were at."""
    points = []

    def seen(x):
        points.append(x.copy())
        return valley(x)

    result = gd.minimize(seen, [1.0, 1.0], method=gd.optim.SGD(0.015), max_iter=100)
    return result.trace, np.array(points)[: len(result.trace)]


def test_what_two_steps_say_of_the_cost_between_them(descent):
    trace, points = descent
    slopes = points * (1, 100)
    for t in (1, 2, CLOSELY - 1):
        dx, dg = points[t] - points[t - 1], slopes[t] - slopes[t - 1]
        assert trace.step_norm[t] == pytest.approx(np.linalg.norm(dx))
        assert trace.gradient_dot[t] == pytest.approx(slopes[t] @ slopes[t - 1])
        sizes = np.linalg.norm(slopes[t]) * np.linalg.norm(slopes[t - 1])
        assert trace.cosine[t] == pytest.approx(slopes[t] @ slopes[t - 1] / sizes)
        assert trace.curvature[t] == pytest.approx(np.linalg.norm(dg) / np.linalg.norm(dx))


def test_the_promise_is_exact_on_a_parabola(descent):
    """The trapezoid rule of a slope that is linear."""
    trace, _ = descent
    told = np.flatnonzero(np.isfinite(trace.promised))
    change = trace.cost[told] - trace.cost[told - 1]
    np.testing.assert_allclose(trace.promised[told], change, rtol=1e-9, atol=1e-12 * trace.cost[0])


def test_the_curvature_is_between_those_of_the_axes(descent):
    met = descent[0].curvature
    met = met[np.isfinite(met)]
    assert met.min() >= 1 - 1e-9
    assert met.max() <= 100 + 1e-9
    assert met[0] == pytest.approx(100, rel=1e-3)  # the steep axis dies first


def test_later_rows_are_compared_now_and_then(descent):
    told = np.isfinite(descent[0].cosine)
    assert not told[0]
    assert told[1:CLOSELY].all()
    later = np.flatnonzero(told[CLOSELY:]) + CLOSELY
    assert set(later % EVERY) == {1}
    assert len(later) == len(range(CLOSELY + 1, len(told), EVERY))


def test_lasso_and_noise_promise_nothing():
    X = np.random.default_rng(0).normal(size=(50, 3))
    lasso = gd.LinearRegression(optimizer="fista", l1_ratio=1.0, alpha=0.1).fit(X, X[:, 0])
    assert np.isnan(lasso.trace_.promised).all()
    assert np.isfinite(lasso.trace_.curvature[1:]).any()

    def rough(x, rng):
        return x @ x + rng.normal(), 2 * x + rng.normal(size=2)

    noisy = gd.minimize(rough, [1.0, 1.0], rng=0, max_iter=20).trace
    assert np.isnan(noisy.promised).all()
    assert np.isfinite(noisy.step_norm[1:]).all()


def test_scores_of_held_out_rows_are_those_of_the_model():
    data = gd.datasets.load_breast_cancer()
    seen = []
    model = gd.LogisticRegression(
        optimizer="sgd", batch_size=32, early_stopping=5, max_epochs=10, random_state=0,
        callbacks=lambda moment: seen.append(moment.score),
    )  # fmt: skip
    trace = model.set_params(tol=0).fit(data.X, data.y).trace_
    assert np.isfinite(trace.score).all()
    assert trace.score.tolist() == seen
    assert trace.score[0] < trace.score[-1] <= 1
    wide = gd.MLPRegressor(
        hidden_layer_sizes=(8,), early_stopping=9, max_epochs=300, random_state=0
    )
    diabetes = gd.datasets.load_diabetes()
    scores = wide.fit(diabetes.X, diabetes.y).trace_.score
    assert scores[0] < 0.1 < np.nanmax(scores) < 1


@pytest.mark.parametrize("loss", ["logistic", "softmax", "squared", "poisson"])
def test_scores_are_scikit_learns(loss):
    from sklearn.metrics import accuracy_score, r2_score

    from gdcore.scores import score_of

    rng = np.random.default_rng(1)
    weights = rng.uniform(size=60)
    if loss in ("logistic", "softmax"):
        k = 1 if loss == "logistic" else 3
        z, y = rng.normal(size=(60, k)), rng.integers(0, max(k, 2), 60)
        labels = z.argmax(axis=1) if k > 1 else (z[:, 0] > 0).astype(int)
        kind = gd.losses.Softmax() if k > 1 else gd.losses.Logistic()
        expected = accuracy_score(y, labels, sample_weight=weights)
    else:
        z, y = rng.normal(size=(60, 1)), rng.uniform(1, 3, 60)
        kind = gd.losses.Squared() if loss == "squared" else gd.losses.Poisson()
        expected = r2_score(y, kind.mean(z), sample_weight=weights)
    assert score_of(kind, z, y, weights) == pytest.approx(expected, rel=1e-12)


def test_frames_and_json(descent, tmp_path):
    pytest.importorskip("polars")
    trace, _ = descent
    frame, other = trace.to_pandas(), trace.to_polars()
    assert list(frame.columns) == other.columns == list(COLUMNS)
    np.testing.assert_array_equal(frame["cost"], trace.cost)
    np.testing.assert_array_equal(other["cost"], trace.cost)
    text = trace.to_json(tmp_path / "trace.json")
    found = json.loads((tmp_path / "trace.json").read_text())
    assert found == json.loads(text)
    assert found["cost"] == trace.cost.tolist()
    assert found["validation"] == [None] * len(trace)


def test_what_is_missing_is_named(descent, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    with pytest.raises(ImportError, match=r"to_polars needs polars\. Install it"):
        descent[0].to_polars()


def test_memory_is_bounded():
    trace = Trace(limit=100)
    for step in range(10_000):
        trace.add(step=step, cost=1.0)
    assert len(trace) <= 100
    assert trace.step[0] == 0
    assert trace.step[-1] == 9_999
    assert math.isnan(trace.validation[-1])


def test_thinning_keeps_the_rows_that_were_compared():
    trace = Trace(limit=100)
    for step in range(1000):
        trace.add(step=step, cost=1.0, cosine=0.5 if step % 16 == 1 else math.nan)
    told = trace.step[np.isfinite(trace.cosine)]
    assert set(told[told > 800]) == set(range(801, 1000, 16))
    assert trace.step[0] == 0
    assert trace.step[-1] == 999


def test_a_trace_that_is_looked_at_goes_on():
    trace, looked = Trace(), []
    for step in range(300):
        trace.add(step=step)
        looked.append(trace.step[-1])
    assert looked == list(range(300))


def test_several_targets_have_the_mean_score_of_all():
    from sklearn.metrics import r2_score

    from gdcore.scores import score_of

    rng = np.random.default_rng(0)
    z, y, weights = rng.normal(size=(40, 2)), rng.normal(size=(40, 2)), rng.uniform(size=40)
    expected = r2_score(y, z, sample_weight=weights)
    assert score_of(gd.losses.Squared(), z, y, weights) == pytest.approx(expected)
    data = gd.datasets.load_diabetes()
    both = np.c_[data.y, data.y**2]
    model = gd.MLPRegressor(early_stopping=3, max_epochs=200, random_state=0).fit(data.X, both)
    assert np.nanmax(model.trace_.score) > 0.1


def test_layers_in_the_same_forms(tmp_path):
    data = gd.datasets.load_digits()
    model = gd.MLPClassifier(hidden_layer_sizes=(8,), max_epochs=3, tol=0, random_state=0)
    layers = model.fit(data.X, data.y).trace_.layers
    frame = layers.to_pandas()
    assert list(frame.columns)[:3] == ["step", "weight 0.weight", "weight 1.weight"]
    np.testing.assert_array_equal(frame["gradient 1.weight"], layers.gradient[:, 1])
    assert json.loads(layers.to_json(tmp_path / "layers.json"))["step"] == layers.step.tolist()
    with pytest.raises(FileNotFoundError, match="Make it first"):
        layers.to_json(tmp_path / "no" / "layers.json")


def test_streams_are_traced_a_row_a_call():
    """Each row's cost is that of rows that were not learnt yet, by the weights before."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 4))
    y = X @ [1.0, 2.0, 3.0, 4.0]
    model = gd.LinearRegression()
    for a in range(0, 600, 60):
        known = model.predict(X[a : a + 60]) if a else np.zeros(60)
        model.partial_fit(X[a : a + 60], y[a : a + 60])
        latest = model.trace_.cost[-1]
        assert latest <= 0.5 * np.mean((known - y[a : a + 60]) ** 2) * 1.01
    trace = model.trace_
    assert trace.examples.tolist() == list(range(60, 601, 60))
    assert trace.cost[-1] < 0.01 * trace.cost[0]
    assert (np.diff(trace.seconds) > 0).all()
    model.fit(X, y)
    assert len(model.trace_) < 60
    assert model.trace_.step[0] == 0


def test_streams_of_classes_and_networks_too():
    data = gd.datasets.load_digits()
    for kind in (gd.LogisticRegression, gd.LinearClassifier, gd.MLPClassifier):
        model = kind()
        for _ in range(3):
            model.partial_fit(data.X, data.y, classes=np.arange(10))
        assert len(model.trace_) == 3
        assert model.trace_.cost[2] < model.trace_.cost[0]
        assert model.trace_.examples[-1] == 3 * len(data.X)
