"""What tests/test_devices_fits.py shows of array-api-strict's arrays, shown of PyTorch's."""

import pytest
import torch

import gdcore as gd
from tests import test_devices_fits as suite
from tests.peers import test_devices as peers
from tests.test_devices_fits import *  # noqa: F403


@pytest.fixture(autouse=True)
def tensors(monkeypatch):
    monkeypatch.setattr(suite, "there", torch.asarray)
    monkeypatch.setattr(suite, "here", peers.here)


def test_tensors_that_numpy_has_no_name_for_are_refused():
    y = torch.asarray(suite.TARGETS["two"])
    for X, sentence in (
        (torch.asarray(suite.X).to(torch.bfloat16), "X holds torch.bfloat16"),
        (torch.asarray(suite.X).to_sparse(), "X is a sparse tensor"),
    ):
        with pytest.raises(ValueError, match=sentence):
            gd.LogisticRegression().fit(X, y)
