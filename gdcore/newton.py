"""Newton's method on sums over examples: by a matrix for few columns, else by CG."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, State
from gdcore.errors import require
from gdcore.optim.base import Optimizer, require_rate

FEW = 400  # numbers in θ up to which H is taken apart into eigenvectors, which prove distances
MANY = 1025  # up to which H is formed: 1,024 columns and an intercept
AT_ONCE = 1 << 26  # products in one call of coordinate descent
SOLVED = 1e-3  # of ‖g‖: what a solution of H·d = −g may leave of it
FAR = 700.0  # exponents from where on e^x is no number: nothing is proven there
FORGIVEN = 0.25  # of ‖g‖: a Hessian that did not bring the gradient below that is formed anew
SETTLED, SWEEPS = 1e-3, 5000  # how small a coordinate's last move of the gradient, of ‖g‖; at most
MOST_PRODUCTS = 250  # of a step by conjugate gradients


@dataclass(frozen=True)
class Newton(Optimizer):
    """Step along −H⁻¹·g, H the matrix of second derivatives; for full batches of a linear model.

    Up to 1,025 numbers in θ, H is formed, and used again as long as it serves; beyond, H·d = −g is
    solved by conjugate gradients, which need products only, as far as the gradient is small
    (Nocedal & Wright, 2006, §7.1). Step lengths by strong Wolfe conditions on kept margins. With an
    |θ| term the step is the minimum of the quadratic with that term, and the first of 1, ½, … that
    lowers J enough is taken (Lee, Sun & Saunders, 2014).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X, y = np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 2
    >>> gd.LogisticRegression(optimizer="newton").fit(X, y).result_.nit < 6
    True
    """

    lr: float = 1.0

    searches = True
    proximal = True
    scale = "itself"
    full_batch = True

    def __post_init__(self) -> None:
        require_rate(self)

    def init(self, theta: Array, shapes: object = None) -> State:
        """No Hessian yet: itself or its eigenvectors, its eigenvalues, and how old it is."""
        size = len(theta)
        formed, few = size * (size <= MANY), size * (size <= FEW)
        state = {"V": np.zeros((formed, formed)), "values": np.zeros(few)}
        state["drift"] = np.full(1, math.inf)
        return state | {"first": np.zeros(1), "t": np.zeros(1, np.int64)}

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """Not without the cost's second derivatives."""
        raise TypeError("Newton needs second derivatives, which only descend on a Cost gives it.")

    def aim(self, cost: Any, theta: Array, g: Array, state: State) -> tuple[Array, float, float]:
        """(direction, its product with g, 1) for a search along margins."""
        size = kernels.norm(g)
        if not state["t"].item():
            state["first"][0] = size
        if len(theta) > MANY:
            tolerance = _forcing(size, state["first"].item())
            times, scale = cost.second(theta)
            d = conjugate_gradients(times, scale, g, tolerance)
        else:
            if not math.isfinite(state["drift"].item()):
                H = cost.hessian(theta)
                require(
                    np.isfinite(H).all(),
                    "The second derivatives leave the range of float64: the numbers of X or y are "
                    "too large. Scale them by a power of ten.",
                )
                if cost.penalty.smooth and len(theta) <= FEW:
                    state["values"][:], state["V"][:] = np.linalg.eigh(H)
                else:
                    state["V"][:] = H
                state["drift"][0] = 0
            d = self._solve(cost, theta, g, state)
        return d, kernels.dot(d, g), 1.0

    def _solve(self, cost: Any, theta: Array, g: Array, state: State) -> Array:
        """−H⁻¹g, on the eigenvectors whose values are above rounding where those are known; with an
        |θ| term the step that is the model's minimum, by coordinate descent."""
        values, V = state["values"], state["V"]
        if not cost.penalty.smooth:
            small = SETTLED * kernels.norm(cost.steepest(theta, g))
            return lasso_direction(V, g, theta, cost.penalty.lasso, small)
        if not len(values):
            return solved(V, g)
        kept = values > len(values) * np.finfo(float).eps * values[-1]
        d: Array = -(V[:, kept] / values[kept]) @ (V[:, kept].T @ g)
        return d

    def learn(
        self,
        cost: Any,
        start: tuple[Array, Array, float],
        room: tuple[Array, Array],
        moved: float,
        state: State,
    ) -> float:
        """Note how far margins have moved since H was formed. Changes state."""
        (theta, g, _), (x, slopes) = start, room
        state["t"][0] = state["t"].item() + 1
        slow = cost.norm(x, slopes) > FORGIVEN * cost.norm(theta, g)
        state["drift"][0] = math.inf if slow else state["drift"].item() + moved
        return kernels.norm(x - theta)

    def forget(self, state: State) -> bool:
        """Ask for a new Hessian; False where this one is new. Changes state."""
        old = len(state["V"]) > 0 and state["drift"].item() > 0
        state["drift"][0] = math.inf
        return old

    def bound(self, cost: Any, g: Array, state: State) -> float:
        """An upper bound of J − J* from the Newton decrement, infinite where it proves nothing.

        Where |ℓ‴| ≤ M·ℓ″, H at distance ‖u‖ is at least e^(−R‖u‖)·H with R = M·max‖x̃‖, and since
        the margins moved by m at least e^(−M·m) of what it was. So the minimum is nearer than
        ρ = 2ν·e^(½ + Mm)/√μ if Rρ ≤ ½, and J − J* ≤ ½ν²·e^(Mm + Rρ), with ν² = gᵀH⁻¹g and μ the
        least eigenvalue (after Bach, 2010).
        """
        if not cost.penalty.smooth:
            return math.inf
        M, drift = getattr(cost.model.loss, "concordance", None), state["drift"].item()
        if M is None or not len(state["values"]) or not math.isfinite(drift):
            return math.inf
        values, V = state["values"], state["V"]
        alive = values > len(values) * np.finfo(float).eps * values[-1]
        along = V.T @ g
        # What is bent no more than rounding may yet lead far down, but for what changes no margin.
        if not alive.any() or (~alive).sum() > _idle(cost):
            return math.inf
        nu = math.sqrt(float((along[alive] ** 2 / values[alive]).sum()))
        if M == 0:
            return 0.5 * nu * nu
        if M * drift > FAR:
            return math.inf
        rho = 2 * nu * math.exp(0.5 + M * drift) / math.sqrt(values[alive][0])
        reach = M * math.sqrt(cost.lengths[1]) * rho
        return 0.5 * nu * nu * math.exp(M * drift + reach) if reach <= 0.5 else math.inf


