"""What a node needs to know of a fit beside its partitions: small, and the same for all nodes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.data import Rows, as_numbers, require_finite
from gdcore.distributed.partitions import Partition
from gdcore.errors import require
from gdcore.models.labels import as_label_matrix
from gdcore.passes import Split, counted_rows


@dataclass(frozen=True, eq=False)
class Plan:
    """How rows become those of a cost, and which share of a cost a node is to make of them.

    With `held`, (share, seed), that share of the rows of each partition is held out, the same ones
    in each fit.
    """

    encode: Callable[[Array, Array], tuple[Array, Array]]  # (y, weights) as the cost has them
    held: tuple[float, int] | None = None
    mass: float = 1.0  # mean weight of all rows
    first: dict[int, int] = field(default_factory=dict)  # number of each partition's first row
    kind: Any = None  # the share's class, and what it is made of beside the rows
    model: Any = None
    settings: dict[str, Any] = field(default_factory=dict)

    def rows(self, number: int, part: Partition) -> Rows:
        """Those of a partition that have a weight and are not held out."""
        X, y, weights = part
        chunk = X, *self.encode(y, weights)
        return counted_rows(
            *(chunk if self.held is None else Split.part(chunk, number, *self.held))
        )

    def held_rows(self, number: int, part: Partition) -> Rows:
        """Those that are held out."""
        X, y, weights = part
        if self.held is None:
            return Rows(X[:0], y[:0], weights[:0])
        chunk = X, *self.encode(y, weights)
        return counted_rows(*Split.part(chunk, number, *self.held, kept=False))


@dataclass(frozen=True)
class Real:
    """Targets as numbers; check(y), if any, refuses some."""

    check: Callable[[Array], None] | None = None

    def __call__(self, y: Any, weights: Array) -> tuple[Array, Array]:
        y = np.ascontiguousarray(as_numbers(y, "y"), np.float64)
        require_finite(y, "y")
        if self.check is not None:
            self.check(np.append(y[weights > 0], 1.0))  # others may have what this part lacks
        return y, weights


@dataclass(frozen=True, eq=False)
class Scaled:
    """Targets as numbers, less their mean, in units of their deviation; one, or k a row."""

    mean: Array
    deviation: Array

    def __call__(self, y: Any, weights: Array) -> tuple[Array, Array]:
        y, weights = Real()(y, weights)
        return (y - self.mean) / self.deviation, weights


@dataclass(frozen=True)
class Marked:
    """Zeros and ones, a column a label."""

    def __call__(self, y: Any, weights: Array) -> tuple[Array, Array]:
        return as_label_matrix(y, len(weights)), weights


@dataclass(frozen=True, eq=False)
class Coded:
    """Labels as numbers of classes, their weights times a factor of the class."""

    classes: Array
    factors: Array
    masses: Array  # of each class, without factors

    def __call__(self, y: Any, weights: Array) -> tuple[Array, Array]:
        codes = np.searchsorted(self.classes, y)
        known = np.minimum(codes, len(self.classes) - 1)
        require(
            bool((self.classes[known] == y).all()),
            "A partition gave other labels than before. Pass collections that give the same rows "
            "each time.",
        )
        return codes.astype(np.float64), weights * self.factors[codes]
