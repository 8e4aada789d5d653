"""Hashed names: reference vectors, scikit-learn's FeatureHasher, what is refused."""

from collections import Counter, OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gdcore as gd
from tests.kernels import twins
from tests.kernels.twins import outcome, same_bits

# Of the reference code (SMHasher, MurmurHash3_x86_32): text, seed, hash.
VECTORS = [
    (b"", 0, 0),
    (b"", 1, 0x514E28B7),
    (b"", 0xFFFFFFFF, 0x81F16F39),
    (b"\xff\xff\xff\xff", 0, 0x76293B50),
    (b"!Ce\x87", 0, 0xF55B516B),
    (b"!Ce\x87", 0x5082EDEE, 0x2362F9DE),
    (b"!Ce", 0, 0x7E4A8634),
    (b"!C", 0, 0xA0F7B07A),
    (b"!", 0, 0x72661CF4),
    (b"\0\0\0\0", 0, 0x2362F9DE),
    (b"\0\0\0", 0, 0x85F0B427),
    (b"\0\0", 0, 0x30F4C306),
    (b"\0", 0, 0x514E28B7),
    (b"test", 0, 0xBA6BD213),
    (b"test", 0x9747B28C, 0x704B81DC),
    (b"Hello, world!", 0, 0xC0363E43),
    (b"Hello, world!", 0x9747B28C, 0x24884CBA),
    (b"The quick brown fox jumps over the lazy dog", 0, 0x2E4FF723),
    (b"The quick brown fox jumps over the lazy dog", 0x9747B28C, 0x2FA826CD),
]
HOMES = [twins.PLAIN, *([twins.NATIVE] if twins.NATIVE else [])]


@pytest.mark.parametrize(("text", "seed", "answer"), VECTORS)
def test_reference_vectors(text, seed, answer):
    for home in HOMES:
        assert home["hashing"].murmur3(text, seed) == answer


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(0, 2**32 - 1))
def test_hashes_are_scikit_learns(text, seed):
    murmurhash3_32 = pytest.importorskip("sklearn.utils").murmurhash3_32
    for home in HOMES:
        assert home["hashing"].murmur3(text, seed) == murmurhash3_32(text, seed, positive=True)


NAMES = st.text(max_size=6) | st.sampled_from(["a", "b", "c"])
WHOLE = st.integers(-1000, 1000)  # whose sums are the same in any order
ROWS = {
    "dict": st.dictionaries(NAMES, NAMES | WHOLE),
    "pair": st.lists(st.tuples(NAMES, NAMES | WHOLE), max_size=8),
    "string": st.lists(NAMES, max_size=8),
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from([1, 3, 16, 2**18, 2**31 - 1]), st.booleans())
def test_numbers_are_scikit_learns(kind, dtype, data, n_features, sign):
    hashers = pytest.importorskip("sklearn.feature_extraction")
    rows = data.draw(st.lists(ROWS[kind], min_size=1, max_size=6))
    hasher = hashers.FeatureHasher(n_features, input_type=kind, dtype=dtype, alternate_sign=sign)
    theirs = hasher.transform(rows)
    mine = gd.hash_features(rows, n_features, dtype=dtype, sign=sign)
    assert mine.shape == theirs.shape
    assert mine.dtype == theirs.dtype
    assert mine.indptr.tolist() == theirs.indptr.tolist()
    assert mine.indices.tolist() == theirs.indices.tolist()
    assert mine.data.tolist() == theirs.data.tolist()


ANYTHING = st.one_of(
    st.none(), st.text(max_size=2), st.binary(max_size=2), st.integers(-(2**1030), 2**1030),
    st.floats(), st.complex_numbers(), st.booleans(), st.lists(st.text(max_size=1), max_size=3),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.one_of(
            ANYTHING,
            st.dictionaries(st.text(max_size=2) | st.integers() | st.binary(max_size=2), ANYTHING),
            st.lists(st.tuples(ANYTHING, ANYTHING) | ANYTHING, max_size=4),
        ),
        max_size=4,
    ),
    st.integers(0, 9),
)
def test_twins_agree_on_anything(rows, room):
    given = {"rows": rows, "first": 5, "columns": 2**18, "seed": 3, "sign": True}
    given |= {"data": np.zeros(room), "indices": np.zeros(room, np.int32)}
    given |= {"indptr": np.zeros(len(rows) + 1, np.int64)}
    found = [outcome(home["hashing"].hash_rows, given) for home in HOMES]
    assert len({(type(answer), str(answer)) for answer, _ in found}) == 1
    assert isinstance(found[0][0], (int, ValueError, TypeError))
    assert same_bits(found[0][1], found[-1][1])


