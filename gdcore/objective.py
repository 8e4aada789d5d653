"""A user's function as a cost: values, gradients, bounds and structures, for the one loop."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, ArrayLike, Rate, Seed
from gdcore.claims import counted
from gdcore.continuation import rounded
from gdcore.cost import PlainCost
from gdcore.errors import is_iterable, require
from gdcore.given import as_array
from gdcore.optim.tree import leaves, matching

if TYPE_CHECKING:
    from gdcore.hooks import Callbacks
    from gdcore.optim.base import Optimizer

Function: TypeAlias = Callable[..., Any]  # of x, in the structure of x0, and what else there is
Measured: TypeAlias = tuple[Array, float, Array]  # x, the value and the gradient there
Batches: TypeAlias = Iterable[Any] | Callable[[int], Iterable[Any]]
Sides: TypeAlias = tuple[Array, Array] | tuple[None, None]  # the lower and the upper bounds
PROBE = 1e-6  # relative step at which the first curvature is looked at
NEAR = 1e-6  # a coordinate this near to its bound, relative, may be held by it


class Box(Protocol):
    """Bounds as SciPy has them."""

    @property
    def lb(self) -> ArrayLike: ...
    @property
    def ub(self) -> ArrayLike: ...


Bounds: TypeAlias = Box | Array | Sequence[Any] | Mapping[Any, Any]


class Settings(TypedDict, total=False):
    """What `minimize` takes by name."""

    jac: bool | Function | None
    args: Any
    method: "str | Optimizer"
    bounds: Bounds | None
    tol: float | None
    gtol: float | None
    ftol: float | None
    xtol: float | None
    max_iter: int | None
    max_time: float
    learning_rate: Rate
    callback: Callable[..., object] | None
    trace: bool
    restarts: int
    check_saddle: bool
    random_state: Seed
    rng: Seed
    batches: Batches | None
    callbacks: "Callbacks"


class Layout:
    """The structure of x0: an array of any shape, or a nested dict, list or tuple of arrays."""

    def __init__(self, x0: Any) -> None:
        self.bare = not isinstance(x0, (dict, list, tuple)) or _is_numbers(x0)
        self.like = as_array(x0, "x0") if self.bare else x0
        arrays = [(path, _real(path, leaf)) for path, leaf in leaves(self.like)]
        require(arrays, "x0 holds no array. Pass numbers to start from.")
        self.paths = [path for path, _ in arrays]
        self.shapes = [array.shape for _, array in arrays]
        self.kinds = [
            array.dtype if array.dtype.kind == "f" else np.dtype(float) for _, array in arrays
        ]
        self.sizes = [array.size for _, array in arrays]
        self.start = np.concatenate([array.ravel() for _, array in arrays], dtype=np.float64)
        self.plain = self.bare and self.kinds[0] == np.float64
        self.line = self.plain and len(self.shapes[0]) == 1
        self.resolution = max(float(np.finfo(kind).eps) for kind in self.kinds)
        self.most = min(float(np.finfo(kind).max) for kind in self.kinds)

    def holds(self, x: Array) -> bool:
        """Whether all of flat x has a place in the precision of x0."""
        return kernels.largest(x) <= self.most or all(
            np.isfinite(leaf).all() for _, leaf in leaves(self.build(x))
        )

    def build(self, x: Array) -> Any:
        """A copy of flat x in the structure of x0."""
        if self.plain:
            return x.reshape(self.shapes[0]).copy()
        pieces, at = [], 0
        with np.errstate(over="ignore"):  # slopes, too, may be beyond float32
            for size, shape, kind in zip(self.sizes, self.shapes, self.kinds, strict=True):
                pieces.append(x[at : at + size].reshape(shape).astype(kind))
                at += size
        return pieces[0] if self.bare else _filled(self.like, iter(pieces))

    def flatten(self, tree: Any, out: Array, what: str = "the gradient") -> None:
        """The same structure's numbers into a flat vector."""
        parts = [tree] if self.bare else matching(tree, self.like, what, "x")
        at = 0
        for path, part, shape, size in zip(self.paths, parts, self.shapes, self.sizes, strict=True):
            name = f"{what} at {path!r}" if path else what
            array = as_array(part, name)
            if array.dtype.kind not in "fiub":
                raise TypeError(f"{name} must hold real numbers, got {array.dtype}. Convert it.")
            if array.shape != shape and not (array.size == size == 1):
                raise ValueError(
                    f"{name} must have the shape {shape} of x, got {array.shape}. Return one "
                    "number for each of x."
                )
            out[at : at + size] = array.ravel()
            at += size


