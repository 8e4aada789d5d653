"""Every test that takes `kernels` runs on both twins."""

import os

import pytest

from tests.kernels import twins


def pytest_collection_modifyitems(config, items):
    """Tests of the twins are left to the run on the compiled core, where there is one.

    They call both twins by name, whatever GDCORE_BACKEND says, and twins import nothing that it
    chooses: a second run would repeat the first. What asks gdcore.kernels stays in both.
    """
    if os.environ.get("GDCORE_BACKEND") != "numpy" or twins.NATIVE is None:
        return
    twice = {item for item in items if {"kernels", "pair"} & {*getattr(item, "fixturenames", ())}}
    config.hook.pytest_deselected(items=[item for item in items if item in twice])
    items[:] = [item for item in items if item not in twice]


@pytest.fixture(params=["numpy", "native"], scope="session")
def kernels(request):
    """All kernels of one twin as attributes."""
    if request.param == "numpy":
        return twins.namespace(twins.PLAIN)
    if twins.NATIVE is None:
        pytest.skip("the compiled core is not built")
    return twins.namespace(twins.NATIVE)


@pytest.fixture(scope="session")
def pair():
    """The kernels of NumPy, and the compiled ones."""
    if twins.NATIVE is None:
        pytest.skip("the compiled core is not built")
    return twins.namespace(twins.PLAIN), twins.namespace(twins.NATIVE)
