"""How far J(θ) is from the minimum at most: by duality, whatever the solver.

For convex losses and any slopes r that a loss can have, D = −Σ s·ℓ*(r)/n − Ω*(−g) is at most J*,
where g = Σ s·r·x̃/n, Ω is the penalty, and Σ s·r = 0 for each intercept, which nothing penalises. At
the slopes of θ with the best intercepts J − D is a sum of Fenchel gaps, one a coordinate: zero
exactly at the minimum (Fercoq, Gramfort & Salmon, 2015; Dünner et al., 2016).
"""

import math
from functools import partial
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.data import Rows
from gdcore.devices import to_host
from gdcore.lines import Points

LEFT = 0.1  # of what rounded corners leave out: descending further would not help
STEPS = 50  # of Newton's method on intercepts alone
FEW_STEPS = 6  # where each is a pass over files
BALANCED = 1e-14  # Σ s·r/n that is zero but for rounding, in the unit of slopes
NEARLY = 1e-12  # and what is as good where a further step is a pass
SOFTENED = 0.01  # of the loss's width: how far a corner is rounded where its slopes are asked for


class Proof:
    """Who can prove how far the cost of a descent is from its minimum; it knows the run."""

    def __init__(self, run: Any) -> None:
        self.run = run
        self.cost = getattr(run.cost, "on_host", run.cost)  # what it shows of a device
        self.dual = hasattr(self.cost, "seen")  # the margins of all rows can be had
        self.proven: tuple[Array | None, float] = None, math.inf  # θ of the last proof, its bound

    def estimate(self, theta: Array, g: Array, value: float) -> float:
        """About J(θ) − J* from what is known of θ: a proof is worth its price below that."""
        found = min(self._newton(g), self._above(value))
        if not self.dual:
            return found
        theta, g = to_host(theta), to_host(g)
        found = min(found, _estimate(self.cost, theta, g, value))
        if found <= abs(value) and getattr(self.cost.model.loss, "smooth", False):
            found += rounding(self.cost, theta)
        return found

    def saturated(self, theta: Array, g: Array, value: float) -> bool:
        """Whether what a rounded corner leaves out outweighs what the descent has yet to go."""
        cost = self.run.cost
        rest = _estimate(cost, theta, g, value)
        rest += cost.unit * float(np.abs(g[_weighed(cost)[0] :]).sum())
        return bool(rest <= abs(value) and rest <= LEFT * rounding(cost, theta))

    def bound(
        self, theta: Array, g: Array, value: float, wanted: float = 0.0, at_once: bool = False
    ) -> float:
        """An upper bound of J(θ) − J*; the cheaper one where that is no more than wanted, and
        none but what is known already where it has to be there at once."""
        if not math.isfinite(value):
            return math.inf
        if self.proven[0] is not None and np.array_equal(self.proven[0], theta):
            return self.proven[1]
        if at_once:
            return math.inf
        found = min(self._newton(g), self._above(value))
        if self.dual and not found <= wanted:
            found = min(found, duality_gap(self.cost, to_host(theta), value))
        self.proven = theta.copy(), found
        return found

    def _above(self, value: float) -> float:
        """How far J is above what the optimizer has proven of J*."""
        floor = getattr(self.run.optimizer, "floor", None)
        return math.inf if floor is None else max(0.0, value - floor(self.run.state))

    def _newton(self, g: Array) -> float:
        bound = getattr(self.run.optimizer, "bound", None)
        return math.inf if bound is None else bound(self.run.cost, g, self.run.state)


def _estimate(cost: Any, theta: Array, g: Array, value: float) -> float:
    width, ridge, lasso = _weighed(cost)
    loss = (g - cost.penalty.ridge * theta)[:width]
    scale = _feasible(loss, ridge, lasso)
    gap = _penalty_gap(theta[:width], scale * loss, ridge, lasso)
    return gap + (1 - scale) ** 2 * abs(value)  # what the loss adds, were it squared


