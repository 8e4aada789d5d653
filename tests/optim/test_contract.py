"""What every optimizer keeps, found by optim.__all__."""

import dataclasses
import pickle

import numpy as np
import pytest

from gdcore.optim.conventions import Like
from tests.optim.landscapes import LANDSCAPES, RULES, descend, made

EVERY = pytest.mark.parametrize("name", RULES)


@EVERY
@pytest.mark.parametrize("where", LANDSCAPES)
def test_descends(name, where):
    landscape = LANDSCAPES[where]
    rule, theta = made(name, landscape), landscape.start.copy()
    value, _ = landscape.fun(descend(rule, theta, landscape))
    assert value < landscape.reach


@EVERY
def test_descends_in_single_precision(name):
    landscape = LANDSCAPES["quadratic, condition 100"]
    theta = landscape.start.astype(np.float32)
    point = descend(made(name, landscape), theta, landscape)
    assert theta.dtype == point.dtype == np.float32
    assert landscape.fun(point.astype(np.float64))[0] < landscape.reach


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
        rule.step(theta, g, state, rule.lr, cost=1.0)
        rule.extrapolate(theta, g, state)
    again, resumed = other
    for g in gradients[11:]:
        rule.step(again, g, resumed, rule.lr, cost=1.0)
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
        assert state["t"].dtype == np.int64
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
    assert eval(repr(rule), dict(RULES)) == rule
    with pytest.raises(AttributeError):
        rule.lr = 1.0


BAD = [("lr", 0), ("lr", -1), ("momentum", 1), ("momentum", -0.1), ("dampening", 1), ("decay", -1),
       ("beta1", 1), ("beta2", 1.5), ("eps", 0), ("eps_mode", "below"), ("initial_accumulator", -1),
       ("lr_decay", -1), ("centered", "yes"), ("lr_in_buffer", 1), ("bias_correction", None),
       ("maximum", "largest"), ("decay_mode", "half"), ("psi", -1), ("threshold", 3), ("strict", 0),
       ("warmup", -1), ("warmup", 1.5), ("r", -1), ("lr_power", -1), ("max_step", 0), ("d0", 0),
       ("d_coef", 0), ("safeguard_warmup", 2), ("beta2_decay", 0.8), ("eps1", 0), ("eps2", 0),
       ("clip", 0), ("nesterov", "no"), ("iterations", 0), ("adjust", "most"), ("rest", "adam"),
       ("memory", 0), ("initial", 0)]  # fmt: skip


@EVERY
def test_bad_hyper_parameters_are_named(name):
    fields = RULES[name].__dataclass_fields__
    with pytest.raises(TypeError, match="spam"):
        RULES[name](spam=1)
    checked = {"minimum"}  # any number will do
    for argument, value in BAD:
        if argument in fields:
            with pytest.raises((ValueError, TypeError), match=f"{name} needs {argument}"):
                RULES[name](**{argument: value})
            checked.add(argument)
    assert checked >= set(fields), "give each hyper-parameter a bad value in BAD"


OPTIONAL = {"psi", "eps1", "max_step"}  # None means something


@EVERY
@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "0.1", 1j])
def test_hyper_parameters_are_finite_numbers(name, value):
    for argument in RULES[name].__dataclass_fields__:
        if value is not None or argument not in OPTIONAL:
            with pytest.raises((ValueError, TypeError), match=f"{name} needs {argument}"):
                RULES[name](**{argument: value})


CONVENTIONS = [
    (name, library) for name in RULES for library in getattr(RULES[name], "conventions", {})
]


@pytest.mark.parametrize(("name", "library"), CONVENTIONS)
def test_like_sets_a_librarys_conventions_and_what_is_given_wins(name, library):
    kind = RULES[name]
    settings = kind.conventions[library]
    assert kind(like=library) == kind(**settings)
    assert "like" not in repr(kind(like=library))
    assert kind(0.25, like=library) == kind(**settings | {"lr": 0.25})
    for field in settings:
        default = kind.__dataclass_fields__[field].default
        assert getattr(kind(**{field: default}, like=library), field) == default
    again = pickle.loads(pickle.dumps(kind(like=library)))
    assert again == kind(like=library)
    assert dataclasses.replace(again, lr=0.5).lr == 0.5


@EVERY
def test_type_checkers_know_of_like_where_a_rule_takes_it(name):
    assert issubclass(RULES[name], Like) == hasattr(RULES[name], "conventions")


@EVERY
def test_an_unknown_library_is_refused(name):
    if not hasattr(RULES[name], "conventions"):
        with pytest.raises(TypeError, match="like"):
            RULES[name](like="torch")
    else:
        with pytest.raises(ValueError, match="like='tensorflow' is not known"):
            RULES[name](like="tensorflow")


def test_fista_is_faster_than_sgd_and_keeps_its_pace():
    curvature = np.geomspace(1e-4, 1, 20)
    ends = {}
    for name in ("SGD", "FISTA"):
        theta = np.ones(20)
        rule = RULES[name](1.0)
        state = rule.init(theta)
        for _ in range(2000):
            g = curvature * theta
            rule.step(theta, g, state, 1.0)
            rule.extrapolate(theta, g, state)
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
