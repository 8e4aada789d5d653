"""Learning from one example after the other, whatever the columns' units. Compiled twin:
src/online.pyx, which differs by the rounding of sums and of eˣ.

The steps are those of NAG (Ross, Mineiro & Langford, 2013) with importance-aware updates
(Karampatziakis & Langford, 2011), and three things more. Columns are seen from their running mean, the
intercept making up for it, so that a column's zero is as free as its unit. Margins have a unit too: how
far predictions of a squared error are off. And when a column goes beyond its scale, its weight is cut
down the more, the fewer examples stand behind it.

Letters: k outputs, p columns, u a row in scales, G the sums of squared slopes by u, z margins, h an
example's weight.
"""

import math

import numpy as np

from gdcore._numpy._require import (
    numbers as as_floats,
)
from gdcore._numpy._require import (
    require_aligned,
    require_apart,
    require_writeable,
)
from gdcore._numpy._scalars import moved, slope, value
from gdcore._typing import Array

__all__ = ["online_pass"]

LOSSES = ("squared", "logistic", "softmax", "huber", "quantile", "poisson", "gamma", "hinge",
          "squared_hinge")  # fmt: skip
SIDES = ("logistic", "hinge", "squared_hinge")  # with k outputs: one class each against the rest
LEAST = 1e-150  # a column whose numbers are all smaller is a column of zeros
MOST = 1e150  # so that squares are numbers
MOST_PARTS = 64  # of a softmax step


def online_pass(
    loss: str,
    X: Array,
    y: Array,
    weights: Array,
    state: Array,
    clock: Array,
    numbers: tuple[float, ...],
) -> float:
    """Learn from the rows of X (n, p), or from one row (p,), one after the other, by normalised adaptive steps; returns the summed loss of each before it was learnt. numbers: rate, knob (where Huber's loss turns linear, or a quantile), l1, l2, 1 for penalties on scaled columns, 1 for an intercept. State of k outputs: softmax, or one class each against the rest. Changes state and clock."""
    require_loss(loss)
    numbers = six(numbers)
    for array in (X, y, weights, state, clock):
        _require_array(array, "fd" if array is X else "d")
    require_writeable(state, clock)
    k = _require_shapes(loss, X, y, weights, state, clock)
    require_apart((state, clock), X, y, weights)
    require_learnable(loss, X, y, weights, k, numbers)
    job = Job(loss, clock, numbers)
    job.centred = job.constant != 0
    job.hold(state, k)
    lost = 0.0
    rows = X.reshape(len(y), -1)
    with np.errstate(all="ignore"):
        for i in range(len(y)):
            if weights[i] > 0:
                row = np.append(rows[i].astype(np.float64), job.constant)
                lost += learn(job, row, float(y[i]), float(weights[i]))
    return lost


class Job:
    """The loss, its numbers and the clock, and views of the columns that are learnt."""

    centred: bool  # whether columns are seen from their mean
    push: float  # of the last example

    def __init__(self, loss: str, clock: Array, numbers: tuple[float, ...]) -> None:
        self.loss, self.clock = loss, clock
        self.rate, self.knob, self.l1, self.l2, self.scaled, self.constant = numbers

    def hold(self, state: Array, k: int) -> None:
        """The columns of a state: k rows of w and of G, a scale, a mean, and units if it has them."""
        self.w, self.G = state[:k], state[k : 2 * k]
        self.scale, self.mean = state[2 * k : 2 * k + 2]
        self.units = self.scale if self.scaled else np.ones(len(self.scale))
        self.units = state[-1] if len(state) % 2 else self.units

    def after(self, time: Array | float) -> Array:
        """The weights, the intercept's too, after so much of the penalty's own descent."""
        seen, d = self.scale > 0, rates(self.G)
        scale = np.where(seen, self.scale, 1.0)
        ratio = self.units / scale  # of what the penalty sees and what the rates are for
        size, s = np.abs(self.w) * scale, self.l2 * time * d * (ratio * ratio)
        gone = -np.expm1(-s)
        share = np.divide(gone, s, out=np.ones_like(s), where=s > 0)
        left = size - gone * size - self.l1 * time * d * ratio * share
        left = np.where(left > 0, np.copysign(left, self.w), 0.0) / scale
        return np.where(seen, left, self.w)


