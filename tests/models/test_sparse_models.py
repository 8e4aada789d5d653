"""Sparse rows give the models that dense rows give, whatever says that they are sparse."""

import subprocess
import sys

import numpy as np
import pytest

import gdcore as gd

sparse = pytest.importorskip("scipy.sparse")
pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")


@pytest.fixture(scope="module")
def rows():
    """A CSR matrix, real targets, two classes and three."""
    rng = np.random.default_rng(0)
    X = sparse.random_array((600, 30), density=0.15, rng=rng, format="csr")
    X.data[:] = rng.normal(size=X.nnz) + 1
    z = X @ rng.normal(size=30) + 0.3 * rng.normal(size=600)
    return X, z, (z > 0).astype(int), np.digitize(z, [-0.5, 0.5])


def near(one, other, tolerance):
    for name in ("coef_", "intercept_"):
        mine, theirs = getattr(one, name), getattr(other, name)
        size = np.abs(theirs).max() + 1e-300
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance * size)


SETTINGS = [
    {}, {"standardize": False}, {"fit_intercept": False}, {"optimizer": "lbfgs"},
    {"l1_ratio": 0.5, "alpha": 0.02}, {"l1_ratio": 1.0, "alpha": 0.02, "optimizer": "fista"},
    {"optimizer": "adgd"},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("target", [1, 2, 3])
def test_the_model_is_that_of_the_dense_rows(rows, settings, target):
    X, y = rows[0], rows[target]
    kind = gd.LinearRegression if target == 1 else gd.LogisticRegression
    one, other = (kind(**settings).fit(each, y) for each in (X, X.toarray()))
    near(one, other, 1e-5)
    assert one.result_.status is other.result_.status
    assert one.score(X, y) == pytest.approx(other.score(X.toarray(), y), abs=1e-9)
    np.testing.assert_allclose(one.predict(X[:7]), one.predict(X[:7].toarray()))


@pytest.mark.parametrize("loss", ["huber", "quantile", "poisson"])
def test_other_losses_too(rows, loss):
    X, z = rows[0], rows[1]
    y = np.round(np.exp(z / 2)) if loss == "poisson" else z
    one, other = (gd.LinearRegression(loss=loss).fit(each, y) for each in (X, X.toarray()))
    assert one.result_.fun == pytest.approx(other.result_.fun, rel=1e-7)
    near(one, other, 1e-3)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_machines_with_a_margin_too(rows, loss):
    X, y = rows[0], rows[2]
    one, other = (gd.LinearClassifier(loss=loss).fit(each, y) for each in (X, X.toarray()))
    assert one.result_.fun == pytest.approx(other.result_.fun, rel=1e-7)
    np.testing.assert_array_equal(one.predict(X), other.predict(X.toarray()))


FORMS = {
    "csr matrix": sparse.csr_matrix,
    "csr array": sparse.csr_array,
    "csc matrix": sparse.csc_matrix,
    "coo array": sparse.coo_array,
    "int64": lambda X: _indexed(X, np.int64),
    "int32": lambda X: _indexed(X, np.int32),
    "gd.CSR": lambda X: gd.CSR(X.data, X.indices, X.indptr, X.shape),
}


def _indexed(X, kind):
    made = sparse.csr_array(X)
    made.indices, made.indptr = made.indices.astype(kind), made.indptr.astype(kind)
    return made


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_form_and_precision(rows, form, dtype):
    X, y = rows[0].astype(dtype), rows[2]
    given = FORMS[form](X)
    model = gd.LogisticRegression().fit(given, y)
    assert model.coef_.dtype == dtype
    near(model, gd.LogisticRegression().fit(X, y), 1e-5 if dtype == np.float64 else 1e-3)
    assert model.predict(given).shape == y.shape


def test_what_was_passed_is_not_modified(rows):
    X = sparse.csr_array(([1.0, 2.0, 3.0, 4.0], [2, 0, 0, 1], [0, 2, 4]), shape=(2, 3))
    before = X.data.copy(), X.indices.copy(), X.indptr.copy()
    gd.LinearRegression().fit(X, [1.0, 2.0])
    for array, kept in zip((X.data, X.indices, X.indptr), before, strict=True):
        np.testing.assert_array_equal(array, kept)


def test_weights_equal_repetition_and_zero_weights_change_nothing(rows):
    X, y = rows[0], rows[2]
    s = np.random.default_rng(1).integers(0, 3, len(y))
    tight = {"tol": 1e-11, "alpha": 0.01}
    one = gd.LogisticRegression(**tight).fit(X, y, sample_weight=s)
    kept = np.repeat(np.arange(len(y)), s)
    near(one, gd.LogisticRegression(**tight).fit(X[kept], y[kept]), 1e-5)
    without = gd.LogisticRegression(**tight).fit(X[s > 0], y[s > 0], sample_weight=s[s > 0])
    np.testing.assert_array_equal(one.coef_, without.coef_)


def test_the_bits_do_not_depend_on_the_threads():
    rng = np.random.default_rng(0)
    X = sparse.random_array((60_000, 40), density=0.2, rng=rng, format="csr")
    y = X @ rng.normal(size=40) > 0
    fits = [gd.LogisticRegression(n_threads=k, alpha=1e-3).fit(X, y).coef_ for k in (1, 2, 3)]
    assert {fit.tobytes() for fit in fits} == {fits[0].tobytes()}


def test_columns_of_any_scale(rows):
    X, y = rows[0], rows[2]
    scale = 10.0 ** np.linspace(-12, 12, X.shape[1])
    one = gd.LogisticRegression(alpha=0.01).fit(X, y)
    other = gd.LogisticRegression(alpha=0.01).fit(X * scale, y)
    np.testing.assert_allclose(other.coef_ * scale, one.coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda X: X.data.__setitem__(3, np.nan), "X contains NaN, first at row"),
        (lambda X: X.indices.__setitem__(3, 99), "X.indices has column 99"),
        (lambda X: X.indptr.__setitem__(3, 10**6), "X.indptr"),
    ],
)
def test_structures_that_do_not_hold_are_named(rows, spoil, words):
    X = rows[0].copy()
    spoil(X)
    model = gd.LogisticRegression()
    with pytest.raises(ValueError, match=words):
        model.fit(X, rows[2])
    assert not hasattr(model, "coef_")


def test_what_takes_no_sparse_rows_says_so(rows):
    X, z = rows[0], rows[1]
    with pytest.raises(ValueError, match="closed-form' needs dense rows"):
        gd.LinearRegression(optimizer="closed-form").fit(X, z)
    with pytest.raises(TypeError, match="dense data is required"):
        gd.MLPRegressor().fit(X, z)


def test_scipy_is_not_imported_for_rows_of_our_own():
    code = (
        "import sys, numpy as np, gdcore as gd\n"
        "X = gd.CSR(np.ones(4), [0, 1, 0, 1], [0, 1, 2, 3, 4], (4, 2))\n"
        "gd.LogisticRegression().fit(X, [0, 1, 0, 1]).predict(X)\n"
        "assert 'scipy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
