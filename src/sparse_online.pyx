"""Learning from one sparse example after the other, at the cost of what it holds. NumPy twins:
gdcore/_numpy/sparse_online.py, of which they differ by the rounding of sums and of eˣ.

A row's columns are gathered, learn as those of a dense row do, and go back to the state.
"""
from libc.stdlib cimport free

from _math cimport prefetch, real
from _memory cimport require_apart, span
from _online cimport (
    Job, check_sizes, check_values, hold_state, learn, loss_number, read_numbers, scratch, shrink_pass,
)
from _scalars cimport SOFTMAX
from _sparse cimport ahead_entries, index, require_inside, require_rows


cdef void ahead(const Job *state, const index *at, Py_ssize_t n) noexcept nogil:
    """Ask for what the state holds of a row's columns."""
    cdef Py_ssize_t i, j, q = state.p + 1
    for i in range(n):
        for j in range(2 * state.k + 2):
            prefetch(state.w + j * q + at[i])


cdef void catch_up(Job *state, Py_ssize_t column, double time) noexcept nogil:
    """What penalties do to one column in a time that it was not looked at."""
    cdef double *units = NULL if state.units == NULL else state.units + column
    cdef Py_ssize_t c, q = state.p + 1
    cdef double zero = 0
    if time > 0 and (state.c[2] > 0 or state.c[3] > 0):
        for c in range(state.k):
            shrink_pass(state.w + c * q + column, state.G + c * q + column, state.scale + column, &zero,
                        units, time * state.c[2], time * state.c[3], 1)


cdef void place(Job *state, Job *job, double *room, Py_ssize_t m) noexcept nogil:
    """Lay out a job of m columns and the constant."""
    cdef Py_ssize_t q = m + 1
    job.p = m
    job.w = room
    job.G = job.w + job.k * q
    job.scale = job.G + job.k * q
    job.units = NULL if state.units == NULL else job.scale + (0 if state.units == state.scale else q)


cdef void carry(Job *state, Job *job, const long long *at, bint back) noexcept nogil:
    """The columns `at` from the state into their own job, or back."""
    cdef Py_ssize_t i, c, m = job.p + 1, q = state.p + 1
    for c in range(2 * state.k + 1):  # weights, sums and the scale
        if back:
            for i in range(m):
                state.w[c * q + at[i]] = job.w[c * m + i]
        else:
            for i in range(m):
                job.w[c * m + i] = state.w[c * q + at[i]]
    if job.units != NULL and not back and state.units != state.scale:
        for i in range(m):
            job.units[i] = state.units[at[i]]


cdef double one(
    Job *state, Job *job, const real *data, const index *indices, Py_ssize_t n, double *room,
    long long *at, double y, double h,
) noexcept nogil:
    """One example; returns its loss."""
    cdef Py_ssize_t i, m = 0
    cdef double *time = state.mean  # at which each column stands, the last one today's
    cdef double now = time[state.p], lost
    for i in range(n):
        if data[i] != 0:
            job.x[m], at[m] = data[i], indices[i]
            catch_up(state, at[m], now - time[at[m]])
            m += 1
    job.x[m], at[m] = state.c[5], state.p
    place(state, job, room, m)
    carry(state, job, at, False)
    lost = learn(job, y, h)
    carry(state, job, at, True)
    for i in range(m + 1):
        time[at[i]] = now + job.push
    return lost


cdef double walk(
    Job *state, Job *job, const real *data, const index *indices, const long long *indptr,
    const double *y, const double *weights, Py_ssize_t n, double *room, long long *at,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef double lost = 0
    for i in range(n):
        if i + 3 < n:
            ahead_entries(data, indices, indptr, i + 3)
        if i + 1 < n:
            ahead(state, indices + indptr[i + 1], indptr[i + 2] - indptr[i + 1])
        if weights[i] > 0:
            lost = lost + one(
                state, job, data + indptr[i], indices + indptr[i], indptr[i + 1] - indptr[i], room, at,
                y[i], weights[i])
    return lost


cdef double zeros(const real[::1] data) noexcept:
    """Zero, or NaN where one number is no number, or beyond 1e150."""
    cdef Py_ssize_t i
    cdef double zero = 0
    for i in range(data.shape[0]):
        if real is float:
            zero = zero + 0 * data[i]
        else:
            zero = zero + 0 * (data[i] * 1e158)
    return zero


def csr_online_pass(
    loss, const real[::1] data not None, const index[::1] indices not None,
    const long long[::1] indptr not None, const double[::1] y not None,
    const double[::1] weights not None, double[:, ::1] state not None, double[::1] clock not None,
    numbers,
):
    """Learn from rows in CSR form, none of which may name a column twice, as online_pass does but without centring the columns; returns the summed loss of each before it was learnt. The fourth part of state is no mean, but the time at which penalties stand, which wait for a column's turn. Changes state and clock."""
    cdef Job job, whole
    cdef Py_ssize_t n = indptr.shape[0] - 1, k, q = 1, i
    cdef double lost
    whole.loss = loss_number(loss)
    read_numbers(&whole, numbers)
    require_rows(data.shape[0], indices.shape[0], indptr)
    if not y.shape[0] == weights.shape[0] == n:
        raise ValueError("X, y and weights must have one number of rows. Pass one y and weight a row.")
    whole.p, whole.centred = state.shape[1] - 1, False
    hold_state(&whole, &state[0, 0] if state.shape[0] and state.shape[1] else NULL, state.shape[0],
               whole.p >= 0, clock.shape[0] == 5)
    require_inside(indices, whole.p)
    check_values(&whole, zeros(data), &y[0] if n else NULL, &weights[0] if n else NULL, n)
    require_apart(
        2, 7, span(state), span(clock), span(data), span(indices), span(indptr), span(y), span(weights))
    if n == 0:
        return 0.0
    whole.clock, k = &clock[0], whole.k
    for i in range(n):
        q = max(q, indptr[i + 1] - indptr[i] + 1)
    job = whole
    # Of q columns: zeros for means; weights, sums, scale and units; their numbers.
    cdef double *room = scratch(&job, q, (2 * k + 4) * q)
    for i in range(q):
        room[i] = 0
    job.mean = room
    with nogil:
        lost = walk(
            &whole, &job, &data[0] if data.shape[0] else NULL, &indices[0] if data.shape[0] else NULL,
            &indptr[0], &y[0], &weights[0], n, room + q, <long long *>(room + (2 * k + 3) * q))
    free(job.x)
    return lost


def csr_online_settle(double[:, ::1] state not None, numbers):
    """Bring the penalties of all columns to today. Changes state."""
    cdef Job job
    cdef Py_ssize_t j
    job.loss, job.p = SOFTMAX, state.shape[1] - 1
    read_numbers(&job, numbers)
    hold_state(&job, &state[0, 0] if state.shape[0] and state.shape[1] else NULL, state.shape[0],
               job.p >= 0, True)
    check_sizes(&job)
    with nogil:
        for j in range(job.p):
            catch_up(&job, j, job.mean[job.p] - job.mean[j])
            job.mean[j] = job.mean[job.p]
