"""Layer normalisation, forward and backward. NumPy twins: gdcore/_numpy/normalization.py."""
from libc.math cimport sqrt

from _math cimport LANES, fold, hot_void, inline_double, real


cdef inline inline_double total(const real *x, Py_ssize_t p) noexcept nogil:
    """Σ x in LANES partial sums."""
    cdef real lane[LANES]
    cdef double rest = 0
    cdef Py_ssize_t i, l
    for l in range(LANES):
        lane[l] = 0
    for i in range(p // LANES):
        for l in range(LANES):
            lane[l] = lane[l] + x[i * LANES + l]
    for i in range(p - p % LANES, p):
        rest += x[i]
    return fold(lane) + rest


cdef inline inline_double spread(const real *x, real mean, Py_ssize_t p) noexcept nogil:
    """Σ (x − mean)²."""
    cdef real lane[LANES]
    cdef double rest = 0
    cdef real away
    cdef Py_ssize_t i, l
    for l in range(LANES):
        lane[l] = 0
    for i in range(p // LANES):
        for l in range(LANES):
            away = x[i * LANES + l] - mean
            lane[l] = lane[l] + away * away
    for i in range(p - p % LANES, p):
        rest += (<double>x[i] - mean) * (<double>x[i] - mean)
    return fold(lane) + rest


cdef hot_void forward_pass(
    const real *X, const real *gain, const real *bias, double eps, real *Y, real *statistics,
    Py_ssize_t n, Py_ssize_t p,
) noexcept nogil:
    cdef real mean, scale
    cdef Py_ssize_t i, j
    for i in range(n):
        mean = <real>(total(X, p) / p)
        scale = <real>(1.0 / sqrt(spread(X, mean, p) / p + eps))
        for j in range(p):
            Y[j] = (X[j] - mean) * scale * gain[j] + bias[j]
        statistics[0], statistics[1] = mean, scale
        X, Y, statistics = X + p, Y + p, statistics + 2


cdef hot_void backward_pass(
    const real *X, const real *gain, const real *statistics, const real *dY, real *dX, real *dgain,
    real *dbias, Py_ssize_t n, Py_ssize_t p,
) noexcept nogil:
    """dx = scale·(d − mean d − x̂·mean(d·x̂)) with d = dy·gain and x̂ = (x − mean)·scale."""
    cdef real lane[LANES]
    cdef real other[LANES]
    cdef real mean, scale, d, hat, one, two
    cdef double first, second
    cdef Py_ssize_t i, j, l, block
    for i in range(n):
        mean, scale = statistics[0], statistics[1]
        for l in range(LANES):
            lane[l] = other[l] = 0
        for block in range(p // LANES):
            for l in range(LANES):
                j = block * LANES + l
                d = dY[j] * gain[j]
                lane[l] = lane[l] + d
                other[l] = other[l] + d * ((X[j] - mean) * scale)
        first, second = fold(lane), fold(other)
        for j in range(p - p % LANES, p):
            d = dY[j] * gain[j]
            first += d
            second += d * ((X[j] - mean) * scale)
        one, two = <real>(first / p), <real>(second / p)
        for j in range(p):
            hat = (X[j] - mean) * scale
            dgain[j] = dgain[j] + dY[j] * hat
            dbias[j] = dbias[j] + dY[j]
            dX[j] = scale * (dY[j] * gain[j] - one - hat * two)
        X, dY, dX, statistics = X + p, dY + p, dX + p, statistics + 2


cdef int require_shapes(
    Py_ssize_t n, Py_ssize_t p, Py_ssize_t gain, Py_ssize_t bias, Py_ssize_t out, Py_ssize_t columns,
    Py_ssize_t rows, Py_ssize_t two,
) except -1:
    if gain != p or bias != p:
        raise ValueError("Gain and bias must have one number a column. Pass such.")
    if out != n or columns != p or p == 0:
        raise ValueError("The tables must have one shape, with at least one column. Pass such.")
    if rows != n or two != 2:
        raise ValueError("statistics must have a mean and an inverse deviation for each row. Pass (n, 2).")
    return 0


def layer_norm(
    const real[:, ::1] X not None, const real[::1] gain not None, const real[::1] bias not None,
    eps, real[:, ::1] Y not None, real[:, ::1] statistics not None,
):
    """Y = (X − mean)/√(variance + eps)·gain + bias, row by row; statistics = mean and inverse root of each. Changes Y and statistics."""
    cdef double small = eps
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1]
    require_shapes(n, p, gain.shape[0], bias.shape[0], Y.shape[0], Y.shape[1], statistics.shape[0], statistics.shape[1])
    if n:
        with nogil:
            forward_pass(&X[0, 0], &gain[0], &bias[0], small, &Y[0, 0], &statistics[0, 0], n, p)


def layer_norm_backward(
    const real[:, ::1] X not None, const real[::1] gain not None,
    const real[:, ::1] statistics not None, const real[:, ::1] dY not None, real[:, ::1] dX not None,
    real[::1] dgain not None, real[::1] dbias not None,
):
    """dX from dY, the gradient of what `layer_norm` gave; adds that of gain and bias to dgain and dbias. dX may be dY. Changes dX, dgain and dbias."""
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1]
    require_shapes(n, p, gain.shape[0], dgain.shape[0], dY.shape[0], dY.shape[1], statistics.shape[0], statistics.shape[1])
    require_shapes(n, p, gain.shape[0], dbias.shape[0], dX.shape[0], dX.shape[1], statistics.shape[0], statistics.shape[1])
    if n:
        with nogil:
            backward_pass(
                &X[0, 0], &gain[0], &statistics[0, 0], &dY[0, 0], &dX[0, 0], &dgain[0], &dbias[0], n, p,
            )
