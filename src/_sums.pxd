"""Header-only: the inner product in fixed lanes, shared by vectors.pyx and quasi.pyx."""
from _math cimport LANES, fold64, inline_double, real


cdef inline inline_double dot_loop(
    const real *a, const real *b, Py_ssize_t n, double scale,
) noexcept nogil:
    """Σ (scale·a)·(scale·b) in LANES partial sums of double."""
    cdef double lane[LANES]
    cdef double tail = 0
    cdef Py_ssize_t i, j, k
    for k in range(LANES):
        lane[k] = 0
    for i in range(n // LANES):
        j = i * LANES
        for k in range(LANES):
            lane[k] = lane[k] + (scale * <double>a[j + k]) * (scale * <double>b[j + k])
    for j in range(n - n % LANES, n):
        tail += (scale * <double>a[j]) * (scale * <double>b[j])
    return fold64(lane) + tail
