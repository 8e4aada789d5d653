"""What a running fit says: log lines, and one line of a terminal that is written over and over."""

import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gdcore.hooks import Watcher

if TYPE_CHECKING:
    from gdcore.convergence import Moment
    from gdcore.hooks import Plan

PAUSE = 0.1  # seconds between two writes of the line
ROOM = 13  # columns that are left for a bar
GAP = "  "
EDGE = 3  # columns on the right: a terminal writes ^C there, and would go on in the next line


def reporters(verbose: bool | int, progress: bool, max_epochs: int) -> list[Any]:
    """The callbacks behind the `verbose` and `progress` arguments of an estimator."""
    callbacks = []
    if verbose:
        callbacks.append(_log_lines(max(1, max_epochs // 20) if verbose == 1 else 1))
    return [*callbacks, Progress()] if progress else callbacks


def _log_lines(every: int) -> "Callable[[Moment], None]":
    import logging

    logger = logging.getLogger("gdcore")
    if not logger.handlers and not logging.getLogger().handlers:
        logger.addHandler(logging.StreamHandler())
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)

    def log(moment: "Moment") -> None:
        if moment.epoch % every == 0:
            logger.info(
                "epoch %5d  cost %.6g  gradient %.3g  rate %.3g  %.2f s", moment.epoch,
                moment.cost, moment.gradient_norm, moment.learning_rate, moment.seconds,
            )  # fmt: skip

    return log


@dataclass(eq=False)
class Progress(Watcher):
    """How far a fit is, on a terminal or in a notebook: what `progress=True` of an estimator shows.

    Epochs, cost, the time that is left at most, ‖∇J‖, the held-out loss, the learning rate and
    examples a second, as many of them as there is room for, beside tqdm's bar where tqdm is
    installed (pip install gdcore[progress]). A fit that converges ends before its budget. When it
    is over nothing is left of the line. Silent where stderr is neither a terminal nor a notebook.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> def bowl(x):
    ...     return x @ x / 2, x
    >>> gd.minimize(bowl, np.ones(3), callbacks=gd.callbacks.Progress()).success
    True
    """

    _line: "Line | None" = field(default=None, init=False, repr=False, compare=False)
    _plan: Any = field(
        default=None, init=False, repr=False, compare=False
    )  # a Plan, from on_begin to on_end
    _first: Any = field(default=None, init=False, repr=False, compare=False)  # the first Moment

    def on_begin(self, plan: "Plan") -> None:
        """Nothing is written before the first measurement."""
        self.on_end()
        self._plan, self._first = replace(plan, theta=None, cost=None), None
        self._line = Line() if watched(sys.stderr) else None

    def __call__(self, moment: "Moment") -> None:
        """At each measurement, at most every tenth of a second."""
        if self._line is not None:
            self._first = self._first or moment
            epochs, seconds = self._plan.max_epochs, self._plan.max_time
            done = max(moment.epoch / max(1, epochs), moment.seconds / seconds)
            self._line.show(min(1.0, done), lambda: self._parts(moment))

    def _parts(self, moment: "Moment") -> Iterator[str]:
        """What there is to say, what matters most first."""
        plan, first = self._plan, self._first
        fit = f"fit {plan.run + 1}/{plan.runs}, " if plan.runs > 1 else ""
        yield f"{fit}{plan.unit} {moment.epoch}/{plan.max_epochs}"
        yield f"cost {moment.cost:.6g}"
        took, epochs = moment.seconds - first.seconds, moment.epoch - first.epoch
        if epochs and took > 0:
            left = (plan.max_epochs - moment.epoch) * took / epochs
            yield f"≤ {clock(max(0.0, min(left, plan.max_time - moment.seconds)))} left"
        if moment.gradient_norm == moment.gradient_norm:
            yield f"‖∇J‖ {moment.gradient_norm:.2g}"
        if moment.validation == moment.validation:
            yield f"held out {moment.validation:.4g}"
        yield f"rate {moment.learning_rate:.2g}"
        if plan.examples > 1 and took > 0:
            yield f"{(moment.examples - first.examples) / took:,.0f} examples/s"

    def on_end(self, result: object = None) -> None:
        """Clear the line."""
        self._plan = self._first = None  # which holds θ
        if self._line is not None:
            self._line.close()
            self._line = None

    def on_error(self, error: BaseException) -> None:
        """Clear the line."""
        self.on_end()


def watched(stream: Any) -> bool:
    """Whether someone looks at it: a terminal, or a notebook's output."""
    return stream is not None and (notebook(stream) or stream.isatty())


def notebook(stream: Any) -> bool:
    """Whether what is written appears below a notebook's cell."""
    return type(stream).__module__.startswith("ipykernel")


def clock(seconds: float) -> str:
    """1:05, or 2:03:04; what has begun counts as a second."""
    minutes, seconds = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def columns(stream: Any) -> int:
    """The width of a terminal; 80 where it does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (AttributeError, OSError, ValueError):
        return shutil.get_terminal_size().columns


def fitted(parts: Iterable[str], room: int) -> str:
    """As many of the parts, in their order, as there is room for."""
    text = ""
    for part in parts:
        longer = text + GAP * bool(text) + part
        if len(longer) > room:
            return text or part[: max(0, room)]
        text = longer
    return text


class Line:
    """One line of a terminal, written over and over; with tqdm's bar where that is installed."""

    def __init__(self) -> None:
        self.stream, self.written, self.wide = sys.stderr, -math.inf, 0
        self.bar: Any = None
        self.gone = False
        self.tqdm = _tqdm(self.stream)

    def show(self, done: float, parts: Callable[[], Iterable[str]]) -> None:
        """The share that is done and what parts() gives, if the last time is a while ago."""
        now = time.perf_counter()
        if self.gone or (0 <= now - self.written < PAUSE and done < 1):
            return
        self.written = now
        try:
            self._write(done, parts)
        except (OSError, ValueError):  # the terminal went away, and the fit goes on
            self.gone = True

    def _write(self, done: float, parts: Callable[[], Iterable[str]]) -> None:
        wide = columns(self.stream) - EDGE
        text = fitted(parts(), wide - ROOM if self.tqdm else wide)
        if self.tqdm is None:
            self.stream.write("\r" + text.ljust(min(self.wide, wide)))
            self.stream.flush()
            self.wide = max(len(text), self.wide)
            return
        if self.bar is None:
            self.bar = self.tqdm(
                total=1.0, leave=False, file=self.stream, bar_format="{desc} |{bar}|",
                ncols=None if notebook(self.stream) else wide, desc=text,
            )  # fmt: skip
        self.bar.n = done
        if not notebook(self.stream):
            self.bar.ncols = wide
        self.bar.set_description_str(text)

    def close(self) -> None:
        """Nothing is left of it, or of a ^C behind it; the cursor is at its beginning."""
        if self.gone:
            return
        if self.bar is not None:
            self.bar.close()
        if self.written > -math.inf and not notebook(self.stream):
            self.stream.write("\r" + " " * (columns(self.stream) - 1) + "\r")
            self.stream.flush()


def _tqdm(stream: Any) -> Any:
    """tqdm's class for a terminal or a notebook, None where it is not installed."""
    try:
        if notebook(stream):
            from tqdm.auto import tqdm
        else:
            from tqdm import tqdm
    except ImportError:
        return None
    return tqdm


@contextmanager
def stepping(total: int, done: int = 0) -> Iterator[Callable[[int, float, int], None] | None]:
    """An `observe(step, loss, examples)` that shows a run of so many steps on a terminal."""
    if not watched(sys.stderr):
        yield None
        return
    line, started, seen, mean = Line(), time.perf_counter(), 0, None

    def observe(step: int, loss: float, examples: int) -> None:
        nonlocal seen, mean
        seen += examples
        mean = loss if mean is None else 0.95 * mean + 0.05 * loss

        def parts() -> Iterator[str]:
            took = max(1e-9, time.perf_counter() - started)
            left = (total - step) * took / max(1, step - done)
            yield f"step {step}/{total}"
            yield f"loss {mean:.4f}"
            yield f"{clock(left)} left"
            yield f"{seen / took:,.0f} tokens/s"

        line.show(step / total, parts)

    try:
        yield observe
    finally:
        line.close()
