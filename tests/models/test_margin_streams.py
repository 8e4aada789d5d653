"""Streams of margins: one class against the rest, which may come up on the way."""

import itertools
import pickle

import numpy as np
import pytest

import gdcore as gd
from gdcore.datasets import load_digits
from gdcore.models.stream import stored

LOSS = pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])


def rows(k, n=200, p=6, seed=0):
    """Rows of columns of very different units, and k classes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    Z = X @ rng.normal(size=(p, k)) + 0.5
    return X * 10.0 ** np.linspace(-4, 4, p) + 3, Z.argmax(axis=1)


def same(one, other):
    pairs = [(getattr(m, n) for m in (one, other)) for n in ("coef_", "intercept_")]
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


@LOSS
@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("kind", [np.asarray, stored])
def test_one_call_and_many_give_the_same_bits(loss, k, kind):
    X, y = rows(k)
    given = {"loss": loss, "alpha": 1e-4, "class_weight": "balanced"}
    whole, parts, single = (gd.LinearClassifier(**given) for _ in range(3))
    whole.partial_fit(kind(X), y)
    for a, b in itertools.pairwise([0, 3, 50, 200]):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(kind(X)[a:b], y[a:b])))
    for i in range(200):
        single.learn_one(kind(X)[i : i + 1] if kind is stored else X[i], y[i])
    assert same(whole, parts)
    assert same(whole, single)
    assert whole.coef_.shape == (1 if k == 2 else k, 6)
    one = [whole.predict_one(x) for x in X]
    np.testing.assert_array_equal(one, whole.predict(X))
    assert not hasattr(whole, "predict_proba_one")


@LOSS
def test_each_class_learns_against_the_rest_as_if_alone(loss):
    X, y = rows(4)
    model = gd.LinearClassifier(loss=loss, alpha=1e-3).partial_fit(X, y, classes=range(4))
    for c in range(4):
        alone = gd.LinearClassifier(loss=loss, alpha=1e-3).partial_fit(X, y == c)
        np.testing.assert_array_equal(model.coef_[c], alone.coef_[0])
        np.testing.assert_array_equal(model.intercept_[c], alone.intercept_[0])


@LOSS
def test_classes_that_come_later(loss):
    X, y = rows(3, n=1000)
    model = gd.LinearClassifier(loss=loss).partial_fit(X[:9], np.full(9, 1))
    assert (model.predict(X) == 1).all()
    early = y[:500] < 2
    model.partial_fit(X[:500][early], y[:500][early])
    before = model.decision_function(X)
    model.partial_fit(X[:1], [0], classes=[0, 1, 2], sample_weight=[1e-12])
    after = model.decision_function(X)
    np.testing.assert_allclose(after[:, 1], before, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(after[:, 0], -before, rtol=1e-6, atol=1e-6)
    assert (after[:, 2] == -1).mean() > 0.99
    model.partial_fit(X[500:], y[500:])
    assert model.score(X[500:], y[500:]) > 0.75


@LOSS
def test_it_goes_on_from_a_fit_which_begins_anew(loss):
    data = load_digits()
    some = data.y < 4
    X, y = data.X[some], data.y[some]
    model = gd.LinearClassifier(loss=loss, alpha=1e-2, tol=1e-2)
    fitted = model.fit(X[:400], y[:400]).coef_.copy()
    before = model.score(X[600:], y[600:])
    model.partial_fit(X[400:600], y[400:600])
    assert not hasattr(model, "results_")
    assert model.score(X[600:], y[600:]) > before - 0.03
    np.testing.assert_array_equal(model.fit(X[:400], y[:400]).coef_, fitted)


def test_losses_of_your_own_have_no_stream():
    class Own:
        def value(self, z, y):
            return z[:, 0]

        def slope(self, z, y):
            return np.ones_like(z)

    X, y = rows(2)
    with pytest.raises(ValueError, match="A stream takes the losses"):
        gd.LinearClassifier(loss=Own()).partial_fit(X, y)
