"""Files that lie: archives, .npy and safetensors written byte by byte, so that any field can."""

import json
import os
import pickle
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Member:
    """One member of an archive; what is None is what is true."""

    name: str
    content: bytes = b""
    deflated: bool = False
    size: int | None = None  # that it claims once unpacked
    packed: int | None = None  # that it claims in the file
    offset: int | None = None  # where it claims to begin
    flags: int = 0


def archive(*members, comment=b""):
    """The bytes of a zip file."""
    body, table = bytearray(), bytearray()
    for member in members:
        name, data = member.name.encode(), member.content
        if member.deflated:
            squeeze = zlib.compressobj(1, zlib.DEFLATED, -15)
            data = squeeze.compress(data) + squeeze.flush()
        size = len(member.content) if member.size is None else member.size
        packed = len(data) if member.packed is None else member.packed
        offset = len(body) if member.offset is None else member.offset
        extra = struct.pack("<HHQQQ", 1, 24, size, packed, offset)  # zip64: all three may be huge
        method, crc, full = 8 * member.deflated, zlib.crc32(member.content), 0xFFFFFFFF
        common = struct.pack("<HHHHHIII", 45, member.flags, method, 0, 33, crc, full, full)
        body += b"PK\3\4" + common + struct.pack("<HH", len(name), 20)
        body += name + struct.pack("<HHQQ", 1, 16, size, packed) + data
        table += b"PK\1\2" + struct.pack("<H", 45) + common
        table += struct.pack("<HHHHHII", len(name), len(extra), 0, 0, 0, 0, full) + name + extra
    count = min(len(members), 0xFFFF)
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(table), len(body), len(comment))
    return bytes(body + table + b"PK\5\6" + end + comment)


def npy(header, data=b"", version=(1, 0), length=None):
    """The bytes of an .npy file whose header says this: a text, or the fields of one."""
    if isinstance(header, dict):
        header = repr({"descr": "<f8", "fortran_order": False, "shape": ()} | header)
    text = header.encode("latin1") + b"\n"
    size = len(text) if length is None else length
    length = struct.pack("<H" if version[0] == 1 else "<I", size)
    return b"\x93NUMPY" + bytes(version) + length + text + data


def array_of(values):
    """The bytes of an honest .npy file."""
    values = np.asarray(values)
    return npy({"descr": values.dtype.str, "shape": values.shape}, values.tobytes())


def safetensors(header, data=b"", length=None):
    """The bytes of a safetensors file whose header says this: bytes, or what JSON makes of it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


class Bomb:
    """Unpickled, it makes a folder: that of a test, which then knows."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def pickled(path):
    """A pickle that leaves a trace when it is read, in several dresses: {name: bytes}."""
    plain = pickle.dumps(Bomb(path))
    held = pickle.dumps(np.array([Bomb(path)], dtype=object))
    objects = npy({"descr": "|O", "shape": (1,)}, held)
    return {
        "alone": plain,
        "old.protocol": pickle.dumps(Bomb(path), 0),
        "member": archive(Member("header.npy", plain), Member("coef.npy", plain)),
        "raw.member": archive(Member("data.pkl", plain), Member("theta", plain)),
        "objects.in.npy": objects,
        "objects": archive(*(Member(f"{name}.npy", objects) for name in NAMES)),
        "nested": archive(Member("header.npy", archive(Member("coef.npy", objects)))),
        "array.of.pickle": npy({"descr": "|O", "shape": (1,)}, plain),
        "header.of.code": npy(f"__import__('os').mkdir({str(path)!r})"),
        "header.of.types": npy({"descr": [("a", "|O")], "shape": (1,)}, held),
        "tensors": safetensors({"__metadata__": {"format": "pt"}, "w": plain.hex()}),
        "metadata": safetensors({"__metadata__": {"format": plain.decode("latin1")}}),
        "yaml": f"!!python/object/apply:os.mkdir [{str(path)!r}]".encode(),
        "code": f"import os; os.mkdir({str(path)!r})".encode(),
    }


NAMES = ("header", "coef", "intercept", "classes", "theta", "step", "epoch", "w")


def plant(folder, files):
    """Each of the files under every suffix that a reader goes by; their paths."""
    for name, content in files.items():
        for suffix in (".npz", ".npy", ".safetensors", ".pt", ""):
            path = Path(folder, f"{name}{suffix}")
            path.write_bytes(content)
            yield path
