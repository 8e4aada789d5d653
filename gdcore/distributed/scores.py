"""Scores of predictions on a cluster, where they are."""

from typing import Any

import numpy as np


def accuracy(client: Any, y: Any, predicted: Any, weights: Any = None) -> float:
    """The weighted share of rows whose class is predicted right."""
    right, mass = _sums(client, weights, _values(y) == predicted)
    return right / mass


def r_squared(client: Any, y: Any, predicted: Any, weights: Any = None) -> float:
    """1 − Σs(y − ŷ)²/Σs(y − ȳ)²."""
    y = _values(y)
    total, mass = _sums(client, weights, y)
    left, spread, _ = _sums(client, weights, (y - predicted) ** 2, (y - total / mass) ** 2)
    if spread == 0:
        return 1.0 if left == 0 else 0.0
    return 1 - left / spread


def _values(y: Any) -> Any:
    """An array of a frame's column; any other as it is."""
    if not hasattr(y, "map_partitions") or hasattr(y, "chunks"):
        return y if hasattr(y, "shape") else np.asarray(y)
    kind = y.dtype if isinstance(y.dtype, np.dtype) else np.dtype(object)
    return y.map_partitions(np.asarray, meta=np.empty(0, kind))


def _sums(client: Any, weights: Any, *values: Any) -> list[float]:
    """Σ s·v of each, and Σ s, in one computation by the client."""
    from dask.base import is_dask_collection

    s = None if weights is None else _values(weights)
    sums = [(each if s is None else s * each).astype(float).sum() for each in values]
    sums.append(((values[0] == values[0]) if s is None else s).astype(float).sum())
    lazy = [each for each in sums if is_dask_collection(each)]
    known = iter(client.gather(client.compute(lazy)) if lazy else [])
    return [float(next(known) if is_dask_collection(each) else each) for each in sums]
