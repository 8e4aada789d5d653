"""A step length that falls where the cost no longer does."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.errors import require
from gdcore.schedules.base import Schedule, require_between, require_floor

STATE = {"value": np.float64, "best": np.float64, "waited": np.int64, "resting": np.int64}


@dataclass
class Plateau(Schedule):
    """Times `rate` whenever more than `patience` measured costs in a row were no better.

    Unlike other schedules it changes: `observe(cost)` after each measurement, for example each
    epoch, and the factor holds for every t from then on. Better is below best − threshold·|best|.

    Parameters
    ----------
    rate : float in (0, 1)
    patience : int ≥ 0
        Measurements that are waited for in vain.
    threshold : float ≥ 0
        How much better counts, relative to the best cost.
    cooldown : int ≥ 0
        Measurements after a fall that are not counted.
    floor : float in [0, 1]
        The factor falls no lower.

    Example
    -------
    >>> import gdcore as gd
    >>> rate = gd.schedules.Plateau(rate=0.5, patience=1)
    >>> for cost in (3.0, 2.0, 2.0, 2.0):
    ...     rate.observe(cost)
    >>> rate(4)
    0.5
    """

    rate: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    cooldown: int = 0
    floor: float = 0.0
    value: float = field(default=1.0, init=False, repr=False)
    best: float = field(default=math.inf, init=False, repr=False)
    waited: int = field(default=0, init=False, repr=False)
    resting: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        require_between(self, "rate", 0, 1, above=True, cure="Pass one, as 0.1.")
        require(self.rate < 1, f"Plateau needs rate < 1, got {self.rate}. Pass one, as 0.1.")
        require_between(self, "patience", 0, cure="Pass measurements to wait, as 10.")
        require_between(self, "threshold", 0, cure="Pass a relative change, as 1e-4.")
        require_between(self, "cooldown", 0, cure="Pass measurements to skip, 0 for none.")
        require_floor(self)

    def factor(self, t: Array) -> Array:
        """The factor that the costs observed so far have led to."""
        return np.full(t.shape, self.value)

    def observe(self, cost: float) -> None:
        """Take note of a measured cost; lower the factor where patience has run out.

        A cost of NaN or infinity is no better than any.
        """
        cost = float(cost)
        needed = self.threshold * abs(self.best) if math.isfinite(self.best) else 0.0
        if cost < self.best - needed:
            self.best, self.waited = cost, 0
        else:
            self.waited += 1
        if self.resting:
            self.resting -= 1
            self.waited = 0
        if self.waited > self.patience:
            self.value = max(self.value * self.rate, self.floor)
            self.waited, self.resting = 0, self.cooldown

    def state_dict(self) -> dict[str, Array]:
        """What it has come to, as arrays that np.savez takes."""
        return {name: np.array(getattr(self, name), kind) for name, kind in STATE.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        missing = [name for name in STATE if name not in state]
        require(
            not missing,
            f"Plateau needs state with {', '.join(missing)}. Pass what state_dict() returned.",
        )
        taken = {name: np.asarray(state[name]) for name in STATE}
        right = all(array.size == 1 and array.dtype.kind in "iuf" for array in taken.values())
        require(
            right and taken["waited"] >= 0 and taken["resting"] >= 0,
            "Plateau needs state of single numbers, none of them a count below zero. Pass what "
            "state_dict() returned.",
        )
        for name, array in taken.items():
            setattr(self, name, array.item())
