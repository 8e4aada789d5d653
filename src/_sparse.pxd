"""Header-only: what kernels on rows in CSR form share.

Row i holds the entries indptr[i] … indptr[i + 1] − 1 of `indices` and `data`, in any order of its
columns. `indptr` is always int64, `indices` int32 or int64.
"""

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
