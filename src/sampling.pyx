"""Dropout by a counter-based generator, and rows taken or added where numbers say. NumPy twins:
gdcore/_numpy/sampling.py."""
from libc.stdint cimport uint64_t

from _math cimport hot_void, real
from _memory cimport require_apart, require_same_or_apart, span
from _philox cimport drop
from _steps cimport Step, kept, run_now


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


cdef hot_void embed_pass(
    const real *table, Py_ssize_t last, const long long *rows, const real *places, Py_ssize_t t,
    real *out, Py_ssize_t n, Py_ssize_t p,
) noexcept nogil:
    cdef const real *row
    cdef const real *place
    cdef Py_ssize_t i, j, number
    for i in range(n):
        number = rows[i]
        row = table + (0 if number < 0 else last if number > last else number) * p
        if t:
            place = places + i % t * p
            for j in range(p):
                out[i * p + j] = row[j] + place[j]
        else:
            for j in range(p):
                out[i * p + j] = row[j]


cdef inline void embed_typed(const Step *s, real *out) noexcept nogil:
    embed_pass(
        <const real *>s.at[1], s.size[2], <const long long *>s.at[2], <const real *>s.at[3],
        s.size[3], out, s.size[0], s.size[1],
    )


cdef int run_embed(const void *step) noexcept nogil:
    cdef const Step *s = <const Step *>step
    if s.wide:
        embed_typed(s, <double *>s.at[0])
    else:
        embed_typed(s, <float *>s.at[0])
    return 0


cdef Step embed_step(
    const real[:, ::1] table, const long long[::1] rows, const real[:, ::1] places, real[:, ::1] out,
) except *:
    """A call of `embed`, or an error."""
    cdef Step s
    cdef Py_ssize_t n = rows.shape[0], p = table.shape[1]
    if out.shape[0] != n or out.shape[1] != p:
        raise ValueError("out must have a row for each of rows, as wide as the table. Pass such.")
    if places.shape[0] and places.shape[1] != p:
        raise ValueError("places must be as wide as the table, or have no rows. Pass such.")
    if n and table.shape[0] == 0:
        raise ValueError("The table has no rows to take. Pass one that has.")
    require_apart(1, 4, span(out), span(table), span(rows), span(places))
    s.run, s.wide = run_embed, real is double
    s.size[0], s.size[1], s.size[2], s.size[3] = n, p, table.shape[0] - 1, places.shape[0]
    s.at[0], s.at[1], s.at[2] = &out[0, 0], <void *>&table[0, 0], <void *>&rows[0]
    s.at[3] = <void *>&places[0, 0]
    return s


def embed(
    const real[:, ::1] table not None, const long long[::1] rows not None,
    const real[:, ::1] places not None, real[:, ::1] out not None,
):
    """out[i] = table[rows[i]], or the nearest row that there is, + places[i mod t], where places (t, p) has rows. Changes out."""
    cdef Step s = embed_step(table, rows, places, out)
    run_now(&s)


def _later_embed(
    const real[:, ::1] table not None, const long long[::1] rows not None,
    const real[:, ::1] places not None, real[:, ::1] out not None,
):
    cdef Step s = embed_step(table, rows, places, out)
    return kept(&s)


cdef inline void dropout_typed(const Step *s, const real *x) noexcept nogil:
    dropout_pass(x, s.number[0], s.word[0], s.word[1], <real *>s.at[1], s.size[0])


cdef int run_dropout(const void *step) noexcept nogil:
    cdef const Step *s = <const Step *>step
    if s.wide:
        dropout_typed(s, <double *>s.at[0])
    else:
        dropout_typed(s, <float *>s.at[0])
    return 0


cdef Step dropout_step(
    const real[::1] x, double rate, uint64_t key, uint64_t first, real[::1] out,
) except *:
    """A call of `dropout`, or an error."""
    cdef Step s
    if not (0 <= rate < 1):
        raise ValueError("rate must be in [0, 1). Pass the share to leave out.")
    if x.shape[0] != out.shape[0]:
        raise ValueError("x and out must have one length. Pass out=numpy.empty_like(x).")
    require_same_or_apart(span(out), span(x))
    s.run, s.wide, s.number[0], s.word[0], s.word[1] = run_dropout, real is double, rate, key, first
    s.size[0], s.at[0], s.at[1] = x.shape[0], <void *>&x[0], &out[0]
    return s


def dropout(const real[::1] x not None, rate, key, first, real[::1] out not None):
    """out = x/(1 − rate), or zero with probability rate: element i by word first + i of the Philox stream of a key. out may be x. Changes out."""
    cdef double share = rate
    cdef uint64_t seed = key, start = first
    cdef Step s = dropout_step(x, share, seed, start, out)
    run_now(&s)


def _later_dropout(const real[::1] x not None, rate, key, first, real[::1] out not None):
    cdef double share = rate
    cdef uint64_t seed = key, start = first
    cdef Step s = dropout_step(x, share, seed, start, out)
    return kept(&s)


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
