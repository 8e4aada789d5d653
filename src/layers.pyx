"""Activations and normalisers over arrays. NumPy twins: gdcore/_numpy/layers.py."""
from libc.math cimport log

from _math cimport LANES, exp_negative, exp_ratio, fold, hot_void, inline_void, real
from _memory cimport require_apart, require_same_or_apart, span


cdef hot_void sigmoid_pass(const real *z, real *out, Py_ssize_t n) noexcept nogil:
    cdef real up, down, share, zero = 0, least = -708 if real is double else -87
    cdef Py_ssize_t i
    for i in range(n):
        exp_ratio(z[i], &up, &down)
        share = up / (up + down)
        out[i] = zero if z[i] < least else share


cdef inline inline_void softmax_row(const real *z, real *p, Py_ssize_t k) noexcept nogil:
    cdef real most = z[0]
    cdef double total = 0
    cdef Py_ssize_t j
    for j in range(1, k):
        most = z[j] if z[j] > most else most
    for j in range(k):
        p[j] = exp_negative(z[j] - most)
    for j in range(k):
        total += p[j]
    for j in range(k):
        p[j] = <real>(p[j] / total)


cdef hot_void softmax_pass(const real *Z, real *out, Py_ssize_t n, Py_ssize_t k) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        softmax_row(Z + i * k, out + i * k, k)


cdef hot_void logsumexp_pass(const real *Z, real *out, Py_ssize_t n, Py_ssize_t k) noexcept nogil:
    cdef double lane[LANES]
    cdef double total
    cdef const real *z
    cdef real most
    cdef Py_ssize_t i, j, l, block
    for i in range(n):
        z = Z + i * k
        most = z[0]
        for j in range(1, k):
            most = z[j] if z[j] > most else most
        for l in range(LANES):
            lane[l] = 0
        for block in range(k // LANES):
            j = block * LANES
            for l in range(LANES):
                lane[l] = lane[l] + exp_negative(<double>(z[j + l] - most))
        total = fold(lane)
        for j in range(k - k % LANES, k):
            total += exp_negative(<double>(z[j] - most))
        out[i] = <real>(most + log(total))


def sigmoid(const real[::1] z not None, real[::1] out not None):
    """Logistic function out = 1/(1 + e⁻ᶻ), without overflow; out may be z. Changes out."""
    if z.shape[0] != out.shape[0]:
        raise ValueError("z and out must have one shape. Pass out=numpy.empty_like(z).")
    require_same_or_apart(span(out), span(z))
    if z.shape[0]:
        with nogil:
            sigmoid_pass(&z[0], &out[0], z.shape[0])


def softmax(const real[:, ::1] Z not None, real[:, ::1] out not None):
    """Rows of out become e^Z / Σ e^Z, without overflow; out may be Z. Changes out."""
    if Z.shape[0] != out.shape[0] or Z.shape[1] != out.shape[1]:
        raise ValueError("Z and out must have one shape. Pass out=numpy.empty_like(Z).")
    require_same_or_apart(span(out), span(Z))
    if Z.shape[0] and Z.shape[1]:
        with nogil:
            softmax_pass(&Z[0, 0], &out[0, 0], Z.shape[0], Z.shape[1])


def logsumexp(const real[:, ::1] Z not None, real[::1] out not None):
    """out = log Σ e^Z of each row, without overflow. Changes out."""
    if Z.shape[0] != out.shape[0] or Z.shape[1] == 0:
        raise ValueError("out must have one number a row of Z, and Z at least one column. Pass such.")
    require_apart(1, 2, span(out), span(Z))
    if Z.shape[0]:
        with nogil:
            logsumexp_pass(&Z[0, 0], &out[0], Z.shape[0], Z.shape[1])
