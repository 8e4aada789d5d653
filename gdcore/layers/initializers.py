"""How parameters start: Glorot, He, orthogonal, normal, constants."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from gdcore._typing import Array, Generator
from gdcore.errors import require_choice

__all__ = ["INITIALIZERS", "initializer"]

Shape: TypeAlias = tuple[int, ...]
Start: TypeAlias = str | Callable[[Generator, Shape], Any]  # a name, or a function


def glorot_uniform(rng: Generator, shape: Shape) -> Array:
    """U(−a, a), a = √(6/(fan in + fan out)), for tanh and linear units (Glorot & Bengio, 2010)."""
    limit = math.sqrt(6 / (shape[0] + shape[-1]))
    return rng.uniform(-limit, limit, shape)


def glorot_normal(rng: Generator, shape: Shape) -> Array:
    """N(0, 2/(fan in + fan out)) (Glorot & Bengio, 2010)."""
    return rng.normal(0, math.sqrt(2 / (shape[0] + shape[-1])), shape)


def he_uniform(rng: Generator, shape: Shape) -> Array:
    """U(−a, a) with a = √(6/fan in), for rectified units (He et al., 2015)."""
    limit = math.sqrt(6 / shape[0])
    return rng.uniform(-limit, limit, shape)


def he_normal(rng: Generator, shape: Shape) -> Array:
    """N(0, 2/fan in), for rectified units (He et al., 2015)."""
    return rng.normal(0, math.sqrt(2 / shape[0]), shape)


def orthogonal(rng: Generator, shape: Shape) -> Array:
    """Orthonormal rows or columns, whichever are fewer (Saxe et al., 2014)."""
    tall = max(shape), min(shape)
    q, r = np.linalg.qr(rng.standard_normal(tall))
    q *= np.sign(np.diag(r))  # or q would not be uniform over the orthogonal matrices
    return q if shape == tall else q.T


def normal(rng: Generator, shape: Shape, deviation: float = 0.02) -> Array:
    """N(0, 0.02²), as in GPT-2 (Radford et al., 2019)."""
    return rng.normal(0, deviation, shape)


def zeros(rng: Generator, shape: Shape) -> Array:
    """0."""
    return np.zeros(shape)


def ones(rng: Generator, shape: Shape) -> Array:
    """1."""
    return np.ones(shape)


INITIALIZERS = {
    start.__name__: start
    for start in (
        glorot_uniform, glorot_normal, he_uniform, he_normal, orthogonal, normal, zeros, ones,
    )
}  # fmt: skip


def initializer(start: Start) -> Callable[..., Any]:
    """The callable (rng, shape) → array behind a name or a callable."""
    if callable(start):
        return start
    require_choice("init", start, list(INITIALIZERS))
    return INITIALIZERS[start]
