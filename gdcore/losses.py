"""Loss of one example, ℓ(z, y), and its slope dℓ/dz, over arrays of margins and targets.

Each loss names the kernels that fuse it with the products by X; `curvature` is an upper bound of
d²ℓ/dz², from which descent takes its step length.
"""

from dataclasses import dataclass

import numpy as np

from gdcore import kernels
from gdcore._numpy import _losses

__all__ = ["Logistic", "Softmax", "Squared"]


@dataclass(frozen=True)
class Squared:
    """Half the squared error, ℓ = ½(z − y)².

    Shapes: z (n, 1), y (n,). Slope z − y, curvature 1.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> gd.losses.Squared().value(np.array([[3.0]]), np.array([1.0]))
    array([2.])
    """

    curvature = 1.0
    gradient = "squared_gradient"
    epoch = "squared_epoch"

    def value(self, z, y):
        """ℓ of each row, shape (n,)."""
        return _losses.squared(z, y)[0]

    def slope(self, z, y):
        """dℓ/dz, of z's shape."""
        return _losses.squared(z, y)[1]

    def mean(self, z):
        """E[y | z]: the prediction itself."""
        return z[:, 0]

    def constant(self, y, weights, k):
        """The constant margin of lowest loss: the mean."""
        return np.array([np.average(y, weights=weights)])


@dataclass(frozen=True)
class Logistic:
    """Log-loss of two classes, ℓ = log(1 + eᶻ) − yz with y in [0, 1] (Cox, 1958).

    Shapes: z (n, 1), y (n,). Slope σ(z) − y, curvature ¼.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> gd.losses.Logistic().slope(np.array([[0.0]]), np.array([1.0]))
    array([[-0.5]])
    """

    curvature = 0.25
    gradient = "logistic_gradient"
    epoch = "logistic_epoch"

    def value(self, z, y):
        """ℓ of each row, shape (n,)."""
        return _losses.logistic(z, y)[0]

    def slope(self, z, y):
        """dℓ/dz, of z's shape."""
        return _losses.logistic(z, y)[1]

    def mean(self, z):
        """P(y = 1 | z) = σ(z)."""
        out = np.empty(len(z), z.dtype)
        kernels.sigmoid(np.ascontiguousarray(z[:, 0]), out)
        return out

    def constant(self, y, weights, k):
        """The constant margin of lowest loss: the log-odds, held to ±20."""
        share = np.clip(np.average(y, weights=weights), 2e-9, 1 - 2e-9)
        return np.array([np.log(share / (1 - share))])


@dataclass(frozen=True)
class Softmax:
    """Cross-entropy of k classes, ℓ = log Σ eᶻ − z_y with y a class number (Bridle, 1990).

    Shapes: z (n, k), y (n,). Slope softmax(z) − [j = y], curvature at most ½.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> gd.losses.Softmax().value(np.zeros((1, 2)), np.array([0.0])).round(3)
    array([0.693])
    """

    curvature = 0.5
    gradient = "softmax_gradient"
    epoch = "softmax_epoch"

    def value(self, z, y):
        """ℓ of each row, shape (n,)."""
        return _losses.softmax(z, y)[0]

    def slope(self, z, y):
        """dℓ/dz, of z's shape."""
        return _losses.softmax(z, y)[1]

    def mean(self, z):
        """P(y = j | z), shape (n, k)."""
        out = np.empty_like(z, order="C")
        kernels.softmax(np.ascontiguousarray(z), out)
        return out

    def constant(self, y, weights, k):
        """The constant margins of lowest loss that sum to zero: centred log-shares."""
        mass = np.bincount(y.astype(np.intp), weights, minlength=k)
        log_share = np.log(np.maximum(mass / mass.sum(), 2e-9))
        return log_share - log_share.mean()
