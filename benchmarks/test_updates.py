"""One step of Adam and of its kin: a call's overhead, a cache's, a memory's size, and a list."""

from functools import partial

import numpy as np
import pytest

from benchmarks import updates
from benchmarks.group import Group, each
from benchmarks.replay import clock


def arrays(setting, shapes):
    """Parameters, and gradients not so small that the places of ε would show."""
    rng = np.random.default_rng(0)
    shapes = [min(size, 5_000) for size in shapes] if setting.smoke else shapes
    start = [rng.standard_normal(size, dtype=np.float32) for size in shapes]
    g = [rng.standard_normal(size, dtype=np.float32) for size in shapes]
    return start, [each + np.copysign(np.float32(0.1), each) for each in g]


ADAM = {
    "gdcore": partial(updates.ours, "Adam"),
    "NumPy": updates.numpy_adam,
    "scikit-learn": updates.sklearn_adam,
    "torch: fused": partial(updates.torch_rule, "Adam", fused=True),
    "torch: default": partial(updates.torch_rule, "Adam"),
    "thinc": updates.thinc_adam,
    "optax": updates.optax_adam,
}


def adam(setting, shapes, copied=False):
    """Every contender ends where the others do."""
    start, g = arrays(setting, shapes)
    thetas = {name: [theta.copy() for theta in start] for name in ADAM}
    contenders = {name: make(thetas[name], g) for name, make in ADAM.items()}
    for name, step in contenders.items():
        for _ in range(3):
            step()
        reached = step.parameters() if hasattr(step, "parameters") else thetas[name]
        for mine, theirs in zip(thetas["gdcore"], reached, strict=True):
            np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-5)
    return contenders | ({"copy": updates.copying(start)} if copied else {})


def kin(setting, name):
    start, g = arrays(setting, [100_000])
    thetas = {side: [theta.copy() for theta in start] for side in ("gdcore", "torch")}
    peer = updates.torch_lion if name == "Lion" else partial(updates.torch_rule, THEIRS[name])
    contenders = {
        "gdcore": updates.ours(name, thetas["gdcore"], g),
        "torch": peer(thetas["torch"], g),
    }
    for step in contenders.values():
        step()
    np.testing.assert_allclose(thetas["torch"][0], thetas["gdcore"][0], rtol=1e-4, atol=1e-5)
    return contenders


THEIRS = {"RMSProp": "RMSprop", "NAdam": "NAdam", "RAdam": "RAdam"}
SIZES = {
    "10": ([10], {"torch: fused": 8}),
    "1,000": ([1_000], {"torch: fused": 8}),
    "list": ([1_000] * 100, {"torch: fused": 8}),
    "100,000": ([100_000], {"torch: fused": 1.8}),
    "10,000,000": ([10_000_000], {"torch: fused": 0.95, "copy": 0.85}),
}
GROUPS = {
    size: Group(
        "Adam step, a list of 100 × 1,000 float32"
        if size == "list"
        else f"Adam step, {size} × float32",
        partial(adam, shapes=shapes, copied="copy" in wanted),
        (*ADAM, *(("copy",) if "copy" in wanted else ())),
        wanted=wanted,
    )
    for size, (shapes, wanted) in SIZES.items()
} | {
    name: Group(
        f"{name} step, 100,000 × float32",
        partial(kin, name=name),
        ("gdcore", "torch"),
        wanted={"torch": 3},
    )
    for name in (*THEIRS, "Lion")
}


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_step(contend, group, contender):
    contend(GROUPS[group], contender)
