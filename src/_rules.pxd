"""Header-only: the loop of each update rule, shared by updates.pyx and the epochs.

Every rule takes parameters w, gradient g, up to three vectors of state and its numbers c, which are
formed in double and cast once, here; what they mean stands in the NumPy twin. The order of
operations is the twin's, so that both give the same bits. Each new moment passes through a local
variable: read back from memory, a store that crosses a cache line (NumPy aligns to 16 bytes) costs
three times the whole step.
"""
from libc.math cimport sqrt

from _math cimport inline_void, real

cdef extern from "<math.h>" nogil:
    float sqrtf(float x)

cdef enum:
    SGD, MOMENTUM, NESTEROV, ADAGRAD, RMSPROP, ADAM, ADADELTA, RMSPROP_CENTERED, RMSPROP_MOMENTUM,
    RMSPROP_CENTERED_MOMENTUM, AMSGRAD, NADAM, MOMENTS, ADAMAX, LION, SCHEDULE_FREE_SGD,
    SCHEDULE_FREE_ADAMW

cdef extern from "<float.h>" nogil:
    float FLT_MIN
    double DBL_MIN

cdef enum:
    MOST_MOMENTS = 3
    MOST_NUMBERS = 8


cdef inline real root(real x) noexcept nogil:
    if real is double:
        return sqrt(x)
    else:
        return sqrtf(x)


cdef inline real settled(real x) noexcept nogil:
    """x, but zero where it is denormal: a moment that decays would stay so for ever, and many a
    processor takes a hundred times as long for such numbers."""
    if real is double:
        return 0 if abs(x) < DBL_MIN else x
    else:
        return 0 if abs(x) < FLT_MIN else x


cdef inline real larger(real a, real b) noexcept nogil:
    """NaN where one of the two is."""
    return a if a > b or a != a else b


cdef inline inline_void sgd_rule(real *w, const real *g, Py_ssize_t n, const double *c) noexcept nogil:
    cdef real rate = <real>c[0]
    cdef Py_ssize_t i
    for i in range(n):
        w[i] = w[i] - rate * g[i]


cdef inline inline_void momentum_rule(
    real *w, const real *g, real *b, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], keep = <real>c[1], gain = <real>c[2]
    cdef real moved
    cdef Py_ssize_t i
    for i in range(n):
        moved = keep * b[i] + gain * g[i]
        b[i] = settled(moved)
        w[i] = w[i] - rate * moved


cdef inline inline_void nesterov_rule(
    real *w, const real *g, real *b, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], keep = <real>c[1], gain = <real>c[2]
    cdef real moved, slope
    cdef Py_ssize_t i
    for i in range(n):
        slope = gain * g[i]
        moved = keep * b[i] + slope
        b[i] = settled(moved)
        w[i] = w[i] - rate * (slope + keep * moved)


cdef inline inline_void adagrad_rule(
    real *w, const real *g, real *v, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], inside = <real>c[1], outside = <real>c[2]
    cdef real slope, square
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        square = v[i] + slope * slope
        v[i] = square
        w[i] = w[i] - (rate * slope) / (root(square + inside) + outside)


cdef inline inline_void adadelta_rule(
    real *w, const real *g, real *v, real *d, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], keep = <real>c[1], gain = <real>c[2], eps = <real>c[3]
    cdef real slope, square, step, old
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        old = d[i]
        square = keep * v[i] + (gain * slope) * slope
        v[i] = settled(square)
        step = (root(old + eps) / root(square + eps)) * slope
        d[i] = settled(keep * old + (gain * step) * step)
        w[i] = w[i] - rate * step


cdef inline inline_void rmsprop_rule(
    real *w, const real *g, real *v, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], keep = <real>c[1], gain = <real>c[2]
    cdef real inside = <real>c[3], outside = <real>c[4]
    cdef real slope, square
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        square = keep * v[i] + (gain * slope) * slope
        v[i] = settled(square)
        w[i] = w[i] - (rate * slope) / (root(square + inside) + outside)


