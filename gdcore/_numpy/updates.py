"""Parameter updates in NumPy. Compiled twin: src/updates.pyx.

A rule walks its vectors in blocks that stay in the cache, with two blocks of scratch: no temporary
of the vectors' length, and the same operations in the same order as the compiled twin, hence the
same bits. Its numbers are formed in double by the optimizer and cast once, here.

Letters: w parameters, g gradient, m its running mean, v its running mean square, b a running sum
of steps; `inside` and `outside` say where ε stands: √(v + inside) + outside.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np

from gdcore._numpy._require import numbers as as_numbers
from gdcore._numpy._require import require_apart, require_parts, require_vectors
from gdcore._typing import Array

__all__ = ["update"]

Rule: TypeAlias = tuple[Callable[..., None], int, int]  # loop, vectors of state, numbers

BLOCK = 16384


def update(
    rule: str,
    w: Array | Sequence[Array],
    g: Array | Sequence[Array],
    state: Iterable[Array],
    numbers: Iterable[float],
) -> None:
    """Move w, one array or a list of them, against g by a rule; its state is vectors over all of w in a row, its numbers the optimizer's. g may be w. Changes w and state."""
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}. Pass one of them.")
    apply, moments, needed = RULES[rule]
    own = as_numbers(*numbers)
    if len(own) != needed:
        raise ValueError("numbers must hold the rule's own. Pass what the optimizer gives.")
    w, g = (x if isinstance(x, (list, tuple)) else (x,) for x in (w, g))
    state = tuple(state)
    if len(state) != moments:
        raise ValueError("state must hold one vector a moment. Pass the optimizer's own.")
    require_parts(w, g)
    require_vectors(state, w)
    require_apart(state, *g)
    if not w:
        return
    with np.errstate(all="ignore"):
        c = np.array(own).astype(w[0].dtype)
        scratch = np.empty((2, BLOCK), w[0].dtype)
        at = 0
        for one, slope in zip(w, g, strict=True):
            flat, slope, size = one.reshape(-1), slope.reshape(-1), one.size
            for start in range(0, size, BLOCK):
                end = min(start + BLOCK, size)
                parts = [moment[at + start : at + end] for moment in state]
                apply(c, flat[start:end], slope[start:end], *parts, *scratch[:, : end - start])
                for moment in parts[LASTING.get(rule, 0) :]:
                    _settle(moment, scratch[0, : end - start])
            at += size


def _settle(moment: Array, size: Array) -> None:
    """Zero where it is denormal: a moment that decays would stay so for ever, and slow."""
    np.abs(moment, out=size)
    np.copyto(moment, 0, where=size < np.finfo(size.dtype).tiny)


def _sgd(c: Array, w: Array, g: Array, step: Array, _: Array) -> None:
    """w ← w − rate·g."""
    (rate,) = c
    np.multiply(g, rate, out=step)
    w -= step


def _momentum(c: Array, w: Array, g: Array, b: Array, step: Array, _: Array) -> None:
    """b ← keep·b + gain·g, w ← w − rate·b."""
    rate, keep, gain = c
    b *= keep
    np.multiply(g, gain, out=step)
    b += step
    np.multiply(b, rate, out=step)
    w -= step


def _nesterov(c: Array, w: Array, g: Array, b: Array, step: Array, slope: Array) -> None:
    """b ← keep·b + gain·g, w ← w − rate·(gain·g + keep·b)."""
    rate, keep, gain = c
    np.multiply(g, gain, out=slope)
    b *= keep
    b += slope
    np.multiply(b, keep, out=step)
    step += slope
    step *= rate
    w -= step


def _adagrad(c: Array, w: Array, g: Array, v: Array, step: Array, root: Array) -> None:
    """v ← v + g², w ← w − rate·g / (√(v + inside) + outside)."""
    rate, inside, outside = c
    np.multiply(g, g, out=step)
    v += step
    np.multiply(g, rate, out=step)
    step /= _root(v, inside, outside, root)
    w -= step


def _adadelta(c: Array, w: Array, g: Array, v: Array, d: Array, step: Array, root: Array) -> None:
    """v ← keep·v + gain·g², s = √(d + eps) / √(v + eps) · g, d ← keep·d + gain·s², w ← w − rate·s."""
    rate, keep, gain, eps = c
    _square(v, g, keep, gain, step)
    np.add(d, eps, out=step)
    np.sqrt(step, out=step)
    np.add(v, eps, out=root)
    np.sqrt(root, out=root)
    step /= root
    step *= g
    _square(d, step, keep, gain, root)
    step *= rate
    w -= step


