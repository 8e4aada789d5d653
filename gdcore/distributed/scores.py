"""Scores of predictions on a cluster: each partition is checked and judged where it is."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from gdcore._typing import Array
from gdcore.data import Spread, as_numbers, require_summable
from gdcore.distributed.partitions import blocks, checked
from gdcore.distributed.rows import NO_WEIGHT
from gdcore.errors import require

Sums: TypeAlias = tuple[Any, ...]


def accuracy(client: Any, alone: Any, X: Any, y: Any, weights: Any = None) -> float:
    """The weighted share of rows whose class, or every label, is predicted right."""
    sums = _total(client, _right, alone, X, y, weights)
    right, mass = map(sum, zip(*sums, strict=True))
    return float(right / _known(mass))


def r_squared(client: Any, alone: Any, X: Any, y: Any, weights: Any = None) -> float:
    """1 − Σs(y − ŷ)²/Σs(y − ȳ)², the mean over the targets."""
    found = _total(client, _far, alone, X, y, weights)
    whole, rest = Spread(), sum(left for _, left in found)
    for part, _ in found:
        whole.add_spread(part)
    spread = _known(whole.mass) * whole.deviation() ** 2
    share = np.divide(rest, spread, out=np.sign(rest), where=spread != 0)
    return float(np.mean(1 - share))


def _total(client: Any, judge: Callable[..., Sums], alone: Any, *given: Any) -> list[Sums]:
    """What judge(model, X, y, weights) gives of each partition, in their order."""
    import dask

    make, model = dask.delayed(_judged, pure=False), dask.delayed(alone)
    parts = [make(judge, model, number, *block) for number, block in enumerate(blocks(*given))]
    found: list[Sums] = client.gather(client.compute(parts))
    return found


def _judged(judge: Any, model: Any, number: int, X: Any, y: Any = None, weights: Any = None) -> Any:
    """Runs on a worker."""
    X, y, weights = checked(number, X, y, weights)
    if not len(X):  # of the right width: a model need not take it
        X, y, weights = np.zeros((1, model.n_features_in_)), y[:0], np.zeros(1)
        predicted = model.predict(X)
        y = np.zeros(predicted.shape) if predicted.dtype.kind in "fiu" else predicted
    else:
        predicted = model.predict(X)
    have, want = (1 if each.ndim == 1 else each.shape[1] for each in (y, predicted))
    require(
        have == want,
        f"y of partition {number} has {have} columns, and the model predicts {want}. "
        "Pass a column for each.",
    )
    return judge(y, predicted, weights)


def _right(y: Array, predicted: Array, weights: Array) -> Sums:
    """(weight of the rows that are right, of all)."""
    same = np.asarray(y == predicted)
    return float(weights @ (same if same.ndim == 1 else same.all(axis=1))), float(weights.sum())


def _far(y: Array, predicted: Array, weights: Array) -> Sums:
    """(`Spread` of y, Σs(y − ŷ)²), by column."""
    y = as_numbers(y.reshape(len(y), -1), "y").astype(np.float64, copy=False)
    spread = Spread()
    if weights.any():
        spread.add(y, weights)
    return spread, weights @ (y - predicted.reshape(y.shape)) ** 2


def _known(mass: float) -> float:
    require(mass > 0, NO_WEIGHT)
    require_summable(mass)
    return mass
