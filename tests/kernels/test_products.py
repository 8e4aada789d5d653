"""Products of matrices against products in double and facts of mathematics, on both twins."""

import ctypes
import itertools
import mmap
import sys

import numpy as np
import pytest

from tests.kernels.twins import PLAIN, same_bits

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NEAR = {np.float32: 2e-6, np.float64: 1e-14}  # of Σ |a|·|b|
SIZES = [
    (1, 1, 1), (3, 7, 5), (4, 384, 33), (5, 385, 16), (7, 3, 15), (13, 130, 17), (33, 800, 31),
    (64, 1, 64), (65, 129, 100), (2, 20, 161), (8, 9, 32), (16, 5, 48), (20, 9, 64), (28, 40, 80),
    (201, 400, 40),
]  # fmt: skip


def matrix(rng, n, k, dtype, layout="rows"):
    """Random numbers that lie row by row, column by column, with gaps, or backwards."""
    if layout == "columns":
        return rng.normal(size=(k, n)).astype(dtype).T
    if layout == "gaps":
        return rng.normal(size=(2 * n, 3 * k)).astype(dtype)[::2, ::3]
    if layout == "backwards":
        return rng.normal(size=(n, k)).astype(dtype)[::-1, ::-1]
    return rng.normal(size=(n, k)).astype(dtype)


LAYOUTS = pytest.mark.parametrize("layout", ["rows", "columns", "gaps", "backwards"])


def assert_product(C, A, B, before=0.0):
    A, B = A.astype(np.float64), B.astype(np.float64)
    atol = NEAR[C.dtype.type] * (np.abs(A) @ np.abs(B) + np.abs(before) + 1e-30)
    assert (np.abs(C - (A @ B + before)) <= atol).all()


