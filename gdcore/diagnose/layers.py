"""What the layers of a network say: gradients that vanish or explode on the way, dead units."""

from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.diagnose.course import Course
from gdcore.diagnose.findings import Finding

APART = 1e3  # times between the relative gradients of the last layer and the first
DWARFS = 30.0  # times the weights
DEAD = 0.5  # of the units of a layer


def vanishing(course: Course) -> Finding | None:
    """Gradients shrink from the last layer to the first."""
    relative = _relative(course)
    if relative is None or relative.shape[1] < 2:
        return None
    with np.errstate(all="ignore"):
        apart = np.log10(relative[:, -1] / relative[:, 0])
    apart = apart[np.isfinite(apart)]
    times = float(10 ** np.median(apart)) if len(apart) else 0.0
    if times < APART:
        return None
    layers: Any = course.trace.layers
    names = layers.names
    return Finding(
        "vanishing gradients",
        f"Relative to its weights the gradient of {names[0]} is {times:.2g} times smaller than "
        f"that of {names[-1]}: the first layers hardly learn.",
        times,
        "Use relu or gelu in place of sigmoid or tanh, layer norm between the layers, or fewer "
        "layers.",
    )


def exploding(course: Course) -> Finding | None:
    """Gradients that dwarf the weights they are of."""
    relative = _relative(course)
    if relative is None or not np.isfinite(relative[0]).any():
        return None
    # From the start: later on a rate that is too large looks the same.
    worst = int(np.nanargmax(relative[0]))
    layers: Any = course.trace.layers
    if relative[0, worst] < DWARFS:
        return None
    return Finding(
        "exploding gradients",
        f"The gradient of {layers.names[worst]} is {relative[0, worst]:.2g} times its "
        f"weights at the start, where the cost is {course.cost[0]:.3g}.",
        float(relative[0, worst]),
        "Start from smaller weights (init='auto'), put layer norm between the layers, or clip "
        "gradients (clip_norm=1.0).",
    )


def _relative(course: Course) -> Array | None:
    """‖∂J/∂W‖/‖W‖, a row for each look and a column for each layer; None without."""
    layers = course.trace.layers
    if layers is None or not len(layers):
        return None
    with np.errstate(all="ignore"):
        relative: Array = layers.gradient / np.where(layers.weight > 0, layers.weight, np.nan)
    return relative


def dead(course: Course) -> Finding | None:
    """Rectified units that no example excites."""
    layers = course.trace.layers
    if layers is None or not len(layers):
        return None
    share = layers.dead[-1]
    if not np.isfinite(share).any() or not np.nanmax(share) > DEAD:
        return None
    worst = int(np.nanargmax(share))
    return Finding(
        "dead units",
        f"{share[worst]:.0%} of the units behind {layers.names[worst]} are zero for every "
        "example: they get no gradient and will not come back.",
        float(share[worst]),
        "Lower the learning rate, start anew, or use an activation with a slope below zero "
        "(gelu, silu).",
    )
