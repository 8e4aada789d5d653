"""Causal multi-head attention, forward and backward, by blocks of places. NumPy twins:
gdcore/_numpy/attention.py.

One head of one sequence at a time: its Q, K and V are packed with their bias, rotated and scaled,
and what follows are products in register tiles over the lower triangle alone.
"""
from libc.math cimport sqrt
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from _attention cimport Shape, give, meeting, take
from _math cimport hot_void, inline_void, real
from _memory cimport require_apart, require_same_or_apart, span
from _philox cimport drop
from _scores cimport natural_log, slopes, soften
from _steps cimport Step, kept, run_now
from _tiles cimport FEW, MOST_FEW, padded, product, turn

cdef enum:
    BLOCK = 64  # places whose scores exist at once
    LINE = 64  # bytes


cdef inline inline_void along(
    const Shape *s, const real *rows, const real *over, real *S, Py_ssize_t a, Py_ssize_t b,
) noexcept nogil:
    """S[i − a, j] = rows[i]·over[:, j] for places a ≤ i < b and j ≤ i, and some beyond."""
    cdef Py_ssize_t block, i, n
    for block in range((b - a + FEW - 1) // FEW):
        i = a + block * FEW
        n = FEW if b - i > FEW else b - i
        product(rows + i * s.D, s.D, 1, over, s.P, S + (i - a) * s.P, s.P, n, s.d, padded(i + n), False)


cdef inline inline_void across(
    const Shape *s, const real *S, const real *rows, real *out, Py_ssize_t a, Py_ssize_t b,
) noexcept nogil:
    """out[i − a] = Σ_j≤i S[i − a, j]·rows[j]; S is zero for FEW places where j > i."""
    cdef Py_ssize_t block, i, n
    for block in range((b - a + FEW - 1) // FEW):
        i = a + block * FEW
        n = FEW if b - i > FEW else b - i
        product(S + (i - a) * s.P, s.P, 1, rows, s.D, out + (i - a) * s.D, s.D, n, i + n, s.D, False)


cdef inline inline_void down(
    const Shape *s, const real *S, const real *rows, real *out, Py_ssize_t a, Py_ssize_t b,
) noexcept nogil:
    """out[j] += Σ_i≥j S[i − a, j]·rows[i] over places a ≤ i < b."""
    cdef Py_ssize_t block, i, j, n
    for block in range((b + FEW - 1) // FEW):
        j = block * FEW
        n = FEW if b - j > FEW else b - j
        i = j if j > a else a
        product(S + (i - a) * s.P + j, 1, s.P, rows + i * s.D, s.D, out + j * s.D, s.D, n, b - i, s.D, True)


cdef inline inline_void forward_head(
    const Shape *s, const real *Q, const real *KT, const real *V, real *S, real *O,
    double rate, uint64_t key, uint64_t number, real *out, real *lse,
) noexcept nogil:
    """out (t, width) and lse (t,) of one head."""
    cdef Py_ssize_t block, a, b, i, j
    cdef real share
    cdef double total[BLOCK]
    for block in range((s.t + BLOCK - 1) // BLOCK):
        a = block * BLOCK
        b = a + BLOCK if s.t - a > BLOCK else s.t
        along(s, Q, KT, S, a, b)
        for i in range(a, b):
            total[i - a] = soften(S + (i - a) * s.P, i + 1, lse + i)
            if rate > 0:
                drop(S + (i - a) * s.P, rate, key, (number * s.t + i) * s.t, S + (i - a) * s.P, i + 1)
        across(s, S, V, O, a, b)
        for i in range(a, b):
            lse[i] = <real>(lse[i] + natural_log(total[i - a]))
        for i in range(a, b):
            share = <real>(1.0 / total[i - a])
            for j in range(s.d):
                out[i * s.width + j] = O[(i - a) * s.D + j] * share


cdef inline inline_void backward_head(
    const Shape *s, real **room, const real *out, const real *dout, const real *lse,
    double rate, uint64_t key, uint64_t number,
) noexcept nogil:
    """dQ, dK and dV of one head; room holds Q, K, KT, VT, dO, dQ, dK, dV and the scores twice."""
    cdef real *S = room[8]
    cdef real *G = room[9]
    cdef real share, one = 1
    cdef Py_ssize_t block, a, b, i
    memset(room[6], 0, s.t * s.D * sizeof(real))
    memset(room[7], 0, s.t * s.D * sizeof(real))
    take(s, dout, s.width, <real *>NULL, <real *>NULL, one, room[4])
    for block in range((s.t + BLOCK - 1) // BLOCK):
        a = block * BLOCK
        b = a + BLOCK if s.t - a > BLOCK else s.t
        along(s, room[0], room[2], S, a, b)
        along(s, room[4], room[3], G, a, b)
        for i in range(a, b):
            share = <real>meeting(dout + i * s.width, out + i * s.width, s.d)
            slopes(s, S + (i - a) * s.P, G + (i - a) * s.P, lse[i], share, i, rate, key, number)
        across(s, G, room[1], room[5] + a * s.D, a, b)
        down(s, G, room[0], room[6], a, b)
        down(s, S, room[4], room[7], a, b)


cdef hot_void forward_pass(
    const Shape *s, const real *qkv, const real *bias, const real *turns, double rate, uint64_t key,
    uint64_t first, real *out, real *lse, real *scratch, Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t i, h, part, rows = s.t * s.D
    cdef real one = 1, scale = <real>(1.0 / sqrt(<double>s.d))
    cdef real *S = scratch + 4 * rows
    cdef real *KT = S + BLOCK * s.P
    cdef const real *own
    for i in range(n):
        for h in range(s.heads):
            for part in range(3):
                own = NULL if bias == NULL else bias + part * s.width + h * s.d
                take(
                    s, qkv + part * s.width + h * s.d, 3 * s.width, own, turns if part < 2 else <real *>NULL,
                    one if part else scale, scratch + part * rows,
                )
            turn(scratch + rows, s.D, KT, s.P, s.D, s.t)
            forward_head(
                s, scratch, KT, scratch + 2 * rows, S, scratch + 3 * rows, rate, key,
                (first + i) * s.heads + h, out + h * s.d, lse + h * s.t,
            )
        qkv += 3 * s.t * s.width
        out += s.t * s.width
        lse += s.heads * s.t


cdef hot_void backward_pass(
    const Shape *s, const real *qkv, const real *bias, const real *turns, double rate, uint64_t key,
    uint64_t first, const real *out, const real *lse, const real *dout, real *dqkv, real *db,
    real *scratch, Py_ssize_t n,
) noexcept nogil:
    cdef Py_ssize_t i, h, part, at, rows = s.t * s.D
    cdef real one = 1, scale = <real>(1.0 / sqrt(<double>s.d))
    cdef real *room[10]
    room[0], room[1], room[4] = scratch, scratch + rows, scratch + 2 * rows  # Q, K, dO
    room[5], room[6], room[7] = scratch + 3 * rows, scratch + 4 * rows, scratch + 5 * rows
    room[2] = scratch + 6 * rows  # Kᵀ, Vᵀ
    room[3] = room[2] + s.D * s.P
    room[8] = room[3] + s.D * s.P
    room[9] = room[8] + BLOCK * s.P
    for i in range(n):
        for h in range(s.heads):
            for part in range(3):
                at = part * s.width + h * s.d
                take(  # V lies where dO will
                    s, qkv + at, 3 * s.width, bias + at if bias != NULL else bias,
                    turns if part < 2 else <real *>NULL, one if part else scale,
                    room[4] if part == 2 else room[part],
                )
            turn(room[1], s.D, room[2], s.P, s.D, s.t)
            turn(room[4], s.D, room[3], s.P, s.D, s.t)
            backward_head(
                s, room, out + h * s.d, dout + h * s.d, lse + h * s.t, rate, key,
                (first + i) * s.heads + h,
            )
            for part in range(3):
                at = part * s.width + h * s.d
                give(
                    s, room[5 + part], turns if part < 2 else <real *>NULL, one if part else scale,
                    dqkv + at, db + at if db != NULL else db,
                )
        qkv += 3 * s.t * s.width
        dqkv += 3 * s.t * s.width
        out += s.t * s.width
        dout += s.t * s.width
        lse += s.heads * s.t


cdef int require_heads(
    Py_ssize_t t, Py_ssize_t columns, Py_ssize_t heads, Py_ssize_t bias, Py_ssize_t places, Py_ssize_t angles,
) except -1:
    if heads < 1 or columns == 0 or columns % 3 or columns // 3 % heads:
        raise ValueError("qkv must be 3·heads·d wide. Pass heads that divide its thirds.")
    if bias != 0 and bias != columns:
        raise ValueError("The bias must have one number a column, or none. Pass such.")
    cdef Py_ssize_t d = columns // 3 // heads
    if places * angles and (places != t or angles != d or d % 2):
        raise ValueError("turns must have d numbers for each place, d even, or none. Pass such.")
    return 0


cdef int require_outputs(
    Py_ssize_t n, Py_ssize_t t, Py_ssize_t width, Py_ssize_t heads, const real[:, :, ::1] out,
    const real[:, :, ::1] lse, double rate,
) except -1:
    if (
        out.shape[0] != n or out.shape[1] != t or out.shape[2] != width
        or lse.shape[0] != n or lse.shape[1] != heads or lse.shape[2] != t
    ):
        raise ValueError("out must be (n, t, heads·d) and lse (n, heads, t). Pass such.")
    if not (0 <= rate < 1):
        raise ValueError("rate must be in [0, 1). Pass the share to leave out.")
    return 0


cdef inline int forward_typed(const Step *step, const real *qkv) noexcept nogil:
    cdef Shape s = shape_in(step)
    cdef char *room = <char *>malloc((4 * s.t * s.D + (BLOCK + s.D) * s.P) * sizeof(real) + LINE)
    if room == NULL:
        return 1
    forward_pass(
        &s, qkv, <real *>step.at[1], <real *>step.at[2], step.number[0], step.word[0], step.word[1],
        <real *>step.at[3], <real *>step.at[4], <real *>(room + LINE - <size_t>room % LINE), step.size[0],
    )
    free(room)
    return 0


cdef int run_forward(const void *step) noexcept nogil:
    cdef const Step *s = <const Step *>step
    if s.size[0] == 0 or s.size[1] == 0:
        return 0
    return forward_typed(s, <double *>s.at[0]) if s.wide else forward_typed(s, <float *>s.at[0])


cdef inline int backward_typed(const Step *step, const real *qkv) noexcept nogil:
    cdef Shape s = shape_in(step)
    cdef char *room = <char *>malloc((6 * s.t * s.D + 2 * (BLOCK + s.D) * s.P) * sizeof(real) + LINE)
    if room == NULL:
        return 1
    backward_pass(
        &s, qkv, <real *>step.at[1], <real *>step.at[2], step.number[0], step.word[0], step.word[1],
        <real *>step.at[3], <real *>step.at[4], <real *>step.at[5], <real *>step.at[6],
        <real *>step.at[7], <real *>(room + LINE - <size_t>room % LINE), step.size[0],
    )
    free(room)
    return 0


cdef int run_backward(const void *step) noexcept nogil:
    cdef const Step *s = <const Step *>step
    if s.size[0] == 0 or s.size[1] == 0:
        return 0
    return backward_typed(s, <double *>s.at[0]) if s.wide else backward_typed(s, <float *>s.at[0])


cdef inline Shape shape_in(const Step *step) noexcept nogil:
    cdef Shape s
    s.t, s.width, s.heads = step.size[1], step.size[2], step.size[3]
    s.d = s.width // s.heads
    s.D, s.P = padded(s.d), padded(s.t + MOST_FEW - 1)
    return s


cdef Step forward_step(
    const real[:, :, ::1] qkv, const real[::1] bias, const real[:, ::1] turns, Py_ssize_t heads,
    double rate, uint64_t key, uint64_t first, real[:, :, ::1] out, real[:, :, ::1] lse,
) except *:
    """A call of `causal_attention`, or an error."""
    cdef Step s
    require_heads(qkv.shape[1], qkv.shape[2], heads, bias.shape[0], turns.shape[0], turns.shape[1])
    require_outputs(qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3, heads, out, lse, rate)
    require_apart(2, 5, span(out), span(lse), span(qkv), span(bias), span(turns))
    s.run, s.wide, s.number[0], s.word[0], s.word[1] = run_forward, real is double, rate, key, first
    s.size[0], s.size[1], s.size[2], s.size[3] = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3, heads
    s.at[0], s.at[1] = <void *>&qkv[0, 0, 0], <void *>&bias[0] if bias.shape[0] else NULL
    s.at[2] = <void *>&turns[0, 0] if turns.shape[0] and turns.shape[1] else NULL
    s.at[3], s.at[4] = <void *>&out[0, 0, 0], <void *>&lse[0, 0, 0]
    return s


cdef Step backward_step(
    const real[:, :, ::1] qkv, const real[::1] bias, const real[:, ::1] turns, Py_ssize_t heads,
    double rate, uint64_t key, uint64_t first, const real[:, :, ::1] out, const real[:, :, ::1] lse,
    const real[:, :, ::1] dout, real[:, :, ::1] dqkv, real[::1] dbias,
) except *:
    """A call of `causal_attention_backward`, or an error."""
    cdef Step s
    require_heads(qkv.shape[1], qkv.shape[2], heads, bias.shape[0], turns.shape[0], turns.shape[1])
    require_outputs(qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3, heads, out, lse, rate)
    if (
        dqkv.shape[0] != qkv.shape[0] or dqkv.shape[1] != qkv.shape[1] or dqkv.shape[2] != qkv.shape[2]
        or dout.shape[0] != qkv.shape[0] or dout.shape[1] != qkv.shape[1] or dout.shape[2] != out.shape[2]
    ):
        raise ValueError("dqkv and dout must have the shapes of qkv and out. Pass such.")
    if dbias.shape[0] != bias.shape[0]:
        raise ValueError("dbias must be as long as bias. Pass such.")
    require_same_or_apart(span(dqkv), span(qkv))
    require_apart(1, 2, span(dbias), span(qkv))
    require_apart(2, 7, span(dbias), span(dqkv), span(bias), span(turns), span(out), span(lse), span(dout))
    s.run, s.wide, s.number[0], s.word[0], s.word[1] = run_backward, real is double, rate, key, first
    s.size[0], s.size[1], s.size[2], s.size[3] = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3, heads
    s.at[0], s.at[1] = <void *>&qkv[0, 0, 0], <void *>&bias[0] if bias.shape[0] else NULL
    s.at[2] = <void *>&turns[0, 0] if turns.shape[0] and turns.shape[1] else NULL
    s.at[3], s.at[4], s.at[5] = <void *>&out[0, 0, 0], <void *>&lse[0, 0, 0], <void *>&dout[0, 0, 0]
    s.at[6], s.at[7] = &dqkv[0, 0, 0], &dbias[0] if dbias.shape[0] else NULL
    return s


def causal_attention(
    const real[:, :, ::1] qkv not None, const real[::1] bias not None,
    const real[:, ::1] turns not None, heads, rate, key, first, real[:, :, ::1] out not None,
    real[:, :, ::1] lse not None,
):
    """out = softmax(QKᵀ/√d, over no later place)·V for each head, where Q, K and V are the thirds of qkv + bias (n, t, 3·heads·d), Q and K rotated by turns (t, d) of cosines and sines; lse = log Σ e^score. bias and turns may be empty. Weights are dropped with probability rate: sequence i has the words of first + i. Changes out and lse."""
    cdef Py_ssize_t count = heads
    cdef double share = rate
    cdef uint64_t seed = key, start = first
    cdef Step s = forward_step(qkv, bias, turns, count, share, seed, start, out, lse)
    run_now(&s)


def _later_causal_attention(
    const real[:, :, ::1] qkv not None, const real[::1] bias not None,
    const real[:, ::1] turns not None, heads, rate, key, first, real[:, :, ::1] out not None,
    real[:, :, ::1] lse not None,
):
    cdef Py_ssize_t count = heads
    cdef double share = rate
    cdef uint64_t seed = key, start = first
    cdef Step s = forward_step(qkv, bias, turns, count, share, seed, start, out, lse)
    return kept(&s)


def causal_attention_backward(
    const real[:, :, ::1] qkv not None, const real[::1] bias not None,
    const real[:, ::1] turns not None, heads, rate, key, first, const real[:, :, ::1] out not None,
    const real[:, :, ::1] lse not None, const real[:, :, ::1] dout not None,
    real[:, :, ::1] dqkv not None, real[::1] dbias not None,
):
    """dqkv from dout, the gradient of what `causal_attention` gave in out and lse; its sums over sequences and places are added to dbias, which may be empty. dqkv may be qkv. Changes dqkv and dbias."""
    cdef Py_ssize_t count = heads
    cdef double share = rate
    cdef uint64_t seed = key, start = first
    cdef Step s = backward_step(qkv, bias, turns, count, share, seed, start, out, lse, dout, dqkv, dbias)
    run_now(&s)


def _later_causal_attention_backward(
    const real[:, :, ::1] qkv not None, const real[::1] bias not None,
    const real[:, ::1] turns not None, heads, rate, key, first, const real[:, :, ::1] out not None,
    const real[:, :, ::1] lse not None, const real[:, :, ::1] dout not None,
    real[:, :, ::1] dqkv not None, real[::1] dbias not None,
):
    cdef Py_ssize_t count = heads
    cdef double share = rate
    cdef uint64_t seed = key, start = first
    cdef Step s = backward_step(qkv, bias, turns, count, share, seed, start, out, lse, dout, dqkv, dbias)
    return kept(&s)
