"""Losses of one margin z, for online.py: value, slope, and how far importance moves z.

`moved` follows dz/dh = −ℓ′(z) for the time `push`, in closed form: it never passes the place where the
example's own loss is lowest, and two pushes in a row are one of their sum (Karampatziakis & Langford, 2011).
"""

import math

STEEPEST = 30.0  # the exponent of a slope at most: one wild example must not end all learning


def value(loss: str, z: float, y: float, knob: float) -> float:
    """ℓ(z, y); for the classes of "logistic" and the hinges y is 0 or 1."""
    side, r = (1.0 if y > 0.5 else -1.0), y - z
    if loss == "squared":
        return 0.5 * r * r
    if loss == "logistic":
        return max(-side * z, 0.0) + math.log1p(exp(-abs(z)))
    if loss == "huber":
        return 0.5 * r * r if abs(r) <= knob else knob * (abs(r) - 0.5 * knob)
    if loss == "quantile":
        return knob * r if r > 0 else (knob - 1) * r
    if loss == "poisson":
        return exp(z) - y * z
    if loss == "gamma":
        return z + y * exp(-z)
    r = max(1 - side * z, 0.0)
    return r if loss == "hinge" else 0.5 * r * r


def slope(loss: str, z: float, y: float, knob: float) -> float:
    """dℓ/dz."""
    side, r = (1.0 if y > 0.5 else -1.0), z - y
    if loss == "squared":
        return r
    if loss == "logistic":
        e = exp(-abs(z))
        return -side * ((e if side * z >= 0 else 1.0) / (1 + e))
    if loss == "huber":
        return r if abs(r) <= knob else math.copysign(knob, r)
    if loss == "quantile":
        return 0.0 if r == 0 else (1 - knob if r > 0 else -knob)
    if loss == "poisson":
        return exp(min(z, STEEPEST)) - y
    if loss == "gamma":
        return 1 - y * exp(min(-z, STEEPEST))
    r = max(1 - side * z, 0.0)
    return -side * (float(r > 0) if loss == "hinge" else r)


def moved(loss: str, z: float, y: float, push: float, knob: float) -> float:
    """How far z goes in the time `push`."""
    side, r = (1.0 if y > 0.5 else -1.0), y - z
    if loss == "squared":
        return -r * math.expm1(-push)
    if loss == "logistic":
        return side * logistic_gain(side * z, push)
    if loss == "huber":
        return huber_moved(r, push, knob)
    if loss == "quantile":
        return min(knob * push, r) if r > 0 else max((knob - 1) * push, r)
    if loss == "poisson":
        return poisson_moved(z, y, push)
    if loss == "gamma":
        return gamma_moved(z, y, push)
    r = 1 - side * z
    if r <= 0:
        return 0.0
    return side * (min(push, r) if loss == "hinge" else -r * math.expm1(-push))


def logistic_gain(m: float, push: float) -> float:
    """d ≥ 0 with d + eᵐ(eᵈ − 1) = push, by Newton's steps from above on a convex function."""
    flat, steep = math.exp(-max(m, 0.0)), math.exp(min(m, 0.0))
    if m > -350:
        most = math.log1p(push * exp(-m))
    else:  # whose e⁻ᵐ, times push, may be beyond all numbers
        most = math.log(push) - m if push > 0 else 0.0
    d = min(push, most)
    for _ in range(12):
        e = steep * math.expm1(d) if d < 700 else exp(d + m)
        step = (flat * (d - push) + e) / (flat + steep + e)
        d = d - step
        if abs(step) <= 1e-15 * d:
            break
    return d


def huber_moved(r: float, push: float, knob: float) -> float:
    """At a constant speed while |r| > knob, as a square from there on."""
    far, way = abs(r) - knob, 0.0
    if far > 0:
        if push * knob <= far:
            return math.copysign(push * knob, r)
        way, push = far, push - far / knob
    return math.copysign(way - (abs(r) - way) * math.expm1(-push), r)


def poisson_moved(z: float, y: float, push: float) -> float:
    """−log(e^(−y·push) + eᶻ·s) with s = (1 − e^(−y·push))/y."""
    s = -math.expm1(-y * push) / y if y * push > 1e-300 else push
    a = s * (exp(z) - y)
    return -math.log1p(a) if abs(a) < 0.5 else -log_sum(-y * push, z + math.log(s))


def gamma_moved(z: float, y: float, push: float) -> float:
    """log(e^(−push) + s·y·e^(−z)) with s = 1 − e^(−push)."""
    s = -math.expm1(-push)
    a = s * (y * exp(-z) - 1)
    return math.log1p(a) if abs(a) < 0.5 else log_sum(-push, math.log(s * y) - z)


def log_sum(a: float, b: float) -> float:
    """log(eᵃ + eᵇ)."""
    return max(a, b) + math.log1p(exp(-abs(a - b)))


def exp(x: float) -> float:
    """eˣ, infinity where that is beyond a double."""
    return math.exp(x) if x < 709.78 else math.inf
