"""Rows in CSR form, in NumPy. Compiled twins: src/sparse.pyx.

Twins agree to the bit.
"""

import numpy as np

from gdcore._numpy._require import (
    require_aligned,
    require_apart,
    require_arrays,
    require_whole,
    require_writeable,
)
from gdcore._typing import Array

__all__ = ["check_csr", "merge_csr", "take_csr_rows"]


def check_csr(indices: Array, indptr: Array, columns: int) -> tuple[int, int]:
    """(fault, place) of rows in CSR form: 0 none; 1 indptr does not begin at 0, 2 falls at a row, 3 does not end at the number of entries; 4 an entry's column is outside; 5 a row names a column twice."""
    _require_columns(indices)
    require_whole(indptr=indptr)
    columns = _whole(columns)
    if len(indptr) == 0 or columns < 0:
        raise ValueError(
            "indptr must have one number more than rows, and columns be at least 0. Pass such."
        )
    if not _rows_hold(indptr, len(indices)):
        falls = np.flatnonzero(indptr[1:] < indptr[:-1])  # differences may be beyond int64
        if indptr[0] != 0:
            return 1, 0
        return (2, int(falls[0])) if len(falls) else (3, 0)
    outside = (indices < 0) | (indices >= columns)
    if outside.any():
        return 4, int(outside.argmax())
    rows = row_of_each(indptr)
    if ((indices[1:] > indices[:-1]) | (rows[1:] != rows[:-1])).all():
        return 0, 0
    order = np.lexsort((indices, rows))
    rows, indices = rows[order], indices[order]
    twice = np.flatnonzero((indices[1:] == indices[:-1]) & (rows[1:] == rows[:-1]))
    return (5, int(rows[twice[0]])) if len(twice) else (0, 0)


def take_csr_rows(
    data: Array,
    indices: Array,
    indptr: Array,
    rows: Array,
    new_data: Array,
    new_indices: Array,
    new_indptr: Array,
) -> None:
    """These rows, one after another. Changes new_data, new_indices and new_indptr."""
    require_arrays(data, new_data)
    _require_columns(indices, new_indices)
    require_whole(indptr=indptr, rows=rows, new_indptr=new_indptr)
    require_writeable(new_data, new_indices, new_indptr)
    if len(indices) != len(data):
        raise ValueError(
            "data and indices must have one length. Pass one column number for each number."
        )
    if not ((rows >= 0) & (rows < len(indptr) - 1)).all():
        raise ValueError("rows must hold row numbers. Pass numbers from 0 to n − 1.")
    starts, ends = (indptr[rows], indptr[rows + 1]) if len(rows) else (rows, rows)
    if not ((starts >= 0) & (ends >= starts) & (ends <= len(data))).all():
        raise ValueError(
            "indptr must begin at 0, never fall, and end at the number of entries. Pass such."
        )
    lengths = ends - starts
    room = (len(new_indptr), len(new_data), len(new_indices))
    if room != (len(rows) + 1, lengths.sum(), lengths.sum()):
        raise ValueError(
            "The new arrays must have room for the rows' entries, and no more. Pass such."
        )
    require_apart((new_data, new_indices, new_indptr), data, indices, indptr, rows)
    new_indptr[0] = 0
    np.cumsum(lengths, out=new_indptr[1:])
    places = np.arange(len(new_data)) + np.repeat(starts - new_indptr[:-1], lengths)
    new_data[:], new_indices[:] = data[places], indices[places]


def merge_csr(data: Array, indices: Array, indptr: Array) -> int:
    """Sort each row by column and add up what one column holds, in its order; the entries that are left, at the front, and zeros behind them. Changes data, indices and indptr."""
    require_csr(data, indices, indptr)
    require_writeable(data, indices, indptr)
    require_apart((data, indices, indptr))
    if len(data) == 0:
        return 0
    rows = row_of_each(indptr)
    order = np.lexsort((indices, rows))
    rows, columns, values = rows[order], indices[order], data[order]
    first = np.ones(len(rows), bool)
    first[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    sums = values[first]
    with np.errstate(all="ignore"):
        np.add.at(sums, (np.cumsum(first) - 1)[~first], values[~first])
    left = len(sums)
    data[:left], indices[:left] = sums, columns[first]
    data[left:], indices[left:] = 0, 0
    indptr[1:] = np.cumsum(np.bincount(rows[first], minlength=len(indptr) - 1))
    return left


def require_csr(data: Array, indices: Array, indptr: Array) -> None:
    require_arrays(data)
    _require_columns(indices)
    require_whole(indptr=indptr)
    if len(data) != len(indices):
        raise ValueError(
            "data and indices must have one length. Pass one column number for each number."
        )
    if not _rows_hold(indptr, len(data)):
        raise ValueError(
            "indptr must begin at 0, never fall, and end at the number of entries. Pass such."
        )


def _require_columns(*arrays: Array) -> None:
    """Vectors of column numbers, int32 or int64, all of one kind."""
    for array in arrays:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"A kernel takes NumPy arrays, got {type(array).__name__}. Convert it.")
        plain = array.dtype in (np.int32, np.int64) and array.dtype.isnative and array.ndim == 1
        if not plain or not array.flags.c_contiguous or array.dtype != arrays[0].dtype:
            raise ValueError("indices must be contiguous int32 or int64. Pass such.")
        require_aligned(array)


def _rows_hold(indptr: Array, entries: int) -> bool:
    if len(indptr) == 0 or indptr[0] != 0 or indptr[-1] != entries:
        return False
    return bool((indptr[1:] >= indptr[:-1]).all())


def row_of_each(indptr: Array) -> Array:
    """The row of each entry."""
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def _whole(value: int) -> int:
    if isinstance(value, (str, bytes)) or value is None:
        raise TypeError(f"A kernel takes numbers, got {value!r}. Convert it.")
    return int(value)
