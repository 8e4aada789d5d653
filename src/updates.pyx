"""Parameter updates: every rule over one array or many, one pass over memory. NumPy twin:
gdcore/_numpy/updates.py.

The arrays come through the buffer protocol by hand: a list of a hundred small ones would spend
its time in memoryview objects otherwise.
"""
from cpython.buffer cimport PyBUF_FULL_RO, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport free, malloc

from _math cimport hot_void, real
from _memory cimport Span, refuse_overlap, spans_meet, span_of
from _rules cimport (
    ADADELTA, ADAGRAD, ADAM, ADAMAX, AMSGRAD, LION, MOMENTS, MOMENTUM, MOST_MOMENTS, MOST_NUMBERS,
    NADAM, NESTEROV, RMSPROP, RMSPROP_CENTERED, RMSPROP_CENTERED_MOMENTUM, RMSPROP_MOMENTUM,
    SCHEDULE_FREE_ADAMW, SCHEDULE_FREE_SGD, SGD, move,
)

_RULES = {  # name: (code, vectors of state, numbers)
    "sgd": (SGD, 0, 1),
    "momentum": (MOMENTUM, 1, 3),
    "nesterov": (NESTEROV, 1, 3),
    "adagrad": (ADAGRAD, 1, 3),
    "rmsprop": (RMSPROP, 1, 5),
    "adam": (ADAM, 2, 8),
    "adadelta": (ADADELTA, 2, 4),
    "rmsprop_centered": (RMSPROP_CENTERED, 2, 5),
    "rmsprop_momentum": (RMSPROP_MOMENTUM, 2, 7),
    "rmsprop_centered_momentum": (RMSPROP_CENTERED_MOMENTUM, 3, 7),
    "amsgrad": (AMSGRAD, 3, 8),
    "nadam": (NADAM, 2, 8),
    "moments": (MOMENTS, 2, 5),
    "adamax": (ADAMAX, 2, 6),
    "lion": (LION, 1, 6),
    "schedule_free_sgd": (SCHEDULE_FREE_SGD, 1, 4),
    "schedule_free_adamw": (SCHEDULE_FREE_ADAMW, 2, 8),
}

cdef struct Job:
    int rule
    double c[MOST_NUMBERS]
    Py_ssize_t parts, moments
    Py_buffer *views  # w of each part, g of each part, each moment
    Py_ssize_t held  # how many of them are to be released


cdef hot_void run(
    int rule, real *w, const real *g, real *a, real *b, real *d, Py_ssize_t n, const double *c,
) noexcept nogil:
    move(rule, w, g, a, b, d, n, c)


cdef void walk(Job *job, real kind) noexcept nogil:
    """Every part in turn; `kind` only says which precision."""
    cdef Py_buffer *w = job.views
    cdef Py_buffer *g = w + job.parts
    cdef Py_buffer *state = g + job.parts
    cdef real *moment[MOST_MOMENTS]
    cdef Py_ssize_t i, k, n
    for k in range(MOST_MOMENTS):
        moment[k] = <real *>state[k].buf if k < job.moments else NULL
    for i in range(job.parts):
        n = w[i].len // w[i].itemsize
        if n:
            run(job.rule, <real *>w[i].buf, <const real *>g[i].buf,
                moment[0], moment[1], moment[2], n, job.c)
            for k in range(job.moments):
                moment[k] += n


cdef int take(Job *job, object array, bint writable) except -1:
    """Hold one more array, of the precision of the first."""
    cdef Py_buffer *view = job.views + job.held
    try:
        PyObject_GetBuffer(array, view, PyBUF_FULL_RO)
    except BufferError:
        raise TypeError(f"A kernel takes NumPy arrays, got {type(array).__name__}. Convert it.")
    except TypeError:
        raise TypeError(f"A kernel takes NumPy arrays, got {type(array).__name__}. Convert it.")
    job.held += 1
    cdef char kind = view.format[0] if view.format != NULL else 0
    if (kind != c'f' and kind != c'd') or view.format[1] or kind != job.views[0].format[0]:
        raise ValueError("A kernel takes float32 or float64 arrays of one dtype. Convert them.")
    if not PyBuffer_IsContiguous(view, c'C'):
        raise ValueError("A kernel takes C-contiguous arrays. Pass numpy.ascontiguousarray(…).")
    if writable and view.readonly:
        raise ValueError("buffer source array is read-only")
    return 0


