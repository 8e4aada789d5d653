"""Steps along the gradient or a running sum of it: SGD, Momentum, Nesterov."""

from dataclasses import dataclass

from gdcore._typing import State, computed
from gdcore.optim.base import Rule, require_flag, require_fraction, require_rate
from gdcore.optim.conventions import Like, conventions


@dataclass(frozen=True)
class SGD(Rule):
    """Step against the gradient, θ ← θ − lr·g (Cauchy, 1847; Robbins & Monro, 1951).

    Parameters
    ----------
    lr : float > 0
        Step length; on a smooth cost of curvature L, full-batch descent is stable below 2/L.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, sgd = np.array([1.0]), gd.optim.SGD(lr=0.5)
    >>> sgd.step(theta, np.array([1.0]), sgd.init(theta), sgd.lr)
    >>> theta
    array([0.5])
    """

    lr: float = 0.01

    rule = "sgd"

    def __post_init__(self) -> None:
        require_rate(self)

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """θ ← θ − lr·g."""
        return "sgd", (lr,)


@conventions(torch={}, optax={}, keras={"lr_in_buffer": True}, sklearn={"lr_in_buffer": True})
@dataclass(frozen=True)
class Momentum(Like, Rule):
    """Step along a running sum of gradients, b ← momentum·b + g, θ ← θ − lr·b (Polyak, 1964).

    Parameters
    ----------
    lr : float > 0
    momentum : float in [0, 1)
    dampening : float in [0, 1)
        b ← momentum·b + (1 − dampening)·g, from the second step on, as in PyTorch.
    lr_in_buffer : bool
        b ← momentum·b + lr·g, θ ← θ − b, as in Keras and scikit-learn: a change of the rate then
        does not reach what is already in the sum.
    like : "torch", "optax", "keras" or "sklearn", optional
        The library whose conventions to take.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([1.0]), gd.optim.Momentum(lr=0.1, momentum=0.5)
    >>> state = rule.init(theta)
    >>> for _ in range(2):
    ...     rule.step(theta, np.array([1.0]), state, rule.lr)
    >>> theta
    array([0.75])
    """

    lr: float = 0.01
    momentum: float = 0.9
    dampening: float = 0.0
    lr_in_buffer: bool = False

    moments = ("b",)

    def __post_init__(self) -> None:
        require_rate(self)
        require_fraction(self, "momentum", "dampening")
        require_flag(self, "lr_in_buffer")

    @computed
    def rule(self) -> str | None:
        """The compiled epochs know the plain form."""
        return None if self.dampening or self.lr_in_buffer else "momentum"

    def constants(self) -> tuple[float, ...]:
        """momentum."""
        return (self.momentum,)

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """b ← momentum·b + gain·g, θ ← θ − rate·b."""
        gain = 1.0 if state["t"].item() == 1 else 1.0 - self.dampening
        if self.lr_in_buffer:
            return "momentum", (1.0, self.momentum, lr * gain)
        return "momentum", (lr, self.momentum, gain)

    def reach(self, state: State, lr: float) -> float:
        """lr·(1 − dampening)/(1 − momentum): a steady gradient adds up to that."""
        return lr * (1 - self.dampening) / (1 - self.momentum)


@conventions(torch={}, optax={}, keras={"lr_in_buffer": True}, sklearn={"lr_in_buffer": True})
@dataclass(frozen=True)
class Nesterov(Like, Rule):
    """Momentum that looks ahead, b ← momentum·b + g, θ ← θ − lr·(g + momentum·b) (Sutskever, 2013).

    Parameters
    ----------
    lr : float > 0
    momentum : float in [0, 1)
    lr_in_buffer : bool
        b ← momentum·b + lr·g, θ ← θ − (lr·g + momentum·b), as in Keras and scikit-learn.
    like : "torch", "optax", "keras" or "sklearn", optional

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([1.0]), gd.optim.Nesterov(lr=0.1, momentum=0.5)
    >>> rule.step(theta, np.array([1.0]), rule.init(theta), rule.lr)
    >>> theta
    array([0.85])
    """

    lr: float = 0.01
    momentum: float = 0.9
    lr_in_buffer: bool = False

    moments = ("b",)

    def __post_init__(self) -> None:
        require_rate(self)
        require_fraction(self, "momentum")
        require_flag(self, "lr_in_buffer")

    @computed
    def rule(self) -> str | None:
        """The compiled epochs know the plain form."""
        return None if self.lr_in_buffer else "nesterov"

    def constants(self) -> tuple[float, ...]:
        """momentum."""
        return (self.momentum,)

    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """b ← momentum·b + gain·g, θ ← θ − rate·(gain·g + momentum·b)."""
        rate, gain = (1.0, lr) if self.lr_in_buffer else (lr, 1.0)
        return "nesterov", (rate, self.momentum, gain)

    def reach(self, state: State, lr: float) -> float:
        """lr/(1 − momentum): a steady gradient adds up to that."""
        return lr / (1 - self.momentum)
