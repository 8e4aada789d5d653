"""How a descent ends: on saddles and plateaus, too early, in noise, over-fitted, led astray."""

import math

import numpy as np

from gdcore.convergence import Status
from gdcore.diagnose.course import LEAST, SPENT, Course, known
from gdcore.diagnose.findings import Finding

LARGE = 1e-2  # of the first gradient's norm: no stationary point
FLAT = 0.02  # of the first cost: what a descent that is stuck has not brought
NEAR = 0.9  # cosine of gradients between which J is nearly a line
BROKEN = 0.2  # of ΔJ: what the gradients' promise may be off there
ROUNDING = 1e-8  # of J: smaller changes say nothing
JITTER = 3e-3, 0.02  # of J and of its whole fall: ups and downs from one epoch to the next
RISE = 1.2  # times the lowest held-out loss: it is worse in earnest
GAP = 0.3  # of the first cost, between the held-out loss and the cost
LEVEL = 0.01  # of J: the same for a convex cost
FACTOR, STEADY = 0.25, 0.2  # |log(ΔJ/promise)| that is wrong; how much it may vary


def stuck(course: Course) -> Finding | None:
    """A saddle, a plateau, or a cost that stays where it began."""
    result = course.result
    if result.status in (Status.SADDLE, Status.PLATEAU):
        low = result.get("curvature", (math.nan,))[0]
        return Finding(
            result.status.name.lower(), f"{result.message.split('. ')[0]}.", float(low),
            result.status.value.split(". ")[-1],
        )  # fmt: skip
    flat = len(course) >= LEAST and abs(course.fell()) < FLAT and result.status in SPENT
    if not flat or (course.full and course.still_falls()):
        return None
    norm = known(course.gradient_norm)
    if not len(norm) or not course.cost[0] or norm[-1] > max(1.0, abs(course.cost[0])):
        return None
    return Finding(
        "plateau",
        f"The cost has stayed at {course.cost[-1]:.4g} for {int(course.epoch[-1])} epochs (it "
        f"began at {course.cost[0]:.4g}), with a gradient of {norm[-1]:.2g}.",
        course.fell(),
        "Start from other weights (another random_state), scale the inputs, use activations that "
        "do not saturate (relu), or look whether y depends on X at all.",
    )


def falsely_converged(course: Course) -> Finding | None:
    """A rule on |ΔJ| or ‖Δθ‖ fired where the gradient is still large."""
    result = course.result
    if result.status not in (Status.COST, Status.PARAMETERS) or not course.full:
        return None  # of small batches that is their noise
    norm = known(course.gradient_norm)
    bound = result.get("bound", math.inf)
    if not len(norm) or norm[-1] < LARGE * norm[0] or bound <= 1e-3 * abs(result.fun):
        return None
    what = "cost" if result.status is Status.COST else "parameters"
    return Finding(
        "false convergence",
        f"The rule on the {what} fired at a gradient of {norm[-1]:.3g}, {norm[-1] / norm[0]:.0%} "
        f"of the first one ({norm[0]:.3g}): steps are small, the slope is not.",
        float(norm[-1] / norm[0]),
        "Raise the learning rate, and stop by the gradient's norm (a smaller tol, or "
        "tol=gd.convergence.GradientNorm(1e-6))."
        if "batch_size" in result
        else "Pass ftol=0 and a gtol, so that the gradient's norm decides.",
    )


