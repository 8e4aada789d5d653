"""Header-only: what kernels on rows in CSR form share.

Row i holds the entries indptr[i] … indptr[i + 1] − 1 of `indices` and `data`, in any order of its
columns. `indptr` is always int64, `indices` int32 or int64.
"""
from libc.stdint cimport uint64_t

from _math cimport hot_void, inline_void, prefetch, real

ctypedef fused index:
    int
    long long


cdef inline bint rows_hold(const long long[::1] indptr, Py_ssize_t entries) noexcept:
    """Does indptr begin at 0, never fall, and end at the number of entries?"""
    cdef Py_ssize_t n = indptr.shape[0] - 1, i, falls = 0
    if n < 0:
        return False
    for i in range(n):
        falls += indptr[i + 1] < indptr[i]
    return falls == 0 and indptr[0] == 0 and indptr[n] == entries


cdef inline void require_rows(
    Py_ssize_t data, Py_ssize_t indices, const long long[::1] indptr,
) except *:
    if data != indices:
        raise ValueError("data and indices must have one length. Pass one column number for each number.")
    if not rows_hold(indptr, data):
        raise ValueError("indptr must begin at 0, never fall, and end at the number of entries. Pass such.")


cdef inline inline_void ahead_entries(
    const real *data, const index *indices, const long long *indptr, long long i,
) noexcept nogil:
    """Ask for what is stored of a row: rows come in random order."""
    cdef long long j
    for j in range(indptr[i], indptr[i + 1], 16):
        prefetch(indices + j)
        prefetch(data + j)
        if sizeof(real) + sizeof(index) > 8:
            prefetch(data + j + 8)
            prefetch(indices + j + 8)


cdef inline inline_void ahead_cells(
    const double *cells, Py_ssize_t stride, const index *indices, const long long *indptr,
    long long i,
) noexcept nogil:
    """Ask for the cells of a row's columns, stride numbers each."""
    cdef long long j
    for j in range(indptr[i], indptr[i + 1]):
        prefetch(cells + stride * indices[j])


cdef inline hot_void outside_pass(
    const index *indices, Py_ssize_t n, long long columns, long long *wrong,
) noexcept nogil:
    """Column numbers below 0 or beyond the last; as numbers without a sign, one comparison."""
    cdef Py_ssize_t i
    cdef long long count = 0, most = 2147483648  # columns that int32 can number
    cdef unsigned int few
    if index is int:
        few = <unsigned int>(columns if columns < most else most)
        for i in range(n):
            count += <unsigned int>indices[i] >= few
    else:
        for i in range(n):
            count += <uint64_t>indices[i] >= <uint64_t>columns
    wrong[0] = count


cdef inline int require_inside(const index[::1] indices, Py_ssize_t p) except -1:
    cdef long long wrong = 0
    if indices.shape[0]:
        outside_pass(&indices[0], indices.shape[0], p, &wrong)
    if wrong:
        raise ValueError("indices must hold column numbers. Pass numbers from 0 to p − 1.")
    return 0


cdef inline int require_order(
    const long long[::1] order, const index[::1] indices, Py_ssize_t n, Py_ssize_t p,
) except -1:
    cdef Py_ssize_t i
    cdef long long wrong = 0
    for i in range(order.shape[0]):
        wrong += <uint64_t>order[i] >= <uint64_t>n
    if wrong:
        raise ValueError("order must hold row numbers of X. Pass numbers from 0 to n − 1.")
    return require_inside(indices, p)
