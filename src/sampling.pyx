"""Dropout by a counter-based generator, and rows added where numbers say. NumPy twins:
gdcore/_numpy/sampling.py."""
from libc.stdint cimport uint32_t, uint64_t

from _math cimport LANES, hot_void, inline_void, real

cdef enum:
    ROUNDS = 10


cdef inline inline_void philox(uint64_t block, uint64_t key, uint32_t *out) noexcept nogil:
    """Four words for each of LANES blocks in a row, word by word (Philox4x32-10: Salmon et al., 2011)."""
    cdef uint32_t a[LANES]
    cdef uint32_t b[LANES]
    cdef uint32_t c[LANES]
    cdef uint32_t d[LANES]
    cdef uint32_t k0 = <uint32_t>key, k1 = <uint32_t>(key >> 32)
    cdef uint64_t one, two
    cdef Py_ssize_t l, r
    for l in range(LANES):
        a[l], b[l] = <uint32_t>(block + <uint64_t>l), <uint32_t>((block + <uint64_t>l) >> 32)
        c[l] = d[l] = 0
    for r in range(ROUNDS):
        for l in range(LANES):
            one = <uint64_t>a[l] * <uint64_t>0xD2511F53
            two = <uint64_t>c[l] * <uint64_t>0xCD9E8D57
            a[l] = <uint32_t>(two >> 32) ^ b[l] ^ k0
            c[l] = <uint32_t>(one >> 32) ^ d[l] ^ k1
            b[l], d[l] = <uint32_t>two, <uint32_t>one
        k0 += <uint32_t>0x9E3779B9
        k1 += <uint32_t>0xBB67AE85
    for l in range(LANES):
        out[4 * l], out[4 * l + 1], out[4 * l + 2], out[4 * l + 3] = a[l], b[l], c[l], d[l]


cdef hot_void dropout_pass(
    const real *x, double rate, uint64_t key, uint64_t first, real *out, Py_ssize_t n,
) noexcept nogil:
    """Element i has word first + i of the stream."""
    cdef uint32_t word[4 * LANES]
    cdef uint64_t limit = <uint64_t>(rate * 4294967296.0)
    cdef real scale = <real>(1.0 / (1.0 - rate)), zero = 0
    cdef uint64_t start = first - first % (4 * LANES)
    cdef Py_ssize_t skip = <Py_ssize_t>(first - start), i = 0, l, stop
    while i < n:
        philox(start // 4, key, word)
        stop = 4 * LANES if n - i > 4 * LANES - skip else n - i + skip
        for l in range(skip, stop):
            out[i + l - skip] = x[i + l - skip] * scale if word[l] >= limit else zero
        i += stop - skip
        start += 4 * LANES
        skip = 0


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
    if n and p:
        with nogil:
            add_pass(&table[0, 0], &rows[0], &values[0, 0], n, p)
