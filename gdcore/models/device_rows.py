"""Rows on a device: checks of what users pass, and what the host is told of them."""

import warnings
from typing import Any, TypeAlias

import numpy as np

from gdcore import kernels
from gdcore.data import EXTREME, Rows, Spread, as_features, as_numbers, as_targets, require_summable
from gdcore.device_proof import doubles
from gdcore.devices import DeviceArray, is_foreign, wrapped
from gdcore.errors import DataConversionWarning, also_sklearns, require
from gdcore.models.classifier import encode
from gdcore.ranges import require_reach
from gdcore.survey import Shape, Survey

There: TypeAlias = Any  # a `DeviceArray`, which stands where arrays of NumPy's do


def features(X: Any, name: str = "X") -> There:
    """X (n, p), finite floating-point numbers, where it is."""
    kernels.take_devices()
    array = wrapped(X, name)
    layout = str(getattr(X, "layout", "torch.strided"))
    require(
        layout == "torch.strided",
        f"{name} is a sparse tensor ({layout}), and dense ones are needed. Pass {name}.to_dense().",
    )
    require_real(array, name)
    require(
        array.ndim == 2 and array.size > 0,
        f"{name} must have two dimensions with examples and features, got shape {array.shape}. "
        "Reshape it.",
    )
    if array.dtype.kind != "f":
        array = array.astype(precision(array))
    if array.itemsize < 4:
        array = array.astype(np.float32)
    require(
        bool(np.isfinite(array).all()),
        f"{name} contains NaN or infinity. Remove or fill them first.",
    )
    return array


def require_real(array: There, name: str) -> None:
    """Refuse complex numbers, and those that NumPy has no name for."""
    try:
        np.dtype(str(array.array.dtype).rpartition(".")[2])
    except TypeError as error:
        raise ValueError(
            f"{name} holds {array.array.dtype}, which NumPy does not know. Pass float32."
        ) from error
    require(
        array.dtype.kind != "c",
        f"{name} holds complex numbers. Complex data not supported: pass real parts.",
    )


def require_beside(array: There, other: There, name: str, others: str) -> None:
    """Refuse arrays of two devices."""
    require(
        array.device == other.device,
        f"{name} is on {array.device}, and {others} on {other.device}. Move one of them.",
    )


def targets(y: Any, X: There, name: str = "y", several: bool = False) -> There:
    """y (n,) beside X; `several` allows (n, k)."""
    require(y is not None, f"fit requires {name}, and it is None. Pass it.")
    if is_foreign(y):
        array: There = wrapped(y, name)
        require_real(array, name)
        require_beside(array, X, name, "X")
    else:
        array = X.like(as_numbers(y, name), precision(X))
    if array.shape == (len(X), 1):
        warnings.warn(
            f"A column-vector {name} was passed when a 1d array was expected. Pass a vector.",
            also_sklearns(DataConversionWarning),
            stacklevel=4,
        )
        array = array.reshape(-1)
    wide = several and array.ndim == 2
    require(
        array.shape[:1] == (len(X),) and (array.ndim == 1 or wide),
        f"X has {len(X)} rows and {name} has shape {array.shape}. Pass one number a row.",
    )
    return array


def numbers(y: Any, X: There, name: str = "y", several: bool = False) -> There:
    """The same as finite numbers in the precision of the descent."""
    array = targets(y, X, name, several).astype(precision(X), copy=False)
    require(bool(np.isfinite(array).all()), f"{name} contains NaN or infinity. Remove them first.")
    return array


def real_targets(y: There) -> There:
    """The targets of regression, of a size whose squares are numbers."""
    ends = np.array([float(y.min()), float(y.max())])
    require_reach(Rows(np.empty((2, 1), y.dtype), ends, ends))
    return y


def counting(X: There, y: There, weights: There) -> tuple[There, There, There]:
    """The rows that have a weight: others must change nothing."""
    kept: There = weights > 0
    if bool(kept.all()):
        return X, y, weights
    chosen = np.flatnonzero(kept.numpy())
    return X[chosen], y[chosen], weights[chosen]


def weights_of(given: Any, X: There) -> There:
    """Weights beside X, not negative, some positive."""
    if given is None:
        return X.like(np.ones(len(X)), precision(X))
    weights = numbers(given, X, "sample_weight")
    require(
        float(weights.min()) >= 0 and float(weights.max()) > 0,
        "sample_weight must not be negative, nor zero everywhere. Pass such weights.",
    )
    with np.errstate(over="ignore"):
        require_summable(float(weights.sum()))
    return weights


def precision(X: There) -> Any:
    """Doubles, but where the device has none."""
    known = X.xp.__array_namespace_info__().dtypes(device=X.device, kind="real floating")
    return np.float64 if "float64" in known else np.float32


def spread_of(X: There, weights: There, name: str = "X") -> Spread:
    """Mean, deviation and extremes of the columns, on the host."""
    room: There = np.empty((4, X.shape[1]), weights.dtype, like=X)
    total = kernels.column_moments(X, weights, *room)
    mean, square, low, high = (row.numpy().astype(np.float64) for row in room)
    off = (high > low) & ~((square > EXTREME) & (square < 1 / EXTREME))
    first = int(off.argmax())
    require(
        not off.any(),
        f"Column {first} of {name} varies by {high[first] - low[first]:.2g}, whose square is no "
        "number there. Scale it by a power of ten, or pass arrays of NumPy's.",
    )
    spread = Spread()
    spread.merge(np.finfo(X.dtype).eps, total, mean, np.sqrt(square / total), low, high)
    return spread


def survey(rows: Rows) -> Survey:
    """What the host is to know of rows on a device: their targets and weights, X never."""
    spread, shape = spread_of(rows.X, rows.weights), Shape(rows.X.shape, rows.X.dtype)
    y, weights = doubles(rows.y), doubles(rows.weights)
    return Survey(shape, y, weights, spread.mean, spread.deviation())


def beside(X: Any, like: There, name: str, others: str) -> There:
    """Rows beside an array, checked; those of the host go there, in a precision that there is."""
    if is_foreign(X):
        array = features(X, name)
        require_beside(array, like, name, others)
        return array
    values = as_features(X, name)
    return like.like(values, shorter(values.dtype, precision(like)))


def shorter(one: Any, other: Any) -> Any:
    """That of two precisions which takes less room."""
    return min(one, other, key=lambda kind: np.dtype(kind).itemsize)


def labels(y: Any, X: There) -> tuple[There, There]:
    """(classes, sorted; the number of each row's class)."""
    held = not is_foreign(y)
    if held:  # text, too, has its numbers here
        names, found_ = encode(as_targets(y, len(X)))
        kept = X.like(names) if names.dtype.kind in "fiu" else names
        return kept, X.like(found_.astype(precision(X)))
    given = targets(y, X)
    truths = given.dtype.kind == "b"
    if truths:
        given = given.astype(np.int8)
    require(
        given.dtype.kind != "f" or bool(np.isfinite(given).all()),
        "y contains NaN or infinity. Remove those rows first.",
    )
    require(
        given.dtype.kind != "f" or bool((given == np.floor(given)).all()),
        "Unknown label type: continuous. y holds fractions, which are no classes; use "
        "LinearRegression, or pass labels.",
    )
    classes = DeviceArray(given.xp.sort(given.xp.unique_values(given.array)))
    found = DeviceArray(given.xp.searchsorted(classes.array, given.array))
    return classes.astype(bool) if truths else classes, found.astype(precision(X))
