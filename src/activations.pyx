"""Activations fused with the bias before them, forward and backward. NumPy twins:
gdcore/_numpy/activations.py."""
from _activations cimport (
    GELU, GELU_TANH, LEAKY_RELU, LINEAR, RELU, SIGMOID, SILU, SOFTPLUS, TANH, slope_of,
    value_and_slope,
)
from _math cimport hot_void, inline_void, real

_KINDS = {  # name: (code, whether the slope is kept)
    "linear": (LINEAR, False),
    "relu": (RELU, False),
    "leaky_relu": (LEAKY_RELU, False),
    "tanh": (TANH, False),
    "sigmoid": (SIGMOID, False),
    "gelu": (GELU, True),
    "gelu_tanh": (GELU_TANH, True),
    "silu": (SILU, True),
    "softplus": (SOFTPLUS, True),
}


cdef inline inline_void forward_loop(
    int kind, real *Z, const real *b, real *S, Py_ssize_t n, Py_ssize_t k,
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
        Z += k
        S += k if S != NULL else 0


cdef hot_void forward_pass(
    int kind, real *Z, const real *b, real *S, Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    if kind == LINEAR:
        forward_loop(LINEAR, Z, b, <real *>NULL, n, k)
    elif kind == RELU:
        forward_loop(RELU, Z, b, <real *>NULL, n, k)
    elif kind == LEAKY_RELU:
        forward_loop(LEAKY_RELU, Z, b, <real *>NULL, n, k)
    elif kind == TANH:
        forward_loop(TANH, Z, b, <real *>NULL, n, k)
    elif kind == SIGMOID:
        forward_loop(SIGMOID, Z, b, <real *>NULL, n, k)
    elif kind == GELU:
        forward_loop(GELU, Z, b, S, n, k)
    elif kind == GELU_TANH:
        forward_loop(GELU_TANH, Z, b, S, n, k)
    elif kind == SILU:
        forward_loop(SILU, Z, b, S, n, k)
    else:
        forward_loop(SOFTPLUS, Z, b, S, n, k)


cdef inline inline_void backward_loop(
    int kind, const real *Y, real *dY, real *db, Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(n):
        if kind != LINEAR:
            for j in range(k):
                dY[j] = dY[j] * slope_of(kind, Y[j])
        if db != NULL:
            for j in range(k):
                db[j] = db[j] + dY[j]
        Y += k
        dY += k


cdef inline inline_void kept_loop(
    const real *S, real *dY, real *db, Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(n):
        for j in range(k):
            dY[j] = dY[j] * S[j]
        if db != NULL:
            for j in range(k):
                db[j] = db[j] + dY[j]
        S += k
        dY += k


cdef hot_void backward_pass(
    int kind, const real *Y, const real *S, real *dY, real *db, Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    if S != NULL:
        kept_loop(S, dY, db, n, k)
    elif kind == LINEAR:
        backward_loop(LINEAR, Y, dY, db, n, k)
    elif kind == RELU:
        backward_loop(RELU, Y, dY, db, n, k)
    elif kind == LEAKY_RELU:
        backward_loop(LEAKY_RELU, Y, dY, db, n, k)
    elif kind == TANH:
        backward_loop(TANH, Y, dY, db, n, k)
    else:
        backward_loop(SIGMOID, Y, dY, db, n, k)


cdef tuple kind_of(object name):
    cdef object spec = _KINDS.get(name) if isinstance(name, str) else None
    if spec is None:
        raise ValueError(f"name must be one of {', '.join(_KINDS)}, got {name!r}. Pass one of them.")
    return spec


cdef int require_shapes(
    bint kept, Py_ssize_t n, Py_ssize_t k, Py_ssize_t bias, Py_ssize_t rows, Py_ssize_t columns,
) except -1:
    if bias != k and bias != 0:
        raise ValueError("The bias must have one number a column, or none. Pass such.")
    if (rows != n or columns != k) if kept else (rows != 0 and columns != 0):
        raise ValueError("slope must have the shape of the values where it is kept, else (0, 0). Pass such.")
    return 0


def activate(name, real[:, ::1] Z not None, const real[::1] bias not None, real[:, ::1] slope not None):
    """Z = act(Z + bias), row by row; slope = act′ where it cannot be told from the value. bias may be empty. Changes Z and slope."""
    cdef Py_ssize_t n = Z.shape[0], k = Z.shape[1]
    cdef tuple spec = kind_of(name)
    cdef int kind = spec[0]
    cdef bint kept = spec[1]
    require_shapes(kept, n, k, bias.shape[0], slope.shape[0], slope.shape[1])
    if n and k:
        with nogil:
            forward_pass(
                kind, &Z[0, 0], &bias[0] if bias.shape[0] else NULL,
                &slope[0, 0] if kept else NULL, n, k,
            )


def activate_backward(
    name, const real[:, ::1] Y not None, const real[:, ::1] slope not None,
    real[:, ::1] dY not None, real[::1] db not None,
):
    """dY, the gradient of act's values Y, becomes that of its arguments; its column sums are added to db, which may be empty. Changes dY and db."""
    cdef Py_ssize_t n = dY.shape[0], k = dY.shape[1]
    cdef tuple spec = kind_of(name)
    cdef int kind = spec[0]
    cdef bint kept = spec[1]
    if Y.shape[0] != n or Y.shape[1] != k:
        raise ValueError("Y and dY must have one shape. Pass the gradient of what the layer gave.")
    require_shapes(kept, n, k, db.shape[0], slope.shape[0], slope.shape[1])
    if n and k:
        with nogil:
            backward_pass(
                kind, &Y[0, 0], &slope[0, 0] if kept else NULL, &dY[0, 0],
                &db[0] if db.shape[0] else NULL, n, k,
            )
