"""Rows in CSR form: checked, gathered and merged. NumPy twins: gdcore/_numpy/sparse.py."""
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from _math cimport hot_void, real
from _memory cimport require_apart, span
from _sparse cimport index, outside_pass, require_rows, rows_hold

cdef enum:
    RUN = 16  # entries that are sorted by insertion before runs are merged


cdef hot_void falls_pass(const index *indices, Py_ssize_t n, long long *falls) noexcept nogil:
    cdef Py_ssize_t i
    cdef long long count = 0
    for i in range(1, n):
        count += indices[i] <= indices[i - 1]
    falls[0] = count


cdef bint rows_rise(const index *indices, const long long *indptr, Py_ssize_t n, Py_ssize_t entries) noexcept nogil:
    """Do the columns of every row rise? Then none comes twice."""
    cdef long long falls = 0, start
    cdef Py_ssize_t i
    falls_pass(indices, entries, &falls)
    for i in range(n):  # from one row to the next they may fall
        start = indptr[i]
        if 0 < start < indptr[i + 1]:
            falls -= indices[start] <= indices[start - 1]
    return falls == 0


cdef long long repeating_row(
    const index *indices, const long long *indptr, Py_ssize_t n, long long *owner, index *held, int bits,
    bint roomy,
) noexcept nogil:
    """The first row that names a column twice, or −1, by a table that each row uses anew."""
    cdef Py_ssize_t i
    cdef long long j
    cdef uint64_t slot, mask = (<uint64_t>1 << bits) - 1
    for i in range(n):
        for j in range(indptr[i], indptr[i + 1]):
            slot = <uint64_t>indices[j]
            if not roomy:
                slot = (slot * <uint64_t>0x9E3779B97F4A7C15) >> (64 - bits)
            while owner[slot] == i + 1:
                if held[slot] == indices[j]:
                    return i
                slot = (slot + 1) & mask
            owner[slot] = i + 1
            held[slot] = indices[j]
    return -1


cdef long long longest_row(const long long *indptr, Py_ssize_t n) noexcept nogil:
    cdef long long most = 0
    cdef Py_ssize_t i
    for i in range(n):
        most = indptr[i + 1] - indptr[i] if indptr[i + 1] - indptr[i] > most else most
    return most


def check_csr(const index[::1] indices not None, const long long[::1] indptr not None, columns):
    """(fault, place) of rows in CSR form: 0 none; 1 indptr does not begin at 0, 2 falls at a row, 3 does not end at the number of entries; 4 an entry's column is outside; 5 a row names a column twice."""
    cdef Py_ssize_t n = indptr.shape[0] - 1, entries = indices.shape[0], i
    cdef long long p = columns, wrong = 0, row = -1
    cdef long long *owner
    cdef index *held
    cdef int bits = 1
    if n < 0 or p < 0:
        raise ValueError("indptr must have one number more than rows, and columns be at least 0. Pass such.")
    if not rows_hold(indptr, entries):
        if indptr[0] != 0:
            return 1, 0
        for i in range(n):
            if indptr[i + 1] < indptr[i]:
                return 2, i
        return 3, 0
    if entries == 0:
        return 0, 0
    with nogil:
        outside_pass(&indices[0], entries, p, &wrong)
    if wrong:
        for i in range(entries):
            if indices[i] < 0 or indices[i] >= p:
                return 4, i
    if rows_rise(&indices[0], &indptr[0], n, entries):
        return 0, 0
    wrong = 2 * longest_row(&indptr[0], n)
    while (<long long>1 << bits) < wrong and (<long long>1 << bits) < p:
        bits += 1
    owner = <long long *>calloc(<size_t>1 << bits, sizeof(long long))
    held = <index *>malloc((<size_t>1 << bits) * sizeof(index))
    if owner != NULL and held != NULL:
        with nogil:
            row = repeating_row(&indices[0], &indptr[0], n, owner, held, bits, (<long long>1 << bits) >= p)
        wrong = 0
    free(owner)
    free(held)
    if wrong:
        raise MemoryError("There is no memory for the columns of the longest row. Pass fewer rows.")
    if row < 0:
        return 0, 0
    return 5, row


