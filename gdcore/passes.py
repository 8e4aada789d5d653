"""Passes over chunks of rows: each chunk checked, and the rows of several mixed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from gdcore._typing import Array, ArrayLike, Generator
from gdcore.data import Rows, as_features, as_numbers, as_targets, require_finite
from gdcore.errors import require
from gdcore.sparse import CSR, as_csr, stack

Chunk: TypeAlias = tuple[Any, Array, Array]  # X, y and weights


@dataclass(frozen=True, eq=False)
class Checked:
    """Chunks (X, y, weights) that hold together, from a source that need not."""

    source: Any
    name: str
    seen: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def feature_names(self) -> list[str] | None:
        """Names of the columns of X, where the source knows them."""
        return getattr(self.source, "feature_names", None)

    @property
    def n_features(self) -> int | None:
        """Columns of X; None before the first chunk where the source does not know."""
        return getattr(self.source, "n_features", self.seen.get("p"))

    @property
    def n_rows(self) -> int | None:
        """Rows of all chunks; None before a whole pass where the source does not know."""
        known = getattr(self.source, "n_rows", None)
        return self.seen.get("rows") if known is None else known

    @property
    def pieces(self) -> Sequence[Any] | None:
        """Parts that can be visited in any order, or None."""
        return self.source.pieces if hasattr(self.source, "visit") else None

    def __iter__(self) -> Iterator[Chunk]:
        return self._checked(iter(self.source))

    def visit(self, order: Iterable[int]) -> Iterator[Chunk]:
        """Those pieces in this order."""
        return self._checked(self.source.visit(order))

    def again(self) -> Iterator[Chunk]:
        """The chunks, of whose dense X no number is read: a pass before has."""
        return self._checked(iter(self.source), sound=True)

    def _checked(self, given: Iterable[Any], sound: bool = False) -> Iterator[Chunk]:
        count, number = 0, -1
        for number, chunk in enumerate(given):
            rows = self._chunk(chunk, number, sound)
            del chunk  # or the source could not let go of it while the next one is made
            count += len(rows[0])
            yield rows
            del rows
        before = self.seen.setdefault("rows", count)
        require(number >= 0, f"{self.name} gave no chunk. Pass at least one (X, y) each time.")
        require(
            count == before,
            f"{self.name} gave {count} rows, and {before} in another pass. Pass an object that "
            "gives the same rows each time.",
        )

    def _chunk(self, chunk: Any, number: int, sound: bool) -> Chunk:
        if not isinstance(chunk, (tuple, list)) or len(chunk) not in (2, 3):
            raise TypeError(
                f"{self.name} gave {type(chunk).__name__} for chunk {number}, not (X, y) or "
                "(X, y, weights). Pass gd.chunks.arrays(X, y), or a list of (X, y)."
            )
        of = f"of chunk {number}"
        X, y, weights = as_chunk(*chunk, of=of, sound=sound)
        p, sparse = X.shape[1], isinstance(X, CSR)
        width, kind = self.seen.setdefault("p", p), self.seen.setdefault("sparse", sparse)
        require(p == width, f"X {of} has {p} features, and others have {width}. Pass one width.")
        words = ("dense", "sparse")
        require(
            sparse == kind,
            f"X {of} is {words[sparse]}, and others are {words[kind]}. Pass one kind.",
        )
        return X, y, weights


def as_chunk(X: Any, y: Any, weights: Any = None, *, of: str, sound: bool = False) -> Chunk:
    """(X, y, weights), checked; errors say what they are `of`. Of a dense X that is known to be
    `sound` the numbers are not read."""
    sparse = isinstance(X, CSR) or hasattr(X, "tocsr")
    X = as_csr(X, f"X {of}") if sparse else as_features(X, f"X {of}", sound=sound)
    y = as_targets(y, len(X), f"y {of}")
    if y.dtype.kind == "f":
        require_finite(as_numbers(y, f"y {of}"), f"y {of}")
    return X, y, np.ones(len(X)) if weights is None else _weights(weights, len(X), f"weights {of}")


def counted_rows(X: Any, y: Array, weights: Array) -> Rows:
    """The rows that have a weight."""
    kept = weights > 0
    return Rows(X, y, weights) if kept.all() else Rows(X[kept], y[kept], weights[kept])


def _weights(weights: ArrayLike, n: int, name: str) -> Array:
    """Finite float64 (n,), none negative; a chunk may have none that is positive."""
    weights = np.asarray(as_numbers(weights, name), np.float64)
    require(weights.shape == (n,), f"{name} have shape {weights.shape}. Pass {n}, one a row.")
    require_finite(weights, name)
    require(
        weights.min() >= 0,
        f"{name} are negative at row {int(weights.argmin())}. Pass weights of at least 0.",
    )
    return weights


@dataclass(eq=False)
class Shuffled:
    """Checked chunks, mixed; `passes` counts those that were begun."""

    source: Checked
    buffer: int
    seed: int
    passes: int = 0

    @property
    def feature_names(self) -> list[str] | None:
        """Names of the columns of X, where the source knows them."""
        return self.source.feature_names

    @property
    def n_features(self) -> int | None:
        """Columns of X, where they are known yet."""
        return self.source.n_features

    @property
    def n_rows(self) -> int | None:
        """Rows of all chunks, where they are known yet."""
        return self.source.n_rows

    def __iter__(self) -> Iterator[Chunk]:
        self.passes += 1
        return self.epoch(self.passes - 1)

    def epoch(self, number: int) -> Iterator[Chunk]:
        """Pass `number`, from 0; the same each time it is asked for."""
        rng = np.random.default_rng([self.seed, number])
        pieces = self.source.pieces
        if pieces is None:
            given = iter(self.source)
        else:
            given = self.source.visit(rng.permutation(len(pieces)))
        waiting: list[Chunk] = []
        for chunk in given:
            waiting.append(chunk)
            del chunk
            if len(waiting) == self.buffer:
                yield from _mixed(waiting, rng)
        yield from _mixed(waiting, rng)


def _mixed(waiting: list[Chunk], rng: Generator) -> Iterator[Chunk]:
    """The rows of some chunks, mixed, in chunks of the first one's size; empties the list."""
    held = [chunk for chunk in waiting if len(chunk[1])]  # those of `Split` may have no row left
    waiting.clear()
    if not held:
        return
    size = len(held[0][1])
    X: Any
    y: Any
    weights: Any
    X, y, weights = zip(*held, strict=True)
    held.clear()
    y, weights = np.concatenate(y), np.concatenate(weights)
    X = _Below(X) if isinstance(X[0], np.ndarray) else stack(X)
    order = rng.permutation(len(y))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield X.part(rows), y[rows], weights[rows]


