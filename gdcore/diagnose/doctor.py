"""`gd.doctor`: what went wrong in a descent, by which number, and what would help."""

from typing import Any, Protocol

from gdcore.data import as_rows
from gdcore.diagnose import columns, course, endings, layers
from gdcore.diagnose.findings import Findings
from gdcore.errors import NotFittedError
from gdcore.models.estimator import Features
from gdcore.models.family import Matrix
from gdcore.result import Result

# Worst first; what an earlier one explains is not said again.
COURSE = (
    endings.wrongly_derived, course.unbounded, course.diverging, course.oscillating,
    endings.stuck, layers.exploding, layers.vanishing, layers.dead, course.timid,
    course.ill_conditioned, endings.falsely_converged, endings.noisy, endings.overfitted,
)  # fmt: skip
COLUMNS = columns.collinear, columns.badly_scaled
EXPLAINED = {  # an illness: those that follow from it
    "wrong gradient": ("diverging", "false convergence", "plateau", "too timid"),
    "unbounded below": ("wrong gradient", "too timid", "diverging", "ill-conditioned"),
    "diverging": (
        "vanishing gradients",
        "dead units",
        "over-fitting",
        "false convergence",
        "plateau",
        "noise floor",
    ),
    "exploding gradients": ("plateau", "diverging", "dead units", "over-fitting"),
    "vanishing gradients": ("plateau", "too timid", "false convergence"),
    "dead units": ("plateau", "vanishing gradients", "exploding gradients"),
    "badly scaled columns": (
        "too timid",
        "oscillating",
        "false convergence",
        "plateau",
        "ill-conditioned",
    ),
    "separable classes": ("too timid", "collinear columns", "ill-conditioned"),
    "collinear columns": ("ill-conditioned",),
    "too timid": ("false convergence", "plateau"),
}


class Descent(Protocol):
    """What a fitted estimator has: the result of its descent."""

    @property
    def result_(self) -> Result[Any]: ...


def doctor(result_or_estimator: Result[Any] | Descent, X: Features | None = None) -> Findings:
    """Read the trace of a descent, and the columns it saw, for what went wrong.

    Each finding names an illness, the symptom with its number, and the cure: a rate above 2/L that
    diverges or oscillates, one that is too timid, a long valley, a function without a minimum, a
    plateau or a saddle, false convergence, a noise floor, badly scaled and collinear columns,
    separable classes, vanishing or exploding gradients, dead units, over-fitting, a wrong gradient.

    Parameters
    ----------
    result_or_estimator : Result, or a fitted estimator
        Of `minimize`, `descend` or `fit`.
    X : array (n, p), optional
        The rows of the fit. An estimator knows them for as long as you hold the array that you
        passed to fit.

    Returns
    -------
    Findings
        A list of `Finding` (illness, symptom, number, cure), worst first; it prints itself. Empty
        where nothing was found.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> def valley(x):
    ...     return x @ (x * (1, 100)) / 2, x * (1, 100)
    >>> result = gd.minimize(valley, [1.0, 1.0], method=gd.optim.SGD(0.021))
    >>> gd.doctor(result).illnesses
    ['diverging']
    """
    estimator, result = _opened(result_or_estimator)
    seen = course.Course(result)
    found = [finding for check in COURSE if len(seen) and (finding := check(seen))]
    unseen = []
    if estimator is not None and hasattr(estimator, "coef_"):
        found += filter(None, [columns.separable(estimator, result)])
    if estimator is not None and hasattr(estimator, "standardize"):
        rows = _rows(estimator, X)
        if rows is None:
            unseen.append("the columns: fit keeps no rows. Pass X, the rows of the fit.")
        else:
            given = [check(estimator, rows, result) for check in COLUMNS]
            found += [finding for finding in given if finding]
    explained = {name for finding in found for name in EXPLAINED.get(finding.illness, ())}
    return Findings([f for f in found if f.illness not in explained], unseen)


def _opened(given: Any) -> tuple[Any, Result[Any]]:
    """(estimator or None, result)."""
    if isinstance(given, Result):
        if "trace" not in given:
            raise ValueError("The result has no trace. Call minimize with trace=True.")
        estimator = given.origin() if "origin" in given else None
        theirs = getattr(estimator, "result_", None) is given  # and not of a later fit
        return (estimator if theirs else None), given
    result = getattr(given, "result_", None)
    if isinstance(result, Result):
        return given, result
    if hasattr(given, "fit") and not isinstance(given, type):
        raise NotFittedError(
            f"This {type(given).__name__} is not fitted, or by partial_fit alone: there is no "
            "course to read. Call fit first."
        )
    raise TypeError(
        "doctor takes a result of minimize, descend or fit, or a fitted estimator, got "
        f"{type(given).__name__}. Pass one of them."
    )


def _rows(estimator: Any, X: Features | None) -> Matrix | None:
    if X is not None:
        rows = as_rows(X)
        if rows.shape[1] != estimator.n_features_in_:
            raise ValueError(
                f"X has {rows.shape[1]} columns, and the estimator was fitted on "
                f"{estimator.n_features_in_}. Pass the rows of the fit."
            )
        return rows
    glimpse = getattr(estimator, "_glimpse", None)
    return None if glimpse is None else glimpse()
