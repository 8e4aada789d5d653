"""Activations fused with the bias before them, forward and backward. NumPy twins:
gdcore/_numpy/activations.py."""
from _activations cimport (
    GELU, GELU_TANH, LEAKY_RELU, LINEAR, RELU, SIGMOID, SILU, SOFTPLUS, TANH, backward, forward,
)
from _math cimport hot_void, real
from _memory cimport require_apart, require_same_or_apart, span
from _steps cimport Step, kept, run_now

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


cdef inline void forward_typed(const Step *s, real *Z) noexcept nogil:
    if s.size[1] and s.size[2]:
        forward_pass(<int>s.size[0], Z, <real *>s.at[1], <real *>s.at[2], s.size[1], s.size[2])


cdef int run_forward(const void *step) noexcept nogil:
    cdef const Step *s = <const Step *>step
    if s.wide:
        forward_typed(s, <double *>s.at[0])
    else:
        forward_typed(s, <float *>s.at[0])
    return 0


cdef inline void backward_typed(const Step *s, real *dY) noexcept nogil:
    if s.size[1] and s.size[2]:
        backward_pass(
            <int>s.size[0], <real *>s.at[1], <real *>s.at[2], dY, <real *>s.at[3], s.size[1], s.size[2])


cdef int run_backward(const void *step) noexcept nogil:
    cdef const Step *s = <const Step *>step
    if s.wide:
        backward_typed(s, <double *>s.at[0])
    else:
        backward_typed(s, <float *>s.at[0])
    return 0


cdef Step forward_step(object name, real[:, ::1] Z, const real[::1] bias, real[:, ::1] slope) except *:
    """A call of `activate`, or an error."""
    cdef Step s
    cdef Py_ssize_t n = Z.shape[0], k = Z.shape[1]
    cdef tuple spec = kind_of(name)
    cdef bint kept = spec[1]
    require_shapes(kept, n, k, bias.shape[0], slope.shape[0], slope.shape[1])
    require_apart(2, 3, span(Z), span(slope), span(bias))
    s.run, s.wide, s.size[0] = run_forward, real is double, <int>spec[0]
    s.size[1], s.size[2] = n, k
    if n and k:
        s.at[0], s.at[1] = &Z[0, 0], <void *>&bias[0] if bias.shape[0] else NULL
        s.at[2] = &slope[0, 0] if kept else NULL
    return s


cdef Step backward_step(
    object name, const real[:, ::1] Y, const real[:, ::1] slope, real[:, ::1] dY, real[::1] db,
) except *:
    """A call of `activate_backward`, or an error."""
    cdef Step s
    cdef Py_ssize_t n = dY.shape[0], k = dY.shape[1]
    cdef tuple spec = kind_of(name)
    cdef bint kept = spec[1]
    if Y.shape[0] != n or Y.shape[1] != k:
        raise ValueError("Y and dY must have one shape. Pass the gradient of what the layer gave.")
    require_shapes(kept, n, k, db.shape[0], slope.shape[0], slope.shape[1])
    require_apart(1, 4, span(db), span(dY), span(Y), span(slope))
    require_apart(1, 2, span(dY), span(slope))
    require_same_or_apart(span(dY), span(Y))
    s.run, s.wide, s.size[0] = run_backward, real is double, <int>spec[0]
    s.size[1], s.size[2] = n, k
    if n and k:
        s.at[0], s.at[1] = &dY[0, 0], <void *>&Y[0, 0]
        s.at[2], s.at[3] = <void *>&slope[0, 0] if kept else NULL, &db[0] if db.shape[0] else NULL
    return s


def activate(name, real[:, ::1] Z not None, const real[::1] bias not None, real[:, ::1] slope not None):
    """Z = act(Z + bias), row by row; slope = act′ where it cannot be told from the value. bias may be empty. Changes Z and slope."""
    cdef Step s = forward_step(name, Z, bias, slope)
    run_now(&s)


def _later_activate(name, real[:, ::1] Z not None, const real[::1] bias not None, real[:, ::1] slope not None):
    cdef Step s = forward_step(name, Z, bias, slope)
    return kept(&s)


def activate_backward(
    name, const real[:, ::1] Y not None, const real[:, ::1] slope not None,
    real[:, ::1] dY not None, real[::1] db not None,
):
    """dY, the gradient of act's values Y, becomes that of its arguments; its column sums are added to db, which may be empty. dY may be Y. Changes dY and db."""
    cdef Step s = backward_step(name, Y, slope, dY, db)
    run_now(&s)


def _later_activate_backward(
    name, const real[:, ::1] Y not None, const real[:, ::1] slope not None,
    real[:, ::1] dY not None, real[::1] db not None,
):
    cdef Step s = backward_step(name, Y, slope, dY, db)
    return kept(&s)
