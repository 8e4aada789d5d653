"""Gradient descent at the pace of the curvature it meets: AdGD."""

import math
from dataclasses import dataclass

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, State
from gdcore.optim.base import Optimizer, Shapes, require_positive, require_rate


@dataclass(frozen=True)
class AdGD(Optimizer):
    """Gradient descent without a rate and without line search (Malitsky & Mishchenko, 2020).

    λ ← min(√(1 + λ/λ′)·λ, ‖θ − θ′‖/(2‖g − g′‖)), θ ← θ − lr·λ·g, where a dash is the step before:
    two rules, the step grows by little and stays below half the inverse local curvature. Converges
    on every convex cost that is locally smooth. For full batches.

    Parameters
    ----------
    lr : float > 0
        Multiplies the step; 1 is the paper's.
    initial : float > 0
        The first λ, better too small than too large: it only serves to meet the curvature.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([4.0, 1.0]), gd.optim.AdGD()
    >>> state = rule.init(theta)
    >>> for _ in range(60):
    ...     rule.step(theta, np.array([1.0, 10.0]) * theta, state, rule.lr)
    >>> bool(abs(theta).max() < 1e-3)
    True
    """

    lr: float = 1.0
    initial: float = 1e-6

    moments = ("x", "g")
    scale = "itself"
    full_batch = True

    def __post_init__(self) -> None:
        require_rate(self)
        require_positive(self, "initial")

    def init(self, theta: Array, shapes: Shapes = None) -> State:
        """The last point and gradient, the last λ and its growth (none yet: infinite)."""
        scalars = {"pace": np.full(1, float(self.initial)), "growth": np.full(1, math.inf)}
        return super().init(theta, shapes) | scalars

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """θ ← θ − lr·λ·g."""
        t, x, last = state["t"].item(), state["x"], state["g"]
        pace = before = state["pace"].item()
        if t:
            pace = self._pace(before, kernels.norm(theta - x), kernels.norm(g - last), state)
            state["growth"][0] = pace / before
        state["pace"][0] = pace
        state["t"][0] = t + 1
        x[:], last[:] = theta, g
        kernels.update("sgd", theta, g, (), (lr * pace,))

    def _pace(self, before: float, moved: float, bent: float, state: State) -> float:
        """The next λ; as before where θ did not move, ten times that without curvature."""
        if not moved > 0:
            return before
        near = moved / (2 * bent) if bent > 0 else math.inf
        pace = min(math.sqrt(1 + state["growth"].item()) * before, near)
        return max(pace, 1e-300) if math.isfinite(pace) else 10 * before

    def reach(self, state: State, lr: float) -> float:
        """The length of the step taken."""
        return lr * float(state["pace"][0])
