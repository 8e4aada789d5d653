"""Header-only: a product of small matrices in register tiles, for work that is too short for BLAS.

Vectors run over columns, so no sum is reordered, and the shape of the tile changes no bit. Whether
a·b + c is rounded once or twice is the machine's, as in every BLAS.
"""
from _math cimport inline_void, real

cdef extern from *:
    """
    #include <stddef.h>
    #include <string.h>

    /* C (n, k) = or += Σ_q a(i, q)·B[q, :] with a(i, q) = A[i·sa + q·sq]: A may be transposed.
       Rows of B lie sb apart and can be read up to the next multiple of 64 bytes. */
    #if defined(__GNUC__)
      #define GD_TILES(NAME, T, V) \\
      typedef T V __attribute__((vector_size(64), aligned(__alignof__(T)), may_alias)); \\
      static inline GD_INLINE void NAME##_put(T *c, const V *v, ptrdiff_t room, int add) { \\
          enum { W = 64 / sizeof(T) }; \\
          if (room >= W) { \\
              if (add) *(V *)c += *v; else *(V *)c = *v; \\
          } else { \\
              T part[W]; ptrdiff_t j; \\
              memcpy(part, v, 64); \\
              for (j = 0; j < room; j++) c[j] = add ? c[j] + part[j] : part[j]; \\
          } \\
      } \\
      static inline GD_INLINE void NAME( \\
          const T *A, ptrdiff_t sa, ptrdiff_t sq, const T *B, ptrdiff_t sb, T *C, ptrdiff_t sc, \\
          ptrdiff_t n, ptrdiff_t m, ptrdiff_t k, int add) { \\
          enum { W = 64 / sizeof(T) }; \\
          ptrdiff_t i, j, q; \\
          for (i = 0; i + 4 <= n; i += 4) { \\
              for (j = 0; j < k; j += W) { \\
                  V c0 = {0}, c1 = {0}, c2 = {0}, c3 = {0}; \\
                  const T *a = A + i * sa, *b = B + j; \\
                  for (q = 0; q < m; q++, a += sq, b += sb) { \\
                      V row = *(const V *)b; \\
                      c0 += a[0] * row; c1 += a[sa] * row; \\
                      c2 += a[2 * sa] * row; c3 += a[3 * sa] * row; \\
                  } \\
                  NAME##_put(C + i * sc + j, &c0, k - j, add); \\
                  NAME##_put(C + (i + 1) * sc + j, &c1, k - j, add); \\
                  NAME##_put(C + (i + 2) * sc + j, &c2, k - j, add); \\
                  NAME##_put(C + (i + 3) * sc + j, &c3, k - j, add); \\
              } \\
          } \\
          for (; i < n; i++) { \\
              for (j = 0; j < k; j += 4 * W) { \\
                  V c0 = {0}, c1 = {0}, c2 = {0}, c3 = {0}; \\
                  const T *a = A + i * sa, *b = B + j; \\
                  ptrdiff_t more = k - j; \\
                  if (more > 3 * W) { \\
                      for (q = 0; q < m; q++, a += sq, b += sb) { \\
                          const V *row = (const V *)b; \\
                          c0 += a[0] * row[0]; c1 += a[0] * row[1]; \\
                          c2 += a[0] * row[2]; c3 += a[0] * row[3]; \\
                      } \\
                  } else if (more > W) { \\
                      for (q = 0; q < m; q++, a += sq, b += sb) { \\
                          const V *row = (const V *)b; \\
                          c0 += a[0] * row[0]; c1 += a[0] * row[1]; \\
                          if (more > 2 * W) c2 += a[0] * row[2]; \\
                      } \\
                  } else { \\
                      for (q = 0; q < m; q++, a += sq, b += sb) c0 += a[0] * *(const V *)b; \\
                  } \\
                  NAME##_put(C + i * sc + j, &c0, more, add); \\
                  if (more > W) NAME##_put(C + i * sc + j + W, &c1, more - W, add); \\
                  if (more > 2 * W) NAME##_put(C + i * sc + j + 2 * W, &c2, more - 2 * W, add); \\
                  if (more > 3 * W) NAME##_put(C + i * sc + j + 3 * W, &c3, more - 3 * W, add); \\
              } \\
          } \\
      }
    #else
      #define GD_TILES(NAME, T, V) \\
      static void NAME( \\
          const T *A, ptrdiff_t sa, ptrdiff_t sq, const T *B, ptrdiff_t sb, T *C, ptrdiff_t sc, \\
          ptrdiff_t n, ptrdiff_t m, ptrdiff_t k, int add) { \\
          ptrdiff_t i, j, q; \\
          for (i = 0; i < n; i++) { \\
              if (!add) for (j = 0; j < k; j++) C[i * sc + j] = 0; \\
              for (q = 0; q < m; q++) \\
                  for (j = 0; j < k; j++) C[i * sc + j] += A[i * sa + q * sq] * B[q * sb + j]; \\
          } \\
      }
    #endif
    GD_TILES(gd_tiles32, float, gd_v16)
    GD_TILES(gd_tiles64, double, gd_v8)
    """
    void tiles32 "gd_tiles32"(
        const float *A, Py_ssize_t sa, Py_ssize_t sq, const float *B, Py_ssize_t sb, float *C,
        Py_ssize_t sc, Py_ssize_t n, Py_ssize_t m, Py_ssize_t k, bint add) noexcept nogil
    void tiles64 "gd_tiles64"(
        const double *A, Py_ssize_t sa, Py_ssize_t sq, const double *B, Py_ssize_t sb, double *C,
        Py_ssize_t sc, Py_ssize_t n, Py_ssize_t m, Py_ssize_t k, bint add) noexcept nogil


cdef inline Py_ssize_t padded(Py_ssize_t k) noexcept nogil:
    """The next multiple of 16: rows of so many numbers can be read in whole vectors."""
    return (k + 15) // 16 * 16


cdef inline inline_void product(
    const real *A, Py_ssize_t sa, Py_ssize_t sq, const real *B, Py_ssize_t sb, real *C,
    Py_ssize_t sc, Py_ssize_t n, Py_ssize_t m, Py_ssize_t k, bint add,
) noexcept nogil:
    """C (n, k) = or += Σ_q A[i·sa + q·sq]·B[q·sb + j]."""
    if real is double:
        tiles64(A, sa, sq, B, sb, C, sc, n, m, k, add)
    else:
        tiles32(A, sa, sq, B, sb, C, sc, n, m, k, add)
