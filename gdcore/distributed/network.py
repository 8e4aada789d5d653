"""J(θ) of a network over the partitions of a cluster: a worker's share, and the sum of all."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.continuation import rounded
from gdcore.data import Rows, visiting_order
from gdcore.distributed.pieces import Placed, joined
from gdcore.distributed.rows import DaskRows, Shared
from gdcore.models.network import Network, Scaling, targets
from gdcore.models.network_cost import NetworkCost
from gdcore.models.networked import LOOKED_AT, Networked

AT_ONCE = 1 << 23  # bytes of X that go through the network at once
MANY = 1 << 20  # parts of one step that have keys of their own


class NetworkShare:
    """Sums over the rows of one worker, which go through the network some at a time."""

    def __init__(
        self, plan: Any, rows: Sequence[tuple[int, Rows]], held: Sequence[Rows], n_threads: int
    ) -> None:
        self.placed, self.held, self.model = Placed(rows), held, plan.model
        self.scaling: Scaling = plan.settings["scaling"]
        self.at_once = 0
        self.cost: Any = None
        if len(self.placed):
            X, y = self.placed.parts[0].X, self.placed.parts[0].y
            self.at_once = max(1, min(len(self.placed), AT_ONCE // X[:1].nbytes))
            room = Rows(
                np.zeros((self.at_once, *X.shape[1:]), plan.settings["dtype"]),
                np.zeros((self.at_once, *y.shape[1:])),
                np.full(self.at_once, 2.0),  # others than 1, which are looked up for each row
            )
            self.cost = NetworkCost(self.model, room, scaling=self.scaling, n_threads=n_threads)
            self.room, self.seed = room, plan.settings["seed"]
            self.cost.__enter__()

    def close(self) -> None:
        """End the threads."""
        if self.cost is not None:
            self.cost.__exit__()

    def gradient(self, theta: Array, rows: Array | None, step: int, training: bool) -> Any:
        """(rows, Σ s·ℓ, its gradient, statistics times rows), of those of these rows that are here,
        or of all."""
        found, loss = 0, 0.0
        sums, statistics = np.zeros(len(theta)), np.zeros(0)
        for start, number, part in self._some(rows):
            n = self._enter(part)
            self.cost.seed, self.cost.steps = self.seed + start, step * MANY + number
            g = self.cost._gradient_like(theta)
            loss += self.cost.gradient(theta, g, np.arange(n), training)
            sums += np.multiply(g, n, dtype=np.float64)
            found += n
        if not found:
            return None
        kept = self.cost._kept(theta)
        if kept:
            statistics = np.concatenate(kept).astype(np.float64) * found
        return found, loss, sums, statistics

    def _some(self, rows: Array | None) -> Iterator[tuple[int, int, Rows]]:
        """(first row of the partition, a number, rows that go through at once): what dropout is to
        depend on is the same on whatever worker."""
        parts = list(zip(self.placed.starts, self.placed.parts, strict=True))
        if rows is not None:
            parts = self.placed.found(rows)
            if not self.model.layers.random and len(parts) > 1:
                parts = [(0, joined([part for _, part in parts]))]
        for start, part in parts:
            for number, a in enumerate(range(0, len(part), self.at_once)):
                yield start, number, part.part(slice(a, a + self.at_once))

    def _enter(self, part: Rows) -> int:
        """Put rows where they go through the network; how many."""
        n = len(part)
        for name in ("X", "y", "weights"):
            getattr(self.room, name)[:n] = getattr(part, name)
        return n

    def judged(self, theta: Array) -> float:
        """Σ s·ℓ over the rows held out here."""
        total = 0.0
        for rows in self.held:
            z = self.model.predict(theta, rows.X, self.scaling)
            y = targets(rows.y, self.model.loss)
            with np.errstate(all="ignore"):
                total += self.model.head(z, y, rows.weights, 1.0, np.empty_like(z))
        return total

    def rows(self, numbers: Array) -> list[tuple[int, Rows]]:
        """Those of these rows that are here, with the number of the first row of each part."""
        return self.placed.found(numbers)


class DaskNetworkCost(Shared, Networked):
    """J(θ) of a network over rows that a Dask cluster holds, as `NetworkCost` has it for others.

    Gradients of mini-batches are those of the same rows on one machine, but for rounding, dropout
    and batch normalisation, whose statistics are a worker's own and are averaged after each step.

    Parameters
    ----------
    network : Network
    rows : DaskRows
    alpha, scaling, full, seed : as in `NetworkCost`

    Example
    -------
    >>> import dask.array as da, numpy as np, gdcore as gd
    >>> from distributed import Client
    >>> from gdcore.models.network import Network
    >>> net = Network([gd.layers.Dense(8, "tanh"), gd.layers.Dense(1)], (1,), gd.losses.Squared())
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     X = da.linspace(-1, 1, 40, chunks=20)[:, None]
    ...     with gd.distributed.DaskRows(X, X[:, 0] ** 2, client=client) as rows:
    ...         cost = gd.distributed.DaskNetworkCost(net, rows, full=True)
    ...         result = gd.descend(cost, net.init(0, np.float64), gd.optim.LBFGS(), max_epochs=100)
    >>> result.fun < 1e-4
    True
    """

    def __init__(
        self, network: Network, rows: DaskRows, *, alpha: float = 0.0, scaling: Scaling = None,
        full: bool = False, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(network, alpha, 1)
        self.held, self.seed = rows, seed
        how = {"scaling": scaling, "seed": seed, "dtype": rows.survey().X.dtype}
        self._begin_there(NetworkShare, network, **how)
        some = self._rows("rows", np.arange(min(len(rows), LOOKED_AT)))
        self._begin(some.X, scaling, full)

    def __len__(self) -> int:
        return len(self.held)

    def gradient(self, theta: Array, g: Array, rows: Array, training: bool = True) -> float:
        """Summed loss over these rows; the gradient of their mean loss and penalty goes into g."""
        return self._summed(theta, g, rows, training)

    def _of_all(self, theta: Array, g: Array, training: bool) -> float:
        """`gradient` over all rows."""
        return self._summed(theta, g, None, training)

    def _summed(self, theta: Array, g: Array, rows: Array | None, training: bool) -> float:
        self.steps += training
        given = theta, rows, self.steps, training
        n, loss, sums, statistics = self._sum("gradient", *given)
        with np.errstate(all="ignore"):
            g[:] = sums / n
        at = 0
        for part in self.frozen:
            size = len(theta[part])
            theta[part] = statistics[at : at + size] / n
            at += size
        self._latest = g
        self._add_decay(theta, g)
        return float(loss)

    def validate(self, theta: Array) -> float:
        """The plain mean loss on the rows held out: what early stopping watches."""
        return float(self._sum("judged", theta) / self.out)

    def order(self, rng: Any) -> Array:
        """Row numbers in the order in which an epoch visits them."""
        return visiting_order(len(self), rng)

    def facts(self) -> dict[str, Any]:
        """{name: number or text} by which the cost is known again, on whatever cluster."""
        about = self.held.survey()
        parts = (about.y, about.weights, about.mean, about.deviation)
        return {
            "loss": type(self.model.loss).__name__, "alpha": self.alpha, "seed": self.seed,
            "layers": repr(self.model.layers), "rows": [*about.X.shape, *map(rounded, parts)],
        }  # fmt: skip
