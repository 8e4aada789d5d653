"""A fitted network in plain arrays and JSON: what `save` writes and `load` checks."""

import dataclasses
import math
from typing import Any

import numpy as np

from gdcore import layers
from gdcore._typing import Array
from gdcore.errors import require
from gdcore.layers import Sequential
from gdcore.losses import Squared
from gdcore.models.network import HEADS, Network
from gdcore.parameters import Parameters

KINDS = (
    "Activation", "BatchNorm", "Conv2D", "Dense", "Dropout", "Embedding", "Flatten", "LayerNorm",
    "MaxPool2D", "MeanPool2D", "Reshape", "Sequential",
)  # fmt: skip
LOSSES = {kind.__name__: kind for kind in HEADS}


def describe(layer: Any) -> list[Any]:
    """[class, fields] of a layer; a Sequential's only field is the list of its layers."""
    kind = type(layer).__name__
    if kind not in KINDS or type(layer) is not getattr(layers, kind):
        raise TypeError(
            f"{layer!r} is a layer of your own, whose code no file keeps. "
            "Keep its numbers with gd.save_weights."
        )
    if kind == "Sequential":
        return [kind, [describe(each) for each in layer.layers]]
    fields = {field.name: getattr(layer, field.name) for field in dataclasses.fields(layer)}
    if callable(fields.get("init")):
        fields["init"] = "auto"  # it matters to a fresh start alone
    return [kind, fields]


def rebuild(description: Any) -> Any:
    """The layer that was described; nothing but the classes of KINDS is ever made."""
    whole = isinstance(description, list) and len(description) == 2
    require(whole and description[0] in KINDS, f"it describes no layer: {description!r}")
    kind, fields = description
    if kind == "Sequential":
        require(isinstance(fields, list), "its Sequential is no list")
        return Sequential(*map(rebuild, fields))
    require(isinstance(fields, dict), f"its {kind} has no fields")
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return getattr(layers, kind)(**fields)


def pack(estimator: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """(header, arrays) of a fitted network estimator."""
    network, theta = estimator.network_, estimator.theta_.vector
    loss = type(network.loss).__name__
    arrays = {"theta": theta}
    if estimator.scaling_ is not None:
        arrays["shift"], arrays["inverse"] = estimator.scaling_
    if hasattr(estimator, "target_mean_"):
        arrays["target_mean"] = estimator.target_mean_
        arrays["target_scale"] = estimator.target_scale_
    header = {
        "layers": describe(network.layers),
        "shape": list(network.shape),
        "loss": loss if LOSSES.get(loss) is type(network.loss) else None,
        "several": bool(getattr(estimator, "_several", False)),
        "vector": bool(getattr(estimator, "_vector", False)),
        "loss_value": float(estimator.loss_),
    }
    return header, arrays


def unpack(estimator: Any, header: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Give an estimator what `pack` took; every part is checked."""
    shape: Any = header.get("shape")
    p = estimator.n_features_in_
    sizes = isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape)
    require(sizes and math.prod(shape) == p, f"its shape {shape!r} does not hold {p} features")
    loss: Any = header.get("loss")
    require(loss is None or loss in LOSSES, f"its loss {loss!r} is unknown")
    network = Network(rebuild(header.get("layers")), shape, LOSSES.get(loss, Squared)())
    theta = real(arrays, "theta", (network.size,))
    estimator.network_, estimator.theta_ = network, Parameters(network.shapes(), theta)
    estimator.scaling_ = None
    if "shift" in arrays or "inverse" in arrays:
        estimator.scaling_ = real(arrays, "shift", (p,)), real(arrays, "inverse", (p,))
    if "target_mean" in arrays:
        k = (network.outputs,)
        estimator.target_mean_ = real(arrays, "target_mean", k)
        estimator.target_scale_ = real(arrays, "target_scale", k)
        estimator._vector = header.get("vector") is True
    else:
        estimator._several = header.get("several") is True
        classes = len(estimator.classes_)
        one_logit = classes == 2 and network.outputs == 1 and not estimator._several
        require(network.outputs == classes or one_logit, "its layers and its classes do not fit")
    estimator.loss_ = float(header.get("loss_value", math.nan))


def real(arrays: dict[str, Array], name: str, shape: tuple[int, ...]) -> Array:
    """An array of the file, of finite numbers and this shape."""
    require(name in arrays, f"it lacks {name!r}")
    array = arrays[name]
    right = array.dtype.kind == "f" and array.dtype.itemsize in (4, 8)
    require(right, f"its {name!r} has dtype {array.dtype}, not float32 or float64")
    require(array.shape == shape, f"its {name!r} has shape {array.shape} in place of {shape}")
    require(bool(np.isfinite(array).all()), f"its {name!r} holds NaN or infinity")
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))
