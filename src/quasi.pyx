"""Quasi-Newton steps: pairs, the two-loop recursion, the search. NumPy twin: gdcore/_numpy/quasi.py."""
from libc.math cimport NAN, fabs, isfinite, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from _math cimport hot_double, hot_void, require_one_length
from _memory cimport require_apart, span
from _sums cimport dot_loop

cdef double DECREASE = 1e-4, CURVATURE = 0.9, LEAST = 2.0, FARTHEST = 10.0, ROUNDING = 1e-15

cdef enum:
    MOST = 20


cdef hot_double dot(const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    return dot_loop(a, b, n, 1.0)


cdef double length(const double *a, Py_ssize_t n) noexcept nogil:
    """‖a‖; in units of the largest element where squares under- or overflow."""
    cdef double square = dot(a, a, n), most = 0
    cdef Py_ssize_t i
    if 1e-290 < square < 1e300 or square != square:
        return sqrt(square)
    for i in range(n):
        most = fabs(a[i]) if fabs(a[i]) > most else most
    if most == 0 or not isfinite(most):
        return most
    square = 0
    for i in range(n):
        square += (a[i] / most) * (a[i] / most)
    return sqrt(square) * most


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
    require_apart(1, 3, span(out), span(x), span(d))
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
        alpha[k] = rho[row] * dot(S + row * n, d, n)
        ray_pass(d, Y + row * n, -alpha[k], d, n)
    square = rho[newest] * dot(Y + newest * n, Y + newest * n, n)
    square = 1 / square if square > 0 else 1.0
    for k in range(n):
        d[k] = square * d[k]
    for k in range(count - 1, -1, -1):
        row = (newest - k + memory) % memory
        square = rho[row] * dot(Y + row * n, d, n)
        ray_pass(d, S + row * n, alpha[k] - square, d, n)


cdef void direction(
    const double *g, const double *S, const double *Y, const double *rho, Py_ssize_t n,
    Py_ssize_t memory, Py_ssize_t newest, Py_ssize_t count, double *alpha, double *d,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        d[i] = -g[i]
    if count:
        recurse(S, Y, rho, n, memory, newest, count, alpha, d)


def two_loop(
    const double[::1] g not None, const double[:, ::1] S not None,
    const double[:, ::1] Y not None, const double[::1] rho not None, Py_ssize_t newest,
    Py_ssize_t count, double[::1] d not None,
):
    """Write −H·g into d, H the inverse Hessian of `count` pairs of steps S and gradient changes Y whose last is row `newest` (Nocedal, 1980); rho is 1/sᵀy. Returns ⟨g, d⟩. Changes d."""
    cdef Py_ssize_t n = g.shape[0]
    cdef double slope = 0
    cdef double *alpha
    require_one_length(d.shape[0] == n)
    require_pairs(S, Y, rho.shape[0], n, newest, count)
    require_apart(1, 5, span(d), span(g), span(S), span(Y), span(rho))
    alpha = <double *>malloc((count + 1) * sizeof(double))
    if alpha == NULL:
        raise MemoryError
    if n:
        with nogil:
            direction(
                &g[0], &S[0, 0] if count else NULL, &Y[0, 0] if count else NULL,
                &rho[0] if count else NULL, n, rho.shape[0], newest, count, alpha, &d[0])
            slope = dot(&g[0], &d[0], n)
    free(alpha)
    return slope


cdef double keep_pair(
    const double *x, const double *before, const double *g, const double *was, double *s,
    double *y, double *rho, Py_ssize_t n, double caution,
) noexcept nogil:
    cdef double far, product
    difference_pass(x, before, s, n)
    difference_pass(g, was, y, n)
    product = dot(s, y, n)
    far = length(s, n)
    rho[0] = 1 / product if product > caution * far * length(y, n) and product > 1e-300 else 0
    return far


def curvature_pair(
    const double[::1] x not None, const double[::1] before not None,
    const double[::1] g not None, const double[::1] was not None, double[:, ::1] S not None,
    double[:, ::1] Y not None, double[::1] rho not None, Py_ssize_t row, double caution,
):
    """Write the pair s = x − before, y = g − was into a row of S and Y, and 1/sᵀy into rho, where sᵀy > caution·‖s‖‖y‖, else zero. Returns ‖s‖. Changes S, Y and rho."""
    cdef Py_ssize_t n = x.shape[0]
    cdef double far = 0
    require_one_length(n == before.shape[0] == g.shape[0] == was.shape[0])
    require_pairs(S, Y, rho.shape[0], n, row, 1)
    require_apart(
        3, 7, span(S), span(Y), span(rho), span(x), span(before), span(g), span(was))
    if n:
        with nogil:
            far = keep_pair(
                &x[0], &before[0], &g[0], &was[0], &S[row, 0], &Y[row, 0], &rho[row], n, caution)
    return far


cdef struct Point:
    double t, f, slope


cdef double cubic(Point a, Point b) noexcept nogil:
    """The minimum of the cubic with the values and slopes of two points; NaN where it has none."""
    cdef double d1 = a.slope + b.slope - 3 * (b.f - a.f) / (b.t - a.t)
    cdef double inner = d1 * d1 - a.slope * b.slope
    cdef double d2, below
    if not inner >= 0:
        return NAN
    d2 = sqrt(inner) if b.t >= a.t else -sqrt(inner)
    below = b.slope - a.slope + 2 * d2
    return b.t - (b.t - a.t) * (b.slope + d2 - d1) / below if below != 0 else NAN


cdef double between(Point low, Point high) noexcept nogil:
    """The cubic's minimum, kept off the ends by a tenth of the bracket."""
    cdef double width = high.t - low.t, near = low.t + 0.1 * width, far = high.t - 0.1 * width
    cdef double t = cubic(low, high) if isfinite(high.f) and isfinite(high.slope) else NAN
    if t < near:
        return near
    if t > far:
        return low.t + 0.9 * width
    return t if t == t else low.t + 0.5 * width


cdef double beyond(Point start, Point low) noexcept nogil:
    """Where a cubic through the last points says that f turns, within limits."""
    cdef double t = cubic(start, low)
    if not t > low.t:
        return FARTHEST / 2 * low.t
    return min(max(t, LEAST * low.t), FARTHEST * low.t)


cdef class _Search:
    """A line from x along d; trial points go into x_new and g_new."""

    cdef object evaluate, x_new, g_new
    cdef double *to  # what x_new holds
    cdef double *slopes  # and g_new
    cdef const double *x
    cdef double *d
    cdef double *kept  # the gradient at the lowest point but one
    cdef Py_ssize_t n, trials

    cdef Point at(self, double t) except *:
        cdef Point point
        self.trials += 1
        ray_pass(self.x, self.d, t, self.to, self.n)
        point.t = t
        point.f = self.evaluate(self.x_new, self.g_new)
        point.slope = dot(self.d, self.slopes, self.n)
        return point

    cdef double strong_wolfe(self, Point start, double t) except? -1:
        """f at the point found, NaN where no trial was below the start."""
        cdef double noise = ROUNDING * fabs(start.f)
        cdef Point low = start, high = start, point
        cdef bint bracketed = False, falls, level
        cdef int trial
        for trial in range(MOST):
            point = self.at(t)
            if not isfinite(point.f) or not isfinite(point.slope):
                high, bracketed = point, True  # a wall, to be kept away from
                t = low.t + 0.1 * (t - low.t)
                continue
            falls = point.f <= start.f + DECREASE * t * start.slope
            level = point.f <= start.f + noise and point.slope <= (2 * DECREASE - 1) * start.slope
            if not (falls or level) or point.f > low.f + noise:
                high, bracketed = point, True
            elif fabs(point.slope) <= -CURVATURE * start.slope:
                return point.f
            elif point.slope > 0:
                high, bracketed = point, True
            else:
                low = point
                memcpy(self.kept, self.slopes, self.n * sizeof(double))
            if bracketed and high.t - low.t <= 1e-12 * high.t:
                break
            t = between(low, high) if bracketed else beyond(start, low)
        if not low.f < start.f:
            return NAN
        ray_pass(self.x, self.d, low.t, self.to, self.n)
        memcpy(self.slopes, self.kept, self.n * sizeof(double))
        return low.f


def wolfe_step(
    evaluate, const double[::1] x not None, const double[::1] g not None, double value,
    double[:, ::1] S not None, double[:, ::1] Y not None, double[::1] rho not None,
    Py_ssize_t pairs, double caution, x_new not None, g_new not None,
):
    """One step of L-BFGS from x to a point that fulfils the strong Wolfe conditions, or where f changes by rounding only those of Hager & Zhang (2005); bracketed and found by cubics (Nocedal & Wright, 2006, §3.5). evaluate(x_new, g_new) gives f and writes its gradient; the pair goes into the row after the newest. Returns f (NaN where no trial was lower), ‖x_new − x‖, the number of pairs, and that of trials. Changes S, Y, rho, x_new and g_new."""
    cdef Py_ssize_t n = x.shape[0], rows = rho.shape[0], row
    cdef double[::1] to = x_new, slopes = g_new
    cdef Point start
    cdef _Search line = _Search.__new__(_Search)
    cdef double f = NAN, far, first
    cdef double *room
    if not callable(evaluate):
        raise TypeError("evaluate must be callable. Pass a function of x and g.")
    require_one_length(n == g.shape[0] == to.shape[0] == slopes.shape[0])
    require_pairs(S, Y, rows, n, 0, 1)
    if pairs < 0:
        raise ValueError("Rows must lie within S. Pass numbers from 0 to the number of pairs.")
    require_apart(
        5, 7, span(S), span(Y), span(rho), span(to), span(slopes), span(x), span(g))
    if n == 0:
        return NAN, 0.0, 0, 0
    room = <double *>malloc((2 * n + rows) * sizeof(double))
    if room == NULL:
        raise MemoryError
    line.evaluate, line.x_new, line.g_new, line.n = evaluate, x_new, g_new, n
    line.to, line.slopes, line.x, line.d, line.kept = &to[0], &slopes[0], &x[0], room, room + n
    start.t, start.f = 0, value
    try:
        while True:
            direction(
                &g[0], &S[0, 0], &Y[0, 0], &rho[0], n, rows, (pairs % rows + rows - 1) % rows,
                min(pairs, rows - 1), room + 2 * n, room)
            start.slope = dot(&g[0], room, n)
            if start.slope < 0:
                first = 1.0 if pairs else min(1.0, 1 / length(&g[0], n))
                f = line.strong_wolfe(start, first)
            if f == f or pairs == 0:
                break
            pairs = 0  # the pairs lead nowhere: forget them, and try the gradient
    finally:
        free(room)
    if f != f:
        return f, 0.0, pairs, line.trials
    row = pairs % rows
    far = keep_pair(
        &to[0], &x[0], &slopes[0], &g[0], &S[row, 0], &Y[row, 0], &rho[row], n, caution)
    return f, far, <object>pairs + (1 if rho[row] != 0 else 0), line.trials
