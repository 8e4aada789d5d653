"""Streams over sparse rows: not centred, penalties that wait, to the bits of one call."""

import copy
import itertools
import pickle

import numpy as np
import pytest

import gdcore as gd
from gdcore.models.stream import stored

KINDS = pytest.mark.parametrize("k", [1, 2, 3])
PENALTY = pytest.mark.parametrize("alpha", ["auto", 1e-3])


def problem(k, n=120, p=40, seed=0):
    """(estimator's kind, sparse rows, the same densely, targets); one column is used by few."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * (rng.random((n, p)) < 0.2) * 10.0 ** np.linspace(-3, 3, p)
    z = (X / 10.0 ** np.linspace(-3, 3, p)) @ np.linspace(-2, 2, p)
    y = z if k == 1 else np.digitize(z, [[0], [-1, 1]][k - 2])
    return (gd.LinearRegression if k == 1 else gd.LogisticRegression), stored(X), X, y


def same(one, other):
    pairs = [(getattr(m, n) for m in (one, other)) for n in ("coef_", "intercept_")]
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


@KINDS
@PENALTY
def test_one_call_many_calls_pickles_and_single_rows_give_the_same_bits(k, alpha):
    kind, X, dense, y = problem(k)
    given = {"alpha": alpha, "l1_ratio": 0.5}
    whole, parts, single, mixed = (kind(**given) for _ in range(4))
    whole.partial_fit(X, y)
    for a, b in itertools.pairwise([0, 1, 7, 50, 120]):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X[a:b], y[a:b])))
        assert parts.coef_.shape[-1] == 40  # to be looked at changes nothing
        parts = copy.deepcopy(parts)
    for i in range(120):
        assert single.learn_one(X[i : i + 1], y[i]) is single
        assert len(np.atleast_1d(single.coef_)) == max(1, len(single.coef_))
    mixed.partial_fit(X[:1], y[:1])  # dense rows in a stream that does not centre
    mixed.learn_one(dense[1], y[1]).partial_fit(dense[2:], y[2:])
    assert same(whole, parts)
    assert same(whole, single)
    assert same(whole, mixed)
    np.testing.assert_allclose(whole.predict(X), whole.predict(dense), rtol=1e-9)
    assert [whole.predict_one(X[i : i + 1]) for i in (3, 5)] == pytest.approx(
        [whole.predict_one(dense[i]) for i in (3, 5)], rel=1e-9
    )
    assert whole.score(X, y) > (0.7 if k > 1 else 0.5)


@KINDS
def test_a_penalty_counts_from_when_it_was_set(k):
    """A column that no later row holds: the strong penalty empties it, the one before it had not
    been asked for, and what was due under a weak one is not done under the strong."""
    kind, X, _, y = problem(k)
    light = kind().partial_fit(X, y)
    kept = light.coef_.copy()
    light.set_params(alpha=1e-9, l1_ratio=1.0).partial_fit(X[:1], y[:1])
    other = np.setdiff1d(np.arange(40), X[:1].indices)
    np.testing.assert_allclose(light.coef_[..., other], kept[..., other], rtol=1e-4)
    light.set_params(alpha=1e9).partial_fit(X[:1], y[:1])
    np.testing.assert_array_equal(light.coef_, 0)
    assert np.any(light.intercept_ != 0)


@KINDS
def test_what_kind_of_stream_it_is_stays(k):
    kind, X, dense, y = problem(k)
    sparse, centred = kind().partial_fit(X, y), kind().partial_fit(dense, y)
    assert not np.allclose(sparse.coef_, centred.coef_)
    written = kind().partial_fit(dense[:10], y[:10]).partial_fit(X[10:], y[10:])
    np.testing.assert_allclose(written.coef_, centred.coef_, rtol=1e-9)


@KINDS
@PENALTY
def test_a_bad_example_and_a_row_without_weight_change_nothing(k, alpha):
    kind, X, _, y = problem(k)
    some = np.random.default_rng(0).integers(0, 2, 120)
    used = some > 0
    one = kind(alpha=alpha).partial_fit(X, y, sample_weight=some)
    assert same(one, kind(alpha=alpha).partial_fit(X[used], y[used]))
    model = kind(alpha=alpha, l1_ratio=0.5).partial_fit(X, y)
    kept = pickle.dumps((model._stream.state, model._stream.clock, model.coef_))
    wide = gd.CSR([1.0], [40], [0, 1], (1, 41))
    with pytest.raises(ValueError, match="has 41 features"):
        model.learn_one(wide, y[0])
    with pytest.raises(ValueError, match="x must be one example, got 2"):
        model.learn_one(X[:2], y[0])
    with pytest.raises((ValueError, TypeError), match=r"y|target|label"):
        model.learn_one(X[:1], np.nan)
    assert kept == pickle.dumps((model._stream.state, model._stream.clock, model.coef_))


@pytest.mark.parametrize("alpha", ["auto", 0.05])
def test_a_class_that_comes_later_finds_the_penalties_done(alpha):
    """Announced or met on the way, in one call or in two: the bits are the same."""
    _, X, _, y = problem(3)
    first = np.flatnonzero(y < 2)[:30]
    X, y = X[np.append(first, np.arange(120))], np.append(y[first], y)
    one, two = (gd.LogisticRegression(alpha=alpha, l1_ratio=0.5) for _ in range(2))
    one.partial_fit(X, y)
    two.partial_fit(X[:30], y[:30]).partial_fit(X[30:31], y[30:31])
    assert two.classes_.tolist() == [0, 1] or len(two.classes_) == 3
    two.partial_fit(X[31:], y[31:])
    assert same(one, two)
    assert one.classes_.tolist() == [0, 1, 2]


def test_it_goes_on_from_a_fit_and_hashed_names_are_learnt():
    rng = np.random.default_rng(0)
    names = [{f"w{i}": 1 for i in rng.integers(0, 50, 5)} for _ in range(600)]
    y = np.array([int(any(int(name[1:]) < 5 for name in row)) for row in names])
    X = gd.hash_features(names, 2**18)
    model = gd.LogisticRegression(alpha=1e-2).partial_fit(X[:400], y[:400])
    assert model.score(X[400:], y[400:]) > 0.85
    assert model._stream.state.shape == (4, 2**18 + 1)
    small = gd.hash_features(names, 2**10)
    fitted = gd.LogisticRegression(alpha=1e-2).fit(small[:400], y[:400])
    before = fitted.score(small[400:], y[400:])
    assert fitted.partial_fit(small[:400], y[:400]).score(small[400:], y[400:]) >= before - 0.02
