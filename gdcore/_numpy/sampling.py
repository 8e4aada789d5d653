"""Dropout by a counter-based generator, and rows taken or added where numbers say, in NumPy. Compiled
twins: src/sampling.pyx. Twins agree to the bit.
"""

import numpy as np

from gdcore._numpy._require import (
    numbers,
    require_apart,
    require_arrays,
    require_same_or_apart,
    require_whole,
    require_writeable,
)
from gdcore._typing import Array

__all__ = ["add_rows", "dropout", "embed"]

LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
LAST = np.uint64((1 << 62) - 1)  # block of four words


def dropout(x: Array, rate: float, key: int, first: int, out: Array) -> None:
    """out = x/(1 − rate), or zero with probability rate: element i by word first + i of the Philox stream of a key. out may be x. Changes out."""
    require_arrays(x, out)
    require_writeable(out)
    (rate,) = numbers(rate)
    key, first = unsigned(key), unsigned(first)
    if not 0 <= rate < 1:
        raise ValueError("rate must be in [0, 1). Pass the share to leave out.")
    if len(x) != len(out):
        raise ValueError("x and out must have one length. Pass out=numpy.empty_like(x).")
    require_same_or_apart(out, x)
    kept = words(first, len(x), key) >= np.uint64(int(rate * 2**32))
    with np.errstate(all="ignore"):
        out[:] = np.where(kept, x * x.dtype.type(1 / (1 - rate)), x.dtype.type(0))


def words(first: int, n: int, key: int) -> Array:
    """n words of a key's stream from number first on; it begins again after 2⁶⁴."""
    first %= 1 << 64
    blocks = np.arange(first // 4, (first + n + 3) // 4, dtype=np.uint64) & LAST
    return _philox(blocks, key)[first % 4 :][:n]


def _philox(blocks: Array, key: int) -> Array:
    """Four words for each block (Philox4x32-10: Salmon et al., 2011)."""
    a, b = blocks & LOW, blocks >> HALF
    c, d = np.zeros_like(a), np.zeros_like(a)
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        one, two = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b = (two >> HALF) ^ b ^ np.uint64(k0), two & LOW
        c, d = (one >> HALF) ^ d ^ np.uint64(k1), one & LOW
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([a, b, c, d], axis=1).ravel()


def embed(table: Array, rows: Array, places: Array, out: Array) -> None:
    """out[i] = table[rows[i]], or the nearest row that there is, + places[i mod t], where places (t, p) has rows. Changes out."""
    require_arrays(table, places, out, ndim=2)
    require_writeable(out)
    require_whole(rows=rows)
    if out.shape != (len(rows), table.shape[1]):
        raise ValueError("out must have a row for each of rows, as wide as the table. Pass such.")
    if len(places) and places.shape[1] != table.shape[1]:
        raise ValueError("places must be as wide as the table, or have no rows. Pass such.")
    if len(rows) and not len(table):
        raise ValueError("The table has no rows to take. Pass one that has.")
    require_apart((out,), table, rows, places)
    with np.errstate(all="ignore"):
        out[:] = table[np.clip(rows, 0, len(table) - 1)]
        if len(places):
            out += places[np.arange(len(rows)) % len(places)]


def add_rows(table: Array, rows: Array, values: Array) -> None:
    """table[rows[i]] += values[i], one after another. Changes table."""
    require_arrays(table, values, ndim=2)
    require_writeable(table)
    require_whole(rows=rows)
    if values.shape != (len(rows), table.shape[1]):
        raise ValueError(
            "values must have a row for each of rows, as wide as the table. Pass such."
        )
    if not ((rows >= 0) & (rows < len(table))).all():
        raise ValueError("rows must hold row numbers of the table. Pass numbers from 0 to n − 1.")
    require_apart((table,), rows, values)
    with np.errstate(all="ignore"):
        np.add.at(table, rows, values)


def unsigned(value: int) -> int:
    """A whole number of 64 bits without a sign, as the compiled twin takes it."""
    if isinstance(value, (float, str, bytes)) or value is None:
        raise TypeError(f"A kernel takes whole numbers here, got {value!r}. Convert it.")
    value = int(value)
    if not 0 <= value < 1 << 64:
        raise OverflowError("can't convert negative value to uint64_t")
    return value
