"""What is added to the mean loss: ½·ridge·θ² + lasso·|θ|, coordinate by coordinate."""

from dataclasses import dataclass

import numpy as np

from gdcore._typing import Array

__all__ = ["Penalty"]


@dataclass(frozen=True, eq=False)
class Penalty:
    """Elastic net with a weight for each coordinate, Σ ½·ridgeⱼ·θⱼ² + lassoⱼ·|θⱼ|.

    L2 is lasso = 0, L1 is ridge = 0, an unpenalised intercept has both 0 (Zou & Hastie, 2005).

    Parameters
    ----------
    ridge, lasso : arrays of θ's length, not negative

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> penalty = gd.penalties.Penalty(ridge=np.array([2.0]), lasso=np.array([1.0]))
    >>> penalty.value(np.array([3.0]))
    12.0
    >>> theta = np.array([3.0])
    >>> penalty.prox(theta, 0.5)
    >>> theta
    array([2.5])
    """

    ridge: Array
    lasso: Array

    @property
    def smooth(self) -> bool:
        """True where there is no |θ| term, so that the gradient is defined everywhere."""
        return not bool(self.lasso.any())

    def value(self, theta: Array) -> float:
        """The penalty at θ."""
        return 0.5 * float(self.ridge @ (theta * theta)) + float(self.lasso @ np.abs(theta))

    def add_gradient(self, theta: Array, g: Array) -> None:
        """Add the gradient of the smooth part, ridge·θ, to g."""
        g += self.ridge * theta

    def prox(self, theta: Array, reach: float | Array) -> None:
        """Move θ to argmin ½(u − θ)²/reach + lasso·|u|: shrink towards zero, and stop there."""
        if not self.smooth:
            theta[:] = np.sign(theta) * np.maximum(np.abs(theta) - reach * self.lasso, 0)

    def steepest(self, theta: Array, g: Array) -> Array:
        """The shortest subgradient of J at θ, given the smooth part's gradient g.

        It is zero exactly at a minimum: where θⱼ = 0 the term |θⱼ| absorbs slopes up to lassoⱼ.
        """
        if self.smooth:
            return g
        at_zero = np.sign(g) * np.maximum(np.abs(g) - self.lasso, 0)
        shortest: Array = np.where(theta != 0, g + self.lasso * np.sign(theta), at_zero)
        return shortest
