"""Header-only: one example learnt by normalised adaptive steps, for dense rows and sparse ones. NumPy twin:
`learn` and `Job` of gdcore/_numpy/online.py.
"""
from libc.math cimport fabs, sqrt
from libc.stdlib cimport malloc

from _lagged cimport less_one
from _math cimport LANES, fold64, hot_double, hot_void
from _rows cimport row_dot
from _scalars cimport (
    GAMMA, HINGE, HUBER, LOGISTIC, POISSON, QUANTILE, SOFTMAX, SQUARED, SQUARED_HINGE, fits, moved,
    slope, softmax_slopes, softmax_value, value,
)

cdef enum:
    NUMBERS = 6
    MOST_PARTS = 64  # of a softmax step

cdef struct Job:
    int loss
    double c[NUMBERS]  # rate, knob, l1, l2, whether penalties see scaled columns, intercept
    bint centred
    Py_ssize_t p, k
    double *w  # k rows of p + 1
    double *G
    double *scale
    double *mean
    double *units  # of what penalties see, or NULL: the weights as they are
    double *clock  # weight so far, Σ weight·‖u‖², Σ weight·residual², least G of a column, own weight
    double unit  # of margins
    double push  # of the last example
    double *x  # scratch: a row
    double *u  # x / scale
    double *d  # k rows of 1/√G
    double *z  # k margins
    double *S  # k times Σ u²/√G
    double *r  # k slopes
    double *v  # k ways


cdef inline double least() noexcept nogil:
    return 1e-150  # a column whose numbers are all smaller is a column of zeros


cdef inline double most() noexcept nogil:
    return 1e150  # so that squares are numbers


cdef inline hot_double zeros_pass(const double *a, Py_ssize_t n) noexcept nogil:
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


cdef inline hot_double dot_pass(const double *a, const double *b, Py_ssize_t n) noexcept nogil:
    return row_dot(a, b, n)


cdef inline hot_double scale_pass(const double *x, double *scale, double *u, Py_ssize_t n) noexcept nogil:
    """u = x / scale where scale has been seen; how many columns go beyond theirs."""
    cdef Py_ssize_t j
    cdef double more = 0
    for j in range(n):
        u[j] = x[j] / scale[j] if scale[j] > 0 else 0
        more = more + (1.0 if fabs(x[j]) > scale[j] else 0.0)
    return more


