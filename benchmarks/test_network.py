"""One training step of a multi-layer perceptron, from one example to a batch of 256."""

from functools import partial

import pytest

from benchmarks import networks
from benchmarks.group import Group, each
from benchmarks.networks import Problem
from benchmarks.replay import clock

MAKERS = {
    "torch: eager": networks.torch_step,
    "torch: compiled": partial(networks.torch_step, compiled=True),
    "JAX": networks.jax_step,
    "scikit-learn": networks.sklearn_step,
    "products": networks.products,
}


def build(setting, widths, batch, names):
    """Every contender, those with a common start brought to the same place by three steps."""
    if setting.smoke:
        widths, batch = tuple(min(width, 32) for width in widths), min(batch, 8)
    problem = Problem(widths, batch)
    ours, cost = networks.ours(problem, setting)
    peers = {name: MAKERS[name](problem, setting) for name in names[1:]}
    # one step of Adam moves 1e-3
    return networks.together(setting, ours, cost, peers, lambda apart: apart.max() < 3e-4)


def group(widths, batch, threads, wanted, products=False):
    names = ["gdcore", "torch: eager"]
    names += ["torch: compiled"] if networks.COMPILES else []
    names += ["JAX"] if threads == 1 else []  # its threads are the process's, set once
    names += ["scikit-learn"] + (["products"] if products else [])
    sizes = "-".join(map(str, widths))
    return Group(
        f"MLP step {sizes}, batch {batch}",
        partial(build, widths=widths, batch=batch, names=tuple(names)),
        tuple(names), threads, wanted | {"scikit-learn": 4},
    )  # fmt: skip


SMALL, MIDDLE, LARGE, ONE = (64, 64, 10), (784, 128, 10), (784, 1024, 1024, 10), (64, 32, 10)
GROUPS = {
    f"{'-'.join(map(str, widths))} × {batch}, {threads}": group(
        widths, batch, threads, wanted, products
    )
    for widths, batch, threads, wanted, products in (
        (SMALL, 64, 1, {"torch: eager": 6, "JAX": 3}, False),
        (SMALL, 64, 2, {"torch: eager": 6}, False),
        (MIDDLE, 128, 1, {"torch: eager": 1.7}, True),
        (MIDDLE, 128, 2, {"torch: eager": 1.7}, False),
        (LARGE, 256, 1, {"torch: eager": 1.03, "products": 0.926}, True),
        (LARGE, 256, 2, {"torch: eager": 1.03}, False),
        (ONE, 1, 1, {"torch: eager": 10}, False),
    )
}


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_step(contend, group, contender):
    contend(GROUPS[group], contender)
