"""Header-only: what variance-reduced steps know, and the columns of rows in CSR form, each of which
waits until a row names it.

The letters are those of _rows.pxd and corrected.pyx.
"""
from libc.math cimport fabs, log1p

from _lagged cimport lagged, less_one
from _math cimport inline_double, inline_void, real
from _slopes cimport BLOCK, SOFTMAX, slope_of, slopes
from _sparse cimport index

cdef enum:
    UNIT = 0  # of a column in CSR form: the inverse scale
    LAST = 1  # steps it has seen
    FIRST = 2  # θ of the outputs, then their G, then the numbers that are not the same for all:
    # the weight of |θ| (or, without any, 1/ridge), that of ½θ², log keep, and keep

cdef struct Steps:
    int loss
    double shape
    double smooth
    double rate
    bint learn
    bint lasso
    bint own  # ridge weights differ
    Py_ssize_t n  # rows of X
    Py_ssize_t p
    Py_ssize_t k
    Py_ssize_t P
    Py_ssize_t stride
    double *z  # BLOCK numbers an output, of which the first is used
    double *change  # k
    double *w
    double *mean
    double *keep  # 1/(1 + rate·ridge), and rate·lasso
    double *cut
    double *cells
    double *powers  # of 1/(1 + rate·ridge), less 1
    double ridge
    double rest  # log(1/(1 + rate·ridge))
    double unit


cdef inline inline_void many_slopes(Steps *e, double *z, double y) noexcept nogil:
    """Margins of one row, BLOCK apart, become its slopes."""
    cdef double lost = 0, one = 1
    slopes(SOFTMAX, e.shape, e.smooth, z, &y, &one, &lost, 1, e.k)


cdef inline inline_void note(
    Steps *e, double *noted, double before, double y, double s,
) noexcept nogil:
    """From margins z to change = s·(r − r₀); what is noted of the row follows. `before` is r₀ where
    there is one output and no softmax."""
    cdef Py_ssize_t c
    if e.loss != SOFTMAX:
        e.change[0] = s * (slope_of(e.loss, e.shape, e.smooth, e.z[0], y) - before)
        if e.learn:
            noted[0] = e.z[0]
        return
    for c in range(e.k):
        e.change[c] = e.z[c * BLOCK]
        e.z[c * BLOCK] = noted[c]
        if e.learn:
            noted[c] = e.change[c]
    many_slopes(e, e.z, y)
    for c in range(e.k):
        before = e.z[c * BLOCK]
        e.z[c * BLOCK] = e.change[c]
        e.change[c] = before
    many_slopes(e, e.z, y)
    for c in range(e.k):
        e.change[c] = s * (e.z[c * BLOCK] - e.change[c])


cdef inline double noted_slope(Steps *e, const double *noted, double y) noexcept nogil:
    """r₀ of one output; it waits for nothing, so it costs little."""
    return 0 if e.loss == SOFTMAX else slope_of(e.loss, e.shape, e.smooth, noted[0], y)


cdef inline inline_double waited(
    const Steps *e, const double *cell, double u, double mean, double n,
) noexcept nogil:
    """θ of a column after n steps whose rows lack it."""
    cdef double scaled, shrink = 0, rest = e.rest, keep, ridge = e.ridge
    if not e.lasso and not e.own:
        if ridge == 0:
            return u - n * (e.rate * mean)
        return u + e.powers[<Py_ssize_t>n] * (u + mean / ridge)
    if e.lasso:
        shrink = cell[FIRST + 2 * e.k]
    if e.own:
        ridge, rest = cell[FIRST + 2 * e.k + 1], cell[FIRST + 2 * e.k + 2]
    scaled = e.rate * ridge
    keep = e.rate / (1 + scaled)
    return lagged(
        u, n, scaled / (1 + scaled), rest, keep * mean, keep * shrink,
        NULL if e.own else e.powers)


cdef inline inline_void sparse_dots(
    Steps *e, const real *x, const index *at, Py_ssize_t m, Py_ssize_t t,
) noexcept nogil:
    """The margins of one row without the intercepts; its columns catch up."""
    cdef Py_ssize_t j, c, k = e.k
    cdef double *cell
    cdef double u, waits
    for c in range(k):
        e.z[c * BLOCK] = 0
    for j in range(m):
        cell = e.cells + e.stride * at[j]
        u = x[j] * cell[UNIT]
        waits = t - cell[LAST]
        cell[LAST] = t
        for c in range(k):
            if waits != 0:
                cell[FIRST + c] = waited(e, cell, cell[FIRST + c], cell[FIRST + k + c], waits)
            e.z[c * BLOCK] += u * cell[FIRST + c]


