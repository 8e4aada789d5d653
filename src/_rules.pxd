"""Header-only: the arithmetic of each update rule, shared by updates.pyx and the epochs.

Scalars arrive in double and are cast once; the order of operations is the NumPy twin's, so that
both give the same bits. Each new moment passes through a local variable: read back from memory, a
store that crosses a cache line (NumPy aligns to 16 bytes) costs three times the whole step.
"""
from libc.math cimport pow, sqrt

from _math cimport inline_void, real

cdef extern from "<math.h>" nogil:
    float sqrtf(float x)


cdef inline real root(real x) noexcept nogil:
    if real is double:
        return sqrt(x)
    else:
        return sqrtf(x)


cdef inline inline_void sgd_rule(real *w, const real *g, Py_ssize_t n, double lr) noexcept nogil:
    cdef real rate = <real>lr
    cdef Py_ssize_t i
    for i in range(n):
        w[i] = w[i] - rate * g[i]


cdef inline inline_void momentum_rule(
    real *w, const real *g, real *b, Py_ssize_t n, double lr, double momentum,
) noexcept nogil:
    cdef real rate = <real>lr, keep = <real>momentum
    cdef real moved
    cdef Py_ssize_t i
    for i in range(n):
        moved = keep * b[i] + g[i]
        b[i] = moved
        w[i] = w[i] - rate * moved


cdef inline inline_void nesterov_rule(
    real *w, const real *g, real *b, Py_ssize_t n, double lr, double momentum,
) noexcept nogil:
    cdef real rate = <real>lr, keep = <real>momentum
    cdef real moved, slope
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        moved = keep * b[i] + slope
        b[i] = moved
        w[i] = w[i] - rate * (slope + keep * moved)


cdef inline inline_void adagrad_rule(
    real *w, const real *g, real *v, Py_ssize_t n, double lr, double eps,
) noexcept nogil:
    cdef real rate = <real>lr, tiny = <real>eps
    cdef real slope, square
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        square = v[i] + slope * slope
        v[i] = square
        w[i] = w[i] - (rate * slope) / (root(square) + tiny)


cdef inline inline_void rmsprop_rule(
    real *w, const real *g, real *v, Py_ssize_t n, double lr, double decay, double eps,
) noexcept nogil:
    cdef real rate = <real>lr, keep = <real>decay, gain = <real>(1 - decay), tiny = <real>eps
    cdef real slope, square
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        square = keep * v[i] + (gain * slope) * slope
        v[i] = square
        w[i] = w[i] - (rate * slope) / (root(square) + tiny)


cdef inline inline_void adam_rule(
    real *w, const real *g, real *m, real *v, Py_ssize_t n,
    double lr, double beta1, double beta2, double eps, double decay, long long step,
) noexcept nogil:
    """One division an element: lr·m̂/(√v̂ + ε) = (lr·√c₂/c₁)·m/(√v + ε·√c₂), cᵢ = 1 − βᵢᵗ."""
    cdef double root_c2 = sqrt(1 - pow(beta2, <double>step))
    cdef real rate = <real>(lr * root_c2 / (1 - pow(beta1, <double>step)))
    cdef real tiny = <real>(eps * root_c2)
    cdef real keep1 = <real>beta1, gain1 = <real>(1 - beta1)
    cdef real keep2 = <real>beta2, gain2 = <real>(1 - beta2), kept = <real>(1 - lr * decay)
    cdef real slope, mean, square
    cdef Py_ssize_t i
    for i in range(n):
        slope = g[i]
        mean = keep1 * m[i] + gain1 * slope
        square = keep2 * v[i] + (gain2 * slope) * slope
        m[i] = mean
        v[i] = square
        w[i] = kept * w[i] - (rate * mean) / (root(square) + tiny)
