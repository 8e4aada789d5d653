"""Cost and gradient of the linear family in one read of X. NumPy twins: gdcore/_numpy/gradients.py.

Letters: n rows, p columns, k outputs, P the padded length of a row in scratch, z margins,
r slopes dℓ/dz. θ is (k, p) coefficients, then k intercepts. `columns` says how the descent sees
each column, the intercept last: row 0 a shift, row 1 an inverse scale, row 2 the weight of ½θ²
and row 3 of |θ| in the penalty. So a row in scratch is ((x − shift)·inverse scale …, 1, 0 …).
"""
from libc.math cimport log, sqrt
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from _math cimport (
    LANES, exp_negative, exp_ratio_negative, fold, hot_void, inline_double, inline_void, prefetch,
    real, two_artanh,
)
from _rules cimport (
    adagrad_rule, adam_rule, momentum_rule, nesterov_rule, rmsprop_rule, sgd_rule,
)

cdef enum:
    SQUARED, LOGISTIC, SOFTMAX

cdef enum:
    SGD, MOMENTUM, NESTEROV, ADAGRAD, RMSPROP, ADAM, ADAMW

cdef enum:
    BLOCK = 64  # rows in scratch at most
    BLOCK_BYTES = 8192  # a block and the rows of X behind it stay in a 32 KB L1 cache: measured
    PATH = 512  # steps summed in X's precision before they are added to the average in double
    FLUSH = 32  # blocks summed in X's precision before they are added to g in double

RULES = {
    "sgd": SGD, "momentum": MOMENTUM, "nesterov": NESTEROV, "adagrad": ADAGRAD,
    "rmsprop": RMSPROP, "adam": ADAM, "adamw": ADAMW,
}


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


