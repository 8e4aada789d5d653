"""Decays of the step length by one formula each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.schedules.base import (
    Schedule,
    require_between,
    require_floor,
    require_milestones,
    require_steps,
)


@dataclass(frozen=True)
class Constant(Schedule):
    """The same step length throughout, `value`.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.schedules.Constant()(10)
    1.0
    """

    value: float = 1.0

    def __post_init__(self) -> None:
        require_between(self, "value", 0, cure="Pass the factor, as 1.")

    def factor(self, t: Array) -> Array:
        """value."""
        return np.full(t.shape, float(self.value))


@dataclass(frozen=True)
class InverseTime(Schedule):
    """Decay 1 / (1 + t/scale), the 1/t rule of stochastic approximation (Robbins & Monro, 1951).

    Parameters
    ----------
    scale : float > 0, in steps
        After `scale` steps the factor is ½.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.schedules.InverseTime(scale=100)(100)
    0.5
    """

    scale: float = 1000.0

    def __post_init__(self) -> None:
        require_steps(self, "scale", "Pass steps to ½.")

    def factor(self, t: Array) -> Array:
        """1 / (1 + t/scale)."""
        return 1.0 / (1.0 + t / self.scale)


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """Rise in equal parts over `warmup` steps, then fall with 1/√t.

    min((t + 1)/warmup, √(warmup/(t + 1))): the Transformer's schedule (Vaswani et al., 2017), its
    peak set to 1.

    Example
    -------
    >>> import gdcore as gd
    >>> rate = gd.schedules.InverseSqrt(warmup=100)
    >>> [rate(t) for t in (0, 99, 399)]
    [0.01, 1.0, 0.5]
    """

    warmup: int = 4000

    def __post_init__(self) -> None:
        require_steps(self, "warmup", "Pass steps to the peak, as 4000, or 1 for none.")

    def factor(self, t: Array) -> Array:
        """min((t+1)/warmup, √(warmup/(t+1)))."""
        return np.minimum((t + 1) / self.warmup, np.sqrt(self.warmup / (t + 1)))


@dataclass(frozen=True)
class Linear(Schedule):
    """A straight line from `start` to `end` over `steps` steps, then `end`.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.schedules.Linear(steps=100, end=0.5)(50)
    0.75
    """

    steps: int = 10_000
    start: float = 1.0
    end: float = 0.0

    def __post_init__(self) -> None:
        require_steps(self)
        require_between(self, "start", 0, cure="Pass the first factor, as 1.")
        require_between(self, "end", 0, cure="Pass the last factor, as 0.")

    def factor(self, t: Array) -> Array:
        """start + (end − start)·min(t/steps, 1)."""
        return self.start + (self.end - self.start) * np.minimum(t / self.steps, 1.0)


@dataclass(frozen=True)
class Polynomial(Schedule):
    """Fall from 1 to `floor` over `steps` steps by (1 − t/steps)ᵖ, p the `power`, then `floor`.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.schedules.Polynomial(steps=100, power=2)(50)
    0.25
    """

    steps: int = 10_000
    power: float = 2.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        require_steps(self)
        require_between(self, "power", 0, above=True, cure="Pass 1 for a line, 2 for a parabola.")
        require_floor(self)

    def factor(self, t: Array) -> Array:
        """floor + (1 − floor)·(1 − min(t/steps, 1))ᵖ."""
        left = 1.0 - np.minimum(t / self.steps, 1.0)
        return self.floor + (1 - self.floor) * left**self.power


@dataclass(frozen=True)
class Exponential(Schedule):
    """Decay rateᵗ.

    Parameters
    ----------
    rate : float in (0, 1]
        The factor from one step to the next.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.schedules.Exponential(rate=0.5)(2)
    0.25
    """

    rate: float = 0.999

    def __post_init__(self) -> None:
        require_between(self, "rate", 0, 1, above=True, cure="Pass one, as 0.999.")

    def factor(self, t: Array) -> Array:
        """rateᵗ."""
        return float(self.rate) ** t


@dataclass(frozen=True)
class Step(Schedule):
    """Times `rate` after every `every` steps.

    Example
    -------
    >>> import gdcore as gd
    >>> rate = gd.schedules.Step(every=30, rate=0.5)
    >>> [rate(t) for t in (29, 30, 60)]
    [1.0, 0.5, 0.25]
    """

    every: int = 1000
    rate: float = 0.1

    def __post_init__(self) -> None:
        require_steps(self, "every", "Pass the steps between two falls.")
        require_between(self, "rate", 0, 1, above=True, cure="Pass one, as 0.1.")

    def factor(self, t: Array) -> Array:
        """rate^⌊t/every⌋."""
        return float(self.rate) ** np.floor(t / self.every)


@dataclass(frozen=True)
class MultiStep(Schedule):
    """Times `rate` at each of the steps `at`.

    Example
    -------
    >>> import gdcore as gd
    >>> rate = gd.schedules.MultiStep(at=[30, 80], rate=0.5)
    >>> [rate(t) for t in (29, 30, 80)]
    [1.0, 0.5, 0.25]
    """

    at: Sequence[float]
    rate: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", require_milestones(self, "at", self.at))
        require_between(self, "rate", 0, 1, above=True, cure="Pass one, as 0.1.")

    def factor(self, t: Array) -> Array:
        """rate to the number of milestones that t has reached."""
        return float(self.rate) ** np.searchsorted(self.at, t, side="right").astype(np.float64)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 to `floor` over `steps` steps, then `floor` (Loshchilov & Hutter, 2017).

    Example
    -------
    >>> import gdcore as gd
    >>> round(gd.schedules.Cosine(steps=100)(50), 12)
    0.5
    """

    steps: int = 10_000
    floor: float = 0.0

    def __post_init__(self) -> None:
        require_steps(self)
        require_floor(self)

    def factor(self, t: Array) -> Array:
        """floor + (1 − floor)·½(1 + cos(π·min(t/steps, 1)))."""
        done = np.minimum(t / self.steps, 1.0)
        return self.floor + (1 - self.floor) * 0.5 * (1 + np.cos(np.pi * done))


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Cosine again and again, each time `growth` times as long (SGDR; Loshchilov & Hutter, 2017).

    Parameters
    ----------
    steps : float > 0
        Length of the first cosine.
    growth : float ≥ 1
    floor : float in [0, 1]

    Example
    -------
    >>> import gdcore as gd
    >>> rate = gd.schedules.CosineRestarts(steps=10, growth=2)
    >>> [round(rate(t), 12) for t in (0, 5, 10, 20, 30)]
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    steps: int = 1000
    growth: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        require_steps(self, cure="Pass the first cosine's length in steps.")
        require_between(self, "growth", 1, cure="Pass 1 for equal lengths, 2 to double them.")
        require_floor(self)

    def begin(self, n: Any) -> Any:
        """The step at which cosine number n = 0, 1 … begins."""
        if self.growth == 1:
            return self.steps * n
        return self.steps * (self.growth**n - 1) / (self.growth - 1)

    def factor(self, t: Array) -> Array:
        """A cosine over t's place between two restarts."""
        if self.growth == 1:
            n = np.floor(t / self.steps)
        else:
            n = np.floor(np.log1p(t / self.steps * (self.growth - 1)) / math.log(self.growth))
            # The logarithm may round across a restart.
            n = n - (t < self.begin(n)) + (t >= self.begin(n + 1))
        done: Array = (t - self.begin(n)) / (self.begin(n + 1) - self.begin(n))
        return self.floor + (1 - self.floor) * 0.5 * (1 + np.cos(np.pi * done))
