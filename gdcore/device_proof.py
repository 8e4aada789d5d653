"""What proofs and scores ask of a cost on a device, in NumPy's memory: margins, never X."""

import copy
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.data import Rows
from gdcore.devices import to_host
from gdcore.lines import Points
from gdcore.penalties import Penalty
from gdcore.scores import score_of


class Shown:
    """A `DeviceCost` as `duality_gap` takes one, in doubles of NumPy's.

    For a proof z (n, k) comes to the host and slopes r (n, k) go back; Σ s·r·x̃ is summed where X
    is.

    Parameters
    ----------
    cost : DeviceCost
    """

    def __init__(self, cost: Any) -> None:
        self.cost, self.unit, self.bend = cost, cost.unit, cost.bend
        self.model = copy.copy(cost.model)
        self.model.columns = doubles(cost.model.columns)
        y, weights = cost.about.y, cost.about.weights
        self.shards = [Rows(np.empty((len(y), 0)), y, weights)]  # one part, without columns
        self.penalty = Penalty(doubles(cost.penalty.ridge), doubles(cost.penalty.lasso))

    def __len__(self) -> int:
        return len(self.cost)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def margins_at(self, theta: Array) -> list[Array]:
        """[z (n, k)] at θ of the host."""
        model, rows, kind = self.cost.model, self.cost.rows, self.cost.rows.weights
        return [margins(model, rows, kind.like(theta, kind.dtype))]

    def seen(self, theta: Array) -> Points:
        """(rows, z) of all rows."""
        return Points(list(zip(self.shards, self.margins_at(theta), strict=True)), True)

    def gather(self, points: Points, count: Callable[..., Any]) -> tuple[Array, Any]:
        """(Σ s·r·x̃/n, Σ count/n) of points (rows, z, r) and count(rows, z, r)."""
        cost, ((rows, _, r),) = self.cost, list(points)
        like: Any = cost.rows.weights
        sums = np.zeros(self.model.size, like.dtype, like=like)
        slopes = like.like(r * rows.weights[:, None], like.dtype)
        kernels.linear_combine(cost.rows.X, slopes, cost.model.columns, sums)
        return doubles(sums) / len(self), points.total(count) / len(self)


def doubles(array: Any) -> Array:
    """In NumPy's memory, in double."""
    return np.asarray(to_host(array), np.float64)


def margins(model: Any, rows: Rows, theta: Any) -> Array:
    """z (n, k) of rows on a device, brought to the host."""
    X: Any = rows.X
    z = np.empty((len(rows), model.outputs), theta.dtype, like=theta)
    kernels.linear_margins(X, model.columns, theta, z)
    return doubles(z)


def held_out(model: Any, rows: Rows) -> Callable[[Any], tuple[float, float]]:
    """(the plain mean loss, the score) on other rows on the device, as a function of θ."""
    y, weights = doubles(rows.y), doubles(rows.weights)
    mass = float(weights.sum())

    def judge(theta: Any) -> tuple[float, float]:
        z = margins(model, rows, theta)
        with np.errstate(all="ignore"):
            loss = float(weights @ model.loss.value(z, y))
        return loss / mass, score_of(model.loss, z, y, weights)

    vars(judge)["rows"] = rows  # by which a checkpoint knows them again
    return judge
