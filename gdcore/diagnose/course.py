"""What the course of a descent says: rates, plateaus, noise, and whether J follows its gradient."""

import math
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.convergence import Status
from gdcore.diagnose.findings import Finding
from gdcore.result import Result

SPENT = (Status.EPOCHS, Status.STEPS, Status.TIME, Status.ITERATIONS)
LEAST = 10  # rows from which a course can be judged
FEW = 3  # cosines at least
UNSTABLE = 1.05  # of the rate times the curvature, from where on steps overshoot the valley
OPPOSED = -0.3  # cosine of gradients in a row that turn back
ALIGNED = 0.99  # and of those that do not turn at all
STRAIGHT, MOSTLY = 0.5, 0.9  # of the first quarter's fall, in the last; of epochs that fall
DEEP = 1e6  # times its first size, that a function falls without end
HIGHER = 0.2  # of the first cost, that a run that led nowhere ends above it
LONG = 50.0  # times between the curvature of the walls and that of the valley's floor
AGREE = 5.0  # times between two rates that say the same
SMALL = 1e-6  # of the first gradient: near enough to a stationary point
TIMID = 0.05  # of the rate times the curvature
STILL_FALLING = 0.02  # of the whole fall: what the last tenth of the rows still brought


def known(values: Array) -> Array:
    """Those that are numbers."""
    return values[np.isfinite(values)]


