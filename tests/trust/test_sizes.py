"""Sizes past 2³¹: what would overflow a counter of 32 bits, or the product of two sizes.

Kernels count in Py_ssize_t. To show it without the memory: zeros that were never written take none,
as the system gives one page of them to all who read, and tables may repeat one row. What reads all
of such arrays runs where GDCORE_THOROUGH=1.
"""

import math

import numpy as np
import pytest

import gdcore as gd
from tests.kernels.cases import examples
from tests.tally import THOROUGH, count

K = gd.kernels
PAST = 2**31 + 9
LONG = pytest.mark.skipif(not THOROUGH, reason="reads gigabytes: GDCORE_THOROUGH=1 has the time")
WIDE, TALL = 17, 2**27 + 2  # whose product is beyond 2³¹


def zeros(*shape, dtype=np.float32):
    """Zeros without memory of their own, until they are written."""
    try:
        return np.zeros(shape, dtype)
    except MemoryError:
        pytest.skip("this machine promises no memory that it does not have")


def test_rows_are_taken_from_the_end_of_a_large_table():
    X, out, none = zeros(TALL, WIDE), np.empty((3, WIDE), np.float32), np.empty(0, np.float32)
    X[-1], X[2**26] = np.arange(WIDE), 1
    K.take_rows(X, np.array([TALL - 1, 0, 2**26]), none, none, out)
    np.testing.assert_array_equal(out, [np.arange(WIDE), np.zeros(WIDE), np.ones(WIDE)])
    count("sizes past 2**31 tried")


def test_rows_are_added_at_the_end_of_a_large_table():
    table, values = zeros(TALL, WIDE), np.ones((2, WIDE), np.float32)
    K.add_rows(table, np.array([TALL - 1, TALL - 1]), values)
    assert (table[-1] == 2).all()
    assert not table[[0, 1, TALL - 2]].any()
    count("sizes past 2**31 tried")


def test_products_of_rows_that_lie_gigabytes_apart():
    room, rng = zeros(PAST + 64), np.random.default_rng(0)
    far = np.lib.stride_tricks.as_strided(room, (2, 24), (4 * (PAST - 1), 4))
    A, B = rng.normal(size=(2, 3)).astype(np.float32), rng.normal(size=(3, 24)).astype(np.float32)
    K.matrix_product(A, B, False, far)
    np.testing.assert_allclose(far, A @ B, rtol=1e-5, atol=1e-6)
    C = np.zeros((2, 2), np.float32)
    K.matrix_product(far, far.T.copy(), False, C)
    np.testing.assert_allclose(C, far @ far.T, rtol=1e-5, atol=1e-6)
    K.matrix_product(far[:, :3], B, False, D := np.zeros((2, 24), np.float32))
    np.testing.assert_allclose(D, far[:, :3] @ B, rtol=1e-5, atol=1e-6)
    count("sizes past 2**31 tried", 3)


@pytest.mark.parametrize("m", [2**59 + 1, 2**58, 2**57 + 1, 2**55])
def test_sizes_whose_product_is_beyond_all_numbers(m):
    """m·32 is 32 modulo 2⁶⁴: room for that would be found to fit."""
    A = np.broadcast_to(np.float64(1), (1, m))
    with pytest.raises(ValueError, match="must fit together"):
        K.panel_product(A, np.zeros(32), False, np.zeros((1, 32)))
    with pytest.raises(ValueError, match="must fit together"):
        K.panel_product(A, np.zeros(0), False, np.zeros((1, 32)))
    count("bad kernel calls refused", 2)


