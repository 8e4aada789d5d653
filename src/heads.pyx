"""Losses at a network's end, each in one pass with its gradient. NumPy twins:
gdcore/_numpy/heads.py."""
from libc.math cimport log

from _activations cimport logistic
from _math cimport (
    LANES, exp_negative, fold, hot_double, inline_double, real, two_artanh,
)


cdef inline inline_double softmax_row(
    const real *z, real *d, Py_ssize_t k, Py_ssize_t label, double weight, double scale,
) noexcept nogil:
    """weight·ℓ of one row; d becomes scale·weight·(softmax(z) − [j = label])."""
    cdef real most = z[0], factor
    cdef real lane[LANES]
    cdef double total = 0
    cdef Py_ssize_t j, l, block
    for j in range(1, k):
        most = z[j] if z[j] > most else most
    for j in range(k):
        d[j] = exp_negative(z[j] - most)
    if k >= 2 * LANES:
        for l in range(LANES):
            lane[l] = 0
        for block in range(k // LANES):
            for l in range(LANES):
                lane[l] = lane[l] + d[block * LANES + l]
        total = fold(lane)
        for j in range(k - k % LANES, k):
            total += d[j]
    else:
        for j in range(k):
            total += d[j]
    factor = <real>(scale * weight / total)
    for j in range(k):
        d[j] = d[j] * factor
    d[label] = d[label] - <real>(scale * weight)
    return weight * (log(total) - (<double>z[label] - <double>most))


cdef hot_double softmax_pass(
    const real *Z, const double *y, const double *s, double scale, real *D,
    Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    cdef double loss = 0
    cdef Py_ssize_t i
    for i in range(n):
        loss += softmax_row(Z + i * k, D + i * k, k, <Py_ssize_t>y[i], s[i], scale)
    return loss


cdef hot_double logistic_pass(
    const real *Z, const double *Y, const double *s, double scale, real *D,
    Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    cdef double loss = 0, row, e, z
    cdef Py_ssize_t i, j
    for i in range(n):
        row = 0
        for j in range(k):
            z = Z[i * k + j]
            e = exp_negative(-abs(z))
            row += (z if z > 0 else 0) + two_artanh(e / (2.0 + e)) - Y[i * k + j] * z
            D[i * k + j] = <real>(scale * s[i] * (logistic(z) - Y[i * k + j]))
        loss += s[i] * row
    return loss


cdef hot_double squared_pass(
    const real *Z, const double *Y, const double *s, double scale, real *D,
    Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    cdef double loss = 0, row, r
    cdef Py_ssize_t i, j
    for i in range(n):
        row = 0
        for j in range(k):
            r = <double>Z[i * k + j] - Y[i * k + j]
            row += r * r
            D[i * k + j] = <real>(scale * s[i] * r)
        loss += s[i] * row
    return 0.5 * loss


cdef int require_rows(
    Py_ssize_t n, Py_ssize_t k, Py_ssize_t rows, Py_ssize_t weights, Py_ssize_t out, Py_ssize_t columns,
) except -1:
    if rows != n or weights != n:
        raise ValueError("Z, the targets and weights must have one number of rows. Pass one target and weight a row.")
    if out != n or columns != k or k == 0:
        raise ValueError("Z and dZ must have one shape, with at least one column. Pass dZ=numpy.empty_like(Z).")
    return 0


def softmax_cross_entropy(
    const real[:, ::1] Z not None, const double[::1] y not None, const double[::1] weights not None,
    scale, real[:, ::1] dZ not None,
):
    """Weighted sum of log Σ e^z − z_y over the rows of Z, y a class number; dZ = scale times its gradient. Changes dZ."""
    cdef Py_ssize_t n = Z.shape[0], k = Z.shape[1], i
    cdef double by = scale, loss = 0
    require_rows(n, k, y.shape[0], weights.shape[0], dZ.shape[0], dZ.shape[1])
    for i in range(n):
        if not (0 <= y[i] < k):
            raise ValueError("y must hold class numbers. Pass numbers from 0 to k − 1.")
    if n:
        with nogil:
            loss = softmax_pass(&Z[0, 0], &y[0], &weights[0], by, &dZ[0, 0], n, k)
    return loss


def logistic_cross_entropy(
    const real[:, ::1] Z not None, const double[:, ::1] Y not None,
    const double[::1] weights not None, scale, real[:, ::1] dZ not None,
):
    """Weighted sum of log(1 + e^z) − Y·z over the elements of Z, Y in [0, 1]; dZ = scale times its gradient. Changes dZ."""
    cdef Py_ssize_t n = Z.shape[0], k = Z.shape[1]
    cdef double by = scale, loss = 0
    require_rows(n, k, Y.shape[0], weights.shape[0], dZ.shape[0], dZ.shape[1])
    if Y.shape[1] != k:
        raise ValueError("Z and Y must have one shape. Pass one target an output.")
    if n:
        with nogil:
            loss = logistic_pass(&Z[0, 0], &Y[0, 0], &weights[0], by, &dZ[0, 0], n, k)
    return loss


def squared_error(
    const real[:, ::1] Z not None, const double[:, ::1] Y not None,
    const double[::1] weights not None, scale, real[:, ::1] dZ not None,
):
    """Weighted sum of ½(Z − Y)² over the elements of Z; dZ = scale times its gradient. Changes dZ."""
    cdef Py_ssize_t n = Z.shape[0], k = Z.shape[1]
    cdef double by = scale, loss = 0
    require_rows(n, k, Y.shape[0], weights.shape[0], dZ.shape[0], dZ.shape[1])
    if Y.shape[1] != k:
        raise ValueError("Z and Y must have one shape. Pass one target an output.")
    if n:
        with nogil:
            loss = squared_pass(&Z[0, 0], &Y[0, 0], &weights[0], by, &dZ[0, 0], n, k)
    return loss
