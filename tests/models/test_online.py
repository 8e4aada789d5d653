"""Streams of linear models: one example or many, new classes, what was fitted before, bad input."""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gdcore as gd
from gdcore.datasets import load_breast_cancer, load_diabetes, load_digits

KINDS = pytest.mark.parametrize("kind", [gd.LinearRegression, gd.LogisticRegression])


def rows(kind, n=200, p=6, k=2, seed=0):
    """Rows of columns of very different units, and targets."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    z = X @ np.linspace(-2, 2, p) + 0.5
    y = z if kind is gd.LinearRegression else np.digitize(z, [[0], [-2, 2]][k - 2])
    return X * 10.0 ** np.linspace(-4, 4, p) + 3, y


def weights(model):
    return model._stream.state.copy()


def same(one, other):
    names = ("coef_", "intercept_")
    return all(getattr(one, n).tobytes() == getattr(other, n).tobytes() for n in names)


@KINDS
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 59), max_size=5), k=st.integers(2, 3))
def test_examples_in_one_call_or_in_many_give_the_same_bits(kind, cuts, k):
    X, y = rows(kind, n=60, k=k)
    whole, parts, single = kind(), kind(), kind()
    whole.partial_fit(X, y)
    edges = sorted({0, 60, *cuts})
    for a, b in itertools.pairwise(edges):
        parts.partial_fit(X[a:b], y[a:b])
        parts = pickle.loads(pickle.dumps(parts))
    for x, target in zip(X, y, strict=True):
        assert single.learn_one(x, target) is single
    assert same(whole, parts)
    assert same(whole, single)


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 3.0, 1: 0.5}])
def test_class_weights_in_a_stream(class_weight):
    X, y = rows(gd.LogisticRegression, n=300)
    whole, single = (gd.LogisticRegression(class_weight=class_weight) for _ in range(2))
    whole.partial_fit(X, y)
    for x, label in zip(X, y, strict=True):
        single.learn_one(x, label)
    assert same(whole, single)
    if isinstance(class_weight, dict):
        factors = np.where(y == 0, 3.0, 0.5)
        assert same(whole, gd.LogisticRegression().partial_fit(X, y, sample_weight=factors))


def test_the_running_balance():
    """Of labels a, b, a: total 1, 2, 3 over twice the class's own 1, 1, 2."""
    X, y = rows(gd.LogisticRegression, n=3)
    y = np.array([0, 1, 0])
    balanced = gd.LogisticRegression(class_weight="balanced").partial_fit(X, y)
    by_hand = gd.LogisticRegression().partial_fit(X, y, sample_weight=[0.5, 1.0, 0.75])
    assert same(balanced, by_hand)


def test_the_running_balance_has_the_same_bits_call_by_call():
    X, y = rows(gd.LogisticRegression, n=60, k=3)
    weight = np.random.default_rng(0).random(60)
    whole, parts = (gd.LogisticRegression(class_weight="balanced") for _ in range(2))
    whole.partial_fit(X, y, sample_weight=weight)
    for a, b in ((0, 7), (7, 8), (8, 60)):
        parts.partial_fit(X[a:b], y[a:b], sample_weight=weight[a:b])
    assert same(whole, parts)


def test_a_class_that_is_rare_is_found_when_balanced():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 3))
    y = (X[:, 0] + 0.5 * rng.normal(size=4000) > 2).astype(int)
    plain = gd.LogisticRegression().partial_fit(X, y)
    balanced = gd.LogisticRegression(class_weight="balanced").partial_fit(X, y)
    found = [(model.predict(X[y == 1]) == 1).mean() for model in (plain, balanced)]
    assert found[1] > max(0.85, found[0])


@KINDS
def test_what_there_is_after_one_example(kind):
    X, y = rows(kind)
    model = kind().learn_one(X[0], y[0])
    assert model.n_features_in_ == 6
    assert model.n_iter_ == 1
    assert not hasattr(model, "result_")
    for i in range(1, 30):
        model.learn_one(X[i], y[i])
    for name in ("coef_", "intercept_"):
        assert np.shares_memory(getattr(model, name), model._stream.state)
    before = model.coef_
    model.learn_one(X[30], y[30])
    assert model.coef_ is before
    assert model.predict(X).shape == (200,)
    if kind is gd.LogisticRegression:
        np.testing.assert_array_equal(model.classes_, [0, 1])
        assert (model.coef_.shape, model.intercept_.shape) == ((1, 6), (1,))
    else:
        assert (model.coef_.shape, model.intercept_.shape) == ((6,), ())


