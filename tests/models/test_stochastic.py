"""Small batches and single rows: dense and sparse rows take the same steps, to the minimum."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.datasets import load_breast_cancer
from gdcore.reduced import SAGA, SVRG

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")


def stored(X):
    rows, indices = np.nonzero(X)
    indptr = np.searchsorted(rows, np.arange(len(X) + 1))
    return gd.CSR(X[rows, indices], indices.astype(np.int32), indptr, X.shape)


def problem(classes=2, n=300, p=12, share=0.15, seed=0):
    """Rows of which few numbers are not zero, in columns of several sizes, and labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(1, 1, (n, p)) * (rng.random((n, p)) < share) * np.geomspace(0.1, 10, p)
    z = (X / np.geomspace(0.1, 10, p)) @ rng.normal(size=(p, classes)) + rng.gumbel(size=classes)
    return X, (z + rng.gumbel(size=z.shape)).argmax(axis=1)


FITS = {
    "plain": {"standardize": True},
    "raw columns": {"standardize": False, "learning_rate": 0.01},
    "scaled columns": {"standardize": False},
    "no intercept": {"fit_intercept": False, "l1_ratio": 0.5},
    "raw lasso": {"standardize": False, "learning_rate": 0.01, "l1_ratio": 1.0},
    "a schedule": {"learning_rate": lambda t: 0.5 / (1 + 0.01 * t)},
}
SAME = ("plain", "raw columns", "no intercept", "raw lasso", "a schedule")


@pytest.mark.parametrize("batch_size", [1, 32])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", SAME)
def test_dense_and_sparse_rows_take_the_same_steps(name, classes, batch_size):
    X, y = problem(classes)
    given = {"alpha": 0.01, "tol": 0, "max_epochs": 5, "batch_size": batch_size, "random_state": 0}
    given |= FITS[name]
    if name == "a schedule":
        given["optimizer"] = gd.optim.SGD(0.1)
    dense, sparse = (gd.LogisticRegression(**given).fit(Z, y) for Z in (X, stored(X)))
    near = 1e-9 * np.abs(dense.coef_).max()
    np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=0, atol=near)
    np.testing.assert_allclose(sparse.intercept_, dense.intercept_, rtol=0, atol=100 * near)
    np.testing.assert_allclose(sparse.trace_.cost, dense.trace_.cost, rtol=1e-9)


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("batch_size", [1, 32])
def test_sparse_rows_come_near_the_minimum(name, batch_size):
    X, y = problem()
    given = {"alpha": 0.01, "random_state": 0} | FITS[name]
    given["learning_rate"] = "auto"
    best = gd.LogisticRegression(**given, optimizer="fista", tol=1e-8, max_epochs=20_000)
    best = best.fit(X, y).result_.fun
    model = gd.LogisticRegression(**given, batch_size=batch_size, max_epochs=60).fit(stored(X), y)
    assert model.result_.fun < best * 1.01


NAMES = [
    name.lower()
    for name in gd.optim.__all__
    if isinstance(kind := getattr(gd.optim, name), type) and issubclass(kind, gd.optim.Optimizer)
]


@pytest.mark.parametrize("name", NAMES)
def test_every_optimizer_takes_sparse_rows(name):
    """In small batches where the rule allows them, else over all rows; as dense ones."""
    X, y = problem()
    rule = gd.optim.by_name(name)()
    size = "full" if rule.full_batch or rule.searches else 32
    given = {"optimizer": name, "batch_size": size, "tol": 0, "max_epochs": 3, "alpha": 0.01}
    dense, sparse = (
        gd.LogisticRegression(**given, random_state=0).fit(Z, y) for Z in (X, stored(X))
    )
    assert np.isfinite(sparse.coef_).all()
    assert sparse.result_.fun == pytest.approx(dense.result_.fun, rel=1e-6)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_same_seed_gives_the_same_bits(optimizer):
    X, y = problem()
    given = {"optimizer": optimizer, "batch_size": 8, "tol": 0, "max_epochs": 3, "random_state": 3}
    one, two = (gd.LogisticRegression(**given).fit(stored(X), y) for _ in range(2))
    assert one.coef_.tobytes() == two.coef_.tobytes()


def test_rows_that_are_nearly_full_are_visited_as_dense_ones():
    """Their steps are then those of dense rows also where a lasso forbids a lazy shift."""
    data = load_breast_cancer()
    given = {"l1_ratio": 0.5, "batch_size": 1, "tol": 0, "max_epochs": 3, "random_state": 0}
    dense, sparse = (
        gd.LogisticRegression(**given).fit(Z, data.y) for Z in (data.X, stored(data.X))
    )
    np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-9, atol=1e-12)