def _idle(cost: Any) -> int:
    """The number of directions in θ that change no margin that matters, whatever the rows: of
    columns that say nothing, and, of several classes, the same step of all that costs nothing."""
    model, ridge = cost.model, cost.penalty.ridge
    says = model.columns[1] != 0
    idle: int = model.outputs * int((~says).sum())
    if model.outputs > 1:
        idle += int((says[:-1] & (ridge[: model.features] == 0)).sum()) + int(says[-1])
    return idle


def lasso_direction(H: Array, g: Array, theta: Array, lasso: Array, small: float) -> Array:
    """The d of the least g·d + ½d·H·d + Σ lasso|θ + d|, to where no coordinate moves H by `small`.

    Some sweeps at a time, so that Ctrl-C is heard between them.
    """
    d, part, slope = np.zeros_like(g), np.empty_like(g), g
    at_once = min(SWEEPS, max(1, AT_ONCE // H.size))
    for _ in range(0, SWEEPS, at_once):
        taken = kernels.lasso_step(H, slope, theta + d, lasso, part, at_once, small)
        d += part
        if taken < at_once:
            break
        slope = g + H @ d
    return d


def solved(H: Array, g: Array) -> Array:
    """d with H·d = −g: directly, or by conjugate gradients where rounding leaves H no inverse."""
    try:
        d = -np.linalg.solve(H, g)
        if kernels.norm(H @ d + g) <= SOLVED * kernels.norm(g) and kernels.dot(d, g) < 0:
            return d
    except np.linalg.LinAlgError:
        pass  # collinear columns and no penalty
    scale = np.diag(H)
    return conjugate_gradients(H.dot, np.where(scale > 0, scale, 1), g, SOLVED)


def _forcing(size: float, first: float) -> float:
    """How small the rest of H·d = −g must be, relative to ‖g‖: smaller as the gradient falls."""
    return min(0.3, math.sqrt(size / first)) if first > 0 else 0.3


def conjugate_gradients(
    product: Callable[[Array], Array], scale: Any, g: Array, tolerance: float
) -> Array:
    """d with ‖H·d + g‖ ≤ tolerance·‖g‖, preconditioned by `scale`; a descent direction."""
    d, rest = np.zeros_like(g), -g
    small = tolerance * kernels.norm(g)
    z = rest / scale
    p, rz = z.copy(), kernels.dot(rest, z)
    for _ in range(min(MOST_PRODUCTS, 2 * len(g))):
        Hp = product(p)
        bend = kernels.dot(p, Hp)
        if not bend > 0:
            break
        step = rz / bend
        d += step * p
        rest -= step * Hp
        if kernels.norm(rest) <= small:
            break
        z = rest / scale
        rz, before = kernels.dot(rest, z), rz
        p = z + (rz / before) * p
    return d if d.any() else -g
