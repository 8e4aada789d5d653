"""Header-only: a counter-based generator, Philox4x32-10 (Salmon et al., 2011), and dropout by it."""
from libc.stdint cimport uint32_t, uint64_t

from _math cimport inline_void, real  # its macros come first

cdef enum:
    WORDS = 64  # that one call gives


cdef extern from *:
    """
    /* Loops of 16 turns that stay loops until they are vectorised: GCC would unroll them before, and
       a word takes four times as long then. That cannot be said in Cython. */
    #if defined(__GNUC__) && !defined(__clang__)
      #define GD_EACH _Pragma("GCC unroll 1") for (int l = 0; l < 16; l++)
    #else
      #define GD_EACH for (int l = 0; l < 16; l++)
    #endif

    /* Four words for each of 16 blocks in a row, word by word. */
    static inline GD_INLINE void gd_philox(uint64_t block, uint64_t key, uint32_t *out) {
        uint32_t a[16], b[16], c[16], d[16], up[16], over[16];
        uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
        GD_EACH {
            uint64_t number = block + (uint64_t)l;
            a[l] = (uint32_t)number; b[l] = (uint32_t)(number >> 32); c[l] = d[l] = 0;
        }
        for (int r = 0; r < 10; r++) {
            GD_EACH up[l] = (uint32_t)(((uint64_t)c[l] * 0xCD9E8D57u) >> 32);
            GD_EACH over[l] = (uint32_t)(((uint64_t)a[l] * 0xD2511F53u) >> 32);
            GD_EACH {
                uint32_t low = a[l] * 0xD2511F53u, under = c[l] * 0xCD9E8D57u;
                a[l] = up[l] ^ b[l] ^ k0; c[l] = over[l] ^ d[l] ^ k1; b[l] = under; d[l] = low;
            }
            k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
        }
        GD_EACH {
            out[4 * l] = a[l]; out[4 * l + 1] = b[l]; out[4 * l + 2] = c[l]; out[4 * l + 3] = d[l];
        }
    }
    """
    void philox "gd_philox"(uint64_t block, uint64_t key, uint32_t *out) noexcept nogil


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