class Course:
    """A trace as arrays, with what several diagnoses ask of it."""

    step: Array
    epoch: Array
    cost: Array
    gradient_norm: Array
    learning_rate: Array
    validation: Array
    promised: Array
    cosine: Array
    curvature: Array

    def __init__(self, result: Result[Any]) -> None:
        self.result, self.trace = result, result.trace
        for name in (
            "step", "epoch", "cost", "gradient_norm", "learning_rate", "validation", "promised",
            "cosine", "curvature",
        ):  # fmt: skip
            setattr(self, name, getattr(result.trace, name))
        self.optimizer: Any = result.optimizer
        self.rate = float(self.learning_rate[-1]) if len(self) else math.nan

    def __len__(self) -> int:
        return len(self.cost)

    @property
    def full(self) -> bool:
        """Whether each row is one step on all examples further."""
        return bool(len(self)) and self.step[-1] == self.epoch[-1]

    @property
    def searches(self) -> bool:
        """Whether a line search, or a closed form, sees to it that J falls."""
        return bool(getattr(self.optimizer, "searches", True))

    @property
    def by_gradient(self) -> bool:
        """Whether a step is the rate times the gradient, or a mean of such."""
        return not self.searches and self.optimizer.scale == "gradient"

    @property
    def bend(self) -> float:
        """The largest curvature met, 0 for none."""
        return float(known(self.curvature).max(initial=0.0))

    @property
    def limit(self) -> float:
        """The largest stable rate, 2/L, where J has not grown yet; with momentum β the heavy ball's
        2(1 + β)/L; infinite where nothing is bent."""
        lowest = int(np.argmin(np.nan_to_num(self.cost, nan=np.inf)))
        met = float(known(self.curvature[: lowest + 2]).max(initial=0.0))
        if not met > 0:
            return math.inf
        beta = getattr(self.optimizer, "momentum", 0.0) or 0.0
        if type(self.optimizer).__name__ in ("FISTA", "Nesterov"):
            return 4 / (3 * met)
        return 2 * (1 + beta) / met

    def advise(self, rate: float) -> str:
        """To set that rate, in words for estimators and functions alike."""
        name, settings = type(self.optimizer).__name__.lower(), self.result.get("settings", {})
        named = settings.get("optimizer", "'").startswith("'") and "learning_rate" not in settings
        if self.result.get("automatic") or (settings and named):
            return f"Set learning_rate={rate:.2g}, or raise the budget."
        return f"Set the rate to {rate:.2g}, or name the rule, {name!r}, without one: one is found."

    def still_falls(self) -> bool:
        """Whether the last tenth of the rows brought a share of the whole fall that counts."""
        last = self.cost[-max(2, len(self) // 10) :]
        whole = self.cost[0] - self.cost.min()
        return bool(
            whole > 0 and last[0] - last[-1] > STILL_FALLING * whole * len(last) / len(self)
        )

    def straight(self) -> bool:
        """Whether the last quarter of the rows fell nearly as steeply as the first."""
        n = max(2, len(self) // 4)
        first, last = self.cost[0] - self.cost[n - 1], self.cost[-n] - self.cost[-1]
        falls = np.diff(self.cost[len(self) // 2 :]) < 0
        return bool(first > 0 and last > STRAIGHT * first and falls.mean() > MOSTLY)

    def fell(self) -> float:
        """The share of the first cost that is gone."""
        return (self.cost[0] - self.cost[-1]) / abs(self.cost[0]) if self.cost[0] else 0.0


def diverging(course: Course) -> Finding | None:
    """The cost grew beyond all bounds, or ended above its beginning."""
    result, first = course.result, course.cost[0]
    if result.status is not Status.DIVERGED:
        late = float(np.median(course.cost[-max(1, len(course) // 10) :]))
        if len(course) < 3 or course.searches or not late - first > HIGHER * abs(first):
            return None
        return Finding(
            "diverging",
            f"The cost began at {first:.4g} and ends at {late:.4g}: at a rate of "
            f"{course.rate:.3g} the steps have led nowhere.",
            late / first if first else math.inf,
            f"Set the rate to a hundredth, {course.rate / 100:.2g}, and see where the cost falls: "
            "gd.find_learning_rate looks for the edge.",
        )  # fmt: skip
    seen = f"The cost went from {first:.4g} to {course.cost[-1]:.4g} at a learning rate of "
    seen += f"{course.rate:.3g}"
    limit, safe = course.limit, result.get("safe_rate")
    told = course.by_gradient and limit < course.rate
    if told and (safe is None or 1 / AGREE < 0.5 * limit / safe < AGREE):
        seen += f", above the {limit:.3g} at which steps on a curvature of {2 / limit:.3g} grow"
    if safe is not None:
        cure = course.advise(safe)
    elif told:
        cure = course.advise(limit / 2)
    else:
        cure = (
            f"Set the rate to a tenth, {course.rate / 10:.2g}, or clip gradients (clip_norm=1.0, "
            "or gd.optim.chain with gd.optim.ClipNorm)."
        )
    return Finding("diverging", f"{seen}.", course.rate / (safe or course.rate), cure)


def unbounded(course: Course) -> Finding | None:
    """The function falls for ever."""
    first, last = float(course.cost[0]), float(course.cost[-1])
    if course.result.success or not last < first - DEEP * max(1.0, abs(first)):
        return None
    return Finding(
        "unbounded below",
        f"The function has fallen from {first:.4g} to {last:.3g} and falls on: it seems to have no "
        "minimum.",
        last,
        "Look at its sign, add a term that holds x back, or pass bounds.",
    )


def oscillating(course: Course) -> Finding | None:
    """Steps jump from one wall of the valley to the other."""
    if course.result.status is Status.DIVERGED or not (course.by_gradient and course.full):
        return None
    if course.result.get("automatic"):
        return None  # a rate of 1/L, found on the way
    told = np.flatnonzero(np.isfinite(course.cosine))
    late = told[told >= len(course) // 2]
    cosine = course.cosine[late if len(late) >= FEW else told[-FEW:]]
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


def timid(course: Course) -> Finding | None:
    """The rate is so small that the budget ended on the way."""
    if course.result.status not in SPENT or len(course) < LEAST or course.searches:
        return None
    if course.optimizer.scale == "itself":  # it finds its rate itself
        return None
    if not course.full:
        return _timid_by_batches(course)
    cosine = known(course.cosine[len(course) // 2 :])
    turns = float(np.median(cosine)) if len(cosine) else 0.0
    over = course.rate * course.bend
    if not course.still_falls() or turns < ALIGNED or (course.by_gradient and not over < TIMID):
        return None
    bent = course.by_gradient and course.bend > 0
    seen = (
        f"After {int(course.step[-1])} steps the cost still falls, and gradients in a row hardly "
        f"turn (cosine {turns:.4f})"
    )
    if bent:
        seen += f": rate times curvature is {over:.2g}, where up to 1 is safe"
    better = 0.5 / course.bend if bent else 10 * course.rate
    return Finding("too timid", f"{seen}.", over, course.advise(better))


def _timid_by_batches(course: Course) -> Finding | None:
    if not course.straight():
        return None
    return Finding(
        "too timid",
        f"The cost has fallen from {course.cost[0]:.4g} to {course.cost[-1]:.4g} in "
        f"{int(course.epoch[-1])} epochs, in the last ones as steeply as in the first.",
        course.fell(),
        course.advise(10 * course.rate),
    )


def ill_conditioned(course: Course) -> Finding | None:
    """A long valley: the rate that its walls allow is too small for its floor."""
    if course.result.status not in SPENT or not (course.by_gradient and course.full):
        return None
    met, norm, cosine = map(known, (course.curvature, course.gradient_norm, course.cosine))
    if len(met) < LEAST or not met.min() > 0 or norm[-1] < SMALL * norm[0]:
        return None
    floor, over = float(np.median(met[-FEW:])), course.rate * course.bend
    if met.max() < LONG * floor or over < TIMID or over > UNSTABLE or cosine[-1] < ALIGNED:
        return None
    return Finding(
        "ill-conditioned",
        f"The walls of the valley are bent {met.max() / floor:.2g} times as much as its floor: "
        f"at a rate that they allow ({course.rate:.2g}) the rest takes some "
        f"{2 / (course.rate * floor):.2g} steps.",
        float(met.max() / floor),
        "Take a rule that knows the curvature ('lbfgs', for linear models 'newton'), momentum "
        "('fista'), or scale the columns (standardize=True).",
    )
