"""Parameter updates: the twins to the bit over many steps, lists of arrays, and what each rule is.

The rules' formulas over many steps are in tests/optim; here stand the loops alone.
"""

import numpy as np
import pytest

from gdcore._numpy.updates import LASTING
from tests.kernels.cases import NUMBERS, rule_case
from tests.kernels.twins import RULES as TABLE
from tests.kernels.twins import outcome, same_bits

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
RULES = pytest.mark.parametrize("rule", sorted(TABLE))
LENGTHS = (0, 1, 15, 16, 17, 1000, 40_000)


def wide_gradients(n, steps, dtype):
    """Of both signs, from 1e-12 to 1e3 in size, some of them zero."""
    rng = np.random.default_rng(n)
    for _ in range(steps):
        g = rng.choice([-1, 0, 1], n, p=[0.48, 0.04, 0.48]) * 10 ** rng.uniform(-12, 3, n)
        yield g.astype(dtype)


def state_of(rule, n, dtype, fill=0.0):
    return [np.full(n, fill, dtype) for _ in range(TABLE[rule][1])]


@RULES
@DTYPES
def test_twins_agree_to_the_bit_over_many_steps(pair, rule, dtype):
    for n in LENGTHS:
        start = np.random.default_rng(1).normal(size=n).astype(dtype)
        sides = [(start.copy(), state_of(rule, n, dtype)) for _ in pair]
        for g in wide_gradients(n, 10 if n > 1000 else 100, dtype):
            kept = g.copy()
            for kernels, (w, state) in zip(pair, sides, strict=True):
                kernels.update(rule, w, g, state, NUMBERS[rule])
            assert same_bits(g, kept)
        (w, state), (other, theirs) = sides
        assert same_bits(w, other)
        assert all(same_bits(*two) for two in zip(state, theirs, strict=True))
        assert np.isfinite(w).all()
        assert n == 0 or not same_bits(w, start)


