"""Steps scaled coordinate by coordinate by past squared gradients: AdaGrad, AdaDelta, RMSProp."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcore._typing import Array, State, computed
from gdcore.optim.base import (
    Rule,
    require_flag,
    require_fraction,
    require_not_negative,
    require_one_of,
    require_positive,
    require_rate,
)
from gdcore.optim.conventions import Like, conventions


def _sides(optimizer: Any) -> tuple[float, float]:
    """(inside, outside): where ε stands, √(v + inside) + outside."""
    inside = optimizer.eps_mode == "inside"
    return (optimizer.eps, 0.0) if inside else (0.0, optimizer.eps)


@conventions(
    torch={},
    optax={"eps": 1e-7, "eps_mode": "inside", "initial_accumulator": 0.1},
    keras={"lr": 0.001, "eps": 1e-7, "eps_mode": "inside", "initial_accumulator": 0.1},
)
@dataclass(frozen=True)
class AdaGrad(Like, Rule):
    """Step by g over the root of all its squares, v ← v + g², θ ← θ − lr·g/(√v + eps).

    Duchi, Hazan & Singer, 2011. Defaults as in PyTorch.

    Parameters
    ----------
    lr : float > 0
    eps : float > 0
    eps_mode : "outside" (√v + eps) or "inside" (√(v + eps))
    initial_accumulator : float ≥ 0
        v before the first step.
    lr_decay : float ≥ 0
        Step t takes lr/(1 + (t − 1)·lr_decay).
    like : "torch", "optax" or "keras", optional

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
    eps_mode: str = "outside"
    initial_accumulator: float = 0.0
    lr_decay: float = 0.0

    moments = ("v",)
    scale = "unit"

    def __post_init__(self) -> None:
        require_rate(self)
        require_positive(self, "eps")
        require_one_of(self, "eps_mode", ["outside", "inside"])
        require_not_negative(self, "initial_accumulator", "lr_decay")

    @computed
    def rule(self) -> str | None:
        """The compiled epochs know the plain form."""
        return "adagrad" if self.eps_mode == "outside" and not self.lr_decay else None

    def constants(self) -> tuple[float, ...]:
        """eps."""
        return (self.eps,)

    def start(self, moment: str) -> float:
        """initial_accumulator."""
        return self.initial_accumulator

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """v ← v + g², θ ← θ − rate·g/(√(v + inside) + outside)."""
        rate = lr / (1 + (state["t"].item() - 1) * self.lr_decay) if self.lr_decay else lr
        return "adagrad", (rate, *_sides(self))

    def reach(self, state: State, lr: float) -> Array:
        """lr/(√v + eps)."""
        _, (rate, inside, outside) = self.kernel(state, lr)
        return rate / (np.sqrt(state["v"] + inside) + outside)


@conventions(torch={}, optax={}, keras={"lr": 0.001, "decay": 0.95, "eps": 1e-7})
@dataclass(frozen=True)
class AdaDelta(Like, Rule):
    """Step by g times the root mean square of past steps over that of past gradients.

    v ← decay·v + (1 − decay)·g², s = √(d + eps)/√(v + eps)·g, d ← decay·d + (1 − decay)·s²,
    θ ← θ − lr·s (Zeiler, 2012); lr = 1 is the paper's.

    Parameters
    ----------
    lr : float > 0
    decay : float in [0, 1)
    eps : float > 0
        Where the first steps get their length from.
    like : "torch", "optax" or "keras", optional

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([1.0]), gd.optim.AdaDelta(decay=0.75, eps=1.0)
    >>> rule.step(theta, np.array([2.0]), rule.init(theta), rule.lr)
    >>> theta.round(6)
    array([-0.414214])
    """

    lr: float = 1.0
    decay: float = 0.9
    eps: float = 1e-6

    moments = ("v", "d")
    scale = "unit"
    automatic = 1.0

    def __post_init__(self) -> None:
        require_rate(self)
        require_fraction(self, "decay")
        require_positive(self, "eps")

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """Both running squares and the step."""
        return "adadelta", (lr, self.decay, 1 - self.decay, self.eps)

    def reach(self, state: State, lr: float) -> Array:
        """lr·√(d + eps)/√(v + eps)."""
        return lr * np.sqrt((state["d"] + self.eps) / (state["v"] + self.eps))


