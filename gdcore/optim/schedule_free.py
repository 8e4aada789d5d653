"""Schedule-Free learning: an average of the path instead of a falling rate."""

import math
from dataclasses import dataclass

import numpy as np

from gdcore._typing import Array, State
from gdcore.optim.base import (
    Rule,
    Shapes,
    require_fraction,
    require_not_negative,
    require_positive,
    require_rate,
    require_whole,
)


class _ScheduleFree(Rule):
    """z takes the steps, x is its weighted mean, θ = (1 − β)z + βx is where the gradient is asked.

    The t-th point weighs tʳ·(largest rate so far)^lr_power.
    """

    proximal = False
    warmup: int
    r: float
    lr_power: float

    def _check(self, interpolation: str) -> None:
        require_rate(self)
        require_not_negative(self, "decay", "r", "lr_power")
        require_whole(self, "warmup", 0)
        require_fraction(self, interpolation)
        require_positive(self, interpolation)  # at 0 the mean could not be told from θ

    def init(self, theta: Array, shapes: Shapes = None) -> State:
        """z = θ, no weight yet."""
        state = super().init(theta, shapes) | {"weight": np.zeros(1), "largest": np.zeros(1)}
        return state | {"pull": np.zeros(1), "z": theta.copy()}

    def advance(self, state: State, lr: float) -> None:
        """t, the largest rate, the sum of weights, and what the newest point has of it."""
        super().advance(state, lr)
        t = state["t"].item()
        state["largest"][0] = max(state["largest"][0], self._rate(t, lr))
        weight = t**self.r * float(state["largest"][0]) ** self.lr_power
        state["weight"][0] += weight
        state["pull"][0] = weight / state["weight"][0] if weight else 0.0

    def _rate(self, t: int, lr: float) -> float:
        return lr * min(t / self.warmup, 1.0) if self.warmup else lr

    def _path(self, state: State, lr: float, beta: float) -> tuple[float, float, float]:
        """(rate, pull, blend): z ← z − rate·s, θ ← θ + pull·(z − θ) + blend·s."""
        rate, pull = self._rate(state["t"].item(), lr), state["pull"].item()
        return rate, pull, rate * (beta * (1 - pull) - 1)

    def _mean(self, theta: Array, state: State, beta: float) -> Array:
        return theta + (1 - 1 / beta) * (state["z"] - theta)


@dataclass(frozen=True)
class ScheduleFreeSGD(_ScheduleFree):
    """SGD with the average of its path built in: no schedule, no horizon (Defazio et al., 2024).

    z ← z − lr·s, x ← (1 − c)x + c·z, θ = (1 − momentum)·z + momentum·x with s = g + decay·θ and
    c the newest point's part of all weights. Gradients belong to θ; `solution` is x: use that.

    Parameters
    ----------
    lr : float > 0
        10–50 × larger than SGD's with a schedule.
    momentum : float in (0, 1)
    decay : float ≥ 0
    warmup : int ≥ 0, steps over which lr rises
    r, lr_power : float ≥ 0
        The t-th point weighs tʳ·lr^lr_power.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([4.0]), gd.optim.ScheduleFreeSGD(lr=0.5)
    >>> state = rule.init(theta)
    >>> for _ in range(200):
    ...     rule.step(theta, theta.copy(), state, rule.lr)
    >>> bool(abs(rule.solution(theta, state)[0]) < 0.01)
    True
    """

    lr: float = 1.0
    momentum: float = 0.9
    decay: float = 0.0
    warmup: int = 0
    r: float = 0.0
    lr_power: float = 2.0

    moments = ("z",)

    def __post_init__(self) -> None:
        self._check("momentum")

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """The steps of z, its mean's weight, the decay."""
        return "schedule_free_sgd", (*self._path(state, lr, self.momentum), self.decay)

    def solution(self, theta: Array, state: State) -> Array:
        """x = θ + (1 − 1/momentum)·(z − θ)."""
        return self._mean(theta, state, self.momentum)


@dataclass(frozen=True)
class ScheduleFreeAdamW(_ScheduleFree):
    """AdamW with the average of its path in the mean's place (Defazio et al., 2024).

    v ← β₂v + (1 − β₂)g², s = g/(√v̂ + eps) + decay·θ; z, x and θ as in `ScheduleFreeSGD`.

    Parameters
    ----------
    lr : float > 0
        1–10 × larger than AdamW's.
    beta1 : float in (0, 1)
    beta2 : float in [0, 1)
    eps : float > 0
    decay, warmup, r, lr_power : as `ScheduleFreeSGD`'s

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([4.0]), gd.optim.ScheduleFreeAdamW(lr=0.1)
    >>> state = rule.init(theta)
    >>> for _ in range(500):
    ...     rule.step(theta, theta.copy(), state, rule.lr)
    >>> bool(abs(rule.solution(theta, state)[0]) < 0.1)
    True
    """

    lr: float = 0.0025
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    decay: float = 0.0
    warmup: int = 0
    r: float = 0.0
    lr_power: float = 2.0

    moments = ("z", "v")
    scale = "unit"

    def __post_init__(self) -> None:
        self._check("beta1")
        require_fraction(self, "beta2")
        require_positive(self, "eps")

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """The steps of z, its mean's weight, the decay, and v."""
        root_c2 = math.sqrt(1 - self.beta2 ** state["t"].item())
        square = (self.beta2, 1 - self.beta2, root_c2, self.eps * root_c2)
        return "schedule_free_adamw", (*self._path(state, lr, self.beta1), self.decay, *square)

    def solution(self, theta: Array, state: State) -> Array:
        """x = θ + (1 − 1/β₁)·(z − θ)."""
        return self._mean(theta, state, self.beta1)
