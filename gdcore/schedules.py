"""Step length as a function of the step t = 0, 1, 2 …: each schedule is a callable t → factor ≥ 0.

The factor multiplies the optimizer's learning rate. Schedules take an array of steps too.
"""

from dataclasses import dataclass

import numpy as np

from gdcore.errors import require

__all__ = ["Constant", "Cosine", "Exponential", "InverseTime", "WarmUp"]


@dataclass(frozen=True)
class Constant:
    """The same step length throughout, factor 1.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.schedules.Constant()(10)
    1.0
    """

    def __call__(self, t):
        return _plain(np.ones(np.shape(t)))


@dataclass(frozen=True)
class InverseTime:
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

    def __post_init__(self):
        require(self.scale > 0, f"InverseTime needs scale > 0, got {self.scale}. Pass steps to ½.")

    def __call__(self, t):
        return _plain(1.0 / (1.0 + np.asarray(t) / self.scale))


@dataclass(frozen=True)
class Exponential:
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

    def __post_init__(self):
        require(
            0 < self.rate <= 1, f"Exponential needs rate in (0, 1], got {self.rate}. Try 0.999."
        )

    def __call__(self, t):
        return _plain(float(self.rate) ** np.asarray(t, dtype=np.float64))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to `floor` over `steps` steps, then `floor` (Loshchilov & Hutter, 2017).

    Example
    -------
    >>> import gdcore as gd
    >>> round(gd.schedules.Cosine(steps=100)(50), 12)
    0.5
    """

    steps: int = 10_000
    floor: float = 0.0

    def __post_init__(self):
        require(self.steps > 0, f"Cosine needs steps > 0, got {self.steps}. Pass the run's length.")
        require(0 <= self.floor <= 1, f"Cosine needs floor in [0, 1], got {self.floor}. Try 0.")

    def __call__(self, t):
        done = np.minimum(np.asarray(t) / self.steps, 1.0)
        return _plain(self.floor + (1 - self.floor) * 0.5 * (1 + np.cos(np.pi * done)))


@dataclass(frozen=True)
class WarmUp:
    """Rise in equal parts to 1 over `steps` steps, then follow `after`, counted from there.

    Example
    -------
    >>> import gdcore as gd
    >>> warm = gd.schedules.WarmUp(steps=4, after=gd.schedules.Cosine(steps=96))
    >>> [warm(t) for t in (0, 1, 3)]
    [0.25, 0.5, 1.0]
    """

    steps: int = 100
    after: object = Constant()

    def __post_init__(self):
        require(self.steps > 0, f"WarmUp needs steps > 0, got {self.steps}. Leave it out for none.")
        require(callable(self.after), "WarmUp needs a schedule as after. Pass one, as Constant().")

    def __call__(self, t):
        t = np.asarray(t)
        rising = np.minimum((t + 1) / self.steps, 1.0)
        return _plain(rising * self.after(np.maximum(t - self.steps, 0)))


def _plain(factor):
    """A float for one step, an array for many."""
    return float(factor) if np.ndim(factor) == 0 else factor
