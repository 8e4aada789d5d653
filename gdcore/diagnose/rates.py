"""`gd.find_learning_rate`: the learning rate range test, its edge, and a rate that would do."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.diagnose.subjects import require_estimator, run_of
from gdcore.diagnose.walks import Walk, as_rule, of_function
from gdcore.errors import require, require_number
from gdcore.models.estimator import Seed
from gdcore.optim.base import Optimizer
from gdcore.seeds import generator

if TYPE_CHECKING:
    from gdcore.diagnose.plot_course import LearningRateDisplay

DECADES, SWEEP = 8, 120  # rates of a range test, and its steps over so many decades
MOST = 20  # decades, after which it has no end
STEPS = 100, 1000  # of a trial at one rate, at least and at most, where a pass has others
MEMORY = 0.9  # of the running mean that smooths a noisy curve
FAR = 100  # times what the cost has fallen: so far above the start a trial is over
NARROW = {False: 1.02, True: 1.5}  # edge to the largest stable rate, without noise and with it
HALF, THIRD = 2, 3  # what part of the edge is suggested at most
COARSE = 4  # times between the rates that are tried first
MOVES = 10  # doublings or halvings of a rate that is looked for by trials
SIGMAS = 3  # of noise, that a rise must be above
ROUNDING = 1e-12


@dataclass(frozen=True, repr=False, eq=False)
class LearningRateSearch:
    """What `find_learning_rate` found.

    Example
    -------
    >>> import gdcore as gd
    >>> search = gd.find_learning_rate(lambda x: (x @ x, 2 * x), [1.0, 2.0])
    >>> 0 < search.learning_rate < search.edge
    True
    """

    learning_rate: float
    edge: float  # the smallest rate found at which the cost rises; infinite where none does
    rates: Array  # of the range test
    costs: Array  # met at them; where there is noise, smoothed
    trials: dict[float, float]  # rate: cost at the end of a run at it alone, ∞ where that rose
    noise: float  # the deviation of the cost of one batch, at the start
    optimizer: Optimizer
    message: str

    def plot(self, ax: Any = None) -> "LearningRateDisplay":
        """Cost over rate, with the edge and the suggestion; needs matplotlib."""
        from gdcore.diagnose.plots import LearningRateDisplay

        return LearningRateDisplay.from_result(self, ax=ax)

    def _rows(self) -> list[tuple[str, str]]:
        return [
            ("learning_rate", f"{self.learning_rate:.3g}"),
            ("edge", f"{self.edge:.3g}" if math.isfinite(self.edge) else "none found"),
            ("noise", f"{self.noise:.3g}"),
            ("range test", f"{len(self.rates)} steps, rates {self.rates[0]:.2g} to "
                           f"{self.rates[-1]:.2g}"),
            ("trials", f"{len(self.trials)} runs at one rate each"),
            ("optimizer", repr(self.optimizer)),
        ]  # fmt: skip

    def __repr__(self) -> str:
        lines = [f"{name:>13}: {value}" for name, value in self._rows()]
        return "\n".join([self.message, *lines])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in self._rows()
        )
        return f"<p>{escape(self.message)}</p><table class='rates'>{rows}</table>"


def find_learning_rate(
    fun: Any, x: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None, *,
    method: str | Optimizer = "sgd", jac: bool | Callable[..., Any] | None = True, args: Any = (),
    rng: Any = None, batches: Any = None, batch_size: int | None = None, steps: int | None = None,
    low: float | None = None, high: float | None = None, random_state: Seed = 0,
) -> LearningRateSearch:  # fmt: skip
    """Find the rate from where on descent goes up instead of down, and one that would do.

    A range test (Smith, 2017): one descent whose rate grows with each step, until the cost rises.
    Then runs at single rates, `steps` long, all from the same start and on the same batches: they
    find the edge, the smallest rate at which the cost rises. Rises are told from noise by the
    deviation σ of a batch's cost at the start, which is measured; the cost may be negative.

    The suggestion: of steps along the gradient over all rows half the edge, which for plain descent
    on curvature L is 1/L, the edge being 2/L; less where a run at less ends lower. Else (noise,
    or steps of a unit length, as of Adam) the rate whose run ends lowest among that of the
    steepest fall in the range test, a third of the edge, parts of that, and their doubles and
    halves; never more than a third of the edge.

    Parameters
    ----------
    fun : estimator, `Cost` or `PlainCost`, or callable as of `gd.minimize`
        An estimator is left untouched; its optimizer and batch_size are used.
    x, y, sample_weight : rows, targets and weights for an estimator
        For a function or a cost x is where to start.
    method : name or Optimizer, for a function or a cost
        Its other hyper-parameters count, its lr does not.
    jac, args, rng, batches : as for `gd.minimize`
    batch_size : int, optional, for a `Cost`
        Rows a step; default: all.
    steps : int, optional
        Of one run; default: one pass over the data, but 100 to 1,000.
    low, high : float, optional
        Ends of the range test; default: from a rate that hardly moves θ to where the cost rises.
    random_state : int, Generator or None
        Of the batches; for an estimator without one, also of the first weights.

    Returns
    -------
    LearningRateSearch
        `learning_rate`, `edge`, `rates` and `costs` (the curve), `trials`, `noise`, `message`;
        `plot()` draws the curve.

    Raises
    ------
    ValueError, TypeError
        For rules that find their own steps (L-BFGS, Newton, AdGD …), and where the gradient at the
        start is zero or no finite number.

    Example
    -------
    >>> import gdcore as gd
    >>> def valley(x):
    ...     return x @ (x * (1, 100)) / 2, x * (1, 100)
    >>> found = gd.find_learning_rate(valley, [1.0, 1.0])
    >>> round(found.edge, 3), round(found.learning_rate, 3)
    (0.02, 0.01)
    """
    for name, value in {"low": low, "high": high}.items():
        if value is not None:
            require_number(name, value, low=0, above=True)
    require(low is None or high is None or low < high, "low must be below high. Swap them.")
    if steps is not None:
        require_number("steps", steps, low=8, whole=True)
    draw = generator(random_state)
    if hasattr(fun, "fit"):
        require_estimator(fun)
        run = run_of(fun, (x, y, sample_weight), draw, learning_rate=1.0)
        batch = None if run.full else run.batch_size
        cost, start, rule = run.cost, run.theta, run.optimizer
    else:
        rule, batch = as_rule(method), batch_size
        if batch is not None:
            require_number("batch_size", batch, low=1, whole=True)
        if hasattr(fun, "value_and_gradient"):
            cost, start = fun, np.array(x, np.float64)
        else:
            more = {"jac": jac, "args": args if isinstance(args, tuple) else (args,)}
            cost, start = of_function(fun, x, rule, more | {"rng": rng, "batches": batches})
    before = getattr(cost, "steps", None)
    try:
        with cost:
            walk = Walk(cost, start, rule, batch, int(draw.integers(2**62)))
            return _Search(walk, steps).run(low, high)
    finally:
        if before is not None:
            cost.steps = before


class _Search:
    """One search on its way."""

    def __init__(self, walk: Walk, steps: int | None) -> None:
        self.walk, self.noisy = walk, walk.noisy
        self.steps = steps or min(max(walk.batches, STEPS[0]), STEPS[1])
        self.base = base = walk.standing(self.steps)
        self.tail = max(self.steps // 4, 2)
        self.level, self.noise = float(base.mean()), float(base.std()) if self.noisy else 0.0
        self.last = float(base[-self.tail :].mean())  # on the batches that the end of a run sees
        self.arrived = self.tail if self.noisy else max(self.steps // 20, 1)
        self.fall = ROUNDING * abs(self.level)
        self.nothing = 10 * ROUNDING * abs(self.level)
        self.trials: dict[float, float] = {}
        self.rose: set[float] = set()

    def run(self, low: float | None, high: float | None) -> LearningRateSearch:
        """Range test, edge, suggestion."""
        low = low or min(self.walk.first_rate(), (high or math.inf) / 10**DECADES)
        rates, raw, rose = self._range(low, high)
        smooth = smoothed(raw) if self.noisy else raw
        edge = self._edge(float(rates[-1]), high) if rose else math.inf
        along = self.walk.rule.scale == "gradient" and not self.noisy
        most = min(edge / (HALF if along else THIRD), float(rates[-1]))
        starts = [most]
        if not along or not rose:
            below = [most / COARSE**k for k in range(1, 5)]
            starts = [min(self._steepest(rates, smooth), most), most, *below]
        rate, why = self._best(starts, most)
        if rose and not self.noisy and not min(self.trials.values()) < self.last - self.nothing:
            rate = edge = math.nan
        if along and rate == edge / HALF:
            why = "half of it"
        text = self._message(rate, edge, why, rates[-1])
        sound = np.isfinite(smooth)
        return LearningRateSearch(
            rate, edge, rates[sound], smooth[sound], dict(sorted(self.trials.items())), self.noise,
            self.walk.rule, text,
        )  # fmt: skip

    def _range(self, low: float, high: float | None) -> tuple[Array, Array, bool]:
        """(rates, costs, whether they rose at last) of a descent whose rate grows."""
        growth = 10.0 ** (DECADES / SWEEP)
        count = SWEEP * MOST // DECADES
        if high is not None:
            wide = math.log(high) - math.log(low)
            count = max(2, min(count, 1 + math.ceil(wide / math.log(growth))))
        rates = low * growth ** np.arange(count)
        if high is not None:
            rates = np.geomspace(low, high, count)
        costs, mean, keep = [], 0.0, MEMORY if self.noisy else 0.0
        for t, cost in enumerate(self.walk.along(rates)):
            costs.append(cost)
            if not math.isfinite(cost):
                break
            stood = self.base[t] if t < len(self.base) else self.level  # on the same batch
            self.fall = max(self.fall, stood - cost - SIGMAS * self.noise)
            mean = keep * mean + (1 - keep) * (cost - stood)
            known = 1 - keep ** (t + 1)
            sigma = self.noise * math.sqrt((1 - keep) / (1 + keep) * (2 - known)) / known**0.5
            if mean / known > SIGMAS * sigma + self.fall or cost > self._limit():
                break
        else:
            return rates, np.array(costs), False
        return rates[: len(costs)], np.array(costs), True

    def _limit(self) -> float:
        """A cost at which a run is over."""
        return self.level + 10 * self.noise + FAR * self.fall

    def _rises(self, rate: float) -> bool:
        """Whether a run at this rate ends above its start; the run is kept in `trials`."""
        if rate in self.trials:
            return rate in self.rose
        costs, limit = [], self._limit()
        for cost in self.walk.along(np.full(self.steps, rate)):
            costs.append(cost)
            if not cost <= limit:
                break
        end = np.array(costs[-self.tail :])
        rose = not costs[-1] <= limit
        if not rose:
            noise = max(self.noise, float(end.std())) if self.noisy else 0.0
            slack = 2 * noise / math.sqrt(len(end)) + ROUNDING * abs(self.level)
            rose = float(end.mean()) > self.last + slack
            with np.errstate(invalid="ignore"):  # of −∞, where f falls without end
                growing = np.diff(end) > ROUNDING * np.abs(end[1:])
            rose = rose or (not self.noisy and bool(growing.all()))
        self.trials[rate] = math.inf if rose else float(end[-self.arrived :].mean())
        if rose:
            self.rose.add(rate)
        return rose

    def _steepest(self, rates: Array, costs: Array) -> float:
        """The rate around which the curve falls most over a decade of rates."""
        decade, lag = SWEEP // DECADES, round(MEMORY / (1 - MEMORY)) if self.noisy else 0
        costs = costs[np.isfinite(costs)]
        if len(costs) <= decade:
            return float(rates[0])
        start = int(np.argmax(costs[:-decade] - costs[decade:]))
        return float(rates[max(start + decade // 2 - lag, 0)])

    def _edge(self, rate: float, high: float | None) -> float:
        """The smallest rate found at which a run rises, next to one at which none does."""
        stable = unstable = None
        for _ in range(60):
            if self._rises(rate):
                unstable = rate
                if stable is not None:
                    break
                rate /= 2
            else:
                stable = rate
                if unstable is not None:
                    break
                if high is not None and rate >= high:
                    return math.inf
                rate *= 2
        if stable is None or unstable is None:
            return unstable or math.inf
        while unstable / stable > NARROW[self.noisy]:
            middle = math.sqrt(stable * unstable)
            if self._rises(middle):
                unstable = middle
            else:
                stable = middle
        return unstable

    def _best(self, starts: list[float], most: float) -> tuple[float, str]:
        """(rate, why): from the best of these on doubled, or else halved, for as long as runs end
        lower."""
        for rate in starts:
            self._rises(rate)
        best = min(starts, key=lambda rate: self.trials[rate])
        for step in (2.0, 0.5):
            here = first = best
            for _ in range(MOVES):
                here *= step
                if here > most or here * 4 < best or here > best * 4:  # two in a row were no better
                    break
                if not self._rises(here) and self.trials[here] < self.trials[best]:
                    best = here
            if best != first:
                break
        return best, f"a run of {self.steps} steps ended lowest there"

    def _message(self, rate: float, edge: float, why: str, last: float) -> str:
        if not math.isfinite(rate):
            return (
                "The cost rises at every rate that changes it: −∇J leads uphill. Compare the "
                "gradient with differences: gd.check_gradient."
            )
        if not math.isfinite(edge):
            return (
                f"No edge: up to a rate of {last:.3g} the cost does not rise. "
                f"{rate:.3g} would do: {why}."
            )
        return f"From a rate of {edge:.3g} on the cost rises. {rate:.3g} would do: {why}."


def smoothed(costs: Array) -> Array:
    """The running mean Σ βᵏ·costₜ₋ₖ / Σ βᵏ, β = 0.9: its bias at the start is corrected (Kingma &
    Ba, 2015)."""
    mean, found = 0.0, []
    for t, cost in enumerate(costs.tolist(), start=1):
        mean = MEMORY * mean + (1 - MEMORY) * cost
        found.append(mean / (1 - MEMORY**t))
    return np.array(found)