@conventions(
    torch={},
    optax={"decay": 0.9, "eps_mode": "inside", "lr_in_buffer": True},
    keras={"lr": 0.001, "decay": 0.9, "eps": 1e-7, "eps_mode": "inside", "lr_in_buffer": True},
)
@dataclass(frozen=True)
class RMSProp(Like, Rule):
    """Step by g over its running root mean square, v ← decay·v + (1 − decay)·g² (Hinton, 2012).

    θ ← θ − lr·g/(√v + eps). Defaults as in PyTorch.

    Parameters
    ----------
    lr : float > 0
    decay : float in [0, 1)
    eps : float > 0
    eps_mode : "outside" (√v + eps) or "inside" (√(v + eps))
    centered : bool
        Divide by the standard deviation √(v − m²) instead, m the running mean of g (Graves, 2013);
        never below zero under the root.
    momentum : float in [0, 1)
        b ← momentum·b + g/(√v + eps), θ ← θ − lr·b.
    lr_in_buffer : bool
        b ← momentum·b + lr·g/(√v + eps), θ ← θ − b, as in optax and Keras.
    initial_accumulator : float ≥ 0
        v before the first step; 1 in TensorFlow 1.
    bias_correction : bool
        Correct v (and m) for their start: divide by 1 − decayᵗ.
    like : "torch", "optax" or "keras", optional

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
    eps_mode: str = "outside"
    centered: bool = False
    momentum: float = 0.0
    lr_in_buffer: bool = False
    initial_accumulator: float = 0.0
    bias_correction: bool = False

    scale = "unit"

    def __post_init__(self) -> None:
        require_rate(self)
        require_fraction(self, "decay", "momentum")
        require_positive(self, "eps")
        require_one_of(self, "eps_mode", ["outside", "inside"])
        require_not_negative(self, "initial_accumulator")
        require_flag(self, "centered", "lr_in_buffer", "bias_correction")
        if self.centered and self.bias_correction:
            raise ValueError(
                "RMSProp needs centered or bias_correction, not both: their roots do not mix. "
                "Leave one out."
            )

    @computed
    def moments(self) -> tuple[str, ...]:
        """v, with m where it is centred and b where it has momentum."""
        return ("v",) + ("m",) * self.centered + ("b",) * (self.momentum > 0)

    @computed
    def rule(self) -> str | None:
        """The compiled epochs know the plain form."""
        plain = self.eps_mode == "outside" and not self.bias_correction
        return "rmsprop" if plain and self.moments == ("v",) else None

    def constants(self) -> tuple[float, ...]:
        """decay, eps."""
        return (self.decay, self.eps)

    def start(self, moment: str) -> float:
        """initial_accumulator for v."""
        return self.initial_accumulator if moment == "v" else 0.0

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """One of four loops: plain, centred, with momentum, both."""
        inside, outside = _sides(self)
        lift = 1.0
        if self.bias_correction:  # g/(√(v/c) + ε) = √c·g/(√v + √c·ε)
            c = 1 - self.decay ** state["t"].item()
            lift, inside, outside = math.sqrt(c), inside * c, outside * math.sqrt(c)
        running = (self.decay, 1 - self.decay, inside, outside)
        name = "rmsprop_centered" if self.centered else "rmsprop"
        if not self.momentum:
            return name, (lr * lift, *running)
        rate, push = (1.0, lr * lift) if self.lr_in_buffer else (lr, lift)
        return f"{name}_momentum", (rate, *running, self.momentum, push)

    def reach(self, state: State, lr: float) -> Array:
        """lr/(√v + eps), over 1 − momentum."""
        inside, outside = _sides(self)
        v = state["v"] - state["m"] ** 2 if self.centered else state["v"]
        if self.bias_correction:
            v = v / (1 - self.decay ** state["t"].item())
        return lr / (np.sqrt(np.maximum(v, 0) + inside) + outside) / (1 - self.momentum)
