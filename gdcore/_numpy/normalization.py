"""Layer normalisation in NumPy. Compiled twins: src/normalization.pyx.

Twins agree within 1e-5 (float32) and 1e-13 (float64) of the largest number of an array.
"""

import numpy as np

from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_arrays,
    require_like,
    require_same_or_apart,
    require_writeable,
)
from gdcore._typing import Array

__all__ = ["layer_norm", "layer_norm_backward", "residual_norm", "residual_norm_backward"]


def layer_norm(X: Array, gain: Array, bias: Array, eps: float, Y: Array, statistics: Array) -> None:
    """Y = (X − mean)/√(variance + eps)·gain + bias, row by row; statistics = mean and inverse root of each. Changes Y and statistics."""
    _require((X, Y), (gain, bias), statistics)
    require_writeable(Y, statistics)
    require_apart((Y, statistics), X, gain, bias)
    (eps,) = numbers(eps)
    with np.errstate(all="ignore"):
        mean = X.mean(axis=1, keepdims=True)
        away = X - mean
        scale = 1 / np.sqrt((away * away).mean(axis=1, keepdims=True) + X.dtype.type(eps))
        statistics[:, :1], statistics[:, 1:] = mean, scale
        Y[:] = away * scale * gain + bias


def layer_norm_backward(
    X: Array, gain: Array, statistics: Array, dY: Array, dX: Array, dgain: Array, dbias: Array
) -> None:
    """dX from dY, the gradient of what `layer_norm` gave; adds that of gain and bias to dgain and dbias. dX may be X or dY. Changes dX, dgain and dbias."""
    _require((X, dY, dX), (gain, dgain, dbias), statistics)
    require_writeable(dX, dgain, dbias)
    require_apart((dgain, dbias), dX, X, gain, statistics, dY)
    require_apart((dX,), gain, statistics)
    require_same_or_apart(dX, X)
    require_same_or_apart(dX, dY)
    mean, scale = statistics[:, :1], statistics[:, 1:]
    with np.errstate(all="ignore"):
        hat = (X - mean) * scale
        dgain += (dY * hat).sum(axis=0)
        dbias += dY.sum(axis=0)
        d = dY * gain
        one = d.mean(axis=1, keepdims=True)
        two = (d * hat).mean(axis=1, keepdims=True)
        dX[:] = scale * (d - one - hat * two)


def residual_norm(
    D: Array,
    X: Array,
    bias: Array,
    gain: Array,
    shift: Array,
    eps: float,
    Y: Array,
    statistics: Array,
) -> None:
    """D += X + bias; Y and statistics = `layer_norm` of that. bias may be empty. Changes D, Y and statistics."""
    _require((D, X, Y), (gain, shift), statistics)
    require_writeable(D, Y, statistics)
    _require_sums(D, bias)
    require_apart((D, Y, statistics), X, bias, gain, shift)
    numbers(eps)
    with np.errstate(all="ignore"):
        D += X + bias if len(bias) else X
    layer_norm(D, gain, shift, eps, Y, statistics)


def residual_norm_backward(
    D: Array,
    gain: Array,
    statistics: Array,
    dY: Array,
    R: Array,
    dD: Array,
    dgain: Array,
    dshift: Array,
    dbias: Array,
) -> None:
    """dD = R plus what `layer_norm_backward` makes of dY; its column sums are added to dbias. R and dbias may be empty; dD may be D, dY or R. Changes dD, dgain, dshift and dbias."""
    _require((D, dY, dD), (gain, dgain, dshift), statistics)
    require_writeable(dD, dgain, dshift, dbias)
    require_arrays(D, R, ndim=2)
    _require_sums(D, dbias)
    if R.size and R.shape != D.shape:
        raise ValueError("The tables must have one shape, with at least one column. Pass such.")
    require_apart((dgain, dshift, dbias), dD, D, gain, statistics, dY, R)
    require_apart((dD,), gain, statistics)
    for other in (D, dY, R):
        require_same_or_apart(dD, other)
    before = R.copy() if R.size else None
    layer_norm_backward(D, gain, statistics, dY, dD, dgain, dshift)
    with np.errstate(all="ignore"):
        if before is not None:
            dD += before
        if len(dbias):
            dbias += dD.sum(axis=0)


def _require_sums(table: Array, vector: Array) -> None:
    require_like(table, vector)
    if len(vector) not in (0, table.shape[1]):
        raise ValueError("The bias must have one number a column, or none. Pass such.")


def _require(tables: tuple[Array, ...], vectors: tuple[Array, ...], statistics: Array) -> None:
    require_arrays(*tables, statistics, ndim=2)
    require_like(tables[0], *vectors)
    n, p = tables[0].shape
    if any(len(vector) != p for vector in vectors):
        raise ValueError("Gain and bias must have one number a column. Pass such.")
    if any(table.shape != (n, p) for table in tables) or p == 0:
        raise ValueError("The tables must have one shape, with at least one column. Pass such.")
    if statistics.shape != (n, 2):
        raise ValueError(
            "statistics must have a mean and an inverse deviation for each row. Pass (n, 2)."
        )
