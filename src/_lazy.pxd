"""Header-only: what a step of SGD does to every column, put off until a row names it.

The letters are those of _rows.pxd. L2 is one number: θ = a·v + c·μ, where a is the product of
1 − rate·ridge, μ = shift·inverse, and c the sum of what the shift adds; so a step moves v where its
rows have entries, and a and c. The path's sum is S = A·v − q + C·μ, with A and C the sums of a and c,
and q of A times each move of v. L1 takes lasso·B from |v|, B the sum of rate/a, when a column is met
again. Where columns have ridge weights of their own, each waits for itself (_lagged.pxd). All of a
column lies side by side in memory: a cell.
"""
from libc.math cimport fabs, log1p
from libc.string cimport memset

from _lagged cimport lagged, lagged_sum

cdef enum:
    SMOOTH, LASSO, OWN  # one factor; one factor and shrinkage; ridge weights of their own
    # What a cell holds before v and q (or, beside a lasso, the path's sum) of the outputs:
    UNIT = 0  # the inverse scale
    MIDDLE = 1  # μ
    SHRINK = 1  # the weight of |θ|
    LAST = 2  # steps it has seen
    RIDGE = 3
    REST = 4  # log(1 − rate·ridge)

cdef struct Epoch:
    int loss
    double shape
    double smooth
    int kind
    Py_ssize_t p
    Py_ssize_t k
    Py_ssize_t head  # where v begins in a cell
    Py_ssize_t stride  # numbers in a cell
    Py_ssize_t batch
    bint averaged
    double *cells
    double *bias  # k numbers each: the intercepts, c, V = Σ μ·v, and the sums of the first two
    double *c
    double *V
    double *biases
    double *cs
    double a
    double A
    double square  # Σ μ²
    double ridge
    double rate  # of OWN: each step's
    double *past  # of LASSO, after each step: B, A, and the sum of a·B
    double unit  # the intercept's inverse scale, ridge and lasso
    double unit_ridge
    double unit_lasso


cdef inline void catch_up(Epoch *e, double *cell, Py_ssize_t t) noexcept nogil:
    """What t steps have done to a column that has seen fewer."""
    cdef Py_ssize_t last = <Py_ssize_t>cell[LAST], c, low, high, middle
    cdef const double *then = e.past + 3 * last
    cdef const double *now = e.past + 3 * t
    cdef double size, cut
    if last == t:
        return
    cell[LAST] = t
    for c in range(e.head, e.head + e.k):
        if e.kind == OWN:
            cut = e.rate * cell[RIDGE]
            if e.averaged:
                cell[c + e.k] += lagged_sum(
                    cell[c], t - last, cut, cell[REST], e.rate * cell[SHRINK])
            cell[c] = lagged(cell[c], t - last, cut, cell[REST], 0, e.rate * cell[SHRINK], NULL)
            continue
        if cell[c] == 0:
            continue
        size = fabs(cell[c])
        cut = cell[SHRINK] * (now[0] - then[0])
        if e.averaged:
            high = t
            if not size > cut:  # the last step before zero
                low = last
                while high - low > 1:
                    middle = (low + high) // 2
                    if size > cell[SHRINK] * (e.past[3 * middle] - then[0]):
                        low = middle
                    else:
                        high = middle
                high = low
            now = e.past + 3 * high
            cut = size * (now[1] - then[1]) - cell[SHRINK] * (
                (now[2] - then[2]) - then[0] * (now[1] - then[1]))
            cell[c + e.k] += cut if cell[c] > 0 else -cut
            now = e.past + 3 * t
            cut = cell[SHRINK] * (now[0] - then[0])
        size = size - cut if size > cut else 0
        cell[c] = size if cell[c] > 0 else -size


cdef inline void fold(Epoch *e, Py_ssize_t t) noexcept nogil:
    """a into v, and a = 1."""
    cdef Py_ssize_t j, c
    cdef double *cell
    for j in range(e.p):
        cell = e.cells + j * e.stride
        if e.kind == LASSO:
            catch_up(e, cell, t)
        for c in range(e.head, e.head + e.k):
            if e.kind == SMOOTH and e.averaged:
                cell[c + e.k] -= e.A * cell[c]
            cell[c] *= e.a
    for c in range(e.k):
        e.V[c] *= e.a
    e.a, e.A = 1, 0
    if e.kind == LASSO:
        memset(e.past + 3 * t, 0, 3 * sizeof(double))


