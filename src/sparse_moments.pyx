"""Mean and deviation of the columns of rows in CSR form. NumPy twins: gdcore/_numpy/sparse_moments.py.

One pass over the entries for most columns, three more over those of the few whose variance is a
small part of their mean square, which are columns with hardly a zero.
"""
from libc.math cimport fabs, frexp, ldexp, sqrt
from libc.stdlib cimport calloc, free

from _math cimport real
from _memory cimport require_apart, span
from _rows cimport workspace
from _sparse cimport index, outside_pass, require_rows

cdef enum:
    STATE = 8  # what is kept of a column, side by side in memory: entries, their weight in two parts,
    # low, high, origin, mean or its sum, sum of squares

cdef double LARGE = 1e140, SMALL = 1e-140  # whose squares, summed, are safe
# Of Σ w·x²/Σ w: a variance that is less is not left as a difference; where a twentieth of the rows
# holds a column's zeros it is not.
cdef double CLEAR = 0.05


cdef double sums_pass(
    const real *data, const index *indices, const long long *indptr, const double *weights, Py_ssize_t n,
    double *sums, long long *strange,
) noexcept nogil:
    """Add Σ w·x and Σ w·x² of each column to sums, side by side; returns Σ w. strange counts numbers
    whose squares leave the range of doubles. No column comes twice in a row, so two are read before
    the first is written."""
    cdef double total = 0, w, x, y, a, b, c, d
    cdef double *of
    cdef double *to
    cdef Py_ssize_t i
    cdef long long k, end, odd = 0
    for i in range(n):
        w = weights[i]
        total += w
        end = indptr[i + 1]
        for k in range(indptr[i], end - 1, 2):
            x = data[k]
            y = data[k + 1]
            if real is double:
                odd += (fabs(x) > LARGE or fabs(x) < SMALL) and x != 0
                odd += (fabs(y) > LARGE or fabs(y) < SMALL) and y != 0
            of = sums + 2 * indices[k]
            to = sums + 2 * indices[k + 1]
            a = of[0] + w * x
            b = of[1] + w * (x * x)
            c = to[0] + w * y
            d = to[1] + w * (y * y)
            of[0] = a
            of[1] = b
            to[0] = c
            to[1] = d
        if (end - indptr[i]) % 2:
            x = data[end - 1]
            if real is double:
                odd += (fabs(x) > LARGE or fabs(x) < SMALL) and x != 0
            of = sums + 2 * indices[end - 1]
            of[0] += w * x
            of[1] += w * (x * x)
    strange[0] = odd
    return total


cdef Py_ssize_t settle_sums(
    const double *sums, double total, bint strange, double *mean, double *deviation, Py_ssize_t p, Py_ssize_t *place,
) noexcept nogil:
    """Mean and deviation of the columns whose sums tell them; the others get a place, and are counted."""
    cdef Py_ssize_t j, others = 0
    cdef double square, around
    for j in range(p):
        mean[j] = sums[2 * j] / total
        square = sums[2 * j + 1] / total
        around = square - mean[j] * mean[j]
        place[j] = -1
        if strange or not around >= CLEAR * square:
            place[j] = others
            others += 1
        else:
            deviation[j] = sqrt(around)
    return others


