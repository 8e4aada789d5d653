"""Each layer and each loss against PyTorch's outputs and gradients, stored by make_layers.py."""

import numpy as np
import pytest

from tests.reference import make_layers
from tests.reference.make_layers import CASES, DTYPES, HEADS, PATH

NEAR = {"f32": 2e-6, "f64": 1e-13}


@pytest.fixture(scope="module")
def stored():
    with np.load(PATH, allow_pickle=False) as file:
        return dict(file)


def same(ours, stored, name, kind):
    """Every array, within NEAR of its largest number."""
    kept = {key for key in stored if key.startswith(f"{name}-{kind}-")}
    assert kept == {f"{name}-{kind}-{what}" for what in ours}
    for what, array in ours.items():
        other = stored[f"{name}-{kind}-{what}"]
        assert array.shape == other.shape
        near = NEAR[kind] * max(1, np.abs(other).max())
        np.testing.assert_allclose(array, other, rtol=0, atol=near, err_msg=what)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_layers_are_pytorchs(stored, name, kind):
    same(make_layers.ours(CASES[name], DTYPES[kind]), stored, name, kind)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("name", HEADS)
def test_losses_are_pytorchs(stored, name, kind):
    same(make_layers.head_ours(name, DTYPES[kind]), stored, name, kind)
