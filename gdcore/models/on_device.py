"""Fits of linear models to arrays of other libraries, on the device where these are."""

from typing import Any, TypeAlias

import numpy as np

from gdcore import kernels, optim
from gdcore._typing import Array
from gdcore.convergence import CostChange, GradientNorm, RelativeGap, Rule
from gdcore.data import (
    EXTREME,
    Rows,
    Spread,
    as_features,
    as_numbers,
    as_targets,
    require_summable,
)
from gdcore.device_cost import DeviceCost
from gdcore.device_proof import held_out
from gdcore.devices import DeviceArray, is_foreign, wrapped
from gdcore.errors import not_fitted, require
from gdcore.glimpse import Glimpse
from gdcore.losses import Logistic, Loss, Softmax
from gdcore.models.classifier import encode, require_classes
from gdcore.models.coordinates import coordinates
from gdcore.models.family import LinearFamily
from gdcore.models.solvers import held, unit_of
from gdcore.newton import Newton
from gdcore.penalties import Penalty
from gdcore.ranges import require_reach
from gdcore.survey import Shape, Survey

There: TypeAlias = Any  # a `DeviceArray`, which stands where arrays of NumPy's do
ROUNDING = {4: 1e-4, 8: 1e-13}  # of the gradient's unit, by the bytes of a number of X
NEEDS_HOST = ("newton", "closed-form", "saga", "svrg", "normalized-adaptive")


def features(X: Any, name: str = "X") -> There:
    """X (n, p), finite floating-point numbers, where it is."""
    kernels.take_devices()
    array = wrapped(X, name)
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
    """Refuse complex numbers."""
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
    wide = several and array.ndim == 2 and array.shape[1] > 1
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


def real_targets(y: Any, X: There, name: str = "y", several: bool = False) -> There:
    """The same for regression, of a size whose squares are numbers."""
    array = numbers(y, X, name, several)
    ends = np.array([float(array.min()), float(array.max())])
    require_reach(Rows(np.empty((2, 1), array.dtype), ends, ends))
    return array


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


def fit(estimator: Any, X: There, y: There, weights: There, loss: Any, outputs: int) -> None:
    """Descend on checked arrays; sets what every linear estimator has after `fit`."""
    chosen = estimator.optimizer
    refuse_host(estimator)
    asked = estimator._optimizer()
    require(
        chosen not in NEEDS_HOST
        and not (isinstance(asked, Newton) or getattr(asked, "visits", False)),
        f"optimizer={chosen!r} needs arrays of NumPy's. Pass X as one, or optimizer='auto'.",
    )
    require(
        not hasattr(loss, "rounded"),
        "A loss with a corner is rounded by and by, which needs arrays of NumPy's. Pass X as one.",
    )
    require(isinstance(loss, Loss), "A loss of your own needs arrays of NumPy's. Pass X as one.")
    rng, mass = estimator._generator(), float(weights.sum())
    estimator._glimpse = Glimpse()
    rows, other = parted(estimator, Rows(X, y, weights), rng)
    about = survey(rows, outputs)
    alpha = 1 / mass if isinstance(estimator.alpha, str) else float(estimator.alpha)
    model, penalty = coordinates(
        about, loss, outputs, alpha, estimator, precondition=estimator._rate() is None
    )
    kind = precision(X)
    there = LinearFamily(loss, model.features, outputs, X.like(model.columns, kind))
    on_it = Penalty(X.like(penalty.ridge, kind), X.like(penalty.lasso, kind))
    cost = DeviceCost(there, rows, on_it, unit_of(loss, about))
    validate = None if other is None else held_out(there, other)
    estimator._remember(X.shape[1], None)
    theta = X.like(estimator._start(model, about), kind)
    result = estimator._descend_there(cost, theta, validate, rng)
    coef, intercept = there.original(result.x)
    result["x"], result["jac"] = result.x.array, result.jac.array
    estimator._keep_there(result, coef.astype(X.dtype), intercept.astype(X.dtype))


def parted(estimator: Any, rows: Rows, rng: Any) -> tuple[Rows, Rows | None]:
    """(rows to train on, with weights of mean one; those held out, or None), as on the host."""
    if estimator.early_stopping:  # of rows that count
        weights: There = rows.weights
        kept = np.flatnonzero(weights.numpy() > 0)
        rows = rows.part(kept) if len(kept) < len(rows) else rows
    train, other = estimator._split(rows.X, rows.y, rows.weights, rng)
    return weighed(train), other


def weighed(rows: Rows) -> Rows:
    """The same with weights of mean one."""
    mean = float(rows.weights.sum()) / len(rows)
    return Rows(rows.X, rows.y, rows.weights / mean)


def refuse_host(estimator: Any) -> None:
    """What a fit on a device does without."""
    require(
        not isinstance(estimator._optimizer(), (optim.Adafactor, optim.Muon)),
        f"optimizer={estimator.optimizer!r} looks at the shapes of matrices, which needs arrays of "
        "NumPy's. Pass X as one, or another optimizer.",
    )


def on_device(estimator: Any) -> bool:
    """Whether it was fitted to arrays of another library."""
    return is_foreign(getattr(estimator, "coef_", None))


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


def survey(rows: Rows, outputs: int) -> Survey:
    """What the host is to know of rows on a device: few targets that stand for all of them."""
    y: There = rows.y
    spread = spread_of(rows.X, rows.weights)
    if outputs > 1:  # classes
        few = np.arange(float(outputs))
        masses = np.array([float(((y == c) * rows.weights).sum()) for c in range(outputs)])
    else:
        center = float(np.average(y, weights=rows.weights))
        wide = float(np.average((y - center) ** 2, weights=rows.weights)) ** 0.5
        few = np.array([center - wide, center + wide])
        masses = np.full(2, float(rows.weights.sum()) / 2)
    shape = Shape(rows.X.shape, rows.X.dtype)
    return Survey(shape, few, masses, spread.mean, spread.deviation())


