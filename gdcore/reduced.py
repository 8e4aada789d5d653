"""Variance-reduced steps on sums over examples, a row at a time: SAGA and SVRG."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcore._typing import Array, Generator, State
from gdcore.data import visiting_order
from gdcore.optim.base import Optimizer, require_rate, require_whole

MOST = 64.0  # times the first step length, up and down
ROUNDING = 1e-13  # relative: J may rise by as much


class Reduced(Optimizer):
    """Passes of single-row steps whose noise vanishes at the minimum.

    θ ← prox(θ − η(s·(r − r₀)·x̃ + G)): r is the row's slope at θ, r₀ its slope where it was noted,
    G the mean gradient of the slopes noted. All are noted anew when J is measured after a pass.
    """

    visits = True
    scale = "itself"
    lr: float
    seed: int
    learns = False  # whether what is noted follows every visit

    def __post_init__(self) -> None:
        require_rate(self)
        require_whole(self, "seed", 0)

    def init(self, theta: Array, shapes: object = None) -> State:
        """Nothing is known of the rows yet: Lmax, the rate in its unit, and how well it did."""
        names = ("smoothness", "factor", "turn", "size", "speed", "value")
        start = (0.0, 1.0, 2.0, math.nan, math.nan, math.inf)
        state = {name: np.full(1, number) for name, number in zip(names, start, strict=True)}
        return state | {"from": theta.copy(), "t": np.zeros(1, np.int64)}

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """Not without the rows."""
        name = type(self).__name__
        raise TypeError(f"{name} needs the rows of a sum, which only descend on a Cost gives it.")

    def visit(
        self, cost: Any, theta: Array, g: Array, state: State, lr: float, value: float
    ) -> None:
        """A pass over the rows from θ, whose J and gradient are known. Changes theta and state."""
        visit: Any = getattr(getattr(cost, "model", None), "visit", None)
        if visit is None:
            self.step(theta, g, state, lr)
        if not state["smoothness"][0]:
            state["smoothness"][0] = cost.bend * cost.model.steepest_row(cost.rows, cost.penalty)
        if value > state["value"][0] * (1 + ROUNDING):
            self._return(cost, theta, g, state)
        else:
            self._adapt(cost.norm(theta, g), state)
            state["value"][0], state["from"][:] = value, theta
        rate = lr * state["factor"][0] / (3 * state["smoothness"][0])
        t = state["t"]
        t[0] = t.item() + 1
        rng = np.random.default_rng([self.seed, t.item()])
        visit(
            theta, cost.rows, cost.penalty, order=self.order(len(cost), rng),
            margins=np.concatenate(cost.margins_at(theta)), mean=g - cost.penalty.ridge * theta,
            rate=float(rate), learn=self.learns,
        )  # fmt: skip

    @abstractmethod
    def order(self, n: int, rng: Generator) -> Array:
        """The rows of a pass."""

    def _return(self, cost: Any, theta: Array, g: Array, state: State) -> None:
        """J rose: back to its lowest, at a quarter of the rate. Changes theta, g and state."""
        theta[:] = state["from"]
        cost.value_and_gradient(theta, g)
        state["factor"][0] = max(state["factor"][0] / 4, 1 / MOST)
        state["turn"][0], state["speed"][0], state["size"][0] = 0.5, math.nan, math.nan

    def _adapt(self, size: float, state: State) -> None:
        """Double or halve the rate, the other way round where ‖∇J‖ fell less than before."""
        before, state["size"][0] = state["size"][0], size
        if not size < math.inf or not before > 0 or size == 0:
            return
        speed, last = math.log(before / size), state["speed"][0]
        if speed < last:
            state["turn"][0] = 1 / state["turn"][0]
        state["speed"][0] = speed
        factor = state["factor"][0] * state["turn"][0]
        state["factor"][0] = min(max(factor, 1 / MOST), MOST)


@dataclass(frozen=True)
class SAGA(Reduced):
    """SAGA with proximal steps, for linear models: what is noted of a row follows every visit.

    θ ← prox(θ − η(s·(r − r₀)·x̃ + G)), then r₀ = r and G += s·(r − r₀)·x̃/n. Rows are drawn with
    replacement. η begins at lr/(3·Lmax), Lmax the largest sᵢ·|x̃ᵢ|²·ℓ″, and is doubled or halved
    after each pass as ‖∇J‖ says. Rows in CSR form cost what they hold (Defazio, Bach &
    Lacoste-Julien, 2014).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X, y = np.random.default_rng(0).normal(size=(500, 3)), np.arange(500) % 2
    >>> gd.LogisticRegression(optimizer="saga", alpha=0.1).fit(X, y).result_.status.name
    'CERTIFIED'
    """

    lr: float = 1.0
    seed: int = 0

    learns = True

    def order(self, n: int, rng: Generator) -> Array:
        """n rows of all, with replacement: what is noted of others in part would else be a bias."""
        return rng.integers(0, n, n)


@dataclass(frozen=True)
class SVRG(Reduced):
    """SVRG with proximal steps, for linear models: what is noted stays until J is measured again.

    θ ← prox(θ − η(s·(r − r₀)·x̃ + G)) over a permutation of the rows, r₀ and G of the point where
    the pass began, whose gradient the descent has measured anyway. η as for `SAGA` (Johnson &
    Zhang, 2013; Xiao & Zhang, 2014).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X, y = np.random.default_rng(0).normal(size=(500, 3)), np.arange(500) % 2
    >>> gd.LogisticRegression(optimizer="svrg", alpha=0.1).fit(X, y).result_.status.name
    'CERTIFIED'
    """

    lr: float = 1.0
    seed: int = 0

    def order(self, n: int, rng: Generator) -> Array:
        """Each row once, in random order."""
        return visiting_order(n, rng)


REDUCED = {"saga": SAGA, "svrg": SVRG}
