"""Every rule in every one of its conventions against textbook.py, where gradients depend on θ."""

import itertools
import math

import numpy as np
import pytest

import gdcore as gd
from tests.optim import textbook


def grid(**choices):
    """Every combination of the choices, as keywords."""
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


MODES, FLAGS = ["outside", "inside", "hat"], [False, True]
ADAM = {"lr": [0.1], "beta1": [0.8], "beta2": [0.95], "eps": [1e-2]}
CASES = {
    "SGD": grid(lr=[0.1]),
    "Momentum": grid(lr=[0.05], momentum=[0.0, 0.8], dampening=[0.0, 0.3], lr_in_buffer=FLAGS),
    "Nesterov": grid(lr=[0.05], momentum=[0.0, 0.8], lr_in_buffer=FLAGS),
    "AdaGrad": grid(
        lr=[0.3], eps=[1e-2], eps_mode=MODES[:2], initial_accumulator=[0.0, 0.1], lr_decay=[0, 0.1]
    ),
    "AdaDelta": grid(lr=[1.0, 3.0], decay=[0.8], eps=[1e-2]),
    "RMSProp": grid(
        lr=[0.05], decay=[0.9], eps=[1e-2], eps_mode=MODES[:2], centered=FLAGS,
        momentum=[0.0, 0.7], lr_in_buffer=FLAGS, initial_accumulator=[0.0, 1.0],
        bias_correction=FLAGS,
    ),
    "Adam": grid(**ADAM, eps_mode=MODES),
    "AMSGrad": grid(**ADAM, eps_mode=MODES, maximum=["raw", "corrected"]),
    "AdamW": grid(**ADAM, eps_mode=MODES, decay=[0.0, 0.2], decay_mode=["lr", "independent"]),
    "NAdam": grid(**ADAM, eps_mode=MODES, psi=[0.004, 1.0, None]),
    "RAdam": grid(**ADAM, eps_mode=MODES, threshold=[5.0, 8.0], strict=FLAGS),
    "AdaMax": grid(**ADAM, eps_mode=MODES[:2]),
    "Lion": grid(lr=[0.03], beta1=[0.8], beta2=[0.95], decay=[0.0, 0.3]),
    "ScheduleFreeSGD": grid(
        lr=[0.3], momentum=[0.8], decay=[0, 0.1], warmup=[0, 7], r=[0, 1], lr_power=[2, 0]
    ),
    "ScheduleFreeAdamW": grid(
        lr=[0.1], beta1=[0.8], beta2=[0.95], eps=[1e-2], decay=[0, 0.1], warmup=[0, 7], r=[0, 1]
    ),
    "DoWG": grid(lr=[1.0, 0.5], eps=[1e-4, 1e-1]),
    "Prodigy": grid(
        lr=[1.0, 0.5], d0=[1e-3, 0.1], d_coef=[1.0, 0.5], decay=[0, 0.1],
        bias_correction=FLAGS, safeguard_warmup=FLAGS,
    ),
    "Adafactor": grid(
        lr=[0.1, 1.0], eps1=[None, 0.1], eps2=[1e-3, 5.0], clip=[1, 0.5], decay=[0, 0.2],
        beta2_decay=[-0.8, -0.5],
    ),
    "Muon": grid(
        lr=[0.05], momentum=[0.8], decay=[0, 0.2], nesterov=FLAGS, iterations=[5, 2], eps=[0.1],
        adjust=["rows", "columns", "rms", "none"], bias_correction=FLAGS,
        eps_mode=["outside", "floor"],
    ),
}  # fmt: skip
EVERY = [
    (name, keywords)
    for name, choices in CASES.items()
    for keywords in choices
    if not (keywords.get("centered") and keywords.get("bias_correction"))  # refused
]
SHAPES = {"Adafactor": ((3, 2), (2, 3), (6,)), "Muon": ((3, 2), (2, 3))}


def gradient(x):
    """Of Σ½x² + sin x: both signs, changing size."""
    return x + np.cos(x)


@pytest.mark.parametrize(("name", "keywords"), EVERY, ids=str)
def test_the_path_is_the_formulas(name, keywords):
    """30 steps at a falling rate; rounding of many sums grows to no more than 1e-10."""
    rule, shapes = getattr(gd.optim, name)(**keywords), SHAPES.get(name, ((6,),))
    settings = {k: v for k, v in keywords.items() if k != "lr"}
    first = np.linspace(-2, 3, 6)
    for shape in shapes:
        theta = first.copy()
        state = rule.init(theta, (shape,))
        path, x = textbook.start(name, first.reshape(shape), rule.lr, **settings), first
        for t in range(30):
            lr = rule.lr / (1 + t / 10)
            rule.step(theta, gradient(theta), state, lr)
            x = path.send((gradient(x.reshape(shape)), lr))
            np.testing.assert_allclose(theta, x.reshape(-1), rtol=1e-10, atol=1e-10)
        assert np.abs(theta - first).max() > 1e-4


@pytest.mark.parametrize("minimum", [0.0, -3.0])
def test_polyaks_step_is_the_formulas(minimum):
    theta = np.linspace(-2, 3, 6)
    x, rule = theta.copy(), gd.optim.Polyak(lr=0.7, minimum=minimum, max_step=0.4)
    state = rule.init(theta)
    for _ in range(30):
        g, cost = gradient(x), (0.5 * x**2 + np.sin(x)).sum() + 3
        rule.step(theta, gradient(theta), state, rule.lr, cost=cost)
        x = x - 0.7 * min(max(cost - minimum, 0) / (g @ g), 0.4) * g
        np.testing.assert_allclose(theta, x, rtol=1e-12, atol=1e-12)


def test_schedule_free_answers_with_the_mean_of_its_steps():
    """At a constant rate and momentum β, x is the plain mean of all z (Defazio et al., 2024)."""
    rule, theta = gd.optim.ScheduleFreeSGD(lr=0.1, momentum=0.6), np.linspace(-2, 3, 6)
    state, z, steps = rule.init(theta), theta.copy(), []
    for _ in range(50):
        g = gradient(theta)
        rule.step(theta, g, state, rule.lr)
        z = z - 0.1 * g
        steps.append(z)
        np.testing.assert_allclose(rule.solution(theta, state), np.mean(steps, axis=0), rtol=1e-12)


def test_every_rule_has_a_formula():
    elsewhere = {"FISTA", "AdGD", "LBFGS", "Polyak"}
    assert set(gd.optim.__all__) - elsewhere == set(CASES)
    assert math.isclose(next(textbook.sgd(1.0)), 1.0)
