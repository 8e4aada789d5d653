"""Loss of one example, ℓ(z, y), its slope dℓ/dz and curvature d²ℓ/dz², over arrays of margins.

Every loss here is convex in z. Its name and numbers say it to the kernels, which fuse it with the
products by X. An object of your own with `value(z, y)` and `slope(z, y)` will do as well.
"""

from gdcore.losses.base import Loss
from gdcore.losses.classes import Hinge, Logistic, Softmax, SquaredHinge
from gdcore.losses.regression import Gamma, Huber, Poisson, Quantile, Squared

__all__ = [
    "Gamma", "Hinge", "Huber", "Logistic", "Loss", "Poisson", "Quantile", "Softmax", "Squared",
    "SquaredHinge",
]  # fmt: skip
