"""Quasi-Newton steps in NumPy: pairs, the two-loop recursion, the search. Compiled: src/quasi.pyx."""

import math
import operator
from collections.abc import Callable

import numpy as np

from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_doubles,
    require_one_length,
    require_writeable,
)
from gdcore._numpy.vectors import dot, norm
from gdcore._typing import Array

__all__ = ["curvature_pair", "ray", "two_loop", "wolfe_step"]

DECREASE, CURVATURE = 1e-4, 0.9  # c₁ and c₂ of the Wolfe conditions, usual for quasi-Newton steps
MOST = 20  # trials
GROW = (2.0, 10.0)  # how much further the next trial may be, without an upper end yet
ROUNDING = 1e-15  # relative: J differs by this much between points that are equally low


def curvature_pair(
    x: Array,
    before: Array,
    g: Array,
    was: Array,
    S: Array,
    Y: Array,
    rho: Array,
    row: int,
    caution: float,
) -> float:
    """Write the pair s = x − before, y = g − was into a row of S and Y, and 1/sᵀy into rho, where sᵀy > caution·‖s‖‖y‖, else zero. Returns ‖s‖. Changes S, Y and rho."""
    row = operator.index(row)
    (caution,) = numbers(caution)
    require_doubles(x, before, g, was)
    require_one_length(x, before, g, was)
    _require_pairs(x, S, Y, rho, row, 1)
    require_writeable(S, Y, rho)
    require_apart((S, Y, rho), x, before, g, was)
    s, y = S[row], Y[row]
    with np.errstate(all="ignore"):
        np.subtract(x, before, out=s)
        np.subtract(g, was, out=y)
        product, far = dot(s, y), norm(s)
        good = product > caution * far * norm(y) and product > 1e-300
        rho[row] = 1 / product if good else 0.0
    return far


def ray(x: Array, d: Array, t: float, out: Array) -> None:
    """Write the point x + t·d into out. Changes out."""
    require_doubles(x, d, out)
    require_one_length(x, d, out)
    require_writeable(out)
    require_apart((out,), x, d)
    (t,) = numbers(t)
    with np.errstate(all="ignore"):
        np.multiply(d, t, out=out)
        out += x


def two_loop(g: Array, S: Array, Y: Array, rho: Array, newest: int, count: int, d: Array) -> float:
    """Write −H·g into d, H the inverse Hessian of `count` pairs of steps S and gradient changes Y whose last is row `newest` (Nocedal, 1980); rho is 1/sᵀy. Returns ⟨g, d⟩. Changes d."""
    newest, count = operator.index(newest), operator.index(count)
    require_doubles(g, d)
    require_writeable(d)
    require_one_length(g, d)
    _require_pairs(g, S, Y, rho, newest, count)
    require_apart((d,), g, S, Y, rho)
    np.negative(g, out=d)
    if not count:
        return dot(g, d)
    rows, alphas = [(newest - k) % len(rho) for k in range(count)], []
    with np.errstate(all="ignore"):
        for row in rows:
            alpha = float(rho[row]) * dot(S[row], d)
            alphas.append(alpha)
            d -= alpha * Y[row]
        square = float(rho[newest]) * dot(Y[newest], Y[newest])
        d *= 1 / square if square > 0 else 1.0
        for row, alpha in zip(reversed(rows), reversed(alphas), strict=True):
            beta = float(rho[row]) * dot(Y[row], d)
            d += (alpha - beta) * S[row]
    return dot(g, d)


def wolfe_step(
    evaluate: Callable[[Array, Array], float],
    x: Array,
    g: Array,
    value: float,
    S: Array,
    Y: Array,
    rho: Array,
    pairs: int,
    caution: float,
    x_new: Array,
    g_new: Array,
) -> tuple[float, float, int, int]:
    """One step of L-BFGS from x to a point that fulfils the strong Wolfe conditions, or where f changes by rounding only those of Hager & Zhang (2005); bracketed and found by cubics (Nocedal & Wright, 2006, §3.5). evaluate(x_new, g_new) gives f and writes its gradient; the pair goes into the row after the newest. Returns f (NaN where no trial was lower), ‖x_new − x‖, the number of pairs, and that of trials. Changes S, Y, rho, x_new and g_new."""
    if not callable(evaluate):
        raise TypeError("evaluate must be callable. Pass a function of x and g.")
    pairs = operator.index(pairs)
    value, caution = numbers(value, caution)
    require_doubles(x, g, x_new, g_new)
    require_one_length(x, g, x_new, g_new)
    require_writeable(x_new, g_new)
    _require_pairs(x, S, Y, rho, 0, 1)
    if pairs < 0:
        raise ValueError("Rows must lie within S. Pass numbers from 0 to the number of pairs.")
    require_writeable(S, Y, rho)
    require_apart((S, Y, rho, x_new, g_new), x, g)
    d, trials = np.empty_like(x), 0
    while True:
        memory = len(rho) - 1
        slope = two_loop(g, S, Y, rho, (pairs - 1) % (memory + 1), min(pairs, memory), d)
        f = math.nan
        if slope < 0:
            first = 1.0 if pairs else min(1.0, 1 / norm(g))
            line = Line(evaluate, x, d, x_new, g_new)
            f = strong_wolfe(line, Point(0.0, value, slope), first)
            trials += line.trials
        if not math.isnan(f) or pairs == 0:
            break
        pairs = 0  # the pairs lead nowhere: forget them, and try the gradient
    if math.isnan(f):
        return f, 0.0, pairs, trials
    row = pairs % len(rho)
    far = curvature_pair(x_new, x, g_new, g, S, Y, rho, row, caution)
    return f, far, pairs + bool(rho[row]), trials


