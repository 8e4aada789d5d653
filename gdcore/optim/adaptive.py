"""Steps scaled coordinate by coordinate by past squared gradients: AdaGrad, RMSProp."""

from dataclasses import dataclass

import numpy as np

from gdcore import kernels
from gdcore.optim.base import Optimizer, require_fraction, require_positive, require_rate


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """Step by g over the root of all its squares, v ← v + g², θ ← θ − lr·g/(√v + eps).

    v starts at zero and eps stands outside the root, as in PyTorch (Duchi, Hazan & Singer, 2011).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([1.0, 1.0]), gd.optim.AdaGrad(lr=0.5)
    >>> rule.step(theta, np.array([1e3, -1e-3]), rule.init(theta), rule.lr)
    >>> theta.round(6)
    array([0.5, 1.5])
    """

    lr: float = 0.01
    eps: float = 1e-10

    moments = ("v",)
    rule = "adagrad"

    def __post_init__(self):
        require_rate(self)
        require_positive(self, "eps")

    def constants(self):
        """eps."""
        return (self.eps,)

    def step(self, theta, g, state, lr):
        """v ← v + g², θ ← θ − lr·g/(√v + eps)."""
        state["t"] += 1
        kernels.adagrad(theta, g, state["v"], lr, self.eps)

    def reach(self, state, lr):
        """lr/(√v + eps)."""
        return lr / (np.sqrt(state["v"]) + self.eps)


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """Step by g over its running root mean square, v ← decay·v + (1 − decay)·g² (Hinton, 2012).

    θ ← θ − lr·g/(√v + eps); v starts at zero and eps stands outside the root, as in PyTorch.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([1.0]), gd.optim.RMSProp(lr=0.1, decay=0.75)
    >>> rule.step(theta, np.array([5.0]), rule.init(theta), rule.lr)
    >>> theta.round(6)
    array([0.8])
    """

    lr: float = 0.01
    decay: float = 0.99
    eps: float = 1e-8

    moments = ("v",)
    rule = "rmsprop"

    def __post_init__(self):
        require_rate(self)
        require_fraction(self, "decay")
        require_positive(self, "eps")

    def constants(self):
        """decay, eps."""
        return (self.decay, self.eps)

    def step(self, theta, g, state, lr):
        """v ← decay·v + (1 − decay)·g², θ ← θ − lr·g/(√v + eps)."""
        state["t"] += 1
        kernels.rmsprop(theta, g, state["v"], lr, self.decay, self.eps)

    def reach(self, state, lr):
        """lr/(√v + eps)."""
        return lr / (np.sqrt(state["v"]) + self.eps)