def _weighed(cost: Any) -> tuple[int, Array, Array]:
    """How many numbers of θ are coefficients, their ridge and their lasso."""
    width = cost.model.outputs * cost.model.features
    return width, cost.penalty.ridge[:width], cost.penalty.lasso[:width]


def duality_gap(cost: Any, theta: Array, value: float) -> float:
    """An upper bound of J(θ) − J*, infinite where there is none; `value` is J(θ).

    A loss with a corner takes its slopes from a rounded one: those are slopes that it can have.
    """
    model, penalty = cost.model, cost.penalty
    width, ridge, lasso = _weighed(cost)
    if not hasattr(model.loss, "conjugate"):
        return math.inf
    soft, exact = _soft(cost), _exact(model.loss)
    with np.errstate(all="ignore"):
        here = cost.seen(theta)
        shift, balanced = np.zeros(model.outputs), True
        if model.columns[1, -1] != 0:
            shift, balanced = _centred(cost, soft, here)
        shares = (1.0, 1.0) if balanced else _shares(cost, soft, here, shift)
        if shares is None:
            return math.inf
        points = here.then(partial(_sloped, soft, shift, shares))
        back = shift if soft is not exact else None
        loss, (there, before) = cost.gather(points, partial(_losses, exact, back))
        loss = loss[:width]
        scale = _feasible(loss, ridge, lasso)
        gap = _penalty_gap(theta[:width], scale * loss, ridge, lasso)
        if scale < 1 or soft is not exact or not balanced:
            gap += _loss_gap(cost, points, scale)
        omega = penalty.value(theta)
        if soft is not exact:
            value = before + omega
        gap += max(0.0, value - there - omega)
    return float(gap) if gap >= 0 else math.inf


def _losses(exact: Any, back: Array | None, rows: Rows, z: Array, r: Array) -> Array:
    """Summed loss at z, and at z − back, zero without."""
    before = 0 * rows.y if back is None else exact.value(z - back, rows.y)
    return np.array([rows.weights @ exact.value(z, rows.y), rows.weights @ before])


def rounding(cost: Any, theta: Array) -> float:
    """By how much J at θ is above the cost whose corners are rounded."""
    soft, exact = _soft(cost), _exact(cost.model.loss)
    if soft is exact:
        return 0.0
    noted = getattr(cost, "noted", None)  # where a walk would be a pass over files
    if noted is not None and np.array_equal(noted[0], theta):
        return float(noted[1])
    return float(cost.seen(theta).total(partial(rounded_off, soft)) / len(cost))


def rounded_off(loss: Any, rows: Rows, z: Array) -> float:
    """What the corner's rounding takes off the loss of these rows."""
    return float(rows.weights @ (_exact(loss).value(z, rows.y) - loss.value(z, rows.y)))


def _soft(cost: Any) -> Any:
    loss = cost.model.loss
    if not hasattr(loss, "rounded") or loss.smooth:
        return loss
    return loss.rounded(SOFTENED / cost.bend)


def _exact(loss: Any) -> Any:
    return loss.rounded(0) if getattr(loss, "smooth", 0) else loss


def _centred(cost: Any, loss: Any, seen: Points) -> tuple[Array, bool]:
    """(what moves each intercept to where Σ s·r is zero, whether that came about).

    By Newton's method with halving; where each look is a pass over files, fewer of them.
    """
    steps, enough = (STEPS, BALANCED) if seen.kept else (FEW_STEPS, NEARLY * cost.unit)
    shift = np.zeros(cost.model.outputs)
    r, H = _at_shift(cost, loss, seen, shift)
    for _ in range(steps):
        if np.abs(r).sum() <= enough or not np.isfinite(H).all():
            break
        step = -np.linalg.lstsq(H, r, rcond=1e-12)[0]
        t, there = 1.0, _at_shift(cost, loss, seen, shift + step)
        while not np.abs(there[0]).sum() < np.abs(r).sum() and t > (1e-3 if seen.kept else 0.2):
            t /= 2
            there = _at_shift(cost, loss, seen, shift + t * step)
        if not np.abs(there[0]).sum() < 0.9 * np.abs(r).sum():
            break
        shift, (r, H) = shift + t * step, there
    return shift, bool(np.abs(r).sum() <= 1e4 * BALANCED * cost.unit)


