"""Data that do not fit into memory, some rows at a time: readers, a check, and a shuffle.

Chunks are any object that can be iterated over again and again and gives (X, y) or
(X, y, weights) each time: a list of such tuples, a reader of this module, or an object of one's
own with `__iter__`. X is dense or sparse; all chunks have one width.
"""

import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from gdcore._typing import ArrayLike, DTypeLike, PathLike
from gdcore.arrow import NUMBERS, FileChunks, Files, read_columns, read_csv
from gdcore.disk import damaged, require_npy
from gdcore.errors import is_iterable, require, require_number
from gdcore.given import as_array
from gdcore.passes import Checked, Shuffled
from gdcore.sparse import CSR, Features, as_csr

Chunks: TypeAlias = "Iterable[tuple[Any, ...]] | Callable[[], Iterable[tuple[Any, ...]]]"

__all__ = ["arrays", "checked", "csv", "parquet", "shuffled"]


def arrays(
    X: Features | PathLike,
    y: ArrayLike | PathLike,
    weights: ArrayLike | PathLike | None = None,
    *,
    rows: int | None = None,
) -> "ArrayChunks":
    """Chunks (X, y) or (X, y, weights) of `rows` rows each from arrays, or from files of them.

    Parameters
    ----------
    X : array (n, p), numpy.memmap, sparse matrix, gd.CSR, or the path of an .npy file
    y, weights : array (n,), or the path of an .npy file
    rows : int, default about 4 MB of numbers
        Rows of a chunk, of the last one at most.

    Raises
    ------
    TypeError, ValueError
        For arrays of different lengths, and files that hold objects.

    Notes
    -----
    A file is mapped anew for each chunk, and a numpy.memmap's pages are handed back after each:
    what is resident is one chunk, while the system may keep the rest of the file in its cache.

    Example
    -------
    >>> import gdcore as gd, numpy as np
    >>> chunks = gd.chunks.arrays(np.arange(10.0).reshape(5, 2), np.arange(5), rows=2)
    >>> [len(y) for X, y in chunks]
    [2, 2, 1]
    >>> chunks.n_rows, chunks.n_features
    (5, 2)
    """
    X, y, weights = map(_source, (X, y, weights), ("X", "y", "weights"))
    shapes = [_shape(one, name) for one, name in ((X, "X"), (y, "y")) if one is not None]
    require(len(shapes) == 2, "y is None. Pass one target a row.")
    require(len(shapes[0]) == 2, f"X must have two dimensions, got shape {shapes[0]}. Reshape it.")
    n, p = shapes[0]
    require(n > 0 and p > 0, f"X has shape {(n, p)}. Pass at least one row and one column.")
    for one, name in ((y, "y"), (weights, "weights")):
        if one is not None:
            shape = _shape(one, name)
            require(
                shape[:1] == (n,), f"X has {n} rows and {name} has shape {shape}. Pass one a row."
            )
    if rows is not None:
        require_number("rows", rows, 1, whole=True)
    parts = (X, y) if weights is None else (X, y, weights)
    return ArrayChunks(parts, n, p, rows or max(1, NUMBERS // p))


def csv(
    path: Files,
    *,
    target: str,
    rows: int | None = None,
    columns: Sequence[str] | None = None,
    weights: str | None = None,
    dtype: DTypeLike | None = None,
    delimiter: str = ",",
) -> FileChunks:
    """Chunks of the rows of CSV files with a header line, by pyarrow (extra `arrow`).

    Parameters
    ----------
    path : str or Path, a pattern like "part-*.csv", or a list of those
    target : name of the column y; numbers, or text for classes
    rows : int, default about 4 MB of numbers
    columns : list of names, default all others
    weights : name of a column, optional
    dtype : float64 or float32, default float64

    Raises
    ------
    ImportError, TypeError, ValueError
        Without pyarrow; for unknown columns, text in X, and files of other columns.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> for k in range(2):  # two files of three rows each
    ...     table = np.array([[50, 1.5], [70, 2.0], [90, 2.8]])
    ...     np.savetxt(f"prices-{k}.csv", table, delimiter=",", header="size,price", comments="")
    >>> chunks = gd.chunks.csv("prices-*.csv", target="price", rows=2)
    >>> [len(y) for X, y in chunks]
    [2, 2, 2]
    """
    _require_rows(rows)
    options = {"weights": weights, "dtype": dtype, "delimiter": delimiter}
    return read_csv(path, target, rows, columns, options)


def parquet(
    path: Files,
    *,
    target: str,
    rows: int | None = None,
    columns: Sequence[str] | None = None,
    weights: str | None = None,
    dtype: DTypeLike | None = None,
) -> FileChunks:
    """Chunks of the rows of Parquet or Arrow files (IPC, Feather), by pyarrow (extra `arrow`).

    Parameters are those of `csv`; the dtype is float32 where all columns are. Row groups and
    record batches can be visited in any order, so that `shuffled` mixes well where they are not
    much larger than a chunk.

    Raises
    ------
    ImportError, TypeError, ValueError
        As `csv`.

    Example
    -------
    >>> import pyarrow, pyarrow.parquet, gdcore as gd
    >>> for k in range(2):  # days
    ...     table = pyarrow.table({"seen": [1.0, 2.0], "clicked": [0, 1]})
    ...     pyarrow.parquet.write_table(table, f"day-{k}.parquet")
    >>> chunks = gd.chunks.parquet("day-*.parquet", target="clicked")
    >>> [(X.shape, y.tolist()) for X, y in chunks]
    [((4, 1), [0, 1, 0, 1])]
    """
    _require_rows(rows)
    return read_columns(path, target, rows, columns, {"weights": weights, "dtype": dtype})


def checked(chunks: Chunks, name: str = "chunks") -> Checked | Shuffled:
    """The same chunks, each as (X, y, weights): C-contiguous and finite, all of one width.

    A function without arguments that returns a new iterator is taken for chunks, too.

    Raises
    ------
    TypeError, ValueError
        For an iterator that can be used but once; while iterating, for what is wrong with a chunk,
        by its number.

    Example
    -------
    >>> import gdcore as gd
    >>> for X, y, weights in gd.chunks.checked([([[1.0], [2.0]], [0, 1])]):
    ...     print(X.shape, y, weights)
    (2, 1) [0 1] [1. 1.]
    """
    if isinstance(chunks, (Checked, Shuffled)):
        return chunks
    if callable(chunks) and not hasattr(chunks, "__iter__"):
        return Checked(_Calls(chunks, name), name)
    if not is_iterable(chunks) or isinstance(chunks, (str, bytes, dict)):
        raise TypeError(
            f"{name} must give (X, y) again and again, got {type(chunks).__name__}. "
            "Pass gd.chunks.arrays(X, y), or a list of (X, y)."
        )
    if hasattr(chunks, "__next__"):
        raise TypeError(
            f"{name} is a {type(chunks).__name__}, which gives its rows only once; descent needs "
            "many passes. Pass the function that makes it, or an object whose __iter__ does."
        )
    return Checked(chunks, name)


def shuffled(chunks: Chunks, *, buffer: int = 8, seed: int = 0) -> Shuffled:
    """The rows of chunks in another order each pass: pieces at random, rows mixed in a buffer.

    The source's pieces (chunks of arrays, row groups, files) come in random order where it can
    visit them so, one by one otherwise; the rows of `buffer` chunks are then mixed. That is as
    good for descent as a full shuffle where chunks are many. Pass k of a seed is always the same.

    Parameters
    ----------
    chunks : chunks
    buffer : int, chunks whose rows are mixed, and which are in memory together
    seed : int

    References
    ----------
    L. Xu et al., In-Database Machine Learning with CorgiPile, SIGMOD 2022.

    Example
    -------
    >>> import gdcore as gd, numpy as np
    >>> chunks = gd.chunks.arrays(np.arange(8.0)[:, None], np.arange(8), rows=2)
    >>> mixed = gd.chunks.shuffled(chunks, buffer=2, seed=1)
    >>> sorted(int(k) for X, y, weights in mixed for k in y)
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    require_number("buffer", buffer, 1, whole=True)
    require_number("seed", seed, 0, whole=True)
    source: Any = checked(chunks)
    return Shuffled(source, buffer, seed)


@dataclass(frozen=True, eq=False, repr=False)
class ArrayChunks:
    """Parts of arrays; a piece is a chunk."""

    parts: tuple[Any, ...]
    n_rows: int
    n_features: int
    rows: int
    feature_names = None

    @property
    def pieces(self) -> range:
        """One for each chunk."""
        return range(-(-self.n_rows // self.rows))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self.visit(self.pieces)

    def __repr__(self) -> str:
        return f"chunks of {self.rows} of {self.n_rows} rows, {self.n_features} features"

    def visit(self, order: Iterable[int]) -> Iterator[tuple[Any, ...]]:
        """The chunks of these numbers, in this order."""
        for k in order:
            a = int(k) * self.rows
            yield tuple(_part(part, slice(a, a + self.rows)) for part in self.parts)
            for part in self.parts:
                _hand_back(part)


@dataclass(frozen=True, eq=False)
class _Npy:
    """An .npy file, mapped for as long as what is read from it is in use."""

    path: str

    def open(self) -> Any:
        try:
            require_npy(self.path)
            return np.load(self.path, mmap_mode="r", allow_pickle=False)
        except OSError:
            raise
        except Exception as error:  # NumPy's parser of headers has many words for "broken"
            raise damaged(self.path, ".npy file", error, "Save it with numpy.save.") from error


def _source(given: Any, name: str) -> Any:
    if isinstance(given, (str, os.PathLike)):
        return _Npy(os.fspath(given))
    if given is None or isinstance(given, (CSR, np.ndarray)):
        return given
    if hasattr(given, "tocsr"):
        return as_csr(given, name)
    return as_array(given, name)


def _shape(source: Any, name: str) -> tuple[int, ...]:
    source = source.open() if isinstance(source, _Npy) else source
    shape: tuple[int, ...] = source.shape
    return shape


def _part(source: Any, rows: slice) -> Any:
    if isinstance(source, _Npy):
        return source.open()[rows]
    return source.part(rows) if isinstance(source, CSR) else source[rows]


def _hand_back(source: Any) -> None:
    """Pages of a map that is shared with its file: they are read again where they are needed. Those
    of mode "c" are not, they hold what was written to them."""
    if isinstance(source, np.memmap) and source.mode != "c":
        if isinstance(source.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            source.base.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True, eq=False)
class _Calls:
    """What a function gives, anew each time."""

    function: Callable[[], Iterable[Any]]
    name: str

    def __iter__(self) -> Iterator[Any]:
        given = self.function()
        if not is_iterable(given):
            raise TypeError(
                f"{self.name} must return an iterable of (X, y) at each call, got "
                f"{type(given).__name__}. Return one."
            )
        return iter(given)


def _require_rows(rows: int | None) -> None:
    if rows is not None:
        require_number("rows", rows, 1, whole=True)
