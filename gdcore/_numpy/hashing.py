"""Names hashed to columns, in Python. Compiled twins: src/hashing.pyx.

Twins agree to the bit.
"""

import math
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from gdcore._numpy._require import (
    require_aligned,
    require_apart,
    require_arrays,
    require_whole,
    require_writeable,
)
from gdcore._typing import Array

__all__ = ["hash_rows", "murmur3"]

WORD = 0xFFFFFFFF


def murmur3(data: bytes, seed: int) -> int:
    """MurmurHash3 of bytes: x86, 32 bits, as a whole number without a sign."""
    if not isinstance(data, bytes):
        raise TypeError(f"data must be bytes, got {type(data).__name__}. Encode it.")
    return _murmur(data, _unsigned(seed))


def hash_rows(
    rows: list[Any],
    first: int,
    columns: int,
    seed: int,
    sign: int,
    data: Array,
    indices: Array,
    indptr: Array,
) -> int:
    """Hash the names in a list of rows, each a dict, or a list of strings or pairs, to columns; the entries written, zeros left out. `first` is the first row's number in errors. Changes data, indices and indptr."""
    require_arrays(data)
    require_whole(indptr=indptr)
    _require_short(indices)
    require_writeable(data, indices, indptr)
    if not isinstance(rows, list):
        raise TypeError("rows must be a list. Pass list(rows).")
    first, columns, seed, sign = operator.index(first), *map(_unsigned, (columns, seed, sign))
    if len(indices) != len(data) or len(indptr) != len(rows) + 1 or not 0 < columns < 2**31:
        raise ValueError(
            "data and indices must have one length, indptr one more than rows, and columns be above 0. Pass such."
        )
    require_apart((data, indices, indptr))
    at, indptr[0] = 0, 0
    for i, row in enumerate(rows):
        number = first + i
        try:
            for name, value, word in _entries(row, number):
                found = _entry(name, value, word, number, seed)
                if found is None:
                    continue
                if at >= len(data):
                    raise ValueError(
                        "data and indices must have room for every entry of rows. Pass such."
                    )
                amount, h = found
                negative = h >= 2**31
                data[at] = -amount if negative and sign else amount
                indices[at] = (2**32 - h if negative else h) % columns
                at += 1
        except UnicodeError as error:
            raise ValueError(
                f"rows[{number}] holds what is no text in UTF-8 ({error}). Mend it."
            ) from error
        indptr[i + 1] = at
    return at


def _entries(row: Any, number: int) -> Iterator[tuple[Any, Any, bool]]:
    """(name, value, is it a word?) of what a row holds."""
    if isinstance(row, dict):
        for name, value in row.items():
            yield name, value, False
    elif isinstance(row, (list, tuple)):
        for item in row:
            if isinstance(item, (str, bytes)):
                yield item, None, True
            elif isinstance(item, (list, tuple)) and len(item) == 2:
                yield item[0], item[1], False
            else:
                raise TypeError(
                    f"rows[{number}] holds {item!r}. Pass strings, or pairs of a name and a value."
                )
    else:
        raise TypeError(
            f"rows[{number}] is of type {type(row).__name__}. Pass a dict, or a list of strings or pairs."
        )


def _entry(name: Any, value: Any, word: bool, number: int, seed: int) -> tuple[float, int] | None:
    """(amount, hash); None for zero."""
    amount = 1.0
    if value is None and not word:
        _number(name, value, number)
    if not isinstance(name, (str, bytes)):
        raise TypeError(f"rows[{number}] has {name!r} where a name is due. Pass a string.")
    text = name.encode() if isinstance(name, str) else name
    if isinstance(value, str):
        text = text + b"=" + value.encode()
    elif not word:
        amount = _number(name, value, number)
        if amount == 0:
            return None
    return amount, _murmur(text, seed)


def _number(name: Any, value: Any, row: int) -> float:
    try:
        number = math.ldexp(value, 0)
    except Exception as error:
        raise TypeError(
            f"rows[{row}] has {value!r} for {name!r}. Pass a number or a string."
        ) from error
    if not math.isfinite(number):
        raise ValueError(
            f"rows[{row}] has {value!r} for {name!r}. Pass a finite number, or leave it out."
        )
    return number


def _murmur(data: bytes, seed: int) -> int:
    h, whole = seed, len(data) - len(data) % 4
    for i in range(0, whole, 4):
        h ^= _stir(int.from_bytes(data[i : i + 4], "little"))
        h = (_turn(h, 13) * 5 + 0xE6546B64) & WORD
    if whole < len(data):
        h ^= _stir(int.from_bytes(data[whole:], "little"))
    h ^= len(data) & WORD
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & WORD
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & WORD
    return h ^ (h >> 16)


def _stir(k: int) -> int:
    return (_turn((k * 0xCC9E2D51) & WORD, 15) * 0x1B873593) & WORD


def _turn(x: int, by: int) -> int:
    return ((x << by) | (x >> (32 - by))) & WORD


def _unsigned(value: int) -> int:
    number = operator.index(value)
    if not 0 <= number <= WORD:
        raise OverflowError("value too large to convert to uint32_t")
    return number


def _require_short(indices: Array) -> None:
    if not isinstance(indices, np.ndarray):
        raise TypeError(f"A kernel takes NumPy arrays, got {type(indices).__name__}. Convert it.")
    plain = indices.dtype == np.int32 and indices.dtype.isnative and indices.ndim == 1
    if not plain or not indices.flags.c_contiguous:
        raise ValueError("indices must be contiguous int32. Pass such.")
    require_aligned(indices)
