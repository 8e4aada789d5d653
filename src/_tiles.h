/* A product of matrices in register tiles, one version for each width of the machine's registers.

   C (n, k) = or += Σ_q a(i, q)·B[q, :] with a(i, q) = A[i·sa + q·sq]: A may be transposed. Rows of
   B lie sb apart and can be read up to the next multiple of 64 bytes.

   A tile keeps R rows of NV vectors in registers, about twelve of them: what hides the latency of
   a multiply-add on every machine of the last ten years. Rows of A are found from every third one,
   as x86 adds one or two steps to an address for nothing: a pointer a row would leave registers. Vectors run over columns, so each number
   of C is one sum in the order of q, and neither the tile's shape nor its width changes a bit.
   Whether a·b + c is rounded once or twice is the machine's, as in every BLAS.

   Vectors wider than the registers would be correct, too, but GCC takes them to memory and back at
   every step (7 instead of 90 GFLOP/s): hence a version a level, chosen when the module is loaded.
*/
#include <stddef.h>
#include <string.h>

#define GD_PANEL 128 /* bytes of a row of B that one tile reads */
#define GD_MOST_FEW 8

#if defined(__GNUC__)

#if defined(__clang__)
#define GD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GD_UNROLL _Pragma("GCC unroll 16")
#endif

/* R rows and NV vectors of W numbers; of the last vector only what `room` leaves is stored. */
#define GD_TILE(NAME, T, V, W, R, NV, AHEAD) \
  static inline GD_INLINE void NAME##_##R##x##NV( \
      const T *A, ptrdiff_t sa, ptrdiff_t sq, const T *B, ptrdiff_t sb, T *C, ptrdiff_t sc, \
      ptrdiff_t m, ptrdiff_t room, int add, ptrdiff_t far) { \
      V c[R][NV]; \
      ptrdiff_t q, j; \
      (void)far; \
      GD_UNROLL for (int r = 0; r < R; r++) { \
          __builtin_prefetch(C + r * sc, 1); \
          if (NV * sizeof(V) > 64) __builtin_prefetch(C + r * sc + 64 / sizeof(T), 1); \
          GD_UNROLL for (int v = 0; v < NV; v++) c[r][v] = (V){0}; \
      } \
      const T *base[(R + 2) / 3]; \
      GD_UNROLL for (int r = 0; r < (R + 2) / 3; r++) base[r] = A + 3 * r * sa; \
      for (q = 0; q < m; q++, B += sb) { \
          V row[NV]; \
          AHEAD \
          GD_UNROLL for (int v = 0; v < NV; v++) row[v] = *(const V *)(B + v * W); \
          GD_UNROLL for (int r = 0; r < R; r++) { \
              const T a = base[r / 3][r % 3 * sa]; \
              GD_UNROLL for (int v = 0; v < NV; v++) c[r][v] += a * row[v]; \
          } \
          GD_UNROLL for (int r = 0; r < (R + 2) / 3; r++) base[r] += sq; \
      } \
      if (room >= NV * W) { \
          GD_UNROLL for (int r = 0; r < R; r++) GD_UNROLL for (int v = 0; v < NV; v++) { \
              V *to = (V *)(C + r * sc + v * W); \
              if (add) *to += c[r][v]; else *to = c[r][v]; \
          } \
      } else { \
          GD_UNROLL for (int r = 0; r < R; r++) { \
              T part[NV * W]; \
              memcpy(part, c[r], sizeof part); \
              for (j = 0; j < room; j++) C[r * sc + j] = add ? C[r * sc + j] + part[j] : part[j]; \
          } \
      } \
  }

/* Into the second cache: the panel behind this one, 128 bytes on, and what is `far` from A. */
#define GD_AHEAD \
  __builtin_prefetch(base[0] + far, 0, 2); \
  __builtin_prefetch((const char *)B + GD_PANEL, 0, 2); \
  __builtin_prefetch((const char *)B + GD_PANEL + 64, 0, 2);

/* All rows by tiles of R, what is left by fewer: by one of S rows, or by two, one of them in place
   of R rows, where S is not 2. */
#define GD_ROWS(NAME, T, R, S, NV, FIRST) \
  static inline GD_INLINE void NAME##_rows##NV( \
      const T *A, ptrdiff_t sa, ptrdiff_t sq, const T *B, ptrdiff_t sb, T *C, ptrdiff_t sc, \
      ptrdiff_t n, ptrdiff_t m, ptrdiff_t room, int add, ptrdiff_t far) { \
      const ptrdiff_t last = n % R >= S ? S : n % R >= 2 * S - R && n >= 2 * S ? 2 * S : 0; \
      const ptrdiff_t most = S > 2 ? n - last : n; \
      ptrdiff_t i = 0; \
      FIRST GD_BY_TILES(NAME, R, NV, most) GD_BY_TILES(NAME, S, NV, n) \
      GD_BY_TILES(NAME, 2, NV, n) GD_BY_TILES(NAME, 1, NV, n) \
  }
#define GD_BY_TILES(NAME, R, NV, MOST) \
  for (; i + R <= MOST; i += R) \
      NAME##_##R##x##NV(A + i * sa, sa, sq, B, sb, C + i * sc, sc, m, room, add, far);

