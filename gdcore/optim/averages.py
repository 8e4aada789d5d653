"""What is done with θ after a step: exponential and plain averages of the path, Lookahead."""

from dataclasses import dataclass

import numpy as np

from gdcore._typing import Array, State
from gdcore.errors import require
from gdcore.optim.base import Shapes, require_fraction, require_positive, require_whole
from gdcore.optim.transforms import Transform


@dataclass(frozen=True)
class EMA(Transform):
    """An exponential average of θ, a ← decay·a + (1 − decay)·θ, corrected for its start.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.zeros(1), gd.optim.chain(gd.optim.SGD(1.0), gd.optim.EMA(0.5))
    >>> state = rule.init(theta)
    >>> for _ in range(2):
    ...     rule.step(theta, -np.ones(1), state, rule.lr)
    >>> theta, rule.solution(theta, state).round(6)
    (array([2.]), array([1.666667]))
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        require_fraction(self, "decay")

    def init(self, theta: Array, shapes: Shapes) -> State:
        """Zeros, and no step yet."""
        return {"mean": np.zeros_like(theta), "t": np.zeros(1, np.int64)}

    def after(self, theta: Array, state: State) -> None:
        """a ← decay·a + (1 − decay)·θ."""
        state["t"] += 1
        kind, mean = theta.dtype.type, state["mean"]
        mean *= kind(self.decay)
        mean += kind(1 - self.decay) * theta

    def average(self, theta: Array, state: State) -> Array:
        """a/(1 − decayᵗ), or θ before the first step."""
        t = state["t"].item()
        return state["mean"] / theta.dtype.type(1 - self.decay**t) if t else theta


@dataclass(frozen=True)
class PolyakAverage(Transform):
    """The plain mean of θ over all steps from `start` on (Polyak & Juditsky, 1992).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> params, rule = np.zeros(1), gd.optim.chain(gd.optim.SGD(1.0), gd.optim.PolyakAverage())
    >>> updater = rule.bind(params)
    >>> for g in (-1.0, -2.0):  # to 1, then to 3
    ...     updater.step(np.array([g]))
    >>> with updater.averaged():
    ...     print(params)
    [2.]
    """

    start: int = 0

    def __post_init__(self) -> None:
        require_whole(self, "start", 0)

    def init(self, theta: Array, shapes: Shapes) -> State:
        """Zeros, and no step yet."""
        return {"mean": np.zeros_like(theta), "t": np.zeros(1, np.int64)}

    def after(self, theta: Array, state: State) -> None:
        """mean ← mean + (θ − mean)/count."""
        state["t"] += 1
        count = state["t"].item() - self.start
        if count > 0:
            state["mean"] += (theta - state["mean"]) * theta.dtype.type(1 / count)

    def average(self, theta: Array, state: State) -> Array:
        """The mean, or θ before there is one."""
        return state["mean"].copy() if state["t"][0] > self.start else theta


@dataclass(frozen=True)
class Lookahead(Transform):
    """Every `steps` steps go back a part of the way: slow ← slow + alpha·(θ − slow), θ ← slow.

    Zhang et al., 2019.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> params, rule = np.zeros(1), gd.optim.chain(gd.optim.SGD(1.0), gd.optim.Lookahead(2, 0.5))
    >>> updater = rule.bind(params)
    >>> for g in (-1.0, -2.0):  # to 1, to 3, and half of the way back
    ...     updater.step(np.array([g]))
    >>> params
    array([1.5])
    """

    steps: int = 5
    alpha: float = 0.5

    def __post_init__(self) -> None:
        require_whole(self, "steps", 1)
        require_positive(self, "alpha")
        require(self.alpha <= 1, f"Lookahead needs alpha ≤ 1, got {self.alpha}. Pass one, as 0.5.")

    def init(self, theta: Array, shapes: Shapes) -> State:
        """The slow weights start at θ."""
        return {"slow": theta.copy(), "t": np.zeros(1, np.int64)}

    def after(self, theta: Array, state: State) -> None:
        """At every steps-th step."""
        state["t"] += 1
        if state["t"][0] % self.steps == 0:
            slow = state["slow"]
            slow += theta.dtype.type(self.alpha) * (theta - slow)
            theta[:] = slow