def test_what_a_row_may_be():
    rows = [{"a": 1, "b": "x"}, OrderedDict(a=1, b="x"), [("a", 1), ("b", "x")], ["a", "b=x"]]
    rows += [
        ("a", b"b=x"),
        iter(["a", "b=x"]),
        {"a": True, "b": np.str_("x")},
        Counter(["a", "b=x"]),
    ]
    X = gd.hash_features(iter(rows)).dense()
    assert (X == X[0]).all()
    assert np.abs(X).sum() == 2 * len(rows)


def test_long_names_and_values_are_hashed_as_they_would_be_together():
    for n, m in ((1, 300), (254, 1), (255, 1), (256, 0), (300, 300), (200, 55), (200, 56), (0, 0)):
        name, value = "n" * n, "ü" * (m // 2) + "v" * (m % 2)
        one, other = gd.hash_features([{name: value}]), gd.hash_features([[f"{name}={value}"]])
        assert one.indices.tolist() == other.indices.tolist()


def test_the_seed_and_many_rows():
    rows = [{"a": 1.5}] * 10_000 + [[]]
    X = gd.hash_features(rows, 8, seed=1)
    assert X.shape == (10_001, 8)
    assert np.abs(X.data).tolist() == [1.5] * 10_000
    assert X.indptr[-2:].tolist() == [10_000, 10_000]
    names = [[str(k)] for k in range(20)]
    one, other = (gd.hash_features(names, seed=seed).indices.tolist() for seed in (1, 2))
    assert one != other


def test_names_that_share_a_column_add_up():
    X = gd.hash_features([["a", "b", "c", "a"]], 1, sign=False)
    assert (X.indices.tolist(), X.data.tolist()) == ([0], [4.0])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("red", r"rows\[1\] is of type str. Pass a dict"),
        (3, r"rows\[1\] is of type int"),
        (None, r"rows\[1\] is of type NoneType"),
        ([3], r"rows\[1\] holds 3. Pass strings, or pairs"),
        ([("a", 1, 2)], r"rows\[1\] holds \('a', 1, 2\)"),
        ({3: 1}, r"rows\[1\] has 3 where a name is due"),
        ({"a": None}, r"rows\[1\] has None for 'a'. Pass a number or a string"),
        ([("a", None)], r"rows\[1\] has None for 'a'"),
        ({"a": [1]}, r"rows\[1\] has \[1\] for 'a'"),
        ({"a": b"x"}, r"rows\[1\] has b'x' for 'a'"),
        ({"a": 10**400}, r"rows\[1\] has 1"),
        ({"a": float("nan")}, r"rows\[1\] has nan for 'a'. Pass a finite number"),
        ({"a": float("inf")}, r"rows\[1\] has inf for 'a'"),
        ({"a\ud800": 1}, r"rows\[1\] holds what is no text in UTF-8"),
        ({"a": "\ud800"}, r"rows\[1\] holds what is no text in UTF-8"),
    ],
)
def test_what_is_refused_and_why(row, words):
    with pytest.raises((TypeError, ValueError), match=words):
        gd.hash_features([{"a": 1}, row])


@pytest.mark.parametrize(
    "arguments",
    [{"n_features": 0}, {"n_features": 2**31}, {"n_features": 1.5}, {"seed": -1}, {"seed": 2**32},
     {"dtype": int}, {"rows": []}, {"rows": "abc"}, {"rows": {"a": 1}}, {"rows": 3}],
)  # fmt: skip
def test_arguments(arguments):
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(arguments))}.* Pass"):
        gd.hash_features(**({"rows": [["a"]]} | arguments))
