"""Header-only: how a head of attention lies in memory, and is packed for products in tiles."""
from _math cimport inline_void, real


cdef struct Shape:
    Py_ssize_t t  # places
    Py_ssize_t width  # heads·d
    Py_ssize_t heads
    Py_ssize_t d
    Py_ssize_t D  # d padded
    Py_ssize_t P  # numbers from one row of scores to the next


cdef inline inline_void take(
    const Shape *s, const real *x, const real *bias, const real *turns, real scale, real *out,
) noexcept nogil:
    """out (t, D) = rows of x, 3·width apart, plus bias, turned, times scale; zeros beyond d."""
    cdef Py_ssize_t i, j, half = s.d // 2
    cdef real a, b
    for i in range(s.t):
        if bias != NULL:
            for j in range(s.d):
                out[j] = (x[j] + bias[j]) * scale
        else:
            for j in range(s.d):
                out[j] = x[j] * scale
        for j in range(s.d, s.D):
            out[j] = 0
        if turns != NULL:
            for j in range(half):
                a, b = out[j], out[j + half]
                out[j] = a * turns[j] - b * turns[j + half]
                out[j + half] = a * turns[j + half] + b * turns[j]
            turns += s.d
        x += 3 * s.width
        out += s.D


cdef inline inline_void give(
    const Shape *s, real *y, const real *turns, real scale, real *x, real *db,
) noexcept nogil:
    """The way back: rows of x = y (t, D), turned back, times scale; their sum is added to db."""
    cdef Py_ssize_t i, j, half = s.d // 2
    cdef real a, b
    for i in range(s.t):
        if turns != NULL:
            for j in range(half):
                a, b = y[j], y[j + half]
                y[j] = a * turns[j] + b * turns[j + half]
                y[j + half] = b * turns[j] - a * turns[j + half]
            turns += s.d
        for j in range(s.d):
            x[j] = y[j] * scale
        if db != NULL:
            for j in range(s.d):
                db[j] = db[j] + x[j]
        x += 3 * s.width
        y += s.D


cdef inline inline_void turn_over(const Shape *s, const real *x, real *out) noexcept nogil:
    """out (D, P) = xᵀ of x (t, D); zeros beyond t."""
    cdef Py_ssize_t i, j
    for j in range(s.D):
        for i in range(s.t):
            out[j * s.P + i] = x[i * s.D + j]
        for i in range(s.t, s.P):
            out[j * s.P + i] = 0
