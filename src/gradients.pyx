"""Cost and gradient of the linear family in one read of X. NumPy twins: gdcore/_numpy/gradients.py.

The letters are those of _rows.pxd.
"""
from libc.stdlib cimport free
from libc.string cimport memset

from _math cimport LANES, hot_void, real
from _rows cimport (
    BLOCK, LOGISTIC, SOFTMAX, SQUARED, block_gradient, block_rows, collect, load_row, outputs,
    spread, workspace,
)

cdef enum:
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
