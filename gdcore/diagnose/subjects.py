"""What a check is about: a function, a cost, an estimator or a layer, as f over one flat vector."""

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from gdcore._typing import Array, Generator
from gdcore.convergence import Moment, Rule
from gdcore.devices import is_foreign
from gdcore.errors import require
from gdcore.layers.base import Context, Layer, Part
from gdcore.models.estimator import Estimator
from gdcore.models.flat import Flat
from gdcore.objective import Layout, Objective
from gdcore.parameters import Parameters
from gdcore.run import Run

MOVED = 0.1  # of a part's size: how far from its start θ is taken at random
SMALL = 0.3  # over the root of a part's extent: what that is for a part that starts at zero
GPT_WINDOWS = 4

Shapes: TypeAlias = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Subject:
    """f over a flat x in double precision."""

    start: Array
    ask: Callable[[Array], tuple[float, Array]]  # x → (f, its gradient)
    value: Callable[[Array], float]  # x → f
    parts: Shapes  # {name: shape}, as they lie in x; "" is x itself
    build: Callable[[Array], Any]  # a vector like x → the structure that the user knows
    free: Array  # numbers of the coordinates that there is a gradient of
    what: str  # in sentences
    held: AbstractContextManager[Any] = field(default_factory=nullcontext)

    def name(self, i: int) -> str:
        """Of coordinate i, as "w[3, 2]"."""
        part, place = self.place(i)
        index = ", ".join(map(str, place))
        return f"{part or 'x'}[{index}]" if place else part or "x"

    def place(self, i: int) -> tuple[str, tuple[int, ...]]:
        """(name of its part, index in it)."""
        for name, shape in self.parts.items():
            size = math.prod(shape)
            if i < size:
                return name, tuple(map(int, np.unravel_index(i, shape))) if shape else ()
            i -= size
        raise IndexError(i)


def of_function(fun: Any, x: Any, jac: Any, args: Any) -> Subject:
    """fun(x, *args), with its gradient or another function for that."""
    require(
        jac is True or callable(jac),
        "jac must be True or a callable: without a gradient there is none to check. Pass one.",
    )
    layout = doubled(Layout(x))
    args = args if isinstance(args, tuple) else (args,)
    objective = Objective(fun, layout, jac=jac, args=args, bounds=(None, None))

    def ask(point: Array) -> tuple[float, Array]:
        g = np.empty_like(point)
        return objective.value_and_gradient(point, g), g

    def value(point: Array) -> float:
        if jac is True:
            return ask(point)[0]
        return float(np.asarray(fun(layout.build(point), *args)).reshape(-1)[0])

    parts = dict(zip(layout.paths, layout.shapes, strict=True))
    everything = np.arange(len(layout.start))
    return Subject(layout.start, ask, value, parts, layout.build, everything, "fun")


def doubled(layout: Layout) -> Layout:
    """The layout with all arrays in double precision: steps of 1e-6 are nothing in single."""
    layout.kinds = [np.dtype(float)] * len(layout.kinds)
    layout.resolution = float(np.finfo(float).eps)
    return layout


def of_cost(cost: Any, theta: Any, what: str = "the cost") -> Subject:
    """A `Cost` or `PlainCost` at θ."""
    theta = np.array(theta, np.float64)
    size = getattr(cost, "size", theta.size)
    require(
        theta.ndim == 1 and theta.size == size,
        f"x must be θ, a vector of {size} numbers, got shape {theta.shape}. Pass one.",
    )
    shapes: Shapes = getattr(getattr(cost, "model", None), "shapes", dict)()
    if sum(map(math.prod, shapes.values())) != size:
        shapes = {"theta": theta.shape}
    counts = hasattr(cost, "steps")  # by which dropout draws: every call is to be the same step

    def ask(point: Array) -> tuple[float, Array]:
        theta, g = point.copy(), np.empty_like(point)
        before = cost.steps if counts else 0
        if counts:
            cost.steps = 0
        try:
            value = cost.value_and_gradient(theta, g)
        finally:
            if counts:
                cost.steps = before
        return float(value), np.array(cost.steepest(point, g))

    def value(point: Array) -> float:
        return ask(point)[0]

    def build(vector: Array) -> Any:
        parts = Parameters(shapes, vector.copy())
        return {name: parts[name] for name in parts} if len(shapes) > 1 else vector.copy()

    free = np.ones(size, bool)
    for part in getattr(cost, "frozen", ()):
        free[part] = False
    return Subject(theta, ask, value, shapes, build, np.flatnonzero(free), what, held=cost)