def panels_of(kernels, B):
    panel = 128 // B.itemsize
    panels = np.full(len(B) * panel * -(-B.shape[1] // panel), np.nan, B.dtype)
    kernels.pack_panels(B, panels)
    return panels


@DTYPES
@LAYOUTS
@pytest.mark.parametrize("add", [False, True], ids=["written", "added"])
def test_a_product_is_what_it_is_in_double(kernels, dtype, layout, add):
    rng = np.random.default_rng(0)
    for (n, m, k), first in itertools.product(SIZES, (True, False)):
        A = matrix(rng, n, m, dtype, layout if first else "rows")
        B = matrix(rng, m, k, dtype, "rows" if first else layout)
        room = rng.normal(size=(n, k + 3)).astype(dtype)
        C, beyond = room[:, :k], room[:, k:].copy()
        before = C.astype(np.float64) if add else 0.0
        kernels.matrix_product(A, B, add, C)
        assert_product(C, A, B, before)
        assert same_bits(room[:, k:], beyond)


@DTYPES
@LAYOUTS
def test_packed_or_not_the_bits_are_the_same(kernels, dtype, layout):
    rng = np.random.default_rng(0)
    for n, m, k in SIZES:
        A, B = matrix(rng, n, m, dtype), matrix(rng, m, k, dtype, layout)
        C, D = np.empty((2, n, k), dtype)
        kernels.matrix_product(A, B, False, C)
        kernels.panel_product(A, panels_of(kernels, B), False, D)
        if kernels.simd_level() == "numpy":  # a BLAS may add in another order for other strides
            assert_product(C, A, B)
            assert_product(D, A, B)
            if np.lib.NumpyVersion(np.__version__) >= "2.0.0":  # 1.25 adds strided ones one by one
                assert (np.abs(C - D) <= 4 * np.finfo(dtype).eps * (np.abs(A) @ np.abs(B))).all()
        else:
            assert same_bits(C, D)


@DTYPES
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_panels_hold_the_columns_in_order(kernels, dtype, size):
    _, m, k = size
    B = np.arange(m * k, dtype=dtype).reshape(m, k)
    wide, panels = 128 // B.itemsize, panels_of(kernels, B)
    width = wide * -(-k // wide)
    for q, j in {(0, 0), (m - 1, k - 1), (m // 2, k // 3), (min(m - 1, 384), 0)}:
        block, row = divmod(q, 384)
        deep = min(384, m - 384 * block)
        place = 384 * block * width + j // wide * deep * wide + row * wide + j % wide
        assert panels[place] == B[q, j]
    assert np.count_nonzero(panels) == np.count_nonzero(B)


@DTYPES
def test_a_row_has_the_same_bits_in_any_company(pair, dtype):
    """What lets rows be cut among shards, and columns among tiles; BLAS does not promise it."""
    _, native = pair
    rng = np.random.default_rng(0)
    A, B = matrix(rng, 50, 400, dtype), matrix(rng, 400, 70, dtype)
    whole = np.empty((50, 70), dtype)
    native.matrix_product(A, B, False, whole)
    for rows, columns in ((slice(0, 1), slice(0, 70)), (slice(7, 31), slice(3, 40))):
        part = np.empty_like(whole[rows, columns])
        native.matrix_product(A[rows], B[:, columns], False, part)
        assert same_bits(part, np.ascontiguousarray(whole[rows, columns]))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is locked by mprotect")
@DTYPES
@pytest.mark.parametrize("turned", [False, True], ids=["rows", "turned"])
def test_nothing_behind_a_factor_is_read(kernels, dtype, turned):
    """A and B end where the process may not read: else it would end here."""
    for n, m, k in SIZES:
        A, B = (before_a_wall(size, dtype) for size in ((m, n) if turned else (n, m), (m, k)))
        A, C = A.T if turned else A, np.empty((n, k), dtype)
        kernels.matrix_product(A, B, False, C)
        assert (C == m).all()


def before_a_wall(shape, dtype):
    """Ones whose last number is followed by a page that nobody may touch."""
    size, page = int(np.prod(shape)) * np.dtype(dtype).itemsize, mmap.PAGESIZE
    whole = -(-size // page) * page
    room = mmap.mmap(-1, whole + page)
    wall = ctypes.addressof(ctypes.c_char.from_buffer(room)) + whole
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mprotect(ctypes.c_void_p(wall), ctypes.c_size_t(page), 0) == 0
    array = np.frombuffer(room, dtype, int(np.prod(shape)), whole - size).reshape(shape)
    array[...] = 1
    return array


@DTYPES
def test_the_unit_matrix_changes_nothing(kernels, dtype):
    A = np.random.default_rng(0).normal(size=(9, 40)).astype(dtype)
    C = np.empty_like(A)
    kernels.matrix_product(A, np.eye(40, dtype=dtype), False, C)
    assert same_bits(A, C)


@DTYPES
def test_what_is_not_a_number_stays_in_its_row(kernels, dtype):
    A, B = np.ones((5, 8), dtype), np.ones((8, 20), dtype)
    A[2, 3], A[4, 0] = np.nan, np.inf
    C = np.zeros((5, 20), dtype)
    kernels.matrix_product(A, B, False, C)
    assert np.isnan(C[2]).all()
    assert np.isinf(C[4]).all()
    assert (C[[0, 1, 3]] == 8).all()


@DTYPES
@pytest.mark.parametrize("size", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)], ids=str)
@pytest.mark.parametrize("add", [False, True], ids=["written", "added"])
def test_an_empty_sum_is_zero(kernels, dtype, size, add):
    n, m, k = size
    A, B = np.ones((n, m), dtype), np.ones((m, k), dtype)
    for multiply in (
        lambda C: kernels.matrix_product(A, B, add, C),
        lambda C: kernels.panel_product(A, panels_of(kernels, B), add, C),
    ):
        C = np.full((n, k), 7, dtype)
        multiply(C)
        assert (C == (7 if add else 0)).all()


@DTYPES
def test_gaps_in_the_rows_of_the_result_are_refused(kernels, dtype):
    A, B, C = np.ones((3, 4), dtype), np.ones((4, 5), dtype), np.full((3, 10), 7, dtype)
    with pytest.raises(ValueError, match="without gaps"):
        kernels.matrix_product(A, B, False, C[:, ::2])
    with pytest.raises(ValueError, match="without gaps"):
        kernels.panel_product(A, panels_of(kernels, B), False, C[:, ::2])
    assert (C == 7).all()


@DTYPES
def test_strides_that_are_no_whole_numbers_are_refused(kernels, dtype):
    """As those of a field of records."""
    record = np.dtype([("a", np.int16), ("b", dtype)])
    odd, even = np.zeros((4, 4), record)["b"], np.zeros((4, 4), dtype)
    panels = np.zeros(4 * 128 // even.itemsize, dtype)
    for call in (
        lambda: kernels.matrix_product(odd, even, False, np.empty_like(even)),
        lambda: kernels.matrix_product(even, odd, False, np.empty_like(even)),
        lambda: kernels.panel_product(odd, panels, False, np.empty_like(even)),
        lambda: kernels.pack_panels(odd, panels),
    ):
        with pytest.raises(ValueError, match="multiples of the"):
            call()


def test_the_twins_pack_alike(pair):
    B = np.random.default_rng(0).normal(size=(500, 45))
    one, two = (panels_of(kernels, B) for kernels in pair)
    assert same_bits(one, two)
    assert PLAIN["products"].PANEL == 128
