"""Layers whose parameters lie in one vector, by name."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.layers.base import Context, Layer, Part, Scope, named
from gdcore.layers.initializers import initializer
from gdcore.parameters import Parameters, aligned

LEAST_WORK = 1 << 24  # multiplications below which handing them to a thread costs more


class Flat:
    """A layer, the shape of one of its inputs, and how its parameters lie in one vector."""

    def __init__(self, layers: Layer, shape: Sequence[int]) -> None:
        self.layers: Any = layers
        self.shape = tuple(shape)
        self._parts = dict(named(self.layers, self.shape))
        self.size: int = sum(math.prod(part.shape) for part in self._parts.values())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """{name: shape} of all parameters, in the order in which they lie."""
        return {name: part.shape for name, part in self._parts.items()}

    def init(self, rng: Any = None, dtype: Any = np.float32) -> Array:
        """A flat θ as the layers start it."""
        rng = np.random.default_rng(rng)
        theta = aligned(self.size, dtype)
        for name, view in self.views(theta).items():
            part = self._parts[name]
            view[...] = initializer(part.start)(rng, part.shape)
        return theta

    def views(self, vector: Array) -> dict[str, Array]:
        """{name: view} of a vector of θ's length."""
        parameters = Parameters(self.shapes(), vector)
        return {name: parameters[name] for name in parameters}

    def scope(self, theta: Array, context: Context | None = None) -> Scope:
        """θ as the layers see it."""
        context = context or Context(theta.dtype)
        return Scope(self.layers, self.shape, self.views(theta), context)

    def slices(self, wanted: Callable[[Part], bool]) -> list[slice]:
        """Where in θ the parts lie for which wanted(part) is true, neighbours as one."""
        found: list[slice] = []
        start = 0
        for part in self._parts.values():
            end = start + math.prod(part.shape)
            if wanted(part) and end > start:
                if found and found[-1].stop == start:
                    found[-1] = slice(found[-1].start, end)
                else:
                    found.append(slice(start, end))
            start = end
        return found
