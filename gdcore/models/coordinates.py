"""The coordinates of descent: how a model sees its columns, and what the penalty weighs there."""

from typing import Any

import numpy as np

from gdcore.models.family import LinearFamily
from gdcore.models.visits import INVERSE, SHIFT
from gdcore.penalties import Penalty
from gdcore.ranges import require_range


def coordinates(
    rows: Any, loss: Any, outputs: int, alpha: float, settings: Any, precondition: bool
) -> tuple[LinearFamily, Penalty]:
    """(LinearFamily, Penalty) for these rows.

    With `settings.standardize` columns have mean 0 and deviation 1 and the penalty acts on them as
    such (as in glmnet and Spark). Without, the penalty acts on the columns as they came; descent
    still runs in scaled coordinates where the rate is ours to choose (`precondition`), because
    the minimum is the same and columns of 1e-6 and 1e6 then converge alike. A rate that the user
    gave is the textbook's: it acts on the raw columns.

    A constant column gets no coefficient. X is never copied: kernels apply shift and scale.
    """
    p = rows.X.shape[1]
    columns = np.zeros((4, p + 1))
    columns[INVERSE, p] = float(settings.fit_intercept)
    share = float(settings.l1_ratio)
    ridge, lasso = alpha * (1 - share), alpha * share
    units = np.ones(p)  # original coefficient × its unit = what the penalty weighs
    if settings.standardize or precondition:
        mean, deviation = rows.moments(settings.n_threads)
        if settings.fit_intercept:
            columns[SHIFT, :p] = mean
        else:  # without an intercept there is no centre: the scale is the root mean square
            deviation = np.hypot(mean, deviation)
        if settings.standardize:
            scale = units = deviation
        else:
            scale = np.hypot(deviation, np.sqrt(ridge / _curvature(loss))) * (deviation > 0)
        require_range(deviation, rows.X.dtype)
        np.divide(1, scale, out=columns[INVERSE, :p], where=scale > 0)
    else:
        columns[INVERSE, :p] = 1
    weights = units * columns[INVERSE, :p]
    model = LinearFamily(loss, p, outputs, columns)
    zeros = np.zeros(outputs)
    penalty = Penalty(
        ridge=np.concatenate([np.tile(ridge * weights**2, outputs), zeros]),
        lasso=np.concatenate([np.tile(lasso * weights, outputs), zeros]),
    )
    return model, penalty


def _curvature(loss: Any) -> float:
    """A bound of ℓ″, one where there is none."""
    bound = getattr(loss, "curvature", 1.0)
    return bound if 0 < bound < np.inf else 1.0
