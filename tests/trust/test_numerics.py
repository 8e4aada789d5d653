"""Hard cases with known answers: right to the digits stated, or refused with the reason."""

import math
import warnings

import numpy as np
import pytest

import gdcore as gd
from tests.tally import count
from tests.trust import exact

X = np.random.default_rng(0).normal(size=(200, 3))
W = np.array([1.0, -2.0, 0.5])
Y = X @ W + 3
LABELS = (Y > 3).astype(int)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
EPS = {np.float32: 1e-5, np.float64: 1e-12}


def quiet(model, *data):
    """A fit whose warning, if it gives one, is part of the answer: (model, its words)."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model.fit(*data)
    assert all(issubclass(one.category, gd.ConvergenceWarning) for one in said), said
    return model, " ".join(str(one.message) for one in said)


def solution(model):
    return np.append(model.coef_, model.intercept_).astype(float)


def test_the_exact_answers_are_those_that_nist_certifies():
    found = exact.least_squares(exact.LONGLEY[:, :6], exact.LONGLEY[:, 6])
    assert exact.digits(found, exact.CERTIFIED) > 14


GRID = np.arange(21.0)
NOISE = np.array([759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048, 2048.0])
NOISE = np.concatenate([NOISE, NOISE[-2::-1]])  # orthogonal to every power up to the fifth
POWERS = exact.powers(GRID, 5)
HILBERT = np.vstack([exact.hilbert(6), 2 * exact.hilbert(6)[::-1] + 0.1])
PROBLEMS = {  # X, y, right digits of coefficients: closed form, and descent by "auto"
    "Wampler 1": (POWERS, POWERS.sum(axis=1) + 1, 9, 5),
    "Wampler 2": (POWERS, POWERS @ 10.0 ** -np.arange(1, 6) + 1, 12, 8),  # 8.9 without FMA
    "Wampler 3": (POWERS, POWERS.sum(axis=1) + 1 + NOISE, 9, 5),
    "Wampler 4": (POWERS, POWERS.sum(axis=1) + 1 + 100 * NOISE, 8, 5),
    "Wampler 5": (POWERS, POWERS.sum(axis=1) + 1 + 10_000 * NOISE, 6, 5),
    "Longley": (exact.LONGLEY[:, :6], exact.LONGLEY[:, 6], 12, 10),
    "Hilbert": (HILBERT, np.arange(12.0), 6, 3),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_ill_conditioned_least_squares(name):
    """Conditions of 6e6 to 5e9; NIST's own name for the first six: average to higher difficulty."""
    A, y, closed, descent = PROBLEMS[name]
    want = exact.least_squares(A, y)
    for optimizer, digits in (("closed-form", closed), ("auto", descent)):
        model, said = quiet(gd.LinearRegression(alpha=0, optimizer=optimizer, tol=1e-14), A, y)
        assert exact.digits(solution(model), want) > digits
        at_the_end = "floating point has no finer numbers" in said  # so with AVX-512's BLAS
        assert model.result_.success or ((name, optimizer) == ("Hilbert", "auto") and at_the_end)
        count("hard numerical cases")


@pytest.mark.parametrize("name", PROBLEMS)
def test_ill_conditioned_in_single_precision(name):
    """κ·ε is about 1: J is right to 1e-4 of its start, coefficients by the closed form alone."""
    A, y, *_ = PROBLEMS[name]
    A = A.astype(np.float32)
    want = exact.least_squares(A, y)

    def cost(theta):
        return np.mean((A.astype(float) @ theta[:-1] + theta[-1] - y) ** 2) / 2

    closed = gd.LinearRegression(alpha=0, optimizer="closed-form").fit(A, y)
    assert exact.digits(solution(closed), want) > 6
    model, _ = quiet(gd.LinearRegression(alpha=0), A, y)
    assert model.coef_.dtype == np.float32
    assert cost(solution(model)) - cost(want) < 1e-4 * y.var()
    count("hard numerical cases", 2)


def test_where_double_precision_ends_a_fit_says_so():
    """Condition 2e10 squared is beyond doubles for what only knows gradients."""
    A = np.vstack([exact.hilbert(8), 2 * exact.hilbert(8)[::-1] + 0.1])
    model, said = quiet(gd.LinearRegression(alpha=0), A, np.arange(16.0))
    assert not model.result_.success
    assert "floating point has no finer numbers" in said
    closed = gd.LinearRegression(alpha=0, optimizer="closed-form").fit(A, np.arange(16.0))
    assert exact.digits(solution(closed), exact.least_squares(A, np.arange(16.0))) > 2
    count("hard numerical cases", 2)


