"""The limited-memory quasi-Newton rule: L-BFGS."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, State
from gdcore.optim.base import Optimizer, Shapes, require_rate, require_whole

CAUTION = 1e-10  # a pair whose sᵀy is a smaller part of ‖s‖‖y‖ says nothing about curvature


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """Step along −H·g, H an inverse Hessian from the last `memory` steps (Nocedal, 1980).

    For deterministic, smooth costs on full batches: there the loop looks along the direction for a
    step that fulfils the strong Wolfe conditions, and lr is not used after the first step. On its
    own, `step` takes lr·(−H·g) as it is, the first one min(1, 1/‖g‖₁)·lr·g.

    Parameters
    ----------
    lr : float > 0
    memory : int ≥ 1
        Pairs (s, y) of steps and gradient changes: 2·memory vectors of θ's length.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> result = gd.minimize(lambda x: (x @ x, 2 * x), np.ones(3), method=gd.optim.LBFGS(memory=5))
    >>> result.status.name, result.nit
    ('GRADIENT', 2)
    """

    lr: float = 1.0
    memory: int = 10

    searches = True
    proximal = False
    scale = "itself"
    full_batch = True

    def __post_init__(self) -> None:
        require_rate(self)
        require_whole(self, "memory", 1)

    def init(self, theta: Array, shapes: Shapes = None) -> State:
        """No pairs yet; "x" and "g" are the last point and its gradient, once there is one."""
        room = (self.memory + 1, len(theta))  # a pair is looked at in the row between
        pairs = {"S": np.zeros(room, like=theta), "Y": np.zeros(room, like=theta)}
        state = pairs | {"rho": np.zeros(self.memory + 1)}
        state |= {name: np.zeros(len(theta), like=theta) for name in ("x", "g")}
        return state | {"pairs": np.zeros(1, np.int64), "t": np.zeros(1, np.int64)}

    def remember(
        self, x: Array, before: Array, state: State, *, slopes: tuple[Array, Array]
    ) -> float:
        """Keep the pair of two points, unless its curvature is not positive; returns the distance.

        `slopes` are the gradients at both. Changes state.
        """
        pairs, rho = state["pairs"].item(), state["rho"]
        row = pairs % (self.memory + 1)
        far = kernels.curvature_pair(x, before, *slopes, state["S"], state["Y"], rho, row, CAUTION)
        if rho.item(row):
            state["pairs"][0] = pairs + 1
        return far

    def search(
        self,
        evaluate: Callable[[Array, Array], float],
        start: tuple[Array, Array, float],
        state: State,
        x_new: Array,
        g_new: Array,
    ) -> tuple[float, float, int]:
        """(f, distance, trials): a step by strong Wolfe conditions, written into x_new and g_new.

        `start` is (x, g, f) and evaluate(x, g) → f; f is NaN where no trial was lower. Changes
        state.
        """
        f, far, pairs, trials = kernels.wolfe_step(
            evaluate, *start, state["S"], state["Y"], state["rho"], state["pairs"].item(),
            CAUTION, x_new, g_new,
        )  # fmt: skip
        state["pairs"][0] = pairs
        state["t"][0] = state["t"].item() + 1
        return f, far, trials

    def direction(self, g: Array, state: State) -> tuple[Array, float]:
        """(−H·g by the two-loop recursion, −g without pairs; its product with g)."""
        pairs, d = state["pairs"].item(), np.empty(len(g), like=g)
        newest, count = (pairs - 1) % (self.memory + 1), min(pairs, self.memory)
        slope = kernels.two_loop(g, state["S"], state["Y"], state["rho"], newest, count, d)
        return d, slope

    def aim(self, cost: Any, theta: Array, g: Array, state: State) -> tuple[Array, float, float]:
        """(direction, its product with g, the first step to try) for a search along margins."""
        d, slope = self.direction(g, state)
        if state["pairs"].item():
            return d, slope, 1.0
        return d, slope, 1 / max(1.0, kernels.norm(g))

    def learn(
        self,
        cost: Any,
        start: tuple[Array, Array, Any],
        room: tuple[Array, Array],
        moved: Any,
        state: State,
    ) -> float:
        """What a step from θ to the point in `room` teaches; returns its length. Changes state."""
        (theta, g, _), (x, slopes) = start, room
        state["t"][0] = state["t"].item() + 1
        return self.remember(x, theta, state, slopes=(slopes, g))

    def forget(self, state: State) -> bool:
        """Drop the pairs, which lead nowhere; False where there are none. Changes state."""
        had: bool = state["pairs"].item() > 0
        state["pairs"][0] = 0
        return had

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """One step without a search."""
        x, last, t = state["x"], state["g"], state["t"].item()
        here, slope = (np.asarray(a, np.float64) for a in (theta, g))
        if t:
            self.remember(here, x, state, slopes=(slope, last))
        x[:], last[:] = here, slope
        state["t"][0] = t + 1
        d, _ = self.direction(slope, state)
        if not state["pairs"].item():
            lr *= min(1.0, 1 / max(float(np.abs(g).sum()), 1e-300))
        theta += lr * d.astype(theta.dtype)
