"""Sparse rows: `CSR`, what is stored of each row, checked before any kernel sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, ArrayLike, Sparse
from gdcore.errors import require
from gdcore.given import as_array, from_objects

MOST_COLUMNS = 2**63 - 1
MOST_SHORT = 2**31  # columns that int32 can number
AT_ONCE = 1 << 22  # numbers in one call of a kernel


@dataclass(frozen=True, eq=False, repr=False)
class CSR:
    """Rows of which only the stored entries take memory: row i is `data[a:b]` in the columns
    `indices[a:b]`, with a, b = indptr[i], indptr[i + 1]; all else is zero.

    float32 and float64 `data` and int32 and int64 `indices` are kept without a copy, other whole
    numbers and booleans become float64; `indptr` becomes int64. Rows may name their columns in any
    order. Where one names a column twice, both are added up, in a copy. What is given is never
    modified; who changes the arrays afterwards has to make a new CSR.

    Parameters
    ----------
    data : array (entries,), the numbers
    indices : array (entries,), the column of each, from 0
    indptr : array (n + 1,), where each row begins, and the number of entries
    shape : (n, p), rows and columns, at least one each

    Raises
    ------
    TypeError, ValueError
        For rows that do not hold together, columns outside, NaN and infinity.

    References
    ----------
    Y. Saad, Iterative Methods for Sparse Linear Systems, 2nd edition, 2003, section 3.4.

    Example
    -------
    >>> import gdcore as gd
    >>> X = gd.CSR([1.0, 2.0, 3.0], [0, 2, 1], [0, 2, 3], (2, 3))
    >>> X
    CSR(2 rows, 3 columns, 3 entries, float64)
    >>> X.dense()
    array([[1., 0., 2.],
           [0., 3., 0.]])
    """

    data: Array
    indices: Array
    indptr: Array
    shape: tuple[int, int]

    if TYPE_CHECKING:  # what it is made of may be lists

        def __init__(
            self, data: ArrayLike, indices: ArrayLike, indptr: ArrayLike, shape: tuple[int, int]
        ) -> None: ...

    def __post_init__(self) -> None:
        _fill(self, _checked(self.data, self.indices, self.indptr, self.shape, "CSR"))

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        n, p = self.shape
        return f"CSR({n} rows, {p} columns, {len(self.data)} entries, {self.dtype})"

    def __getitem__(self, rows: Any) -> "CSR":
        if isinstance(rows, tuple) and len(rows) == 2 and rows[1] is Ellipsis:
            rows = rows[0]  # as scikit-learn asks for rows
        return self.part(rows)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the numbers."""
        return self.data.dtype

    @property
    def nbytes(self) -> int:
        """Memory of the three arrays."""
        return self.data.nbytes + self.indices.nbytes + self.indptr.nbytes

    def part(self, rows: Any) -> "CSR":
        """These rows: a view for a slice, a copy for numbers (or a mask of booleans)."""
        n, p = self.shape
        if isinstance(rows, slice):
            start, stop, step = rows.indices(n)
            if step != 1:
                return self.part(np.arange(start, stop, step))
            indptr = self.indptr[start : max(start, stop) + 1]
            if len(indptr) == 0:
                indptr = self.indptr[:1]
            held = slice(indptr[0], indptr[-1])
            return assembled(
                self.data[held], self.indices[held], indptr - indptr[0], (len(indptr) - 1, p)
            )
        rows = np.asarray(rows)
        if rows.dtype == bool and rows.shape == (n,):
            rows = np.flatnonzero(rows)
        whole = rows.ndim == 1 and (rows.dtype.kind in "iu" or rows.size == 0)
        require(whole, "rows must be a slice or a vector of row numbers. Pass such.")
        rows = np.ascontiguousarray(rows, np.int64)
        inside = ((rows >= 0) & (rows < n)).all()
        require(inside, f"rows must hold row numbers. Pass numbers from 0 to {n - 1}.")
        entries = int((self.indptr[rows + 1] - self.indptr[rows]).sum())
        new = (
            np.empty(entries, self.data.dtype),
            np.empty(entries, self.indices.dtype),
            np.empty(len(rows) + 1, np.int64),
        )
        kernels.take_csr_rows(self.data, self.indices, self.indptr, rows, *new)
        return assembled(*new, (len(rows), p))

    def moments(self, weights: Array) -> tuple[Array, Array]:
        """Weighted mean and standard deviation of each column (p,), zeros included, in float64."""
        mean, deviation = np.zeros((2, self.shape[1]))
        kernels.csr_moments(self.data, self.indices, self.indptr, weights, mean, deviation)
        return mean, deviation

    def dense(self) -> Array:
        """All n·p numbers as an array (n, p); for small data."""
        out = np.zeros(self.shape, self.data.dtype)
        out[np.repeat(np.arange(len(self)), np.diff(self.indptr)), self.indices] = self.data
        return out