def rates(G: Array) -> Array:
    """1/√G, zero where nothing is known."""
    return np.divide(1.0, np.sqrt(G), out=np.zeros_like(G), where=G > 0)


def learn(job: Job, x: Array, y: float, h: float) -> float:
    """One example of weight h > 0, with the constant at its end; returns its loss. Notes its push."""
    z = np.clip(np.nan_to_num((job.w * x).sum(axis=1), nan=0.0), -MOST, MOST)
    soft, own = job.loss == "softmax", int(y) if job.loss == "softmax" else 0
    one = [y] if len(z) == 1 else [float(y == c) for c in range(len(z))]  # each against the rest
    if soft:
        lost = math.log(np.exp(z - z.max()).sum()) + float(z.max() - z[own])
    else:
        known = zip(z.tolist(), one, strict=True)
        lost = sum(value(job.loss, m, t, job.knob) for m, t in known)
    u, unit = _measure(job, x, z, y, h)
    pairs = list(zip(z.tolist(), one, strict=True))
    r = _softmax_slopes(z, own) if soft else [slope(job.loss, m, t, job.knob) for m, t in pairs]
    r = np.array(r)
    job.G += (h * r * r)[:, None] * (u * u)
    d = rates(job.G)
    S = (u * u * d).sum(axis=1)
    clock = job.clock
    push = h * job.rate * unit * math.sqrt(clock[4] / clock[1]) if clock[1] > 0 else 0.0
    job.push = push = min(push, MOST)
    if soft:
        way = _softmax_ways(z, r, S, own, push)
    else:
        go = [
            moved(job.loss, m, t, push * s, job.knob) / s if s > 0 else 0.0
            for (m, t), s in zip(pairs, S.tolist(), strict=True)
        ]
        way = np.array(go)
    seen = job.scale > 0
    step = np.zeros_like(job.w)
    np.divide(way[:, None] * (u * d), job.scale, out=step, where=seen)
    job.w += step
    at_mean = (step * job.mean).sum(axis=1)
    if job.l1 > 0 or job.l2 > 0:
        v = job.after(push)[:, :-1]
        at_mean += (job.mean[:-1] * (v - job.w[:, :-1])).sum(axis=1)
        job.w[:, :-1] = v
    job.w[:, -1] -= at_mean
    return h * lost


def _measure(job: Job, x: Array, z: Array, y: float, h: float) -> tuple[Array, float]:
    """The clock goes on by one example; returns the row in scales and the unit of margins."""
    clock, r, square, unit = job.clock, y - float(z[0]), 1.0, 1.0
    before, shift = float(clock[4]), 0.0
    clock[0] += h
    clock[4] += h
    if job.loss == "squared":
        clock[2] += h * r * r
        square = clock[2] / clock[0]
        unit = math.sqrt(square)
    elif job.loss in ("huber", "quantile"):
        clock[2] += h * abs(r)
        unit = clock[2] / clock[0]
        square = min(unit, job.knob) ** 2 if job.loss == "huber" else 1.0
    if job.centred:
        job.mean[:-1] += h / clock[4] * (x[:-1] - job.mean[:-1])
        x[:-1] -= job.mean[:-1]
        shift = min(h / before, 1e6) if before > 0 else 0.0
    _widen(job, x, z, square, shift)
    u = np.divide(x, job.scale, out=np.zeros_like(x), where=job.scale > 0)
    clock[1] += h * (u * u).sum()
    return u, unit


def _widen(job: Job, x: Array, z: Array, square: float, shift: float) -> None:
    """Columns that go beyond their scale: what is measured in it follows, and a weight that few
    examples stand behind is cut down, around the mean of the rows that it was learnt from."""
    size = np.abs(x)
    wider = (size > job.scale) & (size > LEAST)
    if not wider.any():
        return
    f = job.scale[wider] / size[wider]
    job.scale[wider] = size[wider]
    G = job.G[:, wider]
    if square > 0:
        cut = np.where(f > 0, job.w[:, wider] * ((1 - f) / (1 + G / square)), 0.0)
        job.w[:, wider] -= cut
        job.w[:, -1] += (cut * (job.mean[wider] - shift * x[wider])).sum(axis=1)
        z -= (cut * (x[wider] * (1 + shift))).sum(axis=1)
    job.G[:, wider] = np.maximum(G * (f * f), job.clock[3])


