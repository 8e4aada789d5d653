"""Loss of one example, ℓ(z, y), its slope dℓ/dz and curvature d²ℓ/dz², over arrays of margins.

Every loss here is convex in z. Its name and numbers say it to the kernels, which fuse it with the
products by X. An object of your own with `value(z, y)` and `slope(z, y)` will do as well.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gdcore.errors import require_choice
from gdcore.given import as_array
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
    if isinstance(given, Softmax) and "softmax" not in known:
        raise TypeError(
            "gd.losses.Softmax is for classes, with a margin each. Pass one of "
            f"{', '.join(known)}, or fit a LogisticRegression."
        )
    return given


def require_own(loss: Any, y: Any, outputs: int, dtype: Any = np.float64) -> None:
    """Ask a loss of the user's for a few rows, and refuse answers that no descent can use."""
    if isinstance(loss, Loss):
        return
    few = np.array(y[: outputs + 1])
    z = np.zeros((len(few), outputs), dtype)
    shapes = {"value": (len(few),), "slope": z.shape}
    for name, shape in shapes.items():
        with np.errstate(all="ignore"):
            given = getattr(loss, name)(z.copy(), few.copy())
        answer = as_array(given, f"loss.{name}(z, y)")
        if answer.shape != shape or answer.dtype.kind not in "fiub":
            raise ValueError(
                f"loss.{name}(z, y) must be real numbers of shape {shape} for z {z.shape} and y "
                f"{few.shape}, got {answer.dtype} {answer.shape}. Return "
                + ("one a row." if name == "value" else "one for each of z.")
            )


__all__ = [
    "Gamma", "Hinge", "Huber", "Logistic", "Loss", "Poisson", "Quantile", "Softmax", "Squared",
    "SquaredHinge",
]  # fmt: skip
