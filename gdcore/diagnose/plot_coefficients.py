"""A picture of the coefficients of a linear model: along the descent, or against the penalty."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.data import as_rows, column_moments, feature_names
from gdcore.devices import is_foreign
from gdcore.diagnose.drawing import (
    clone,
    entitle,
    legend,
    line,
    need_matplotlib,
    owned,
    panels,
    plain,
    whole,
)
from gdcore.diagnose.plot_path import recorded
from gdcore.errors import require, require_choice, require_number

NAMED = 10  # coefficients that have a colour and a name, the largest
REST = "#999999"


class CoefficientsDisplay:
    """The coefficients of a linear model along its descent, or against alpha: regularisation paths.

    The largest ones at the end (at the least alpha) have names, the others are grey. Attributes:
    `x` (points,), `coefficients` (points, p), `names`; after `plot`: `ax_`, `figure_`, `lines_`
    {name: Line2D}.

    Parameters
    ----------
    x : array (points,)
        Steps, or alphas.
    coefficients : array (points, p)
    names : list of str
    against : "step" or "alpha"
    standardized : bool
        Whether they are of columns with deviation 1, for the label.
    named : int
        How many of them have a name.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> data = gd.datasets.load_diabetes()
    >>> lasso = gd.LinearRegression(l1_ratio=1.0)
    >>> display = gd.plots.CoefficientsDisplay.from_estimator(
    ...     lasso, data.X, data.y, alphas=np.geomspace(1, 100, 5), names=data.feature_names)
    >>> display.coefficients.shape, int((display.coefficients[-1] != 0).sum())
    ((5, 10), 0)
    """

    def __init__(
        self,
        x: ArrayLike,
        coefficients: ArrayLike,
        names: Sequence[str],
        *,
        against: Literal["step", "alpha"] = "step",
        standardized: bool = True,
        named: int = NAMED,
        title: str = "",
    ) -> None:
        require_choice("against", against, ["step", "alpha"])
        require_number("named", named, low=0, whole=True)
        self.x, self.coefficients = np.asarray(x, float), np.asarray(coefficients, float)
        require(
            self.coefficients.shape == (len(self.x), len(names)),
            f"coefficients must be (points, names), got {self.coefficients.shape} for "
            f"{len(self.x)} points and {len(names)} names. Pass such.",
        )
        self.names, self.against, self.standardized = list(names), against, standardized
        self.named, self.title = named, title

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, alphas: ArrayLike | None = None, every: int = 1,
        standardized: bool = True, target: Any = None, names: Sequence[str] | None = None,
        named: int = NAMED, ax: Any = None, **kwargs: Any,
    ) -> Self:  # fmt: skip
        """Fit clones of a linear model, and draw.

        Parameters
        ----------
        estimator : LinearRegression, LogisticRegression or LinearClassifier; it does not change
        X, y : what to fit on
        alphas : array of positive numbers, optional
            A fit for each, from the largest to the least, each from where the last one ended.
            Without, the coefficients along the descent of one fit, at every `every`-th step.
        standardized : bool
            Coefficients times the deviation of their column: what can be compared.
        target : label, optional
            The class whose coefficients are drawn, of more than two; default: the first.
        names : list of str, optional
            Of the columns; default: those of the frame X, or numbers.
        named : int
            How many coefficients have a name in the legend.
        ax : Axes, optional
        kwargs : of each Line2D
        """
        need_matplotlib()
        require(
            hasattr(estimator, "l1_ratio"),
            f"{type(estimator).__name__} has no coefficients. Pass a linear model.",
        )
        if alphas is None:
            x, coef, fitted = _along_descent(estimator, X, y, every)
            title = f"{type(estimator).__name__}: coefficients along the descent"
        else:
            x, coef, fitted = _along_alphas(estimator, X, y, alphas)
            title = f"{type(estimator).__name__}: coefficients against the penalty"
        row, of_class = _row(fitted, coef.shape[1], target)
        rows = as_rows(X)
        units = column_moments(rows, np.ones(len(rows)))[1] if standardized else 1.0
        names = names or feature_names(X) or [f"column {i}" for i in range(coef.shape[2])]
        return cls(
            x, coef[:, row] * units, names, against="step" if alphas is None else "alpha",
            standardized=standardized, named=named, title=title + of_class,
        ).plot(ax, **kwargs)  # fmt: skip

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw into new Axes, or into the given one."""
        own, (ax,) = owned(ax), panels(ax, 1, 5.0)
        self.ax_, self.figure_ = ax, ax.figure
        self.lines_: dict[str, Any] = {}
        order = self._by_size()
        labels = plain(self.names)
        for rank, column in enumerate(order):
            style = {"linewidth": 0.8, "color": REST, "linestyle": "-", "marker": None, "zorder": 1}
            if rank < self.named:
                style = {"label": labels[column]}
            drawn = line(ax, self.x, self.coefficients[:, column], rank, **style | kwargs)
            self.lines_[self.names[column]] = drawn
        ax.axhline(0, color="black", linewidth=0.6, zorder=0)
        if self.against == "alpha":
            ax.set_xscale("log")
        whole(ax)
        ax.set_xlabel("steps" if self.against == "step" else "alpha, the weight of the penalty")
        ax.set_ylabel("coefficient × deviation of its column" if self.standardized
                      else "coefficient")  # fmt: skip
        entitle(ax, self.title)
        legend(ax, own)
        return self

    def _by_size(self) -> Array:
        """Columns, those first whose coefficient is largest at the end, or at the least alpha."""
        known = np.flatnonzero(np.isfinite(self.coefficients).all(axis=1))
        require(len(known), "No coefficient is a finite number. Look at the fit.")
        last = known[-1] if self.against == "step" else known[np.argmin(self.x[known])]
        return np.argsort(-np.abs(self.coefficients[last]), kind="stable")