cdef void moments_pass(
    const real *data, const index *indices, const long long *indptr, const double *weights, double *mean,
    double *deviation, Py_ssize_t n, Py_ssize_t p, const Py_ssize_t *place, double *state,
) noexcept nogil:
    """The same for columns that have a place, in three passes. The weight of a column's implicit zeros
    is a difference, so weights are summed in two parts, the first of which are multiples of one unit
    and have exact sums."""
    cdef double total = 0, whole = 0, rest = 0, w, high, low, x, most, big, tiny
    cdef double *of
    cdef Py_ssize_t i, j
    cdef long long k
    cdef int exponent
    for i in range(n):
        total += weights[i]
    frexp(total, &exponent)
    big = ldexp(1.5, exponent)
    for i in range(n):
        w = weights[i]
        high = (w + big) - big
        low = w - high
        whole += high
        rest += low
        for k in range(indptr[i], indptr[i + 1]):
            if place[indices[k]] < 0:
                continue
            x = data[k]
            of = state + STATE * place[indices[k]]
            if of[0] == 0:
                of[3] = of[4] = of[5] = x
            of[0] += 1
            of[1] += high
            of[2] += low
            of[3] = x if x < of[3] else of[3]
            of[4] = x if x > of[4] else of[4]
    for j in range(p):
        of = state + STATE * place[j]
        if place[j] >= 0 and of[0] < n:
            # some are zero: count from there, else from the first row, for constant columns
            of[3] = 0 if of[3] > 0 else of[3]
            of[4] = 0 if of[4] < 0 else of[4]
            of[5] = 0
    for i in range(n):
        for k in range(indptr[i], indptr[i + 1]):
            if place[indices[k]] >= 0:
                of = state + STATE * place[indices[k]]
                of[6] += weights[i] * (data[k] - of[5])
    for j in range(p):
        if place[j] >= 0:
            of = state + STATE * place[j]
            of[6] = of[5] + of[6] / total
            most = of[4] - of[6] if of[4] - of[6] > of[6] - of[3] else of[6] - of[3]
            of[3] = most
            of[4] = most if most > 0 else 1  # squares of 1e-200 or 1e200 would leave the range
    for i in range(n):
        for k in range(indptr[i], indptr[i + 1]):
            if place[indices[k]] >= 0:
                of = state + STATE * place[indices[k]]
                x = (data[k] - of[6]) / of[4]
                of[7] += weights[i] * (x * x)
    tiny = 1.1920928955078125e-07 if real is float else 2.220446049250313e-16
    for j in range(p):
        if place[j] < 0:
            continue
        of = state + STATE * place[j]
        w = (whole - of[1]) + (rest - of[2]) if of[0] < n else 0
        x = of[6] / of[4]
        mean[j] = of[6]
        deviation[j] = of[4] * sqrt((of[7] + (w if w > 0 else 0) * (x * x)) / total)
        if of[3] <= 8 * tiny * abs(of[6]):  # what rounding makes of a constant column is no scale
            deviation[j] = 0


def csr_moments(
    const real[::1] data not None, const index[::1] indices not None, const long long[::1] indptr not None,
    const double[::1] weights not None, double[::1] mean not None, double[::1] deviation not None,
):
    """Weighted mean and standard deviation of each column, zeros that are not stored included; no row may name a column twice. Changes mean and deviation."""
    cdef Py_ssize_t n = indptr.shape[0] - 1, p = mean.shape[0], entries = data.shape[0]
    cdef const real *numbers = &data[0] if entries else NULL
    cdef const index *columns = &indices[0] if entries else NULL
    cdef long long wrong = 0
    cdef double total
    cdef Py_ssize_t others
    cdef double *state = NULL
    require_rows(entries, indices.shape[0], indptr)
    if weights.shape[0] != n or deviation.shape[0] != p:
        raise ValueError("There must be one weight a row, and mean and deviation of one length. Pass such.")
    if entries:
        outside_pass(columns, entries, p, &wrong)
    if wrong:
        raise ValueError("indices must hold column numbers. Pass numbers from 0 to p − 1.")
    require_apart(
        2, 6, span(mean), span(deviation), span(data), span(indices), span(indptr), span(weights))
    if n == 0 or p == 0:
        return
    cdef void *base
    cdef double *sums = <double *>workspace(2 * p * sizeof(double) + p * sizeof(Py_ssize_t), &base)
    cdef Py_ssize_t *place = <Py_ssize_t *>(sums + 2 * p)
    with nogil:
        total = sums_pass(numbers, columns, &indptr[0], &weights[0], n, sums, &wrong)
        others = settle_sums(sums, total, wrong > 0, &mean[0], &deviation[0], p, place)
    if others:
        state = <double *>calloc(others, STATE * sizeof(double))
        if state != NULL:
            with nogil:
                moments_pass(
                    numbers, columns, &indptr[0], &weights[0], &mean[0], &deviation[0], n, p, place,
                    state,
                )
        free(state)
    free(base)
    if others and state == NULL:
        raise MemoryError("There is no memory for the columns. Pass fewer columns.")
