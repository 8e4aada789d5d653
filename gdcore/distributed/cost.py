"""J(θ) of a linear model over the partitions of a cluster: each gradient a sum over its workers."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from gdcore import sweeps
from gdcore._typing import Array, State
from gdcore.continuation import rounded, told
from gdcore.cost import SAMPLE, Cost
from gdcore.data import Rows
from gdcore.distributed.rows import DaskRows, Shared
from gdcore.distributed.share import LinearShare
from gdcore.errors import require, require_number
from gdcore.penalised import Penalised
from gdcore.penalties import Penalty
from gdcore.second_order import Product, largest_eigenvalue, with_ridge
from gdcore.survey import Survey
from gdcore.threads import Threads

Steps: TypeAlias = tuple[Callable[..., Any], ...]


class DaskCost(Shared, Penalised):
    """J(θ) = Σ sᵢℓᵢ(θ)/n + penalty(θ) over rows that a Dask cluster holds.

    What `descend` asks of a cost, with any optimizer and rule. θ goes out to an actor on each
    worker, which adds up over its partitions by the kernels and all its threads; sums come back
    in double and in a fixed order, so that they do not depend on who is first. A worker that dies
    costs time: Dask computes its partitions anew. Steps of mini-batches are those that `Cost` would
    take on the same rows, but for rounding.

    Parameters
    ----------
    model : LinearFamily
    rows : DaskRows
    penalty : Penalty
    unit : float
        As of `Cost`.
    local_steps : int, optional
        Steps that each worker takes alone, on mini-batches of its own rows, before θ and the
        optimizer's state are averaged (Stich, 2019), with a result that depends on how many workers
        there are, and on where persisted rows lie; default: θ is the same everywhere at each step.

    Example
    -------
    >>> import dask.array as da, numpy as np, gdcore as gd
    >>> from distributed import Client
    >>> from gdcore.models.family import LinearFamily
    >>> nothing = gd.penalties.Penalty(np.zeros(2), np.zeros(2))
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     X, y = da.arange(4, chunks=2)[:, None], 2 * da.arange(4, chunks=2) + 1
    ...     with gd.distributed.DaskRows(X, y, client=client) as rows:
    ...         model = LinearFamily(gd.losses.Squared(), features=1)
    ...         cost = gd.distributed.DaskCost(model, rows, nothing)
    ...         print(gd.descend(cost, np.zeros(2), gd.optim.LBFGS()).x.round(6))
    [2. 1.]
    """

    loss: Any = None  # in place of the model's, as nodes are told

    def __init__(
        self, model: Any, rows: DaskRows, penalty: Penalty, unit: float = 1.0, *,
        local_steps: int | None = None,
    ) -> None:  # fmt: skip
        if local_steps is not None:
            require_number("local_steps", local_steps, low=1, whole=True)
        self.model, self.penalty, self.unit, self.size = model, penalty, unit, model.size
        self.held, self.rows = rows, rows.survey()
        self.local_steps = local_steps
        self.threads, self.margins = Threads(1), None
        self._begin_there(LinearShare, model, penalty=penalty)

    def like(self, loss: Any) -> "DaskCost":
        """The same cost with another loss."""
        other = object.__new__(DaskCost)
        vars(other).update(vars(self))
        for name in ("bend", "lengths"):
            vars(other).pop(name, None)
        other.model, other.loss, other.threads = self.model.like(loss), loss, Threads(1)
        return other

    def _total(self, name: str, *given: Any) -> Any:
        return self._sum(name, self.loss, *given)

    def value_and_gradient(self, theta: Array, g: Array) -> float:
        """J(θ); its gradient, without the |θ| term's, is written into g."""
        loss, sums = self._total("gradient", theta)
        n = len(self)
        with np.errstate(all="ignore"):
            np.divide(sums, n, out=g)
            self.penalty.add_gradient(theta, g)
            return float(loss / n + self.penalty.value(theta))

    def batch(self, theta: Array, rows: Array, g: Array) -> float:
        """Summed loss of these rows, without the penalty; its gradient is written into g."""
        loss, g[:] = self._total("batch", theta, rows)
        return float(loss)

    def facts(self) -> dict[str, Any]:
        """{name: number or text} by which the cost is known again, on whatever cluster."""
        about: Survey = self.rows
        parts = (about.y, about.weights, about.mean, about.deviation)
        return told(self) | {"rows": [*about.X.shape, *map(rounded, parts)]}

    def validate(self, theta: Array) -> float:
        """The plain mean loss on the rows held out: what early stopping watches."""
        return float(self._total("judged", theta) / self.out)

    def seen(self, theta: Array) -> "DaskPoints":
        """(rows, z) of all rows, where they are."""
        return DaskPoints(self, theta.copy())

    def gather(self, points: "DaskPoints", count: Callable[..., Any]) -> tuple[Array, Any]:
        """(Σ s·r·x̃/n, Σ count/n) of points (rows, z, r) and count(rows, z, r)."""
        sums, total = self._total("gather", points.theta, points.steps, count)
        return sums / len(self), total / len(self)

    def hessian(self, theta: Array) -> Array:
        """The second derivatives (size, size)."""
        return with_ridge(self, self._total("hessian", theta) / len(self))

    def second(self, theta: Array) -> tuple[Product, Array]:
        """(v → H·v, roughly H's diagonal): a product is a sum over the workers."""
        n, ridge, theta = len(self), self.penalty.ridge, theta.copy()
        scale = self._total("bend", theta) / (n * self.model.outputs) + ridge
        scale[scale <= 0] = 1

        def times(v: Array) -> Array:
            product: Array = self._total("times", theta, v) / n + ridge * v
            return product

        return times, scale

    @cached_property
    def lengths(self) -> tuple[float, float]:
        """(mean, largest) squared length of a row as the descent sees it, its 1 included."""
        sums, most = zip(*self._total("lengths"), strict=True)
        return float(sum(sums)) / len(self), float(max(most))

    @cached_property
    def _largest(self) -> float:
        n = len(self)
        return largest_eigenvalue(lambda v: self._total("moments", v) / n, self.model.features + 1)

    def curvature(self) -> float:
        """An upper estimate of the smoothness constant L, as in `Cost`."""
        bound = 1.05 * min(self._largest, self.lengths[0])
        return self.bend * bound + float(self.penalty.ridge.max())

    def about_curvature(self) -> float:
        """The same of a sample of the rows, where there are many more, as in `Cost`."""
        n, row = len(self), self.model.features * self.rows.X.dtype.itemsize // 8
        take = max(SAMPLE, sweeps.CHUNK // max(row, 1))
        if n < 4 * take:
            return self.curvature()
        return Cost(self.model, self.sample(take), self.penalty).curvature()

    def sample(self, take: int) -> Rows:
        """So many of the rows, the same ones in every fit: those that `Cost` would take."""
        chosen = np.random.default_rng(0).choice(len(self), take, replace=False)
        return self._rows("rows", np.sort(chosen), self.loss)

    def sweep(
        self, theta: Array, optimizer: Any, state: State, *, order: Array, rates: Array,
        batch_size: int, average: Array, told: Any = None,
    ) -> float:  # fmt: skip
        """Steps over the batches of `order`, one rate each. Returns J as met on the way."""
        average[:] = 0
        how: dict[str, Any] = {"batch_size": batch_size, "average": average, "told": told}
        step = self._rounds if self.local_steps else self._steps
        total, seen, steps = step(theta, optimizer, state, order=order, rates=rates, **how)
        average /= steps
        return float(total / seen + self.penalty.value(theta))

    def _steps(self, theta: Array, optimizer: Any, state: State, **how: Any) -> Any:
        return sweeps.interpreted(self, theta, optimizer, state, **how)

    def _rounds(
        self, theta: Array, optimizer: Any, state: State, *, order: Array, rates: Array,
        batch_size: int, average: Array, told: Any,
    ) -> tuple[float, int, int]:  # fmt: skip
        """The same in rounds of local steps; `order` only gives them their luck."""
        require(
            told is None,
            "local_steps takes no callbacks with on_step: between two averages there is no θ of "
            "all workers. Leave one of them out.",
        )
        total, seen, weight = 0.0, 0, 0
        names, length = sorted(state), self.local_steps or 1
        for a in range(0, len(rates), length):
            own = rates[a : a + length]
            how = own, batch_size / len(self), int(order[a % len(order)])
            n, loss, sums = self._total("local", theta, optimizer, state, how)
            theta[:] = sums[0] / n
            for name, values in zip(names, sums[1:], strict=True):
                whole = state[name].dtype.kind in "iu"
                state[name][...] = np.rint(values / n) if whole else values / n
            rows = len(own) * batch_size
            total, seen, weight = total + loss / n * rows, seen + rows, weight + len(own)
            if len(average):
                average += len(own) * theta
        return total, seen, weight


class DaskPoints:
    """(rows, z) of each part of all rows, where they are: what is made of them is, too."""

    kept = True

    def __init__(self, cost: DaskCost, theta: Array, steps: Steps = ()) -> None:
        self.cost, self.theta, self.steps = cost, theta, steps

    def then(self, function: Callable[..., tuple[Any, ...]]) -> "DaskPoints":
        """What function(rows, z, …) makes of each part."""
        return DaskPoints(self.cost, self.theta, (*self.steps, function))

    def total(self, count: Callable[..., Any]) -> Any:
        """Σ count(rows, z, …) over the parts."""
        return self.cost._total("points", self.theta, self.steps, count)
