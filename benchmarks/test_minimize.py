"""L-BFGS on a quadratic whose value and gradient cost next to nothing: an iteration's overhead."""

from functools import partial

import numpy as np
import pytest
from scipy.optimize import minimize

import gdcore as gd
from benchmarks.group import Group, each
from benchmarks.replay import clock

ITERATIONS = {10: 40, 1_000: 100}


def build(setting, size):
    """Both sides: memory 10, the same iterations, no criterion but their number."""
    curvature, start = np.geomspace(1, 1e4, size), np.ones(size)
    most = ITERATIONS[size]

    def fun(x):
        g = curvature * x
        return 0.5 * float(x.dot(g)), g

    def ours():
        return gd.minimize(fun, start, gtol=0, ftol=0, max_iter=most, check_saddle=False)

    def scipys():
        options = {"maxiter": most, "gtol": 0, "ftol": 0, "maxcor": 10}
        return minimize(fun, start, jac=True, method="L-BFGS-B", options=options)

    assert ours().nit == scipys().nit == most
    assert ours().nfev <= scipys().nfev
    return {"gdcore": ours, "SciPy": scipys}


GROUPS = {
    str(size): Group(
        f"minimize by L-BFGS, {most} iterations in {size:,} dimensions",
        partial(build, size=size),
        ("gdcore", "SciPy"),
        wanted={"SciPy": 2},
    )
    for size, most in ITERATIONS.items()
}


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_minimize(contend, group, contender):
    contend(GROUPS[group], contender)
