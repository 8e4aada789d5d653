"""How far J(θ) is from the minimum at most: by duality, whatever the solver.

For convex losses and any slopes r that a loss can have, D = −Σ s·ℓ*(r)/n − Ω*(−g) is at most J*,
where g = Σ s·r·x̃/n, Ω is the penalty, and Σ s·r = 0 for each intercept, which nothing penalises. At
the slopes of θ with the best intercepts J − D is a sum of Fenchel gaps, one a coordinate: zero
exactly at the minimum (Fercoq, Gramfort & Salmon, 2015; Dünner et al., 2016).
"""

import math

import numpy as np

STEPS = 50  # of Newton's method on intercepts alone
BALANCED = 1e-13  # Σ s·r/n in units of the loss's curvature that is zero but for rounding


class Proof:
    """Who can prove how far the cost of a descent is from its minimum; it knows the run."""

    def __init__(self, run):
        self.run = run
        self.dual = hasattr(run.cost, "along")  # a linear model's
        self.proven = None, math.inf  # the θ of the last proof, and its bound

    def estimate(self, theta, g, value):
        """About J(θ) − J* from what is known of θ: a proof is worth its price below that."""
        if not self.dual:
            return math.inf
        return min(self._newton(g), _estimate(self.run.cost, theta, g, value))

    def bound(self, theta, g, value, wanted=0.0):
        """An upper bound of J(θ) − J*; the cheaper one where that is no more than wanted."""
        if not self.dual or not math.isfinite(value):
            return math.inf
        if self.proven[0] is not None and np.array_equal(self.proven[0], theta):
            return self.proven[1]
        found = self._newton(g)
        if not found <= wanted:
            found = min(found, duality_gap(self.run.cost, theta, value))
        self.proven = theta.copy(), found
        return found

    def _newton(self, g):
        bound = getattr(self.run.optimizer, "bound", None)
        return math.inf if bound is None else bound(self.run.cost, g, self.run.state)


def _estimate(cost, theta, g, value):
    width = cost.model.outputs * cost.model.features
    ridge, lasso = cost.penalty.ridge[:width], cost.penalty.lasso[:width]
    loss = (g - cost.penalty.ridge * theta)[:width]
    scale = _feasible(loss, ridge, lasso)
    gap = _penalty_gap(theta[:width], scale * loss, ridge, lasso)
    return gap + (1 - scale) ** 2 * abs(value)  # what the loss adds, were it squared


def duality_gap(cost, theta, value):
    """An upper bound of J(θ) − J*, infinite where there is none; `value` is J(θ)."""
    model, penalty = cost.model, cost.penalty
    width = model.outputs * model.features
    ridge, lasso = penalty.ridge[:width], penalty.lasso[:width]
    if not hasattr(model.loss, "conjugate"):
        return math.inf
    with np.errstate(all="ignore"):
        margins = _margins(cost, theta)
        if model.columns[1, -1] != 0:
            margins = _centred(cost, margins)
        slopes = [model.loss.slope(z, s.y) for z, s in zip(margins, cost.shards, strict=True)]
        loss = cost.combine(slopes)[:width]
        scale = _feasible(loss, ridge, lasso)
        gap = _penalty_gap(theta[:width], scale * loss, ridge, lasso)
        gap += _loss_gap(cost, margins, slopes, scale)
        centred = _mean_loss(cost, margins) + penalty.value(theta)
    gap += max(0.0, value - centred)
    return float(gap) if gap >= 0 else math.inf


def _margins(cost, theta):
    kept = None if cost.margins is None else cost.margins.of(theta)
    if kept is not None:
        return kept
    parts = [np.empty((len(shard), cost.model.outputs)) for shard in cost.shards]
    work = list(zip(cost.shards, parts, strict=True))
    cost.threads.map(lambda part: cost.model.write_margins(theta, *part), work)
    return parts


def _centred(cost, margins):
    """Margins moved by the intercepts that make Σ s·r zero, by Newton's method with halving."""
    loss, shards, n = cost.model.loss, cost.shards, len(cost)

    def slope(shift):
        sums = [
            s.weights @ loss.slope(z + shift, s.y) for z, s in zip(margins, shards, strict=True)
        ]
        return np.sum(sums, axis=0) / n

    shift = np.zeros(cost.model.outputs)
    r = slope(shift)
    for _ in range(STEPS):
        if np.abs(r).sum() <= BALANCED * cost.bend:
            break
        step = _intercept_step(cost, margins, shift, r)
        t, there = 1.0, slope(shift + step)
        while not np.abs(there).sum() < np.abs(r).sum() and t > 1e-3:
            t /= 2
            there = slope(shift + t * step)
        if not np.abs(there).sum() < 0.9 * np.abs(r).sum():
            break
        shift, r = shift + t * step, there
    return [z + shift for z in margins]


def _intercept_step(cost, margins, shift, r):
    loss, k, n = cost.model.loss, cost.model.outputs, len(cost)
    H = np.zeros((k, k))
    for z, shard in zip(margins, cost.shards, strict=True):
        at = z + shift
        H[np.diag_indices(k)] += shard.weights @ loss.bend(at, shard.y)
        if k > 1:
            p = loss.mean(at)
            away = (p * shard.weights[:, None]).T @ p
            H -= away - np.diag(np.diag(away))
    return -np.linalg.lstsq(H / n, r, rcond=1e-12)[0] if np.isfinite(H).all() else 0 * r


def _feasible(loss, ridge, lasso):
    """What slopes are to be scaled by so that |g| ≤ lasso where nothing else holds it."""
    bare = (ridge == 0) & (loss != 0)
    if not bare.any():
        return 1.0
    return float(min(1.0, (lasso[bare] / np.abs(loss[bare])).min()))


def _penalty_gap(w, g, ridge, lasso):
    """Σ ω(w) + ω*(−g) + w·g, by coordinate: both parts are Fenchel's inequality, hence ≥ 0."""
    soft = np.sign(g) * np.maximum(np.abs(g) - lasso, 0)
    met = np.divide(soft, ridge, out=np.zeros_like(g), where=ridge > 0)
    squares = np.where(ridge > 0, 0.5 * ridge * (w + met) ** 2, 0)
    return float((squares + np.abs(w) * lasso + w * (g - soft)).sum())


def _loss_gap(cost, margins, slopes, scale):
    """The mean of ℓ(z) + ℓ*(c·r) − c·r·z; zero where r are the exact slopes and c = 1."""
    loss = cost.model.loss
    exact = loss.rounded(0) if hasattr(loss, "rounded") else loss
    if scale == 1.0 and not loss.smooth:
        return 0.0
    total = 0.0
    for z, r, shard in zip(margins, slopes, cost.shards, strict=True):
        gap = exact.value(z, shard.y) + exact.conjugate(scale * r, shard.y)
        total += float(shard.weights @ (gap - scale * (r * z).sum(axis=1)))
    return total / len(cost)


def _mean_loss(cost, margins):
    loss = cost.model.loss
    exact = loss.rounded(0) if hasattr(loss, "rounded") else loss
    pairs = zip(margins, cost.shards, strict=True)
    return sum(float(s.weights @ exact.value(z, s.y)) for z, s in pairs) / len(cost)
