"""Schedules: their formulas written out, PyTorch's values, and what is refused."""

import dataclasses
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd
from tests.reference.make_schedules import CASES, COSTS, PLATEAU

S = gd.schedules
EXAMPLES = {
    "Constant": S.Constant(0.5),
    "Cosine": S.Cosine(steps=10, floor=0.1),
    "CosineRestarts": S.CosineRestarts(steps=4, growth=1.5),
    "Exponential": S.Exponential(rate=0.5),
    "InverseSqrt": S.InverseSqrt(warmup=5),
    "InverseTime": S.InverseTime(scale=10),
    "Joined": S.Joined([S.Linear(4), S.Cosine(5), S.Constant(0.25)], at=[3, 9]),
    "Linear": S.Linear(steps=8, start=0.5, end=2),
    "MultiStep": S.MultiStep(at=[2, 7]),
    "OneCycle": S.OneCycle(steps=15),
    "Plateau": S.Plateau(),
    "Polynomial": S.Polynomial(steps=9, power=3, floor=0.2),
    "Step": S.Step(every=3, rate=0.5),
    "WarmUp": S.WarmUp(steps=5, after=S.Cosine(10)),
    "WarmUpCosine": S.WarmUpCosine(steps=18, warmup=4),
    "WarmUpStableDecay": S.WarmUpStableDecay(steps=20, warmup=4, decay=8, shape="sqrt"),
}
EVERY = pytest.mark.parametrize("name", S.__all__)


@EVERY
def test_one_step_is_a_float_and_many_are_an_array(name):
    schedule, many = EXAMPLES[name], np.arange(24)
    factors = schedule(many)
    assert type(schedule(3)) is type(schedule(np.int64(3))) is float
    assert factors.shape == (24,)
    assert factors.dtype == np.float64
    np.testing.assert_allclose(factors, [schedule(t) for t in range(24)], rtol=1e-15)
    np.testing.assert_array_equal(schedule(many.reshape(4, 6)), factors.reshape(4, 6))
    np.testing.assert_array_equal(schedule(list(range(24))), factors)
    assert schedule(np.array([], int)).shape == (0,)
    assert (factors >= 0).all()
    assert 0 <= schedule(10**15) <= 2


@EVERY
def test_equal_printable_picklable(name):
    schedule = EXAMPLES[name]
    assert eval(repr(schedule), vars(S)) == schedule == pickle.loads(pickle.dumps(schedule))
    assert schedule != S.Linear(steps=77)
    if name != "Plateau":  # it changes
        assert hash(schedule) == hash(eval(repr(schedule), vars(S)))
        with pytest.raises(AttributeError):
            schedule.steps = 3


@EVERY
@pytest.mark.parametrize("t", [-1, math.nan, math.inf, [0, -3], np.array([1.0, math.nan])])
def test_steps_that_are_none_are_refused(name, t):
    with pytest.raises(ValueError, match=f"{name} needs steps t ≥ 0 and finite, got .*Count"):
        EXAMPLES[name](t)


@EVERY
@pytest.mark.parametrize("t", ["ten", {}, 1j])
def test_what_is_no_step_is_refused(name, t):
    with pytest.raises(TypeError, match=f"{name} takes a step t .*Pass 0"):
        EXAMPLES[name](t)


