"""What is done to the gradient before a rule sees it; each acts in turn, on a copy."""

import math
from dataclasses import dataclass

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, State
from gdcore.optim.base import (
    Shapes,
    require_not_negative,
    require_one_of,
    require_positive,
    require_whole,
)
from gdcore.optim.matrix import encode, parts


class Transform:
    """A frozen dataclass with hooks before and after the rule's step; state in arrays.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> class Signs(gd.optim.Transform):  # of one's own
    ...     def before(self, theta, g, state, lr):
    ...         np.sign(g, out=g)
    ...         return True
    >>> params = np.zeros(2)
    >>> gd.optim.chain(Signs(), gd.optim.SGD(0.5)).bind(params).step(np.array([7.0, -0.1]))
    >>> params
    array([-0.5,  0.5])
    """

    def init(self, theta: Array, shapes: Shapes) -> State:
        """Fresh state for a flat θ."""
        return {}

    def before(self, theta: Array, g: Array, state: State, lr: float) -> bool:
        """Change g, or θ; False where this step is not to be taken."""
        return True

    def after(self, theta: Array, state: State) -> None:
        """Look at θ, or change it, after a step that was taken."""
        return None

    def average(self, theta: Array, state: State) -> Array:
        """The point to use instead of θ."""
        return theta


@dataclass(frozen=True)
class ClipNorm(Transform):
    """Scale g down to ‖g‖ = limit where it is longer (Pascanu et al., 2013); all of θ together.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.zeros(2), gd.optim.chain(gd.optim.ClipNorm(1.0), gd.optim.SGD(1.0))
    >>> rule.step(theta, np.array([30.0, 40.0]), rule.init(theta), rule.lr)
    >>> theta
    array([-0.6, -0.8])
    """

    limit: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self, "limit")

    def before(self, theta: Array, g: Array, state: State, lr: float) -> bool:
        """g ← g·min(1, limit/‖g‖)."""
        kernels.clip_norm(g, self.limit)
        return True


@dataclass(frozen=True)
class ClipValue(Transform):
    """Move every element of g into [−limit, limit].

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta, rule = np.zeros(2), gd.optim.chain(gd.optim.ClipValue(1.0), gd.optim.SGD(1.0))
    >>> rule.step(theta, np.array([30.0, -0.5]), rule.init(theta), rule.lr)
    >>> theta
    array([-1. ,  0.5])
    """

    limit: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self, "limit")

    def before(self, theta: Array, g: Array, state: State, lr: float) -> bool:
        """g ← min(max(g, −limit), limit)."""
        kernels.clip_value(g, self.limit)
        return True


@dataclass(frozen=True)
class AdaptiveClip(Transform):
    """Keep each unit's gradient below a part of its weights: ‖gᵢ‖ ≤ ratio·max(‖θᵢ‖, eps).

    A unit is a row of a matrix (its last axis), a whole vector otherwise (Brock et al., 2021,
    whose units are columns of matrices stored the other way round).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> rule = gd.optim.chain(gd.optim.AdaptiveClip(0.1), gd.optim.SGD(1.0))
    >>> theta = np.array([3.0, 4.0])  # ‖θ‖ = 5: no step is longer than ½
    >>> rule.step(theta, np.array([30.0, 40.0]), rule.init(theta), rule.lr)
    >>> theta
    array([2.7, 3.6])
    """

    ratio: float = 0.01
    eps: float = 1e-3

    def __post_init__(self) -> None:
        require_positive(self, "ratio", "eps")

    def init(self, theta: Array, shapes: Shapes) -> State:
        """The shapes of θ's parts."""
        return {"shapes": encode(theta, shapes)}

    def before(self, theta: Array, g: Array, state: State, lr: float) -> bool:
        """gᵢ ← gᵢ·min(1, ratio·max(‖θᵢ‖, eps)/‖gᵢ‖)."""
        for x, slope in parts(state["shapes"], theta, g):
            most = self.ratio * np.maximum(np.linalg.norm(np.atleast_1d(x), axis=-1), self.eps)
            size = np.linalg.norm(np.atleast_1d(slope), axis=-1)
            with np.errstate(divide="ignore", invalid="ignore"):
                by = np.where(size > most, most / size, 1.0).astype(g.dtype)
            slope *= by[..., None] if slope.ndim else by
        return True


