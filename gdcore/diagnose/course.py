"""What the course of a descent says: rates, plateaus, noise, and whether J follows its gradient."""

import math

import numpy as np

from gdcore.convergence import Status
from gdcore.diagnose.findings import Finding

SPENT = (Status.EPOCHS, Status.STEPS, Status.TIME, Status.ITERATIONS)
LEAST = 10  # rows from which a course can be judged
FEW = 3  # cosines at least
UNSTABLE = 1.05  # of the rate times the curvature, from where on steps overshoot the valley
OPPOSED = -0.3  # cosine of gradients in a row that turn back
ALIGNED = 0.99  # and of those that do not turn at all
TIMID = 0.05  # of the rate times the curvature
STILL_FALLING = 0.02  # of the whole fall: what the last tenth of the rows still brought
LARGE = 1e-2  # of the first gradient's norm: no stationary point
FLAT = 0.02  # of the first cost: what a descent that is stuck has not brought
NEAR = 0.9  # cosine of gradients between which J is nearly a line
BROKEN = 0.2  # of ΔJ: what the gradients' promise may be off there
ROUNDING = 1e-8  # of J: smaller changes say nothing
JITTER = 3e-3, 0.02  # of J and of its whole fall: ups and downs from one epoch to the next
RISE = 1.2  # times the lowest held-out loss: it is worse in earnest
GAP = 0.3  # of the first cost, between the held-out loss and the cost


