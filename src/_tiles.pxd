"""Header-only: a product of matrices in register tiles, see _tiles.h."""
from _math cimport real  # its macros come first

cdef extern from "_tiles.h":
    enum:
        PANEL "GD_PANEL"
        MOST_FEW "GD_MOST_FEW"
    const Py_ssize_t FEW "gd_few"  # rows of a tile that a triangle is cut into, at most MOST_FEW
    void tiles32 "gd_tiles32"(
        const float *A, Py_ssize_t sa, Py_ssize_t sq, const float *B, Py_ssize_t sb, float *C,
        Py_ssize_t sc, Py_ssize_t n, Py_ssize_t m, Py_ssize_t k, bint add, Py_ssize_t far) noexcept nogil
    void tiles64 "gd_tiles64"(
        const double *A, Py_ssize_t sa, Py_ssize_t sq, const double *B, Py_ssize_t sb, double *C,
        Py_ssize_t sc, Py_ssize_t n, Py_ssize_t m, Py_ssize_t k, bint add, Py_ssize_t far) noexcept nogil
    void turn32 "gd_turn32"(
        const float *B, Py_ssize_t sj, float *out, Py_ssize_t so, Py_ssize_t m, Py_ssize_t w) noexcept nogil
    void turn64 "gd_turn64"(
        const double *B, Py_ssize_t sj, double *out, Py_ssize_t so, Py_ssize_t m, Py_ssize_t w) noexcept nogil


cdef inline Py_ssize_t padded(Py_ssize_t k) noexcept nogil:
    """The next multiple of 16: rows of so many numbers can be read in whole vectors."""
    return (k + 15) // 16 * 16


cdef inline void product_ahead(
    const real *A, Py_ssize_t sa, Py_ssize_t sq, const real *B, Py_ssize_t sb, real *C,
    Py_ssize_t sc, Py_ssize_t n, Py_ssize_t m, Py_ssize_t k, bint add, Py_ssize_t far,
) noexcept nogil:
    """C (n, k) = or += Σ_q A[i·sa + q·sq]·B[q·sb + j]. Where far is not 0, memory is asked for what
    will be read next: the columns of B behind these, and numbers so far on in A."""
    if real is double:
        tiles64(A, sa, sq, B, sb, C, sc, n, m, k, add, far)
    else:
        tiles32(A, sa, sq, B, sb, C, sc, n, m, k, add, far)


cdef inline void product(
    const real *A, Py_ssize_t sa, Py_ssize_t sq, const real *B, Py_ssize_t sb, real *C,
    Py_ssize_t sc, Py_ssize_t n, Py_ssize_t m, Py_ssize_t k, bint add,
) noexcept nogil:
    """The same for what is in the caches."""
    product_ahead(A, sa, sq, B, sb, C, sc, n, m, k, add, 0)


cdef inline void turn(
    const real *B, Py_ssize_t sj, real *out, Py_ssize_t so, Py_ssize_t m, Py_ssize_t w,
) noexcept nogil:
    """out[q·so + j] = B[q + j·sj] for q < m and j < w."""
    if real is double:
        turn64(B, sj, out, so, m, w)
    else:
        turn32(B, sj, out, so, m, w)
