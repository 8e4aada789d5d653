"""How good predictions are, in the units people ask for: accuracy of classes, R² of numbers."""

import math
from typing import Any

import numpy as np

from gdcore._typing import Array

LABELS = ("logistic", "softmax", "hinge", "squared_hinge")  # losses whose margins choose a class


def score_of(loss: Any, z: Array, y: Array, weights: Array) -> float:
    """The weighted accuracy, or R² of the mean predictions, of margins z (n, k); NaN for neither.

    Of several labels a row counts where all are right; of several targets R² is their mean.
    """
    name = getattr(loss, "name", None)
    if name == "softmax":
        return float(np.average(z.argmax(axis=1) == y, weights=weights))
    if name in LABELS:
        right = (z > 0) == (np.reshape(y, z.shape) > 0.5)
        return float(np.average(right.all(axis=1), weights=weights))
    if not hasattr(loss, "mean"):
        return math.nan
    given = z if name == "squared" else loss.mean(z)  # of several targets, too
    predicted = np.asarray(given, np.float64).reshape(len(z), -1)
    y = np.asarray(y, np.float64).reshape(predicted.shape)
    center = np.average(y, axis=0, weights=weights)
    with np.errstate(all="ignore"):
        rest = np.average((y - predicted) ** 2, axis=0, weights=weights)
        return float((1 - rest / np.average((y - center) ** 2, axis=0, weights=weights)).mean())
