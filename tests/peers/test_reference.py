"""The stored trajectories and schedules are what the peers give as installed, and gdcore's too."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.reference import make_attention, make_layers, make_schedules
from tests.reference.problem import DTYPES, stored
from tests.test_reference import ALL, PEERS, distances, near, trajectory

torch.set_num_threads(1)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize(("peer", "name"), ALL, ids=lambda each: each)
def test_the_trajectory_live_is_the_stored_one_and_ours(peer, name, kind):
    case, dtype = PEERS[peer].CASES[name], DTYPES[kind]
    live = PEERS[peer].trajectory(case, dtype)
    first, last = near(peer, case, kind)
    assert distances(stored(peer)[f"{name}-{kind}"], live).max() <= last
    ours = distances(trajectory(case, dtype), live)
    assert ours[0] <= first
    assert ours.max() <= last


def test_the_stored_schedules_are_pytorchs():
    live = make_schedules.everything()
    path = Path(make_schedules.__file__).with_name("schedules.npz")
    with np.load(path, allow_pickle=False) as kept:
        assert set(kept) == set(live)
        for name in live:
            np.testing.assert_allclose(kept[name], live[name], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("script", [make_layers, make_attention])
def test_the_stored_layers_are_pytorchs(script):
    live = script.everything()
    with np.load(script.PATH, allow_pickle=False) as kept:
        assert set(kept) == set(live)
        for name in live:
            near = 2e-6 if "-f32-" in name else 1e-13
            atol = near * max(1, np.abs(kept[name]).max(initial=0))
            np.testing.assert_allclose(kept[name], live[name], rtol=0, atol=atol, err_msg=name)
