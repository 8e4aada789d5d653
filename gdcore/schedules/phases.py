"""Schedules of several phases: warm-ups, one-cycle, warm-up-stable-decay, any joined by hand."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.errors import require, require_choice
from gdcore.schedules.base import (
    Schedule,
    require_between,
    require_floor,
    require_milestones,
    require_steps,
)
from gdcore.schedules.decays import Constant, Cosine

# The part of a fall that is left, by the part u of its time that is over.
FALLS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda u: 1 - u,
    "cosine": lambda u: 0.5 * (1 + np.cos(np.pi * u)),
    "sqrt": lambda u: 1 - np.sqrt(u),
}


class _Composed(Schedule):
    """What schedules made of others remember: what those do."""

    def _parts(self) -> Sequence[Any]:
        """The schedules that it is made of."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """What the parts remember, under their numbers; empty where they are functions of t."""
        return {
            f"{number}.{name}": value
            for number, part in enumerate(self._parts()) if hasattr(part, "state_dict")
            for name, value in part.state_dict().items()
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give the parts back what `state_dict` gave. Changes them."""
        for number, part in enumerate(self._parts()):
            if hasattr(part, "load_state_dict"):
                own = f"{number}."
                part.load_state_dict({
                    name.removeprefix(own): value
                    for name, value in state.items() if name.startswith(own)
                })  # fmt: skip


@dataclass(frozen=True)
class Joined(_Composed):
    """Several schedules one after another; each counts its own steps from where it begins.

    Parameters
    ----------
    schedules : sequence of callables t → factor
    at : sequence of steps, one fewer
        Where the second, third … schedule begins.

    Example
    -------
    >>> import gdcore as gd
    >>> parts = gd.schedules.Linear(steps=4, start=0.0, end=1.0), gd.schedules.Cosine(steps=10)
    >>> rate = gd.schedules.Joined(parts, at=[4])
    >>> [round(rate(t), 12) for t in (0, 3, 4, 9, 14)]
    [0.0, 0.75, 1.0, 0.5, 0.0]
    """

    schedules: Sequence[Callable[..., Any]]
    at: Sequence[float]

    def __post_init__(self) -> None:
        parts = self.schedules if isinstance(self.schedules, (tuple, list)) else ()
        require(
            len(parts) > 0 and all(callable(part) for part in parts),
            f"Joined needs schedules, a list of callables, got {self.schedules!r}. "
            "Pass schedules, as [Constant(), Cosine(100)].",
        )
        object.__setattr__(self, "schedules", tuple(parts))
        object.__setattr__(self, "at", require_milestones(self, "at", self.at))
        require(
            len(self.at) == len(parts) - 1,
            f"Joined needs at with one step fewer than schedules, got {len(self.at)} for "
            f"{len(parts)}. Pass the step at which each but the first begins.",
        )

    def factor(self, t: Array) -> Any:
        """The factor of the schedule that t falls to, at t less its beginning."""
        which, begins = np.searchsorted(self.at, t, side="right"), (0, *self.at)
        if t.ndim == 0:
            return self.schedules[int(which)](float(t - begins[int(which)]))
        factors = np.empty(t.shape)
        for number, schedule in enumerate(self.schedules):
            mine = which == number
            if mine.any():
                factors[mine] = schedule(t[mine] - begins[number])
        return factors

    def observe(self, cost: float) -> None:
        """Hand a measured cost to those schedules that ask for it, as Plateau."""
        tell(self.schedules, cost)

    def _parts(self) -> Sequence[Any]:
        """The schedules that it is made of."""
        return self.schedules


@dataclass(frozen=True)
class WarmUp(_Composed):
    """Rise in equal parts to 1 over `steps` steps, then follow `after`, counted from there.

    The first factor is 1/steps, not 0, so that no step is lost. With start > 0 the rise begins
    from there: start + (1 − start)·(t + 1)/steps.

    Example
    -------
    >>> import gdcore as gd
    >>> warm = gd.schedules.WarmUp(steps=4, after=gd.schedules.Cosine(steps=96))
    >>> [warm(t) for t in (0, 1, 3)]
    [0.25, 0.5, 1.0]
    """

    steps: int = 100
    after: Callable[..., Any] = field(default=Constant())
    start: float = 0.0

    def __post_init__(self) -> None:
        require_steps(self, cure="Leave it out for no warm-up.")
        require(callable(self.after), "WarmUp needs a schedule as after. Pass one, as Constant().")
        require_between(self, "start", 0, 1, cure="Pass the factor before the first step, as 0.")

    def factor(self, t: Array) -> Any:
        """The rise times after(0), then after(t − steps)."""
        rising = np.minimum((t + 1) / self.steps, 1.0)
        if self.start:
            rising = self.start + (1 - self.start) * rising
        since = np.maximum(t - self.steps, 0)
        return rising * self.after(float(since) if since.ndim == 0 else since)

    def observe(self, cost: float) -> None:
        """Hand a measured cost to `after` where it asks for it, as Plateau."""
        tell((self.after,), cost)

    def _parts(self) -> Sequence[Any]:
        """The schedule that follows."""
        return (self.after,)


