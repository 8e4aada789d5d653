"""Running mean of the gradient over its running root mean square: Adam, AMSGrad, AdamW."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gdcore._typing import Array, State, computed
from gdcore.optim.base import (
    Rule,
    require_fraction,
    require_not_negative,
    require_one_of,
    require_positive,
    require_rate,
)
from gdcore.optim.conventions import Like, conventions

EPS_MODES = ["outside", "inside", "hat"]
KERAS = {"eps": 1e-7, "eps_mode": "hat"}


def require_adam(optimizer: Any) -> None:
    """The hyper-parameters that all of Adam's kin have."""
    require_rate(optimizer)
    require_fraction(optimizer, "beta1", "beta2")
    require_positive(optimizer, "eps")
    require_one_of(optimizer, "eps_mode", EPS_MODES)


def corrections(optimizer: Any, t: int) -> tuple[float, float]:
    """(1 − β₁ᵗ, √(1 − β₂ᵗ))."""
    return 1 - optimizer.beta1**t, math.sqrt(1 - optimizer.beta2**t)


def sides(optimizer: Any, root_c2: float) -> tuple[float, float]:
    """(inside, outside) of the root of the uncorrected v: where ε stands once √c₂ is multiplied in.

    lr·m̂/(√(v/c₂) + ε) = lr·√c₂·m̂/(√v + ε·√c₂), and so on: one division an element.
    """
    if optimizer.eps_mode == "inside":
        return optimizer.eps * root_c2 * root_c2, 0.0
    return 0.0, optimizer.eps * (root_c2 if optimizer.eps_mode == "outside" else 1.0)


def running(optimizer: Any) -> tuple[float, float, float, float]:
    """β₁, 1 − β₁, β₂, 1 − β₂."""
    return optimizer.beta1, 1 - optimizer.beta1, optimizer.beta2, 1 - optimizer.beta2


def reach(optimizer: Any, state: State, lr: float) -> Array:
    """lr/(√v̂ + eps)."""
    _, root_c2 = corrections(optimizer, state["t"].item())
    inside, outside = sides(optimizer, root_c2)
    return lr * root_c2 / (np.sqrt(state["v"] + inside) + outside)


