"""Rows of Dask collections, held by the workers of a cluster, and what is known of them here."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from gdcore._typing import Array
from gdcore.data import Rows, require_summable
from gdcore.distributed.cluster import Cluster, client_for
from gdcore.distributed.pieces import joined
from gdcore.distributed.plan import Coded, Plan, Real
from gdcore.errors import require, require_number
from gdcore.models.classifier import merged
from gdcore.survey import MOST_LABELS, Survey

NO_WEIGHT = "No row of the partitions has a weight. Give at least one row one."
Encode = Callable[[Array, Array], tuple[Array, Array]]


class DaskRows:
    """The rows of Dask collections, on the workers that hold them, as one table.

    Each partition is checked where it is, once, and kept there until the context ends. Rows have
    numbers from 0 on, in the order of the partitions, without those of weight zero.

    Parameters
    ----------
    X : dask.array (n, p) of dense or sparse blocks, dask.dataframe, or a list of delayed or futures
        In a list each item gives (X, y) or (X, y, weights), and y is left out here.
    y : dask.array, column of a dask.dataframe, or array (n,)
        With the partitions of X; arrays are cut as X is.
    weights : the same, optional
    client : distributed.Client, optional
        Default: that of the process.
    n_threads : int, optional
        Of each worker; default: as many as it has.

    Raises
    ------
    ImportError, TypeError, ValueError
        Without Dask or a client; for partitions that do not hold together, by their number.

    Example
    -------
    >>> import dask.array as da, numpy as np, gdcore as gd
    >>> from distributed import Client
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     X, y = da.ones((6, 2), chunks=(3, 2)), da.arange(6, chunks=3)
    ...     with gd.distributed.DaskRows(X, y, client=client) as rows:
    ...         print(len(rows), rows.survey().mean)
    6 [1. 1.]
    """

    def __init__(
        self, X: Any, y: Any = None, weights: Any = None, *, client: Any = None,
        n_threads: int | None = None,
    ) -> None:  # fmt: skip
        if n_threads is not None:
            require_number("n_threads", n_threads, low=1, whole=True)
        self.cluster = Cluster(client_for(client), n_threads, X, y, weights)
        self.plan: Plan | None = None
        self.about: Any = None
        self.begun = 0  # how many costs: nodes have a share of the last one alone

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.cluster.__exit__(*error)

    def __len__(self) -> int:
        return len(self.survey())

    def labels(self) -> tuple[Array, Array]:
        """(classes, the weight of each)."""
        found = sorted(self.cluster.total("labels"), key=lambda each: each[0])
        kinds = {_kind(value) for _, values, _ in found for value in values.tolist()[:1]}
        if len(kinds) > 1:
            raise TypeError("y mixes strings and numbers. Pass labels of one kind.")
        classes = merged(*(values for _, values, _ in found))
        masses = np.zeros(len(classes))
        for _, values, weights in found:
            masses[np.searchsorted(classes, values)] += weights
        require(masses.any(), NO_WEIGHT)
        return classes, masses

    def survey(self, encode: Encode | None = None, held: tuple[float, int] | None = None) -> Survey:
        """What one pass tells of all rows, with targets as `encode` gives them; default: numbers.

        With `held`, (share, seed), that share of the rows of each partition is held out.
        """
        if self.about is not None and encode is None:
            known: Survey = self.about
            return known
        plan = Plan(encode or Real(), held)
        tally, counts, out = self.cluster.total("survey", plan)
        require(
            tally.n or not out,
            f"early_stopping needs rows to train on, and holds out all {out} rows of partitions. "
            "Pass more of them, or a smaller validation_fraction.",
        )
        require(tally.n, NO_WEIGHT)
        require(
            held is None or out,
            f"early_stopping needs rows to hold out, and {tally.n} rows in partitions leave none. "
            "Pass more rows, or a larger validation_fraction.",
        )
        require_summable(tally.spread.mass)
        first, at = {}, 0
        for number, count in sorted(counts):
            first[number], at = at, at + count
        self.plan = replace(plan, first=first, mass=tally.spread.mass / tally.n)
        about = tally.survey()
        self.about = about = replace(about, X=replace(about.X, dtype=self.cluster.dtype))
        if isinstance(encode, Coded):  # classes that only rows held out have
            masses = encode.masses * encode.factors
            if len(masses) <= MOST_LABELS:
                masses = np.zeros(len(masses))
                masses[about.y.astype(int)] = about.weights
            self.about = replace(about, y=np.arange(float(len(masses))), weights=masses)
        elif isinstance(encode, Real) and encode.check is not None:
            encode.check(np.average(about.y, weights=about.weights, keepdims=True))
        survey: Survey = self.about
        return survey

    @property
    def width(self) -> int:
        """Columns of X."""
        return self.cluster.filled.columns

    @property
    def targets(self) -> int | None:
        """Columns of y; None of a vector."""
        return self.cluster.filled.targets

    def require_vector(self) -> None:
        """Refuse several targets a row, which linear models do not take."""
        require(
            self.targets is None,
            f"y must have one dimension, and it has {self.targets} columns. Pass a vector.",
        )

    def require_dense(self) -> None:
        """Refuse sparse blocks, which networks do not take."""
        if self.cluster.filled.sparse:
            raise TypeError(
                "X has sparse blocks, but dense data is required. Pass X.map_blocks(lambda block: "
                "block.toarray())."
            )

    def target_moments(self) -> tuple[Array, Array]:
        """(mean, deviation) of each target as it came."""
        tally = self.cluster.total("survey", Plan(Real()))[0]
        require(tally.n, NO_WEIGHT)
        return tally.target.mean, tally.target.deviation()

    def begin(self, kind: Any, model: Any, **settings: Any) -> float:
        """Let all nodes make their share, of this kind. The weight of the rows held out."""
        self.survey()
        assert self.plan is not None
        self.begun += 1
        return self.cluster.begin(replace(self.plan, kind=kind, model=model, settings=settings))


class Shared:
    """A cost whose sums are those of the nodes' shares of it; nodes have that of one cost alone."""

    held: DaskRows
    out: float  # the weight of the rows held out

    def _begin_there(self, kind: Any, model: Any, **settings: Any) -> None:
        """Let the nodes make their share, of this kind."""
        self._share = kind, model, settings
        self.out = self.held.begin(kind, model, **settings)
        self.begun = self.held.begun

    def _sum(self, name: str, *given: Any) -> Any:
        """What method `name` of the shares gives, summed."""
        if self.begun != self.held.begun:  # another cost of these rows was made since
            kind, model, settings = self._share
            self._begin_there(kind, model, **settings)
        return self.held.cluster.total(name, *given)

    def _rows(self, name: str, numbers: Array, *given: Any) -> Rows:
        """A copy of these rows, by method `name` of the shares."""
        found: Sequence[tuple[int, Rows]] = self._sum(name, *given, numbers)
        return joined([rows for _, rows in sorted(found, key=lambda each: each[0])])


def _kind(label: object) -> type:
    return next((kind for kind in (str, bytes) if isinstance(label, kind)), float)
