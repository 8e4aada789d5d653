"""`gd.plots`: pictures of descent, in scikit-learn's manner.

A display has class methods that compute and draw, as `TraceDisplay.from_estimator(model)`, and
`plot(ax=None)`, which draws again. Both give the display back, with `ax_` and `figure_`. Without
`ax` a figure of pyplot's is made; a given one is drawn into, and pyplot is not imported. Colours
are those of Okabe and Ito and cividis, which colour-blind people tell apart, and no line is told
by its colour alone. Needs matplotlib (`pip install gdcore[plot]`), imported where it is drawn.
"""

from gdcore.diagnose.path import Path
from gdcore.diagnose.plot_attention import AttentionDisplay
from gdcore.diagnose.plot_boundary import BoundaryDisplay
from gdcore.diagnose.plot_coefficients import CoefficientsDisplay
from gdcore.diagnose.plot_course import ComparisonDisplay, LearningRateDisplay, TraceDisplay
from gdcore.diagnose.plot_layers import LayersDisplay
from gdcore.diagnose.plot_path import PathDisplay

__all__ = [
    "AttentionDisplay",
    "BoundaryDisplay",
    "CoefficientsDisplay",
    "ComparisonDisplay",
    "LayersDisplay",
    "LearningRateDisplay",
    "Path",
    "PathDisplay",
    "TraceDisplay",
]
