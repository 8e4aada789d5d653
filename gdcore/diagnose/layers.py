"""What the layers of a network say: gradients that vanish or explode on the way, dead units."""

import numpy as np

from gdcore.diagnose.findings import Finding

APART = 1e3  # times between the relative gradients of two layers
DEAD = 0.5  # of the units of a layer


def unbalanced(course):
    """Gradients shrink or grow from the last layer to the first."""
    layers = course.trace.layers
    if layers is None or len(layers) < 1 or len(layers.names) < 2:
        return None
    with np.errstate(all="ignore"):
        relative = layers.gradient / layers.weight
        apart = np.log10(relative[:, 0] / relative[:, -1])
    apart = apart[np.isfinite(apart)]
    if not len(apart):
        return None
    times = float(10 ** np.median(apart))
    if 1 / APART < times < APART:
        return None
    first, last = layers.names[0], layers.names[-1]
    kind = "vanishing gradients" if times < 1 else "exploding gradients"
    gone = f"{1 / times:.2g} times smaller" if times < 1 else f"{times:.2g} times larger"
    return Finding(
        kind,
        f"Relative to its weights the gradient of {first} is {gone} than that of {last}.",
        times,
        "Use relu or gelu in place of sigmoid or tanh, layer norm between the layers, or fewer "
        "layers." if times < 1 else
        "Clip gradients, start from smaller weights, or put layer norm between the layers.",
    )  # fmt: skip


def dead(course):
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
