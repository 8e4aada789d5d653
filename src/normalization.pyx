"""Layer normalisation, forward and backward. NumPy twins: gdcore/_numpy/normalization.py."""
from libc.math cimport sqrt

from _math cimport LANES, fold, hot_void, inline_double, inline_void, real
from _memory cimport require_apart, require_same_or_apart, span
from _steps cimport Step, kept, run_now


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


cdef inline inline_double joined_total(
    real *d, const real *x, const real *bias, Py_ssize_t p,
) noexcept nogil:
    """d += x + bias, and Σ d in LANES partial sums."""
    cdef real lane[LANES]
    cdef real more[LANES]
    cdef double rest = 0
    cdef Py_ssize_t i, l
    for l in range(LANES):
        lane[l] = 0
    for i in range(p // LANES):
        for l in range(LANES):
            more[l] = x[l] + bias[l] if bias != NULL else x[l]
        for l in range(LANES):
            d[l] = d[l] + more[l]
        for l in range(LANES):
            lane[l] = lane[l] + d[l]
        d, x = d + LANES, x + LANES
        bias += LANES if bias != NULL else 0
    for l in range(p % LANES):
        d[l] = d[l] + (x[l] + bias[l] if bias != NULL else x[l])
        rest += d[l]
    return fold(lane) + rest


cdef hot_void forward_pass(
    real *X, const real *more, const real *before, const real *gain, const real *bias, double eps,
    real *Y, real *statistics, Py_ssize_t n, Py_ssize_t p,
) noexcept nogil:
    """Where there is more, X += more + before first; else X is left alone."""
    cdef real mean, scale
    cdef Py_ssize_t i, j
    for i in range(n):
        if more != NULL:
            mean = <real>(joined_total(X, more, before, p) / p)
            more += p
        else:
            mean = <real>(total(X, p) / p)
        scale = <real>(1.0 / sqrt(spread(X, mean, p) / p + eps))
        for j in range(p):
            Y[j] = (X[j] - mean) * scale * gain[j] + bias[j]
        statistics[0], statistics[1] = mean, scale
        X, Y, statistics = X + p, Y + p, statistics + 2


cdef inline inline_void slope_row(
    const real *X, const real *gain, const real *dY, const real *R, real *dX, real mean, real scale,
    real one, real two, Py_ssize_t p, bint more,
) noexcept nogil:
    """dX of one row; dX may be X, dY or R: hence through a local array, and `more` is a constant."""
    cdef real lane[LANES]
    cdef Py_ssize_t i, j, l
    for i in range(p // LANES):
        j = i * LANES
        for l in range(LANES):
            lane[l] = scale * (dY[j + l] * gain[j + l] - one - (X[j + l] - mean) * scale * two)
            if more:
                lane[l] = R[j + l] + lane[l]
        for l in range(LANES):
            dX[j + l] = lane[l]
    for j in range(p - p % LANES, p):
        lane[0] = scale * (dY[j] * gain[j] - one - (X[j] - mean) * scale * two)
        dX[j] = R[j] + lane[0] if more else lane[0]


cdef hot_void backward_pass(
    const real *X, const real *gain, const real *statistics, const real *dY, const real *R, real *dX,
    real *dgain, real *dbias, real *sums, Py_ssize_t n, Py_ssize_t p,
) noexcept nogil:
    """dx = r + scale·(d − mean d − x̂·mean(d·x̂)) with d = dy·gain and x̂ = (x − mean)·scale; R and
    the sums of dx may be NULL."""
    cdef real lane[LANES]
    cdef real other[LANES]
    cdef real mean, scale, d, one, two
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
            dgain[j] = dgain[j] + dY[j] * ((X[j] - mean) * scale)
        for j in range(p):
            dbias[j] = dbias[j] + dY[j]
        if R != NULL:
            slope_row(X, gain, dY, R, dX, mean, scale, one, two, p, True)
        else:
            slope_row(X, gain, dY, R, dX, mean, scale, one, two, p, False)
        if sums != NULL:
            for j in range(p):
                sums[j] = sums[j] + dX[j]
        R += p if R != NULL else 0
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


cdef inline void forward_typed(const Step *s, real *X) noexcept nogil:
    if s.size[0]:
        forward_pass(
            X, <real *>s.at[1], <real *>s.at[2], <real *>s.at[3], <real *>s.at[4], s.number[0],
            <real *>s.at[5], <real *>s.at[6], s.size[0], s.size[1],
        )


cdef int run_forward(const void *step) noexcept nogil:
    cdef const Step *s = <const Step *>step
    if s.wide:
        forward_typed(s, <double *>s.at[0])
    else:
        forward_typed(s, <float *>s.at[0])
    return 0


cdef inline void backward_typed(const Step *s, real *X) noexcept nogil:
    if s.size[0]:
        backward_pass(
            X, <real *>s.at[1], <real *>s.at[2], <real *>s.at[3], <real *>s.at[4], <real *>s.at[5],
            <real *>s.at[6], <real *>s.at[7], <real *>s.at[8], s.size[0], s.size[1],
        )


cdef int run_backward(const void *step) noexcept nogil:
    cdef const Step *s = <const Step *>step
    if s.wide:
        backward_typed(s, <double *>s.at[0])
    else:
        backward_typed(s, <float *>s.at[0])
    return 0


def layer_norm(
    const real[:, ::1] X not None, const real[::1] gain not None, const real[::1] bias not None,
    eps, real[:, ::1] Y not None, real[:, ::1] statistics not None,
):
    """Y = (X − mean)/√(variance + eps)·gain + bias, row by row; statistics = mean and inverse root of each. Changes Y and statistics."""
    cdef double small = eps
    cdef Step s = norm_step(X, gain, bias, small, Y, statistics)
    run_now(&s)


def _later_layer_norm(
    const real[:, ::1] X not None, const real[::1] gain not None, const real[::1] bias not None,
    eps, real[:, ::1] Y not None, real[:, ::1] statistics not None,
):
    cdef double small = eps
    cdef Step s = norm_step(X, gain, bias, small, Y, statistics)
    return kept(&s)


def layer_norm_backward(
    const real[:, ::1] X not None, const real[::1] gain not None,
    const real[:, ::1] statistics not None, const real[:, ::1] dY not None, real[:, ::1] dX not None,
    real[::1] dgain not None, real[::1] dbias not None,
):
    """dX from dY, the gradient of what `layer_norm` gave; adds that of gain and bias to dgain and dbias. dX may be X or dY. Changes dX, dgain and dbias."""
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1]
    require_shapes(n, p, gain.shape[0], dgain.shape[0], dY.shape[0], dY.shape[1], statistics.shape[0], statistics.shape[1])
    require_shapes(n, p, gain.shape[0], dbias.shape[0], dX.shape[0], dX.shape[1], statistics.shape[0], statistics.shape[1])
    require_apart(
        2, 7, span(dgain), span(dbias), span(dX), span(X), span(gain), span(statistics), span(dY))
    require_apart(1, 3, span(dX), span(gain), span(statistics))
    require_same_or_apart(span(dX), span(X))
    require_same_or_apart(span(dX), span(dY))
    if n:
        with nogil:
            backward_pass(
                &X[0, 0], &gain[0], &statistics[0, 0], &dY[0, 0], <real *>NULL, &dX[0, 0], &dgain[0],
                &dbias[0], <real *>NULL, n, p,
            )


cdef int require_sums(Py_ssize_t bias, Py_ssize_t p) except -1:
    if bias != p and bias != 0:
        raise ValueError("The bias must have one number a column, or none. Pass such.")
    return 0


cdef Step norm_step(
    const real[:, ::1] X, const real[::1] gain, const real[::1] bias, double eps, real[:, ::1] Y,
    real[:, ::1] statistics,
) except *:
    """A call of `layer_norm`, or an error."""
    cdef Step s
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1]
    require_shapes(n, p, gain.shape[0], bias.shape[0], Y.shape[0], Y.shape[1], statistics.shape[0], statistics.shape[1])
    require_apart(2, 5, span(Y), span(statistics), span(X), span(gain), span(bias))
    s.run, s.wide, s.number[0] = run_forward, real is double, eps
    s.size[0], s.size[1] = n, p
    s.at[0], s.at[1], s.at[2] = <void *>&X[0, 0], NULL, NULL
    s.at[3], s.at[4] = <void *>&gain[0], <void *>&bias[0]
    s.at[5], s.at[6] = &Y[0, 0], &statistics[0, 0]
    return s


