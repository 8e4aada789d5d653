"""What "auto" stands for: the solver by loss, penalty and size, its rule, where it starts."""

import math
import time
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from gdcore import optim
from gdcore._typing import Array
from gdcore.certificate import duality_gap, rounding
from gdcore.chunk_cost import ChunkCost
from gdcore.convergence import CostChange, GradientNorm, Moment, RelativeGap, Rule, Status
from gdcore.cost import SAMPLE, Cost
from gdcore.data import Rows
from gdcore.descent import descend
from gdcore.errors import LostError
from gdcore.interior import InteriorPoint
from gdcore.losses import Loss, Squared
from gdcore.models.family import LinearFamily
from gdcore.newton import FEW, MANY, Newton
from gdcore.optim.base import Optimizer
from gdcore.penalties import Penalty
from gdcore.ranges import require_reach
from gdcore.result import Result
from gdcore.sparse import CSR
from gdcore.trace import COLUMNS

FIRST = 0.5  # of the loss's width: the corner's rounding at first
INSIDE = 80  # steps of an interior-point method; it takes 10 to 40
SOON = 1e-9  # seconds
STAGES = 15  # of less and less rounding
# Slopes of such losses are about 1: no stage is solved further where nothing is proven.
STEEP = 1e-7
LEAST = 8  # times as many rows as numbers in θ, or a sample's minimum says little
ROWS_EACH = 4  # rows for each number in θ, or reading them is cheaper than a matrix
SPARED = 8  # times as many rows as a sample needs, from where on it is worth its time
ROUNDING = {4: 1e-6, 8: 1e-13}  # of the gradient's unit, by the bytes of a number of X

AnyCost: TypeAlias = Cost | ChunkCost


def choose(cost: AnyCost, full: bool) -> tuple[Optimizer, str]:
    """(optimizer, why) for optimizer="auto"."""
    model, penalty, few = cost.model, cost.penalty, forms(cost)
    loss, size, chunks = model.loss, model.size, not isinstance(cost, Cost)
    if not full:
        return optim.SGD(), "SGD: small batches"
    if not penalty.smooth and not (few and isinstance(loss, Loss)):
        return optim.FISTA(), "FISTA: an L1 penalty"
    if not isinstance(loss, Loss):
        return optim.LBFGS(), "L-BFGS: a loss of your own"
    if hasattr(loss, "rounded") and penalty.smooth and not held(model, penalty):
        return optim.LBFGS(), "L-BFGS: a loss with a corner and no penalty"
    inside = hasattr(loss, "rounded") and not loss.smooth and penalty.smooth and not chunks
    if few and inside and cost.rows.X.dtype == np.float64:
        return InteriorPoint(), f"an interior-point method: a corner and {size} numbers"
    if few:
        kind = "smooth cost" if penalty.smooth else "cost with an L1 penalty"
        return Newton(), f"Newton: a {kind} of {size} numbers"
    return optim.LBFGS(), f"L-BFGS: a smooth cost of {size} numbers"


def forms(cost: AnyCost) -> bool:
    """Whether a matrix of second derivatives is worth its price: about size/50 reads of rows."""
    model, X = cost.model, cost.rows.X
    size: int = model.size
    if size <= FEW or size > MANY:
        return size <= FEW
    return model.outputs == 1 and not isinstance(X, CSR) and len(cost) >= ROWS_EACH * model.size


def stop_rule(tol: float, cost: AnyCost, optimizer: Optimizer, full: bool) -> Rule | None:
    """tol as a rule: J − J* ≤ tol·J where that can be proven, else ‖∇J‖ < tol·unit; with small
    batches |ΔJ| < tol·unit² from one epoch to the next will do, too."""
    if tol == 0:
        return None
    model, penalty, unit = cost.model, cost.penalty, cost.unit
    provable = hasattr(model.loss, "conjugate")
    here = hasattr(cost, "seen")  # the margins of all rows, and with them a proof by duality
    exact = isinstance(optimizer, Newton) and getattr(model.loss, "concordance", None) is not None
    if provable and ((here and held(model, penalty)) or (exact and model.size <= FEW)):
        rule: Rule = RelativeGap(tol) | GradientNorm(ROUNDING[cost.rows.X.dtype.itemsize] * unit)
    else:
        rule = GradientNorm(tol * unit)
    return rule if full else rule | CostChange(tol * unit * unit)