cdef inline inline_void rmsprop_centered_rule(
    real *w, const real *g, real *v, real *m, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], keep = <real>c[1], gain = <real>c[2]
    cdef real inside = <real>c[3], outside = <real>c[4]
    cdef real slope, square, mean, spread
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        square = keep * v[i] + (gain * slope) * slope
        mean = keep * m[i] + gain * slope
        v[i] = settled(square)
        m[i] = settled(mean)
        spread = square - mean * mean
        spread = 0 if spread < 0 else spread
        w[i] = w[i] - (rate * slope) / (root(spread + inside) + outside)


cdef inline inline_void rmsprop_momentum_rule(
    real *w, const real *g, real *v, real *b, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], keep = <real>c[1], gain = <real>c[2]
    cdef real inside = <real>c[3], outside = <real>c[4], momentum = <real>c[5], push = <real>c[6]
    cdef real slope, square, moved
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        square = keep * v[i] + (gain * slope) * slope
        v[i] = settled(square)
        moved = momentum * b[i] + (push * slope) / (root(square + inside) + outside)
        b[i] = settled(moved)
        w[i] = w[i] - rate * moved


cdef inline inline_void rmsprop_centered_momentum_rule(
    real *w, const real *g, real *v, real *m, real *b, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], keep = <real>c[1], gain = <real>c[2]
    cdef real inside = <real>c[3], outside = <real>c[4], momentum = <real>c[5], push = <real>c[6]
    cdef real slope, square, mean, spread, moved
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        square = keep * v[i] + (gain * slope) * slope
        mean = keep * m[i] + gain * slope
        v[i] = settled(square)
        m[i] = settled(mean)
        spread = square - mean * mean
        spread = 0 if spread < 0 else spread
        moved = momentum * b[i] + (push * slope) / (root(spread + inside) + outside)
        b[i] = settled(moved)
        w[i] = w[i] - rate * moved


cdef inline inline_void adam_rule(
    real *w, const real *g, real *m, real *v, Py_ssize_t n, const double *c,
) noexcept nogil:
    """One division an element: lr·m̂/(√v̂ + ε) = (lr·√c₂/c₁)·m/(√v + ε·√c₂), cᵢ = 1 − βᵢᵗ."""
    cdef real rate = <real>c[0], keep1 = <real>c[1], gain1 = <real>c[2], keep2 = <real>c[3]
    cdef real gain2 = <real>c[4], inside = <real>c[5], outside = <real>c[6], kept = <real>c[7]
    cdef real slope, mean, square
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        mean = keep1 * m[i] + gain1 * slope
        square = keep2 * v[i] + (gain2 * slope) * slope
        m[i] = settled(mean)
        v[i] = settled(square)
        w[i] = kept * w[i] - (rate * mean) / (root(square + inside) + outside)


cdef inline inline_void amsgrad_rule(
    real *w, const real *g, real *m, real *v, real *x, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], keep1 = <real>c[1], gain1 = <real>c[2], keep2 = <real>c[3]
    cdef real gain2 = <real>c[4], inside = <real>c[5], outside = <real>c[6], fix = <real>c[7]
    cdef real slope, mean, square, most
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        mean = keep1 * m[i] + gain1 * slope
        square = keep2 * v[i] + (gain2 * slope) * slope
        most = larger(x[i], fix * square)
        m[i] = settled(mean)
        v[i] = settled(square)
        x[i] = settled(most)
        w[i] = w[i] - (rate * mean) / (root(most + inside) + outside)


cdef inline inline_void nadam_rule(
    real *w, const real *g, real *m, real *v, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], now = <real>c[1], keep1 = <real>c[2], gain1 = <real>c[3]
    cdef real keep2 = <real>c[4], gain2 = <real>c[5], inside = <real>c[6], outside = <real>c[7]
    cdef real slope, mean, square
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        mean = keep1 * m[i] + gain1 * slope
        square = keep2 * v[i] + (gain2 * slope) * slope
        m[i] = settled(mean)
        v[i] = settled(square)
        w[i] = w[i] - (rate * mean + now * slope) / (root(square + inside) + outside)


cdef inline inline_void moments_rule(
    real *w, const real *g, real *m, real *v, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], keep1 = <real>c[1], gain1 = <real>c[2], keep2 = <real>c[3]
    cdef real gain2 = <real>c[4]
    cdef real slope, mean, square
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        mean = keep1 * m[i] + gain1 * slope
        square = keep2 * v[i] + (gain2 * slope) * slope
        m[i] = settled(mean)
        v[i] = settled(square)
        w[i] = w[i] - rate * mean


