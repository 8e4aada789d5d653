"""J(θ) over chunks of rows that need not fit into memory: read in each pass, summed in order."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gdcore.cost import Cost, Penalised
from gdcore.data import Rows, Spread, visiting_order
from gdcore.errors import require
from gdcore.newton import FEW
from gdcore.penalties import Penalty
from gdcore.second_order import largest_eigenvalue
from gdcore.threads import Threads, resolve


@dataclass(frozen=True, eq=False)
class Shape:
    """What of X is known without it."""

    shape: tuple
    dtype: np.dtype


@dataclass(frozen=True, eq=False)
class Survey:
    """What one pass tells of all rows: enough to choose coordinates, a unit and a start.

    `y` and `weights` are few targets that stand for all: each class with its weight, or two numbers
    of the same mean and deviation.
    """

    X: Shape
    y: np.ndarray
    weights: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    def __len__(self):
        return self.X.shape[0]

    def moments(self):
        """Mean and deviation of each column."""
        return self.mean, self.deviation


class Passes:
    """Rows of chunks, targets as numbers and weights as factors: `each()` walks over them once."""

    def __init__(self, chunks, encode):
        self.chunks, self.encode, self.mass = chunks, encode, 1.0

    def each(self):
        """Rows of each chunk that has a weight."""
        for X, y, weights in self.chunks:
            y, weights = self.encode(y, weights)
            kept = weights > 0
            if not kept.all():
                X, y, weights = X[kept], y[kept], weights[kept]
            if len(y):
                yield Rows(X, y, weights)


def survey(passes):
    """The `Survey` of all rows, merged chunk by chunk (Chan et al., 1983); sets passes.mass."""
    n, labels, spread, X = 0, {}, Spread(), None
    target = np.zeros(2)  # the targets' mean, and squares around it
    for rows in passes.each():
        before, X = spread.mass, rows.X
        spread.add(X, rows.weights)
        weight = spread.mass - before
        middle = float(np.average(rows.y, weights=rows.weights))
        around = float(rows.weights @ (rows.y - middle) ** 2)
        step, share = middle - target[0], weight / spread.mass
        target += [step * share, around + step * step * before * share]
        if len(labels) <= 1000:
            for value, mass in zip(*_masses(rows.y, rows.weights), strict=True):
                labels[value] = labels.get(value, 0.0) + mass
        n += len(rows)
    require(n > 0, "No row of the chunks has a weight. Give at least one row one.")
    passes.mass = spread.mass / n
    y, weights = _standing(labels, target, spread.mass)
    shape = Shape((n, X.shape[1]), X.dtype)
    return Survey(shape, y, weights, spread.mean, spread.deviation())


def _masses(y, weights):
    values, where = np.unique(y, return_inverse=True)
    return values.tolist(), np.bincount(where, weights).tolist()


def _standing(labels, target, mass):
    if len(labels) <= 1000:
        values = sorted(labels)
        return np.array(values), np.array([labels[value] for value in values])
    deviation = np.sqrt(target[1] / mass)
    return target[0] + deviation * np.array([-1.0, 1.0]), np.array([mass / 2, mass / 2])


class ChunkCost(Penalised):
    """The mean loss over chunks plus a penalty; each evaluation is a pass over them.

    Parameters
    ----------
    model : LinearFamily
    rows : Survey
    passes : Passes
    penalty : Penalty
    n_threads, unit : as in `Cost`
    """

    margins = None

    def __init__(self, model, rows, passes, penalty, n_threads=None, unit=1.0):
        self.model, self.rows, self.passes = model, rows, passes
        self.penalty, self.unit, self.size = penalty, unit, model.size
        self.threads = Threads(resolve(n_threads), products=True)
        self._free = Penalty(np.zeros(self.size), np.zeros(self.size))

    def _parts(self):
        """A cost of each chunk alone, without the penalty, weights of mean one over all chunks."""
        for rows in self.passes.each():
            scaled = Rows(rows.X, rows.y, rows.weights / self.passes.mass)
            part = Cost(self.model, scaled, self._free, 1, self.unit)
            part.threads = self.threads
            yield part

    def value_and_gradient(self, theta, g):
        """J(θ); its gradient, without the |θ| term's, is written into g."""
        total, own = 0.0, np.empty_like(g)
        g[:] = 0
        with np.errstate(all="ignore"):
            for part in self._parts():
                share = len(part) / len(self)
                total += share * part.value_and_gradient(theta, own)
                g += share * own
            self.penalty.add_gradient(theta, g)
            return total + self.penalty.value(theta)

    def hessian(self, theta):
        """The second derivatives (size, size)."""
        H = np.zeros((self.size, self.size))
        for part in self._parts():
            H += (len(part) / len(self)) * part.hessian(theta)
        H[np.diag_indices_from(H)] += self.penalty.ridge
        return H

    def second(self, theta):
        """(v → H·v, roughly H's diagonal): a product is a pass."""

        def times(v):
            total = self.penalty.ridge * v
            for part in self._parts():
                total += (len(part) / len(self)) * part.second(theta)[0](v)
            return total

        return times, self.bend + self.penalty.ridge

    @cached_property
    def lengths(self):
        """(mean, largest) squared length of a row as the descent sees it, its 1 included."""
        mean = most = 0.0
        for part in self._parts():
            own, longest = self.model.measure(part.rows)
            mean, most = mean + own * len(part) / len(self), max(most, longest)
        return mean, most

    @cached_property
    def _largest(self):
        """The largest eigenvalue of the rows' second moments."""
        width = self.model.features + 1
        if width <= FEW:
            H = np.zeros((width, width))
            for part in self._parts():
                own = np.zeros_like(H)
                self.model.add_moments(part.rows, part.rows.weights, own)
                H += own / len(self)
            return float(np.linalg.eigvalsh(H)[-1])

        def times(v):
            total = np.zeros(width)
            for part in self._parts():
                total += part.second_moments(v) * (len(part) / len(self))
            return total

        return largest_eigenvalue(times, width)

    def curvature(self):
        """An upper estimate of the smoothness constant L, as in `Cost`."""
        bound = 1.05 * min(self._largest, self.lengths[0])
        return self.bend * bound + float(self.penalty.ridge.max())

    def order(self, rng):
        """A generator's seed for the order of rows within chunks, as long as the rows are many."""
        return _Order(len(self), rng)

    def sweep(self, theta, optimizer, state, *, order, rates, batch_size, average):
        """Steps over the batches of each chunk in its turn, its rows mixed. Returns J as met.

        A batch ends where its chunk does; the rates of batches that are not full are those of the
        batches they would be part of.
        """
        total, at, taken = 0.0, 0, 0
        mean = np.zeros_like(average)
        for part in self._parts():
            rows = visiting_order(len(part), order.rng)
            count = -(-len(rows) // batch_size)
            own = rates[np.minimum(np.arange(at, at + count), len(rates) - 1)]
            at += len(rows) // batch_size
            part.penalty = self.penalty
            met = part.sweep(
                theta, optimizer, state, order=rows, rates=own, batch_size=batch_size,
                average=average,
            )  # fmt: skip
            mean += count * average
            taken += count
            total += (len(part) / len(self)) * (met - self.penalty.value(theta))
        average[:] = mean / taken
        return total + self.penalty.value(theta)


class _Order:
    """As long as all rows, and a generator for the order of each chunk's."""

    def __init__(self, n, rng):
        self.n, self.rng = n, rng

    def __len__(self):
        return self.n


def sample(cost, take):
    """About `take` rows of all chunks, the same in every fit; None for sparse ones."""
    rng, kept, share = np.random.default_rng(0), [], take / len(cost)
    for rows in cost.passes.each():
        chosen = np.flatnonzero(rng.random(len(rows)) < share)
        if len(chosen):
            kept.append(rows.part(chosen))
    if not kept or not isinstance(kept[0].X, np.ndarray):
        return None
    X, y, weights = (
        np.concatenate([getattr(part, field) for part in kept]) for field in ("X", "y", "weights")
    )
    return Rows(X, y, weights / weights.mean())