def separated(cost: Any, theta: Array) -> bool:
    """Whether θ puts every row on its side: two classes by a sign, more by the largest margin."""
    with cost:
        margins = cost.margins_at(theta)
    for z, shard in zip(margins, cost.shards, strict=True):
        if cost.model.outputs == 1:
            right = np.where(shard.y > 0.5, z[:, 0], -z[:, 0]) > 0
        else:
            own = np.arange(len(z)), shard.y.astype(np.intp)
            mine = z[own]
            others = z.copy()
            others[own] = -np.inf
            right = mine > others.max(axis=1)
        if not right.all():
            return False
    return True


def held(model: LinearFamily, penalty: Penalty) -> bool:
    """Whether a penalty holds every coefficient that says anything."""
    width = model.outputs * model.features
    used = np.tile(model.columns[1, :-1] != 0, model.outputs)
    return bool((penalty.ridge[:width] + penalty.lasso[:width] > 0)[used].all())


def unit_of(loss: Any, rows: Any) -> float:
    """The gradient's unit: the targets' standard deviation for losses of residuals, else 1."""
    if not isinstance(loss, Squared) and getattr(loss, "name", "") not in ("huber", "quantile"):
        return 1.0
    require_reach(rows)
    center = np.average(rows.y, weights=rows.weights)
    unit = float(np.sqrt(np.average((rows.y - center) ** 2, weights=rows.weights)))
    return unit if unit > 1e-12 * abs(center) and unit > 0 else (abs(center) or 1.0)


def head_start(cost: AnyCost, theta: Array, optimizer: Optimizer) -> Array:
    """The minimum over a sample of the rows, where there are many more than that takes.

    A step over all rows then starts as near as the sample is large. The sample is the same in every
    fit: it decides how fast the minimum is found, not which.
    """
    model, rows, unit = cost.model, cost.rows, cost.unit
    take = max(SAMPLE, 32 * model.size)
    if len(rows) < SPARED * take:
        return theta
    some = cost.sample(take)
    if some is None or len(some) < LEAST * model.size or not some.y.std() > 0:
        return theta
    some = Rows(some.X, some.y, some.weights / some.weights.mean())
    part = Cost(model.like(), some, cost.penalty, cost.threads.n_threads, unit)
    rule = RelativeGap(1e-4) | GradientNorm(1e-4 * unit)
    found = descend(part, theta, optimizer, stop=rule, max_epochs=50)
    if found.status is Status.INTERRUPTED:  # which is meant for the fit
        raise KeyboardInterrupt
    return found.x


def corner_descent(
    cost: AnyCost, theta: Array, optimizer: Optimizer, *, tol: float, max_epochs: int,
    **settings: Any,
) -> Result:  # fmt: skip
    """The minimum of a loss with a corner: from the inside, or with the corner rounded.

    Where rounding ends the first before the minimum is proven to be near, the second goes on.
    """
    if not isinstance(optimizer, InteriorPoint):
        return rounded_descent(cost, theta, optimizer, tol=tol, max_epochs=max_epochs, **settings)
    began, few = time.perf_counter(), min(max_epochs, INSIDE)
    result = descend(
        cost, theta, optimizer, stop=stop_rule(tol, cost, optimizer, True), max_epochs=few,
        **settings,
    )  # fmt: skip
    stuck = result.status is Status.STALLED or (result.status is Status.EPOCHS and few < max_epochs)
    left = settings.pop("max_time") - (time.perf_counter() - began)
    if not stuck or result.nit >= max_epochs or left <= 0:
        return result
    return rounded_descent(
        cost, result.x, Newton(), tol=tol, max_epochs=max_epochs, max_time=left, begun=result,
        **settings,
    )  # fmt: skip


