"""The dense layer, y = act(xW + b), and what has no parameters: an activation, Flatten."""

import math
from dataclasses import dataclass

import numpy as np

from gdcore._typing import Array
from gdcore.errors import require, require_choice, require_number
from gdcore.layers.activations import (
    ACTIVATIONS,
    activate,
    require_weighted,
    weighted_parts,
)
from gdcore.layers.base import Answer, Gradient, Layer, Part, Scope
from gdcore.layers.initializers import Shape, Start


@dataclass(frozen=True)
class Dense(Layer):
    """Every output sees every input: y = act(xW + b), bias and activation in one pass.

    Shapes: x (n, p), W (p, units), b (units,), y (n, units).

    Parameters
    ----------
    units : int
    activation : "linear", "relu", "leaky_relu" (slope 0.01), "tanh", "sigmoid", "gelu" (exact),
        "gelu_tanh", "silu" or "softplus"
    bias : bool
    init : str or callable (rng, shape) → array
        Of W: "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "orthogonal", "normal",
        "zeros"; "auto" is He for the rectified kind and Glorot for the others. b starts at zero.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> layer = gd.layers.Dense(2, init="ones")
    >>> layer(layer.scope((3,)), np.array([[1.0, 2.0, 3.0]]))[0]
    array([[6., 6.]])
    """

    units: int
    activation: str = "linear"
    bias: bool = True
    init: Start = "auto"

    def __post_init__(self) -> None:
        require_number("units", self.units, low=1, whole=True)
        require_weighted(self)

    def parts(self, shape: Shape) -> dict[str, Part]:
        """weight (p, units) and bias (units,)."""
        require(
            len(shape) == 1,
            f"Dense takes rows of numbers, got inputs of shape {shape}. Put a Flatten before it.",
        )
        return weighted_parts(self, shape[0], self.units)

    def output(self, shape: Shape) -> Shape:
        """(units,)."""
        return (self.units,)

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(act(xW + b), backward)."""
        weight = theta["weight"]
        y = theta.buffer("y", (len(x), self.units))
        theta.matmul(x, weight, y)
        through = activate(theta, self.activation, y, self.bias)

        def backward(dy: Array, g: Gradient) -> Array | None:
            dz = through(dy, g)
            g.product("weight", x, dz)
            if not theta.wants_dx:
                return None
            return theta.matmul(dz, weight.T, theta.buffer("dx", x.shape))

        return y, backward


@dataclass(frozen=True)
class Activation(Layer):
    """An activation alone, element by element: y = act(x).

    Parameters
    ----------
    name : one of those of `Dense`

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> layer = gd.layers.Activation("relu")
    >>> layer(layer.scope((2,)), np.array([[-1.0, 2.0]]))[0]
    array([[0., 2.]])
    """

    name: str = "relu"

    def __post_init__(self) -> None:
        require_choice("name", self.name, list(ACTIVATIONS))

    def parts(self, shape: Shape) -> dict[str, Part]:
        """None."""
        return {}

    def output(self, shape: Shape) -> Shape:
        """As it came."""
        return shape

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(act(x), backward)."""
        y = theta.buffer("y", x.shape)
        np.copyto(y, x)
        through = activate(theta, self.name, y, biased=False)

        def backward(dy: Array, g: Gradient) -> Array | None:
            through(dy, g)
            return dy

        return y, backward


@dataclass(frozen=True)
class Flatten(Layer):
    """Every example as one row of numbers.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> layer = gd.layers.Flatten()
    >>> layer(layer.scope((2, 3)), np.ones((4, 2, 3)))[0].shape
    (4, 6)
    """

    def parts(self, shape: Shape) -> dict[str, Part]:
        """None."""
        return {}

    def output(self, shape: Shape) -> Shape:
        """(product of the axes,)."""
        return (math.prod(shape),)

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(x as (n, …), backward)."""
        return x.reshape(len(x), -1), lambda dy, g: dy.reshape(x.shape)


@dataclass(frozen=True)
class Reshape(Layer):
    """Every example in another shape, as a row of pixels as an image.

    Parameters
    ----------
    shape : tuple of int
        Of one example.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> layer = gd.layers.Reshape((8, 8, 1))
    >>> layer(layer.scope((64,)), np.ones((4, 64)))[0].shape
    (4, 8, 8, 1)
    """

    shape: Shape

    def __post_init__(self) -> None:
        require(
            isinstance(self.shape, (tuple, list)),
            f"shape must be a tuple of whole numbers, got {self.shape!r}. Pass one.",
        )
        for extent in self.shape:
            require_number("shape", extent, low=1, whole=True)

    def parts(self, shape: Shape) -> dict[str, Part]:
        """None."""
        self.output(shape)
        return {}

    def output(self, shape: Shape) -> Shape:
        """The shape asked for."""
        require(
            math.prod(shape) == math.prod(self.shape),
            f"Reshape to {self.shape} gets inputs of shape {shape}, which hold another number of "
            "numbers. Pass a shape of as many.",
        )
        return tuple(self.shape)

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(x as (n, *shape), backward)."""
        return x.reshape(len(x), *self.shape), lambda dy, g: dy.reshape(x.shape)
