"""Header-only: losses at a network's end and their gradients, row by row."""
from libc.math cimport log

from _activations cimport logistic
from _math cimport LANES, exp_negative, fold, inline_double, real, two_artanh

cdef enum:
    SOFTMAX, LOGISTIC, SQUARED


cdef inline inline_double softmax_row(
    const real *z, real *d, Py_ssize_t k, Py_ssize_t label, double weight, double scale,
) noexcept nogil:
    """weight·ℓ of one row; d becomes scale·weight·(softmax(z) − [j = label])."""
    cdef real most = z[0], mine = z[label], factor  # d may be z
    cdef real lane[LANES]
    cdef double total = 0
    cdef Py_ssize_t j, l, block
    cdef Py_ssize_t whole = k - k % LANES if k >= 2 * LANES else 0
    if whole:
        for l in range(LANES):
            lane[l] = z[0]
        for block in range(whole // LANES):
            for l in range(LANES):
                lane[l] = z[block * LANES + l] if z[block * LANES + l] > lane[l] else lane[l]
        for l in range(LANES):
            most = lane[l] if lane[l] > most else most
    for j in range(whole, k):
        most = z[j] if z[j] > most else most
    for j in range(k):
        d[j] = exp_negative(z[j] - most)
    if whole:
        for l in range(LANES):
            lane[l] = 0
        for block in range(whole // LANES):
            for l in range(LANES):
                lane[l] = lane[l] + d[block * LANES + l]
        total = fold(lane)
        for j in range(whole, k):
            total += d[j]
    else:
        for j in range(k):
            total += d[j]
    factor = <real>(scale * weight / total)
    for j in range(k):
        d[j] = d[j] * factor
    d[label] = d[label] - <real>(scale * weight)
    return weight * (log(total) - (<double>mine - <double>most))


cdef inline inline_double softmax_rows(
    const real *Z, const double *y, const double *s, double scale, real *D,
    Py_ssize_t n, Py_ssize_t k, Py_ssize_t stride,
) noexcept nogil:
    cdef double loss = 0
    cdef Py_ssize_t i
    for i in range(n):
        loss += softmax_row(Z + i * stride, D + i * stride, k, <Py_ssize_t>y[i], s[i], scale)
    return loss


cdef inline inline_double logistic_rows(
    const real *Z, const double *Y, const double *s, double scale, real *D,
    Py_ssize_t n, Py_ssize_t k, Py_ssize_t stride,
) noexcept nogil:
    cdef double loss = 0, row, e, z
    cdef Py_ssize_t i, j
    for i in range(n):
        row = 0
        for j in range(k):
            z = Z[i * stride + j]
            e = exp_negative(-abs(z))
            row += (z if z > 0 else 0) + two_artanh(e / (2.0 + e)) - Y[i * k + j] * z
            D[i * stride + j] = <real>(scale * s[i] * (logistic(z) - Y[i * k + j]))
        loss += s[i] * row
    return loss


cdef inline inline_double squared_rows(
    const real *Z, const double *Y, const double *s, double scale, real *D,
    Py_ssize_t n, Py_ssize_t k, Py_ssize_t stride,
) noexcept nogil:
    cdef double loss = 0, row, r
    cdef Py_ssize_t i, j
    for i in range(n):
        row = 0
        for j in range(k):
            r = <double>Z[i * stride + j] - Y[i * k + j]
            row += r * r
            D[i * stride + j] = <real>(scale * s[i] * r)
        loss += s[i] * row
    return 0.5 * loss


cdef inline inline_double head(
    int kind, const real *Z, const double *y, const double *s, double scale, real *D,
    Py_ssize_t n, Py_ssize_t k, Py_ssize_t stride,
) noexcept nogil:
    """Σ s·ℓ over rows of Z that lie `stride` apart; D = scale·s times the gradient. Targets are
    one class number a row for softmax, else k numbers a row."""
    if kind == SOFTMAX:
        return softmax_rows(Z, y, s, scale, D, n, k, stride)
    if kind == LOGISTIC:
        return logistic_rows(Z, y, s, scale, D, n, k, stride)
    return squared_rows(Z, y, s, scale, D, n, k, stride)
