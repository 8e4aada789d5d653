"""The kernels of either twin, or both, as tests/kernels has them."""

from tests.kernels.conftest import kernels, pair

__all__ = ["kernels", "pair"]
