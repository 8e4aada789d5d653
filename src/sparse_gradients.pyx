"""Cost and gradient of the linear family over rows in CSR form, in one read. NumPy twins:
gdcore/_numpy/sparse_gradients.py.

The letters are those of _rows.pxd. Shift and scale are folded into θ and g: z = x·w′ + b′ and
g = (Σ rx − shift·Σ r)·inverse, so a row costs what it holds and no zero is ever written down. w′ and
the sums are in X's precision: half the memory for float32, where they are read and written at random.
No row may name a column twice.
"""
from libc.stdlib cimport free

from _math cimport real
from _memory cimport require_apart, span
from _rows cimport outputs, workspace
from _slopes cimport (
    BLOCK, GIVEN, MARGINS, Work, beyond, code_of, kept, settle, turn_margins,
)
from _sparse cimport index, require_inside, require_rows

cdef struct Frame:
    Py_ssize_t p
    Py_ssize_t k
    double *bias  # k
    double *total  # k: Σ r


cdef inline double row_margin(
    const real *cells, const real *x, const index *columns, Py_ssize_t n, double bias,
) noexcept nogil:
    """z of one row where there is one output."""
    cdef Py_ssize_t j
    cdef double a = bias, b = 0
    for j in range(0, n - 1, 2):
        a += cells[2 * columns[j]] * x[j]
        b += cells[2 * columns[j + 1]] * x[j + 1]
    if n % 2:
        a += cells[2 * columns[n - 1]] * x[n - 1]
    return a + b


cdef inline void row_margins(
    const Frame *f, const real *cells, const real *x, const index *columns, Py_ssize_t n, double *z,
) noexcept nogil:
    """z[0], z[BLOCK], … of one row."""
    cdef Py_ssize_t j, c
    cdef const real *cell
    if f.k == 1:
        z[0] = row_margin(cells, x, columns, n, f.bias[0])
        return
    for c in range(f.k):
        z[c * BLOCK] = f.bias[c]
    for j in range(n):
        cell = cells + 2 * f.k * columns[j]
        for c in range(f.k):
            z[c * BLOCK] += cell[c] * x[j]


cdef inline void add_row(
    real *sums, const real *x, const index *columns, Py_ssize_t n, real r,
) noexcept nogil:
    """Add r·x of one row to its columns' sums where there is one output. No column comes twice in a
    row, so four are read before the first is written: a processor waits for a write whose place may
    be that of the next read."""
    cdef Py_ssize_t j
    cdef real *to[4]
    cdef real a, b, c, d
    for j in range(0, n - 3, 4):
        to[0] = sums + 2 * columns[j]
        to[1] = sums + 2 * columns[j + 1]
        to[2] = sums + 2 * columns[j + 2]
        to[3] = sums + 2 * columns[j + 3]
        a = to[0][0] + r * x[j]
        b = to[1][0] + r * x[j + 1]
        c = to[2][0] + r * x[j + 2]
        d = to[3][0] + r * x[j + 3]
        to[0][0] = a
        to[1][0] = b
        to[2][0] = c
        to[3][0] = d
    for j in range(n - n % 4, n):
        sums[2 * columns[j]] += r * x[j]


cdef inline void add_sums(
    const Frame *f, real *cells, const real *x, const index *columns, Py_ssize_t n, const double *r,
) noexcept nogil:
    """Add r·x of one row to its columns' sums."""
    cdef Py_ssize_t j, c
    cdef real *cell
    for c in range(f.k):
        f.total[c] += r[c * BLOCK]
    if f.k == 1:
        add_row(cells + 1, x, columns, n, <real>r[0])
        return
    for j in range(n):
        cell = cells + (2 * columns[j] + 1) * f.k
        for c in range(f.k):
            cell[c] = cell[c] + <real>r[c * BLOCK] * x[j]


