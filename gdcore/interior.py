"""An interior-point method for losses with a corner: some twenty matrices, whatever the corner."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcore._typing import Array, State
from gdcore.losses import Hinge, Quantile
from gdcore.optim.base import Optimizer, require_rate
from gdcore.second_order import weighted_moments

SHORT = 0.995  # of the way to the next bound
BALANCED = 1e-15  # of n: Σ s·r that is zero but for rounding
LEAST = 1e-3  # of the size of h: how far from their bounds slacks begin


@dataclass(frozen=True)
class InteriorPoint(Optimizer):
    """Mehrotra's predictor-corrector steps for a hinge or quantile loss with an L2 penalty.

    Such a loss is max over 0 ≤ u ≤ 1 of (u − k)·h, h linear in the margin: h = 1 − tz and k = 0 for
    the hinge, h = y − z and k = 1 − q for the quantile. With slacks a, c ≥ 0, c − a = h, the
    minimum is where a·u = 0, c·(1 − u) = 0 and the gradient of Σ s·(u − k)·h/n + penalty is zero. A
    step solves these equations, linearised, with μ in place of 0, by one matrix of the size of θ;
    μ falls as fast as the steps allow. The slopes that u gives bound the minimum from below
    (Mehrotra, 1992; Ferris & Munson, 2002).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X, y = np.random.default_rng(0).normal(size=(500, 3)), np.arange(500) % 2
    >>> result = gd.LinearClassifier(alpha=0.1).fit(X, y).result_
    >>> type(result.optimizer).__name__, result.nit < 20, result.status.name
    ('InteriorPoint', True, 'CERTIFIED')
    """

    lr: float = 1.0

    visits = True
    scale = "itself"

    def __post_init__(self) -> None:
        require_rate(self)

    def init(self, theta: Array, shapes: object = None) -> State:
        """Nothing is known of the rows yet; the first step makes room for u, a and c of each."""
        names = ("u", "a", "c")
        state = {name: np.empty(0) for name in names}
        return state | {"floor": np.full(1, -math.inf), "t": np.zeros(1, np.int64)}

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """Not without the rows."""
        raise TypeError(
            "InteriorPoint needs the rows of a sum, which only descend on a Cost gives it."
        )

    def floor(self, state: State) -> float:
        """What J* is at least, as far as it is proven."""
        return float(state["floor"].item())

    def visit(
        self, cost: Any, theta: Array, g: Array, state: State, lr: float, value: float
    ) -> None:
        """A step from θ. Changes theta and state."""
        form = _Form(cost)
        state["t"][0] = state["t"].item() + 1
        h = form.h(form.margins(theta))
        if not len(state["u"]):
            state["u"] = np.full(len(h), 0.5)
            near = LEAST * float(np.abs(h).mean()) + np.finfo(float).tiny
            for name, slack in (("a", -h), ("c", h)):
                state[name] = np.maximum(slack, 0) + near
        with np.errstate(all="ignore"):
            moved = _step(form, theta, h, state)
            if moved is not None and np.isfinite(moved[0]).all():
                theta += lr * moved[0]
                for name, change in zip(("u", "a", "c"), moved[1:], strict=True):
                    state[name] = state[name] + lr * change
                found = form.floor(state["u"])
                state["floor"][0] = np.fmax(state["floor"][0], found)


class _Form:
    """A cost as Σ s·(u − k)·h/n + ½Σ ridge·θ², h = o − t·z."""

    def __init__(self, cost: Any) -> None:
        self.cost, loss, rows = cost, cost.model.loss, cost.rows
        self.s, self.n = rows.weights, len(cost)
        self.t: Array | float
        self.o: Array | float
        if isinstance(loss, Hinge):
            self.t, self.o, self.k = np.where(rows.y > 0.5, 1.0, -1.0), 1.0, 0.0
        elif isinstance(loss, Quantile):
            self.t, self.o, self.k = 1.0, rows.y, 1 - loss.q
        else:
            raise TypeError("InteriorPoint is for the hinge and quantile losses. Use 'newton'.")
        cuts = np.cumsum([len(shard) for shard in cost.shards])[:-1]
        self.split: Callable[[Array], list[Array]] = lambda array: np.split(array, cuts)

    def h(self, z: Array) -> Array:
        """h at margins z."""
        return self.o - self.t * z

    def margins(self, theta: Array) -> Array:
        """z of all rows."""
        return np.concatenate(self.cost.margins_at(theta))[:, 0]

    def sums(self, slopes: Array) -> Array:
        """Σ s·r·x̃/n."""
        sums: Array = self.cost.combine([part[:, None] for part in self.split(slopes)])
        return sums

    def matrix(self, bends: Array) -> Array:
        """Σ s·bend·x̃x̃ᵀ/n + the penalty's second derivatives."""
        H = weighted_moments(self.cost, self.split(self.s * bends)) / self.n
        diagonal = np.einsum("ii->i", H)
        diagonal += self.cost.penalty.ridge
        diagonal[diagonal == 0] = 1  # a column that says nothing
        return H

    def floor(self, u: Array) -> float:
        """The dual objective at the slopes of u, made feasible: at most J*, −∞ where it is none."""
        loss, cost = self.cost.model.loss, self.cost
        r = -self.t * (u - self.k)
        if cost.model.columns[1, -1] != 0:  # nothing penalises an intercept: Σ s·r must be zero
            up, down = self.s @ np.maximum(r, 0), self.s @ np.maximum(-r, 0)
            if abs(up - down) > BALANCED * self.n:
                share = min(up, down) / max(up, down)
                r = np.where((r > 0) == (up > down), share * r, r)
        g, ridge = self.sums(r)[:-1], cost.penalty.ridge[:-1]
        if g[ridge == 0].any():
            return -math.inf
        squares = np.divide(g * g, ridge, out=np.zeros_like(g), where=ridge > 0)
        lost = float(self.s @ loss.conjugate(r[:, None], cost.rows.y)) / self.n
        return -lost - float(squares.sum()) / 2


