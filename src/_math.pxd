"""Header-only arithmetic shared by every kernel: exp, log1p, sums in fixed lanes, SIMD dispatch.

A sum runs in LANES independent partial sums, folded pairwise at the end. The order of additions
is therefore a property of the source, not of the compiler or the machine: every SIMD level gives
the same bits. Nothing here may have a .pyx of the same name.
"""

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* One wheel, three code paths: glibc picks the widest that the processor has at load time. */
    #if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && defined(__x86_64__) \\
        && defined(__gnu_linux__) && !defined(GD_NO_CLONES)
      #define GD_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
    #else
      #define GD_CLONES
    #endif

    /* What a dispatched kernel calls must be inlined, or it would run at the baseline level. */
    #if defined(__GNUC__)
      #define GD_INLINE __attribute__((always_inline))
      #define gd_prefetch(p) __builtin_prefetch(p)
    #else
      #define GD_INLINE
      #define gd_prefetch(p) ((void)(p))
    #endif

    static inline int64_t gd_bits64(double x) { int64_t i; memcpy(&i, &x, 8); return i; }
    static inline double gd_double(int64_t i) { double x; memcpy(&x, &i, 8); return x; }
    static inline int32_t gd_bits32(float x) { int32_t i; memcpy(&i, &x, 4); return i; }
    static inline float gd_float(int32_t i) { float x; memcpy(&x, &i, 4); return x; }
    """
    ctypedef void hot_void "GD_CLONES void"
    ctypedef double hot_double "GD_CLONES double"
    ctypedef void inline_void "GD_INLINE void"
    ctypedef float inline_float "GD_INLINE float"
    ctypedef double inline_double "GD_INLINE double"
    long long bits64 "gd_bits64"(double x) noexcept nogil
    double as_double "gd_double"(long long i) noexcept nogil
    int bits32 "gd_bits32"(float x) noexcept nogil
    float as_float "gd_float"(int i) noexcept nogil
    void prefetch "gd_prefetch"(const void *p) noexcept nogil

ctypedef fused real:
    float
    double

cdef enum:
    LANES = 16  # rows of scratch are padded to this many numbers


cdef inline void require_one_length(bint equal) except *:
    if not equal:
        raise ValueError("The arrays must have one length. Pass arrays of equal shape.")


cdef inline inline_double exp64(double x) noexcept nogil:
    """eˣ = 2ⁿ·eʳ with |r| ≤ ½ ln 2 (Cody & Waite) and a near-minimax polynomial; below 1 ulp."""
    cdef double shifted = x * 1.4426950408889634 + 6755399441056767.0  # 1.5·2⁵² + 1023
    cdef double n = shifted - 6755399441056767.0
    cdef double r = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10
    cdef double r2 = r * r
    cdef double low = (0.5000000000000001 + r * 0.16666666666666669) \
        + r2 * (0.04166666666662399 + r * 0.008333333333330051)
    cdef double high = (0.0013888888917281794 + r * 0.00019841269863105968) \
        + r2 * (2.480152119021773e-05 + r * 2.7557268378684192e-06) \
        + (r2 * r2) * (2.7620138719733994e-07 + r * 2.5100424157005067e-08)
    cdef double e = (1.0 + (r + r2 * (low + (r2 * r2) * high))) * as_double(bits64(shifted) << 52)
    e = 0.0 if x < -708.0 else e
    e = 1e308 * 1e308 if x > 709.0 else e
    return e if x == x else x


cdef inline inline_float exp32(float x) noexcept nogil:
    cdef float shifted = x * <float>1.44269504 + <float>12583039.0  # 1.5·2²³ + 127
    cdef float n = shifted - <float>12583039.0
    cdef float r = (x - n * <float>0.693359375) + n * <float>2.12194440e-4
    cdef float p = <float>0.0083629729 + r * <float>0.0013926213
    p = <float>0.0416655544 + r * p
    p = <float>0.1666657685 + r * p
    p = <float>0.5 + r * p
    cdef float e = (<float>1.0 + (r + r * r * p)) * as_float(bits32(shifted) << 23)
    e = <float>0.0 if x < <float>-87.0 else e
    e = <float>(1e38 * 1e38) if x > <float>88.0 else e
    return e if x == x else x


cdef inline real exp(real x) noexcept nogil:
    if real is double:
        return exp64(x)
    else:
        return exp32(x)


cdef inline inline_double log1p_unit64(double e) noexcept nogil:
    """log(1 + e) for 0 ≤ e ≤ 1, as 2 artanh(e / (2 + e)): no cancellation for small e."""
    cdef double s = e / (2.0 + e)
    cdef double u = s * s
    cdef double u2 = u * u
    cdef double low = (0.3333333333333333 + u * 0.20000000000007292) \
        + u2 * (0.1428571428355438 + u * 0.11111111358713932)
    cdef double mid = (0.09090894718066429 + u * 0.07692785032479312) \
        + u2 * (0.06657072104827468 + u * 0.06000536404795356)
    cdef double high = 0.04400369243072337 + u * 0.08082022805971766
    cdef double q = low + (u2 * u2) * (mid + (u2 * u2) * high)
    return 2.0 * (s + s * (u * q))


cdef inline inline_float log1p_unit32(float e) noexcept nogil:
    cdef float s = e / (<float>2.0 + e)
    cdef float u = s * s
    cdef float q = <float>0.2000378072 + u * (<float>0.1411830990 + u * <float>0.1342574901)
    q = <float>0.3333332032 + u * q
    return <float>2.0 * (s + s * (u * q))


cdef inline real log1p_unit(real e) noexcept nogil:
    if real is double:
        return log1p_unit64(e)
    else:
        return log1p_unit32(e)


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
