"""Fits of networks to arrays of other libraries, on the device where these are."""

import copy
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.data import Rows
from gdcore.devices import DeviceArray, is_foreign, to_host
from gdcore.errors import require
from gdcore.glimpse import Glimpse
from gdcore.losses import Logistic, Softmax, Squared
from gdcore.models.network import Network, require_outputs
from gdcore.models.network_device import DeviceNetworkCost, chain_of, outputs
from gdcore.models.on_device import (
    There,
    coded,
    features,
    fitting,
    precision,
    real_targets,
    refuse_host,
    survey,
    weights_of,
)
from gdcore.models.training import inverted
from gdcore.parameters import Parameters


def _checked(estimator: Any, X: Any, validation: Any) -> There:
    """X where it is, of a fit that needs nothing of the host's."""
    estimator._check_parameters()
    refuse_host(estimator)
    require(
        validation is None, "validation needs arrays of NumPy's. Pass X as one, or leave it out."
    )
    return features(X)


def fit_classes(estimator: Any, X: Any, y: Any, sample_weight: Any, validation: Any) -> None:
    """`MLPClassifier.fit` for arrays of another library."""
    there = _checked(estimator, X, validation)
    found, weights, k = coded(estimator, y, sample_weight, there)
    estimator._several = False
    loss: Any = Softmax() if k > 2 else Logistic()
    _fit(estimator, there, found, weights, loss, outputs_=k if k > 2 else 1)


def fit_regression(estimator: Any, X: Any, y: Any, sample_weight: Any, validation: Any) -> None:
    """`MLPRegressor.fit` for arrays of another library."""
    there = _checked(estimator, X, validation)
    y_, weights = real_targets(y, there), weights_of(sample_weight, there)
    mean = float(np.average(y_, weights=weights))
    wide = float(np.average((y_ - mean) ** 2, weights=weights)) ** 0.5 or 1.0
    estimator.target_mean_, estimator.target_scale_ = np.array([mean]), np.array([wide])
    estimator._vector = True
    _fit(estimator, there, (y_ - mean) / wide, weights, Squared(), outputs_=1)


def _fit(estimator: Any, X: There, y: There, weights: There, loss: Any, outputs_: int) -> None:
    require(
        isinstance(estimator.loss, str),
        "A loss of your own needs arrays of NumPy's. Pass X as one.",
    )
    rng, n, mass = estimator._generator(), len(X), float(weights.sum())
    estimator._glimpse = Glimpse()
    rows = Rows(X, y, weights / (mass / n))
    network = Network(estimator._layers(outputs_), X.shape[1:], loss)
    require_outputs(network, outputs_)
    chain_of(network)
    kind = min(estimator._precision(n), precision(X), key=lambda each: np.dtype(each).itemsize)
    scaling = None
    if estimator.standardize:
        about = survey(rows, mass)
        scaling = inverted(about.mean, about.deviation, kind)
    typed = Rows(X, y.astype(kind, copy=False), rows.weights.astype(kind, copy=False))

    def make(full: bool, seed: int) -> tuple[DeviceNetworkCost, None]:
        cost = DeviceNetworkCost(network, typed, alpha=estimator.alpha, scaling=scaling, full=full)
        return cost, None

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
    """ŷ (n,), as an array of X's library."""
    z = margins(estimator, X)[:, 0]
    y = z * float(estimator.target_scale_[0]) + float(estimator.target_mean_[0])
    found: Array = y.array
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
