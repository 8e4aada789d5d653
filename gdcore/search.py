"""Steps of a quasi-Newton rule: by strong Wolfe conditions, or Armijo's on a projected path."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, State
from gdcore.lines import line_step, plain_step

DECREASE = 1e-4  # c₁ of Armijo's condition
MOST = 20  # trials
ROUNDING = 1e-15  # relative: J differs by this much between points that are equally low


def armijo(
    phi: "Callable[[float], Point]", start: "Point", t: float, calmer: "Callable[[Point], bool]"
) -> "Point | None":
    """The first of t, t/2 … t/2¹⁹ on a projected path with f ≤ f₀ + c₁·⟨g, x(t) − x⟩.

    `phi` gives points whose `slope` is that product (Bertsekas, 1982). Where f changes by rounding
    only, a point will do that `calmer` says has a clearly smaller slope. None where none does.
    """
    noise = ROUNDING * abs(start.f)
    for _ in range(MOST):
        point = phi(t)
        if point.f <= start.f + DECREASE * point.slope and point.slope < 0:
            return point
        if abs(point.f - start.f) <= noise and calmer(point):
            return point
        t *= 0.5 if math.isfinite(point.f) else 0.1
    return None


def searched(
    cost: Any,
    optimizer: Any,
    start: tuple[Array, Array, float],
    state: State,
    room: tuple[Array, Array],
) -> tuple[float, float, int]:
    """(f, distance, evaluations): a quasi-Newton step from `start`, (θ, g, f), into `room`, (x, g).

    Along kept margins where the cost has them, within bounds where it has those. f is NaN where no
    trial was lower. Changes state, x and g.
    """
    theta, g, f = start
    if getattr(cost, "margins", None) is not None:
        return line_step(cost, optimizer, start, state, room)
    if not hasattr(optimizer, "search"):
        return plain_step(cost, optimizer, start, state, room)
    free = cost.free(theta, g)
    if free is None:
        found: tuple[float, float, int]
        found = optimizer.search(cost.value_and_gradient, start, state, *room)
        return found
    return projected_step(cost, optimizer, Point(0.0, f, 0.0, theta, g), state, (free, *room))


class Point:
    """A point on a line: t, the value, the slope along the line, x and the gradient there."""

    __slots__ = ("f", "g", "slope", "t", "x")

    def __init__(self, t: float, f: float, slope: float, x: Array, g: Array) -> None:
        self.t, self.f, self.slope, self.x, self.g = t, f, slope, x, g


class Path:
    """J along the projection of x + t·d onto the bounds; counts how often it was asked."""

    def __init__(self, cost: Any, start: Point, d: Array) -> None:
        self.cost, self.start, self.d, self.trials = cost, start, d, 0

    def __call__(self, t: float) -> Point:
        self.trials += 1
        x, g = self.start.x + t * self.d, np.empty_like(self.d)
        self.cost.prox(x, 1.0)
        f = self.cost.value_and_gradient(x, g)
        return Point(t, f, kernels.dot(self.start.g, x - self.start.x), x, g)


def projected_step(
    cost: Any, optimizer: Any, start: Point, state: State, room: tuple[Array, Array, Array]
) -> tuple[float, float, int]:
    """(f, distance, trials): one step of L-BFGS within bounds; f is NaN where none was lower.

    `room` is (the free coordinates, x, g): the step is written into the last two. Coordinates at a
    bound and pushed beyond it go by the projected gradient, the others by −H·g (two-metric
    projection; Bertsekas, 1982). Where the direction leads nowhere the pairs are forgotten and the
    gradient is tried. Changes state, x and g.
    """
    (free, x, g), trials, here = room, 0, cost.norm(start.x, start.g)

    def calmer(point: Point) -> bool:
        return bool(cost.norm(point.x, point.g) < 0.9 * here)

    while True:
        fresh = not state["pairs"].item()
        d, _ = optimizer.direction(np.where(free, start.g, 0.0), state)
        d = np.where(free, d, -start.g)
        if kernels.dot(d, start.g) < 0:
            path = Path(cost, start, d)
            first = min(1.0, 1 / kernels.norm(start.g)) if fresh else 1.0
            point = armijo(path, start, first, calmer)
            trials += path.trials
            if point is not None:
                x[:], g[:] = point.x, point.g
                far = optimizer.remember(x, start.x, state, slopes=(g, start.g))
                return point.f, far, trials
        if fresh:
            return math.nan, 0.0, trials
        state["pairs"][0] = 0