def of_estimator(estimator: Any, X: Any, y: Any, sample_weight: Any, rng: Generator) -> Subject:
    """The cost of a fit to these rows, at a random θ near its start."""
    if hasattr(estimator, "block_size"):
        return _of_gpt(estimator, X, rng)
    require_estimator(estimator)
    settings = {
        "batch_size": "full", "early_stopping": False, "optimizer": "sgd", "learning_rate": "auto"
    }  # fmt: skip
    if "dtype" in estimator.get_params():
        settings |= {"dtype": "float64", "restarts": 0, "clip_norm": None}
    run = run_of(estimator, (X, y, sample_weight), rng, **settings)
    return shaken(of_cost(run.cost, run.theta, "J"), rng)


def _of_gpt(gpt: Any, data: Any, rng: Generator) -> Subject:
    """A language model's cost on windows of this text, without dropout."""
    model = replace(gpt, dtype="float64")
    train, _ = model._data(data, None)
    theta = model._begin({"data": train})
    budgets = {"max_steps": 1, "eval_every": 1, "batch_size": GPT_WINDOWS}
    cost = model._cost(train, budgets | {"gradient_accumulation": 1}, None)
    return shaken(of_cost(cost, theta, "J"), rng)


def of_layer(layer: Layer, x: Any, rng: Generator) -> Subject:
    """Σ v·y of a layer in training, for a random v, over its parameters and its inputs x."""
    x = np.asarray(x)
    require(
        x.ndim >= 1 and x.size and x.dtype.kind in "fiu",
        f"x must be rows of numbers for the layer, got {x.dtype} of shape {x.shape}. Pass "
        "(n, …), the rows first.",
    )
    probe = _LayerProbe(layer, x, rng)
    flat, shapes = probe.flat, probe.flat.shapes()
    start = shaken_parts(flat.init(rng, np.float64), shapes, rng, flat.slices(_frozen))
    if not probe.whole:
        start, shapes = np.concatenate([start, probe.x.ravel()]), shapes | {"x": x.shape}

    def build(vector: Array) -> dict[str, Array]:
        parts = Parameters(shapes, vector.copy())
        return {name: parts[name] for name in parts}

    free = np.ones(len(start), bool)
    for part in flat.slices(_frozen):
        free[part] = False
    if np.isnan(probe.ask(start)[1][flat.size :]).all():  # as of ids: there is no slope
        free[flat.size :] = False
    free = np.flatnonzero(free)
    return Subject(start, probe.ask, probe.value, shapes, build, free, "the layer")


