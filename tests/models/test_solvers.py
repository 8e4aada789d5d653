"""What "auto" picks, Newton's method, searches along kept margins, rounded corners."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.cost import Cost
from gdcore.data import Rows
from gdcore.datasets import load_breast_cancer, load_diabetes, load_digits
from gdcore.lines import MarginLine
from gdcore.models.family import LinearFamily
from gdcore.newton import Newton
from tests.models.test_certificate import problem

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")


def cost_of(loss, k=1, n=200, ridge=0.1, threads=1, **settings):
    X, y = problem(loss.name, n=n)
    width = k * (X.shape[1] + 1)
    weights = np.full(width, ridge)
    weights[-k:] = 0
    rows = Rows(X, y.astype(float), np.random.default_rng(0).uniform(0.5, 1.5, n))
    family = LinearFamily(loss, X.shape[1], k)
    return Cost(family, rows, gd.penalties.Penalty(weights, np.zeros(width)), threads, **settings)


LOSSES = [
    (gd.losses.Squared(), 1), (gd.losses.Logistic(), 1), (gd.losses.Softmax(), 3),
    (gd.losses.Poisson(), 1), (gd.losses.Gamma(), 1), (gd.losses.Hinge(smooth=5.0), 1),
    (gd.losses.Quantile(0.3, smooth=20.0), 1),
]  # fmt: skip
EACH = pytest.mark.parametrize(("loss", "k"), LOSSES, ids=lambda each: type(each).__name__)


@EACH
def test_the_matrix_and_its_products_are_the_gradients_derivative(loss, k):
    cost = cost_of(loss, k)
    cost.keep_margins()
    rng = np.random.default_rng(2)
    theta, v = 0.1 * rng.normal(size=(2, cost.size))
    H, (times, _) = cost.hessian(theta), cost.second(theta)
    up, down = np.empty((2, cost.size))
    cost.value_and_gradient(theta + 1e-5 * v, up)
    cost.value_and_gradient(theta - 1e-5 * v, down)
    slope = (up - down) / 2e-5
    np.testing.assert_allclose(H @ v, slope, rtol=1e-5, atol=1e-6 * np.abs(slope).max())
    np.testing.assert_allclose(times(v), H @ v, rtol=1e-9, atol=1e-10 * np.abs(H).max())


@EACH
def test_along_a_line_margins_give_what_rows_give(loss, k):
    cost = cost_of(loss, k, ridge=0.3)
    cost.keep_margins()
    theta, d = 0.1 * np.random.default_rng(3).normal(size=(2, cost.size))
    g = np.empty(cost.size)
    cost.value_and_gradient(theta, g)
    line = MarginLine(cost, theta, d, (np.empty_like(g), np.empty_like(g)))
    line.at(1.0)
    assert line.reads == 1
    for t in (0.5, 2.0, 3.7):
        point = line.at(t)
        assert line.reads == 1  # margins only
        value = cost_of(loss, k, ridge=0.3).value_and_gradient(theta + t * d, g)
        assert point.f == pytest.approx(value, rel=1e-12)
        assert point.slope == pytest.approx(g @ d, rel=1e-9, abs=1e-12)
    assert line.settle(point.f) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(line.g_new, g, rtol=1e-9, atol=1e-12)


def test_least_squares_take_newton_one_step():
    data = load_diabetes()
    model = gd.LinearRegression().fit(data.X, data.y)
    exact = gd.LinearRegression(optimizer="closed-form").fit(data.X, data.y)
    assert model.result_.nit == 1
    np.testing.assert_allclose(model.coef_, exact.coef_, rtol=1e-9)


def test_newton_takes_few_passes_and_lbfgs_about_one_a_step():
    data = load_breast_cancer()
    newton = gd.LogisticRegression(optimizer="newton").fit(data.X, data.y).result_
    lbfgs = gd.LogisticRegression(optimizer="lbfgs").fit(data.X, data.y).result_
    assert newton.nfev < 15
    assert lbfgs.nfev <= 1.2 * lbfgs.nit + 3
    assert newton.fun == pytest.approx(lbfgs.fun, rel=1e-7)


def test_newton_by_conjugate_gradients_agrees():
    """More numbers in θ than the matrix is formed for."""
    data = load_digits()
    tight = {"alpha": 1e-2, "tol": 1e-9}
    by_products = gd.LogisticRegression(optimizer="newton", **tight).fit(data.X, data.y)
    other = gd.LogisticRegression(optimizer="lbfgs", **tight).fit(data.X, data.y)
    assert len(by_products.result_.x) > 400
    assert by_products.result_.status is gd.Status.CERTIFIED
    assert by_products.result_.fun == pytest.approx(other.result_.fun, rel=1e-8)


def test_newton_needs_a_cost_with_second_derivatives():
    with pytest.raises(TypeError, match="second derivatives"):
        Newton().step(np.zeros(2), np.zeros(2), {}, 1.0)
    data = load_breast_cancer()
    with pytest.raises(ValueError, match="by the gradient over all rows"):
        gd.LogisticRegression(optimizer="newton", batch_size=8).fit(data.X, data.y)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({}, "Newton"),
        ({"l1_ratio": 0.5}, "Newton: a cost with an L1"),
        ({"batch_size": 16}, "SGD"),
        ({"optimizer": "lbfgs"}, "as asked"),
    ],
)
def test_auto_says_what_it_picked(settings, word):
    data = load_breast_cancer()
    model = gd.LogisticRegression(max_epochs=2, random_state=0, **settings).fit(data.X, data.y)
    assert word in model.result_.choice


def test_many_rows_start_from_the_minimum_over_a_sample():
    """The same minimum in fewer passes; and the same bits each time."""
    X, y = problem("logistic", n=100_000)
    plain = gd.LogisticRegression(optimizer="newton").fit(X, y)
    auto, again = (gd.LogisticRegression().fit(X, y) for _ in range(2))
    assert auto.result_.nfev < plain.result_.nfev
    assert auto.result_.trace.cost[0] < 1.01 * auto.result_.fun
    np.testing.assert_array_equal(auto.coef_, again.coef_)
    np.testing.assert_allclose(auto.coef_, plain.coef_, rtol=1e-2)


def test_the_median_is_the_constant_that_quantile_regression_finds():
    y = np.array([1.0, 2.0, 3.0, 10.0, 50.0])
    X = np.zeros((5, 1))
    for q, expected in ((0.5, 3.0), (0.9, 50.0), (0.1, 1.0)):
        model = gd.LinearRegression(loss=gd.losses.Quantile(q)).fit(X, y)
        assert model.predict([[0.0]])[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("q", [0.5, 0.9])
def test_quantile_regression_is_the_linear_programs(q):
    linear_model = pytest.importorskip("sklearn.linear_model")
    data = load_diabetes()
    X = (data.X - data.X.mean(0)) / data.X.std(0)

    def pinball(predicted):
        u = data.y - predicted
        return np.maximum(q * u, (q - 1) * u).mean()

    exact = pinball(linear_model.QuantileRegressor(quantile=q, alpha=0).fit(X, data.y).predict(X))
    model = gd.LinearRegression(loss=gd.losses.Quantile(q), alpha=0).fit(X, data.y)
    assert pinball(model.predict(X)) == pytest.approx(exact, rel=1e-7)


@pytest.mark.parametrize("alpha", [1e-3, 1e-1])
def test_the_support_vector_machine_is_libsvms(alpha):
    svm = pytest.importorskip("sklearn.svm")
    data = load_breast_cancer()
    X = (data.X - data.X.mean(0)) / data.X.std(0)
    exact = svm.SVC(kernel="linear", C=1 / (alpha * len(X)), tol=1e-10).fit(X, data.y)
    ours = gd.LinearClassifier(alpha=alpha, standardize=False).fit(X, data.y)

    def cost(model):
        z = X @ model.coef_[0] + model.intercept_[0]
        hinge = np.maximum(0, 1 - (2 * data.y - 1) * z).mean()
        return hinge + 0.5 * alpha * (model.coef_**2).sum()

    assert ours.result_.status is gd.Status.CERTIFIED
    assert cost(ours) <= cost(exact) * (1 + 1e-7)
    assert cost(ours) == pytest.approx(ours.result_.fun, rel=1e-10)


@pytest.mark.parametrize(
    ("loss", "peer"), [("poisson", "PoissonRegressor"), ("gamma", "GammaRegressor")]
)
def test_counts_and_amounts_are_scikit_learns(loss, peer):
    linear_model = pytest.importorskip("sklearn.linear_model")
    X, y = problem(loss, n=500)
    theirs = getattr(linear_model, peer)(alpha=0.1, tol=1e-12, max_iter=10_000).fit(X, y)
    ours = gd.LinearRegression(loss=loss, alpha=0.1, standardize=False, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-4)


def test_huber_follows_the_many_and_not_the_few():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    y = X @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=300)
    y[:30] += 1000
    robust = gd.LinearRegression(loss=gd.losses.Huber(0.3), alpha=0).fit(X, y)
    np.testing.assert_allclose(robust.coef_, [1, -2, 0.5], atol=0.05)
    plain = gd.LinearRegression(alpha=0).fit(X, y)
    assert np.abs(plain.coef_ - [1, -2, 0.5]).max() > 1


def test_a_loss_of_the_users_own():
    class LogCosh:
        def value(self, z, y):
            return np.log(np.cosh(z[:, 0] - y))

        def slope(self, z, y):
            return np.tanh(z - y[:, None])

    X, y = problem("squared", n=2000)
    model = gd.LinearRegression(loss=LogCosh(), alpha=0.01, standardize=False, tol=1e-10).fit(X, y)
    r = np.tanh(model.predict(X) - y) / len(y)
    np.testing.assert_allclose(X.T @ r + 0.01 * model.coef_, 0, atol=1e-8)
    assert abs(r.sum()) < 1e-8
    stochastic = gd.LinearRegression(loss=LogCosh(), batch_size=64, random_state=0).fit(X, y)
    np.testing.assert_allclose(stochastic.coef_, model.coef_, atol=0.1)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ("absolute", ValueError, "loss='absolute' is not known"),
        (gd.losses.Huber, TypeError, "an instance of gd.losses"),
        (3, TypeError, "loss must be a name or an object"),
    ],
)
def test_other_losses_are_refused(given, error, words):
    with pytest.raises(error, match=words):
        gd.LinearRegression(loss=given).fit([[1.0], [2.0]], [1.0, 2.0])


def test_targets_that_a_loss_cannot_have_are_refused():
    X = [[1.0], [2.0], [3.0]]
    with pytest.raises(ValueError, match="negative number"):
        gd.LinearRegression(loss="poisson").fit(X, [1.0, -1.0, 2.0])
    with pytest.raises(ValueError, match="not positive"):
        gd.LinearRegression(loss="gamma").fit(X, [1.0, 0.0, 2.0])
    with pytest.raises(ValueError, match="loss='squared' alone"):
        gd.LinearRegression(loss="huber", optimizer="closed-form").fit(X, [1.0, 0.0, 2.0])


def test_several_classes_of_margins_are_one_against_the_rest():
    data = load_digits()
    model = gd.LinearClassifier(loss="squared_hinge", alpha=1e-2).fit(data.X, data.y)
    assert model.coef_.shape == (10, 64)
    assert len(model.results_) == 10
    assert model.score(data.X, data.y) > 0.97
    one = gd.LinearClassifier(loss="squared_hinge", alpha=1e-2).fit(data.X, data.y == 3)
    np.testing.assert_allclose(model.coef_[3], one.coef_[0], rtol=1e-6, atol=1e-9)
    z = model.decision_function(data.X)
    np.testing.assert_array_equal(model.predict(data.X), z.argmax(axis=1))


@pytest.mark.parametrize("collinear", [False, True])
@pytest.mark.parametrize("l1_ratio", [0, 1])
def test_newton_solves_with_the_matrix_where_eigenvectors_take_too_long(l1_ratio, collinear):
    n, p = 1800, 440
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 8)) @ rng.normal(size=(8, p)) + rng.normal(size=(n, p))
    if collinear:  # and nothing that holds them apart: there is no inverse
        X[:, 1] = X[:, 0]
    y = (rng.logistic(size=n) < X[:, :5].sum(axis=1)).astype(float)
    alpha = 0.01 if l1_ratio or not collinear else 0
    settings = {"alpha": alpha, "l1_ratio": l1_ratio, "tol": 1e-9}
    model = gd.LinearRegression(loss="huber", **settings).fit(X, y)
    assert model.result_.choice.startswith("Newton")
    assert model.result_.nit < 15
    slow = "fista" if l1_ratio else "lbfgs"
    other = gd.LinearRegression(loss="huber", optimizer=slow, **settings).fit(X, y)
    assert model.result_.fun == pytest.approx(other.result_.fun, rel=1e-7)
