"""Slopes along lines by differences, each with a bound of its own error."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gdcore._typing import Array

EPS = float(np.finfo(float).eps)
# ε^⅓ is best for central differences (Press et al., 2007, §5.7), ε^⅕ for extrapolated ones. In
# between: longer steps meet more kinks.
ROOT = 1 / 4
STEP = EPS**ROOT
LONGEST = 0.05  # of the coordinate's size: the step where f is noisy
SHORTER, LONGER = tuple(range(-1, -14, -1)), (1, 2)  # powers of 8 times the first step
REACHES = (2.0**-33, 2.0**-23, 2.0**-13)  # between points whose differences tell the noise
SURE = 4  # times the bound of a slope's error
JUMP = 1e-3  # of a slope: between those to the two sides, from where on a kink is looked for
CLEAR = 0.01  # of a jump: the error that it may have
ABOVE = 50  # times the noise: a remainder that says something
FITTED = 5  # remainders, the smallest of those, that tell the order
HALVINGS = 36

Direction: TypeAlias = Array | int  # a vector, or the number of a coordinate


@dataclass
class Slope:
    """df/dt at t = 0: by differences of one step, and the slopes to either side."""

    value: float
    bar: float  # of its error
    step: float
    right: float
    left: float
    blur: float  # of the error of right − left

    @property
    def jump(self) -> float:
        """How far the slopes to the two sides differ, 0 where rounding could be it."""
        apart = abs(self.right - self.left)
        return apart if apart > 3 * self.blur else 0.0


@dataclass
class Verdict:
    """What differences say of one analytic slope."""

    analytic: float
    numeric: float
    error: float
    kind: str  # "right", "wrong", "kink", "unclear" or "not finite"
    step: float = math.nan  # the one that told


class Lines:
    """f along lines through x, of which the noise is known."""

    def __init__(self, value: Callable[[Array], float], x: Array, here: float) -> None:
        self.value, self.x, self.here, self.noise = value, x, here, EPS * abs(here)
        self.calls = 0

    def along(self, v: Direction, t: float) -> float:
        """f(x + t·v); v a vector, or the number of a coordinate."""
        self.calls += 1
        if isinstance(v, np.ndarray):
            point = self.x + t * v
        else:
            point = self.x.copy()
            point[v] += t
        with np.errstate(all="ignore"):
            return self.value(point)

    def listen(self, v: Direction) -> None:
        """Measure the noise of f, by differences of high order (Moré & Wild, 2011)."""
        for reach in REACHES:
            values = np.array([self.along(v, k * reach) for k in range(9)])
            if not np.isfinite(values).all():
                return
            if len(set(values.tolist())) > len(values) // 2:
                break
        found = []
        for k in range(3, 7):
            values_k = np.diff(values, k)
            gain = math.factorial(k) ** 2 / math.factorial(2 * k)
            found.append(math.sqrt(gain * float(np.square(values_k).mean())))
        self.noise = max(self.noise, min(found))

    def slope(self, v: Direction, h: float) -> Slope:
        """Central differences of steps h and h/2, extrapolated (Richardson, 1911); one-sided ones
        where f is finite on one side alone."""
        here, far, near = self.here, h, h / 2
        up, down = self.along(v, far), self.along(v, -far)
        up_2, down_2 = self.along(v, near), self.along(v, -near)
        ends = [abs(f) for f in (here, up, down, up_2, down_2) if math.isfinite(f)]
        noise = max(self.noise, EPS * max(ends))
        right, left = (4 * up_2 - up - 3 * here) / h, (3 * here - 4 * down_2 + down) / h
        wide, narrow = (up - down) / (2 * h), (up_2 - down_2) / h
        value, rounding = (4 * narrow - wide) / 3, 3 * noise / h
        if not math.isfinite(value):
            value = right if math.isfinite(right) else left
            narrow = 2 * ((up_2 - here) if math.isfinite(right) else (here - down_2)) / h
            rounding *= 4
        return Slope(value, abs(value - narrow) + rounding, h, right, left, 10 * noise / h)

    def judge(
        self, v: Direction, analytic: float, first: float, floor: float, tol: float
    ) -> Verdict:
        """A `Verdict` on df/dt along v: the first step at which all agrees, else all of them."""
        tried: list[Slope] = []
        powers = [0]
        for power in powers:
            found = self.slope(v, _binary(first * 8.0**power))
            size = max(abs(analytic), abs(found.value), floor)
            if power == 0:  # where rounding is what there is too much of, longer ones go first
                noisy = found.blur > 10 * tol * size
                powers += (*LONGER, *SHORTER) if noisy else (*SHORTER[:5], *LONGER, *SHORTER[5:])
            if not math.isfinite(found.value):
                continue
            tried.append(found)
            bent = found.jump > JUMP * max(abs(found.right), abs(found.left), floor)
            clear = found.blur <= 10 * tol * size < math.inf  # it does not agree by chance
            if abs(analytic - found.value) <= tol * size and clear and not bent:
                error = abs(analytic - found.value) / size if size else 0.0
                return Verdict(analytic, found.value, error, "right", found.step)
            if power < 0 and found.blur > size:  # shorter ones are noise
                break
        if not tried or not math.isfinite(analytic):
            numeric = min(tried, key=lambda s: s.bar).value if tried else math.nan
            return Verdict(analytic, numeric, math.inf, "not finite")
        kink = corner(tried, first)
        if kink is not None:
            return _at_kink(analytic, kink, floor, tol)
        best = min(tried, key=lambda slope: slope.bar)
        slack, size = SURE * best.bar, max(abs(analytic), abs(best.value), floor)
        error = abs(analytic - best.value) / max(size, slack / tol, 1e-300)
        hidden = slack > 0.5 * size > 0.5 * floor
        kind = "wrong" if error > tol else "unclear" if hidden else "right"
        return Verdict(analytic, best.value, error, kind, best.step)

    def order(self, v: Direction, analytic: float, first: float) -> float:
        """p of |f(x + t·v) − f(x) − t·df/dt| ~ tᵖ as t falls: 2 for the right slope, 1 for a wrong
        one; infinite where nothing but rounding remains."""
        steps = first * 2.0 ** -np.arange(HALVINGS)
        values = np.array([self.along(v, t) for t in steps])
        with np.errstate(all="ignore"):
            left = np.abs(values - self.here - steps * analytic)
            told = np.isfinite(left) & (left > ABOVE * np.maximum(self.noise, EPS * abs(values)))
        steps, left = steps[told][-FITTED:], left[told][-FITTED:]
        if len(steps) < 3:
            return math.inf
        return float(np.polyfit(np.log2(steps), np.log2(left), 1)[0])


def corner(tried: list[Slope], first: float) -> Slope | None:
    """The slope of the shortest step that tells the two sides apart, where they stay apart however
    short the step; None where f is smooth."""
    short = sorted((slope for slope in tried if slope.step <= first), key=lambda slope: slope.step)
    largest = max((slope.jump for slope in short), default=0.0)
    clear = [slope for slope in short if slope.blur < CLEAR * largest]
    if len(clear) < 2:
        return None
    shortest, longer = clear[:2]
    lasting = shortest.jump > 0.5 * longer.jump
    size = max(abs(shortest.right), abs(shortest.left))
    return shortest if lasting and shortest.jump > JUMP * size else None


def _at_kink(analytic: float, kink: Slope, floor: float, tol: float) -> Verdict:
    """Any slope between those to the two sides is right."""
    low, high = sorted((kink.left, kink.right))
    outside = max(low - analytic, analytic - high, 0.0)
    size = max(abs(analytic), abs(low), abs(high), floor)
    kind = "kink" if outside <= tol * size + SURE * kink.blur else "wrong"
    return Verdict(analytic, kink.value, outside / size, kind, kink.step)


def _binary(h: float) -> float:
    """The power of two next to h, so that x + h − x is h."""
    return 2.0 ** round(math.log2(h))