@KINDS
@pytest.mark.parametrize("k", [2, 3])
def test_one_prediction_is_that_of_many(kind, k):
    X, y = rows(kind, k=k)
    for model in (kind().partial_fit(X, y), kind(max_epochs=50, tol=1e-2).fit(X, y)):
        one = [model.predict_one(x) for x in X]
        if kind is gd.LinearRegression:
            assert type(one[0]) is float
            np.testing.assert_allclose(one, model.predict(X), rtol=1e-9, atol=1e-9)
            continue
        np.testing.assert_array_equal(one, model.predict(X))
        shares = np.array([model.predict_proba_one(x) for x in X])
        np.testing.assert_allclose(shares, model.predict_proba(X), rtol=1e-9, atol=1e-12)


@KINDS
@pytest.mark.parametrize("convert", [list, tuple, np.float32, lambda x: x[::-1].copy()[::-1]])
def test_other_rows_are_converted(kind, convert):
    X, y = rows(kind)
    X = X.astype(np.float32).astype(float)
    one, other = kind(), kind()
    for i in range(20):
        one.learn_one(X[i], y[i])
        other.learn_one(convert(X[i]), y[i])
    assert same(one, other)
    assert other.predict_one(convert(X[5])) == pytest.approx(one.predict_one(X[5]))


@KINDS
def test_bad_examples_get_one_clear_sentence_and_change_nothing(kind):
    X, y = rows(kind)
    model = kind().partial_fit(X, y)
    kept, x = weights(model), X[0].copy()
    spoilt = x.copy()
    spoilt[2] = np.nan
    for call in (lambda x: model.learn_one(x, y[0]), model.predict_one):
        with pytest.raises(ValueError, match="x contains NaN or infinity"):
            call(spoilt)
        with pytest.raises(ValueError, match="x has 5 features in place of 6"):
            call(x[:5])
        with pytest.raises(ValueError, match=r"x must be one example \(p,\), got shape \(1, 6\)"):
            call(x[None])
        with pytest.raises(ValueError, match="x holds text"):
            call(np.array(list("abcdef")))
        with pytest.raises(ValueError, match="x holds complex numbers"):
            call(x.astype(complex))
    for bad in (None, np.nan, [1.0, 2.0], np.inf):
        with pytest.raises((ValueError, TypeError), match=r"y |target"):
            model.learn_one(x, bad)
    with pytest.raises((ValueError, TypeError), match="y"):
        model.learn_one(x, "one")
    assert kept.tobytes() == weights(model).tobytes()


@KINDS
def test_before_the_first_example(kind):
    model = kind()
    asked = [model.predict_one]
    asked += [model.predict_proba_one] if kind is gd.LogisticRegression else []
    for ask in asked:
        with pytest.raises(gd.NotFittedError, match="is not fitted yet"):
            ask(np.zeros(3))
    with pytest.raises(ValueError, match="learning_rate must be a number"):
        kind(learning_rate=gd.schedules.Constant()).learn_one(np.zeros(3), 1)
    with pytest.raises(ValueError, match="alpha"):
        kind(alpha=-1).learn_one(np.zeros(3), 1)


def test_a_second_class_may_come_later_as_if_it_had_been_announced():
    X, y = rows(gd.LogisticRegression, n=80)
    for labels in (np.array(["b", "a"]), np.array(["a", "b"])):
        y_ = np.concatenate([np.repeat(labels[0], 10), labels[y[10:]]])
        announced = gd.LogisticRegression().partial_fit(X, y_, classes=["a", "b"])
        model = gd.LogisticRegression()
        for i in range(10):
            model.learn_one(X[i], y_[i])
        assert model.classes_.tolist() == [labels[0]]
        assert model.predict_one(X[0]) == model.predict(X)[0] == labels[0]
        np.testing.assert_array_equal(model.predict_proba(X), np.ones((80, 1)))
        np.testing.assert_array_equal(model.predict_proba_one(X[0]), [1.0])
        model.partial_fit(X[10:], y_[10:])
        assert model.classes_.tolist() == ["a", "b"]
        np.testing.assert_array_equal(model.coef_, announced.coef_)
        np.testing.assert_array_equal(model.intercept_, announced.intercept_)


