"""The rows of several partitions as one, each with the number that it has among all rows."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.data import MOST_SHARDS, Rows
from gdcore.sparse import stack


class Placed:
    """Partitions one below the other, as a cost asks for rows; nothing is copied but batches."""

    def __init__(self, rows: Sequence[tuple[int, Rows]]) -> None:
        self.starts = [start for start, _ in rows]  # among all rows of the cluster
        self.parts = [part for _, part in rows]
        self.cuts = np.cumsum([0, *map(len, self.parts)]).tolist()  # among those of here
        self.first = self.starts[0] if rows else 0

    def __len__(self) -> int:
        return int(self.cuts[-1])

    def shards(self) -> list[Rows]:
        """Those of each partition, in their order; of many partitions few each: calls cost time."""
        found = []
        for part in self.parts:
            shards = part.shards()
            each = max(1, min(len(shards), MOST_SHARDS // len(self.parts)))
            cuts = np.linspace(0, len(part), each + 1).astype(np.intp).tolist()
            found += [part.part(slice(a, b)) for a, b in pairwise(cuts)]
        return found

    def found(self, numbers: Array) -> list[tuple[int, Rows]]:
        """(number of the first row, which of these rows it has) of each partition."""
        return self._found(numbers, self.starts)

    def chosen(self, numbers: Array) -> Rows | None:
        """Those of these rows of all that are here, or None."""
        found = self.found(numbers)
        return joined([part for _, part in found]) if found else None

    def part(self, numbers: Array) -> Rows:
        """These rows of those that are here."""
        return joined([part for _, part in self._found(numbers, self.cuts[:-1])])

    def _found(self, numbers: Array, starts: Sequence[int]) -> list[tuple[int, Rows]]:
        found = []
        for start, part in zip(starts, self.parts, strict=True):
            own = numbers[(numbers >= start) & (numbers < start + len(part))] - start
            if len(own):
                found.append((start, part.part(own)))
        return found


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows one below the other."""
    if len(parts) == 1:
        return parts[0]
    X: Any = [part.X for part in parts]
    dense = isinstance(X[0], np.ndarray)
    return Rows(
        np.concatenate(X) if dense else stack(X),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.weights for part in parts]),
    )