cdef inline inline_void sparse_move(
    Steps *e, const real *x, const index *at, Py_ssize_t m, Py_ssize_t t,
) noexcept nogil:
    cdef Py_ssize_t j, c
    cdef double *cell
    cdef double *own
    cdef double u, a, cut, keep = 1 / (1 + e.rate * e.ridge)
    for j in range(m):
        cell = e.cells + e.stride * at[j]
        own = cell + FIRST + 2 * e.k
        u = x[j] * cell[UNIT]
        cell[LAST] = t + 1
        if e.own:
            keep = own[3]
        for c in range(e.k):
            a = cell[FIRST + c] - e.rate * (e.change[c] * u + cell[FIRST + e.k + c])
            if e.lasso:
                cut = e.rate * own[0]
                a = 0 if fabs(a) <= cut else (a - cut if a > 0 else a + cut)
            cell[FIRST + c] = keep * a
            if e.learn:
                cell[FIRST + e.k + c] += e.change[c] * u / e.n


cdef inline inline_void one_dots(
    Steps *e, const real *x, const index *at, Py_ssize_t m, double t, bint own,
) noexcept nogil:
    """The same for one output and no |θ|; `own` and the cells' size are known to the compiler."""
    cdef Py_ssize_t j, stride = 8 if own else 4
    cdef double *cells = e.cells
    cdef double *cell
    cdef const double *powers = e.powers
    cdef double one = 0, two = 0, u, waits, change, rate = e.rate, ridge = e.ridge
    cdef double inverse = 1 / ridge if ridge > 0 else 0
    for j in range(m):
        cell = cells + stride * at[j]
        waits = t - cell[LAST]
        u = cell[FIRST]
        if own:
            ridge, inverse = cell[FIRST + 3], cell[FIRST + 2]
            change = less_one(waits * cell[FIRST + 4])
        else:
            change = powers[<Py_ssize_t>waits]
        if ridge > 0:
            u += change * (u + cell[FIRST + 1] * inverse)
        else:
            u -= waits * (rate * cell[FIRST + 1])
        cell[FIRST] = u
        cell[LAST] = t
        u *= x[j] * cell[UNIT]
        if j % 2:
            one += u
        else:
            two += u
    e.z[0] = one + two


cdef inline inline_void one_move(
    Steps *e, const real *x, const index *at, Py_ssize_t m, double t, bint own,
) noexcept nogil:
    cdef Py_ssize_t j, stride = 8 if own else 4
    cdef double *cells = e.cells
    cdef double *cell
    cdef double u, rate = e.rate, change = e.change[0], keep = 1 / (1 + e.rate * e.ridge)
    cdef double share = change / e.n if e.learn else 0
    for j in range(m):
        cell = cells + stride * at[j]
        u = x[j] * cell[UNIT]
        if own:
            keep = cell[FIRST + 5]
        cell[FIRST] = keep * (cell[FIRST] - rate * (change * u + cell[FIRST + 1]))
        cell[LAST] = t + 1
        cell[FIRST + 1] += share * u


cdef inline void gather_cells(
    Steps *e, const double[:, ::1] columns, const double[::1] theta, const double[::1] mean,
) noexcept nogil:
    cdef Py_ssize_t j, c, k = e.k, p = e.p
    cdef double *cell
    for j in range(p):
        cell = e.cells + j * e.stride
        cell[UNIT] = columns[1, j]
        for c in range(k):
            cell[FIRST + c] = theta[c * p + j]
            cell[FIRST + k + c] = mean[c * p + j]
        if e.lasso:
            cell[FIRST + 2 * k] = columns[3, j]
        elif e.own:
            cell[FIRST + 2 * k] = 1 / columns[2, j] if columns[2, j] > 1e-290 else 0
        if e.own:
            cell[FIRST + 2 * k + 1] = columns[2, j] if columns[2, j] > 1e-290 else 0
            cell[FIRST + 2 * k + 2] = -log1p(e.rate * columns[2, j])
            cell[FIRST + 2 * k + 3] = 1 / (1 + e.rate * columns[2, j])
    for c in range(k):
        e.w[c], e.mean[c] = theta[k * p + c], mean[k * p + c]


cdef inline void scatter_cells(
    Steps *e, const double[:, ::1] columns, double[::1] theta, double[::1] mean, Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t j, c, k = e.k, p = e.p
    cdef double *cell
    cdef double keep, scaled
    for j in range(p):
        cell = e.cells + j * e.stride
        scaled = e.rate * columns[2, j]
        keep = e.rate / (1 + scaled)
        for c in range(k):
            if columns[1, j] != 0:
                theta[c * p + j] = waited(
                    e, cell, cell[FIRST + c], cell[FIRST + k + c], n - cell[LAST])
                mean[c * p + j] = cell[FIRST + k + c]
            else:  # no row moves it, and its penalty may be its own
                theta[c * p + j] = lagged(
                    theta[c * p + j], n, scaled / (1 + scaled), -log1p(scaled),
                    keep * mean[c * p + j], keep * columns[3, j], NULL)
    for c in range(k):
        theta[k * p + c], mean[k * p + c] = e.w[c], e.mean[c]
