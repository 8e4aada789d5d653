"""Kernels in a row, without the interpreter between them."""
from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdlib cimport free, malloc

from _steps cimport STEP, Step


def _run_steps(tuple steps not None):
    """Run what the kernels' `_later_…` gave, in order. Arrays that they were given must still be there."""
    cdef Py_ssize_t n = len(steps), i
    cdef int failed = 0
    cdef const Step **each = <const Step **>malloc((n + 1) * sizeof(Step *))
    if each == NULL:
        raise MemoryError
    try:
        for i in range(n):
            each[i] = <const Step *>PyCapsule_GetPointer(steps[i], STEP)
        with nogil:
            for i in range(n):
                failed = each[i].run(each[i])
                if failed:
                    break
    finally:
        free(each)
    if failed:
        raise MemoryError


def _set_key(step not None, key):
    """From now on the step draws the words of this key."""
    cdef Step *s = <Step *>PyCapsule_GetPointer(step, STEP)
    s.word[0] = key
