"""Activations fused with the bias before them, forward and backward. NumPy twins:
gdcore/_numpy/activations.py."""
from _activations cimport (
    GELU, GELU_TANH, LEAKY_RELU, LINEAR, RELU, SIGMOID, SILU, SOFTPLUS, TANH, backward, forward,
)
from _math cimport hot_void, real
from _memory cimport require_apart, span

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


cdef hot_void forward_pass(
    int kind, real *Z, const real *b, real *S, Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    forward(kind, Z, b, S, n, k, k)


cdef hot_void backward_pass(
    int kind, const real *Y, const real *S, real *dY, real *db, Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    backward(kind, Y, S, dY, db, n, k, k)


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
    require_apart(2, 3, span(Z), span(slope), span(bias))
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
    require_apart(2, 4, span(dY), span(db), span(Y), span(slope))
    if n and k:
        with nogil:
            backward_pass(
                kind, &Y[0, 0], &slope[0, 0] if kept else NULL, &dY[0, 0],
                &db[0] if db.shape[0] else NULL, n, k,
            )
