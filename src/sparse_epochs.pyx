"""A whole epoch of SGD over rows in CSR form: an example costs what it holds. NumPy twins:
gdcore/_numpy/sparse_epochs.py.

The letters are those of _rows.pxd and _lazy.pxd.
"""
from libc.stdlib cimport free
from libc.string cimport memset

from _lazy cimport (
    LASSO, MIDDLE, OWN, RIDGE, SMOOTH, UNIT, Epoch, catch_up, collect, decay, settle, spread,
)
from _math cimport hot_void, inline_void, real
from _memory cimport require_apart, span
from _rows cimport batches, outputs, workspace
from _slopes cimport BLOCK, SOFTMAX, code_of, slope_of, slopes
from _sparse cimport ahead_cells, ahead_entries, index, require_order, require_rows

cdef inline inline_void row_dot(
    const double *cells, Py_ssize_t stride, const real *x, const index *at, Py_ssize_t n,
    double *dot, double *middle,
) noexcept nogil:
    """Σ x·inverse·v and Σ x·inverse·μ of one output; stride 2 has no μ."""
    cdef double one = 0, two = 0, m = 0, u
    cdef Py_ssize_t j, head = 1 if stride == 2 else 2
    cdef const double *cell
    for j in range(n // 2):
        cell = cells + stride * at[2 * j]
        u = x[2 * j] * cell[UNIT]
        one += u * cell[head]
        if stride > 2:
            m += u * cell[MIDDLE]
        cell = cells + stride * at[2 * j + 1]
        u = x[2 * j + 1] * cell[UNIT]
        two += u * cell[head]
        if stride > 2:
            m += u * cell[MIDDLE]
    if n % 2:
        cell = cells + stride * at[n - 1]
        u = x[n - 1] * cell[UNIT]
        one += u * cell[head]
        if stride > 2:
            m += u * cell[MIDDLE]
    dot[0] = one + two
    middle[0] = m


cdef inline inline_void row_move(
    double *cells, Py_ssize_t stride, bint averaged, const real *x, const index *at, Py_ssize_t n,
    double g, double A,
) noexcept nogil:
    """v −= g·x·inverse of one output, and q with it."""
    cdef Py_ssize_t j, head = 1 if stride == 2 else 2
    cdef double *cell
    cdef double u
    for j in range(n):
        cell = cells + stride * at[j]
        u = g * (x[j] * cell[UNIT])
        cell[head] -= u
        if averaged:
            cell[head + 1] -= A * u


cdef hot_void one_by_one(
    Epoch *e, const real *data, const index *indices, const long long *indptr, const double *y,
    const double *s, const long long *order, Py_ssize_t n, const double *rates, double *z,
    double *lost,
) noexcept nogil:
    """Steps on one example and one output, smooth penalties."""
    cdef Py_ssize_t t, i, m
    cdef double dot, middle, slope, g
    cdef double *yb = lost + BLOCK
    cdef double *sb = yb + BLOCK
    cdef const real *x
    cdef const index *at
    for t in range(n):
        if t + 3 < n:
            ahead_entries(data, indices, indptr, order[t + 3])
        if t + 1 < n:
            ahead_cells(e.cells, e.stride, indices, indptr, order[t + 1])
        i = t % BLOCK
        yb[i], sb[i] = y[order[t]], s[order[t]]
        x, at = data + indptr[order[t]], indices + indptr[order[t]]
        m = indptr[order[t] + 1] - indptr[order[t]]
        if e.stride == 2:
            row_dot(e.cells, 2, x, at, m, &dot, &middle)
        else:
            row_dot(e.cells, 4, x, at, m, &dot, &middle)
        z[i] = e.a * (dot - e.V[0]) + e.c[0] * (middle - e.square) + e.bias[0] * e.unit
        slope = sb[i] * slope_of(e.loss, e.shape, e.smooth, z[i], yb[i])
        decay(e, rates[t], t)
        g = rates[t] * slope / e.a
        e.V[0] -= g * middle
        if e.stride == 2:
            row_move(e.cells, 2, False, x, at, m, g, e.A)
        elif e.averaged:
            row_move(e.cells, 4, True, x, at, m, g, e.A)
        else:
            row_move(e.cells, 4, False, x, at, m, g, e.A)
        settle(e, rates[t], &slope, t)
        if i == BLOCK - 1 or t == n - 1:  # the losses as met; the slopes over z are not needed
            slopes(e.loss, e.shape, e.smooth, z, yb, sb, lost, i + 1, 1)


cdef inline void cells_dots(
    Epoch *e, const real *x, const index *at, Py_ssize_t n, Py_ssize_t t, double *z, double *middle,
) noexcept nogil:
    """The margins of one row, BLOCK numbers apart, and Σ x·inverse·μ; its columns catch up."""
    cdef Py_ssize_t j, c
    cdef double *cell
    cdef double u, m = 0
    for c in range(e.k):
        z[c * BLOCK] = 0
    for j in range(n):
        cell = e.cells + e.stride * at[j]
        if e.kind != SMOOTH:
            catch_up(e, cell, t)
        u = x[j] * cell[UNIT]
        if e.kind == SMOOTH and e.head == 2:
            m += u * cell[MIDDLE]
        for c in range(e.k):
            z[c * BLOCK] += u * cell[e.head + c]
    for c in range(e.k):
        z[c * BLOCK] = e.a * (z[c * BLOCK] - e.V[c]) + e.c[c] * (m - e.square) + e.bias[c] * e.unit
    middle[0] = m


cdef inline void cells_move(
    Epoch *e, const real *x, const index *at, Py_ssize_t n, double share, const double *r,
    double middle,
) noexcept nogil:
    """v −= share·r·x·inverse of all outputs, and q with it."""
    cdef Py_ssize_t j, c
    cdef double *cell
    cdef double u, g
    for c in range(e.k):
        e.V[c] -= share * r[c] * middle
    for j in range(n):
        cell = e.cells + e.stride * at[j]
        u = share * (x[j] * cell[UNIT])
        if e.kind == OWN:  # the decay of this step is still to come
            u /= 1 - e.rate * cell[RIDGE]
        for c in range(e.k):
            g = u * r[c]
            cell[e.head + c] -= g
            if e.kind == SMOOTH and e.averaged:
                cell[e.head + e.k + c] -= e.A * g


cdef hot_void by_batches(
    Epoch *e, const real *data, const index *indices, const long long *indptr, const double *y,
    const double *s, const long long *order, Py_ssize_t n, const double *rates, double *z,
    double *lost, double *kept,
) noexcept nogil:
    """Steps on batches; kept has room for a batch's slopes and Σ x·inverse·μ, k + 1 numbers a row,
    and the k mean slopes."""
    cdef Py_ssize_t t = 0, start = 0, end, first, i, j, c, m, k = e.k
    cdef double *yb = lost + BLOCK
    cdef double *sb = yb + BLOCK
    cdef double *mean = kept + (k + 1) * e.batch
    cdef double *room
    cdef long long a
    while start < n:
        end = min(start + e.batch, n)
        memset(mean, 0, k * sizeof(double))
        first = start
        while first < end:
            m = min(BLOCK, end - first)
            for i in range(m):
                j = first + i
                if j + 3 < n:
                    ahead_entries(data, indices, indptr, order[j + 3])
                if j + 1 < n:
                    ahead_cells(e.cells, e.stride, indices, indptr, order[j + 1])
                a = indptr[order[j]]
                yb[i], sb[i] = y[order[j]], s[order[j]]
                cells_dots(
                    e, data + a, indices + a, indptr[order[j] + 1] - a, t, z + i,
                    kept + (k + 1) * (j - start) + k)
            slopes(e.loss, e.shape, e.smooth, z, yb, sb, lost, m, k)
            for i in range(m):
                room = kept + (k + 1) * (first + i - start)
                for c in range(k):
                    room[c] = z[c * BLOCK + i]
                    mean[c] += room[c] / (end - start)
            first += m
        decay(e, rates[t], t)
        for j in range(start, end):
            room = kept + (k + 1) * (j - start)
            a = indptr[order[j]]
            cells_move(
                e, data + a, indices + a, indptr[order[j] + 1] - a,
                rates[t] / e.a / (end - start), room, room[k])
        settle(e, rates[t], mean, t)
        t += 1
        start = end


cdef int require_lazy(
    Epoch *e, const double[:, ::1] columns, const double[::1] rates,
) except -1:
    """Refuse what nothing but a step over all columns could do; note which kind the rest is."""
    cdef double low = 0, high = 0, r
    cdef bint shifted = False, lasso = False, first = True, equal = True
    cdef Py_ssize_t j
    for j in range(e.p):
        if columns[1, j] == 0:
            continue
        r = columns[2, j]
        low, high = (r, r) if first else (min(low, r), max(high, r))
        first = False
        shifted = shifted or columns[0, j] != 0
        lasso = lasso or columns[3, j] != 0
    e.kind = LASSO if lasso else SMOOTH
    e.ridge = high
    if high - low > 1e-14 * max(abs(high), abs(low)):
        e.kind = OWN
    if e.kind != SMOOTH and shifted:
        raise ValueError(
            "columns must have no shift beside a lasso weight or ridge weights that differ. "
            "Pass theta for columns as they are.")
    if e.kind == OWN:
        for j in range(rates.shape[0]):
            equal = equal and rates[j] == rates[0] and rates[j] * high < 1
        if not equal:
            raise ValueError(
                "rates must be equal, and below 1/ridge, where ridge weights differ. Pass such.")
        e.rate = rates[0] if rates.shape[0] else 0
    e.head = (2 if shifted or e.averaged else 1, 3, 5)[e.kind]
    e.stride = e.head + (2 if e.averaged else 1) * e.k
    if e.stride > 2:
        e.stride = (e.stride + 3) // 4 * 4 if e.stride <= 4 else (e.stride + 7) // 8 * 8
    return 0


def csr_epoch(
    str loss not None, double shape, double smooth, const real[::1] data not None,
    const index[::1] indices not None, const long long[::1] indptr not None,
    const double[::1] y not None, const double[::1] weights not None,
    const long long[::1] order not None, const double[:, ::1] columns not None,
    double[::1] theta not None, double[::1] average not None, const double[::1] rates not None,
    Py_ssize_t batch_size,
):
    """One pass of plain steps on the loss over the rows in `order`, batch by batch, at the cost of their entries; returns the summed loss as met. Adds theta after each step to average, where that has a length. Changes theta and average."""
    cdef Epoch e
    memset(&e, 0, sizeof(Epoch))
    e.loss, e.shape, e.smooth = code_of(loss), shape, smooth
    require_rows(data.shape[0], indices.shape[0], indptr)
    e.p, e.k = columns.shape[1] - 1, 1
    if e.p < 0:
        raise ValueError("columns must describe each column of X and the intercept. Pass p + 1 columns.")
    e.k = outputs(e.loss, indptr.shape[0] - 1, e.p, y, weights, columns, theta.shape[0], 4)
    require_order(order, indices, indptr.shape[0] - 1, e.p)
    if average.shape[0] not in (0, theta.shape[0]):
        raise ValueError("average must have theta's length, or none. Pass numpy.zeros_like(theta).")
    if batch_size < 1 or rates.shape[0] != batches(order.shape[0], batch_size):
        raise ValueError("rates must hold one step length a batch. Pass ceil(rows / batch_size) of them.")
    require_apart(
        2, 10, span(theta), span(average), span(data), span(indices), span(indptr), span(y), span(weights),
        span(order), span(columns), span(rates))
    e.averaged, e.a = average.shape[0] > 0, 1
    require_lazy(&e, columns, rates)
    cdef Py_ssize_t n = order.shape[0], j
    if n == 0:
        return 0.0
    e.batch = min(batch_size, n)
    cdef Py_ssize_t past = 3 * (rates.shape[0] + 1) if e.kind == LASSO else 0
    cdef void *base
    e.cells = <double *>workspace(
        (e.p * e.stride + 5 * e.k + past + (e.k + 3) * BLOCK + (e.k + 1) * e.batch + e.k)
        * sizeof(double), &base)
    e.bias = e.cells + e.p * e.stride
    e.c = e.bias + e.k
    e.V = e.c + e.k
    e.biases = e.V + e.k
    e.cs = e.biases + e.k
    e.past = e.cs + e.k
    cdef double *z = e.past + past
    cdef double *lost = z + e.k * BLOCK
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *at = &indices[0] if data.shape[0] else NULL
    cdef double total = 0
    e.unit, e.unit_ridge, e.unit_lasso = columns[1, e.p], columns[2, e.p], columns[3, e.p]
    with nogil:
        spread(&e, columns, theta, e.rate)
        if e.batch == 1 and e.kind == SMOOTH and e.k == 1 and e.loss != SOFTMAX:
            one_by_one(
                &e, x, at, &indptr[0], &y[0], &weights[0], &order[0], n, &rates[0], z, lost)
        else:
            by_batches(
                &e, x, at, &indptr[0], &y[0], &weights[0], &order[0], n, &rates[0], z, lost,
                lost + 3 * BLOCK)
        collect(&e, columns, theta, average, rates)
        for j in range(BLOCK):
            total += lost[j]
    free(base)
    return total
