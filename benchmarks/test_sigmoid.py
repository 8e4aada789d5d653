"""σ(z) of 100,000 numbers into an array that is there."""

from functools import partial

import numpy as np
import pytest
import scipy.special
import torch

from benchmarks.group import Group, each
from benchmarks.replay import clock
from gdcore import kernels


def build(setting, dtype):
    z = np.random.default_rng(0).normal(0, 3, 1_000 if setting.smoke else 100_000).astype(dtype)
    ours, numpys, scipys, torchs = (np.empty_like(z) for _ in range(4))
    z_torch, out_torch = torch.from_numpy(z), torch.from_numpy(torchs)

    def numpy_sigmoid():  # in place: faster than 1/(1 + np.exp(-z)) with its three temporaries
        np.negative(z, out=numpys)
        np.exp(numpys, out=numpys)
        np.add(numpys, 1, out=numpys)
        np.reciprocal(numpys, out=numpys)

    contenders = {
        "gdcore": lambda: kernels.sigmoid(z, ours),
        "NumPy": numpy_sigmoid,
        "SciPy": lambda: scipy.special.expit(z, out=scipys),
        "torch": lambda: torch.sigmoid(z_torch, out=out_torch),
    }
    for run in contenders.values():
        run()
    for other in (numpys, scipys, torchs):
        np.testing.assert_allclose(other, ours, rtol=8 * np.finfo(dtype).eps)
    return contenders


CONTENDERS = ("gdcore", "NumPy", "SciPy", "torch")
GROUPS = {
    dtype: Group(
        f"sigmoid, 100,000 × {dtype}", partial(build, dtype=dtype), CONTENDERS, wanted=wanted
    )
    for dtype, wanted in {"float64": {"torch": 1.2}, "float32": {}}.items()
}


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_sigmoid(contend, group, contender):
    contend(GROUPS[group], contender)