class Point:
    """A point on a line: t, the value, the slope along the line, and the gradient."""

    __slots__ = ("f", "g", "slope", "t")

    def __init__(self, t: float, f: float, slope: float, g: Array | None = None) -> None:
        self.t, self.f, self.slope, self.g = t, f, slope, g


class Line:
    """f along x + t·d, written into x_new and g_new."""

    def __init__(
        self,
        evaluate: Callable[[Array, Array], float],
        x: Array,
        d: Array,
        x_new: Array,
        g_new: Array,
    ) -> None:
        self.evaluate, self.x, self.d = evaluate, x, d
        self.x_new, self.g_new, self.trials = x_new, g_new, 0

    def at(self, t: float) -> Point:
        """The point at t."""
        self.trials += 1
        ray(self.x, self.d, t, self.x_new)
        f = float(self.evaluate(self.x_new, self.g_new))
        return Point(t, f, dot(self.d, self.g_new), self.g_new.copy())

    def back(self, point: Point) -> float:
        """Go to a point that was left."""
        ray(self.x, self.d, point.t, self.x_new)
        self.g_new[:] = point.g
        return point.f


def strong_wolfe(line: Line, start: Point, t: float) -> float:
    """f at the point found, NaN where no trial was below the start."""
    noise = ROUNDING * abs(start.f)
    low, high = start, None
    for _ in range(MOST):
        point = line.at(t)
        if not math.isfinite(point.f) or not math.isfinite(point.slope):
            high, t = point, low.t + 0.1 * (t - low.t)  # a wall, to be kept away from
            continue
        falls = point.f <= start.f + DECREASE * t * start.slope
        level = point.f <= start.f + noise and point.slope <= (2 * DECREASE - 1) * start.slope
        if not (falls or level) or point.f > low.f + noise:
            high = point
        elif abs(point.slope) <= -CURVATURE * start.slope:
            return point.f
        elif point.slope > 0:
            high = point
        else:
            low = point
        if high is not None and high.t - low.t <= 1e-12 * high.t:
            break
        t = _between(low, high) if high is not None else _beyond(start, low)
    return line.back(low) if low.f < start.f else math.nan


def _between(low: Point, high: Point) -> float:
    """The cubic's minimum, kept off the ends by a tenth of the bracket."""
    width = high.t - low.t
    t = _cubic(low, high) if math.isfinite(high.f) and math.isfinite(high.slope) else math.nan
    if not low.t + 0.1 * width <= t <= high.t - 0.1 * width:
        near_low = t < low.t + 0.1 * width
        t = low.t + (0.1 if near_low else 0.5 if not t > high.t - 0.1 * width else 0.9) * width
    return t


def _beyond(start: Point, low: Point) -> float:
    """Where a cubic through the last points says that f turns, within limits."""
    t = _cubic(start, low)
    return min(max(t, GROW[0] * low.t), GROW[1] * low.t) if t > low.t else GROW[1] / 2 * low.t


def _cubic(a: Point, b: Point) -> float:
    """The minimum of the cubic with the values and slopes of two points; NaN where it has none."""
    d1 = a.slope + b.slope - 3 * (b.f - a.f) / (b.t - a.t)
    inner = d1 * d1 - a.slope * b.slope
    if not inner >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(inner), b.t - a.t)
    below = b.slope - a.slope + 2 * d2
    return b.t - (b.t - a.t) * (b.slope + d2 - d1) / below if below else math.nan


def _require_pairs(g: Array, S: Array, Y: Array, rho: Array, newest: int, count: int) -> None:
    require_doubles(rho)
    require_doubles(S, Y, ndim=2)
    if S.shape != Y.shape or S.shape != (len(rho), len(g)):
        raise ValueError("S and Y must hold one row of g's length for each rho. Pass such.")
    if not (0 <= count <= len(rho) and (0 <= newest < len(rho) or not count)):
        raise ValueError("Rows must lie within S. Pass numbers from 0 to the number of pairs.")
