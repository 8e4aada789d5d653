"""Accelerated proximal gradient with restarts: FISTA."""

import math
from dataclasses import dataclass

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, State
from gdcore.optim.base import Optimizer, Shapes, require_rate


@dataclass(frozen=True)
class FISTA(Optimizer):
    """Accelerated proximal gradient, restarted whenever it moves uphill; for full batches.

    x₊ = prox(θ − lr·g), θ ← x₊ + (s − 1)/s₊·(x₊ − x), s₊ = ½(1 + √(1 + 4s²)); s falls back to 1
    when ⟨θ − x₊, x₊ − x⟩ > 0. On a convex cost of curvature L with lr ≤ 1/L the cost falls as
    1/t², and geometrically where it is strongly convex, at a rate that need not be known
    (Nesterov, 1983; Beck & Teboulle, 2009; O'Donoghue & Candès, 2015).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([4.0]), gd.optim.FISTA(lr=0.5)
    >>> state = rule.init(theta)
    >>> for _ in range(60):
    ...     g = theta.copy()
    ...     rule.step(theta, g, state, rule.lr)
    ...     rule.extrapolate(theta, g, state)
    >>> bool(abs(theta[0]) < 1e-8)
    True
    """

    lr: float = 0.01

    moments = ("x", "from")

    def __post_init__(self) -> None:
        require_rate(self)

    def init(self, theta: Array, shapes: Shapes = None) -> State:
        """x = θ, s = 1."""
        state = {"x": theta.copy(), "from": theta.copy()}
        return state | {"s": np.ones(1), "t": np.zeros(1, np.int64)}

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """θ ← θ − lr·g; the acceleration follows in `extrapolate`, after the proximal operator."""
        state["t"] += 1
        state["from"][:] = theta
        kernels.update("sgd", theta, g, (), (lr,))

    def extrapolate(self, theta: Array, g: Array, state: State) -> None:
        """θ ← x₊ + (s − 1)/s₊·(x₊ − x), or x₊ itself where that would lead uphill."""
        x, s = state["x"], float(state["s"][0])
        if not np.isfinite(s):
            s = 1.0
        move = theta - x
        x[:] = theta
        if float((state["from"] - theta) @ move) > 0:
            state["s"][0] = 1.0
            return
        after = 0.5 * (1 + math.sqrt(1 + 4 * s * s))
        theta += ((s - 1) / after) * move
        state["s"][0] = after
