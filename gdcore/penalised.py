"""What costs of linear models share, whose rows are here or elsewhere: a penalty, rates."""

import math
from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Self

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, Generator
from gdcore.continuation import Continuation
from gdcore.data import visiting_order
from gdcore.penalties import Penalty
from gdcore.threads import Threads


class Penalised(ABC):
    """A mean loss over rows and a penalty; subclasses say where the rows are."""

    model: Any
    rows: Any
    penalty: Penalty
    threads: Threads
    left: Continuation
    margins: Any
    resumable = False  # whether a descent is to leave a `Continuation` in `left`

    @abstractmethod
    def value_and_gradient(self, theta: Array, g: Array) -> float:
        """J(θ); its gradient, without the |θ| term's, is written into g."""

    @abstractmethod
    def curvature(self) -> float:
        """An upper estimate of the smoothness constant L."""

    @property
    @abstractmethod
    def lengths(self) -> tuple[float, float]:
        """(mean, largest) squared length of a row as the descent sees it, its 1 included."""

    def __enter__(self) -> Self:
        self.threads.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.threads.__exit__(*error)

    def __len__(self) -> int:
        return len(self.rows)

    def steepest(self, theta: Array, g: Array) -> Array:
        """The shortest subgradient of J at θ, given g from `value_and_gradient`."""
        return self.penalty.steepest(theta, g)

    def prox(self, theta: Array, reach: float | Array) -> None:
        """The proximal step of the |θ| term."""
        self.penalty.prox(theta, reach)

    def norm(self, theta: Array, g: Array) -> float:
        """What the rules call ‖∇J‖: the length of the shortest subgradient."""
        return kernels.norm(self.steepest(theta, g))

    def free(self, theta: Array, g: Array) -> None:
        """The coordinates that no bound holds, as a mask; None: there are no bounds."""
        return None

    def baseline(self, theta: Array, value: float) -> float:
        """A cost that no descent has business far above: the larger of J(θ) and J(0)."""
        if not theta.any():
            return value
        nothing = np.zeros_like(theta)
        return max(value, self.value_and_gradient(nothing, np.empty_like(theta)))

    @property
    def bounded(self) -> bool:
        """Whether the loss's curvature has a bound, so that 1/L never overshoots."""
        return math.isfinite(getattr(self.model.loss, "curvature", math.inf))

    @cached_property
    def bend(self) -> float:
        """The loss's curvature, or a typical one where it has no bound."""
        loss = self.model.loss
        bound = getattr(loss, "curvature", math.inf)
        if math.isfinite(bound):
            return float(bound)
        typical = getattr(loss, "typical_curvature", None)
        return 1.0 if typical is None else typical(self.rows.y, self.rows.weights)

    def leave(self, run: Any) -> None:
        """Told when a descent has ended, before θ is chosen: keep what more may go on from."""
        if self.resumable:
            self.left = Continuation(run)

    def memory(self) -> dict[str, Any]:
        """{name: number} of what the rest of a descent depends on: nothing but θ."""
        return {}

    def put_back(self, memory: dict[str, Any], theta: Array) -> None:
        """Told of a descent that goes on at θ: what is kept of it is computed anew."""
        if self.margins is not None:
            self.value_and_gradient(theta, np.empty_like(theta))

    def order(self, rng: Generator) -> Any:
        """Row numbers in the order in which an epoch visits them."""
        return visiting_order(len(self), rng)

    def about_curvature(self) -> float:
        """What `safe_rate` takes for L where it is one part of a sum."""
        return self.curvature()

    def safe_rate(self, batch_size: int) -> float:
        """A step length for plain SGD that does not diverge, 1/L for the batch's own smoothness.

        L_b = c·R²·(n − b)/(b(n − 1)) + L·n(b − 1)/(b(n − 1)) with c the loss's curvature: from one
        example to all of them (Gower et al., 2019). R² is the geometric mean of an example's mean
        and largest squared length: with the mean alone heavy tails throw the descent off, with the
        largest alone it crawls.
        """
        n, b = len(self.rows), min(batch_size, len(self.rows))
        if n == 1 or b == n:
            full = self.curvature()
            return 1 / full if full > 0 else 1.0
        full = self.about_curvature() if b > 1 else 0.0
        mean, most = self.lengths
        one = self.bend * math.sqrt(mean * most) + float(self.penalty.ridge.max())
        mixed = one * (n - b) / (b * (n - 1)) + full * n * (b - 1) / (b * (n - 1))
        return 1 / mixed if mixed > 0 else 1.0
