"""What every reference trajectory is made on: 200 fixed gradients from 1e-12 to 1e3, one start.

A case names a peer's rule with its settings and gdcore's rule with its own. The scripts
make_torch.py, make_optax.py … run the peers and store θ after some steps; tests/test_reference.py
runs gdcore on the same gradients.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

STEPS, SIZE = 200, 24
KEPT = (0, 1, 9, 99, 199)  # the steps after which θ is stored
DTYPES = {"f32": np.float32, "f64": np.float64}


@dataclass(frozen=True)
class Case:
    """One peer's rule and gdcore's, with what they need beside gradients."""

    peer: str
    settings: dict
    rule: str
    ours: dict
    changing: bool = False  # the rate falls from step to step
    costs: bool = False  # a step takes J, too
    average: bool = False  # the point to use is not θ itself: both are stored, side by side
    drift: bool = False  # gradients with a mean, for rules that estimate a distance
    shapes: tuple = ((SIZE,),)  # of the parts of θ


def gradients(dtype, drift=False):
    """(STEPS, SIZE) gradients whose sizes span fifteen orders of magnitude."""
    rng = np.random.default_rng(20261123)
    sizes = 10.0 ** np.linspace(-12, 3, SIZE)
    g = rng.standard_normal((STEPS, SIZE))
    if drift:
        g += np.cos(np.arange(STEPS) / 15)[:, None]
    return (g * sizes).astype(dtype)


def start(dtype):
    """θ before the first step."""
    return np.random.default_rng(1).standard_normal(SIZE).astype(dtype)


def costs():
    """Positive values of J, one a step, over five orders of magnitude."""
    return 10.0 ** np.random.default_rng(2).uniform(0, 5, STEPS)


def rate(case, lr, t):
    """The learning rate of step t."""
    return lr / (1 + t / 50) if case.changing else lr


def split(theta, shapes):
    """Copies of a flat vector's parts, in their shapes."""
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    parts = np.split(theta, ends)
    return [part.reshape(shape).copy() for part, shape in zip(parts, shapes, strict=True)]


def flat(parts):
    """One vector of all parts."""
    return np.concatenate([np.asarray(part).reshape(-1) for part in parts])


def follow(case, dtype, step):
    """What step(t, gradient) returns, after the KEPT steps."""
    kept = []
    for t, g in enumerate(gradients(dtype, case.drift)):
        point = step(t, g)
        if t in KEPT:
            kept.append(np.array(point, dtype))
    return np.array(kept)


def everything(cases, trajectory):
    """{"case-dtype": trajectory}."""
    return {f"{c}-{k}": trajectory(cases[c], dtype) for c in cases for k, dtype in DTYPES.items()}


def path_of(peer):
    """The file of a peer's stored trajectories."""
    return Path(__file__).with_name(f"{peer}.npz")


def stored(peer):
    """A peer's trajectories as a dict."""
    with np.load(path_of(peer), allow_pickle=False) as file:
        return dict(file)
