"""Numbers too small for a full mantissa: many a processor needs long for them."""

import numpy as np
import pytest

import gdcore as gd
from benchmarks import updates
from benchmarks.group import Group, each
from benchmarks.replay import clock

SIZE, QUIET = 100_000, 1_200  # steps without a gradient: 0.9^1200 of a moment is no float32


def step(setting, make, quiet):
    """A step of Adam at parameters that no gradient reaches any more, or that one always does."""
    rng = np.random.default_rng(0)
    n = 5_000 if setting.smoke else SIZE
    theta, g = rng.standard_normal((2, n), dtype=np.float32)
    run = make([theta], [g])
    run()
    if quiet:
        g[:] = 0
        for _ in range(QUIET):
            run()
    return run


def adam(setting):
    def ours(*given):
        return updates.ours("Adam", *given)

    def torch(*given):
        return updates.torch_rule("Adam", *given, fused=True)

    return {
        "gdcore": step(setting, ours, quiet=True),
        "gdcore, ordinary": step(setting, ours, quiet=False),
        "torch: fused": step(setting, torch, quiet=True),
        "torch: fused, ordinary": step(setting, torch, quiet=False),
    }


def fit(setting):
    """The same logistic fit: one number in fifty is denormal, or zero in its place."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2_000 if setting.smoke else 100_000, 50))
    y = X[:, 0] + rng.normal(size=len(X)) > 0
    small = rng.random(X.shape) < 0.02
    found = {}
    for name, value in (("gdcore", 3e-310), ("gdcore, ordinary", 0.0)):
        given = np.where(small, value, X)
        found[name] = lambda given=given: gd.LogisticRegression(n_threads=1).fit(given, y)
    return found


GROUPS = {
    "adam": Group(
        f"Adam step, {SIZE:,} × float32, {QUIET:,} steps after the last gradient",
        adam,
        ("gdcore", "gdcore, ordinary", "torch: fused", "torch: fused, ordinary"),
    ),
    "fit": Group(
        "logistic fit, 100,000 × 50, one number in 50 denormal",
        fit,
        ("gdcore", "gdcore, ordinary"),
    ),
}


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_denormals(contend, group, contender):
    contend(GROUPS[group], contender)