def _along_descent(estimator: Any, X: Any, y: Any, every: int) -> tuple[Array, Array, Any]:
    """(steps, coefficients (points, k, p), a fitted clone)."""
    require(
        not is_foreign(X),
        "X is an array of another library, whose path is not drawn. Pass X as one of NumPy's.",
    )
    path, fitted = recorded(estimator, X, y, every)
    original = path.cost.model.original
    return path.steps, np.array([original(point)[0] for point in path.points]), fitted


def _along_alphas(estimator: Any, X: Any, y: Any, alphas: ArrayLike) -> tuple[Array, Array, Any]:
    """(alphas, coefficients (alphas, k, p), a fitted clone), in the order of the alphas."""
    alphas = np.atleast_1d(np.asarray(alphas, float))
    require(
        alphas.ndim == 1 and len(alphas) and np.isfinite(alphas).all() and alphas.min() > 0,
        "alphas must be positive numbers, as an axis of powers has no zero. Pass such, as "
        "np.geomspace(1e-4, 1, 30).",
    )
    model, found = clone(estimator, warm_start=True), [None] * len(alphas)
    for i in np.argsort(-alphas, kind="stable"):
        model.set_params(alpha=float(alphas[i])).fit(X, y)
        found[i] = np.atleast_2d(model.coef_).copy()
    return alphas, np.array(found), model


def _row(fitted: Any, rows: int, target: Any) -> tuple[int, str]:
    """(the row of coefficients that is asked for, words for the title)."""
    classes = getattr(fitted, "classes_", None)
    if rows == 1 or classes is None:
        require(target is None, "target names one of several classes. Leave it out.")
        return 0, ""
    target = classes[0] if target is None else target
    found = np.flatnonzero(classes == target)
    require(
        len(found) == 1,
        f"target={target!r} is no class. Choose from {classes.tolist()}.",
    )
    return int(found[0]), f" (class {target})"