def _softmax_slopes(z: Array, own: int) -> Array:
    e = np.exp(z - z.max())
    r: Array = e / e.sum()
    r[own] -= 1
    return r


def _softmax_ways(z: Array, r: Array, S: Array, own: int, push: float) -> Array:
    """Plain gradient steps on the margins alone, more of them where they are long."""
    parts = 1 + int(min(4 * push * S.max(), MOST_PARTS - 1))
    way = np.zeros_like(z)
    for i in range(parts):
        if i:
            r = _softmax_slopes(z, own)
        step = -(push / parts) * r
        way += step
        z = z + step * S
    return way


def _require_array(array: Array, kinds: str) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"A kernel takes NumPy arrays, got {type(array).__name__}. Convert it.")
    if array.dtype.char not in kinds or not array.dtype.isnative:
        raise ValueError("X must be float32 or float64, all else float64. Convert the arrays.")
    if not array.flags.c_contiguous:
        raise ValueError("A kernel takes C-contiguous arrays. Pass numpy.ascontiguousarray(…).")
    require_aligned(array)


def _require_shapes(
    loss: str, X: Array, y: Array, weights: Array, state: Array, clock: Array
) -> int:
    if X.ndim not in (1, 2):
        raise ValueError("X must be rows (n, p), or one row (p,). Reshape it.")
    n, p = X.shape if X.ndim == 2 else (1, len(X))
    if y.shape != (n,) or weights.shape != (n,):
        raise ValueError(
            "X, y and weights must have one number of rows. Pass one y and weight a row."
        )
    return require_state(loss, state, clock, p)


def require_loss(loss: str) -> None:
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(
            f"loss must be one of {', '.join(LOSSES)}, got {loss!r}. Pass one of them."
        )


def six(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if not isinstance(numbers, tuple) or len(numbers) != 6:
        raise ValueError("numbers must be a tuple of six. Pass what the signature names.")
    return as_floats(*numbers)


def require_state(loss: str, state: Array, clock: Array, p: int) -> int:
    """The number of outputs."""
    rows = len(state) if state.ndim == 2 and state.shape[1] == p + 1 else 0
    if rows < 4 or p < 0:
        raise ValueError(
            "state must be 2k + 2 rows of p + 1 numbers, weights, sums, scale, mean, and perhaps units. "
            "Pass such."
        )
    if rows > 5 and loss not in ("softmax", *SIDES):
        raise ValueError("This loss has one output. Pass a state of four rows, or five.")
    if clock.shape != (5,):
        raise ValueError("clock must hold five numbers. Pass zeros to begin with.")
    return rows // 2 - 1


def require_sizes(numbers: tuple[float, ...]) -> None:
    if not all(0 <= each <= MOST for each in numbers):
        raise ValueError(
            "numbers must be finite, and none negative. Pass what the signature names."
        )


def require_learnable(
    loss: str, X: Array, y: Array, weights: Array, k: int, numbers: tuple[float, ...]
) -> None:
    require_sizes(numbers)
    if loss == "quantile" and numbers[1] >= 1:
        raise ValueError(
            "numbers must be finite, and none negative. Pass what the signature names."
        )
    plain = np.isfinite(X) if X.dtype == np.float32 else np.abs(X) <= MOST
    if not plain.all():
        raise ValueError("X holds NaN, infinity or a number beyond 1e150. Remove such rows.")
    if not ((np.abs(y) <= MOST) & (weights >= 0) & (weights <= MOST)).all():
        raise ValueError("y and weights must be finite, and no weight negative. Remove other rows.")
    known = np.array(True)
    if loss in SIDES and k == 1:
        known = (y == 0) | (y == 1)
    elif loss == "softmax" or k > 1:
        known = (y >= 0) & (y < k) & (y == np.floor(y))
    elif loss in ("poisson", "gamma"):
        known = y >= 0 if loss == "poisson" else y > 0
    if not known.all():
        raise ValueError("y holds what is no target of this loss. Encode classes as 0, 1, …")
