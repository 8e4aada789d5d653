"""Losses of regression: margins are predictions, or their logarithms."""

import math
from dataclasses import dataclass

import numpy as np

from gdcore._typing import Array, computed
from gdcore.errors import as_plain, require, require_number
from gdcore.losses.base import Corners, Loss, entropy

__all__ = ["Gamma", "Huber", "Poisson", "Quantile", "Squared"]

MANY = 1 << 17  # numbers that are sorted in one call


@dataclass(frozen=True)
class Squared(Loss):
    """Half the squared error, ℓ = ½(z − y)² (Legendre, 1805).

    Slope z − y, curvature 1.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> gd.losses.Squared().value(np.array([[3.0]]), np.array([1.0]))
    array([2.])
    """

    name = "squared"
    curvature = 1.0
    concordance = 0.0

    def bend(self, z: Array, y: Array) -> Array:
        """1."""
        return np.ones_like(z)

    def conjugate(self, r: Array, y: Array) -> Array:
        """½r² + ry."""
        return r[:, 0] * (0.5 * r[:, 0] + y)

    def constant(self, y: Array, weights: Array, k: int) -> Array:
        """The constant margin of lowest loss: the mean."""
        return np.array([np.average(y, weights=weights)])


@dataclass(frozen=True)
class Huber(Loss):
    """Squared error for small residuals u = z − y, linear beyond ±delta (Huber, 1964).

    ℓ = ½u² for |u| ≤ δ, else δ(|u| − ½δ); δ has the unit of y. Slope u held within ±δ, curvature
    1 inside and 0 outside.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> gd.losses.Huber(delta=1.0).value(np.array([[0.5], [3.0]]), np.zeros(2))
    array([0.125, 2.5  ])
    """

    delta: float = 1.35

    name = "huber"
    curvature = 1.0

    def __post_init__(self) -> None:
        require_number("delta", as_plain(self, "delta"), low=0, above=True)

    @computed
    def shape(self) -> float:
        """δ, for the kernels."""
        return float(self.delta)

    def bend(self, z: Array, y: Array) -> Array:
        """1 for |u| ≤ δ."""
        inside: Array = np.abs(z - y[:, None]) <= self.delta
        return inside.astype(float)

    def conjugate(self, r: Array, y: Array) -> Array:
        """½r² + ry for |r| ≤ δ."""
        return r[:, 0] * (0.5 * r[:, 0] + y)

    def constant(self, y: Array, weights: Array, k: int) -> Array:
        """The median, near the margin of lowest loss."""
        return np.array([_weighted_quantile(y, weights, 0.5)])


@dataclass(frozen=True)
class Quantile(Corners):
    """The pinball loss, whose best constant is the q-quantile (Koenker & Bassett, 1978).

    ℓ = q(y − z) for z < y and (1 − q)(z − y) above; slopes −q and 1 − q. `smooth` rounds the
    corner over that width.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> gd.losses.Quantile(q=0.9).value(np.array([[0.0], [2.0]]), np.ones(2)).round(3)
    array([0.9, 0.1])
    """

    q: float = 0.5
    smooth: float = 0.0

    name = "quantile"

    def __post_init__(self) -> None:
        require_number("q", as_plain(self, "q"), low=0, high=1)
        require(0 < self.q < 1, f"q must be above 0 and below 1, got {self.q}. Try 0.5.")
        require_number("smooth", as_plain(self, "smooth"), low=0)

    @computed
    def shape(self) -> float:
        """q, for the kernels."""
        return float(self.q)

    def _inside(self, r: Array) -> Array:
        return (r > -self.q) & (r < 1 - self.q)

    def conjugate(self, r: Array, y: Array) -> Array:
        """ry for r in [−q, 1 − q]."""
        return r[:, 0] * y

    def constant(self, y: Array, weights: Array, k: int) -> Array:
        """The q-quantile."""
        return np.array([_weighted_quantile(y, weights, self.q)])

    def typical_curvature(self, y: Array, weights: Array) -> float:
        """1/σ: slopes of ±1 are to move margins by about a deviation of the targets."""
        center = np.average(y, weights=weights)
        spread = math.sqrt(np.average((y - center) ** 2, weights=weights))
        return 1 / self.smooth if self.smooth else 1 / (spread or 1.0)


