"""How far to go along a direction: strong Wolfe conditions, or Armijo's on a projected path."""

import math

import numpy as np

from gdcore import kernels

DECREASE, CURVATURE = 1e-4, 0.9  # c₁ and c₂ of the Wolfe conditions, usual for quasi-Newton steps
MOST = 20  # trials
GROW = (2.0, 10.0)  # how much further the next trial may be, without an upper end yet
ROUNDING = 1e-15  # relative: J differs by this much between points that are equally low


def strong_wolfe(phi, start, t):
    """A point with f ≤ f₀ + c₁·t·f₀′ and |f′| ≤ c₂·|f₀′|, bracketed and found by cubics.

    Where f changes by rounding only, (2c₁ − 1)·f₀′ ≥ f′ stands for the first condition (Hager &
    Zhang, 2005). Values that are no numbers are taken for a wall, to be kept away from.

    Parameters
    ----------
    phi : callable t → a point with t, f and slope
    start : the point of t = 0, slope < 0
    t : float > 0
        The first trial.

    Returns
    -------
    The point, or None where no trial was below the start. (Nocedal & Wright, 2006, §3.5.)
    """
    noise = ROUNDING * abs(start.f)
    low, high = start, None
    for _ in range(MOST):
        point = phi(t)
        if not math.isfinite(point.f) or not math.isfinite(point.slope):
            high, t = point, low.t + 0.1 * (t - low.t)
            continue
        falls = point.f <= start.f + DECREASE * t * start.slope
        level = point.f <= start.f + noise and point.slope <= (2 * DECREASE - 1) * start.slope
        if not (falls or level) or point.f > low.f + noise:
            high = point
        elif abs(point.slope) <= -CURVATURE * start.slope:
            return point
        elif point.slope > 0:
            high = point
        else:
            low = point
        if high is not None and (high.t - low.t) <= 1e-12 * high.t:
            break
        t = _between(low, high) if high is not None else _beyond(start, low)
    return low if low is not start else None


def _between(low, high):
    """The cubic's minimum, kept off the ends by a tenth of the bracket."""
    width = high.t - low.t
    t = cubic(low, high) if math.isfinite(high.f) and math.isfinite(high.slope) else math.nan
    if not low.t + 0.1 * width <= t <= high.t - 0.1 * width:
        near_low = t < low.t + 0.1 * width
        t = low.t + (0.1 if near_low else 0.5 if not t > high.t - 0.1 * width else 0.9) * width
    return t


def _beyond(start, low):
    """Where a cubic through the last points says that f turns, within limits."""
    t = cubic(start, low)
    return min(max(t, GROW[0] * low.t), GROW[1] * low.t) if t > low.t else GROW[1] / 2 * low.t


def cubic(a, b):
    """The minimum of the cubic with the values and slopes of two points; NaN where it has none."""
    d1 = a.slope + b.slope - 3 * (b.f - a.f) / (b.t - a.t)
    inner = d1 * d1 - a.slope * b.slope
    if not inner >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(inner), b.t - a.t)
    below = b.slope - a.slope + 2 * d2
    return b.t - (b.t - a.t) * (b.slope + d2 - d1) / below if below else math.nan


def armijo(phi, start, t):
    """The first of t, t/2 … t/2¹⁹ on a projected path with f ≤ f₀ + c₁·⟨g, x(t) − x⟩.

    `phi` gives points whose `slope` is that product (Bertsekas, 1982); None where none does.
    """
    noise = ROUNDING * abs(start.f)
    for _ in range(MOST):
        point = phi(t)
        if point.f <= start.f + DECREASE * point.slope and point.slope < 0:
            return point
        if abs(point.f - start.f) <= noise and -point.slope <= noise:
            return None
        t *= 0.5 if math.isfinite(point.f) else 0.1
    return None


class Point:
    """A point on a line: t, the value, the slope along the line, x and the gradient there."""

    __slots__ = ("f", "g", "slope", "t", "x")

    def __init__(self, t, f, slope, x, g):
        self.t, self.f, self.slope, self.x, self.g = t, f, slope, x, g


class Line:
    """J along x + t·d, or along its projection onto bounds; counts how often it was asked."""

    def __init__(self, cost, start, d, bounded):
        self.cost, self.start, self.d, self.bounded = cost, start, d, bounded
        self.trials, self.size = 0, len(d)

    def __call__(self, t):
        self.trials += 1
        x, g = np.empty(self.size), np.empty(self.size)
        kernels.ray(self.start.x, self.d, t, x)
        if not self.bounded:
            f = self.cost.value_and_gradient(x, g)
            return Point(t, f, kernels.dot(self.d, g), x, g)
        self.cost.prox(x, 1.0)
        f = self.cost.value_and_gradient(x, g)
        return Point(t, f, kernels.dot(self.start.g, x - self.start.x), x, g)


def quasi_newton_step(cost, optimizer, start, state):
    """(the next point or None, trials, distance): a step of a rule with direction and remember.

    With bounds, coordinates that are at one and pushed beyond it go by the projected gradient, the
    others by −H·g (two-metric projection; Bertsekas, 1982). Where the direction leads nowhere the
    pairs are forgotten and the gradient is tried. Changes state.
    """
    free, trials = cost.free(start.x, start.g), 0
    for _ in range(2):
        fresh = not state["pairs"].item()
        if free is None:
            d, slope = optimizer.direction(start.g, state)
        else:
            d, _ = optimizer.direction(np.where(free, start.g, 0.0), state)
            d = np.where(free, d, -start.g)
            slope = kernels.dot(d, start.g)
        if slope < 0:
            line = Line(cost, start, d, bounded=free is not None)
            t = min(1.0, 1 / kernels.norm(start.g)) if fresh else 1.0
            start.slope = slope
            point = strong_wolfe(line, start, t) if free is None else armijo(line, start, t)
            trials += line.trials
            if point is not None:
                slopes = point.g, start.g
                far = optimizer.remember(point.x, start.x, state, slopes=slopes)
                state["t"][0] += 1
                return point, trials, far
        if fresh:
            break
        state["pairs"][0] = 0
    return None, trials, 0.0
