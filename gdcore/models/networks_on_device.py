"""Fits of networks to arrays of other libraries, on the device where these are."""

import copy
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.data import Rows, as_held_out
from gdcore.devices import DeviceArray, is_foreign, to_host
from gdcore.errors import require
from gdcore.glimpse import Glimpse
from gdcore.losses import Logistic, Softmax, Squared
from gdcore.models.device_rows import (
    There,
    beside,
    counting,
    features,
    numbers,
    precision,
    real_targets,
    shorter,
    spread_of,
    weights_of,
)
from gdcore.models.labels import as_many, truths
from gdcore.models.network import Network, require_outputs
from gdcore.models.network_device import DeviceNetworkCost, chain_of, outputs
from gdcore.models.on_device import (
    as_decision,
    classes_of,
    coded,
    fitting,
    parted,
    refuse_host,
    shares_of,
    weighed,
)
from gdcore.models.training import inverted, require_same
from gdcore.parameters import Parameters

VALIDATION = "validation y"


def _checked(estimator: Any, X: Any) -> There:
    """X where it is, of a fit that needs nothing of the host's."""
    estimator._check_parameters()
    refuse_host(estimator)
    return features(X)


def fit_classes(estimator: Any, X: Any, y: Any, sample_weight: Any, validation: Any) -> None:
    """`MLPClassifier.fit` for arrays of another library."""
    there = _checked(estimator, X)
    shape: Any = () if y is None else getattr(y, "shape", np.shape(y))
    several = len(shape) == 2 and shape[1] > 1
    if several:
        found, weights = _labels(y, there), weights_of(sample_weight, there)
        classes = np.arange(found.shape[1])
    else:
        classes, found, weights = coded(estimator, y, sample_weight, there)
    names = to_host(classes)
    require_same(estimator, names)
    other = None
    if validation is not None:
        held, y_held = _held(validation, there)
        if several:
            codes = as_many(_labels(y_held, held, VALIDATION), found, VALIDATION)
        else:
            known = estimator._codes(to_host(y_held), len(held), names, VALIDATION)
            codes = held.like(known, precision(held))
        other = held, codes
    estimator.classes_, estimator._several = classes, several
    many = several or len(names) > 2
    loss: Any = Softmax() if many and not several else Logistic()
    rows = Rows(*counting(there, found, weights))
    _fit(estimator, rows, loss, len(names) if many else 1, other)


def fit_regression(estimator: Any, X: Any, y: Any, sample_weight: Any, validation: Any) -> None:
    """`MLPRegressor.fit` for arrays of another library."""
    there = _checked(estimator, X)
    y_, weights = numbers(y, there, several=True), weights_of(sample_weight, there)
    estimator._vector = y_.ndim == 1
    there, y_, weights = counting(there, y_, weights)
    y_ = real_targets(y_).reshape(len(there), -1)
    spread = spread_of(y_, weights, "y")
    wide = spread.deviation()
    estimator.target_mean_ = np.asarray(spread.mean)
    estimator.target_scale_ = np.where(wide > 0, wide, 1.0)
    other = None
    if validation is not None:
        held, y_held = _held(validation, there)
        given = real_targets(numbers(y_held, held, VALIDATION, several=True))
        given = given.reshape(len(held), -1)
        other = held, _scaled(estimator, as_many(given, y_, VALIDATION))
    _fit(estimator, Rows(there, _scaled(estimator, y_), weights), Squared(), y_.shape[1], other)


def _labels(y: Any, X: There, name: str = "y") -> There:
    """y (n, k), several labels a row, as zeros and ones beside X."""
    return truths(numbers(y, X, name, several=True), name)


def _held(validation: Any, X: There) -> tuple[There, Any]:
    """(X, y) of rows held out, X checked and beside that of the fit."""
    return as_held_out(
        validation, X.shape[1], None, lambda given, name: beside(given, X, name, "X")
    )


