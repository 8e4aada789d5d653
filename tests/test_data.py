"""Columns' moments under hard scales, and rows in whatever form they come."""

import numpy as np
import pytest

from gdcore.data import as_features, as_real_targets, as_weights, column_moments

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
