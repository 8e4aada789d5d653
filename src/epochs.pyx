"""A whole epoch of steps of the linear family in one call. NumPy twins: gdcore/_numpy/epochs.py.

The letters are those of _rows.pxd.
"""
from libc.math cimport pow, sqrt
from libc.stdlib cimport free
from libc.string cimport memset

from _math cimport LANES, hot_void, inline_void, prefetch, real
from _memory cimport require_apart, span
from _rows cimport (
    add_row, batches, block_gradient, block_rows, collect, load_row, outputs, row_dot, spread, workspace,
)
from _rules cimport (
    ADAGRAD, ADAM, MOMENTUM, MOST_NUMBERS, NESTEROV, RMSPROP, SGD, adagrad_rule, adam_rule,
    momentum_rule, nesterov_rule, rmsprop_rule, sgd_rule,
)
from _slopes cimport BLOCK, SOFTMAX, code_of, slope_of, slopes

cdef enum:
    ADAMW = 100  # not a rule of its own: Adam whose parameters decay
    PATH = 512  # steps summed in X's precision before they are added to the average in double

_RULES = {  # name: (code, rows of state, constants)
    "sgd": (SGD, 0, 0), "momentum": (MOMENTUM, 1, 1), "nesterov": (NESTEROV, 1, 1),
    "adagrad": (ADAGRAD, 1, 1), "rmsprop": (RMSPROP, 1, 2), "adam": (ADAM, 2, 3),
    "adamw": (ADAMW, 2, 4),
}


cdef inline inline_void numbers(
    int rule, double lr, const double *given, long long t, double *c,
) noexcept nogil:
    """What the rule's loop takes at step t, from the optimizer's constants."""
    cdef double root_c2
    c[0] = lr
    if rule == SGD:
        pass
    elif rule == MOMENTUM or rule == NESTEROV:
        c[1] = given[0]
        c[2] = 1
    elif rule == ADAGRAD:
        c[1] = 0
        c[2] = given[0]
    elif rule == RMSPROP:
        c[1] = given[0]
        c[2] = 1 - given[0]
        c[3] = 0
        c[4] = given[1]
    else:
        root_c2 = sqrt(1 - pow(given[1], <double>t))
        c[0] = lr * root_c2 / (1 - pow(given[0], <double>t))
        c[1] = given[0]
        c[2] = 1 - given[0]
        c[3] = given[1]
        c[4] = 1 - given[1]
        c[5] = 0
        c[6] = given[2] * root_c2
        c[7] = 1 - lr * given[3] if rule == ADAMW else 1


cdef inline inline_void step(
    int rule, real *w, const real *g, real *a, real *b, Py_ssize_t n, double lr,
    const double *given, long long t,
) noexcept nogil:
    cdef double c[MOST_NUMBERS]
    numbers(rule, lr, given, t, c)
    if rule == SGD:
        sgd_rule(w, g, n, c)
    elif rule == MOMENTUM:
        momentum_rule(w, g, a, n, c)
    elif rule == NESTEROV:
        nesterov_rule(w, g, a, n, c)
    elif rule == ADAGRAD:
        adagrad_rule(w, g, a, n, c)
    elif rule == RMSPROP:
        rmsprop_rule(w, g, a, n, c)
    else:
        adam_rule(w, g, a, b, n, c)


cdef inline inline_void shrink(
    int rule, real *w, const real *lasso, const real *a, const real *b, Py_ssize_t n, double lr,
    const double *c, long long t,
) noexcept nogil:
    """The proximal step of the L1 term, each coordinate by the step length its rule took."""
    cdef double root_c2
    cdef Py_ssize_t j
    cdef double reach, size
    for j in range(n):
        if rule == MOMENTUM or rule == NESTEROV:
            reach = lr / (1 - c[0])  # a steady gradient adds up to that
        elif rule == ADAGRAD:
            reach = lr / (sqrt(<double>a[j]) + c[0])
        elif rule == RMSPROP:
            reach = lr / (sqrt(<double>a[j]) + c[1])
        elif rule == ADAM or rule == ADAMW:
            root_c2 = sqrt(1 - pow(c[1], <double>t))
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


