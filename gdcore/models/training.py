"""What training a network takes beside its parameters: a cost of each start, what goes on later."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from gdcore._typing import Array, Generator, State
from gdcore.devices import to_host
from gdcore.errors import require
from gdcore.models.estimator import require_batch
from gdcore.models.network import Network, Scaling
from gdcore.optim.base import Optimizer
from gdcore.parameters import aligned_copy
from gdcore.ranges import require_range
from gdcore.result import Result
from gdcore.trace import Trace

Judge: TypeAlias = Callable[[Array], Any]  # θ → what is known of rows held out
Make: TypeAlias = Callable[[bool, int], tuple[Any, Judge | None]]  # full, seed → (cost, judge)


def rank(result: Result) -> float:
    """By its held-out loss, where there is one, else by J; lower is better."""
    held = result.trace.validation
    lowest = float(result.fun if np.isnan(held).all() else np.nanmin(held))
    return lowest if np.isfinite(lowest) else np.inf


def inverted(mean: Array, deviation: Array, precision: Any) -> Scaling:
    """(shift, inverse) of columns of these moments, for numbers of that precision."""
    require_range(deviation, precision)
    inverse = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 0)
    return mean, inverse


@dataclass
class Stream:
    """What `partial_fit` goes on from."""

    optimizer: Optimizer
    walker: Array  # θ as the optimizer moves it; theta_ may be its average
    state: State
    rng: Generator
    seed: int  # of dropout
    steps: int = 0
    examples: int = 0
    seconds: float = 0.0
    trace: Trace = field(default_factory=Trace)
    before: "Stream | None" = None  # that of the last pass, whose memory the next one takes

    def copy(self) -> "Stream":
        """Another that a pass may change; the trace, which grows at its end, is the same."""
        room, self.before = self.before, None
        if room is None or room.state.keys() != self.state.keys():
            walker, rng = aligned_copy(self.walker), copy.deepcopy(self.rng)
            state = {name: values.copy() for name, values in self.state.items()}
            return replace(self, walker=walker, state=state, rng=rng)
        room.walker[:] = self.walker
        for name, values in self.state.items():
            room.state[name][...] = values
        room.rng.bit_generator.state = self.rng.bit_generator.state
        return replace(self, walker=room.walker, state=room.state, rng=room.rng)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"before": None}


def require_suited(optimizer: Optimizer, network: Network, full: bool) -> None:
    """Refuse a rule that compares gradients where they are of different costs."""
    require_batch(optimizer, full)
    require(
        not (optimizer.full_batch and network.layers.random),
        f"{type(optimizer).__name__} compares the gradients of successive steps, and dropout makes "
        "each another one. Pass dropout=0, or another optimizer.",
    )


def require_same(estimator: Any, classes: Array) -> None:
    """Refuse to go on from weights whose outputs stand for other classes."""
    if estimator.warm_start and hasattr(estimator, "theta_"):
        known = to_host(estimator.classes_)
        require(
            np.array_equal(classes, known),
            f"warm_start goes on from classes {known.tolist()}, and y holds "
            f"{classes.tolist()}. Pass those, or set warm_start=False.",
        )
