"""Learning from one example after the other, whatever the columns' units. NumPy twin:
gdcore/_numpy/online.py, of which it differs by the rounding of sums and of eˣ.

The arrays come through the buffer protocol by hand, as in updates.pyx: one row of fifty numbers
would spend its time in memoryview objects otherwise.
"""
from cpython.buffer cimport PyBUF_FULL_RO, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer
from libc.math cimport fabs, sqrt
from libc.stdlib cimport free, malloc

from _math cimport LANES, fold64, hot_double, hot_void
from _rows cimport row_dot
from _scalars cimport (
    GAMMA, HINGE, HUBER, LOGISTIC, POISSON, QUANTILE, SOFTMAX, SQUARED, SQUARED_HINGE, fits, moved,
    slope, softmax_slopes, softmax_value, value,
)

_LOSSES = {
    "squared": SQUARED,
    "logistic": LOGISTIC,
    "softmax": SOFTMAX,
    "huber": HUBER,
    "quantile": QUANTILE,
    "poisson": POISSON,
    "gamma": GAMMA,
    "hinge": HINGE,
    "squared_hinge": SQUARED_HINGE,
}

cdef enum:
    ARRAYS = 5  # X, y, weights, state, clock
    NUMBERS = 6
    WORTH = 4096  # numbers in X from which on letting other threads run costs less than it gives
    MOST_PARTS = 64  # of a softmax step

cdef double LEAST = 1e-150  # a column whose numbers are all smaller is a column of zeros
cdef double MOST = 1e150  # so that squares are numbers
cdef struct Job:
    int loss
    double c[NUMBERS]  # rate, knob, l1, l2, whether penalties see scaled columns, intercept
    Py_buffer views[ARRAYS]
    Py_ssize_t held, n, p, k
    double *w  # k rows of p + 1
    double *G
    double *scale
    double *mean
    double *clock  # weight so far, Σ weight·‖u‖², Σ weight·residual², least G of a column, own weight
    double unit  # of margins
    double *x  # scratch: a row
    double *u  # x / scale
    double *d  # k rows of 1/√G
    double *z  # k margins
    double *S  # k times Σ u²/√G
    double *r  # k slopes
    double *v  # k ways


