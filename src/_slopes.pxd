"""Header-only: the losses of the linear family, from margins to losses, slopes and curvatures.
NumPy twins: gdcore/_numpy/_losses.py.

z margins, y targets, s weights, r slopes dℓ/dz. `shape` is Huber's δ or the quantile; `smooth`
the width over which the corners of the hinge and the quantile loss are rounded, zero for none.
"""
from libc.math cimport log

from _math cimport (
    as_double, bits64, exp_negative, exp_parts64, exp_ratio_negative, inline_double, inline_void,
    two_artanh,
)

cdef enum:
    SQUARED, LOGISTIC, SOFTMAX, HUBER, QUANTILE, POISSON, GAMMA, HINGE, SQUARED_HINGE
    GIVEN, MARGINS  # no losses: slopes that are known, and margins alone

cdef enum:
    BLOCK = 64  # rows in scratch at most


cdef inline int code_of(str loss) except -1:
    if loss == "squared":
        return SQUARED
    if loss == "logistic":
        return LOGISTIC
    if loss == "softmax":
        return SOFTMAX
    if loss == "huber":
        return HUBER
    if loss == "quantile":
        return QUANTILE
    if loss == "poisson":
        return POISSON
    if loss == "gamma":
        return GAMMA
    if loss == "hinge":
        return HINGE
    if loss == "squared_hinge":
        return SQUARED_HINGE
    raise ValueError(
        f"loss must be one of squared, logistic, softmax, huber, quantile, poisson, gamma, hinge, "
        f"squared_hinge, got {loss!r}. Pass one of them."
    )


cdef inline inline_double exponential(double x) noexcept nogil:
    """eˣ, held within 1e±307; NaN for NaN."""
    cdef double even, odd, scale
    x = -708.0 if x < -708.0 else x
    x = 708.0 if x > 708.0 else x
    exp_parts64(x, &even, &odd, &scale)
    return scale * ((even + odd) / (even - odd))


cdef inline inline_double logarithm(double x) noexcept nogil:
    """log x for normal x > 0: x = m·2ⁿ, log m = 2 artanh((m − 1)/(m + 1)); −709 for zero."""
    cdef long long bits = bits64(x)
    cdef double m = as_double((bits & <long long>0xFFFFFFFFFFFFF) | (<long long>1023 << 52))
    return <double>((bits >> 52) - 1023) * 0.6931471805599453 + two_artanh((m - 1) / (m + 1))


cdef inline inline_double logistic_slope(double z, double y, double up, double down) noexcept nogil:
    """(1 − y)σ(z) − yσ(−z) from e^−|z| = up/down: no cancellation at either end."""
    cdef double share = 1 / (up + down)
    cdef double right = (down if z >= 0 else up) * share
    cdef double wrong = (up if z >= 0 else down) * share
    return (1 - y) * right - y * wrong


cdef inline inline_double held(double x, double low, double high) noexcept nogil:
    x = low if x < low else x
    return high if x > high else x


cdef inline inline_void loss_of(
    int loss, double shape, double smooth, double z, double y, double *lost, double *r,
) noexcept nogil:
    """ℓ and its slope. Called with a constant loss: of the branches one is left."""
    cdef double up, down, u, t, width = smooth if smooth > 0 else 1e-300
    if loss == SQUARED:
        r[0] = z - y
        lost[0] = 0.5 * r[0] * r[0]
    elif loss == LOGISTIC:
        exp_ratio_negative(-abs(z), &up, &down)
        lost[0] = ((z if z > 0 else 0) - y * z) + two_artanh(up / (2 * down + up))
        r[0] = logistic_slope(z, y, up, down)
    elif loss == HUBER:
        u = z - y
        r[0] = held(u, -shape, shape)
        lost[0] = r[0] * (u - 0.5 * r[0])
    elif loss == QUANTILE:
        u = z - y
        r[0] = held(u / width, -shape, 1 - shape)
        lost[0] = r[0] * (u - 0.5 * smooth * r[0])
    elif loss == POISSON:
        u = exponential(z)
        r[0] = u - y
        lost[0] = (u - y) - y * (z - logarithm(y if y > 0 else 1))
    elif loss == GAMMA:
        u = y * exponential(-z)
        r[0] = 1 - u
        lost[0] = (u - 1) + (z - logarithm(y))
    elif loss == HINGE:
        t = 1.0 if y > 0.5 else -1.0
        u = 1 - t * z
        r[0] = held(u / width, 0, 1)
        lost[0] = r[0] * (u - 0.5 * smooth * r[0])
        r[0] = -t * r[0]
    else:
        t = 1.0 if y > 0.5 else -1.0
        u = 1 - t * z
        u = 0 if u < 0 else u
        lost[0] = 0.5 * u * u
        r[0] = -t * u


cdef inline inline_void slopes_of(
    int loss, double shape, double smooth, double *z, const double *y, const double *s,
    double *lost, Py_ssize_t n,
) noexcept nogil:
    cdef double one, r
    cdef Py_ssize_t i
    for i in range(n):
        loss_of(loss, shape, smooth, z[i], y[i], &one, &r)
        lost[i] = lost[i] + s[i] * one
        z[i] = s[i] * r


