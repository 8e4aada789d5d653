"""What tests/test_devices_fits.py shows of array-api-strict's arrays, shown of PyTorch's."""

import pytest
import torch

from tests import test_devices_fits as suite
from tests.peers import test_devices as peers
from tests.test_devices_fits import *  # noqa: F403


@pytest.fixture(autouse=True)
def tensors(monkeypatch):
    monkeypatch.setattr(suite, "there", torch.asarray)
    monkeypatch.setattr(suite, "here", peers.here)
