"""Gradients that touch a few rows only, as an embedding's do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, DTypeLike, State
from gdcore.optim.adam import Adam
from gdcore.optim.adaptive import AdaGrad
from gdcore.optim.base import Rule
from gdcore.optim.descent import SGD


@dataclass(frozen=True, eq=False)
class SparseGradient:
    """Rows of a gradient along its first axis; all others are zero. Rows named twice add up.

    SGD and AdaGrad move as they would for the dense gradient. Adam is lazy, as PyTorch's
    SparseAdam: moments of untouched rows wait as they are.

    Parameters
    ----------
    indices : int array (k,)
    values : array (k, …), of the parameter's shape from its second axis on

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> table = np.ones((1000, 2))
    >>> updater = gd.optim.SGD(lr=0.5).bind(table)
    >>> updater.step(gd.optim.SparseGradient([7, 7], np.ones((2, 2))))
    >>> table[6:8]
    array([[1., 1.],
           [0., 0.]])
    """

    indices: Any
    values: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "indices", np.asarray(self.indices))
        object.__setattr__(self, "values", np.asarray(self.values))

    def check(self, name: str, array: Array) -> None:
        """Refuse what does not fit a parameter."""
        indices, values = self.indices, self.values
        if indices.ndim != 1 or (indices.dtype.kind not in "iu" and indices.size):
            raise TypeError(f"{name}.indices must be whole numbers in one axis. Convert them.")
        if array.ndim == 0 or values.shape != (len(indices), *array.shape[1:]):
            raise ValueError(
                f"{name}.values must have the shape {(len(indices), *array.shape[1:])}, got "
                f"{values.shape}. Pass one row for each index."
            )
        if len(indices) and not (0 <= indices.min() and indices.max() < len(array)):
            raise ValueError(
                f"{name}.indices must lie in 0 … {len(array) - 1}, got {indices.min()} … "
                f"{indices.max()}. Correct them."
            )
        if values.dtype.kind not in "fiub":
            raise TypeError(
                f"{name}.values must hold real numbers, got {values.dtype}. Convert it."
            )

    def dense(self, shape: tuple[int, ...]) -> Array:
        """The same gradient with all its zeros."""
        full = np.zeros(shape, self.values.dtype if self.values.dtype.kind == "f" else float)
        np.add.at(full, self.indices, self.values)
        return full

    def rows(self, dtype: DTypeLike) -> tuple[Array, Array]:
        """(indices without repetition, their summed rows)."""
        indices, where = np.unique(self.indices.astype(np.intp), return_inverse=True)
        if len(indices) == len(self.indices):
            values = np.empty(self.values.shape, dtype)
            values[where] = self.values
            return indices, values
        values = np.zeros((len(indices), *self.values.shape[1:]), dtype)
        np.add.at(values, where, self.values.astype(dtype))
        return indices, values


def sparse_step(
    optimizer: Rule, arrays: list[Array], slopes: Sequence[Any], state: State, lr: float
) -> None:
    """One step of an elementwise rule on arrays of which some have sparse gradients."""
    if type(optimizer) not in (SGD, AdaGrad, Adam):
        raise ValueError(
            f"{type(optimizer).__name__} moves every row at every step, so a sparse gradient will "
            "not do. Pass SparseGradient.dense(shape), or take SGD, AdaGrad or Adam."
        )
    optimizer.advance(state, lr)
    name, c = optimizer.kernel(state, lr)
    at = 0
    for array, slope in zip(arrays, slopes, strict=True):
        moments = [state[moment][at : at + array.size] for moment in optimizer.moments]
        at += array.size
        if isinstance(slope, SparseGradient):
            _touch(name, c, array, slope, [moment.reshape(array.shape) for moment in moments])
        else:
            moved = np.require(array, requirements=["C", "A"])
            kernels.update(name, moved, slope, moments, c)
            if moved is not array:
                array[...] = moved


def _touch(
    name: str, c: tuple[float, ...], array: Array, slope: SparseGradient, moments: list[Array]
) -> None:
    """The rows out, through the kernel, and back."""
    indices, values = slope.rows(array.dtype)
    rows = array[indices]
    kept = [moment[indices] for moment in moments]
    kernels.update(name, rows, values, [moment.reshape(-1) for moment in kept], c)
    array[indices] = rows
    for moment, new in zip(moments, kept, strict=True):
        moment[indices] = new