def noisy(course: Course) -> Finding | None:
    """Mini-batch steps at a constant rate hover around the minimum."""
    rates = course.learning_rate
    if course.full or len(course) < 2 * LEAST or course.result.status not in SPENT:
        return None
    if not np.all(rates == rates[-1]):
        return None
    late = course.cost[len(course) // 2 :]
    line = np.polyval(np.polyfit(np.arange(len(late)), late, 1), np.arange(len(late)))
    jitter, trend = float((late - line).std()), abs(line[-1] - line[0])
    turns = float(np.mean(np.diff(late)[1:] * np.diff(late)[:-1] < 0))
    size = abs(float(late.mean()))
    fall = float(course.cost[0] - course.cost.min())
    convex = course.trace.layers is None
    least = LEVEL * size if convex else max(JITTER[0] * size, JITTER[1] * fall)
    if jitter < least or trend > 2 * jitter or turns < 0.4:
        return None
    return Finding(
        "noise floor",
        f"For {len(late)} epochs the cost has hovered around {late.mean():.4g} ± {jitter:.2g}, at "
        f"a constant rate of {course.rate:.3g}: the steps' noise, not the minimum, ends the fall.",
        jitter / size if size else math.inf,
        "Let the rate fall (learning_rate=gd.schedules.Cosine(steps), or 'auto', which averages, "
        "too), or take larger batches.",
    )


def overfitted(course: Course) -> Finding | None:
    """The held-out loss rises while the cost falls."""
    held = course.validation
    told = np.flatnonzero(np.isfinite(held))
    if len(told) < 5 or course.result.status in (Status.DIVERGED, Status.VALIDATION):
        return None  # or the best weights are kept already
    held, cost = held[told], course.cost[told]
    best = int(held.argmin())
    later = float(np.median(held[-max(1, len(held) // 10) :]))
    rises = best < len(held) - 1 and later > RISE * held[best] and cost[-1] < cost[best]
    if not rises and later - cost[-1] < GAP * cost[0]:
        return None
    return Finding(
        "over-fitting",
        f"The cost fell to {cost[-1]:.4g}, the held-out loss is {later:.4g}; it was lowest in "
        f"epoch {int(course.epoch[told[best]])}: {held[best]:.4g}, at a cost of {cost[best]:.4g}.",
        later / float(held[best]) if rises else later / float(cost[-1]),
        "Keep early_stopping on (the weights of the best epoch are then kept), raise alpha, add "
        "dropout or rows, or take a smaller model.",
    )


def wrongly_derived(course: Course) -> Finding | None:
    """J does not change as its gradient says."""
    result = course.result
    norm = known(course.gradient_norm)
    if result.status is Status.STALLED and course.searches:
        if "settings" not in result and len(norm) and norm[-1] > LARGE * norm[0]:
            return _wrong(f"No step along −∇J lowers J, though ‖∇J‖ is {norm[-1]:.3g}.", math.inf)
        return None
    if len(course) < 3 or not course.full:
        return None
    change, one = np.diff(course.cost), np.diff(course.step) == 1
    promised, cosine = course.promised[1:], course.cosine[1:]
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(change), np.abs(promised))
        told = one & np.isfinite(promised) & (size > ROUNDING * np.abs(course.cost[1:]))
        off = (np.abs(change - promised) / size)[told & (cosine > NEAR)]
        ratio = np.log((change / promised)[told])
    if len(off) > 1 and np.quantile(off, 0.25) > 0.75 * BROKEN and np.median(off) > BROKEN:
        middle = float(np.median(off))
        return _wrong(
            f"Where the gradient hardly turns, ΔJ and what the gradient promises differ by "
            f"{middle:.0%} (in {len(off)} steps).", middle,
        )  # fmt: skip
    ratio = ratio[-LEAST:]
    if len(ratio) < 3 or not np.isfinite(ratio).all() or np.ptp(ratio) > STEADY:
        return None
    if abs(float(np.median(ratio))) < FACTOR:
        return None
    times = math.exp(-float(np.median(ratio)))
    return _wrong(
        f"The gradient promises {times:.3g} times the ΔJ that comes, at each step.", times
    )


def _wrong(seen: str, number: float) -> Finding:
    return Finding(
        "wrong gradient", seen, number,
        "Compare it with differences: gd.check_gradient(fun, x) names the worst coordinates.",
    )  # fmt: skip
