"""Pictures of the course of a descent: of one, of several, and of a search for a rate."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.diagnose.drawing import (
    COLOURS,
    UNITS,
    entitle,
    legend,
    line,
    logarithmic,
    need_matplotlib,
    owned,
    panels,
    plain,
    result_of,
    told,
    whole,
)
from gdcore.errors import require, require_choice
from gdcore.result import Result
from gdcore.trace import Trace

QUANTITIES = {
    "cost": "cost J", "gradient_norm": "‖∇J‖", "score": "held-out score",
    "learning_rate": "learning rate",
}  # fmt: skip
EXCESS = "J − J*"
NUMBERS = {"gradient_norm": 1, "score": 2, "validation": 3, "learning_rate": 4}  # of their lines
APART = 10  # times between the ends of several descents that ask for a logarithmic axis


class TraceDisplay:
    """The course of a descent: cost and gradient norm at each measurement, one panel each.

    The held-out loss is drawn beside the cost, the held-out score and the learning rate have panels
    of their own where there is a score and where the rate changes. Axes are logarithmic where the
    numbers span more than a factor of 30. Attributes after `plot`: `ax_` (of the cost), `axes_`
    {quantity: Axes}, `lines_` {quantity: Line2D}, `figure_`.

    Parameters
    ----------
    trace : Trace
    x : "step", "seconds", "epoch" or "examples"
    excess : bool or float
        True: the cost above the lowest one measured; a number: above that J*.
    show : list of "cost", "gradient_norm", "score" and "learning_rate", optional
    title : str

    Example
    -------
    >>> import gdcore as gd
    >>> data = gd.datasets.load_diabetes()
    >>> model = gd.LinearRegression(optimizer="fista").fit(data.X, data.y)
    >>> display = gd.plots.TraceDisplay.from_estimator(model, excess=True)
    >>> display.ax_.get_ylabel(), list(display.axes_)
    ('J − J*', ['cost', 'gradient_norm'])
    """

    def __init__(
        self,
        trace: Trace,
        *,
        x: str = "step",
        excess: bool | float = False,
        show: str | Sequence[str] | None = None,
        title: str = "",
    ) -> None:
        require_choice("x", x, list(UNITS))
        self.trace, self.x, self.excess, self.title = trace, x, excess, title
        known = [name for name in QUANTITIES if self._worth_showing(name)]
        self.show = known if show is None else [show] if isinstance(show, str) else list(show)
        for name in self.show:
            require_choice("show", name, list(QUANTITIES))
        require(self.show, "There is nothing to show. Name a quantity in show=, as 'cost'.")

    @classmethod
    def from_result(
        cls,
        result: Result[Any],
        *,
        x: str = "step",
        excess: bool | float = False,
        show: str | Sequence[str] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the trace of a `Result`; other arguments are of the cost's Line2D."""
        need_matplotlib()
        result = result_of(result)
        title = f"Course of the descent ({told(result)})"
        return cls(result.trace, x=x, excess=excess, show=show, title=title).plot(ax, **kwargs)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        x: str = "step",
        excess: bool | float = False,
        show: str | Sequence[str] | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the trace of a fitted estimator."""
        need_matplotlib()
        result = result_of(estimator)
        title = f"{type(estimator).__name__}: course of the descent ({told(result)})"
        return cls(result.trace, x=x, excess=excess, show=show, title=title).plot(ax, **kwargs)

    def _worth_showing(self, name: str) -> bool:
        values = getattr(self.trace, name)
        values = values[np.isfinite(values)]
        if name == "learning_rate":
            return bool(len(values)) and bool(np.any(values != values[0]))
        return name == "cost" or len(values) > (len(self.trace) > 1)  # one of many is no course

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw into new Axes, or into the given one, divided where there are several panels."""
        height = 1.6 + 2.0 * len(self.show) + (len(self.show) == 1)
        axes = panels(ax, len(self.show), height, sharex=True)
        self.axes_ = dict(zip(self.show, axes, strict=True))
        self.lines_: dict[str, Any] = {}
        self.ax_, self.figure_ = axes[0], axes[0].figure
        x = getattr(self.trace, self.x)
        for name, each in self.axes_.items():
            if name == "cost":
                self._plot_cost(each, x, kwargs)
                continue
            values = getattr(self.trace, name)
            self.lines_[name] = line(each, x, values, NUMBERS[name])
            logarithmic(each, "y", values)
            each.set_ylabel(QUANTITIES[name])
        for each in axes[:-1]:
            each.tick_params(labelbottom=False)
        axes[-1].set_xlabel(UNITS[self.x])
        if self.x != "seconds":
            whole(axes[-1])
        entitle(axes[0], self.title)
        return self

    def _plot_cost(self, ax: Any, x: Array, kwargs: dict[str, Any]) -> None:
        values, held = _above(self.trace.cost, self.excess), self.trace.validation
        self.lines_["cost"] = line(ax, x, values, **{"label": "cost J", **kwargs})
        shown = [values]
        if np.isfinite(held).any() and self.excess is False:
            drawn = line(ax, x, held, NUMBERS["validation"], label="held-out loss")
            self.lines_["validation"] = drawn
            shown.append(held)
            legend(ax, own=False)
        logarithmic(ax, "y", *shown)
        ax.set_ylabel(QUANTITIES["cost"] if self.excess is False else EXCESS)