@DTYPES
@pytest.mark.parametrize("power", [12, 30, 150, 300])
def test_scales_of_columns_change_nothing(dtype, power):
    """Columns of 10^±300 side by side: the same predictions, coefficients in their own units."""
    if power > 30 and dtype is np.float32:
        power = 36
    units = np.array([10.0**-power, 1, 10.0**power])
    A, y = (X * units).astype(dtype), Y.astype(dtype)
    model = gd.LinearRegression(alpha=0).fit(A, y)
    assert np.allclose(model.coef_.astype(float) * units, W, rtol=EPS[dtype])
    plain = gd.LogisticRegression(alpha=1e-2).fit(X.astype(dtype), LABELS)
    scaled = gd.LogisticRegression(alpha=1e-2).fit(A, LABELS)
    assert np.allclose(scaled.coef_.astype(float) * units, plain.coef_, rtol=1e-4)
    count("hard numerical cases", 2)


@pytest.mark.parametrize("far", [1e6, 1e8, -1e8])
def test_columns_far_from_zero(far):
    model = gd.LinearRegression(alpha=0).fit(X + far, Y)
    assert np.allclose(model.coef_, W, rtol=abs(far) * 1e-14)
    assert model.score(X + far, Y) > 1 - 1e-12
    count("hard numerical cases")


@pytest.mark.parametrize("unit", [1e-130, 1e-30, 1e30, 1e130])
def test_scales_of_targets_change_nothing(unit):
    model = gd.LinearRegression(alpha=0).fit(X, Y * unit)
    assert np.allclose(model.coef_ / unit, W, rtol=1e-12)
    assert model.score(X, Y * unit) == pytest.approx(1, abs=1e-12)
    count("hard numerical cases")


@pytest.mark.parametrize("optimizer", ["auto", "closed-form", "lbfgs", "sgd"])
@pytest.mark.parametrize(
    ("dtype", "unit", "words"),
    [
        (np.float64, 1e150, "y reaches 1.1e+151, and its squares have no place in float64. Divide"),
        (np.float64, 1e-160, "y varies by 1.4e-159 only, and the squares of that are nothing in"),
        (np.float32, 1e32, "y reaches 1.1e+33, and its squares have no place in float32. Divide"),
    ],
)
def test_targets_whose_squares_leave_the_range_are_refused(optimizer, dtype, unit, words):
    model = gd.LinearRegression(optimizer=optimizer)
    with pytest.raises(ValueError, match=words.replace("+", r"\+")):
        model.fit(X.astype(dtype), Y * unit)
    assert not hasattr(model, "coef_")
    count("bad inputs refused")


@pytest.mark.parametrize("kind", [gd.LinearRegression, gd.LogisticRegression])
@pytest.mark.parametrize(("dtype", "unit"), [(np.float64, 1e-310), (np.float32, 1e-40)])
def test_columns_too_small_to_divide_by_are_refused(kind, dtype, unit):
    A = (X * np.array([1, unit, 1])).astype(dtype)
    with pytest.raises(ValueError, match=r"in column 1, beyond what float.. can divide by\. Scale"):
        kind().fit(A, LABELS)
    count("bad inputs refused")


@pytest.mark.parametrize("kind", [gd.LinearRegression, gd.LogisticRegression])
def test_predictions_beyond_the_range_are_refused(kind):
    model = kind().fit(X, LABELS * 3 if kind is gd.LogisticRegression else Y)
    with pytest.raises(
        ValueError, match="The prediction for row 1 of X leaves the range of float64"
    ):
        model.predict(np.array([[1, 1, 1], [1.7e308, -1.7e308, 1.7e308]]))
    count("bad inputs refused")


def test_probabilities_of_the_farthest_rows_are_ones_and_zeros():
    classes = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
    for labels in (LABELS, classes):
        model = gd.LogisticRegression().fit(X, labels)
        shares = model.predict_proba(X * 1e300)
        assert np.array_equal(shares.sum(axis=1), np.ones(200))
        assert ((shares < 1e-300) | (shares == 1)).all()
    count("hard numerical cases", 2)


