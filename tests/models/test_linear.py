"""Linear regression: descent reaches what the closed form says, in every mode."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.datasets import load_diabetes

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")


@pytest.fixture(scope="module")
def diabetes():
    data = load_diabetes()
    return data.X, data.y


@pytest.mark.parametrize("alpha", [0, "auto", 0.1])
def test_descent_reaches_the_closed_form(diabetes, alpha):
    X, y = diabetes
    exact = gd.LinearRegression(alpha=alpha, optimizer="closed-form").fit(X, y)
    model = gd.LinearRegression(alpha=alpha, tol=1e-12, max_epochs=20_000).fit(X, y)
    assert model.result_.status is gd.Status.CERTIFIED
    np.testing.assert_allclose(model.coef_, exact.coef_, rtol=1e-8)
    np.testing.assert_allclose(model.intercept_, exact.intercept_, rtol=1e-8)
    assert model.result_.fun == pytest.approx(exact.result_.fun, rel=1e-12)


def test_the_closed_form_is_least_squares(diabetes):
    X, y = diabetes
    model = gd.LinearRegression(alpha=0, optimizer="closed-form").fit(X, y)
    A = np.column_stack([X, np.ones(len(X))])
    expected = np.linalg.lstsq(A, y, rcond=None)[0]
    np.testing.assert_allclose(np.append(model.coef_, model.intercept_), expected, rtol=1e-9)
    assert model.result_.status is gd.Status.CLOSED_FORM
    assert np.linalg.norm(model.result_.jac) < 1e-9 * y.std()


def test_the_closed_form_without_intercept_and_with_weights(diabetes):
    X, y = diabetes
    s = np.random.default_rng(0).integers(1, 4, len(y))
    model = gd.LinearRegression(alpha=0, fit_intercept=False, optimizer="closed-form")
    model.fit(X, y, sample_weight=s)
    again = np.repeat(X, s, axis=0), np.repeat(y, s)
    expected = np.linalg.lstsq(*again, rcond=None)[0]
    np.testing.assert_allclose(model.coef_, expected, rtol=1e-9)
    assert model.intercept_ == 0


@pytest.mark.parametrize("batch_size", [1, 32])
def test_small_batches_come_near(diabetes, batch_size):
    X, y = (each[::4] for each in diabetes)
    exact = gd.LinearRegression(optimizer="closed-form").fit(X, y)
    model = gd.LinearRegression(batch_size=batch_size, random_state=0).fit(X, y)
    assert model.result_.fun < exact.result_.fun * 1.01


def test_lasso_satisfies_its_optimality_conditions(diabetes):
    X, y = diabetes
    alpha = 5.0
    model = gd.LinearRegression(alpha=alpha, l1_ratio=1.0, tol=1e-10, max_epochs=20_000).fit(X, y)
    Z = (X - X.mean(0)) / X.std(0)
    w = model.coef_ * X.std(0)
    slope = Z.T @ (Z @ w + y.mean() - y) / len(y)
    zero = model.coef_ == 0
    assert 0 < zero.sum() < len(w)
    assert (np.abs(slope[zero]) <= alpha * (1 + 1e-9)).all()
    np.testing.assert_allclose(slope[~zero], -alpha * np.sign(w[~zero]), rtol=1e-6)


def test_elastic_net_agrees_with_scikit_learn(diabetes):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = diabetes
    Z = (X - X.mean(0)) / X.std(0)
    theirs = linear_model.ElasticNet(alpha=0.5, l1_ratio=0.3, tol=1e-12, max_iter=100_000)
    theirs.fit(Z, y)
    ours = gd.LinearRegression(
        alpha=0.5, l1_ratio=0.3, standardize=False, tol=1e-15, max_epochs=20_000
    ).fit(Z, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6, atol=1e-8)


def test_weights_equal_repetition(diabetes):
    X, y = diabetes
    s = np.random.default_rng(1).integers(0, 3, len(y))
    settings = {"tol": 1e-11, "max_epochs": 20_000}
    one = gd.LinearRegression(**settings).fit(X, y, sample_weight=s)
    other = gd.LinearRegression(**settings).fit(np.repeat(X, s, axis=0), np.repeat(y, s))
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-7)


def test_float32_is_near_float64_and_keeps_its_dtype(diabetes):
    X, y = diabetes
    one = gd.LinearRegression().fit(X.astype(np.float32), y)
    other = gd.LinearRegression().fit(X, y)
    assert one.coef_.dtype == np.float32
    np.testing.assert_allclose(
        one.coef_, other.coef_, rtol=1e-2, atol=1e-3 * np.abs(other.coef_).max()
    )
    assert one.result_.fun == pytest.approx(other.result_.fun, rel=1e-5)


def test_scaling_the_columns_changes_nothing_but_the_coefficients(diabetes):
    X, y = diabetes
    scale = 10.0 ** np.linspace(-6, 6, X.shape[1])
    one = gd.LinearRegression().fit(X, y)
    other = gd.LinearRegression().fit(X * scale, y)
    np.testing.assert_allclose(other.coef_ * scale, one.coef_, rtol=1e-6)
    assert other.result_.status is gd.Status.CERTIFIED


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_the_unit_of_the_targets_does_not_matter(diabetes, factor):
    X, y = diabetes
    one, other = gd.LinearRegression().fit(X, y), gd.LinearRegression().fit(X, y * factor)
    assert other.n_iter_ == one.n_iter_
    np.testing.assert_allclose(other.coef_ / factor, one.coef_, rtol=1e-9)


def test_a_large_mean_does_not_cost_digits(diabetes):
    X, y = diabetes
    one = gd.LinearRegression(tol=1e-10).fit(X, y)
    other = gd.LinearRegression(tol=1e-10).fit(X + 1e6, y)
    np.testing.assert_allclose(other.coef_, one.coef_, rtol=1e-6)


def test_a_constant_column_gets_no_coefficient(diabetes):
    X, y = diabetes
    wide = np.column_stack([X, np.full(len(X), 0.1)])
    one, other = (gd.LinearRegression(tol=1e-11).fit(each, y) for each in (X, wide))
    assert other.coef_[-1] == 0
    np.testing.assert_allclose(other.coef_[:-1], one.coef_, rtol=1e-7)


def test_more_columns_than_rows():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 50)), rng.normal(size=20)
    exact = gd.LinearRegression(optimizer="closed-form").fit(X, y)
    model = gd.LinearRegression(tol=1e-10, max_epochs=50_000).fit(X, y)
    np.testing.assert_allclose(model.coef_, exact.coef_, rtol=1e-5, atol=1e-7)


def test_one_row_and_constant_targets():
    one = gd.LinearRegression().fit([[1.0, 2.0]], [3.0])
    assert one.predict([[1.0, 2.0]]) == pytest.approx(3.0)
    flat = gd.LinearRegression().fit([[1.0], [2.0], [4.0]], [5.0, 5.0, 5.0])
    np.testing.assert_allclose(flat.predict([[9.0]]), 5.0)


@pytest.mark.parametrize("name", [name.lower() for name in gd.optim.__all__])
@pytest.mark.parametrize("batch_size", ["full", 32])
def test_every_optimizer_runs_by_name(diabetes, name, batch_size):
    X, y = (each[::3] for each in diabetes)
    exact = gd.LinearRegression(optimizer="closed-form").fit(X, y)
    model = gd.LinearRegression(optimizer=name, batch_size=batch_size, random_state=0)
    if batch_size != "full" and gd.optim.by_name(name).full_batch:
        with pytest.raises(ValueError, match="by the gradient over all rows"):
            model.fit(X, y)
        return
    model.fit(X, y)
    # Decoupled decay has its optimum elsewhere (vectors go by AdamW in Muon); Polyak's step aims at
    # a minimum of 0, which no line through these data has.
    worst = 1.5 if name in ("adamw", "muon", "polyak") else 1.02
    assert model.result_.fun < exact.result_.fun * worst


@pytest.mark.parametrize("name", [name.lower() for name in gd.optim.__all__])
def test_an_l1_term_needs_a_proximal_step(diabetes, name):
    model = gd.LinearRegression(optimizer=name, l1_ratio=0.5, max_epochs=3, tol=0)
    if gd.optim.by_name(name).proximal:
        assert np.isfinite(model.fit(*diabetes).coef_).all()
    else:
        with pytest.raises(ValueError, match="has no proximal step for the L1 term"):
            model.fit(*diabetes)


def test_a_rate_that_was_forced_too_high_is_named(diabetes):
    X, y = diabetes
    with pytest.warns(gd.ConvergenceWarning, match="try 0.") as caught:
        model = gd.LinearRegression(optimizer="sgd", learning_rate=10.0).fit(X, y)
    result = model.result_
    assert result.status is gd.Status.DIVERGED
    assert not result.success
    assert np.isfinite(model.coef_).all()
    assert result.fun <= result.trace.cost[0]
    rate = float(str(caught[0].message).split("try ")[1].split(",")[0])
    again = gd.LinearRegression(optimizer="sgd", learning_rate=rate, max_epochs=50).fit(X, y)
    assert again.result_.status is not gd.Status.DIVERGED
    assert again.result_.fun < result.trace.cost[0]


def test_score_is_r_squared(diabetes):
    X, y = diabetes
    model = gd.LinearRegression().fit(X, y)
    rest = ((y - model.predict(X)) ** 2).sum()
    assert model.score(X, y) == pytest.approx(1 - rest / ((y - y.mean()) ** 2).sum())


@pytest.mark.parametrize("name", ["sgd", "momentum", "nesterov", "fista"])
def test_every_descent_reaches_the_lassos_optimum(diabetes, name):
    X, y = diabetes
    settings = {"alpha": 5.0, "l1_ratio": 1.0, "max_epochs": 20_000}
    best = gd.LinearRegression(tol=1e-9, **settings).fit(X, y)
    model = gd.LinearRegression(tol=1e-6, optimizer=name, **settings).fit(X, y)
    assert model.result_.status is gd.Status.CERTIFIED
    assert model.result_.fun == pytest.approx(best.result_.fun, rel=1e-9)
    np.testing.assert_array_equal(model.coef_ == 0, best.coef_ == 0)