def _moments(estimator: Any, like: There) -> tuple[There, There]:
    """(mean, deviation) of the targets, beside `like`."""
    kind = like.dtype
    return like.like(estimator.target_mean_, kind), like.like(estimator.target_scale_, kind)


def _scaled(estimator: Any, y: There) -> There:
    mean, wide = _moments(estimator, y)
    scaled: There = (y - mean) / wide
    return scaled


def _fit(
    estimator: Any, given: Rows, loss: Any, outputs_: int, validation: tuple[There, There] | None
) -> None:
    require(
        isinstance(estimator.loss, str),
        "A loss of your own needs arrays of NumPy's. Pass X as one.",
    )
    X: There = given.X
    rng = estimator._generator()
    estimator._glimpse = Glimpse()
    if validation is None:
        rows, other = parted(estimator, given, rng)
    else:
        rows, other = weighed(given), Rows(*validation, np.ones(len(validation[0])))
    network = Network(estimator._layers(outputs_), X.shape[1:], loss)
    require_outputs(network, outputs_)
    chain_of(network)
    n = len(rows)
    kind = shorter(estimator._precision(n), precision(X))
    scaling = None
    if estimator.standardize:
        about = spread_of(rows.X, rows.weights)
        scaling = inverted(np.asarray(about.mean), about.deviation(), kind)
    typed = Rows(rows.X, rows.y.astype(kind, copy=False), rows.weights.astype(kind, copy=False))

    def make(full: bool, seed: int) -> tuple[DeviceNetworkCost, Any]:
        cost = DeviceNetworkCost(network, typed, alpha=estimator.alpha, scaling=scaling, full=full)
        return cost, None if other is None else cost.held_out(other)

    estimator._remember(X.shape[1], None)
    estimator._train(network, scaling, make, n, rng, kind)
    result = estimator.result_
    result["x"], result["jac"] = result.x.array, result.jac.array


def on_device(estimator: Any) -> bool:
    """Whether it was fitted to arrays of another library."""
    return isinstance(getattr(getattr(estimator, "theta_", None), "vector", None), DeviceArray)


def margins(estimator: Any, X: Any) -> There:
    """Outputs of the last layer, (n, k), where X is."""
    vector: Any = estimator.theta_.vector
    array = fitting(estimator, X, vector)
    return outputs(estimator.network_, estimator.theta_.vector, array, estimator.scaling_)


def predict_numbers(estimator: Any, X: Any) -> Array:
    """ŷ (n,) or (n, k), as an array of X's library."""
    z = margins(estimator, X)
    mean, wide = _moments(estimator, z)
    y = z * wide + mean
    found: Array = (y[:, 0] if estimator._vector else y).array
    return found


def decision(estimator: Any, X: Any) -> Array:
    """As `MLPClassifier.decision_function`, of X's library."""
    z = margins(estimator, X)
    found: Array = z.array if estimator._several else as_decision(z)
    return found


def shares(estimator: Any, X: Any) -> Array:
    """As `MLPClassifier.predict_proba`, of X's library."""
    z = margins(estimator, X)
    if not estimator._several:
        return shares_of(z)
    each: There = np.empty_like(z)
    kernels.sigmoid(z, each)
    found: Array = each.array
    return found


def predict_classes(estimator: Any, X: Any) -> Array:
    """As `MLPClassifier.predict`, of X's library."""
    z = margins(estimator, X)
    if not estimator._several:
        return classes_of(estimator, z)
    found: Array = (z > 0).astype(np.int64).array
    return found


def hosted(estimator: Any) -> Any:
    """The estimator, or a copy of it with NumPy's arrays where it was fitted on a device."""
    network = on_device(estimator)
    if not (network or is_foreign(getattr(estimator, "coef_", None))):
        return estimator
    other = copy.copy(estimator)
    if network:
        vector: Any = other.theta_.vector
        other.theta_ = Parameters(other.theta_.shapes, vector.numpy())
    for name in ("classes_",) if network else ("classes_", "coef_", "intercept_"):
        if hasattr(other, name):
            setattr(other, name, to_host(getattr(other, name)))
    return other