def test_all_the_rows_of_a_column_may_be_empty():
    X, y = problem()
    X[:, 3] = 0
    X[5] = 0
    model = gd.LogisticRegression(batch_size=1, tol=0, max_epochs=2).fit(stored(X), y)
    assert model.coef_[0, 3] == 0


REDUCED = pytest.mark.parametrize("optimizer", ["saga", "svrg"])
COMPILED = gd.backend()["csr_corrected"] == "native"
TOL = 1e-10 if COMPILED else 1e-5  # a step in NumPy takes as long as a short pass
MANY = pytest.mark.skipif(not COMPILED, reason="thousands of single steps")
PENALTIES = pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])


@REDUCED
@PENALTIES
@pytest.mark.parametrize("loss", ["logistic", "squared", "softmax"])
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_variance_reduction_reaches_a_proven_minimum(optimizer, l1_ratio, loss, kind):
    X, y = problem(3 if loss == "softmax" else 2)
    model, given = gd.LogisticRegression, {"alpha": 0.01, "l1_ratio": l1_ratio}
    if loss == "squared":
        model, y = gd.LinearRegression, X @ np.linspace(-1, 1, X.shape[1]) + y
    rows = stored(X) if kind == "sparse" else X
    fit = model(optimizer=optimizer, tol=TOL, max_epochs=5000, **given).fit(rows, y)
    best = model(tol=1e-10, max_epochs=50_000, optimizer="fista", **given).fit(X, y).result_.fun
    assert fit.result_.status is gd.Status.CERTIFIED
    assert fit.result_.bound <= TOL * fit.result_.fun
    assert fit.result_.fun == pytest.approx(best, rel=2 * TOL)


@MANY
@REDUCED
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
@pytest.mark.parametrize("standardize", [True, False])
def test_variance_reduction_on_real_data(optimizer, l1_ratio, standardize):
    data = load_breast_cancer()
    alpha = 0.01 if l1_ratio else "auto"
    given = {"optimizer": optimizer, "alpha": alpha, "standardize": standardize, "tol": 1e-8}
    model = gd.LogisticRegression(**given, l1_ratio=l1_ratio, max_epochs=10_000)
    rows, y = data.X[::3], data.y[::3]
    for X in (rows, stored(rows)):
        assert model.fit(X, y).result_.status is gd.Status.CERTIFIED


@MANY
@REDUCED
def test_a_heavy_row_is_the_row_many_times(optimizer):
    """The step length knows the weights: one of 100 does not make the passes diverge."""
    X, y = problem()
    heavy = np.ones(len(X))
    heavy[::30] = 100
    again = np.repeat(np.arange(len(X)), heavy.astype(int))
    given = {"optimizer": optimizer, "alpha": 0.01, "tol": 1e-10, "max_epochs": 5000}
    one = gd.LogisticRegression(**given).fit(X, y, sample_weight=heavy)
    two = gd.LogisticRegression(**given).fit(X[again], y[again])
    assert one.result_.status is two.result_.status is gd.Status.CERTIFIED
    np.testing.assert_allclose(one.coef_, two.coef_, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(one.result_.fun, two.result_.fun, rtol=1e-9)


@REDUCED
def test_a_seed_is_an_order_of_visits(optimizer):
    kind = {"saga": SAGA, "svrg": SVRG}[optimizer]
    X, y = problem()
    rows = stored(X)
    one, two, other = (
        gd.LogisticRegression(optimizer=kind(seed=s), tol=0, max_epochs=4).fit(rows, y)
        for s in (1, 1, 2)
    )
    assert one.coef_.tobytes() == two.coef_.tobytes()
    assert one.coef_.tobytes() != other.coef_.tobytes()


@REDUCED
def test_variance_reduction_says_what_it_cannot_do(optimizer):
    X, y = problem()
    with pytest.raises(ValueError, match="visits one row at a time"):
        gd.LogisticRegression(optimizer=optimizer, batch_size=32).fit(X, y)
    kind = {"saga": SAGA, "svrg": SVRG}[optimizer]
    with pytest.raises(TypeError, match="needs the rows of a sum"):
        kind().step(np.zeros(1), np.zeros(1), {}, 1.0)
    with pytest.raises(TypeError, match="needs the rows of a sum"):
        gd.descend(Parabola(), np.ones(2), kind())
    with pytest.raises(ValueError, match="needs seed to be a whole number"):
        kind(seed=-1)


class Parabola(gd.cost.PlainCost):
    def value_and_gradient(self, theta, g):
        g[:] = theta
        return float(theta @ theta) / 2
