"""Loss and gradient of small dense networks in one call, rows in cache-sized blocks. NumPy twin:
gdcore/_numpy/chains.py."""
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from _activations cimport GELU, LINEAR, SOFTPLUS, backward, forward
from _batches cimport cell, take_row
from _heads cimport LOGISTIC, SOFTMAX, SQUARED, head as head_rows
from _math cimport hot_double, inline_void, real
from _memory cimport require_apart, span
from _tiles cimport padded, product

_HEADS = {
    "softmax_cross_entropy": SOFTMAX,
    "logistic_cross_entropy": LOGISTIC,
    "squared_error": SQUARED,
}
cdef enum:
    BLOCK = 64  # rows at a time: what they leave behind stays in the cache
    MOST_LAYERS = 32
    LINE = 64  # bytes: vectors across two lines of the cache take a quarter longer
    FEW = 32  # rows for which a copy of the weights would not pay

cdef inline inline_void pack(
    const real *W, real *out, Py_ssize_t p, Py_ssize_t k, bint turned,
) noexcept nogil:
    """W (p, k) with its rows, or columns, padded by zeros."""
    cdef Py_ssize_t i, j, P = padded(p), K = padded(k)
    memset(out, 0, (k * P if turned else p * K) * sizeof(real))
    for i in range(p):
        if turned:
            for j in range(k):
                out[j * P + i] = W[i * k + j]
        else:
            for j in range(k):
                out[i * K + j] = W[i * k + j]


cdef inline inline_void forward_block(
    const long long *widths, const long long *kinds, Py_ssize_t layers, const real *W, real **act,
    real **slope, real *room, Py_ssize_t R,
) noexcept nogil:
    """Activations of every layer, from those of the inputs."""
    cdef Py_ssize_t l, p, k, K
    for l in range(layers):
        p, k = widths[l], widths[l + 1]
        K = padded(k)
        if k == K and (R < FEW or <size_t>W % LINE == 0):
            product(act[l], padded(p), 1, W, k, act[l + 1], K, R, p, k, False)
        else:
            pack(W, room, p, k, False)
            product(act[l], padded(p), 1, room, K, act[l + 1], K, R, p, K, False)
        forward(<int>kinds[l], act[l + 1], W + p * k, slope[l + 1], R, k, K)
        W += p * k + k


cdef inline inline_void backward_block(
    const long long *widths, const long long *kinds, Py_ssize_t layers, const real *W, real **act,
    real **slope, real *d, real *other, real *room, real *g, Py_ssize_t R, bint add,
) noexcept nogil:
    """Gradients of every layer into g, from that of the outputs in d; W and g point to their ends.

    Added to g as sums over the block: the bits are those of blocks that other threads computed.
    """
    cdef Py_ssize_t l, j, p, k, K, P
    for l in range(layers - 1, -1, -1):
        p, k = widths[l], widths[l + 1]
        P, K = padded(p), padded(k)
        W -= p * k + k
        g -= p * k + k
        memset(other, 0, k * sizeof(real))  # sums over this block, which then join the others'
        backward(<int>kinds[l], act[l + 1], slope[l + 1] if kinds[l] >= GELU else <real *>NULL, d, other, R, k, K)
        for j in range(k):
            g[p * k + j] = g[p * k + j] + other[j] if add else other[j]
        product(act[l], 1, P, d, K, g, k, p, R, k, add)
        if l:
            pack(W, room, p, k, True)
            product(d, K, 1, room, P, other, P, R, k, P, False)
            d, other = other, d


