"""Short names for annotations: an array's meaning is in its name (θ, X, g), not in its type."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np

T = TypeVar("T")

if TYPE_CHECKING:  # 1 ms, and of numpy.random 10
    from numpy.random import Generator as Generator
    from numpy.typing import ArrayLike as ArrayLike
    from numpy.typing import DTypeLike as DTypeLike

    def computed(method: Callable[[Any], T]) -> T:
        """A property where the base class states an attribute, which to a type checker it is."""
else:
    ArrayLike = DTypeLike = Generator = Any
    computed = property

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Rate: TypeAlias = float | Callable[[int], float] | None  # a number, or a schedule t → factor
Seed: TypeAlias = int | Generator | None
PathLike: TypeAlias = str | os.PathLike[str]
State: TypeAlias = dict[str, Array]  # of an optimizer: its moments, and "t"
NOTHING: Any = None  # stands where a type is promised and nothing is known yet


class Proof(Protocol):
    """What rules ask of the one who can prove how far J is from its minimum."""

    def estimate(self, theta: Array, g: Any, value: float) -> float: ...
    def bound(self, theta: Array, g: Any, value: float, wanted: float) -> float: ...
    def saturated(self, theta: Array, g: Any, value: float) -> bool: ...


class Sparse(Protocol):
    """A matrix of another library that can be had by its rows, as SciPy's."""

    def tocsr(self) -> Any: ...
