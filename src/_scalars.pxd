"""Header-only: losses of one margin z, for online.pyx: their value, their slope, and where importance moves z.

`moved` follows dz/dh = −ℓ′(z) for the time `push`, in closed form: it never passes the place where the
example's own loss is lowest, and two pushes in a row are one of their sum (Karampatziakis & Langford, 2011).
"""
from libc.math cimport exp, expm1, fabs, log, log1p

cdef enum:
    SQUARED, LOGISTIC, SOFTMAX, HUBER, QUANTILE, POISSON, GAMMA, HINGE, SQUARED_HINGE

cdef enum:
    STEEPEST = 30  # the exponent of a slope at most: one wild example must not end all learning


cdef inline double log_one_plus_exp(double z) noexcept nogil:
    return (z if z > 0 else 0) + log1p(exp(-fabs(z)))


cdef inline double huber(double r, double knob) noexcept nogil:
    return 0.5 * r * r if fabs(r) <= knob else knob * (fabs(r) - 0.5 * knob)


cdef inline double value(int loss, double z, double y, double knob) noexcept nogil:
    """ℓ(z, y); for the classes of LOGISTIC and the hinges y is 0 or 1."""
    cdef double side = 1 if y > 0.5 else -1
    cdef double r = y - z
    if loss == SQUARED:
        return 0.5 * r * r
    if loss == LOGISTIC:
        return log_one_plus_exp(-side * z)
    if loss == HUBER:
        return huber(r, knob)
    if loss == QUANTILE:
        return knob * r if r > 0 else (knob - 1) * r
    if loss == POISSON:
        return exp(z) - y * z
    if loss == GAMMA:
        return z + y * exp(-z)
    r = 1 - side * z
    r = r if r > 0 else 0
    return r if loss == HINGE else 0.5 * r * r


cdef inline double slope(int loss, double z, double y, double knob) noexcept nogil:
    """dℓ/dz."""
    cdef double side = 1 if y > 0.5 else -1
    cdef double r = z - y, e
    if loss == SQUARED:
        return r
    if loss == LOGISTIC:
        e = exp(-fabs(z))
        return -side * ((e if side * z >= 0 else 1) / (1 + e))
    if loss == HUBER:
        return r if fabs(r) <= knob else (knob if r > 0 else -knob)
    if loss == QUANTILE:
        return 0 if r == 0 else (1 - knob if r > 0 else -knob)
    if loss == POISSON:
        return exp(z if z < STEEPEST else STEEPEST) - y
    if loss == GAMMA:
        return 1 - y * exp(-z if -z < STEEPEST else STEEPEST)
    r = 1 - side * z
    r = r if r > 0 else 0
    return -side * ((1 if r > 0 else 0) if loss == HINGE else r)


cdef inline double logistic_gain(double m, double push) noexcept nogil:
    """d ≥ 0 with d + eᵐ(eᵈ − 1) = push, by Newton's steps from above on a convex function."""
    cdef double flat = exp(-m if m > 0 else 0.0), steep = exp(m if m < 0 else 0.0), e, step
    cdef double d
    cdef int i
    if m > -350:
        d = log1p(push * exp(-m))
    else:  # whose e⁻ᵐ, times push, may be beyond all numbers
        d = log(push) - m if push > 0 else 0
    d = push if push < d else d
    for i in range(12):
        e = steep * expm1(d) if d < 700 else exp(d + m)
        step = (flat * (d - push) + e) / (flat + steep + e)
        d = d - step
        if fabs(step) <= 1e-15 * d:
            break
    return d


cdef inline double huber_moved(double r, double push, double knob) noexcept nogil:
    """At a constant speed while |r| > knob, as a square from there on."""
    cdef double far = fabs(r) - knob, way = 0
    if far > 0:
        if push * knob <= far:
            way = push * knob
            return way if r > 0 else -way
        way, push = far, push - far / knob
    way = way - (fabs(r) - way) * expm1(-push)
    return way if r > 0 else -way


cdef inline double log_sum(double a, double b) noexcept nogil:
    """log(eᵃ + eᵇ)."""
    return (a if a > b else b) + log1p(exp(-fabs(a - b)))


cdef inline double poisson_moved(double z, double y, double push) noexcept nogil:
    """−log(e^(−y·push) + eᶻ·s) with s = (1 − e^(−y·push))/y."""
    cdef double s = -expm1(-y * push) / y if y * push > 1e-300 else push
    cdef double a = s * (exp(z) - y)
    return -log1p(a) if fabs(a) < 0.5 else -log_sum(-y * push, z + log(s))


cdef inline double gamma_moved(double z, double y, double push) noexcept nogil:
    """log(e^(−push) + s·y·e^(−z)) with s = 1 − e^(−push)."""
    cdef double s = -expm1(-push)
    cdef double a = s * (y * exp(-z) - 1)
    return log1p(a) if fabs(a) < 0.5 else log_sum(-push, log(s * y) - z)


cdef inline double moved(int loss, double z, double y, double push, double knob) noexcept nogil:
    """How far z goes in the time `push`."""
    cdef double side = 1 if y > 0.5 else -1
    cdef double r = y - z
    if loss == SQUARED:
        return -r * expm1(-push)
    if loss == LOGISTIC:
        return side * logistic_gain(side * z, push)
    if loss == HUBER:
        return huber_moved(r, push, knob)
    if loss == QUANTILE:
        return min(knob * push, r) if r > 0 else max((knob - 1) * push, r)
    if loss == POISSON:
        return poisson_moved(z, y, push)
    if loss == GAMMA:
        return gamma_moved(z, y, push)
    r = 1 - side * z
    if r <= 0:
        return 0
    return side * (min(push, r) if loss == HINGE else -r * expm1(-push))


cdef inline void softmax_slopes(const double *z, double *r, Py_ssize_t own, Py_ssize_t k) noexcept nogil:
    cdef double most = z[0], total = 0
    cdef Py_ssize_t c
    for c in range(1, k):
        most = z[c] if z[c] > most else most
    for c in range(k):
        r[c] = exp(z[c] - most)
        total = total + r[c]
    for c in range(k):
        r[c] = r[c] / total
    r[own] = r[own] - 1


cdef inline double softmax_value(const double *z, Py_ssize_t own, Py_ssize_t k) noexcept nogil:
    cdef double most = z[0], total = 0
    cdef Py_ssize_t c
    for c in range(1, k):
        most = z[c] if z[c] > most else most
    for c in range(k):
        total = total + exp(z[c] - most)
    return log(total) + (most - z[own])


cdef inline bint fits(int loss, double y, Py_ssize_t k) noexcept nogil:
    """Whether y is a target of the loss."""
    if k == 1 and (loss == LOGISTIC or loss == HINGE or loss == SQUARED_HINGE):
        return y == 0 or y == 1
    if loss == SOFTMAX or k > 1:
        return 0 <= y < k and y == <Py_ssize_t>y
    if loss == POISSON:
        return y >= 0
    return y > 0 or loss != GAMMA