cdef inline double one_dot(const real *x, const real *w, Py_ssize_t P) noexcept nogil:
    cdef real a[LANES]
    cdef Py_ssize_t i, j, l
    for l in range(LANES):
        a[l] = 0
    for i in range(P // LANES):
        j = i * LANES
        for l in range(LANES):
            a[l] = a[l] + x[j + l] * w[j + l]
    return fold(a)


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


cdef inline inline_void squared_slopes(
    double *z, const double *y, const double *s, double *lost, Py_ssize_t n,
) noexcept nogil:
    """ℓ = ½(z − y)², dℓ/dz = z − y. Margins in z become weighted slopes; losses add to lost."""
    cdef Py_ssize_t i
    cdef double r
    for i in range(n):
        r = z[i] - y[i]
        lost[i] = lost[i] + 0.5 * s[i] * r * r
        z[i] = s[i] * r


cdef inline inline_double logistic_slope(double z, double y, double up, double down) noexcept nogil:
    """(1 − y)σ(z) − yσ(−z) from e^−|z| = up/down: no cancellation at either end."""
    cdef double share = 1 / (up + down)
    cdef double right = (down if z >= 0 else up) * share
    cdef double wrong = (up if z >= 0 else down) * share
    return (1 - y) * right - y * wrong


cdef inline inline_void logistic_slopes(
    double *z, const double *y, const double *s, double *lost, Py_ssize_t n,
) noexcept nogil:
    """ℓ = log(1 + eᶻ) − yz, dℓ/dz = (1 − y)σ(z) − yσ(−z)."""
    cdef Py_ssize_t i
    cdef double up, down, log1p
    for i in range(n):
        exp_ratio_negative(-abs(z[i]), &up, &down)
        log1p = two_artanh(up / (2 * down + up))
        lost[i] = lost[i] + s[i] * (((z[i] if z[i] > 0 else 0) - y[i] * z[i]) + log1p)
        z[i] = s[i] * logistic_slope(z[i], y[i], up, down)


cdef inline inline_void softmax_slopes(
    double *z, const double *y, const double *s, double *lost, Py_ssize_t n, Py_ssize_t k,
) noexcept nogil:
    """ℓ = log Σ eᶻ − z_y, dℓ/dz = softmax(z) − [j = y]; z holds BLOCK margins of a class in a row."""
    cdef double most[BLOCK]
    cdef double total[BLOCK]
    cdef Py_ssize_t i, c
    for i in range(n):
        most[i] = z[i]
        total[i] = 0
    for c in range(1, k):
        for i in range(n):
            most[i] = z[c * BLOCK + i] if z[c * BLOCK + i] > most[i] else most[i]
    for i in range(n):
        lost[i] = lost[i] + s[i] * (most[i] - z[<Py_ssize_t>y[i] * BLOCK + i])
    for c in range(k):
        for i in range(n):
            z[c * BLOCK + i] = exp_negative(z[c * BLOCK + i] - most[i])
            total[i] = total[i] + z[c * BLOCK + i]
    for i in range(n):
        lost[i] = lost[i] + s[i] * log(total[i])
    for c in range(k):
        for i in range(n):
            z[c * BLOCK + i] = s[i] * (z[c * BLOCK + i] / total[i] - (1.0 if y[i] == c else 0.0))


cdef inline inline_void block_gradient(
    int loss, const real *rows, const double *y, const double *s, const real *w, double *z,
    real *g, double *lost, Py_ssize_t n, Py_ssize_t P, Py_ssize_t k,
) noexcept nogil:
    """Predict, cost and gradient of n ≤ BLOCK rows that lie in scratch: adds to lost and g."""
    cdef Py_ssize_t i, c
    for i in range(n // 4):
        for c in range(k):
            four_dots(rows + 4 * i * P, w + c * P, z + c * BLOCK + 4 * i, P)
    for i in range(n - n % 4, n):
        for c in range(k):
            z[c * BLOCK + i] = one_dot(rows + i * P, w + c * P, P)
    if loss == SQUARED:
        squared_slopes(z, y, s, lost, n)
    elif loss == LOGISTIC:
        logistic_slopes(z, y, s, lost, n)
    else:
        softmax_slopes(z, y, s, lost, n, k)
    for i in range(n // 4):
        for c in range(k):
            add_four_rows(rows + 4 * i * P, z + c * BLOCK + 4 * i, g + c * P, P)
    for i in range(n - n % 4, n):
        for c in range(k):
            add_row(rows + i * P, z[c * BLOCK + i], g + c * P, P)


cdef hot_void dense_block(
    int loss, const real *x, const double *y, const double *s, const real *shift,
    const real *inverse, const real *w, real *rows, double *z, real *g, double *lost,
    Py_ssize_t n, Py_ssize_t p, Py_ssize_t P, Py_ssize_t k,
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        load_row(x + i * p, shift, inverse, rows + i * P, p)
    block_gradient(loss, rows, y, s, w, z, g, lost, n, P, k)


cdef void spread(
    const double *theta, real *w, Py_ssize_t p, Py_ssize_t P, Py_ssize_t k,
) noexcept nogil:
    """From θ's layout to one padded row a class, its intercept at column p."""
    cdef Py_ssize_t c, j
    for c in range(k):
        for j in range(p):
            w[c * P + j] = <real>theta[c * p + j]
        w[c * P + p] = <real>theta[k * p + c]


cdef void collect(
    const real *w, double *theta, bint add, Py_ssize_t p, Py_ssize_t P, Py_ssize_t k,
) noexcept nogil:
    """Back to θ's layout; `add` to what is there, or replace it."""
    cdef Py_ssize_t c, j
    for c in range(k):
        for j in range(p):
            theta[c * p + j] = w[c * P + j] + (theta[c * p + j] if add else 0)
        theta[k * p + c] = w[c * P + p] + (theta[k * p + c] if add else 0)


cdef Py_ssize_t block_rows(Py_ssize_t P, Py_ssize_t itemsize) noexcept nogil:
    cdef Py_ssize_t rows = BLOCK_BYTES // (P * itemsize) // 4 * 4
    return min(max(rows, 4), BLOCK)


cdef void *workspace(size_t size, void **base) except NULL:
    """Zeroed memory that starts at a cache line. Free base."""
    base[0] = calloc(size + 64, 1)
    if base[0] == NULL:
        raise MemoryError("The kernel's scratch memory could not be had. Use fewer columns.")
    return <void *>((<size_t>base[0] + 63) // 64 * 64)


cdef Py_ssize_t outputs(
    int loss, const real[:, ::1] X, const double[::1] y, const double[::1] s,
    const double[:, ::1] columns, Py_ssize_t width, Py_ssize_t settings,
) except -1:
    """Check every length, and class numbers, so that no index leaves its array; return k."""
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1], k = width // (p + 1), i
    cdef bint known = True
    if not (y.shape[0] == n and s.shape[0] == n):
        raise ValueError("X, y and weights must have one number of rows. Pass one y and weight a row.")
    if columns.shape[0] < settings or columns.shape[1] != p + 1:
        raise ValueError("columns must describe each column of X and the intercept. Pass p + 1 columns.")
    if k < 1 or k * (p + 1) != width or (k > 1 and loss != SOFTMAX):
        raise ValueError("theta must hold the coefficients, then the intercepts. Pass k·(p + 1) numbers.")
    if loss == SOFTMAX:
        for i in range(n):
            known = known and 0 <= y[i] < k
        if not known:
            raise ValueError("y must hold class numbers from 0 to k − 1. Encode the classes first.")
    return k


cdef double accumulate(
    int loss, const real[:, ::1] X, const double[::1] y, const double[::1] s,
    const double[:, ::1] columns, const double[::1] theta, double[::1] g,
) except? -1:
    cdef Py_ssize_t n = X.shape[0], p = X.shape[1]
    cdef Py_ssize_t k = outputs(loss, X, y, s, columns, theta.shape[0], 2)
    if g.shape[0] != theta.shape[0]:
        raise ValueError("theta and g must have one length. Pass g=numpy.zeros_like(theta).")
    if n == 0:
        return 0.0
    cdef Py_ssize_t P = (p + 1 + LANES - 1) // LANES * LANES
    cdef Py_ssize_t R = block_rows(P, sizeof(real)), i, m, blocks = 0
    cdef void *base
    cdef real *rows = <real *>workspace(
        (R + 2 * k + 2) * P * sizeof(real) + (k + 1) * BLOCK * sizeof(double), &base)
    cdef real *w = rows + R * P
    cdef real *acc = w + k * P
    cdef real *shift = acc + k * P
    cdef real *inverse = shift + P
    cdef double *z = <double *>(inverse + P)
    cdef double *lost = z + k * BLOCK
    cdef double total = 0
    with nogil:
        spread(&theta[0], w, p, P, k)
        for i in range(p + 1):
            shift[i] = <real>columns[0, i]
            inverse[i] = <real>columns[1, i]
        for i in range(R):
            rows[i * P + p] = inverse[p]
        i = 0
        while i < n:
            m = min(R, n - i)
            dense_block(
                loss, &X[i, 0] if p else NULL, &y[i], &s[i], shift, inverse, w, rows, z, acc,
                lost, m, p, P, k,
            )
            i += m
            blocks += 1
            if blocks % FLUSH == 0 or i == n:
                collect(acc, &g[0], True, p, P, k)
                memset(acc, 0, k * P * sizeof(real))
        for i in range(BLOCK):
            total += lost[i]
    free(base)
    return total


def squared_gradient(
    const real[:, ::1] X not None, const double[::1] y not None, const double[::1] weights not None,
    const double[:, ::1] columns not None, const double[::1] theta not None, double[::1] g not None,
):
    """Weighted sum of ½(z − y)² over the rows of X; adds its gradient in theta to g. Changes g."""
    return accumulate(SQUARED, X, y, weights, columns, theta, g)


def logistic_gradient(
    const real[:, ::1] X not None, const double[::1] y not None, const double[::1] weights not None,
    const double[:, ::1] columns not None, const double[::1] theta not None, double[::1] g not None,
):
    """Weighted sum of log(1 + e^z) − y·z over the rows of X, y in [0, 1]; adds its gradient in theta to g. Changes g."""
    return accumulate(LOGISTIC, X, y, weights, columns, theta, g)


def softmax_gradient(
    const real[:, ::1] X not None, const double[::1] y not None, const double[::1] weights not None,
    const double[:, ::1] columns not None, const double[::1] theta not None, double[::1] g not None,
):
    """Weighted sum of log Σ e^z − z_y over the rows of X, y a class number; adds its gradient in theta to g. Changes g."""
    return accumulate(SOFTMAX, X, y, weights, columns, theta, g)


cdef inline inline_void step(
    int rule, real *w, const real *g, real *a, real *b, Py_ssize_t n, double lr,
    const double *c, long long t,
) noexcept nogil:
    if rule == SGD:
        sgd_rule(w, g, n, lr)
    elif rule == MOMENTUM:
        momentum_rule(w, g, a, n, lr, c[0])
    elif rule == NESTEROV:
        nesterov_rule(w, g, a, n, lr, c[0])
    elif rule == ADAGRAD:
        adagrad_rule(w, g, a, n, lr, c[0])
    elif rule == RMSPROP:
        rmsprop_rule(w, g, a, n, lr, c[0], c[1])
    else:
        adam_rule(w, g, a, b, n, lr, c[0], c[1], c[2], c[3] if rule == ADAMW else 0.0, t)


cdef inline inline_void shrink(
    int rule, real *w, const real *lasso, const real *a, const real *b, Py_ssize_t n, double lr,
    const double *c, long long t,
) noexcept nogil:
    """The proximal step of the L1 term, each coordinate by the step length its rule took."""
    cdef double root_c2
    cdef Py_ssize_t j
    cdef double reach, size
    for j in range(n):
        if rule == ADAGRAD:
            reach = lr / (sqrt(<double>a[j]) + c[0])
        elif rule == RMSPROP:
            reach = lr / (sqrt(<double>a[j]) + c[1])
        elif rule == ADAM or rule == ADAMW:
            root_c2 = sqrt(1 - c[1] ** <double>t)
            reach = lr * root_c2 / (sqrt(<double>b[j]) + c[2] * root_c2)
        else:
            reach = lr
        size = abs(<double>w[j]) - reach * lasso[j]
        w[j] = 0 if size <= 0 else <real>(size if w[j] > 0 else -size)


cdef inline inline_void ahead(const real *x, Py_ssize_t p) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(min(p * <Py_ssize_t>sizeof(real), 1024) // 64 + 1):
        prefetch(<const char *>x + 64 * j)


cdef inline inline_void sgd_row(
    real *w, const real *x, const real *ridge, double slope, double lr, Py_ssize_t P,
) noexcept nogil:
    """SGD on one example, its gradient never written down: w −= lr·(slope·x + ridge·w)."""
    cdef real rate = <real>lr, r = <real>slope
    cdef Py_ssize_t j
    for j in range(P):
        w[j] = w[j] - rate * (r * x[j] + ridge[j] * w[j])


cdef inline double slope_of(int loss, double z, double y) noexcept nogil:
    cdef double up, down
    if loss == SQUARED:
        return z - y
    exp_ratio_negative(-abs(z), &up, &down)
    return logistic_slope(z, y, up, down)


cdef hot_void visit(
    int loss, int rule, const real *X, const double *y, const double *s, const long long *order,
    Py_ssize_t n, Py_ssize_t p, Py_ssize_t P, Py_ssize_t k, Py_ssize_t R, const real *frame,
    real *rows, real *w, real *g, real *a, real *b, real *path, double *average, double *z,
    double *lost, const double *constants, const double *rates, long long first_step,
    Py_ssize_t batch_size, bint lasso,
) noexcept nogil:
    """Steps over the batches of `order`, R rows in scratch at a time; frame holds shift, inverse,
    ridge and lasso, K numbers each; path sums w on its way to average, where that is wanted."""
    cdef Py_ssize_t K = k * P, t = 0, i = 0, j, m, take, next_row, end = min(batch_size, n)
    cdef const real *ridge = frame + 2 * K
    cdef double *yb = lost + BLOCK
    cdef double *sb = yb + BLOCK
    cdef bint single = batch_size == 1 and rule == SGD and loss != SOFTMAX and not lasso
    cdef real mean = <real>(1.0 / end)
    while i < n:
        m = min(R, n - i)
        for j in range(m):
            load_row(X + order[i + j] * p, frame, frame + K, rows + j * P, p)
            yb[j] = y[order[i + j]]
            sb[j] = s[order[i + j]]
        j = 0
        while j < m:
            take = min(m - j, end - i - j)
            for next_row in range(i + m + j, min(i + m + j + take, n)):
                ahead(X + order[next_row] * p, p)  # rows come in random order: ask early
            if single:
                z[j] = one_dot(rows + j * P, w, P)
                sgd_row(w, rows + j * P, ridge, sb[j] * slope_of(loss, z[j], yb[j]), rates[t], P)
            else:
                block_gradient(
                    loss, rows + j * P, yb + j, sb + j, w, z, g, lost, take, P, k)
            j += take
            if i + j < end:
                continue
            if not single:
                finish_step(
                    rule, w, g, a, b, ridge, mean, K, rates[t], constants, first_step + t, lasso)
            t += 1
            if average != NULL:
                add_row(w, 1.0, path, K)
                if t % PATH == 0 or i + j == n:
                    collect(path, average, True, p, P, k)
                    memset(path, 0, K * sizeof(real))
            end = min(end + batch_size, n)
            mean = <real>(1.0 / max(end - i - j, 1))
        if single:  # the losses as met, all at once; the slopes written over z are not needed
            if loss == SQUARED:
                squared_slopes(z, yb, sb, lost, m)
            else:
                logistic_slopes(z, yb, sb, lost, m)
        i += m


cdef inline inline_void finish_step(
    int rule, real *w, real *g, real *a, real *b, const real *ridge, real mean, Py_ssize_t K,
    double lr, const double *constants, long long t, bint lasso,
) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(K):
        g[j] = mean * g[j] + ridge[j] * w[j]
    step(rule, w, g, a, b, K, lr, constants, t)
    if lasso:
        shrink(rule, w, ridge + K, a, b, K, lr, constants, t)
    memset(g, 0, K * sizeof(real))


cdef double epoch(
    int loss, const real[:, ::1] X, const double[::1] y, const double[::1] s,
    const long long[::1] order, const double[:, ::1] columns, double[::1] theta,
    double[:, ::1] state, double[::1] average, str rule, const double[::1] constants, const double[::1] rates,
    long long first_step, Py_ssize_t batch_size,
) except? -1:
    cdef Py_ssize_t n = order.shape[0], p = X.shape[1]
    cdef Py_ssize_t k = outputs(loss, X, y, s, columns, theta.shape[0], 4)
    cdef int code = require_steps(
        rule, order, X.shape[0], theta.shape[0], state, average, constants, rates, batch_size)
    if n == 0:
        return 0.0
    cdef Py_ssize_t P = (p + 1 + LANES - 1) // LANES * LANES, K = k * P
    cdef Py_ssize_t R = block_rows(P, sizeof(real)), i, c, j
    cdef void *base
    cdef real *rows = <real *>workspace(
        (R * P + 9 * K) * sizeof(real) + (k + 3) * BLOCK * sizeof(double), &base)
    cdef real *w = rows + R * P
    cdef real *g = w + K
    cdef real *a = g + K
    cdef real *b = a + K
    cdef real *path = b + K
    cdef real *frame = path + K
    cdef double *z = <double *>(frame + 4 * K)
    cdef double *lost = z + k * BLOCK
    cdef double total = 0
    cdef bint lasso = False
    with nogil:
        spread(&theta[0], w, p, P, k)
        if state.shape[0] > 0:
            spread(&state[0, 0], a, p, P, k)
        if state.shape[0] > 1:
            spread(&state[1, 0], b, p, P, k)
        for i in range(4):
            for c in range(k):
                for j in range(p + 1):
                    frame[i * K + c * P + j] = <real>columns[i, j]
        for j in range(p + 1):
            lasso = lasso or columns[3, j] != 0
        for i in range(R):
            rows[i * P + p] = frame[K + p]
        visit(
            loss, code, &X[0, 0] if p else NULL, &y[0], &s[0], &order[0], n, p, P, k, R, frame,
            rows, w, g, a, b, path, &average[0] if average.shape[0] else NULL, z, lost,
            &constants[0] if constants.shape[0] else NULL, &rates[0], first_step, batch_size, lasso,
        )
        collect(w, &theta[0], False, p, P, k)
        if state.shape[0] > 0:
            collect(a, &state[0, 0], False, p, P, k)
        if state.shape[0] > 1:
            collect(b, &state[1, 0], False, p, P, k)
        for i in range(BLOCK):
            total += lost[i]
    free(base)
    return total


cdef int require_steps(
    str rule, const long long[::1] order, Py_ssize_t n, Py_ssize_t width, double[:, ::1] state,
    const double[::1] average, const double[::1] constants, const double[::1] rates,
    Py_ssize_t batch_size,
) except -1:
    """Check what an epoch needs beyond the data; return the rule's code."""
    cdef Py_ssize_t i
    cdef bint inside = True
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}. Pass one of them.")
    cdef int code = RULES[rule]
    cdef Py_ssize_t moments = 0 if code == SGD else (2 if code >= ADAM else 1)
    cdef Py_ssize_t needed = (0, 1, 1, 1, 2, 3, 4)[code]
    if state.shape[0] != moments or (moments and state.shape[1] != width):
        raise ValueError("state must hold one row of theta's length a moment. Pass the optimizer's own.")
    if average.shape[0] not in (0, width):
        raise ValueError("average must have theta's length, or none. Pass numpy.zeros_like(theta).")
    if constants.shape[0] != needed:
        raise ValueError("constants must hold the rule's own numbers. Pass them in its order.")
    if batch_size < 1 or rates.shape[0] != (order.shape[0] + batch_size - 1) // batch_size:
        raise ValueError("rates must hold one step length a batch. Pass ceil(rows / batch_size) of them.")
    for i in range(order.shape[0]):
        inside = inside and 0 <= order[i] < n
    if not inside:
        raise ValueError("order must hold row numbers of X. Pass numbers from 0 to n − 1.")
    return code


def squared_epoch(
    const real[:, ::1] X not None, const double[::1] y not None, const double[::1] weights not None,
    const long long[::1] order not None, const double[:, ::1] columns not None,
    double[::1] theta not None, double[:, ::1] state not None, double[::1] average not None,
    str rule not None, const double[::1] constants not None, const double[::1] rates not None,
    long long first_step, Py_ssize_t batch_size,
):
    """One pass of steps on ½(z − y)² over the rows in `order`, batch by batch; returns the summed loss as met. Adds theta after each step to average, where that has a length. Changes theta, state and average."""
    return epoch(
        SQUARED, X, y, weights, order, columns, theta, state, average, rule, constants, rates,
        first_step, batch_size)


def logistic_epoch(
    const real[:, ::1] X not None, const double[::1] y not None, const double[::1] weights not None,
    const long long[::1] order not None, const double[:, ::1] columns not None,
    double[::1] theta not None, double[:, ::1] state not None, double[::1] average not None,
    str rule not None, const double[::1] constants not None, const double[::1] rates not None,
    long long first_step, Py_ssize_t batch_size,
):
    """One pass of steps on log(1 + e^z) − y·z over the rows in `order`, batch by batch; returns the summed loss as met. Adds theta after each step to average, where that has a length. Changes theta, state and average."""
    return epoch(
        LOGISTIC, X, y, weights, order, columns, theta, state, average, rule, constants, rates,
        first_step, batch_size)


def softmax_epoch(
    const real[:, ::1] X not None, const double[::1] y not None, const double[::1] weights not None,
    const long long[::1] order not None, const double[:, ::1] columns not None,
    double[::1] theta not None, double[:, ::1] state not None, double[::1] average not None,
    str rule not None, const double[::1] constants not None, const double[::1] rates not None,
    long long first_step, Py_ssize_t batch_size,
):
    """One pass of steps on log Σ e^z − z_y over the rows in `order`, batch by batch; returns the summed loss as met. Adds theta after each step to average, where that has a length. Changes theta, state and average."""
    return epoch(
        SOFTMAX, X, y, weights, order, columns, theta, state, average, rule, constants, rates,
        first_step, batch_size)
