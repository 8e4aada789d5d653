"""The state of one descent, which `descend` lets measure and advance in turns."""

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, State
from gdcore.certificate import Proof
from gdcore.convergence import Moment, Status
from gdcore.errors import require_number
from gdcore.hooks import Hooks, Plan, Told
from gdcore.parameters import aligned_copy, read_only
from gdcore.rates import AutoRate, FixedRate, advice
from gdcore.result import Result
from gdcore.search import searched
from gdcore.trace import UNKNOWN, LayerTrace, Secants, Trace

if TYPE_CHECKING:
    from gdcore.convergence import Rule
    from gdcore.optim.base import Optimizer

DIVERGED_AFTER = 20  # measurements in a row above the cost that no model at all would have
STALLED_AFTER = 100  # measurements in a row without a move: a moment may still be gathering
DIVERGED_ABOVE = 1e6  # times that cost at once
WATCHED_EVERY = 64  # steps at least between two looks at the layers, which cost about one
NOTHING = 1e-12  # a cost this small, in squared units of the targets, is rounding
SETTLED = (Status.COST, Status.PARAMETERS, Status.STALLED)  # the last θ, if none is lower
ROUNDING = 2 * np.finfo(float).eps  # a step shorter than this part of θ only moves its last bits


class Run:
    """The state of one descent; `measure` and `advance` take turns."""

    max_epochs: int  # these are set by `descend`
    max_time: float
    rng: Any  # a Generator, or None of full batches
    callbacks: Hooks

    def __init__(
        self, cost: Any, theta: Array, optimizer: "Optimizer", *, rate: Any, batch_size: int | None,
        stop: "Rule | None", validate: Callable[[Array], Any] | None, patience: int | None,
    ) -> None:  # fmt: skip
        self.cost, self.optimizer = cost, optimizer
        self.stop = stop if stop is None else stop.fresh()
        self.validate, self.patience = validate, patience
        self.theta = aligned_copy(theta, self._precision(theta))
        self.here = self.lowest = math.nan  # J(θ) that a step over all rows begins with; the best
        self.known: float | None = None  # J(θ), where a line search has it already, and ∇J in g
        self.g = np.zeros_like(self.theta)
        self.state = self._fresh()
        self.examples = len(cost)
        self.draw = getattr(cost, "draw", None)  # a cost may say itself which rows come next
        self.full = batch_size is None or (self.draw is None and batch_size >= self.examples)
        self.batch_size = self.examples if self.full else int(batch_size or 0)
        self.rate = self._rate(rate)
        asked = (stop is not None or validate is not None) and not getattr(cost, "costly", False)
        self.exact = self.full or asked or isinstance(self.rate, AutoRate)
        self.noisy = getattr(cost, "noisy", False)  # J is another one at each step
        self.searches = self.full and optimizer.searches
        self.secants = None if self.noisy else Secants(self.theta)
        penalty = getattr(cost, "penalty", None)
        corner = hasattr(getattr(getattr(cost, "model", None), "loss", None), "rounded")
        self.promises = getattr(penalty, "smooth", True) and not corner  # g does not know of those
        if hasattr(cost, "keep_margins"):  # for searches, and for proofs
            cost.keep_margins()
        self.averages = isinstance(self.rate, AutoRate) and not self.full
        self.proof: Any = Proof(self)
        if self.stop is not None:
            self.stop.watch(self.proof)
        self.trace, self.started, self.clock = Trace(), time.perf_counter(), 0.0
        names = getattr(cost, "layers", ())
        self.trace.layers = LayerTrace(names) if names else None
        self.watched = -WATCHED_EVERY
        self.epoch = self.step = self.evaluations = self.seen = 0
        self.measured, self.older, self.value, self.moved = [math.nan] * 4
        self.best, self.walker = self.theta.copy(), aligned_copy(self.theta)
        # Nothing but the next round tells of a θ that is not measured: the one before stays, too.
        self.earlier = self.best.copy() if validate is None and not self.exact else None
        self.best_cost = self.best_validation = math.inf
        # Of costs that take long to measure anew: J and ∇J where the best was, for Ctrl-C.
        self.slopes: Any = np.full_like(self.g, math.nan) if hasattr(cost, "seen") else None
        self.waited = self.above = self.still = 0
        self.stuck = False  # a line search found no lower point
        self.cut = False  # an epoch ended before its last step
        self.finite = True  # θ and what is known of its cost
        self.limits = math.inf, math.inf
        self.ended: Any = None  # (Status, sentence)
        self.safe_rate: float | None = None

    def _precision(self, theta: Array) -> Any:
        """Double, but where the cost computes in that of θ and nothing needs more."""
        if not isinstance(theta, np.ndarray):  # there are devices without doubles
            return theta.dtype
        keeps = getattr(self.cost, "keeps_precision", False) and not self.optimizer.searches
        return theta.dtype if keeps else np.float64

    def _rate(self, rate: Any) -> Any:
        if rate is None:
            itself = self.optimizer.scale == "itself"  # and asks for no curvature
            start = None if itself else self.cost.safe_rate(self.batch_size)
            sure = self.full and getattr(self.cost, "bounded", True)
            return AutoRate.start(self.optimizer, start, sure, self.cost.unit)
        if callable(rate):
            return FixedRate(self.optimizer.lr, rate)
        require_number("learning_rate", rate, low=0, above=True)
        return FixedRate(float(rate))

    def _fresh(self) -> State:
        state: State = self.optimizer.init(self.theta, getattr(self.cost, "shapes", None))
        return state

    def measure(self) -> bool:
        """J, ∇J and the rules at θ. True when the descent has ended."""
        # Where a line search stands still, the change to be judged is that of the step before.
        previous = self.older = self.older if self.stuck else self.measured
        if self.exact or self.step == 0:
            if self.known is None:
                self.measured = self.cost.value_and_gradient(self.theta, self.g)
                self.evaluations += 1
            else:
                self.measured, self.known = self.known, None
            self.here = self.measured
            norm = self.cost.norm(self.theta, self.g)
        else:
            self.measured, norm = self.value, math.nan
        if self.step == 0:
            self._set_limits(self.cost.baseline(self.theta, self.measured))
        rate = self.rate.now(self.step)
        seconds, examples = self.seconds(), self.seen
        validation, score = self._judged()
        moment = Moment(
            self.step, self.epoch, self.measured, previous, norm, self.moved, rate, seconds,
            examples, validation, read_only(self.theta), read_only(self.g), score,
        )  # fmt: skip
        found = UNKNOWN
        if self.secants is not None and (self.exact or self.step == 0):
            found = self.secants.look(self.theta, self.g)
        if not self.promises:
            found = (*found[:-1], math.nan)
        row = (
            self.step, self.epoch, self.measured, norm, rate, seconds, examples, validation, score,
            self.moved,
        )  # fmt: skip
        self.trace.append(row + found)
        if self.trace.layers is not None and self.step >= self.watched + WATCHED_EVERY:
            self.trace.layers.append(self.step, self.cost.layer_state(self.theta))
            self.watched = self.step
        self._keep_best(moment)
        self.ended = self._reason(moment)
        return self.ended is not None

    def seconds(self) -> float:
        """Since the start; a clock that is set back stands still."""
        self.clock = max(self.clock, time.perf_counter() - self.started)
        return self.clock

    def _judged(self) -> tuple[float, float]:
        """(held-out loss, held-out score), NaN where there is none."""
        if self.validate is None:
            return math.nan, math.nan
        found = self.validate(self.theta)
        return found if isinstance(found, tuple) else (found, math.nan)

    def plan(self) -> Plan:
        """What callbacks hear at the beginning."""
        unit = getattr(self.cost, "counted_in", "epoch") if self.draw is None else "round"
        return Plan(
            self.optimizer, len(self.theta), self.examples, self.batch_size, self.max_epochs,
            self.max_time, unit, self.epoch, self.validate is not None, theta=self.theta,
            cost=self.cost,
        )  # fmt: skip

    def _set_limits(self, baseline: float) -> None:
        """Above the first for long, or above the second at once, a descent has diverged."""
        baseline, unit = float(baseline), float(self.cost.unit)  # which overflow in silence
        size = abs(baseline) + NOTHING * unit * unit
        self.limits = baseline + size, baseline + DIVERGED_ABOVE * size

    def _keep_best(self, moment: Moment) -> None:
        if self.validate is not None:
            better = moment.validation < self.best_validation
            self.waited = 0 if better else self.waited + 1
            if better:
                self.best_validation = moment.validation
        high, far = self.limits
        if self.validate is None or self.patience is None:
            # of equals the later one: its gradient is smaller; of noisy ones the last
            lower = moment.cost <= self.best_cost + ROUNDING * abs(self.best_cost)
            better = bool(lower or (self.noisy and moment.cost <= high))
        self.rate.observe(moment.cost, self.best_cost)
        if moment.cost > -math.inf:  # which is no cost, but would stay the lowest
            self.best_cost = min(self.best_cost, moment.cost)
        sound = kernels.all_finite(self.theta)  # a function may have a value even at infinity
        told = self.validate is None or not self.noisy or moment.validation <= far
        self.finite = sound and told and math.isfinite(moment.cost)
        if not better or not self.finite:
            return
        self.lowest = moment.cost
        if self.slopes is not None:
            self.slopes[:] = self.g if self.exact or self.step == 0 else math.nan
        if self.searches:
            self.best = self.theta  # every step has an array of its own
            return
        if self.earlier is not None:
            self.best, self.earlier = self.earlier, self.best
        self.best[:] = self.theta

    def _reason(self, moment: Moment) -> tuple[Status, str] | None:
        """(Status, sentence), or None to go on."""
        if self.full and self.step:
            self.callbacks.step(moment)
        asked = self.callbacks.measure(moment, self.epoch > 0)
        cost, high, far = moment.cost, *self.limits
        self.above = self.above + 1 if cost > high else 0
        if not self.finite or cost > far or self.above >= DIVERGED_AFTER:
            if not self.rate.halve():
                return Status.DIVERGED, advice(self, moment)
            self.return_to_best()
        if self.cut:  # part of an epoch says nothing of how much J changes in one
            place = f"in epoch {self.epoch}, " if self.draw is None else ""
            return Status.CALLBACK, f"{self.callbacks.by}stopped {place}after {self.steps()}"
        if self.stop is not None and (fired := self.stop.check(moment)):
            return fired
        if self.patience is not None and self.waited >= self.patience:
            text = (
                f"no lower held-out loss in {self.patience} epochs, best {self.best_validation:.6g}"
            )
            return Status.VALIDATION, text
        if asked:
            done = f"epoch {self.epoch}" if self.draw is None else self.steps()
            return Status.CALLBACK, f"{self.callbacks.by}stopped after {done}"
        if not self.searches:
            still = self.moved <= ROUNDING * kernels.norm(self.theta) and not self.rate.returned
            self.still = self.still + 1 if still else 0
        if self.stuck or (self.still >= STALLED_AFTER and self.stop is not None):
            moved = 0.0 if math.isnan(self.moved) else self.moved  # no step was taken at all
            text = f"‖Δθ‖ = {moved:.3g} while ‖∇J‖ = {moment.gradient_norm:.3g}"
            return Status.STALLED, text
        if self.epoch >= self.max_epochs:
            return self.spent()
        if moment.seconds >= self.max_time:
            return Status.TIME, f"{moment.seconds:.3g} s"
        if self.rate.returned:
            self.return_to_best()
        return None

    def spent(self) -> tuple[Status, str]:
        """(Status, sentence) at the end of the budget."""
        if self.draw is not None:
            return Status.STEPS, self.steps()
        return Status.EPOCHS, f"{self.epoch} epochs"

    def steps(self) -> str:
        """How many were taken, in words."""
        return f"{self.step} step" + "s" * (self.step != 1)

    def return_to_best(self) -> None:
        self.theta[:] = self.best
        self.rate.returned = False
        self.walker[:] = self.best
        broken = not all(np.isfinite(array).all() for array in self.state.values())
        if self.full:
            self.here = self.cost.value_and_gradient(self.theta, self.g)
        if self.full or broken:
            self.state = self._fresh()

    def advance(self) -> None:
        """One full-batch step, or one epoch of mini-batch steps."""
        if self.searches:
            self._search()
            return
        before = self.theta.copy()
        with np.errstate(all="ignore"):
            if self.full:
                self._step(self.rate.now(self.step))
                self.step, self.seen = self.step + 1, self.seen + self.examples
            else:
                self._sweep()
            self.moved = kernels.norm(self.theta - before)
        self.epoch += 1

    def _sweep(self) -> None:
        """An epoch of mini-batch steps, of which those hear who want to."""
        order = self.cost.order(self.rng) if self.draw is None else self.draw(self.step)
        batches = -(-len(order) // self.batch_size)
        rates = self.rate.at(self.step, batches)
        mean = np.empty_like(self.theta) if self.averages else self.theta[:0]
        told = Told(self, rates) if self.callbacks.by_step else None
        self.value = self.cost.sweep(
            self.walker, self.optimizer, self.state, order=order, rates=rates,
            batch_size=self.batch_size, average=mean, **({"told": told} if told else {}),
        )  # fmt: skip
        steps, rows = batches, len(order)
        self.cut = told is not None and told.stopped and told.step < batches
        if told is not None and self.cut:
            steps, rows = told.step, told.rows
        self.step, self.seen = self.step + steps, self.seen + rows
        if self.averages:
            self.rate.epochs += 1
            self.theta += self.rate.weight() * (mean - self.theta)
        else:
            self.theta[:] = self.optimizer.solution(self.walker, self.state)
            self._confine(self.theta)

    def _step(self, lr: float) -> None:
        """Over all rows at once, or one by one where the rule does that itself."""
        rule: Any = self.optimizer
        theta, g = self.theta, self.g
        if rule.visits:
            rule.visit(self.cost, theta, g, self.state, lr, self.here)
            return
        rule.step(theta, g, self.state, lr, cost=self.here)
        self.cost.prox(theta, rule.reach(self.state, lr))
        rule.extrapolate(theta, g, self.state)
        self._confine(theta)

    def _confine(self, theta: Array) -> Array:
        """θ within the bounds of a cost that has some. Changes θ."""
        return self.cost.confine(theta) if hasattr(self.cost, "confine") else theta

    def _chosen(self, status: Status) -> Array:
        """The last θ where the descent settled, the average where a rule keeps one, or the best."""
        theta = self.theta
        worse = self.measured > self.best_cost + 1e-9 * abs(self.best_cost)
        settled = status in (Status.GRADIENT, Status.CERTIFIED) or (status in SETTLED and not worse)
        if self.exact and (settled or np.array_equal(theta, self.best)):
            chosen = theta
        else:
            chosen = self.best
            self.measured = self.cost.value_and_gradient(chosen, self.g)
            self.evaluations += 1
            if self.earlier is not None and not self.measured <= self.limits[1]:
                chosen, self.finite = self.earlier, False
                self.measured = self.cost.value_and_gradient(chosen, self.g)
                self.evaluations += 1
        point = self.optimizer.solution(theta, self.state) if self.full else theta
        if point is not theta:
            point = self._confine(point.copy())
        if point is not theta and np.isfinite(point).all():
            g = np.empty_like(self.g)
            value = self.cost.value_and_gradient(point, g)
            self.evaluations += 1
            if value <= self.measured or self.noisy:
                chosen, self.measured, self.g = point, value, g
        return chosen

    def _at_best(self) -> Array:
        """The best θ with what was measured there: who pressed Ctrl-C does not wait for more."""
        self.measured, self.finite = self.lowest, True
        self.g = np.full_like(self.g, math.nan) if self.slopes is None else self.slopes
        return self.best

    def _search(self) -> None:
        """A quasi-Newton step by line search, which measures the point it goes to."""
        x, g = np.empty_like(self.theta), np.empty_like(self.theta)
        start = self.theta, self.g, self.here
        f, far, trials = searched(self.cost, self.optimizer, start, self.state, (x, g))
        self.evaluations += trials
        self.seen += self.examples
        self.step += 1
        self.epoch += 1
        if math.isnan(f):
            self.stuck, self.known = True, self.here
        else:
            self.theta, self.g, self.known, self.moved = x, g, f, far

    def result(self) -> Result:
        """What came of it, measured at the θ that is returned."""
        status, sentence = self.ended
        self.cost.leave(self)
        lost = status is Status.LOST  # and nothing can be measured any more
        at_once = lost or (status is Status.INTERRUPTED and self.slopes is not None)
        theta = self._at_best() if at_once else self._chosen(status)
        if not self.finite and status is not Status.DIVERGED:
            status, sentence = Status.DIVERGED, f"the last steps led nowhere; {sentence}"
        last = self.noisy and (self.validate is None or self.patience is None)
        if status in (Status.EPOCHS, Status.STEPS, Status.TIME):
            sentence += f", ‖∇J‖ = {self.cost.norm(theta, self.g):.3g}"
        result = Result(
            x=theta, fun=self.measured, jac=self.cost.steepest(theta, self.g).copy(),
            nit=self.step, nfev=self.evaluations, status=status, success=status.success,
            message=f"{sentence}. {status.cure(last)}", trace=self.trace,
            optimizer=self.optimizer, learning_rate=self.rate.now(self.step),
            batch_size=self.batch_size,
            bound=self.proof.bound(theta, self.g, self.measured, at_once=at_once),
        )  # fmt: skip
        result.automatic = isinstance(self.rate, AutoRate)
        if self.safe_rate is not None:  # where it diverged, and the doctor is to say the same
            result.safe_rate = self.safe_rate
        return result
