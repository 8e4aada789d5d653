"""Margins that are kept, so that looking along a line costs O(n) a trial instead of a read of X."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from gdcore import kernels
from gdcore._numpy.quasi import Line, Point, strong_wolfe
from gdcore._typing import Array, State

DECREASE = 1e-4  # c₁ of Armijo's condition
LEAST = 1e-10  # step tried
ROUNDING = 1e-15  # relative: J differs by this much between points that are equally low
Start: TypeAlias = tuple[Array, Array, float]  # θ, g and f where a step begins
NOWHERE = np.empty((0, 0))  # for margins that nobody wants


class Margins:
    """z (n, k) at the θ measured last, in the parts of the shards, and room for the next."""

    def __init__(self, n: int, k: int, shards: Sequence[Any]) -> None:
        cuts = np.cumsum([0, *map(len, shards)]).tolist()
        self._rooms = [[whole[a:b] for a, b in pairwise(cuts)] for whole in np.empty((2, n, k))]
        self.theta: Array | None = None

    def turn(self, theta: Array) -> list[Array]:
        """The parts to be written for θ; those of the θ before stay where they are."""
        self._rooms.reverse()
        self.theta = theta.copy()
        return self._rooms[0]

    def of(self, theta: Array) -> list[Array] | None:
        """The parts, if they are those of this θ, else None."""
        known = self.theta is not None and np.array_equal(self.theta, theta)
        return self._rooms[0] if known else None


class Points:
    """(rows, z) of each part of all rows, to be walked over again and again: kept, or made anew."""

    def __init__(self, source: Any, kept: bool) -> None:
        self.source, self.kept = source, kept

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.source) if self.kept else self.source()

    def then(self, function: Callable[..., tuple[Any, ...]]) -> "Points":
        """What function(rows, z, …) makes of each part."""
        if self.kept:
            return Points([function(*point) for point in self.source], True)
        return Points(lambda: (function(*point) for point in self.source()), False)

    def total(self, count: Callable[..., Any]) -> Any:
        """Σ count(rows, z, …) over the parts, in their order."""
        return sum(count(*point) for point in self)


class MarginLine:
    """J along x + t·d: the first trial reads X, the others only margins, which are linear in t."""

    def __init__(self, cost: Any, x: Array, d: Array, room: tuple[Array, Array]) -> None:
        self.cost, self.x, self.d, (self.x_new, self.g_new) = cost, x, d, room
        self.before: list[Array] = []
        self.change: list[Array] = []
        self.reads = 0
        self.measured = self.t = math.nan

    def at(self, t: float) -> Point:
        """The point at t: f and its slope."""
        self.t = t
        if not self.change:
            f = self._read(t)
            if math.isfinite(f):
                now = self.cost.margins.of(self.x_new)
                self.change = [(z - z0) / t for z, z0 in zip(now, self.before, strict=True)]
            return Point(t, f, kernels.dot(self.d, self.g_new))
        pairs = zip(self.before, self.change, strict=True)
        mean, slope = self.cost.along([(z, dz, t) for z, dz in pairs])
        kernels.ray(self.x, self.d, t, self.x_new)
        penalty, bend = self.cost.penalty, np.zeros_like(self.d)
        penalty.add_gradient(self.x_new, bend)
        return Point(t, mean + penalty.value(self.x_new), slope + kernels.dot(self.d, bend))

    def back(self, point: Point) -> float:
        """Return to a point that was left."""
        self.t = point.t
        return float(point.f)

    def settle(self, f: float) -> float:
        """f, with the gradient of the point that was chosen in g_new; read anew if need be."""
        return f if self.measured == self.t else self._read(self.t)

    def _read(self, t: float) -> float:
        if not self.before:
            self.before = [z.copy() for z in self.cost.margins.of(self.x)]
        self.reads, self.measured = self.reads + 1, t
        kernels.ray(self.x, self.d, t, self.x_new)
        return float(self.cost.value_and_gradient(self.x_new, self.g_new))

    def moved(self) -> float:
        """The largest |Δz| of the step to the chosen point."""
        return abs(self.t) * max(float(np.abs(dz).max(initial=0)) for dz in self.change)


def line_step(
    cost: Any, optimizer: Any, start: Start, state: State, room: tuple[Array, Array]
) -> tuple[float, float, int]:
    """(f, distance, reads): one step of a quasi-Newton rule by strong Wolfe conditions.

    `start` is (θ, g, f) and `room` (x, g), into which the step is written; f is NaN where no trial
    was lower, also along the gradient. Changes state, x and g.
    """
    (theta, slopes, value), reads = start, 0
    while True:
        if cost.margins.of(theta) is None:
            cost.value_and_gradient(theta, np.empty_like(slopes))
            reads += 1
        d, slope, first = optimizer.aim(cost, theta, slopes, state)
        f = math.nan
        if slope < 0 or not cost.penalty.smooth:
            line: Any = MarginLine(cost, theta, d, room)  # which strong_wolfe takes for a `Line`
            if cost.penalty.smooth:
                f = strong_wolfe(line, Point(0.0, value, slope), first)
            else:
                f = lower(line, cost, (theta, value, slope), d)
            if not math.isnan(f):
                f = line.settle(f)
            reads += line.reads
        if not math.isnan(f):
            return f, optimizer.learn(cost, start, room, line.moved(), state), reads
        if not optimizer.forget(state):
            return math.nan, 0.0, reads


def lower(line: Any, cost: Any, start: tuple[Array, float, float], d: Array) -> float:
    """J at the first of t = 1, ½, … that lowers it enough, with an |θ| term in J; NaN for none.

    J ≤ J₀ + c₁·t·(⟨g, d⟩ + Σ lasso·(|θ + d| − |θ|)) (Tseng & Yun, 2009).
    """
    theta, value, slope = start
    lasso = cost.penalty.lasso
    fall = slope + float(lasso @ (np.abs(theta + d) - np.abs(theta)))
    noise, t = ROUNDING * abs(value), 1.0
    while fall < 0 and t > LEAST:
        f: float = line.at(t).f
        if f <= value + DECREASE * t * fall or (f <= value + noise and -t * fall <= noise):
            return f
        t /= 2
    return math.nan


def plain_step(
    cost: Any, optimizer: Any, start: Start, state: State, room: tuple[Array, Array]
) -> tuple[float, float, int]:
    """The same for a cost that keeps no margins: each trial is a pass over the rows."""
    (theta, slopes, value), trials = start, 0
    x, g = room
    while True:
        d, slope, first = optimizer.aim(cost, theta, slopes, state)
        f = math.nan
        if slope < 0 or not cost.penalty.smooth:
            line = Line(cost.value_and_gradient, theta, d, x, g)
            if cost.penalty.smooth:
                f = strong_wolfe(line, Point(0.0, value, slope), first)
            else:
                f = lower(line, cost, (theta, value, slope), d)
            trials += line.trials
        if not math.isnan(f):
            far = kernels.norm(x - theta) * math.sqrt(cost.lengths[1])  # no margin moved further
            return f, optimizer.learn(cost, start, room, far, state), trials
        if not optimizer.forget(state):
            return math.nan, 0.0, trials
