"""Rows in and out: checks of what users pass, the columns' scales, shards, order of visit."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, ArrayLike, Generator
from gdcore.errors import DataConversionWarning, also_sklearns, require
from gdcore.given import as_array, from_objects
from gdcore.sparse import CSR, Matrix, as_csr, contiguous
from gdcore.threads import Threads, resolve

SHARD_BYTES = 1 << 20  # a shard's work outweighs handing it to a thread; its rows stay in L2
MOST_SHARDS = 64
ENTRIES = 16  # a column and shard
AT_ONCE = 1 << 22  # numbers in one call of a kernel where nothing else cuts the rows
EXTREME = 1e-250  # sums of squares below and above which they lose digits
Moments: TypeAlias = tuple[Array, Array, Array, Array]  # mean, deviation, least, largest number


@dataclass(frozen=True, eq=False)
class Rows:
    """Examples X (n, p), targets y (n,) and weights (n,), checked; X C-contiguous, or a CSR.

    Example
    -------
    >>> import numpy as np
    >>> from gdcore.data import Rows
    >>> rows = Rows(np.eye(3), np.array([0.0, 1.0, 2.0]), np.ones(3))
    >>> len(rows), rows.part(slice(1, 3)).y
    (3, array([1., 2.]))
    """

    X: Matrix
    y: Array
    weights: Array

    def __len__(self) -> int:
        return len(self.X)

    def moments(self, n_threads: int | None = 1) -> tuple[Array, Array]:
        """Mean and deviation of each column."""
        return column_moments(self.X, self.weights, n_threads)

    def part(self, rows: Any) -> "Rows":
        """These rows: a view for a slice, a copy for numbers."""
        X: Any = self.X
        numbers = isinstance(rows, np.ndarray) and rows.dtype != bool
        if numbers and isinstance(X, np.ndarray) and len(rows) * X.shape[1] > AT_ONCE:
            room = np.empty((len(rows), X.shape[1]), X.dtype)
            chosen: Matrix = _filled(room, lambda a, b: X[rows[a:b]])
        else:
            chosen = X[rows]
        return Rows(chosen, self.y[rows], self.weights[rows])

    def sample(self, take: int) -> "Rows":
        """So many of the rows, in their order: the same ones in every fit."""
        chosen = np.random.default_rng(0).choice(len(self), take, replace=False)
        return self.part(np.sort(chosen))

    def per_call(self, numbers: int) -> int:
        """Rows of about so many numbers; more where each call reads all columns and entries."""
        n, p = self.X.shape
        if isinstance(self.X, CSR):
            return max(1, max(numbers, ENTRIES * p) * n // max(len(self.X.data), 1))
        return max(1, numbers // p)

    def shards(self) -> "list[Rows]":
        """Contiguous parts, cut by the data alone, so that sums do not depend on the threads."""
        count = max(1, min(MOST_SHARDS, self.X.nbytes // SHARD_BYTES))
        if isinstance(
            self.X, CSR
        ):  # a shard's sums are as long as X is wide: entries outweigh them
            count = max(1, min(count, len(self.X.data) // (ENTRIES * self.X.shape[1])))
        cuts = np.linspace(0, len(self), count + 1).astype(np.intp)
        return [self.part(slice(a, b)) for a, b in pairwise(cuts)]


def as_rows(X: Any, name: str = "X") -> Matrix:
    """X as a CSR where it is sparse, else as `as_features` gives it."""
    return as_csr(X, name) if isinstance(X, CSR) or hasattr(X, "tocsr") else as_features(X, name)


def as_features(X: Any, name: str = "X", *, sound: bool = False) -> Array:
    """X as a C-contiguous float32 or float64 array (n, p) of finite numbers, copied if need be.

    Integers, booleans, float16 and foreign byte orders become float64 (float16: float32). Of X that
    is known to be `sound` the numbers are not read.

    Raises
    ------
    TypeError, ValueError
        For sparse or complex arrays, objects that are no numbers, wrong shapes, no rows or columns,
        NaN and infinity.
    """
    if hasattr(X, "tocsr") or isinstance(X, CSR):
        raise TypeError(
            f"{name} is a sparse matrix, but dense data is required. Pass {name}.toarray()."
        )
    array = as_numbers(X, name)
    if array.ndim != 2:
        cure = (
            "Reshape your data: array.reshape(-1, 1) for one feature, array.reshape(1, -1) for "
            "one example."
        )
        if array.ndim > 2:
            cure = (
                f"Pass {name}.reshape(len({name}), -1); the layers of a network may begin with "
                f"gd.layers.Reshape({array.shape[1:]})."
            )
        raise ValueError(
            f"{name} must have two dimensions (examples, features), got shape {array.shape}. {cure}"
        )
    n, p = array.shape
    if n == 0:
        raise ValueError(
            f"{name} has no rows: 0 sample(s) (shape={array.shape}) while a minimum of 1 is "
            "required. Pass at least one example."
        )
    if p == 0:
        raise ValueError(
            f"{name} has no columns: 0 feature(s) (shape={array.shape}) while a minimum of 1 is "
            "required. Pass at least one feature."
        )
    if not sound:
        require_finite(array, name)
    return array


def as_numbers(values: ArrayLike, name: str) -> Array:
    """An array in the precision of the computation: float32 for float16 and 32, else float64."""
    array = as_array(values, name)
    if array.dtype.kind == "c":
        raise ValueError(
            f"{name} holds complex numbers. Complex data not supported: pass real parts."
        )
    if array.dtype.kind in "US" and name[:1] in ("X", "x"):
        raise ValueError(
            f"{name} holds text. Pass numbers: encode it, or convert it by astype(float)."
        )
    if array.dtype.kind not in "fiub":
        array = from_objects(array, name)
    dtype = np.float32 if array.dtype.itemsize <= 4 and array.dtype.kind == "f" else np.float64
    there = array.flags.c_contiguous and array.flags.aligned and array.dtype == dtype
    if array.ndim != 2 or array.size <= AT_ONCE or there:
        return contiguous(array, dtype).reshape(array.shape)
    return _filled(np.empty(array.shape, dtype), lambda a, b: array[a:b])


def _filled(out: Array, rows: Callable[[int, int], Array]) -> Array:
    """`out` (n, p), filled with rows(a, b) some at a time, so that Ctrl-C is heard soon."""
    step = max(1, AT_ONCE // 8 // out.shape[1])  # rows at random are fetched one by one
    for a in range(0, len(out), step):
        out[a : a + step] = rows(a, a + step)
    return out


def require_finite(array: Array, name: str) -> None:
    """Refuse NaN and infinity, and say where the first one is."""
    flat = array.reshape(-1)
    if all(kernels.all_finite(flat[a : a + AT_ONCE]) for a in range(0, flat.size, AT_ONCE)):
        return
    where = np.argwhere(~np.isfinite(array))[0]
    value = array[tuple(where)]
    what = "NaN" if np.isnan(value) else "infinity"
    place = f"row {where[0]}" + (f", column {where[1]}" if array.ndim == 2 else "")
    raise ValueError(
        f"{name} contains {what}, first at {place} (counted from 0). Remove or fill it first "
        "(NaN and infinity are not accepted)."
    )


def feature_names(X: Any) -> list[str] | None:
    """The column names of a frame where they are all strings, else None."""
    columns = getattr(X, "columns", None)
    if columns is None or not hasattr(X, "shape"):
        return None
    names = list(columns)
    return names if all(isinstance(name, str) for name in names) else None


def as_held_out(
    given: Any, p: int, names: list[str] | None, check: Callable[[Any, str], Any] = as_features
) -> tuple[Any, Any]:
    """(checked X, y) of the pair that an argument `validation` must be, of the columns of X."""
    pair = isinstance(given, (tuple, list)) and len(given) == 2
    require(pair, "validation must be a pair of held-out rows and their targets. Pass (X, y).")
    X = check(given[0], "validation X")
    require(
        X.shape[1] == p,
        f"validation X has {X.shape[1]} features, and X has {p}. Pass the same columns.",
    )
    own = feature_names(given[0])
    require(
        own is None or names is None or own == names,
        "validation X has other feature names than X. Pass the same columns in the same order.",
    )
    return X, given[1]


def as_targets(y: ArrayLike | None, n: int, name: str = "y") -> Array:
    """y as a vector (n,) in whatever dtype it has; a column (n, 1) is flattened with a warning."""
    if y is None:
        raise ValueError(
            f"fit requires {name} to be passed, but the target {name} is None. Pass it."
        )
    array = as_array(y, name, "Pass one target a row.")
    if array.dtype.kind == "V":
        raise TypeError(f"{name} holds records ({array.dtype}). Pass one target a row.")
    if array.ndim == 2 and array.shape[1] == 1:
        import warnings

        warnings.warn(
            f"A column-vector {name} was passed when a 1d array was expected. Pass {name}.ravel().",
            also_sklearns(DataConversionWarning),
            stacklevel=3,
        )
        array = array.ravel()
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension, got shape {array.shape}. Pass a vector.")
    if len(array) != n:
        raise ValueError(
            f"X has {n} rows and {name} has {len(array)}: inconsistent numbers of samples. "
            "Pass one target a row."
        )
    return array


def as_real_targets(y: ArrayLike | None, n: int, name: str = "y") -> Array:
    """y as finite float64 (n,), for regression."""
    array = np.ascontiguousarray(as_numbers(as_targets(y, n, name), name), dtype=np.float64)
    require_finite(array, name)
    return array


def as_weights(sample_weight: ArrayLike | None, n: int) -> Array:
    """Weights as finite float64 (n,), none negative, some positive; None is all ones."""
    if sample_weight is None:
        return np.ones(n)
    weights = np.asarray(as_numbers(sample_weight, "sample_weight"), dtype=np.float64)
    if weights.ndim == 0:
        weights = np.full(n, float(weights))
    require(
        weights.shape == (n,),
        f"sample_weight must have shape ({n},), got {weights.shape}. Pass one weight a row.",
    )
    require_finite(weights, "sample_weight")
    require(weights.min() >= 0, "sample_weight has a negative weight. Pass weights of at least 0.")
    require(weights.any(), "sample_weight is zero everywhere. Give at least one row a weight.")
    require_summable(mass_of(weights))
    return weights


def mass_of(weights: Array) -> float:
    """Σ sᵢ, infinite where it is no double, without a warning."""
    with np.errstate(over="ignore"):
        return float(weights.sum())


def require_summable(mass: float) -> None:
    """Refuse weights whose sum is no double."""
    require(
        bool(np.isfinite(mass)),
        "The weights add up to more than 1.8e308, the largest double. Pass smaller ones.",
    )


class Spread:
    """Mean, deviation and extremes of columns, merged part by part (Chan et al., 1983).

    Deviations are merged, not their squares, which leave the range for numbers of 1e-200 or 1e200.
    """

    def __init__(self) -> None:
        self.mass, self.eps = 0.0, 0.0
        self.mean: Any = 0.0  # an array as soon as there were rows, as all below
        self.wide: Any = 0.0
        self.low: Any = np.inf
        self.high: Any = -np.inf

    def add(self, X: Matrix, weights: Array) -> None:
        """Take more rows, dense or sparse; zeros that a CSR does not hold count as well."""
        self.merge(np.finfo(X.dtype).eps, *part_moments(X, weights))

    @np.errstate(all="ignore")
    def merge(
        self, eps: float, weight: float, mean: Array, wide: Array, low: Array, high: Array
    ) -> None:
        """The same from what `part_moments` says of those rows, in numbers of that precision."""
        if not weight > 0:
            return
        total = self.mass + weight
        old, new, away = self.mass / total, weight / total, mean - self.mean
        if self.mass > 0:
            parts = np.sqrt(old) * self.wide, np.sqrt(new) * wide, np.sqrt(old * new) * away
            wide = _length(*parts)
        self.mean, self.wide, self.mass = self.mean + away * new, wide, total
        self.low, self.high = np.minimum(self.low, low), np.maximum(self.high, high)
        self.eps = eps

    def add_spread(self, other: "Spread") -> None:
        """Take the rows of another one."""
        if other.mass > 0:
            self.merge(other.eps, other.mass, other.mean, other.wide, other.low, other.high)

    def deviation(self) -> Array:
        """Standard deviations; what rounding makes of a constant column is none."""
        with np.errstate(over="ignore"):  # of numbers near the largest
            most = np.maximum(self.high - self.mean, self.mean - self.low)
        return np.where(most <= 8 * self.eps * np.abs(self.mean), 0.0, self.wide)


def _length(*parts: Array) -> Array:
    """√Σ part², by squares where those are in the range."""
    square: Any = sum(part * part for part in parts)
    length: Array = np.sqrt(square)
    off = ~((square > EXTREME) & (square < 1 / EXTREME))
    if off.any():
        off &= np.abs(parts).max(axis=0) > 0
        length[off] = np.hypot.reduce([part[off] for part in parts])
    return length


@np.errstate(all="ignore")
def part_moments(X: Matrix, weights: Array) -> tuple[float, Array, Array, Array, Array]:
    """(weight, mean, deviation, least, largest number) of the columns of some rows.

    The extremes of a CSR are −∞ and ∞ where a column varies beyond doubt.
    """
    weight, most = mass_of(weights), weights.max(initial=0.0)
    if not 1e-100 < most < 1e100:  # a power of two as the unit, which rounds nothing
        weights = np.ldexp(weights, -int(np.frexp(most)[1]))
    found = _sparse_moments(X, weights) if isinstance(X, CSR) else _dense_moments(X, weights)
    return weight, *found


def _dense_moments(X: Array, weights: Array) -> Moments:
    mean, square, low, high = found = np.empty((4, X.shape[1]))
    square /= kernels.column_moments(X, weights, *found) or 1.0
    extreme = (high > low) & ~((square > EXTREME) & (square < 1 / EXTREME))
    wide = np.sqrt(square)
    if extreme.any():  # in units of their own
        own = np.ascontiguousarray(X[:, extreme], np.float64)
        middle, unit = own[0], np.abs(own - own[0]).max(axis=0)
        within = np.empty((4, len(unit)))
        mass = kernels.column_moments((own - middle) / unit, weights, *within)
        mean[extreme] = middle + within[0] * unit
        wide[extreme] = np.sqrt(within[1] / (mass or 1.0)) * unit
    return mean, wide, low, high


def _sparse_moments(X: CSR, weights: Array) -> Moments:
    mean, wide = X.moments(weights)
    low, high = np.where(wide > 0, [[-np.inf], [np.inf]], mean)
    same = (wide == 0) & (mean != 0)  # in these rows but for rounding; each has an entry in them
    if same.any():
        chosen = same[X.indices]
        at = (np.cumsum(same) - 1)[X.indices[chosen]]
        own = np.zeros((len(X), np.count_nonzero(same)), X.dtype)
        own[np.repeat(np.arange(len(X)), np.diff(X.indptr))[chosen], at] = X.data[chosen]
        mean[same], wide[same], low[same], high[same] = _dense_moments(own, weights)
    return mean, wide, low, high


def column_moments(X: Matrix, weights: Array, n_threads: int | None = 1) -> tuple[Array, Array]:
    """Weighted mean and standard deviation of each column, in float64, without cancellation."""
    numbers = AT_ONCE // 8 if isinstance(X, CSR) else AT_ONCE
    spread, step = Spread(), Rows(X, weights, weights).per_call(numbers)
    parts = [slice(a, a + step) for a in range(0, len(X), step)]  # so that Ctrl-C is heard soon
    with Threads(resolve(n_threads)) as threads:
        found = threads.map(lambda part: part_moments(X[part], weights[part]), parts)
    for part in found:
        spread.merge(np.finfo(X.dtype).eps, *part)
    return spread.mean, spread.deviation()


def visiting_order(n: int, rng: Generator, block: int = 64, window: int = 1024) -> Array:
    """Row numbers in random order, near in memory where there are many rows.

    Up to 16 windows of rows get a full permutation. Beyond, blocks of consecutive rows come in
    random order and the rows of 16 blocks are mixed: as good for descent (CorgiPile, SIGMOD 2022),
    and memory is read by the block instead of by the row.
    """
    if n <= 16 * window:
        return rng.permutation(n)
    blocks = rng.permutation(-(-n // block))
    order = (blocks[:, None] * block + np.arange(block)).ravel()
    order = order[order < n]
    whole = n - n % window
    order[:whole] = rng.permuted(order[:whole].reshape(-1, window), axis=1).ravel()
    return order
