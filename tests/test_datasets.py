"""The shipped data are the real ones."""

from pathlib import Path

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


def test_they_are_scikit_learns():
    """To the last bit, and to the bit with scikit-learn ≥ 1.8 (before: 4.803999999999999)."""
    theirs = pytest.importorskip("sklearn.datasets")
    version = pytest.importorskip("sklearn").__version__
    off = 0.0 if tuple(map(int, version.split(".")[:2])) >= (1, 8) else np.finfo(float).eps
    pairs = [
        (gd.datasets.load_diabetes(), theirs.load_diabetes(scaled=False)),
        (gd.datasets.load_breast_cancer(), theirs.load_breast_cancer()),
        (gd.datasets.load_digits(), theirs.load_digits()),
    ]
    for ours, data in pairs:
        np.testing.assert_allclose(ours.X, data.data, rtol=off, atol=0)
        np.testing.assert_array_equal(ours.y, data.target)
        assert ours.feature_names == list(data.feature_names)


def test_the_first_rows_are_the_published_ones():
    diabetes = gd.datasets.load_diabetes()
    assert diabetes.X[0].tolist() == [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]
    assert diabetes.y.mean() == pytest.approx(152.133484)
    cancer = gd.datasets.load_breast_cancer()
    assert cancer.X[0, :4].tolist() == [17.99, 10.38, 122.8, 1001.0]
    assert np.bincount(cancer.y).tolist() == [212, 357]
    digits = gd.datasets.load_digits()
    assert np.bincount(digits.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_script_that_made_the_files_makes_them_again(tmp_path):
    pytest.importorskip("sklearn")
    from gdcore.datasets import _make

    _make.main(tmp_path)
    for name in SHAPES:
        ours = Path(gd.datasets.__file__).with_name(f"{name}.npz")
        with np.load(ours) as one, np.load(tmp_path / f"{name}.npz") as other:
            assert sorted(one.files) == sorted(other.files)
            for part in one.files:
                assert one[part].dtype == other[part].dtype
                np.testing.assert_array_equal(one[part], other[part])
        assert ours.stat().st_size < 50_000


def test_the_sources_are_named():
    text = Path(gd.datasets.__file__).with_name("LICENSES.md").read_text(encoding="utf-8")
    for name in SHAPES:
        assert f"## {name}\n" in text
    assert text.count("CC BY 4.0") == 2


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'digits'"):
        gd.datasets.load("digit")


def test_each_call_gives_fresh_arrays():
    one = gd.datasets.load_digits()
    one.X[:] = 0
    assert gd.datasets.load_digits().X.any()