cdef void walk(
    const Work *work, const Frame *f, real *cells, const real *data, const index *indices,
    const long long *indptr, const double *y, const double *s, double *margins, Py_ssize_t n,
) noexcept nogil:
    """All rows, eight at a time: their cells are then still in the nearest cache when their sums are
    added to."""
    cdef Py_ssize_t i, j, m
    cdef long long a
    for i in range(0, n, 8):
        m = 8 if n - i > 8 else n - i
        if work.loss == GIVEN:
            turn_margins(work, margins + i * f.k, m, f.k, False)
        else:
            for j in range(m):
                a = indptr[i + j]
                row_margins(f, cells, data + a, indices + a, indptr[i + j + 1] - a, work.z + j)
            settle(work, beyond(y, i), beyond(s, i), <double *>beyond(margins, i * f.k), m, f.k)
        if work.loss == MARGINS:
            continue
        for j in range(m):
            a = indptr[i + j]
            add_sums(f, cells, data + a, indices + a, indptr[i + j + 1] - a, work.z + j)


cdef double accumulate(
    Work work, const real[::1] data, const index[::1] indices, const long long[::1] indptr,
    const double *y, const double *s, const double[:, ::1] columns, const double *theta, double *g,
    double *margins, Py_ssize_t k,
) except? -1:
    """What `work.loss` asks for: y, s, theta or g may then be NULL."""
    cdef Py_ssize_t n = indptr.shape[0] - 1, p = columns.shape[1] - 1, c, j
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *of = &indices[0] if data.shape[0] else NULL
    cdef double total = 0
    cdef void *base
    cdef Frame f
    require_inside(indices, p)
    f.p, f.k = p, k
    f.bias = <double *>workspace(
        (2 * k + (k + 1) * BLOCK) * sizeof(double) + 2 * p * k * sizeof(real), &base)
    f.total = f.bias + k
    work.z = f.total + k
    work.lost = work.z + k * BLOCK
    # For each column w′ of the k outputs, then the k sums Σ rx: one line of the cache.
    cdef real *cells = <real *>(work.lost + BLOCK)
    with nogil:
        if theta != NULL:
            for c in range(k):
                f.bias[c] = theta[k * p + c] * columns[1, p]
                for j in range(p):
                    cells[2 * j * k + c] = <real>(theta[c * p + j] * columns[1, j])
                    f.bias[c] -= columns[0, j] * cells[2 * j * k + c]
        walk(&work, &f, cells, x, of, &indptr[0], y, s, margins, n)
        if g != NULL:
            for c in range(k):
                for j in range(p):
                    g[c * p + j] += columns[1, j] * (
                        cells[(2 * j + 1) * k + c] - columns[0, j] * f.total[c])
                g[k * p + c] += columns[1, p] * f.total[c]
        for j in range(BLOCK):
            total += work.lost[j]
    free(base)
    return total


def csr_gradient(
    str loss not None, double shape, double smooth, const real[::1] data not None,
    const index[::1] indices not None, const long long[::1] indptr not None,
    const double[::1] y not None, const double[::1] weights not None,
    const double[:, ::1] columns not None, const double[::1] theta not None,
    double[::1] g not None, double[:, ::1] margins not None,
):
    """Weighted sum of the loss over rows in CSR form; adds its gradient in theta to g, and writes the margins, where those have rows. Changes g and margins."""
    cdef Work work
    work.loss, work.shape, work.smooth = code_of(loss), shape, smooth
    require_rows(data.shape[0], indices.shape[0], indptr)
    require_layout(columns, theta.shape[0])
    cdef Py_ssize_t n = indptr.shape[0] - 1, p = columns.shape[1] - 1
    cdef Py_ssize_t k = outputs(work.loss, n, p, y, weights, columns, theta.shape[0], 2)
    if g.shape[0] != theta.shape[0]:
        raise ValueError("theta and g must have one length. Pass g=numpy.zeros_like(theta).")
    cdef double *to = kept(margins, n, k)
    require_apart(
        2, 9, span(g), span(margins), span(data), span(indices), span(indptr), span(y), span(weights),
        span(columns), span(theta))
    if n == 0:
        return 0.0
    return accumulate(
        work, data, indices, indptr, &y[0], &weights[0], columns, &theta[0], &g[0], to, k)


