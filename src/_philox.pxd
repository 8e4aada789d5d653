"""Header-only: a counter-based generator, Philox4x32-10 (Salmon et al., 2011), and dropout by it."""
from libc.stdint cimport uint32_t, uint64_t

from _math cimport LANES, inline_void, real

cdef enum:
    ROUNDS = 10
    WORDS = 4 * LANES  # that one call gives


cdef inline inline_void philox(uint64_t block, uint64_t key, uint32_t *out) noexcept nogil:
    """Four words for each of LANES blocks in a row, word by word."""
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


cdef inline inline_void drop(
    const real *x, double rate, uint64_t key, uint64_t first, real *out, Py_ssize_t n,
) noexcept nogil:
    """out = x/(1 − rate) or zero: element i by word first + i of the stream. out may be x."""
    cdef uint32_t word[WORDS]
    cdef uint64_t limit = <uint64_t>(rate * 4294967296.0)
    cdef real scale = <real>(1.0 / (1.0 - rate)), zero = 0
    cdef uint64_t start = first - first % WORDS
    cdef Py_ssize_t skip = <Py_ssize_t>(first - start), i = 0, l, stop
    while i < n:
        philox(start // 4, key, word)
        stop = WORDS if n - i > WORDS - skip else n - i + skip
        for l in range(skip, stop):
            out[i + l - skip] = x[i + l - skip] * scale if word[l] >= limit else zero
        i += stop - skip
        start += WORDS
        skip = 0
