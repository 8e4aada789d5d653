"""θ in a file as a fit goes on, and back from it."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gdcore._typing import Array, PathLike
from gdcore.callbacks.places import (
    NOTHING,
    NUMBERS,
    WHOLE,
    require_flag,
    require_folder,
    require_path,
)
from gdcore.convergence import Moment
from gdcore.disk import damaged, replace, unpacked
from gdcore.errors import require, require_number
from gdcore.hooks import Plan, Watcher
from gdcore.result import Result


@dataclass(eq=False)
class Checkpoint(Watcher):
    """Write θ to a file as the fit goes on, whole or not at all.

    The file, an .npz without pickle, is replaced in one move: a run that is killed leaves the one
    before. At the end it holds the θ that the fit returns. θ that is not finite is never written.

    Parameters
    ----------
    path : str or Path
    every : int
        Epochs from one to the next.
    best : bool
        Write only what is the best so far, by the held-out loss, or by the cost where there is
        none; the file then keeps the best of all epochs (of those that are multiples of `every`),
        restarts included.

    Raises
    ------
    ValueError, OSError
        Before the first step, where the path is in no folder; later where it cannot be written.

    Example
    -------
    θ, and with it the descent, goes on in another `descend`, by any optimizer:

    >>> import os, tempfile, numpy as np, gdcore as gd
    >>> class Parabola(gd.cost.PlainCost):
    ...     def value_and_gradient(self, theta, g):
    ...         g[:] = theta - 3
    ...         return float(g @ g) / 2
    >>> path = os.path.join(tempfile.mkdtemp(), "run.npz")
    >>> given = {"learning_rate": 0.5, "max_epochs": 5}
    >>> keep = gd.callbacks.Checkpoint(path)
    >>> part = gd.descend(Parabola(), np.zeros(2), gd.optim.SGD(), callbacks=keep, **given)
    >>> saved = gd.callbacks.load_checkpoint(path)
    >>> saved["epoch"], round(saved["cost"], 6)
    (5, 0.008789)
    >>> rest = gd.descend(Parabola(), saved["theta"], gd.optim.SGD(), **given)
    >>> round(rest.fun, 9)
    8.583e-06

    A network takes the weights in its own layout, and goes on from them with warm_start; of a
    linear model θ is that of the standardised columns, and `gd.save` is what keeps it:

    >>> X, y = np.eye(4), [0.0, 1.0, 2.0, 3.0]
    >>> keep = gd.callbacks.Checkpoint(path)
    >>> net = gd.MLPRegressor(max_epochs=2, tol=0, callbacks=keep, random_state=0).fit(X, y)
    >>> again = gd.MLPRegressor(max_epochs=1, tol=0, warm_start=True, random_state=0).fit(X, y)
    >>> again.theta_.vector[:] = gd.callbacks.load_checkpoint(path)["theta"]
    >>> bool((again.predict(X) == net.predict(X)).all())
    True
    """

    path: PathLike
    every: int = 1
    best: bool = False

    _lowest, _last = math.inf, NOTHING

    def __post_init__(self) -> None:
        require_path(self.path)
        require_number("every", self.every, low=1, whole=True)
        require_flag("best", self.best)

    def on_begin(self, plan: Plan) -> None:
        """Forget the fit before, and look at the path."""
        require_folder(self.path)
        self._require_own()
        self._last, self._watched = None, "validation" if plan.validates else "cost"
        if plan.run == 0:
            self._lowest = math.inf

    def _require_own(self) -> None:
        """Refuse to write over a file that is something else."""
        if not os.path.exists(self.path):
            return
        try:
            load_checkpoint(self.path)
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{self.path} exists and is no checkpoint. Pass another path, or move it away."
            ) from error

    def on_epoch(self, moment: Moment) -> None:
        """Write where it is due."""
        self._last = moment
        if moment.epoch % self.every:
            return
        value = getattr(moment, self._watched)
        if not self.best:
            self._write(moment.theta, moment)
        elif value < self._lowest and self._write(moment.theta, moment):
            self._lowest = value

    def on_end(self, result: Result[Any]) -> None:
        """The θ that is returned, unless the best of all is kept."""
        if not self.best and self._last is not None:
            self._write(result.x, self._last, step=result.nit, cost=result.fun)
        self._last = None

    def on_error(self, error: BaseException) -> None:
        """What was written stays."""
        self._last = None

    def _write(self, theta: Array, moment: Moment, **others: Any) -> bool:
        """Whether it was worth being written."""
        if not np.isfinite(theta).all():
            return False
        known = {name: getattr(moment, name) for name in NUMBERS} | others
        arrays: dict[str, Any] = {
            name: np.asarray(known[name], "i8" if name in WHOLE else "f8") for name in known
        }
        replace(self.path, lambda file: np.savez(file, theta=theta, **arrays))
        return True


def load_checkpoint(path: PathLike) -> dict[str, Any]:
    """What `Checkpoint` wrote: {"theta": array, "step": int, "epoch": int, "cost": float, …}.

    Besides these gradient_norm, learning_rate, seconds, examples, validation and score; NaN for
    what was not measured. Never executes code.

    Raises
    ------
    OSError
        Where there is no such file, or it may not be read.
    ValueError
        For a file that is no checkpoint, or is damaged.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.callbacks.load_checkpoint("no such file.npz")
    Traceback (most recent call last):
    ...
    FileNotFoundError: no such file.npz does not exist. Pass the path of a checkpoint.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist. Pass the path of a checkpoint.")
    try:
        arrays = unpacked(path)
        for name in ("theta", *NUMBERS):
            require(name in arrays, f"it lacks {name!r}")
            kind, ndim = "iu" if name in WHOLE else "f", int(name == "theta")
            right = arrays[name].dtype.kind in kind and arrays[name].ndim == ndim
            require(right, f"its {name!r} is {arrays[name].dtype} {arrays[name].shape}")
        require(bool(np.isfinite(arrays["theta"]).all()), "its 'theta' is not finite")
    except OSError:
        raise
    except Exception as error:  # zip, zlib, npy: each has its own way to say "broken"
        cure = "Pass what gd.callbacks.Checkpoint wrote; gd.load reads models."
        raise damaged(path, "checkpoint", error, cure) from error
    return {"theta": arrays["theta"]} | {name: arrays[name].item() for name in NUMBERS}
