"""Optimizers follow PyTorch's trajectories, stored by tests/reference/make_optim.py."""

from pathlib import Path

import numpy as np
import pytest

import gdcore as gd
from tests.reference.make_optim import CASES, KEPT, gradients, start

OURS = {
    "sgd": gd.optim.SGD(lr=0.03),
    "momentum": gd.optim.Momentum(lr=0.03, momentum=0.9),
    "nesterov": gd.optim.Nesterov(lr=0.03, momentum=0.9),
    "adagrad": gd.optim.AdaGrad(lr=0.5, eps=1e-6),
    "rmsprop": gd.optim.RMSProp(lr=0.05, decay=0.95, eps=1e-6),
    "adam": gd.optim.Adam(lr=0.1, beta1=0.9, beta2=0.99, eps=1e-6),
    "adamw": gd.optim.AdamW(lr=0.1, beta1=0.9, beta2=0.99, eps=1e-6, decay=0.05),
}
# After one step, and after all: PyTorch multiplies and adds with one rounding where it can.
NEAR = {"f64": (1e-13, 1e-11), "f32": (5e-7, 2e-5)}
DTYPES = {"f32": np.float32, "f64": np.float64}


def trajectory(case, dtype):
    rule, theta = OURS[case], start(dtype)
    state, kept = rule.init(theta), []
    for t, g in enumerate(gradients(dtype)):
        rule.step(theta, g, state, rule.lr)
        if t in KEPT:
            kept.append(theta.copy())
    return np.array(kept)


@pytest.fixture(scope="module")
def stored():
    with np.load(Path(__file__).parent / "reference" / "optim.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_the_trajectory_is_pytorchs(stored, case, kind):
    ours, theirs = trajectory(case, DTYPES[kind]), stored[f"{case}-{kind}"]
    near = NEAR[kind]
    scale = np.abs(theirs).max(axis=0)
    assert (np.abs(ours[0] - theirs[0]) <= near[0] * scale).all()
    assert (np.abs(ours - theirs) <= near[1] * scale).all()
