"""Sparse rows: what is accepted, what is kept, what is refused and in which words."""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gdcore as gd
from gdcore.data import column_moments
from gdcore.sparse import as_csr


def duck(data, indices, indptr, shape):
    """An object like SciPy's, whatever it holds."""
    made = SimpleNamespace(data=data, indices=indices, indptr=indptr, shape=shape)
    made.tocsr = lambda: made
    return made


def small(**changes):
    fields = {"data": [1.0, 2.0, 3.0], "indices": [0, 2, 1], "indptr": [0, 2, 3], "shape": (2, 3)}
    return duck(**{name: np.array(value) for name, value in (fields | changes).items()})


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
@pytest.mark.parametrize("family", ["matrix", "array"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, bool])
def test_scipys_kinds(kind, family, dtype):
    scipy = pytest.importorskip("scipy.sparse")
    X = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 1]], dtype)
    rows = as_csr(getattr(scipy, f"{kind}_{family}")(X))
    assert (rows.dense() == X).all()
    assert rows.dtype == (np.float32 if dtype == np.float32 else np.float64)
    assert rows.shape == X.shape
    assert len(rows) == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_nothing_is_copied_that_need_not_be(dtype, index):
    X = small(
        data=np.ones(3, dtype), indices=np.array([2, 0, 1], index), indptr=np.array([0, 2, 3])
    )
    rows = as_csr(X)
    assert rows.data is X.data or np.shares_memory(rows.data, X.data)
    assert np.shares_memory(rows.indices, X.indices)
    assert rows.indices.tolist() == [2, 0, 1]  # in whatever order
    assert rows.indices.dtype == index
    assert rows.indptr.dtype == np.int64
    assert as_csr(rows).data.base is rows.data.base


def test_columns_named_twice_are_added_up_in_a_copy():
    scipy = pytest.importorskip("scipy.sparse")
    X = scipy.csr_array((np.arange(1.0, 5), [1, 0, 1, 2], [0, 3, 4]), shape=(2, 3))
    kept = [array.copy() for array in (X.data, X.indices, X.indptr)]
    rows = as_csr(X)
    assert rows.dense().tolist() == [[2, 4, 0], [0, 0, 4]]
    assert len(rows.data) == 3
    for array, before in zip((X.data, X.indices, X.indptr), kept, strict=True):
        assert (array == before).all()


def test_read_only_and_foreign_arrays():
    X = small(data=np.array([1, 2, 3], ">f4"), indices=np.array([0, 2, 1], ">i4"))
    rows = as_csr(X)
    assert rows.dense().tolist() == [[1, 0, 2], [0, 3, 0]]
    for array in (X.data, X.indices, X.indptr):
        array.flags.writeable = False
    assert as_csr(X).part(slice(0, 1)).dense().tolist() == [[1, 0, 2]]


def test_room_at_the_end_is_left_out():
    rows = as_csr(small(data=[1.0, 2.0, 3.0, np.nan], indices=[0, 2, 1, 99]))
    assert len(rows.data) == len(rows.indices) == 3


@pytest.mark.parametrize(
    "rows",
    [slice(2, 5), slice(None), slice(3, 3), slice(5, 2), slice(-3, None), slice(0, 9, 2),
     slice(None, None, -1), [4, 4, 0], np.array([], int), np.arange(9) % 2 == 0, [], slice(50, 60)],
)  # fmt: skip
def test_parts_are_numpys(rows):
    X = np.random.default_rng(0).normal(size=(9, 4)).round(0)
    sparse = gd.CSR(*csr(X), X.shape)
    part = sparse.part(rows)
    assert (part.dense() == X[np.array(rows, int) if len_zero(rows) else rows]).all()
    assert part.shape == (len(part), 4)
    assert part.indptr[0] == 0
    if isinstance(rows, slice) and rows.step is None and len(part.data):
        assert np.shares_memory(part.data, sparse.data)


def len_zero(rows):
    return not isinstance(rows, slice) and len(rows) == 0


def csr(X):
    rows, indices = np.nonzero(X)
    return X[rows, indices], indices, np.searchsorted(rows, np.arange(len(X) + 1))


@pytest.mark.parametrize("rows", [[9], [-1], [0.5], [[1]], 3, "ab", None])
def test_parts_that_are_none(rows):
    with pytest.raises(ValueError, match="rows must"):
        gd.CSR(*csr(np.eye(9)), (9, 9)).part(rows)


