"""What losses share: from margins to values and slopes by the formulas of the kernels."""

import math
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, ArrayLike, computed


class Loss:
    """What the losses share; shapes: z (n, k), y (n,), k = 1 but for softmax.

    `curvature` is an upper bound of d²ℓ/dz², infinite where there is none. `concordance` is the M
    of |ℓ‴| ≤ M·ℓ″, from which certificates follow (Bach, 2010); None where there is none.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> loss, z, y = gd.losses.Logistic(), np.array([[0.0], [2.0]]), np.array([0.0, 1.0])
    >>> isinstance(loss, gd.losses.Loss), loss.value(z, y).round(3), loss.slope(z, y)[:, 0].round(3)
    (True, array([0.693, 0.127]), array([ 0.5  , -0.119]))
    """

    name = ""
    shape: float = 0.0
    smooth: float = 0.0
    curvature: float = math.inf
    concordance: float | None = None

    def value(self, z: ArrayLike, y: ArrayLike) -> Array:
        """ℓ of each row, shape (n,)."""
        return self._written(z, y)[0]

    def slope(self, z: ArrayLike, y: ArrayLike) -> Array:
        """dℓ/dz, of z's shape."""
        return self._written(z, y)[1]

    def _written(self, z: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
        z, y = (np.ascontiguousarray(each, np.float64) for each in (z, y))
        lost, slopes = np.empty(len(z)), np.empty(z.shape)
        kernels.linear_losses(self.name, self.shape, self.smooth, z, y, lost, slopes)
        return lost, slopes

    def bend(self, z: Array, y: Array) -> Array:
        """d²ℓ/dz², of z's shape; zero at corners."""
        raise NotImplementedError

    def conjugate(self, r: Array, y: Array) -> Array:
        """sup over z of rz − ℓ(z, y), without rounded corners, for slopes r that ℓ can have."""
        raise NotImplementedError

    def mean(self, z: Array) -> Array:
        """E[y | z]: the prediction itself."""
        return z[:, 0]

    def typical_curvature(self, y: Array, weights: Array) -> float:
        """A curvature to take a first step length from, where there is no bound."""
        return self.curvature

    def check(self, y: Array) -> None:
        """Refuse targets that have no finite loss."""


class Corners(Loss):
    """Losses with a corner, which `rounded` smooths over a width: at most ½·width below."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def rounded(self, width: float) -> Self:
        """The loss with its corner rounded."""
        return replace(self, smooth=float(width))

    @computed
    def curvature(self) -> float:
        """1/width; infinite at a corner."""
        return 1 / self.smooth if self.smooth else math.inf

    def _inside(self, r: Array) -> Array:
        """True for slopes that the loss has within its corner."""
        raise NotImplementedError

    def bend(self, z: Array, y: Array) -> Array:
        """1/width where the corner is rounded."""
        if not self.smooth:
            return np.zeros_like(z)
        return np.where(self._inside(self.slope(z, y)), 1 / self.smooth, 0.0)


def entropy(u: Array) -> Array:
    """u log u, zero at zero."""
    found: Array = u * np.log(np.where(u > 0, u, 1))
    return found
