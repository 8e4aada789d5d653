"""Norm, dot, clip, finite check and secants of vectors. NumPy twins: gdcore/_numpy/vectors.py."""
from libc.math cimport sqrt
from libc.string cimport memcpy

from _math cimport LANES, hot_double, hot_void, real, require_one_length
from _memory cimport require_apart, span
from _sums cimport dot_loop

cdef extern from *:
    """
    static const char *gd_level(void) {
    #ifdef GD_DISPATCHED
        if (__builtin_cpu_supports("x86-64-v4")) return "x86-64-v4";
        if (__builtin_cpu_supports("x86-64-v3")) return "x86-64-v3";
    #endif
        return "baseline";
    }
    """
    const char *level "gd_level"()


cdef enum:
    FOUR = 4  # lanes of each of four sums: all stay in registers


cdef hot_double dot_pass(const real *a, const real *b, Py_ssize_t n, double scale) noexcept nogil:
    return dot_loop(a, b, n, scale)


cdef hot_double largest_pass(const real *a, Py_ssize_t n) noexcept nogil:
    """max |aᵢ|; the caller has no NaN."""
    cdef real most[LANES]
    cdef real size, best, last = 0
    cdef Py_ssize_t i, j, k
    for k in range(LANES):
        most[k] = 0
    for i in range(n // LANES):
        j = i * LANES
        for k in range(LANES):
            size = abs(a[j + k])
            most[k] = size if size > most[k] else most[k]
    for j in range(n - n % LANES, n):
        size = abs(a[j])
        last = size if size > last else last
    best = last
    for k in range(LANES):
        best = most[k] if most[k] > best else best
    return best


cdef hot_double zeros_pass(const real *a, Py_ssize_t n) noexcept nogil:
    """Σ 0·aᵢ: zero, or NaN as soon as one element is NaN or infinite."""
    cdef real lane[LANES]
    cdef Py_ssize_t i, j, k
    cdef real tail = 0, none = 0  # a literal would be a double, and turn all into doubles
    for k in range(LANES):
        lane[k] = 0
    for i in range(n // LANES):
        j = i * LANES
        for k in range(LANES):
            lane[k] = lane[k] + none * a[j + k]
    for j in range(n - n % LANES, n):
        tail = tail + none * a[j]
    for k in range(LANES):
        tail = tail + lane[k]
    return tail


cdef hot_void scale_pass(real *a, Py_ssize_t n, double factor) noexcept nogil:
    cdef real by = <real>factor
    cdef Py_ssize_t i
    for i in range(n):
        a[i] = by * a[i]


cdef hot_void add_pass(real *a, const real *b, Py_ssize_t n, double factor) noexcept nogil:
    cdef real by = <real>factor
    cdef Py_ssize_t i
    for i in range(n):
        a[i] = a[i] + by * b[i]


cdef hot_void clip_pass(real *a, Py_ssize_t n, double limit) noexcept nogil:
    cdef real high = <real>limit
    cdef Py_ssize_t i
    for i in range(n):
        a[i] = high if a[i] > high else (-high if a[i] < -high else a[i])


cdef double safe_norm(const real *a, Py_ssize_t n) noexcept nogil:
    cdef double square = dot_pass(a, a, n, 1.0), most
    if 1e-290 < square < 1e300 or square != square:
        return sqrt(square)
    # The squares under- or overflowed: measure in units of a power of two near the largest element.
    most = largest_pass(a, n)
    if most == 0 or most > 1.7976931348623157e308:
        return most
    if most < 1e-150:
        return sqrt(dot_pass(a, a, n, 2.0 ** 600)) / 2.0 ** 600
    if most > 1e140:
        return sqrt(dot_pass(a, a, n, 2.0 ** -600)) * 2.0 ** 600
    return sqrt(square)


def norm(const real[::1] a not None):
    """Euclidean norm ‖a‖₂, summed in double; never under- or overflows where the result is a number."""
    cdef double size = 0
    if a.shape[0]:
        with nogil:
            size = safe_norm(&a[0], a.shape[0])
    return size


def add_scaled(real[::1] a not None, const real[::1] b not None, factor):
    """a + factor·b into a. Changes a."""
    cdef double by = factor
    require_one_length(a.shape[0] == b.shape[0])
    require_apart(1, 2, span(a), span(b))
    if a.shape[0]:
        with nogil:
            add_pass(&a[0], &b[0], a.shape[0], by)


def dot(const real[::1] a not None, const real[::1] b not None):
    """Inner product ⟨a, b⟩, summed in double."""
    cdef double product = 0
    require_one_length(a.shape[0] == b.shape[0])
    if a.shape[0]:
        with nogil:
            product = dot_pass(&a[0], &b[0], a.shape[0], 1.0)
    return product


def largest(const real[::1] a not None):
    """Largest absolute element ‖a‖∞; 0 for none, NaN where one is."""
    cdef double most = 0
    cdef Py_ssize_t i
    if a.shape[0]:
        with nogil:
            if zeros_pass(&a[0], a.shape[0]) == 0:
                most = largest_pass(&a[0], a.shape[0])
            else:  # one is infinite, or not a number, which no comparison would find
                for i in range(a.shape[0]):
                    most = abs(a[i]) if abs(a[i]) > most or a[i] != a[i] else most
                    if most != most:
                        break
    return most


def clip_norm(real[::1] a not None, double limit):
    """Scale a down to norm limit where it is longer; return the norm it had. Changes a."""
    cdef double size = 0
    if a.shape[0]:
        with nogil:
            size = safe_norm(&a[0], a.shape[0])
            if limit < size < 1.7976931348623157e308:
                scale_pass(&a[0], a.shape[0], limit / size)
    return size


def clip_value(real[::1] a not None, double limit):
    """Move every element of a into [−limit, limit]; NaN stays. Changes a."""
    if not limit >= 0:
        raise ValueError("limit must not be negative. Pass the largest size allowed.")
    if a.shape[0]:
        with nogil:
            clip_pass(&a[0], a.shape[0], limit)


def all_finite(const real[::1] a not None):
    """True where no element of a is NaN or infinite."""
    cdef double zero = 0
    if a.shape[0]:
        with nogil:
            zero = zeros_pass(&a[0], a.shape[0])
    return zero == 0


cdef hot_void secant_pass(
    const real *x, real *before, const real *g, real *was, Py_ssize_t n, double *sums,
) noexcept nogil:
    cdef double away[FOUR]
    cdef double both[FOUR]
    cdef double bent[FOUR]
    cdef double fall[FOUR]
    cdef double size[FOUR]
    cdef double dx, dg, a, b
    cdef Py_ssize_t i, j, k, whole = n // FOUR * FOUR
    for k in range(FOUR):
        away[k] = both[k] = bent[k] = fall[k] = size[k] = 0
    for i in range(n // FOUR):
        j = i * FOUR
        for k in range(FOUR):
            a = was[j + k]
            b = g[j + k]
            dx = <double>x[j + k] - before[j + k]
            dg = b - a
            away[k] = away[k] + dx * dx
            both[k] = both[k] + a * b
            bent[k] = bent[k] + dg * dg
            fall[k] = fall[k] + (a + b) * dx
            size[k] = size[k] + b * b
    for i in range(whole, n):
        k = i - whole
        a = was[i]
        b = g[i]
        dx = <double>x[i] - before[i]
        dg = b - a
        away[k] = away[k] + dx * dx
        both[k] = both[k] + a * b
        bent[k] = bent[k] + dg * dg
        fall[k] = fall[k] + (a + b) * dx
        size[k] = size[k] + b * b
    sums[0] = (away[0] + away[1]) + (away[2] + away[3])
    sums[1] = (both[0] + both[1]) + (both[2] + both[3])
    sums[2] = (bent[0] + bent[1]) + (bent[2] + bent[3])
    sums[3] = 0.5 * ((fall[0] + fall[1]) + (fall[2] + fall[3]))
    sums[4] = (size[0] + size[1]) + (size[2] + size[3])
    memcpy(before, x, n * sizeof(real))
    memcpy(was, g, n * sizeof(real))


def secant(
    const real[::1] x not None, real[::1] before not None, const real[::1] g not None,
    real[::1] was not None,
):
    """(‖Δx‖², ⟨g, was⟩, ‖Δg‖², ½⟨g + was, Δx⟩, ‖g‖²) between a point and gradient before and those now, which then take their place. Changes before and was."""
    cdef double sums[5]
    cdef Py_ssize_t n = x.shape[0]
    require_one_length(n == before.shape[0] == g.shape[0] == was.shape[0])
    require_apart(2, 4, span(before), span(was), span(x), span(g))
    if n == 0:
        return 0.0, 0.0, 0.0, 0.0, 0.0
    with nogil:
        secant_pass(&x[0], &before[0], &g[0], &was[0], n, sums)
    return sums[0], sums[1], sums[2], sums[3], sums[4]


def simd_level():
    """Name of the instruction set that the compiled kernels run on; "numpy" where NumPy answers."""
    return level().decode()
