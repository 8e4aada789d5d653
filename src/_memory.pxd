"""Header-only: what every kernel asks of the memory that it is given.

Arrays are aligned: a compiler that vectorises a loop over doubles may count on 8 bytes, and a load
that it aligned by peeling elements would end the process. They all come through PyObject_GetBuffer,
Cython's memoryviews too, so that is the one place to ask. What a kernel writes overlaps nothing else
that it was given, but where a docstring says that one array may be another: then all of it is.
"""

cdef extern from *:
    """
    #include <stdarg.h>
    #include <stddef.h>
    #include <stdint.h>
    #include "_buffers.h"

    struct gd_span { uintptr_t start, end; };
    #define GD_SPAN_OF(address, bytes) \\
        ((struct gd_span){(uintptr_t)(address), (uintptr_t)(address) + (uintptr_t)(bytes)})
    #define GD_SPAN(a) GD_SPAN_OF((a).data, (a).memview->view.len)

    static inline int gd_meet(struct gd_span a, struct gd_span b) {
        return a.start < a.end && b.start < b.end && a.start < b.end && b.start < a.end;
    }

    static inline int gd_refuse_overlap(void) {
        PyErr_SetString(PyExc_ValueError,
            "What a kernel writes must share no memory with its other arrays. Pass a copy.");
        return -1;
    }

    static inline int gd_require_apart(int written, int count, ...) {
        struct gd_span spans[16];
        va_list list;
        va_start(list, count);
        for (int i = 0; i < count; i++) spans[i] = va_arg(list, struct gd_span);
        va_end(list);
        for (int i = 0; i < written; i++)
            for (int j = i + 1; j < count; j++)
                if (gd_meet(spans[i], spans[j])) return gd_refuse_overlap();
        return 0;
    }

    /* A table of any strides. Two whose rows are as far apart may lie in each other's gaps, as q, k
       and v do; where steps differ, what lies between the first number and the last is taken for held. */
    struct gd_table { uintptr_t low; uintptr_t wide, step, high; };
    static inline struct gd_table gd_table_of(
        const void *data, Py_ssize_t n, Py_ssize_t k, Py_ssize_t sn, Py_ssize_t sk, Py_ssize_t size) {
        struct gd_table t = {(uintptr_t)data, 0, 0, (uintptr_t)data};
        uintptr_t an = (uintptr_t)(sn < 0 ? -sn : sn), ak = (uintptr_t)(sk < 0 ? -sk : sk);
        if (n == 0 || k == 0) return t;
        if (sn < 0) t.low -= an * (uintptr_t)(n - 1); else t.high += an * (uintptr_t)(n - 1);
        if (sk < 0) t.low -= ak * (uintptr_t)(k - 1); else t.high += ak * (uintptr_t)(k - 1);
        t.high += (uintptr_t)size;
        if (k == 1 || (n > 1 && an < ak)) {  /* columns first */
            Py_ssize_t count = n; n = k; k = count;
            uintptr_t other = an; an = ak; ak = other;
        }
        t.wide = ak * (uintptr_t)(k - 1) + (uintptr_t)size;
        t.step = n > 1 ? an : 0;
        return t;
    }
    #define GD_TABLE(v, size) \\
        gd_table_of((v).data, (v).shape[0], (v).shape[1], (v).strides[0], (v).strides[1], size)
    #define GD_VECTOR(v, size) gd_table_of((v).data, 1, (v).shape[0], 0, (v).strides[0], size)

    static inline int gd_require_tables_apart(struct gd_table a, struct gd_table b) {
        uintptr_t step = a.step ? a.step : b.step, between;
        if (a.low == a.high || b.low == b.high || a.low >= b.high || b.low >= a.high) return 0;
        if (step == 0 || (a.step && b.step && a.step != b.step)) return gd_refuse_overlap();
        between = a.low <= b.low ? (b.low - a.low) % step : (step - (a.low - b.low) % step) % step;
        return between >= a.wide && between + b.wide <= step ? 0 : gd_refuse_overlap();
    }

    static inline int gd_require_same_or_apart(struct gd_span a, struct gd_span b) {
        if (a.start == b.start && a.end == b.end) return 0;
        return gd_meet(a, b) ? gd_refuse_overlap() : 0;
    }
    """
    ctypedef struct Span "struct gd_span":
        pass
    Span span "GD_SPAN"(...)  # of a contiguous memoryview
    Span span_of "GD_SPAN_OF"(const void *address, Py_ssize_t bytes)
    int refuse_overlap "gd_refuse_overlap"() except -1
    bint spans_meet "gd_meet"(Span a, Span b) noexcept nogil
    ctypedef struct Table "struct gd_table":
        pass
    Table table "GD_TABLE"(...)  # of a memoryview of two axes, and the size of a number
    Table vector "GD_VECTOR"(...)
    int require_tables_apart "gd_require_tables_apart"(Table a, Table b) except -1
    # The first `written` of `count` spans overlap none of the others.
    int require_apart "gd_require_apart"(int written, int count, ...) except -1
    int require_same_or_apart "gd_require_same_or_apart"(Span a, Span b) except -1
