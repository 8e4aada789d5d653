"""Kernels on rows in CSR form: against dense arithmetic, and on structures that do not hold."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdcore.data import column_moments
from tests.kernels import twins
from tests.kernels.samples import sparse
from tests.kernels.twins import outcome, same_bits

INDEX = pytest.mark.parametrize("index", [np.int32, np.int64])


def dense(data, indices, indptr, p):
    """The same numbers as a matrix, equal columns of a row added up one after another."""
    out = np.zeros((len(indptr) - 1, p), data.dtype)
    np.add.at(out, (np.repeat(np.arange(len(out)), np.diff(indptr)), indices), data)
    return out


def csr(X, index=np.int64):
    rows, indices = np.nonzero(X)
    indptr = np.searchsorted(rows, np.arange(len(X) + 1))
    return {"data": X[rows, indices], "indices": indices.astype(index), "indptr": indptr}


@INDEX
@pytest.mark.parametrize(
    ("indices", "indptr", "columns", "answer"),
    [
        ([0, 2, 1], [0, 2, 3], 3, (0, 0)),
        ([2, 0, 1], [0, 2, 3], 3, (0, 0)),
        ([2, 2, 1], [0, 1, 3], 3, (0, 0)),
        ([], [0, 0], 0, (0, 0)),
        ([0], [1, 1], 1, (1, 0)),
        ([0, 1], [0, 2, 1, 2], 2, (2, 1)),
        ([0, 1], [0, 1], 2, (3, 0)),
        ([0, 1], [0, 3], 2, (3, 0)),
        ([0, 3, -1], [0, 3], 3, (4, 1)),
        ([0, -1], [0, 2], 3, (4, 1)),
        ([0], [0, 1], 0, (4, 0)),
        ([0, 1, 2, 0, 1], [0, 2, 2, 5], 3, (0, 0)),
        ([0, 1, 2, 0, 2], [0, 1, 2, 5], 3, (5, 2)),
        ([7, 1, 7], [0, 3], 2**31, (5, 0)),
        ([2**31 - 1], [0, 1], 2**31, (0, 0)),
        ([2**31 - 1], [0, 1], 2**31 - 1, (4, 0)),
        ([2**31 - 1], [0, 1], 2**40, (0, 0)),
    ],
)
def test_what_is_found_and_where(kernels, index, indices, indptr, columns, answer):
    assert kernels.check_csr(np.array(indices, index), np.array(indptr), columns) == answer


@INDEX
@pytest.mark.parametrize("p", [40, 3000, 2**31])
def test_a_column_named_twice_in_a_long_row_is_found(kernels, index, p):
    rng = np.random.default_rng(0)
    step = p // 40 if p == 2**31 else 1  # many columns that a bad hash would put into one place
    indices = (rng.permutation(40) * step).astype(index)
    both = np.concatenate([indices, indices[::-1]])
    assert kernels.check_csr(both, np.array([0, 40, 80]), p) == (0, 0)
    both[70] = both[50]
    assert kernels.check_csr(both, np.array([0, 40, 80]), p) == (5, 1)


def test_columns_that_the_table_puts_into_one_place(kernels):
    indices = np.arange(1000)[::-1] * 2**43
    assert kernels.check_csr(indices.copy(), np.array([0, 1000]), 2**62) == (0, 0)
    indices[999] = indices[3]
    assert kernels.check_csr(indices, np.array([0, 1000]), 2**62) == (5, 0)


@settings(deadline=None)
@given(
    st.lists(st.integers(-2, 6), max_size=12),
    st.lists(st.integers(-2, 14), max_size=6),
    st.integers(-1, 5),
)
def test_any_structure_gets_the_same_answer(indices, indptr, columns):
    arguments = {"indices": np.array(indices, np.int64), "indptr": np.array(indptr, np.int64)}
    arguments["columns"] = columns
    homes = [twins.PLAIN, *([twins.NATIVE] if twins.NATIVE else [])]
    answers = [outcome(home["sparse"].check_csr, arguments)[0] for home in homes]
    assert len({(type(answer), str(answer)) for answer in answers}) == 1
    assert isinstance(answers[0], (tuple, ValueError))


@settings(deadline=None)
@given(
    st.lists(st.integers(-2, 14), max_size=6),
    st.lists(st.integers(-2, 6), max_size=5),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_no_structure_reaches_beyond_its_arrays(indptr, rows, entries, room):
    """Kernels that are handed nonsense refuse it in the same words, or give the same rows."""
    base = {"data": np.arange(entries) + 1.0, "indices": np.arange(entries) % 5}
    base["indptr"] = np.array(indptr, np.int64)
    take = {"rows": np.array(rows, np.int64), "new_data": np.zeros(room)}
    take |= {"new_indices": np.zeros(room, np.int64), "new_indptr": np.zeros(len(rows) + 1, int)}
    moments = {"weights": np.ones(max(len(indptr) - 1, 0))}
    moments |= {"mean": np.zeros(5), "deviation": np.zeros(5)}
    homes = [twins.PLAIN, *([twins.NATIVE] if twins.NATIVE else [])]
    for name, more in (("merge_csr", {}), ("take_csr_rows", take), ("csr_moments", moments)):
        place = "sparse_moments" if name == "csr_moments" else "sparse"
        found = [outcome(getattr(home[place], name), base | more) for home in homes]
        assert len({(type(answer), str(answer)) for answer, _ in found}) == 1
        assert isinstance(found[0][0], (int, ValueError, type(None)))
        if name != "csr_moments":
            assert same_bits(found[0][1], found[-1][1])


@INDEX
@pytest.mark.parametrize("p", [5, 200, 4000])
def test_merged_rows_rise_and_hold_the_same_sums(kernels, index, p):
    given = sparse(np.float64, n=30, p=p, twice=True)
    given["indices"] = given["indices"].astype(index)
    expected = dense(*given.values(), p)
    left = kernels.merge_csr(**given)
    data, indices, indptr = given.values()
    assert left == indptr[-1]
    assert (expected == dense(data[:left], indices[:left], indptr, p)).all()
    assert kernels.check_csr(indices[:left], indptr, p) == (0, 0)
    assert all((np.diff(indices[a:b]) > 0).all() for a, b in pairwise(indptr))
    assert not data[left:].any()


def test_equal_columns_are_added_in_their_order(kernels):
    data = np.array([1.0, 2.0**60, -(2.0**60), 3.0] * 20)
    indices, indptr = np.array([1, 0, 0, 0] * 20), np.array([0, 80])
    assert kernels.merge_csr(data, indices, indptr) == 2
    total = 0.0
    for value in [2.0**60, -(2.0**60), 3.0] * 20:
        total += value
    assert data[:2].tolist() == [total, 20.0]


def test_taken_rows_are_those_rows(kernels):
    given = sparse(np.float32)
    rows = np.array([3, 3, 0, 36])
    entries = int(np.diff(given["indptr"])[rows].sum())
    new = (np.zeros(entries, np.float32), np.zeros(entries, np.int32), np.zeros(5, np.int64))
    kernels.take_csr_rows(*given.values(), rows, *new)
    assert (dense(*new, 5) == dense(*given.values(), 5)[rows]).all()


@pytest.mark.parametrize("share", [0.01, 0.3, 0.97, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 1e3])
@pytest.mark.parametrize("even", [True, False])
def test_moments_are_those_of_the_dense_matrix(kernels, share, dtype, offset, even):
    rng = np.random.default_rng(0)
    X = ((rng.normal(size=(2000, 6)) + offset) * (rng.random((2000, 6)) < share)).astype(dtype)
    weights = np.ones(2000) if even else rng.uniform(0, 2, 2000)
    mean, deviation = np.empty((2, 6))
    kernels.csr_moments(**csr(X), weights=weights, mean=mean, deviation=deviation)
    expected = column_moments(X, weights)
    np.testing.assert_allclose(mean, expected[0], rtol=1e-12, atol=1e-12 * np.abs(X).max())
    np.testing.assert_allclose(deviation, expected[1], rtol=1e-12)


def test_one_zero_among_many_large_numbers_keeps_its_weight(kernels):
    """Its share is what two sums that agree in 12 digits leave."""
    n = 100_000
    weights = np.random.default_rng(0).uniform(0.5, 1.5, n)
    X = np.full((n, 1), 1e6)
    X[777] = 0
    mean, deviation = np.empty((2, 1))
    kernels.csr_moments(**csr(X), weights=weights, mean=mean, deviation=deviation)
    share = weights[777] / weights.sum()
    assert deviation[0] == pytest.approx(1e6 * np.sqrt(share * (1 - share)), rel=1e-11)


def test_constant_columns_have_no_deviation(kernels):
    n = 1000
    X = np.zeros((n, 3))
    X[:, 0], X[5, 2] = 0.1, 1e-200
    weights = np.random.default_rng(0).uniform(0.5, 1.5, n)
    mean, deviation = np.empty((2, 3))
    kernels.csr_moments(**csr(X), weights=weights, mean=mean, deviation=deviation)
    assert mean[:2].tolist() == [0.1, 0]
    assert deviation[:2].tolist() == [0, 0]
    share = weights[5] / weights.sum()
    assert deviation[2] == pytest.approx(1e-200 * np.sqrt(share * (1 - share)))


def test_zeros_that_are_stored_are_zeros(kernels):
    data, indices = np.array([0.0, 2.0, 0.0]), np.array([0, 1, 1])
    mean, deviation = np.empty((2, 2))
    kernels.csr_moments(data, indices, np.array([0, 2, 3]), np.ones(2), mean, deviation)
    assert (mean.tolist(), deviation.tolist()) == ([0, 1], [0, 1])
