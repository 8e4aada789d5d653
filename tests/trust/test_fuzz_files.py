"""Files with bits turned, parts cut, and headers that say something else: read, or refused."""

import contextlib
import io
import json
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import strategies as st

import gdcore as gd
from tests.trust import forged
from tests.trust.fuzzing import fuzz, outcome
from tests.trust.readers import FILES, READERS, ROWS, honest

RANDOM = st.randoms(use_true_random=False)
WORDS = [b"", b"\0", b"\xff" * 4, b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, b"1e999", b"-1",
         b"\r\n", b'"', b",", b"\xef\xbb\xbf", b"PK\3\4", b"nan", b"{}", b"[" * 2000,
         b"\xc3("]  # fmt: skip
VALUES = [
    None, True, False, 0, 1, 2, -1, 2**31, 2**63, 2**64, 10**40, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), "", "x", "adam", "\ud800", "\0", "é" * 50, [], {}, [[]], [1, 2], {"a": 1},
    [None], ["a", "b", "c"], [2**40, 2**40], "Dense", "bytes",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory):
    WHERE["folder"] = folder = tmp_path_factory.mktemp("fuzz")
    WHERE["honest"] = {name: path.read_bytes() for name, path in honest(folder).items()}


WHERE = {}


def turned(random, content):
    """The bytes with some of them otherwise."""
    content = bytearray(content)
    for _ in range(random.randint(1, 4)):
        at, kind = random.randrange(len(content) + 1), random.randrange(6)
        if kind == 0 and at < len(content):
            content[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            del content[at:]
        elif kind == 2:
            content[at:at] = random.choice(WORDS)
        elif kind == 3:
            word = random.choice(WORDS)
            content[at : at + len(word)] = word
        elif kind == 4:
            del content[at : at + random.randint(1, 40)]
        else:
            content[at:at] = content[at : at + random.randint(1, 200)]
    return bytes(content)


def retold(random, value):
    """JSON that says something else at one place, or lacks it."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        name, told = random.choice(sorted(value)), dict(value)
        if random.random() < 0.1:
            del told[name]
        elif random.random() < 0.05:
            told[random.choice(["x", "", "\ud800", "__metadata__"])] = told.pop(name)
        else:
            told[name] = retold(random, told[name])
        return told
    if isinstance(value, list) and value and random.random() < 0.7:
        told, at = list(value), random.randrange(len(value))
        told[at] = retold(random, told[at])
        return told
    if isinstance(value, str) and value[:1] in "{[" and random.random() < 0.9:
        with contextlib.suppress(ValueError):
            return json.dumps(retold(random, json.loads(value)))
    return random.choice(VALUES)


def repacked(random, content):
    """An archive whose members say something else, with the sums that they then have."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice(["header.npy", *members])
    if name == "header.npy" and name in members:
        header = json.loads(np.load(io.BytesIO(members[name])).tobytes())
        text = json.dumps(retold(random, header)).encode()
        members[name] = forged.array_of(np.frombuffer(text, np.uint8))
    elif name in members and random.random() < 0.5:
        array = np.load(io.BytesIO(members[name]))
        members[name] = forged.array_of(_other(random, array))
    elif name in members:
        members[name] = turned(random, members[name])
    made = [forged.Member(name, text, random.random() < 0.5) for name, text in members.items()]
    if random.random() < 0.1:
        made.append(random.choice(made))
    return forged.archive(*made)


def _other(random, array):
    """An array of another shape, dtype or content."""
    kind = random.randrange(5)
    if kind == 0:
        kind = random.choice(["f8", "f4", "f2", "i8", "U3", "?", "c16", ">f8", "u1"])
        with np.errstate(all="ignore"):
            return array.astype("U9" if array.dtype.kind == "U" else kind)
    if kind == 1:
        return array.reshape(random.choice([(-1,), (-1, 1), (1, -1)]))
    if kind == 2 and array.dtype.kind == "f":
        spoilt = np.array(array)
        spoilt.reshape(-1)[random.randrange(spoilt.size)] = random.choice([np.nan, np.inf, 1e300])
        return spoilt
    return array.reshape(-1)[: random.randrange(array.size + 1)]


def reheaded(random, content):
    """A safetensors file with another header, and the sums of gdcore's own that it then has."""
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    header = retold(random, header)
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
        sums = json.loads(metadata["crc32"])
        plain = sorted((name, text) for name, text in metadata.items() if name != "crc32")
        sums["__metadata__"] = zlib.crc32(json.dumps(plain).encode())
        metadata["crc32"] = json.dumps(sums)
    return forged.safetensors(header, data)


def otherwise(random, name):
    """A file for a reader that is not quite what it was."""
    content = WHERE["honest"][name]
    kind = random.randrange(3)
    if kind and name.endswith(("load", "load_weights", "load_checkpoint")) and "GPT" not in name:
        return repacked(random, content)
    if kind and FILES[name].endswith(".safetensors"):
        return reheaded(random, content)
    return turned(random, content)


def reads(random, name):
    """Whether a reader refuses such a file; what it reads must be of use."""
    path = WHERE["folder"] / f"broken{FILES[name][FILES[name].index('.') :]}"
    path.write_bytes(otherwise(random, name))
    found, refused = outcome(READERS[name], path)
    if refused is None:
        require_useful(found)
    return refused is not None


def require_useful(found):
    """A model predicts finite numbers or refuses, arrays can be looked at."""
    if isinstance(found, gd.GPT):
        logits, refused = outcome(found.logits, [[0, 0]])
        assert refused or np.isfinite(logits).all()
    elif hasattr(found, "predict"):
        predicted, refused = outcome(found.predict, ROWS)
        assert refused or predicted.dtype.kind in "OU" or np.isfinite(predicted).all()
    elif isinstance(found, dict):
        assert np.isfinite(found["theta"]).all()


@fuzz("model files", 60, RANDOM)
def test_models(random):
    return reads(random, "load")


@fuzz("weights", 40, RANDOM)
def test_weights(random):
    return reads(random, "load_weights")


@fuzz("checkpoints", 40, RANDOM)
def test_checkpoints(random):
    return reads(random, "load_checkpoint")


@fuzz("safetensors", 60, RANDOM)
def test_safetensors(random):
    return reads(random, "tensors.read")


@fuzz("GPT files", 60, RANDOM)
def test_gpt(random):
    return reads(random, random.choice(["GPT.load", "GPT.from_gpt2"]))


@fuzz("checkpoints of a GPT", 30, RANDOM)
def test_gpt_checkpoints(random):
    return reads(random, "GPT.fit(resume=True)")


@fuzz(".npy", 40, RANDOM)
def test_npy(random):
    return reads(random, "chunks.arrays")


@fuzz("CSV and Parquet", 60, RANDOM)
def test_columns(random):
    return reads(random, random.choice(["chunks.csv", "chunks.parquet", "gdcore train"]))
