"""Variance-reduced steps of the linear family, a row at a time. NumPy twins:
gdcore/_numpy/corrected.py.

The letters are those of _rows.pxd. θ ← prox(θ − rate·(s·(r − r₀)·x̃ + G)), with r₀ the slope at the
margin that was noted of the row and G the mean gradient at all margins noted (Johnson & Zhang, 2013;
Defazio, Bach & Lacoste-Julien, 2014). Between two visits G of a column stays what it is where columns
have no shift, so over rows in CSR form a column waits for its next visit (_lagged.pxd).
"""
from libc.math cimport expm1, fabs, log1p
from libc.stdlib cimport free

from _corrected cimport (
    FIRST, Steps, gather_cells, note, noted_slope, one_dots, one_move, scatter_cells, sparse_dots,
    sparse_move,
)
from _math cimport LANES, hot_void, inline_void, prefetch, real
from _memory cimport require_apart, span
from _rows cimport block_rows, collect, outputs, row_dot, spread, workspace
from _slopes cimport BLOCK, code_of
from _sparse cimport ahead_cells, ahead_entries, index, require_order, require_rows


cdef inline inline_void move(
    double *w, double *mean, const double *x, const double *keep, const double *cut, double g,
    double share, double rate, Py_ssize_t P, bint lasso, bint learn,
) noexcept nogil:
    cdef Py_ssize_t j
    cdef double a, t
    for j in range(P):
        a = w[j] - (g * x[j] + rate * mean[j])
        if lasso:
            t = a if a < cut[j] else cut[j]
            t = t if t > -cut[j] else -cut[j]
            a = a - t
        w[j] = keep[j] * a
        if learn:
            mean[j] = mean[j] + share * x[j]


