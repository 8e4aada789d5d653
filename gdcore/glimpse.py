"""A look back at the rows of a fit that keeps nothing alive and is never pickled."""

import weakref
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.data import as_rows
from gdcore.sparse import CSR, Matrix, assembled


class Glimpse:
    """Called, the rows for as long as anyone else holds their memory, else None."""

    def __init__(self, X: Matrix | None = None, source: object = None) -> None:
        self._source = _weak(source)  # a frame, of which X is a copy
        self._shape = X.shape if isinstance(X, CSR) else None
        arrays: tuple[Array, ...] = ()
        if X is not None:
            arrays = (X.data, X.indices, X.indptr) if isinstance(X, CSR) else (X,)
        self._parts = [_Part(array) for array in arrays]

    def __call__(self) -> Matrix | None:
        arrays = [part.array() for part in self._parts]
        if not arrays or any(array is None for array in arrays):
            source = None if self._source is None else self._source()
            return None if source is None else as_rows(source)
        return arrays[0] if self._shape is None else assembled(*arrays, self._shape)

    def __reduce__(self) -> "tuple[type[Glimpse], tuple[()]]":
        return Glimpse, ()


def _weak(source: Any) -> weakref.ref[Any] | None:
    try:
        return None if source is None else weakref.ref(source)
    except TypeError:  # a list
        return None


class _Part:
    """A view of an array that its owner may let go of."""

    def __init__(self, array: Array) -> None:
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        self._owner = weakref.ref(owner)
        self._offset = _address(array) - _address(owner)
        self._layout = array.shape, array.dtype, array.strides

    def array(self) -> Array | None:
        owner = self._owner()
        if owner is None:
            return None
        shape, dtype, strides = self._layout
        try:
            return np.ndarray(shape, dtype, owner, self._offset, strides)
        except (ValueError, TypeError, BufferError):  # resized since, or no plain memory
            return None


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
