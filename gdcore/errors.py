"""What users meet when something is wrong: two sentences, what it is and what to do."""

import sys
from collections.abc import Collection, Hashable
from typing import Any

import numpy as np


class ConvergenceWarning(UserWarning):
    """Descent stopped before the tolerance was met; the message says why and what would help."""


class DataConversionWarning(UserWarning):
    """Data were brought into shape in a way that may not be what was meant."""


class NotFittedError(ValueError, AttributeError):
    """A method that needs a fitted model was called before `fit`."""


class LostError(ConnectionError):
    """What held the rows of a cost is gone: a cluster without a scheduler, or without workers.

    `descend` ends with the best parameters so far and the status LOST; a fit keeps them, and raises
    this with its `Result` in `result`.
    """

    result: Any = None


def also_sklearns(ours: type[Any]) -> Any:
    """`ours`, or a subclass of it and of scikit-learn's class of that name where that is loaded."""
    theirs = getattr(sys.modules.get("sklearn.exceptions"), ours.__name__, None)
    return ours if theirs is None else type(ours.__name__, (ours, theirs), {})


def not_fitted(estimator: object) -> NotFittedError:
    """The error to raise before `fit`."""
    name = type(estimator).__name__
    kind: type[NotFittedError] = also_sklearns(NotFittedError)
    return kind(f"This {name} is not fitted yet. Call fit(X, y) first.")


def require(condition: object, message: str) -> None:
    if not condition:
        raise ValueError(message)


def as_plain(holder: object, argument: str) -> Any:
    """An attribute, put in Python's numbers: a short one of NumPy's would reckon in its own, and
    fractions, and whole numbers beyond double, in ways that nobody wants."""
    import numbers

    value = given = getattr(holder, argument)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, numbers.Real) and not isinstance(value, float):
        reckoned = as_double(value)
        if not isinstance(value, int) or reckoned in (float("inf"), float("-inf")):
            value = reckoned
    if value is not given:
        object.__setattr__(holder, argument, value)  # of frozen ones, too
    return value


def as_double(value: Any) -> float:
    """float(value), infinite where that has no place for it."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def is_iterable(given: object) -> bool:
    """Whether it can be walked over; an array of no dimension only looks as if it could."""
    return hasattr(given, "__iter__") and getattr(given, "ndim", 1) != 0


def require_choice(argument: str, value: object, choices: Collection[str]) -> None:
    """Refuse an unknown name, and say which known one is nearest."""
    known = isinstance(value, Hashable) and value in choices  # an array is not
    if known:
        return
    import difflib

    near = difflib.get_close_matches(str(value).lower(), choices, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"Choose from {', '.join(map(repr, choices))}."
    raise ValueError(f"{argument}={value!r} is not known. {hint}")


def require_number(
    argument: str,
    value: Any,
    low: float | None = None,
    high: float | None = None,
    *,
    above: bool = False,
    whole: bool = False,
) -> None:
    """Refuse what is not a finite number in [low, high], or in (low, high] with above=True."""
    import numbers

    kind: Any = numbers.Integral if whole else numbers.Real
    what = "a whole number" if whole else "a number"
    duration = isinstance(value, np.timedelta64)  # which NumPy counts among whole numbers
    if isinstance(value, bool) or duration or not isinstance(value, kind) or value != value:
        raise (TypeError if duration or not isinstance(value, numbers.Real) else ValueError)(
            f"{argument} must be {what}, got {_brief(value)}. Pass {what}."
        )
    below = low is not None and (value <= low if above else value < low)
    if (
        below
        or (high is not None and value > high)
        or as_double(value) in (float("inf"), float("-inf"))
    ):
        floor = "" if low is None else f" {'above' if above else 'of at least'} {low}"
        ceiling = "" if high is None else f" and at most {high}"
        raise ValueError(
            f"{argument} must be {what}{floor}{ceiling}, got {_brief(value)}. "
            "Pass a value in that range."
        )


def _brief(value: Any) -> str:
    """Its repr, which of a number of thousands of digits there is none."""
    try:
        shown = repr(value)
    except ValueError:
        return "one beyond all bounds"
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


def require_seconds(argument: str, value: Any) -> None:
    """Refuse what is no budget of time; infinite ones are."""
    if not (isinstance(value, float) and value == float("inf")):
        require_number(argument, value, low=0, above=True)


def require_flag(argument: str, value: object) -> None:
    """Refuse what is not True or False."""
    require(
        isinstance(value, (bool, np.bool_)),
        f"{argument} must be True or False, got {value!r}. Pass one of them.",
    )
