"""Header-only: one row of X, standardised on its way into the precision of θ."""
from _math cimport inline_void, real

ctypedef fused cell:
    float
    double


cdef inline inline_void take_row(
    const cell *x, const cell *shift, const real *inverse, real *out, Py_ssize_t p,
) noexcept nogil:
    """out = (x − shift)·inverse, x itself where inverse is NULL; the difference may be small, so
    it is taken in X's precision."""
    cdef Py_ssize_t j
    if inverse == NULL:
        for j in range(p):
            out[j] = <real>x[j]
    else:
        for j in range(p):
            out[j] = <real>(x[j] - shift[j]) * inverse[j]