@pytest.mark.parametrize("new", [-1, 1, 3])
def test_a_third_class_leaves_the_odds_of_the_others(new):
    X, y = rows(gd.LogisticRegression)
    model = gd.LogisticRegression().partial_fit(X, 2 * y)  # classes 0 and 2
    before, odds = model.predict_proba(X), model.decision_function(X)
    model.partial_fit(X[:1], [0], classes=[0, 2, new], sample_weight=[1e-12])
    assert model.classes_.tolist() == sorted([0, 2, new])
    known = [model.classes_.tolist().index(label) for label in (0, 2)]
    z = model.decision_function(X)
    np.testing.assert_allclose(z[:, known[1]] - z[:, known[0]], odds, rtol=1e-6, atol=1e-6)
    assert np.abs(model.predict_proba(X)[:, known] - before).max() < 1 / len(X)
    model.learn_one(X[0], new)
    X, y = rows(gd.LogisticRegression, n=3000, k=3)
    labels = np.array([0, new, 2])[y]  # the new one between the two
    model.partial_fit(X, labels)
    assert model.score(X, labels) > 0.85


def test_classes_from_ten_digits_that_come_up_one_by_one():
    data = load_digits()
    order = np.argsort(data.y[:1000], kind="stable")[:300]  # zeros, then ones, then twos
    model = gd.LogisticRegression().partial_fit(data.X[order], data.y[order])
    model.partial_fit(data.X[:1000], data.y[:1000]).partial_fit(data.X[:1000], data.y[:1000])
    assert model.classes_.tolist() == list(range(10))
    assert model.score(data.X[1000:], data.y[1000:]) > 0.85


def test_labels_of_one_kind():
    X, y = rows(gd.LogisticRegression)
    model = gd.LogisticRegression().partial_fit(X, y)
    kept = weights(model)
    with pytest.raises(TypeError, match="y mixes strings and numbers"):
        model.learn_one(X[0], "yes")
    with pytest.raises(ValueError, match="continuous"):
        model.learn_one(X[0], 0.5)
    with pytest.raises(ValueError, match="beyond 1e150"):
        model.learn_one(np.full(6, 1e200), 2)
    assert kept.tobytes() == weights(model).tobytes()
    assert model.classes_.tolist() == [0, 1]


@KINDS
def test_fit_begins_anew(kind):
    X, y = rows(kind)
    fitted = kind(max_epochs=30, tol=0).fit(X, y)
    model = kind(max_epochs=30, tol=0).partial_fit(X, y).fit(X, y)
    assert same(fitted, model)
    assert type(model.intercept_) is type(fitted.intercept_)
    assert hasattr(model, "result_")
    kept = model.coef_.copy()
    model.partial_fit(X[:3], y[:3])  # the first shows its columns' means alone
    assert not np.array_equal(kept, model.coef_)
    assert not hasattr(model, "result_")
    model.fit(X, y)
    np.testing.assert_array_equal(kept, model.coef_)


@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize("load", [load_breast_cancer, load_diabetes, load_digits])
def test_a_stream_goes_on_from_what_was_fitted_and_does_not_destroy_it(load, one_by_one):
    data = load()
    kind = gd.LinearRegression if load is load_diabetes else gd.LogisticRegression
    order = np.random.default_rng(0).permutation(len(data.y))
    X, y = data.X[order], data.y[order]
    a, b = len(y) // 2, len(y) * 3 // 4

    def loss(model):
        if kind is gd.LinearRegression:
            return np.mean((model.predict(X[b:]) - y[b:]) ** 2)
        shares = model.predict_proba(X[b:])
        return -np.log(shares[np.arange(len(y) - b), y[b:].astype(int)]).mean()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        model = kind(alpha=1e-2).fit(X[:a], y[:a])
    before, worst = loss(model), 0.0
    for i in range(a, b):
        if one_by_one:
            model.learn_one(X[i], y[i])
            worst = max(worst, loss(model)) if i < a + 30 else worst
    if not one_by_one:
        model.partial_fit(X[a:b], y[a:b])
    assert worst < 1.25 * before
    assert loss(model) < 1.1 * before


