"""Names hashed to columns. NumPy twins: gdcore/_numpy/hashing.py."""
from cython cimport boundscheck
from libc.math cimport isfinite
from libc.stdint cimport int32_t, uint32_t
from libc.string cimport memcpy

from _math cimport real
from _memory cimport require_apart, span

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    int PyBytes_AsStringAndSize(object data, char **bytes, Py_ssize_t *size) except -1
    double PyFloat_AsDouble(object value) except? -1.0
    double quick_number "PyFloat_AsDouble"(object value) noexcept
    void *PyErr_Occurred()
    void PyErr_Clear()

cdef enum:
    SCRATCH = 256  # bytes of "name=value" that need no Python object


cdef inline uint32_t turn(uint32_t x, int by) noexcept nogil:
    return (x << by) | (x >> (32 - by))


cdef inline uint32_t stir(uint32_t k) noexcept nogil:
    return turn(k * <uint32_t>0xcc9e2d51, 15) * <uint32_t>0x1b873593


cdef uint32_t murmur(const unsigned char *data, Py_ssize_t n, uint32_t seed) noexcept nogil:
    """Words are put together from bytes, for machines of either byte order; compilers read them at once."""
    cdef uint32_t h = seed, k
    cdef Py_ssize_t i, whole = n - n % 4
    for i in range(0, whole, 4):
        k = data[i] | (<uint32_t>data[i + 1] << 8) | (<uint32_t>data[i + 2] << 16) \
            | (<uint32_t>data[i + 3] << 24)
        h = turn(h ^ stir(k), 13) * 5 + <uint32_t>0xe6546b64
    k = 0
    for i in range(n - 1, whole - 1, -1):
        k = (k << 8) | data[i]
    if n > whole:
        h ^= stir(k)
    h ^= <uint32_t>n
    h = (h ^ (h >> 16)) * <uint32_t>0x85ebca6b
    h = (h ^ (h >> 13)) * <uint32_t>0xc2b2ae35
    return h ^ (h >> 16)


cdef inline int text_of(object text, const char **start, Py_ssize_t *size) except -1:
    if isinstance(text, str):
        start[0] = PyUnicode_AsUTF8AndSize(text, size)
    else:
        PyBytes_AsStringAndSize(text, <char **>start, size)
    return 0


cdef uint32_t hash_of(object name, object value, uint32_t seed) except? 0:
    """Of the name, or of "name=value" where the value is text."""
    cdef const char *first = NULL
    cdef const char *second = NULL
    cdef Py_ssize_t n = 0, m = 0
    cdef char room[SCRATCH]
    text_of(name, &first, &n)
    if not isinstance(value, str):
        return murmur(<const unsigned char *>first, n, seed)
    text_of(value, &second, &m)
    if n < SCRATCH and m < SCRATCH - n:
        memcpy(room, first, n)
        room[n] = 61  # =
        memcpy(room + n + 1, second, m)
        return murmur(<const unsigned char *>room, n + 1 + m, seed)
    joined = first[:n] + b"=" + second[:m]
    return murmur(<const unsigned char *><char *>joined, n + 1 + m, seed)


cdef struct Place:
    uint32_t seed, columns
    bint sign
    long long row
    Py_ssize_t at, room


cdef inline double number_at_once(object name, object value, long long row) except? -1.0:
    """Without the frame of a try, which costs more than all the rest."""
    cdef double number = quick_number(value)
    if (number == -1 and PyErr_Occurred() != NULL) or not isfinite(number):
        PyErr_Clear()
        return number_of(name, value, row)
    return number


cdef double number_of(object name, object value, long long row) except? -1.0:
    cdef double number
    try:
        number = PyFloat_AsDouble(value)
    except Exception as error:
        raise TypeError(f"rows[{row}] has {value!r} for {name!r}. Pass a number or a string.") from error
    if not isfinite(number):
        raise ValueError(f"rows[{row}] has {value!r} for {name!r}. Pass a finite number, or leave it out.")
    return number


cdef int entry(Place *to, object name, object value, real *data, int *indices) except -1:
    """One more entry; without a value, as words come, it counts 1."""
    cdef double number = 1
    cdef uint32_t h, size
    if not isinstance(name, (str, bytes)):
        raise TypeError(f"rows[{to.row}] has {name!r} where a name is due. Pass a string.")
    if value is not None and not isinstance(value, str):
        number = number_at_once(name, value, to.row)
        if number == 0:
            return 0
    h = hash_of(name, value, to.seed)
    if to.at >= to.room:
        raise ValueError("data and indices must have room for every entry of rows. Pass such.")
    size = h
    if <int32_t>h < 0:
        size = <uint32_t>(0 - <long long>h)
        number = -number if to.sign else number
    data[to.at] = <real>number
    indices[to.at] = <int>(size % to.columns)
    to.at += 1
    return 0


cdef int one_row(Place *to, object row, real *data, int *indices) except -1:
    if isinstance(row, dict):
        for name, value in (<dict>row).items():
            if value is None:
                number_of(name, value, to.row)
            entry(to, name, value, data, indices)
    elif isinstance(row, (list, tuple)):
        for item in row:
            if isinstance(item, (str, bytes)):
                entry(to, item, None, data, indices)
            elif isinstance(item, (list, tuple)) and len(item) == 2:
                name, value = (<tuple>item) if isinstance(item, tuple) else item
                if value is None:
                    number_of(name, value, to.row)
                entry(to, name, value, data, indices)
            else:
                raise TypeError(f"rows[{to.row}] holds {item!r}. Pass strings, or pairs of a name and a value.")
    else:
        raise TypeError(f"rows[{to.row}] is of type {type(row).__name__}. Pass a dict, or a list of strings or pairs.")
    return 0


def murmur3(data, seed):
    """MurmurHash3 of bytes: x86, 32 bits, as a whole number without a sign."""
    cdef uint32_t by = seed
    cdef char *start = NULL
    cdef Py_ssize_t n = 0
    PyBytes_AsStringAndSize(data, &start, &n)
    return murmur(<const unsigned char *>start, n, by)


def hash_rows(
    rows, first, columns, seed, sign, real[::1] data not None, int[::1] indices not None,
    long long[::1] indptr not None,
):
    """Hash the names in a list of rows, each a dict, or a list of strings or pairs, to columns; the entries written, zeros left out. `first` is the first row's number in errors. Changes data, indices and indptr."""
    cdef Place to
    cdef long long start = first, i
    cdef uint32_t signs = sign  # no bint: that takes anything
    cdef Py_ssize_t n
    if not isinstance(rows, list):
        raise TypeError("rows must be a list. Pass list(rows).")
    n = len(rows)
    to.seed, to.sign, to.columns = seed, signs, columns
    to.at, to.room = 0, data.shape[0]
    if indices.shape[0] != to.room or indptr.shape[0] != n + 1 or to.columns == 0 or to.columns > 2147483647:
        raise ValueError("data and indices must have one length, indptr one more than rows, and columns be above 0. Pass such.")
    require_apart(3, 3, span(data), span(indices), span(indptr))
    indptr[0] = 0
    for i in range(n):
        to.row = <long long>(<unsigned long long>start + <unsigned long long>i)
        try:
            with boundscheck(True):  # what a value's __float__ does to the list is not ours to know
                row = rows[i]
            one_row(&to, row, &data[0], &indices[0])
        except UnicodeError as error:
            raise ValueError(f"rows[{to.row}] holds what is no text in UTF-8 ({error}). Mend it.") from error
        indptr[i + 1] = to.at
    return to.at