@dataclass(frozen=True)
class WarmUpCosine(Schedule):
    """Rise in equal parts to 1 over `warmup` steps, then half a cosine to `floor` at step `steps`.

    Parameters
    ----------
    steps : float > 0
        The run's length, warm-up included.
    warmup : float in [0, steps)
    floor : float in [0, 1]

    Example
    -------
    >>> import gdcore as gd
    >>> rate = gd.schedules.WarmUpCosine(steps=100, warmup=20)
    >>> [round(rate(t), 12) for t in (0, 19, 20, 60, 100)]
    [0.05, 1.0, 1.0, 0.5, 0.0]
    """

    steps: int = 10_000
    warmup: int = 500
    floor: float = 0.0

    def __post_init__(self) -> None:
        require_steps(self)
        require_between(self, "warmup", 0, cure="Pass the steps to the peak, 0 for none.")
        require(
            self.warmup < self.steps,
            f"WarmUpCosine needs warmup < steps, got {self.warmup} and {self.steps}. "
            "Pass the whole run's length as steps.",
        )
        require_floor(self)

    def factor(self, t: Array) -> Array:
        """(t + 1)/warmup up to 1, then floor + (1 − floor)·½(1 + cos πu)."""
        cosine = Cosine(self.steps - self.warmup, self.floor)
        return WarmUp(self.warmup, cosine).factor(t) if self.warmup else cosine.factor(t)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """One rise from `start` to 1 and one fall to `floor` (Smith & Topin, 2018), as in PyTorch.

    Parameters
    ----------
    steps : float > 1
        The run's length; step `steps` − 1 is the last and has the factor `floor`.
    rise : float in (0, 1)
        The part of the run that rises; the peak is at step rise·steps − 1.
    start, floor : float in [0, 1]
        First and last factor.
    shape : {"cosine", "linear"}

    Example
    -------
    >>> import gdcore as gd
    >>> rate = gd.schedules.OneCycle(steps=100, rise=0.5)
    >>> [round(rate(t), 6) for t in (0, 49, 99)]
    [0.04, 1.0, 4e-06]
    """

    steps: int = 10_000
    rise: float = 0.3
    start: float = 0.04
    floor: float = 4e-6
    shape: str = "cosine"

    def __post_init__(self) -> None:
        require_between(self, "steps", 1, above=True, cure="Pass the run's length in steps.")
        require_between(self, "rise", 0, 1, above=True, cure="Pass the rising part, as 0.3.")
        require(
            1 < self.rise * self.steps < self.steps,
            f"OneCycle needs rise·steps between 1 and steps, got {self.rise}·{self.steps}. "
            "Pass a rise that leaves both phases a step.",
        )
        require_between(self, "start", 0, 1, cure="Pass the first factor, as 0.04.")
        require_floor(self)
        require_choice("shape", self.shape, ["cosine", "linear"])

    def factor(self, t: Array) -> Array:
        """start → 1 over rise·steps − 1 steps, 1 → floor by step steps − 1."""
        peak, end, left = self.rise * self.steps - 1, self.steps - 1, FALLS[self.shape]
        up = left(1 - np.minimum(t / peak, 1.0))
        down = left(np.clip((t - peak) / (end - peak), 0.0, 1.0))
        return np.where(
            t <= peak, self.start + (1 - self.start) * up, self.floor + (1 - self.floor) * down
        )


@dataclass(frozen=True)
class WarmUpStableDecay(Schedule):
    """Rise over `warmup` steps, stay at 1, fall to `floor` over the last `decay` steps (WSD).

    Hu et al., 2024 (MiniCPM). A run is lengthened by going on from before its fall.

    Parameters
    ----------
    steps : float > 0
        The run's length, warm-up and decay included.
    warmup, decay : float ≥ 0, in steps
    floor : float in [0, 1]
    shape : {"linear", "cosine", "sqrt"}
        Of the fall: 1 − u, ½(1 + cos πu), or 1 − √u (Hägele et al., 2024).

    Example
    -------
    >>> import gdcore as gd
    >>> rate = gd.schedules.WarmUpStableDecay(steps=100, warmup=10, decay=20)
    >>> [rate(t) for t in (0, 9, 80, 90, 100)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """

    steps: int = 10_000
    warmup: int = 500
    decay: int = 2000
    floor: float = 0.0
    shape: str = "linear"

    def __post_init__(self) -> None:
        require_steps(self)
        require_between(self, "warmup", 0, cure="Pass the steps to the peak, 0 for none.")
        require_between(self, "decay", 0, above=True, cure="Pass the steps of the fall.")
        require(
            self.warmup + self.decay <= self.steps,
            f"WarmUpStableDecay needs warmup + decay ≤ steps, got {self.warmup} + {self.decay} "
            f"and {self.steps}. Pass the whole run's length as steps.",
        )
        require_floor(self)
        require_choice("shape", self.shape, list(FALLS))

    def factor(self, t: Array) -> Array:
        """The smaller of the rise, (t + 1)/warmup up to 1, and the fall."""
        over = np.clip((t - (self.steps - self.decay)) / self.decay, 0.0, 1.0)
        fall = self.floor + (1 - self.floor) * FALLS[self.shape](over)
        return np.minimum((t + 1) / self.warmup, fall) if self.warmup else fall


def tell(schedules: Iterable[Any], cost: float) -> None:
    """Hand a cost to those schedules that observe it."""
    for schedule in schedules:
        if hasattr(schedule, "observe"):
            schedule.observe(cost)
