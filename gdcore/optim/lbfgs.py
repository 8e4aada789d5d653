"""The limited-memory quasi-Newton rule: L-BFGS."""

from dataclasses import dataclass

import numpy as np

from gdcore import kernels
from gdcore.optim.base import Optimizer, require_rate, require_whole

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

    def __post_init__(self):
        require_rate(self)
        require_whole(self, "memory", 1)

    def init(self, theta, shapes=None):
        """No pairs yet; "x" and "g" are the last point and its gradient, once there is one."""
        room = (self.memory, len(theta))
        return {
            "S": np.zeros(room, theta.dtype),
            "Y": np.zeros(room, theta.dtype),
            "rho": np.zeros(self.memory, theta.dtype),
            "x": np.zeros_like(theta),
            "g": np.zeros_like(theta),
            "pairs": np.zeros(1, np.int64),
            "t": np.zeros(1, np.int64),
        }

    def remember(self, s, y, state):
        """Keep a pair, unless its curvature is not positive. s and y are written over the oldest."""
        pairs = state["pairs"].item()
        row = pairs % self.memory
        product = kernels.dot(s, y)
        if not product > max(CAUTION * kernels.norm(s) * kernels.norm(y), self._least(s)):
            return
        state["S"][row] = s
        state["Y"][row] = y
        state["rho"][row] = 1 / product
        state["pairs"][0] = pairs + 1

    def _least(self, s):
        """Below this 1/sᵀy overflows."""
        return 4 / float(np.finfo(s.dtype).max)

    def direction(self, g, state):
        """−H·g, by the two-loop recursion; −g without pairs."""
        pairs, d = state["pairs"].item(), np.empty_like(g)
        count = min(pairs, self.memory)
        kernels.two_loop(
            g, state["S"], state["Y"], state["rho"], (pairs - 1) % self.memory, count, d
        )
        return d

    def step(self, theta, g, state, lr, cost=None):
        """One step without a search."""
        x, last = state["x"], state["g"]
        t = state["t"].item()
        if t:
            self.remember(theta - x, g - last, state)
        x[:], last[:] = theta, g
        state["t"][0] = t + 1
        d = self.direction(g, state)
        if not state["pairs"].item():
            lr *= min(1.0, 1 / max(float(np.abs(g).sum()), 1e-300))
        theta += theta.dtype.type(lr) * d