class _Below:
    """Arrays one below the other, of which rows are taken: no second copy of all of them."""

    def __init__(self, parts: Sequence[Array]) -> None:
        self.parts, self.starts = parts, np.cumsum([0, *map(len, parts)])
        self.dtype = np.result_type(*parts)

    def part(self, rows: Array) -> Array:
        """A copy of these rows."""
        out = np.empty((len(rows), self.parts[0].shape[1]), self.dtype)
        home = np.searchsorted(self.starts, rows, side="right") - 1
        for k, part in enumerate(self.parts):
            there = np.flatnonzero(home == k)
            out[there] = part[rows[there] - self.starts[k]]
        return out


@dataclass(frozen=True, eq=False)
class Split:
    """Checked chunks without the rows that are held out: a share of each chunk, chosen by a seed
    and the chunk's number, hence the same in each pass."""

    source: Checked
    share: float
    seed: int

    @property
    def pieces(self) -> Sequence[Any] | None:
        """Those of the source where each is a chunk, whose number is known; else None."""
        return self.source.pieces if hasattr(self.source.source, "parts") else None

    def __iter__(self) -> Iterator[Chunk]:
        for number, chunk in enumerate(self.source):
            yield self.part(chunk, number, self.share, self.seed)

    def visit(self, order: Iterable[int]) -> Iterator[Chunk]:
        """Those pieces in this order."""
        for number, chunk in zip(order, self.source.visit(order), strict=True):
            yield self.part(chunk, int(number), self.share, self.seed)

    @staticmethod
    def part(chunk: Chunk, number: int, share: float, seed: int, kept: bool = True) -> Chunk:
        """(X, y, weights) of the rows of this chunk that stay, or of those held out."""
        X, y, weights = chunk
        chosen = (np.random.default_rng([seed, number]).random(len(y)) >= share) == kept
        return X[chosen], y[chosen], weights[chosen]
