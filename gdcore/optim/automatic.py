"""Step lengths found on the way, without line search: Polyak, DoWG, Prodigy."""

import math
from dataclasses import dataclass

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, State
from gdcore.errors import require
from gdcore.optim.base import (
    Optimizer,
    Shapes,
    require_finite,
    require_flag,
    require_fraction,
    require_not_negative,
    require_positive,
    require_rate,
)


@dataclass(frozen=True)
class Polyak(Optimizer):
    """SGD by the step that would reach the minimum if J were linear (Polyak, 1987).

    θ ← θ − lr·min((J(θ) − minimum)/‖g‖², max_step)·g, as optax's polyak_sgd. On mini-batches of a
    model that can fit all examples, minimum = 0 is the stochastic Polyak step (Loizou et al.,
    2021). A minimum that is set too low keeps it from settling.

    Parameters
    ----------
    lr : float > 0
        Multiplies the step.
    minimum : float
        J at its minimum, or a lower bound.
    max_step : float > 0, or None for no bound

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([4.0]), gd.optim.Polyak()
    >>> rule.step(theta, theta.copy(), rule.init(theta), rule.lr, cost=0.5 * 4.0**2)
    >>> theta
    array([2.])
    """

    lr: float = 1.0
    minimum: float = 0.0
    max_step: float | None = None

    needs_cost = True
    scale = "itself"

    def __post_init__(self) -> None:
        require_rate(self)
        require_finite(self, "minimum")
        if self.max_step is not None:
            require_positive(self, "max_step")

    def init(self, theta: Array, shapes: Shapes = None) -> State:
        """The last step's length."""
        return super().init(theta, shapes) | {"step": np.zeros(1)}

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """θ ← θ − lr·min((cost − minimum)/‖g‖², max_step)·g."""
        if cost is None or math.isnan(cost):
            raise ValueError(
                f"Polyak needs the cost of θ at each step, got {cost}. Pass step(…, cost=J)."
            )
        require(
            cost >= self.minimum,
            f"Polyak needs minimum ≤ J, got J = {cost:.6g} below {self.minimum:.6g}. Pass a lower "
            "minimum.",
        )
        state["t"] += 1
        square = kernels.dot(g, g)
        gap = cost - self.minimum
        length = gap / square if square > 0 else 0.0
        if self.max_step is not None:
            length = min(length, self.max_step)
        state["step"][0] = lr * length
        kernels.update("sgd", theta, g, (), (lr * length,))

    def reach(self, state: State, lr: float) -> float:
        """The length of the step taken."""
        return float(state["step"][0])


@dataclass(frozen=True)
class DoWG(Optimizer):
    """Distance over weighted gradients: a rate from how far θ has come (Khaled et al., 2023).

    r ← max(r, ‖θ − θ₀‖²), v ← v + r‖g‖², θ ← θ − lr·r/(√v + eps)·g; lr = 1 is the paper's.

    Parameters
    ----------
    lr : float > 0
    eps : float > 0
        r at first, and what keeps the division safe, as in optax.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([4.0]), gd.optim.DoWG()
    >>> state = rule.init(theta)
    >>> for _ in range(300):
    ...     rule.step(theta, theta.copy(), state, rule.lr)
    >>> bool(abs(theta[0]) < 0.1)
    True
    """

    lr: float = 1.0
    eps: float = 1e-4

    moments = ("from",)
    scale = "itself"

    def __post_init__(self) -> None:
        require_rate(self)
        require_positive(self, "eps")

    def init(self, theta: Array, shapes: Shapes = None) -> State:
        """θ₀, r = eps, v = 0."""
        state = {"from": theta.copy(), "r": np.full(1, float(self.eps)), "v": np.zeros(1)}
        return state | {"t": np.zeros(1, np.int64), "step": np.zeros(1)}

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """One step; v and r are sums over all coordinates."""
        state["t"] += 1
        r, v = state["r"], state["v"]
        r[0] = max(r[0], kernels.norm(theta - state["from"]) ** 2)
        v[0] += r[0] * kernels.dot(g, g)
        length = lr * float(r[0]) / (math.sqrt(v[0]) + self.eps)
        state["step"][0] = length
        kernels.update("sgd", theta, g, (), (length,))

    def reach(self, state: State, lr: float) -> float:
        """The length of the step taken."""
        return float(state["step"][0])


