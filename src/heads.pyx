"""Losses at a network's end, each in one pass with its gradient. NumPy twins:
gdcore/_numpy/heads.py."""
from _heads cimport LOGISTIC, SOFTMAX, SQUARED, head
from _math cimport hot_double, real
from _memory cimport require_apart, require_same_or_apart, span


cdef hot_double head_pass(
    int kind, const real *Z, const double *y, const double *s, double scale, real *D,
    Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    return head(kind, Z, y, s, scale, D, n, k, k)


cdef int require_rows(
    Py_ssize_t n, Py_ssize_t k, Py_ssize_t rows, Py_ssize_t weights, Py_ssize_t out, Py_ssize_t columns,
) except -1:
    if rows != n or weights != n:
        raise ValueError("Z, the targets and weights must have one number of rows. Pass one target and weight a row.")
    if out != n or columns != k or k == 0:
        raise ValueError("Z and dZ must have one shape, with at least one column. Pass dZ=numpy.empty_like(Z).")
    return 0


cdef double elementwise(
    int kind, const real[:, ::1] Z, const double[:, ::1] Y, const double[::1] weights, double scale,
    real[:, ::1] dZ,
) except? -1:
    """A loss whose outputs have a target each."""
    cdef Py_ssize_t n = Z.shape[0], k = Z.shape[1]
    cdef double loss = 0
    require_rows(n, k, Y.shape[0], weights.shape[0], dZ.shape[0], dZ.shape[1])
    if Y.shape[1] != k:
        raise ValueError("Z and Y must have one shape. Pass one target an output.")
    require_same_or_apart(span(dZ), span(Z))
    require_apart(1, 3, span(dZ), span(Y), span(weights))
    if n:
        with nogil:
            loss = head_pass(kind, &Z[0, 0], &Y[0, 0], &weights[0], scale, &dZ[0, 0], n, k)
    return loss


def softmax_cross_entropy(
    const real[:, ::1] Z not None, const double[::1] y not None, const double[::1] weights not None,
    scale, real[:, ::1] dZ not None,
):
    """Weighted sum of log Σ e^z − z_y over the rows of Z, y a class number; dZ = scale times its gradient. dZ may be Z. Changes dZ."""
    cdef Py_ssize_t n = Z.shape[0], k = Z.shape[1], i
    cdef double by = scale, loss = 0
    require_rows(n, k, y.shape[0], weights.shape[0], dZ.shape[0], dZ.shape[1])
    for i in range(n):
        if not (0 <= y[i] < k):
            raise ValueError("y must hold class numbers. Pass numbers from 0 to k − 1.")
    require_same_or_apart(span(dZ), span(Z))
    require_apart(1, 3, span(dZ), span(y), span(weights))
    if n:
        with nogil:
            loss = head_pass(SOFTMAX, &Z[0, 0], &y[0], &weights[0], by, &dZ[0, 0], n, k)
    return loss


def logistic_cross_entropy(
    const real[:, ::1] Z not None, const double[:, ::1] Y not None,
    const double[::1] weights not None, scale, real[:, ::1] dZ not None,
):
    """Weighted sum of log(1 + e^z) − Y·z over the elements of Z, Y in [0, 1]; dZ = scale times its gradient. dZ may be Z. Changes dZ."""
    cdef double by = scale
    return elementwise(LOGISTIC, Z, Y, weights, by, dZ)


def squared_error(
    const real[:, ::1] Z not None, const double[:, ::1] Y not None,
    const double[::1] weights not None, scale, real[:, ::1] dZ not None,
):
    """Weighted sum of ½(Z − Y)² over the elements of Z; dZ = scale times its gradient. dZ may be Z. Changes dZ."""
    cdef double by = scale
    return elementwise(SQUARED, Z, Y, weights, by, dZ)