@DTYPES
def test_separable_classes_are_named_and_their_minimum_is_none(dtype):
    model, said = quiet(gd.LogisticRegression(alpha=0), X.astype(dtype), LABELS)
    assert "The classes are separated" in said
    assert model.score(X.astype(dtype), LABELS) == 1
    assert np.isfinite(solution(model)).all()
    count("hard numerical cases")


@DTYPES
@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 10.0])
def test_separable_classes_under_a_penalty(dtype, alpha):
    """Rows ±1 in two classes: w solves σ(−w) = α·w; found here by halving."""
    model = gd.LogisticRegression(alpha=alpha, standardize=False, tol=1e-12)
    model, _ = quiet(model, np.array([[-1], [1]], dtype), [0, 1])
    want = exact.root(lambda w: alpha * w - 1 / (1 + math.exp(w)), 0, 100)

    def cost(w):
        return math.log1p(math.exp(-w)) + alpha / 2 * w * w

    excess = cost(float(model.coef_[0, 0])) - cost(want)
    assert excess <= (1e-7 if dtype is np.float32 else 1e-12) * cost(0)
    assert model.coef_[0, 0] == pytest.approx(want, rel=1e-2 if dtype is np.float32 else 1e-5)
    assert model.intercept_[0] == pytest.approx(0, abs=1e-6)
    count("hard numerical cases")


RULES = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "nadam", "lion")


@DTYPES
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rate", [1e-300, 1e-12, 1e4, 1e30, 1e300])
def test_rates_from_nothing_to_far_too_large(dtype, rule, rate):
    """Never NaN, never worse than the start; too large a rate is named, with a better one."""
    model = gd.LinearRegression(
        alpha=0, optimizer=rule, learning_rate=rate, max_epochs=20, random_state=0
    )
    model, said = quiet(model, X.astype(dtype), Y)
    assert np.isfinite(solution(model)).all()
    start = np.mean((Y - Y.mean()) ** 2) / 2
    assert model.result_.fun <= start * (1 + 1e-6)
    assert not model.result_.success
    if rate >= 1e30:
        assert model.result_.status is gd.Status.DIVERGED
        assert "; try " in said
    count("hard numerical cases")


@pytest.mark.parametrize("rate", [1e5, 1e30, 1e300])
@DTYPES
def test_networks_survive_such_rates(dtype, rate):
    model = gd.MLPClassifier(
        hidden_layer_sizes=(8,), learning_rate=rate, max_epochs=10, random_state=0
    )
    model, said = quiet(model, X.astype(dtype), LABELS)
    assert model.result_.status is gd.Status.DIVERGED
    assert "; try " in said
    assert np.isfinite(model.result_.x).all()
    assert np.isfinite(model.predict_proba(X.astype(dtype))).all()
    count("hard numerical cases")


def network(A, y, **settings):
    model = gd.MLPRegressor(hidden_layer_sizes=(8,), max_epochs=20, random_state=0, **settings)
    model, _ = quiet(model, A, y)
    return model.score(A, y)


@pytest.mark.parametrize("unit", [1e-300, 1e-30, 1e30, 1e300])
def test_networks_see_the_same_columns_and_targets_at_any_scale(unit):
    plain = network(X, Y)
    assert network(X, Y * unit) == pytest.approx(plain, rel=1e-3)
    assert network(X * unit, Y, dtype="float64") == pytest.approx(
        network(X, Y, dtype="float64"), rel=1e-3
    )
    count("hard numerical cases", 2)


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_networks_refuse_columns_that_single_precision_cannot_hold(unit):
    with pytest.raises(ValueError, match="in column 0, beyond what float32 can divide by"):
        network(X * unit, Y)
    if unit > 1:
        with pytest.raises(ValueError, match=r"X has numbers beyond 3.4e\+38, the largest of floa"):
            network(X * unit, Y, standardize=False)
        with pytest.raises(ValueError, match="The prediction for row 0 of X leaves the range of"):
            quiet(gd.MLPRegressor(hidden_layer_sizes=(8,)), X, Y)[0].predict(X * 1e300)
    count("bad inputs refused", 3)


@DTYPES
@pytest.mark.parametrize("optimizer", ["auto", "closed-form", "lbfgs", "fista"])
def test_constant_columns_get_nothing_and_change_nothing(dtype, optimizer):
    A = X.astype(dtype)
    wide = np.column_stack([A[:, 0], np.full(200, 7, dtype), A[:, 1:], np.zeros(200, dtype)])
    settings = {
        "alpha": 1e-3,
        "optimizer": optimizer,
        "tol": 1e-6 if dtype is np.float32 else 1e-10,
    }
    one = gd.LinearRegression(**settings).fit(A, Y)
    other = gd.LinearRegression(**settings).fit(wide, Y)
    assert other.coef_[1] == other.coef_[4] == 0
    assert np.allclose(
        other.coef_[[0, 2, 3]], one.coef_, rtol=1e-4 if dtype is np.float32 else 1e-7
    )
    count("hard numerical cases")


