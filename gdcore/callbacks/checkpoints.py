"""θ in a file as a fit goes on, and back from it."""

import math
import os
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gdcore._typing import NOTHING, Array, Generator, PathLike
from gdcore.callbacks.kept import Kept, known_by, read, require_same, write
from gdcore.callbacks.places import NUMBERS, require_flag, require_folder, require_path
from gdcore.claims import plain, rewind
from gdcore.devices import to_host
from gdcore.disk import clear, rehearse, said
from gdcore.errors import require, require_number
from gdcore.hooks import Plan, Watcher
from gdcore.remembered import forgets
from gdcore.result import Result
from gdcore.snapshot import Snapshot
from gdcore.status import Moment


@dataclass(eq=False)
class Checkpoint(Watcher):
    """Write a file as the fit goes on, whole or not at all, from which θ can be read and the fit
    go on.

    The file, an .npz without pickle, holds θ and all that the rest of the fit depends on: a fit
    that was killed, whenever that was, goes on from it with resume=True to the bits that it would
    have had. It is replaced in one move, so that there is always a whole one. At the end it holds
    the θ that the fit returns. θ that is not finite is never written.

    A file that cannot be written while the fit runs, on a disk that is full, is a warning: the fit
    goes on, the last whole file stays, and the next one is tried when it is due.

    Parameters
    ----------
    path : str or Path
    every : int
        Epochs from one to the next.
    best : bool
        Write only what is the best so far, by the held-out loss, or by the cost where there is
        none; the file then keeps the best of all epochs (of those that are multiples of `every`),
        restarts included.
    resume : bool
        Go on from the file where it exists, restarts and one class after another included. It must
        be of the same model, settings and rows; max_epochs, max_time, n_threads and a cluster's
        client may differ.
        What other callbacks remember is kept where they have state_dict and load_state_dict, as
        `EarlyStopping`. Without random_state the fit goes on with the luck that it had.

    Raises
    ------
    ValueError, OSError
        Before the first step: for a path in no folder, or where nothing can be written; with
        resume for the file of another run, which says what is another, or a damaged one.

    Example
    -------
    A fit that was stopped and one that was not end with the same bits:

    >>> import os, tempfile, numpy as np, gdcore as gd
    >>> path = os.path.join(tempfile.mkdtemp(), "fit.npz")
    >>> X, y = np.random.default_rng(0).normal(size=(100, 3)), np.arange(100) % 3
    >>> def fit(*callbacks):
    ...     given = {"max_epochs": 20, "tol": 0, "dropout": 0.1, "random_state": 0}
    ...     return gd.MLPClassifier(callbacks=callbacks, **given).fit(X, y)
    >>> keep = gd.callbacks.Checkpoint(path, resume=True)
    >>> def fail(moment):
    ...     if moment.epoch == 12:
    ...         raise RuntimeError("the lights went out")
    >>> fit(keep, fail)
    Traceback (most recent call last):
    ...
    RuntimeError: the lights went out
    >>> bool((fit(keep).theta_.vector == fit().theta_.vector).all())
    True

    θ alone goes on in another `descend`, by any optimizer:

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
    resume: bool = False

    _lowest, _last, _told, _began = math.inf, NOTHING, False, NOTHING
    _file = _kept = _found = NOTHING  # what was on the disk, what is written there, gone on from
    _wrote = _failed = _full = False

    def __post_init__(self) -> None:
        require_path(self.path)
        require_number("every", self.every, low=1, whole=True)
        require_flag("best", self.best)
        require_flag("resume", self.resume)

    def on_begin(self, plan: Plan) -> None:
        """Forget the fit before, and look at the path."""
        if not self._told:  # of a descent that is none of the loop's
            self._look()
            self._kept = Kept()
        self._last, self._watched = None, "validation" if plan.validates else "cost"
        self._final = plan.run == plan.runs - 1
        if plan.run == 0:
            self._lowest = self._kept.lowest

    def _look(self) -> None:
        """Before any work: there is a place to write to, and nothing else in it."""
        require_folder(self.path)
        self._file = None
        if os.path.exists(self.path):
            try:
                _, self._file = read(self.path)
            except (ValueError, OSError) as error:
                if self.resume:
                    raise
                raise ValueError(
                    f"{self.path} exists and is no checkpoint. Pass another path, or move it away."
                ) from error
            require(
                self._file is not None or not self.resume,
                f"{self.path} holds θ and nothing to go on from. Pass another path, or "
                "resume=False to write over it.",
            )
        if self.resume:  # else another process may be at work there
            clear(self.path)
        rehearse(self.path)

    def _luck(self, rng: Generator) -> None:
        """Told of the generator of a fit without a seed, which goes on with the luck it had."""
        if self._began is None and self.resume and os.path.exists(self.path):
            kept = read(self.path)[1]
            self._began = None if kept is None else kept.began
        if self._began is None:
            self._began = plain(rng.bit_generator.state)
        try:
            rewind(rng, self._began)
        except ValueError as error:
            self._began = None
            raise ValueError(f"{self.path}: {error}") from error

    def _on_find(
        self, run: Any, plan: Plan, asked: dict[str, Any], facts: dict[str, str]
    ) -> Snapshot | None:
        """The `Snapshot` that a descent is to go on from, if there is one."""
        if asked.pop("first"):
            self._look()
            self._told, self._failed = True, False
            self._file = self._file if self.resume else None
            lowest = math.inf if self._file is None else self._file.lowest
            self._kept = Kept([], self._began, lowest)
        else:
            self._settle()
        self._wrote, lost, number = False, forgets(run), len(self._kept.descents)
        require(
            lost is None or not self.resume,
            f"A checkpoint cannot keep what {lost} remembers. Give it state_dict and "
            "load_state_dict, or pass resume=False.",
        )
        self._full, mine = lost is None, known_by(plan, asked, facts)
        self._found = None
        if self._file is not None and number < len(self._file.descents):
            theirs, self._found = self._file.descents[number]
            require_same(self.path, theirs, mine)
        found: Snapshot | None = self._found
        self._kept.descents.append([mine, found])
        return found

    def _settle(self) -> None:
        """Of a descent that is over take what was written last: the loop's arrays moved on."""
        snapshot, number = self._found, len(self._kept.descents) - 1
        if self._wrote:
            with suppress(OSError, ValueError, IndexError):  # taken away: it begins anew then
                kept = read(self.path)[1]
                snapshot = self._found if kept is None else kept.descents[number][1]
        if number >= 0:
            self._kept.descents[-1][1] = snapshot

    def on_epoch(self, moment: Moment) -> None:
        """Write where it is due and the loop will not say that it is done with this epoch."""
        self._last = moment
        if not self._told:
            self._on_keep(None, ())

    def _on_keep(self, run: Any, callbacks: Iterable[Any]) -> None:
        """Write where it is due."""
        moment = self._last
        if moment is None or moment.epoch % self.every or not self._better(moment):
            return
        if run is not None:
            of = replace(Snapshot.of(run), callbacks=tuple(callbacks)) if self._full else None
            self._kept.descents[-1][1] = of
        if self._write(moment.theta, moment):
            self._wrote = run is not None

    def _better(self, moment: Moment) -> bool:
        """Whether it is the best so far, where that is asked for."""
        return not self.best or getattr(moment, self._watched) < self._lowest

    def on_end(self, result: Result[Any]) -> None:
        """The θ that is returned, or the last one where the best is kept and it is that."""
        if (moment := self._last) is not None:
            self._settle()
            if not self.best:
                self._write(result.x, moment, step=result.nit, cost=result.fun)
            elif self._told and moment.epoch % self.every == 0 and self._better(moment):
                self._write(moment.theta, moment)
        self._close(self._final)

    def on_error(self, error: BaseException) -> None:
        """What was written stays."""
        self._close(True)

    _on_refuse = on_error  # before anything began: else the next fit would be taken for this one

    def _close(self, final: bool) -> None:
        self._last = None
        if final:
            self._told, self._began = False, None
            self._file = self._kept = self._found = None

    def _write(self, theta: Array, moment: Moment, **others: Any) -> bool:
        """Whether it could be written: the fit is worth more than its checkpoint, and goes on."""
        theta = to_host(theta)
        if not np.isfinite(theta).all():
            return False
        known = {name: getattr(moment, name) for name in NUMBERS} | others
        before = self._kept.lowest
        if self.best:
            self._kept.lowest = getattr(moment, self._watched)
        try:
            write(self.path, theta, known, self._kept)
        except (OSError, MemoryError) as error:
            self._kept.lowest = before
            if not self._failed:
                warnings.warn(said(self.path, error), RuntimeWarning, stacklevel=2)
            self._failed = True
            return False
        self._failed, self._lowest = False, self._kept.lowest
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
    return read(path)[0]
