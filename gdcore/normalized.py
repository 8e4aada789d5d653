"""Normalised adaptive steps, an example at a time: the rule of the streams as an optimizer."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcore._typing import Array, State
from gdcore.data import visiting_order
from gdcore.errors import require
from gdcore.optim.base import Optimizer, require_rate, require_whole


@dataclass(frozen=True)
class NormalizedAdaptive(Optimizer):
    """Passes over the rows in random order by the rule of `partial_fit`, for linear models.

    w ← w + lr·τ·u·G^−½/s with u the row in scales s, G the sums of squared slopes, and τ how far
    the row's own loss falls along that way: no weight makes a step overshoot, and columns may have
    any units. G grows, so steps shorten as 1/√t: rough answers come soon, exact ones late. Rows in
    CSR form cost what they hold (Ross, Mineiro & Langford, 2013; Karampatziakis & Langford, 2011).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X, y = np.random.default_rng(0).normal(size=(500, 3)), np.arange(500) % 2
    >>> model = gd.LogisticRegression(optimizer="normalized-adaptive", alpha=0.1, tol=1e-3)
    >>> model.fit(X, y).result_.status.name
    'CERTIFIED'
    """

    lr: float = 1.0
    seed: int = 0

    visits = True
    scale = "itself"

    def __post_init__(self) -> None:
        require_rate(self)
        require_whole(self, "seed", 0)

    def init(self, theta: Array, shapes: object = None) -> State:
        """No example has been seen; the first pass makes room for what is to be noted of them."""
        return {"t": np.zeros(1, np.int64), "clock": np.zeros(5), "memory": np.zeros((0, 0))}

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """Not without the rows."""
        raise TypeError(
            "NormalizedAdaptive needs the rows of a sum, which only descend on a Cost gives it."
        )

    def visit(
        self, cost: Any, theta: Array, g: Array, state: State, lr: float, value: float
    ) -> None:
        """A pass over the rows from θ. Changes theta and state."""
        model: Any = getattr(cost, "model", None)
        if not hasattr(model, "learn"):
            self.step(theta, g, state, lr)
        require(
            hasattr(cost, "along"),
            "optimizer='normalized-adaptive' needs rows in memory. Pass arrays, or stream the "
            "chunks to partial_fit.",
        )
        t = state["t"]
        t[0] = t.item() + 1
        order = visiting_order(len(cost), np.random.default_rng([self.seed, t.item()]))
        if not state["memory"].size:
            k, p = model.outputs, model.features
            state["memory"] = np.zeros((2 * k + 3, p + 1))
        kept = state["memory"], state["clock"]
        model.learn(theta, cost.rows, cost.penalty, order=order, kept=kept, rate=float(lr))
