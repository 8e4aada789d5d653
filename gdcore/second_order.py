"""Second derivatives of a cost: the matrix, its products with vectors, its diagonal."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from gdcore import kernels
from gdcore._typing import Array

Product: TypeAlias = Callable[[Array], Array]  # v → H·v
LEAST = 1e-6  # of a loss's curvature: of what no ridge holds, where ℓ″ may vanish


def bends(cost: Any, margins: Sequence[Array]) -> list[Array]:
    """s·d²ℓ/dz² of each shard's rows (n, k)."""
    loss = cost.model.loss
    return [
        np.asarray(loss.bend(z, shard.y)) * shard.weights[:, None]
        for z, shard in zip(margins, cost.shards, strict=True)
    ]


def hessian(cost: Any, theta: Array) -> Array:
    """H (size, size) in θ's layout."""
    return with_ridge(cost, loss_hessian(cost, theta))


def with_ridge(cost: Any, H: Array) -> Array:
    """H of a cost from that of its mean loss. Changes H."""
    H[np.diag_indices_from(H)] += cost.penalty.ridge
    if getattr(cost.model.loss, "concordance", None) is None:
        bare = np.flatnonzero(cost.penalty.ridge == 0)  # rows may all lie off the curved part
        H[bare, bare] = np.maximum(H[bare, bare], LEAST * cost.bend)
    return H


def loss_hessian(cost: Any, theta: Array) -> Array:
    """That of the mean loss."""
    model, n = cost.model, len(cost)
    k, p = model.outputs, model.features
    H: Array = np.zeros((k, p + 1, k, p + 1))
    for a, b, block in _blocks(cost, cost.margins_at(theta), k, p):
        H[a, :, b, :] += block / n
        if a != b:
            H[b, :, a, :] += block.T / n
    order = np.concatenate([np.arange(k * (p + 1)).reshape(k, p + 1)[:, :p].ravel(),
                            np.arange(k) * (p + 1) + p])  # fmt: skip
    ordered: Array = H.reshape(k * (p + 1), -1)[np.ix_(order, order)]
    return ordered


def _blocks(
    cost: Any, margins: Sequence[Array], k: int, p: int
) -> Iterator[tuple[int, int, Array]]:
    """(output, output, Σ h·x̃x̃ᵀ over all rows): summed over shards in their order."""
    parts = bends(cost, margins)
    if k > 1:
        shares = [cost.model.loss.mean(z) for z in margins]
    for a in range(k):
        for b in range(a, k):
            if a == b:
                weights = [h[:, a] for h in parts]
            else:
                pairs = zip(shares, cost.shards, strict=True)
                weights = [-s[:, a] * s[:, b] * shard.weights for s, shard in pairs]
            yield a, b, weighted_moments(cost, weights)


def weighted_moments(cost: Any, weights: Sequence[Array]) -> Array:
    """Σ h·x̃x̃ᵀ over all rows, the intercept's 1 last, for weights h in the parts of the shards."""
    width = cost.model.features + 1
    rooms = np.zeros((len(cost.shards), width, width))
    work = list(zip(cost.shards, weights, rooms, strict=True))
    cost.threads.map(lambda part: cost.model.add_moments(*part), work)
    moments: Array = rooms.sum(axis=0)
    return moments


def curvature(cost: Any, theta: Array) -> tuple[Product, Array]:
    """(v → H·v at θ, roughly H's diagonal, in coordinates that are scaled alike)."""
    margins, ridge, n = cost.margins_at(theta), cost.penalty.ridge, len(cost)
    parts = bends(cost, margins)
    scale = sum(float(h.sum()) for h in parts) / (n * cost.model.outputs) + ridge
    scale[scale <= 0] = 1
    if cost.model.outputs > 1:
        return _softmax_product(cost, margins), scale
    rooms = np.empty((len(cost.shards), cost.size))

    def times(v: Array) -> Array:
        rooms[:] = 0
        work = [
            (shard, np.ascontiguousarray(h[:, 0]), out)
            for shard, h, out in zip(cost.shards, parts, rooms, strict=True)
        ]
        cost.threads.map(lambda part: cost.model.add_product(v, *part), work)
        product: Array = rooms.sum(axis=0) / n + ridge * v
        return product

    return times, scale


def _softmax_product(cost: Any, margins: Sequence[Array]) -> Product:
    shares = [cost.model.loss.mean(z) for z in margins]

    def times(v: Array) -> Array:
        def slopes(part: tuple[Any, Array]) -> Array:
            shard, share = part
            z = np.empty_like(share)
            cost.model.write_margins(v, shard, z)
            z *= share
            z -= share * z.sum(axis=1, keepdims=True)
            return z

        work = list(zip(cost.shards, shares, strict=True))
        product: Array = cost.combine(cost.threads.map(slopes, work)) + cost.penalty.ridge * v
        return product

    return times


def largest_eigenvalue(
    product: Product,
    size: int,
    rounds: int = 40,
    tolerance: float = 1e-3,
    start: Array | None = None,
) -> float:
    """That of a matrix given by its product with a vector, from below, by power iteration."""
    v = np.random.default_rng(0).standard_normal(size) if start is None else start
    v = v / kernels.norm(v)
    value: float = 0.0
    for _ in range(rounds):
        w = product(v)
        before, value = value, kernels.norm(w)
        if value == 0 or not np.isfinite(value):
            return value
        v = w / value
        if abs(value - before) <= tolerance * value:
            break
    return value