@conventions(torch={}, optax={}, keras=KERAS, sklearn={"eps": 1e-8, "eps_mode": "hat"})
@dataclass(frozen=True)
class Adam(Like, Rule):
    """Step by m̂/(√v̂ + eps), both moments corrected for their start at zero (Kingma & Ba, 2015).

    m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ),
    θ ← θ − lr·m̂/(√v̂ + eps): eps outside the corrected root, as in PyTorch and optax.

    Parameters
    ----------
    lr : float > 0
    beta1, beta2 : float in [0, 1)
    eps : float > 0
    eps_mode : "outside" √v̂ + eps; "inside" √(v̂ + eps), optax's eps_root; "hat" as in the paper's
        §2.1, Keras and scikit-learn: eps beside the uncorrected √v, in effect eps/√(1 − β₂ᵗ)
    like : "torch", "optax", "keras" or "sklearn", optional
        The library whose conventions to take.

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
    eps_mode: str = "outside"

    moments = ("m", "v")
    scale = "unit"

    def __post_init__(self) -> None:
        require_adam(self)

    @computed
    def rule(self) -> str | None:
        """The compiled epochs know eps outside."""
        return "adam" if self.eps_mode == "outside" else None

    def constants(self) -> tuple[float, ...]:
        """β₁, β₂, eps."""
        return (self.beta1, self.beta2, self.eps)

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """Both moments, and θ ← θ − rate·m/(√(v + inside) + outside)."""
        c1, root_c2 = corrections(self, state["t"].item())
        return "adam", (lr * root_c2 / c1, *running(self), *sides(self, root_c2), 1.0)

    def reach(self, state: State, lr: float) -> Array:
        """lr/(√v̂ + eps)."""
        return reach(self, state, lr)


@conventions(torch={}, optax={"maximum": "corrected"}, keras=KERAS)
@dataclass(frozen=True)
class AMSGrad(Like, Rule):
    """Adam over the largest v so far, so that no step grows again (Reddi, Kale & Kumar, 2018).

    Parameters
    ----------
    lr, beta1, beta2, eps, eps_mode : as `Adam`'s
    maximum : "raw" or "corrected"
        x ← max(x, v) and v̂ = x/(1 − β₂ᵗ), as PyTorch and Keras do, or x ← max(x, v/(1 − β₂ᵗ)),
        as optax does.
    like : "torch", "optax" or "keras", optional

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([1.0]), gd.optim.AMSGrad(lr=0.1)
    >>> rule.step(theta, np.array([2.0]), rule.init(theta), rule.lr)
    >>> theta.round(6)
    array([0.9])
    """

    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    eps_mode: str = "outside"
    maximum: str = "raw"

    moments = ("m", "v", "x")
    scale = "unit"

    def __post_init__(self) -> None:
        require_adam(self)
        require_one_of(self, "maximum", ["raw", "corrected"])

    def _root(self, t: int) -> tuple[float, float, float]:
        """(inside, outside, what x is multiplied by in the end) of √(x + inside) + outside."""
        _, root_c2 = corrections(self, t)
        if self.maximum == "raw":
            return *sides(self, root_c2), root_c2
        outside = self.eps / root_c2 if self.eps_mode == "hat" else self.eps
        return (self.eps, 0.0, 1.0) if self.eps_mode == "inside" else (0.0, outside, 1.0)

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """As Adam, x ← max(x, fix·v) under the root."""
        t = state["t"].item()
        c1, root_c2 = corrections(self, t)
        inside, outside, lift = self._root(t)
        fix = 1.0 if self.maximum == "raw" else 1 / (root_c2 * root_c2)
        return "amsgrad", (lr * lift / c1, *running(self), inside, outside, fix)

    def reach(self, state: State, lr: float) -> Array:
        """lr/(√x̂ + eps)."""
        inside, outside, lift = self._root(state["t"].item())
        return lr * lift / (np.sqrt(state["x"] + inside) + outside)


@conventions(torch={}, optax={"decay": 1e-4}, keras={"decay": 0.004} | KERAS)
@dataclass(frozen=True)
class AdamW(Like, Rule):
    """Adam with decoupled weight decay, θ ← (1 − lr·decay)·θ before Adam's step.

    Loshchilov & Hutter, 2019.

    Parameters
    ----------
    lr, beta1, beta2, eps, eps_mode : as `Adam`'s
    decay : float ≥ 0
    decay_mode : "lr" or "independent"
        Decay by lr·decay a step, as every library does, or by ηₜ·decay, as the paper does: ηₜ is
        the schedule's factor alone, so that decay need not be tuned anew for another lr.
    like : "torch", "optax" or "keras", optional

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
    eps_mode: str = "outside"
    decay_mode: str = "lr"

    moments = ("m", "v")
    scale = "unit"

    def __post_init__(self) -> None:
        require_adam(self)
        require_not_negative(self, "decay")
        require_one_of(self, "decay_mode", ["lr", "independent"])

    @computed
    def rule(self) -> str | None:
        """The compiled epochs know the plain form."""
        return "adamw" if (self.eps_mode, self.decay_mode) == ("outside", "lr") else None

    def constants(self) -> tuple[float, ...]:
        """β₁, β₂, eps, decay."""
        return (self.beta1, self.beta2, self.eps, self.decay)

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """As Adam, with θ ← kept·θ − …"""
        c1, root_c2 = corrections(self, state["t"].item())
        kept = 1 - (lr if self.decay_mode == "lr" else lr / self.lr) * self.decay
        return "adam", (lr * root_c2 / c1, *running(self), *sides(self, root_c2), kept)

    def without_decay(self) -> "AdamW":
        """The same with decay 0."""
        return replace(self, decay=0.0)

    def reach(self, state: State, lr: float) -> Array:
        """lr/(√v̂ + eps)."""
        return reach(self, state, lr)
