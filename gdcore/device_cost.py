"""J(θ) of a linear model over rows on a device, where θ stays as well."""

from functools import cached_property
from typing import Any

import numpy as np

from gdcore import kernels, sweeps
from gdcore._typing import Array, State
from gdcore.continuation import fingerprint, told
from gdcore.data import Rows
from gdcore.device_proof import Shown
from gdcore.penalised import Penalised
from gdcore.penalties import Penalty
from gdcore.second_order import largest_eigenvalue
from gdcore.survey import Survey
from gdcore.threads import Threads


class DeviceCost(Penalised):
    """The mean loss over rows on a device plus a penalty; what `descend` asks of a cost.

    Parameters
    ----------
    model : LinearFamily whose columns are a `DeviceArray`
    rows : Rows of such
    penalty : Penalty of such
    about : Survey
        With all targets and weights, in the host's memory.
    unit : float
        As of `Cost`.
    """

    keeps_precision = True  # there are devices without doubles
    margins = None

    def __init__(
        self, model: Any, rows: Rows, penalty: Penalty, about: Survey, unit: float = 1.0
    ) -> None:
        self.model, self.rows, self.penalty, self.unit = model, rows, penalty, unit
        self.about = about
        self.size, self.threads = model.size, Threads(1)
        self._known: dict[str, Any] = {}

    def value_and_gradient(self, theta: Array, g: Array) -> float:
        """J(θ); its gradient, without the |θ| term's, is written into g."""
        g[:] = 0
        loss = self.model.add_cost_and_gradient(theta, self.rows, g)
        g /= len(self)
        self.penalty.add_gradient(theta, g)
        return float(loss / len(self) + self.penalty.value(theta))

    def batch(self, theta: Array, rows: Array, g: Array) -> float:
        """Summed loss of these rows, without the penalty; its gradient is written into g."""
        g[:] = 0
        loss: float = self.model.add_cost_and_gradient(theta, self.rows.part(rows), g)
        return loss

    def facts(self) -> dict[str, Any]:
        """{name: number or text} by which the cost is known again."""
        return told(self) | {"rows": fingerprint(self.rows)}

    @cached_property
    def on_host(self) -> Shown:
        """What a proof asks for, in the host's memory."""
        return Shown(self)

    @property
    def lengths(self) -> tuple[float, float]:
        """(mean, largest) squared length of a row as the descent sees it, its 1 included."""
        if "lengths" not in self._known:
            square = np.empty_like(self.rows.weights)
            kernels.row_lengths(self.rows.X, self.model.columns, square)
            one = float(self.model.columns[1, -1]) ** 2
            mean = float(np.average(square, weights=self.rows.weights))
            self._known["lengths"] = mean + one, float(square.max()) + one
        lengths: tuple[float, float] = self._known["lengths"]
        return lengths

    def curvature(self) -> float:
        """An upper estimate of the smoothness constant L, as in `Cost`."""
        if "largest" not in self._known:
            width = self.model.features + 1
            first = np.random.default_rng(0).standard_normal(width)
            weights: Any = self.rows.weights
            start = weights.like(first, weights.dtype)
            self._known["largest"] = largest_eigenvalue(self._moments, width, start=start)
        bound = 1.05 * min(self._known["largest"], self.lengths[0])
        return float(self.bend * bound + float(self.penalty.ridge.max()))

    def _moments(self, v: Array) -> Array:
        """(Σ sᵢ x̃ᵢx̃ᵢᵀ / n)·v."""
        out, nothing = np.zeros_like(v), np.zeros_like(self.rows.y)
        given = (self.rows.X, nothing, self.rows.weights, self.model.columns, v, out, out[:0])
        kernels.linear_gradient("squared", 0.0, 0.0, *given)
        product: Array = out / len(self)
        return product

    def sweep(
        self, theta: Array, optimizer: Any, state: State, *, order: Array, rates: Array,
        batch_size: int, average: Array, told: Any = None,
    ) -> float:  # fmt: skip
        """Steps over the batches of `order`, one rate each. Returns J as met on the way."""
        average[:] = 0
        total, seen, steps = sweeps.interpreted(
            self, theta, optimizer, state, order=order, rates=rates, batch_size=batch_size,
            average=average, told=told,
        )  # fmt: skip
        average /= steps
        return float(total / seen + self.penalty.value(theta))
