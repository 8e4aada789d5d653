"""Cost and gradient of the linear family against mathematics, on both twins.

Stated accuracy, relative to the gradient's norm and to the cost: 1e-12 in float64, 1e-4 in float32.
"""

import itertools
import math

import numpy as np
import pytest

from tests.kernels.cases import examples
from tests.kernels.twins import LOSSES as EVERY
from tests.kernels.twins import outcome, same_bits

NEAR = {np.float32: 1e-4, np.float64: 1e-12}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
LOSSES = pytest.mark.parametrize("loss", EVERY)


def run(kernels, loss, work):
    """(summed loss, what was added to g)."""
    before = work["g"].copy()
    nowhere = np.empty((0, 0))
    value = kernels.linear_gradient(**work | {"loss": loss, "margins": nowhere})
    added, work["g"] = work["g"] - before, before
    return value, added


def margins(work):
    """Z (n, k) and standardised rows with the intercept's column, in long double."""
    p = work["X"].shape[1]
    columns = work["columns"].astype(np.longdouble)
    x = (work["X"].astype(np.longdouble) - columns[0, :p]) * columns[1, :p]
    x = np.concatenate([x, np.full((len(x), 1), columns[1, p])], axis=1)
    k = len(work["theta"]) // (p + 1)
    W = work["theta"][: k * p].reshape(k, p)
    W = np.concatenate([W, work["theta"][k * p :, None]], axis=1)
    return (x[:, None, :] * W).sum(axis=2), x


def soft_corner(u, low, high, width):
    """max(low·u, high·u) whose corner is a parabola where low < u/width < high."""
    left, right = u <= low * width, u >= high * width
    value = np.where(left, low * u - low**2 * width / 2, high * u - high**2 * width / 2)
    value = np.where(left | right, value, u**2 / (2 * width))
    return value, np.where(left, low, np.where(right, high, u / width))


def hinge(z, y, shape, smooth):
    t = 2 * y - 1
    value, slope = soft_corner(1 - t * z, 0, 1, smooth)
    return value, -t * slope


def deviance(y, mean):
    """Half of it, of a count."""
    return mean - y + np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / mean), 0)


SCALAR = {  # (ℓ, dℓ/dz) as the books have them
    "squared": lambda z, y, *_: ((z - y) ** 2 / 2, z - y),
    "logistic": lambda z, y, *_: (
        np.logaddexp(0, z) - y * z,
        np.exp(-np.logaddexp(0, -z)) - y,
    ),
    "huber": lambda z, y, d, _: (
        np.where(abs(z - y) <= d, (z - y) ** 2 / 2, d * (abs(z - y) - d / 2)),
        np.where(abs(z - y) <= d, z - y, d * np.sign(z - y)),
    ),
    "quantile": lambda z, y, q, width: soft_corner(z - y, -q, 1 - q, width),
    "poisson": lambda z, y, *_: (deviance(y, np.exp(z)), np.exp(z) - y),
    "gamma": lambda z, y, *_: (y / np.exp(z) - 1 - np.log(y / np.exp(z)), 1 - y / np.exp(z)),
    "hinge": hinge,
    "squared_hinge": lambda z, y, *_: (
        np.maximum(0, 1 - (2 * y - 1) * z) ** 2 / 2,
        -(2 * y - 1) * np.maximum(0, 1 - (2 * y - 1) * z),
    ),
}


def textbook(loss, work):
    """The same sum, as the book has it, in long double."""
    z, x = margins(work)
    y, s, k = work["y"], work["weights"], z.shape[1]
    if loss != "softmax":
        lost, r = SCALAR[loss](z[:, 0], y, work["shape"], work["smooth"])
        r = r[:, None]
    else:
        most = z.max(axis=1, keepdims=True)
        log_total = most + np.log(np.exp(z - most).sum(axis=1, keepdims=True))
        own = np.arange(k) == y[:, None]
        lost, r = (log_total - z)[own], np.exp(z - log_total) - own
    r = r * s[:, None]
    G = (r[:, :, None] * x[:, None, :]).sum(axis=0)
    return float((s * lost).sum()), np.concatenate([G[:, :-1].ravel(), G[:, -1]]).astype(float)


