"""Rows of a CSV file, one for each measurement."""

import os
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gdcore._typing import NOTHING, PathLike
from gdcore.callbacks.places import NUMBERS, require_flag, require_folder, require_path
from gdcore.convergence import Moment
from gdcore.disk import require_honest_link
from gdcore.errors import require
from gdcore.hooks import Plan, Watcher
from gdcore.result import Result


@dataclass(eq=False)
class CSVLogger(Watcher):
    """Write a row for each measurement, the first at θ₀ included, into a CSV file.

    Columns: run (0; restarts, and classes one against the rest, are 1, 2, …), step, epoch, cost,
    gradient_norm, learning_rate, seconds, examples, validation and score, empty where not measured.
    Each row is written at once and whole, so that a run that is killed leaves whole lines. Where
    one cannot be written, on a disk that is full, a warning says so and the fit goes on without.

    Parameters
    ----------
    path : str or Path
    append : bool
        Go on below what a file holds.
    overwrite : bool
        Begin the file anew. Without either, a file that exists is refused.

    Example
    -------
    >>> import os, tempfile, gdcore as gd
    >>> path = os.path.join(tempfile.mkdtemp(), "course.csv")
    >>> log = gd.callbacks.CSVLogger(path)
    >>> model = gd.LinearRegression(callbacks=log).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 3.0])
    >>> with open(path) as file:
    ...     lines = file.read().splitlines()
    >>> lines[0][:19], len(lines) - 1 == len(model.trace_)
    ('run,step,epoch,cost', True)
    """

    path: PathLike
    append: bool = False
    overwrite: bool = False

    _file = NOTHING

    def __post_init__(self) -> None:
        require_path(self.path)
        for name in ("append", "overwrite"):
            require_flag(name, getattr(self, name))
        require(
            not (self.append and self.overwrite),
            "append keeps what a file holds, and overwrite does not. Pass one of them.",
        )

    def on_begin(self, plan: Plan) -> None:
        """Open the file, and write its head."""
        self.on_end()
        path, head, self._run = Path(self.path), ",".join(("run", *NUMBERS)) + "\n", plan.run
        require_folder(path)
        require_honest_link(path)
        # a link to nothing is there, too
        there = os.path.lexists(path) and (not path.is_file() or path.stat().st_size > 0)
        going = there and (plan.run > 0 or self.append)
        require(
            going or self.overwrite or not there,
            f"{path} exists. Pass append=True or overwrite=True, or another path.",
        )
        if going and path.is_file():
            with open(path, encoding="utf-8", errors="replace") as file:
                require(
                    file.readline() == head,
                    f"{path} has other columns. Pass overwrite=True, or another path.",
                )
        self._file = open(path, "ab" if going else "wb", buffering=0)
        if not going:
            self._put(head)

    def __call__(self, moment: Moment) -> None:
        """One row."""
        if self._file is not None:
            values = [getattr(moment, name) for name in NUMBERS]
            texts = ["" if value != value else repr(_plain(value)) for value in values]
            try:
                self._put(",".join([str(self._run), *texts]) + "\n")
            except OSError as error:  # the fit is worth more than its log
                what = error.strerror or type(error).__name__
                warnings.warn(
                    f"{self.path} could not be written: {what}. The fit goes on without; the lines "
                    "that it holds are whole.", RuntimeWarning, stacklevel=2,
                )  # fmt: skip
                self.on_end()

    def _put(self, line: str) -> None:
        """A line at once; of one that does not fit nothing is left."""
        file, rest = self._file, line.encode()
        end = file.seek(0, os.SEEK_END) if file.seekable() else None
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            if end is not None:
                with suppress(OSError):
                    file.truncate(end)
            raise

    def on_end(self, result: Result[Any] | None = None) -> None:
        """Close the file."""
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(OSError):
                file.close()

    def on_error(self, error: BaseException) -> None:
        """Close the file."""
        self.on_end()


def _plain(value: Any) -> Any:
    """A number of Python's own, whose repr is its digits alone."""
    return value.item() if isinstance(value, np.generic) else value
