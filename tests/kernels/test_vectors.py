"""Norm, dot, clip and the finite check against mathematics, on both twins."""

import itertools
import math

import numpy as np
import pytest

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
LENGTHS = (0, 1, 15, 16, 17, 1000, 40_000)


@DTYPES
def test_norm_and_dot_are_the_exact_sums(kernels, dtype):
    for n in LENGTHS:
        rng = np.random.default_rng(n)
        a, b = rng.normal(size=(2, n)).astype(dtype)
        exact = math.fsum((a.astype(np.float64) * b.astype(np.float64)).tolist())
        size = math.fsum(np.abs(a.astype(np.float64) * b).tolist())
        assert abs(kernels.dot(a, b) - exact) <= 1e-14 * size
        squares = math.fsum((a.astype(np.float64) ** 2).tolist())
        assert kernels.norm(a) == pytest.approx(math.sqrt(squares), rel=1e-14)
        assert kernels.norm(a) ** 2 == pytest.approx(kernels.dot(a, a), rel=1e-14)


@pytest.mark.parametrize("unit", [1.0, 1e200, 1e-200, 1e150, 1e-150, 1e-300, 2.0**-1074, 2.0**1021])
def test_pythagoras_at_every_scale(kernels, unit):
    """3² + 4² = 5², where the squares over- or underflow, and among denormals."""
    assert kernels.norm(np.array([3.0, -4.0]) * unit) == pytest.approx(5 * unit, rel=1e-15)
    many = np.full(10_000, unit)
    assert kernels.norm(many[:64]) == pytest.approx(8 * unit, rel=1e-14)
    if unit < 1e300:
        assert kernels.norm(many) == pytest.approx(100 * unit, rel=1e-12)


@pytest.mark.parametrize("unit", [1e30, 1e-30, 2.0**-149, 6e37])
def test_pythagoras_at_every_scale_in_float32(kernels, unit):
    a = (np.array([3.0, -4.0]) * unit).astype(np.float32)
    assert kernels.norm(a) == pytest.approx(5 * unit, rel=1e-7)


def test_the_norm_of_the_largest_numbers(kernels):
    most = np.finfo(np.float64).max
    assert kernels.norm(np.array([most])) == most
    assert kernels.norm(np.array([1e308, 1e308])) == pytest.approx(math.sqrt(2) * 1e308)
    assert kernels.norm(np.array([most, most])) == math.inf
    single = np.finfo(np.float32).max
    two = np.array([single, single], np.float32)
    assert kernels.norm(two) == pytest.approx(math.sqrt(2) * float(single))


@DTYPES
def test_norm_of_infinity_and_nan(kernels, dtype):
    assert kernels.norm(np.array([1, -np.inf, 2], dtype)) == math.inf
    assert math.isnan(kernels.norm(np.array([1, np.nan, 2], dtype)))
    assert math.isnan(kernels.norm(np.array([np.inf, np.nan], dtype)))
    assert kernels.norm(np.zeros(20, dtype)) == 0
    assert kernels.norm(np.zeros(0, dtype)) == 0
    assert kernels.dot(np.zeros(0, dtype), np.zeros(0, dtype)) == 0


@DTYPES
def test_dot_is_linear_and_symmetric(kernels, dtype):
    a, b, c = np.random.default_rng(0).integers(-9, 9, (3, 999)).astype(dtype)
    assert kernels.dot(a, b) == kernels.dot(b, a)
    assert kernels.dot(a + b, c) == kernels.dot(a, c) + kernels.dot(b, c)
    assert type(kernels.dot(a, b)) is float
    assert type(kernels.norm(a)) is float


def test_float32_is_summed_in_double(kernels):
    """In float32, 2²⁴ + 1 is 2²⁴."""
    a = np.ones(2**24 + 1, np.float32)
    assert kernels.dot(a, a) == 2**24 + 1


@DTYPES
def test_clip_norm_keeps_the_direction(kernels, dtype):
    for n in LENGTHS:
        a = np.random.default_rng(n).normal(size=n).astype(dtype)
        before = a.copy()
        size = kernels.clip_norm(a, 0.25)
        assert size == kernels.norm(before)
        near = 4 * np.finfo(dtype).eps
        assert kernels.norm(a) <= 0.25 * (1 + near)
        if size > 0.25:
            np.testing.assert_allclose(a, before * (0.25 / size), rtol=near)
        again = a.copy()
        kernels.clip_norm(a, 1.0)
        np.testing.assert_array_equal(a, again)


@pytest.mark.parametrize("unit", [1e-310, 1e-200, 1e200, 1e300])
def test_clip_norm_at_every_scale(kernels, unit):
    a = np.array([3.0, 4.0]) * unit
    assert kernels.clip_norm(a, 2.5 * unit) == pytest.approx(5 * unit)
    np.testing.assert_allclose(a / unit, [1.5, 2.0], rtol=1e-13)


@pytest.mark.parametrize("spoilt", [np.nan, np.inf, -np.inf])
def test_clip_norm_leaves_what_has_no_direction(kernels, spoilt):
    """A gradient that is not finite is the caller's to refuse; scaling it would hide it."""
    a = np.array([1.0, spoilt, 3.0])
    size = kernels.clip_norm(a, 0.5)
    assert not math.isfinite(size)
    np.testing.assert_array_equal(a, [1.0, spoilt, 3.0])


@DTYPES
def test_clip_value(kernels, dtype):
    for n in LENGTHS:
        a = np.random.default_rng(n).normal(size=n).astype(dtype)
        expected = np.minimum(np.maximum(a, dtype(-0.3)), dtype(0.3))
        kernels.clip_value(a, 0.3)
        np.testing.assert_array_equal(a, expected)


@DTYPES
@pytest.mark.parametrize("limit", [0.0, 1e-300, 2.0, 1e300, math.inf])
def test_clip_value_at_extremes(kernels, dtype, limit):
    a = np.array([1, -5, np.nan, np.inf, -np.inf, 0], dtype)
    with np.errstate(over="ignore"):
        high = dtype(limit)
    expected = np.where(np.isnan(a), a, np.clip(a, -high, high))
    kernels.clip_value(a, limit)
    np.testing.assert_array_equal(a, expected)


@DTYPES
def test_one_spoilt_number_is_found_at_every_position(kernels, dtype):
    for n, spoilt in itertools.product((1, 15, 16, 17, 33, 100), (np.nan, np.inf, -np.inf)):
        a = np.random.default_rng(0).normal(size=n).astype(dtype)
        assert kernels.all_finite(a) is True
        missed = []
        for i in range(n):
            kept, a[i] = a[i], spoilt
            if kernels.all_finite(a) is not False:
                missed.append(i)
            a[i] = kept
        assert missed == []


@DTYPES
def test_one_spoilt_number_is_found_in_a_long_vector(kernels, dtype):
    a = np.ones(40_001, dtype)
    for i in (0, 16_383, 16_384, 32_768, 40_000):
        a[i] = np.nan
        assert not kernels.all_finite(a)
        a[i] = 1


@DTYPES
def test_the_largest_and_smallest_numbers_are_finite(kernels, dtype):
    info = np.finfo(dtype)
    extremes = [info.max, info.min, info.tiny, info.smallest_subnormal, -0.0]
    assert kernels.all_finite(np.array(extremes * 7, dtype))
    assert kernels.all_finite(np.zeros(0, dtype))


def test_simd_level_names_the_twin(kernels):
    names = ("numpy", "baseline", "x86-64-v3", "x86-64-v4")
    assert kernels.simd_level() in names
    assert (kernels.simd_level() == "numpy") == kernels.norm.__module__.startswith("gdcore._numpy")