def require_near(one, other, near):
    assert one[0] == pytest.approx(other[0], rel=near, abs=near)
    assert np.linalg.norm(one[1] - other[1]) <= near * (np.linalg.norm(other[1]) + 1e-3)


@LOSSES
@DTYPES
def test_cost_and_gradient_are_the_textbooks(kernels, loss, dtype):
    for n, p in itertools.product((0, 1, 3, 4, 5, 63, 64, 65, 5000), (0, 1, 5, 16)):
        work = examples(loss, dtype, n, p, seed=n + p)
        require_near(run(kernels, loss, work), textbook(loss, work), NEAR[dtype])


@LOSSES
@DTYPES
def test_twins_agree(pair, loss, dtype):
    """Rows shorter and longer than a vector register, a block and a cache."""
    several = (1, 2, 11) if loss == "softmax" else (1,)
    for p, n, k in itertools.product((15, 17, 31, 200, 3000), (1, 6, 300), several):
        work = examples(loss, dtype, n, p, k, seed=p)
        work["theta"] /= math.sqrt(p)
        plain, native = (run(kernels, loss, work) for kernels in pair)
        require_near(plain, native, NEAR[dtype])


@DTYPES
def test_long_sums_keep_their_accuracy(kernels, dtype):
    work = examples("squared", dtype, n=100_000, p=2)
    require_near(run(kernels, "squared", work), textbook("squared", work), NEAR[dtype] / 10)


@LOSSES
@pytest.mark.parametrize(("p", "intercept"), [(1, 1.0), (7, 0.0), (20, 1.0)])
def test_the_gradient_is_the_costs_slope(kernels, loss, intercept, p):
    """Central differences, with weights, shift and scale."""
    work = examples(loss, n=30, p=p, seed=p)
    work["columns"][1, p] = intercept
    _, g = run(kernels, loss, work)
    slope, theta = np.empty_like(g), work["theta"]
    for j in range(len(theta)):
        step = np.zeros_like(theta)
        step[j] = 1e-5
        up, _ = run(kernels, loss, work | {"theta": theta + step})
        down, _ = run(kernels, loss, work | {"theta": theta - step})
        slope[j] = (up - down) / 2e-5
    assert np.linalg.norm(g - slope) <= 1e-7 * np.linalg.norm(g)
    k = len(theta) // (p + 1)
    assert g[k * p :].any() == bool(intercept)


@LOSSES
@DTYPES
def test_weight_two_is_a_repeated_row_and_weight_zero_an_absent_one(kernels, loss, dtype):
    work = examples(loss, dtype, n=50)
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, 50)
    rows = np.repeat(np.arange(50), counts)
    weighted = work | {"weights": counts.astype(float)}
    repeated = work | {"X": work["X"][rows], "y": work["y"][rows], "weights": np.ones(len(rows))}
    require_near(run(kernels, loss, weighted), run(kernels, loss, repeated), NEAR[dtype] / 10)


@LOSSES
@DTYPES
def test_the_sum_over_shards_is_the_sum(kernels, loss, dtype):
    work = examples(loss, dtype, n=500)
    whole = run(kernels, loss, work)
    value, g = 0.0, np.zeros_like(work["g"])
    for part in (slice(0, 200), slice(200, 201), slice(201, 500)):
        shard = {name: work[name][part] for name in ("X", "y", "weights")}
        margins = work["margins"][part]
        value += kernels.linear_gradient(**work | shard | {"g": g, "margins": margins})
    require_near((value, g), whole, NEAR[dtype] / 10)


SHIFTS = [  # mean, deviation, stated accuracy
    (np.float64, 1e6, 1e-3, 1e-13),
    (np.float64, 9.0, 1e-3, 1e-11),
    (np.float64, -0.5, 1.0, 1e-13),
    (np.float32, 4096.0, 0.125, 1e-6),
    (np.float32, 3.5, 1.0, 1e-5),
    (np.float32, 5.0, 1.0, 1e-6),
]


