"""Fits to chunks, files and memory maps are those to arrays, and memory stays bounded."""

import subprocess
import sys

import numpy as np
import pytest

import gdcore as gd

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")


@pytest.fixture(scope="module")
def rows():
    """Columns of several scales, real targets, two classes as text, three as numbers."""
    rng = np.random.default_rng(0)
    n, p = 6000, 6
    scale = 10.0 ** np.arange(-3, 3)
    Z = rng.normal(size=(n, p))
    z = Z @ rng.normal(size=p) + rng.logistic(size=n)
    X = Z * scale + 5 * scale
    return X, z, np.where(z > 0, "yes", "no"), np.digitize(z, [-1, 1])


def chunked(X, y, weights=None):
    return gd.chunks.arrays(X, y, weights, rows=701)


def near(one, other, tolerance=1e-6):
    for name in ("coef_", "intercept_"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=tolerance)


@pytest.mark.parametrize("target", [1, 2, 3])
@pytest.mark.parametrize("settings", [{}, {"standardize": False}, {"class_weight": "balanced"}])
def test_the_model_is_that_of_the_arrays(rows, target, settings):
    if target == 1 and "class_weight" in settings:
        settings = {"alpha": 0.1}
    X, y = rows[0], rows[target]
    kind = gd.LinearRegression if target == 1 else gd.LogisticRegression
    one, other = kind(**settings).fit(chunked(X, y)), kind(**settings).fit(X, y)
    near(one, other, 1e-3)
    assert one.result_.status is gd.Status.CERTIFIED
    assert one.result_.fun == pytest.approx(other.result_.fun, rel=1e-8)
    assert one.score(X, y) == pytest.approx(other.score(X, y), abs=1e-9)
    assert one.n_features_in_ == 6


@pytest.mark.parametrize("settings", [
    {"optimizer": "lbfgs"}, {"optimizer": "fista"}, {"l1_ratio": 0.5, "alpha": 0.05},
    {"loss": "huber"}, {"batch_size": 64, "random_state": 0},
    {"batch_size": 64, "optimizer": "adam", "random_state": 0},
])  # fmt: skip
def test_every_kind_of_descent_runs(rows, settings):
    X, y = rows[0], rows[1]
    one = gd.LinearRegression(**settings).fit(chunked(X, y))
    other = gd.LinearRegression(**settings).fit(X, y)
    loose = 1e-2 if "batch_size" in settings else 1e-6
    assert one.result_.fun == pytest.approx(other.result_.fun, rel=loose)


def test_weights_go_with_the_chunks(rows):
    X, y = rows[0], rows[2]
    s = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    one = gd.LogisticRegression().fit(chunked(X, y, s))
    near(one, gd.LogisticRegression().fit(X, y, sample_weight=s), 1e-4)
    named = gd.LogisticRegression(class_weight={"yes": 3.0})
    near(named.fit(chunked(X, y)), gd.LogisticRegression(class_weight={"yes": 3.0}).fit(X, y), 1e-4)


def test_the_bits_do_not_depend_on_the_threads(rows):
    X, y = rows[0], rows[2]
    big = gd.chunks.arrays(np.tile(X, (10, 1)), np.tile(y, 10), rows=40_000)
    fits = [gd.LogisticRegression(n_threads=k).fit(big).coef_ for k in (1, 2)]
    np.testing.assert_array_equal(*fits)


def test_sparse_chunks(rows):
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    X = sparse.random_array((3000, 20), density=0.2, rng=rng, format="csr")
    y = (X @ rng.normal(size=20) + 0.2 * rng.normal(size=3000) > 0).astype(int)
    parts = [(X[a : a + 700], y[a : a + 700]) for a in range(0, 3000, 700)]
    one = gd.LogisticRegression(alpha=0.01).fit(gd.chunks.checked(parts))
    near(one, gd.LogisticRegression(alpha=0.01).fit(X, y), 1e-5)


def test_files_of_arrays_and_lists_of_chunks(rows, tmp_path):
    X, y = rows[0], rows[1]
    np.save(tmp_path / "X.npy", X)
    np.save(tmp_path / "y.npy", y)
    expected = gd.LinearRegression().fit(X, y)
    near(gd.LinearRegression().fit(tmp_path / "X.npy", tmp_path / "y.npy"), expected)
    near(gd.LinearRegression().fit(str(tmp_path / "X.npy"), y), expected)
    near(gd.LinearRegression().fit([(X[:2000], y[:2000]), (X[2000:], y[2000:])]), expected)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    near(gd.LinearRegression().fit(mapped, y), expected)


def test_csv_files(rows, tmp_path):
    pytest.importorskip("pyarrow")
    X, y = rows[0], rows[2]
    lines = ["a,b,c,d,e,f,class"]
    lines += [",".join([*map(repr, row.tolist()), label]) for row, label in zip(X, y, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    chunks = gd.chunks.csv(tmp_path / "rows.csv", target="class", rows=1000)
    model = gd.LogisticRegression().fit(chunks)
    near(model, gd.LogisticRegression().fit(X, y), 1e-4)
    assert model.feature_names_in_.tolist() == list("abcdef")


REFUSED = [
    (lambda X, y: (chunk for chunk in chunked(X, y)), {}, TypeError, "only once"),
    (chunked, {"loss": "quantile"}, ValueError, "needs rows in memory, or small batches"),
    (chunked, {"early_stopping": True}, ValueError, "need rows in memory"),
    (chunked, {"optimizer": "closed-form"}, ValueError, "need rows in memory"),
    (lambda X, y: [(X, y), (X[:, :2], y)], {}, ValueError, "2 features, and others have 6"),
    (lambda X, y: [(X, y * np.nan)], {}, ValueError, "NaN"),
]


@pytest.mark.parametrize(("make", "settings", "error", "words"), REFUSED)
def test_what_cannot_be_fitted_is_named_and_nothing_changes(rows, make, settings, error, words):
    model = gd.LinearRegression(**settings)
    with pytest.raises(error, match=words):
        model.fit(make(rows[0], rows[1]))
    assert not hasattr(model, "coef_")


def test_one_class_alone_is_refused(rows):
    with pytest.raises(ValueError, match="one class only"):
        gd.LogisticRegression().fit(chunked(rows[0], np.ones(len(rows[0]))))


def test_memory_stays_bounded(tmp_path):
    """A file of 400 MB trains in well under 200 MB of memory of its own."""
    code = f"""
import resource, sys, numpy as np, gdcore as gd
path = {str(tmp_path / "X.npy")!r}
n, p = 1_000_000, 50
X = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=(n, p))
rng = np.random.default_rng(0)
for a in range(0, n, 50_000):
    X[a : a + 50_000] = rng.normal(size=(50_000, p))
y = (X[:, 0] + rng.normal(size=n) > 0).astype(np.int8)
X.flush()
del X

def own():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024

before, most = own(), 0

def watch(moment):
    global most
    most = max(most, own())

model = gd.LogisticRegression(callbacks=watch, batch_size={{}}, max_epochs=3, tol=1e-3)
"""
    for batch_size in ("'auto'", "256"):
        run = code.replace("{}", batch_size) + (
            "model.fit(path, y)\nprint(most - before)\nassert most - before < 200\n"
        )
        if not sys.platform.startswith("linux"):
            pytest.skip("the resident memory is read from /proc")
        subprocess.run([sys.executable, "-W", "ignore", "-c", run], check=True)
