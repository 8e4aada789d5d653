"""Rows of names and values as sparse rows of numbers, without a dictionary: `hash_features`."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from gdcore import kernels
from gdcore._typing import DTypeLike
from gdcore.errors import is_iterable, require, require_flag, require_number
from gdcore.sparse import CSR

Row: TypeAlias = Mapping[str, float | str] | Iterable[str | tuple[str, float]]
ROWS = 4096  # at a time


def hash_features(
    rows: Iterable[Row],
    n_features: int = 2**18,
    *,
    dtype: DTypeLike = np.float64,
    seed: int = 0,
    sign: bool = True,
) -> CSR:
    """A CSR (n, n_features) of rows of names, each name in the column that its hash says.

    A name with value v adds ξ(h)·v to column |h| mod n_features, where h is its MurmurHash3 as a
    number with a sign, and ξ that sign. Names that share a column add up; as their signs are as
    good as random, they cancel on average. {"color": "red"} is the name "color=red" with value 1,
    {"age": 31} the name "age" with value 31, and a string by itself counts 1.

    Parameters
    ----------
    rows : iterable
        Of dicts {name: number or string}, or of iterables of strings or of (name, value).
    n_features : int, columns; with a power of two, columns are used evenly
    dtype : float64 or float32
    seed : int from 0 to 2³² − 1
    sign : bool, False for ξ = 1

    Raises
    ------
    TypeError, ValueError
        For what is no name or no finite number, by the number of its row; for no rows.

    Notes
    -----
    The numbers are those of scikit-learn's FeatureHasher where seed is 0.

    References
    ----------
    K. Weinberger et al., Feature Hashing for Large Scale Multitask Learning, ICML 2009.

    Example
    -------
    >>> import gdcore as gd
    >>> X = gd.hash_features([{"color": "red", "age": 31}, {"color": "blue"}], 16)
    >>> X
    CSR(2 rows, 16 columns, 3 entries, float64)
    >>> gd.hash_features([["to", "be", "or", "not", "to", "be"]], sign=False).data
    array([1., 1., 2., 2.])
    """
    require_number("n_features", n_features, 1, 2**31 - 1, whole=True)
    require_number("seed", seed, 0, 2**32 - 1, whole=True)
    require_flag("sign", sign)
    dtype = np.dtype(dtype)
    require(
        dtype in (np.float32, np.float64),
        f"dtype must be float32 or float64, got {dtype}. Pass one.",
    )
    if isinstance(rows, (str, bytes, dict)) or not is_iterable(rows):
        raise TypeError(
            f"rows must be an iterable of rows, got {type(rows).__name__}. Pass a list of dicts, "
            "or of lists of strings."
        )
    numbers, columns, ends, count = [], [], [np.zeros(1, np.int64)], 0
    rows = iter(rows)
    while block := [_plain(row, count + i) for i, row in enumerate(itertools.islice(rows, ROWS))]:
        room = sum(map(len, block))
        data, indices = np.zeros(room, dtype), np.zeros(room, np.int32)
        indptr = np.zeros(len(block) + 1, np.int64)
        kernels.hash_rows(
            block, count, int(n_features), int(seed), bool(sign), data, indices, indptr
        )
        left = kernels.merge_csr(data[: indptr[-1]], indices[: indptr[-1]], indptr)
        numbers.append(data[:left])
        columns.append(indices[:left])
        ends.append(indptr[1:] + ends[-1][-1])
        count += len(block)
    require(count > 0, "rows is empty. Pass at least one row.")
    data, indices, indptr = map(np.concatenate, (numbers, columns, ends))
    return CSR(data, indices, indptr, (count, int(n_features)))


def _plain(row: Any, number: int) -> Any:
    """The row as a dict, a list or a tuple itself."""
    if type(row) in (dict, list, tuple):
        return row
    if isinstance(row, (str, bytes)) or not is_iterable(row):
        raise TypeError(
            f"rows[{number}] is of type {type(row).__name__}. "
            "Pass a dict, or a list of strings or pairs."
        )
    return list(row.items()) if hasattr(row, "items") else list(row)
