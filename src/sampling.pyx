"""Dropout by a counter-based generator, and rows added where numbers say. NumPy twins:
gdcore/_numpy/sampling.py."""
from libc.stdint cimport uint64_t

from _math cimport hot_void, real
from _memory cimport require_apart, require_same_or_apart, span
from _philox cimport drop


cdef hot_void dropout_pass(
    const real *x, double rate, uint64_t key, uint64_t first, real *out, Py_ssize_t n,
) noexcept nogil:
    drop(x, rate, key, first, out, n)


cdef hot_void add_pass(
    real *table, const long long *rows, const real *values, Py_ssize_t n, Py_ssize_t p,
) noexcept nogil:
    cdef real *to
    cdef Py_ssize_t i, j
    for i in range(n):
        to = table + rows[i] * p
        for j in range(p):
            to[j] = to[j] + values[i * p + j]


def dropout(const real[::1] x not None, rate, key, first, real[::1] out not None):
    """out = x/(1 − rate), or zero with probability rate: element i by word first + i of the Philox stream of a key. out may be x. Changes out."""
    cdef double share = rate
    cdef uint64_t seed = key, start = first
    if not (0 <= share < 1):
        raise ValueError("rate must be in [0, 1). Pass the share to leave out.")
    if x.shape[0] != out.shape[0]:
        raise ValueError("x and out must have one length. Pass out=numpy.empty_like(x).")
    require_same_or_apart(span(out), span(x))
    if x.shape[0]:
        with nogil:
            dropout_pass(&x[0], share, seed, start, &out[0], x.shape[0])


def add_rows(real[:, ::1] table not None, const long long[::1] rows not None, const real[:, ::1] values not None):
    """table[rows[i]] += values[i], one after another. Changes table."""
    cdef Py_ssize_t n = rows.shape[0], p = table.shape[1], i, wrong = 0
    if values.shape[0] != n or values.shape[1] != p:
        raise ValueError("values must have a row for each of rows, as wide as the table. Pass such.")
    for i in range(n):
        wrong += rows[i] < 0 or rows[i] >= table.shape[0]
    if wrong:
        raise ValueError("rows must hold row numbers of the table. Pass numbers from 0 to n − 1.")
    require_apart(1, 3, span(table), span(rows), span(values))
    if n and p:
        with nogil:
            add_pass(&table[0, 0], &rows[0], &values[0, 0], n, p)
