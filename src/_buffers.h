/* Arrays that kernels are given are aligned: asked where a buffer is taken, so by each of them.

   Included before all else where Cython's memoryviews are compiled, and by the kernels. */
#ifndef GD_BUFFERS
#define GD_BUFFERS
#ifndef PY_SSIZE_T_CLEAN
#define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>
#include <stddef.h>
#include <stdint.h>

static inline int gd_get_buffer(PyObject *array, Py_buffer *view, int flags) {
    size_t four = offsetof(struct { char c; float x; }, x);
    size_t eight = offsetof(struct { char c; double x; }, x), by = 1, steps;
    if (PyObject_GetBuffer(array, view, flags) < 0) return -1;
    by = view->itemsize == 4 ? four : view->itemsize == 8 ? eight : 1;
    steps = (size_t)(uintptr_t)view->buf;
    for (int i = 0; view->strides && i < view->ndim; i++)
        if (view->shape[i] > 1) steps |= (size_t)view->strides[i];
    if (view->len == 0 || steps % by == 0) return 0;
    PyBuffer_Release(view);
    PyErr_SetString(PyExc_ValueError,
        "A kernel takes aligned arrays, whose numbers lie at multiples of their size. Pass a copy.");
    return -1;
}
#define PyObject_GetBuffer gd_get_buffer

#endif
