"""Parameter updates: the twins to the bit over many steps, and each rule against its formula."""

import numpy as np
import pytest

from tests.kernels.cases import TO_THE_BIT
from tests.kernels.twins import outcome, same_bits

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
RULES = pytest.mark.parametrize("rule", TO_THE_BIT)
LENGTHS = [0, 1, 15, 16, 17, 1000, 40_000]

# After lr: the rule's numbers. `step` is added for Adam and AdamW.
NUMBERS = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9},
    "adagrad": {"eps": 1e-10},
    "rmsprop": {"decay": 0.99, "eps": 1e-8},
    "adam": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8},
    "adamw": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "decay": 0.01},
}
STATE = {
    "sgd": "",
    "momentum": "b",
    "nesterov": "b",
    "adagrad": "v",
    "rmsprop": "v",
    "adam": "mv",
    "adamw": "mv",
}


def numbers(rule, step, lr=0.01):
    return {"lr": lr} | NUMBERS[rule] | ({"step": step} if rule.startswith("adam") else {})


def wide_gradients(n, steps, dtype):
    """Of both signs, from 1e-12 to 1e3 in size, some of them zero."""
    rng = np.random.default_rng(n)
    for _ in range(steps):
        g = rng.choice([-1, 0, 1], n, p=[0.48, 0.04, 0.48]) * 10 ** rng.uniform(-12, 3, n)
        yield g.astype(dtype)


@RULES
@DTYPES
@pytest.mark.parametrize("n", LENGTHS)
def test_twins_agree_to_the_bit_over_many_steps(pair, rule, dtype, n):
    start = np.random.default_rng(1).normal(size=n).astype(dtype)
    plain, native = (
        {"w": start.copy()} | {name: np.zeros(n, dtype) for name in STATE[rule]} for _ in pair
    )
    for t, g in enumerate(wide_gradients(n, 10 if n > 1000 else 100, dtype), start=1):
        kept = g.copy()
        for kernels, arrays in zip(pair, (plain, native), strict=True):
            getattr(kernels, rule)(g=g, **arrays, **numbers(rule, t))
        assert same_bits(g, kept)
    assert same_bits(plain, native)
    assert np.isfinite(plain["w"]).all()
    assert n == 0 or not same_bits(plain["w"], start)


@RULES
@DTYPES
def test_twins_agree_to_the_bit_for_hyper_parameters_of_every_size(pair, rule, dtype):
    """Scalars are formed in double and cast once: 1 − 0.999 in float32 is 1.3e-5 off."""
    rng = np.random.default_rng(3)
    for t in (1, 2, 7, 100, 10_000, 10**7):
        arrays = {name: abs(rng.normal(size=33)).astype(dtype) for name in "wg" + STATE[rule]}
        given = numbers(rule, t, lr=float(10 ** rng.uniform(-6, 1)))
        for name in {"momentum", "decay", "beta1", "beta2"} & set(given):
            given[name] = float(1 - 10 ** rng.uniform(-4, -0.1))
        (_, plain), (_, native) = (outcome(getattr(one, rule), arrays | given) for one in pair)
        assert same_bits(plain, native), t


@RULES
@DTYPES
def test_what_overflows_overflows_alike(pair, rule, dtype):
    """A descent that diverges must do so on both twins at the same step."""
    most = float(np.finfo(dtype).max)
    spoilt = [most, -most, most / 2, np.inf, -np.inf, np.nan, 0, -0.0, np.finfo(dtype).tiny]
    arrays = {name: np.array(spoilt * 4, dtype) for name in "wg" + STATE[rule]}
    with np.errstate(all="ignore"):
        (_, plain), (_, native) = (
            outcome(getattr(one, rule), arrays | numbers(rule, 5)) for one in pair
        )
    for name in plain:
        np.testing.assert_array_equal(plain[name], native[name])


@RULES
@DTYPES
def test_the_gradient_may_be_the_parameters(kernels, pair, rule, dtype):
    w = np.random.default_rng(0).normal(size=100).astype(dtype)
    results = []
    for one in (kernels, *pair):
        same, state = w.copy(), {name: np.full(100, 0.5, dtype) for name in STATE[rule]}
        getattr(one, rule)(same, same, **state, **numbers(rule, 3))
        results.append(same)
    assert same_bits(results[1], results[2])
    apart, state = w.copy(), {name: np.full(100, 0.5, dtype) for name in STATE[rule]}
    getattr(kernels, rule)(apart, w, **state, **numbers(rule, 3))
    assert same_bits(results[0], apart)


@pytest.mark.parametrize("rule", ["adam", "adamw"])
@pytest.mark.parametrize("step", [0, -1])
def test_steps_count_from_one_on_both_twins(pair, rule, step):
    """At step 0 the corrections divide by zero: refused alike, or the same numbers."""
    arrays = {name: np.ones(3) for name in "wgmv"}
    (mine, plain), (theirs, native) = (
        outcome(getattr(one, rule), arrays | numbers(rule, step)) for one in pair
    )
    assert isinstance(mine, Exception) == isinstance(theirs, Exception)
    assert same_bits(plain, native)