def csr_margins(
    const real[::1] data not None, const index[::1] indices not None,
    const long long[::1] indptr not None, const double[:, ::1] columns not None,
    const double[::1] theta not None, double[:, ::1] margins not None,
):
    """Write the margins of rows in CSR form under theta. Changes margins."""
    cdef Work work
    work.loss = MARGINS
    require_rows(data.shape[0], indices.shape[0], indptr)
    cdef Py_ssize_t n = indptr.shape[0] - 1, k = require_layout(columns, theta.shape[0])
    if margins.shape[0] != n or margins.shape[1] != k:
        raise ValueError("margins must be (n, k). Pass numpy.empty((n, k)).")
    require_apart(
        1, 6, span(margins), span(data), span(indices), span(indptr), span(columns), span(theta))
    if n > 0:
        accumulate(work, data, indices, indptr, NULL, NULL, columns, &theta[0], NULL, &margins[0, 0], k)


def csr_combine(
    const real[::1] data not None, const index[::1] indices not None,
    const long long[::1] indptr not None, const double[:, ::1] slopes not None,
    const double[:, ::1] columns not None, double[::1] g not None,
):
    """Add the sum of rows in CSR form, as the descent sees them, times their slopes (n, k) to g. Changes g."""
    cdef Work work
    work.loss = GIVEN
    require_rows(data.shape[0], indices.shape[0], indptr)
    cdef Py_ssize_t n = indptr.shape[0] - 1, k = require_layout(columns, g.shape[0])
    if slopes.shape[0] != n or slopes.shape[1] != k:
        raise ValueError("slopes must be (n, k). Pass one slope a row and output.")
    require_apart(1, 6, span(g), span(data), span(indices), span(indptr), span(slopes), span(columns))
    if n > 0:
        accumulate(
            work, data, indices, indptr, NULL, NULL, columns, NULL, &g[0],
            <double *>&slopes[0, 0], k)


def csr_lengths(
    const real[::1] data not None, const index[::1] indices not None,
    const long long[::1] indptr not None, const double[:, ::1] columns not None,
    double[::1] lengths not None,
):
    """Write the squared length of each row in CSR form as the descent sees it, without the intercept's 1. Changes lengths."""
    require_rows(data.shape[0], indices.shape[0], indptr)
    cdef Py_ssize_t n = indptr.shape[0] - 1, p = columns.shape[1] - 1, i, j
    cdef long long a
    cdef double x, m, total, around = 0
    if columns.shape[0] < 2 or p < 0:
        raise ValueError("columns must describe each column of X and the intercept. Pass p + 1 columns.")
    if lengths.shape[0] != n:
        raise ValueError("lengths must have one number a row. Pass numpy.empty(len(X)).")
    require_apart(1, 5, span(lengths), span(data), span(indices), span(indptr), span(columns))
    require_inside(indices, p)
    with nogil:
        for j in range(p):
            around += (columns[0, j] * columns[1, j]) * (columns[0, j] * columns[1, j])
        for i in range(n):
            total = around
            for a in range(indptr[i], indptr[i + 1]):
                j = indices[a]
                x = data[a] * columns[1, j]
                m = columns[0, j] * columns[1, j]
                total += x * (x - 2 * m)
            lengths[i] = total if total > 0 else 0


cdef Py_ssize_t require_layout(const double[:, ::1] columns, Py_ssize_t width) except -1:
    """The number of outputs."""
    cdef Py_ssize_t p = columns.shape[1] - 1
    if columns.shape[0] < 2 or p < 0:
        raise ValueError("columns must describe each column of X and the intercept. Pass p + 1 columns.")
    if width == 0 or width % (p + 1):
        raise ValueError("theta must hold the coefficients, then the intercepts. Pass k·(p + 1) numbers.")
    return width // (p + 1)