class Objective(PlainCost):
    """fun as J(θ) over a flat θ; counts its calls. What `descend` asks of a cost, and bounds.

    ‖∇J‖ is the largest absolute element here, of the projected gradient where there are bounds.
    """

    noisy = False
    counted_in = "iteration"

    def __init__(
        self, fun: Function, layout: Layout, *, jac: Any, args: tuple[Any, ...], bounds: Sides
    ) -> None:
        self.fun, self.layout, self.jac, self.args = fun, layout, jac, args
        self.shapes = layout.shapes
        self.low: Any = bounds[0]
        self.high: Any = bounds[1]
        self.bounded = self.low is not None
        self.calls = self.slopes = 0
        self._first: Measured | None = None
        self._origin: Any = None
        self._rate: float | None = None

    def begin(self, x: Array) -> None:
        """Evaluate the start, once: the loop's first question is answered from here."""
        g = np.empty_like(x)
        value = self.value_and_gradient(x, g)
        if not np.isfinite(value) or not np.isfinite(g).all():
            what = "its gradient is not finite" if np.isfinite(value) else f"fun is {value}"
            raise ValueError(f"At x0 {what}. Start where fun and its gradient are finite.")
        self._first = self._origin = x.copy(), value, g

    def value_and_gradient(self, x: Array, g: Array) -> float:
        """fun at x; its gradient goes into g."""
        if self._first is not None:
            (start, value, slope), self._first = self._first, None
            if np.array_equal(start, x):
                g[:] = slope
                return value
        layout = self.layout
        if not layout.plain and not layout.holds(x):  # fun is of numbers, not of infinity
            g[:] = math.nan
            return math.inf
        self.calls += 1
        answer = self.fun(x.copy() if layout.line else layout.build(x), *self.args)
        if self.jac is None:
            value = _number(answer)
            self._differences(x, g)
            return value
        self.slopes += 1
        if self.jac is not True:
            value, slope = answer, self.jac(layout.build(x), *self.args)
        elif isinstance(answer, (tuple, list)) and len(answer) == 2:
            value, slope = answer
        else:
            raise TypeError(
                f"fun must return (value, gradient) with jac=True, got {type(answer).__name__}. "
                "Return both, or pass jac=None or a callable."
            )
        plain = type(slope) is np.ndarray and slope.dtype.kind == "f"  # and has no mask
        if layout.line and plain and slope.shape == g.shape:
            g[:] = slope
        else:
            layout.flatten(slope, g)
        return value if type(value) is float else _number(value)

    def _differences(self, x: Array, g: Array) -> None:
        """Central differences, (f(x + h) − f(x − h))/2h, one-sided where a bound is nearer."""
        self.slopes += 1
        moved = x.copy()
        step = self.layout.resolution ** (1 / 3)  # best for them (Nocedal & Wright, 2006, §8.1)
        for i, here in enumerate(x.tolist()):
            h = step * max(1.0, abs(here))
            up, down = here + h, here - h
            if self.bounded:
                up, down = min(up, self.high[i]), max(down, self.low[i])
            values = []
            for moved[i] in (up, down):
                values.append(_number(self.fun(self.layout.build(moved), *self.args)))
            moved[i] = here
            self.calls += 2
            g[i] = (values[0] - values[1]) / (up - down) if up > down else 0.0

    def memory(self) -> dict[str, Any]:
        """The calls so far, which a result tells."""
        return {"calls": self.calls, "slopes": self.slopes}

    def put_back(self, memory: dict[str, Any], theta: Array) -> None:
        """Count on from there."""
        self.calls, self.slopes = counted(memory, "calls"), counted(memory, "slopes")

    def facts(self) -> dict[str, Any]:
        """What fun gave at x0, rounded: by that it is known again."""
        start = None if self._origin is None else rounded(self._origin[1])
        bounds = [rounded(end[np.isfinite(end)]) for end in (self.low, self.high) if self.bounded]
        return {"f(x0)": start, "sums of bounds": bounds}

    def steepest(self, x: Array, g: Array) -> Array:
        """g, or x − P(x − g) with bounds: zero where no small step leads down."""
        if not self.bounded:
            return g
        self.slope = g.copy()  # as it is: what a result calls jac
        projected: Array = x - np.clip(x - g, self.low, self.high)
        return projected

    def norm(self, x: Array, g: Array) -> float:
        """Its largest absolute element."""
        return kernels.largest(self.steepest(x, g) if self.bounded else g)

    def free(self, x: Array, g: Array) -> Array | None:
        """Coordinates that are not pushed against a bound near them; None without bounds."""
        if not self.bounded:
            return None
        near = min(NEAR * max(1.0, kernels.largest(x)), self.norm(x, g))
        below = (x <= self.low + near) & (g > 0)
        free: Array = ~(below | ((x >= self.high - near) & (g < 0)))
        return free

    def room(self, x: Array) -> Array:
        """How far each coordinate is from its nearer bound."""
        room: Array = np.minimum(x - self.low, self.high - x)
        return room

    def prox(self, x: Array, reach: float | Array) -> None:
        """The projection onto the bounds. Changes x."""
        if self.bounded:
            np.clip(x, self.low, self.high, out=x)

    def confine(self, x: Array) -> Array:
        """x within the bounds, whatever a rule did after its step. Changes x."""
        self.prox(x, 1.0)
        return x

    def safe_rate(self, batch_size: int) -> float | None:
        """1/L, L the change of the gradient over a small step along it from the start."""
        if self._rate is None:
            x, _, g = self._origin
            length = kernels.norm(g)
            self._rate = 1.0
            if length > 0:
                h = PROBE * max(1.0, kernels.norm(x)) / length
                probe, slope = x - h * g, np.empty_like(g)
                self.prox(probe, 1.0)
                self.value_and_gradient(probe, slope)
                bend = kernels.norm(slope - g) / max(kernels.norm(probe - x), 1e-300)
                self._rate = 1 / bend if 0 < bend < np.inf else 1.0
        return self._rate


