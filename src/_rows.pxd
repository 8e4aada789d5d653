"""Header-only: rows of X in scratch, their products, the slopes of the losses; for gradients and epochs.

Letters: n rows, p columns, k outputs, P the padded length of a row in scratch, z margins,
r slopes dℓ/dz. θ is (k, p) coefficients, then k intercepts. `columns` says how the descent sees
each column, the intercept last: row 0 a shift, row 1 an inverse scale, row 2 the weight of ½θ²
and row 3 of |θ| in the penalty. So a row in scratch is ((x − shift)·inverse scale …, 1, 0 …).
"""
from libc.stdlib cimport calloc

from _math cimport LANES, fold, inline_double, inline_void, real
from _slopes cimport BLOCK, GAMMA, POISSON, SOFTMAX, slopes

cdef enum:
    BLOCK_BYTES = 8192  # measured: a quarter of L1; with 16 KB the next rows no longer come in time


cdef inline inline_void load_row(
    const real *x, const real *shift, const real *inverse, real *out, Py_ssize_t p,
) noexcept nogil:
    """out = (x − shift)·inverse, LANES at a time: the copy in t tells gcc that nothing overlaps."""
    cdef real t[LANES]
    cdef Py_ssize_t i, j, l
    for i in range(p // LANES):
        j = i * LANES
        for l in range(LANES):
            t[l] = (x[j + l] - shift[j + l]) * inverse[j + l]
        for l in range(LANES):
            out[j + l] = t[l]
    for j in range(p - p % LANES, p):
        out[j] = (x[j] - shift[j]) * inverse[j]


cdef inline inline_void four_dots(
    const real *x, const real *w, double *z, Py_ssize_t P,
) noexcept nogil:
    """z[0 … 3]: four consecutive rows of scratch times w."""
    cdef real a[LANES]
    cdef real b[LANES]
    cdef real c[LANES]
    cdef real d[LANES]
    cdef Py_ssize_t i, j, l
    for l in range(LANES):
        a[l] = b[l] = c[l] = d[l] = 0
    for i in range(P // LANES):
        j = i * LANES
        for l in range(LANES):
            a[l] = a[l] + x[j + l] * w[j + l]
            b[l] = b[l] + x[P + j + l] * w[j + l]
            c[l] = c[l] + x[2 * P + j + l] * w[j + l]
            d[l] = d[l] + x[3 * P + j + l] * w[j + l]
    z[0] = fold(a)
    z[1] = fold(b)
    z[2] = fold(c)
    z[3] = fold(d)


cdef inline inline_double row_dot(const real *x, const real *w, Py_ssize_t p) noexcept nogil:
    """x·w of one row, in scratch or straight from X."""
    cdef real a[LANES]
    cdef real tail = 0
    cdef Py_ssize_t i, j, l
    for l in range(LANES):
        a[l] = 0
    for i in range(p // LANES):
        j = i * LANES
        for l in range(LANES):
            a[l] = a[l] + x[j + l] * w[j + l]
    for j in range(p - p % LANES, p):
        tail = tail + x[j] * w[j]
    return fold(a) + tail


cdef inline inline_void add_four_rows(
    const real *x, const double *r, real *g, Py_ssize_t P,
) noexcept nogil:
    """g += r₀x₀ + r₁x₁ + r₂x₂ + r₃x₃ over four consecutive rows of scratch."""
    cdef real a = <real>r[0], b = <real>r[1], c = <real>r[2], d = <real>r[3]
    cdef Py_ssize_t j
    for j in range(P):
        g[j] = g[j] + ((a * x[j] + b * x[P + j]) + (c * x[2 * P + j] + d * x[3 * P + j]))


cdef inline inline_void add_row(
    const real *x, double r, real *g, Py_ssize_t P,
) noexcept nogil:
    cdef real a = <real>r
    cdef Py_ssize_t j
    for j in range(P):
        g[j] = g[j] + a * x[j]


cdef inline inline_void block_margins(
    const real *rows, const real *w, double *z, Py_ssize_t n, Py_ssize_t P, Py_ssize_t k,
) noexcept nogil:
    """Predict n ≤ BLOCK rows that lie in scratch."""
    cdef Py_ssize_t i, c
    for i in range(n // 4):
        for c in range(k):
            four_dots(rows + 4 * i * P, w + c * P, z + c * BLOCK + 4 * i, P)
    for i in range(n - n % 4, n):
        for c in range(k):
            z[c * BLOCK + i] = row_dot(rows + i * P, w + c * P, P)


cdef inline inline_void block_combine(
    const real *rows, const double *r, real *g, Py_ssize_t n, Py_ssize_t P, Py_ssize_t k,
) noexcept nogil:
    """g += Σ r·row of n ≤ BLOCK rows that lie in scratch."""
    cdef Py_ssize_t i, c
    for i in range(n // 4):
        for c in range(k):
            add_four_rows(rows + 4 * i * P, r + c * BLOCK + 4 * i, g + c * P, P)
    for i in range(n - n % 4, n):
        for c in range(k):
            add_row(rows + i * P, r[c * BLOCK + i], g + c * P, P)


cdef inline inline_void block_gradient(
    int loss, double shape, double smooth, const real *rows, const double *y, const double *s,
    const real *w, double *z, real *g, double *lost, Py_ssize_t n, Py_ssize_t P, Py_ssize_t k,
) noexcept nogil:
    """Predict, cost and gradient of n ≤ BLOCK rows that lie in scratch: adds to lost and g."""
    block_margins(rows, w, z, n, P, k)
    slopes(loss, shape, smooth, z, y, s, lost, n, k)
    block_combine(rows, z, g, n, P, k)


cdef inline void spread(
    const double *theta, real *w, Py_ssize_t p, Py_ssize_t P, Py_ssize_t k,
) noexcept nogil:
    """From θ's layout to one padded row a class, its intercept at column p."""
    cdef Py_ssize_t c, j
    for c in range(k):
        for j in range(p):
            w[c * P + j] = <real>theta[c * p + j]
        w[c * P + p] = <real>theta[k * p + c]


cdef inline void collect(
    const real *w, double *theta, bint add, Py_ssize_t p, Py_ssize_t P, Py_ssize_t k,
) noexcept nogil:
    """Back to θ's layout; `add` to what is there, or replace it."""
    cdef Py_ssize_t c, j
    for c in range(k):
        for j in range(p):
            theta[c * p + j] = w[c * P + j] + (theta[c * p + j] if add else 0)
        theta[k * p + c] = w[c * P + p] + (theta[k * p + c] if add else 0)


cdef inline Py_ssize_t batches(Py_ssize_t n, Py_ssize_t size) noexcept nogil:
    """How many batches n rows make; size, 1 at least, may be any number beyond n."""
    return n // size + (n % size != 0)


cdef inline Py_ssize_t block_rows(Py_ssize_t P, Py_ssize_t itemsize) noexcept nogil:
    cdef Py_ssize_t rows = BLOCK_BYTES // (P * itemsize) // 4 * 4
    return min(max(rows, 4), BLOCK)


cdef inline void *workspace(size_t size, void **base) except NULL:
    """Zeroed memory that starts at a cache line. Free base."""
    base[0] = calloc(size + 64, 1)
    if base[0] == NULL:
        raise MemoryError("The kernel's scratch memory could not be had. Use fewer columns.")
    return <void *>((<size_t>base[0] + 63) // 64 * 64)


cdef inline int require_targets(int loss, const double[::1] y, Py_ssize_t k) except -1:
    """Refuse targets that have no loss, or that name an output beyond the k that there are."""
    cdef Py_ssize_t n = y.shape[0], i
    cdef bint known = True
    if loss == SOFTMAX:
        for i in range(n):
            known = known and 0 <= y[i] < k and y[i] == <Py_ssize_t>y[i]
        if not known:
            raise ValueError("y must hold class numbers from 0 to k − 1. Encode the classes first.")
    if loss == POISSON or loss == GAMMA:
        for i in range(n):
            known = known and (y[i] > 0 or (loss == POISSON and y[i] == 0))
        if not known:
            raise ValueError("y must be positive for gamma, and not negative for poisson. Pass such targets.")
    return 0


cdef inline Py_ssize_t outputs(
    int loss, Py_ssize_t n, Py_ssize_t p, const double[::1] y, const double[::1] s,
    const double[:, ::1] columns, Py_ssize_t width, Py_ssize_t settings,
) except -1:
    """Check every length, and targets, so that no index leaves its array; return k."""
    cdef Py_ssize_t k = width // (p + 1)
    if not (y.shape[0] == n and s.shape[0] == n):
        raise ValueError("X, y and weights must have one number of rows. Pass one y and weight a row.")
    if columns.shape[0] < settings or columns.shape[1] != p + 1:
        raise ValueError("columns must describe each column of X and the intercept. Pass p + 1 columns.")
    if k < 1 or k * (p + 1) != width or (k > 1 and loss != SOFTMAX):
        raise ValueError("theta must hold the coefficients, then the intercepts. Pass k·(p + 1) numbers.")
    require_targets(loss, y, k)
    return k
