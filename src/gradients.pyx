"""Cost and gradient of the linear family in one read of X. NumPy twins: gdcore/_numpy/gradients.py.

The letters are those of _rows.pxd.
"""
from libc.stdlib cimport free
from libc.string cimport memset

from _math cimport LANES, fold, hot_double, hot_void, real
from _rows cimport (
    BLOCK, BLOCK_BYTES, LOGISTIC, SOFTMAX, SQUARED, add_four_rows, add_row, block_gradient,
    block_rows, collect, load_row, logistic_slopes, outputs, spread, squared_slopes, workspace,
)

cdef enum:
    RAW_LIMIT64 = 10000  # means, in deviations, up to which shifting the sums costs 4 digits of 16
    RAW_LIMIT32 = 4  # and half a digit of seven
    FLUSH = 32  # blocks summed in X's precision before they are added to g in double


cdef hot_void dense_block(
    int loss, const real *x, const double *y, const double *s, const real *shift,
    const real *inverse, const real *w, real *rows, double *z, real *g, double *lost,
    Py_ssize_t n, Py_ssize_t p, Py_ssize_t P, Py_ssize_t k,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        load_row(x + i * p, shift, inverse, rows + i * P, p)
    block_gradient(loss, rows, y, s, w, z, g, lost, n, P, k)


cdef inline double row_dot(const real *x, const real *w, Py_ssize_t p) noexcept nogil:
    """x·w straight from X: one row after the other, as the processor's prefetcher wants them."""
    cdef real a[LANES]
    cdef real tail = 0
    cdef Py_ssize_t i, j, l
    for l in range(LANES):
        a[l] = 0
    for i in range(p // LANES):
        j = i * LANES
        for l in range(LANES):
            a[l] = a[l] + x[j + l] * w[j + l]
    for j in range(p - p % LANES, p):
        tail = tail + x[j] * w[j]
    return fold(a) + tail


cdef hot_double raw_block(
    int loss, const real *x, const double *y, const double *s, const real *w, double bias,
    double *z, real *g, double *lost, Py_ssize_t n, Py_ssize_t p,
) noexcept nogil:
    """Cost and gradient of n ≤ BLOCK rows of one output, without scratch; returns Σ r."""
    cdef double total = 0
    cdef Py_ssize_t i
    for i in range(n):
        z[i] = bias + row_dot(x + i * p, w, p)
    if loss == SQUARED:
        squared_slopes(z, y, s, lost, n)
    else:
        logistic_slopes(z, y, s, lost, n)
    for i in range(n // 4):
        add_four_rows(x + 4 * i * p, z + 4 * i, g, p)
    for i in range(n - n % 4, n):
        add_row(x + i * p, z[i], g, p)
    for i in range(n):
        total += z[i]
    return total


cdef double raw_sum(
    int loss, const real[:, ::1] X, const double[::1] y, const double[::1] s,
    const double[:, ::1] columns, const double[::1] theta, double[::1] g,
) except? -1:
    """Shift and scale folded into θ and g: z = x·w′ + b′, g = (Σ rx − shift·Σ r)·inverse."""
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1], i = 0, j, m, blocks = 0
    cdef Py_ssize_t R = min(max(BLOCK_BYTES // (p * <Py_ssize_t>sizeof(real)) // 4 * 4, 4), BLOCK)
    cdef void *base
    cdef double *z = <double *>workspace(2 * BLOCK * sizeof(double) + 2 * p * sizeof(real), &base)
    cdef double *lost = z + BLOCK
    cdef real *w = <real *>(lost + BLOCK)
    cdef real *acc = w + p
    cdef double one = columns[1, p], bias = theta[p] * one, slopes = 0, total = 0
    with nogil:
        for j in range(p):
            w[j] = <real>(theta[j] * columns[1, j])
            bias -= columns[0, j] * w[j]
        while i < n:
            m = min(R, n - i)
            slopes += raw_block(loss, &X[i, 0], &y[i], &s[i], w, bias, z, acc, lost, m, p)
            i += m
            blocks += 1
            if blocks % FLUSH == 0 or i == n:
                for j in range(p):
                    if columns[1, j] != 0:  # a column left out may have overflown
                        g[j] += columns[1, j] * (acc[j] - columns[0, j] * slopes)
                g[p] += one * slopes
                slopes = 0
                memset(acc, 0, p * sizeof(real))
        for i in range(BLOCK):
            total += lost[i]
    free(base)
    return total


cdef bint moderate(const double[:, ::1] columns, double limit, double extent) noexcept nogil:
    """No mean is beyond `limit` deviations, so that subtracting it from the sums costs few digits;
    no scale is beyond `extent`, so that the sums of raw numbers do not overflow."""
    cdef Py_ssize_t j
    for j in range(columns.shape[1] - 1):
        if not abs(columns[0, j] * columns[1, j]) <= limit:
            return False
        if columns[1, j] != 0 and not 1 / extent < abs(columns[1, j]) < extent:
            return False
    return True


cdef double accumulate(
    int loss, const real[:, ::1] X, const double[::1] y, const double[::1] s,
    const double[:, ::1] columns, const double[::1] theta, double[::1] g,
) except? -1:
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1]
    cdef Py_ssize_t k = outputs(loss, X, y, s, columns, theta.shape[0], 2)
    if g.shape[0] != theta.shape[0]:
        raise ValueError("theta and g must have one length. Pass g=numpy.zeros_like(theta).")
    if n == 0:
        return 0.0
    cdef double limit = RAW_LIMIT64 if real is double else RAW_LIMIT32
    if loss != SOFTMAX and p > 0 and moderate(columns, limit, 1e150 if real is double else 1e18):
        return raw_sum(loss, X, y, s, columns, theta, g)
    cdef Py_ssize_t P = (p + 1 + LANES - 1) // LANES * LANES
    cdef Py_ssize_t R = block_rows(P, sizeof(real)), i, m, blocks = 0
    cdef void *base
    cdef real *rows = <real *>workspace(
        (R + 2 * k + 2) * P * sizeof(real) + (k + 1) * BLOCK * sizeof(double), &base)
    cdef real *w = rows + R * P
    cdef real *acc = w + k * P
    cdef real *shift = acc + k * P
    cdef real *inverse = shift + P
    cdef double *z = <double *>(inverse + P)
    cdef double *lost = z + k * BLOCK
    cdef double total = 0
    with nogil:
        spread(&theta[0], w, p, P, k)
        for i in range(p + 1):
            shift[i] = <real>columns[0, i]
            inverse[i] = <real>columns[1, i]
        for i in range(R):
            rows[i * P + p] = inverse[p]
        i = 0
        while i < n:
            m = min(R, n - i)
            dense_block(
                loss, &X[i, 0] if p else NULL, &y[i], &s[i], shift, inverse, w, rows, z, acc,
                lost, m, p, P, k,
            )
            i += m
            blocks += 1
            if blocks % FLUSH == 0 or i == n:
                collect(acc, &g[0], True, p, P, k)
                memset(acc, 0, k * P * sizeof(real))
        for i in range(BLOCK):
            total += lost[i]
    free(base)
    return total


def squared_gradient(
    const real[:, ::1] X not None, const double[::1] y not None, const double[::1] weights not None,
    const double[:, ::1] columns not None, const double[::1] theta not None, double[::1] g not None,
):
    """Weighted sum of ½(z − y)² over the rows of X; adds its gradient in theta to g. Changes g."""
    return accumulate(SQUARED, X, y, weights, columns, theta, g)


def logistic_gradient(
    const real[:, ::1] X not None, const double[::1] y not None, const double[::1] weights not None,
    const double[:, ::1] columns not None, const double[::1] theta not None, double[::1] g not None,
):
    """Weighted sum of log(1 + e^z) − y·z over the rows of X, y in [0, 1]; adds its gradient in theta to g. Changes g."""
    return accumulate(LOGISTIC, X, y, weights, columns, theta, g)


def softmax_gradient(
    const real[:, ::1] X not None, const double[::1] y not None, const double[::1] weights not None,
    const double[:, ::1] columns not None, const double[::1] theta not None, double[::1] g not None,
):
    """Weighted sum of log Σ e^z − z_y over the rows of X, y a class number; adds its gradient in theta to g. Changes g."""
    return accumulate(SOFTMAX, X, y, weights, columns, theta, g)
