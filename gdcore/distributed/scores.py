"""Scores of predictions on a cluster, where they are."""

from typing import Any

import numpy as np

from gdcore.errors import require


def accuracy(client: Any, y: Any, predicted: Any, weights: Any = None) -> float:
    """The weighted share of rows whose class, or every label, is predicted right."""
    y, predicted = _alike(y, predicted)
    same = y == predicted
    right, mass = _sums(client, weights, same if same.ndim == 1 else same.all(axis=1))
    return float(right / mass)


def r_squared(client: Any, y: Any, predicted: Any, weights: Any = None) -> float:
    """1 − Σs(y − ŷ)²/Σs(y − ȳ)², the mean over the targets."""
    y, predicted = _alike(y, predicted)
    total, mass = _sums(client, weights, y)
    left, spread, _ = _sums(client, weights, (y - predicted) ** 2, (y - total / mass) ** 2)
    left, spread = np.atleast_1d(left, spread)
    share = np.divide(left, spread, out=np.sign(left), where=spread != 0)
    return float(np.mean(1 - share))


def _alike(y: Any, predicted: Any) -> tuple[Any, Any]:
    """(y as an array, what is predicted) of the same number of columns."""
    y = _values(y)
    have, want = (1 if each.ndim == 1 else each.shape[1] for each in (y, predicted))
    require(
        have == want,
        f"y has {have} columns, and the model predicts {want}. Pass a column for each.",
    )
    return y[:, 0] if y.ndim > predicted.ndim else y, predicted


def _values(y: Any) -> Any:
    """An array of a frame or its column; any other as it is."""
    if not hasattr(y, "map_partitions") or hasattr(y, "chunks"):
        return y if hasattr(y, "shape") else np.asarray(y)
    if y.ndim == 2:
        return y.map_partitions(np.asarray, meta=np.empty((0, len(y.columns))))
    kind = y.dtype if isinstance(y.dtype, np.dtype) else np.dtype(object)
    return y.map_partitions(np.asarray, meta=np.empty(0, kind))


def _sums(client: Any, weights: Any, *values: Any) -> list[Any]:
    """Σ s·v of each, by column, and Σ s, in one computation by the client."""
    from dask.base import is_dask_collection

    s = None if weights is None else _values(weights)
    weighed = [
        each if s is None else s * each if each.ndim == 1 else s[:, None] * each for each in values
    ]
    first = values[0] if values[0].ndim == 1 else values[0][:, 0]
    weighed.append((first == first) if s is None else s)
    sums = [each.astype(float).sum(axis=0) for each in weighed]
    lazy = [each for each in sums if is_dask_collection(each)]
    known = iter(client.gather(client.compute(lazy)) if lazy else [])
    return [np.asarray(next(known) if is_dask_collection(each) else each) for each in sums]
