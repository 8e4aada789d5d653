"""Rules that see θ's matrices as matrices: Adafactor (factored v), Muon (orthogonal steps)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, State
from gdcore.optim.adam import AdamW
from gdcore.optim.base import (
    Optimizer,
    Rule,
    Shapes,
    require_flag,
    require_fraction,
    require_not_negative,
    require_one_of,
    require_positive,
    require_rate,
    require_whole,
)
from gdcore.optim.conventions import Like, conventions


def encode(theta: Array, shapes: Shapes) -> Array:
    """Shapes as one int64 array: the number of axes, then the axes, of part after part."""
    shapes = [theta.shape] if shapes is None else shapes
    return np.array([n for shape in shapes for n in (len(shape), *shape)], np.int64)


def decode(code: Array) -> Iterator[tuple[int, ...]]:
    """The shapes again."""
    at, code = 0, code.tolist()
    while at < len(code):
        end = at + 1 + code[at]
        yield tuple(code[at + 1 : end])
        at = end


def parts(code: Array, *vectors: Array) -> Iterator[tuple[Array, ...]]:
    """Views of each vector in the parts' shapes."""
    at = 0
    for shape in decode(code):
        size = math.prod(shape)
        yield tuple(vector[at : at + size].reshape(shape) for vector in vectors)
        at += size


@dataclass(frozen=True)
class Adafactor(Optimizer):
    """Adam's scaling from a matrix's row and column means alone (Shazeer & Stern, 2018).

    β = 1 − t^beta2_decay; r, c: running means of g² along rows and columns, v = r·cᵀ/mean(r) (in
    full for vectors); u = g/√v, u ← u/max(1, RMS(u)/clip),
    θ ← θ − max(eps2, RMS(θ))·min(lr, 1/√t)·u. As in PyTorch: the last two axes are factored.
    State: rows + columns numbers a matrix.

    Parameters
    ----------
    lr : float > 0
        An upper bound of the relative step.
    beta2_decay : float < 0
    eps1 : float > 0 or None
        The smallest √v; None is the dtype's machine epsilon.
    eps2 : float > 0
        The smallest RMS(θ) that counts.
    clip : float > 0
    decay : float ≥ 0, decoupled

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> params = [np.ones((2, 3)), np.ones(3)]
    >>> updater = gd.optim.Adafactor(lr=0.1).bind(params)
    >>> updater.step([np.full((2, 3), 5.0), np.full(3, -5.0)])
    >>> params[0][0], params[1]
    (array([0.9, 0.9, 0.9]), array([1.1, 1.1, 1.1]))
    """

    lr: float = 0.01
    beta2_decay: float = -0.8
    eps1: float | None = None
    eps2: float = 1e-3
    clip: float = 1.0
    decay: float = 0.0

    proximal = False
    scale = "unit"

    def __post_init__(self) -> None:
        require_rate(self)
        require_positive(self, *("eps1",) * (self.eps1 is not None), "eps2", "clip")
        require_not_negative(self, "decay")
        if not isinstance(self.beta2_decay, (int, float)) or not -np.inf < self.beta2_decay < 0:
            raise ValueError(
                f"Adafactor needs beta2_decay to be a finite number < 0, got {self.beta2_decay!r}. "
                "Pass one, as -0.8."
            )

    def init(self, theta: Array, shapes: Shapes = None) -> State:
        """Zeros for rows, columns, and whole vectors."""
        code = encode(theta, shapes)
        matrices = [shape for shape in decode(code) if len(shape) > 1]
        rows = sum(math.prod(shape[:-1]) for shape in matrices)
        columns = sum(math.prod(shape[:-2]) * shape[-1] for shape in matrices)
        vectors = sum(math.prod(shape) for shape in decode(code) if len(shape) < 2)
        sizes = {"rows": rows, "columns": columns, "v": vectors}
        state = {name: np.zeros(size, theta.dtype) for name, size in sizes.items()}
        return state | {"shapes": code, "t": np.zeros(1, np.int64)}

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """One step on every part."""
        state["t"] += 1
        t, kind = state["t"].item(), theta.dtype.type
        gain = kind(t**self.beta2_decay)
        least = np.finfo(theta.dtype).eps if self.eps1 is None else self.eps1
        at = dict.fromkeys(("rows", "columns", "v"), 0)

        def take(name: str, shape: tuple[int, ...]) -> Array:
            start, at[name] = at[name], at[name] + math.prod(shape)
            return state[name][start : at[name]].reshape(shape)

        for x, slope in parts(state["shapes"], theta, g):
            length = max(self.eps2, _rms(x)) * min(lr, 1 / math.sqrt(t))
            x *= kind(1 - lr * self.decay)
            if x.ndim > 1:
                square = slope * slope
                r = take("rows", (*x.shape[:-1], 1))
                c = take("columns", (*x.shape[:-2], 1, x.shape[-1]))
                r += gain * (square.mean(axis=-1, keepdims=True) - r)
                c += gain * (square.mean(axis=-2, keepdims=True) - c)
                v = r * c / np.maximum(r.mean(axis=-2, keepdims=True), kind(least))
            else:
                v = take("v", x.shape)
                v += gain * (slope * slope - v)
            u = slope / np.sqrt(np.maximum(v, kind(least * least)))
            x -= kind(length / max(1.0, _rms(u) / self.clip)) * u