def bounds_of(bounds: Any, layout: Layout) -> Sides:
    """(low, high) as flat vectors, or (None, None); refused where x0's structure is not theirs."""
    if bounds is None:
        return None, None
    size = len(layout.start)
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        sides = [np.ravel(as_array(end, "bounds")) for end in (bounds.lb, bounds.ub)]
        require(
            all(len(side) in (1, size) for side in sides),
            f"bounds must hold {size} numbers a side, as x0 does, got {[*map(len, sides)]}. Pass "
            "one for each number.",
        )
        low, high = (np.broadcast_to(side, size) for side in sides)
    elif not layout.bare:
        pairs = matching(bounds, layout.like, "bounds", "x0")
        shaped = list(zip(layout.paths, pairs, layout.shapes, strict=True))
        low, high = (
            np.concatenate([_side(path, pair, side, shape) for path, pair, shape in shaped])
            for side in (0, 1)
        )
    else:
        given = is_iterable(bounds)
        pairs = [bounds] * size if _is_pair(bounds) else list(bounds) if given else []
        if len(pairs) != size or not all(_is_pair(pair) for pair in pairs):
            raise ValueError(
                f"bounds must be one (low, high) or {size} of them, got {bounds!r}. Use None for "
                "a side without bound."
            )
        low = np.array([_end(pair[0], -1) for pair in pairs])
        high = np.array([_end(pair[1], 1) for pair in pairs])
    try:
        low, high = _representable(low, layout, np.inf), _representable(high, layout, -np.inf)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(
            f"bounds must hold numbers or None, got {bounds!r:.200}. Pass one (low, high) or one "
            "for each number in x0."
        ) from error
    wrong = np.flatnonzero(~(low <= high))
    require(
        not len(wrong),
        f"bounds must have low ≤ high, got {low[wrong[:1]]} and {high[wrong[:1]]} at index "
        f"{wrong[:1]}. Swap them.",
    )
    return low, high