@LOSSES
@pytest.mark.parametrize(("dtype", "mean", "deviation", "near"), SHIFTS)
def test_shifting_costs_no_digits_or_as_few_as_stated(kernels, loss, dtype, mean, deviation, near):
    """Of 9000 deviations the sums lose four digits of 16; beyond, x − shift is formed first."""
    rng = np.random.default_rng(0)
    work = examples(loss, dtype, n=200, p=3)
    work["X"] = (mean + deviation * rng.normal(size=(200, 3))).astype(dtype)
    work["columns"][0, :3], work["columns"][1, :3] = mean, 1 / deviation
    require_near(run(kernels, loss, work), textbook(loss, work), near)


@LOSSES
@DTYPES
def test_a_constant_column_of_any_size_adds_nothing(kernels, loss, dtype):
    """Its inverse scale is zero; the others must not see it."""
    work = examples(loss, dtype, n=300, p=3)
    for value in (0.0, 1.0, -1e30, 1e-30, float(np.finfo(dtype).max) / 8):
        work["X"][:, 1], work["columns"][0, 1], work["columns"][1, 1] = value, value, 0
        value, g = run(kernels, loss, work)
        assert np.isfinite(value)
        assert np.isfinite(g).all()
        k = len(g) // 4
        assert (g[: 3 * k].reshape(k, 3)[:, 1] == 0).all()
        without = {"X": np.delete(work["X"], 1, 1), "columns": np.delete(work["columns"], 1, 1)}
        kept = np.r_[np.delete(np.arange(3 * k).reshape(k, 3), 1, 1).ravel(), 3 * k : 4 * k]
        less = {"theta": work["theta"][kept], "g": np.zeros(3 * k)}
        require_near((value, g[kept]), run(kernels, loss, work | without | less), NEAR[dtype] / 10)


@LOSSES
@pytest.mark.parametrize(
    ("dtype", "unit"),
    [
        (np.float64, 1e-140),
        (np.float64, 1e140),
        (np.float64, 1e-200),
        (np.float64, 1e200),
        (np.float32, 1e-17),
        (np.float32, 1e17),
        (np.float32, 1e-25),
        (np.float32, 1e25),
    ],
)
def test_columns_of_extreme_scale(kernels, loss, dtype, unit):
    """The inverse scale undoes the unit: nothing under- or overflows on the way."""
    work = examples(loss, dtype, n=300, p=3)
    other = work | {"X": (work["X"].astype(np.float64) * unit).astype(dtype)}
    other["columns"] = work["columns"].copy()
    other["columns"][0, :3] *= unit
    other["columns"][1, :3] /= unit
    require_near(run(kernels, loss, other), run(kernels, loss, work), NEAR[dtype])


@pytest.mark.parametrize("size", [1.0, 40.0, 1e3, 1e8])
def test_logistic_loss_at_extreme_margins(kernels, size):
    """log(1 + eᶻ) is z far right and eᶻ far left: on the wrong side |z|, on the right side 0."""
    for sign, y in itertools.product((-1, 1), (0.0, 1.0)):
        value, g = run(kernels, "logistic", single_row(sign * size, y))
        tail = math.exp(-size)
        wrong = (sign > 0) != (y == 1)
        assert value == pytest.approx(size * wrong + math.log1p(tail), rel=1e-14, abs=1e-307)
        slope = (1 if wrong else tail) / (1 + tail)
        assert g[1] == pytest.approx(slope if y == 0 else -slope, rel=1e-14, abs=1e-307)


def single_row(margin, y, k=1):
    """One example x = 0 whose margin is its intercept."""
    columns = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    theta = np.zeros(2 * k)
    theta[k:] = margin
    return {
        "shape": 0.5,
        "smooth": 0.1,
        "X": np.zeros((1, 1)),
        "y": np.array([float(y)]),
        "weights": np.ones(1),
        "columns": columns,
        "theta": theta,
        "g": np.zeros(2 * k),
    }