cdef hot_double zeros_pass(const double *a, Py_ssize_t n) noexcept nogil:
    """Zero, or NaN where one element is NaN or beyond 1e150."""
    cdef double lane[LANES]
    cdef Py_ssize_t i, j, l
    cdef double tail = 0
    for l in range(LANES):
        lane[l] = 0
    for i in range(n // LANES):
        j = i * LANES
        for l in range(LANES):
            lane[l] = lane[l] + 0 * (a[j + l] * 1e158)
    for j in range(n - n % LANES, n):
        tail = tail + 0 * (a[j] * 1e158)
    return tail + fold64(lane)


cdef hot_double dot_pass(const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    return row_dot(a, b, n)


cdef hot_double scale_pass(const double *x, double *scale, double *u, Py_ssize_t n) noexcept nogil:
    """u = x / scale where scale has been seen; how many columns go beyond theirs."""
    cdef Py_ssize_t j
    cdef double more = 0
    for j in range(n):
        u[j] = x[j] / scale[j] if scale[j] > 0 else 0
        more = more + (1.0 if fabs(x[j]) > scale[j] else 0.0)
    return more


cdef hot_double rate_pass(
    double *G, const double *u, double *d, double add, Py_ssize_t n,
) noexcept nogil:
    """G += add·u², d = 1/√G; returns Σ u²d."""
    cdef double lane[LANES]
    cdef Py_ssize_t i, j, l
    cdef double tail = 0
    for l in range(LANES):
        lane[l] = 0
    for j in range(n):
        G[j] = G[j] + add * (u[j] * u[j])
        d[j] = 1 / sqrt(G[j]) if G[j] > 0 else 0
    for i in range(n // LANES):
        j = i * LANES
        for l in range(LANES):
            lane[l] = lane[l] + u[j + l] * u[j + l] * d[j + l]
    for j in range(n - n % LANES, n):
        tail = tail + u[j] * u[j] * d[j]
    return fold64(lane) + tail


cdef hot_double move_pass(
    double *w, const double *u, const double *d, const double *scale, const double *mean,
    double way, Py_ssize_t n,
) noexcept nogil:
    """w += way·u·d/scale; returns what that adds to the margin at the columns' means."""
    cdef double lane[LANES]
    cdef double step[LANES]
    cdef Py_ssize_t i, j, l
    cdef double tail = 0
    for l in range(LANES):
        lane[l] = 0
    for i in range(n // LANES):
        j = i * LANES
        for l in range(LANES):
            step[l] = way * (u[j + l] * d[j + l]) / scale[j + l] if scale[j + l] > 0 else 0
        for l in range(LANES):
            w[j + l] = w[j + l] + step[l]
            lane[l] = lane[l] + mean[j + l] * step[l]
    for j in range(n - n % LANES, n):
        step[0] = way * (u[j] * d[j]) / scale[j] if scale[j] > 0 else 0
        w[j] = w[j] + step[0]
        tail = tail + mean[j] * step[0]
    return fold64(lane) + tail


cdef hot_double shrink_pass(
    double *w, const double *d, const double *scale, const double *mean, double l1, double l2,
    bint scaled, Py_ssize_t n,
) noexcept nogil:
    """The proximal step of l1|w| + ½l2·w², at each coordinate's own rate; returns as move_pass."""
    cdef Py_ssize_t j
    cdef double v, rate, changed = 0
    for j in range(n):
        if scale[j] > 0:
            rate = d[j] if scaled else d[j] / scale[j]
            v = w[j] * scale[j]
            v = v - l1 * rate if v > l1 * rate else (v + l1 * rate if v < -l1 * rate else 0)
            rate = d[j] if scaled else rate / scale[j]
            v = v / (1 + l2 * rate) / scale[j]
            changed = changed + mean[j] * (v - w[j])
            w[j] = v
    return changed


cdef hot_void center_pass(double *x, double *mean, double share, Py_ssize_t n) noexcept nogil:
    """The mean moves towards x, and x becomes its distance from the mean."""
    cdef Py_ssize_t j
    for j in range(n):
        mean[j] = mean[j] + share * (x[j] - mean[j])
        x[j] = x[j] - mean[j]


cdef void widen(Job *job, double square, double moved_by) noexcept nogil:
    """Columns that go beyond their scale: what is measured in it follows, and a weight that few
    examples stand behind is cut down, around the mean of the rows that it was learnt from, which
    is moved_by·x below today's. `square` is a typical slope's."""
    cdef Py_ssize_t j, c, q = job.p + 1
    cdef double size, f, cut
    cdef double *w
    cdef double *G
    for j in range(q):
        size = fabs(job.x[j])
        if size <= job.scale[j] or size <= LEAST:
            continue
        f = job.scale[j] / size
        job.scale[j] = size
        for c in range(job.k):
            w, G = job.w + c * q, job.G + c * q
            if f > 0 and square > 0:
                cut = w[j] * ((1 - f) / (1 + G[j] / square))
                w[j] = w[j] - cut
                w[job.p] = w[job.p] + cut * (job.mean[j] - moved_by * job.x[j])
                job.z[c] = job.z[c] - cut * (job.x[j] * (1 + moved_by))
            G[j] = max(G[j] * (f * f), job.clock[3])
    scale_pass(job.x, job.scale, job.u, q)


cdef void softmax_ways(Job *job, Py_ssize_t own, double push) noexcept nogil:
    """Plain gradient steps on the margins alone, more of them where they are long; the ways into v."""
    cdef Py_ssize_t c, i, parts
    cdef double most = 0, step
    for c in range(job.k):
        most = job.S[c] if job.S[c] > most else most
        job.v[c] = 0
    most = 4 * push * most
    parts = MOST_PARTS if most > MOST_PARTS - 1 else 1 + <Py_ssize_t>most
    for i in range(parts):
        if i:
            softmax_slopes(job.z, job.r, own, job.k)
        for c in range(job.k):
            step = -(push / parts) * job.r[c]  # per unit of S
            job.v[c] = job.v[c] + step
            job.z[c] = job.z[c] + step * job.S[c]


cdef void measure(Job *job, double y, double h) noexcept nogil:
    """The clock goes on by one example; x becomes its distance from the mean, u that in scales."""
    cdef double *clock = job.clock
    cdef double r = y - job.z[0], square = 1, before = clock[4], shift = 0
    clock[0], clock[4] = clock[0] + h, clock[4] + h
    if job.loss == SQUARED:
        clock[2] = clock[2] + h * r * r
        square = clock[2] / clock[0]
        job.unit = sqrt(square)
    elif job.loss == HUBER or job.loss == QUANTILE:
        clock[2] = clock[2] + h * fabs(r)
        job.unit = clock[2] / clock[0]
        if job.loss == HUBER:
            square = min(job.unit, job.c[1]) * min(job.unit, job.c[1])
    else:
        job.unit = 1
    if job.c[5] != 0:
        center_pass(job.x, job.mean, h / clock[4], job.p)
        shift = min(h / before, 1e6) if before > 0 else 0
    if scale_pass(job.x, job.scale, job.u, job.p + 1) > 0:
        widen(job, square, shift)
    clock[1] = clock[1] + h * dot_pass(job.u, job.u, job.p + 1)


cdef double learn(Job *job, double y, double h) noexcept nogil:
    """One example of weight h > 0, whose row is in x with the constant at its end; returns its loss."""
    cdef Py_ssize_t c, q = job.p + 1, own = <Py_ssize_t>y if job.loss == SOFTMAX else 0
    cdef double lost, push, z, knob = job.c[1]
    for c in range(job.k):
        z = dot_pass(job.x, job.w + c * q, q)
        job.z[c] = MOST if z > MOST else (-MOST if z < -MOST else (z if z == z else 0))
    lost = softmax_value(job.z, own, job.k) if job.loss == SOFTMAX else value(job.loss, job.z[0], y, knob)
    measure(job, y, h)
    if job.loss == SOFTMAX:
        softmax_slopes(job.z, job.r, own, job.k)
    else:
        job.r[0] = slope(job.loss, job.z[0], y, knob)
    for c in range(job.k):
        job.S[c] = rate_pass(job.G + c * q, job.u, job.d + c * q, h * job.r[c] * job.r[c], q)
    push = h * job.c[0] * job.unit * sqrt(job.clock[4] / job.clock[1]) if job.clock[1] > 0 else 0
    if job.loss == SOFTMAX:
        softmax_ways(job, own, push)
    elif job.S[0] > 0:
        job.v[0] = moved(job.loss, job.z[0], y, push * job.S[0], knob) / job.S[0]
    else:
        job.v[0] = 0
    for c in range(job.k):
        z = move_pass(job.w + c * q, job.u, job.d + c * q, job.scale, job.mean, job.v[c], q)
        if job.c[2] > 0 or job.c[3] > 0:
            z = z + shrink_pass(job.w + c * q, job.d + c * q, job.scale, job.mean, push * job.c[2],
                                push * job.c[3], job.c[4] != 0, job.p)
        job.w[c * q + job.p] = job.w[c * q + job.p] - z
    return h * lost


cdef double walk(Job *job) noexcept nogil:
    cdef double *y = <double *>job.views[1].buf
    cdef double *weights = <double *>job.views[2].buf
    cdef float *narrow = <float *>job.views[0].buf
    cdef double *wide = <double *>job.views[0].buf
    cdef double lost = 0
    cdef Py_ssize_t i, j
    job.x[job.p] = job.c[5]
    for i in range(job.n):
        if weights[i] > 0:
            if job.views[0].itemsize == 8:
                for j in range(job.p):
                    job.x[j] = wide[i * job.p + j]
            else:
                for j in range(job.p):
                    job.x[j] = narrow[i * job.p + j]
            lost = lost + learn(job, y[i], weights[i])
    return lost


cdef int take(Job *job, object array, bint writable) except -1:
    cdef Py_buffer *view = job.views + job.held
    try:
        PyObject_GetBuffer(array, view, PyBUF_FULL_RO)
    except BufferError:
        raise TypeError(f"A kernel takes NumPy arrays, got {type(array).__name__}. Convert it.")
    except TypeError:
        raise TypeError(f"A kernel takes NumPy arrays, got {type(array).__name__}. Convert it.")
    job.held += 1
    cdef char kind = view.format[0] if view.format != NULL else 0
    if (kind != c'f' and kind != c'd') or view.format[1] or (kind == c'f' and job.held > 1):
        raise ValueError("X must be float32 or float64, all else float64. Convert the arrays.")
    if not PyBuffer_IsContiguous(view, c'C'):
        raise ValueError("A kernel takes C-contiguous arrays. Pass numpy.ascontiguousarray(…).")
    if writable and view.readonly:
        raise ValueError("buffer source array is read-only")
    return 0


cdef int check_shapes(Job *job) except -1:
    cdef Py_buffer *v = job.views
    if v[0].ndim != 2 and v[0].ndim != 1:
        raise ValueError("X must be rows (n, p), or one row (p,). Reshape it.")
    job.p = v[0].shape[v[0].ndim - 1]
    job.n = v[0].shape[0] if v[0].ndim == 2 else 1
    if not (v[1].ndim == v[2].ndim == 1 and v[1].shape[0] == v[2].shape[0] == job.n):
        raise ValueError("X, y and weights must have one number of rows. Pass one y and weight a row.")
    if v[3].ndim != 2 or v[3].shape[1] != job.p + 1 or v[3].shape[0] % 2 or v[3].shape[0] < 4:
        raise ValueError("state must be 2k + 2 rows of p + 1 numbers: weights, sums, scale, mean. Pass such.")
    job.k = v[3].shape[0] // 2 - 1
    if job.k > 1 and job.loss != SOFTMAX:
        raise ValueError("This loss has one output. Pass a state of four rows.")
    if v[4].ndim != 1 or v[4].shape[0] != 5:
        raise ValueError("clock must hold five numbers. Pass zeros to begin with.")
    job.w = <double *>v[3].buf
    job.G = job.w + job.k * (job.p + 1)
    job.scale = job.G + job.k * (job.p + 1)
    job.mean = job.scale + job.p + 1
    job.clock = <double *>v[4].buf
    return 0


cdef int check_numbers(Job *job) except -1:
    cdef double *y = <double *>job.views[1].buf
    cdef double *weights = <double *>job.views[2].buf
    cdef float *narrow = <float *>job.views[0].buf
    cdef double zero = 0
    cdef Py_ssize_t i
    cdef bint right = True, known = True, plain = job.loss != QUANTILE or job.c[1] < 1
    for i in range(NUMBERS):
        plain = plain and 0 <= job.c[i] <= MOST
    if not plain:
        raise ValueError("numbers must be finite, and none negative. Pass what the signature names.")
    if job.views[0].itemsize == 8:
        zero = zeros_pass(<double *>job.views[0].buf, job.n * job.p)
    else:
        for i in range(job.n * job.p):
            zero = zero + 0 * narrow[i]
    if zero != 0:
        raise ValueError("X holds NaN, infinity or a number beyond 1e150. Remove such rows.")
    for i in range(job.n):
        right = right and fabs(y[i]) <= MOST and 0 <= weights[i] <= MOST
        known = known and fits(job.loss, y[i], job.k)
    if not right:
        raise ValueError("y and weights must be finite, and no weight negative. Remove other rows.")
    if not known:
        raise ValueError("y holds what is no target of this loss. Encode classes as 0, 1, …")
    return 0


cdef double run(Job *job) except? -1:
    cdef Py_ssize_t q = job.p + 1, k = job.k
    cdef double lost
    cdef double *room = <double *>malloc((2 * q + k * q + 4 * k) * sizeof(double))
    if room == NULL:
        raise MemoryError
    job.x, job.u, job.d = room, room + q, room + 2 * q
    job.z = job.d + k * q
    job.S, job.r, job.v = job.z + k, job.z + 2 * k, job.z + 3 * k
    if job.n * job.p * k < WORTH:
        lost = walk(job)
    else:
        with nogil:
            lost = walk(job)
    free(room)
    return lost


def online_pass(loss, X, y, weights, state, clock, numbers):
    """Learn from the rows of X (n, p), or from one row (p,), one after the other, by normalised adaptive steps; returns the summed loss of each before it was learnt. numbers: rate, knob (where Huber's loss turns linear, or a quantile), l1, l2, 1 for penalties on scaled columns, 1 for an intercept. Changes state and clock."""
    cdef Job job
    cdef object number = _LOSSES.get(loss) if isinstance(loss, str) else None
    cdef Py_ssize_t i
    if number is None:
        raise ValueError(f"loss must be one of {', '.join(_LOSSES)}, got {loss!r}. Pass one of them.")
    if not isinstance(numbers, tuple) or len(numbers) != NUMBERS:
        raise ValueError("numbers must be a tuple of six. Pass what the signature names.")
    job.loss, job.held = number, 0
    for i in range(NUMBERS):
        job.c[i] = numbers[i]
    try:
        take(&job, X, False)
        take(&job, y, False)
        take(&job, weights, False)
        take(&job, state, True)
        take(&job, clock, True)
        check_shapes(&job)
        check_numbers(&job)
        return run(&job)
    finally:
        for i in range(job.held):
            PyBuffer_Release(job.views + i)
