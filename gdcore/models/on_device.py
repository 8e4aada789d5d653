"""Fits of linear models to arrays of other libraries, on the device where these are."""

from typing import Any

import numpy as np

from gdcore import kernels, optim
from gdcore._typing import Array
from gdcore.convergence import CostChange, GradientNorm, RelativeGap, Rule, Status
from gdcore.data import Rows
from gdcore.device_cost import DeviceCost
from gdcore.device_proof import doubles, held_out
from gdcore.devices import DeviceArray, is_foreign
from gdcore.errors import not_fitted, require
from gdcore.glimpse import Glimpse
from gdcore.losses import Logistic, Loss, Softmax
from gdcore.models.classifier import require_classes
from gdcore.models.coordinates import coordinates
from gdcore.models.device_rows import (
    There,
    beside,
    counting,
    features,
    labels,
    numbers,
    precision,
    real_targets,
    survey,
    weights_of,
)
from gdcore.models.family import LinearFamily
from gdcore.models.solvers import held, unit_of
from gdcore.newton import Newton
from gdcore.penalties import Penalty

ROUNDING = {4: 1e-5, 8: 1e-13}  # of the gradient's unit, by the bytes of a number of X
NEAR = 10  # times that, where a line search found nothing lower
BY_PART = (optim.Adafactor, optim.Muon, optim.AdaptiveClip)  # of θ, whose shapes they ask for
NEEDS_HOST = ("newton", "closed-form", "saga", "svrg", "normalized-adaptive")


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
    X, y, weights = counting(X, y, weights)
    rng, mass = estimator._generator(), float(weights.sum())
    estimator._glimpse = Glimpse()
    rows, other = parted(estimator, Rows(X, y, weights), rng)
    about = survey(rows)
    alpha = 1 / mass if isinstance(estimator.alpha, str) else float(estimator.alpha)
    model, penalty = coordinates(
        about, loss, outputs, alpha, estimator, precondition=estimator._rate() is None
    )
    kind = precision(X)
    there = LinearFamily(loss, model.features, outputs, X.like(model.columns, kind))
    on_it = Penalty(X.like(penalty.ridge, kind), X.like(penalty.lasso, kind))
    cost = DeviceCost(there, rows, on_it, about, unit_of(loss, about))
    validate = None if other is None else held_out(there, other)
    estimator._remember(X.shape[1], None)
    theta = X.like(estimator._start(model, about), kind)
    result = estimator._descend_there(cost, theta, validate, rng)
    coef, intercept = there.original(result.x)
    result["x"], result["jac"] = result.x.array, result.jac.array
    estimator._keep_there(result, coef.astype(X.dtype), intercept.astype(X.dtype))


def predictions(estimator: Any, X: Any, mean: Any) -> Array:
    """ŷ (n,), as an array of X's library; `mean` is what a loss makes of margins, if anything."""
    z = margins(estimator, X)
    found: Array = (z[:, 0] if mean is None else mean(z)).array
    return found


def parted(estimator: Any, rows: Rows, rng: Any) -> tuple[Rows, Rows | None]:
    """(rows to train on, with weights of mean one; those held out, or None), as on the host."""
    train, other = estimator._split(rows.X, rows.y, rows.weights, rng)
    return weighed(train), other


def weighed(rows: Rows) -> Rows:
    """The same with weights of mean one."""
    mean = float(rows.weights.sum()) / len(rows)
    return Rows(rows.X, rows.y, rows.weights / mean)


def refuse_host(estimator: Any) -> None:
    """What a fit on a device does without."""
    asked = estimator._optimizer()
    rule = getattr(asked, "optimizer", asked)  # that of a chain
    around = (each for each in getattr(asked, "transforms", ()) if isinstance(each, BY_PART))
    rule = next(around, rule)
    require(
        not isinstance(rule, BY_PART),
        f"optimizer={type(rule).__name__} looks at the shapes of matrices, which needs arrays of "
        "NumPy's. Pass X as one, or another optimizer.",
    )


def on_device(estimator: Any) -> bool:
    """Whether it was fitted to arrays of another library."""
    return is_foreign(getattr(estimator, "coef_", None))


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


def tell(estimator: Any, cost: DeviceCost, result: Any) -> None:
    """Say it where single precision ended a descent before tol did. Changes the result."""
    least = ROUNDING[cost.rows.X.dtype.itemsize]
    if cost.rows.X.dtype.itemsize > 4 or isinstance(estimator.tol, Rule) or estimator.tol >= least:
        return
    size = kernels.norm(result.jac)
    stuck = result.status is Status.STALLED and size <= NEAR * least * cost.unit
    if not stuck and result.status is not Status.GRADIENT:
        return
    known = result.bound <= 0.01 * abs(result.fun)
    bound = f": J − J* ≤ {result.bound:.2g}, where tol is {estimator.tol:.2g}" if known else ""
    result.status, result.success = Status.GRADIENT, True
    result.message = f"‖∇J‖ = {size:.3g}, as small as single precision tells{bound}."


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
    array = beside(X, like, "X", "what was fitted")
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


def fit_regression(estimator: Any, X: Any, y: Any, sample_weight: Any, loss: Any) -> Array:
    """`LinearRegression.fit` for arrays of another library; the weights of the rows that count."""
    estimator._check_parameters()
    there = features(X)
    y_, weights = numbers(y, there), weights_of(sample_weight, there)
    there, y_, weights = counting(there, y_, weights)
    real_targets(y_)
    if hasattr(loss, "check"):
        loss.check(np.array([float(y_.min()), float(y_.max())]))
    fit(estimator, there, y_, weights, loss, outputs=1)
    return doubles(weights)


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


def fit_classes(estimator: Any, X: Any, y: Any, sample_weight: Any) -> Array:
    """`LogisticRegression.fit` for arrays of another library; the weights of its rows."""
    estimator._check_parameters()
    there = features(X)
    estimator.classes_, found, weights = coded(estimator, y, sample_weight, there)
    k = int(estimator.classes_.shape[0])
    loss = Softmax() if k > 2 else Logistic()
    fit(estimator, there, found, weights, loss, outputs=k if k > 2 else 1)
    return doubles(weights)


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
