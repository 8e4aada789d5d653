"""Losses of the linear family: margins z (n, k), targets y (n,) to losses (n,), slopes (n, k).

`shape` is Huber's δ or the quantile; `smooth` the width over which the corners of the hinge and the
quantile loss are rounded, zero for none.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from gdcore._typing import Array

Loss: TypeAlias = Callable[..., tuple[Array, Array]]  # (z, y, shape, smooth) to (losses, slopes)

TINY = 1e-300  # a width that is zero to every margin but its own corner


def squared(z: Array, y: Array, shape: float = 0.0, smooth: float = 0.0) -> tuple[Array, Array]:
    """ℓ = ½(z − y)², dℓ/dz = z − y."""
    r = z[:, 0] - y
    return 0.5 * r * r, r[:, None]


def logistic(z: Array, y: Array, shape: float = 0.0, smooth: float = 0.0) -> tuple[Array, Array]:
    """ℓ = log(1 + eᶻ) − yz, dℓ/dz = (1 − y)σ(z) − yσ(−z): no cancellation at either end."""
    z = z[:, 0]
    e = np.exp(-np.abs(z))
    q = 1 / (1 + e)
    up, down = np.where(z >= 0, q, e * q), np.where(z >= 0, e * q, q)
    return np.maximum(z, 0) - y * z + np.log1p(e), ((1 - y) * up - y * down)[:, None]


def softmax(z: Array, y: Array, shape: float = 0.0, smooth: float = 0.0) -> tuple[Array, Array]:
    """ℓ = log Σ eᶻ − z_y, dℓ/dz = softmax(z) − [j = y]."""
    own = np.arange(len(z)), y.astype(np.intp)
    most = z.max(axis=1)
    loss = most - z[own]
    e = np.exp(z - most[:, None])
    total = e.sum(axis=1)
    r = e / total[:, None]
    r[own] -= 1
    return loss + np.log(total), r


def huber(z: Array, y: Array, shape: float = 0.0, smooth: float = 0.0) -> tuple[Array, Array]:
    """ℓ = ½u² up to |u| = δ and δ(|u| − ½δ) beyond, u = z − y; dℓ/dz = u held within ±δ."""
    u = z[:, 0] - y
    r = np.clip(u, -shape, shape)
    return r * (u - 0.5 * r), r[:, None]


def quantile(z: Array, y: Array, shape: float = 0.0, smooth: float = 0.0) -> tuple[Array, Array]:
    """ℓ = (1 − q)u for u = z − y > 0 and −qu below, rounded over `smooth`; slopes −q … 1 − q."""
    u = z[:, 0] - y
    r = np.clip(u / max(smooth, TINY), -shape, 1 - shape)
    return r * (u - 0.5 * smooth * r), r[:, None]


def poisson(z: Array, y: Array, shape: float = 0.0, smooth: float = 0.0) -> tuple[Array, Array]:
    """ℓ = eᶻ − yz − (y − y log y), half the deviance; dℓ/dz = eᶻ − y."""
    z = z[:, 0]
    mean = np.exp(np.clip(z, -708, 708))
    log = np.log(np.where(y > 0, y, 1))
    return (mean - y) - y * (z - log), (mean - y)[:, None]


def gamma(z: Array, y: Array, shape: float = 0.0, smooth: float = 0.0) -> tuple[Array, Array]:
    """ℓ = z + ye⁻ᶻ − (1 + log y), half the deviance; dℓ/dz = 1 − ye⁻ᶻ."""
    z = z[:, 0]
    ratio = y * np.exp(np.clip(-z, -708, 708))
    return (ratio - 1) + (z - np.log(y)), (1 - ratio)[:, None]


def hinge(z: Array, y: Array, shape: float = 0.0, smooth: float = 0.0) -> tuple[Array, Array]:
    """ℓ = max(0, 1 − tz) for t = ±1 (y = 1 or 0), rounded over `smooth`; slopes −t … 0."""
    t = np.where(y > 0.5, 1.0, -1.0)
    u = 1 - t * z[:, 0]
    r = np.clip(u / max(smooth, TINY), 0, 1)
    return r * (u - 0.5 * smooth * r), (-t * r)[:, None]


def squared_hinge(
    z: Array, y: Array, shape: float = 0.0, smooth: float = 0.0
) -> tuple[Array, Array]:
    """ℓ = ½max(0, 1 − tz)² for t = ±1 (y = 1 or 0); dℓ/dz = −t·max(0, 1 − tz)."""
    t = np.where(y > 0.5, 1.0, -1.0)
    u = np.maximum(1 - t * z[:, 0], 0)
    return 0.5 * u * u, (-t * u)[:, None]


LOSSES: dict[str, Loss] = {
    loss.__name__: loss
    for loss in (
        squared, logistic, softmax, huber, quantile, poisson, gamma, hinge, squared_hinge,
    )
}  # fmt: skip


def loss_named(name: str) -> Loss:
    """The loss of that name."""
    if not isinstance(name, str):
        raise TypeError(f"loss must be a name, got {type(name).__name__}. Pass one as 'squared'.")
    if name not in LOSSES:
        raise ValueError(
            f"loss must be one of {', '.join(LOSSES)}, got {name!r}. Pass one of them."
        )
    return LOSSES[name]
