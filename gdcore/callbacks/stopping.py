"""Reasons to stop that rules of gd.convergence do not know: patience, the clock of a whole fit."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gdcore.claims import is_count, is_number
from gdcore.convergence import Moment
from gdcore.errors import require, require_choice, require_number
from gdcore.hooks import Plan, Watcher


@dataclass(eq=False)
class EarlyStopping(Watcher):
    """Stop when what is watched has not improved for some epochs.

    The fit keeps what it always keeps of a fit that a callback stopped: the θ of the lowest cost,
    or of the lowest held-out loss where it waits for that itself.

    Parameters
    ----------
    monitor : "validation", "cost" or "score"
        The loss, or the score (accuracy, R²), on rows held out, by `early_stopping` of an estimator
        or `validate` of `descend`; or J itself.
    patience : int
        Epochs without an improvement, in a row.
    min_delta : float
        What must be exceeded to count as one.

    Raises
    ------
    ValueError
        Before the first step, where nothing is held out that could be watched.

    Example
    -------
    >>> import gdcore as gd
    >>> data = gd.datasets.load_digits()
    >>> stop = gd.callbacks.EarlyStopping("cost", patience=3, min_delta=0.01)
    >>> model = gd.MLPClassifier(callbacks=stop, random_state=0).fit(data.X, data.y)
    >>> model.result_.status.name
    'CALLBACK'
    """

    monitor: Literal["validation", "cost", "score"] = "validation"
    patience: int = 5
    min_delta: float = 0.0

    _best, _waited = math.inf, 0

    def __post_init__(self) -> None:
        require_choice("monitor", self.monitor, ["validation", "cost", "score"])
        require_number("patience", self.patience, low=1, whole=True)
        require_number("min_delta", self.min_delta, low=0)

    def on_begin(self, plan: Plan) -> None:
        """Forget the fit before."""
        self._best, self._waited = math.inf, 0
        require(
            self.monitor == "cost" or plan.validates,
            f"EarlyStopping watches the {self.monitor} on rows held out, and none are. Pass "
            "early_stopping=True (validate= to descend), or monitor='cost'.",
        )

    def on_epoch(self, moment: Moment) -> bool:
        """True after `patience` epochs without an improvement."""
        value = getattr(moment, self.monitor)
        require(
            self.monitor != "score" or value == value or moment.validation != moment.validation,
            "EarlyStopping watches the score, and this loss has none. Pass monitor='validation'.",
        )
        value = -value if self.monitor == "score" else value
        better = value < self._best - self.min_delta
        self._waited = 0 if better else self._waited + 1
        self._best = value if better else self._best
        return self._waited >= self.patience

    def state_dict(self) -> dict[str, float]:
        """What it has seen, for a `Checkpoint`."""
        return {"best": self._best, "waited": self._waited}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Watch on from there."""
        best, waited = state.get("best"), state.get("waited")
        require(
            is_number(best) and is_count(waited),
            "EarlyStopping needs state with best and waited. Pass what state_dict() returned.",
        )
        self._best, self._waited = state["best"], int(state["waited"])


@dataclass(eq=False)
class TimeLimit(Watcher):
    """Stop after so many seconds, restarts and the classes of one fit together.

    Beside max_time, which each descent has for itself and which is looked at once an epoch.

    Parameters
    ----------
    seconds : float
        Above 0.
    every : "epoch" or "step"
        When to look at the clock: "step" ends an epoch in its midst, but makes compiled epochs of
        linear models slower (see `Callback.on_step`).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X, y = np.arange(6.0).reshape(6, 1), np.arange(6.0) ** 2
    >>> endless = {"tol": 0, "max_epochs": 10**9, "batch_size": 1}
    >>> model = gd.LinearRegression(callbacks=gd.callbacks.TimeLimit(0.05), **endless).fit(X, y)
    >>> model.result_.status.name
    'CALLBACK'
    """

    seconds: float
    every: Literal["epoch", "step"] = "epoch"

    _end = math.inf

    def __post_init__(self) -> None:
        require_number("seconds", self.seconds, low=0, above=True)
        require_choice("every", self.every, ["epoch", "step"])

    def on_begin(self, plan: Plan) -> None:
        """The clock runs from the first descent of a fit."""
        if plan.run == 0:
            self._end = time.perf_counter() + self.seconds

    def __call__(self, moment: Moment) -> bool:
        """True when the time is over."""
        return time.perf_counter() >= self._end

    @property
    def on_step(self) -> Callable[[Moment], bool] | None:  # type: ignore[override]
        """The same, where it is asked for."""
        return self.__call__ if self.every == "step" else None
