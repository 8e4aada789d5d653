"""Header-only: activations of one number, their value and slope, inlined into loops that vectorise."""
from _math cimport exp_negative, exp_parts32, exp_parts64, exp_ratio, inline_void, real, two_artanh

cdef enum:
    LINEAR, RELU, LEAKY_RELU, TANH, SIGMOID, GELU, GELU_TANH, SILU, SOFTPLUS


cdef inline real logistic(real z) noexcept nogil:
    """1/(1 + e⁻ᶻ), zero where eᶻ is."""
    cdef real up, down, share, zero = 0, least = -708 if real is double else -87
    exp_ratio(z, &up, &down)
    share = up / (up + down)
    return zero if z < least else share


cdef inline real hyperbolic_tangent(real u) noexcept nogil:
    """tanh u = (e²ᵘ − 1)/(e²ᵘ + 1), in parts whose difference does not cancel near zero."""
    cdef real even, odd, scale, one = 1, most = 40 if real is double else 20
    cdef real x = u + u
    x = most if x > most else (-most if x < -most else x)
    if real is double:
        exp_parts64(x, &even, &odd, &scale)
    else:
        exp_parts32(x, &even, &odd, &scale)
    return (even * (scale - one) + odd * (scale + one)) / (even * (scale + one) + odd * (scale - one))


cdef inline real upper_tail(real a, real bell) noexcept nogil:
    """1 − Φ(√2·a) = ½erfc(a) for a ≥ 0, given bell = e^(−a²): erfc(a)·e^(a²)·(1 + 2a) is a
    polynomial in (a − 3.75)/(a + 3.75) (Shepherd & Laframboise, 1981; coefficients are ours)."""
    cdef real k = 3.75, half = 0.5, one = 1
    cdef real t = (a - k) / (a + k), p
    if real is double:
        p = 1.7312209083118933e-08
        p = p * t + 8.5125594517613314e-09
        p = p * t - 2.1321360409864602e-07
        p = p * t - 2.7685663849700945e-08
        p = p * t + 1.6939254478276176e-06
        p = p * t - 1.0084713725546233e-06
        p = p * t - 1.1397625287921655e-05
        p = p * t + 2.241015775977701e-05
        p = p * t + 5.1624792009427781e-05
        p = p * t - 0.00029016639136143893
        p = p * t + 0.00029372183419192641
        p = p * t + 0.0017556295487634313
        p = p * t - 0.0097465812624944557
        p = p * t + 0.02836227674782648
        p = p * t - 0.058693398383975408
        p = p * t + 0.092304321227711553
        p = p * t - 0.10880393015433062
        p = p * t + 0.082276738487040452
        p = p * t + 0.0035854154857627857
        p = p * t - 0.14024059858550575
        p = p * t + 1.2375126308378264
    else:
        p = <real>-0.000228747234
        p = p * t + <real>0.000396704638
        p = p * t + <real>0.00168866223
        p = p * t - <real>0.00984549109
        p = p * t + <real>0.0283964821
        p = p * t - <real>0.0586459829
        p = p * t + <real>0.092296368
        p = p * t - <real>0.108814585
        p = p * t + <real>0.0822774176
        p = p * t + <real>0.0035863101
        p = p * t - <real>0.140240608
        p = p * t + <real>1.23751262
    return half * bell * p / (one + a + a)


cdef inline inline_void value_and_slope(int kind, real z, real *y, real *slope) noexcept nogil:
    """act(z) and act′(z), the slope only where `slope_of` cannot tell it from the value."""
    cdef real zero = 0, one = 1, half = 0.5, p, u, a, bell, e
    if kind == LINEAR:
        y[0] = z
    elif kind == RELU:
        y[0] = zero if z < zero else z  # NaN stays NaN
    elif kind == LEAKY_RELU:
        y[0] = <real>0.01 * z if z < zero else z
    elif kind == TANH:
        y[0] = hyperbolic_tangent(z)
    elif kind == SIGMOID:
        y[0] = logistic(z)
    elif kind == GELU:
        a = abs(z) * <real>0.7071067811865476
        bell = exp_negative(-(a * a))
        p = upper_tail(a, bell)
        p = p if z < zero else one - p
        y[0] = z * p
        slope[0] = p + z * (<real>0.3989422804014327 * bell)
    elif kind == GELU_TANH:  # ½(1 + tanh u) = σ(2u)
        u = z * z
        p = logistic(<real>1.5957691216057308 * z * (one + <real>0.044715 * u))
        y[0] = z * p
        slope[0] = p + y[0] * (one - p) * <real>1.5957691216057308 * (one + <real>0.134145 * u)
    elif kind == SILU:
        p = logistic(z)
        y[0] = z * p
        slope[0] = p + y[0] * (one - p)
    else:  # SOFTPLUS
        e = exp_negative(-abs(z))
        y[0] = (z if z > zero else zero) + <real>two_artanh(<double>e / (2.0 + <double>e))
        slope[0] = logistic(z)


