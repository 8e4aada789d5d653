"""Attention of one more token. NumPy twin: gdcore/_numpy/decoding.py."""
from libc.math cimport sqrt
from libc.stdlib cimport free, malloc

from _attention cimport meeting
from _math cimport exp_negative, hot_void, inline_void, real
from _memory cimport require_apart, span


cdef inline inline_void turn_pairs(real *x, const real *turn, Py_ssize_t d) noexcept nogil:
    """Pairs (x_j, x_{j + d/2}) turned by the angle whose cosine and sine `turn` holds."""
    cdef Py_ssize_t j, half = d // 2
    cdef real a, b
    for j in range(half):
        a, b = x[j], x[j + half]
        x[j] = a * turn[j] - b * turn[j + half]
        x[j + half] = a * turn[j + half] + b * turn[j]


cdef inline inline_void head_pass(
    const real *q, const real *keys, const real *values, Py_ssize_t width, Py_ssize_t d,
    Py_ssize_t n, real *z, real *out,
) noexcept nogil:
    """out (d,) of one head from its query and n keys and values, `width` apart."""
    cdef real high, share
    cdef double total = 0
    cdef Py_ssize_t i, j
    for i in range(n):
        z[i] = <real>meeting(q, keys + i * width, d)
    high = z[0]
    for i in range(n):
        high = z[i] if z[i] > high else high
    for i in range(n):
        z[i] = exp_negative(z[i] - high)
    for i in range(n):
        total += z[i]
    for j in range(d):
        out[j] = 0
    for i in range(n):
        share = z[i]
        for j in range(d):
            out[j] = out[j] + share * values[i * width + j]
    share = <real>(1.0 / total)
    for j in range(d):
        out[j] = out[j] * share


cdef hot_void step_pass(
    const real *row, const real *bias, const real *turn, Py_ssize_t heads, Py_ssize_t d,
    Py_ssize_t place, real *keys, real *values, real *q, real *out,
) noexcept nogil:
    """One row; q has room for the query and for as many scores as there are places."""
    cdef Py_ssize_t h, j, width = heads * d
    cdef real scale = <real>(1.0 / sqrt(<double>d))
    cdef real *k = keys + place * width
    cdef real *v = values + place * width
    for j in range(width):
        q[j], k[j], v[j] = row[j], row[width + j], row[2 * width + j]
    if bias != NULL:
        for j in range(width):
            q[j] = q[j] + bias[j]
        for j in range(width):
            k[j] = k[j] + bias[width + j]
        for j in range(width):
            v[j] = v[j] + bias[2 * width + j]
    if turn != NULL:
        for h in range(heads):
            turn_pairs(q + h * d, turn, d)
            turn_pairs(k + h * d, turn, d)
    for j in range(width):
        q[j] = q[j] * scale
    for h in range(heads):
        head_pass(q + h * d, keys + h * d, values + h * d, width, d, place + 1, q + width, out + h * d)


cdef int require_shapes(
    Py_ssize_t n, Py_ssize_t columns, Py_ssize_t bias, Py_ssize_t heads, Py_ssize_t out_rows,
    Py_ssize_t out, Py_ssize_t texts, Py_ssize_t places,
) except -1:
    if heads < 1 or columns == 0 or columns % 3 or columns // 3 % heads:
        raise ValueError("qkv must be 3·heads·d wide. Pass heads that divide its thirds.")
    if bias != 0 and bias != columns:
        raise ValueError("The bias must have one number a column, or none. Pass such.")
    if out_rows != n or out != columns // 3 or texts != n or places != n:
        raise ValueError("out must be (r, heads·d), texts and places (r,). Pass such.")
    return 0


cdef int require_inside(
    const long long[::1] texts, const long long[::1] places, Py_ssize_t most, Py_ssize_t last,
) except -1:
    cdef Py_ssize_t i
    for i in range(texts.shape[0]):
        if not (0 <= texts[i] < most and 0 <= places[i] < last):
            raise ValueError("texts and places must be those of keys and values. Pass numbers of them.")
    return 0


def cached_attention(
    const real[:, ::1] qkv not None, const real[::1] bias not None, const real[:, ::1] turns not None,
    heads, const long long[::1] texts not None, const long long[::1] places not None,
    real[:, :, ::1] keys not None, real[:, :, ::1] values not None, real[:, ::1] out not None,
):
    """Row i of qkv + bias (r, 3·heads·d) holds query, key and value of place places[i] of text texts[i]: its key, turned by that row of turns (t, d), and its value are put into keys and values (texts, t, heads·d), then out[i] = softmax(qKᵀ/√d)·V over all places up to it, for each head. bias and turns may be empty. Changes keys, values and out."""
    cdef Py_ssize_t n = qkv.shape[0], columns = qkv.shape[1], count = heads, i, at, d, t = keys.shape[1]
    cdef bint turned = turns.shape[0] * turns.shape[1] != 0
    require_shapes(n, columns, bias.shape[0], count, out.shape[0], out.shape[1], texts.shape[0], places.shape[0])
    if (
        keys.shape[0] != values.shape[0] or t != values.shape[1]
        or keys.shape[2] != columns // 3 or values.shape[2] != columns // 3
    ):
        raise ValueError("keys and values must be (texts, t, heads·d). Pass such.")
    d = columns // 3 // count
    if turned and (turns.shape[0] != t or turns.shape[1] != d or d % 2):
        raise ValueError("turns must have d numbers for each place, d even, or none. Pass such.")
    require_inside(texts, places, keys.shape[0], t)
    require_apart(
        3, 8, span(keys), span(values), span(out), span(qkv), span(bias), span(turns), span(texts),
        span(places))
    if n == 0:
        return
    cdef char *room = <char *>malloc((columns // 3 + t) * sizeof(qkv[0, 0]))
    if room == NULL:
        raise MemoryError
    with nogil:
        for i in range(n):
            at = texts[i] * t * (columns // 3)
            step_pass(
                &qkv[i, 0], &bias[0] if bias.shape[0] else NULL,
                &turns[places[i], 0] if turned else NULL, count, d, places[i], &keys[0, 0, 0] + at,
                &values[0, 0, 0] + at, <real *>room, &out[i, 0],
            )
        free(room)
