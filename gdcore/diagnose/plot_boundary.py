"""A picture of what a model says over the plane of two features: classes, or a surface."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.data import as_features, feature_names
from gdcore.devices import to_host
from gdcore.diagnose.drawing import (
    COLOURS,
    MARKERS,
    entitle,
    legend,
    need_matplotlib,
    owned,
    panels,
    plain,
)
from gdcore.errors import not_fitted, require, require_number

AROUND = 0.06  # of the points' width, beside them
CRISP = 3_000  # points beyond which they are drawn as pixels
SHADES = 20
PALE = 0.6  # of a class's colour where it is certain
SURFACE = "viridis"


class BoundaryDisplay:
    """What a classifier or regressor says over two features, others at their mean.

    Two classes: P(second class) as shading, the boundary as a line. More: each class's colour, as
    strong as its probability, and the boundaries. Without probabilities the decision function
    stands for them. A regressor: its predictions as a surface. Points lie on top. Attributes:
    `grid_x` (columns,), `grid_y` (rows,), `response` (rows, columns), or (rows, columns, classes);
    after `plot`: `ax_`, `figure_`, `image_`, `boundaries_` (contours), `points_` {class: points}.

    Example
    -------
    >>> import gdcore as gd
    >>> data = gd.datasets.load_breast_cancer()
    >>> model = gd.LogisticRegression().fit(data.X[:, :2], data.y)
    >>> display = gd.plots.BoundaryDisplay.from_estimator(
    ...     model, data.X[:, :2], data.y, names=data.feature_names[:2])
    >>> display.ax_.get_xlabel(), list(display.points_)
    ('mean radius', [0, 1])
    """

    def __init__(
        self,
        grid_x: ArrayLike,
        grid_y: ArrayLike,
        response: ArrayLike,
        *,
        level: float = 0.5,
        names: Sequence[str] = ("x₁", "x₂"),
        classes: Array | None = None,
    ) -> None:
        self.grid_x, self.grid_y = np.asarray(grid_x), np.asarray(grid_y)
        self.response, self.level = np.asarray(response), level
        self.names, self.classes = list(names), classes
        self.title, self.label = "", "prediction"
        self.points: tuple[Array, Array] | None = None

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        features: Sequence[int | str] = (0, 1),
        resolution: int = 200,
        names: Sequence[str] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Ask a fitted estimator, gdcore's or another in scikit-learn's API, and draw.

        Parameters
        ----------
        estimator : fitted
        X : array or frame (n, p)
        y : array (n,), optional
            Targets of the points; without, no points are drawn.
        features : two numbers or names of columns
            The others are held at their mean over X.
        resolution : int
            Points of the grid along each axis.
        names : list of str, optional
            Of the columns; default: those of a frame.
        ax : Axes, optional
        kwargs : of the points' scatter
        """
        need_matplotlib()
        require_number("resolution", resolution, low=2, whole=True)
        if hasattr(estimator, "__sklearn_is_fitted__") and not estimator.__sklearn_is_fitted__():
            raise not_fitted(estimator)
        rows = np.asarray(as_features(X), float)
        names = list(names or feature_names(X) or [f"feature {i}" for i in range(rows.shape[1])])
        first, second = _columns(features, names, rows.shape[1])
        grid_x, grid_y = (_around(rows[:, c], resolution) for c in (first, second))
        grid = np.tile(rows.mean(axis=0), (resolution * resolution, 1))
        grid[:, first], grid[:, second] = (a.ravel() for a in np.meshgrid(grid_x, grid_y))
        classes = to_host(getattr(estimator, "classes_", None))
        response, level, label = _asked(estimator, _like(X, grid), classes)
        shape = (resolution, resolution, *response.shape[1:])
        display = cls(
            grid_x, grid_y, response.reshape(shape), level=level,
            names=[names[first], names[second]], classes=classes,
        )  # fmt: skip
        others = rows.shape[1] - 2
        held = f", {others} other feature{'s' * (others > 1)} at the mean" if others else ""
        display.title = f"{type(estimator).__name__}: {label}{held}"
        display.label = label
        if y is not None:
            display.points = rows[:, [first, second]], np.asarray(y).reshape(len(rows))
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw into new Axes, or into the given one."""
        own, (ax,) = owned(ax), panels(ax, 1, 5.0)
        self.ax_, self.figure_ = ax, ax.figure
        self.points_: dict[Any, Any] = {}
        ends = self.grid_x[[0, -1]], self.grid_y[[0, -1]]
        self.boundaries_: list[Any] = []
        if self.response.ndim == 3:
            place = {"extent": np.concatenate(ends), "origin": "lower", "aspect": "auto"}
            self.image_ = ax.imshow(_blended(self.response), interpolation="bilinear", **place)
            self.boundaries_ = [self._contour(ax, each, 0.0) for each in _leads(self.response)]
        else:
            self.image_ = self._plot_surface(ax)
            if self.classes is not None:
                self.boundaries_ = [self._contour(ax, self.response, self.level)]
        if self.points is not None:
            self._plot_points(ax, self.points, kwargs)
        ax.set_xlim(*ends[0])
        ax.set_ylim(*ends[1])
        across, up = plain(self.names)
        ax.set_xlabel(across)
        ax.set_ylabel(up)
        entitle(ax, plain([self.title])[0])
        legend(ax, own)
        return self

    def _plot_surface(self, ax: Any) -> Any:
        """The response in shades, and what they mean."""
        from matplotlib.colors import LinearSegmentedColormap, Normalize
        from matplotlib.ticker import MaxNLocator

        if self.classes is None:
            colours, numbers = SURFACE, self.response.ravel()
            if self.points is not None:
                numbers = np.append(numbers, np.asarray(self.points[1], float))
            low, high = numbers.min(), numbers.max()
            high = high if high > low else low + (abs(low) or 1.0)
        else:
            pale = [_paled(COLOURS[0]), (1.0, 1.0, 1.0), _paled(COLOURS[1])]
            colours = LinearSegmentedColormap.from_list("two classes", pale)
            far = 0.5 if self.level else float(np.abs(self.response).max()) or 1.0
            low, high = self.level - far, self.level + far
        shades = ax.contourf(
            self.grid_x, self.grid_y, self.response, levels=np.linspace(low, high, SHADES + 1),
            cmap=colours, norm=Normalize(low, high),
        )  # fmt: skip
        shades.set_rasterized(True)  # in files of lines: many polygons, and gaps between them
        bar = ax.figure.colorbar(shades, ax=ax, ticks=MaxNLocator(6))
        bar.set_label(plain([self.label])[0])
        return shades

    def _contour(self, ax: Any, values: Array, level: float) -> Any:
        """A black line where values are at the level, or None where they never are."""
        if not values.min() < level < values.max():
            return None
        return ax.contour(
            self.grid_x, self.grid_y, values, levels=[level], colors="black", linewidths=1.6
        )

    def _plot_points(self, ax: Any, points: tuple[Array, Array], kwargs: dict[str, Any]) -> None:
        rows, y = points
        style = {"s": 22, "linewidths": 0.6, "rasterized": len(rows) > CRISP}
        if self.classes is None:
            norm = self.image_.norm
            given = {"c": y, "cmap": SURFACE, "norm": norm, "edgecolors": "black", **style}
            self.points_["y"] = ax.scatter(*rows.T, **given | kwargs)
            return
        for number, label in enumerate(self.classes):
            mine = rows[y == label]
            look = {
                "color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)],
                "edgecolors": "white", "label": plain([f"y = {label}"])[0], **style,
            }  # fmt: skip
            key = label.item() if hasattr(label, "item") else label
            self.points_[key] = ax.scatter(*mine.T, **look | kwargs)


def _columns(features: Sequence[int | str], names: list[str], p: int) -> list[int]:
    """Two different numbers of columns."""
    require(
        len(features) == 2 and p > 1,
        f"features must be two of the columns, got {features!r} of {p}. Pass two.",
    )
    found = []
    for each in features:
        if isinstance(each, str):
            require(each in names, f"features: {each!r} is no column. Choose from {names}.")
            found.append(names.index(each))
        else:
            require_number("features", each, low=0, high=p - 1, whole=True)
            found.append(int(each))
    require(found[0] != found[1], "features names one column twice. Pass two different ones.")
    return found


def _around(values: Array, resolution: int) -> Array:
    low, high = float(values.min()), float(values.max())
    room = AROUND * (high - low) or 1.0
    return np.linspace(low - room, high + room, resolution)


def _like(X: Any, grid: Array) -> Any:
    """The grid as a frame where X is one: estimators compare the names."""
    columns = feature_names(X)
    return grid if columns is None else type(X)(dict(zip(columns, grid.T, strict=True)))


def _asked(estimator: Any, grid: Any, classes: Array | None) -> tuple[Array, float, str]:
    """(response (n,) or (n, k), the level of the boundary, what it is)."""
    if classes is None:
        predicted = np.asarray(to_host(estimator.predict(grid)), float)
        require(
            predicted.ndim == 1,
            f"{type(estimator).__name__} predicts several targets. Pass one of a single target.",
        )
        return predicted, 0.0, "prediction"
    if hasattr(estimator, "predict_proba"):
        response, level = np.asarray(to_host(estimator.predict_proba(grid))), 0.5
        require(
            response.shape[1] == len(classes),
            f"{type(estimator).__name__} gives several labels. Pass a classifier of one.",
        )
        response = response[:, 1] if len(classes) == 2 else response
    else:
        response, level = np.asarray(to_host(estimator.decision_function(grid)), float), 0.0
    if response.ndim == 1:
        what = f"P(y = {classes[1]})" if level else f"decision for y = {classes[1]}"
        return response, level, what
    if not level:  # no probabilities: the classes' regions
        response = np.eye(len(classes))[response.argmax(axis=1)]
    return response, level, "most probable class" if level else "class"


def _paled(colour: str, by: float = PALE) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return tuple(1 - by * (1 - part) for part in to_rgb(colour))


def _blended(P: Array) -> Array:
    """(rows, columns, 3): the classes' colours, mixed by their probabilities."""
    colours = np.array([_paled(COLOURS[k % len(COLOURS)]) for k in range(P.shape[2])])
    mixed: Array = np.clip(P @ colours, 0, 1)
    return mixed


def _leads(P: Array) -> Iterator[Array]:
    """By how much each class is ahead of the others, one array (rows, columns) a class."""
    for k in range(P.shape[2]):
        yield P[..., k] - np.delete(P, k, axis=2).max(axis=2)