class ComparisonDisplay:
    """Several descents in one picture: cost against steps, seconds and examples seen.

    Attributes after `plot`: `axes_` {x: Axes}, `ax_` (the first), `lines_` {label: Line2D} (of the
    first panel), `figure_`.

    Parameters
    ----------
    traces : {label: Trace}
    x : name or list of names of "step", "seconds", "epoch" and "examples", a panel each
    excess : bool or float
        True: the cost above the lowest one that any of them measured; a number: above that J*.

    Example
    -------
    >>> import gdcore as gd
    >>> def bowl(x):
    ...     return x @ x, 2 * x
    >>> runs = {name: gd.minimize(bowl, [3.0, 1.0], method=name) for name in ("sgd", "lbfgs")}
    >>> display = gd.plots.ComparisonDisplay.from_results(runs, x="step")
    >>> list(display.lines_)
    ['sgd', 'lbfgs']
    """

    def __init__(
        self,
        traces: dict[str, Trace],
        *,
        x: str | Sequence[str] = ("step", "seconds", "examples"),
        excess: bool | float = False,
    ) -> None:
        self.x = [x] if isinstance(x, str) else list(x)
        for name in self.x:
            require_choice("x", name, list(UNITS))
        require(
            isinstance(traces, dict) and traces and self.x,
            "A comparison needs a dict {label: result} with at least one, and an x. Pass both.",
        )
        self.traces, self.excess = dict(traces), excess

    @classmethod
    def from_results(
        cls,
        results: dict[str, Any],
        *,
        x: str | Sequence[str] = ("step", "seconds", "examples"),
        excess: bool | float = False,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw {label: result or fitted estimator}; other arguments are of each Line2D."""
        need_matplotlib()
        require(isinstance(results, dict), "results must be a dict {label: result}. Pass one.")
        traces = {label: result_of(each).trace for label, each in results.items()}
        return cls(traces, x=x, excess=excess).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw into new Axes, a given one, or as many as there are panels."""
        count, own = len(self.x), owned(ax)
        axes = panels(ax, count, 4.2, columns=count, sharey=True)
        self.axes_ = dict(zip(self.x, axes, strict=True))
        self.lines_: dict[str, Any] = {}
        self.ax_, self.figure_ = axes[0], axes[0].figure
        best = self._best()
        for name, each in self.axes_.items():
            columns = [getattr(trace, name) for trace in self.traces.values()]
            for number, (label, trace) in enumerate(self.traces.items()):
                x, y = columns[number], _above(trace.cost, best)
                drawn = line(each, x, y, number, **{"label": plain([label])[0], **kwargs})
                self.lines_.setdefault(label, drawn)
            _spread(each, columns)
            if name != "seconds":
                whole(each)
            elif each.get_xscale() == "linear":
                each.locator_params(axis="x", nbins=4)  # long numbers in a narrow panel
            each.set_xlabel(UNITS[name])
        for each in axes:
            logarithmic(each, "y", *(drawn.get_ydata() for drawn in self.lines_.values()))
        axes[0].set_ylabel(QUANTITIES["cost"] if self.excess is False else EXCESS)
        for each in axes[1:]:
            each.tick_params(labelleft=False)
        legend(axes[0], own, list(self.lines_.values()))
        names = ", ".join(UNITS[name] for name in self.x)
        title = f"Cost of {len(self.traces)} descents, by {names}"
        if own:
            self.figure_.suptitle(title, fontsize="medium")
        else:
            entitle(axes[0], title)
        return self

    def _best(self) -> bool | float:
        if self.excess is not True:
            return self.excess
        costs = np.concatenate([trace.cost for trace in self.traces.values()])
        return float(np.min(costs[np.isfinite(costs)], initial=np.inf))


class LearningRateDisplay:
    """The curve of a search for a learning rate: the cost after steps at each rate.

    Marked are the suggestion and the edge, from where on the cost grows. The view ends a little
    above the first cost: what lies higher has diverged.

    Parameters
    ----------
    rates, costs : array (rates,)
    learning_rate, edge : float
        NaN or None: not marked.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> rates = np.geomspace(1e-4, 1, 9)
    >>> costs = np.where(rates < 0.3, 1 - rates, 50.0)
    >>> display = gd.plots.LearningRateDisplay(rates, costs, learning_rate=0.1, edge=0.3).plot()
    >>> display.ax_.get_xscale()
    'log'
    """

    def __init__(
        self,
        rates: ArrayLike,
        costs: ArrayLike,
        *,
        learning_rate: float | None = None,
        edge: float | None = None,
    ) -> None:
        self.rates, self.costs = np.asarray(rates, float), np.asarray(costs, float)
        self.learning_rate, self.edge = learning_rate, edge

    @classmethod
    def from_result(cls, result: Any, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw what `gd.find_learning_rate` returned; other arguments are of the curve's Line2D."""
        need_matplotlib()
        marks = {"learning_rate": result.learning_rate, "edge": result.edge}
        return cls(result.rates, result.costs, **marks).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw into new Axes, or into the given one."""
        own, (ax,) = owned(ax), panels(ax, 1, 4.2)
        self.ax_, self.figure_ = ax, ax.figure
        ax.set_xscale("log")
        self.line_ = line(ax, self.rates, self.costs, **{"label": "cost J", **kwargs})
        self.marks_: dict[str, Any] = {}
        for name, value, colour, style in (
            ("suggestion", self.learning_rate, COLOURS[2], "--"),
            ("edge", self.edge, COLOURS[1], ":"),
        ):
            if value is not None and np.isfinite(value) and value > 0:
                label = f"{name}: {value:.3g}"
                self.marks_[name] = ax.axvline(
                    value, color=colour, linestyle=style, linewidth=2, label=label
                )
        self._look_low(ax)
        ax.set_xlabel("learning rate")
        ax.set_ylabel("cost J")
        entitle(ax, "Cost after steps at each learning rate")
        legend(ax, own)
        return self

    def _look_low(self, ax: Any) -> None:
        """Leave costs far above the first one out of view."""
        costs = self.costs[np.isfinite(self.costs)]
        if len(costs) and costs.max() > costs[0]:
            depth = costs[0] - costs.min() or abs(costs[0]) or 1.0
            low = costs.min() - 0.1 * depth
            ax.set_ylim(low, min(costs.max() + 0.1 * depth, costs[0] + depth))


def _spread(ax: Any, columns: list[Array]) -> None:
    """A logarithmic x axis, from the first step on, where the ends lie far apart."""
    ends = [x[-1] for x in columns if x[-1] > 0]
    if ends and max(ends) > APART * min(ends):
        first = [x[1] for x in columns if len(x) > 1 and x[1] > 0]
        ax.set_xscale("log", nonpositive="mask")  # a start at 0 is no place on it
        ax.set_xlim(left=0.7 * min(first + ends))


def _above(cost: Array, excess: bool | float) -> Array:
    """The cost, or what of it is above the lowest or a given one; NaN where that is nothing."""
    if excess is False:
        return cost
    known = cost[np.isfinite(cost)]
    lowest = known.min(initial=np.inf) if excess is True else float(excess)
    above = cost - lowest
    return np.where(above > 0, above, np.nan)
