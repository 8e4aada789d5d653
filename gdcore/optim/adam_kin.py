"""Adam's kin: NAdam (looks ahead), RAdam (rectified), AdaMax (the infinity norm), Lion (signs)."""

import math
from dataclasses import dataclass, replace

import numpy as np

from gdcore._typing import Array, State
from gdcore.optim.adam import corrections, reach, require_adam, running, sides
from gdcore.optim.base import (
    Rule,
    Shapes,
    require_flag,
    require_fraction,
    require_not_negative,
    require_one_of,
    require_positive,
    require_rate,
)
from gdcore.optim.conventions import Like, conventions


@conventions(
    torch={}, optax={"lr": 0.001, "psi": None}, keras={"lr": 0.001, "eps": 1e-7, "psi": 1.0}
)
@dataclass(frozen=True)
class NAdam(Like, Rule):
    """Adam whose mean looks one step ahead, as Nesterov's does (Dozat, 2016).

    θ ← θ − lr·(μₜ₊₁·m/(1 − μ₁…μₜ₊₁) + (1 − μₜ)·g/(1 − μ₁…μₜ))/(√v̂ + eps), with
    μₜ = β₁·(1 − ½·0.96^(t·psi)).

    Parameters
    ----------
    lr, beta1, beta2, eps, eps_mode : as `Adam`'s
    psi : float ≥ 0, or None
        How fast μ rises from β₁/2 to β₁: 0.004 in PyTorch, 1 in Keras; None is μ = β₁ throughout,
        as in optax.
    like : "torch", "optax" or "keras", optional

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([1.0]), gd.optim.NAdam(lr=0.1, psi=None)
    >>> rule.step(theta, np.array([2.0]), rule.init(theta), rule.lr)
    >>> theta.round(6)
    array([0.852632])
    """

    lr: float = 0.002
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    eps_mode: str = "outside"
    psi: float | None = 0.004

    moments = ("m", "v")
    scale = "unit"

    def __post_init__(self) -> None:
        require_adam(self)
        if self.psi is not None:
            require_not_negative(self, "psi")

    def init(self, theta: Array, shapes: Shapes = None) -> State:
        """Moments, and the product of all μ so far."""
        return super().init(theta, shapes) | {"product": np.ones(1)}

    def _mu(self, t: int) -> float:
        return (
            self.beta1 * (1 - 0.5 * 0.96 ** (t * self.psi)) if self.psi is not None else self.beta1
        )

    def advance(self, state: State, lr: float) -> None:
        """t and μ₁…μₜ."""
        super().advance(state, lr)
        state["product"][0] *= self._mu(state["t"].item())

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """As Adam, over rate·m + now·g."""
        t, product = state["t"].item(), state["product"].item()
        _, root_c2 = corrections(self, t)
        mu, ahead = self._mu(t), self._mu(t + 1)
        rate = lr * root_c2 * ahead / (1 - product * ahead)
        now = lr * root_c2 * (1 - mu) / (1 - product)
        return "nadam", (rate, now, *running(self), *sides(self, root_c2))

    def reach(self, state: State, lr: float) -> Array:
        """lr/(√v̂ + eps)."""
        return reach(self, state, lr)


@conventions(torch={}, optax={"eps_mode": "outside", "strict": False})
@dataclass(frozen=True)
class RAdam(Like, Rule):
    """Adam whose first steps are plain, while v has seen too little to divide by.

    Liu et al., 2020.
    ρ∞ = 2/(1 − β₂) − 1, ρₜ = ρ∞ − 2tβ₂ᵗ/(1 − β₂ᵗ); where ρₜ > threshold the step is Adam's times
    r = √((ρₜ − 4)(ρₜ − 2)ρ∞/((ρ∞ − 4)(ρ∞ − 2)ρₜ)), before that lr·m̂.

    Parameters
    ----------
    lr, beta1, beta2, eps, eps_mode : as `Adam`'s; eps_mode is "hat" in PyTorch, "outside" in optax
    threshold : float ≥ 4
    strict : bool
        ρₜ > threshold, as in PyTorch, or ≥, as in optax.
    like : "torch" or "optax", optional

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([1.0]), gd.optim.RAdam(lr=0.1)
    >>> rule.step(theta, np.array([2.0]), rule.init(theta), rule.lr)
    >>> theta.round(6)
    array([0.8])
    """

    lr: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    eps_mode: str = "hat"
    threshold: float = 5.0
    strict: bool = True

    moments = ("m", "v")
    scale = "unit"

    def __post_init__(self) -> None:
        require_adam(self)
        require_flag(self, "strict")
        require_positive(self, "threshold")
        if self.threshold < 4:
            raise ValueError(
                f"RAdam needs threshold ≥ 4, got {self.threshold}: below, the rectification is not "
                "a number. Pass one, as 5."
            )

    def _rectification(self, t: int) -> float | None:
        """r, or None while there is none."""
        most = 2 / (1 - self.beta2) - 1
        power = self.beta2**t
        rho = most - 2 * t * power / (1 - power)
        if rho < self.threshold or (self.strict and rho == self.threshold):
            return None
        return math.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """Adam's loop at a rectified rate, or the moments and lr·m̂ alone."""
        t = state["t"].item()
        c1, root_c2 = corrections(self, t)
        r = self._rectification(t)
        if r is None:
            return "moments", (lr / c1, *running(self))
        return "adam", (lr * r * root_c2 / c1, *running(self), *sides(self, root_c2), 1.0)

    def reach(self, state: State, lr: float) -> Array | float:
        """r·lr/(√v̂ + eps), or lr."""
        r = self._rectification(state["t"].item())
        return lr if r is None else reach(self, state, r * lr)


