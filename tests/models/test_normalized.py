"""The streams' rule as an optimizer of a fit: passes over the rows in random order."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.data import Rows
from gdcore.models.family import LinearFamily
from gdcore.models.stream import stored
from gdcore.normalized import NormalizedAdaptive

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
KINDS = pytest.mark.parametrize("kind", [np.asarray, stored])
NATIVE = gd.backend()["csr_online_pass"] == "native"


def problem(classes=2, n=200, p=8, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(1, 1, (n, p)) * (rng.random((n, p)) < 0.2) * np.geomspace(1e-3, 1e3, p)
    z = (X / np.geomspace(1e-3, 1e3, p)) @ rng.normal(size=(p, classes))
    return X, (z + rng.gumbel(size=z.shape)).argmax(axis=1)


@KINDS
@pytest.mark.parametrize("classes", [2, 3])
def test_a_pass_is_the_stream_over_the_same_rows(kind, classes):
    X, y = problem(classes)
    order = np.random.default_rng(1).permutation(len(y))
    stream = gd.LogisticRegression().partial_fit(kind(X)[order], y[order], classes=range(classes))
    k = 1 if classes == 2 else classes
    loss = gd.losses.Softmax() if k > 1 else gd.losses.Logistic()
    model, theta = LinearFamily(loss, 8, k), np.zeros(9 * k)
    nothing = gd.penalties.Penalty(np.zeros(9 * k), np.zeros(9 * k))
    rows = Rows(kind(X), y.astype(float), np.ones(len(y)))
    kept = np.zeros((2 * k + 3, 9)), np.zeros(5)
    model.learn(theta, rows, nothing, order=order, kept=kept, rate=1.0)
    np.testing.assert_array_equal(theta[: 8 * k].reshape(k, 8), stream.coef_)
    np.testing.assert_array_equal(theta[8 * k :], stream.intercept_)


@KINDS
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize(
    ("loss", "l1_ratio"),
    [("logistic", 0.0), ("logistic", 0.5), ("softmax", 0.0), ("softmax", 1.0), ("squared", 0.5)],
)
def test_passes_come_near_a_proven_minimum(kind, loss, l1_ratio, standardize):
    """The penalty is that of the cost, on raw columns and on standardised ones."""
    X, y = problem(3 if loss == "softmax" else 2)
    X = X / np.geomspace(0.1, 10, 8) if standardize else X / np.geomspace(1e-3, 1e3, 8)
    model = gd.LogisticRegression
    if loss == "squared":
        model, y = gd.LinearRegression, X @ np.linspace(-1, 1, 8) + y
    given = {"alpha": 0.02, "l1_ratio": l1_ratio, "standardize": standardize}
    passes = 100 if NATIVE else 3
    fit = model(optimizer="normalized-adaptive", tol=1e-3, max_epochs=passes, **given)
    result = fit.fit(kind(X), y).result_
    best = model(tol=1e-8, **given).fit(X, y).result_.fun
    near = 0.003 if NATIVE else 0.2
    assert result.fun <= best * (1 + near)
    assert result.bound >= result.fun - best - 1e-8 * best
    assert len(result.trace) == result.nit + 1


@KINDS
@pytest.mark.parametrize("classes", [2, 3])
def test_a_warm_start_gives_the_bits_of_a_larger_budget(kind, classes):
    X, y = problem(classes)
    given = {"optimizer": "normalized-adaptive", "tol": 0, "l1_ratio": 0.5, "alpha": 0.01}
    whole = gd.LogisticRegression(max_epochs=7, **given).fit(kind(X), y)
    parts = gd.LogisticRegression(max_epochs=3, warm_start=True, **given).fit(kind(X), y)
    parts.set_params(max_epochs=4).fit(kind(X), y)
    assert parts.coef_.tobytes() == whole.coef_.tobytes()
    assert parts.intercept_.tobytes() == whole.intercept_.tobytes()
    np.testing.assert_array_equal(parts.trace_.cost, whole.trace_.cost)


@KINDS
def test_weights_early_stopping_and_columns_that_say_nothing(kind):
    X, y = problem()
    X[:, 3], X[:, 5] = 0, 4.0
    given = {"optimizer": NormalizedAdaptive(seed=3), "max_epochs": 20, "alpha": 0.01}
    model = gd.LogisticRegression(early_stopping=True, random_state=0, **given).fit(kind(X), y)
    assert model.coef_[0, [3, 5]].tolist() == [0, 0]
    assert np.isfinite(model.trace_.validation).all()
    some = np.random.default_rng(0).integers(0, 2, len(y))
    one, two = (gd.LogisticRegression(tol=0, **given) for _ in range(2))
    one.fit(kind(X), y, sample_weight=some)
    two.fit(kind(X)[some > 0], y[some > 0])
    assert one.coef_.tobytes() == two.coef_.tobytes()
    assert one.result_.fun == one.trace_.cost.min()


def test_it_says_what_it_cannot_do():
    X, y = problem()
    with pytest.raises(ValueError, match="visits one row at a time"):
        gd.LogisticRegression(optimizer="normalized-adaptive", batch_size=32).fit(X, y)
    with pytest.raises(TypeError, match="needs the rows of a sum"):
        NormalizedAdaptive().step(np.zeros(1), np.zeros(1), {}, 1.0)
    with pytest.raises(ValueError, match="needs seed to be a whole number"):
        NormalizedAdaptive(seed=-1)
    with pytest.raises(ValueError, match="needs lr > 0"):
        NormalizedAdaptive(0.0)

    def parts():
        yield X, y

    chunks = gd.chunks.checked(parts)
    with pytest.raises(ValueError, match="needs them in memory"):
        gd.LogisticRegression(optimizer="normalized-adaptive").fit(chunks)