@KINDS
def test_parameters_count_from_the_next_example_on(kind):
    X, y = rows(kind)
    model = kind().partial_fit(X, y)
    model.set_params(alpha=1e6, l1_ratio=1.0).learn_one(X[0], y[0])
    np.testing.assert_array_equal(model.coef_, 0)
    assert model.intercept_ != 0
    model = kind(fit_intercept=False).partial_fit(X, y)
    assert model.intercept_ == 0
    slow, fast = (kind(learning_rate=rate).partial_fit(X[:9], y[:9]) for rate in (1e-3, "auto"))
    assert np.abs(slow.coef_).sum() < 0.1 * np.abs(fast.coef_).sum()


@KINDS
def test_pickles_and_copies_go_on_alone(kind):
    X, y = rows(kind)
    model = kind().partial_fit(X[:100], y[:100])
    copies = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model)]
    model.partial_fit(X[100:], y[100:])
    for other in copies:
        assert not same(other, model)
        assert np.shares_memory(other.coef_, other._stream.state)
        for i in range(100, 200):
            other.learn_one(X[i], y[i])
        assert same(other, model)


@KINDS
def test_rows_without_weight_change_nothing(kind):
    X, y = rows(kind)
    weight = np.random.default_rng(0).integers(0, 2, len(y)).astype(float)
    used = weight > 0
    one = kind().partial_fit(X, y, sample_weight=weight)
    assert same(one, kind().partial_fit(X[used], y[used]))


@KINDS
def test_saved_streams_predict_and_go_on(kind, tmp_path):
    X, y = rows(kind)
    model = kind().partial_fit(X, y)
    gd.save(model, tmp_path / "model.npz")
    again = gd.load(tmp_path / "model.npz")
    np.testing.assert_allclose(again.predict(X), model.predict(X))
    again.learn_one(X[0], y[0])
    assert again.score(X, y) > 0.9


@pytest.mark.filterwarnings("error")
def test_a_pass_over_unscaled_columns_is_nearly_the_optimum():
    X, y = rows(gd.LinearRegression, n=5000)
    y = y + np.random.default_rng(1).normal(size=5000)
    model = gd.LinearRegression().partial_fit(X[:4000], y[:4000])
    assert np.mean((model.predict(X[4000:]) - y[4000:]) ** 2) < 1.1
    data = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(data.y))
    X, y = data.X[order], data.y[order]
    model = gd.LogisticRegression().partial_fit(X[:400], y[:400])
    assert model.score(X[400:], y[400:]) > 0.92


def test_feature_names_are_those_of_the_first_frame():
    pandas = pytest.importorskip("pandas")
    X, y = rows(gd.LinearRegression)
    frame = pandas.DataFrame(X, columns=list("abcdef"))
    model = gd.LinearRegression().partial_fit(frame, y).learn_one(X[0], y[0])
    assert model.feature_names_in_.tolist() == list("abcdef")
    with pytest.raises(ValueError, match="feature names"):
        model.partial_fit(frame[list("fedcba")], y)


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (gd.LinearRegression, "squared", "poisson"),
        (gd.LinearRegression, "huber", "squared"),
        (gd.LinearClassifier, "hinge", "squared_hinge"),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_another_loss_is_refused_in_a_running_stream(kind, before, after, whole):
    X, y = rows(gd.LogisticRegression, k=3)
    model = kind(loss=before).partial_fit(X, y)
    kept = weights(model)
    model.loss = after
    with pytest.raises(ValueError, match=f"loss was changed from '{before}' to '{after}'"):
        model.partial_fit(X, y) if whole else model.learn_one(X[0], y[0])
    assert kept.tobytes() == weights(model).tobytes()
    model.set_params(loss=before).learn_one(X[0], y[0])
    assert kept.tobytes() != weights(model).tobytes()