@dataclass(frozen=True)
class Prodigy(Optimizer):
    """Adam that estimates the distance to the solution, and its rate from that.

    Mishchenko & Defazio, 2024.
    With d the estimate: m ← β₁m + d(1 − β₁)g, v ← β₂v + d²(1 − β₂)g², s and its product with θ₀ − θ
    by β₃ = √β₂, d ← max(d, d_coef·numerator/‖s‖₁), θ ← (1 − decay·dlr)·θ − dlr·m/(√v + d·eps),
    dlr = d·lr. Leave lr at 1; a schedule multiplies it.

    Parameters
    ----------
    lr : float > 0
    beta1, beta2 : float in [0, 1)
    eps : float > 0
    decay : float ≥ 0, decoupled
    d0 : float > 0
        The first estimate: too small costs a few steps, too large may diverge.
    d_coef : float > 0
    bias_correction, safeguard_warmup : bool
        As in the authors' code.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.array([4.0, -2.0]), gd.optim.Prodigy()
    >>> state = rule.init(theta)
    >>> for t in range(500):
    ...     rule.step(theta, theta.copy(), state, rule.lr * (1 - t / 500))
    >>> bool(abs(theta).max() < 0.01)
    True
    """

    lr: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    decay: float = 0.0
    d0: float = 1e-6
    d_coef: float = 1.0
    bias_correction: bool = False
    safeguard_warmup: bool = False

    moments = ("m", "v", "s", "from")
    proximal = False
    scale = "itself"

    def __post_init__(self) -> None:
        require_rate(self)
        require_fraction(self, "beta1", "beta2")
        require_positive(self, "eps", "d0", "d_coef")
        require_not_negative(self, "decay")
        require_flag(self, "bias_correction", "safeguard_warmup")

    def init(self, theta: Array, shapes: Shapes = None) -> State:
        """Moments, θ₀, d = d0, numerator 0."""
        state = {name: np.zeros_like(theta) for name in ("m", "v", "s")} | {"from": theta.copy()}
        first = {"d": np.full(1, float(self.d0)), "most": np.full(1, float(self.d0))}
        return state | first | {"numerator": np.zeros(1), "t": np.zeros(1, np.int64)}

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """The moments, the estimate from them, the step by it."""
        state["t"] += 1
        kind, t, d = theta.dtype.type, state["t"].item(), float(state["d"][0])
        rate = d * lr
        if self.bias_correction:
            rate *= math.sqrt(1 - self.beta2**t) / (1 - self.beta1**t)
        m, v = state["m"], state["v"]
        m *= kind(self.beta1)
        m += kind(d * (1 - self.beta1)) * g
        v *= kind(self.beta2)
        v += kind(d * d * (1 - self.beta2)) * g * g
        if not self._estimate(theta, g, state, rate):
            return
        root = np.sqrt(v)
        root += kind(float(state["d"][0]) * self.eps)
        theta *= kind(1 - self.decay * rate)
        theta -= kind(rate) * m / root

    def _estimate(self, theta: Array, g: Array, state: State, rate: float) -> bool:
        """Bring d up to date; False where there has been no gradient yet."""
        beta3, d = math.sqrt(self.beta2), float(state["d"][0])
        state["numerator"] *= beta3
        by = d / self.d0
        s = state["s"]
        s *= theta.dtype.type(beta3)
        s += theta.dtype.type(by * (d if self.safeguard_warmup else rate)) * g
        total = float(np.abs(s).sum(dtype=np.float64))
        if total == 0:
            return False
        state["numerator"] += by * rate * kernels.dot(g, state["from"] - theta)
        found = self.d_coef * float(state["numerator"][0]) / total
        if d == self.d0:
            d = max(d, found)
        state["most"][0] = max(state["most"][0], found)
        state["d"][0] = state["most"][0]
        return True
