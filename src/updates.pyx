"""Parameter updates, one pass over memory each. NumPy twins: gdcore/_numpy/updates.py."""
from _math cimport hot_void, real, require_one_length
from _rules cimport (
    adagrad_rule, adam_rule, momentum_rule, nesterov_rule, rmsprop_rule, sgd_rule,
)


cdef int require_counted(long long step) except -1:
    if step < 1:
        raise ValueError("step must count from 1, as the corrections need it. Pass 1 first.")
    return 0


cdef hot_void sgd_pass(real *w, const real *g, Py_ssize_t n, double lr) noexcept nogil:
    sgd_rule(w, g, n, lr)


cdef hot_void momentum_pass(
    real *w, const real *g, real *b, Py_ssize_t n, double lr, double momentum,
) noexcept nogil:
    momentum_rule(w, g, b, n, lr, momentum)


cdef hot_void nesterov_pass(
    real *w, const real *g, real *b, Py_ssize_t n, double lr, double momentum,
) noexcept nogil:
    nesterov_rule(w, g, b, n, lr, momentum)


cdef hot_void adagrad_pass(
    real *w, const real *g, real *v, Py_ssize_t n, double lr, double eps,
) noexcept nogil:
    adagrad_rule(w, g, v, n, lr, eps)


cdef hot_void rmsprop_pass(
    real *w, const real *g, real *v, Py_ssize_t n, double lr, double decay, double eps,
) noexcept nogil:
    rmsprop_rule(w, g, v, n, lr, decay, eps)


cdef hot_void adam_pass(
    real *w, const real *g, real *m, real *v, Py_ssize_t n,
    double lr, double beta1, double beta2, double eps, double decay, long long step,
) noexcept nogil:
    adam_rule(w, g, m, v, n, lr, beta1, beta2, eps, decay, step)


def sgd(real[::1] w not None, const real[::1] g not None, double lr):
    """Step against the gradient: w ← w − lr·g. Changes w."""
    require_one_length(w.shape[0] == g.shape[0])
    if w.shape[0]:
        with nogil:
            sgd_pass(&w[0], &g[0], w.shape[0], lr)


def momentum(
    real[::1] w not None, const real[::1] g not None, real[::1] b not None,
    double lr, double momentum,
):
    """Step along the running sum of gradients: b ← momentum·b + g, w ← w − lr·b. Changes w and b."""
    require_one_length(w.shape[0] == g.shape[0] == b.shape[0])
    if w.shape[0]:
        with nogil:
            momentum_pass(&w[0], &g[0], &b[0], w.shape[0], lr, momentum)


def nesterov(
    real[::1] w not None, const real[::1] g not None, real[::1] b not None,
    double lr, double momentum,
):
    """Momentum with a look ahead: b ← momentum·b + g, w ← w − lr·(g + momentum·b). Changes w and b."""
    require_one_length(w.shape[0] == g.shape[0] == b.shape[0])
    if w.shape[0]:
        with nogil:
            nesterov_pass(&w[0], &g[0], &b[0], w.shape[0], lr, momentum)


def adagrad(
    real[::1] w not None, const real[::1] g not None, real[::1] v not None,
    double lr, double eps,
):
    """Step by g over the root of its summed squares: v ← v + g², w ← w − lr·g/(√v + eps). Changes w and v."""
    require_one_length(w.shape[0] == g.shape[0] == v.shape[0])
    if w.shape[0]:
        with nogil:
            adagrad_pass(&w[0], &g[0], &v[0], w.shape[0], lr, eps)


def rmsprop(
    real[::1] w not None, const real[::1] g not None, real[::1] v not None,
    double lr, double decay, double eps,
):
    """Step by g over its running root mean square: v ← decay·v + (1−decay)·g², w ← w − lr·g/(√v + eps). Changes w and v."""
    require_one_length(w.shape[0] == g.shape[0] == v.shape[0])
    if w.shape[0]:
        with nogil:
            rmsprop_pass(&w[0], &g[0], &v[0], w.shape[0], lr, decay, eps)


def adam(
    real[::1] w not None, const real[::1] g not None, real[::1] m not None,
    real[::1] v not None, double lr, double beta1, double beta2, double eps, long long step,
):
    """Step by the bias-corrected mean over the bias-corrected root mean square of g. Changes w, m and v."""
    require_one_length(w.shape[0] == g.shape[0] == m.shape[0] == v.shape[0])
    require_counted(step)
    if w.shape[0]:
        with nogil:
            adam_pass(&w[0], &g[0], &m[0], &v[0], w.shape[0], lr, beta1, beta2, eps, 0.0, step)


def adamw(
    real[::1] w not None, const real[::1] g not None, real[::1] m not None,
    real[::1] v not None, double lr, double beta1, double beta2, double eps, double decay,
    long long step,
):
    """Adam with decoupled decay: w ← (1 − lr·decay)·w, then Adam's step. Changes w, m and v."""
    require_one_length(w.shape[0] == g.shape[0] == m.shape[0] == v.shape[0])
    require_counted(step)
    if w.shape[0]:
        with nogil:
            adam_pass(&w[0], &g[0], &m[0], &v[0], w.shape[0], lr, beta1, beta2, eps, decay, step)
