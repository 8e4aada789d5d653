"""Logistic and softmax regression: the optimum, its invariances, and what comes out."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.datasets import load_breast_cancer, load_digits

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")


@pytest.fixture(scope="module")
def cancer():
    data = load_breast_cancer()
    return data.X, data.y


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.X, data.y


def objective(model, X, y, alpha):
    """J in plain NumPy, on standardised columns."""
    used = X.std(0) > 0
    Z, W = (
        (X[:, used] - X[:, used].mean(0)) / X[:, used].std(0),
        model.coef_[:, used] * X[:, used].std(0),
    )
    b = model.intercept_ + model.coef_ @ X.mean(0)
    z = Z @ W.T + b
    if z.shape[1] == 1:
        loss = np.logaddexp(0, z[:, 0]) - y * z[:, 0]
    else:
        loss = np.logaddexp.reduce(z, axis=1) - z[np.arange(len(y)), y]
    return loss.mean() + 0.5 * alpha * (W**2).sum()


@pytest.mark.parametrize(
    ("name", "alpha"), [("cancer", "auto"), ("cancer", 1e-2), ("digits", 1e-2)]
)
def test_the_optimum_is_scikit_learns(request, name, alpha):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = request.getfixturevalue(name)
    strength = 1 / len(y) if alpha == "auto" else alpha
    used = X.std(0) > 0
    Z = (X[:, used] - X[:, used].mean(0)) / X[:, used].std(0)
    theirs = linear_model.LogisticRegression(
        C=1 / (strength * len(y)), solver="newton-cholesky", tol=1e-10, max_iter=10_000
    ).fit(Z, y)
    theirs.coef_, scaled = (
        np.zeros((len(theirs.coef_), X.shape[1])),
        theirs.coef_ / X[:, used].std(0),
    )
    theirs.coef_[:, used] = scaled
    theirs.intercept_ = theirs.intercept_ - theirs.coef_ @ X.mean(0)
    ours = gd.LogisticRegression(alpha=alpha, tol=1e-8, max_epochs=20_000).fit(X, y)
    assert ours.result_.status is gd.Status.CERTIFIED
    best = objective(theirs, X, y, strength)
    assert ours.result_.fun == pytest.approx(best, rel=1e-8)
    assert objective(ours, X, y, strength) == pytest.approx(best, rel=1e-8)


@pytest.mark.parametrize(("name", "batch_size"), [("cancer", 1), ("cancer", 32), ("digits", 32)])
def test_small_batches_come_near(request, name, batch_size):
    X, y = (each[::5] for each in request.getfixturevalue(name))
    best = gd.LogisticRegression(tol=1e-6, max_epochs=20_000).fit(X, y).result_.fun
    model = gd.LogisticRegression(batch_size=batch_size, random_state=0).fit(X, y)
    assert model.result_.fun < best * 1.005
    assert np.isfinite(model.coef_).all()


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize(("batch_size", "epochs"), [("full", 3000), (32, 300), (1, 50)])
def test_columns_from_1e_minus_6_to_1e6(cancer, standardize, batch_size, epochs):
    X, y = (each[::3] for each in cancer)
    scale = 10.0 ** np.linspace(-6, 6, X.shape[1])
    model = gd.LogisticRegression(
        standardize=standardize, batch_size=batch_size, random_state=0, max_epochs=epochs
    ).fit(X * scale, y)
    assert np.isfinite(model.coef_).all()
    assert model.score(X * scale, y) > 0.95
    assert model.result_.status in (gd.Status.CERTIFIED, gd.Status.COST, gd.Status.EPOCHS)
    if batch_size == "full" and standardize:
        assert model.result_.status is gd.Status.CERTIFIED


def test_the_unstandardised_optimum_on_badly_scaled_columns_is_newtons(cancer):
    X, y = cancer
    X = X * 10.0 ** np.random.default_rng(0).permutation(np.linspace(-6, 6, X.shape[1]))
    alpha = 1e-3
    model = gd.LogisticRegression(alpha=alpha, standardize=False, tol=1e-7, max_epochs=50_000)
    model.fit(X, y)
    unit = np.sqrt(X.var(0) + alpha)
    A, ridge = np.c_[(X - X.mean(0)) / unit, np.ones(len(X))], np.append(alpha / unit**2, 0)
    theta = np.zeros(A.shape[1])

    def cost(t):
        return np.mean(np.logaddexp(0, A @ t) - y * (A @ t)) + 0.5 * ridge @ t**2

    for _ in range(50):
        p = 1 / (1 + np.exp(-A @ theta))
        g = A.T @ (p - y) / len(y) + ridge * theta
        step = np.linalg.solve((A.T * (p * (1 - p))) @ A / len(y) + np.diag(ridge), g)
        length = 1.0
        while cost(theta - length * step) > cost(theta) and length > 1e-10:
            length /= 2
        theta = theta - length * step
    assert model.result_.fun == pytest.approx(cost(theta), rel=1e-6)


def test_two_classes_by_softmax_and_by_sigmoid_agree(cancer):
    """Softmax with penalty on both rows has half of the sigmoid's coefficients in each."""
    X, y = cancer
    X, alpha, tight = X[:, :5], 0.01, {"tol": 1e-9, "max_epochs": 50_000}
    two = gd.LogisticRegression(alpha=alpha, **tight).fit(X, y)
    # A third class without any row of weight makes it a softmax.
    ghost = np.append(y, 2), np.append(np.ones(len(y)), 0.0)
    three = gd.LogisticRegression(alpha=2 * alpha, **tight)
    three.fit(np.vstack([X, X[:1]]), ghost[0], sample_weight=ghost[1])
    p = three.predict_proba(X)
    np.testing.assert_allclose(p[:, 1] / (p[:, 0] + p[:, 1]), two.predict_proba(X)[:, 1], atol=1e-4)


