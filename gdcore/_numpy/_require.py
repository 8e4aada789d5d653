"""Checks that the NumPy kernels share; the compiled ones get theirs from the buffer protocol."""

from collections.abc import Sequence

import numpy as np

from gdcore._typing import Array

ARRAYS: list[type] = [np.ndarray]  # and those of devices, where they are in use


def is_array(value: object) -> bool:
    """Whether a twin takes it for an array."""
    return isinstance(value, tuple(ARRAYS))


def require_aligned(*arrays: Array) -> None:
    """Numbers at multiples of their size, as compilers take them to be."""
    if not all(array.flags.aligned for array in arrays):
        raise ValueError(
            "A kernel takes aligned arrays, whose numbers lie at multiples of their size. Pass a copy."
        )


def require_apart(written: Sequence[Array], *read: Array) -> None:
    """What is written shares no memory with anything else."""
    for i, array in enumerate(written):
        for other in (*written[i + 1 :], *read):
            if np.shares_memory(array, other):
                raise ValueError(
                    "What a kernel writes must share no memory with its other arrays. Pass a copy."
                )


def require_same_or_apart(out: Array, array: Array) -> None:
    """One may be the other, but no part of it."""
    if out.ctypes.data != array.ctypes.data or out.nbytes != array.nbytes:
        require_apart((out,), array)


def require_one_length(*arrays: Array) -> None:
    if any(len(array) != len(arrays[0]) for array in arrays):
        raise ValueError("The arrays must have one length. Pass arrays of equal shape.")


def require_arrays(*arrays: Array, ndim: int | None = 1) -> None:
    """Refuse what the compiled twins refuse: not an array, another dtype, gaps between elements."""
    for array in arrays:
        if not is_array(array):
            raise TypeError(f"A kernel takes NumPy arrays, got {type(array).__name__}. Convert it.")
        same = array.dtype == arrays[0].dtype and array.dtype.isnative
        same = same and ndim in (array.ndim, None)
        if not same or array.dtype.char not in "fd":
            raise ValueError("A kernel takes float32 or float64 arrays of one dtype. Convert them.")
        if not array.flags.c_contiguous:
            raise ValueError("A kernel takes C-contiguous arrays. Pass numpy.ascontiguousarray(…).")
        require_aligned(array)


def require_like(other: Array, *arrays: Array, ndim: int = 1) -> None:
    """Arrays of another array's precision."""
    for array in arrays:
        require_arrays(array, ndim=ndim)
        if array.dtype != other.dtype:
            raise ValueError("A kernel takes float32 or float64 arrays of one dtype. Convert them.")


def require_whole(**arrays: Array) -> None:
    """Vectors of numbers of rows, of layers and the like, by name."""
    for name, array in arrays.items():
        if not is_array(array):
            raise TypeError(f"A kernel takes NumPy arrays, got {type(array).__name__}. Convert it.")
        plain = array.dtype == np.int64 and array.dtype.isnative and array.ndim == 1
        if not plain or not array.flags.c_contiguous:
            raise ValueError(f"{name} must be contiguous int64. Pass numpy.ascontiguousarray(…).")
        require_aligned(array)


def require_writeable(*arrays: Array) -> None:
    for array in arrays:
        if not array.flags.writeable:
            raise ValueError("buffer source array is read-only")


def require_parts(w: Sequence[Array], g: Sequence[Array]) -> None:
    """Arrays of any shape to be moved, and a gradient of the same shape for each."""
    if len(w) != len(g):
        raise ValueError("w and g must hold equally many arrays. Pass one gradient for each.")
    require_arrays(*w, *g, ndim=None)
    require_writeable(*w)
    if any(one.shape != slope.shape for one, slope in zip(w, g, strict=True)):
        raise ValueError("The arrays must have one length. Pass arrays of equal shape.")
    for one, slope in zip(w, g, strict=True):
        require_same_or_apart(one, slope)


def require_vectors(state: Sequence[Array], w: Sequence[Array]) -> None:
    """Vectors over all arrays of w in a row."""
    require_arrays(*w[:1], *state, ndim=None)
    require_writeable(*state)
    total = sum(one.size for one in w)
    if any(vector.shape != (total,) for vector in state):
        raise ValueError("The arrays must have one length. Pass arrays of equal shape.")
    require_apart(state, *w)


def require_doubles(*arrays: Array, ndim: int = 1) -> None:
    for array in arrays:
        require_arrays(array, ndim=ndim)
        if array.dtype != np.float64 and isinstance(array, np.ndarray):
            raise ValueError(  # there are devices without doubles
                "y, weights, columns, theta, state and rates are float64. Convert them."
            )


def numbers(*values: float) -> tuple[float, ...]:
    """The values as Python floats, before anything is changed; TypeError for what is no number."""
    for value in values:
        if isinstance(value, (str, bytes)):
            raise TypeError(f"A kernel takes numbers, got {value!r}. Convert it.")
    return tuple(map(float, values))
