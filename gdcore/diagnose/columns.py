"""What the columns of X say: scales that differ, columns that repeat others, separable classes."""

from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.data import column_moments
from gdcore.diagnose.findings import Finding
from gdcore.models.family import Matrix
from gdcore.result import Result
from gdcore.sparse import CSR

APART = 1e3  # times between the deviations of two columns
SLOW = 100  # steps that a descent on such columns takes at least
COLLINEAR = 1e-8  # of the largest eigenvalue of correlations, the penalty's share included
MOST = 1000  # columns whose correlations are looked at
SAMPLE = 20_000  # rows
NAMED = 5  # columns in a sentence


def badly_scaled(estimator: Any, X: Matrix, result: Result[Any]) -> Finding | None:
    """Columns in units so different that one rate cannot suit all."""
    if estimator.standardize or X.shape[1] < 2 or _rescales(estimator, result):
        return None
    deviation = column_moments(X, np.ones(len(X)))[1]
    used = np.flatnonzero(deviation > 0)
    if len(used) < 2 or (result.success and result.nit < SLOW):
        return None
    low, high = deviation[used].min(), deviation[used].max()
    if high / low < APART:
        return None
    middle = np.sqrt(low * high)
    wide = used[deviation[used] > middle]
    wide = wide[np.argsort(-deviation[wide])]
    return Finding(
        "badly scaled columns",
        f"Deviations of the columns range from {low:.2g} to {high:.2g}, a factor of "
        f"{high / low:.2g}. Wide: column {_names(estimator, wide)}. One rate cannot suit all.",
        float(high / low),
        "Pass standardize=True, which changes no column of yours.",
    )


def _rescales(estimator: Any, result: Result[Any]) -> bool:
    """Whether the descent sees scaled columns anyway, or does not care."""
    name = type(result.optimizer).__name__
    return name in ("Newton", "InteriorPoint", "str") or (
        hasattr(estimator, "coef_") and estimator._rate() is None
    )


def collinear(estimator: Any, X: Matrix, result: Result[Any]) -> Finding | None:
    """Columns that others make up for: the coefficients are not determined."""
    n, p = X.shape
    if not hasattr(estimator, "coef_") or p < 2 or p > MOST or n < 2:
        return None
    rows = X[np.linspace(0, n - 1, min(n, SAMPLE)).astype(int)]
    rows = np.asarray(rows.dense() if isinstance(rows, CSR) else rows, np.float64)
    if len(rows) <= p:
        return None
    most = np.abs(rows).max(axis=0)  # correlations do not depend on units, and squares have ends
    rows = rows / np.where(most > 0, most, 1.0)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    used = np.flatnonzero(deviation > 1e-12 * np.abs(mean))
    if len(used) < 2:
        return None
    Z = (rows[:, used] - mean[used]) / deviation[used]
    values, vectors = np.linalg.eigh(Z.T @ Z / len(Z))
    alpha = 1 / n if isinstance(estimator.alpha, str) else float(estimator.alpha)
    ridge = alpha * (1 - estimator.l1_ratio)
    share = (values[0] + ridge) / values[-1]
    if share > COLLINEAR:
        return None
    weight = np.abs(vectors[:, 0])
    together = used[np.argsort(-weight)[: max(2, int((weight > 0.1 * weight.max()).sum()))]]
    return Finding(
        "collinear columns",
        f"Columns {_names(estimator, together)} make each other up (the least eigenvalue of the "
        f"correlations is {max(share, 0):.1g} of the largest): their coefficients can be anything "
        "that adds up.",
        float(max(share, 0.0)),
        "Leave one of them out, or pass alpha > 0, which shares the weight among them.",
    )


def separable(estimator: Any, result: Result[Any]) -> Finding | None:
    """Classes that a plane separates, without a penalty."""
    if not result.get("separable") or not estimator.alpha == 0:
        return None
    most = float(np.abs(estimator.coef_).max())
    return Finding(
        "separable classes",
        "A plane separates the classes, so that larger coefficients are always better: they have "
        f"grown to {most:.3g} and would grow without end.",
        most,
        "Pass alpha > 0 (its default is 1/n).",
    )


def _names(estimator: Any, columns: Array) -> str:
    known = getattr(estimator, "feature_names_in_", None)
    words = [str(known[c]) if known is not None else str(int(c)) for c in columns[:NAMED]]
    more = f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    return ", ".join(words) + more
