"""Sigmoid, softmax and log-sum-exp against references in long double, on both twins.

Stated accuracy. Sigmoid: 4 ulp; below 1e-307 (1e-37 in float32) any number below that. Softmax:
8 + √k ulp for rows of k, and one more for each unit by which z lies below the row's largest, since
that difference is itself rounded. Log-sum-exp: 2 ulp of the largest of |z|, |result| and 1.
"""

import numpy as np
import pytest

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
LENGTHS = pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 1000, 40_000])
FLOOR = {np.float32: 2e-38, np.float64: 4e-308}
EDGE = {np.float32: 87, np.float64: 708}  # beyond, the compiled e⁻ˣ stays what it is there


def sigmoid(kernels, z):
    out = np.empty_like(z)
    kernels.sigmoid(z, out)
    return out


def softmax(kernels, Z):
    out = np.empty_like(Z)
    kernels.softmax(Z, out)
    return out


def logsumexp(kernels, Z):
    out = np.empty(len(Z), Z.dtype)
    kernels.logsumexp(Z, out)
    return out


def exact_sigmoid(z):
    z = z.astype(np.longdouble)
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, e) / (1 + e)


@DTYPES
@LENGTHS
def test_sigmoid_within_4_ulp(kernels, dtype, n):
    z = (10 * np.random.default_rng(n).normal(size=n)).astype(dtype)
    exact = exact_sigmoid(z)
    assert (abs(sigmoid(kernels, z) - exact) <= 4 * np.finfo(dtype).eps * exact).all()


@DTYPES
def test_sigmoid_within_4_ulp_over_its_whole_range(kernels, dtype):
    z = np.linspace(-EDGE[dtype], EDGE[dtype], 100_001).astype(dtype)
    exact = exact_sigmoid(z)
    out = sigmoid(kernels, z)
    assert np.isfinite(out).all()
    assert (abs(out - exact) <= 4 * np.finfo(dtype).eps * exact + FLOOR[dtype]).all()


@DTYPES
def test_sigmoid_rises(kernels, dtype):
    """On steps that move it by more than its own rounding; never by more than that back."""
    z = np.linspace(-EDGE[dtype], EDGE[dtype], 5001).astype(dtype)
    out = sigmoid(kernels, z)
    assert (np.diff(out) >= -np.finfo(dtype).eps).all()  # the last bit below one may waver
    fine = sigmoid(kernels, np.linspace(-5, 5, 100_001).astype(dtype))
    assert (np.diff(fine) >= -2 * np.finfo(dtype).eps * fine[1:]).all()


@DTYPES
def test_sigmoid_and_its_mirror_sum_to_one(kernels, dtype):
    z = np.linspace(-30, 30, 10_001).astype(dtype)
    both = sigmoid(kernels, z).astype(np.float64) + sigmoid(kernels, -z)
    assert (abs(both - 1) <= 2 * np.finfo(dtype).eps).all()
    assert sigmoid(kernels, np.zeros(1, dtype))[0] == 0.5


@DTYPES
@pytest.mark.parametrize("size", [80, 88, 100, 600, 690, 700, 709, 1000, 1e38, 1e308, np.inf])
def test_sigmoid_at_extremes_is_zero_and_one(kernels, dtype, size):
    with np.errstate(over="ignore"):
        z = np.array([-size, size] * 9, np.float64).astype(dtype)
    out = sigmoid(kernels, z)
    assert (out[1::2] == 1).all()
    assert (out[::2] >= 0).all()
    assert (out[::2] <= max(FLOOR[dtype], 1.001 * np.exp(-min(size, 700)))).all()


@DTYPES
def test_sigmoid_of_nan_is_nan(kernels, dtype):
    out = sigmoid(kernels, np.array([np.nan, 0, np.nan] * 7, dtype))
    np.testing.assert_array_equal(np.isnan(out), [True, False, True] * 7)


@DTYPES
def test_sigmoid_in_place(kernels, dtype):
    z = np.random.default_rng(0).normal(size=100).astype(dtype)
    expected = sigmoid(kernels, z)
    kernels.sigmoid(z, z)
    np.testing.assert_array_equal(z, expected)


def rows(dtype, k, scale):
    return (scale * np.random.default_rng(k).normal(size=(400, k))).astype(dtype)


@DTYPES
@pytest.mark.parametrize("k", [1, 2, 3, 16, 100, 1000])
@pytest.mark.parametrize("scale", [1, 20])
def test_softmax_and_logsumexp_are_near_long_double(kernels, dtype, k, scale):
    Z = rows(dtype, k, scale)
    exact = Z.astype(np.longdouble)
    most = exact.max(axis=1, keepdims=True)
    e = np.exp(exact - most)
    total = e.sum(axis=1, keepdims=True)
    eps = np.finfo(dtype).eps
    share, ulps = e / total, 8 + np.sqrt(k) + (most - exact)
    assert (abs(softmax(kernels, Z) - share) <= ulps * eps * share + FLOOR[dtype]).all()
    log = (most + np.log(total))[:, 0]
    unit = np.maximum(np.maximum(abs(log), abs(exact).max(axis=1)), 1)
    assert (abs(logsumexp(kernels, Z) - log) <= 2 * eps * unit).all()


