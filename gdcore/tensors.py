"""Arrays in the safetensors format, by NumPy alone: read as they lie on the disk, checked first.

The format: eight bytes with the length of a header, the header in JSON with each tensor's dtype,
shape and place, then the numbers, little-endian, every byte of them a tensor's
(https://github.com/huggingface/safetensors).
"""

import json
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np

from gdcore._typing import Array, ArrayLike, PathLike
from gdcore.disk import as_path, damaged, replace, require_plain
from gdcore.errors import require

KINDS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
NAMES = {np.dtype(kind): name for name, kind in KINDS.items() if name != "BF16"}
Span: TypeAlias = tuple[str, list[int], int, int]  # dtype, shape, begin and end
MOST_AXES = 64  # as NumPy's arrays; the product of a million lengths would take hours
LONGEST = 100_000_000  # bytes of a header, as the format's own library allows


def write(
    path: PathLike, arrays: Mapping[str, ArrayLike], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays {name: array} and metadata {name: text}, whole or not at all.

    Example
    -------
    >>> import os, tempfile, numpy as np
    >>> from gdcore import tensors
    >>> path = os.path.join(tempfile.mkdtemp(), "numbers.safetensors")
    >>> tensors.write(path, {"w": np.eye(2)}, {"what": "an example"})
    >>> arrays, metadata = tensors.read(path)
    >>> arrays["w"].tolist(), metadata
    ([[1.0, 0.0], [0.0, 1.0]], {'what': 'an example'})
    """
    header: dict[str, Any] = {}
    end, kept = 0, {}
    if metadata:
        header["__metadata__"] = metadata
    for name, array in arrays.items():
        free = name != "__metadata__"
        require(free, "__metadata__ is no name of a tensor. Pass the array under another.")
        array = np.asarray(array)
        kind = NAMES.get(array.dtype.newbyteorder("<"))
        if kind is None:
            raise ValueError(
                f"Tensor {name} has dtype {array.dtype}. Pass numbers or truth values."
            )
        kept[name] = np.ascontiguousarray(array, KINDS[kind]).reshape(array.shape)
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # numbers begin where they can be mapped

    def put(file: IO[bytes]) -> None:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in kept.values():
            file.write(array.reshape(-1).view(np.uint8).data)

    replace(path, put)


def read(path: PathLike) -> tuple[dict[str, Array], dict[str, str]]:
    """(arrays {name: array}, metadata); the arrays are read-only views of the file's bytes.

    bfloat16 becomes float32, which holds it exactly.

    Raises
    ------
    FileNotFoundError, ValueError
        For no such file; for a header that is none, or a tensor that is cut off, overlaps another
        or has an unknown dtype: the message names it.
    """
    path = as_path(path)
    require_plain(path, "a .safetensors file")
    try:
        return _read(path)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise damaged(path, "safetensors file", error, "Save it or fetch it again.") from error


def _read(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    size = path.stat().st_size
    require(size >= 8, "it has no header")
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        require(length <= min(size - 8, LONGEST), "its header is longer than the file")
        header = json.loads(file.read(length), object_pairs_hook=_named_once)
    require(isinstance(header, dict), "its header is no JSON object")
    metadata = header.pop("__metadata__", {})
    plain = isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())
    require(plain, "its metadata are not texts by name")
    start = 8 + length
    room = size - start
    data = np.memmap(path, np.uint8, "r", start, (room,)) if room else np.empty(0, np.uint8)
    spans = {name: _span(name, entry, room) for name, entry in header.items()}
    _require_apart(spans, room)
    return {name: _tensor(data, *span) for name, span in spans.items()}, metadata


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the header; of two values of one name nobody could say which is meant."""
    found = dict(pairs)
    require(len(found) == len(pairs), "its header names something twice")
    return found


def _span(name: str, entry: Any, room: int) -> Span:
    """(dtype, shape, begin, end) of one entry of the header, checked."""
    whole = isinstance(entry, dict) and {"dtype", "shape", "data_offsets"} <= entry.keys()
    require(whole, f"tensor {name} has no dtype, shape and place")
    kind, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    known = isinstance(kind, str) and kind in KINDS
    require(known, f"tensor {name} has the unknown dtype {kind!r}")
    numbers = isinstance(shape, list) and isinstance(place, list) and len(place) == 2
    numbers = numbers and all(type(n) is int and n >= 0 for n in [*shape, *place])
    numbers = numbers and len(shape) <= MOST_AXES
    require(numbers, f"tensor {name} has shape {shape!r} at {place!r}")
    begin, end = place
    expected = math.prod(shape) * np.dtype(KINDS[kind]).itemsize
    fits = end - begin == expected
    require(fits, f"tensor {name} has {end - begin} bytes in place of {expected}")
    require(end <= room, f"tensor {name} is cut off: it ends {end - room} bytes after the file")
    return kind, shape, begin, end


def _require_apart(spans: dict[str, Span], room: int) -> None:
    """Every byte belongs to one tensor: what the format allows, and no room for stowaways."""
    ordered = sorted((begin, end, name) for name, (_, _, begin, end) in spans.items())
    for (_, end, name), (begin, _, other) in pairwise(ordered):
        require(begin >= end, f"tensors {name} and {other} overlap")
        require(begin == end, f"between tensors {name} and {other} lies what belongs to neither")
    begin, end = (ordered[0][0], ordered[-1][1]) if ordered else (0, 0)
    require(begin == 0 and end == room, "it holds bytes that belong to no tensor")


def _tensor(data: Array, kind: str, shape: list[int], begin: int, end: int) -> Array:
    array = np.ascontiguousarray(data[begin:end]).view(KINDS[kind]).reshape(shape)
    if kind == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array
