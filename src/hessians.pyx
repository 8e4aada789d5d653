"""Second moments of the rows of X as the descent sees them. NumPy twins: gdcore/_numpy/hessians.py.

The letters are those of _rows.pxd.
"""
from libc.stdlib cimport free
from libc.string cimport memset

from _math cimport LANES, hot_void, real
from _memory cimport require_apart, span
from _rows cimport load_row, workspace
from _tiles cimport product

cdef enum:
    ROWS = 96  # that one product in tiles sums: enough to outweigh reading and writing the sums
    FLUSH = 16  # such blocks summed in X's precision before they are added to H in double


cdef hot_void load_block(
    const real *x, const double *bends, const real *shift, const real *inverse, real *rows,
    real *scaled, Py_ssize_t n, Py_ssize_t p, Py_ssize_t P,
) noexcept nogil:
    """Rows as they are seen, and times their weights."""
    cdef Py_ssize_t i, j
    cdef real h
    for i in range(n):
        load_row(x + i * p, shift, inverse, rows + i * P, p)
        rows[i * P + p] = inverse[p]
        h = <real>bends[i]
        for j in range(P):
            scaled[i * P + j] = h * rows[i * P + j]


cdef void add_upper(
    const real *scaled, const real *rows, real *sums, Py_ssize_t n, Py_ssize_t width, Py_ssize_t P,
) noexcept nogil:
    """sums += scaledᵀ·rows, the upper triangle and what tiles reach below it."""
    cdef Py_ssize_t i, j, m
    for i in range(0, width, 6):  # rows of H, as many as a tile has
        j = i // LANES * LANES
        m = 6 if width - i > 6 else width - i
        product(scaled + i, 1, P, rows + j, P, sums + i * P + j, P, m, n, P - j, True)


def linear_hessian(
    const real[:, ::1] X not None, const double[::1] bends not None,
    const double[:, ::1] columns not None, double[:, ::1] H not None,
):
    """Add the sum of h·x̃x̃ᵀ over the rows of X as the descent sees them, its 1 for the intercept last, to H (p + 1, p + 1). Changes H."""
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1], width = p + 1, i, j, m, blocks = 0
    if bends.shape[0] != n:
        raise ValueError("X and bends must have one number of rows. Pass one weight a row.")
    if columns.shape[0] < 2 or columns.shape[1] != width:
        raise ValueError("columns must describe each column of X and the intercept. Pass p + 1 columns.")
    if H.shape[0] != width or H.shape[1] != width:
        raise ValueError("H must be (p + 1, p + 1). Pass numpy.zeros((p + 1, p + 1)).")
    require_apart(1, 4, span(H), span(X), span(bends), span(columns))
    cdef Py_ssize_t P = (width + LANES - 1) // LANES * LANES
    cdef void *base
    cdef real *rows = <real *>workspace((2 * ROWS + width + 2) * P * sizeof(real), &base)
    cdef real *scaled = rows + ROWS * P
    cdef real *shift = scaled + ROWS * P
    cdef real *inverse = shift + P
    cdef real *sums = inverse + P
    with nogil:
        for j in range(width):
            shift[j] = <real>columns[0, j]
            inverse[j] = <real>columns[1, j]
        i = 0
        while i < n:
            m = min(ROWS, n - i)
            load_block(&X[i, 0] if p else NULL, &bends[i], shift, inverse, rows, scaled, m, p, P)
            add_upper(scaled, rows, sums, m, width, P)
            i += m
            blocks += 1
            if blocks % FLUSH == 0 or i == n:
                add_both(sums, &H[0, 0], width, P)
                memset(sums, 0, width * P * sizeof(real))
    free(base)


cdef void add_both(const real *sums, double *H, Py_ssize_t width, Py_ssize_t P) noexcept nogil:
    """The upper triangle, and its mirror image."""
    cdef Py_ssize_t i, j
    for i in range(width):
        for j in range(i, width):
            H[i * width + j] += sums[i * P + j]
            if i != j:
                H[j * width + i] += sums[i * P + j]


def lasso_step(
    const double[:, ::1] H not None, const double[::1] g not None, const double[::1] theta not None,
    const double[::1] lasso not None, double[::1] step not None, Py_ssize_t sweeps, double tolerance,
):
    """Write the d into step that minimises g·d + ½d·H·d + lasso·|theta + d|, by coordinate descent until no coordinate moves H by more than the tolerance; returns the sweeps that took. Changes step."""
    cdef Py_ssize_t n = g.shape[0], i, j, k = 0
    cdef double most = 0, curve, there, size, move
    if not (H.shape[0] == H.shape[1] == n == theta.shape[0] == lasso.shape[0] == step.shape[0]):
        raise ValueError("H must be (n, n) and the vectors of length n. Pass such.")
    require_apart(1, 5, span(step), span(H), span(g), span(theta), span(lasso))
    cdef void *base
    cdef double *slope = <double *>workspace((n + 1) * sizeof(double), &base)
    with nogil:
        for j in range(n):
            slope[j] = g[j]
            step[j] = 0
        while k < sweeps:
            k += 1
            most = 0
            for j in range(n):
                curve = H[j, j]
                if not curve > 0:
                    continue
                there = theta[j] + step[j] - slope[j] / curve
                size = abs(there) - lasso[j] / curve
                there = 0 if size <= 0 else (size if there > 0 else -size)
                move = there - (theta[j] + step[j])
                if move != 0:
                    step[j] += move
                    for i in range(n):
                        slope[i] += move * H[j, i]
                    most = max(most, abs(move) * curve)
            if not most > tolerance:
                break
    free(base)
    return k
