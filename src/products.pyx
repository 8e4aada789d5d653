"""Products of matrices in register tiles. NumPy twins: gdcore/_numpy/products.py.

BLAS packs both factors in blocks for matrices that outgrow every cache. Those of a network's layer
do not: A and B are read as they lie. Where rows of B have gaps, its columns are packed in panels
128 bytes wide.
"""
from libc.stdlib cimport free, malloc

from _math cimport hot_void, inline_void, real
from _memory cimport require_tables_apart, table, vector
from _steps cimport Step, kept, run_now
from _tiles cimport FEW, MOST_FEW, PANEL, product_ahead, turn

cdef enum:
    LINE = 64  # bytes
    DEEP = 384  # rows of a panel, 128 bytes each
    NEAR = 1 << 18  # bytes of A that stay in the second cache
    SHALLOW = 128  # where A is transposed: a line of each of so many rows stays in the first cache
    TOGETHER = 4  # panels packed at once: rows of B lie a page apart, or more


cdef inline inline_void pack_panel(
    const real *B, Py_ssize_t sq, Py_ssize_t sj, real *out, Py_ssize_t m, Py_ssize_t w, Py_ssize_t W,
) noexcept nogil:
    """out[q·W + j] = B[q·sq + j·sj] for q < m and j < w, zeros beyond."""
    cdef Py_ssize_t q, j
    if sq == 1:
        turn(B, sj, out, W, m, w)
    else:
        for q in range(m):
            for j in range(w):
                out[q * W + j] = B[q * sq + j * sj]
    if w < W:
        for q in range(m):
            for j in range(w, W):
                out[q * W + j] = 0


