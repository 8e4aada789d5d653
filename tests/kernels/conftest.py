"""Every test that takes `kernels` runs on both twins."""

import pytest

from tests.kernels import twins


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