FORMULAS = {
    "Constant": lambda t: 0.5,
    "Cosine": lambda t: 0.1 + 0.9 * (1 + math.cos(math.pi * min(t, 10) / 10)) / 2,
    "Exponential": lambda t: 1 / 2**t,
    "InverseSqrt": lambda t: math.sqrt(5) * min((t + 1) ** -0.5, (t + 1) * 5**-1.5),
    "InverseTime": lambda t: 10 / (10 + t),
    "Linear": lambda t: 0.5 + 1.5 * t / 8 if t < 8 else 2,
    "MultiStep": lambda t: 1 if t < 2 else 0.1 if t < 7 else 0.01,
    "Polynomial": lambda t: 0.2 + 0.8 * (1 - t / 9) ** 3 if t < 9 else 0.2,
    "Step": lambda t: 0.5 ** (t // 3),
    "WarmUp": lambda t: (t + 1) / 5 if t < 5 else (1 + math.cos(math.pi * min(t - 5, 10) / 10)) / 2,
    "WarmUpCosine": lambda t: (
        (t + 1) / 4 if t < 4 else (1 + math.cos(math.pi * min(t - 4, 14) / 14)) / 2
    ),
    "WarmUpStableDecay": lambda t: (
        (t + 1) / 4 if t < 4 else 1 if t < 12 else 1 - math.sqrt((t - 12) / 8) if t < 20 else 0
    ),
    "Joined": lambda t: (
        1 - t / 4 if t < 3 else (1 + math.cos(math.pi * (t - 3) / 5)) / 2 if t < 8
        else 0 if t < 9 else 0.25
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_the_formula(name):
    expected = [FORMULAS[name](t) for t in range(30)]
    np.testing.assert_allclose(EXAMPLES[name](np.arange(30)), expected, rtol=1e-14, atol=1e-16)


@pytest.fixture(scope="module")
def stored():
    path = Path(__file__).parent / "reference" / "schedules.npz"
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("case", CASES)
def test_factors_are_pytorchs(stored, case):
    ours = CASES[case][-1](np.arange(len(stored[case])))
    np.testing.assert_allclose(ours, stored[case], rtol=1e-12, atol=1e-15)


def test_warm_up_and_cosine_are_pytorchs(stored):
    theirs = stored["warm-up, cosine"]
    steps = np.arange(len(theirs))
    rise = S.Linear(steps=4, start=0.2, end=1.0)
    for ours in (
        S.WarmUpCosine(steps=20, warmup=5),
        S.WarmUp(5, S.Cosine(15)),
        S.Joined([rise, S.Cosine(15)], at=[5]),
        rise.then(S.Cosine(15), after=5),
    ):
        np.testing.assert_allclose(ours(steps), theirs, rtol=1e-12, atol=1e-15)


def test_the_plateau_is_pytorchs_and_resumes(stored):
    ours, factors = S.Plateau(rate=0.5, floor=0.1, **PLATEAU), []
    for t, cost in enumerate(COSTS):
        if t == 9:  # through a file's worth of arrays into another one
            state = ours.state_dict()
            assert all(isinstance(value, np.ndarray) for value in state.values())
            ours = S.Plateau(rate=0.5, floor=0.1, **PLATEAU)
            ours.load_state_dict(state)
        ours.observe(cost)
        factors.append(ours(t))
    np.testing.assert_allclose(factors, stored["plateau"])
    assert sorted(set(factors)) == [0.1, 0.125, 0.25, 0.5, 1.0]


def test_a_plateau_takes_costs_below_zero_and_none_that_is_nan():
    schedule = S.Plateau(rate=0.5, patience=0, threshold=0.1)
    for cost, factor in [(-1.0, 1), (-1.05, 0.5), (-1.2, 0.5), (math.nan, 0.25), (-math.inf, 0.25)]:
        schedule.observe(cost)
        assert schedule(0) == factor
    with pytest.raises(ValueError, match=r"state with waited, resting. Pass what state_dict"):
        schedule.load_state_dict({"value": 1, "best": 0})


def test_a_plateau_within_others_hears_of_costs():
    plateau = S.Plateau(rate=0.5, patience=0)
    whole = S.WarmUp(3, S.Constant().then(plateau, after=2))
    for _ in range(2):
        whole.observe(1.0)
    assert [whole(t) for t in (2, 4, 5)] == [1, 1, 0.5]


def test_a_plateau_steers_a_descent_and_stays_as_it_was():
    """Above 2/L full-batch steps on ½x² do not get lower: the rate falls until they do."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2))
    y = X @ [1.0, -2.0]
    plateau = S.Plateau(rate=0.5, patience=5)
    settings = {"alpha": 0.0, "optimizer": gd.optim.SGD(lr=2.0), "max_epochs": 18, "tol": 0}
    model = gd.LinearRegression(learning_rate=S.WarmUp(2, plateau), **settings).fit(X, y)
    rates = model.trace_.learning_rate
    assert rates[0] == 1  # the warm-up
    assert (set(rates[1:9]), set(rates[9:])) == ({2.0}, {1.0})
    np.testing.assert_allclose(model.coef_, [1, -2], atol=1e-6)
    assert (plateau(0), plateau.best) == (1.0, math.inf)


def test_restarts_fall_where_they_should_for_long_runs():
    """The logarithm that finds the cosine's number may round; the restarts are exact."""
    for growth in (1, 1.5, 2, 3, 10):
        schedule = S.CosineRestarts(steps=7, growth=growth)
        begins = np.array([7 * sum(growth**k for k in range(n)) for n in range(10)])
        np.testing.assert_array_equal(schedule(begins), 1.0)
        assert (schedule(begins[1:] - 1e-3) < 1e-6).all()


def test_any_callable_joins():
    """Also one that takes no arrays, where no array is asked for."""
    schedule = S.Joined([lambda t: 0.5 if t < 2 else 0.25, S.Constant()], at=[4])
    assert [schedule(t) for t in (0, 3, 4)] == [0.5, 0.25, 1.0]
    assert S.WarmUp(2, lambda t: 1.0 if t < 1 else 0.5)(3) == 0.5


def test_phases_meet_without_a_gap():
    joined = S.Linear(5, 0, 1).then(S.Constant(), after=5).then(S.Linear(5), after=10)
    np.testing.assert_allclose(joined([0, 5, 9, 10, 15]), [0, 1, 1, 1, 0])
    wsd = S.WarmUpStableDecay(steps=100, warmup=0, decay=50, floor=0.1, shape="cosine")
    np.testing.assert_allclose(wsd([0, 50, 75, 100, 200]), [1, 1, 0.55, 0.1, 0.1])


BAD = [
    ("Constant", {"value": -1}, "value"), ("Cosine", {"floor": 2}, "floor"),
    ("CosineRestarts", {"growth": 0.5}, "growth"), ("CosineRestarts", {"steps": 0}, "steps"),
    ("Exponential", {"rate": 0}, "rate"), ("Exponential", {"rate": 1.5}, "rate"),
    ("InverseSqrt", {"warmup": 0}, "warmup"), ("InverseTime", {"scale": 0}, "scale"),
    ("Linear", {"start": -1}, "start"), ("Linear", {"end": math.nan}, "end"),
    ("MultiStep", {"at": [3, 3]}, "at"), ("MultiStep", {"at": [0]}, "at"),
    ("MultiStep", {"at": 3}, "at"), ("MultiStep", {"at": ["x"]}, "at"),
    ("MultiStep", {"at": [3], "rate": 2}, "rate"),
    ("OneCycle", {"steps": 1}, "steps"), ("OneCycle", {"rise": 0}, "rise"),
    ("OneCycle", {"rise": 1}, "rise·steps"), ("OneCycle", {"start": 2}, "start"),
    ("Plateau", {"rate": 1}, "rate"), ("Plateau", {"patience": -1}, "patience"),
    ("Plateau", {"threshold": -1}, "threshold"), ("Plateau", {"cooldown": None}, "cooldown"),
    ("Polynomial", {"power": 0}, "power"), ("Step", {"every": 0}, "every"),
    ("Step", {"rate": "fast"}, "rate"), ("WarmUp", {"steps": 0}, "steps"),
    ("WarmUp", {"after": 3}, "a schedule as after"), ("WarmUp", {"start": 2}, "start"),
    ("WarmUpCosine", {"steps": 5, "warmup": 5}, "warmup < steps"),
    ("WarmUpStableDecay", {"steps": 5, "warmup": 3, "decay": 3}, "warmup [+] decay ≤ steps"),
    ("WarmUpStableDecay", {"decay": 0}, "decay"),
    ("Joined", {"schedules": [], "at": []}, "schedules"),
    ("Joined", {"schedules": [1], "at": []}, "schedules"),
    ("Joined", {"schedules": [S.Constant()], "at": [3]}, "at with one step fewer"),
    ("Joined", {"schedules": [S.Constant()] * 3, "at": [5, 3]}, "at"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings", "what"), BAD)
def test_bad_settings_are_named(name, settings, what):
    with pytest.raises(ValueError, match=rf"^{name} needs {what}.*\. [A-Z].*\.$"):
        getattr(S, name)(**settings)


@EVERY
def test_every_setting_is_checked(name):
    fields = [f.name for f in dataclasses.fields(EXAMPLES[name]) if f.init]
    settings = {field: getattr(EXAMPLES[name], field) for field in fields}
    for field in fields:
        for value in (None, "x", math.nan, math.inf, -1):
            with pytest.raises(ValueError, match=field):
                getattr(S, name)(**settings | {field: value})


@pytest.mark.parametrize("name", ["OneCycle", "WarmUpStableDecay"])
def test_an_unknown_shape_is_named(name):
    with pytest.raises(ValueError, match=r"shape='cosin' is not known\. Did you mean 'cosine'"):
        getattr(S, name)(shape="cosin")


def test_every_schedule_has_an_example_here_and_in_its_docstring():
    assert sorted(EXAMPLES) == sorted(S.__all__)
    for name in S.__all__:
        assert f"gd.schedules.{name}(" in getattr(S, name).__doc__
