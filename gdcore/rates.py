"""The learning rate of a run: given, or found on the way."""

import copy
import math
from collections.abc import Callable
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gdcore._typing import Array
from gdcore.optim.base import Optimizer

if TYPE_CHECKING:
    from gdcore.convergence import Moment

PATIENCE = 10  # full-batch steps without a lower cost before an adaptive rule's rate halves
EPOCHS = 4  # and epochs, for any rule on mini-batches
LATER = 2  # the mean weighs epoch t by about t² (Shamir & Zhang, 2013)


class FixedRate:
    """A number, or a number times a schedule t → factor."""

    returned = False

    def __init__(self, base: float, schedule: Callable[[int], float] | None = None) -> None:
        if isinstance(schedule, (type, Optimizer)):  # callable both, and no schedule
            raise TypeError(
                "learning_rate must be a number, 'auto' or a schedule t → factor, got "
                f"{schedule!r}. Pass one of gd.schedules; an optimizer is optimizer=…."
            )
        # A schedule that observes costs changes: this run's copy does, not the user's.
        self.watches = hasattr(schedule, "observe")
        self.schedule: Any = copy.deepcopy(schedule) if self.watches else schedule
        self.base = base

    def at(self, step: int, count: int) -> Array:
        """Rates of the steps step … step + count − 1."""
        if self.schedule is None:
            return np.full(count, self.base)
        factors = [self._factor(t) for t in range(step, step + count)]
        return self.base * np.array(factors)

    def now(self, step: int) -> float:
        """The rate of one step."""
        return self.base if self.schedule is None else self.base * self._factor(step)

    def _factor(self, step: int) -> float:
        given = self.schedule(step)
        if isinstance(given, float):  # at each step of an epoch: soon
            return float(given)
        if isinstance(given, np.ndarray) and given.ndim == 0:
            given = given[()]
        if not isinstance(given, Real):
            raise TypeError(
                f"learning_rate must return a number at each step, got {given!r} at step {step}. "
                "Return a factor."
            )
        return float(given)

    def observe(self, cost: float, best: float) -> None:
        """Tell a schedule that asks for costs, as Plateau; any other rate was given."""
        if self.watches:
            self.schedule.observe(cost)

    def halve(self) -> bool:
        """False: a rate that the user gave is not changed."""
        return False


class AutoRate:
    """Start at a safe rate; halve it when the cost stops falling, and go back to the best θ.

    At a constant rate the cost of noisy steps falls to a floor in proportion to the rate; halving
    lowers the floor. Full-batch steps along the gradient need none of this: 1/L never overshoots.
    """

    def __init__(self, rate: float, patience: float) -> None:
        self.rate, self.patience = rate, patience
        self.waited, self.halvings, self.returned = 0, 0, False
        self.epochs = 0

    @classmethod
    def start(cls, optimizer: "Optimizer", safe: Any, full: bool, unit: float) -> Self:
        """The rate that suits a rule: 1/L, less for momentum; a step in θ for adaptive ones; lr."""
        if optimizer.scale != "gradient":
            start = optimizer.lr if optimizer.scale == "itself" else optimizer.automatic * unit
            return cls(start, PATIENCE if full else EPOCHS)
        if not full:
            safe *= 1 - getattr(optimizer, "momentum", 0.0)
        return cls(safe, math.inf if full else EPOCHS)

    def weight(self) -> float:
        """What the last epoch's mean weighs in the mean since the rate was last halved."""
        return (1 + LATER) / (self.epochs + LATER)

    def at(self, step: int, count: int) -> Array:
        """The current rate for each step."""
        return np.full(count, self.rate)

    def now(self, step: int) -> float:
        """The current rate."""
        return self.rate

    def observe(self, cost: float, best: float) -> None:
        """Halve after more than `patience` measurements that were not below the best."""
        self.waited = 0 if cost < best else self.waited + 1
        if self.waited > self.patience:
            self.halve()

    def halve(self) -> bool:
        """Halve the rate and ask for the best θ; False where nothing is left to halve."""
        self.waited = self.epochs = 0
        self.rate /= 2
        self.halvings += 1
        self.returned = self.halvings < 200
        return self.returned


def advice(run: Any, moment: "Moment") -> str:
    """What to do about a descent that diverged. Notes the rate that it names in the run."""
    # Where J is another one at each step, no automatic rate is to be had either.
    safe = None if run.noisy else run.cost.safe_rate(run.batch_size)
    cure = "try a tenth of it"
    if safe is not None:
        run.safe_rate = AutoRate.start(run.optimizer, safe, run.full, run.cost.unit).rate
        cure = f"try {run.safe_rate:.2g}, or learning_rate='auto'"
    return (
        f"cost {run.trace.cost[0]:.3g} → {moment.cost:.3g} at learning rate "
        f"{moment.learning_rate:.3g}; {cure}"
    )
