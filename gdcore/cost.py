"""J(θ) = weighted mean loss + penalty: a sum over shards of examples, by threads."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gdcore import kernels, sweeps
from gdcore._typing import Array, Generator, State
from gdcore.continuation import fingerprint, told
from gdcore.data import Rows, visiting_order
from gdcore.lines import Margins, Points
from gdcore.penalised import Penalised
from gdcore.penalties import Penalty
from gdcore.scores import score_of
from gdcore.second_order import Product, curvature, hessian, largest_eigenvalue
from gdcore.threads import Threads, resolve

if TYPE_CHECKING:
    from gdcore.optim.base import Optimizer

__all__ = ["Cost", "PlainCost"]

SAMPLE = 8192  # rows at least that are to tell what all are like


class Cost(Penalised):
    """J(θ) = Σ sᵢℓᵢ(θ)/n + penalty(θ) over examples with weights sᵢ of mean one.

    The gradient is a sum over shards cut by the data alone and added in their order: J and ∇J have
    the same bits for any number of threads. Use it as a context, which holds the threads.

    Parameters
    ----------
    model : object with `size`, `add_cost_and_gradient(θ, shard, g)` and `sweep(…)`
    rows : Rows
    penalty : Penalty
    n_threads : int, optional
        Default: the cores that this process may use.
    unit : float
        The size that coordinates of θ are expected to have; automatic rates of rules whose step
        does not grow with the gradient (Adam and its kin) start in proportion to it.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> from gdcore.data import Rows
    >>> from gdcore.models.family import LinearFamily
    >>> rows = Rows(np.array([[1.0], [2.0]]), np.array([1.0, 2.0]), np.ones(2))
    >>> nothing = gd.penalties.Penalty(np.zeros(2), np.zeros(2))
    >>> cost = gd.Cost(LinearFamily(gd.losses.Squared(), features=1), rows, nothing)
    >>> cost.value_and_gradient(np.zeros(2), g := np.empty(2)), g
    (1.25, array([-2.5, -1.5]))
    """

    def __init__(
        self,
        model: Any,
        rows: Rows,
        penalty: Penalty,
        n_threads: int | None = None,
        unit: float = 1.0,
    ) -> None:
        self.model, self.rows, self.penalty, self.unit = model, rows, penalty, unit
        self.shards = rows.shards()
        self.size = model.size
        self.threads = Threads(resolve(n_threads))
        self._parts = np.zeros((len(self.shards), model.size))
        self._penalised = bool(penalty.ridge.any() or penalty.lasso.any())
        self._curvature: float | None = None
        self.margins: Any = None  # `Margins`, where they are kept

    def facts(self) -> dict[str, Any]:
        """{name: number or text} by which the cost is known again."""
        return told(self) | {"rows": fingerprint(self.rows)}

    def like(self, loss: Any) -> "Cost":
        """The same cost with another loss."""
        other = self.model.like(loss)
        return Cost(other, self.rows, self.penalty, self.threads.n_threads, self.unit)

    def keep_margins(self) -> None:
        """From now on z (n, k) of the θ measured last stays in `margins`, if the model has any."""
        if not hasattr(self.model, "write_margins"):
            return
        self.margins = Margins(len(self), self.model.outputs, self.shards)
        self.threads.hold_blas()  # whose threads would change the bits of second-order steps

    def margins_at(self, theta: Array) -> list[Array]:
        """z (n, k) in the parts of the shards: those kept, if they are of this θ, or new ones."""
        kept = None if self.margins is None else self.margins.of(theta)
        if kept is not None:
            known: list[Array] = kept
            return known
        parts = [np.empty((len(shard), self.model.outputs)) for shard in self.shards]
        work = list(zip(self.shards, parts, strict=True))
        self.threads.map(lambda part: self.model.write_margins(theta, *part), work)
        return parts

    def baseline(self, theta: Array, value: float) -> float:
        """A cost that no descent has business far above: the larger of J(θ) and J(0), whose margins
        are zeros."""
        if not hasattr(self.model, "write_margins"):
            return super().baseline(theta, value)
        loss, k = self.model.loss, self.model.outputs
        parts = [s.weights @ loss.value(np.zeros((len(s), k)), s.y) for s in self.shards]
        return max(value, float(sum(parts)) / len(self))

    def value_and_gradient(self, theta: Array, g: Array) -> float:
        """J(θ); its gradient, without the |θ| term's, is written into g."""
        kept = None if self.margins is None else self.margins.turn(theta)
        add = self.model.add_cost_and_gradient
        with np.errstate(all="ignore"):
            if len(self.shards) == 1:
                g[:] = 0
                loss = add(theta, self.shards[0], g, *(kept or ()))
            else:
                self._parts[:] = 0
                work = list(zip(self.shards, self._parts, *((kept,) if kept else ()), strict=True))
                loss = sum(self.threads.map(lambda part: add(theta, *part), work))
                self._parts.sum(axis=0, out=g)
            g /= len(self.rows)
            value: float = loss / len(self.rows)
            if self._penalised:
                self.penalty.add_gradient(theta, g)
                value += self.penalty.value(theta)
            return value

    def batch(self, theta: Array, rows: Array, g: Array) -> float:
        """Summed loss of these rows, without the penalty; its gradient is written into g."""
        g[:] = 0
        loss: float = self.model.add_cost_and_gradient(theta, self.rows.part(rows), g)
        return loss

    def sample(self, take: int) -> Rows:
        """So many of the rows: the same ones in every fit."""
        some: Rows = self.rows.sample(take)
        return some

    def along(self, parts: Sequence[tuple[Array, Array, float]]) -> tuple[float, float]:
        """(mean loss, its slope) on the line of margins z + t·dz, from (z, dz, t) of the shards."""
        loss = self.model.loss

        def one(part: Any) -> tuple[float, float]:
            shard, (z, dz, t) = part
            at = z + t * dz
            slopes = (np.asarray(loss.slope(at, shard.y)) * dz).sum(axis=1)
            return shard.weights @ loss.value(at, shard.y), shard.weights @ slopes

        with np.errstate(all="ignore"):
            sums = self.threads.map(one, list(zip(self.shards, parts, strict=True)))
        mean, slope = (float(sum(each)) / len(self) for each in zip(*sums, strict=True))
        return mean, slope

    def combine(self, slopes: Sequence[Array]) -> Array:
        """Σ s·r·x̃/n over all rows, for slopes r of each shard's rows (n, k)."""
        parts = np.zeros((len(self.shards), self.size))

        def one(part: tuple[Rows, Array, Array]) -> None:
            shard, r, out = part
            self.model.combine(shard, r * shard.weights[:, None], out)

        self.threads.map(one, list(zip(self.shards, slopes, parts, strict=True)))
        mean: Array = parts.sum(axis=0) / len(self)
        return mean

    def seen(self, theta: Array) -> Points:
        """(shard, z) of all rows as `Points`, for proofs."""
        return Points(list(zip(self.shards, self.margins_at(theta), strict=True)), True)

    def gather(self, points: Points, count: Callable[..., Any]) -> tuple[Array, Any]:
        """(Σ s·r·x̃/n, Σ count/n) of points (shard, z, r) and count(shard, z, r)."""
        total = points.total(count)
        return self.combine([r for _, _, r in points]), total / len(self)

    def sweep(
        self, theta: Array, optimizer: "Optimizer", state: State, *, order: Array, rates: Array,
        batch_size: int, average: Array, told: sweeps.Told | None = None,
    ) -> float:  # fmt: skip
        """Steps over the batches of `order`, one rate each. Returns J as met on the way.

        A compiled epoch where the model and the optimizer have one; else a loop over batches.
        `average`, unless empty, becomes the mean of θ over the steps. told(θ, loss, rows), if any,
        hears of each step and ends the epoch where it answers True.
        """
        average[:] = 0
        plan: dict[str, Any] = {"order": order, "rates": rates, "batch_size": batch_size}
        if self.model.compiled(optimizer.rule, self.rows, self.penalty, rates):
            if told is not None:
                count = sweeps.rehearsed(self, theta, optimizer, state, **plan, told=told)
                plan |= {"order": order[: count * batch_size], "rates": rates[:count]}
            total = sweeps.compiled(self, theta, optimizer, state, **plan, average=average)
            seen, steps = len(plan["order"]), len(plan["rates"])
        else:
            plan |= {"average": average, "told": told}
            total, seen, steps = sweeps.interpreted(self, theta, optimizer, state, **plan)
        average /= steps
        return total / seen + self.penalty.value(theta)

    def curvature(self) -> float:
        """An upper estimate of the smoothness constant L, ‖∇J(a) − ∇J(b)‖ ≤ L‖a − b‖.

        The largest eigenvalue of the examples' second moments by power iteration, times the
        loss's curvature, and the ridge. Vectors are normalised at every step, so nothing under-
        or overflows; 5 % is added for what the iteration still lacks.
        """
        if self._curvature is None:
            with np.errstate(all="ignore"):
                largest = largest_eigenvalue(self.second_moments, self.model.features + 1)
            bound = 1.05 * min(largest, self.lengths[0])
            self._curvature = self.bend * bound + float(self.penalty.ridge.max())
        return self._curvature

    def about_curvature(self) -> float:
        """L of a sample of the rows, where there are many more: 30 reads of all of them would take
        longer than the epochs of small batches that ask for it. The largest eigenvalue of a sample
        is too large on average, hence safe.
        """
        n = len(self)
        take = max(SAMPLE, sweeps.CHUNK * n // max(1, self.rows.X.nbytes // 8))
        if n < 4 * take:
            return self.curvature()
        part = Cost(self.model, self.sample(take), self.penalty, self.threads.n_threads)
        part.threads = self.threads
        return part.curvature()

    def hessian(self, theta: Array) -> Array:
        """The second derivatives (size, size)."""
        return hessian(self, theta)

    def second(self, theta: Array) -> tuple[Product, Array]:
        """(v → H·v, roughly H's diagonal)."""
        return curvature(self, theta)

    @cached_property
    def lengths(self) -> tuple[float, float]:
        """(mean, largest) squared length of a row as the descent sees it, its 1 included."""
        lengths: tuple[float, float] = self.model.measure(self.rows, self.threads.map)
        return lengths

    def second_moments(self, v: Array) -> Array:
        """(Σ sᵢ x̃ᵢx̃ᵢᵀ / n) v: the gradient of the squared loss at θ = v with targets zero."""
        parts = np.zeros((len(self.shards), self.model.features + 1))
        work = [(s, s.weights, out) for s, out in zip(self.shards, parts, strict=True)]
        self.threads.map(lambda part: self.model.add_product(v, *part), work)
        product: Array = parts.sum(axis=0) / len(self.rows)
        return product


class PlainCost(ABC):
    """A cost without data or penalty: all that a subclass must give is value_and_gradient(θ, g).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> class Parabola(gd.cost.PlainCost):
    ...     def value_and_gradient(self, theta, g):
    ...         g[:] = theta
    ...         return float(theta @ theta) / 2
    >>> rule = gd.convergence.GradientNorm(1e-6)
    >>> gd.descend(Parabola(), np.ones(2), gd.optim.LBFGS(), stop=rule).status.name
    'GRADIENT'
    """

    unit = 1.0

    @abstractmethod
    def value_and_gradient(self, theta: Array, g: Array) -> float:
        """J(θ); its gradient is written into g."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def __len__(self) -> int:
        return 1

    def steepest(self, theta: Array, g: Array) -> Array:
        """The shortest subgradient."""
        return g

    def norm(self, theta: Array, g: Array) -> float:
        """What the rules call ‖∇J‖."""
        return kernels.norm(self.steepest(theta, g))

    def prox(self, theta: Array, reach: float | Array) -> None:
        """Nothing to be shrunk or projected."""
        return None

    def free(self, theta: Array, g: Array) -> Array | None:
        """None: no bounds."""
        return None

    def leave(self, run: Any) -> None:
        """Told when a descent has ended."""
        return None

    def memory(self) -> dict[str, Any]:
        """{name: number} of what the rest of a descent depends on beside θ, for checkpoints."""
        return {}

    def put_back(self, memory: dict[str, Any], theta: Array) -> None:
        """Told of a descent that goes on at θ from a checkpoint, with what `memory` gave."""
        return None

    def facts(self) -> dict[str, Any]:
        """{name: number or text} by which a checkpoint knows the cost again."""
        return {}

    def baseline(self, theta: Array, value: float) -> float:
        """A cost above which a descent that goes on has gone astray."""
        return value + max(1.0, abs(value))

    def order(self, rng: Generator) -> Array:
        """Row numbers in the order in which an epoch visits them."""
        return visiting_order(len(self), rng)

    def safe_rate(self, batch_size: int) -> float | None:
        """A step length for plain gradient descent, where there is none better."""
        return 1.0


def held_out(model: Any, rows: Rows) -> Callable[[Array], tuple[float, float]]:
    """(the plain mean loss, the score) on other rows, as a function of θ."""
    parts, mass, z = rows.shards(), float(rows.weights.sum()), np.empty((len(rows), model.outputs))
    rooms = np.split(z, np.cumsum([len(part) for part in parts[:-1]]))

    def judge(theta: Array) -> tuple[float, float]:
        g, loss = np.zeros(model.size), 0.0
        for part, room in zip(parts, rooms, strict=True):
            loss += model.add_cost_and_gradient(theta, part, g, room)
        return loss / mass, score_of(model.loss, z, rows.y, rows.weights)

    vars(judge)["rows"] = rows  # by which a checkpoint knows them again
    return judge
