"""J(θ) over chunks of rows that need not fit into memory: read in each pass, summed in order."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, Generator, State
from gdcore.certificate import rounded_off
from gdcore.claims import counted
from gdcore.continuation import rounded, told
from gdcore.cost import SAMPLE, Cost
from gdcore.data import Rows, visiting_order
from gdcore.lines import Margins, Points
from gdcore.newton import FEW
from gdcore.penalised import Penalised
from gdcore.penalties import Penalty
from gdcore.second_order import Product, largest_eigenvalue, loss_hessian, with_ridge
from gdcore.survey import Passes, Survey
from gdcore.threads import Threads, resolve

if TYPE_CHECKING:
    from gdcore.optim.base import Optimizer

SAMPLED = 1 << 22  # numbers of X in a sample at most
KEPT = 48 << 20  # bytes of margins, targets and weights that are kept where chunks allow it


@dataclass(frozen=True, eq=False)
class Targets:
    """What of a chunk's rows is kept beside their margins."""

    y: Array
    weights: Array

    def __len__(self) -> int:
        return len(self.y)


class ChunkCost(Penalised):
    """The mean loss over chunks plus a penalty; each evaluation is a pass over them.

    Margins of up to about a million rows are kept, as `Cost` keeps them, where each pass gives
    the same rows in the same order; those of more rows are computed anew in each pass.

    Parameters
    ----------
    model : LinearFamily
    rows : Survey
    passes : Passes
    penalty : Penalty
    n_threads, unit : as in `Cost`
    """

    margins: Margins | None = None
    shards: list[Targets] | None = (
        None  # `Targets` of each chunk, noted in the first pass where they are to be kept
    )
    noted: tuple[Array, float] | None = (
        None  # (θ, what its corner's rounding takes off) of the last pass
    )
    along = Cost.along

    def __init__(
        self,
        model: Any,
        rows: Survey,
        passes: Passes,
        penalty: Penalty,
        n_threads: int | None = None,
        unit: float = 1.0,
    ) -> None:
        self.model, self.rows, self.passes = model, rows, passes
        self.penalty, self.unit, self.size = penalty, unit, model.size
        self.threads = Threads(resolve(n_threads), products=True)
        self.judge: Any = model  # the loss held out
        self.judged: list[Any] = [None]  # (θ, its value there)
        self._free = Penalty(np.zeros(self.size), np.zeros(self.size))
        self._known: dict[str, Any] = {}
        self.few = passes.steady and len(rows) * 16 * (model.outputs + 1) <= KEPT

    def like(self, loss: Any) -> "ChunkCost":
        """The same cost with another loss."""
        other = ChunkCost(
            self.model.like(loss), self.rows, self.passes, self.penalty, self.threads.n_threads,
            self.unit,
        )  # fmt: skip
        other._known, other.shards = self._known, self.shards
        other.judge, other.judged = self.judge, self.judged
        return other

    def _parts(
        self, watch: Callable[[Rows], object] | None = None, mixed: bool = False
    ) -> Iterator[Cost]:
        """A cost of each chunk alone, without the penalty, weights of mean one over all chunks."""
        targets: Any = [] if self.few and self.shards is None and not mixed else None
        for rows in self.passes.mixed() if mixed else self.passes.each(watch):
            scaled = Rows(rows.X, rows.y, rows.weights / self.passes.mass)
            part = Cost(self.model, scaled, self._free, 1, self.unit)
            part.threads = self.threads
            if targets is not None:
                targets.append(Targets(rows.y, scaled.weights))
            yield part
        if targets is not None:
            self.shards = targets

    def keep_margins(self) -> None:
        """From now on z (n, k) of the θ measured last stays in `margins`, if the rows are few."""
        if self.few:
            self.margins = Margins(len(self), self.model.outputs, list(map(range, self._counts())))

    def _counts(self) -> list[int]:
        return [len(targets) for targets in self.shards] if self.shards else self.passes.counts

    def value_and_gradient(self, theta: Array, g: Array) -> float:
        """J(θ); its gradient, without the |θ| term's, is written into g."""
        total, rest, own = 0.0, 0.0, np.empty_like(g)
        rooms = None if self.margins is None else self.margins.turn(theta)
        rounded = rooms is None and getattr(self.model.loss, "smooth", False)
        score = None if self.passes.held is None else _Score(self.judge, theta)
        g[:] = 0
        with np.errstate(all="ignore"):
            for number, part in enumerate(self._parts(score)):
                if rooms or rounded:
                    z = rooms[number] if rooms else np.empty((len(part), self.model.outputs))
                    part.margins = _Into(z, part.shards)
                share = len(part) / len(self)
                total += share * part.value_and_gradient(theta, own)
                g += share * own
                if rounded:
                    rest += rounded_off(self.model.loss, part.rows, z)
            self.penalty.add_gradient(theta, g)
            self.noted = (theta.copy(), rest / len(self)) if rounded else None
            if score is not None:
                self.judged[0] = theta.copy(), score.mean()
            value = total + self.penalty.value(theta)
        self._require_sound(value, g)
        return value

    def _require_sound(self, value: float, sums: Array) -> None:
        """Refuse rows that were sound in the first pass, where what is summed over them is not."""
        if not (math.isfinite(value) and kernels.all_finite(sums.reshape(-1))):
            self.passes.doubt()

    def memory(self) -> dict[str, Any]:
        """How many passes by a shuffle were begun: each has an order of its own."""
        return {"passes": getattr(self.passes.given, "passes", 0)}

    def put_back(self, memory: dict[str, Any], theta: Array) -> None:
        """Go on with the next of them. Changes the shuffle."""
        if hasattr(self.passes.given, "passes"):
            self.passes.given.passes = counted(memory, "passes")
        super().put_back(memory, theta)

    def facts(self) -> dict[str, Any]:
        """{name: number or text} by which the cost is known again."""
        about = self.rows
        parts = (about.y, about.weights, about.mean, about.deviation)
        return told(self) | {"rows": [*about.X.shape, *map(rounded, parts)]}

    def validate(self, theta: Array) -> float:
        """The plain mean loss on the rows held out: what early stopping watches."""
        if self.judged[0] is None or not np.array_equal(self.judged[0][0], theta):
            score = _Score(self.judge, theta)
            for _ in self.passes.each(score):
                pass
            self.judged[0] = theta.copy(), score.mean()
        return float(self.judged[0][1])

    def seen(self, theta: Array) -> Points:
        """(rows, z) of all rows as `Points`: kept ones of few rows, else a pass in each walk."""
        if not self.few:
            return Points(lambda: self._walk(theta), False)
        z = None if self.margins is None else self.margins.of(theta)
        if z is None:
            z = [np.concatenate(part.margins_at(theta)) for part in self._parts()]
        return Points(list(zip(self.shards or (), z, strict=True)), True)

    def _walk(self, theta: Array) -> Iterator[tuple[Any, ...]]:
        for part in self._parts():
            yield from zip(part.shards, part.margins_at(theta), strict=True)

    def gather(self, points: Points, count: Callable[..., Any]) -> tuple[Array, Any]:
        """(Σ s·r·x̃/n, Σ count/n) of points (rows, z, r) and count(rows, z, r), in one pass."""
        total, counted, out = np.zeros(self.size), 0.0, np.zeros(self.size)
        if points.kept:
            for part, point in zip(self._parts(), points, strict=True):
                cuts = np.cumsum([len(shard) for shard in part.shards[:-1]])
                total += part.combine(np.split(point[2], cuts)) * len(part)
                counted = counted + count(*point)
        else:
            for rows, z, r in points:
                out[:] = 0
                self.model.combine(rows, r * rows.weights[:, None], out)
                total += out
                counted = counted + count(rows, z, r)
        return total / len(self), counted / len(self)

    def hessian(self, theta: Array) -> Array:
        """The second derivatives (size, size)."""
        H = np.zeros((self.size, self.size))
        for part in self._parts():
            H += (len(part) / len(self)) * loss_hessian(part, theta)
        self._require_sound(0.0, H)
        return with_ridge(self, H)

    def second(self, theta: Array) -> tuple[Product, Array]:
        """(v → H·v, roughly H's diagonal): a product is a pass."""

        def times(v: Array) -> Array:
            total = self.penalty.ridge * v
            for part in self._parts():
                total += (len(part) / len(self)) * part.second(theta)[0](v)
            return total

        return times, self.bend + self.penalty.ridge

    @property
    def lengths(self) -> tuple[float, float]:
        """(mean, largest) squared length of a row as the descent sees it, its 1 included."""
        if "lengths" not in self._known:
            self._known["lengths"] = self._measure()
        lengths: tuple[float, float] = self._known["lengths"]
        return lengths

    def _measure(self) -> tuple[float, float]:
        mean = most = 0.0
        for part in self._parts():
            own, longest = self.model.measure(part.rows)
            mean, most = mean + own * len(part) / len(self), max(most, longest)
        return mean, most

    @property
    def _largest(self) -> float:
        if "largest" not in self._known:
            self._known["largest"] = self._eigenvalue()
        return float(self._known["largest"])

    def _eigenvalue(self) -> float:
        """The largest eigenvalue of the rows' second moments."""
        width = self.model.features + 1
        if width <= FEW:
            H = np.zeros((width, width))
            for part in self._parts():
                own = np.zeros_like(H)
                self.model.add_moments(part.rows, part.rows.weights, own)
                H += own / len(self)
            return float(np.linalg.eigvalsh(H)[-1])

        def times(v: Array) -> Array:
            total = np.zeros(width)
            for part in self._parts():
                total += part.second_moments(v) * (len(part) / len(self))
            return total

        start = self._sampled_eigenvector()
        return largest_eigenvalue(times, width, rounds=40 if start is None else 8, start=start)

    def _sampled_eigenvector(self) -> Array | None:
        """That of some rows, from where a few passes do; None for sparse ones."""
        rows = self.sample(SAMPLE)
        if rows is None:
            return None
        part, found = Cost(self.model, rows, self._free, 1), []

        def times(v: Array) -> Array:
            found.append(part.second_moments(v))
            return found[-1]

        return found[-1] if largest_eigenvalue(times, self.model.features + 1) > 0 else None

    def sample(self, take: int) -> Rows | None:
        """About so many rows of all chunks, the same in every fit, fewer if they are wide; None for
        sparse ones."""
        take = min(take, SAMPLED // self.model.features)
        rng, kept, share = np.random.default_rng(0), [], take / len(self)
        for rows in self.passes.each():
            chosen = np.flatnonzero(rng.random(len(rows)) < share)
            if len(chosen):
                kept.append(rows.part(chosen))
        if not kept or not isinstance(kept[0].X, np.ndarray):
            return None
        X, y, weights = (
            np.concatenate([getattr(part, field) for part in kept])
            for field in ("X", "y", "weights")
        )
        return Rows(X, y, weights / weights.mean())

    def curvature(self) -> float:
        """An upper estimate of the smoothness constant L, as in `Cost`."""
        bound = 1.05 * min(self._largest, self.lengths[0])
        return self.bend * bound + float(self.penalty.ridge.max())

    def order(self, rng: Generator) -> "_Order":
        """A generator's seed for the order of rows within chunks, as long as the rows are many."""
        return _Order(len(self), rng)

    def sweep(
        self,
        theta: Array,
        optimizer: "Optimizer",
        state: State,
        *,
        order: "_Order",
        rates: Array,
        batch_size: int,
        average: Array,
        told: Any = None,
    ) -> float:
        """Steps over the batches of each chunk in its turn, its rows mixed. Returns J as met.

        A batch ends where its chunk does; the rates of batches that are not full are those of the
        batches they would be part of. `told`, if any, hears of each step, as in `Cost`.
        """
        total, at, taken, seen = 0.0, 0, 0, 0
        mean = np.zeros_like(average)
        for part in self._parts(mixed=True):
            rows = visiting_order(len(part), order.rng)
            count = -(-len(rows) // batch_size)
            own = rates[np.minimum(np.arange(at, at + count), len(rates) - 1)]
            at += len(rows) // batch_size
            part.penalty = self.penalty
            met = part.sweep(
                theta, optimizer, state, order=rows, rates=own, batch_size=batch_size,
                average=average, told=told,
            )  # fmt: skip
            stopped = told is not None and told.stopped
            share = told.rows - seen if stopped else len(rows)
            mean += (told.taken - taken if stopped else count) * average
            taken = told.taken if stopped else taken + count
            seen += share
            total += share * (met - self.penalty.value(theta))
            if stopped:
                break
        average[:] = mean / taken
        return total / seen + self.penalty.value(theta)


class _Order:
    """As long as all rows, and a generator for the order of each chunk's."""

    def __init__(self, n: int, rng: Generator) -> None:
        self.n, self.rng = n, rng

    def __len__(self) -> int:
        return self.n


class _Into:
    """Margins of one chunk, written into a room of all rows', in the parts of its shards."""

    def __init__(self, room: Array, shards: Sequence[Any]) -> None:
        cuts = np.cumsum([0, *map(len, shards)]).tolist()
        self.parts = [room[a:b] for a, b in pairwise(cuts)]

    def turn(self, theta: Array) -> list[Array]:
        """Where to write them."""
        return self.parts

    def of(self, theta: Array) -> None:
        """Nothing is known yet."""
        return None


class _Score:
    """The mean loss over rows that come chunk by chunk."""

    def __init__(self, model: Any, theta: Array) -> None:
        self.model, self.theta, self.g = model, theta, np.zeros(model.size)
        self.total = self.mass = 0.0

    def __call__(self, rows: Rows) -> None:
        self.total += self.model.add_cost_and_gradient(self.theta, rows, self.g)
        self.mass += float(rows.weights.sum())

    def mean(self) -> float:
        """Of all so far."""
        return self.total / self.mass