def rule_for(estimator: Any, cost: DeviceCost, full: bool) -> Rule | None:
    """tol as a rule: J − J* ≤ tol·J where a penalty holds all coefficients, or ‖∇J‖ < tol·unit, or
    what X's precision knows of it; with small batches |ΔJ| < tol·unit² as well."""
    if isinstance(estimator.tol, Rule):
        return estimator.tol
    if estimator.tol == 0:
        return None
    unit, on_host = cost.unit, cost.on_host
    least = ROUNDING[cost.rows.X.dtype.itemsize]
    if hasattr(cost.model.loss, "conjugate") and held(on_host.model, on_host.penalty):
        rule: Rule = RelativeGap(estimator.tol) | GradientNorm(least * unit)
    else:
        rule = GradientNorm(max(estimator.tol, least) * unit)
    return rule if full else rule | CostChange(estimator.tol * unit * unit)


def chosen(smooth: bool, full: bool) -> tuple[Any, str]:
    """(optimizer, why) for optimizer="auto"."""
    if not full:
        return optim.SGD(), "SGD: small batches"
    if smooth:
        return optim.LBFGS(), "L-BFGS: rows on a device"
    return optim.FISTA(), "FISTA: an L1 penalty"


def fitting(estimator: Any, X: Any, like: Any = None) -> There:
    """X checked against what was fitted, beside an array of the fit's where X is on the host."""
    if not estimator.__sklearn_is_fitted__():
        raise not_fitted(estimator)
    array = features(X) if is_foreign(X) else like.like(as_features(X))
    require_beside(array, like, "X", "what was fitted")
    require(
        array.shape[1] == estimator.n_features_in_,
        f"X has {array.shape[1]} features, but {type(estimator).__name__} is expecting "
        f"{estimator.n_features_in_} features as input. Pass the columns that it was fitted on.",
    )
    return array


def margins(estimator: Any, X: Any) -> There:
    """X·coefᵀ + intercept (n, k), where X is."""
    coef, intercept = DeviceArray(estimator.coef_), DeviceArray(estimator.intercept_)
    array = fitting(estimator, X, coef)
    coef = coef.reshape(-1, array.shape[1])
    found: There = array @ coef.T + intercept
    return found


def labels(y: Any, X: There) -> tuple[There, There]:
    """(classes, sorted; the number of each row's class)."""
    held = not is_foreign(y)
    if held:  # text, too, has its numbers here
        names, found_ = encode(as_targets(y, len(X)))
        kept = X.like(names) if names.dtype.kind in "fiu" else names
        return kept, X.like(found_.astype(precision(X)))
    given = targets(y, X)
    if given.dtype.kind == "b":
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
    return classes, found.astype(precision(X))


def fit_regression(estimator: Any, X: Any, y: Any, sample_weight: Any, loss: Any) -> None:
    """`LinearRegression.fit` for arrays of another library."""
    estimator._check_parameters()
    there = features(X)
    y_, weights = real_targets(y, there), weights_of(sample_weight, there)
    if hasattr(loss, "check"):
        loss.check(np.array([float(y_.min()), float(y_.max())]))
    fit(estimator, there, y_, weights, loss, outputs=1)


def coded(estimator: Any, y: Any, sample_weight: Any, X: There) -> tuple[Any, There, There]:
    """(classes, as arrays of y's library, the number of each row's class, its weight)."""
    classes, found = labels(y, X)
    weights, k = weights_of(sample_weight, X), len(classes)
    masses = np.array([float(((found == c) * weights).sum()) for c in range(k)])
    names = classes if isinstance(classes, np.ndarray) else classes.numpy()
    require_classes(estimator, names, np.flatnonzero(masses))
    factors = weights.like(estimator._class_weights(names, np.arange(k), masses), weights.dtype)
    given = names if isinstance(classes, np.ndarray) else classes.array
    return given, found, weights * factors[found.astype(np.int64)]


def fit_classes(estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
    """`LogisticRegression.fit` for arrays of another library."""
    estimator._check_parameters()
    there = features(X)
    estimator.classes_, found, weights = coded(estimator, y, sample_weight, there)
    k = int(estimator.classes_.shape[0])
    loss = Softmax() if k > 2 else Logistic()
    fit(estimator, there, found, weights, loss, outputs=k if k > 2 else 1)


def classes_of(estimator: Any, z: There) -> Array:
    """The most probable class of each row, as an array of the margins' library."""
    best = (z[:, 0] > 0).astype(np.int64) if z.shape[1] == 1 else z.argmax(axis=1)
    classes = estimator.classes_
    if not is_foreign(classes):  # names that only the host has
        named: Array = classes[best.numpy()]
        return named
    found: Array = DeviceArray(classes)[best].array
    return found


def shares_of(z: There) -> Array:
    """P(class | x), (n, k), as an array of the margins' library."""
    if z.shape[1] == 1:
        z = np.concatenate([0 * z, z], axis=1)
    shares: There = np.empty_like(z)
    kernels.softmax(z, shares)
    found: Array = shares.array
    return found


def decision(estimator: Any, X: Any) -> Array:
    """Margins as `decision_function` has them: (n,) for two classes, (n, k) for more."""
    return as_decision(margins(estimator, X))


def as_decision(z: There) -> Array:
    """Margins (n, k) as `decision_function` has them, an array of their library."""
    found: Array = (z[:, 0] if z.shape[1] == 1 else z).array
    return found
