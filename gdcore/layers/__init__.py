"""Layers of networks: `y, backward = layer(theta, x)`."""

from gdcore.layers.base import Layer, Part, named
from gdcore.layers.convolution import Conv2D, MaxPool2D, MeanPool2D
from gdcore.layers.dense import Activation, Dense, Flatten, Reshape
from gdcore.layers.embedding import Embedding
from gdcore.layers.normalization import BatchNorm, Dropout, LayerNorm
from gdcore.layers.sequential import Sequential, layer
from gdcore.layers.transformer import Transformer

__all__ = [
    "Activation",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Layer",
    "LayerNorm",
    "MaxPool2D",
    "MeanPool2D",
    "Part",
    "Reshape",
    "Sequential",
    "Transformer",
    "layer",
    "named",
]
