"""Epochs of the linear family against single steps and against mathematics, on both twins.

Stated accuracy, relative to the largest number: 1e-10 in float64, 1e-3 in float32; rounding differs
in the long sums, and an epoch carries it along.
"""

import itertools
import math

import numpy as np
import pytest

import gdcore as gd
from tests.kernels.cases import CONSTANTS, MOMENTS, steps
from tests.kernels.twins import outcome, same_bits

NEAR = {np.float32: 1e-3, np.float64: 1e-10}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
LOSSES = pytest.mark.parametrize("loss", ["squared", "logistic", "softmax", "huber", "hinge"])
RULES = pytest.mark.parametrize("rule", sorted(CONSTANTS))
CHANGED = ("theta", "state", "average")


def run(kernels, loss, work):
    """(loss as met, the arrays afterwards); the arguments stay as they were."""
    plain = {"shape": 0.0, "smooth": 0.0}
    met, after = outcome(kernels.linear_epoch, plain | work | {"loss": loss})
    if isinstance(met, Exception):
        raise met
    return met, after


def require_near(one, other, near):
    assert one[0] == pytest.approx(other[0], rel=near, abs=near)
    for name in CHANGED:
        size = np.abs(other[1][name]).max(initial=1e-3)
        np.testing.assert_allclose(one[1][name], other[1][name], rtol=0, atol=near * size)


def optimizer(rule):
    kind = next(each for each in gd.optim.__all__ if each.lower() == rule)
    made = getattr(gd.optim, kind)()
    names = [field for field in made.__dataclass_fields__ if field != "lr"]
    return type(made)(1.0, **dict(zip(names, CONSTANTS[rule], strict=False)))


def step_by_step(kernels, loss, work):
    """An epoch as the loop's own parts: gradient kernel, ridge, optimizer's step, proximal step."""
    work = {n: v.copy() if isinstance(v, np.ndarray) else v for n, v in work.items()}
    rule, k = optimizer(work["rule"]), len(work["theta"]) // work["columns"].shape[1]
    spread = [np.r_[np.tile(row[:-1], k), np.repeat(row[-1], k)] for row in work["columns"][2:]]
    penalty = gd.penalties.Penalty(*spread)
    theta, met, size = work["theta"], 0.0, work["batch_size"]
    state = dict(zip(rule.moments, work["state"], strict=True))
    state["t"] = np.array([work["first_step"] - 1])
    for t, rate in enumerate(work["rates"].tolist()):
        rows, g = work["order"][t * size : (t + 1) * size], np.zeros_like(theta)
        shard = {name: work[name][rows] for name in ("X", "y", "weights")}
        known = {name: work[name] for name in ("loss", "shape", "smooth", "columns")}
        nowhere = np.empty((0, 0))
        met += kernels.linear_gradient(**shard, **known, theta=theta, g=g, margins=nowhere)
        g /= len(rows)
        penalty.add_gradient(theta, g)
        rule.step(theta, g, state, rate)
        penalty.prox(theta, rule.reach(state, rate))
        if len(work["average"]):
            work["average"] += theta
    return met, work


@LOSSES
@RULES
def test_an_epoch_is_its_steps(kernels, loss, rule):
    """Momentum and its like have no proximal step of their own length: lr, in both."""
    for batch_size, lasso in itertools.product((1, 3, 8, 37, 100), (False, True)):
        work = steps(loss, np.float64, rule, batch_size, lasso=lasso)
        require_near(run(kernels, loss, work), step_by_step(kernels, loss, work), 1e-11)


@LOSSES
@DTYPES
@pytest.mark.parametrize("p", [1, 16, 100])
def test_an_epoch_is_its_steps_for_rows_of_any_length(kernels, loss, dtype, p):
    """Batches longer and shorter than the blocks in which rows are loaded."""
    for batch_size in (1, 7, 64, 65, 300):
        work = steps(loss, dtype, "sgd", batch_size, lasso=False, n=140, p=p)
        work["theta"] /= math.sqrt(p)
        work["rates"] /= p
        require_near(run(kernels, loss, work), step_by_step(kernels, loss, work), NEAR[dtype])


