"""The loop for a user's own function: `gd.minimize(fun, x0)`."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Unpack, overload

import numpy as np

from gdcore import optim, schedules
from gdcore._typing import Array, Rate, Seed
from gdcore.convergence import Answer, Moment, RelativeChange, RelativeStep, Rule, Status
from gdcore.curvature import look_around
from gdcore.descent import descend
from gdcore.errors import require, require_choice, require_number, require_seconds
from gdcore.hooks import Hooks, as_list
from gdcore.listener import listener
from gdcore.noise import Draws, Noisy
from gdcore.objective import (
    Batches,
    Bounds,
    Function,
    Layout,
    Objective,
    Settings,
    Sides,
    bounds_of,
)
from gdcore.rates import AutoRate
from gdcore.result import Result, interrupt, until_interrupted
from gdcore.seeds import generator

if TYPE_CHECKING:
    from gdcore.hooks import Callbacks
    from gdcore.optim.base import Optimizer

Numbers: TypeAlias = float | Sequence[float] | Array  # what x0 may be to be one array
Nested = TypeVar("Nested", bound=dict[Any, Any] | list[Any] | tuple[Any, ...])  # of arrays
MOST = 10_000  # iterations, unless max_iter says otherwise
DRAWS = 1000  # steps on a function with noise


@dataclass(frozen=True)
class LargestSlope(Rule):
    """Stop when the largest |∂f/∂xᵢ| ≤ eps; of the projected gradient with bounds."""

    eps: float = 1e-5

    def check(self, moment: Moment) -> Answer:
        """Fires on the norm that an `Objective` measures."""
        if moment.gradient_norm <= self.eps:
            return Status.GRADIENT, f"max |∂f/∂x| = {moment.gradient_norm:.3g} ≤ {self.eps:.3g}"
        return None


@overload
def minimize(fun: Function, x0: Numbers, **options: Unpack[Settings]) -> Result[Array]: ...
@overload
def minimize(fun: Function, x0: Nested, **options: Unpack[Settings]) -> Result[Nested]: ...
def minimize(
    fun: Function, x0: Any, *, jac: bool | Function | None = True, args: Any = (),
    method: "str | Optimizer" = "auto", bounds: Bounds | None = None, tol: float | None = None,
    gtol: float | None = None, ftol: float | None = None, xtol: float | None = None,
    max_iter: int | None = None, max_time: float = math.inf, learning_rate: Rate = None,
    callback: Callable[..., object] | None = None, trace: bool = True, restarts: int = 0,
    check_saddle: bool = True, random_state: Seed = None, rng: Seed = None,
    batches: Batches | None = None, callbacks: "Callbacks" = (),
) -> Result[Any]:  # fmt: skip
    """Minimise a function of arrays by gradient descent, and say why it stopped.

    Parameters
    ----------
    fun : callable
        fun(x, *args) → (value, gradient), asked once a step; with `rng`, fun(x, rng, *args); with
        `batches`, fun(x, batch, *args).
    x0 : array of any shape, number, or (nested) dict, list or tuple of arrays
        Where to start; not changed. fun gets copies in this structure and gives the gradient in it.
    jac : True, callable or None
        True: fun gives both. A callable: jac(x, *args) → gradient. None: central differences, two
        calls of fun for each number in x, counted in `nfev`.
    method : "auto", a rule's name in lower case, or an `Optimizer`
        "auto" is L-BFGS, with `rng` or `batches` Adam. "adgd" needs no line search. A name finds
        its rate on the way; an instance brings its own.
    bounds : (low, high), one pair for each number in x, a structure like x0 of pairs, or an object
        with lb and ub; None in a pair is no bound. Kept by projection at every point asked for.
    tol : float, optional
        Sets gtol to tol and, for L-BFGS, ftol to tol²: f goes by squares of the gradient.
    gtol : float
        Stop when max |∂f/∂x| ≤ gtol; default 1e-5, 1e-3 where x0 has single precision.
    ftol : float
        Stop when |Δf| ≤ ftol·max(|f|, 1); default 2.2e-9 (1e-6) for L-BFGS, 0 for other methods,
        whose steps may be small far from any minimum.
    xtol : float
        Stop when ‖Δx‖ ≤ xtol·max(‖x‖, 1); default 0. 0 switches a criterion off.
    max_iter, max_time : budgets, steps (10,000; 1,000 with noise) and seconds
    learning_rate : float or callable t → factor, optional
        A rate, or a schedule on the instance's own rate, or on one found at x0 for a name.
    callback : callable, optional
        Called after each step with a copy of x, or, where its only parameter is named
        `intermediate_result`, with a Result of x, fun and nit. True or StopIteration ends the run.
    trace : bool
        Keep the course: result.trace.
    restarts : int
        Run again from that many random points, within finite bounds or around x0, and keep the
        lowest; result.restarts has them all.
    check_saddle : bool
        Spend up to ten gradients at the end to tell a minimum from a saddle or a plateau.
    random_state : int, Generator or None
        For the restarts.
    rng : int or Generator, optional
        fun is random: it is given this generator. Its last mean is what `fun` in the result says.
    callbacks : functions of a `Moment`, or objects as of `gd.callbacks`
        As of `descend`: an iteration is an epoch, θ is x as a vector. Restarts begin anew.
    batches : iterable, or callable epoch → iterable, optional
        fun is asked on one batch a step; an iterable that can be walked again is.

    Returns
    -------
    Result
        x in the structure of x0, fun, jac, nit, nfev, njev, success, status (a `Status`), message
        (the criterion, and the number that met it), trace, optimizer. The best point is kept:
        divergence, Ctrl-C and values that are no numbers never reach x.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> def rosenbrock(x):
    ...     a, b = 1 - x[0], x[1] - x[0] ** 2
    ...     return a * a + 100 * b * b, np.array([-2 * a - 400 * x[0] * b, 200 * b])
    >>> result = gd.minimize(rosenbrock, [-1.2, 1.0])
    >>> result.x.round(4), result.status.name
    (array([1., 1.]), 'GRADIENT')
    """
    Hooks(callbacks)
    layout = Layout(x0)
    plan = _Plan(layout, method, random=rng is not None or batches is not None)
    plan.rules(tol, gtol, ftol, xtol)
    plan.budget(max_iter, max_time)
    plan.learning_rate = learning_rate
    require_number("restarts", restarts, low=0, whole=True)
    require(
        jac is True or jac is None or callable(jac),
        "jac must be True, None or a callable. Pass one of them.",
    )
    require(callable(fun), f"fun must be callable, got {type(fun).__name__}. Pass a function of x.")
    both = rng is not None and batches is not None
    require(not both, "rng and batches are two kinds of noise. Pass one of them.")
    require(
        rng is None or jac is not None,
        "jac=None with rng would take differences across different draws. Return the gradient too.",
    )
    args = args if isinstance(args, tuple) else (args,)
    low_high = _sides(bounds, layout, plan.optimizer)
    draws = Draws(rng, batches) if plan.random else None

    def run(number: int, start: Array) -> Result[Any]:
        settings: Any = {"jac": jac, "args": args, "bounds": low_high}
        cost: Objective
        if draws is not None:
            cost = Noisy(fun, layout, **settings, source=draws)
        else:
            cost = Objective(fun, layout, **settings)
        more = listener(callback, layout), draws and draws.over
        told = [*as_list(callbacks), *(each for each in more if each is not None)]
        with Hooks(told, run=number, runs=restarts + 1) as hooks:
            return _one(cost, start, plan, hooks, draws, check_saddle)

    starts = _starts(layout.start, low_high, restarts, random_state)
    result = _best(*until_interrupted(run, starts))
    result.jac = layout.build(result.jac)
    result.x = layout.build(result.x)
    if not trace:
        del result["trace"]
    return result


class _Plan:
    """Method, rules and budgets of a run."""

    def __init__(self, layout: Layout, method: Any, random: bool) -> None:
        self.random, self.layout, self.named = random, layout, isinstance(method, str)
        self.heard = False  # Ctrl-C, by a run that had its minimum already
        if self.named:
            require_choice("method", method, ["auto", *map(str.lower, optim.__all__)])
            size = max(1.0, float(np.abs(layout.start).max(initial=0)))
            auto = optim.Adam(0.01 * size) if random else optim.LBFGS()
            method = auto if method == "auto" else optim.by_name(method)()
        elif not isinstance(method, optim.Optimizer):
            raise TypeError(
                f"method must be a name or an optimizer, got {method!r}. Pass 'auto', a name as "
                "'adam', or an instance as gd.optim.Adam(1e-3)."
            )
        require(
            not (random and method.full_batch),
            f"{type(method).__name__} needs the same function at every call. Pass another method, "
            "as 'adam'.",
        )
        self.optimizer: Any = method
        self.learning_rate: Any = None

    def rules(
        self, tol: float | None, gtol: float | None, ftol: float | None, xtol: float | None
    ) -> None:
        """The criteria as one rule, or None."""
        for name, value in {"tol": tol, "gtol": gtol, "ftol": ftol, "xtol": xtol}.items():
            if value is not None:
                require_number(name, value, low=0)
        single = self.layout.resolution > 1e-10
        searches = self.optimizer.searches
        if self.random:
            default = 0.0, 0.0
        else:
            default = (1e-3 if single else 1e-5), (1e-6 if single else 2.2e-9) * searches
        if tol is not None:
            default = tol, tol * tol * self.optimizer.searches
        gtol = default[0] if gtol is None else gtol
        ftol = default[1] if ftol is None else ftol
        found = (LargestSlope, gtol), (RelativeChange, ftol), (RelativeStep, xtol or 0)
        wanted = [rule(eps) for rule, eps in found if eps > 0]
        self.stop: Rule | None = None
        for rule in wanted:
            self.stop = rule if self.stop is None else self.stop | rule

    def budget(self, max_iter: int | None, max_time: float) -> None:
        """Steps and seconds."""
        self.max_iter = max_iter if max_iter is not None else DRAWS if self.random else MOST
        require_number("max_iter", self.max_iter, low=0, whole=True)
        require_seconds("max_time", max_time)
        self.until = time.perf_counter() + max_time

    def rule(self, cost: Objective) -> Any:
        """The optimizer; a named one whose rate has a schedule starts at a rate found at x0."""
        if not (self.named and callable(self.learning_rate)) or self.random:
            return self.optimizer
        found = AutoRate.start(self.optimizer, cost.safe_rate(1), True, cost.unit)
        return replace(self.optimizer, lr=found.rate)

    def rate(self) -> Any:
        """What `descend` takes as learning_rate."""
        if callable(self.learning_rate):
            return self.learning_rate
        if self.learning_rate is not None:
            require_number("learning_rate", self.learning_rate, low=0, above=True)
            return float(self.learning_rate)
        if self.random:  # at a constant rate the noise would stay
            return schedules.Cosine(max(self.max_iter, 1)) if self.named else self.optimizer.lr
        if self.named and not self.optimizer.searches:
            return None
        return self.optimizer.lr


def _one(
    cost: Objective,
    start: Array,
    plan: _Plan,
    hooks: Hooks,
    draws: Draws | None,
    check_saddle: bool,
) -> Result[Any]:
    """One run; its result with flat x and jac."""
    if plan.heard:
        raise KeyboardInterrupt
    start = start.copy()
    cost.prox(start, 1.0)
    cost.begin(start)
    if draws is not None:
        draws.restart()
    left = max(plan.until - time.perf_counter(), 1e-9)
    result = descend(
        cost, start, plan.rule(cost), learning_rate=plan.rate(), stop=plan.stop,
        max_epochs=plan.max_iter, max_time=left, callbacks=hooks,
    )  # fmt: skip
    if cost.bounded:  # the loop knows the projected one
        result.jac = cost.slope
    _reword(result, cost, draws)
    if check_saddle and result.status is Status.GRADIENT and draws is None:
        try:
            look_around(result, cost, plan.layout.resolution)
        except KeyboardInterrupt:  # the minimum stands, looked around or not
            plan.heard = True
    result.nfev, result.njev = cost.calls, cost.slopes
    del result["batch_size"]
    hooks.end(result)
    return result


def _reword(result: Result, cost: Objective, draws: Draws | None) -> None:
    """The loop's message in a function's words: iterations, not epochs."""
    slope = f"max |∂f/∂x| = {cost.norm(result.x, result.jac):.3g}"
    if result.status is Status.EPOCHS or (draws is not None and draws.done):
        result.status = Status.ITERATIONS
        result.message = f"{result.nit} iterations, {slope}. {result.status.value}"
    elif result.status is Status.STALLED and getattr(result.optimizer, "searches", False):
        result.message = (
            f"No lower point along the direction, {slope}: f is level to rounding here, or the "
            "gradient is not its own. Compare with jac=None, or ask for a larger tol."
        )
    elif result.status is Status.CALLBACK:
        result.message = f"Stopped after {result.nit} iterations, {slope}. {result.status.value}"
    elif result.status is Status.DIVERGED:
        name = type(result.optimizer).__name__.lower()
        text = result.message.replace("learning_rate='auto'", f"method={name!r}")
        result.message = text.replace(
            "the best parameters so far are kept", "the lowest point is kept"
        )
    if cost.jac is None:
        result.message += f" ({cost.calls} calls of fun, most of them for differences: pass jac.)"
    if draws is not None:
        tail = result.trace.cost[-max(1, len(result.trace) // 10) :]
        result.fun = float((tail / len(tail)).sum())  # their sum may have no place
    result.success = result.status.success


def _sides(bounds: Any, layout: Layout, optimizer: Any) -> Sides:
    """The bounds as flat vectors; refused where they do not hold a rule."""
    rule = getattr(optimizer, "optimizer", optimizer)  # that of a chain
    require(
        bounds is None or not isinstance(rule, (optim.ScheduleFreeSGD, optim.ScheduleFreeAdamW)),
        f"{type(rule).__name__} averages points that no bounds hold. Pass another method.",
    )
    return bounds_of(bounds, layout)


def _starts(x0: Array, bounds: Sides, restarts: int, random_state: Seed) -> Iterator[Array]:
    """x0 and random points: uniform within finite bounds, else normal around x0 in its own size."""
    yield x0
    rng: Any = generator(random_state) if restarts else None
    low, high = bounds
    spread = np.maximum(np.abs(x0), 1.0)
    for _ in range(restarts):
        start = x0 + spread * rng.standard_normal(len(x0))
        if low is not None and high is not None:
            inside = np.isfinite(low) & np.isfinite(high)
            start[inside] = rng.uniform(low[inside], high[inside])
            start = np.clip(start, low, high)
        yield start


def _best(results: Sequence[Result[Any]], interrupted: Status | None) -> Result[Any]:
    """The lowest of several runs, with what became of all."""
    order = sorted(
        results, key=lambda r: (not r.success, r.fun) if np.isfinite(r.fun) else (True, np.inf)
    )
    lowest = min(results, key=lambda r: r.fun)
    best = order[0] if order[0].success and order[0].fun <= lowest.fun else lowest
    if len(results) > 1:
        values = np.array([result.fun for result in results])
        best.restarts = {"fun": values, "status": [result.status for result in results]}
        best.nfev = sum(result.nfev for result in results)
        best.njev = sum(result.njev for result in results)
        best.message += (
            f" Lowest of {len(results)} runs, whose values range from {values.min():.6g} to "
            f"{values.max():.6g}."
        )
    if interrupted:
        interrupt(best, interrupted)
    return best


def scipy_method(
    optimizer: "Optimizer", fun: Function, x0: Any, args: Any = (), *, jac: Any = None,
    hess: object = None, hessp: object = None, bounds: Any = None, constraints: Any = (),
    callback: Any = None, **options: Any,
) -> Result[Any]:  # fmt: skip
    """What `scipy.optimize.minimize(fun, x0, method=optimizer)` calls, with SciPy's names.

    Options: tol, gtol, ftol, xtol, maxiter (or max_iter), max_time, learning_rate, trace, disp.
    """
    require(not constraints, "constraints are not supported. Pass bounds, or add a penalty to fun.")
    if "maxiter" in options:
        options["max_iter"] = options.pop("maxiter")
    disp = options.pop("disp", False)
    known = {"tol", "gtol", "ftol", "xtol", "max_iter", "max_time", "learning_rate", "trace",
             "check_saddle", "restarts", "random_state"}  # fmt: skip
    for name in options:
        require_choice("options", name, sorted(known))
    result = minimize(
        fun, np.atleast_1d(x0), jac=jac if callable(jac) else jac is True or None, args=args,
        method=optimizer, bounds=bounds, callback=callback, **options,
    )  # fmt: skip
    if disp:
        print(result.message)
    return result
