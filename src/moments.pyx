"""Mean, spread and extremes of the columns of X, lengths of its rows. NumPy twins:
gdcore/_numpy/moments.py."""
from libc.stdlib cimport free
from libc.string cimport memset

from _math cimport LANES, fold, hot_void, real
from _memory cimport require_apart, span
from _rows cimport workspace

cdef enum:
    ROWS = 32  # whose sums are merged at once: read from memory, then from the cache


cdef hot_void merge_block(
    const real *x, const double *s, const real *base, double *mean, double *square, double *low,
    double *high, double *sums, Py_ssize_t n, Py_ssize_t p, double before, double weight,
) noexcept nogil:
    """The mean and the weighted squares around it of `before` and these rows together (Chan et al., 1983)."""
    cdef Py_ssize_t i, j
    cdef double a, b, c, d, m, total = before + weight
    cdef real one, two
    cdef const real *r
    memset(sums, 0, 2 * p * sizeof(double))
    for i in range(0, n - 3, 4):  # four rows share what is read and written of a column
        r = x + i * p
        for j in range(p):
            m = base[j]
            sums[j] = sums[j] + (
                (s[i] * (<double>r[j] - m) + s[i + 1] * (<double>r[p + j] - m))
                + (s[i + 2] * (<double>r[2 * p + j] - m) + s[i + 3] * (<double>r[3 * p + j] - m)))
    for i in range(n - n % 4, n):
        for j in range(p):
            sums[j] = sums[j] + s[i] * (<double>x[i * p + j] - base[j])
    for j in range(p):
        sums[j] = sums[j] / weight
    for i in range(0, n - 3, 4):
        r = x + i * p
        for j in range(p):
            m = base[j]
            a = (<double>r[j] - m) - sums[j]
            b = (<double>r[p + j] - m) - sums[j]
            c = (<double>r[2 * p + j] - m) - sums[j]
            d = (<double>r[3 * p + j] - m) - sums[j]
            sums[p + j] = sums[p + j] + (
                (s[i] * (a * a) + s[i + 1] * (b * b)) + (s[i + 2] * (c * c) + s[i + 3] * (d * d)))
        for j in range(p):
            one = r[j] if r[j] < r[p + j] else r[p + j]
            two = r[2 * p + j] if r[2 * p + j] < r[3 * p + j] else r[3 * p + j]
            one = one if one < two else two
            low[j] = one if one < low[j] else low[j]
            one = r[j] if r[j] > r[p + j] else r[p + j]
            two = r[2 * p + j] if r[2 * p + j] > r[3 * p + j] else r[3 * p + j]
            one = one if one > two else two
            high[j] = one if one > high[j] else high[j]
    for i in range(n - n % 4, n):
        for j in range(p):
            d = (<double>x[i * p + j] - base[j]) - sums[j]
            sums[p + j] = sums[p + j] + s[i] * (d * d)
            low[j] = x[i * p + j] if x[i * p + j] < low[j] else low[j]
            high[j] = x[i * p + j] if x[i * p + j] > high[j] else high[j]
    for j in range(p):
        d = sums[j] - mean[j]
        mean[j] = mean[j] + d * (weight / total)
        square[j] = square[j] + (sums[p + j] + d * d * (before * weight / total))


def column_moments(
    const real[:, ::1] X not None, const double[::1] weights not None, double[::1] mean not None,
    double[::1] square not None, double[::1] low not None, double[::1] high not None,
):
    """Write the weighted mean of each column of X, the weighted sum of squares around it, the least and the largest number; returns the sum of the weights. Changes mean, square, low and high."""
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1], i, j, m
    cdef double total = 0, weight
    if weights.shape[0] != n:
        raise ValueError("X and weights must have one number of rows. Pass one weight a row.")
    if not (mean.shape[0] == square.shape[0] == low.shape[0] == high.shape[0] == p):
        raise ValueError("mean, square, low and high must have one number a column. Pass such.")
    require_apart(4, 6, span(mean), span(square), span(low), span(high), span(X), span(weights))
    if n == 0 or p == 0:
        return 0.0
    cdef void *base
    cdef double *sums = <double *>workspace(2 * p * sizeof(double), &base)
    with nogil:
        for j in range(p):
            mean[j] = square[j] = 0
            low[j] = high[j] = X[0, j]
        i = 0
        while i < n:
            m = min(ROWS, n - i)
            weight = 0
            for j in range(m):
                weight += weights[i + j]
            if weight > 0:
                merge_block(
                    &X[i, 0], &weights[i], &X[0, 0], &mean[0], &square[0], &low[0], &high[0],
                    sums, m, p, total, weight)
                total += weight
            i += m
        for j in range(p):
            mean[j] = mean[j] + X[0, j]
    free(base)
    return total


cdef hot_void measure(
    const real *x, const real *shift, const real *inverse, double *lengths, Py_ssize_t n, Py_ssize_t p,
) noexcept nogil:
    cdef real lane[LANES]
    cdef real t, rest
    cdef Py_ssize_t i, j, l
    for i in range(n):
        for l in range(LANES):
            lane[l] = 0
        for j in range(p // LANES):
            for l in range(LANES):
                t = (x[j * LANES + l] - shift[j * LANES + l]) * inverse[j * LANES + l]
                lane[l] = lane[l] + t * t
        rest = 0
        for j in range(p - p % LANES, p):
            t = (x[j] - shift[j]) * inverse[j]
            rest = rest + t * t
        lengths[i] = fold(lane) + rest
        x += p


def row_lengths(
    const real[:, ::1] X not None, const double[:, ::1] columns not None,
    double[::1] lengths not None,
):
    """Write the squared length of each row of X as the descent sees it, without the intercept's 1. Changes lengths."""
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1], j
    if columns.shape[0] < 2 or columns.shape[1] != p + 1:
        raise ValueError("columns must describe each column of X and the intercept. Pass p + 1 columns.")
    if lengths.shape[0] != n:
        raise ValueError("lengths must have one number a row. Pass numpy.empty(len(X)).")
    require_apart(1, 3, span(lengths), span(X), span(columns))
    if n == 0:
        return
    cdef void *base
    cdef real *shift = <real *>workspace((2 * p + 2) * sizeof(real), &base)
    cdef real *inverse = shift + p
    with nogil:
        for j in range(p):
            shift[j] = <real>columns[0, j]
            inverse[j] = <real>columns[1, j]
        measure(&X[0, 0] if p else NULL, shift, inverse, &lengths[0], n, p)
    free(base)