cdef inline inline_void adamax_rule(
    real *w, const real *g, real *m, real *u, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], keep1 = <real>c[1], gain1 = <real>c[2], keep2 = <real>c[3]
    cdef real inside = <real>c[4], outside = <real>c[5]
    cdef real slope, mean, most
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        mean = keep1 * m[i] + gain1 * slope
        most = larger(keep2 * u[i], abs(slope) + inside)
        m[i] = settled(mean)
        u[i] = settled(most)
        w[i] = w[i] - (rate * mean) / (most + outside)


cdef inline inline_void lion_rule(
    real *w, const real *g, real *m, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], keep1 = <real>c[1], gain1 = <real>c[2], keep2 = <real>c[3]
    cdef real gain2 = <real>c[4], kept = <real>c[5]
    cdef real slope, mean, way
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        mean = m[i]
        way = keep1 * mean + gain1 * slope
        way = 1 if way > 0 else (-1 if way < 0 else (0 if way == 0 else way))
        m[i] = settled(keep2 * mean + gain2 * slope)
        w[i] = kept * w[i] - rate * way


cdef inline inline_void schedule_free_sgd_rule(
    real *w, const real *g, real *z, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], pull = <real>c[1], blend = <real>c[2], decay = <real>c[3]
    cdef real here, goal, step
    cdef Py_ssize_t i
    for i in range(n):
        here = w[i]
        goal = z[i]
        step = decay * here + g[i]
        here = here + (goal - here) * pull
        w[i] = here + blend * step
        z[i] = goal - rate * step


cdef inline inline_void schedule_free_adamw_rule(
    real *w, const real *g, real *z, real *v, Py_ssize_t n, const double *c,
) noexcept nogil:
    cdef real rate = <real>c[0], pull = <real>c[1], blend = <real>c[2], decay = <real>c[3]
    cdef real keep = <real>c[4], gain = <real>c[5], lift = <real>c[6], eps = <real>c[7]
    cdef real here, goal, step, slope, square
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        here = w[i]
        goal = z[i]
        square = keep * v[i] + (gain * slope) * slope
        v[i] = settled(square)
        step = (lift * slope) / (root(square) + eps) + decay * here
        here = here + (goal - here) * pull
        w[i] = here + blend * step
        z[i] = goal - rate * step


cdef inline inline_void move(
    int rule, real *w, const real *g, real *a, real *b, real *d, Py_ssize_t n, const double *c,
) noexcept nogil:
    """One step of any rule."""
    if rule == SGD:
        sgd_rule(w, g, n, c)
    elif rule == MOMENTUM:
        momentum_rule(w, g, a, n, c)
    elif rule == NESTEROV:
        nesterov_rule(w, g, a, n, c)
    elif rule == ADAGRAD:
        adagrad_rule(w, g, a, n, c)
    elif rule == RMSPROP:
        rmsprop_rule(w, g, a, n, c)
    elif rule == ADAM:
        adam_rule(w, g, a, b, n, c)
    elif rule == ADADELTA:
        adadelta_rule(w, g, a, b, n, c)
    elif rule == RMSPROP_CENTERED:
        rmsprop_centered_rule(w, g, a, b, n, c)
    elif rule == RMSPROP_MOMENTUM:
        rmsprop_momentum_rule(w, g, a, b, n, c)
    elif rule == RMSPROP_CENTERED_MOMENTUM:
        rmsprop_centered_momentum_rule(w, g, a, b, d, n, c)
    elif rule == AMSGRAD:
        amsgrad_rule(w, g, a, b, d, n, c)
    elif rule == NADAM:
        nadam_rule(w, g, a, b, n, c)
    elif rule == MOMENTS:
        moments_rule(w, g, a, b, n, c)
    elif rule == ADAMAX:
        adamax_rule(w, g, a, b, n, c)
    elif rule == LION:
        lion_rule(w, g, a, n, c)
    elif rule == SCHEDULE_FREE_SGD:
        schedule_free_sgd_rule(w, g, a, n, c)
    else:
        schedule_free_adamw_rule(w, g, a, b, n, c)