cdef int check(Job *job) except -1:
    """Gradients of the parameters' shapes; moments over all parameters in a row."""
    cdef Py_buffer *w = job.views
    cdef Py_buffer *g = w + job.parts
    cdef Py_ssize_t i, k, total = 0
    cdef bint same = True
    for i in range(job.parts):
        same = same and w[i].ndim == g[i].ndim and w[i].len == g[i].len
        if same:
            for k in range(w[i].ndim):
                same = same and w[i].shape[k] == g[i].shape[k]
        total += w[i].len
    for k in range(job.moments):
        same = same and g[job.parts + k].ndim == 1 and g[job.parts + k].len == total
    if not same:
        raise ValueError("The arrays must have one length. Pass arrays of equal shape.")
    return check_apart(job)


cdef int check_apart(Job *job) except -1:
    """A part and its gradient are one or lie apart, and all of them from the moments. Of parts that lie one upon
    another, each takes its step in turn."""
    cdef Py_buffer *w = job.views
    cdef Py_buffer *g = w + job.parts
    cdef Py_buffer *state = g + job.parts
    cdef Span moments[MOST_MOMENTS]
    cdef Span part, slope
    cdef bint met = False
    cdef Py_ssize_t i, k
    for k in range(job.moments):
        moments[k] = span_of(state[k].buf, state[k].len)
        for i in range(k):
            met = met or spans_meet(moments[i], moments[k])
    for i in range(job.parts):
        part, slope = span_of(w[i].buf, w[i].len), span_of(g[i].buf, g[i].len)
        met = met or (w[i].buf != g[i].buf and spans_meet(part, slope))
        for k in range(job.moments):
            met = met or spans_meet(part, moments[k]) or spans_meet(slope, moments[k])
    return refuse_overlap() if met else 0


cdef int hold(Job *job, tuple w, tuple g, tuple state) except -1:
    cdef object array
    for array in w:
        take(job, array, True)
    for array in g:
        take(job, array, False)
    for array in state:
        take(job, array, True)
    return check(job)


cdef tuple as_tuple(object x):
    if type(x) is tuple:
        return x
    return tuple(x) if isinstance(x, (list, tuple)) else (x,)


def update(rule, w, g, state, numbers):
    """Move w, one array or a list of them, against g by a rule; its state is vectors over all of w in a row, its numbers the optimizer's. g may be w. Changes w and state."""
    cdef Job job
    cdef tuple spec = _RULES.get(rule) if isinstance(rule, str) else None
    if spec is None:
        raise ValueError(f"rule must be one of {', '.join(_RULES)}, got {rule!r}. Pass one of them.")
    cdef tuple values = tuple(numbers), ws = as_tuple(w), gs = as_tuple(g), kept = tuple(state)
    cdef Py_ssize_t i
    job.rule, job.moments, job.held, job.parts = spec[0], spec[1], 0, len(ws)
    if len(values) != <Py_ssize_t>spec[2]:
        raise ValueError("numbers must hold the rule's own. Pass what the optimizer gives.")
    for i in range(len(values)):
        job.c[i] = values[i]
    if len(kept) != job.moments:
        raise ValueError("state must hold one vector a moment. Pass the optimizer's own.")
    if len(gs) != job.parts:
        raise ValueError("w and g must hold equally many arrays. Pass one gradient for each.")
    if not job.parts:
        return
    job.views = <Py_buffer *>malloc((2 * job.parts + job.moments) * sizeof(Py_buffer))
    if job.views == NULL:
        raise MemoryError
    try:
        hold(&job, ws, gs, kept)
        with nogil:
            if job.views[0].itemsize == 8:
                walk[double](&job, 0)
            else:
                walk[float](&job, 0)
    finally:
        for i in range(job.held):
            PyBuffer_Release(job.views + i)
        free(job.views)