cdef inline inline_void load(
    const real *x, const double *shift, const double *inverse, double *out, Py_ssize_t p,
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(p):
        out[j] = (<double>x[j] - shift[j]) * inverse[j]


cdef inline inline_void ahead(const real *x, Py_ssize_t p) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(min(p * <Py_ssize_t>sizeof(real), 1024) // 64 + 1):
        prefetch(<const char *>x + 64 * j)


cdef hot_void dense_visits(
    Steps *e, const real *X, const double *y, const double *s, const long long *order,
    Py_ssize_t n, const double *frame, double *rows, double *margins, Py_ssize_t R,
) noexcept nogil:
    cdef Py_ssize_t t = 0, i, m, c, P = e.P
    cdef long long row
    cdef double g, share, before
    while t < n:
        m = min(R, n - t)
        for i in range(m):
            load(X + order[t + i] * e.p, frame, frame + P, rows + i * P, e.p)
        for i in range(m):
            row = order[t + i]
            if t + i + R < n:
                ahead(X + order[t + i + R] * e.p, e.p)
            before = noted_slope(e, margins + row * e.k, y[row])
            for c in range(e.k):
                e.z[c * BLOCK] = row_dot(rows + i * P, e.w + c * P, P)
            note(e, margins + row * e.k, before, y[row], s[row])
            for c in range(e.k):
                g, share = e.rate * e.change[c], e.change[c] / e.n
                if e.lasso and e.learn:
                    move(e.w + c * P, e.mean + c * P, rows + i * P, e.keep, e.cut, g, share, e.rate, P, True, True)
                elif e.lasso:
                    move(e.w + c * P, e.mean + c * P, rows + i * P, e.keep, e.cut, g, share, e.rate, P, True, False)
                elif e.learn:
                    move(e.w + c * P, e.mean + c * P, rows + i * P, e.keep, e.cut, g, share, e.rate, P, False, True)
                else:
                    move(e.w + c * P, e.mean + c * P, rows + i * P, e.keep, e.cut, g, share, e.rate, P, False, False)
        t += m


cdef hot_void sparse_visits(
    Steps *e, const real *data, const index *indices, const long long *indptr, const double *y,
    const double *s, const long long *order, Py_ssize_t n, double *margins,
) noexcept nogil:
    cdef Py_ssize_t t, c, m
    cdef long long row, a
    cdef double b, before
    cdef bint single = e.k == 1 and not e.lasso
    for t in range(n):
        if t + 3 < n:
            ahead_entries(data, indices, indptr, order[t + 3])
        if t + 1 < n:
            ahead_cells(e.cells, e.stride, indices, indptr, order[t + 1])
        row = order[t]
        a = indptr[row]
        m = indptr[row + 1] - a
        before = noted_slope(e, margins + row * e.k, y[row])
        if single and e.own:
            one_dots(e, data + a, indices + a, m, t, True)
        elif single:
            one_dots(e, data + a, indices + a, m, t, False)
        else:
            sparse_dots(e, data + a, indices + a, m, t)
        for c in range(e.k):
            e.z[c * BLOCK] += e.w[c] * e.unit
        note(e, margins + row * e.k, before, y[row], s[row])
        if single and e.own:
            one_move(e, data + a, indices + a, m, t, True)
        elif single:
            one_move(e, data + a, indices + a, m, t, False)
        else:
            sparse_move(e, data + a, indices + a, m, t)
        for c in range(e.k):  # the intercepts are in every row
            b = e.w[c] - e.rate * (e.change[c] * e.unit + e.mean[c])
            b = 0 if fabs(b) <= e.cut[0] else (b - e.cut[0] if b > 0 else b + e.cut[0])
            e.w[c] = e.keep[0] * b
            if e.learn:
                e.mean[c] += e.change[c] * e.unit / e.n


cdef int require_noted(
    Py_ssize_t n, Py_ssize_t k, Py_ssize_t width, const double[:, ::1] margins,
    const double[::1] mean,
) except -1:
    if margins.shape[0] != n or margins.shape[1] != k or mean.shape[0] != width:
        raise ValueError("margins must be (n, k), and mean have theta's length. Pass those of one point.")
    return 0


cdef int begin(
    Steps *e, str loss, double shape, double smooth, double rate, int learn,
) except -1:
    e.loss, e.shape, e.smooth = code_of(loss), shape, smooth
    if not 0 <= rate <= 1.7976931348623157e308:
        raise ValueError("rate must be finite, and not negative. Pass the length of a step.")
    e.rate, e.learn, e.lasso, e.own, e.ridge = rate, learn != 0, False, False, 0
    return 0


def linear_corrected(
    str loss not None, double shape, double smooth, const real[:, ::1] X not None,
    const double[::1] y not None, const double[::1] weights not None,
    const long long[::1] order not None, const double[:, ::1] columns not None,
    double[::1] theta not None, double[:, ::1] margins not None, double[::1] mean not None,
    double rate, int learn,
):
    """One pass of steps over the rows in `order`, each by the change of the row's slope since its margin was noted and by the mean gradient at the margins noted, and a proximal step of the penalty. Where learn is not 0, margins and mean follow every row. Changes theta, margins and mean."""
    cdef Steps e
    cdef Py_ssize_t p = X.shape[1], n = order.shape[0], i, j, c
    begin(&e, loss, shape, smooth, rate, learn)
    cdef Py_ssize_t k = outputs(e.loss, X.shape[0], p, y, weights, columns, theta.shape[0], 4)
    cdef bint inside = True
    for i in range(n):
        inside = inside and 0 <= order[i] < X.shape[0]
    if not inside:
        raise ValueError("order must hold row numbers of X. Pass numbers from 0 to n − 1.")
    require_noted(X.shape[0], k, theta.shape[0], margins, mean)
    require_apart(
        3, 8, span(theta), span(margins), span(mean), span(X), span(y), span(weights), span(order),
        span(columns))
    if n == 0:
        return
    cdef Py_ssize_t P = (p + 1 + LANES - 1) // LANES * LANES
    cdef Py_ssize_t R = block_rows(P, sizeof(double))
    cdef void *base
    cdef double *rows = <double *>workspace(
        ((R + 2 * k + 4) * P + k * (BLOCK + 1)) * sizeof(double), &base)
    cdef double *frame = rows + R * P
    e.n, e.p, e.k, e.P = X.shape[0], p, k, P
    e.w = frame + 2 * P
    e.mean = e.w + k * P
    e.keep = e.mean + k * P
    e.cut = e.keep + P
    e.z = e.cut + P
    e.change = e.z + k * BLOCK
    with nogil:
        spread(&theta[0], e.w, p, P, k)
        spread(&mean[0], e.mean, p, P, k)
        for j in range(p + 1):
            frame[j], frame[P + j] = columns[0, j], columns[1, j]
            e.keep[j], e.cut[j] = 1 / (1 + rate * columns[2, j]), rate * columns[3, j]
            e.lasso = e.lasso or columns[3, j] != 0
        for i in range(R):
            rows[i * P + p] = columns[1, p]
        dense_visits(
            &e, &X[0, 0] if p else NULL, &y[0], &weights[0], &order[0], n, frame, rows,
            &margins[0, 0], R)
        collect(e.w, &theta[0], False, p, P, k)
        collect(e.mean, &mean[0], False, p, P, k)
    free(base)


def csr_corrected(
    str loss not None, double shape, double smooth, const real[::1] data not None,
    const index[::1] indices not None, const long long[::1] indptr not None,
    const double[::1] y not None, const double[::1] weights not None,
    const long long[::1] order not None, const double[:, ::1] columns not None,
    double[::1] theta not None, double[:, ::1] margins not None, double[::1] mean not None,
    double rate, int learn,
):
    """One pass of the same steps over rows in CSR form, none of which may name a column twice, and columns without a shift. Changes theta, margins and mean."""
    cdef Steps e
    cdef Py_ssize_t p = columns.shape[1] - 1, n = order.shape[0], j
    cdef double low = 0, high = 0, r
    cdef bint first = True, shifted = False
    begin(&e, loss, shape, smooth, rate, learn)
    require_rows(data.shape[0], indices.shape[0], indptr)
    if p < 0:
        raise ValueError("columns must describe each column of X and the intercept. Pass p + 1 columns.")
    e.n, e.p = indptr.shape[0] - 1, p
    e.k = outputs(e.loss, e.n, p, y, weights, columns, theta.shape[0], 4)
    require_order(order, indices, e.n, p)
    require_noted(e.n, e.k, theta.shape[0], margins, mean)
    require_apart(
        3, 10, span(theta), span(margins), span(mean), span(data), span(indices), span(indptr), span(y),
        span(weights), span(order), span(columns))
    for j in range(p):
        if columns[1, j] != 0:
            r = columns[2, j]
            low, high = (r, r) if first else (min(low, r), max(high, r))
            first = False
            shifted = shifted or columns[0, j] != 0
            e.lasso = e.lasso or columns[3, j] != 0
    if shifted:
        raise ValueError("columns must have no shift. Pass theta for columns as they are.")
    if n == 0:
        return
    e.ridge = high if high > 1e-290 else 0  # whose inverse is finite
    e.own = high - low > 1e-14 * max(abs(high), abs(low))
    e.stride = FIRST + 2 * e.k + (4 if e.own else 1 if e.lasso else 0)
    e.stride = 4 if e.stride <= 4 else (e.stride + 7) // 8 * 8
    cdef Py_ssize_t powers = 0 if e.own else n + 1
    cdef void *base
    e.cells = <double *>workspace(
        (p * e.stride + powers + e.k * (BLOCK + 3) + 2) * sizeof(double), &base)
    e.powers = e.cells + p * e.stride
    e.z = e.powers + powers
    e.change = e.z + e.k * BLOCK
    e.w = e.change + e.k
    e.mean = e.w + e.k
    e.keep = e.mean + e.k
    e.cut = e.keep + 1
    e.unit = columns[1, p]
    e.keep[0], e.cut[0] = 1 / (1 + rate * columns[2, p]), rate * columns[3, p]
    e.rest = -log1p(rate * e.ridge)
    with nogil:
        for j in range(powers):
            e.powers[j] = expm1(j * e.rest)
        gather_cells(&e, columns, theta, mean)
        sparse_visits(
            &e, &data[0] if data.shape[0] else NULL, &indices[0] if data.shape[0] else NULL,
            &indptr[0], &y[0], &weights[0], &order[0], n, &margins[0, 0])
        scatter_cells(&e, columns, theta, mean, n)
    free(base)