cdef inline void decay(Epoch *e, double rate, Py_ssize_t t) noexcept nogil:
    """What a step does to a and c. a is folded where it goes far from 1."""
    cdef double keep = 1 - rate * e.ridge
    cdef Py_ssize_t c
    if e.kind == OWN:
        return
    e.a *= keep
    for c in range(e.k):
        e.c[c] *= keep
    if not 1e-4 < e.a < 1e4:  # sums of a lose as many digits
        fold(e, t)


cdef inline void settle(Epoch *e, double rate, const double *mean, Py_ssize_t t) noexcept nogil:
    """The shift's part, the intercepts and the sums, for the mean slope of each output."""
    cdef Py_ssize_t c
    cdef double size
    for c in range(e.k):
        e.c[c] += rate * mean[c]
        size = (1 - rate * e.unit_ridge) * e.bias[c] - rate * mean[c] * e.unit
        if e.unit_lasso != 0:
            e.bias[c] = fabs(size) - rate * e.unit_lasso
            e.bias[c] = 0 if e.bias[c] <= 0 else (e.bias[c] if size > 0 else -e.bias[c])
        else:
            e.bias[c] = size
        e.biases[c] += e.bias[c]
        e.cs[c] += e.c[c]
    e.A += e.a
    if e.kind == LASSO:
        e.past[3 * t + 3] = e.past[3 * t] + rate / e.a
        e.past[3 * t + 4] = e.past[3 * t + 1] + e.a
        e.past[3 * t + 5] = e.past[3 * t + 2] + e.a * e.past[3 * t + 3]


cdef inline void spread(
    Epoch *e, const double[:, ::1] columns, const double[::1] theta, double rate,
) noexcept nogil:
    """θ and what is known of the columns into cells; a = 1."""
    cdef Py_ssize_t j, c, p = e.p
    cdef double *cell
    cdef double around
    for j in range(p):
        cell = e.cells + j * e.stride
        around = columns[0, j] * columns[1, j]
        cell[UNIT] = columns[1, j]
        if e.kind != SMOOTH:
            cell[SHRINK] = columns[3, j]
        elif e.head == 2:
            cell[MIDDLE] = around
        if e.kind == OWN:
            cell[RIDGE] = columns[2, j]
            cell[REST] = log1p(-rate * columns[2, j])
        e.square += around * around
        for c in range(e.k):
            cell[e.head + c] = theta[c * p + j] if columns[1, j] != 0 else 0
            e.V[c] += around * cell[e.head + c]
    for c in range(e.k):
        e.bias[c] = theta[e.k * p + c]


cdef inline void collect(
    Epoch *e, const double[:, ::1] columns, double[::1] theta, double[::1] average,
    const double[::1] rates,
) noexcept nogil:
    """Back into θ, and the path's sum added to average."""
    cdef Py_ssize_t j, c, t, p = e.p
    cdef double *cell
    cdef double *v
    cdef double around, w, cut
    for j in range(p):
        cell = e.cells + j * e.stride
        around = columns[0, j] * columns[1, j]
        if columns[1, j] != 0 and e.kind != SMOOTH:
            catch_up(e, cell, rates.shape[0])
        for c in range(e.k):
            v = cell + e.head + c
            if columns[1, j] != 0:
                theta[c * p + j] = e.a * v[0] + e.c[c] * around
                if e.averaged and e.kind == SMOOTH:
                    average[c * p + j] += (e.A * v[0] - v[e.k]) + e.cs[c] * around
                elif e.averaged:
                    average[c * p + j] += v[e.k]
            elif theta[c * p + j] != 0:  # no row moves it, so nothing but its own penalty does
                for t in range(rates.shape[0]):
                    w = (1 - rates[t] * columns[2, j]) * theta[c * p + j]
                    cut = rates[t] * columns[3, j]
                    w = 0 if fabs(w) <= cut else (w - cut if w > 0 else w + cut)
                    theta[c * p + j] = w
                    if e.averaged:
                        average[c * p + j] += w
    for c in range(e.k):
        theta[e.k * p + c] = e.bias[c]
        if e.averaged:
            average[e.k * p + c] += e.biases[c]