@pytest.mark.parametrize("heads", [*((2**64 + r) // 3 for r in (2, 5, 8)), 2**62, 2**63 - 1])
def test_heads_whose_triple_is_beyond_all_numbers(heads):
    """3·heads may be 2 modulo 2⁶⁴, which divides every even width."""
    row, none = np.ones((1, 12)), np.empty(0)
    keys, zero = np.zeros((1, 4, 4)), np.zeros(1, np.int64)
    with pytest.raises((ValueError, OverflowError)):
        K.cached_attention(
            row, none, np.empty((0, 0)), heads, zero, zero, keys, keys.copy(), np.zeros((1, 4))
        )
    count("bad kernel calls refused")


@pytest.mark.parametrize("batch", [2**31, 2**62, 2**63 - 1, 2**63 - 36])
@pytest.mark.parametrize("kernel", ["linear_epoch", "csr_epoch"])
def test_batches_larger_than_all_rows(kernels_and_cases, kernel, batch):
    """One step, and one rate for it: n + batch − 1 would be below zero, and no rate asked for."""
    given, once = (kernels_and_cases(kernel) for _ in range(2))
    given |= {"batch_size": batch, "rates": given["rates"][:1]}
    once |= {"batch_size": len(once["order"]), "rates": once["rates"][:1]}
    assert getattr(K, kernel)(**given) == getattr(K, kernel)(**once)
    np.testing.assert_array_equal(given["theta"], once["theta"])
    with pytest.raises(ValueError, match="rates must hold one step length a batch"):
        getattr(K, kernel)(**given | {"rates": given["rates"][:0]})
    count("sizes past 2**31 tried")
    count("bad kernel calls refused")


@pytest.fixture
def kernels_and_cases():
    from tests.kernels.cases import CASES

    return lambda name: CASES[name].arguments(np.float64)


def test_the_newest_of_very_many_pairs():
    from tests.kernels.cases import CASES

    few, many = (CASES["wolfe_step"].arguments(np.float64) for _ in range(2))
    rows = len(few["rho"])
    few["pairs"], many["pairs"] = 4 * rows + 3, (2**63 - 1) // rows * rows - rows + 3
    found = [K.wolfe_step(**given) for given in (few, many)]
    assert found[0][:2] == found[1][:2]
    np.testing.assert_array_equal(few["x_new"], many["x_new"])
    assert K.wolfe_step(**CASES["wolfe_step"].arguments(np.float64) | {"pairs": 2**63 - 1})
    count("sizes past 2**31 tried", 2)


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_sparse_rows_are_taken_from_beyond_two_thousand_million_entries(index):
    data, indices = zeros(PAST), zeros(PAST, dtype=index)
    data[-4:], indices[-4:] = [1, 2, 3, 4], [7, 5, 3, 1]
    indptr = np.array([0, 3, 2**31 - 1, PAST - 4, PAST])
    rows = np.array([3, 0])
    taken = np.zeros(7, np.float32), np.zeros(7, index), np.zeros(3, np.int64)
    K.take_csr_rows(data, indices, indptr, rows, *taken)
    np.testing.assert_array_equal(taken[0], [1, 2, 3, 4, 0, 0, 0])
    np.testing.assert_array_equal(taken[1], [7, 5, 3, 1, 0, 0, 0])
    np.testing.assert_array_equal(taken[2], [0, 4, 7])
    indptr[2] = 2**62
    with pytest.raises(ValueError, match="never fall"):
        K.take_csr_rows(data, indices, indptr, np.array([2]), *taken)
    count("sizes past 2**31 tried")
    count("bad kernel calls refused")


def test_columns_beyond_two_thousand_million():
    far = np.array([0, PAST - 1, 2**40])
    assert K.check_csr(far, np.array([0, 3]), 2**41) == (0, 0)
    assert K.check_csr(far, np.array([0, 3]), PAST) == (4, 2)
    assert K.check_csr(np.array([PAST, 5, PAST]), np.array([0, 3]), 2**41) == (5, 0)
    near = np.array([0, 2**31 - 1], np.int32)
    assert K.check_csr(near, np.array([0, 2]), 2**31) == (0, 0)
    assert K.check_csr(near, np.array([0, 2]), 2**40) == (0, 0)
    assert K.check_csr(near, np.array([0, 2]), 2**31 - 1) == (4, 1)
    assert K.check_csr(-near - 1, np.array([0, 2]), 2**31)[0] == 4
    count("sizes past 2**31 tried", 7)


def test_a_cache_of_keys_beyond_two_thousand_million_numbers():
    texts, t, width = 2**13 + 1, 2**14, 16
    keys, values = zeros(texts, t, width), zeros(texts, t, width)
    rng = np.random.default_rng(0)
    qkv, none = rng.normal(size=(1, 3 * width)).astype(np.float32), np.empty(0, np.float32)
    turns, out = np.empty((0, 0), np.float32), np.zeros((1, width), np.float32)
    at = np.array([texts - 1])
    K.cached_attention(qkv, none, turns, 2, at, np.array([0]), keys, values, out)
    np.testing.assert_array_equal(keys[-1, 0], qkv[0, width : 2 * width])
    np.testing.assert_array_equal(values[-1, 0], qkv[0, 2 * width :])
    np.testing.assert_allclose(out[0], qkv[0, 2 * width :], rtol=1e-6)
    count("sizes past 2**31 tried")


@LONG
def test_vectors_of_more_than_two_thousand_million():
    a = zeros(PAST)
    assert K.all_finite(a)
    a[-1], a[2**31] = -4, 3
    assert K.norm(a) == 5
    assert K.dot(a, a) == 25
    assert K.largest(a) == 4
    a[-1] = math.nan
    assert not K.all_finite(a)
    assert math.isnan(K.largest(a))
    count("sizes past 2**31 tried", 6)


@LONG
def test_a_gradient_over_more_than_two_thousand_million_numbers():
    X, y, weights = zeros(TALL, WIDE), zeros(TALL, dtype=float), zeros(TALL, dtype=float)
    few = examples("squared", np.float32, n=4, p=WIDE)
    X[-4:], y[-4:], weights[-4:] = few["X"], few["y"], few["weights"]
    given = few | {"margins": np.empty((0, 1))}
    expected = K.linear_gradient(**given)
    g = given.pop("g")
    again = examples("squared", np.float32, n=4, p=WIDE)["g"]
    loss = K.linear_gradient(**given | {"X": X, "y": y, "weights": weights, "g": again})
    assert loss == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(again, g, rtol=1e-5, atol=1e-6 * np.abs(g).max())
    count("sizes past 2**31 tried")


@LONG
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_margins_of_rows_that_begin_beyond_two_thousand_million_entries(index):
    """Rows of zeros, all of one column, and a last one that says something."""
    data, indices = zeros(PAST), zeros(PAST, dtype=index)
    data[-2:], indices[-2:] = [2, 3], [1, 0]
    columns = np.array([[0.0, 0, 0], [1, 1, 1]])
    indptr, margins = np.array([0, 2**31 - 1, PAST - 2, PAST]), np.empty((3, 1))
    K.csr_margins(data, indices, indptr, columns, np.array([10.0, 100.0, 0.5]), margins)
    np.testing.assert_array_equal(margins[:, 0], [0.5, 0.5, 230.5])
    lengths = np.empty(3)
    K.csr_lengths(data, indices, indptr, columns, lengths)
    np.testing.assert_array_equal(lengths, [0, 0, 13])
    count("sizes past 2**31 tried", 2)
