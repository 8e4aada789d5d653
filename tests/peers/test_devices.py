"""What tests/test_devices.py shows of array-api-strict's arrays, shown of PyTorch's."""

import numpy as np
import pytest
import torch

from tests import test_devices as suite
from tests.test_devices import *  # noqa: F403


def here(values):
    assert isinstance(values, torch.Tensor)
    return values.numpy()


@pytest.fixture(autouse=True)
def tensors(monkeypatch):
    monkeypatch.setattr(suite, "there", torch.asarray)
    monkeypatch.setattr(suite, "here", here)


def test_a_tensor_that_wants_a_gradient_gets_none():
    """θ is gdcore's to move: nothing is recorded for autograd, and nothing of X is changed."""
    import gdcore as gd

    X = torch.asarray(suite.X.copy()).requires_grad_()
    model = gd.LinearRegression().fit(X.detach(), torch.asarray(suite.TARGETS["numbers"]))
    assert not model.coef_.requires_grad
    np.testing.assert_array_equal(X.detach().numpy(), suite.X)
