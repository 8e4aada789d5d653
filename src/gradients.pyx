"""Cost and gradient of the linear family in one read of X. NumPy twins: gdcore/_numpy/gradients.py.

The letters are those of _rows.pxd.
"""
from libc.stdlib cimport free
from libc.string cimport memset

from _math cimport LANES, hot_double, hot_void, inline_void, real
from _rows cimport (
    BLOCK_BYTES, add_four_rows, add_row, block_combine, block_margins, block_rows, collect,
    load_row, outputs, require_targets, row_dot, spread, workspace,
)
from _memory cimport require_apart, span
from _tiles cimport padded, product
from _slopes cimport (
    BLOCK, GIVEN, MARGINS, SOFTMAX, Work, beyond, code_of, kept, settle, slopes, turn_margins,
)

cdef enum:
    RAW_LIMIT64 = 10000  # means, in deviations, up to which shifting the sums costs 4 digits of 16
    RAW_LIMIT32 = 4  # and half a digit of seven
    TILED = 24  # rows of several outputs in scratch: four tiles
    FLUSH = 32  # blocks summed in X's precision before they are added to g in double


cdef hot_void dense_block(
    const Work *work, const real *x, const double *y, const double *s, const real *shift,
    const real *inverse, const real *w, real *rows, real *t, double *margins, real *g,
    Py_ssize_t n, Py_ssize_t p, Py_ssize_t P, Py_ssize_t k,
) noexcept nogil:
    """w holds the coefficients of one output in a row; of several, those of one column; t has room
    for the margins of n rows, padded, for products in register tiles."""
    cdef Py_ssize_t i, c, Q = padded(k)
    for i in range(n):
        load_row(x + i * p, shift, inverse, rows + i * P, p)
    if work.loss == GIVEN:
        turn_margins(work, margins, n, k, False)
    elif k > 1:
        product(rows, P, 1, w, Q, t, Q, n, P, k, False)
        for i in range(n):
            for c in range(k):
                work.z[c * BLOCK + i] = t[i * Q + c]
        settle(work, y, s, margins, n, k)
    else:
        block_margins(rows, w, work.z, n, P, k)
        settle(work, y, s, margins, n, k)
    if work.loss == MARGINS:
        return
    if k > 1:
        for i in range(n):
            for c in range(k):
                t[i * Q + c] = <real>work.z[c * BLOCK + i]
        product(t, 1, Q, rows, P, g, P, k, n, P, True)
    else:
        block_combine(rows, work.z, g, n, P, k)