@DTYPES
@pytest.mark.parametrize("k", [1, 2, 5, 64, 1000])
def test_rows_of_softmax_sum_to_one(kernels, dtype, k):
    out = softmax(kernels, rows(dtype, k, 5))
    sums = out.sum(axis=1, dtype=np.float64)
    np.testing.assert_allclose(sums, 1, rtol=(8 + np.sqrt(k)) * np.finfo(dtype).eps)
    assert (out >= 0).all()


@DTYPES
def test_softmax_does_not_see_a_shift_and_logsumexp_follows_it(kernels, dtype):
    """Whole numbers, so that the shift itself is exact."""
    Z = np.random.default_rng(0).integers(-20, 20, (300, 7)).astype(dtype)
    for shift in (-1000, 512, 4096):
        moved = (Z + dtype(shift)).astype(dtype)
        np.testing.assert_array_equal(softmax(kernels, moved), softmax(kernels, Z))
        expected = logsumexp(kernels, Z).astype(np.float64) + shift
        near = 2 * np.finfo(dtype).eps
        np.testing.assert_allclose(logsumexp(kernels, moved), expected, rtol=near, atol=4 * near)


@DTYPES
def test_logsumexp_lies_between_the_largest_and_log_k_above(kernels, dtype):
    Z = rows(dtype, 9, 10)
    out, most = logsumexp(kernels, Z), Z.max(axis=1)
    eps = np.finfo(dtype).eps
    assert (out >= most).all()
    assert (out <= (most + np.log(9)) * (1 + np.sign(most) * 2 * eps) + 4 * eps).all()
    equal = np.full((3, 9), 2.5, dtype)
    np.testing.assert_allclose(logsumexp(kernels, equal), 2.5 + np.log(9), rtol=2 * eps)


@DTYPES
def test_two_classes_are_a_sigmoid(kernels, dtype):
    z = np.linspace(-40, 40, 501).astype(dtype)
    Z = np.stack([z, np.zeros_like(z)], axis=1)
    near = 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(softmax(kernels, Z)[:, 0], sigmoid(kernels, z), rtol=near)


@DTYPES
def test_extreme_rows_do_not_overflow(kernels, dtype):
    most = float(np.finfo(dtype).max)
    Z = np.array([[most, -most, 0], [1000, 0, -1000], [-most, -most, -most]], dtype)
    expected = np.array([[1, 0, 0], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    near = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(softmax(kernels, Z), expected, rtol=near, atol=FLOOR[dtype])
    np.testing.assert_allclose(logsumexp(kernels, Z), Z.max(axis=1), rtol=near)


@DTYPES
def test_a_margin_of_minus_infinity_has_no_share(kernels, dtype):
    Z = np.array([[0, -np.inf, np.log(3)]], dtype)
    near = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(softmax(kernels, Z), [[0.25, 0, 0.75]], rtol=near, atol=FLOOR[dtype])
    np.testing.assert_allclose(logsumexp(kernels, Z), [np.log(4)], rtol=near)


@DTYPES
@pytest.mark.parametrize("row", [[0, np.nan], [np.nan, 0], [np.inf, 0], [np.inf, np.inf]])
def test_what_has_no_shares_is_nan_in_its_row_alone(kernels, dtype, row):
    out = softmax(kernels, np.array([[0, 0], row, [0, 0]], dtype))
    np.testing.assert_array_equal(np.isnan(out), [[False] * 2, [True] * 2, [False] * 2])
    out = logsumexp(kernels, np.array([[0, 0], row, [0, 0]], dtype))
    assert np.isfinite(out[[0, 2]]).all()
    assert not np.isfinite(out[1])


@DTYPES
def test_softmax_in_place(kernels, dtype):
    Z = rows(dtype, 5, 1)
    expected = softmax(kernels, Z)
    kernels.softmax(Z, Z)
    np.testing.assert_array_equal(Z, expected)


@DTYPES
def test_no_rows_and_no_columns(kernels, dtype):
    for shape in ((0, 3), (3, 0), (0, 0)):
        assert softmax(kernels, np.empty(shape, dtype)).shape == shape
    assert logsumexp(kernels, np.empty((0, 3), dtype)).shape == (0,)


@DTYPES
@pytest.mark.parametrize("k", [2, 3, 17, 100])
def test_twins_agree(pair, dtype, k):
    """Sigmoid within 4 ulp, softmax within 8 + √k, log-sum-exp within 4."""
    plain, native = pair
    eps = np.finfo(dtype).eps
    z, Z = rows(dtype, k, 10).ravel(), rows(dtype, k, 10)
    one, other = sigmoid(plain, z), sigmoid(native, z)
    assert (abs(one - other) <= 4 * eps * other).all()
    one, other = softmax(plain, Z), softmax(native, Z)
    assert (abs(one - other) <= (8 + np.sqrt(k)) * eps * other + FLOOR[dtype]).all()
    one, other = logsumexp(plain, Z), logsumexp(native, Z)
    assert (abs(one - other) <= 4 * eps * np.maximum(abs(other), abs(Z).max(axis=1))).all()