@pytest.mark.parametrize("alpha", [0, 1e-3])
def test_equal_columns_share_a_coefficient(alpha):
    """The least of all minima, and the only one under a ridge."""
    twice = gd.LinearRegression(alpha=alpha, tol=1e-12).fit(np.column_stack([X, X[:, 1]]), Y)
    assert twice.coef_[1] == pytest.approx(twice.coef_[3], rel=1e-9)
    A = np.column_stack([X, X[:, 1]])
    assert np.allclose(twice.predict(A), Y, atol=0.01 if alpha else 1e-10)
    if alpha == 0:
        assert np.allclose(twice.coef_, [1, -1, 0.5, -1], rtol=1e-9)
    count("hard numerical cases")


@DTYPES
def test_more_columns_than_rows(dtype):
    """Without a penalty a solution, in double the least (the pseudoinverse's); else the dual's."""
    rng = np.random.default_rng(1)
    A = rng.normal(size=(20, 100))
    A = ((A - A.mean(axis=0)) / A.std(axis=0)).astype(dtype)
    y = Y[:20] - Y[:20].mean()
    near = {"rtol": 0, "atol": 1e-4 if dtype is np.float32 else 1e-10}
    free = gd.LinearRegression(alpha=0, tol=1e-12).fit(A, y)
    assert np.allclose(free.predict(A), y, rtol=0, atol=1e-5)
    if dtype is np.float64:
        assert np.allclose(free.coef_, np.linalg.pinv(A) @ y, rtol=0, atol=1e-8)
    alpha, kernel = 0.1, A.astype(float) @ A.T.astype(float)
    ridge = gd.LinearRegression(alpha=alpha, tol=1e-12)
    ridge, _ = quiet(ridge, A, y)
    dual = A.T.astype(float) @ np.linalg.solve(kernel + 20 * alpha * np.eye(20), y)
    assert np.allclose(ridge.coef_, dual, **near)
    count("hard numerical cases", 2)


@DTYPES
def test_one_example(dtype):
    A = X[:1].astype(dtype)
    for kind in (gd.LinearRegression, gd.MLPRegressor):
        model, _ = quiet(kind(), A, [3.5])
        assert model.predict(A)[0] == pytest.approx(3.5, rel=1e-5)
    for kind in (gd.LogisticRegression, gd.LinearClassifier, gd.MLPClassifier):
        with pytest.raises(ValueError, match=r"one class only|at least two classes"):
            kind().fit(A, [1])
    count("hard numerical cases", 5)


def test_columns_and_targets_that_say_nothing():
    same = np.ones((20, 3))
    assert np.array_equal(gd.LinearRegression().fit(same, Y[:20]).coef_, np.zeros(3))
    flat = gd.LinearRegression().fit(X, np.full(200, 5.0))
    assert np.array_equal(solution(flat), [0, 0, 0, 5])
    assert flat.score(X, np.full(200, 5.0)) == 1
    half = gd.LogisticRegression().fit(same, [0, 1] * 10)
    assert np.array_equal(half.predict_proba(same), np.full((20, 2), 0.5))
    count("hard numerical cases", 3)


@pytest.mark.parametrize("unit", [1e-8, 1e-3, 1e3, 1e8])
@pytest.mark.parametrize("height", [1e-3, 1, 1e100])
def test_minimize_at_any_scale_is_right_or_says_that_it_is_not(unit, height):
    """Rosenbrock's valley in other units: where success is said, it is the minimum."""

    def valley(x):
        a, b = x / unit
        g = np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])
        return height * ((1 - a) ** 2 + 100 * (b - a * a) ** 2), height * g / unit

    found = gd.minimize(valley, np.array([-1.2, 1.0]) * unit, gtol=1e-9 * height / unit)
    assert np.isfinite(found.x).all()
    if found.success:
        assert np.allclose(found.x / unit, 1, atol=1e-3)
    else:
        assert found.status in (gd.Status.STALLED, gd.Status.EPOCHS)
    count("hard numerical cases")
