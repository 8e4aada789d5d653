"""Safetensors by NumPy: what the format's own library writes and reads, and nothing damaged."""

import json
import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gdcore import tensors
from gdcore.tensors import KINDS

RNG = np.random.default_rng(0)
ARRAYS = {
    "matrix": RNG.normal(size=(3, 4)), "vector": RNG.normal(size=5).astype(np.float32),
    "number": np.array(2.5), "none": np.empty((0, 3), np.float32), "truth": np.array([True, False]),
    "half": np.array([1.5, -2], np.float16), "small": np.array([[1, 255]], np.uint8),
    "large": np.array([2**62, -1]), "ünïcode.名": np.arange(3, dtype=np.uint16),
}  # fmt: skip
METADATA = {"what": "a test", "quotes": '{"a": "ü"}'}


def same(found, arrays):
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name


def test_arrays_and_metadata_come_back_to_the_bit(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors.write(path, ARRAYS, METADATA)
    arrays, metadata = tensors.read(path)
    same(arrays, ARRAYS)
    assert metadata == METADATA
    assert not any(array.flags.writeable for array in arrays.values())


DTYPES = st.sampled_from([kind for name, kind in KINDS.items() if name != "BF16"])


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=5),
        DTYPES.flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, min_side=0))),
        max_size=4,
    )
)
def test_any_arrays_come_back(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    tensors.write(path, arrays)
    same(tensors.read(path)[0], arrays)


@pytest.mark.parametrize("turned", ["strided", "transposed", "big-endian", "list"])
def test_arrays_of_any_layout_are_written_as_they_read(tmp_path, turned):
    array = RNG.normal(size=(4, 6))
    given = {
        "strided": array[::2, ::-3], "transposed": array.T, "big-endian": array.astype(">f8"),
        "list": array.tolist(),
    }[turned]  # fmt: skip
    tensors.write(tmp_path / "a", {"w": given})
    found = tensors.read(tmp_path / "a")[0]["w"]
    np.testing.assert_array_equal(found, given)
    assert found.dtype == np.dtype("<f8")


def test_the_formats_own_library_reads_what_we_wrote_and_the_other_way(tmp_path):
    theirs = pytest.importorskip("safetensors.numpy")
    tensors.write(tmp_path / "ours", ARRAYS, METADATA)
    same(theirs.load_file(tmp_path / "ours"), ARRAYS)
    with pytest.importorskip("safetensors").safe_open(tmp_path / "ours", "np") as file:
        assert file.metadata() == METADATA
    theirs.save_file(ARRAYS, tmp_path / "theirs", METADATA)
    arrays, metadata = tensors.read(tmp_path / "theirs")
    same(arrays, ARRAYS)
    assert metadata == METADATA


def test_half_of_a_float32_is_read_exactly(tmp_path):
    values = np.array([1.0, -2.5, 3.1415927, 1e38, np.inf, 0.0], np.float32)
    upper = (values.view(np.uint32) >> 16).astype(np.uint16)
    rewrite(tmp_path / "a", {"w": entry("BF16", [2, 3], 0, 12)}, upper.tobytes())
    found = tensors.read(tmp_path / "a")[0]["w"]
    assert found.dtype == np.float32
    expected = (upper.astype(np.uint32) << 16).view(np.float32).reshape(2, 3)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found.ravel()[:3], values[:3], rtol=2**-7)


def entry(kind, shape, begin, end):
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


def rewrite(path, header, data=b"\0" * 32):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