cdef Step forward_step(
    real[:, ::1] D, const real[:, ::1] X, const real[::1] bias, const real[::1] gain,
    const real[::1] shift, double eps, real[:, ::1] Y, real[:, ::1] statistics,
) except *:
    """A call of `residual_norm`, or an error."""
    cdef Step s
    cdef Py_ssize_t n = D.shape[0], p = D.shape[1]
    require_shapes(n, p, gain.shape[0], shift.shape[0], Y.shape[0], Y.shape[1], statistics.shape[0], statistics.shape[1])
    require_shapes(n, p, p, p, X.shape[0], X.shape[1], n, 2)
    require_sums(bias.shape[0], p)
    require_apart(
        3, 7, span(D), span(Y), span(statistics), span(X), span(bias), span(gain), span(shift))
    s.run, s.wide, s.number[0] = run_forward, real is double, eps
    s.size[0], s.size[1] = n, p
    if n:
        s.at[0], s.at[1], s.at[3], s.at[4] = &D[0, 0], <void *>&X[0, 0], <void *>&gain[0], <void *>&shift[0]
        s.at[2] = <void *>&bias[0] if bias.shape[0] else NULL
        s.at[5], s.at[6] = &Y[0, 0], &statistics[0, 0]
    return s


cdef Step backward_step(
    const real[:, ::1] D, const real[::1] gain, const real[:, ::1] statistics,
    const real[:, ::1] dY, const real[:, ::1] R, real[:, ::1] dD, real[::1] dgain,
    real[::1] dshift, real[::1] dbias,
) except *:
    """A call of `residual_norm_backward`, or an error."""
    cdef Step s
    cdef Py_ssize_t n = D.shape[0], p = D.shape[1]
    cdef bint added = R.shape[0] * R.shape[1] != 0
    require_shapes(n, p, gain.shape[0], dgain.shape[0], dY.shape[0], dY.shape[1], statistics.shape[0], statistics.shape[1])
    require_shapes(n, p, gain.shape[0], dshift.shape[0], dD.shape[0], dD.shape[1], statistics.shape[0], statistics.shape[1])
    if added:
        require_shapes(n, p, p, p, R.shape[0], R.shape[1], n, 2)
    require_sums(dbias.shape[0], p)
    require_apart(
        3, 9, span(dgain), span(dshift), span(dbias), span(dD), span(D), span(gain), span(statistics),
        span(dY), span(R))
    require_apart(1, 3, span(dD), span(gain), span(statistics))
    require_same_or_apart(span(dD), span(D))
    require_same_or_apart(span(dD), span(dY))
    require_same_or_apart(span(dD), span(R))
    s.run, s.wide = run_backward, real is double
    s.size[0], s.size[1] = n, p
    if n:
        s.at[0], s.at[1], s.at[2] = <void *>&D[0, 0], <void *>&gain[0], <void *>&statistics[0, 0]
        s.at[3], s.at[4] = <void *>&dY[0, 0], <void *>&R[0, 0] if added else NULL
        s.at[5], s.at[6], s.at[7] = &dD[0, 0], &dgain[0], &dshift[0]
        s.at[8] = &dbias[0] if dbias.shape[0] else NULL
    return s