def _step(form: _Form, theta: Array, h: Array, state: State) -> tuple[Array, ...] | None:
    """(Δθ, Δu, Δa, Δc), all in one length that keeps the bounds; None where there is none."""
    u, a, c = state["u"], state["a"], state["c"]
    v, s, t = 1 - u, form.s, form.t
    rest = form.cost.penalty.ridge * theta + form.sums(-t * (u - form.k))
    off, bend = h + a - c, 1 / (a / u + c / v)
    mu = float(s @ (a * u + c * v)) / (2 * s.sum())
    try:
        solve = _solver(form.matrix(bend))
    except np.linalg.LinAlgError:
        return None

    def towards(aim: Any, extra_a: Any, extra_c: Any) -> tuple[Array, Array, Array, Array]:
        left, right = aim - a * u - extra_a, aim - c * v - extra_c
        pull = (off + left / u - right / v) * bend
        d_theta = solve(form.sums(t * pull) - rest)
        d_u = pull - t * form.margins(d_theta) * bend
        return d_theta, d_u, (left - a * d_u) / u, (right + c * d_u) / v

    _, d_u, d_a, d_c = towards(0.0, 0.0, 0.0)
    far = _reach((u, d_u), (v, -d_u), (a, d_a), (c, d_c))
    ahead = (a + far * d_a) * (u + far * d_u) + (c + far * d_c) * (v - far * d_u)
    aim = mu * (float(s @ ahead) / (2 * s.sum() * mu)) ** 3
    moved = towards(aim, d_a * d_u, -d_c * d_u)
    d_u, d_a, d_c = moved[1:]
    far = SHORT * _reach((u, d_u), (v, -d_u), (a, d_a), (c, d_c))
    return tuple(min(1.0, far) * each for each in moved)


def _reach(*pairs: tuple[Array, Array]) -> float:
    """The largest step, up to 1/SHORT, that leaves all of x + step·dx at least 0."""
    most = max(float((-dx / x).max()) for x, dx in pairs)
    return min(1 / SHORT, 1 / most) if most > 0 else 1 / SHORT


def _solver(H: Array) -> Callable[[Array], Array]:
    """b → H⁻¹·b."""
    try:
        inverse = np.linalg.inv(np.linalg.cholesky(H))
    except np.linalg.LinAlgError:  # by rounding: what H says nothing of stays as it is
        values, V = np.linalg.eigh(H)
        kept = values > len(H) * np.finfo(float).eps * values[-1]
        inverse = V[:, kept].T / np.sqrt(values[kept, None])
    return lambda b: inverse.T @ (inverse @ b)
