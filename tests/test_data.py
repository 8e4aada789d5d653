"""Columns' moments under hard scales, and rows in whatever form they come."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.data import Spread, as_features, as_real_targets, as_weights, column_moments
from gdcore.sparse import CSR

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1e-200, 1e-6, 1.0, 1e6, 1e200])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_moments_at_every_scale(scale, shift):
    X = (RNG.normal(size=(5000, 4)) + shift) * scale
    mean, deviation = column_moments(X, np.ones(len(X)))
    np.testing.assert_allclose(mean, (X / scale).mean(0) * scale, rtol=1e-10)
    np.testing.assert_allclose(deviation, (X / scale).std(0) * scale, rtol=1e-10)


def test_weighted_moments_are_those_of_repetition():
    X, s = RNG.normal(size=(50, 3)), RNG.integers(1, 5, 50)
    mean, deviation = column_moments(X, s.astype(float))
    again = np.repeat(X, s, axis=0)
    np.testing.assert_allclose(mean, again.mean(0), rtol=1e-12)
    np.testing.assert_allclose(deviation, again.std(0), rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e300, -1e-300, 123456789.123])
def test_constant_columns_have_no_deviation(value):
    X = np.full((1000, 2), value)
    assert (column_moments(X, RNG.random(1000))[1] == 0).all()


def all_stored(X):
    """A CSR of X, its zeros too."""
    n, p = X.shape
    return CSR(X.ravel(), np.tile(np.arange(p), n), np.arange(n + 1) * p, (n, p))


def in_parts(X, weights):
    spread = Spread()
    for a in range(0, len(X), 30):
        spread.add(X[a : a + 30], weights[a : a + 30])
    return spread.mean, spread.deviation()


@pytest.mark.parametrize("unit", [1e-300, 1e-200, 1e155, 1e200, 1e300])
@pytest.mark.parametrize("weight", [1e-300, 1.0, 1e290])
def test_sparse_rows_and_parts_have_the_moments_of_dense_rows(unit, weight):
    X = RNG.normal([0.0, 1.0, 30.0], size=(100, 3)) * [unit, 1.0, unit]
    weights = weight * RNG.random(100)
    mean, deviation = column_moments(X / [unit, 1.0, unit], weights / weight)
    for made in (np.array, all_stored):
        for found in (column_moments, in_parts):
            mine = [each / [unit, 1.0, unit] for each in found(made(X), weights)]
            np.testing.assert_allclose(mine[0], mean, rtol=1e-12)
            np.testing.assert_allclose(mine[1], deviation, rtol=1e-12)


def test_small_changes_of_large_float32_are_no_rounding():
    X = np.ones((200, 3), np.float32)
    X[:, 0] = 1e6 + 0.5 * np.random.default_rng(1).normal(size=200)
    X[30:60, 0] = 1e6 - 0.25 * np.arange(2).repeat(15)  # a part that varies by rounding alone
    X[7, 1] = 1 + 1e-5
    expected = column_moments(X, np.ones(200))[1]
    assert (expected > 0).tolist() == [True, True, False]
    for found in (column_moments, in_parts):
        deviation = found(all_stored(X), np.ones(200))[1]
        np.testing.assert_allclose(deviation, expected, rtol=1e-6)


@pytest.mark.parametrize("made", [np.array, all_stored])
def test_columns_that_are_constant_in_each_part_alone_vary(made):
    X = np.repeat(np.arange(4.0), 30)[:, None]
    np.testing.assert_allclose(in_parts(made(X), np.ones(120)), [[1.5], [1.25**0.5]], rtol=1e-14)


def test_one_weight_that_outweighs_all():
    X, weights = RNG.normal(size=(100, 2)), np.ones(100)
    weights[0] = 1e260
    mean, deviation = column_moments(X, weights)
    np.testing.assert_allclose(mean, X[0], rtol=1e-12)
    apart = np.sqrt(((X - X[0]) ** 2).sum(0)) * 1e-130
    np.testing.assert_allclose(deviation, apart, rtol=1e-8)
    assert np.isfinite(gd.LinearRegression().fit(X, X[:, 0], weights).coef_).all()


def test_weights_whose_sum_is_no_number():
    X, y = RNG.normal(size=(300, 2)), np.arange(300) % 2
    with pytest.raises(ValueError, match=r"add up to more than 1.8e308"):
        gd.LogisticRegression().fit(X, y, np.full(300, 1e307))
    with pytest.raises(ValueError, match=r"add up to more than 1.8e308"):
        gd.LogisticRegression(class_weight={1: 1e307}).fit(X, y)
    with pytest.raises(ValueError, match=r"add up to more than 1.8e308"):
        gd.LogisticRegression().fit([(X, y, np.full(300, 1e307))])
    for rows in ((X, y), ([(X, y)],)):
        with pytest.raises(
            ValueError, match=r"class_weight of 1 must be a number of at least 0, got inf"
        ):
            gd.LogisticRegression(class_weight={1: np.inf}).fit(*rows)


def test_what_is_right_already_is_not_copied():
    X = RNG.normal(size=(10, 3))
    assert as_features(X) is X or np.shares_memory(as_features(X), X)
    assert as_features(X.astype(np.float32)).dtype == np.float32
    assert as_features(X.astype(np.float16)).dtype == np.float32
    assert as_features(X.astype(np.longdouble)).dtype == np.float64
    assert as_features([[1, 2]]).dtype == np.float64
    assert as_features(X.T).flags.c_contiguous


def test_sparse_input_says_what_to_do():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match=r"Pass X.toarray\(\)"):
        as_features(sparse.csr_matrix(np.eye(3)))


def test_a_column_of_targets_is_flattened_aloud():
    with pytest.warns(UserWarning, match="column-vector y"):
        assert as_real_targets(np.ones((3, 1)), 3).shape == (3,)


def test_one_weight_for_all():
    np.testing.assert_array_equal(as_weights(2.0, 3), [2, 2, 2])