cdef hot_void visit(
    int loss, double shape, double smooth, int rule, const real *X, const double *y, const double *s, const long long *order,
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
    cdef double slope
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
                z[j] = row_dot(rows + j * P, w, P)
                slope = sb[j] * slope_of(loss, shape, smooth, z[j], yb[j])
                sgd_row(w, rows + j * P, ridge, slope, rates[t], P)
            else:
                block_gradient(
                    loss, shape, smooth, rows + j * P, yb + j, sb + j, w, z, g, lost, take, P, k)
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
            end = end + batch_size if batch_size < n - end else n
            mean = <real>(1.0 / max(end - i - j, 1))
        if single:  # the losses as met, all at once; the slopes written over z are not needed
            slopes(loss, shape, smooth, z, yb, sb, lost, m, 1)
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
    int loss, double shape, double smooth, const real[:, ::1] X, const double[::1] y, const double[::1] s,
    const long long[::1] order, const double[:, ::1] columns, double[::1] theta,
    double[:, ::1] state, double[::1] average, str rule, const double[::1] constants, const double[::1] rates,
    long long first_step, Py_ssize_t batch_size,
) except? -1:
    cdef Py_ssize_t n = order.shape[0], p = X.shape[1]
    cdef Py_ssize_t k = outputs(loss, X.shape[0], p, y, s, columns, theta.shape[0], 4)
    cdef int code = require_steps(
        rule, order, X.shape[0], theta.shape[0], state, average, constants, rates,
        first_step, batch_size)
    require_apart(
        3, 10, span(theta), span(state), span(average), span(X), span(y), span(s), span(order),
        span(columns), span(constants), span(rates))
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
            loss, shape, smooth, code, &X[0, 0] if p else NULL, &y[0], &s[0], &order[0], n, p, P, k, R, frame,
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
    long long first_step, Py_ssize_t batch_size,
) except -1:
    """Check what an epoch needs beyond the data; return the rule's code."""
    cdef Py_ssize_t i
    cdef bint inside = True
    if rule not in _RULES:
        raise ValueError(f"rule must be one of {', '.join(_RULES)}, got {rule!r}. Pass one of them.")
    cdef int code
    cdef Py_ssize_t moments, needed
    code, moments, needed = _RULES[rule]
    if state.shape[0] != moments or (moments and state.shape[1] != width):
        raise ValueError("state must hold one row of theta's length a moment. Pass the optimizer's own.")
    if average.shape[0] not in (0, width):
        raise ValueError("average must have theta's length, or none. Pass numpy.zeros_like(theta).")
    if constants.shape[0] != needed:
        raise ValueError("constants must hold the rule's own numbers. Pass them in its order.")
    if batch_size < 1 or rates.shape[0] != batches(order.shape[0], batch_size):
        raise ValueError("rates must hold one step length a batch. Pass ceil(rows / batch_size) of them.")
    if first_step < 1:
        raise ValueError("first_step must count from 1, as the corrections need it. Pass 1 first.")
    for i in range(order.shape[0]):
        inside = inside and 0 <= order[i] < n
    if not inside:
        raise ValueError("order must hold row numbers of X. Pass numbers from 0 to n − 1.")
    return code


def linear_epoch(
    str loss not None, double shape, double smooth, const real[:, ::1] X not None,
    const double[::1] y not None, const double[::1] weights not None,
    const long long[::1] order not None, const double[:, ::1] columns not None,
    double[::1] theta not None, double[:, ::1] state not None, double[::1] average not None,
    str rule not None, const double[::1] constants not None, const double[::1] rates not None,
    long long first_step, Py_ssize_t batch_size,
):
    """One pass of steps on the loss over the rows in `order`, batch by batch; returns the summed loss as met. Adds theta after each step to average, where that has a length. Changes theta, state and average."""
    return epoch(
        code_of(loss), shape, smooth, X, y, weights, order, columns, theta, state, average, rule,
        constants, rates, min(first_step, <long long>1 << 62), batch_size)
