"""The kernels of a transformer against PyTorch, whose answers make_attention.py stored."""

import numpy as np
import pytest

from tests.reference.make_attention import CASES, DTYPES, PATH, arrays

NEAR = {"f32": 2e-5, "f64": 1e-12}


@pytest.fixture(scope="module")
def stored():
    with np.load(PATH, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_are_pytorchs(kernels, stored, name, kind):
    ours = CASES[name].ours(kernels, arrays(CASES[name], DTYPES[kind]))
    start = f"{name}-{kind}-"
    theirs = {key.removeprefix(start): stored[key] for key in stored if key.startswith(start)}
    assert set(ours) == set(theirs)
    for what, array in ours.items():
        assert array.shape == theirs[what].shape
        atol = NEAR[kind] * max(1, np.abs(theirs[what]).max(initial=0))
        np.testing.assert_allclose(array, theirs[what], rtol=0, atol=atol, err_msg=what)


def test_the_file_holds_the_cases_and_is_small(stored):
    assert {key.rsplit("-", 2)[0] for key in stored} == set(CASES)
    assert PATH.stat().st_size < 100_000