def take_csr_rows(
    const real[::1] data not None, const index[::1] indices not None, const long long[::1] indptr not None,
    const long long[::1] rows not None, real[::1] new_data not None, index[::1] new_indices not None,
    long long[::1] new_indptr not None,
):
    """These rows, one after another. Changes new_data, new_indices and new_indptr."""
    cdef Py_ssize_t n = indptr.shape[0] - 1, entries = data.shape[0], count = rows.shape[0], i
    cdef long long a, b, at = 0, wrong = 0
    if indices.shape[0] != entries:
        raise ValueError("data and indices must have one length. Pass one column number for each number.")
    for i in range(count):
        wrong += rows[i] < 0 or rows[i] >= n
    if wrong:
        raise ValueError("rows must hold row numbers. Pass numbers from 0 to n − 1.")
    for i in range(count):  # of these rows only: a batch must not cost as much as all rows
        a = indptr[rows[i]]
        b = indptr[rows[i] + 1]
        if a < 0 or b < a or b > entries:
            raise ValueError("indptr must begin at 0, never fall, and end at the number of entries. Pass such.")
        at += b - a
    if new_indptr.shape[0] != count + 1 or new_data.shape[0] != at or new_indices.shape[0] != at:
        raise ValueError("The new arrays must have room for the rows' entries, and no more. Pass such.")
    require_apart(
        3, 7, span(new_data), span(new_indices), span(new_indptr), span(data), span(indices), span(indptr),
        span(rows))
    at = 0
    new_indptr[0] = 0
    with nogil:
        for i in range(count):
            a = indptr[rows[i]]
            b = indptr[rows[i] + 1] - a
            if b:
                memcpy(&new_data[at], &data[a], b * sizeof(real))
                memcpy(&new_indices[at], &indices[a], b * sizeof(index))
            at += b
            new_indptr[i + 1] = at


cdef void sort_run(index *columns, real *values, Py_ssize_t n) noexcept nogil:
    """Insertion, which leaves equal columns in their order."""
    cdef Py_ssize_t i, j
    cdef index column
    cdef real value
    for i in range(1, n):
        column = columns[i]
        value = values[i]
        j = i
        while j > 0 and columns[j - 1] > column:
            columns[j] = columns[j - 1]
            values[j] = values[j - 1]
            j -= 1
        columns[j] = column
        values[j] = value


cdef void sort_row(index *columns, real *values, Py_ssize_t n, index *spare, real *room) noexcept nogil:
    """By column, equal ones in their order: short runs, which are then merged two by two."""
    cdef Py_ssize_t width = RUN, a, b, middle, end, at
    for b in range((n + RUN - 1) // RUN):
        a = b * RUN
        sort_run(columns + a, values + a, RUN if a + RUN < n else n - a)
    while width < n:
        memcpy(spare, columns, n * sizeof(index))
        memcpy(room, values, n * sizeof(real))
        at = 0
        while at < n:
            a = at
            middle = b = a + width if a + width < n else n
            end = middle + width if middle + width < n else n
            while at < end:
                if b >= end or (a < middle and spare[a] <= spare[b]):
                    columns[at] = spare[a]
                    values[at] = room[a]
                    a += 1
                else:
                    columns[at] = spare[b]
                    values[at] = room[b]
                    b += 1
                at += 1
        width *= 2


cdef Py_ssize_t merge_pass(
    real *data, index *indices, long long *indptr, Py_ssize_t n, index *spare, real *room,
) noexcept nogil:
    """Entries that are left."""
    cdef Py_ssize_t i
    cdef long long a = 0, b, j, at = 0, start
    for i in range(n):
        b = indptr[i + 1]
        for j in range(a + 1, b):
            if indices[j] <= indices[j - 1]:
                sort_row(indices + a, data + a, b - a, spare, room)
                break
        start = at
        for j in range(a, b):
            if at > start and indices[at - 1] == indices[j]:
                data[at - 1] = data[at - 1] + data[j]
            else:
                indices[at] = indices[j]
                data[at] = data[j]
                at += 1
        indptr[i + 1] = at
        a = b
    for j in range(at, a):
        data[j] = 0
        indices[j] = 0
    return at


def merge_csr(real[::1] data not None, index[::1] indices not None, long long[::1] indptr not None):
    """Sort each row by column and add up what one column holds, in its order; the entries that are left, at the front, and zeros behind them. Changes data, indices and indptr."""
    cdef Py_ssize_t n = indptr.shape[0] - 1, entries = data.shape[0], left = -1
    cdef long long most
    cdef index *spare
    cdef real *room
    require_rows(entries, indices.shape[0], indptr)
    require_apart(3, 3, span(data), span(indices), span(indptr))
    if entries == 0:
        return 0
    most = longest_row(&indptr[0], n)
    spare = <index *>malloc(most * sizeof(index))
    room = <real *>malloc(most * sizeof(real))
    if spare != NULL and room != NULL:
        with nogil:
            left = merge_pass(&data[0], &indices[0], &indptr[0], n, spare, room)
    free(spare)
    free(room)
    if left < 0:
        raise MemoryError("There is no memory for a copy of the longest row. Pass fewer rows.")
    return left
