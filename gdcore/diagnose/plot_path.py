"""Pictures of the way down: the path of descent on the contours of what is descended."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, TypeAlias

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.diagnose.drawing import (
    COLOURS,
    MARKERS,
    STYLES,
    SURFACE,
    clone,
    entitle,
    legend,
    need_matplotlib,
    owned,
    panels,
    plain,
)
from gdcore.diagnose.path import Path
from gdcore.errors import require, require_number
from gdcore.minimizer import minimize
from gdcore.objective import Layout

MARGIN = 0.25  # of the path's width, around it
NARROW = 0.25  # of its longer side: the least that is shown along the shorter one
BENT = 1e-7  # of the first principal component: less than that is no second one
LEVELS = 24
STEEPNESS = 3  # contours lie closer near the minimum, by this power
MARKED = 60  # points of a path that are marked each

Limits: TypeAlias = tuple[tuple[float, float], tuple[float, float]]  # left, right; low, high


class Plane:
    """origin + a·first + b·second: the plane of a picture, and what share of the path it shows.

    Of two numbers it is all there is. Of more it goes through the last point, along the first two
    principal components of the points (Li et al., 2018), signed so that the path ends rightwards
    and upwards of where it began. `shares` are their parts of the points' variance.
    """

    def __init__(self, points: ArrayLike) -> None:
        points = np.asarray(points, float)
        size = points.shape[1]
        self.whole = size == 2
        if self.whole:
            self.origin, self.directions = np.zeros(2), np.eye(2)
            self.shares: Any = None
            return
        self.origin = points[-1]
        self.directions, self.shares = _principal(points)
        begin = (points[0] - self.origin) @ self.directions.T
        self.directions *= np.where(begin > 0, -1.0, 1.0)[:, None]

    def project(self, points: ArrayLike) -> Array:
        """(n, size) → (n, 2)."""
        return (np.asarray(points, float) - self.origin) @ self.directions.T

    def lift(self, a: float, b: float) -> Array:
        """The point of the plane at a and b, (size,)."""
        point: Array = self.origin + a * self.directions[0] + b * self.directions[1]
        return point

    def labels(self) -> tuple[str, str]:
        """Of the axes."""
        if self.whole:
            return "x₁", "x₂"
        across, up = (
            f"principal component {i} ({share:.1%} of the variance)"
            for i, share in enumerate(self.shares, start=1)
        )
        return across, up


def _principal(points: Array) -> tuple[Array, Array]:
    """(two orthonormal directions, their shares of the variance)."""
    centred, size = points - points.mean(axis=0), points.shape[1]
    # By the products of points with each other: there are fewer points than numbers in each.
    values, vectors = np.linalg.eigh(centred @ centred.T)
    lengths = np.sqrt(np.maximum(values[::-1][:2], 0))
    found: list[Array] = []
    rng = np.random.default_rng(0)
    for k in range(2):
        told = k < len(lengths) and lengths[k] > BENT * lengths[0]
        direction = centred.T @ vectors[:, -1 - k] if told else rng.standard_normal(size)
        for other in found:
            direction = direction - (direction @ other) * other
        found.append(direction / np.linalg.norm(direction))
    along = (centred @ np.array(found).T) ** 2
    total = float((centred**2).sum())
    return np.array(found), along.sum(axis=0) / total if total > 0 else np.zeros(2)


class PathDisplay:
    """The path of descent on the filled contours of a function of two numbers, or of a slice of J.

    Where there are more than two numbers the slice is the plane of the path's first two principal
    components through its last point (Li et al., Visualizing the Loss Landscape of Neural Nets,
    2018); the axes say how much of the path's variance lies along them. What lies off the plane is
    projected. Attributes: `grid_x`, `grid_y` (columns, rows), `values` (rows, columns), `paths`
    {label: (steps, 2)}, `plane`; after `plot`: `ax_`, `figure_`, `contours_`, `lines_`
    {label: Line2D}.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> def valley(x):
    ...     return x @ (x * (1, 10)) / 2, x * (1, 10)
    >>> display = gd.plots.PathDisplay.from_function(valley, [4.0, 1.0], method="sgd")
    >>> display.paths["sgd"][0], display.values.shape
    (array([4., 1.]), (61, 61))
    """

    def __init__(
        self,
        value: Callable[[Array], float],
        paths: Mapping[str, ArrayLike],
        *,
        resolution: int = 61,
        limits: Limits | None = None,
        ends: Mapping[str, Array] | None = None,
        title: str = "",
        name: str = "J",
    ) -> None:
        require_number("resolution", resolution, low=2, whole=True)
        paths = {label: _sound(label, points) for label, points in paths.items()}
        require(paths, "There is no path to draw. Pass its points.")
        self.plane = Plane(np.concatenate(list(paths.values())))
        self.paths = {label: self.plane.project(points) for label, points in paths.items()}
        ends = ends or {}
        self.ends = {label: self.plane.project(end[None])[0] for label, end in ends.items()}
        self.title, self.name = title, name
        shown = [*self.paths.values(), *(end[None] for end in self.ends.values())]
        (left, right), (low, high) = _window(np.concatenate(shown)) if limits is None else limits
        self.grid_x = np.linspace(left, right, resolution)
        self.grid_y = np.linspace(low, high, resolution)
        with np.errstate(all="ignore"):
            self.values = np.array(
                [[value(self.plane.lift(a, b)) for a in self.grid_x] for b in self.grid_y], float
            )

    @classmethod
    def from_function(
        cls,
        fun: Callable[..., Any],
        x0: Any,
        *,
        method: Any = "auto",
        resolution: int | None = None,
        limits: Limits | None = None,
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Minimise a function and draw the way.

        Parameters
        ----------
        fun, x0 : as in `minimize`, without noise
        method : name, instance, or list of them: a path each
        resolution : int
            Points of the grid along each axis; default 61, or 31 for more than two numbers.
        limits : ((left, right), (low, high)), optional
            Of the window; default: a quarter more than the path takes.
        ax : Axes, optional
        options : further arguments of `minimize`
        """
        need_matplotlib()
        noisy = {"rng", "batches"} & set(options)
        require(not noisy, "A function with noise has no contours. Leave rng and batches out.")
        layout, paths = Layout(x0), {}
        require(layout.start.size > 1, "x0 is one number, and a plane has two. Pass more of them.")
        for each in method if isinstance(method, (list, tuple)) else [method]:
            path = Path(start=layout.start)
            minimize(fun, x0, method=each, callback=path, trace=False, **options)
            name = each if isinstance(each, str) else type(each).__name__
            paths[repr(each) if name in paths else name] = path.points
        args = options.get("args", ())
        args = args if isinstance(args, tuple) else (args,)
        return cls(
            lambda x: _value(fun(layout.build(x), *args)), paths,
            resolution=resolution or (61 if layout.start.size == 2 else 31), limits=limits,
            title="Path of descent on the contours of f", name="f",
        ).plot(ax)  # fmt: skip

    @classmethod
    def from_path(
        cls,
        fun: Any,
        points: Any,
        *,
        resolution: int | None = None,
        limits: Limits | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw points that are known.

        Parameters
        ----------
        fun : callable, cost, or None
            θ → value or (value, gradient), or what `descend` takes as its cost. None: the cost that
            a `Path` has seen.
        points : array (steps, size), Path, or {label: one of these}
        resolution, limits, ax : as in `from_function`
        """
        need_matplotlib()
        given = points if isinstance(points, dict) else {"path": points}
        seen = [getattr(each, "cost", None) for each in given.values()]
        cost = next((each for each in (fun, *seen) if each is not None), None)
        require(
            cost is not None,
            "fun is None, and no path knows its cost. Pass the function or cost that was descended "
            "on.",
        )
        paths = {n: p.points if isinstance(p, Path) else p for n, p in given.items()}
        known = {n: getattr(p, "solution", None) for n, p in given.items()}
        ends = {n: end for n, end in known.items() if end is not None}
        first = np.asarray(next(iter(paths.values())))
        size = first.shape[-1]
        single = first.dtype == np.float32
        with _valued(cost, size, np.float32 if single else np.float64) as value:
            display = cls(
                value, paths, resolution=resolution or (61 if size == 2 else 31), limits=limits,
                ends=ends, title="Path of descent on the contours of the cost",
            )  # fmt: skip
        return display.plot(ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: Any = None,
        *,
        path: Path | None = None,
        every: int = 1,
        resolution: int | None = None,
        limits: Limits | None = None,
        ax: Any = None,
    ) -> Self:
        """Fit a clone of the estimator and draw its way, or draw the way that a `Path` has kept.

        Parameters
        ----------
        estimator : fitted or not; it does not change
        X, y : what to fit the clone on
        path : Path, optional
            Of a fit with `callbacks=[path]`: nothing is fitted.
        every : int
            Steps from one point to the next.
        resolution, limits, ax : as in `from_function`
        """
        need_matplotlib()
        if path is None:
            path, _ = recorded(estimator, X, y, every)
        require(
            len(path) and path.cost is not None,
            "The path has seen no fit. Pass path to one, as callbacks=[path].",
        )
        display = cls.from_path(None, path, resolution=resolution, limits=limits, ax=ax)
        display.title = f"{type(estimator).__name__}: path of descent on a slice of the cost"
        entitle(display.ax_, display.title)
        return display

    def plot(self, ax: Any = None) -> Self:
        """Draw into new Axes, or into the given one."""
        own, (ax,) = owned(ax), panels(ax, 1, 5.0)
        self.ax_, self.figure_ = ax, ax.figure
        self._plot_contours(ax)
        self.lines_: dict[str, Any] = {}
        for number, (label, points) in enumerate(self.paths.items()):
            self.lines_[label] = _plot_path(ax, points, number, label, self.ends.get(label))
        starts = dict.fromkeys(tuple(points[0]) for points in self.paths.values())
        white = {"color": "white", "edgecolors": "black", "zorder": 5}
        for number, start in enumerate(starts):
            ax.scatter(*start, s=70, marker="s", **white, label="" if number else "start")
        ax.scatter([], [], s=150, marker="*", **white, label="end")
        ax.set_xlim(self.grid_x[0], self.grid_x[-1])
        ax.set_ylim(self.grid_y[0], self.grid_y[-1])
        across, up = self.plane.labels()
        ax.set_xlabel(across)
        ax.set_ylabel(up if self.plane.whole else up.replace(" (", "\n("))
        entitle(ax, self.title)
        legend(ax, own)
        return self

    def _plot_contours(self, ax: Any) -> None:
        from matplotlib.colors import PowerNorm

        values = np.ma.masked_invalid(self.values)
        low, high = (float(values.min()), float(values.max())) if values.count() else (0.0, 1.0)
        flat = not high > low
        if flat:
            high = low + (abs(low) or 1.0)
        levels = low + (high - low) * np.linspace(0, 1, LEVELS + 1) ** STEEPNESS
        self.contours_ = ax.contourf(
            self.grid_x, self.grid_y, values, levels=levels, cmap=SURFACE,
            norm=PowerNorm(1 / STEEPNESS, low, high),
        )  # fmt: skip
        self.contours_.set_rasterized(True)  # in files of lines: many polygons, gaps between them
        if not flat:
            ax.contour(
                self.grid_x, self.grid_y, values, levels=levels[2:-1:3], colors="white",
                linewidths=0.4, alpha=0.5,
            )  # fmt: skip
        bar = ax.figure.colorbar(self.contours_, ax=ax, ticks=levels[::4], format="%.3g")
        bar.set_label("cost J" if self.name == "J" else f"{self.name}(x)")


def recorded(estimator: Any, X: Any, y: Any, every: int = 1) -> tuple[Path, Any]:
    """(the `Path` of a fit of a clone without restarts, the clone)."""
    parameters = estimator.get_params(deep=False)
    require(
        X is not None,
        "There is neither path nor X. Pass X and y for a fit, or path=, a Path of one.",
    )
    given = parameters.get("callbacks") or []
    given = list(given) if isinstance(given, (list, tuple)) else [given]
    path = Path(every)
    changed: dict[str, Any] = {"callbacks": [*given, path]}
    changed |= {"restarts": 0} if "restarts" in parameters else {}
    fitted = clone(estimator, **changed).fit(X, y)
    require(
        len(getattr(fitted, "results_", ())) < 2,
        f"{type(estimator).__name__} fits one class against the rest after another, and a path is "
        "of one descent. Pass y of two classes.",
    )
    require(
        len(path),
        "The fit took no steps: a closed form has no path. Pass optimizer='lbfgs', or 'sgd'.",
    )
    return path, fitted


def _plot_path(ax: Any, points: Array, number: int, label: str, end: Array | None) -> Any:
    """A line that is seen on dark and on light, its steps, its beginning and its end."""
    from matplotlib.patheffects import Normal, Stroke

    colour = "white" if number == 0 else COLOURS[number % len(COLOURS)]
    rim = "black" if number == 0 else "white"
    outline = [Stroke(linewidth=3.2, foreground=rim), Normal()]
    marked = MARKERS[number % len(MARKERS)] if len(points) <= MARKED else None
    (drawn,) = ax.plot(
        *points.T, color=colour, linestyle=STYLES[number % len(STYLES)], linewidth=1.6,
        marker=marked, markersize=4, markeredgecolor=rim, markeredgewidth=0.6,
        label=plain([label])[0], path_effects=outline,
    )  # fmt: skip
    end = points[-1] if end is None else end
    size, above = 150 + 60 * number, 5 - number / 99  # of ends at one place all are seen
    ax.scatter(*end, s=size, marker="*", color=colour, edgecolors=rim, zorder=above)
    return drawn


def _sound(label: str, points: Any) -> Array:
    """The points of a path as numbers, those that are none left out."""
    points = np.asarray(points, float)
    require(
        points.ndim == 2 and points.shape[1] > 1,
        f"The points of {label!r} must be (steps, numbers), two at least in each, got shape "
        f"{points.shape}. Pass such.",
    )
    sound: Array = points[np.isfinite(points).all(axis=1)]
    require(len(sound), f"The path {label!r} has no finite point. Pass another.")
    return sound


def _window(points: Array) -> Limits:
    """((left, right), (low, high)) around points."""
    low, high = points.min(axis=0), points.max(axis=0)
    longest = float((high - low).max()) or 1.0
    half = np.maximum((0.5 + MARGIN) * (high - low), NARROW * longest)
    middle = (low + high) / 2
    across, up = zip(middle - half, middle + half, strict=True)
    return across, up


def _value(answer: Any) -> float:
    """The value alone of what a function returned."""
    answer = answer[0] if isinstance(answer, (tuple, list)) else answer
    return float(np.asarray(answer).reshape(-1)[0])


@contextmanager
def _valued(cost: Any, size: int, dtype: Any) -> Iterator[Callable[[Array], float]]:
    """θ → J(θ), in the precision that the descent had; a cost's threads are held meanwhile."""
    if not hasattr(cost, "value_and_gradient"):
        yield lambda theta: _value(cost(theta))
        return
    g = np.empty(size, dtype)

    def value(theta: Array) -> float:
        return float(cost.value_and_gradient(theta.astype(dtype), g))

    with cost:
        yield value
