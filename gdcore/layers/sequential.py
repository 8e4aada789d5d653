"""Layers one after another, and a user's own function as a layer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcore._typing import Array, computed
from gdcore.errors import require
from gdcore.layers.base import Answer, Gradient, Layer, Part, Scope
from gdcore.layers.initializers import Shape


@dataclass(frozen=True)
class Sequential(Layer):
    """Layers one after another; itself a layer.

    Parameters
    ----------
    *layers : layers, or functions `f(theta, x) → (y, backward)` without parameters

    Example
    -------
    >>> import gdcore as gd
    >>> net = gd.layers.Sequential(gd.layers.Dense(8, "relu"), gd.layers.Dense(3))
    >>> net.output((4,)), list(dict(gd.layers.named(net, (4,))))
    ((3,), ['0.weight', '0.bias', '1.weight', '1.bias'])
    """

    layers: tuple[Layer, ...]

    def __init__(self, *layers: Any) -> None:
        given = layers[0] if len(layers) == 1 and isinstance(layers[0], (list, tuple)) else layers
        object.__setattr__(self, "layers", tuple(map(as_layer, given)))
        require(self.layers, "Sequential needs at least one layer. Pass some, as Dense(10).")

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"

    @computed
    def whole_batch(self) -> bool:
        """True as soon as one of the layers needs all rows of a batch."""
        return any(layer.whole_batch for layer in self.layers)

    @computed
    def random(self) -> bool:
        """True as soon as one of the layers is."""
        return any(layer.random for layer in self.layers)

    def parts(self, shape: Shape) -> dict[str, Part]:
        """None of its own."""
        return {}

    def inside(self, shape: Shape) -> list[tuple[Layer, Shape]]:
        """Each layer with the shape that reaches it."""
        pairs = []
        for layer in self.layers:
            pairs.append((layer, shape))
            shape = layer.output(shape)
        return pairs

    def output(self, shape: Shape) -> Shape:
        """That of the last layer."""
        for layer in self.layers:
            shape = layer.output(shape)
        return shape

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(y of the last layer, backward through all of them)."""
        way_back = []
        for layer, inner in zip(self.layers, theta.children, strict=True):
            x, back = layer(inner, x)
            way_back.append(back)

        def backward(dy: Any, g: Gradient) -> Any:
            for step, inner in zip(reversed(way_back), reversed(g.children), strict=True):
                dy = step(dy, inner)
            return dy

        return x, backward


@dataclass(frozen=True)
class FunctionLayer(Layer):
    """A function `f(theta, x) → (y, backward)` with named parameters; made by `layer`."""

    function: Callable[..., Any]
    starts: tuple[tuple[str, Callable[..., Any]], ...] = ()  # (name, callable shape → first values)

    def __repr__(self) -> str:
        return self.function.__name__

    def parts(self, shape: Shape) -> dict[str, Part]:
        """As the starts give them."""
        return {name: _part(name, start, shape) for name, start in self.starts}

    def output(self, shape: Shape) -> Shape:
        """What the function makes of two rows of zeros."""
        y, _ = self.function(self.scope(shape, rng=0), np.zeros((2, *shape)))
        return tuple(y.shape[1:])

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """The function's own answer."""
        answer: Answer = self.function(theta, x)
        return answer


def _part(name: str, start: Callable[..., Any], shape: Shape) -> Part:
    first = np.asarray(start(*shape), dtype=np.float64)
    return Part(first.shape, lambda rng, its: first)


def layer(**starts: Callable[..., Any]) -> Callable[[Callable[..., Any]], FunctionLayer]:
    """Make a layer of a function: its parameters by name, each with its first values.

    Parameters
    ----------
    **starts : callables (*shape of one input) → array

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> @gd.layers.layer(scale=lambda p: np.ones(p))
    ... def rescale(theta, x):
    ...     y = theta["scale"] * x
    ...     def backward(dy, g):
    ...         g["scale"] += (dy * x).sum(axis=0)
    ...         return theta["scale"] * dy
    ...     return y, backward
    >>> gd.layers.Sequential(gd.layers.Dense(8, "relu"), rescale).output((4,))
    (8,)
    """
    for name, start in starts.items():
        require(
            callable(start), f"{name} must be a callable of the shape, got {start!r}. Pass one."
        )
    return lambda function: FunctionLayer(function, tuple(starts.items()))


def as_layer(given: Any) -> Layer:
    """A layer, or a plain function as one without parameters."""
    if isinstance(given, Layer):
        return given
    if callable(given) and not isinstance(given, type):
        return FunctionLayer(given)
    raise TypeError(
        f"Sequential takes layers and functions, got {given!r}. Pass instances, as Dense(10)."
    )
