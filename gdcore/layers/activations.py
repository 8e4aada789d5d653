"""Which activations there are, and what layers with weights and one of them share."""

from collections.abc import Callable
from typing import Any

from gdcore import kernels
from gdcore._numpy.activations import KINDS
from gdcore._typing import Array
from gdcore.errors import require_choice
from gdcore.layers.base import Gradient, Part, Scope
from gdcore.layers.initializers import initializer

# name: the initializer for the weights before it; the kernels' codes are places in this order
ACTIVATIONS = {
    "linear": "glorot_uniform",
    "relu": "he_uniform",
    "leaky_relu": "he_uniform",
    "tanh": "glorot_uniform",
    "sigmoid": "glorot_uniform",
    "gelu": "he_uniform",
    "gelu_tanh": "he_uniform",
    "silu": "he_uniform",
    "softplus": "glorot_uniform",
}
# Of some the slope cannot be told from the value: it is kept from the forward pass.
KEEPS_SLOPE = {name: from_value is None for name, (_, from_value) in KINDS.items()}


def require_weighted(layer: Any) -> None:
    """Refuse an unknown activation or initializer."""
    require_choice("activation", layer.activation, list(ACTIVATIONS))
    if layer.init != "auto":
        initializer(layer.init)


def weighted_parts(layer: Any, inputs: int, units: int) -> dict[str, Part]:
    """weight (inputs, units), and bias (units,) where the layer has one."""
    start = ACTIVATIONS[layer.activation] if layer.init == "auto" else layer.init
    parts = {"weight": Part((inputs, units), start)}
    return parts | ({"bias": Part((units,), "zeros")} if layer.bias else {})


def activate(theta: Scope, name: str, y: Array, biased: bool) -> Callable[[Array, Gradient], Array]:
    """y (n, …, k) becomes act(y + bias); returns backward(dy, g), which does the same to dy."""
    rows = y if y.ndim == 2 else y.reshape(-1, y.shape[-1])
    bias = theta["bias"] if biased else theta.buffer("none", (0,))
    slope = theta.buffer("slope", y.shape if KEEPS_SLOPE[name] else (0, 0))
    slope = slope if slope.ndim == 2 else slope.reshape(rows.shape)
    kernels.activate(name, rows, bias, slope)

    def backward(dy: Array, g: Gradient) -> Array:
        dz = dy if dy.ndim == 2 else dy.reshape(rows.shape)
        kernels.activate_backward(name, rows, slope, dz, g["bias"] if biased else bias)
        return dz

    return backward
