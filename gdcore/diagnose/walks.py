"""Steps of an optimizer at rates of our choosing, from one start, as often as asked."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from gdcore import optim
from gdcore._typing import Array, State
from gdcore.errors import require, require_choice
from gdcore.models.estimator import require_batch
from gdcore.noise import Draws, Noisy
from gdcore.objective import Layout, Objective
from gdcore.optim.base import Optimizer
from gdcore.parameters import aligned_copy

LEAST = 1e-6  # of θ's size: how far the first step of a range test goes
SAME = 1e-9  # relative: two calls that differ by more differ by noise


class Walk:
    """A cost, a rule, a start; every walk sees the same rows, draws and dropout."""

    def __init__(
        self, cost: Any, start: Array, rule: Optimizer, batch_size: int | None, seed: int
    ) -> None:
        if rule.searches or rule.visits or rule.scale == "itself":
            name = type(rule).__name__
            raise ValueError(
                f"{name} finds its own steps: there is no learning rate to look for. Use {name} as "
                "it is, or pass a rule that takes one, as 'sgd' or 'adam'."
            )
        self.cost, self.start, self.rule, self.seed = cost, start, rule, seed
        rows = len(cost)
        self.full = batch_size is None or batch_size >= rows
        self.batch_size = rows if batch_size is None or self.full else int(batch_size)
        require_batch(rule, self.full)
        self.batches = -(-rows // self.batch_size)
        self.restart: Callable[[], object] = getattr(cost, "restart", lambda: None)
        g = np.empty_like(start)
        self.restart()
        self._again()
        with np.errstate(all="ignore"):
            value = cost.value_and_gradient(start.copy(), g)
            self.slope = float(np.linalg.norm(cost.steepest(start, g)))
            other = cost.value_and_gradient(start.copy(), g) if self.full else value
        require(
            math.isfinite(value) and math.isfinite(self.slope),
            f"At the start the cost is {value} and its gradient has a length of {self.slope}. "
            "Start where both are finite.",
        )
        require(
            self.slope > 0,
            "The gradient is zero at the start: no rate leads anywhere. Start elsewhere.",
        )
        self.value = float(value)
        differs = abs(other - value) > SAME * max(abs(other), abs(value))
        self.noisy = not self.full or getattr(cost, "noisy", False) or differs

    def _again(self) -> None:
        """Dropout draws by the number of the step."""
        if hasattr(self.cost, "steps"):
            self.cost.steps = 0

    def first_rate(self) -> float:
        """One that hardly moves θ."""
        size = float(np.sqrt(np.square(self.start, dtype=np.float64).mean()))
        if self.rule.scale != "gradient":
            return LEAST * (size or self.cost.unit)
        return LEAST * max(1.0, size * math.sqrt(len(self.start))) / self.slope

    def along(self, rates: Array, rule: Optimizer | None = None) -> Iterator[float]:
        """The cost that each step meets, one rate after another."""
        rule = rule or self.rule
        theta = aligned_copy(self.start)
        state = rule.init(theta, getattr(self.cost, "shapes", None))
        self.restart()
        self._again()
        return (self._whole if self.full else self._by_batches)(theta, rule, state, rates)

    def _whole(self, theta: Array, rule: Optimizer, state: State, rates: Array) -> Iterator[float]:
        g = np.empty_like(theta)
        for rate in rates:
            with np.errstate(all="ignore"):
                value = float(self.cost.value_and_gradient(theta, g))
                yield value
                rule.step(theta, g, state, rate, cost=value)
                self.cost.prox(theta, rule.reach(state, rate))
                rule.extrapolate(theta, g, state)

    def _by_batches(
        self, theta: Array, rule: Optimizer, state: State, rates: Array
    ) -> Iterator[float]:
        rng, order, none = np.random.default_rng(self.seed), (), theta[:0]
        for t, rate in enumerate(rates):
            place = t % self.batches * self.batch_size
            if place == 0:
                order = self.cost.order(rng)
            rows = order[place : place + self.batch_size]
            with np.errstate(all="ignore"):
                yield float(
                    self.cost.sweep(
                        theta, rule, state, order=rows, rates=np.array([rate]),
                        batch_size=len(rows), average=none,
                    )
                )  # fmt: skip

    def standing(self, steps: int) -> Array:
        """The costs that would be met without a step."""
        if not self.noisy:
            return np.full(steps, self.value)
        return np.array(list(self.along(np.zeros(steps), optim.SGD())))


class _Drawn(Noisy):
    """A function with noise, whose draws begin anew before each walk."""

    def __init__(self, fun: Any, layout: Layout, rng: Any, batches: Any, **settings: Any) -> None:
        self._rng, self._batches = rng, batches
        super().__init__(fun, layout, source=self._anew(), **settings)

    def restart(self) -> None:
        """The first draw comes next."""
        self.source = self._anew()
        self.source.restart()

    def _anew(self) -> Draws:
        return Draws(copy.deepcopy(self._rng), self._batches)


def of_function(fun: Any, x0: Any, rule: Optimizer, settings: dict[str, Any]) -> tuple[Any, Array]:
    """(cost, start) of a function as `gd.minimize` takes it."""
    rng, batches = settings.pop("rng"), settings.pop("batches")
    require(callable(fun), f"fun must be callable, got {type(fun).__name__}. Pass a function of x.")
    layout = Layout(x0)
    settings = settings | {"bounds": (None, None)}
    if rng is None and batches is None:
        return Objective(fun, layout, **settings), layout.start
    require(rng is None or batches is None, "rng and batches are two kinds of noise. Pass one.")
    once = batches is not None and not callable(batches) and iter(batches) is batches
    require(not once, "batches can be walked once only. Pass a list, or a callable epoch → list.")
    require(
        rng is None or settings["jac"] is not None,
        "jac=None with rng would take differences across different draws. Return the gradient too.",
    )
    return _Drawn(fun, layout, rng, batches, **settings), layout.start


def as_rule(method: str | Optimizer) -> Optimizer:
    """The rule behind a name in lower case, or an instance."""
    if isinstance(method, optim.Optimizer):
        return method
    if not isinstance(method, str):
        raise TypeError(
            f"method must be a name or an optimizer, got {method!r}. Pass a name, as 'adam', or an "
            "instance as gd.optim.Momentum(momentum=0.8)."
        )
    require_choice("method", method, list(map(str.lower, optim.__all__)))
    return optim.by_name(method)()