cdef hot_double raw_block(
    const Work *work, const real *x, const double *y, const double *s, const real *w, double bias,
    double *margins, real *g, Py_ssize_t n, Py_ssize_t p,
) noexcept nogil:
    """Cost and gradient of n ≤ BLOCK rows of one output, without scratch; returns Σ r."""
    cdef double total = 0
    cdef double *z = work.z
    cdef Py_ssize_t i
    if work.loss == GIVEN:
        turn_margins(work, margins, n, 1, False)
    else:
        for i in range(n):
            z[i] = bias + row_dot(x + i * p, w, p)
        settle(work, y, s, margins, n, 1)
    if work.loss == MARGINS:
        return 0
    for i in range(n // 4):
        add_four_rows(x + 4 * i * p, z + 4 * i, g, p)
    for i in range(n - n % 4, n):
        add_row(x + i * p, z[i], g, p)
    for i in range(n):
        total += z[i]
    return total


cdef double raw_sum(
    Work work, const real[:, ::1] X, const double *y, const double *s,
    const double[:, ::1] columns, const double *theta, double *g, double *margins,
) except? -1:
    """Shift and scale folded into θ and g: z = x·w′ + b′, g = (Σ rx − shift·Σ r)·inverse."""
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1], i = 0, j, m, blocks = 0
    cdef Py_ssize_t R = min(max(BLOCK_BYTES // (p * <Py_ssize_t>sizeof(real)) // 4 * 4, 4), BLOCK)
    cdef void *base
    work.z = <double *>workspace(2 * BLOCK * sizeof(double) + 2 * p * sizeof(real), &base)
    work.lost = work.z + BLOCK
    cdef real *w = <real *>(work.lost + BLOCK)
    cdef real *acc = w + p
    cdef double one = columns[1, p], bias = 0, slopes = 0, total = 0
    with nogil:
        if theta != NULL:
            bias = theta[p] * one
            for j in range(p):
                w[j] = <real>(theta[j] * columns[1, j])
                bias -= columns[0, j] * w[j]
        while i < n:
            m = min(R, n - i)
            slopes += raw_block(
                &work, &X[i, 0], beyond(y, i), beyond(s, i), w, bias, <double *>beyond(margins, i),
                acc, m, p)
            i += m
            blocks += 1
            if work.loss != MARGINS and (blocks % FLUSH == 0 or i == n):
                for j in range(p):
                    if columns[1, j] != 0:  # a column left out may have overflown
                        g[j] += columns[1, j] * (acc[j] - columns[0, j] * slopes)
                g[p] += one * slopes
                slopes = 0
                memset(acc, 0, p * sizeof(real))
        for i in range(BLOCK):
            total += work.lost[i]
    free(base)
    return total


cdef bint moderate(const double[:, ::1] columns, double limit, double extent) noexcept nogil:
    """No mean is beyond `limit` deviations, so that subtracting it from the sums costs few digits;
    no scale is beyond `extent`, so that the sums of raw numbers do not overflow."""
    cdef Py_ssize_t j
    for j in range(columns.shape[1] - 1):
        if not abs(columns[0, j] * columns[1, j]) <= limit:
            return False
        if columns[1, j] != 0 and not 1 / extent < abs(columns[1, j]) < extent:
            return False
    return True


cdef double accumulate(
    Work work, const real[:, ::1] X, const double *y, const double *s, const double[:, ::1] columns,
    const double *theta, double *g, double *margins, Py_ssize_t k,
) except? -1:
    """What `work.loss` asks for over the rows of X: y, s, theta or g may then be NULL."""
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1]
    cdef double limit = RAW_LIMIT64 if real is double else RAW_LIMIT32
    if k == 1 and p > 0 and moderate(columns, limit, 1e150 if real is double else 1e18):
        return raw_sum(work, X, y, s, columns, theta, g, margins)
    cdef Py_ssize_t P = (p + 1 + LANES - 1) // LANES * LANES
    cdef Py_ssize_t R = block_rows(P, sizeof(real)), i, c, m, blocks = 0, Q = padded(k)
    R = TILED if k > 1 else R
    cdef void *base
    cdef real *rows = <real *>workspace(
        ((R + k + Q + 2) * P + R * Q) * sizeof(real) + (k + 1) * BLOCK * sizeof(double), &base)
    cdef real *t = rows + R * P
    cdef real *w = t + R * Q
    cdef real *acc = w + Q * P
    cdef real *shift = acc + k * P
    cdef real *inverse = shift + P
    cdef double total = 0
    work.z = <double *>(inverse + P)
    work.lost = work.z + k * BLOCK
    with nogil:
        if theta != NULL and k == 1:
            spread(theta, w, p, P, k)
        elif theta != NULL:
            for i in range(p + 1):
                for c in range(k):
                    w[i * Q + c] = <real>(theta[c * p + i] if i < p else theta[k * p + c])
        for i in range(p + 1):
            shift[i] = <real>columns[0, i]
            inverse[i] = <real>columns[1, i]
        for i in range(R):
            rows[i * P + p] = inverse[p]
        i = 0
        while i < n:
            m = min(R, n - i)
            dense_block(
                &work, &X[i, 0] if p else NULL, beyond(y, i), beyond(s, i), shift, inverse, w,
                rows, t, <double *>beyond(margins, i * k), acc, m, p, P, k,
            )
            i += m
            blocks += 1
            if work.loss != MARGINS and (blocks % FLUSH == 0 or i == n):
                collect(acc, g, True, p, P, k)
                memset(acc, 0, k * P * sizeof(real))
        for i in range(BLOCK):
            total += work.lost[i]
    free(base)
    return total


def linear_gradient(
    str loss not None, double shape, double smooth, const real[:, ::1] X not None,
    const double[::1] y not None, const double[::1] weights not None,
    const double[:, ::1] columns not None, const double[::1] theta not None,
    double[::1] g not None, double[:, ::1] margins not None,
):
    """Weighted sum of the loss over the rows of X; adds its gradient in theta to g, and writes the margins, where those have rows. Changes g and margins."""
    cdef Py_ssize_t n = X.shape[0]
    cdef Work work
    work.loss, work.shape, work.smooth = code_of(loss), shape, smooth
    cdef Py_ssize_t k = outputs(work.loss, n, X.shape[1], y, weights, columns, theta.shape[0], 2)
    if g.shape[0] != theta.shape[0]:
        raise ValueError("theta and g must have one length. Pass g=numpy.zeros_like(theta).")
    cdef double *to = kept(margins, n, k)
    require_apart(2, 7, span(g), span(margins), span(X), span(y), span(weights), span(columns), span(theta))
    if n == 0:
        return 0.0
    return accumulate(work, X, &y[0], &weights[0], columns, &theta[0], &g[0], to, k)


def linear_margins(
    const real[:, ::1] X not None, const double[:, ::1] columns not None,
    const double[::1] theta not None, double[:, ::1] margins not None,
):
    """Write the margins of the rows of X under theta. Changes margins."""
    cdef Py_ssize_t n = X.shape[0], k = theta.shape[0] // (X.shape[1] + 1)
    cdef Work work
    work.loss = MARGINS
    require_layout(columns, X.shape[1], theta.shape[0])
    if margins.shape[0] != n or margins.shape[1] != k:
        raise ValueError("margins must be (n, k). Pass numpy.empty((n, k)).")
    require_apart(1, 4, span(margins), span(X), span(columns), span(theta))
    if n > 0:
        accumulate(work, X, NULL, NULL, columns, &theta[0], NULL, &margins[0, 0], k)


def linear_combine(
    const real[:, ::1] X not None, const double[:, ::1] slopes not None,
    const double[:, ::1] columns not None, double[::1] g not None,
):
    """Add the sum of the rows of X, as the descent sees them, times their slopes (n, k) to g. Changes g."""
    cdef Py_ssize_t n = X.shape[0], k = g.shape[0] // (X.shape[1] + 1)
    cdef Work work
    work.loss = GIVEN
    require_layout(columns, X.shape[1], g.shape[0])
    if slopes.shape[0] != n or slopes.shape[1] != k:
        raise ValueError("slopes must be (n, k). Pass one slope a row and output.")
    require_apart(1, 4, span(g), span(X), span(slopes), span(columns))
    if n > 0:
        accumulate(work, X, NULL, NULL, columns, NULL, &g[0], <double *>&slopes[0, 0], k)


cdef hot_void losses_block(
    const Work *work, const double *z, const double *y, const double *ones, double *lost, double *r,
    Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    cdef Py_ssize_t i
    turn_margins(work, <double *>z, n, k, False)
    for i in range(n):
        lost[i] = 0
    slopes(work.loss, work.shape, work.smooth, work.z, y, ones, lost, n, k)
    turn_margins(work, r, n, k, True)


def linear_losses(
    str loss not None, double shape, double smooth, const double[:, ::1] z not None,
    const double[::1] y not None, double[::1] lost not None, double[:, ::1] r not None,
):
    """Write the loss of each row of margins z (n, k), and its slopes in them. Changes lost and r."""
    cdef Py_ssize_t n = z.shape[0], k = z.shape[1], i, m
    cdef Work work
    work.loss, work.shape, work.smooth = code_of(loss), shape, smooth
    if not (y.shape[0] == lost.shape[0] == r.shape[0] == n and r.shape[1] == k):
        raise ValueError("z, y, lost and r must have one number of rows, z and r one of columns. Pass such.")
    if k < 1 or (k > 1 and work.loss != SOFTMAX):
        raise ValueError("z must be (n, 1), or (n, k) of softmax. Pass one margin an output.")
    require_targets(work.loss, y, k)
    require_apart(2, 4, span(lost), span(r), span(z), span(y))
    if n == 0:
        return
    cdef void *base
    cdef double *ones = <double *>workspace((k + 1) * BLOCK * sizeof(double), &base)
    work.z = ones + BLOCK
    with nogil:
        for i in range(BLOCK):
            ones[i] = 1
        i = 0
        while i < n:
            m = min(<Py_ssize_t>BLOCK, n - i)
            losses_block(&work, &z[i, 0], &y[i], ones, &lost[i], &r[i, 0], m, k)
            i += m
    free(base)


cdef int require_layout(const double[:, ::1] columns, Py_ssize_t p, Py_ssize_t width) except -1:
    if columns.shape[0] < 2 or columns.shape[1] != p + 1:
        raise ValueError("columns must describe each column of X and the intercept. Pass p + 1 columns.")
    if width == 0 or width % (p + 1):
        raise ValueError("theta must hold the coefficients, then the intercepts. Pass k·(p + 1) numbers.")
    return 0