def _rmsprop(c: Array, w: Array, g: Array, v: Array, step: Array, root: Array) -> None:
    """v ← keep·v + gain·g², w ← w − rate·g / (√(v + inside) + outside)."""
    rate, keep, gain, inside, outside = c
    _square(v, g, keep, gain, step)
    np.multiply(g, rate, out=step)
    step /= _root(v, inside, outside, root)
    w -= step


def _rmsprop_centered(
    c: Array, w: Array, g: Array, v: Array, m: Array, step: Array, root: Array
) -> None:
    """The same with √(v − m² + inside), m ← keep·m + gain·g, where v − m² is not below 0."""
    rate, keep, gain, inside, outside = c
    _spread(g, v, m, (keep, gain, inside, outside), step, root)
    np.multiply(g, rate, out=step)
    step /= root
    w -= step


def _rmsprop_momentum(
    c: Array, w: Array, g: Array, v: Array, b: Array, step: Array, root: Array
) -> None:
    """v ← keep·v + gain·g², b ← momentum·b + push·g / (√(v + inside) + outside), w ← w − rate·b."""
    rate, keep, gain, inside, outside, momentum, push = c
    _square(v, g, keep, gain, step)
    _root(v, inside, outside, root)
    _heavy(w, g, b, (rate, momentum, push), step, root)


def _rmsprop_centered_momentum(
    c: Array, w: Array, g: Array, v: Array, m: Array, b: Array, step: Array, root: Array
) -> None:
    """Both."""
    rate, keep, gain, inside, outside, momentum, push = c
    _spread(g, v, m, (keep, gain, inside, outside), step, root)
    _heavy(w, g, b, (rate, momentum, push), step, root)


def _adam(c: Array, w: Array, g: Array, m: Array, v: Array, step: Array, root: Array) -> None:
    """m ← keep1·m + gain1·g, v ← keep2·v + gain2·g², w ← kept·w − rate·m / (√(v + inside) + outside)."""
    rate, keep1, gain1, keep2, gain2, inside, outside, kept = c
    _mean(m, g, keep1, gain1, step)
    _square(v, g, keep2, gain2, step)
    np.multiply(m, rate, out=step)
    step /= _root(v, inside, outside, root)
    w *= kept
    w -= step


def _amsgrad(
    c: Array, w: Array, g: Array, m: Array, v: Array, x: Array, step: Array, root: Array
) -> None:
    """As Adam, over the largest v so far: x ← max(x, fix·v), w ← w − rate·m / (√(x + inside) + outside)."""
    rate, keep1, gain1, keep2, gain2, inside, outside, fix = c
    _mean(m, g, keep1, gain1, step)
    _square(v, g, keep2, gain2, step)
    np.multiply(v, fix, out=step)
    np.maximum(x, step, out=x)
    np.multiply(m, rate, out=step)
    step /= _root(x, inside, outside, root)
    w -= step


def _nadam(c: Array, w: Array, g: Array, m: Array, v: Array, step: Array, root: Array) -> None:
    """As Adam, w ← w − (rate·m + now·g) / (√(v + inside) + outside)."""
    rate, now, keep1, gain1, keep2, gain2, inside, outside = c
    _mean(m, g, keep1, gain1, step)
    _square(v, g, keep2, gain2, step)
    np.multiply(m, rate, out=step)
    np.multiply(g, now, out=root)
    step += root
    step /= _root(v, inside, outside, root)
    w -= step


def _moments(c: Array, w: Array, g: Array, m: Array, v: Array, step: Array, _: Array) -> None:
    """Both moments as Adam's, w ← w − rate·m: RAdam's first steps."""
    rate, keep1, gain1, keep2, gain2 = c
    _mean(m, g, keep1, gain1, step)
    _square(v, g, keep2, gain2, step)
    np.multiply(m, rate, out=step)
    w -= step


def _adamax(c: Array, w: Array, g: Array, m: Array, u: Array, step: Array, size: Array) -> None:
    """m ← keep1·m + gain1·g, u ← max(keep2·u, |g| + inside), w ← w − rate·m / (u + outside)."""
    rate, keep1, gain1, keep2, inside, outside = c
    _mean(m, g, keep1, gain1, step)
    np.abs(g, out=size)
    size += inside
    u *= keep2
    np.maximum(u, size, out=u)
    np.add(u, outside, out=size)
    np.multiply(m, rate, out=step)
    step /= size
    w -= step