def _at_shift(cost: Any, loss: Any, seen: Points, shift: Array) -> tuple[Array, Array]:
    """(Σ s·r/n, its slopes in the shift)."""
    sums = seen.total(partial(_bent, loss, shift)) / len(cost)
    return sums[0], sums[1:]


def _bent(loss: Any, shift: Array, rows: Rows, z: Array) -> Array:
    """Σ s·r of some rows, and below it its slopes in the shift."""
    at = z + shift
    H = np.diag(rows.weights @ loss.bend(at, rows.y))
    if len(shift) > 1:
        p = loss.mean(at)
        away = (p * rows.weights[:, None]).T @ p
        H -= away - np.diag(np.diag(away))
    return np.vstack([rows.weights @ loss.slope(at, rows.y), H])


def _shares(cost: Any, loss: Any, seen: Points, shift: Array) -> tuple[float, float] | None:
    """What to scale slopes above zero by, and those below, for Σ s·r to be zero: a loss that can
    have a slope can have a smaller one, too. None for several outputs, which Newton's method is
    enough for."""
    if cost.model.outputs > 1:
        return None
    up, down = seen.total(partial(_signed, loss, shift)).tolist()
    share = min(up, down) / max(up, down) if max(up, down) > 0 else 1.0
    return (share, 1.0) if up > down else (1.0, share)


def _signed(loss: Any, shift: Array, rows: Rows, z: Array) -> Array:
    """Σ s·r of slopes above zero, and of those below."""
    r = loss.slope(z + shift, rows.y)[:, 0]
    return np.array([rows.weights @ np.maximum(r, 0), rows.weights @ np.maximum(-r, 0)])


def _sloped(
    loss: Any, shift: Array, shares: tuple[float, float], rows: Rows, z: Array
) -> tuple[Rows, Array, Array]:
    """(rows, z, r) at shifted margins, with slopes scaled by their sign's share."""
    z = z + shift
    r = loss.slope(z, rows.y)
    for share, one in zip(shares, (r > 0, r < 0), strict=True):
        if share != 1:
            np.multiply(r, share, out=r, where=one)
    return rows, z, r


def _feasible(loss: Array, ridge: Array, lasso: Array) -> float:
    """What slopes are to be scaled by so that |g| ≤ lasso where nothing else holds it."""
    bare = (ridge == 0) & (loss != 0)
    if not bare.any():
        return 1.0
    return float(min(1.0, (lasso[bare] / np.abs(loss[bare])).min()))


def _penalty_gap(w: Array, g: Array, ridge: Array, lasso: Array) -> float:
    """Σ ω(w) + ω*(−g) + w·g, by coordinate: both parts are Fenchel's inequality, hence ≥ 0."""
    soft = np.sign(g) * np.maximum(np.abs(g) - lasso, 0)
    met = np.divide(soft, ridge, out=np.zeros_like(g), where=ridge > 0)
    squares = np.where(ridge > 0, 0.5 * ridge * (w + met) ** 2, 0)
    return float((squares + np.abs(w) * lasso + w * (g - soft)).sum())


def _loss_gap(cost: Any, points: Points, scale: float) -> float:
    """The mean of ℓ(z) + ℓ*(c·r) − c·r·z; zero where r are the exact slopes and c = 1."""
    total = points.total(partial(_fenchel, _exact(cost.model.loss), scale))
    return float(total / len(cost))


def _fenchel(exact: Any, scale: float, rows: Rows, z: Array, r: Array) -> float:
    gap = exact.value(z, rows.y) + exact.conjugate(scale * r, rows.y)
    return float(rows.weights @ (gap - scale * (r * z).sum(axis=1)))