@LOSSES
@DTYPES
@RULES
@pytest.mark.parametrize("batch_size", [1, 10])
def test_twins_agree_over_several_epochs(pair, loss, dtype, rule, batch_size):
    results = []
    for kernels in pair:
        work = steps(loss, dtype, rule, batch_size)
        work["state"][:], work["rates"] = 0, work["rates"] / 10
        for epoch in range(3):
            work["first_step"] = 1 + epoch * len(work["rates"])
            met, after = run(kernels, loss, work)
            work |= after
        results.append((met, after))
    require_near(*results, NEAR[dtype])


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("lasso", [0.0, 0.3])
def test_one_example_is_the_textbooks_step(kernels, loss, lasso):
    """w ← w − lr·(dℓ/dz·x + ridge·w), then shrunk by lr·lasso; the intercept is not penalised."""
    columns = np.array([[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0], [lasso, lasso, 0]])
    x, y, theta, lr = np.array([2.0, -1.0]), 1.0, np.array([0.25, 0.5, -0.75]), 0.125
    z = x @ theta[:2] + theta[2]
    slope = z - y if loss == "squared" else 1 / (1 + math.exp(-z)) - y
    expected = theta - lr * (slope * np.r_[x, 1] + columns[2] * theta)
    expected = np.sign(expected) * np.maximum(abs(expected) - lr * columns[3], 0)
    met, after = run(kernels, loss, single(x, y, columns, theta, lr))
    np.testing.assert_allclose(after["theta"], expected, rtol=1e-14)
    assert met == pytest.approx(
        0.5 * (z - y) ** 2 if loss == "squared" else math.log1p(math.exp(z)) - y * z
    )


def single(x, y, columns, theta, lr):
    return {
        "X": x[None],
        "y": np.array([y]),
        "weights": np.ones(1),
        "order": np.zeros(1, np.int64),
        "columns": columns,
        "theta": theta,
        "state": np.zeros((0, len(theta))),
        "average": np.zeros(0),
        "rule": "sgd",
        "constants": np.zeros(0),
        "rates": np.array([lr]),
        "first_step": 1,
        "batch_size": 1,
    }


@LOSSES
@DTYPES
def test_the_average_adds_up_the_path(kernels, loss, dtype):
    """Beyond the 512 steps after which the compiled sum is flushed to double."""
    work = steps(loss, dtype, "sgd", 1, lasso=False, n=600, p=2)
    work["rates"] /= 10
    start = work["average"].copy()
    _, after = run(kernels, loss, work)
    path, part = np.zeros_like(start), dict(work)
    for t in range(len(work["rates"])):
        part |= {"order": work["order"][t : t + 1], "rates": work["rates"][t : t + 1]}
        _, moved = run(kernels, loss, part | {"average": np.zeros(0)})
        part["theta"] = moved["theta"]
        path += part["theta"]
    np.testing.assert_allclose(after["theta"], part["theta"], rtol=NEAR[dtype])
    np.testing.assert_allclose(after["average"], start + path, rtol=NEAR[dtype])


@LOSSES
@RULES
def test_without_an_average_the_steps_are_the_same_bits(kernels, loss, rule):
    work = steps(loss, np.float64, rule)
    _, with_average = run(kernels, loss, work)
    _, without = run(kernels, loss, work | {"average": np.zeros(0)})
    assert same_bits(with_average["theta"], without["theta"])
    assert same_bits(with_average["state"], without["state"])


@LOSSES
@RULES
def test_two_halves_are_the_whole(kernels, loss, rule):
    """State, step count and rates carry over: an epoch may be cut where Ctrl-C is to be heard."""
    work = steps(loss, np.float64, rule, 4, n=64)
    whole = run(kernels, loss, work)
    first, second = dict(work), dict(work)
    first |= {"order": work["order"][:40], "rates": work["rates"][:10]}
    one, after = run(kernels, loss, first)
    second |= {name: after[name] for name in CHANGED}
    second |= {"order": work["order"][40:], "rates": work["rates"][10:]}
    other, after = run(kernels, loss, second | {"first_step": work["first_step"] + 10})
    require_near((one + other, after), whole, 1e-12)


@RULES
@DTYPES
def test_the_lasso_gives_exact_zeros(kernels, rule, dtype):
    """Columns that have nothing to do with y end at zero, not near it; the intercept does not."""
    rng = np.random.default_rng(0)
    work = steps("squared", dtype, rule, 10, n=200, p=6)
    work["columns"][:] = [[0] * 7, [1] * 7, [0] * 7, [0.3] * 6 + [0]]
    work["y"] = work["X"][:, 0].astype(np.float64) * 2 + 1
    work["theta"][:], work["state"][:] = 0.1, 0
    work["rates"][:] = {"momentum": 0.002, "nesterov": 0.002, "adagrad": 0.5}.get(rule, 0.02)
    for epoch in range(60):
        work["order"], work["first_step"] = rng.permutation(200), 1 + 20 * epoch
        work["rates"] *= 0.97
        _, after = run(kernels, "squared", work)
        work |= {"theta": after["theta"], "state": after["state"]}
    theta = work["theta"]
    assert (theta[1:6] == 0).all()
    assert theta[0] != 0
    assert theta[6] != 0


def test_an_unpenalised_coordinate_may_cross_zero(kernels):
    columns = np.array([[0, 0], [1, 1], [0, 0], [0, 0.0]])
    _, after = run(kernels, "squared", single(np.ones(1), -5.0, columns, np.array([0.1, 0]), 0.5))
    assert after["theta"][0] < -2