cdef hot_double chain_pass(
    const cell *X, const long long *rows, const cell *shift, const real *inverse, const double *Y,
    Py_ssize_t targets, const double *s, const long long *widths, const long long *kinds,
    Py_ssize_t layers, const real *theta, Py_ssize_t size, int loss, double scale, real *g,
    real *scratch, double *yb, Py_ssize_t n,
) noexcept nogil:
    """Blocks of rows forward and backward. scratch is laid out as `scratch_size` counts it."""
    cdef real *act[MOST_LAYERS + 1]
    cdef real *slope[MOST_LAYERS + 1]
    cdef real *d
    cdef real *other
    cdef Py_ssize_t block, start, R, i, j, l, widest = 0, p = widths[0], k = widths[layers]
    cdef double total = 0
    cdef double *sb = yb + BLOCK * targets
    for l in range(layers + 1):
        act[l] = scratch
        slope[l] = scratch + BLOCK * padded(widths[l])
        scratch += 2 * BLOCK * padded(widths[l])
        widest = widths[l] if widths[l] > widest else widest
    d, other = scratch, scratch + BLOCK * padded(widest)
    scratch += 2 * BLOCK * padded(widest)
    for block in range((n + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        R = n - start if n - start < BLOCK else BLOCK
        for i in range(R):
            take_row(X + rows[start + i] * p, shift, inverse, act[0] + i * padded(p), p)
            for j in range(targets):
                yb[i * targets + j] = Y[rows[start + i] * targets + j]
            sb[i] = s[rows[start + i]]
        forward_block(widths, kinds, layers, theta, act, slope, scratch, R)
        memset(d, 0, R * padded(k) * sizeof(real))
        total += head_rows(loss, act[layers], yb, sb, scale, d, R, k, padded(k))
        backward_block(
            widths, kinds, layers, theta + size, act, slope, d, other, scratch, g + size, R,
            start > 0,
        )
    return total


cdef Py_ssize_t scratch_size(const long long[::1] widths) noexcept:
    """Numbers of scratch: values and slopes of each layer, two gradients, packed weights."""
    cdef Py_ssize_t l, widest = 0, room = 0, total = 0, p, k
    for l in range(widths.shape[0]):
        total += 2 * BLOCK * padded(widths[l])
        widest = widths[l] if widths[l] > widest else widest
    for l in range(widths.shape[0] - 1):
        p, k = widths[l], widths[l + 1]
        room = max(room, p * padded(k), k * padded(p))
    return total + 2 * BLOCK * padded(widest) + room


cdef int require_chain(
    const long long[::1] widths, const long long[::1] kinds, Py_ssize_t p, Py_ssize_t size,
    Py_ssize_t g, Py_ssize_t targets, int loss,
) except -1:
    cdef Py_ssize_t l, total = 0, layers = kinds.shape[0]
    if not (0 < layers <= MOST_LAYERS) or widths.shape[0] != layers + 1:
        raise ValueError("widths must have one number more than kinds, for 1 to 32 layers. Pass such.")
    for l in range(layers):
        if not (LINEAR <= kinds[l] <= SOFTPLUS):
            raise ValueError("kinds must hold codes of activations. Pass numbers from 0 to 8.")
    for l in range(layers + 1):
        if not (0 < widths[l] < 1 << 24):
            raise ValueError("widths must be positive, below 2²⁴. Pass those of the layers.")
    for l in range(layers):
        total += (widths[l] + 1) * widths[l + 1]
    if widths[0] != p or size != total or g != total:
        raise ValueError("X, theta and g must be as wide and long as widths say. Pass such.")
    if targets != (1 if loss == SOFTMAX else widths[layers]):
        raise ValueError("Y must have a column for each output, or one of class numbers. Pass such.")
    return 0


cdef int require_rows(
    const long long[::1] rows, const double[:, ::1] Y, Py_ssize_t n, Py_ssize_t weights,
    Py_ssize_t k, int loss,
) except -1:
    cdef Py_ssize_t i, wrong = 0
    if Y.shape[0] != n or weights != n:
        raise ValueError("X, Y and weights must have one number of rows. Pass one target and weight a row.")
    for i in range(rows.shape[0]):
        wrong += rows[i] < 0 or rows[i] >= n
    if wrong:
        raise ValueError("rows must hold row numbers of X. Pass numbers from 0 to n − 1.")
    if loss == SOFTMAX:
        for i in range(rows.shape[0]):
            wrong += not (0 <= Y[rows[i], 0] < k)
        if wrong:
            raise ValueError("Y must hold class numbers. Pass numbers from 0 to k − 1.")
    return 0


def chain_gradient(
    const cell[:, ::1] X not None, const long long[::1] rows not None,
    const cell[::1] shift not None, const real[::1] inverse not None,
    const double[:, ::1] Y not None, const double[::1] weights not None,
    const long long[::1] widths not None, const long long[::1] kinds not None,
    const real[::1] theta not None, head, scale, real[::1] g not None,
):
    """Weighted sum of the losses of a chain of dense layers over the rows (X[rows] − shift)·inverse; g = scale times its gradient in theta, which holds W and b of each layer. Changes g."""
    cdef Py_ssize_t n = rows.shape[0], p = X.shape[1], targets = Y.shape[1], layers = kinds.shape[0]
    cdef double by = scale, loss = 0
    cdef object code = _HEADS.get(head) if isinstance(head, str) else None
    if code is None:
        raise ValueError(f"head must be one of {', '.join(_HEADS)}, got {head!r}. Pass one of them.")
    cdef int which = code
    require_chain(widths, kinds, p, theta.shape[0], g.shape[0], targets, which)
    if shift.shape[0] != inverse.shape[0] or (shift.shape[0] != p and shift.shape[0] != 0):
        raise ValueError("shift and inverse must have one number a column, or none. Pass such.")
    require_rows(rows, Y, X.shape[0], weights.shape[0], widths[layers], which)
    require_apart(
        1, 10, span(g), span(X), span(rows), span(shift), span(inverse), span(Y), span(weights),
        span(widths), span(kinds), span(theta))
    if n == 0:
        memset(&g[0], 0, g.shape[0] * sizeof(g[0]))
        return 0.0
    cdef Py_ssize_t doubles = BLOCK * (targets + 1)
    cdef Py_ssize_t numbers = scratch_size(widths)
    cdef char *room = <char *>malloc((doubles + numbers) * sizeof(double) + LINE)
    if room == NULL:
        raise MemoryError
    cdef double *scratch = <double *>(room + LINE - <size_t>room % LINE)
    with nogil:
        loss = chain_pass(
            &X[0, 0], &rows[0], &shift[0] if shift.shape[0] else NULL,
            &inverse[0] if inverse.shape[0] else NULL, &Y[0, 0], targets, &weights[0], &widths[0],
            &kinds[0], layers, &theta[0], theta.shape[0], which, by, &g[0],
            <real *>(scratch + doubles), scratch, n,
        )
        free(room)
    return loss