def _representable(end: Array, layout: Layout, inward: float) -> Array:
    """The nearest bounds that x0's precision has, not outside of the ones given."""
    if np.asarray(end).dtype.kind == "c":
        raise TypeError("complex numbers have no order")
    end = np.array(end, float)
    kinds = np.repeat([kind.itemsize for kind in layout.kinds], layout.sizes)
    for kind in set(layout.kinds):
        mine = kinds == kind.itemsize
        with np.errstate(over="ignore"):
            rounded = end[mine].astype(kind)
        outside = rounded < end[mine] if inward > 0 else rounded > end[mine]
        end[mine] = np.where(outside, np.nextafter(rounded, kind.type(inward)), rounded)
    return end


def _side(path: str, pair: Any, side: int, shape: tuple[int, ...]) -> Array:
    """The low or the high end of one array's bounds, as a flat vector."""
    if pair is not None and not (isinstance(pair, (tuple, list)) and len(pair) == 2):
        raise ValueError(
            f"bounds at {path!r} must be (low, high), got {pair!r}. Use None for a side without "
            "a bound."
        )
    end = _end(None if pair is None else pair[side], 2 * side - 1)
    try:
        return np.broadcast_to(np.asarray(end, float), shape).ravel()
    except ValueError:
        raise ValueError(
            f"bounds at {path!r} must be numbers or arrays of shape {shape}, got {end!r}. "
            "Pass (low, high) of that shape."
        ) from None


def _is_pair(bounds: Any) -> bool:
    return (
        isinstance(bounds, (tuple, list, np.ndarray))
        and is_iterable(bounds)
        and len(bounds) == 2
        and all(end is None or np.ndim(end) == 0 for end in bounds)
    )


def _end(value: Any, sign: int) -> Any:
    return sign * np.inf if value is None else value


def _is_numbers(x0: Any) -> bool:
    """A list or tuple of plain numbers, nested or not, is one array."""
    return (
        not isinstance(x0, dict)
        and all(isinstance(leaf, (int, float, np.number)) for _, leaf in leaves(x0))
        and len(x0) > 0
    )


def _real(path: str, leaf: Any) -> Array:
    name = f"x0[{path!r}]" if path else "x0"
    array = as_array(leaf, name)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got {array.dtype}. Convert it.")
    require(np.isfinite(array).all(), f"{name} holds NaN or infinity. Pass finite numbers.")
    return array


def _number(value: Any) -> float:
    if isinstance(value, tuple):
        raise TypeError(
            "fun must return its value alone here, got a tuple. Pass jac=True where it returns the "
            "gradient too."
        )
    array = as_array(value, "the value of fun")
    if array.size != 1 or array.dtype.kind not in "fiub":
        raise TypeError(
            f"fun must return one real number as its value, got {value!r:.60}. Return a float."
        )
    return float(array.reshape(-1)[0])


def _filled(like: Any, pieces: Iterator[Array]) -> Any:
    if isinstance(like, dict):
        return {key: _filled(child, pieces) for key, child in like.items()}
    if isinstance(like, (list, tuple)):
        made = [_filled(child, pieces) for child in like]
        if isinstance(like, tuple):
            return type(like)(*made) if hasattr(like, "_fields") else tuple(made)
        return made
    return next(pieces)
