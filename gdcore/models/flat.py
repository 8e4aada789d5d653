"""Layers whose parameters lie in one vector, by name."""

import math

import numpy as np

from gdcore.layers.base import Context, Scope, named
from gdcore.layers.initializers import initializer
from gdcore.parameters import Parameters, aligned

LEAST_WORK = 1 << 24  # multiplications below which handing them to a thread costs more


class Flat:
    """A layer, the shape of one of its inputs, and how its parameters lie in one vector."""

    def __init__(self, layers, shape):
        self.layers, self.shape = layers, tuple(shape)
        self._parts = dict(named(self.layers, self.shape))
        self.size = sum(math.prod(part.shape) for part in self._parts.values())

    def shapes(self):
        """{name: shape} of all parameters, in the order in which they lie."""
        return {name: part.shape for name, part in self._parts.items()}

    def init(self, rng=None, dtype=np.float32):
        """A flat θ as the layers start it."""
        rng = np.random.default_rng(rng)
        theta = aligned(self.size, dtype)
        for name, view in self.views(theta).items():
            part = self._parts[name]
            view[...] = initializer(part.start)(rng, part.shape)
        return theta

    def views(self, vector):
        """{name: view} of a vector of θ's length."""
        parameters = Parameters(self.shapes(), vector)
        return {name: parameters[name] for name in parameters}

    def scope(self, theta, context=None):
        """θ as the layers see it."""
        context = context or Context(theta.dtype)
        return Scope(self.layers, self.shape, self.views(theta), context)

    def slices(self, wanted):
        """Where in θ the parts lie for which wanted(part) is true, neighbours as one."""
        found, start = [], 0
        for part in self._parts.values():
            end = start + math.prod(part.shape)
            if wanted(part) and end > start:
                if found and found[-1].stop == start:
                    found[-1] = slice(found[-1].start, end)
                else:
                    found.append(slice(start, end))
            start = end
        return found
