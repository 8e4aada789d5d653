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
from _math cimport (
    LANES, as_double, bits64, exp_negative, fold, hot_void, inline_double, inline_void, real, two_artanh,
)
from _memory cimport require_apart, require_same_or_apart, span
from _philox cimport drop
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


cdef inline inline_double soften(real *z, Py_ssize_t n, real *most) noexcept nogil:
    """z[:n] = e^(z − max z), zeros up to the next multiple of LANES and of FEW; their sum, ≥ 1."""
    cdef real lane[LANES]
    cdef real e, high, zero = 0
    cdef Py_ssize_t j, l, whole = n - n % LANES, rest = n % LANES
    for l in range(LANES):
        lane[l] = z[0]
    for j in range(0, whole, 16):
        for l in range(LANES):
            lane[l] = z[j + l] if z[j + l] > lane[l] else lane[l]
    if rest:
        for l in range(LANES):
            lane[l] = z[whole + l] if l < rest and z[whole + l] > lane[l] else lane[l]
    for l in range(8):
        lane[l] = lane[l + 8] if lane[l + 8] > lane[l] else lane[l]
    for l in range(4):
        lane[l] = lane[l + 4] if lane[l + 4] > lane[l] else lane[l]
    high = lane[0]
    for l in range(1, 4):
        high = lane[l] if lane[l] > high else high
    for l in range(LANES):
        lane[l] = 0
    for j in range(0, whole, 16):
        for l in range(LANES):
            e = exp_negative(z[j + l] - high)
            z[j + l] = e
            lane[l] = lane[l] + e
    if rest:
        for l in range(LANES):
            e = exp_negative(z[whole + l] - high)
            e = e if l < rest else zero
            z[whole + l] = e
            lane[l] = lane[l] + e
    if rest == 0 or rest + MOST_FEW > LANES + 1:
        whole += LANES if rest else 0
        for l in range(LANES):
            z[whole + l] = 0
    most[0] = high
    return fold(lane)


cdef inline inline_double natural_log(double x) noexcept nogil:
    """log x for x ≥ 1, NaN for NaN and infinity: x = m·2ⁿ, log m = 2 artanh((m − 1)/(m + 1))."""
    cdef long long bits = bits64(x)
    cdef double m = as_double((bits & <long long>0xFFFFFFFFFFFFF) | (<long long>1023 << 52))
    return (<double>((bits >> 52) - 1023) * 0.6931471805599453 + two_artanh((m - 1) / (m + 1))) + (x - x)


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


cdef inline inline_void slopes(
    const Shape *s, real *p, real *g, real lse, real share, Py_ssize_t i, double rate,
    uint64_t key, uint64_t number,
) noexcept nogil:
    """From scores p and dP in g of place i: weights, as they were used, in p, and dS in g."""
    cdef real zero = 0
    cdef Py_ssize_t j, l, n = i + 1, whole = n - n % LANES, end = padded(n + MOST_FEW - 1)
    if rate > 0:
        drop(g, rate, key, (number * s.t + i) * s.t, g, n)
    for j in range(whole):
        p[j] = exp_negative(p[j] - lse)
        g[j] = p[j] * (g[j] - share)
    for j in range(whole, end, 16):
        for l in range(LANES):
            p[j + l] = exp_negative(p[j + l] - lse) if j + l < n else zero
            g[j + l] = p[j + l] * (g[j + l] - share) if j + l < n else zero
    if rate > 0:
        drop(p, rate, key, (number * s.t + i) * s.t, p, n)


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


cdef Shape shape_of(
    Py_ssize_t t, Py_ssize_t columns, Py_ssize_t heads, Py_ssize_t bias, Py_ssize_t places, Py_ssize_t angles,
) except *:
    """How a head lies, or an error."""
    cdef Shape s
    if heads < 1 or columns == 0 or columns % 3 or columns // 3 % heads:
        raise ValueError("qkv must be 3·heads·d wide. Pass heads that divide its thirds.")
    if bias != 0 and bias != columns:
        raise ValueError("The bias must have one number a column, or none. Pass such.")
    s.t, s.width, s.heads, s.d = t, columns // 3, heads, columns // 3 // heads
    s.D, s.P = padded(s.d), padded(t + MOST_FEW - 1)
    if places * angles and (places != t or angles != s.d or s.d % 2):
        raise ValueError("turns must have d numbers for each place, d even, or none. Pass such.")
    return s