@dataclass(frozen=True)
class Noise(Transform):
    """Add Gaussian noise of variance eta/(1 + t)^gamma (Neelakantan et al., 2015).

    Counter-based (Philox): step t of a seed has the same noise whenever it is taken, so that a
    resumed run is the same run.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> params, rule = np.zeros(3), gd.optim.chain(gd.optim.Noise(0.01, seed=1), gd.optim.SGD(0.1))
    >>> rule.bind(params).step(np.zeros(3))
    >>> bool((params != 0).all() and (abs(params) < 0.1).all())  # of deviation 0.1·√0.01
    True
    """

    eta: float = 0.01
    gamma: float = 0.55
    seed: int = 0

    def __post_init__(self) -> None:
        require_not_negative(self, "eta", "gamma")
        require_whole(self, "seed", 0)

    def init(self, theta: Array, shapes: Shapes) -> State:
        """Steps so far."""
        return {"t": np.zeros(1, np.int64)}

    def before(self, theta: Array, g: Array, state: State, lr: float) -> bool:
        """g ← g + √(eta/(1 + t)^gamma)·N(0, 1)."""
        t = state["t"].item()
        state["t"] += 1
        rng = np.random.Generator(np.random.Philox(key=[self.seed, t]))
        size = math.sqrt(self.eta / (1 + t) ** self.gamma)
        g += g.dtype.type(size) * rng.standard_normal(len(g), dtype=g.dtype)
        return True


@dataclass(frozen=True)
class Accumulate(Transform):
    """Average the gradients of `steps` calls and step once: a large batch in small memory.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> params, rule = np.zeros(1), gd.optim.chain(gd.optim.Accumulate(2), gd.optim.SGD(1.0))
    >>> updater = rule.bind(params)
    >>> updater.step(np.array([1.0]))
    >>> params  # waits for the second
    array([0.])
    >>> updater.step(np.array([3.0]))
    >>> params, updater.t
    (array([-2.]), 1)
    """

    steps: int = 4

    def __post_init__(self) -> None:
        require_whole(self, "steps", 1)

    def init(self, theta: Array, shapes: Shapes) -> State:
        """The sum, and how many are in it."""
        return {"sum": np.zeros_like(theta), "count": np.zeros(1, np.int64)}

    def before(self, theta: Array, g: Array, state: State, lr: float) -> bool:
        """g ← the mean, at every steps-th call."""
        state["sum"] += g
        state["count"] += 1
        if state["count"][0] < self.steps:
            return False
        np.multiply(state["sum"], g.dtype.type(1 / self.steps), out=g)
        state["sum"][:] = 0
        state["count"][:] = 0
        return True


@dataclass(frozen=True)
class SkipNonFinite(Transform):
    """Take no step on a gradient with NaN or infinity in it; state["skipped"] counts them.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> params, rule = np.ones(2), gd.optim.chain(gd.optim.SkipNonFinite(), gd.optim.SGD(1.0))
    >>> updater = rule.bind(params)
    >>> updater.step(np.array([np.nan, 1.0]))
    >>> params, updater.t
    (array([1., 1.]), 0)
    """

    def init(self, theta: Array, shapes: Shapes) -> State:
        """No step was skipped yet."""
        return {"skipped": np.zeros(1, np.int64)}

    def before(self, theta: Array, g: Array, state: State, lr: float) -> bool:
        """False where g is not finite."""
        if kernels.all_finite(g):
            return True
        state["skipped"] += 1
        return False


@dataclass(frozen=True)
class ZeroNonFinite(Transform):
    """Put zero for every element of g that is NaN or infinite.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> params, rule = np.ones(2), gd.optim.chain(gd.optim.ZeroNonFinite(), gd.optim.SGD(1.0))
    >>> rule.bind(params).step(np.array([np.nan, 1.0]))
    >>> params
    array([1., 0.])
    """

    def before(self, theta: Array, g: Array, state: State, lr: float) -> bool:
        """gᵢ ← 0 where it is not finite."""
        if not kernels.all_finite(g):
            np.nan_to_num(g, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return True


@dataclass(frozen=True)
class Decay(Transform):
    """Weight decay for any rule: "decoupled", θ ← (1 − lr·rate)·θ, or "coupled", g ← g + rate·θ.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> params, rule = np.ones(2), gd.optim.chain(gd.optim.Decay(0.1), gd.optim.SGD(0.5))
    >>> rule.bind(params).step(np.array([0.0, 1.0]))  # 1 − 0.5·0.1, then the step
    >>> params
    array([0.95, 0.45])
    """

    rate: float = 0.01
    mode: str = "decoupled"

    def __post_init__(self) -> None:
        require_not_negative(self, "rate")
        require_one_of(self, "mode", ["decoupled", "coupled"])

    def before(self, theta: Array, g: Array, state: State, lr: float) -> bool:
        """One of the two."""
        if self.mode == "coupled":
            g += g.dtype.type(self.rate) * theta
        else:
            theta *= theta.dtype.type(1 - lr * self.rate)
        return True
