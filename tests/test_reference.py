"""Every rule follows its peers' trajectories, stored by the scripts of tests/reference.

Distances are relative to the largest |θ| that a coordinate passes through.
"""

import contextlib
import dataclasses

import numpy as np
import pytest

import gdcore as gd
from tests.reference import (
    make_authors,
    make_keras,
    make_optax,
    make_sklearn,
    make_torch,
)
from tests.reference.problem import DTYPES, SIZE, costs, follow, path_of, rate, start, stored

PEERS = {
    "torch": make_torch,
    "optax": make_optax,
    "keras": make_keras,
    "sklearn": make_sklearn,
    "authors": make_authors,
}
ALL = [(peer, case) for peer, script in PEERS.items() for case in script.CASES]
# Largest distance after one step and after all. float32: optax and Keras form 1 − βᵗ in float32,
# PyTorch and scikit-learn in double, as gdcore; Prodigy measures ‖θ₀ − θ‖, whose rounding is large
# as long as θ has hardly moved, and steps by it.
EXACT, ROUNDED = (1e-13, 1e-12), (2e-5, 2e-5)
NEAR = {
    "f64": dict.fromkeys(PEERS, EXACT),
    "f32": dict.fromkeys(PEERS, (4 * 2**-23, 2e-6)) | {"optax": ROUNDED, "keras": ROUNDED},
}


def near(peer, case, kind):
    """What a case has to keep."""
    return ROUNDED if (kind, case.rule) == ("f32", "Prodigy") else NEAR[kind][peer]


def trajectory(case, dtype):
    """gdcore's θ after the same steps."""
    rule, theta = getattr(gd.optim, case.rule)(**case.ours), start(dtype)
    state, values = rule.init(theta, case.shapes), costs()

    def step(t, g):
        before = g.copy()
        more = {"cost": values[t]} if case.costs else {}
        rule.step(theta, g, state, rate(case, rule.lr, t), **more)
        np.testing.assert_array_equal(g, before)
        if case.average:
            return np.concatenate([theta, rule.solution(theta, state)])
        return theta.copy()

    return follow(case, dtype, step)


def distances(ours, theirs):
    """The largest distance of a coordinate after each of the KEPT steps."""
    scale = np.abs(theirs).max(axis=0)
    return (np.abs(ours.astype(np.float64) - theirs) / scale).max(axis=1)


@pytest.fixture(scope="module")
def everything():
    return {peer: stored(peer) for peer in PEERS}


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize(("peer", "name"), ALL, ids=lambda each: each)
def test_the_trajectory_is_the_peers(everything, peer, name, kind):
    case = PEERS[peer].CASES[name]
    far = distances(trajectory(case, DTYPES[kind]), everything[peer][f"{name}-{kind}"])
    first, last = near(peer, case, kind)
    assert far[0] <= first
    assert far.max() <= last


@pytest.mark.parametrize("peer", PEERS)
def test_the_files_hold_the_cases_and_their_points_move(everything, peer):
    """A rule that stood still would be matched by any other that does."""
    names = {f"{case}-{kind}" for case in PEERS[peer].CASES for kind in DTYPES}
    assert set(everything[peer]) == names
    for name, points in everything[peer].items():
        assert np.isfinite(points).all()
        moved = np.abs(np.diff(points[:, :SIZE], axis=0)).max(axis=1)
        assert moved.min() > 1e-5, name


CONVENTIONS = {
    "eps_mode": ["outside", "inside", "hat", "floor"],
    "lr_in_buffer": [False, True],
    "maximum": ["raw", "corrected"],
    "psi": [None, 0.004, 1.0],
    "initial_accumulator": [0.0, 0.1],
    "dampening": [0.0, 0.1],
    "lr_decay": [0.0, 0.01],
    "adjust": ["rows", "columns", "rms"],
    "centered": [False, True],
}


def otherwise(case):
    """Rules that differ from a case's in one convention, where that can be seen."""
    rule = getattr(gd.optim, case.rule)(**case.ours)
    for name in CONVENTIONS.keys() & {field.name for field in dataclasses.fields(rule)}:
        if name == "lr_in_buffer" and not (case.changing and rule.momentum):
            continue  # the same as long as the rate is
        for value in CONVENTIONS[name]:
            if value != getattr(rule, name):
                with contextlib.suppress(ValueError):  # not every rule has every mode
                    yield name, dataclasses.replace(rule, **{name: value})


@pytest.mark.parametrize(("peer", "name"), ALL, ids=lambda each: each)
def test_another_convention_is_another_trajectory(everything, peer, name):
    """So the comparison sees each: no case would be matched by the wrong one."""
    case, theirs = PEERS[peer].CASES[name], everything[peer][f"{name}-f64"]
    for convention, rule in otherwise(case):
        settings = {field.name: getattr(rule, field.name) for field in dataclasses.fields(rule)}
        ours = trajectory(dataclasses.replace(case, ours=settings), np.float64)
        assert distances(ours, theirs).max() > 10 * EXACT[1], convention


def test_the_files_are_small():
    assert sum(path_of(peer).stat().st_size for peer in PEERS) < 400_000


def test_every_rule_with_a_peer_is_compared():
    compared = {case.rule for script in PEERS.values() for case in script.CASES.values()}
    # FISTA and AdGD follow their papers, L-BFGS a line search of its own: see tests/optim.
    assert set(gd.optim.__all__) - compared <= {"FISTA", "AdGD", "LBFGS"}