cdef int require_outputs(
    const Shape *s, Py_ssize_t n, const real[:, :, ::1] out, const real[:, :, ::1] lse, double rate,
) except -1:
    if (
        out.shape[0] != n or out.shape[1] != s.t or out.shape[2] != s.width
        or lse.shape[0] != n or lse.shape[1] != s.heads or lse.shape[2] != s.t
    ):
        raise ValueError("out must be (n, t, heads·d) and lse (n, heads, t). Pass such.")
    if not (0 <= rate < 1):
        raise ValueError("rate must be in [0, 1). Pass the share to leave out.")
    return 0


def causal_attention(
    const real[:, :, ::1] qkv not None, const real[::1] bias not None,
    const real[:, ::1] turns not None, heads, rate, key, first, real[:, :, ::1] out not None,
    real[:, :, ::1] lse not None,
):
    """out = softmax(QKᵀ/√d, over no later place)·V for each head, where Q, K and V are the thirds of qkv + bias (n, t, 3·heads·d), Q and K rotated by turns (t, d) of cosines and sines; lse = log Σ e^score. bias and turns may be empty. Weights are dropped with probability rate: sequence i has the words of first + i. Changes out and lse."""
    cdef Py_ssize_t n = qkv.shape[0], numbers
    cdef double share = rate
    cdef uint64_t seed = key, start = first
    cdef Shape s = shape_of(qkv.shape[1], qkv.shape[2], heads, bias.shape[0], turns.shape[0], turns.shape[1])
    require_outputs(&s, n, out, lse, share)
    require_apart(2, 5, span(out), span(lse), span(qkv), span(bias), span(turns))
    if n == 0 or s.t == 0:
        return
    numbers = 4 * s.t * s.D + (BLOCK + s.D) * s.P
    cdef char *room = <char *>malloc(numbers * sizeof(qkv[0, 0, 0]) + LINE)
    if room == NULL:
        raise MemoryError
    with nogil:
        forward_pass(
            &s, &qkv[0, 0, 0], &bias[0] if bias.shape[0] else NULL,
            &turns[0, 0] if turns.shape[0] and turns.shape[1] else NULL, share, seed, start,
            &out[0, 0, 0], &lse[0, 0, 0], <real *>(room + LINE - <size_t>room % LINE), n,
        )
        free(room)


def causal_attention_backward(
    const real[:, :, ::1] qkv not None, const real[::1] bias not None,
    const real[:, ::1] turns not None, heads, rate, key, first, const real[:, :, ::1] out not None,
    const real[:, :, ::1] lse not None, const real[:, :, ::1] dout not None,
    real[:, :, ::1] dqkv not None, real[::1] dbias not None,
):
    """dqkv from dout, the gradient of what `causal_attention` gave in out and lse; its sums over sequences and places are added to dbias, which may be empty. dqkv may be qkv. Changes dqkv and dbias."""
    cdef Py_ssize_t n = qkv.shape[0], numbers
    cdef double share = rate
    cdef uint64_t seed = key, start = first
    cdef Shape s = shape_of(qkv.shape[1], qkv.shape[2], heads, bias.shape[0], turns.shape[0], turns.shape[1])
    require_outputs(&s, n, out, lse, share)
    if (
        dqkv.shape[0] != n or dqkv.shape[1] != s.t or dqkv.shape[2] != qkv.shape[2]
        or dout.shape[0] != n or dout.shape[1] != s.t or dout.shape[2] != s.width
    ):
        raise ValueError("dqkv and dout must have the shapes of qkv and out. Pass such.")
    if dbias.shape[0] != bias.shape[0]:
        raise ValueError("dbias must be as long as bias. Pass such.")
    require_same_or_apart(span(dqkv), span(qkv))
    require_apart(1, 2, span(dbias), span(qkv))
    require_apart(2, 7, span(dbias), span(dqkv), span(bias), span(turns), span(out), span(lse), span(dout))
    if n == 0 or s.t == 0:
        return
    numbers = 6 * s.t * s.D + 2 * (BLOCK + s.D) * s.P
    cdef char *room = <char *>malloc(numbers * sizeof(qkv[0, 0, 0]) + LINE)
    if room == NULL:
        raise MemoryError
    with nogil:
        backward_pass(
            &s, &qkv[0, 0, 0], &bias[0] if bias.shape[0] else NULL,
            &turns[0, 0] if turns.shape[0] and turns.shape[1] else NULL, share, seed, start,
            &out[0, 0, 0], &lse[0, 0, 0], &dout[0, 0, 0], &dqkv[0, 0, 0],
            &dbias[0] if dbias.shape[0] else NULL, <real *>(room + LINE - <size_t>room % LINE), n,
        )
        free(room)