@RULES
@DTYPES
def test_twins_agree_to_the_bit_for_numbers_of_every_size(pair, rule, dtype):
    """They are cast once: 1 − 0.999 formed in float32 would be 1.3e-5 off."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        arguments = rule_case(rule).arguments(dtype, 33, int(rng.integers(1000)))
        arguments["numbers"] = tuple(float(x) for x in 10 ** rng.uniform(-6, 1, TABLE[rule][2]))
        (_, plain), (_, native) = (
            outcome(getattr(one, f"update:{rule}"), arguments) for one in pair
        )
        assert same_bits(plain, native)


@RULES
@DTYPES
def test_what_overflows_overflows_alike(pair, rule, dtype):
    """A descent that diverges must do so on both twins at the same step."""
    most = float(np.finfo(dtype).max)
    spoilt = [most, -most, most / 2, np.inf, -np.inf, np.nan, 0, -0.0, np.finfo(dtype).tiny]
    for turn in range(3):  # so that different bad numbers meet
        names = ["w", "g", *(f"s{k}" for k in range(TABLE[rule][1]))]
        arrays = {
            name: np.array(np.roll(spoilt, turn * k) if turn else spoilt, dtype)
            for k, name in enumerate(names)
        }
        (_, plain), (_, native) = (
            outcome(getattr(one, f"update:{rule}"), arrays | {"numbers": NUMBERS[rule]})
            for one in pair
        )
        for name in plain:
            np.testing.assert_array_equal(plain[name], native[name])


@RULES
@DTYPES
def test_the_gradient_may_be_the_parameters(kernels, pair, rule, dtype):
    if rule in ("lion", "nesterov") or rule.startswith("schedule"):
        return  # w is written between two readings of g there, block by block or element by element
    w = np.random.default_rng(0).normal(size=100).astype(dtype)
    results = []
    for one in (kernels, *pair):
        same = w.copy()
        one.update(rule, same, same, state_of(rule, 100, dtype, 0.5), NUMBERS[rule])
        results.append(same)
    assert same_bits(results[1], results[2])
    apart = w.copy()
    kernels.update(rule, apart, w, state_of(rule, 100, dtype, 0.5), NUMBERS[rule])
    assert same_bits(results[0], apart)


@RULES
@DTYPES
def test_a_list_of_arrays_is_one_long_array(kernels, rule, dtype):
    """Of any shapes, empty ones and numbers among them, in one call, to the bit."""
    shapes = [(3, 4), (0,), (), (17,), (2, 0), (1, 2, 5), (20_000,)]
    sizes = [int(np.prod(shape)) for shape in shapes]
    rng, total = np.random.default_rng(4), sum(sizes)
    w, g = rng.normal(size=(2, total)).astype(dtype)
    cuts = np.cumsum(sizes)[:-1]
    parts = [
        [part.reshape(s).copy() for part, s in zip(np.split(x, cuts), shapes, strict=True)]
        for x in (w, g)
    ]
    state, other = state_of(rule, total, dtype, 0.5), state_of(rule, total, dtype, 0.5)
    kernels.update(rule, w, g, state, NUMBERS[rule])
    kernels.update(rule, *parts, other, NUMBERS[rule])
    assert same_bits(np.concatenate([part.ravel() for part in parts[0]]), w)
    assert all(same_bits(*two) for two in zip(state, other, strict=True))


BAD_LISTS = {
    "one gradient less": (2, 1, (5, 5), np.float64, ValueError, "equally many"),
    "a shape differs": (2, 2, (5, 1), np.float64, ValueError, "one length"),
    "a dtype differs": (2, 2, (5, 5), np.float32, ValueError, "one dtype"),
}


@pytest.mark.parametrize("what", BAD_LISTS)
def test_lists_that_do_not_fit_are_refused_alike_and_nothing_moves(kernels, what):
    arrays, slopes, shape, dtype, error, words = BAD_LISTS[what]
    w = [np.ones((5, 5)) for _ in range(arrays)]
    g = [np.ones((5, 5)) for _ in range(slopes - 1)] + [np.ones(shape, dtype)]
    b = [np.zeros(50)]
    with pytest.raises(error, match=words):
        kernels.update("momentum", w, g, b, NUMBERS["momentum"])
    assert all((one == 1).all() for one in w)
    assert not b[0].any()


def test_bad_calls_get_the_same_sentence(pair):
    w, g = np.ones(3), np.ones(3)
    calls = [("adamm", w, g, (), (0.1,)), ("sgd", w, g, (w,), (0.1,)), ("sgd", w, g, (), ()),
             ("momentum", w, g, (np.ones(2),), (1, 1, 1)), ("sgd", w, 1.0, (), (0.1,)),
             ("sgd", [w, [1.0]], [g, g], (), (0.1,)), (1, w, g, (), (0.1,))]  # fmt: skip
    for call in calls:
        messages = []
        for one in pair:
            with pytest.raises((ValueError, TypeError)) as caught:
                one.update(*call)
            messages.append((caught.type, str(caught.value)))
        assert messages[0] == messages[1]
    assert (w == 1).all()


def test_nothing_to_move_is_no_error(kernels):
    kernels.update("adam", [], [], [np.zeros(0)] * 2, NUMBERS["adam"])


@DTYPES
def test_sgd_is_a_step_against_the_gradient(kernels, dtype):
    w, g = np.array([1, 2, 3], dtype), np.array([4, -8, 0], dtype)
    kernels.update("sgd", w, g, (), (0.25,))
    np.testing.assert_array_equal(w, [0, 4, 3])


@DTYPES
def test_momentum_of_a_constant_gradient_is_a_geometric_sum(kernels, dtype):
    w, g, b = np.zeros(2, dtype), np.array([1, -2], dtype), np.zeros(2, dtype)
    for _ in range(6):
        kernels.update("momentum", w, g, [b], (0.5, 0.5, 1.0))
    terms = [sum(0.5**i for i in range(t)) for t in range(1, 7)]
    np.testing.assert_array_equal(b, g * terms[-1])
    np.testing.assert_array_equal(w, -0.5 * g * sum(terms))


@DTYPES
def test_nesterov_looks_one_step_ahead(kernels, dtype):
    """Its step is momentum's next one, were the gradient to stay the same and count but once."""
    w, g, b = np.zeros(1, dtype), np.array([1], dtype), np.array([2], dtype)
    kernels.update("nesterov", w, g, [b], (1.0, 0.5, 1.0))
    assert b[0] == 0.5 * 2 + 1
    assert w[0] == -(1 + 0.5 * 2)


@DTYPES
def test_adagrad_steps_shrink_as_one_over_root_t(kernels, dtype):
    w, g, v = np.zeros(1, dtype), np.array([3], dtype), np.zeros(1, dtype)
    before = 0.0
    for t in range(1, 50):
        kernels.update("adagrad", w, g, [v], (0.1, 0.0, 1e-30))
        assert before - w[0] == pytest.approx(0.1 / np.sqrt(t), rel=1e-5)
        before = float(w[0])
    assert v[0] == 9 * 49


def test_the_two_places_of_eps(kernels):
    """g/(√v + a) and g/√(v + b) for v = 1, g = 1."""
    for inside, outside in ((0.0, 0.25), (0.44, 0.0), (0.44, 0.25)):
        w, g, v = np.zeros(1), np.ones(1), np.ones(1)
        kernels.update("rmsprop", w, g, [v], (1.0, 1.0, 0.0, inside, outside))
        assert -w[0] == pytest.approx(1 / (np.sqrt(1 + inside) + outside), rel=1e-15)


