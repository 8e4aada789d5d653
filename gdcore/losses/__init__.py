"""Loss of one example, ℓ(z, y), its slope dℓ/dz and curvature d²ℓ/dz², over arrays of margins.

Every loss here is convex in z. Its name and numbers say it to the kernels, which fuse it with the
products by X. An object of your own with `value(z, y)` and `slope(z, y)` will do as well.
"""

from collections.abc import Mapping
from typing import Any

from gdcore.errors import require_choice
from gdcore.losses.base import Loss
from gdcore.losses.classes import Hinge, Logistic, Softmax, SquaredHinge
from gdcore.losses.regression import Gamma, Huber, Poisson, Quantile, Squared

REGRESSION = {each.name: each for each in (Squared, Huber, Quantile, Poisson, Gamma)}
MARGIN = {each.name: each for each in (Hinge, SquaredHinge)}


def as_loss(given: Any, known: Mapping[str, type[Loss]]) -> Any:
    """The loss behind a name among `known`, or an object with value(z, y) and slope(z, y)."""
    if isinstance(given, str):
        require_choice("loss", given, list(known))
        return known[given]()
    for method in ("value", "slope"):
        if not callable(getattr(given, method, None)) or isinstance(given, type):
            raise TypeError(
                "loss must be a name or an object with value(z, y) and slope(z, y), got "
                f"{given!r}. Pass one of {', '.join(known)}, or an instance of gd.losses."
            )
    return given


__all__ = [
    "Gamma", "Hinge", "Huber", "Logistic", "Loss", "Poisson", "Quantile", "Softmax", "Squared",
    "SquaredHinge",
]  # fmt: skip
