"""What `fit` takes of a cluster: Dask collections, as futures of checked partitions."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gdcore._typing import Array
from gdcore.errors import require
from gdcore.models.labels import as_matrix, several_columns
from gdcore.passes import as_chunk
from gdcore.sparse import CSR

Partition: TypeAlias = tuple[Any, Array, Array]  # X, y and weights, checked

TAKEN = (
    "Pass a dask.array, a dask.dataframe, or a list of delayed or futures that give (X, y) or "
    "(X, y, weights)."
)


def checked(number: int, X: Any, y: Any = None, weights: Any = None) -> Partition:
    """A partition that holds together; it may have no rows. Runs on a worker."""
    of = f"of partition {number}"
    if y is None:
        require(
            isinstance(X, (tuple, list)) and len(X) in (2, 3),
            f"Partition {number} is {type(X).__name__}, not (X, y) or (X, y, weights). {TAKEN}",
        )
        X, y, weights = (*X, None)[:3]
    if len(np.shape(X)) == 2 and np.shape(X)[0] == 0 and len(y) == 0:
        return np.empty(np.shape(X)), np.asarray(y), np.empty(0)
    if not several_columns(y, f"y {of}"):
        return as_chunk(X, _aligned(y), weights, of=of)
    X, _, weights = as_chunk(X, np.zeros(np.shape(X)[0]), weights, of=of)
    return X, as_matrix(y, len(X), f"y {of}"), weights


def aligned(part: Partition) -> Partition:
    """A partition whose numbers lie as kernels take them: the network leaves them anywhere."""
    X, y, weights = part
    if isinstance(X, CSR):
        X = CSR(_aligned(X.data), _aligned(X.indices), _aligned(X.indptr), X.shape)
    else:
        X = _aligned(X)
    return X, _aligned(y), _aligned(weights)


def _aligned(array: Array) -> Array:
    return np.require(array, requirements="A")


class About(NamedTuple):
    """What is known here of a partition."""

    rows: int
    columns: int
    sparse: bool
    dtype: str
    targets: int | None  # columns of y; None of a vector


def described(part: Partition) -> About:
    """What the client is told of a partition. Runs on a worker."""
    X, y, _ = part
    targets = y.shape[1] if y.ndim == 2 else None
    return About(len(X), X.shape[1], isinstance(X, CSR), X.dtype.str, targets)


def require_alike(about: Sequence[About]) -> None:
    """Refuse partitions that are not parts of one table; empty ones tell of nothing."""
    filled = [(number, each) for number, each in enumerate(about) if each.rows]
    require(filled, "No partition has a row. Pass at least one example.")
    (first, one), words = filled[0], ("dense", "sparse")
    for number, each in filled:
        require(
            each.columns == one.columns,
            f"X of partition {number} has {each.columns} features, and partition {first} has "
            f"{one.columns}. Pass one width.",
        )
        require(
            each.sparse == one.sparse,
            f"X of partition {number} is {words[each.sparse]}, and partition {first} is "
            f"{words[one.sparse]}. Pass one kind.",
        )
        require(
            each.targets == one.targets,
            f"y of partition {number} has {each.targets or 1} columns, and partition {first} has "
            f"{one.targets or 1}. Pass one width.",
        )


def blocks(X: Any, y: Any, weights: Any) -> list[tuple[Any, ...]]:
    """What is to be passed to `checked` for each partition, after its number."""
    from dask.base import is_dask_collection
    from dask.delayed import Delayed
    from distributed import Future

    if isinstance(X, (list, tuple)):
        require(y is None, "y goes with collections. Let each item of X give (X, y), and pass it.")
        require(weights is None, "sample_weight goes with collections. Let items give (X, y, w).")
        require(len(X), f"X is an empty list. {TAKEN}")
        for number, each in enumerate(X):
            if not (is_dask_collection(each) or hasattr(each, "key")):
                raise TypeError(f"Item {number} of X is {type(each).__name__}. {TAKEN}")
            require(
                not (isinstance(each, Future) and each.cancelled()),
                f"Item {number} of X is a future that was cancelled. Submit it again.",
            )
        return [(each,) for each in X]
    if isinstance(X, Delayed):  # which says that it has every attribute
        raise TypeError(f"X is {_called(X)}. {TAKEN}")
    if not is_dask_collection(X):
        raise TypeError(
            f"X is {_called(X)}, which is here and not on a cluster. Pass it to the estimator of "
            f"that name in gdcore, or dask.array.from_array(X, chunks=(rows, -1)). {TAKEN}"
        )
    columns = [_delayed(X, "X", None)]
    rows = _rows(X)
    for name, each in (("y", y), ("sample_weight", weights)):
        if each is None:
            require(name != "y", "fit requires y, and it is None. Pass it, with X's partitions.")
            continue
        own = _delayed(each, name, rows)
        require(
            len(own) == len(columns[0]),
            f"X has {len(columns[0])} partitions and {name} has {len(own)}. Give both the same.",
        )
        columns.append(own)
    return list(zip(*columns, strict=True))


def lengths(X: Any, count: int) -> tuple[int, ...]:
    """Rows of each of so many partitions; all alike where that is not known."""
    return _rows(X) or (1,) * count


def _called(X: Any) -> str:
    return f"a {type(X).__module__.partition('.')[0]}.{type(X).__name__}"


def _rows(X: Any) -> tuple[int, ...] | None:
    """Rows of each partition of an array, where they are known."""
    chunks = getattr(X, "chunks", None)
    return None if chunks is None or np.isnan(chunks[0]).any() else chunks[0]


def _delayed(collection: Any, name: str, rows: tuple[int, ...] | None) -> list[Any]:
    """The partitions of one collection, cut by rows alone; those of an array as X's are."""
    import dask.array as da
    from dask.base import is_dask_collection
    from dask.delayed import Delayed

    if not is_dask_collection(collection):
        known = rows is not None and np.ndim(collection) in (1, 2)
        require(
            known and len(collection) == sum(rows or ()),
            f"{name} is {_called(collection)} and does not go with X's partitions. Pass a "
            "collection with the same ones.",
        )
        collection = da.from_array(np.asarray(collection), chunks={0: rows})
    if isinstance(collection, Delayed) or not collection.ndim:
        raise TypeError(f"{name} is {_called(collection)}. Pass a collection with X's partitions.")
    if getattr(collection, "chunks", None) is None:  # a frame, or one of its columns
        parts: list[Any] = collection.to_delayed()
        return parts
    if name == "X":
        require(
            collection.ndim == 2,
            f"X has shape {collection.shape}. Pass a collection with two dimensions.",
        )
    elif rows is not None and _rows(collection) not in (None, rows):
        require(
            len(collection) == sum(rows),
            f"X has {sum(rows)} rows and {name} has {len(collection)}. Pass one target a row.",
        )
        collection = collection.rechunk({0: rows})
    if collection.ndim == 2 and collection.numblocks[1] > 1:
        collection = collection.rechunk({1: -1})
    return list(collection.to_delayed().ravel())
