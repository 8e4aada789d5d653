"""Rows of a batch, gathered and standardised in one pass. NumPy twin: gdcore/_numpy/batches.py."""
from _batches cimport cell, take_row
from _math cimport hot_void, prefetch, real
from _memory cimport require_apart, span


cdef hot_void take_pass(
    const cell *X, const long long *rows, const cell *shift, const real *inverse, real *out,
    Py_ssize_t n, Py_ssize_t p,
) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(n):
        if i + 1 < n:  # rows come in random order: ask early
            j = 0
            while j < p:
                prefetch(X + rows[i + 1] * p + j)
                j += 16
        take_row(X + rows[i] * p, shift, inverse, out, p)
        out += p


def take_rows(
    const cell[:, ::1] X not None, const long long[::1] rows not None, const cell[::1] shift not None,
    const real[::1] inverse not None, real[:, ::1] out not None,
):
    """out = (X[rows] − shift)·inverse; where shift and inverse are empty, X[rows] itself. Changes out."""
    cdef Py_ssize_t n = rows.shape[0], p = X.shape[1], i, wrong = 0
    if out.shape[0] != n or out.shape[1] != p:
        raise ValueError("out must have one row for each of rows, as wide as X. Pass such.")
    if shift.shape[0] != inverse.shape[0] or (shift.shape[0] != p and shift.shape[0] != 0):
        raise ValueError("shift and inverse must have one number a column, or none. Pass such.")
    for i in range(n):
        wrong += rows[i] < 0 or rows[i] >= X.shape[0]
    if wrong:
        raise ValueError("rows must hold row numbers of X. Pass numbers from 0 to n − 1.")
    require_apart(1, 5, span(out), span(X), span(rows), span(shift), span(inverse))
    if n and p:
        with nogil:
            take_pass(
                &X[0, 0], &rows[0], &shift[0] if shift.shape[0] else NULL,
                &inverse[0] if inverse.shape[0] else NULL, &out[0, 0], n, p,
            )
