"""Stop rules one by one: what they look at, what they say, and how they combine."""

import math
import pickle

import pytest

import gdcore as gd
from gdcore.convergence import (
    Both,
    CostChange,
    Either,
    GradientNorm,
    Moment,
    ParameterChange,
    TargetCost,
)

RULES = [GradientNorm(1e-3), CostChange(1e-3), ParameterChange(1e-3), TargetCost(1.0)]
EVERY = pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)


def moment(cost=5.0, previous=6.0, gradient=2.0, moved=1.0):
    """Far from anything that stops, but for what is given."""
    return Moment(
        step=3, epoch=3, cost=cost, previous_cost=previous, gradient_norm=gradient, moved=moved,
        learning_rate=0.1, seconds=0.5, examples=30,
    )  # fmt: skip


FIRES = {  # what fires each rule, its status, and the numbers that it names
    "GradientNorm": ({"gradient": 9e-4}, gd.Status.GRADIENT, "‖∇J‖ = 0.0009 < 0.001"),
    "CostChange": ({"previous": 5.0005}, gd.Status.COST, "|ΔJ| = 0.0005 < 0.001 while ‖∇J‖ = 2"),
    "ParameterChange": ({"moved": 5e-4}, gd.Status.PARAMETERS, "‖Δθ‖ = 0.0005 < 0.001 while ‖∇J‖"),
    "TargetCost": ({"cost": 0.5}, gd.Status.TARGET, "J = 0.5 ≤ 1"),
}


@EVERY
def test_a_rule_looks_at_its_own_number_alone(rule):
    for name, (settings, status, sentence) in FIRES.items():
        answer = rule.check(moment(**settings))
        if name == type(rule).__name__:
            assert answer[0] is status
            assert sentence in answer[1]
        else:
            assert answer is None


@EVERY
def test_nothing_fires_on_what_is_not_a_number(rule):
    """Before the first step there is no change yet; after a divergence there is no cost."""
    nan = math.nan
    assert rule.check(moment(cost=nan, previous=nan, gradient=nan, moved=nan)) is None
    assert rule.check(moment(cost=math.inf, previous=math.inf, gradient=math.inf)) is None


def test_small_means_below_and_a_target_is_met_where_it_is_reached():
    assert GradientNorm(1e-3).check(moment(gradient=1e-3)) is None
    assert CostChange(0.5).check(moment(cost=1.0, previous=1.5)) is None
    assert CostChange(0.5).check(moment(cost=1.25, previous=1.0)) is not None
    assert TargetCost(1.0).check(moment(cost=1.0)) is not None


def test_either_answers_for_the_rule_that_fired_the_first_one_first():
    rule = GradientNorm(1e-3) | TargetCost(1.0)
    assert rule == Either(GradientNorm(1e-3), TargetCost(1.0))
    assert rule.check(moment()) is None
    assert rule.check(moment(gradient=1e-4))[0] is gd.Status.GRADIENT
    assert rule.check(moment(cost=0.0))[0] is gd.Status.TARGET
    assert rule.check(moment(gradient=1e-4, cost=0.0))[0] is gd.Status.GRADIENT


def test_both_needs_both_and_says_both():
    rule = GradientNorm(1e-3) & TargetCost(1.0)
    assert rule == Both(GradientNorm(1e-3), TargetCost(1.0))
    assert rule.check(moment(gradient=1e-4)) is None
    assert rule.check(moment(cost=0.0)) is None
    status, sentence = rule.check(moment(gradient=1e-4, cost=0.0))
    assert status is gd.Status.GRADIENT
    assert sentence == "‖∇J‖ = 0.0001 < 0.001 and J = 0 ≤ 1"


def test_rules_nest():
    rule = (GradientNorm(1e-3) & CostChange(1e-3)) | TargetCost(1.0)
    assert rule.check(moment(gradient=1e-4)) is None
    assert rule.check(moment(cost=0.9))[0] is gd.Status.TARGET
    assert rule.check(moment(gradient=1e-4, previous=5.0))[0] is gd.Status.GRADIENT


@EVERY
def test_rules_are_equal_hashable_printable_picklable_and_frozen(rule):
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert hash(rule) == hash(pickle.loads(pickle.dumps(rule)))
    assert eval(repr(rule), vars(gd.convergence)) == rule
    with pytest.raises(AttributeError):
        rule.eps = 1.0


def test_every_status_is_a_sentence_and_knows_success():
    for status in gd.Status:
        assert status.value[0].isupper()
        assert status.value.endswith(".")
    succeeded = {status.name for status in gd.Status if status.success}
    assert succeeded == {
        "GRADIENT", "CERTIFIED", "COST", "PARAMETERS", "TARGET", "VALIDATION", "CLOSED_FORM",
    }  # fmt: skip
    assert len({status.value for status in gd.Status}) == len(gd.Status)