Matrix: TypeAlias = Array | CSR
Features: TypeAlias = ArrayLike | CSR | Sparse  # what users may pass as X


def as_csr(X: CSR | Sparse, name: str = "X") -> CSR:
    """X as a CSR: one of ours, checked again, or what has a method `tocsr`, as SciPy's do.

    Raises
    ------
    TypeError, ValueError
        For what is not sparse, and as in CSR.

    Example
    -------
    >>> from gdcore.sparse import CSR, as_csr
    >>> as_csr(CSR([1.0, 2.0], [1, 0], [0, 1, 2], (2, 2)))
    CSR(2 rows, 2 columns, 2 entries, float64)
    """
    rows: Any = X
    if not isinstance(X, CSR):
        if not hasattr(X, "tocsr"):
            raise TypeError(
                f"{name} must be sparse, got {type(X).__name__}. "
                f"Pass scipy.sparse.csr_array({name}) or a gd.CSR."
            )
        rows = X.tocsr()
    return assembled(*_checked(rows.data, rows.indices, rows.indptr, rows.shape, name))


def stack(parts: Sequence[CSR]) -> CSR:
    """CSRs of one width, one below the other."""
    starts = np.cumsum([0, *(len(part.data) for part in parts)])
    indptr = [part.indptr[1:] + start for part, start in zip(parts, starts, strict=False)]
    return assembled(
        np.concatenate([part.data for part in parts]),
        np.concatenate([part.indices for part in parts]),
        np.concatenate([np.zeros(1, np.int64), *indptr]),
        (sum(map(len, parts)), parts[0].shape[1]),
    )


def assembled(*fields: Any) -> CSR:
    """A CSR of fields that are known to hold together."""
    made = object.__new__(CSR)
    _fill(made, fields)
    return made


def _fill(made: CSR, fields: tuple[Any, ...]) -> None:
    for name, value in zip(("data", "indices", "indptr", "shape"), fields, strict=True):
        object.__setattr__(made, name, value)


def _checked(
    data: ArrayLike, indices: ArrayLike, indptr: ArrayLike, shape: Any, name: str
) -> tuple[Array, Array, Array, tuple[int, int]]:
    """The fields of a CSR, in its dtypes; copies only where they are not yet."""
    n, p = _shape(shape, name)
    data = _numbers(data, name)
    indices, indptr = _whole(indices, f"{name}.indices"), _whole(indptr, f"{name}.indptr")
    indptr = contiguous(indptr, np.int64)
    require(
        len(data) == len(indices),
        f"{name}.data has {len(data)} numbers and {name}.indices {len(indices)}. "
        "Pass one column number for each number.",
    )
    require(
        len(indptr) == n + 1,
        f"{name}.indptr has {len(indptr)} numbers, and {n} rows need {n + 1}. "
        "Pass where each row begins, and the number of entries.",
    )
    if indices.dtype == np.int32 and p > MOST_SHORT:
        raise ValueError(
            f"{name} has {p} columns, and its indices are int32, which number {MOST_SHORT}. "
            "Pass indices of int64."
        )
    end = int(indptr[-1])
    if 0 <= end < len(data):  # room that is not used yet, as SciPy allows
        data, indices = data[:end], indices[:end]
    fault, place = kernels.check_csr(indices, indptr, p)
    if fault == 5:
        data, indices, indptr = _merged(data, indices, indptr)
    elif fault:
        _refuse(fault, place, (indices, indptr, p), name)
    _require_finite(data, indices, indptr, name)
    return data, indices, indptr, (n, p)


