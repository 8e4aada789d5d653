"""Header-only arithmetic shared by every kernel: eˣ, log(1 + eˣ), sums in fixed lanes, SIMD dispatch.

A sum runs in LANES independent partial sums, folded pairwise at the end. The order of additions
is therefore a property of the source, not of the compiler or the machine: every SIMD level gives
the same bits. Nothing here may have a .pyx of the same name.
"""

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* One wheel, three code paths: glibc picks the widest that the processor has at load time.
       musl has no such pick; it is asked by __GLIBC__, for its compiler may be one of glibc's. */
    #if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && defined(__x86_64__) \\
        && defined(__GLIBC__) && !defined(GD_NO_CLONES)
      #define GD_DISPATCHED
      #define GD_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
    #else
      #define GD_CLONES
    #endif
    #include "_levels.h"

    /* What a dispatched kernel calls must be inlined, or it would run at the baseline level. */
    #if defined(__GNUC__)
      #define GD_INLINE __attribute__((always_inline))
      #define gd_prefetch(p) __builtin_prefetch(p)
    #else
      #define GD_INLINE
      #define gd_prefetch(p) ((void)(p))
    #endif

    /* 2ⁿ from n in a double's lowest bits; without a sign, as a shift may reach it. */
    static inline double gd_power64(double x) { uint64_t i; memcpy(&i, &x, 8); i <<= 52; memcpy(&x, &i, 8); return x; }
    static inline float gd_power32(float x) { uint32_t i; memcpy(&i, &x, 4); i <<= 23; memcpy(&x, &i, 4); return x; }
    static inline int64_t gd_bits64(double x) { int64_t i; memcpy(&i, &x, 8); return i; }
    static inline double gd_double(int64_t i) { double x; memcpy(&x, &i, 8); return x; }
    """
    ctypedef void hot_void "GD_CLONES void"
    ctypedef double hot_double "GD_CLONES double"
    ctypedef void inline_void "GD_INLINE void"
    ctypedef float inline_float "GD_INLINE float"
    ctypedef double inline_double "GD_INLINE double"
    long long bits64 "gd_bits64"(double x) noexcept nogil
    double as_double "gd_double"(long long i) noexcept nogil
    double power64 "gd_power64"(double x) noexcept nogil
    float power32 "gd_power32"(float x) noexcept nogil
    void prefetch "gd_prefetch"(const void *p) noexcept nogil

ctypedef fused real:
    float
    double

cdef enum:
    LANES = 16  # rows of scratch are padded to this many numbers


cdef inline void require_one_length(bint equal) except *:
    if not equal:
        raise ValueError("The arrays must have one length. Pass arrays of equal shape.")


cdef inline inline_void exp_parts64(double x, double *even, double *odd, double *scale) noexcept nogil:
    """eˣ = scale·(even + odd)/(even − odd) for |x| ≤ 708: eˣ = 2ⁿeʳ, |r| ≤ ½ ln 2 (Cody & Waite),
    eʳ by Padé (6, 6)."""
    cdef double shifted = x * 1.4426950408889634 + 6755399441056767.0  # 1.5·2⁵² + 1023
    cdef double n = shifted - 6755399441056767.0
    cdef double r = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10
    cdef double r2 = r * r
    even[0] = ((r2 + 840) * r2 + 75600) * r2 + 665280
    odd[0] = r * ((42 * r2 + 10080) * r2 + 332640)
    scale[0] = power64(shifted)


cdef inline inline_void exp_parts32(float x, float *even, float *odd, float *scale) noexcept nogil:
    """The same for |x| ≤ 87, by Padé (3, 3)."""
    cdef float shifted = x * <float>1.44269504 + <float>12583039.0  # 1.5·2²³ + 127
    cdef float n = shifted - <float>12583039.0
    cdef float r = (x - n * <float>0.693359375) + n * <float>2.12194440e-4
    cdef float r2 = r * r
    even[0] = <float>12 * r2 + <float>120
    odd[0] = r * (r2 + <float>60)
    scale[0] = power32(shifted)


cdef inline inline_void exp_ratio64(double x, double *up, double *down) noexcept nogil:
    """eˣ = up/down for |x| ≤ 708.

    As a ratio, because σ(x) = up/(up + down) and log(1 + eˣ) then need no division more.
    """
    cdef double even, odd, scale
    exp_parts64(x, &even, &odd, &scale)
    up[0] = (even + odd) * scale
    down[0] = even - odd


cdef inline inline_void exp_ratio32(float x, float *up, float *down) noexcept nogil:
    """The same for |x| ≤ 87."""
    cdef float even, odd, scale
    exp_parts32(x, &even, &odd, &scale)
    up[0] = (even + odd) * scale
    down[0] = even - odd


cdef inline inline_void exp_ratio(real x, real *up, real *down) noexcept nogil:
    """eˣ = up/down for x ≥ −708 (−87 in float), NaN for NaN; x moved down to 40 (20), from where on
    1 + e⁻ˣ is 1: up would overflow before eˣ does."""
    cdef real most = 40 if real is double else 20
    x = most if x > most else x
    if real is double:
        exp_ratio64(x, up, down)
    else:
        exp_ratio32(x, up, down)


cdef inline inline_void exp_ratio_negative(real x, real *up, real *down) noexcept nogil:
    """eˣ = up/down for x ≤ 0, one comparison fewer."""
    cdef real most = 708 if real is double else 87
    x = -most if x < -most else x
    if real is double:
        exp_ratio64(x, up, down)
    else:
        exp_ratio32(x, up, down)


cdef inline real exp_negative(real x) noexcept nogil:
    """eˣ for x ≤ 0, never below 1e-308 (1e-38 in float); NaN for NaN."""
    cdef real up, down
    exp_ratio_negative(x, &up, &down)
    return up / down


cdef inline inline_double two_artanh(double s) noexcept nogil:
    """2 artanh(s) for 0 ≤ s ≤ ⅓; log(1 + e) is that of e/(2 + e), without cancellation."""
    cdef double u = s * s
    cdef double u2 = u * u
    cdef double low = (0.3333333333333333 + u * 0.20000000000007292) \
        + u2 * (0.1428571428355438 + u * 0.11111111358713932)
    cdef double mid = (0.09090894718066429 + u * 0.07692785032479312) \
        + u2 * (0.06657072104827468 + u * 0.06000536404795356)
    cdef double high = 0.04400369243072337 + u * 0.08082022805971766
    return 2.0 * (s + s * (u * (low + (u2 * u2) * (mid + (u2 * u2) * high))))


cdef inline inline_double fold64(const double *lane) noexcept nogil:
    """The sum of LANES partial sums, pairwise."""
    cdef double half[8]
    cdef Py_ssize_t i
    for i in range(8):
        half[i] = lane[i] + lane[i + 8]
    for i in range(4):
        half[i] = half[i] + half[i + 4]
    return (half[0] + half[2]) + (half[1] + half[3])


cdef inline inline_double fold32(const float *lane) noexcept nogil:
    cdef float half[8]
    cdef Py_ssize_t i
    for i in range(8):
        half[i] = lane[i] + lane[i + 8]
    for i in range(4):
        half[i] = half[i] + half[i + 4]
    return (<double>half[0] + half[2]) + (<double>half[1] + half[3])


cdef inline double fold(const real *lane) noexcept nogil:
    if real is double:
        return fold64(lane)
    else:
        return fold32(lane)
