"""Passes over the rows of chunks, and what the first of them tells of all rows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.arrow import FileChunks
from gdcore.chunks import ArrayChunks
from gdcore.data import Rows, Spread, mass_of, require_summable
from gdcore.errors import require
from gdcore.passes import Checked, Chunk, Shuffled, Split, counted_rows

MOST_LABELS = 1000  # different targets up to which each is counted


@dataclass(frozen=True, eq=False)
class Shape:
    """What of X is known without it."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]


@dataclass(frozen=True, eq=False)
class Survey:
    """What one pass tells of all rows: enough to choose coordinates, a unit and a start.

    `y` and `weights` are few targets that stand for all: each class with its weight, or two numbers
    of the same mean and deviation; two rows of such where there are several a row.
    """

    X: Shape
    y: Array
    weights: Array
    mean: Array
    deviation: Array

    def __len__(self) -> int:
        return self.X.shape[0]

    def moments(self, n_threads: int | None = 1) -> tuple[Array, Array]:
        """Mean and deviation of each column."""
        return self.mean, self.deviation


class Passes:
    """Rows of chunks, targets as numbers and weights as factors: `each()` walks over them once.

    Sums do not ask for an order, so that only `mixed()`, for steps, goes by that of
    `gd.chunks.shuffled`. With `held`, (share, seed), that share of the rows of each chunk is held
    out, the same ones in each pass.
    """

    def __init__(
        self,
        chunks: Checked | Shuffled,
        encode: Callable[[Array, Array], tuple[Array, Array]],
        held: tuple[float, int] | None = None,
    ) -> None:
        self.given, self.encode, self.mass, self.held = chunks, encode, 1.0, held
        self.chunks = chunks.source if isinstance(chunks, Shuffled) else chunks
        self.counts: list[int] = []  # rows of each chunk, once there was a whole pass
        self.sound = False  # whether a pass has looked at all numbers, and they stay
        self.known: tuple[int, float] | None = (
            None  # (rows with a weight, sum of weights) of the first whole pass
        )

    @property
    def steady(self) -> bool:
        """Whether each pass is sure to give the same rows in the same order."""
        source = getattr(self.chunks, "source", None)
        return isinstance(source, (ArrayChunks, FileChunks, list, tuple))

    def each(self, watch: Callable[[Rows], object] | None = None) -> Iterator[Rows]:
        """Rows of each chunk that has a weight; watch(rows) is told of those held out."""
        counts: list[int] = []
        n, mass = 0, 0.0
        given = self.chunks.again() if self.sound else iter(self.chunks)
        for number, (X, y, weights) in enumerate(given):
            y, weights = self.encode(y, weights)
            n, mass = n + int(np.count_nonzero(weights > 0)), mass + mass_of(weights)
            chunk = X, y, weights
            if self.held is not None:
                if watch is not None:
                    rows = counted_rows(*Split.part(chunk, number, *self.held, kept=False))
                    if len(rows):
                        watch(rows)
                chunk = Split.part(chunk, number, *self.held)
            rows = counted_rows(*chunk)
            del chunk, X, y, weights
            if len(rows):
                counts.append(len(rows))
                yield rows
        self.counts, self.sound = counts, isinstance(self.chunks.source, ArrayChunks)
        self._compare(n, mass)

    def doubt(self) -> None:
        """Look at all numbers again, unless each pass does: a sum over them was none."""
        if self.sound:
            for _ in self.chunks:
                pass

    def _compare(self, n: int, mass: float) -> None:
        """Refuse a pass that gave other rows than the first, in whatever order."""
        require_summable(mass)
        count, total = self.known = self.known or (n, mass)
        require(
            n == count and abs(mass - total) <= 1e-9 * total,
            "The chunks gave other rows or weights in a later pass. Give the same ones each time.",
        )

    def mixed(self) -> Iterator[Rows]:
        """The same rows in the order for steps."""
        if self.given is self.chunks:
            yield from self.each()
            return
        n, mass = 0, 0.0
        for X, y, weights in self.given if self.held is None else self._mixed_rest():
            rows = counted_rows(X, *self.encode(y, weights))
            del X, y, weights
            if len(rows):
                n, mass = n + len(rows), mass + mass_of(rows.weights)
                yield rows
        if self.held is None:
            self._compare(n, mass)

    def _mixed_rest(self) -> Iterator[Chunk]:
        """A pass over a shuffle of what is not held out, counted where the given one counts."""
        given: Any = self.given
        given.passes += 1
        share, seed = self.held or (0.0, 0)
        rest: Any = Split(self.chunks, share, seed)
        return Shuffled(rest, given.buffer, given.seed).epoch(given.passes - 1)


class Tally:
    """What is counted of rows, part by part (Chan et al., 1983); parts add up."""

    def __init__(self) -> None:
        self.n, self.spread, self.target = 0, Spread(), Spread()
        self.labels: dict[Any, float] = {}
        self.X: Shape | None = None

    def add(self, rows: Rows) -> None:
        """Count these, too."""
        self.n, self.X = self.n + len(rows), Shape(rows.X.shape, rows.X.dtype)
        self.spread.add(rows.X, rows.weights)
        y = np.ascontiguousarray(rows.y, np.float64)
        self.target.add(y.reshape(len(rows), -1), rows.weights)
        if rows.y.ndim == 1 and len(self.labels) <= MOST_LABELS:
            self._label(zip(*_masses(rows.y, rows.weights), strict=True))

    def __add__(self, other: "Tally") -> "Tally":
        both, both.n, both.X = Tally(), self.n + other.n, self.X or other.X
        for name in ("spread", "target"):
            for each in (getattr(self, name), getattr(other, name)):
                getattr(both, name).add_spread(each)
        for each in (self, other):
            both._label(each.labels.items())
        return both

    def _label(self, masses: Iterable[tuple[Any, float]]) -> None:
        for value, mass in masses:
            if len(self.labels) > MOST_LABELS:  # which tells that there are more
                break
            self.labels[value] = self.labels.get(value, 0.0) + mass

    def survey(self) -> Survey:
        """What it tells of all rows, of which there is at least one."""
        assert self.X is not None
        y, weights = _standing(self.labels, self.target, self.spread.mass)
        shape = Shape((self.n, self.X.shape[1]), self.X.dtype)
        return Survey(shape, y, weights, self.spread.mean, self.spread.deviation())


def survey(passes: Passes) -> Survey:
    """The `Survey` of all rows, merged chunk by chunk; sets passes.mass."""
    tally, held = Tally(), list[int]()
    passes.known = None
    for rows in passes.each(lambda rows: held.append(len(rows))):
        tally.add(rows)
    n = tally.n
    require(
        passes.held is None or (n > 0 and bool(held)),
        f"early_stopping needs rows to train on and others to hold out: {n + sum(held)} rows in "
        "chunks leave one of them without. Pass more rows, or another validation_fraction.",
    )
    require(n > 0, "No row of the chunks has a weight. Give at least one row one.")
    passes.mass = tally.spread.mass / n
    return tally.survey()


def _masses(y: Array, weights: Array) -> tuple[list[Any], list[float]]:
    values, where = np.unique(y, return_inverse=True)
    return values.tolist(), np.bincount(where, weights).tolist()


def _standing(labels: dict[Any, float], target: Spread, mass: float) -> tuple[Array, Array]:
    if 0 < len(labels) <= MOST_LABELS:
        values = sorted(labels)
        return np.array(values), np.array([labels[value] for value in values])
    two = np.array([target.mean - target.wide, target.mean + target.wide])
    return two[:, 0] if two.shape[1] == 1 else two, np.array([mass / 2, mass / 2])
