"""Targets: real ones and their score, and zeros and ones for several labels a row."""

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.data import as_numbers, as_real_targets, require_finite
from gdcore.errors import require
from gdcore.given import as_array


def several_columns(y: ArrayLike, name: str = "y") -> bool:
    """Whether y is a matrix of more than one column."""
    if y is None:  # which is refused later, as scikit-learn has it
        return False
    array = as_array(y, name)
    return array.ndim == 2 and array.shape[1] > 1


def as_real_matrix(y: ArrayLike, n: int, name: str = "y") -> Array:
    """y as finite float64 (n, k)."""
    if not several_columns(y, name):
        return as_real_targets(y, n, name)[:, None]
    return as_matrix(y, n, name)


def as_matrix(y: ArrayLike, n: int, name: str = "y") -> Array:
    """y as finite float64 (n, k), whatever its columns are."""
    array = np.ascontiguousarray(as_numbers(y, name), dtype=np.float64)
    require(
        array.ndim == 2 and array.shape[1] > 0,
        f"{name} must have one or two dimensions, got shape {array.shape}. Pass (n,) or (n, k).",
    )
    require(
        len(array) == n,
        f"X has {n} rows and {name} has {len(array)}: inconsistent numbers of samples. "
        "Pass one target a row.",
    )
    require_finite(array, name)
    return array


def as_label_matrix(y: ArrayLike, n: int, name: str = "y") -> Array:
    """y as float64 (n, k) of zeros and ones."""
    return truths(as_matrix(y, n, name), name)


def truths(array: Array, name: str) -> Array:
    """The array, if it is a matrix of zeros and ones; of NumPy's, or on a device."""
    require(
        array.ndim == 2 and bool(((array == 0) | (array == 1)).all()),
        f"Unknown label type: multiclass-multioutput. A {name} with several columns must hold "
        "zeros and ones, a column a label. Pass such, or one column of classes.",
    )
    return array


def as_many(y: Array, predicted: Array, name: str = "y") -> Array:
    """y, if it has as many columns as what is predicted."""
    require(
        y.shape[1] == predicted.shape[1],
        f"{name} has {y.shape[1]} columns, and the model predicts {predicted.shape[1]}. "
        "Pass a column for each.",
    )
    return y


def r_squared(y: Array, predicted: Array, weights: Array) -> float:
    """1 − Σs(y − ŷ)²/Σs(y − ȳ)² of vectors; 1 is perfect, 0 as good as the mean."""
    unit = -_exponent(max(np.abs(y).max(), np.abs(predicted).max()))
    y, predicted = np.ldexp(y, unit), np.ldexp(predicted, unit)  # by powers of two: no bit lost
    weights = np.ldexp(weights, -_exponent(weights.max()))
    spread = float(weights @ (y - np.average(y, weights=weights)) ** 2)
    rest = float(weights @ (y - predicted) ** 2)
    return 1 - rest / spread if spread else float(rest == 0)


def _exponent(number: float) -> int:
    return int(np.frexp(number)[1])
