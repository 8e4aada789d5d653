"""What the loop asks of a network's cost beside steps, wherever the rows are."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.data import Rows
from gdcore.devices import to_host
from gdcore.models.network import Network, Scaling, targets
from gdcore.models.stepped import SteppedCost
from gdcore.scores import score_of

LOOKED_AT = 256  # rows that tell which units are dead


def judged(
    network: Network, rows: Rows, predict: Callable[[Any], Array]
) -> Callable[[Any], tuple[float, float]]:
    """θ → (the plain mean loss, the score) of what predict(θ) gives for these rows, which may be
    on a device; their targets and weights are not."""
    y = targets(rows.y, network.loss)

    def judge(theta: Any) -> tuple[float, float]:
        z = predict(theta)
        with np.errstate(all="ignore"):
            total = network.head(z, y, rows.weights, 1.0, np.empty_like(z))
        score = score_of(network.loss, z, y, rows.weights)
        return total / float(rows.weights.sum()), score

    vars(judge)["rows"] = rows  # by which a checkpoint knows them again
    return judge


class Networked(SteppedCost):
    """J over all rows, its layers, and statistics that no optimizer is to move."""

    model: Network

    def _begin(self, some: Any, scaling: Scaling, full: bool) -> None:
        """`some` are a few rows of X at least; `full`: whether steps are to be on all rows."""
        self._looked_at, self._scaling, self.full = some[:LOOKED_AT], scaling, full
        self.noisy = full and self.model.layers.random
        self._statistics: Any = None
        self.layers = [name for name in self.model.shapes() if name.endswith("weight")]

    @abstractmethod
    def _of_all(self, theta: Array, g: Array, training: bool) -> float:
        """`gradient` over all rows."""

    def value_and_gradient(self, theta: Array, g: Array) -> float:
        """J(θ) over all rows; its gradient is written into g."""
        loss = self._of_all(theta, g, self.full)
        self._statistics = self._kept(theta)
        return loss / len(self) + self.penalty(theta)

    def layer_state(self, theta: Array) -> tuple[list[float], list[float], list[float]]:
        """For each layer with weights: their norm, that of the latest gradient, dead units."""
        theta = to_host(theta)
        views = self.model.views(theta)
        slopes = None if self._latest is None else self.model.views(to_host(self._latest))
        dead = self.model.dead(theta, self._looked_at, self._scaling)
        weight = [kernels.norm(views[name].reshape(-1)) for name in self.layers]
        gradient = [np.nan] * len(weight)
        if slopes is not None:  # the loss's: the penalty would hide one that vanishes
            shares = (slopes[name] - slopes[name].dtype.type(self.alpha) * views[name]
                      for name in self.layers)  # fmt: skip
            gradient = [kernels.norm(share.reshape(-1)) for share in shares]
        owners = [name.partition(".")[0] for name in self.layers]
        return weight, gradient, [dead.get(int(owner), np.nan) for owner in owners]

    def prox(self, theta: Array, reach: Any) -> None:
        """After a step on all rows: statistics are not the optimizer's to move. Changes theta."""
        self._put_back(theta, self._statistics)

    def put_back(self, memory: dict[str, Any], theta: Array) -> None:
        """Go on with the next step; the statistics are those of θ."""
        super().put_back(memory, theta)
        self._statistics = self._kept(theta)

    def baseline(self, theta: Array, value: float) -> float:
        """A cost that no descent has business far above: that of the first θ."""
        return value

    def safe_rate(self, batch_size: int) -> float:
        """A rate for plain SGD to start from; J is not convex, so nothing better is known."""
        return 0.1