def test_moments():
    X = np.random.default_rng(0).normal(size=(50, 4)).round(0)
    weights = np.random.default_rng(1).random(50)
    for mine, theirs in zip(
        gd.CSR(*csr(X), X.shape).moments(weights), column_moments(X, weights), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_a_csr_is_frozen_but_for_its_arrays_and_can_be_copied():
    rows = as_csr(small())
    with pytest.raises(AttributeError):
        rows.data = None
    for copied in (copy.deepcopy(rows), pickle.loads(pickle.dumps(rows))):
        assert (copied.dense() == rows.dense()).all()
    assert rows.nbytes == 3 * 8 + 3 * 8 + 3 * 8
    rows.data[0] = np.inf
    with pytest.raises(ValueError, match="infinity"):  # asked again at each door
        as_csr(rows)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"indptr": [1, 2, 3]}, "X.indptr begins at 1, not at 0"),
        ({"indptr": [0, 3, 2]}, "X.indptr falls from 3 to 2 at row 1"),
        ({"indptr": [0, 2, 4]}, "X.indptr ends at 4, and there are 3 entries"),
        ({"indptr": [0, 2, -1]}, "falls from 2 to -1 at row 1"),
        ({"indptr": [0, 2]}, "X.indptr has 2 numbers, and 2 rows need 3"),
        ({"indptr": [0.0, 2.0, 3.0]}, "X.indptr must hold whole numbers, got dtype float64"),
        ({"indptr": [[0, 2, 3]]}, "X.indptr must have one dimension"),
        ({"indices": [0, 3, 1]}, "column 3 in row 0 .* there are 3 columns. Pass numbers from 0"),
        ({"indices": [0, 2, -1]}, "column -1 in row 1"),
        ({"indices": [0, 2]}, "X.data has 3 numbers and X.indices 2"),
        ({"data": [1.0, np.nan, 3.0]}, "X contains NaN, first at row 0, column 2"),
        ({"data": [1.0, 2.0, -np.inf]}, "X contains infinity, first at row 1, column 1"),
        ({"data": [1.0, 2.0, 3j]}, "complex"),
        ({"data": ["a", "b", "c"]}, "X must hold numbers"),
        ({"shape": (2, 3, 4)}, "two dimensions"),
        ({"shape": (2,)}, "two dimensions"),
        ({"shape": (0, 3), "indptr": [0]}, "X has no rows: 0 sample"),
        ({"shape": (2, 0)}, "X has no columns: 0 feature"),
        ({"shape": (2, 2**31 + 1), "indices": np.array([0, 2, 1], np.int32)}, "indices are int32"),
    ],
)  # fmt: skip
def test_what_is_refused_and_why(changes, words):
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        as_csr(small(**changes))
    assert str(caught.value).count(". ") >= 1


def test_what_has_no_rows_to_give():
    with pytest.raises(TypeError, match=r"Z must be sparse, got ndarray. Pass scipy.sparse"):
        as_csr(np.eye(3), "Z")


def test_columns_beyond_int32():
    rows = gd.CSR([1.0, 2.0], np.array([2**40, 5]), [0, 2], (1, 2**41))
    assert rows.part([0, 0]).indices.tolist() == [2**40, 5, 2**40, 5]


ANYTHING = st.one_of(
    st.none(), st.text(max_size=2), st.integers(-(2**70), 2**70), st.floats(), st.complex_numbers()
)
NUMBERS = st.lists(st.integers(-2, 6), max_size=8)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(NUMBERS, st.lists(ANYTHING, max_size=4), ANYTHING),
    st.one_of(NUMBERS, st.lists(ANYTHING, max_size=4), st.lists(NUMBERS, max_size=3), ANYTHING),
    st.one_of(NUMBERS.map(sorted), NUMBERS, ANYTHING),
    st.one_of(st.tuples(st.integers(-1, 8), st.integers(-1, 7)), st.lists(ANYTHING, max_size=3)),
    st.sampled_from([np.int32, np.int64, np.uint64, np.int8, float]),
)
def test_no_fields_whatever_lead_to_more_than_a_refusal(data, indices, indptr, shape, dtype):
    if isinstance(indices, list) and all(isinstance(i, int) and abs(i) < 9 for i in indices):
        indices = np.array(indices).astype(dtype)
    try:
        rows = gd.CSR(data, indices, indptr, shape)
    except (TypeError, ValueError):
        return
    dense = rows.dense()
    assert dense.shape == rows.shape
    assert rows.part(np.arange(len(rows))[::-1]).dense().tolist() == dense[::-1].tolist()
    np.testing.assert_allclose(rows.moments(np.ones(len(rows)))[0], dense.mean(0), rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_sound_rows_are_never_refused(n, p, seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 2 * p, n)
    indptr = np.cumsum([0, *lengths])
    indices, data = rng.integers(0, p, indptr[-1]), rng.normal(size=indptr[-1])
    X = np.zeros((n, p))
    np.add.at(X, (np.repeat(np.arange(n), lengths), indices), data)
    np.testing.assert_allclose(gd.CSR(data, indices, indptr, (n, p)).dense(), X, atol=1e-15)