WHOLE = entry("F32", [2, 2], 0, 16)
WRONG = {
    "no JSON": (b"{nothing}", "Expecting"),
    "no UTF-8": (b'{"\xff": 1}', "utf-8"),
    "a list": ([], "its header is no JSON object"),
    "too deep": (b'{"a":' + b"[" * 100_000, "while decoding a JSON array"),
    "an unknown dtype": (
        {"w": entry("F8_E4M3", [4], 0, 4)},
        "tensor w has the unknown dtype 'F8_E4M3'",
    ),
    "a dtype that is none": ({"w": entry([1], [4], 0, 4)}, "tensor w has the unknown dtype"),
    "no place": ({"w": {"dtype": "F32", "shape": [1]}}, "tensor w has no dtype, shape and place"),
    "an entry that is none": ({"w": 3}, "tensor w has no dtype, shape and place"),
    "a negative place": ({"w": entry("F32", [1], -4, 0)}, "tensor w has shape"),
    "a negative shape": ({"w": entry("F32", [-2, -2], 0, 16)}, "tensor w has shape"),
    "a shape in halves": ({"w": entry("F32", [2.0], 0, 8)}, "tensor w has shape"),
    "a shape of truth": ({"w": entry("F32", [True], 0, 4)}, "tensor w has shape"),
    "a shape too large": ({"w": entry("F32", [2, 3], 0, 16)}, "tensor w has 16 bytes in place of"),
    "a huge shape": ({"w": entry("F32", [2**62, 4], 0, 0)}, "tensor w has 0 bytes in place of"),
    "an end before the begin": ({"w": entry("F32", [0], 8, 4)}, "tensor w has -4 bytes"),
    "cut off": ({"w": entry("F32", [9], 0, 36)}, "tensor w is cut off: it ends 4 bytes after"),
    "an overlap": ({"w": WHOLE, "v": entry("F32", [2], 12, 20)}, "tensors w and v overlap"),
    "one within": ({"w": WHOLE, "v": entry("F32", [1], 4, 8)}, "tensors w and v overlap"),
    "metadata in numbers": ({"__metadata__": {"a": 1}, "w": WHOLE}, "metadata are not texts"),
    "metadata in a list": ({"__metadata__": ["a"], "w": WHOLE}, "metadata are not texts"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_header_that_cannot_be_right_is_refused(tmp_path, case):
    header, message = WRONG[case]
    rewrite(tmp_path / "a", header)
    with pytest.raises(ValueError, match="is not a whole safetensors file") as error:
        tensors.read(tmp_path / "a")
    assert message in str(error.value)
    assert str(tmp_path / "a") in str(error.value)
    assert str(error.value).endswith("Save it or fetch it again.")


@pytest.mark.parametrize(
    "content", [b"", b"1234567", b"\xff" * 8, b"\xff" * 99, b"\x05" + b"\0" * 7]
)
def test_what_has_no_header_is_refused(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        tensors.read(tmp_path / "a")


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    tensors.write(tmp_path / "a", ARRAYS, METADATA)
    content = (tmp_path / "a").read_bytes()
    for end in range(0, len(content), 7):
        (tmp_path / "b").write_bytes(content[:end])
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            tensors.read(tmp_path / "b")


def test_a_bit_that_flips_in_the_header_is_refused_or_another_name(tmp_path):
    """Places, shapes and dtypes have to agree: no flip of one bit gives other numbers to a name."""
    arrays = {name: ARRAYS[name] for name in ("matrix", "vector", "half")}
    tensors.write(tmp_path / "a", arrays)
    content = (tmp_path / "a").read_bytes()
    length, read = 8 + int.from_bytes(content[:8], "little"), 0
    for place in range(0, 8 * length, 5):  # five meets every bit of a byte
        broken = bytearray(content)
        broken[place // 8] ^= 1 << place % 8
        (tmp_path / "b").write_bytes(broken)
        try:
            found = tensors.read(tmp_path / "b")[0]
        except ValueError as error:
            assert "not a whole safetensors file" in str(error)  # noqa: PT017
            continue
        read += 1
        for name in arrays.keys() & found.keys():
            size = found[name].size, arrays[name].size
            assert size[0] == size[1]
    assert read < length / 5  # nearly all are refused


def test_a_pickle_in_disguise_is_not_executed(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    content = pickle.dumps(Bomb())
    for data in (content, len(content).to_bytes(8, "little") + content):
        (tmp_path / "bomb").write_bytes(data)
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            tensors.read(tmp_path / "bomb")
    with pytest.raises(ValueError, match="Tensor w has dtype object"):
        tensors.write(tmp_path / "objects", {"w": np.array([Bomb()])})
    assert [each.name for each in tmp_path.iterdir()] == ["bomb"]


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([1j]), np.array(["2020"], "M8[D]")])
def test_what_the_format_does_not_know_is_refused_and_named(tmp_path, array):
    with pytest.raises(ValueError, match="Tensor w has dtype"):
        tensors.write(tmp_path / "a", {"fine": np.ones(2), "w": array})
    assert not list(tmp_path.iterdir())


def test_no_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none", str(tmp_path / "none")):
        with pytest.raises(FileNotFoundError, match=r"does not exist\. Pass the path"):
            tensors.read(path)
    with pytest.raises(IsADirectoryError, match=r"is a folder\. Pass the path"):
        tensors.read(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    tensors.write(path, ARRAYS)
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        tensors.write(path, {"w": np.ones(3)})
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a.safetensors"]


def test_numbers_begin_where_they_can_be_mapped(tmp_path):
    for name in ("w", "ww", "www", "wwwwwwww"):
        tensors.write(tmp_path / "a", {name: np.ones(3)})
        assert int.from_bytes((tmp_path / "a").read_bytes()[:8], "little") % 8 == 0


def test_the_name_of_the_metadata_is_no_tensors(tmp_path):
    with pytest.raises(ValueError, match="__metadata__ is no name of a tensor"):
        tensors.write(tmp_path / "a", {"__metadata__": np.ones(2)})