def _lion(c: Array, w: Array, g: Array, m: Array, step: Array, slope: Array) -> None:
    """w ← kept·w − rate·sign(keep1·m + gain1·g), m ← keep2·m + gain2·g."""
    rate, keep1, gain1, keep2, gain2, kept = c
    np.multiply(m, keep1, out=step)
    np.multiply(g, gain1, out=slope)
    step += slope
    np.sign(step, out=step)
    _mean(m, g, keep2, gain2, slope)
    step *= rate
    w *= kept
    w -= step


def _schedule_free_sgd(c: Array, w: Array, g: Array, z: Array, step: Array, move: Array) -> None:
    """s = g + decay·w, w ← w + pull·(z − w) + blend·s, z ← z − rate·s."""
    rate, pull, blend, decay = c
    np.multiply(w, decay, out=step)
    step += g
    _interpolate(w, z, step, (rate, pull, blend), move)


def _schedule_free_adamw(
    c: Array, w: Array, g: Array, z: Array, v: Array, step: Array, move: Array
) -> None:
    """v ← keep·v + gain·g², s = lift·g / (√v + eps) + decay·w; then as Schedule-Free SGD."""
    rate, pull, blend, decay, keep, gain, lift, eps = c
    _square(v, g, keep, gain, step)
    np.multiply(g, lift, out=step)
    step /= _root(v, 0.0, eps, move)
    np.multiply(w, decay, out=move)
    step += move
    _interpolate(w, z, step, (rate, pull, blend), move)


def _mean(m: Array, g: Array, keep: float, gain: float, scratch: Array) -> None:
    m *= keep
    np.multiply(g, gain, out=scratch)
    m += scratch


def _square(v: Array, g: Array, keep: float, gain: float, scratch: Array) -> None:
    v *= keep
    np.multiply(g, gain, out=scratch)
    scratch *= g
    v += scratch


def _root(v: Array, inside: float, outside: float, out: Array) -> Array:
    np.add(v, inside, out=out)
    np.sqrt(out, out=out)
    out += outside
    return out


def _spread(g: Array, v: Array, m: Array, c: tuple[float, ...], scratch: Array, out: Array) -> None:
    """out = √(v − m² + inside) + outside, after both moments took g in."""
    keep, gain, inside, outside = c
    _square(v, g, keep, gain, scratch)
    _mean(m, g, keep, gain, scratch)
    np.multiply(m, m, out=scratch)
    np.subtract(v, scratch, out=scratch)
    np.maximum(scratch, 0, out=scratch)
    _root(scratch, inside, outside, out)


def _heavy(w: Array, g: Array, b: Array, c: tuple[float, ...], step: Array, root: Array) -> None:
    rate, momentum, push = c
    np.multiply(g, push, out=step)
    step /= root
    b *= momentum
    b += step
    np.multiply(b, rate, out=step)
    w -= step


def _interpolate(w: Array, z: Array, s: Array, c: tuple[float, ...], scratch: Array) -> None:
    rate, pull, blend = c
    np.subtract(z, w, out=scratch)
    scratch *= pull
    w += scratch
    np.multiply(s, blend, out=scratch)
    w += scratch
    s *= rate
    z -= s


RULES: dict[str, Rule] = {
    "sgd": (_sgd, 0, 1),
    "momentum": (_momentum, 1, 3),
    "nesterov": (_nesterov, 1, 3),
    "adagrad": (_adagrad, 1, 3),
    "rmsprop": (_rmsprop, 1, 5),
    "adam": (_adam, 2, 8),
    "adadelta": (_adadelta, 2, 4),
    "rmsprop_centered": (_rmsprop_centered, 2, 5),
    "rmsprop_momentum": (_rmsprop_momentum, 2, 7),
    "rmsprop_centered_momentum": (_rmsprop_centered_momentum, 3, 7),
    "amsgrad": (_amsgrad, 3, 8),
    "nadam": (_nadam, 2, 8),
    "moments": (_moments, 2, 5),
    "adamax": (_adamax, 2, 6),
    "lion": (_lion, 1, 6),
    "schedule_free_sgd": (_schedule_free_sgd, 1, 4),
    "schedule_free_adamw": (_schedule_free_adamw, 2, 8),
}
# How many vectors of state come first that do not decay, and keep their denormal numbers.
LASTING = {"adagrad": 1, "schedule_free_sgd": 1, "schedule_free_adamw": 1}