@dataclass
class Saturated(Rule):
    """Stop when rounding a loss's corner further would help more than descending further."""

    proof: Any = None

    def fresh(self) -> Rule:
        """A copy that knows the descent."""
        return Saturated()

    def watch(self, proof: Any) -> None:
        """Who knows what was left out."""
        self.proof = proof

    def check(self, moment: Moment) -> Any:
        """Fires where the rest of the way is a tenth of what was rounded off."""
        if self.proof.saturated(moment.theta, moment.gradient, moment.cost):
            return Status.COST, "the corner's rounding outweighs the rest of the way"
        return None


def rounded_descent(
    cost: AnyCost, theta: Array, optimizer: Optimizer, *, tol: float, max_epochs: int,
    max_time: float = math.inf, begun: Result | None = None, **settings: Any,
) -> Result:  # fmt: skip
    """Descend with the loss's corner rounded less and less, until the minimum of the loss itself is
    proven to be near: the `Result` of the last stage, for the loss as it is.

    A cost that is smooth over a width falls as fast as any smooth one; each stage begins where the
    one before ended (Nesterov, 2005). `begun` is the result of a descent before.
    """
    loss, wide, rows, nit, nfev = cost.model.loss, FIRST / cost.bend, [], 0, 0
    floor = -math.inf  # of J*: a loss is nowhere below its rounded one
    if begun is not None:
        rows, nit, nfev = [begun.trace.table()], begun.nit, begun.nfev
        floor = begun.fun - begun.bound
    steep = ROUNDING[8] if held(cost.model, cost.penalty) else STEEP
    settings["max_time"], began = max_time, time.perf_counter()
    for _ in range(STAGES):
        part = cost.like(loss.rounded(wide))
        rule = RelativeGap(tol) | Saturated() | GradientNorm(steep)
        left = max(1, max_epochs - nit)
        result = descend(part, theta, optimizer, stop=rule, max_epochs=left, **settings)
        theta, nit, nfev = result.x, nit + result.nit, nfev + result.nfev
        floor = np.fmax(floor, result.fun - result.bound)
        rows.append(_continued(rows, result.trace.table()))
        if result.status in (Status.INTERRUPTED, Status.LOST):  # nothing more is measured
            result.trace.restore(np.concatenate(rows))
            result.nit, result.nfev = nit, nfev
            return result
        try:
            with part:
                left_out = rounding(part, theta)
        except LostError as error:
            return _lost(result, rows, (nit, nfev), error)
        near = result.status is Status.GRADIENT and left_out <= tol * result.fun
        if near or result.status not in (Status.COST, Status.GRADIENT) or nit >= max_epochs:
            break
        settings["max_time"] = max(SOON, max_time - (time.perf_counter() - began))
        aim = 0.3 * tol * result.fun / left_out if left_out > 0 else 0.0
        wide *= min(0.25, max(aim, 0.01))
    g = np.empty_like(theta)
    try:
        with cost, part:
            value = cost.value_and_gradient(theta, g)
            bound = min(duality_gap(part, theta, value), max(0.0, value - floor))
    except LostError as error:
        return _lost(result, rows, (nit, nfev), error)
    result.trace.restore(np.concatenate(rows))
    result.fun, result.jac, result.bound = value, cost.steepest(theta, g), bound
    if bound <= tol * abs(value) and not result.success:
        result.status, result.success = Status.CERTIFIED, True
        result.message = f"J − J* ≤ {bound:.2g} < {tol:.2g}·J. {Status.CERTIFIED.cure(False)}"
    if result.status is Status.EPOCHS:  # those of all stages
        result.message = result.message.replace(f"{result.nit} epochs", f"{nit} epochs", 1)
    result.nit, result.nfev = nit, nfev + 1
    return result


def _lost(result: Result, rows: list[Array], counts: tuple[int, int], error: LostError) -> Result:
    """The last stage's result, of a cost that is gone since. Changes it."""
    result.trace.restore(np.concatenate(rows))
    result.nit, result.nfev = counts
    result.status, result.success = Status.LOST, False
    result.message = f"{str(error).rstrip('.')}. {Status.LOST.value}"
    return result


def _continued(before: list[Array], table: Array) -> Array:
    """Rows of a trace whose counts go on from the ones before."""
    table = table.copy()
    if before:
        for name in ("step", "epoch", "seconds", "examples"):
            column = COLUMNS.index(name)
            table[:, column] += before[-1][-1, column]
    return table
