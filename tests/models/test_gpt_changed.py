"""A GPT that is looked at while it learns, and one whose parameters were changed after a fit."""

import copy

import numpy as np
import pytest

import gdcore as gd
from tests.languages import TEXT, random_gpt

SMALL = {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 16}
QUICK = {"max_steps": 6, "batch_size": 2, "eval_every": 2}


def fit(gpt=None, **options):
    return (gpt or gd.GPT(**SMALL)).fit(TEXT, **QUICK | options)


@pytest.mark.parametrize("again", [False, True])
def test_callbacks_find_the_model_with_the_weights_of_the_moment(tmp_path, again):
    gpt, seen, held = gd.GPT(**SMALL), [], TEXT[round(0.9 * len(TEXT)) :]
    whole = fit(fit() if again else None)
    if again:
        fit(gpt)

    def look(moment):
        assert np.array_equal(gpt.theta_.vector, moment.theta)
        assert gpt.theta_.vector is not moment.theta
        seen.append((gpt.generate("the cat", 9, seed=0), gpt.evaluate(held), moment.validation))
        gpt.save(tmp_path / "now")

    fit(gpt, callbacks=look)
    assert gpt.theta_.vector.tobytes() == whole.theta_.vector.tobytes()
    assert len(seen) == 4
    for text, loss, validation in seen:
        assert len(text) == 9
        assert loss == pytest.approx(validation, rel=1e-6)
    assert gd.GPT.load(tmp_path / "now").generate("the cat", 9, seed=0) == seen[-1][0]


def test_a_callback_that_fails_leaves_the_weights_of_before():
    def fail(moment):
        raise ZeroDivisionError

    new, old = gd.GPT(**SMALL), fit()
    before = old.theta_.vector.copy()
    for gpt in (new, old):
        with pytest.raises(ZeroDivisionError):
            fit(gpt, callbacks=fail)
    assert np.array_equal(old.theta_.vector, before)
    with pytest.raises(gd.errors.NotFittedError):
        new.generate("the")


def test_a_parameter_that_weights_allow_may_change_between_fits():
    gpt = fit()
    plain = fit(copy.deepcopy(gpt)).theta_.vector
    gpt.dropout = 0.5
    assert not np.array_equal(fit(gpt).theta_.vector, plain)
    gpt.dtype = "float64"
    assert gpt.logits([1, 2]).dtype == np.float64
    assert fit(gpt).theta_.vector.dtype == np.float64
    turned = random_gpt(positions="rotary")
    turned.block_size = 20
    assert turned.logits(np.arange(20) % 11).shape == (20, 11)


CHANGES = {
    "n_embd": {"n_embd": 32}, "n_layer": {"n_layer": 2}, "block_size": {"block_size": 32},
    "tied and bias": {"tied": False, "bias": False}, "positions": {"positions": "rotary"},
}  # fmt: skip
USES = {
    "fit": fit,
    "generate": lambda gpt: gpt.generate("the", 2),
    "evaluate": lambda gpt: gpt.evaluate(TEXT),
    "logits": lambda gpt: gpt.logits([1]),
    "save": lambda gpt: gpt.save("nowhere"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_that_needs_other_weights_is_refused_before_anything_is_lost(name):
    gpt = fit()
    before = {each: getattr(gpt, each) for each in CHANGES[name]}
    written = gpt.generate("the", 9, seed=0)
    for each, value in CHANGES[name].items():
        setattr(gpt, each, value)
    for use in USES.values():
        with pytest.raises(ValueError, match=f"The weights are those of another {name}. Set "):
            use(gpt)
    for each, value in before.items():
        setattr(gpt, each, value)
    assert gpt.generate("the", 9, seed=0) == written