@pytest.mark.parametrize("whole", [True, False])
def test_another_quantile_counts_from_the_next_example_on(whole):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(4000, 1)), rng.normal(size=4000)
    model = gd.LinearRegression(loss=gd.losses.Quantile(0.1)).partial_fit(X, y)
    assert (y < model.predict(X)).mean() == pytest.approx(0.1, abs=0.03)
    model.loss = gd.losses.Quantile(0.9)
    for _ in range(3):
        if whole:
            model.partial_fit(X, y)
        else:
            for x, target in zip(X, y, strict=True):
                model.learn_one(x, target)
    assert (y < model.predict(X)).mean() == pytest.approx(0.9, abs=0.03)


def test_a_class_weight_that_is_refused_leaves_a_classifier_as_it_was():
    X, _ = rows(gd.LogisticRegression)
    y = np.array(["a", "b"])[np.arange(200) % 2]
    for chosen in ({"c": -1.0}, {"c": np.nan}, {"c": 1e151}):
        model = gd.LogisticRegression().partial_fit(X, y)
        model.class_weight = chosen
        kept, codes = weights(model), dict(model._stream.codes)
        for call in (
            lambda model: model.partial_fit(X[:5], ["a", "b", "a", "b", "c"]),
            lambda model: model.learn_one(X[0], "c"),
            lambda model: model.partial_fit(X[:2], ["a", "b"], classes=["a", "b", "c"]),
        ):
            with pytest.raises(ValueError, match="class_weight"):
                call(model)
            assert kept.tobytes() == weights(model).tobytes()
            assert model._stream.codes == codes
            assert model.classes_.tolist() == ["a", "b"]
    for chosen in ({"a": -1.0}, 5, "even"):
        model = gd.LogisticRegression(class_weight=chosen)
        with pytest.raises((ValueError, TypeError), match="class_weight"):
            model.partial_fit(X, y)
        assert not model.__sklearn_is_fitted__()


@pytest.mark.parametrize("class_weight", [None, "balanced", {"a": 1e2}])
@pytest.mark.parametrize("kind", [gd.LogisticRegression, gd.LinearClassifier, gd.LinearRegression])
def test_weights_that_are_refused_leave_an_estimator_as_it_was(kind, class_weight):
    X, y = rows(gd.LogisticRegression)
    real = kind is gd.LinearRegression
    y, settings = (
        (y * 1.0, {}) if real else (np.array(["a", "b"])[y], {"class_weight": class_weight})
    )
    model = kind(**settings)
    with pytest.raises(ValueError, match="sample_weight"):
        model.partial_fit(X, y, sample_weight=np.full(200, 1e151))
    assert not model.__sklearn_is_fitted__()
    assert not hasattr(model, "n_features_in_")
    model.partial_fit(X, y)
    other = copy.deepcopy(model)
    refused = [1e200] + ([1e-200] if class_weight == "balanced" and not real else [])
    for weight in refused:
        with pytest.raises(ValueError, match="sample_weight"):
            model.partial_fit(X[:3], y[:3], sample_weight=[1.0, 1.0, weight])
    with pytest.raises(ValueError, match="learning_rate"):
        model.set_params(learning_rate=1e151).partial_fit(X[:3], y[:3])
    model.set_params(learning_rate="auto").partial_fit(X, y)
    assert same(model, other.partial_fit(X, y))


def test_labels_that_cannot_be_sorted_leave_a_classifier_as_it_was():
    X, _ = rows(gd.LogisticRegression)
    y = np.array(["a", "b"] * 100, dtype=object)
    model = gd.LogisticRegression().partial_fit(X, y)
    kept = weights(model)
    with pytest.raises(TypeError, match="y mixes strings and numbers"):
        model.partial_fit(X[:2], [1, 2])
    assert kept.tobytes() == weights(model).tobytes()


def test_a_dict_is_no_example():
    for call in (gd.LinearRegression().learn_one, gd.LogisticRegression().learn_one):
        with pytest.raises(TypeError, match=r"x is a dict.*gd\.hash_features"):
            call({"a": 1}, 1.0)


@pytest.mark.parametrize("heavy", [1e6, 1e100])
def test_heavy_classes_leave_numbers(heavy):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)) * [1e-6, 1.0, 1e6]
    y = (X[:, 1] > 0).astype(int)
    model = gd.LogisticRegression(class_weight={0: heavy}).partial_fit(X, y)
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.intercept_).all()
    assert model.predict(X)[y == 0].mean() < 0.1