cdef inline inline_void slopes(
    int loss, double shape, double smooth, double *z, const double *y, const double *s,
    double *lost, Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    """Margins in z become weighted slopes; losses add to lost. z holds BLOCK margins of an output
    in a row."""
    if loss == SQUARED:
        slopes_of(SQUARED, shape, smooth, z, y, s, lost, n)
    elif loss == LOGISTIC:
        slopes_of(LOGISTIC, shape, smooth, z, y, s, lost, n)
    elif loss == SOFTMAX:
        softmax_slopes(z, y, s, lost, n, k)
    elif loss == HUBER:
        slopes_of(HUBER, shape, smooth, z, y, s, lost, n)
    elif loss == QUANTILE:
        slopes_of(QUANTILE, shape, smooth, z, y, s, lost, n)
    elif loss == POISSON:
        slopes_of(POISSON, shape, smooth, z, y, s, lost, n)
    elif loss == GAMMA:
        slopes_of(GAMMA, shape, smooth, z, y, s, lost, n)
    elif loss == HINGE:
        slopes_of(HINGE, shape, smooth, z, y, s, lost, n)
    elif loss == SQUARED_HINGE:
        slopes_of(SQUARED_HINGE, shape, smooth, z, y, s, lost, n)


cdef inline inline_double slope_of(
    int loss, double shape, double smooth, double z, double y,
) noexcept nogil:
    """dℓ/dz of one example, for steps on one example at a time."""
    cdef double lost, r
    if loss == SQUARED:
        return z - y
    if loss == LOGISTIC:
        loss_of(LOGISTIC, shape, smooth, z, y, &lost, &r)
    elif loss == HUBER:
        loss_of(HUBER, shape, smooth, z, y, &lost, &r)
    elif loss == QUANTILE:
        loss_of(QUANTILE, shape, smooth, z, y, &lost, &r)
    elif loss == POISSON:
        loss_of(POISSON, shape, smooth, z, y, &lost, &r)
    elif loss == GAMMA:
        loss_of(GAMMA, shape, smooth, z, y, &lost, &r)
    elif loss == HINGE:
        loss_of(HINGE, shape, smooth, z, y, &lost, &r)
    else:
        loss_of(SQUARED_HINGE, shape, smooth, z, y, &lost, &r)
    return r


cdef inline inline_void softmax_slopes(
    double *z, const double *y, const double *s, double *lost, Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    """ℓ = log Σ eᶻ − z_y, dℓ/dz = softmax(z) − [j = y]; z holds BLOCK margins of a class in a row."""
    cdef double most[BLOCK]
    cdef double total[BLOCK]
    cdef Py_ssize_t i, c
    for i in range(n):
        most[i] = z[i]
        total[i] = 0
    for c in range(1, k):
        for i in range(n):
            most[i] = z[c * BLOCK + i] if z[c * BLOCK + i] > most[i] else most[i]
    for i in range(n):
        lost[i] = lost[i] + s[i] * (most[i] - z[<Py_ssize_t>y[i] * BLOCK + i])
    for c in range(k):
        for i in range(n):
            z[c * BLOCK + i] = exp_negative(z[c * BLOCK + i] - most[i])
            total[i] = total[i] + z[c * BLOCK + i]
    for i in range(n):
        lost[i] = lost[i] + s[i] * log(total[i])
    for c in range(k):
        for i in range(n):
            z[c * BLOCK + i] = s[i] * (z[c * BLOCK + i] / total[i] - (1.0 if y[i] == c else 0.0))


cdef inline const double *beyond(const double *array, Py_ssize_t i) noexcept nogil:
    """The array from its i-th number on; NULL stays NULL."""
    return array + i if array != NULL else array


cdef struct Work:
    int loss
    double shape
    double smooth
    double *z  # BLOCK numbers for each output
    double *lost  # BLOCK


cdef inline inline_void turn_margins(
    const Work *work, double *margins, Py_ssize_t n, Py_ssize_t k, bint out,
) noexcept nogil:
    """From z to margins (n, k), or back."""
    cdef Py_ssize_t i, c
    for c in range(k):
        for i in range(n):
            if out:
                margins[i * k + c] = work.z[c * BLOCK + i]
            else:
                work.z[c * BLOCK + i] = margins[i * k + c]


cdef inline inline_void settle(
    const Work *work, const double *y, const double *s, double *margins, Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    """The margins in z are kept where that is wanted, and become slopes."""
    if margins != NULL:
        turn_margins(work, margins, n, k, True)
    if work.loss != MARGINS:
        slopes(work.loss, work.shape, work.smooth, work.z, y, s, work.lost, n, k)


cdef inline double *kept(const double[:, ::1] margins, Py_ssize_t n, Py_ssize_t k) except? NULL:
    """Where margins (n, k) are to be written, NULL for nowhere."""
    if margins.shape[0] == 0:
        return NULL
    if margins.shape[0] != n or margins.shape[1] != k:
        raise ValueError("margins must be (n, k), or have no rows. Pass numpy.empty((n, k)).")
    return <double *>&margins[0, 0]
