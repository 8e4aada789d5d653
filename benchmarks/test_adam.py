"""One step of Adam on float32 parameters: a call's overhead, a cache's, a memory's size."""

import math
from functools import partial

import numpy as np
import pytest
import torch

import gdcore as gd
from benchmarks.group import Group, each
from benchmarks.replay import clock

LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8


def gdcore_adam(theta, g):
    adam = gd.optim.Adam(LR, BETA1, BETA2, EPS)
    state = adam.init(theta)
    return lambda: adam.step(theta, g, state, adam.lr)


def numpy_adam(theta, g):
    """In place, one scratch array, the bias corrections folded into two scalars."""
    m, v, scratch = np.zeros_like(theta), np.zeros_like(theta), np.empty_like(theta)
    t = 0

    def step():
        nonlocal t
        t += 1
        root = math.sqrt(1 - BETA2**t)
        np.multiply(m, BETA1, out=m)
        np.multiply(g, 1 - BETA1, out=scratch)
        np.add(m, scratch, out=m)
        np.multiply(v, BETA2, out=v)
        np.multiply(g, g, out=scratch)
        np.multiply(scratch, 1 - BETA2, out=scratch)
        np.add(v, scratch, out=v)
        np.sqrt(v, out=scratch)
        np.add(scratch, EPS * root, out=scratch)
        np.divide(m, scratch, out=scratch)
        np.multiply(scratch, LR * root / (1 - BETA1**t), out=scratch)
        np.subtract(theta, scratch, out=theta)

    return step


def torch_adam(theta, g, fused):
    parameter = torch.nn.Parameter(torch.from_numpy(theta))
    parameter.grad = torch.from_numpy(g)
    adam = torch.optim.Adam([parameter], LR, (BETA1, BETA2), EPS, fused=fused)
    return adam.step


def build(setting, size):
    rng = np.random.default_rng(0)
    size = min(size, 5_000) if setting.smoke else size
    start = rng.standard_normal(size, dtype=np.float32)
    g = rng.standard_normal(size, dtype=np.float32)
    makers = {
        "gdcore": gdcore_adam,
        "NumPy": numpy_adam,
        "torch: fused": partial(torch_adam, fused=True),
        "torch: default": partial(torch_adam, fused=None),
    }
    thetas = {name: start.copy() for name in makers}
    contenders = {name: make(thetas[name], g) for name, make in makers.items()}
    for name, step in contenders.items():
        for _ in range(3):
            step()
        np.testing.assert_allclose(thetas[name], thetas["gdcore"], rtol=1e-5, atol=1e-6)
    return contenders


CONTENDERS = ("gdcore", "NumPy", "torch: fused", "torch: default")
WANTED = {1_000: 8, 100_000: 1.8, 10_000_000: 0.95}
GROUPS = {
    str(size): Group(
        f"Adam step, {size:,} × float32",
        partial(build, size=size),
        CONTENDERS,
        wanted={"torch: fused": ratio},
    )
    for size, ratio in WANTED.items()
}


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_adam(contend, group, contender):
    contend(GROUPS[group], contender)
