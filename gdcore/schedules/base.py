"""The contract of a schedule: a callable t → factor, for one step or an array of them."""

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from gdcore._typing import Array
from gdcore.errors import as_plain, require

if TYPE_CHECKING:
    from gdcore.schedules.phases import Joined


class Schedule(ABC):
    """A factor for each step; a subclass gives `factor` for an array of steps.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> class Halves(gd.schedules.Schedule):  # of one's own
    ...     def factor(self, t):
    ...         return 0.5 ** np.floor(t / 100)
    >>> Halves()(250), Halves()(np.array([0, 100]))
    (0.25, array([1. , 0.5]))
    """

    @abstractmethod
    def factor(self, t: Array) -> Array:
        """Factors of the steps t, a float64 array of any shape whose elements are ≥ 0."""

    @overload
    def __call__(self, t: float) -> float: ...
    @overload
    def __call__(self, t: Array | Sequence[float]) -> Array: ...
    def __call__(self, t: Any) -> Any:
        """The factor of step t: a float for a number, an array for an array."""
        factor = self.factor(steps_of(self, t))
        return float(factor) if np.ndim(factor) == 0 else factor

    def then(self, schedule: Callable[..., Any], *, after: float) -> "Joined":
        """This schedule for `after` steps, then another one, which counts its own steps from there.

        Example
        -------
        >>> import gdcore as gd
        >>> rate = gd.schedules.Constant().then(gd.schedules.Linear(steps=4), after=10)
        >>> [rate(t) for t in (0, 9, 10, 11, 14)]
        [1.0, 1.0, 1.0, 0.75, 0.0]
        """
        from gdcore.schedules.phases import Joined

        return Joined((self, schedule), at=(after,))


def steps_of(schedule: Any, t: Any) -> Array:
    """t as a float64 array, or an error that says what a step is."""
    name = type(schedule).__name__
    try:
        steps = np.asarray(t, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} takes a step t or an array of steps, got {t!r}. Pass 0 for the first step."
        ) from None
    if not ((steps >= 0) & (steps < math.inf)).all():
        raise ValueError(
            f"{name} needs steps t ≥ 0 and finite, got {t!r}. Count steps from 0 for the first."
        )
    return steps


def require_between(
    schedule: Schedule,
    argument: str,
    low: float,
    high: float = math.inf,
    *,
    above: bool = False,
    cure: str,
) -> None:
    """Refuse a setting that is not a finite number in [low, high]; above=True: in (low, high]."""
    value, name = as_plain(schedule, argument), type(schedule).__name__
    real = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if high < math.inf:
        where = f" in {'(' if above else '['}{low:g}, {high:g}]"
    else:
        where = f" {'>' if above else '≥'} {low:g}"
    inside = real and (low < value if above else low <= value) and value <= high
    require(inside, f"{name} needs {argument}{where}, got {value!r}. {cure}")


def require_steps(
    schedule: Schedule, argument: str = "steps", cure: str = "Pass the run's length in steps."
) -> None:
    """Refuse a length that is not a finite number above zero."""
    require_between(schedule, argument, 0, above=True, cure=cure)


def require_floor(schedule: Schedule) -> None:
    """Refuse a last factor outside [0, 1]."""
    require_between(schedule, "floor", 0, 1, cure="Pass the factor at the end, as 0.")


def require_milestones(
    schedule: Schedule, argument: str, milestones: Iterable[float]
) -> tuple[float, ...]:
    """Refuse steps that do not rise strictly from above zero; return them as a tuple."""
    name = type(schedule).__name__
    try:
        steps = np.asarray(tuple(milestones), dtype=np.float64)
    except (TypeError, ValueError):
        steps = np.array([math.nan])
    good = steps.ndim == 1 and np.isfinite(steps).all() and (np.diff(steps, prepend=0) > 0).all()
    require(
        good,
        f"{name} needs {argument} as steps > 0 that rise, got {milestones!r}. "
        "Pass the steps at which it changes, as [30, 80].",
    )
    return tuple(milestones)