def _shape(shape: Any, name: str) -> tuple[int, int]:
    try:
        n, p = map(int, shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{name} must have two dimensions (examples, features), got shape {shape!r}. "
            "Pass (n, p)."
        ) from error
    require(
        0 <= n < MOST_COLUMNS and 0 <= p <= MOST_COLUMNS,
        f"{name} cannot have the shape {(n, p)}. Pass (n, p) of at least one each, below 2⁶³.",
    )
    for size, what, of in (
        (n, "rows: 0 sample(s)", "example"),
        (p, "columns: 0 feature(s)", "feature"),
    ):
        require(
            size > 0,
            f"{name} has no {what} (shape={(n, p)}) while a minimum of 1 is required. "
            f"Pass at least one {of}.",
        )
    return n, p


def contiguous(array: Any, dtype: Any) -> Array:
    """As kernels take it: row by row, and its numbers at multiples of their size, which those of a
    file read from an odd byte on are not. Without a copy where it lies so."""
    rows: Array = np.ascontiguousarray(array, dtype)
    return rows if rows.flags.aligned else rows.copy()


def _vector(values: ArrayLike, name: str) -> Array:
    array = as_array(values, name, "Pass a vector.")
    require(
        array.ndim == 1, f"{name} must have one dimension, got shape {array.shape}. Pass a vector."
    )
    return array


def _numbers(data: ArrayLike, name: str) -> Array:
    """float32 for float16 and 32, else float64; without a copy where it is that already."""
    array = _vector(data, f"{name}.data")
    if array.dtype.kind == "c":
        raise ValueError(
            f"{name} holds complex numbers. Complex data not supported: pass real parts."
        )
    if array.dtype.kind not in "fiub":
        array = from_objects(array, name)
    small = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return contiguous(array, np.float32 if small else np.float64)


def _whole(values: ArrayLike, name: str) -> Array:
    """Whole numbers as int32 or int64; without a copy where they are that already."""
    array = _vector(values, name)
    empty = array.size == 0 and array.dtype.kind == "f"  # as [] is
    if array.dtype.kind not in "iu" and not empty:
        raise TypeError(f"{name} must hold whole numbers, got dtype {array.dtype}. Pass integers.")
    return contiguous(array, np.int32 if array.dtype == np.int32 else np.int64)


def _merged(data: Array, indices: Array, indptr: Array) -> tuple[Array, Array, Array]:
    data, indices, indptr = data.copy(), indices.copy(), indptr.copy()
    left = kernels.merge_csr(data, indices, indptr)
    return data[:left], indices[:left], indptr


def _refuse(fault: int, place: int, fields: tuple[Array, Array, int], name: str) -> None:
    """Say what check_csr has found."""
    indices, indptr, p = fields
    if fault == 4:
        row = int(np.searchsorted(indptr, place, side="right")) - 1
        raise ValueError(
            f"{name}.indices has column {indices[place]} in row {row} (counted from 0), and there "
            f"are {p} columns. Pass numbers from 0 to {p - 1}."
        )
    what = {
        1: f"begins at {indptr[0]}, not at 0",
        2: f"falls from {indptr[place]} to {indptr[place + 1 if fault == 2 else 0]} at row {place}",
        3: f"ends at {indptr[-1]}, and there are {len(indices)} entries",
    }[fault]
    raise ValueError(
        f"{name}.indptr {what}. Pass where each row begins, and the number of entries."
    )


def _require_finite(data: Array, indices: Array, indptr: Array, name: str) -> None:
    if all(kernels.all_finite(data[a : a + AT_ONCE]) for a in range(0, len(data), AT_ONCE)):
        return
    place = int(np.argmax(~np.isfinite(data)))
    what = "NaN" if np.isnan(data[place]) else "infinity"
    row = int(np.searchsorted(indptr, place, side="right")) - 1
    raise ValueError(
        f"{name} contains {what}, first at row {row}, column {indices[place]} (counted from 0). "
        "Remove or fill it first (NaN and infinity are not accepted)."
    )