@pytest.mark.parametrize("size", [0.0, 40.0, 1e3, 1e8, 1e300])
def test_softmax_loss_at_extreme_margins(kernels, size):
    shares = np.exp(-size * np.array([2.0, 1.0, 0.0])) if size < 300 else np.array([0, 0, 1.0])
    shares /= shares.sum()
    for own in range(3):
        work = single_row(np.array([-size, 0.0, size]), own, k=3)
        value, g = run(kernels, "softmax", work)
        expected = (2 - own) * size - math.log(shares[2])
        assert value == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(g[3:], shares - (np.arange(3) == own), atol=1e-15)


def test_squared_loss_at_extreme_margins(kernels):
    for margin in (-1e3, 1e3, 1e100):
        value, g = run(kernels, "squared", single_row(margin, 1.0))
        assert value == pytest.approx(0.5 * (margin - 1) ** 2, rel=1e-14)
        assert g[1] == pytest.approx(margin - 1, rel=1e-14)


@pytest.mark.parametrize("margin", [np.nan, np.inf])
@LOSSES
def test_a_diverged_theta_gives_no_finite_cost(kernels, loss, margin):
    """What the loop relies on to see a divergence: no exception, no warning, no finite number."""
    k = 3 if loss == "softmax" else 1
    value, _ = run(kernels, loss, single_row(margin, float(loss == "gamma"), k))
    assert not value < 1e300


def test_two_classes_of_softmax_are_logistic(kernels):
    work = examples("logistic", n=100)
    value, g = run(kernels, "logistic", work)
    p = work["X"].shape[1]
    theta = np.zeros(2 * (p + 1))
    theta[p : 2 * p], theta[2 * p + 1] = work["theta"][:p], work["theta"][p]
    both = work | {"theta": theta, "g": np.zeros_like(theta)}
    other, h = run(kernels, "softmax", both)
    assert other == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(np.r_[h[p : 2 * p], h[2 * p + 1]], g, rtol=1e-11)
    np.testing.assert_allclose(np.r_[h[:p], h[2 * p]], -g, rtol=1e-11)


@pytest.mark.parametrize("spoilt", [-1, 3, 1e300, -1e300, np.nan, np.inf])
def test_class_numbers_out_of_range_are_refused(kernels, spoilt):
    work = examples("softmax")
    work["y"][7] = spoilt
    error, after = outcome(kernels.linear_gradient, work)
    assert isinstance(error, ValueError)
    assert "class numbers from 0 to k − 1" in str(error)
    assert same_bits(after["g"], work["g"])


def test_a_fraction_of_a_class_is_the_same_to_both_twins(pair):
    """Refused, or the same numbers."""
    work = examples("softmax")
    work["y"][7] = 0.5
    (mine, plain), (theirs, native) = (outcome(one.linear_gradient, work) for one in pair)
    assert isinstance(mine, Exception) == isinstance(theirs, Exception)
    np.testing.assert_allclose(plain["g"], native["g"], rtol=1e-10)


SENTENCES = {
    "X": ("X, y and weights must have one number of rows", lambda a: a[:-1]),
    "y": ("X, y and weights must have one number of rows", lambda a: a[:-1]),
    "weights": ("X, y and weights must have one number of rows", lambda a: a[:1]),
    "columns": ("columns must describe each column", lambda a: a[:1]),
    "theta": ("theta must hold the coefficients, then the intercepts", lambda a: a[:-1]),
    "g": ("theta and g must have one length", lambda a: a[:-1]),
}


@pytest.mark.parametrize("loss", ["squared", "softmax"])  # lengths are asked before the loss
@pytest.mark.parametrize("argument", SENTENCES)
def test_wrong_lengths_are_named(kernels, loss, argument):
    work = examples(loss)
    message, cut = SENTENCES[argument]
    error, after = outcome(kernels.linear_gradient, work | {argument: cut(work[argument])})
    assert isinstance(error, ValueError)
    assert message in str(error)
    assert same_bits(after["g"], work["g"][: len(after["g"])])


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_only_softmax_has_several_outputs(kernels, loss):
    work = examples(loss)
    work["theta"], work["g"] = np.ones((2, 2 * len(work["theta"])))
    with pytest.raises(ValueError, match="theta must hold"):
        kernels.linear_gradient(**work)
