"""Header-only: a kernel's call, looked at once and run as often as wanted, without the interpreter."""
from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc

cdef extern from *:
    """
    #define GD_STEP "gdcore.step"
    static void gd_free_step(PyObject *step) { free(PyCapsule_GetPointer(step, GD_STEP)); }
    """
    const char *STEP "GD_STEP"
    void free_step "gd_free_step"(object step)

ctypedef int (*Run)(const void *step) noexcept nogil


cdef struct Step:
    Run run  # of the step itself; not 0 where memory ends
    bint wide  # whether numbers are doubles
    void *at[9]
    Py_ssize_t size[9]
    double number[1]
    uint64_t word[2]


cdef inline int run_now(const Step *s) except -1:
    """Run it, without the GIL."""
    cdef int failed
    with nogil:
        failed = s.run(s)
    if failed:
        raise MemoryError
    return 0


cdef inline object kept(const Step *s):
    """It as an object, for `run_steps`. Whoever holds that holds its arrays, too."""
    cdef Step *copy = <Step *>malloc(sizeof(Step))
    if copy == NULL:
        raise MemoryError
    copy[0] = s[0]
    return PyCapsule_New(copy, STEP, <void (*)(object) noexcept>free_step)