#define GD_FEW(NAME, T, V, W, NV) GD_TILE(NAME, T, V, W, 1, NV, ) GD_TILE(NAME, T, V, W, 2, NV, )
#define GD_KIND(NAME, T, V, W, R, NV) \
  GD_FEW(NAME, T, V, W, NV) GD_TILE(NAME, T, V, W, R, NV, ) GD_ROWS(NAME, T, R, 2, NV, )

#define GD_ARGUMENTS(T) \
  const T *A, ptrdiff_t sa, ptrdiff_t sq, const T *B, ptrdiff_t sb, T *C, ptrdiff_t sc, \
  ptrdiff_t n, ptrdiff_t m, ptrdiff_t k, int add, ptrdiff_t far
#define GD_GIVEN(NV) (A, sa, sq, B + j, sb, C + j, sc, n, m, k - j, add, far)

/* Registers of 16 or 32 bytes: four of them a row. */
#define GD_BY_FOUR(NAME, T, BYTES, TARGET) \
  typedef T NAME##_v __attribute__((vector_size(BYTES), aligned(__alignof__(T)), may_alias)); \
  enum { NAME##_w = BYTES / sizeof(T) }; \
  GD_KIND(NAME, T, NAME##_v, NAME##_w, 8, 1) GD_KIND(NAME, T, NAME##_v, NAME##_w, 6, 2) \
  GD_KIND(NAME, T, NAME##_v, NAME##_w, 4, 3) GD_FEW(NAME, T, NAME##_v, NAME##_w, 4) \
  GD_TILE(NAME, T, NAME##_v, NAME##_w, 3, 4, ) \
  GD_TILE(NAME##_far, T, NAME##_v, NAME##_w, 3, 4, GD_AHEAD) \
  GD_ROWS(NAME, T, 3, 2, 4, if (far) GD_BY_TILES(NAME##_far, 3, 4, most)) \
  TARGET static void NAME(GD_ARGUMENTS(T)) { \
      for (ptrdiff_t j = 0; j < k; j += 4 * NAME##_w) { \
          if (k - j > 3 * NAME##_w) NAME##_rows4 GD_GIVEN(4); \
          else if (k - j > 2 * NAME##_w) NAME##_rows3 GD_GIVEN(3); \
          else if (k - j > NAME##_w) NAME##_rows2 GD_GIVEN(2); \
          else NAME##_rows1 GD_GIVEN(1); \
      } \
  }

/* Registers of 64 bytes, 32 of them: two a row. */
#define GD_BY_TWO(NAME, T, BYTES, TARGET) \
  typedef T NAME##_v __attribute__((vector_size(BYTES), aligned(__alignof__(T)), may_alias)); \
  enum { NAME##_w = BYTES / sizeof(T) }; \
  GD_FEW(NAME, T, NAME##_v, NAME##_w, 1) GD_TILE(NAME, T, NAME##_v, NAME##_w, 8, 1, ) \
  GD_TILE(NAME, T, NAME##_v, NAME##_w, 12, 1, ) GD_ROWS(NAME, T, 12, 8, 1, ) \
  GD_FEW(NAME, T, NAME##_v, NAME##_w, 2) GD_TILE(NAME, T, NAME##_v, NAME##_w, 8, 2, ) \
  GD_TILE(NAME, T, NAME##_v, NAME##_w, 12, 2, ) \
  GD_TILE(NAME##_far, T, NAME##_v, NAME##_w, 12, 2, GD_AHEAD) \
  GD_ROWS(NAME, T, 12, 8, 2, if (far) GD_BY_TILES(NAME##_far, 12, 2, most)) \
  TARGET static void NAME(GD_ARGUMENTS(T)) { \
      for (ptrdiff_t j = 0; j < k; j += 2 * NAME##_w) { \
          if (k - j > NAME##_w) NAME##_rows2 GD_GIVEN(2); \
          else NAME##_rows1 GD_GIVEN(1); \
      } \
  }

GD_BY_FOUR(gd_tiles32_base, float, 16, )
GD_BY_FOUR(gd_tiles64_base, double, 16, )
#if defined(GD_DISPATCHED)
GD_BY_FOUR(gd_tiles32_v3, float, 32, __attribute__((target("arch=x86-64-v3"))))
GD_BY_FOUR(gd_tiles64_v3, double, 32, __attribute__((target("arch=x86-64-v3"))))
GD_BY_TWO(gd_tiles32_v4, float, 64, __attribute__((target("arch=x86-64-v4"))))
GD_BY_TWO(gd_tiles64_v4, double, 64, __attribute__((target("arch=x86-64-v4"))))
#endif

static ptrdiff_t gd_few = 6; /* the fewest rows that a tile is fast for */
static void (*gd_tiles32)(GD_ARGUMENTS(float)) = gd_tiles32_base;
static void (*gd_tiles64)(GD_ARGUMENTS(double)) = gd_tiles64_base;

#if defined(GD_DISPATCHED)
__attribute__((constructor)) static void gd_choose_tiles(void) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4")) {
        gd_few = 8;
        gd_tiles32 = gd_tiles32_v4;
        gd_tiles64 = gd_tiles64_v4;
    } else if (__builtin_cpu_supports("x86-64-v3")) {
        gd_tiles32 = gd_tiles32_v3;
        gd_tiles64 = gd_tiles64_v3;
    }
}
#endif

#else /* a compiler without vectors of GCC's kind */

#define GD_TILES(NAME, T) \
  static void NAME( \
      const T *A, ptrdiff_t sa, ptrdiff_t sq, const T *B, ptrdiff_t sb, T *C, ptrdiff_t sc, \
      ptrdiff_t n, ptrdiff_t m, ptrdiff_t k, int add, ptrdiff_t far) { \
      ptrdiff_t i, j, q; \
      (void)far; \
      for (i = 0; i < n; i++) { \
          if (!add) for (j = 0; j < k; j++) C[i * sc + j] = 0; \
          for (q = 0; q < m; q++) \
              for (j = 0; j < k; j++) C[i * sc + j] += A[i * sa + q * sq] * B[q * sb + j]; \
      } \
  }
GD_TILES(gd_tiles32, float)
GD_TILES(gd_tiles64, double)
static ptrdiff_t gd_few = 6;
#endif

/* out[q·so + j] = B[q + j·sj] for q < m and j < w: four rows and columns at a time where GCC has vectors,
   over all columns before the next lines of the cache are read. */
#define GD_LINES 16
#if defined(__GNUC__) && (defined(__clang__) || __GNUC__ >= 12)
#define GD_BY_QUADS 1
typedef float gd_quad __attribute__((vector_size(16), aligned(4), may_alias));
typedef double gd_pair __attribute__((vector_size(16), aligned(8), may_alias));
#else
#define GD_BY_QUADS 0
#endif

static void gd_turn32(const float *B, ptrdiff_t sj, float *out, ptrdiff_t so, ptrdiff_t m, ptrdiff_t w) {
    ptrdiff_t j, q, most = 0, deep = 0;
#if GD_BY_QUADS
    most = w & ~(ptrdiff_t)3; deep = m & ~(ptrdiff_t)3;
    for (ptrdiff_t first = 0; first < deep; first += GD_LINES) for (j = 0; j < most; j += 4) {
        const float *b = B + j * sj + first;
        float *o = out + j + first * so;
        const ptrdiff_t end = deep - first < GD_LINES ? deep : first + GD_LINES;
        for (q = 0; q < 4; q++) __builtin_prefetch(b + q * sj + GD_LINES);
        for (q = first; q < end; q += 4, b += 4, o += 4 * so) {
            gd_quad r0 = *(const gd_quad *)b, r1 = *(const gd_quad *)(b + sj);
            gd_quad r2 = *(const gd_quad *)(b + 2 * sj), r3 = *(const gd_quad *)(b + 3 * sj);
            gd_quad t0 = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
            gd_quad t1 = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
            gd_quad t2 = __builtin_shufflevector(r2, r3, 0, 4, 1, 5);
            gd_quad t3 = __builtin_shufflevector(r2, r3, 2, 6, 3, 7);
            *(gd_quad *)o = __builtin_shufflevector(t0, t2, 0, 1, 4, 5);
            *(gd_quad *)(o + so) = __builtin_shufflevector(t0, t2, 2, 3, 6, 7);
            *(gd_quad *)(o + 2 * so) = __builtin_shufflevector(t1, t3, 0, 1, 4, 5);
            *(gd_quad *)(o + 3 * so) = __builtin_shufflevector(t1, t3, 2, 3, 6, 7);
        }
    }
    for (j = 0; j < most; j++) for (q = deep; q < m; q++) out[q * so + j] = B[q + j * sj];
#endif
    for (j = most; j < w; j++) for (q = 0; q < m; q++) out[q * so + j] = B[q + j * sj];
}

static void gd_turn64(const double *B, ptrdiff_t sj, double *out, ptrdiff_t so, ptrdiff_t m, ptrdiff_t w) {
    ptrdiff_t j, q, most = 0, deep = 0;
#if GD_BY_QUADS
    most = w & ~(ptrdiff_t)1; deep = m & ~(ptrdiff_t)1;
    for (ptrdiff_t first = 0; first < deep; first += GD_LINES) for (j = 0; j < most; j += 2) {
        const double *b = B + j * sj + first;
        double *o = out + j + first * so;
        const ptrdiff_t end = deep - first < GD_LINES ? deep : first + GD_LINES;
        for (q = first; q < end; q += 2, b += 2, o += 2 * so) {
            gd_pair r0 = *(const gd_pair *)b, r1 = *(const gd_pair *)(b + sj);
            *(gd_pair *)o = __builtin_shufflevector(r0, r1, 0, 2);
            *(gd_pair *)(o + so) = __builtin_shufflevector(r0, r1, 1, 3);
        }
    }
    for (j = 0; j < most; j++) for (q = deep; q < m; q++) out[q * so + j] = B[q + j * sj];
#endif
    for (j = most; j < w; j++) for (q = 0; q < m; q++) out[q * so + j] = B[q + j * sj];
}