@DTYPES
def test_sgd_is_a_step_against_the_gradient(kernels, dtype):
    w, g = np.array([1, 2, 3], dtype), np.array([4, -8, 0], dtype)
    kernels.sgd(w, g, 0.25)
    np.testing.assert_array_equal(w, [0, 4, 3])


@DTYPES
def test_momentum_of_a_constant_gradient_is_a_geometric_sum(kernels, dtype):
    w, g, b = np.zeros(2, dtype), np.array([1, -2], dtype), np.zeros(2, dtype)
    for _ in range(6):
        kernels.momentum(w, g, b, 0.5, 0.5)
    terms = [sum(0.5**i for i in range(t)) for t in range(1, 7)]
    np.testing.assert_array_equal(b, g * terms[-1])
    np.testing.assert_array_equal(w, -0.5 * g * sum(terms))


@DTYPES
def test_nesterov_looks_one_step_ahead(kernels, dtype):
    """Its step is momentum's next one, were the gradient to stay the same and count but once."""
    w, g, b = np.zeros(1, dtype), np.array([1], dtype), np.array([2], dtype)
    kernels.nesterov(w, g, b, 1.0, 0.5)
    assert b[0] == 0.5 * 2 + 1
    assert w[0] == -(1 + 0.5 * 2)


@pytest.mark.parametrize("rule", ["momentum", "nesterov"])
def test_without_momentum_both_are_sgd(kernels, rule):
    w, g = np.random.default_rng(0).normal(size=(2, 50))
    plain, b = w.copy(), np.ones(50)
    kernels.sgd(plain, g, 0.1)
    getattr(kernels, rule)(w, g, b, 0.1, 0.0)
    np.testing.assert_array_equal(w, plain)


@DTYPES
@pytest.mark.parametrize("rule", ["adagrad", "rmsprop", "adam", "adamw"])
def test_the_first_adaptive_step_ignores_the_gradients_size(kernels, rule, dtype):
    """lr·sign(g) for AdaGrad and Adam, lr·sign(g)/√(1 − decay) for RMSProp."""
    g = np.array([-2, 1, 3, 1e6, -1e-6], dtype)
    w, state = np.zeros(5, dtype), {name: np.zeros(5, dtype) for name in STATE[rule]}
    given = numbers(rule, 1, lr=0.1) | {"eps": 1e-30}
    getattr(kernels, rule)(w, g, **state, **given)
    size = 0.1 / np.sqrt(1 - 0.99) if rule == "rmsprop" else 0.1
    np.testing.assert_allclose(w, -size * np.sign(g), rtol=4 * np.finfo(dtype).eps)


@DTYPES
def test_adagrad_steps_shrink_as_one_over_root_t(kernels, dtype):
    w, g, v = np.zeros(1, dtype), np.array([3], dtype), np.zeros(1, dtype)
    before = 0.0
    for t in range(1, 50):
        kernels.adagrad(w, g, v, 0.1, 1e-30)
        assert before - w[0] == pytest.approx(0.1 / np.sqrt(t), rel=1e-5)
        before = float(w[0])
    assert v[0] == 9 * 49


@pytest.mark.parametrize("rule", ["adam", "adamw"])
def test_adam_of_a_constant_gradient_steps_by_lr_at_every_t(kernels, rule):
    """Both corrections together undo the start at zero exactly."""
    w, g, state = np.zeros(3), np.array([5, -1e-3, 1e3]), {name: np.zeros(3) for name in "mv"}
    for t in range(1, 200):
        given = numbers(rule, t, lr=0.01) | {"eps": 1e-30}
        given |= {"decay": 0.0} if rule == "adamw" else {}
        getattr(kernels, rule)(w, g, **state, **given)
        np.testing.assert_allclose(w, -0.01 * t * np.sign(g), rtol=1e-12)


def test_eps_stands_outside_the_corrected_root(kernels):
    """m̂/(√v̂ + eps) with g = 1 everywhere is 1/(1 + eps), at the first step and later."""
    w, g, m, v = np.zeros(1), np.ones(1), np.zeros(1), np.zeros(1)
    for t in range(1, 6):
        before = w[0]
        kernels.adam(w, g, m, v, 1.0, 0.9, 0.999, 0.25, t)
        assert before - w[0] == pytest.approx(1 / 1.25, rel=1e-12)


def test_decay_is_decoupled_from_the_gradient(kernels):
    """Without a gradient the weights shrink by 1 − lr·decay, and the moments stay zero."""
    w, zero = np.array([1.0, -4.0]), np.zeros(2)
    m, v = np.zeros(2), np.zeros(2)
    kernels.adamw(w, zero, m, v, 0.1, 0.9, 0.999, 1e-8, 0.5, 1)
    np.testing.assert_allclose(w, [0.95, -3.8], rtol=1e-15)
    np.testing.assert_array_equal([m, v], np.zeros((2, 2)))


def test_adamw_without_decay_is_adam(kernels):
    w, g = np.random.default_rng(0).normal(size=(2, 50))
    m, v, other = np.zeros(50), np.zeros(50), w.copy()
    kernels.adam(w, g, m, v, 0.1, 0.9, 0.99, 1e-8, 1)
    m, v = np.zeros(50), np.zeros(50)
    kernels.adamw(other, g, m, v, 0.1, 0.9, 0.99, 1e-8, 0.0, 1)
    np.testing.assert_array_equal(w, other)
