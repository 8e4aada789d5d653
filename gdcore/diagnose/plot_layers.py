"""A picture of the layers of a network: norms of weights and gradients, dead units."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from gdcore.diagnose.drawing import (
    COLOURS,
    SURFACE,
    entitle,
    legend,
    line,
    logarithmic,
    need_matplotlib,
    owned,
    panels,
    plain,
    result_of,
    whole,
)
from gdcore.errors import require
from gdcore.result import Result
from gdcore.trace import LayerTrace

KINDS = {
    "weight": "‖W‖", "gradient": "‖∂J/∂W‖", "dead": "dead units, share",
}  # fmt: skip


class LayersDisplay:
    """Norms of each layer's weights and gradients along the descent, and units that are dead.

    Dead are rectified units that no example of a sample excites; their panel is there where a
    layer has such units. Attributes after `plot`: `axes_` {"weight", "gradient", "dead"}, `ax_`
    (the first), `lines_` {kind: [Line2D, one a layer]}, `figure_`.

    Parameters
    ----------
    layers : LayerTrace
        `trace.layers` of a network.

    Example
    -------
    >>> import gdcore as gd
    >>> data = gd.datasets.load_digits()
    >>> model = gd.MLPClassifier(max_epochs=3, tol=0, random_state=0).fit(data.X, data.y)
    >>> display = gd.plots.LayersDisplay.from_estimator(model)
    >>> list(display.axes_)
    ['weight', 'gradient', 'dead']
    """

    def __init__(
        self, layers: LayerTrace | None, *, title: str = "Layers along the descent"
    ) -> None:
        require(
            layers is not None and len(layers),
            "The trace has no layers, which those of a network alone have. Fit an MLPClassifier or "
            "MLPRegressor.",
        )
        self.layers: Any = layers
        self.title = title

    @classmethod
    def from_result(cls, result: Result[Any], *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the layers in the trace of a `Result`; other arguments are of each Line2D."""
        need_matplotlib()
        return cls(result_of(result).trace.layers).plot(ax, **kwargs)

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the layers of a fitted network."""
        need_matplotlib()
        title = f"{type(estimator).__name__}: layers along the descent"
        return cls(result_of(estimator).trace.layers, title=title).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw into new Axes, or into the given one, divided."""
        known = [kind for kind in KINDS if np.isfinite(getattr(self.layers, kind)).any()]
        own, axes = owned(ax), panels(ax, len(known), 1.8 + 1.9 * len(known), sharex=True)
        self.axes_ = dict(zip(known, axes, strict=True))
        self.lines_: dict[str, list[Any]] = {}
        self.ax_, self.figure_ = axes[0], axes[0].figure
        colours = _by_depth(len(self.layers.names))
        labels = plain(self.layers.names)
        for kind, each in self.axes_.items():
            values = getattr(self.layers, kind)
            self.lines_[kind] = [
                line(
                    each, self.layers.step, values[:, i], i,
                    **{"color": colours[i], "label": label, **kwargs},
                )
                for i, label in enumerate(labels)
            ]  # fmt: skip
            each.set_ylabel(KINDS[kind])
            if kind == "dead":
                each.set_ylim(-0.05, 1.05)
            else:
                logarithmic(each, "y", values)
        for each in axes[:-1]:
            each.tick_params(labelbottom=False)
        axes[-1].set_xlabel("steps")
        whole(axes[-1])
        entitle(axes[0], self.title)
        legend(axes[0], own, self.lines_[known[0]])
        return self


def _by_depth(count: int) -> Sequence[Any]:
    """A colour for each layer: those that are told apart best, or, of many, dark to light."""
    if count <= len(COLOURS):
        return COLOURS
    from matplotlib import colormaps

    colours: Sequence[Any] = colormaps[SURFACE](np.linspace(0, 0.85, count))
    return colours
