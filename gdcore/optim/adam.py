"""Running mean of the gradient over its running root mean square: Adam, AdamW."""

import math
from dataclasses import dataclass

import numpy as np

from gdcore import kernels
from gdcore.optim.base import (
    Optimizer,
    require_fraction,
    require_not_negative,
    require_positive,
    require_rate,
)


def _require_adam(optimizer):
    require_rate(optimizer)
    require_fraction(optimizer, "beta1")
    require_fraction(optimizer, "beta2")
    require_positive(optimizer, "eps")


def _reach(optimizer, state, lr):
    root_c2 = math.sqrt(1 - optimizer.beta2 ** int(state["t"][0]))
    return lr * root_c2 / (np.sqrt(state["v"]) + optimizer.eps * root_c2)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Step by m̂/(√v̂ + eps), both moments corrected for their start at zero (Kingma & Ba, 2015).

    m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ),
    θ ← θ − lr·m̂/(√v̂ + eps): eps outside the corrected root, as in PyTorch and optax.

    Parameters
    ----------
    lr : float > 0
    beta1, beta2 : float in [0, 1)
    eps : float > 0

    Raises
    ------
    ValueError
        For a hyper-parameter outside its range.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, adam = np.array([1.0, 1.0]), gd.optim.Adam(lr=0.1)
    >>> adam.step(theta, np.array([1e3, -1e-3]), adam.init(theta), adam.lr)
    >>> theta.round(5)
    array([0.9, 1.1])
    """

    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    moments = ("m", "v")
    rule = "adam"

    def __post_init__(self):
        _require_adam(self)

    def constants(self):
        """β₁, β₂, eps."""
        return (self.beta1, self.beta2, self.eps)

    def step(self, theta, g, state, lr):
        """One step of Adam at learning rate lr."""
        t = state["t"]
        t += 1
        kernels.adam(
            theta, g, state["m"], state["v"], lr, self.beta1, self.beta2, self.eps, int(t[0])
        )

    def reach(self, state, lr):
        """lr/(√v̂ + eps)."""
        return _reach(self, state, lr)


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay, θ ← (1 − lr·decay)·θ before Adam's step.

    Loshchilov & Hutter, 2019; the decay is scaled by lr, as in PyTorch.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([1.0]), gd.optim.AdamW(lr=0.1, decay=0.5)
    >>> rule.step(theta, np.array([1.0]), rule.init(theta), rule.lr)
    >>> theta.round(6)
    array([0.85])
    """

    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    decay: float = 0.01

    moments = ("m", "v")
    rule = "adamw"

    def __post_init__(self):
        _require_adam(self)
        require_not_negative(self, "decay")

    def constants(self):
        """β₁, β₂, eps, decay."""
        return (self.beta1, self.beta2, self.eps, self.decay)

    def step(self, theta, g, state, lr):
        """One step of AdamW at learning rate lr."""
        t = state["t"]
        t += 1
        betas = self.beta1, self.beta2
        kernels.adamw(theta, g, state["m"], state["v"], lr, *betas, self.eps, self.decay, int(t[0]))

    def reach(self, state, lr):
        """lr/(√v̂ + eps)."""
        return _reach(self, state, lr)
