"""θ: all parameters of a model as one flat vector with named views."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from gdcore._typing import Array, DTypeLike
from gdcore.devices import DeviceArray
from gdcore.errors import require_number

LINE = 64  # bytes of a line of the cache, and of the widest vectors


def aligned(size: int, dtype: DTypeLike) -> Array:
    """An empty vector that begins with a line of the cache.

    Products in register tiles load whole vectors of θ, a quarter slower where each is in two lines.
    """
    dtype = np.dtype(dtype)
    memory = np.empty(size + LINE // dtype.itemsize, dtype)
    start = -memory.ctypes.data % LINE // dtype.itemsize
    return memory[start : start + size]


def aligned_like(vector: Array) -> Array:
    """An empty vector of its length and dtype, aligned; of one on a device, where it is."""
    if not isinstance(vector, np.ndarray):
        return np.empty_like(vector)
    return aligned(len(vector), vector.dtype)


def merged(arrays: Iterable[Array]) -> list[Array]:
    """The same memory in fewer arrays: those that lie one behind the other become one vector.

    Each must be C-contiguous.
    """
    pieces: list[tuple[Array, int, int]] = []  # who owns it, its first number and the one behind
    for array in arrays:
        base = array if array.base is None else array.base
        if not (_lies(base) and base.dtype == array.dtype):
            base = array
        first = (array.ctypes.data - base.ctypes.data) // array.itemsize
        last = first + array.size
        if pieces and pieces[-1][0] is base and pieces[-1][2] == first:
            first = pieces.pop()[1]
        pieces.append((base, first, last))
    return [base.reshape(-1)[first:last] for base, first, last in pieces]


def _lies(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.flags.c_contiguous


def read_only(array: Any) -> Any:
    """A view that cannot be written to; of an array on a device, which has none, a copy."""
    if not isinstance(array, np.ndarray):
        return array.copy() if isinstance(array, DeviceArray) else array
    array = array.view()
    array.flags.writeable = False
    return array


def aligned_copy(vector: Array, dtype: DTypeLike | None = None) -> Array:
    """A copy of a vector, aligned; of one on a device, where it is."""
    if not isinstance(vector, np.ndarray):
        return vector.astype(dtype or vector.dtype)
    copy = aligned(len(vector), dtype or vector.dtype)
    copy[:] = vector
    return copy


def held(array: Array, dtype: DTypeLike | None) -> Array:
    """The array in another dtype; what that has no room for is infinite there."""
    with np.errstate(over="ignore"):
        return array if dtype is None else array.astype(dtype, copy=False)


class Parameters:
    """Names and shapes laid out over one contiguous vector.

    A gradient or a moment of an optimizer is a vector of the same length: `like` names its parts.

    Parameters
    ----------
    shapes : dict of str to tuple of int
        The parts, in the order in which they lie.
    vector : array of shape (Σ sizes,), optional
        Memory to lay the names over, C-contiguous; zeros of float64 where it is not given.

    Raises
    ------
    ValueError
        Where the vector does not have the length that the shapes need.

    Example
    -------
    >>> import gdcore as gd
    >>> theta = gd.Parameters({"coef": (1, 2), "intercept": (1,)})
    >>> theta["coef"][:] = 3
    >>> theta.vector
    array([3., 3., 0.])
    """

    def __init__(self, shapes: Mapping[str, Iterable[int]], vector: Array | None = None) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {
            name: tuple(shape) for name, shape in shapes.items()
        }
        for name, shape in self.shapes.items():
            for extent in shape:
                require_number(f"A side of {name!r}", extent, low=0, whole=True)
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        if vector is None:
            vector = np.zeros(sum(sizes))
        if not hasattr(vector, "flags"):
            raise TypeError(f"vector must be an array, got {vector!r:.60}. Pass one of NumPy's.")
        if vector.shape != (sum(sizes),) or not vector.flags.c_contiguous:
            raise ValueError(
                f"The shapes need a contiguous vector of {sum(sizes)} numbers, got shape "
                f"{vector.shape}. Pass one of that length."
            )
        self.vector = vector
        ends = np.cumsum([0, *sizes])
        self._views = {
            name: vector[start:end].reshape(shape)
            for (name, shape), start, end in zip(
                self.shapes.items(), ends[:-1], ends[1:], strict=True
            )
        }

    def __getitem__(self, name: str) -> Array:
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self.vector)

    def like(self, vector: Array) -> "Parameters":
        """The same names over another vector of this length."""
        return Parameters(self.shapes, vector)

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} {shape}" for name, shape in self.shapes.items())
        return f"Parameters({parts})"