@LOSSES
@DTYPES
def test_rows_may_be_skipped_and_visited_twice(kernels, loss, dtype):
    work = steps(loss, dtype, "sgd", 2, lasso=False)
    work |= {"order": np.array([5, 5, 0, 36, 5, 0]), "rates": np.full(3, 0.01)}
    require_near(run(kernels, loss, work), step_by_step(kernels, loss, work), NEAR[dtype])


@LOSSES
@DTYPES
def test_no_rows_change_nothing(kernels, loss, dtype):
    for rule in CONSTANTS:
        work = steps(loss, dtype, rule) | {"order": np.zeros(0, np.int64), "rates": np.zeros(0)}
        met, after = run(kernels, loss, work)
        assert met == 0
        assert all(same_bits(after[name], work[name]) for name in CHANGED)


@LOSSES
def test_a_rate_of_zero_changes_nothing_and_meets_the_cost(kernels, loss):
    work = steps(loss, np.float64, "sgd", 5)
    work["rates"][:] = 0
    met, after = run(kernels, loss, work)
    assert same_bits(after["theta"], work["theta"])
    names = ("loss", "shape", "smooth", "X", "y", "weights", "columns", "theta")
    room = {"g": np.zeros_like(work["theta"]), "margins": np.empty((0, 0))}
    value = kernels.linear_gradient(**{name: work[name] for name in names}, **room)
    assert met == pytest.approx(value, rel=1e-12)


@LOSSES
@DTYPES
def test_divergence_ends_quietly(kernels, loss, dtype):
    """Neither an exception nor a warning: the loop measures θ and says what happened."""
    for rule in CONSTANTS:
        work = steps(loss, dtype, rule, 1)
        work["rates"][:] = 1e30
        run(kernels, loss, work)


BAD = {
    "a row before the first": ({"order": np.array([0, -1, 2])}, "order must hold row numbers"),
    "a row after the last": ({"order": np.array([0, 37, 2])}, "order must hold row numbers"),
    "a row far away": ({"order": np.array([0, 2**62, 2])}, "order must hold row numbers"),
    "an unknown rule": ({"rule": "newton"}, "rule must be one of sgd, momentum, .* got 'newton'"),
    "no moments": ({"state": np.zeros((0, 6))}, "state must hold one row"),
    "a moment too many": ({"state": np.zeros((3, 6))}, "state must hold one row"),
    "a short state": ({"state": np.zeros((2, 5))}, "state must hold one row"),
    "a short average": ({"average": np.zeros(5)}, "average must have theta's length"),
    "a constant too few": ({"constants": np.zeros(2)}, "constants must hold the rule's own"),
    "a constant too many": ({"constants": np.zeros(4)}, "constants must hold the rule's own"),
    "a rate too few": ({"rates": np.zeros(2)}, "rates must hold one step length a batch"),
    "a rate too many": ({"rates": np.zeros(4)}, "rates must hold one step length a batch"),
    "empty batches": ({"batch_size": 0}, "rates must hold one step length a batch"),
    "negative batches": ({"batch_size": -1}, "rates must hold one step length a batch"),
    "step zero": ({"first_step": 0}, "step must count from 1"),
    "a short theta": ({"theta": np.zeros(5)}, "theta must hold the coefficients"),
    "no penalty": ({"columns": np.zeros((3, 6))}, "columns must describe each column"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named_and_nothing_changes(kernels, case):
    spoilt, message = BAD[case]
    work = steps("squared", np.float64, "adam", 1)
    work |= {"order": np.array([3, 1, 2]), "rates": np.full(3, 0.1)} | spoilt
    arrays = {name: work[name].copy() for name in CHANGED}
    with pytest.raises(ValueError, match=message):
        kernels.linear_epoch(**work)
    assert all(same_bits(work[name], arrays[name]) for name in CHANGED)


@pytest.mark.parametrize("spoilt", [-1.0, 3.0, 0.5, np.nan])
def test_class_numbers_out_of_range_are_refused(kernels, spoilt):
    work = steps("softmax")
    work["y"][7] = spoilt
    error, after = outcome(kernels.linear_epoch, work)
    assert isinstance(error, ValueError)
    assert "class numbers from 0 to k − 1" in str(error)
    assert all(same_bits(after[name], work[name]) for name in CHANGED)


def test_every_rule_of_the_epochs_is_an_optimizers(kernels):
    """The names and constants that optimizers hand over are the ones that epochs know."""
    assert sorted(MOMENTS) == sorted(
        rule for each in gd.optim.__all__ if (rule := getattr(gd.optim, each)().rule)
    )
    for rule, constants in CONSTANTS.items():
        assert optimizer(rule).constants() == constants
        assert len(optimizer(rule).moments) == MOMENTS[rule]
