"""What "auto" stands for: the solver by loss, penalty and size, its rule, where it starts."""

import numpy as np

from gdcore import optim
from gdcore.convergence import CostChange, GradientNorm, RelativeGap
from gdcore.cost import Cost
from gdcore.descent import descend
from gdcore.losses import Loss, Squared
from gdcore.newton import FEW, Newton

SAMPLE = 8192  # rows at least of a sample to start from
SPARED = 8  # times as many rows as a sample needs, from where on it is worth its time
ROUNDING = {
    4: 1e-6,
    8: 1e-13,
}  # of the gradient's unit, by the bytes of a number of X: all there is


def choose(model, penalty, full):
    """(optimizer, why) for optimizer="auto"."""
    loss, size = model.loss, model.size
    if not full:
        return optim.SGD(), "SGD: small batches"
    if not penalty.smooth:
        return optim.FISTA(), "FISTA: an L1 penalty"
    if not isinstance(loss, Loss):
        return optim.LBFGS(), "L-BFGS: a loss of your own"
    if size <= FEW:
        return Newton(), f"Newton: a smooth cost of {size} numbers"
    return optim.LBFGS(), f"L-BFGS: a smooth cost of {size} numbers"


def stop_rule(tol, cost, optimizer, full):
    """tol as a rule: J − J* ≤ tol·J where that can be proven, else ‖∇J‖ < tol·unit; with small
    batches |ΔJ| < tol·unit² from one epoch to the next will do, too."""
    if tol == 0:
        return None
    model, penalty, unit = cost.model, cost.penalty, cost.unit
    provable = hasattr(model.loss, "conjugate")
    width = model.outputs * model.features
    held = bool((penalty.ridge[:width] + penalty.lasso[:width] > 0)[_used(model)].all())
    exact = isinstance(optimizer, Newton) and getattr(model.loss, "concordance", None) is not None
    if provable and (held or (exact and model.size <= FEW)):
        rule = RelativeGap(tol) | GradientNorm(ROUNDING[cost.rows.X.dtype.itemsize] * unit)
    else:
        rule = GradientNorm(tol * unit)
    return rule if full else rule | CostChange(tol * unit * unit)


def _used(model):
    return np.tile(model.columns[1, :-1] != 0, model.outputs)


def unit_of(loss, rows):
    """The gradient's unit: the targets' standard deviation for losses of residuals, else 1."""
    if not isinstance(loss, Squared) and getattr(loss, "name", "") not in ("huber", "quantile"):
        return 1.0
    center = np.average(rows.y, weights=rows.weights)
    unit = float(np.sqrt(np.average((rows.y - center) ** 2, weights=rows.weights)))
    return unit if unit > 1e-12 * abs(center) and unit > 0 else (abs(center) or 1.0)


def head_start(cost, theta, optimizer):
    """The minimum over a sample of the rows, where there are many more than that takes.

    A step over all rows then starts as near as the sample is large. The sample is the same in every
    fit: it decides how fast the minimum is found, not which.
    """
    model, rows, unit = cost.model, cost.rows, cost.unit
    take = max(SAMPLE, 32 * model.size)
    if len(rows) < SPARED * take:
        return theta
    chosen = np.sort(np.random.default_rng(0).choice(len(rows), take, replace=False))
    sample = rows.part(chosen)
    if not sample.y.std() > 0:
        return theta
    sample = type(rows)(sample.X, sample.y, sample.weights / sample.weights.mean())
    part = Cost(model.like(), sample, cost.penalty, cost.threads.n_threads, unit)
    rule = RelativeGap(1e-4) | GradientNorm(1e-4 * unit)
    return descend(part, theta, optimizer, stop=rule, max_epochs=50).x
