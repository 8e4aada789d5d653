"""What every optimizer keeps, found by optim.__all__."""

import pickle

import numpy as np
import pytest

import gdcore as gd

RULES = {name: getattr(gd.optim, name) for name in gd.optim.__all__}
EVERY = pytest.mark.parametrize("name", RULES)
# A rate at which each descends on a quadratic of curvature 1.
RATES = {"AdaGrad": 0.5, "RMSProp": 0.02, "Adam": 0.05, "AdamW": 0.05, "Momentum": 0.2}


def descend(rule, theta, gradient, steps, lr=None):
    state = rule.init(theta)
    for t in range(steps):
        g = gradient(theta)
        rule.step(theta, g, state, lr(t) if lr else rule.lr)
        rule.extrapolate(theta, g, state)
    return state


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("condition", [1, 10, 100])
def test_descends_on_quadratics(name, dtype, condition):
    rule = RULES[name](RATES.get(name, 0.9))
    curvature = np.geomspace(1 / condition, 1, 5).astype(dtype)
    theta = np.full(5, 2, dtype)

    def cost(theta):
        return 0.5 * float(curvature @ theta**2)

    before = cost(theta)
    descend(rule, theta, lambda x: curvature * x, 2000, lambda t: rule.lr / (1 + t / 500))
    assert theta.dtype == dtype
    assert cost(theta) < 1e-4 * before


@EVERY
def test_descends_on_rosenbrock(name):
    def gradient(x):
        a, b = 1 - x[0], x[1] - x[0] ** 2
        return np.array([-2 * a - 400 * x[0] * b, 200 * b])

    theta = np.array([-1.2, 1.0])
    rates = {"SGD": 1e-3, "FISTA": 5e-4, "Momentum": 2e-4, "Nesterov": 2e-4, "AdaGrad": 0.3}
    rule = RULES[name](rates.get(name, 0.01))
    descend(rule, theta, gradient, 20_000)
    cost = (1 - theta[0]) ** 2 + 100 * (theta[1] - theta[0] ** 2) ** 2
    assert cost < 0.05  # from 24.2


@EVERY
def test_resumes_to_the_bit_and_leaves_gradients_alone(name):
    rule, rng = RULES[name](0.01), np.random.default_rng(0)
    gradients = rng.normal(size=(20, 7))
    kept = gradients.copy()
    theta, other = np.ones(7), None
    state = rule.init(theta)
    for t, g in enumerate(gradients):
        if t == 11:
            other = theta.copy(), {key: value.copy() for key, value in state.items()}
        rule.step(theta, g, state, rule.lr)
        rule.extrapolate(theta, g, state)
    again, resumed = other
    for g in gradients[11:]:
        rule.step(again, g, resumed, rule.lr)
        rule.extrapolate(again, g, resumed)
    np.testing.assert_array_equal(again, theta)
    for key in state:
        np.testing.assert_array_equal(resumed[key], state[key])
    np.testing.assert_array_equal(gradients, kept)


@EVERY
def test_state_has_the_layout_of_theta(name):
    rule = RULES[name]()
    for dtype in (np.float32, np.float64):
        state = rule.init(np.zeros(5, dtype))
        for moment in rule.moments:
            assert state[moment].shape == (5,)
            assert state[moment].dtype == dtype
        assert state["t"].dtype == np.int64


@EVERY
def test_equal_printable_picklable_frozen(name):
    rule = RULES[name](0.125)
    assert rule == RULES[name](0.125) != RULES[name](0.25)
    assert hash(rule) == hash(RULES[name](0.125))
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert eval(repr(rule), vars(gd.optim)) == rule
    with pytest.raises(AttributeError):
        rule.lr = 1.0


BAD = [("lr", 0), ("lr", -1), ("momentum", 1), ("momentum", -0.1), ("decay", -1), ("beta1", 1),
       ("beta2", 1.5), ("eps", 0)]  # fmt: skip


@EVERY
@pytest.mark.parametrize(("argument", "value"), BAD)
def test_bad_hyper_parameters_are_named(name, argument, value):
    fields = RULES[name].__dataclass_fields__
    if argument not in fields:
        with pytest.raises(TypeError, match=argument):
            RULES[name](**{argument: value})
        return
    with pytest.raises(ValueError, match=f"{name} needs {argument}"):
        RULES[name](**{argument: value})


@EVERY
@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "0.1", 1j])
def test_hyper_parameters_are_finite_numbers(name, value):
    for argument in RULES[name].__dataclass_fields__:
        with pytest.raises((ValueError, TypeError), match=f"{name} needs {argument}"):
            RULES[name](**{argument: value})


def test_fista_is_faster_than_sgd_and_keeps_its_pace():
    curvature = np.geomspace(1e-4, 1, 20)
    ends = {}
    for name in ("SGD", "FISTA"):
        theta = np.ones(20)
        descend(RULES[name](1.0), theta, lambda x: curvature * x, 2000)
        ends[name] = float(curvature @ theta**2)
    assert ends["FISTA"] < 1e-6 * ends["SGD"]


@pytest.mark.parametrize("name", ["SGD", "AdaGrad", "RMSProp", "Adam"])
def test_reach_is_the_step_that_a_steady_gradient_gets(name):
    """With one gradient all the time the proximal step is as long as the rule's own (the others'
    steps add up over time, or decay as well)."""
    rule = RULES[name](0.01)
    theta, g = np.zeros(3), np.array([1.0, -2.0, 0.5])
    state = rule.init(theta)
    for _ in range(300):
        before = theta.copy()
        rule.step(theta, g, state, rule.lr)
    np.testing.assert_allclose(before - theta, rule.reach(state, rule.lr) * g, rtol=1e-9)
