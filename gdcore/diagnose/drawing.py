"""What the pictures share: colours that everyone can tell apart, axes, lines, legends.

matplotlib is imported where something is drawn, and pyplot only where no axes are given.
"""

from collections.abc import Iterable, Sequence
from textwrap import fill
from typing import Any

import numpy as np

from gdcore._typing import ArrayLike
from gdcore.errors import not_fitted, require
from gdcore.result import Result

# Okabe & Ito (2008), but for their yellow, which is lost on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")  # one more than colours: pairs repeat late
SURFACE = "cividis"
WIDTH = 8.0  # inches: 800 pixels at matplotlib's own 100 a inch
FEW = 40  # points of a line that are marked each
WIDE = 30  # times from the least to the greatest number that ask for a logarithmic axis
LETTERS = 13  # of a title, in an inch
ROW = 84  # characters of labels side by side in a legend
UNITS = {"step": "steps", "epoch": "epochs", "seconds": "seconds", "examples": "examples seen"}


def need_matplotlib() -> None:
    """Say what is missing before anything is computed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "gd.plots needs matplotlib. Install it: pip install gdcore[plot]"
        ) from error


def owned(ax: Any) -> bool:
    """Whether the whole figure is ours: none was given, or an empty one in place of Axes."""
    return ax is None or hasattr(ax, "add_subplot")


def panels(
    ax: Any, count: int = 1, height: float = 4.0, columns: int = 1, **sharing: Any
) -> list[Any]:
    """`count` Axes, row by row: given ones, a given one divided, or those of a new figure or of a
    given one, which takes the height that is needed."""
    need_matplotlib()
    if owned(ax):
        return _fresh(ax, count, height, columns, sharing)
    given = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(given) == 1 < count:
        return _divided(given[0], count, columns, sharing)
    require(
        len(given) == count,
        f"ax holds {len(given)} Axes, and there are {count} panels. Pass one, which is divided, or "
        "as many.",
    )
    return given


def _fresh(
    figure: Any, count: int, height: float, columns: int, sharing: dict[str, Any]
) -> list[Any]:
    rows = -(-count // columns)
    if figure is None:
        from matplotlib import pyplot

        figure = pyplot.figure()
    figure.set_size_inches(WIDTH, height)
    figure.set_layout_engine("constrained")
    found = figure.subplots(rows, columns, squeeze=False, **sharing).ravel()
    for spare in found[count:]:
        spare.remove()
    return list(found[:count])


def _divided(ax: Any, count: int, columns: int, sharing: dict[str, Any]) -> list[Any]:
    """The first panel is the Axes given, the others take part of its place."""
    from matplotlib.gridspec import GridSpec

    shape, spec = (-(-count // columns), columns), ax.get_subplotspec()
    if spec is not None:
        grid = spec.subgridspec(*shape)
    else:
        box = ax.get_position()
        ends = {"left": box.x0, "right": box.x1, "bottom": box.y0, "top": box.y1}
        grid = GridSpec(*shape, ax.figure, **ends)
    ax.set_subplotspec(grid[0, 0])
    share = {name: ax for name, wanted in sharing.items() if wanted}
    others = [ax.figure.add_subplot(grid[divmod(i, columns)], **share) for i in range(1, count)]
    return [ax, *others]


def line(ax: Any, x: Any, y: Any, number: int = 0, **given: Any) -> Any:
    """y against x, in the number's colour, style and marker; what is no number is left out.

    Returns the Line2D.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    style: dict[str, Any] = {
        "color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number % len(STYLES)],
        "marker": MARKERS[number % len(MARKERS)], "markersize": 4.5, "linewidth": 1.6,
    }  # fmt: skip
    if len(x) > FEW:  # a marker here and there tells lines apart where colours do not
        style["markevery"] = (number * len(x) // 50, max(1, len(x) // 8))
    (drawn,) = ax.plot(x, y, **style | given)
    return drawn


def logarithmic(ax: Any, axis: str, *values: ArrayLike) -> None:
    """A logarithmic axis where the numbers are positive and far apart."""
    numbers = np.concatenate([np.ravel(each) for each in values])
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) and numbers.min() > 0 and numbers.max() > WIDE * numbers.min():
        ax.set(**{f"{axis}scale": "log"})


def whole(ax: Any) -> None:
    """Ticks of the x axis at whole numbers: there is no half a step."""
    if ax.get_xscale() == "linear":
        ax.locator_params(axis="x", integer=True)


def legend(ax: Any, own: bool, lines: Sequence[Any] | None = None) -> None:
    """Names of the lines: below the panels in a figure of our own, else where there is room."""
    lines = ax.get_legend_handles_labels()[0] if lines is None else lines
    if not lines:
        return
    longest = max(len(each.get_label()) for each in lines) + 6
    if own:
        most = max(1, min(len(lines), ROW // longest))
        columns = -(-len(lines) // -(-len(lines) // most))  # rows of one length
        ax.figure.legend(handles=lines, loc="outside lower center", ncols=columns, frameon=False)
    else:
        ax.legend(handles=lines, loc="best", fontsize="small")


def entitle(ax: Any, text: str) -> None:
    """A title, in lines no wider than the Axes."""
    inches = ax.bbox.width / ax.figure.dpi
    ax.set_title(fill(text, max(20, int(LETTERS * inches))), fontsize="medium")


def plain(texts: Iterable[object]) -> list[str]:
    """Dollars as they are, and not as the signs of a formula."""
    return [str(text).replace("$", r"\$") for text in texts]


def result_of(given: Any) -> Result[Any]:
    """The result of a fitted estimator, or itself."""
    result = given if isinstance(given, Result) else getattr(given, "result_", None)
    if result is None and hasattr(given, "fit"):
        raise not_fitted(given)
    if result is None:
        raise TypeError(
            f"A picture needs a Result or a fitted estimator, got {type(given).__name__}. Pass one "
            "of them."
        )
    require("trace" in result, "The result has no trace. Call minimize with trace=True.")
    require(len(result.trace), "The trace has no rows. Fit with a budget of at least one epoch.")
    return result


def told(result: Result[Any]) -> str:
    """How a descent is called in a title: its rule, and how it ended."""
    rule = result.optimizer
    name = rule if isinstance(rule, str) else type(rule).__name__
    return f"{name}, ended by {result.status.name}"


def clone(estimator: Any, **changed: Any) -> Any:
    """The same estimator, not fitted, with some parameters changed."""
    return type(estimator)(**{**estimator.get_params(deep=False), **changed})
