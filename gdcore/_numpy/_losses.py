"""Losses of the linear family: margins z (n, k), targets y (n,) to losses (n,), slopes (n, k)."""

import numpy as np


def squared(z, y):
    """ℓ = ½(z − y)², dℓ/dz = z − y."""
    r = z[:, 0] - y
    return 0.5 * r * r, r[:, None]


def logistic(z, y):
    """ℓ = log(1 + eᶻ) − yz, dℓ/dz = (1 − y)σ(z) − yσ(−z): no cancellation at either end."""
    z = z[:, 0]
    e = np.exp(-np.abs(z))
    q = 1 / (1 + e)
    up, down = np.where(z >= 0, q, e * q), np.where(z >= 0, e * q, q)
    return np.maximum(z, 0) - y * z + np.log1p(e), ((1 - y) * up - y * down)[:, None]


def softmax(z, y):
    """ℓ = log Σ eᶻ − z_y, dℓ/dz = softmax(z) − [j = y]."""
    own = np.arange(len(z)), y.astype(np.intp)
    most = z.max(axis=1)
    loss = most - z[own]
    e = np.exp(z - most[:, None])
    total = e.sum(axis=1)
    r = e / total[:, None]
    r[own] -= 1
    return loss + np.log(total), r
