"""Learning row by row: what mathematics says of one step, of weights, units and penalties."""

import itertools
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels import twins

SCALARS = "squared logistic huber quantile poisson gamma hinge squared_hinge".split()
LOSSES = [*SCALARS, "softmax"]
PLAIN = (1.0, 0.5, 0.0, 0.0, 0.0, 1.0)  # rate, knob, l1, l2, scaled penalty, intercept
LOSS = pytest.mark.parametrize("loss", LOSSES)
SCALAR = pytest.mark.parametrize("loss", SCALARS)
TARGETS = [
    (loss, y)
    for loss in SCALARS
    for y in (0.0, 1.0, 7.0)
    if not (y > 1 and loss in ("logistic", "hinge", "squared_hinge"))
    and not (y == 0 and loss == "gamma")
]


def problem(loss, n=300, p=5, seed=0, dtype=np.float64):
    """Rows, targets of a linear model, and weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)).astype(dtype)
    z = X @ np.linspace(-1, 1, p) + 0.5
    real = loss in ("squared", "huber", "quantile")
    y = z + 0.1 * rng.normal(size=n) if real else (z + rng.logistic(size=n) > 0) * 1.0
    if loss == "poisson":
        y = rng.poisson(np.exp(z)) * 1.0
    elif loss == "gamma":
        y = np.exp(z) * rng.gamma(2, 0.5, n) + 1e-3
    elif loss == "softmax":
        y = np.digitize(z, [-0.5, 1]) * 1.0
    return X, y, rng.choice([0.0, 0.5, 1.0, 3.0], n)


def fresh(loss, p):
    k = 3 if loss == "softmax" else 1
    return np.zeros((2 * k + 2, p + 1)), np.zeros(5)


def learn(kernels, loss, X, y, weights=None, numbers=PLAIN, memory=None):
    """(summed loss, state, clock) after a pass."""
    state, clock = fresh(loss, X.shape[-1]) if memory is None else memory
    weights = np.ones(len(y)) if weights is None else weights
    return kernels.online_pass(loss, X, y, weights, state, clock, numbers), state, clock


def value(loss, z, y, knob=0.5):
    """The losses as textbooks write them."""
    r, side = y - z, 2 * y - 1
    return {
        "squared": lambda: r * r / 2,
        "logistic": lambda: np.logaddexp(0, -side * z),
        "huber": lambda: np.where(abs(r) <= knob, r * r / 2, knob * (abs(r) - knob / 2)),
        "quantile": lambda: np.maximum(knob * r, (knob - 1) * r),
        "poisson": lambda: np.exp(z) - y * z,
        "gamma": lambda: z + y * np.exp(-z),
        "hinge": lambda: np.maximum(0, 1 - side * z),
        "squared_hinge": lambda: np.maximum(0, 1 - side * z) ** 2 / 2,
    }[loss]()


def margin(state, x):
    return float(state[0, :-1] @ x + state[0, -1])


def test_the_first_step_of_a_squared_loss(kernels):
    """From zero weights and without an intercept every column has u = 1 and the rate 1/|y|: z goes
    the share 1 − e^(−s) of the way to y, s = √p, in equal parts."""
    x, y = np.array([1e-6, -3.0, 1e6, 20.0]), np.array([5.0])
    lost, state, clock = learn(kernels, "squared", x, y, numbers=(*PLAIN[:5], 0.0))
    assert lost == 12.5
    share = -math.expm1(-math.sqrt(4))
    np.testing.assert_allclose(state[0, :4] * x, 5 * share / 4, rtol=1e-14)
    np.testing.assert_array_equal(state[:, 4], 0)
    np.testing.assert_array_equal(state[1:3, :4], [[25.0] * 4, np.abs(x)])
    np.testing.assert_allclose(clock, [1, 4, 25, 0, 1])


def test_the_first_example_teaches_the_intercept_alone(kernels):
    """It is its own mean, so that no column says anything yet."""
    x, y = np.array([3.0, -4.0]), np.array([1.0])
    _, state, _ = learn(kernels, "logistic", x, y)
    np.testing.assert_array_equal(state[0, :2], 0)
    z = state[0, 2]
    # s = 2, as the slope is ½: z + eᶻ = 2 + 0 + e⁰
    assert z + math.exp(z) == pytest.approx(3, rel=1e-14)


@pytest.mark.parametrize(("loss", "y"), TARGETS)
def test_no_step_passes_the_examples_own_minimum(kernels, loss, y):
    for z0, h in itertools.product((-40.0, -3.0, 0.0, 2.0, 40.0), (1e-8, 0.1, 1.0, 50.0, 1e8)):
        state, clock = fresh(loss, 1)
        state[0] = z0 / 2  # at x = 1
        X, y_ = np.ones((1, 1)), np.array([y])
        learn(kernels, loss, X, y_, np.array([h]), (*PLAIN[:5], 1.0), (state, clock))
        z1 = margin(state, X[0])
        between = z0 + (z1 - z0) * np.linspace(0, 1, 101)
        falling = np.diff(value(loss, between, y))
        assert math.isfinite(z1)
        assert (falling <= 1e-9 * (1 + abs(value(loss, z0, y)))).all()


@SCALAR
def test_a_step_follows_the_differential_equation(kernels, loss):
    """dz/dh = −s ℓ′(z), here by small steps at midpoints; s of the intercept alone is
    unit · rate / (|ℓ′(z₀)|√h)."""
    y, z0, h, n = 1.0, -1.3, 2.0, 4000
    state, clock = fresh(loss, 1)
    state[0, -1] = z0
    learn(kernels, loss, np.zeros((1, 1)), np.array([y]), np.array([h]), memory=(state, clock))

    def slope(z):
        return (value(loss, z + 1e-6, y) - value(loss, z - 1e-6, y)) / 2e-6

    unit = abs(y - z0) if loss in ("squared", "huber", "quantile") else 1.0
    push = unit * h / (abs(slope(z0)) * math.sqrt(h))
    z, dt = z0, push / n
    for _ in range(n):
        mid = z - dt / 2 * slope(z)
        z -= dt * slope(mid)
    assert state[0, -1] == pytest.approx(z, abs=2e-3)


@LOSS
@pytest.mark.parametrize("intercept", [0.0, 1.0])
@pytest.mark.parametrize("penalty", [0.0, 1e-3])
def test_a_columns_unit_only_changes_its_weights_unit(kernels, loss, intercept, penalty):
    X, y, weights = problem(loss)
    scale = 10.0 ** np.array([-6, -2, 0, 3, 6])
    numbers = (1.0, 0.5, penalty, penalty, 1.0, intercept)
    lost, one, _ = learn(kernels, loss, X, y, weights, numbers)
    again, other, _ = learn(kernels, loss, X * scale, y, weights, numbers)
    k = len(one) // 2 - 1
    assert again == pytest.approx(lost, rel=1e-10)
    np.testing.assert_allclose(other[:k, :-1] * scale, one[:k, :-1], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(other[:k, -1], one[:k, -1], rtol=1e-9, atol=1e-10)


@LOSS
def test_a_columns_zero_only_changes_the_intercept(kernels, loss):
    X, y, weights = problem(loss)
    shift = np.array([0, 1e3, -5, 10, 100.0])
    lost, one, _ = learn(kernels, loss, X, y, weights)
    again, other, _ = learn(kernels, loss, X + shift, y, weights)
    k = len(one) // 2 - 1
    np.testing.assert_allclose(other[:k, :-1], one[:k, :-1], rtol=1e-8, atol=1e-8)
    assert again == pytest.approx(lost, rel=1e-7)


@pytest.mark.parametrize("loss", ["squared", "huber", "quantile"])
def test_the_targets_unit_only_changes_the_weights_unit(kernels, loss):
    X, y, weights = problem(loss)
    _, one, _ = learn(kernels, loss, X, y, weights)
    knob = 0.5 if loss == "quantile" else 0.5e6
    _, other, _ = learn(kernels, loss, X, y * 1e6, weights, (1.0, knob, 0.0, 0.0, 0.0, 1.0))
    np.testing.assert_allclose(other[0], one[0] * 1e6, rtol=1e-9)


@LOSS
def test_a_weight_of_two_is_nearly_the_row_twice(kernels, loss):
    X, y, _ = problem(loss, n=2000)
    rng = np.random.default_rng(1)
    twice = rng.random(len(y)) < 0.3
    rows = np.repeat(np.arange(len(y)), 1 + twice)
    _, one, clock = learn(kernels, loss, X, y, 1.0 + twice)
    _, other, clocked = learn(kernels, loss, X[rows], y[rows])
    k = len(one) // 2 - 1
    np.testing.assert_allclose(clock[[0, 4]], clocked[[0, 4]])
    close = (0.1 if loss == "poisson" else 0.05) * np.abs(one[:k]).max()
    np.testing.assert_allclose(other[:k], one[:k], atol=close)


@LOSS
def test_a_weight_of_zero_changes_not_a_bit(kernels, loss):
    X, y, weights = problem(loss)
    used = weights > 0
    _, *one = learn(kernels, loss, X, y, weights)
    _, *other = learn(kernels, loss, X[used], y[used], weights[used])
    assert all(twins.same_bits(a, b) for a, b in zip(one, other, strict=True))
    assert learn(kernels, loss, X[0], y[:1], np.zeros(1), memory=tuple(one))[0] == 0
    assert all(twins.same_bits(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax"])
@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=8), dtype=st.sampled_from(["f", "d"]))
def test_many_calls_give_the_bits_of_one(loss, cuts, dtype):
    modules = twins.NATIVE or twins.PLAIN
    kernels = twins.namespace(modules)
    X, y, weights = problem(loss, n=60, dtype=dtype)
    numbers = (1.0, 0.5, 1e-3, 1e-3, 1.0, 1.0)
    _, *one = learn(kernels, loss, X, y, weights, numbers)
    memory = fresh(loss, X.shape[1])
    edges = [0, *sorted(cuts), 60]
    for a, b in itertools.pairwise(edges):
        learn(kernels, loss, X[a:b], y[a:b], weights[a:b], numbers, memory)
        memory = pickle.loads(pickle.dumps(memory))
    assert all(twins.same_bits(a, b) for a, b in zip(one, memory, strict=True))


@LOSS
def test_one_row_may_come_without_its_axis(kernels, loss):
    X, y, weights = problem(loss, n=30)
    _, *one = learn(kernels, loss, X, y, weights)
    memory = fresh(loss, X.shape[1])
    for i in range(30):
        learn(kernels, loss, X[i], y[i : i + 1], weights[i : i + 1], memory=memory)
    assert all(twins.same_bits(a, b) for a, b in zip(one, memory, strict=True))


@LOSS
@pytest.mark.parametrize("penalty", [0.0, 1e-3])
def test_twins_stay_together_over_a_pass(pair, loss, penalty):
    """Rounding differs in long sums and in eˣ; over hundreds of steps it stays below 1e-11."""
    X, y, weights = problem(loss)
    results = [
        learn(one, loss, X, y, weights, (1.0, 0.5, penalty, penalty, 0.0, 1.0)) for one in pair
    ]
    (lost, one, clock), (other_lost, other, other_clock) = results
    assert lost == pytest.approx(other_lost, rel=1e-12)
    np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11 * np.abs(other[0]).max())
    np.testing.assert_allclose(clock, other_clock, rtol=1e-12)


@pytest.mark.parametrize("p", [5, 16, 31, 40])
def test_columns_of_which_nothing_is_known_yet_stand_in_nobodys_way(kernels, p):
    """As in the first step above, in equal parts, whichever columns are zero."""
    rng = np.random.default_rng(p)
    X = rng.normal(size=(1, p)) * (rng.random(p) < 0.5)
    _, state, _ = learn(kernels, "squared", X, np.ones(1), numbers=(*PLAIN[:5], 0.0))
    share = -math.expm1(-math.sqrt((X != 0).sum()))
    np.testing.assert_allclose(state[0, :p] * X[0], share * (X[0] != 0) / (X != 0).sum())


def test_noiseless_data_lead_to_least_squares(kernels):
    X, _, _ = problem("squared", n=4000)
    w = np.array([3.0, -2.0, 0.5, 0.0, 1e3])
    _, state, clock = learn(kernels, "squared", X, X @ w - 7)
    np.testing.assert_allclose(state[0], [*w, -7], atol=1e-5 * 1e3)
    before = np.abs(state[0] - [*w, -7]).max()
    learn(kernels, "squared", X, X @ w - 7, memory=(state, clock))
    assert np.abs(state[0] - [*w, -7]).max() < 0.5 * before


@pytest.mark.parametrize("loss", ["squared", "logistic", "softmax"])
@pytest.mark.parametrize("scaled", [0.0, 1.0])
def test_lasso_gives_exact_zeros_and_spares_the_intercept(kernels, loss, scaled):
    X, y, _ = problem(loss, n=2000)
    X = np.hstack([X, np.random.default_rng(5).normal(size=(len(X), 5))])
    few, all_ = (
        learn(kernels, loss, X, y, numbers=(1.0, 0.5, l1, 0.0, scaled, 1.0))[1] for l1 in (0.3, 0)
    )
    k = len(few) // 2 - 1
    noise = few[:k, 5:10]
    assert (noise == 0).sum() >= k
    assert np.abs(noise).sum() < 0.5 * np.abs(all_[:k, 5:10]).sum()
    assert (few[:k, [0, 4]] != 0).any() or scaled
    strong = (1.0, 0.5, 1e3, 0.0, scaled, 1.0)
    _, state, _ = learn(kernels, loss, X, y, numbers=strong)
    np.testing.assert_array_equal(state[:k, :-1], 0)
    assert (state[:k, -1] != 0).all()


def test_ridge_shrinks(kernels):
    X, y, _ = problem("squared", n=2000)
    sizes = [
        np.abs(
            learn(kernels, "squared", X, y, numbers=(1.0, 0.5, 0.0, l2, 0.0, 1.0))[1][0, :5]
        ).sum()
        for l2 in (0.0, 0.1, 1.0, 10.0)
    ]
    assert sizes == sorted(sizes, reverse=True)
    # J = ½E(z − y)² + ½·l2·w² of independent columns of variance 1 has its minimum at w / (1 + l2).
    assert sizes[2] == pytest.approx(sizes[0] / 2, rel=0.1)


@LOSS
@pytest.mark.filterwarnings("error")
def test_columns_from_1e_minus_12_to_1e12_stay_numbers(kernels, loss):
    X, y, weights = problem(loss)
    scale = 10.0 ** np.array([-12, -6, 0, 6, 12])
    X = X * scale
    X[::7] = 0
    lost, state, clock = learn(kernels, loss, X, y, weights)
    assert math.isfinite(lost)
    assert np.isfinite(state).all()
    assert np.isfinite(clock).all()


@LOSS
def test_extremes_leave_the_state_finite(kernels, loss):
    X, y, _ = problem(loss, n=60)
    X = X * 10.0 ** np.array([-150, -149, 0, 100, 149])
    X[3], X[5] = 0, 1e-200
    X[7] *= 1e-60
    _, state, clock = learn(kernels, loss, X, y)
    assert np.isfinite(state).all()
    assert np.isfinite(clock).all()


@LOSS
@pytest.mark.parametrize("where", ["X", "y", "weights"])
def test_what_is_not_finite_is_refused_before_anything_changes(kernels, loss, where):
    for bad in (np.nan, np.inf, -np.inf, 1e200):
        refused_before_anything_changes(kernels, loss, bad, where)


def refused_before_anything_changes(kernels, loss, bad, where):
    given = dict(zip(("X", "y", "weights"), problem(loss, n=20), strict=True))
    memory = fresh(loss, 5)
    learn(kernels, loss, **given, memory=memory)
    kept = [each.copy() for each in memory]
    given[where][-1] = bad
    with pytest.raises(ValueError, match=f"{where}.* finite|{where} holds|y holds|y and weights"):
        learn(kernels, loss, **given, memory=memory)
    assert all(twins.same_bits(a, b) for a, b in zip(memory, kept, strict=True))


@pytest.mark.parametrize(
    ("loss", "bad"),
    [
        ("logistic", 0.5),
        ("hinge", 2),
        ("softmax", 3),
        ("softmax", 0.5),
        ("poisson", -1),
        ("gamma", 0),
    ],
)
def test_targets_are_those_of_the_loss(kernels, loss, bad):
    X, y, _ = problem(loss, n=5)
    y[4] = bad
    with pytest.raises(ValueError, match="no target of this loss"):
        learn(kernels, loss, X, y)


def test_words_for_wrong_arguments(kernels):
    X, y, weights = problem("squared", n=5)
    state, clock = fresh("squared", 5)
    call = kernels.online_pass
    with pytest.raises(ValueError, match="loss must be one of squared, logistic"):
        call("absolute", X, y, weights, state, clock, PLAIN)
    with pytest.raises(ValueError, match="numbers must be a tuple of six"):
        call("squared", X, y, weights, state, clock, PLAIN[:5])
    with pytest.raises(ValueError, match="numbers must be finite"):
        call("squared", X, y, weights, state, clock, (np.nan, *PLAIN[1:]))
    with pytest.raises(ValueError, match="numbers must be finite"):
        call("quantile", X, y, weights, state, clock, (1.0, 1.0, *PLAIN[2:]))
    with pytest.raises(ValueError, match="one output"):
        call("squared", X, y, weights, np.zeros((6, 6)), clock, PLAIN)
