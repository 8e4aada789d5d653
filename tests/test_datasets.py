"""The shipped data are the real ones."""

import numpy as np
import pytest

import gdcore as gd

SHAPES = {"diabetes": (442, 10, 0), "breast_cancer": (569, 30, 2), "digits": (1797, 64, 10)}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_and_kinds(name):
    data, (n, p, k) = gd.datasets.load(name), SHAPES[name]
    assert data.X.shape == (n, p)
    assert data.X.dtype == np.float64
    assert data.X.flags.c_contiguous
    assert len(data.feature_names) == p
    if k:
        assert data.y.dtype == np.int64
        np.testing.assert_array_equal(np.unique(data.y), np.arange(len(data.target_names)))
        assert len(data.target_names) == k
    else:
        assert data.target_names is None


def test_they_are_scikit_learns_to_the_bit():
    theirs = pytest.importorskip("sklearn.datasets")
    pairs = [
        (gd.datasets.load_diabetes(), theirs.load_diabetes(scaled=False)),
        (gd.datasets.load_breast_cancer(), theirs.load_breast_cancer()),
        (gd.datasets.load_digits(), theirs.load_digits()),
    ]
    for ours, data in pairs:
        np.testing.assert_array_equal(ours.X, data.data)
        np.testing.assert_array_equal(ours.y, data.target)
        assert ours.feature_names == list(data.feature_names)


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'digits'"):
        gd.datasets.load("digit")


def test_each_call_gives_fresh_arrays():
    one = gd.datasets.load_digits()
    one.X[:] = 0
    assert gd.datasets.load_digits().X.any()