class _LayerProbe:
    """Σ v·y over parameters and inputs in one vector; inputs of whole numbers stay as they are."""

    def __init__(self, layer: Layer, x: Array, rng: Generator) -> None:
        self.layer, self.flat, self.whole = layer, Flat(layer, x.shape[1:]), x.dtype.kind in "iu"
        self.x = x if self.whole else x.astype(np.float64)
        shape = (len(x), *layer.output(x.shape[1:]))
        self.aim = rng.normal(size=shape)

    def _forward(self, point: Array) -> tuple[Any, Array, Callable[..., Any]]:
        """(scope, y, backward), with copies of all that a layer may write into."""
        theta, x = point[: self.flat.size].copy(), self.x
        if not self.whole:
            x = point[self.flat.size :].reshape(x.shape).copy()
        scope = self.flat.scope(theta, Context(np.float64, training=True))
        y, backward = self.layer(scope, x)
        _require_shape("y", y, self.aim.shape)
        return scope, y, backward

    def value(self, point: Array) -> float:
        """Σ v·y."""
        return float((self.aim * self._forward(point)[1]).sum())

    def ask(self, point: Array) -> tuple[float, Array]:
        """(Σ v·y, its gradient; NaN where backward gives none)."""
        scope, y, backward = self._forward(point)
        value, g = float((self.aim * y).sum()), np.full_like(point, np.nan)
        gradient = scope.gradient()
        dx = backward(self.aim.copy(), gradient)
        views = self.flat.views(g[: self.flat.size])
        for each in gradient.walk():
            for name in each.names:
                views[each.name + name][...] = each.view(name)
        if not self.whole and dx is not None:
            _require_shape("what backward returns", dx, self.x.shape)
            g[self.flat.size :] = np.ravel(dx)
        return value, g


def _frozen(part: Part) -> bool:
    return not part.trainable


def _require_shape(what: str, array: Any, shape: tuple[int, ...]) -> None:
    require(
        np.shape(array) == shape,
        f"The layer promises {what} of shape {shape}, and gives {np.shape(array)}. Correct its "
        "output, or its backward.",
    )


def shaken(subject: Subject, rng: Generator) -> Subject:
    """The same at a random point near its start."""
    fixed = np.ones(len(subject.start), bool)
    fixed[subject.free] = False
    start = shaken_parts(subject.start, subject.parts, rng, [fixed])
    return replace(subject, start=start)


def shaken_parts(start: Array, shapes: Shapes, rng: Generator, fixed: Sequence[Any]) -> Array:
    """start, each part moved at random by a tenth of its size; what is `fixed` stays."""
    moved = start.copy()
    for view in (parts := Parameters(shapes, moved)):
        part = parts[view]
        size = MOVED * math.sqrt(np.square(part).mean()) if part.size else 0.0
        far = size or SMALL / math.sqrt(max(part.shape, default=1))
        part += far * rng.standard_normal(part.shape)
    for each in fixed:
        moved[each] = start[each]
    return moved


def require_estimator(estimator: object) -> None:
    """Refuse others, whose costs nobody here knows."""
    if not isinstance(estimator, Estimator):
        raise TypeError(
            f"{type(estimator).__name__} is no linear model or network of gdcore. Pass one, or a "
            "function."
        )


class _Seen(BaseException):
    """Carries the run out of a fit that goes no further."""


class _Peek(Rule):
    """A rule that ends a fit before its first measurement, with all that it was about to do."""

    def fresh(self) -> "_Peek":
        """Itself."""
        return self

    def watch(self, proof: Any) -> None:
        """The descent is set up, and knows its cost."""
        raise _Seen(proof.run)

    def check(self, moment: Moment) -> None:
        """Never asked."""
        return None


def run_of(estimator: Any, data: tuple[Any, Any, Any], rng: Generator, **settings: Any) -> Run:
    """The `Run` that a fit to (X, y, weights) would begin; the estimator is left as it is."""
    params = estimator.get_params() | {
        "tol": _Peek(), "callbacks": None, "progress": False, "verbose": 0, "warm_start": False,
    }  # fmt: skip
    state = params["random_state"]
    params["random_state"] = int(rng.integers(2**31)) if state is None else copy.deepcopy(state)
    X, y, weights = data
    require(
        not is_foreign(X),
        "X is an array of another library, and this needs NumPy's. Pass X as one.",
    )
    try:
        type(estimator)(**(params | settings)).fit(X, y, weights)
    except _Seen as seen:
        run: Run = seen.args[0]
        return run
    raise ValueError(
        f"optimizer={estimator.optimizer!r} of this {type(estimator).__name__} takes no steps. "
        "Pass another one, as 'sgd'."
    )
