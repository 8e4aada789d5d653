"""Learning from one example after the other, whatever the columns' units. NumPy twin:
gdcore/_numpy/online.py, of which it differs by the rounding of sums and of eˣ.

The arrays come through the buffer protocol by hand, as in updates.pyx: one row of fifty numbers
would spend its time in memoryview objects otherwise.
"""
from cpython.buffer cimport PyBUF_FULL_RO, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport free

from _memory cimport Span, require_apart, span_of
from _online cimport (
    Job, check_values, hold_state, learn, loss_number, read_numbers, scratch, zeros_pass,
)

cdef enum:
    ARRAYS = 5  # X, y, weights, state, clock
    WORTH = 4096  # numbers in X from which on letting other threads run costs less than it gives

cdef struct Held:
    Py_buffer views[ARRAYS]
    Py_ssize_t count, n


cdef double walk(Job *job, Held *held) noexcept nogil:
    cdef double *y = <double *>held.views[1].buf
    cdef double *weights = <double *>held.views[2].buf
    cdef float *narrow = <float *>held.views[0].buf
    cdef double *wide = <double *>held.views[0].buf
    cdef double lost = 0
    cdef Py_ssize_t i, j
    job.x[job.p] = job.c[5]
    for i in range(held.n):
        if weights[i] > 0:
            if held.views[0].itemsize == 8:
                for j in range(job.p):
                    job.x[j] = wide[i * job.p + j]
            else:
                for j in range(job.p):
                    job.x[j] = narrow[i * job.p + j]
            lost = lost + learn(job, y[i], weights[i])
    return lost


cdef int take(Held *held, object array, bint writable) except -1:
    cdef Py_buffer *view = held.views + held.count
    try:
        PyObject_GetBuffer(array, view, PyBUF_FULL_RO)
    except BufferError:
        raise TypeError(f"A kernel takes NumPy arrays, got {type(array).__name__}. Convert it.")
    except TypeError:
        raise TypeError(f"A kernel takes NumPy arrays, got {type(array).__name__}. Convert it.")
    held.count += 1
    cdef char kind = view.format[0] if view.format != NULL else 0
    if (kind != c'f' and kind != c'd') or view.format[1] or (kind == c'f' and held.count > 1):
        raise ValueError("X must be float32 or float64, all else float64. Convert the arrays.")
    if not PyBuffer_IsContiguous(view, c'C'):
        raise ValueError("A kernel takes C-contiguous arrays. Pass numpy.ascontiguousarray(…).")
    if writable and view.readonly:
        raise ValueError("buffer source array is read-only")
    return 0


cdef int check_shapes(Job *job, Held *held) except -1:
    cdef Py_buffer *v = held.views
    if v[0].ndim != 2 and v[0].ndim != 1:
        raise ValueError("X must be rows (n, p), or one row (p,). Reshape it.")
    job.p = v[0].shape[v[0].ndim - 1]
    held.n = v[0].shape[0] if v[0].ndim == 2 else 1
    if not (v[1].ndim == v[2].ndim == 1 and v[1].shape[0] == v[2].shape[0] == held.n):
        raise ValueError("X, y and weights must have one number of rows. Pass one y and weight a row.")
    cdef bint wide = v[3].ndim == 2 and v[3].shape[1] == job.p + 1
    cdef bint clocked = v[4].ndim == 1 and v[4].shape[0] == 5
    hold_state(job, <double *>v[3].buf, v[3].shape[0] if wide else 0, wide, clocked)
    job.clock = <double *>v[4].buf
    cdef Span of[ARRAYS]
    cdef Py_ssize_t i
    for i in range(ARRAYS):
        of[i] = span_of(v[i].buf, v[i].len)
    return require_apart(2, ARRAYS, of[3], of[4], of[0], of[1], of[2])


cdef int check_numbers(Job *job, Held *held) except -1:
    cdef float *narrow = <float *>held.views[0].buf
    cdef double zero = 0
    cdef Py_ssize_t i
    if held.views[0].itemsize == 8:
        zero = zeros_pass(<double *>held.views[0].buf, held.n * job.p)
    else:
        for i in range(held.n * job.p):
            zero = zero + 0 * narrow[i]
    return check_values(
        job, zero, <double *>held.views[1].buf, <double *>held.views[2].buf, held.n)


cdef double run(Job *job, Held *held) except? -1:
    cdef double lost
    scratch(job, job.p + 1, 0)
    if held.n * job.p * job.k < WORTH:
        lost = walk(job, held)
    else:
        with nogil:
            lost = walk(job, held)
    free(job.x)
    return lost


def online_pass(loss, X, y, weights, state, clock, numbers):
    """Learn from the rows of X (n, p), or from one row (p,), one after the other, by normalised adaptive steps; returns the summed loss of each before it was learnt. numbers: rate, knob (where Huber's loss turns linear, or a quantile), l1, l2, 1 for penalties on scaled columns, 1 for an intercept. State of k outputs: softmax, or one class each against the rest. Changes state and clock."""
    cdef Job job
    cdef Held held
    cdef Py_ssize_t i
    job.loss, held.count = loss_number(loss), 0
    read_numbers(&job, numbers)
    job.centred = job.c[5] != 0
    try:
        take(&held, X, False)
        take(&held, y, False)
        take(&held, weights, False)
        take(&held, state, True)
        take(&held, clock, True)
        check_shapes(&job, &held)
        check_numbers(&job, &held)
        return run(&job, &held)
    finally:
        for i in range(held.count):
            PyBuffer_Release(held.views + i)