class Course:
    """A trace as arrays, with what several diagnoses ask of it."""

    def __init__(self, result):
        self.result, self.trace = result, result.trace
        for name in (
            "step", "epoch", "cost", "gradient_norm", "learning_rate", "validation", "promised",
            "cosine", "curvature",
        ):  # fmt: skip
            setattr(self, name, getattr(result.trace, name))
        self.optimizer = result.optimizer
        self.rate = float(self.learning_rate[-1]) if len(self) else math.nan

    def __len__(self):
        return len(self.cost)

    @property
    def full(self):
        """Whether each row is one step on all examples further."""
        return bool(len(self)) and self.step[-1] == self.epoch[-1]

    @property
    def by_gradient(self):
        """Whether a step is the rate times the gradient, or a mean of such."""
        scale = getattr(self.optimizer, "scale", "")
        return scale == "gradient" and not self.optimizer.searches

    @property
    def bend(self):
        """The largest curvature met, 0 for none."""
        met = self.curvature[np.isfinite(self.curvature)]
        return float(met.max(initial=0.0))

    @property
    def limit(self):
        """The largest stable rate there, 2/L; with momentum β the heavy ball's 2(1 + β)/L."""
        beta = getattr(self.optimizer, "momentum", 0.0) or 0.0
        if type(self.optimizer).__name__ in ("FISTA", "Nesterov"):
            return 4 / (3 * self.bend)
        return 2 * (1 + beta) / self.bend

    def advise(self, rate):
        """To set that rate, in words for estimators and functions alike."""
        name = type(self.optimizer).__name__.lower()
        return f"Set the rate to {rate:.2g}, or name the rule, {name!r}, without one: one is found."

    def still_falls(self):
        """Whether the last tenth of the rows brought a share of the whole fall that counts."""
        last = self.cost[-max(2, len(self) // 10) :]
        whole = self.cost[0] - self.cost.min()
        return whole > 0 and last[0] - last[-1] > STILL_FALLING * whole * len(last) / len(self)

    def fell(self):
        """The share of the first cost that is gone."""
        return (self.cost[0] - self.cost[-1]) / abs(self.cost[0]) if self.cost[0] else 0.0


def diverging(course):
    """The cost grew beyond all bounds."""
    if course.result.status is not Status.DIVERGED:
        return None
    first, last = course.cost[0], course.cost[-1]
    seen = f"The cost went from {first:.4g} to {last:.4g} at a learning rate of {course.rate:.3g}"
    if course.by_gradient and course.bend > 0 and course.rate > course.limit:
        seen += f", above the {course.limit:.3g} at which steps on a curvature of {course.bend:.3g}"
        return Finding(
            "diverging", f"{seen} grow.", course.rate / course.limit,
            course.advise(course.limit / 2),
        )  # fmt: skip
    return Finding(
        "diverging", f"{seen}.", course.rate,
        f"Set the rate to a tenth, {course.rate / 10:.2g}, or clip gradients (clip_norm=1.0, or "
        "gd.optim.chain with gd.optim.ClipNorm).",
    )  # fmt: skip


def oscillating(course):
    """Steps jump from one wall of the valley to the other."""
    if course.result.status is Status.DIVERGED or not (course.by_gradient and course.full):
        return None
    cosine = course.cosine[-max(LEAST, len(course) // 2) :]
    cosine = cosine[np.isfinite(cosine)]
    if len(cosine) < FEW or not course.bend > 0:
        return None
    middle, share = float(np.median(cosine)), float((cosine < 0).mean())
    over = course.rate * course.bend
    if middle > OPPOSED or over < UNSTABLE:
        return None
    return Finding(
        "oscillating",
        f"Gradients in a row point against each other ({share:.0%} of the steps, cosine "
        f"{middle:.2f}): rate times curvature is {over:.2f}, where 1 goes straight down and 2 "
        "never arrives.",
        over,
        course.advise(1 / course.bend),
    )


def timid(course):
    """The rate is so small that the budget ended on the way."""
    if course.result.status not in SPENT or len(course) < LEAST or not course.full:
        return None
    if course.optimizer.searches or not course.still_falls():
        return None
    cosine = course.cosine[len(course) // 2 :]
    cosine = cosine[np.isfinite(cosine)]
    straight = float(np.median(cosine)) if len(cosine) else 0.0
    over = course.rate * course.bend
    if straight < ALIGNED or (course.by_gradient and not over < TIMID):
        return None
    better = 0.5 / course.bend if course.by_gradient else 10 * course.rate
    seen = (
        f"After {int(course.step[-1])} steps the cost still falls, and gradients in a row hardly "
        f"turn (cosine {straight:.4f})"
    )
    if course.by_gradient:
        seen += f": rate times curvature is {over:.2g}, where up to 1 is safe"
    return Finding(
        "too timid", f"{seen}.", over,
        course.advise(better),
    )  # fmt: skip


def stuck(course):
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
    norm = course.gradient_norm[np.isfinite(course.gradient_norm)]
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


def falsely_converged(course):
    """A rule on |ΔJ| or ‖Δθ‖ fired where the gradient is still large."""
    result = course.result
    if result.status not in (Status.COST, Status.PARAMETERS) or not course.full:
        return None  # of small batches that is their noise
    norm = course.gradient_norm[np.isfinite(course.gradient_norm)]
    bound = result.get("bound", math.inf)
    if not len(norm) or norm[-1] < LARGE * norm[0] or bound <= 1e-3 * abs(result.fun):
        return None
    what = "cost" if result.status is Status.COST else "parameters"
    return Finding(
        "false convergence",
        f"The rule on the {what} fired at a gradient of {norm[-1]:.3g}, {norm[-1] / norm[0]:.0%} "
        f"of the first one ({norm[0]:.3g}): steps are small, the slope is not.",
        float(norm[-1] / norm[0]),
        "Raise the learning rate, and stop by the gradient's norm "
        "(tol=gd.convergence.GradientNorm(1e-6), or a smaller tol).",
    )


def noisy(course):
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
    least = max(JITTER[0] * size, JITTER[1] * float(course.cost[0] - course.cost.min()))
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


def overfitted(course):
    """The held-out loss rises while the cost falls."""
    held = course.validation
    known = np.flatnonzero(np.isfinite(held))
    if len(known) < 5 or course.result.status is Status.DIVERGED:
        return None
    held, cost = held[known], course.cost[known]
    best = int(held.argmin())
    later = float(np.median(held[-max(1, len(held) // 10) :]))
    rises = best < len(held) - 1 and later > RISE * held[best] and cost[-1] < cost[best]
    if not rises and later - cost[-1] < GAP * cost[0]:
        return None
    return Finding(
        "over-fitting",
        f"The cost fell to {cost[-1]:.4g}, the held-out loss is {later:.4g}; it was lowest in "
        f"epoch {int(course.epoch[known[best]])}: {held[best]:.4g}, at a cost of {cost[best]:.4g}.",
        later / float(held[best]) if rises else later / float(cost[-1]),
        "Keep early_stopping on (the weights of the best epoch are then kept), raise alpha, add "
        "dropout or rows, or take a smaller model.",
    )


def wrongly_derived(course):
    """J does not change as its gradient says."""
    result = course.result
    norm = course.gradient_norm[np.isfinite(course.gradient_norm)]
    if result.status is Status.STALLED and result.nit <= 2 and course.optimizer.searches:
        if len(norm) and norm[-1] > 1e-3 * max(1.0, abs(result.fun)):
            return _wrong(f"No step along −∇J lowers J, though ‖∇J‖ is {norm[-1]:.3g}.", math.inf)
        return None
    if len(course) < 3 or not course.full:
        return None
    change, one = np.diff(course.cost), np.diff(course.step) == 1
    promised, cosine = course.promised[1:], course.cosine[1:]
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(change), np.abs(promised))
        told = one & (cosine > NEAR) & (size > ROUNDING * np.abs(course.cost[1:]))
        off = (np.abs(change - promised) / size)[told & np.isfinite(promised)]
    if len(off) < 2 or float(np.median(off)) < BROKEN:
        return None
    middle = float(np.median(off))
    return _wrong(
        f"Where the gradient hardly turns, ΔJ and what the gradient promises differ by "
        f"{middle:.0%} (in {len(off)} steps).", middle,
    )  # fmt: skip


def _wrong(seen, number):
    return Finding(
        "wrong gradient", seen, number,
        "Compare it with differences: gd.check_gradient(fun, x) names the worst coordinates.",
    )  # fmt: skip
