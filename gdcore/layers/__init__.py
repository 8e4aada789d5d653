"""Layers of networks: `y, backward = layer(theta, x)`."""

from gdcore.layers.base import Layer, Part, named
from gdcore.layers.dense import Activation, Dense, Flatten
from gdcore.layers.sequential import Sequential, layer

__all__ = ["Activation", "Dense", "Flatten", "Layer", "Part", "Sequential", "layer", "named"]