def test_probabilities_sum_to_one_and_agree_with_the_margins(digits):
    X, y = digits
    model = gd.LogisticRegression(max_epochs=50).fit(X, y)
    p = model.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    z = model.decision_function(X)
    np.testing.assert_array_equal(model.predict(X), model.classes_[z.argmax(axis=1)])
    np.testing.assert_allclose(np.log(p), model.predict_log_proba(X))


def test_labels_of_any_kind(cancer):
    X, y = cancer
    for labels in (np.array(["benign", "malign"])[y], y.astype(bool), y * 7 - 3, y.astype(float)):
        model = gd.LogisticRegression(max_epochs=50).fit(X, labels)
        assert model.predict(X).dtype == labels.dtype
        assert np.mean(model.predict(X) == labels) > 0.95


def test_class_weights_equal_sample_weights(cancer):
    X, y = cancer
    settings = {"tol": 1e-9, "max_epochs": 20_000}
    one = gd.LogisticRegression(class_weight={0: 2.0, 1: 1.0}, alpha=0.01, **settings).fit(X, y)
    other = gd.LogisticRegression(alpha=0.01, **settings).fit(X, y, np.where(y == 0, 2.0, 1.0))
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-6)
    even = gd.LogisticRegression(class_weight="balanced", alpha=0.01, **settings).fit(X, y)
    mass = np.bincount(y)
    same = gd.LogisticRegression(alpha=0.01, **settings).fit(X, y, (len(y) / (2 * mass))[y])
    np.testing.assert_allclose(even.coef_, same.coef_, rtol=1e-6)


def test_rows_without_weight_change_not_a_bit(cancer):
    X, y = cancer
    s = np.r_[np.ones(len(y)), np.zeros(10)]
    more = np.vstack([X, X[:10] * 1e3]), np.r_[y, 1 - y[:10]]
    one = gd.LogisticRegression().fit(X, y)
    other = gd.LogisticRegression().fit(*more, sample_weight=s)
    np.testing.assert_array_equal(one.coef_, other.coef_)


def test_separable_classes_stay_finite():
    X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    for alpha in (0, "auto"):
        model = gd.LogisticRegression(alpha=alpha).fit(X, y)
        assert np.isfinite(model.coef_).all()
        assert model.score(X, y) == 1


def test_early_stopping_keeps_the_best_and_scores_true_weights(digits):
    X, y = digits
    model = gd.LogisticRegression(
        alpha=0, batch_size=32, early_stopping=3, validation_fraction=0.2, random_state=0
    ).fit(X, y)
    assert model.result_.status is gd.Status.VALIDATION
    held = model.trace_.validation
    assert held.min() < held[-1]
    order = np.random.default_rng(0).permutation(len(X))
    rows = np.sort(order[: round(0.2 * len(X))])
    p = model.predict_proba(X[rows])
    loss = -np.log(p[np.arange(len(rows)), y[rows]]).mean()
    assert loss == pytest.approx(held.min(), rel=1e-9)


def test_warm_start_goes_on_where_it_stopped(cancer):
    X, y = cancer
    model = gd.LogisticRegression(warm_start=True, max_epochs=30, optimizer="fista").fit(X, y)
    first = model.result_.fun
    model.fit(X, y)
    assert model.trace_.cost[30] == pytest.approx(first, rel=1e-9)
    assert model.n_iter_ == 60
    assert model.result_.fun < first


def test_the_same_seed_gives_the_same_bits(digits):
    X, y = digits
    fits = [
        gd.LogisticRegression(batch_size=8, max_epochs=3, random_state=seed).fit(X, y).coef_
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(fits[0], fits[1])
    assert (fits[0] != fits[2]).any()


def test_warm_start_on_other_columns_starts_afresh(cancer):
    X, y = cancer
    model = gd.LogisticRegression(warm_start=True, max_epochs=30).fit(X, y)
    model.fit(X[:, :7], y)
    fresh = gd.LogisticRegression(max_epochs=30).fit(X[:, :7], y)
    np.testing.assert_array_equal(model.coef_, fresh.coef_)


@pytest.mark.parametrize("batch_size", ["auto", 32])
def test_a_warm_start_with_no_budget_takes_no_step(batch_size):
    X = np.random.default_rng(0).normal(size=(200, 3))
    how = {"optimizer": "adam", "tol": 0, "random_state": 0, "batch_size": batch_size}
    model = gd.LogisticRegression(**how, max_epochs=3, warm_start=True).fit(X, X[:, 0] > 0)
    before, steps = model.coef_.copy(), model.result_.nit
    model.set_params(max_epochs=0).fit(X, X[:, 0] > 0)
    np.testing.assert_array_equal(model.coef_, before)
    assert model.result_.nit == steps