@dataclass(frozen=True)
class Poisson(Loss):
    """Half the Poisson deviance with log link, ℓ = eᶻ − yz − (y − y log y), for counts y ≥ 0.

    Slope eᶻ − y, curvature eᶻ (Nelder & Wedderburn, 1972).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> gd.losses.Poisson().value(np.log([[3.0]]), np.array([2.0])).round(3)
    array([0.189])
    """

    name = "poisson"
    concordance = 1.0

    def bend(self, z: Array, y: Array) -> Array:
        """eᶻ."""
        bend: Array = np.exp(np.clip(z, -708, 708))
        return bend

    def conjugate(self, r: Array, y: Array) -> Array:
        """(r + y) log(r + y) − (r + y) + y − y log y."""
        mean = np.maximum(r[:, 0] + y, 0)
        return entropy(mean) - entropy(y) - r[:, 0]

    def mean(self, z: Array) -> Array:
        """eᶻ."""
        mean: Array = np.exp(z[:, 0])
        return mean

    def constant(self, y: Array, weights: Array, k: int) -> Array:
        """The log of the mean."""
        return np.array([math.log(max(np.average(y, weights=weights), 1e-300))])

    def typical_curvature(self, y: Array, weights: Array) -> float:
        """The mean: the curvature at the best constant."""
        return float(np.average(y, weights=weights)) or 1.0

    def check(self, y: Array) -> None:
        """Counts are not negative."""
        require(
            bool((y >= 0).all()),
            "y has a negative number, which loss='poisson' cannot have. Pass counts or rates ≥ 0.",
        )
        require(bool(y.any()), "y is zero everywhere. loss='poisson' needs one positive count.")


@dataclass(frozen=True)
class Gamma(Loss):
    """Half the gamma deviance with log link, ℓ = z + ye⁻ᶻ − (1 + log y), for amounts y > 0.

    Slope 1 − ye⁻ᶻ, curvature ye⁻ᶻ (Nelder & Wedderburn, 1972).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> gd.losses.Gamma().slope(np.log([[2.0]]), np.array([2.0])).round(3)
    array([[0.]])
    """

    name = "gamma"
    concordance = 1.0

    def bend(self, z: Array, y: Array) -> Array:
        """ye⁻ᶻ."""
        bend: Array = y[:, None] * np.exp(np.clip(-z, -708, 708))
        return bend

    def conjugate(self, r: Array, y: Array) -> Array:
        """(1 − r) log(1 − r) + r(1 + log y)."""
        r = r[:, 0]
        found: Array = entropy(np.maximum(1 - r, 0)) + r * (1 + np.log(y))
        return found

    def mean(self, z: Array) -> Array:
        """eᶻ."""
        mean: Array = np.exp(z[:, 0])
        return mean

    def constant(self, y: Array, weights: Array, k: int) -> Array:
        """The log of the mean."""
        return np.array([math.log(np.average(y, weights=weights))])

    def typical_curvature(self, y: Array, weights: Array) -> float:
        """1: the curvature at the best constant, on average."""
        return 1.0

    def check(self, y: Array) -> None:
        """Amounts are positive."""
        require(
            bool((y > 0).all()),
            "y has a number that is not positive, unlike loss='gamma' takes. Pass amounts > 0.",
        )


def _weighted_quantile(y: Array, weights: Array, q: float) -> float:
    total, below = float(weights.sum()), 0.0
    if len(y) > MANY:
        y, weights, below = _around(y, weights, q * total)
    order = np.argsort(y, kind="stable")
    mass = below + np.cumsum(weights[order])
    at = int(np.searchsorted(mass, q * (total if below else mass[-1])))
    return float(y[order[min(at, len(y) - 1)]])


def _around(y: Array, weights: Array, wanted: float) -> tuple[Array, Array, float]:
    """(y, weights, mass below) of the rows among which the mass `wanted` is reached: no call
    sorts all of them, so that Ctrl-C is heard soon."""
    edges = np.unique(y[:: max(1, len(y) // 1024)])
    parts = [slice(a, a + MANY) for a in range(0, len(y), MANY)]
    bins = [np.searchsorted(edges, y[part]) for part in parts]
    masses = np.zeros(len(edges) + 1)
    for own, part in zip(bins, parts, strict=True):
        masses += np.bincount(own, weights[part], len(edges) + 1)
    reached = np.cumsum(masses)
    chosen = min(int(np.searchsorted(reached, wanted)), np.flatnonzero(masses)[-1])
    kept = np.concatenate(bins) == chosen
    return y[kept], weights[kept], reached[chosen] - masses[chosen]