@conventions(torch={}, optax={}, keras={"lr": 0.001, "eps": 1e-7, "eps_mode": "outside"})
@dataclass(frozen=True)
class AdaMax(Like, Rule):
    """Adam with the largest recent gradient in the root's place (Kingma & Ba, 2015, §7.1).

    m ← β₁m + (1 − β₁)g, u ← max(β₂u, |g| + eps), θ ← θ − lr·m/((1 − β₁ᵗ)·u).

    Parameters
    ----------
    lr, beta1, beta2, eps : as `Adam`'s
    eps_mode : "inside" the maximum, as in PyTorch and optax, or "outside", u + eps, as in Keras
    like : "torch", "optax" or "keras", optional

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([1.0]), gd.optim.AdaMax(lr=0.1)
    >>> rule.step(theta, np.array([-2.0]), rule.init(theta), rule.lr)
    >>> theta.round(6)
    array([1.1])
    """

    lr: float = 0.002
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    eps_mode: str = "inside"

    moments = ("m", "u")
    scale = "unit"

    def __post_init__(self) -> None:
        require_rate(self)
        require_fraction(self, "beta1", "beta2")
        require_positive(self, "eps")
        require_one_of(self, "eps_mode", ["inside", "outside"])

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """u ← max(β₂u, |g| + inside), θ ← θ − rate·m/(u + outside)."""
        rate = lr / (1 - self.beta1 ** state["t"].item())
        eps = (self.eps, 0.0) if self.eps_mode == "inside" else (0.0, self.eps)
        return "adamax", (rate, self.beta1, 1 - self.beta1, self.beta2, *eps)

    def reach(self, state: State, lr: float) -> Array:
        """lr/u."""
        return lr / (state["u"] + (self.eps if self.eps_mode == "outside" else 0.0))


@conventions(google={}, optax={"decay": 1e-3}, keras={"lr": 0.001})
@dataclass(frozen=True)
class Lion(Like, Rule):
    """Step by the sign of an interpolated mean, found by program search (Chen et al., 2023).

    θ ← (1 − lr·decay)·θ − lr·sign(β₁m + (1 − β₁)g), then m ← β₂m + (1 − β₂)g: every coordinate
    moves by lr. One moment; wants lr 3–10 × smaller and decay as much larger than AdamW.

    Parameters
    ----------
    lr : float > 0
    beta1, beta2 : float in [0, 1)
    decay : float ≥ 0
    like : "google", "optax" or "keras", optional

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([1.0, 1.0]), gd.optim.Lion(lr=0.1)
    >>> rule.step(theta, np.array([1e3, -1e-3]), rule.init(theta), rule.lr)
    >>> theta.round(6)
    array([0.9, 1.1])
    """

    lr: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.99
    decay: float = 0.0

    moments = ("m",)
    scale = "unit"
    proximal = False

    def __post_init__(self) -> None:
        require_rate(self)
        require_fraction(self, "beta1", "beta2")
        require_not_negative(self, "decay")

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """The sign, the decay, then the mean."""
        return "lion", (lr, *running(self), 1 - lr * self.decay)

    def without_decay(self) -> "Lion":
        """The same with decay 0."""
        return replace(self, decay=0.0)
