"""Losses of classification: the sign of a margin, or the largest of several, is the class."""

import math
from dataclasses import dataclass

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.errors import as_plain, require_number
from gdcore.losses.base import Corners, Loss, entropy

__all__ = ["Hinge", "Logistic", "Softmax", "SquaredHinge"]


@dataclass(frozen=True)
class Logistic(Loss):
    """Log-loss of two classes, ℓ = log(1 + eᶻ) − yz with y in [0, 1] (Cox, 1958).

    Slope σ(z) − y, curvature at most ¼.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> gd.losses.Logistic().slope(np.array([[0.0]]), np.array([1.0]))
    array([[-0.5]])
    """

    name = "logistic"
    curvature = 0.25
    concordance = 1.0

    def bend(self, z: Array, y: Array) -> Array:
        """σ(z)·σ(−z)."""
        e = np.exp(-np.abs(z))
        bend: Array = e / (1 + e) ** 2
        return bend

    def conjugate(self, r: Array, y: Array) -> Array:
        """u log u + (1 − u) log(1 − u) for u = r + y in [0, 1]."""
        u = np.clip(r[:, 0] + y, 0, 1)
        return entropy(u) + entropy(1 - u)

    def mean(self, z: Array) -> Array:
        """P(y = 1 | z) = σ(z)."""
        out = np.empty(len(z), z.dtype)
        kernels.sigmoid(np.ascontiguousarray(z[:, 0]), out)
        return out

    def constant(self, y: Array, weights: Array, k: int) -> Array:
        """The constant margin of lowest loss: the log-odds, held to ±20."""
        share = np.clip(np.average(y, weights=weights), 2e-9, 1 - 2e-9)
        return np.array([np.log(share / (1 - share))])


@dataclass(frozen=True)
class Softmax(Loss):
    """Cross-entropy of k classes, ℓ = log Σ eᶻ − z_y with y a class number (Bridle, 1990).

    Slope softmax(z) − [j = y], curvature at most ½.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> gd.losses.Softmax().value(np.zeros((1, 2)), np.array([0.0])).round(3)
    array([0.693])
    """

    name = "softmax"
    curvature = 0.5
    concordance = math.sqrt(2)  # a variable's third cumulant is at most its range times its second

    def bend(self, z: Array, y: Array) -> Array:
        """p(1 − p), the diagonal of the curvature diag(p) − ppᵀ."""
        p = self.mean(z)
        bend: Array = p * (1 - p)
        return bend

    def conjugate(self, r: Array, y: Array) -> Array:
        """Σ u log u for u = r + [j = y] on the simplex."""
        u = r.copy()
        u[np.arange(len(u)), y.astype(np.intp)] += 1
        found: Array = entropy(np.clip(u, 0, 1)).sum(axis=1)
        return found

    def mean(self, z: Array) -> Array:
        """P(y = j | z), shape (n, k)."""
        out = np.empty_like(z, order="C")
        kernels.softmax(np.ascontiguousarray(z), out)
        return out

    def constant(self, y: Array, weights: Array, k: int) -> Array:
        """The constant margins of lowest loss that sum to zero: centred log-shares."""
        mass = np.bincount(y.astype(np.intp), weights, minlength=k)
        log_share: Array = np.log(np.maximum(mass / mass.sum(), 2e-9))
        log_share -= log_share.mean()
        return log_share


@dataclass(frozen=True)
class Hinge(Corners):
    """The support vector machine's loss, ℓ = max(0, 1 − tz), t = ±1 for y = 1 and 0.

    Slope −t where tz < 1 (Cortes & Vapnik, 1995). `smooth` rounds the corner over that width.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> gd.losses.Hinge().value(np.array([[0.5], [-1.0]]), np.array([1.0, 1.0]))
    array([0.5, 2. ])
    """

    smooth: float = 0.0

    name = "hinge"

    def __post_init__(self) -> None:
        require_number("smooth", as_plain(self, "smooth"), low=0)

    def _inside(self, r: Array) -> Array:
        return (np.abs(r) > 0) & (np.abs(r) < 1)

    def conjugate(self, r: Array, y: Array) -> Array:
        """−|r| for slopes between −t and 0."""
        return -np.abs(r[:, 0])

    def constant(self, y: Array, weights: Array, k: int) -> Array:
        """0, from where both classes pull."""
        return np.zeros(1)

    def typical_curvature(self, y: Array, weights: Array) -> float:
        """1: margins are to move by about one."""
        return 1 / self.smooth if self.smooth else 1.0


@dataclass(frozen=True)
class SquaredHinge(Loss):
    """Half the squared hinge, ℓ = ½max(0, 1 − tz)², t = ±1 for y = 1 and 0.

    Slope −t·max(0, 1 − tz), curvature 1 where tz < 1.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> gd.losses.SquaredHinge().value(np.array([[0.0]]), np.array([0.0]))
    array([0.5])
    """

    name = "squared_hinge"
    curvature = 1.0

    def bend(self, z: Array, y: Array) -> Array:
        """1 where tz < 1."""
        return (_signs(y)[:, None] * z < 1).astype(float)

    def conjugate(self, r: Array, y: Array) -> Array:
        """½r² − |r|."""
        size = np.abs(r[:, 0])
        return size * (0.5 * size - 1)

    def constant(self, y: Array, weights: Array, k: int) -> Array:
        """The mean of ±1, where every row has tz < 1."""
        return np.array([np.average(_signs(y), weights=weights)])


def _signs(y: Array) -> Array:
    return np.where(y > 0.5, 1.0, -1.0)