def _rms(x: Array) -> float:
    return math.sqrt(np.vdot(x, x).real / max(x.size, 1))


@conventions(
    torch={"lr": 0.001, "decay": 0.1, "eps_mode": "floor"},
    optax={"bias_correction": True, "adjust": "columns", "eps": 1e-8},
)
@dataclass(frozen=True)
class Muon(Like, Optimizer):
    """Momentum whose matrix steps are made orthogonal, all singular values near 1 (Jordan, 2024).

    m ← momentum·m + (1 − momentum)·g, u = (1 − momentum)·g + momentum·m (Nesterov), O ≈ UVᵀ of u by
    five Newton–Schulz iterations X ← aX + (bA + cA²)X, A = XXᵀ; θ ← (1 − lr·decay)·θ − lr·κ·O. In
    θ's own precision, not in bfloat16. More than two axes are taken as (first, all others); parts
    that are no matrices go by `rest`.

    Parameters
    ----------
    lr : float > 0
    momentum : float in [0, 1)
    decay : float ≥ 0
    nesterov : bool
    iterations : int ≥ 1
    eps : float > 0
    eps_mode : "outside" or "floor"
        u is divided by ‖u‖ + eps, as in the original and optax, or by max(‖u‖, eps), as in PyTorch.
    adjust : "rows", "columns", "rms" or "none"
        κ = √max(1, rows/columns), as PyTorch; √max(1, columns/rows), as optax, whose matrices are
        transposed; 0.2·√max(rows, columns), which gives AdamW's step size; 1.
    bias_correction : bool
        Correct m and g for the start at zero before they are mixed, as optax.
    rest : a Rule
        For vectors and scalars.
    like : "torch" or "optax", optional

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> params = {"W": np.zeros((2, 2)), "b": np.zeros(2)}
    >>> updater = gd.optim.Muon(lr=0.1, decay=0.0).bind(params)
    >>> updater.step({"W": np.diag([5.0, 1.0]), "b": np.ones(2)})
    >>> (abs(params["W"]) > 0.05).tolist()  # both directions move alike, though g's sizes differ
    [[True, False], [False, True]]
    """

    lr: float = 0.02
    momentum: float = 0.95
    decay: float = 0.0
    nesterov: bool = True
    iterations: int = 5
    eps: float = 1e-7
    adjust: str = "rows"
    bias_correction: bool = False
    rest: Rule = field(default=AdamW(0.001))
    eps_mode: str = "outside"

    proximal = False
    scale = "unit"

    def __post_init__(self) -> None:
        require_rate(self)
        require_fraction(self, "momentum")
        require_not_negative(self, "decay")
        require_positive(self, "eps")
        require_whole(self, "iterations", 1)
        require_flag(self, "nesterov", "bias_correction")
        require_one_of(self, "adjust", ["rows", "columns", "rms", "none"])
        require_one_of(self, "eps_mode", ["outside", "floor"])
        if not isinstance(self.rest, Rule):
            raise ValueError(
                f"Muon needs rest to be a rule for vectors, got {self.rest!r}. Pass one, as "
                "gd.optim.AdamW(1e-3)."
            )

    def init(self, theta: Array, shapes: Shapes = None) -> State:
        """m over all of θ, and the state of `rest`, over all of θ too."""
        inner = {f"rest.{k}": v for k, v in self.rest.init(theta).items()}
        state = {"m": np.zeros_like(theta), "shapes": encode(theta, shapes)}
        return state | inner | {"t": np.zeros(1, np.int64)}

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """Matrices by orthogonal steps, what is left by `rest` at its own rate times lr/self.lr."""
        state["t"] += 1
        rest = [state[f"rest.{name}"] for name in self.rest.moments]
        counted = {k[5:]: v for k, v in state.items() if k.startswith("rest.")}
        small = lr / self.lr * self.rest.lr
        self.rest.advance(counted, small)
        name, c = self.rest.kernel(counted, small)
        views = parts(state["shapes"], theta, g, state["m"], *rest)
        for x, slope, m, *moments in views:
            if x.ndim < 2:
                flat = [moment.reshape(-1) for moment in moments]
                kernels.update(name, x, slope, flat, c)
            else:
                x, slope, m = (a.reshape(len(a), -1) for a in (x, slope, m))
                self._turn(x, slope, m, lr, state)

    def _turn(self, x: Array, g: Array, m: Array, lr: float, state: State) -> None:
        kind, mu, t = x.dtype.type, self.momentum, state["t"].item()
        m += kind(1 - mu) * (g - m)
        c, ahead = (1 - mu**t, 1 - mu ** (t + 1)) if self.bias_correction else (1.0, 1.0)
        u = kind((1 - mu) / c) * g + kind(mu / ahead) * m if self.nesterov else m / kind(c)
        x *= kind(1 - lr * self.decay)
        x -= kind(lr * self._kappa(*x.shape)) * self._orthogonal(u)

    def _orthogonal(self, u: Array) -> Array:
        return orthogonal(u, self.iterations, self.eps, floor=self.eps_mode == "floor")

    def _kappa(self, rows: int, columns: int) -> float:
        if self.adjust == "rows":
            return math.sqrt(max(1.0, rows / columns))
        if self.adjust == "columns":
            return math.sqrt(max(1.0, columns / rows))
        return 0.2 * math.sqrt(max(rows, columns)) if self.adjust == "rms" else 1.0


def orthogonal(G: Array, iterations: int = 5, eps: float = 1e-07, *, floor: bool = False) -> Array:
    """About UVᵀ of G = USVᵀ: a quintic Newton–Schulz iteration with the steepest start.

    Its fixed band is [0.7, 1.2], not 1: singular values need not be exact here (Jordan, 2024).

    Example
    -------
    >>> import numpy as np
    >>> from gdcore.optim.matrix import orthogonal
    >>> S = np.linalg.svd(orthogonal(np.diag([3.0, 2.0, 1.0])), compute_uv=False)
    >>> bool(0.6 < S.min() and S.max() < 1.3)
    True
    """
    kind = G.dtype.type
    a, b, c = kind(3.4445), kind(-4.7750), kind(2.0315)
    X: Array = G.T if len(G) > G.shape[1] else G
    norm = kind(np.linalg.norm(X))
    X = X / (max(norm, kind(eps)) if floor else norm + kind(eps))
    for _ in range(iterations):
        A = X @ X.T
        X = a * X + (b * A + c * (A @ A)) @ X
    return X.T if len(G) > G.shape[1] else X