cdef inline real slope_of(int kind, real y) noexcept nogil:
    """act′(z) from y = act(z)."""
    cdef real zero = 0, one = 1
    if kind == RELU:
        return one if y > zero else zero
    if kind == LEAKY_RELU:
        return one if y > zero else <real>0.01
    if kind == TANH:
        return one - y * y
    if kind == SIGMOID:
        return y * (one - y)
    return one


cdef inline inline_void forward_loop(
    int kind, real *Z, const real *b, real *S, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t stride,
) noexcept nogil:
    """`kind` is a constant wherever this is inlined; b and S may be NULL."""
    cdef Py_ssize_t i, j
    cdef real unused
    for i in range(n):
        if b != NULL and S != NULL:
            for j in range(k):
                value_and_slope(kind, Z[j] + b[j], &Z[j], &S[j])
        elif b != NULL:
            for j in range(k):
                value_and_slope(kind, Z[j] + b[j], &Z[j], &unused)
        elif S != NULL:
            for j in range(k):
                value_and_slope(kind, Z[j], &Z[j], &S[j])
        else:
            for j in range(k):
                value_and_slope(kind, Z[j], &Z[j], &unused)
        Z += stride
        S += stride if S != NULL else 0


cdef inline inline_void forward(
    int kind, real *Z, const real *b, real *S, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t stride,
) noexcept nogil:
    """Z = act(Z + b) over rows `stride` apart, and its slope; see `activate`."""
    if kind == LINEAR:
        forward_loop(LINEAR, Z, b, <real *>NULL, n, k, stride)
    elif kind == RELU:
        forward_loop(RELU, Z, b, <real *>NULL, n, k, stride)
    elif kind == LEAKY_RELU:
        forward_loop(LEAKY_RELU, Z, b, <real *>NULL, n, k, stride)
    elif kind == TANH:
        forward_loop(TANH, Z, b, <real *>NULL, n, k, stride)
    elif kind == SIGMOID:
        forward_loop(SIGMOID, Z, b, <real *>NULL, n, k, stride)
    elif kind == GELU:
        forward_loop(GELU, Z, b, S, n, k, stride)
    elif kind == GELU_TANH:
        forward_loop(GELU_TANH, Z, b, S, n, k, stride)
    elif kind == SILU:
        forward_loop(SILU, Z, b, S, n, k, stride)
    else:
        forward_loop(SOFTPLUS, Z, b, S, n, k, stride)


cdef inline inline_void backward_loop(
    int kind, const real *Y, real *dY, real *db, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t stride,
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(n):
        if kind != LINEAR:
            for j in range(k):
                dY[j] = dY[j] * slope_of(kind, Y[j])
        if db != NULL:
            for j in range(k):
                db[j] = db[j] + dY[j]
        Y += stride
        dY += stride


cdef inline inline_void kept_loop(
    const real *S, real *dY, real *db, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t stride,
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(n):
        for j in range(k):
            dY[j] = dY[j] * S[j]
        if db != NULL:
            for j in range(k):
                db[j] = db[j] + dY[j]
        S += stride
        dY += stride


cdef inline inline_void backward(
    int kind, const real *Y, const real *S, real *dY, real *db, Py_ssize_t n, Py_ssize_t k,
    Py_ssize_t stride,
) noexcept nogil:
    """dY *= act′, db += column sums; see `activate_backward`."""
    if S != NULL:
        kept_loop(S, dY, db, n, k, stride)
    elif kind == LINEAR:
        backward_loop(LINEAR, Y, dY, db, n, k, stride)
    elif kind == RELU:
        backward_loop(RELU, Y, dY, db, n, k, stride)
    elif kind == LEAKY_RELU:
        backward_loop(LEAKY_RELU, Y, dY, db, n, k, stride)
    elif kind == TANH:
        backward_loop(TANH, Y, dY, db, n, k, stride)
    else:
        backward_loop(SIGMOID, Y, dY, db, n, k, stride)
