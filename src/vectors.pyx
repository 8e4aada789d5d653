"""Norm, dot, clip and finite check of one vector. NumPy twins: gdcore/_numpy/vectors.py."""
from libc.math cimport sqrt
from libc.stdlib cimport free, malloc

from _math cimport LANES, fold64, hot_double, hot_void, real, require_one_length

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


cdef hot_double dot_pass(const real *a, const real *b, Py_ssize_t n, double scale) noexcept nogil:
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
    cdef real tail = 0
    for k in range(LANES):
        lane[k] = 0
    for i in range(n // LANES):
        j = i * LANES
        for k in range(LANES):
            lane[k] = lane[k] + 0 * a[j + k]
    for j in range(n - n % LANES, n):
        tail = tail + 0 * a[j]
    for k in range(LANES):
        tail = tail + lane[k]
    return tail


cdef hot_void scale_pass(real *a, Py_ssize_t n, double factor) noexcept nogil:
    cdef real by = <real>factor
    cdef Py_ssize_t i
    for i in range(n):
        a[i] = by * a[i]


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


cdef hot_void ray_pass(
    const double *x, const double *d, double t, double *out, Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = x[i] + t * d[i]


cdef hot_void difference_pass(
    const double *a, const double *b, double *out, Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = a[i] - b[i]


def ray(const double[::1] x not None, const double[::1] d not None, double t, double[::1] out not None):
    """Write the point x + t·d into out. Changes out."""
    require_one_length(x.shape[0] == d.shape[0] == out.shape[0])
    if x.shape[0]:
        with nogil:
            ray_pass(&x[0], &d[0], t, &out[0], x.shape[0])


cdef int require_pairs(
    const double[:, ::1] S, const double[:, ::1] Y, Py_ssize_t rho, Py_ssize_t n,
    Py_ssize_t newest, Py_ssize_t count,
) except -1:
    if S.shape[0] != Y.shape[0] or S.shape[1] != Y.shape[1] or S.shape[0] != rho or S.shape[1] != n:
        raise ValueError("S and Y must hold one row of g's length for each rho. Pass such.")
    if not (0 <= count <= rho and (0 <= newest < rho or not count)):
        raise ValueError("Rows must lie within S. Pass numbers from 0 to the number of pairs.")
    return 0


cdef void recurse(
    const double *S, const double *Y, const double *rho, Py_ssize_t n, Py_ssize_t memory,
    Py_ssize_t newest, Py_ssize_t count, double *alpha, double *d,
) noexcept nogil:
    """From the newest pair to the oldest, scale, and back."""
    cdef Py_ssize_t k, row
    cdef double square
    for k in range(count):
        row = (newest - k + memory) % memory
        alpha[k] = rho[row] * dot_pass(S + row * n, d, n, 1.0)
        ray_pass(d, Y + row * n, -alpha[k], d, n)
    square = rho[newest] * dot_pass(Y + newest * n, Y + newest * n, n, 1.0)
    scale_pass(d, n, 1 / square if square > 0 else 1.0)
    for k in range(count - 1, -1, -1):
        row = (newest - k + memory) % memory
        square = rho[row] * dot_pass(Y + row * n, d, n, 1.0)
        ray_pass(d, S + row * n, alpha[k] - square, d, n)


def two_loop(
    const double[::1] g not None, const double[:, ::1] S not None,
    const double[:, ::1] Y not None, const double[::1] rho not None, Py_ssize_t newest,
    Py_ssize_t count, double[::1] d not None,
):
    """Write −H·g into d, H the inverse Hessian of `count` pairs of steps S and gradient changes Y whose last is row `newest` (Nocedal, 1980); rho is 1/sᵀy. Returns ⟨g, d⟩. Changes d."""
    cdef Py_ssize_t n = g.shape[0], i
    cdef double slope = 0
    cdef double *alpha
    require_one_length(d.shape[0] == n)
    require_pairs(S, Y, rho.shape[0], n, newest, count)
    alpha = <double *>malloc((count + 1) * sizeof(double))
    if alpha == NULL:
        raise MemoryError
    if n:
        with nogil:
            for i in range(n):
                d[i] = -g[i]
            if count:
                recurse(&S[0, 0], &Y[0, 0], &rho[0], n, rho.shape[0], newest, count, alpha, &d[0])
            slope = dot_pass(&g[0], &d[0], n, 1.0)
    free(alpha)
    return slope


def curvature_pair(
    const double[::1] x not None, const double[::1] before not None,
    const double[::1] g not None, const double[::1] was not None, double[:, ::1] S not None,
    double[:, ::1] Y not None, double[::1] rho not None, Py_ssize_t row, double caution,
):
    """Write the pair s = x − before, y = g − was into a row of S and Y, and 1/sᵀy into rho, where sᵀy > caution·‖s‖‖y‖, else zero. Returns ‖s‖. Changes S, Y and rho."""
    cdef Py_ssize_t n = x.shape[0]
    cdef double far = 0, product = 0
    require_one_length(n == before.shape[0] == g.shape[0] == was.shape[0])
    require_pairs(S, Y, rho.shape[0], n, row, 1)
    if n:
        with nogil:
            difference_pass(&x[0], &before[0], &S[row, 0], n)
            difference_pass(&g[0], &was[0], &Y[row, 0], n)
            product = dot_pass(&S[row, 0], &Y[row, 0], n, 1.0)
            far = safe_norm(&S[row, 0], n)
            if not (product > caution * far * safe_norm(&Y[row, 0], n) and product > 1e-300):
                product = 0
    rho[row] = 1 / product if product else 0
    return far


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


def simd_level():
    """Name of the instruction set that the compiled kernels run on; "numpy" where NumPy answers."""
    return level().decode()