@RULES
@DTYPES
def test_moments_that_decay_end_at_zero_and_not_among_denormal_numbers(kernels, rule, dtype):
    """Where they would stay for ever: on many a processor a hundred times as slow."""
    tiny, n = np.finfo(dtype).tiny, 40
    w, state = np.ones(n, dtype), state_of(rule, n, dtype, fill=3 * tiny)
    for moment in state:
        moment[1::2] *= -1 if rule.endswith("momentum") else 1
    for _ in range(2000):
        kernels.update(rule, w, np.zeros(n, dtype), state, NUMBERS[rule])
    for k, moment in enumerate(state[LASTING.get(rule, 0) :]):
        kept = (rule, k) in (("amsgrad", 2), ("adamax", 1))  # the largest so far, or ε
        assert not ((moment != 0) & (np.abs(moment) < tiny)).any()
        assert kept or not moment.any()


def test_a_variance_below_zero_counts_as_zero(kernels):
    """v − m² of equal numbers may come out at −1e-17, and √ of that is no number (PyTorch's is)."""
    for rule in ("rmsprop_centered", "rmsprop_centered_momentum"):
        w, g, v, m = np.zeros(1), np.full(1, 0.1), np.full(1, 0.1**2 * (1 - 1e-15)), np.full(1, 0.1)
        state = [v, m, np.zeros(1)][: TABLE[rule][1]]
        kernels.update(rule, w, g, state, (0.5, 1.0, 0.0, 0.0, 0.5, 0.9, 1.0)[: TABLE[rule][2]])
        assert np.isfinite(w[0])
        assert w[0] < 0


def test_amsgrads_denominator_never_shrinks(kernels):
    rng = np.random.default_rng(0)
    w, state, before = np.zeros(20), [np.zeros(20) for _ in range(3)], np.zeros(20)
    for _ in range(50):
        g = rng.normal(size=20) * 10 ** rng.uniform(-3, 3)
        kernels.update("amsgrad", w, g, state, (0.1, 0.9, 0.1, 0.9, 0.1, 0.0, 1e-8, 1.0))
        assert (state[2] >= before).all()
        assert (state[2] >= state[1]).all()
        before = state[2].copy()


def test_adamax_takes_the_largest_faded_gradient(kernels):
    w, m, u, seen = np.zeros(1), np.zeros(1), np.zeros(1), []
    for g in (3.0, -1.0, 0.5, 8.0, 0.0, 2.0):
        seen = [0.5 * each for each in seen] + [abs(g)]
        kernels.update("adamax", w, np.array([g]), [m, u], (0.1, 0.9, 0.1, 0.5, 0.0, 1e-8))
        assert u[0] == max(seen)


def test_lion_moves_every_coordinate_by_the_rate_or_not_at_all(kernels):
    g = np.array([1e-30, -1e30, 0.0, 5.0])
    w, m = np.zeros(4), np.zeros(4)
    kernels.update("lion", w, g, [m], (0.5, 0.9, 0.1, 0.99, 0.01, 1.0))
    np.testing.assert_array_equal(w, [-0.5, 0.5, 0.0, -0.5])
    np.testing.assert_allclose(m, 0.01 * g)


def test_schedule_free_sgd_keeps_the_mean_of_its_steps(kernels):
    """With equal weights x = θ + (1 − 1/β)(z − θ) is the mean of all z so far."""
    rng, beta, lr = np.random.default_rng(1), 0.9, 0.1
    w = rng.normal(size=5)
    z, seen = w.copy(), []
    for t in range(1, 30):
        pull = 1 / t
        numbers = (lr, pull, lr * (beta * (1 - pull) - 1), 0.0)
        kernels.update("schedule_free_sgd", w, rng.normal(size=5), [z], numbers)
        seen.append(z.copy())
        np.testing.assert_allclose(w + (1 - 1 / beta) * (z - w), np.mean(seen, axis=0), rtol=1e-9)


def test_decay_is_decoupled_from_the_gradient(kernels):
    """Without a gradient the weights shrink by 1 − lr·decay, and the moments stay zero."""
    w, zero = np.array([1.0, -4.0]), np.zeros(2)
    m, v = np.zeros(2), np.zeros(2)
    numbers = (0.1, 0.9, 0.1, 0.999, 0.001, 0.0, 1e-8, 0.95)
    kernels.update("adam", w, zero, [m, v], numbers)
    np.testing.assert_allclose(w, [0.95, -3.8], rtol=1e-15)
    np.testing.assert_array_equal([m, v], np.zeros((2, 2)))
