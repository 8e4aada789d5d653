"""Header-only: how a head of attention lies in memory, and is packed for products in tiles."""
from _math cimport LANES, fold, inline_double, inline_void, real


cdef struct Shape:
    Py_ssize_t t  # places
    Py_ssize_t width  # heads·d
    Py_ssize_t heads
    Py_ssize_t d
    Py_ssize_t D  # d padded
    Py_ssize_t P  # numbers from one row of scores to the next


cdef inline inline_void take(
    const Shape *s, const real *x, Py_ssize_t step, const real *bias, const real *turns, real scale,
    real *out,
) noexcept nogil:
    """out (t, D) = rows of x, `step` apart, plus bias, turned, times scale; zeros beyond d."""
    cdef real lane[LANES]
    cdef Py_ssize_t i, j, l, half = s.d // 2, whole = s.d - s.d % LANES
    cdef real a, b
    for i in range(s.t):
        for j in range(0, whole, 16):
            for l in range(LANES):
                lane[l] = x[j + l]
            if bias != NULL:
                for l in range(LANES):
                    lane[l] = lane[l] + bias[j + l]
            for l in range(LANES):
                out[j + l] = lane[l] * scale
        for j in range(whole, s.D):
            out[j] = 0 if j >= s.d else x[j] * scale if bias == NULL else (x[j] + bias[j]) * scale
        if turns != NULL:
            for j in range(half):
                a, b = out[j], out[j + half]
                out[j] = a * turns[j] - b * turns[j + half]
                out[j + half] = a * turns[j + half] + b * turns[j]
            turns += s.d
        x += step
        out += s.D


cdef inline inline_void give(
    const Shape *s, real *y, const real *turns, real scale, real *x, real *db,
) noexcept nogil:
    """The way back: rows of x = y (t, D), turned back, times scale; their sum is added to db."""
    cdef real lane[LANES]
    cdef real total[LANES]
    cdef Py_ssize_t i, j, l, n, half = s.d // 2
    cdef real a, b
    if turns != NULL:
        for i in range(s.t):
            for j in range(half):
                a, b = y[i * s.D + j], y[i * s.D + j + half]
                y[i * s.D + j] = a * turns[j] + b * turns[j + half]
                y[i * s.D + j + half] = b * turns[j] - a * turns[j + half]
            turns += s.d
    for j in range(0, s.d, 16):  # sixteen columns at a time: their sums stay in registers
        n = s.d - j if s.d - j < LANES else LANES
        for l in range(LANES):
            total[l] = 0
        for i in range(s.t):
            for l in range(LANES):
                lane[l] = y[i * s.D + j + l] * scale
            for l in range(LANES):
                total[l] = total[l] + lane[l]
            if n == LANES:
                for l in range(LANES):
                    x[i * 3 * s.width + j + l] = lane[l]
            else:
                for l in range(n):
                    x[i * 3 * s.width + j + l] = lane[l]
        if db != NULL:
            for l in range(n):
                db[j + l] = db[j + l] + total[l]


cdef inline inline_double meeting(const real *a, const real *b, Py_ssize_t n) noexcept nogil:
    """Σ a·b."""
    cdef real lane[LANES]
    cdef double rest = 0
    cdef Py_ssize_t i, l
    for l in range(LANES):
        lane[l] = 0
    for i in range(n // LANES):
        for l in range(LANES):
            lane[l] = lane[l] + a[i * LANES + l] * b[i * LANES + l]
    for i in range(n - n % LANES, n):
        rest += <double>a[i] * b[i]
    return fold(lane) + rest
