"""Header-only: what happens to a row of attention's scores between the products."""
from libc.stdint cimport uint64_t

from _attention cimport Shape
from _math cimport (
    LANES, as_double, bits64, exp_negative, fold, inline_double, inline_void, real, two_artanh,
)
from _philox cimport drop
from _tiles cimport MOST_FEW, padded


cdef inline inline_double soften(real *z, Py_ssize_t n, real *most) noexcept nogil:
    """z[:n] = e^(z − max z), zeros up to the next multiple of LANES and of FEW; their sum, ≥ 1."""
    cdef real lane[LANES]
    cdef real e, high, zero = 0
    cdef Py_ssize_t j, l, whole = n - n % LANES, rest = n % LANES
    for l in range(LANES):
        lane[l] = z[0]
    for j in range(0, whole, 16):
        for l in range(LANES):
            lane[l] = z[j + l] if z[j + l] > lane[l] else lane[l]
    if rest:
        for l in range(LANES):
            lane[l] = z[whole + l] if l < rest and z[whole + l] > lane[l] else lane[l]
    for l in range(8):
        lane[l] = lane[l + 8] if lane[l + 8] > lane[l] else lane[l]
    for l in range(4):
        lane[l] = lane[l + 4] if lane[l + 4] > lane[l] else lane[l]
    high = lane[0]
    for l in range(1, 4):
        high = lane[l] if lane[l] > high else high
    for l in range(LANES):
        lane[l] = 0
    for j in range(0, whole, 16):
        for l in range(LANES):
            e = exp_negative(z[j + l] - high)
            z[j + l] = e
            lane[l] = lane[l] + e
    if rest:
        for l in range(LANES):
            e = exp_negative(z[whole + l] - high)
            e = e if l < rest else zero
            z[whole + l] = e
            lane[l] = lane[l] + e
    if rest == 0 or rest + MOST_FEW > LANES + 1:
        whole += LANES if rest else 0
        for l in range(LANES):
            z[whole + l] = 0
    most[0] = high
    return fold(lane)


cdef inline inline_double natural_log(double x) noexcept nogil:
    """log x for x ≥ 1, NaN for NaN and infinity: x = m·2ⁿ, log m = 2 artanh((m − 1)/(m + 1))."""
    cdef long long bits = bits64(x)
    cdef double m = as_double((bits & <long long>0xFFFFFFFFFFFFF) | (<long long>1023 << 52))
    return (<double>((bits >> 52) - 1023) * 0.6931471805599453 + two_artanh((m - 1) / (m + 1))) + (x - x)


cdef inline inline_void slopes(
    const Shape *s, real *p, real *g, real lse, real share, Py_ssize_t i, double rate,
    uint64_t key, uint64_t number,
) noexcept nogil:
    """From scores p and dP in g of place i: weights, as they were used, in p, and dS in g."""
    cdef real zero = 0
    cdef Py_ssize_t j, l, n = i + 1, whole = n - n % LANES, end = padded(n + MOST_FEW - 1)
    if rate > 0:
        drop(g, rate, key, (number * s.t + i) * s.t, g, n)
    for j in range(whole):
        p[j] = exp_negative(p[j] - lse)
        g[j] = p[j] * (g[j] - share)
    for j in range(whole, end, 16):
        for l in range(LANES):
            p[j + l] = exp_negative(p[j + l] - lse) if j + l < n else zero
            g[j + l] = p[j + l] * (g[j + l] - share) if j + l < n else zero
    if rate > 0:
        drop(p, rate, key, (number * s.t + i) * s.t, p, n)