cdef hot_void pack(
    const real *B, Py_ssize_t sq, Py_ssize_t sj, real *out, Py_ssize_t m, Py_ssize_t w, Py_ssize_t W,
) noexcept nogil:
    """Panels of W columns, one after another; whole ones row by row of B, as they lie in memory."""
    cdef Py_ssize_t q, panel, j, whole = w // W if sj == 1 else 0
    for q in range(m if whole else 0):
        for panel in range(whole):
            for j in range(W):
                out[(panel * m + q) * W + j] = B[q * sq + panel * W + j]
    for panel in range(whole, (w + W - 1) // W):
        j = panel * W
        pack_panel(B + j * sj, sq, sj, out + j * m, m, W if w - j > W else w - j, W)


cdef void over_panels(
    const real *A, Py_ssize_t sa, Py_ssize_t sq, const real *B, Py_ssize_t sb, Py_ssize_t step,
    real *C, Py_ssize_t sc, Py_ssize_t n, Py_ssize_t m, Py_ssize_t k, bint add, Py_ssize_t far,
) noexcept nogil:
    """C = or += A·B, panel after panel over as many rows of A as stay in the second cache; the next
    panel begins `step` on in B."""
    cdef Py_ssize_t W = PANEL // sizeof(real), rows = NEAR // (m * sizeof(real)) // 24 * 24 + 24
    cdef Py_ssize_t block, panel, i, j
    for block in range((n + rows - 1) // rows):
        i = block * rows
        for panel in range((k + W - 1) // W):
            j = panel * W
            product_ahead(
                A + i * sa, sa, sq, B + panel * step, sb, C + i * sc + j, sc,
                rows if n - i > rows else n - i, m, W if k - j > W else k - j, add, far,
            )


cdef void product_pass(
    const real *A, Py_ssize_t sa, Py_ssize_t sq, const real *B, Py_ssize_t sbq, Py_ssize_t sbj,
    real *C, Py_ssize_t sc, Py_ssize_t n, Py_ssize_t m, Py_ssize_t k, bint add, Py_ssize_t depth,
    real *room,
) noexcept nogil:
    """So many rows of B at once, packed a few panels at a time. Where tiles are high they read 128
    bytes of B for so many sums that it need not lie near: there B is read as it lies, but for the
    last columns, as whole vectors may reach to where nothing may be read."""
    cdef Py_ssize_t W = PANEL // sizeof(real), some = TOGETHER * W, q, deep, j, w, block, group
    cdef Py_ssize_t far = depth * sq if FEW == MOST_FEW else 0
    cdef Py_ssize_t lies = k - k % (LINE // sizeof(real)) if far and sbj == 1 else 0
    for block in range((m + depth - 1) // depth):
        q = block * depth
        deep = m - q if m - q < depth else depth
        over_panels(A + q * sq, sa, sq, B + q * sbq, sbq, W, C, sc, n, deep, lies, add or q > 0, far)
        for group in range((k - lies + some - 1) // some):
            j = lies + group * some
            w = k - j if k - j < some else some
            pack(B + q * sbq + j * sbj, sbq, sbj, room, deep, w, W)
            over_panels(
                A + q * sq, sa, sq, room, W, deep * W, C + j, sc, n, deep, w, add or q > 0, far)


cdef Py_ssize_t padded_width(Py_ssize_t k, Py_ssize_t size) noexcept nogil:
    """Columns of whole panels."""
    return (k * size + PANEL - 1) // PANEL * (PANEL // size)


cdef int require_whole(Py_ssize_t first, Py_ssize_t second, Py_ssize_t size) except -1:
    """Steps from one number to the next in whole numbers, unlike those of a field of records."""
    if first % size or second % size:
        raise ValueError("Strides must be multiples of the size of a number. Pass a copy.")
    return 0


cdef bint whole_panels(Py_ssize_t size, Py_ssize_t m, Py_ssize_t width) noexcept:
    """size = m·width, which may be beyond all numbers where A repeats one row without end."""
    return size == 0 if m == 0 or width == 0 else size % width == 0 and size // width == m


cdef bint nothing_left(real *C, const Step *s) noexcept nogil:
    """Whether C is complete without a product: it is empty, or a sum of nothing."""
    cdef Py_ssize_t n = s.size[0], m = s.size[1], k = s.size[2], i, j
    if m == 0 and not s.size[8]:
        for i in range(n):
            for j in range(k):
                C[i * s.size[7] + j] = 0
    return n == 0 or k == 0 or m == 0


cdef inline int product_typed(const Step *s, real *C) noexcept nogil:
    cdef Py_ssize_t m = s.size[1], k = s.size[2]
    if nothing_left(C, s):
        return 0
    cdef Py_ssize_t depth = SHALLOW if s.size[3] == 1 and s.size[4] != 1 else DEEP
    cdef Py_ssize_t deep = m if m < depth else depth
    cdef char *room = <char *>malloc(
        deep * min(TOGETHER * PANEL, padded_width(k, sizeof(real)) * sizeof(real)) + LINE
    )
    if room == NULL:
        return 1
    product_pass(
        <const real *>s.at[0], s.size[3], s.size[4], <const real *>s.at[1], s.size[5], s.size[6], C,
        s.size[7], s.size[0], m, k, s.size[8] != 0, depth, <real *>(room + LINE - <size_t>room % LINE),
    )
    free(room)
    return 0


cdef int run_product(const void *step) noexcept nogil:
    cdef const Step *s = <const Step *>step
    return product_typed(s, <double *>s.at[2]) if s.wide else product_typed(s, <float *>s.at[2])


cdef inline void panels_typed(const Step *s, real *C) noexcept nogil:
    cdef Py_ssize_t m = s.size[1], k = s.size[2], W = PANEL // sizeof(real), block, q, deep
    if nothing_left(C, s):
        return
    for block in range((m + DEEP - 1) // DEEP):
        q = block * DEEP
        deep = m - q if m - q < DEEP else DEEP
        over_panels(
            <const real *>s.at[0] + q * s.size[4], s.size[3], s.size[4],
            <const real *>s.at[1] + q * padded_width(k, sizeof(real)), W, deep * W, C, s.size[7],
            s.size[0], deep, k, s.size[8] != 0 or q > 0, 0,
        )


cdef int run_panels(const void *step) noexcept nogil:
    cdef const Step *s = <const Step *>step
    if s.wide:
        panels_typed(s, <double *>s.at[2])
    else:
        panels_typed(s, <float *>s.at[2])
    return 0


cdef Step product_step(const real[:, :] A, real[:, :] C, Py_ssize_t add) except *:
    """What both products know of A and C, or an error."""
    cdef Step s
    cdef Py_ssize_t size = sizeof(real)
    require_whole(A.strides[0], A.strides[1], size)
    require_whole(C.strides[0], C.strides[1], size)
    require_tables_apart(table(C, size), table(A, size))
    s.wide = real is double
    s.size[0], s.size[1], s.size[2], s.size[8] = A.shape[0], A.shape[1], C.shape[1], add
    if s.size[0] > 0 and s.size[2] > 1 and C.strides[1] != size:
        raise ValueError("The rows of C must lie without gaps. Pass such an array.")
    s.size[3], s.size[4], s.size[7] = A.strides[0] // size, A.strides[1] // size, C.strides[0] // size
    s.at[0], s.at[2] = <void *>&A[0, 0], &C[0, 0]
    return s


cdef Step matrix_step(const real[:, :] A, const real[:, :] B, Py_ssize_t add, real[:, :] C) except *:
    """A call of `matrix_product`, or an error."""
    cdef Py_ssize_t size = sizeof(real)
    if B.shape[0] != A.shape[1] or C.shape[0] != A.shape[0] or C.shape[1] != B.shape[1]:
        raise ValueError("A (n, m), B (m, k) and C (n, k) must fit together. Pass such.")
    require_whole(B.strides[0], B.strides[1], size)
    require_tables_apart(table(C, size), table(B, size))
    cdef Step s = product_step(A, C, add)
    s.run, s.at[1] = run_product, <void *>&B[0, 0]
    s.size[5], s.size[6] = B.strides[0] // size, B.strides[1] // size
    return s


cdef Step panels_step(const real[:, :] A, const real[::1] panels, Py_ssize_t add, real[:, :] C) except *:
    """A call of `panel_product`, or an error."""
    cdef Py_ssize_t size = sizeof(real)
    if C.shape[0] != A.shape[0] or not whole_panels(
        panels.shape[0], A.shape[1], padded_width(C.shape[1], size)
    ):
        raise ValueError("A (n, m), panels of B (m, k) and C (n, k) must fit together. Pass such.")
    require_tables_apart(table(C, size), vector(panels, size))
    cdef Step s = product_step(A, C, add)
    s.run, s.at[1] = run_panels, <void *>&panels[0]
    return s


def matrix_product(
    const real[:, :] A not None, const real[:, :] B not None, add, real[:, :] C not None,
):
    """C = A·B, or C += A·B where add is true. Rows of C must lie without gaps, and share no memory with A or B. Changes C."""
    cdef Py_ssize_t also = add  # no None, no text
    cdef Step s = matrix_step(A, B, also, C)
    run_now(&s)


def _later_matrix_product(
    const real[:, :] A not None, const real[:, :] B not None, add, real[:, :] C not None,
):
    cdef Py_ssize_t also = add
    cdef Step s = matrix_step(A, B, also, C)
    return kept(&s)


def pack_panels(const real[:, :] B not None, real[::1] panels not None):
    """panels = the columns of B (m, k), 32 at a time (16 in float64), row by row, zeros beyond the last, of 384 rows after the other: what `panel_product` reads. Changes panels."""
    cdef Py_ssize_t m = B.shape[0], k = B.shape[1], size = sizeof(panels[0]), q, width, block
    width = padded_width(k, size)
    if not whole_panels(panels.shape[0], m, width):
        raise ValueError("panels must hold m times the columns of whole panels. Pass such.")
    require_whole(B.strides[0], B.strides[1], size)
    require_tables_apart(vector(panels, size), table(B, size))
    if m == 0 or k == 0:
        return
    with nogil:
        for block in range((m + DEEP - 1) // DEEP):
            q = block * DEEP
            pack(
                &B[0, 0] + q * (B.strides[0] // size), B.strides[0] // size, B.strides[1] // size,
                &panels[q * width], m - q if m - q < DEEP else DEEP, k, PANEL // size,
            )


def panel_product(
    const real[:, :] A not None, const real[::1] panels not None, add, real[:, :] C not None,
):
    """C = A·B, or C += A·B where add is true, with the panels of B: `matrix_product` to the bit where rows of A lie without gaps. Changes C."""
    cdef Py_ssize_t also = add  # no None, no text
    cdef Step s = panels_step(A, panels, also, C)
    run_now(&s)


def _later_panel_product(
    const real[:, :] A not None, const real[::1] panels not None, add, real[:, :] C not None,
):
    cdef Py_ssize_t also = add
    cdef Step s = panels_step(A, panels, also, C)
    return kept(&s)