cdef inline hot_double rate_pass(
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


cdef inline hot_double move_pass(
    double *w, const double *u, const double *d, const double *scale, const double *mean,
    double way, Py_ssize_t n,
) noexcept nogil:
    """w += way·u·d/scale; returns what that adds to the margin at the columns' means.

    u is zero where the scale is. Nothing is loaded under a condition: GCC 12 takes the condition of
    the first vector for the second one then, where it has AVX-512.
    """
    cdef double lane[LANES]
    cdef double step[LANES]
    cdef Py_ssize_t i, j, l
    cdef double tail = 0
    for l in range(LANES):
        lane[l] = 0
    for i in range(n // LANES):
        j = i * LANES
        for l in range(LANES):
            step[l] = way * (u[j + l] * d[j + l]) / (scale[j + l] if scale[j + l] > 0 else 1)
        for l in range(LANES):
            w[j + l] = w[j + l] + step[l]
            lane[l] = lane[l] + mean[j + l] * step[l]
    for j in range(n - n % LANES, n):
        step[0] = way * (u[j] * d[j]) / (scale[j] if scale[j] > 0 else 1)
        w[j] = w[j] + step[0]
        tail = tail + mean[j] * step[0]
    return fold64(lane) + tail


cdef inline hot_double shrink_pass(
    double *w, const double *G, const double *scale, const double *mean, const double *units,
    double l1, double l2, Py_ssize_t n,
) noexcept nogil:
    """w after the descent of l1·|w·units| + ½l2·(w·units)² alone, at each column's own rate; returns as
    move_pass. In two times it does what it does in their sum."""
    cdef Py_ssize_t j
    cdef double left, d, s, ratio, gone, changed = 0
    for j in range(n):
        d = 1 / sqrt(G[j]) if G[j] > 0 else 0
        ratio = (1 if units == NULL else units[j]) / (scale[j] if scale[j] > 0 else 1)
        s = l2 * d * (ratio * ratio)
        gone = -less_one(-s)
        left = fabs(w[j]) * scale[j]
        left = left - gone * left - l1 * d * ratio * (gone / s if s > 0 else 1)
        left = (left / scale[j] if left > 0 else 0) if scale[j] > 0 else fabs(w[j])
        left = left if w[j] > 0 else (-left if w[j] < 0 else 0)
        changed = changed + mean[j] * (left - w[j])
        w[j] = left
    return changed


cdef inline hot_void center_pass(double *x, double *mean, double share, Py_ssize_t n) noexcept nogil:
    """The mean moves towards x, and x becomes its distance from the mean."""
    cdef Py_ssize_t j
    for j in range(n):
        mean[j] = mean[j] + share * (x[j] - mean[j])
        x[j] = x[j] - mean[j]


cdef inline void widen(Job *job, double square, double moved_by) noexcept nogil:
    """Columns that go beyond their scale: what is measured in it follows, and a weight that few
    examples stand behind is cut down, around the mean of the rows that it was learnt from, which
    is moved_by·x below today's. `square` is a typical slope's."""
    cdef Py_ssize_t j, c, q = job.p + 1
    cdef double size, f, cut
    cdef double *w
    cdef double *G
    for j in range(q):
        size = fabs(job.x[j])
        if size <= job.scale[j] or size <= least():
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


cdef inline void softmax_ways(Job *job, Py_ssize_t own, double push) noexcept nogil:
    """Plain gradient steps on the margins alone, more of them where they are long; the ways into v."""
    cdef Py_ssize_t c, i, parts
    cdef double largest = 0, step
    for c in range(job.k):
        largest = job.S[c] if job.S[c] > largest else largest
        job.v[c] = 0
    largest = 4 * push * largest
    parts = 0 if largest != largest else MOST_PARTS if largest > MOST_PARTS - 1 else 1 + <Py_ssize_t>largest
    for i in range(parts):
        if i:
            softmax_slopes(job.z, job.r, own, job.k)
        for c in range(job.k):
            step = -(push / parts) * job.r[c]  # per unit of S
            job.v[c] = job.v[c] + step
            job.z[c] = job.z[c] + step * job.S[c]


cdef inline void measure(Job *job, double y, double h) noexcept nogil:
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
    if job.centred:
        center_pass(job.x, job.mean, h / clock[4], job.p)
        shift = min(h / before, 1e6) if before > 0 else 0
    if scale_pass(job.x, job.scale, job.u, job.p + 1) > 0:
        widen(job, square, shift)
    clock[1] = clock[1] + h * dot_pass(job.u, job.u, job.p + 1)


cdef inline double target(const Job *job, double y, Py_ssize_t c) noexcept nogil:
    """That of one output: y, or whether y is its class, each of them against the rest."""
    if job.k == 1:
        return y
    return 1 if y == c else 0


cdef inline double learn(Job *job, double y, double h) noexcept nogil:
    """One example of weight h > 0, whose row is in x with the constant at its end; returns its loss."""
    cdef Py_ssize_t c, q = job.p + 1, own = <Py_ssize_t>y if job.loss == SOFTMAX else 0
    cdef double lost = 0, push, z, knob = job.c[1]
    for c in range(job.k):
        z = dot_pass(job.x, job.w + c * q, q)
        job.z[c] = most() if z > most() else (-most() if z < -most() else (z if z == z else 0))
        if job.loss != SOFTMAX:
            lost = lost + value(job.loss, job.z[c], target(job, y, c), knob)
    if job.loss == SOFTMAX:
        lost = softmax_value(job.z, own, job.k)
    measure(job, y, h)
    if job.loss == SOFTMAX:
        softmax_slopes(job.z, job.r, own, job.k)
    for c in range(job.k):
        if job.loss != SOFTMAX:
            job.r[c] = slope(job.loss, job.z[c], target(job, y, c), knob)
        job.S[c] = rate_pass(job.G + c * q, job.u, job.d + c * q, h * job.r[c] * job.r[c], q)
    push = h * job.c[0] * job.unit * sqrt(job.clock[4] / job.clock[1]) if job.clock[1] > 0 else 0
    job.push = push = push if push < most() else most()
    if job.loss == SOFTMAX:
        softmax_ways(job, own, push)
    for c in range(job.k):
        if job.loss != SOFTMAX:
            z = moved(job.loss, job.z[c], target(job, y, c), push * job.S[c], knob) if job.S[c] > 0 else 0
            job.v[c] = z / job.S[c] if job.S[c] > 0 else 0
        z = move_pass(job.w + c * q, job.u, job.d + c * q, job.scale, job.mean, job.v[c], q)
        if job.c[2] > 0 or job.c[3] > 0:
            z = z + shrink_pass(job.w + c * q, job.G + c * q, job.scale, job.mean, job.units,
                                push * job.c[2], push * job.c[3], job.p)
        job.w[c * q + job.p] = job.w[c * q + job.p] - z
    return h * lost


cdef inline int loss_number(object loss) except -1:
    names = (
        "squared", "logistic", "softmax", "huber", "quantile", "poisson", "gamma", "hinge", "squared_hinge",
    )  # in the order of _scalars.pxd
    if not isinstance(loss, str) or loss not in names:
        raise ValueError(f"loss must be one of {', '.join(names)}, got {loss!r}. Pass one of them.")
    return names.index(loss)


cdef inline int read_numbers(Job *job, object numbers) except -1:
    cdef Py_ssize_t i
    if not isinstance(numbers, tuple) or len(numbers) != NUMBERS:
        raise ValueError("numbers must be a tuple of six. Pass what the signature names.")
    for i in range(NUMBERS):
        job.c[i] = numbers[i]
    return 0


cdef inline int hold_state(Job *job, double *state, Py_ssize_t rows, bint wide, bint clocked) except -1:
    """Where the parts of the state are; `wide` and `clocked` say whether the lengths are right."""
    cdef Py_ssize_t q = job.p + 1
    if rows < 4 or not wide:
        raise ValueError(
            "state must be 2k + 2 rows of p + 1 numbers, weights, sums, scale, mean, and perhaps units. "
            "Pass such.")
    job.k = rows // 2 - 1
    if job.k > 1 and job.loss not in (SOFTMAX, LOGISTIC, HINGE, SQUARED_HINGE):
        raise ValueError("This loss has one output. Pass a state of four rows, or five.")
    if not clocked:
        raise ValueError("clock must hold five numbers. Pass zeros to begin with.")
    job.w = state
    job.G = job.w + job.k * q
    job.scale = job.G + job.k * q
    job.mean = job.scale + q
    job.units = job.mean + q if rows % 2 else (job.scale if job.c[4] != 0 else NULL)
    return 0


cdef inline int check_sizes(Job *job) except -1:
    cdef bint plain = job.loss != QUANTILE or job.c[1] < 1
    cdef Py_ssize_t i
    for i in range(NUMBERS):
        plain = plain and 0 <= job.c[i] <= most()
    if not plain:
        raise ValueError("numbers must be finite, and none negative. Pass what the signature names.")
    return 0


cdef inline int check_values(
    Job *job, double zero, const double *y, const double *weights, Py_ssize_t n,
) except -1:
    """`zero` is not so where X holds what it must not."""
    cdef bint right = True, known = True
    cdef Py_ssize_t i
    check_sizes(job)
    if zero != 0:
        raise ValueError("X holds NaN, infinity or a number beyond 1e150. Remove such rows.")
    for i in range(n):
        right = right and fabs(y[i]) <= most() and 0 <= weights[i] <= most()
        known = known and fits(job.loss, y[i], job.k)
    if not right:
        raise ValueError("y and weights must be finite, and no weight negative. Remove other rows.")
    if not known:
        raise ValueError("y holds what is no target of this loss. Encode classes as 0, 1, …")
    return 0


cdef inline double *scratch(Job *job, Py_ssize_t q, Py_ssize_t more) except NULL:
    """Room for rows of q numbers, and what comes behind it; to be freed by job.x."""
    cdef Py_ssize_t k = job.k
    job.x = <double *>malloc((2 * q + k * q + 4 * k + more) * sizeof(double))
    if job.x == NULL:
        raise MemoryError
    job.u, job.d = job.x + q, job.x + 2 * q
    job.z = job.d + k * q
    job.S, job.r, job.v = job.z + k, job.z + 2 * k, job.z + 3 * k
    return job.v + k