def residual_norm(
    real[:, ::1] D not None, const real[:, ::1] X not None, const real[::1] bias not None,
    const real[::1] gain not None, const real[::1] shift not None, eps, real[:, ::1] Y not None,
    real[:, ::1] statistics not None,
):
    """D += X + bias; Y and statistics = `layer_norm` of that. bias may be empty. Changes D, Y and statistics."""
    cdef double small = eps
    cdef Step s = forward_step(D, X, bias, gain, shift, small, Y, statistics)
    run_now(&s)


def _later_residual_norm(
    real[:, ::1] D not None, const real[:, ::1] X not None, const real[::1] bias not None,
    const real[::1] gain not None, const real[::1] shift not None, eps, real[:, ::1] Y not None,
    real[:, ::1] statistics not None,
):
    cdef double small = eps
    cdef Step s = forward_step(D, X, bias, gain, shift, small, Y, statistics)
    return kept(&s)


def residual_norm_backward(
    const real[:, ::1] D not None, const real[::1] gain not None,
    const real[:, ::1] statistics not None, const real[:, ::1] dY not None,
    const real[:, ::1] R not None, real[:, ::1] dD not None, real[::1] dgain not None,
    real[::1] dshift not None, real[::1] dbias not None,
):
    """dD = R plus what `layer_norm_backward` makes of dY; its column sums are added to dbias. R and dbias may be empty; dD may be D, dY or R. Changes dD, dgain, dshift and dbias."""
    cdef Step s = backward_step(D, gain, statistics, dY, R, dD, dgain, dshift, dbias)
    run_now(&s)


def _later_residual_norm_backward(
    const real[:, ::1] D not None, const real[::1] gain not None,
    const real[:, ::1] statistics not None, const real[:, ::1] dY not None,
    const real[:, ::1] R not None, real[:, ::1] dD not None, real[::1] dgain not None,
    real[::1] dshift not None, real[::1] dbias not None,
):
    cdef Step s = backward_step(D, gain, statistics, dY, R, dD, dgain, dshift, dbias)
    return kept(&s)
