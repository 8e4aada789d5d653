"""Fits to chunks, files and memory maps are those to arrays, and memory stays bounded."""

import subprocess
import sys

import numpy as np
import pytest

import gdcore as gd
from gdcore import chunk_cost
from gdcore.passes import Split
from gdcore.survey import Passes

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


CORNERS = [
    (gd.LinearClassifier, 2, {}), (gd.LinearClassifier, 2, {"loss": "squared_hinge"}),
    (gd.LinearClassifier, 3, {"alpha": 0.01, "class_weight": "balanced"}),
    (gd.LinearClassifier, 2, {"alpha": 0.01, "l1_ratio": 0.5}),
    (gd.LinearRegression, 1, {"loss": gd.losses.Quantile(0.9)}),
]  # fmt: skip


@pytest.mark.parametrize("kept", [chunk_cost.KEPT, 0], ids=["kept margins", "passes"])
@pytest.mark.parametrize(("kind", "target", "settings"), CORNERS)
def test_corners_have_the_same_minimum(rows, kind, target, settings, kept, monkeypatch):
    monkeypatch.setattr(chunk_cost, "KEPT", kept)
    X, y = rows[0][:2000], rows[target][:2000]
    one = kind(tol=1e-5, **settings).fit(chunked(X, y))
    other = kind(tol=1e-5, **settings).fit(X, y)
    assert one.result_.status is gd.Status.CERTIFIED
    assert one.result_.bound <= 1e-5 * one.result_.fun
    for here, there in zip(*(getattr(model, "results_", [model.result_]) for model in (one, other)),
                           strict=True):  # fmt: skip
        assert here.fun == pytest.approx(there.fun, rel=1e-5)
    assert one.score(X, y) == pytest.approx(other.score(X, y), abs=2e-3)


def test_a_classifier_of_margins_takes_files_and_maps(rows, tmp_path):
    X, y = rows[0], rows[3]
    np.save(tmp_path / "X.npy", X)
    settings = {"loss": "squared_hinge", "alpha": 0.01}
    expected = gd.LinearClassifier(**settings).fit(X, y)
    for given in (tmp_path / "X.npy", np.load(tmp_path / "X.npy", mmap_mode="r")):
        model = gd.LinearClassifier(**settings).fit(given, y)
        near(model, expected, 1e-3)
        assert model.score(X, y) == pytest.approx(expected.score(X, y), abs=1e-3)
    assert [result.status.name for result in model.results_] == ["CERTIFIED"] * 3


def test_chunks_without_a_positive_count_are_counts(rows):
    y = np.r_[np.zeros(1000), np.arange(1000.0) % 3]
    one = gd.LinearRegression(loss="poisson").fit(chunked(rows[0][:2000], y))
    near(one, gd.LinearRegression(loss="poisson").fit(rows[0][:2000], y), 1e-3)
    with pytest.raises(ValueError, match="zero everywhere"):
        gd.LinearRegression(loss="poisson").fit(chunked(rows[0], np.zeros(6000)))


def held_out(X, y, s, seed, share=0.25, rows=701):
    """The rows that a fit over these chunks holds out, each chunk's by its number."""
    seed = int(np.random.default_rng(seed).integers(2**63))
    parts = [
        Split.part((X[a : a + rows], y[a : a + rows], s[a : a + rows]), k, share, seed, kept=False)
        for k, a in enumerate(range(0, len(y), rows))
    ]
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


@pytest.mark.parametrize("settings", [
    {"optimizer": "lbfgs"}, {"batch_size": 8, "learning_rate": 0.05}, {"batch_size": 64},
])  # fmt: skip
@pytest.mark.parametrize("mix", [False, True])
def test_early_stopping_keeps_the_best_on_rows_held_out(rows, settings, mix):
    """The trace has the plain weighted mean loss of those rows; they are in no step and no sum."""
    X, y = np.hstack([rows[0], np.random.default_rng(3).normal(size=(6000, 30))])[:1500], rows[1]
    y = y[:1500] / y.std()
    s = np.random.default_rng(1).integers(0, 4, len(y)) * 2.5
    held = held_out(X, y, s, seed=7)
    # what only the rows held out say: columns that would give their targets away
    X = np.c_[X, np.where(np.isin(y, held[1]), 1e3 * y, 0.0)]
    held = held_out(X, y, s, seed=7)
    chunks = chunked(X, y, s)
    model = gd.LinearRegression(
        early_stopping=3, validation_fraction=0.25, random_state=7, tol=0, alpha=1e-6, **settings
    ).fit(gd.chunks.shuffled(chunks) if mix else chunks)
    losses = model.trace_.validation
    assert model.result_.status.name in ("VALIDATION", "STALLED")
    assert model.coef_[-1] == 0  # constant among the rows that are not held out
    mine = float(np.average(0.5 * (model.predict(held[0]) - held[1]) ** 2, weights=held[2]))
    assert mine == pytest.approx(np.nanmin(losses), rel=1e-9)


@pytest.mark.parametrize("mix", [False, True])
def test_steps_never_see_the_rows_held_out(rows, mix):
    y, seed = np.arange(6000.0), 5
    chunks = gd.chunks.checked(chunked(rows[0], y))
    passes = Passes(
        gd.chunks.shuffled(chunks) if mix else chunks, lambda y, s: (y, s), (0.25, seed)
    )
    watched = []
    summed = np.concatenate([part.y for part in passes.each(lambda part: watched.append(part.y))])
    orders = [np.concatenate([part.y for part in passes.mixed()]) for _ in range(2)]
    for stepped in orders:
        np.testing.assert_array_equal(np.sort(stepped), summed)
    np.testing.assert_array_equal(np.sort(np.r_[summed, np.concatenate(watched)]), y)
    assert np.array_equal(*orders) is not mix


def test_early_stopping_of_classes(rows):
    X, y = rows[0][:3000], rows[3][:3000]
    for kind in (gd.LogisticRegression, gd.LinearClassifier):
        settings = {"early_stopping": True, "class_weight": "balanced", "random_state": 0}
        model = kind(**settings).fit(gd.chunks.shuffled(chunked(X, y)))
        assert model.score(X, y) == pytest.approx(kind(**settings).fit(X, y).score(X, y), abs=0.02)
        np.testing.assert_array_equal(model.coef_, kind(**settings).fit(chunked(X, y)).coef_)


def test_weights_go_with_the_chunks(rows):
    X, y = rows[0], rows[2]
    s = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    one = gd.LogisticRegression().fit(chunked(X, y, s))
    near(one, gd.LogisticRegression().fit(X, y, sample_weight=s), 1e-4)
    named = gd.LogisticRegression(class_weight={"yes": 3.0})
    near(named.fit(chunked(X, y)), gd.LogisticRegression(class_weight={"yes": 3.0}).fit(X, y), 1e-4)


@pytest.mark.parametrize("weight", [1e-200, 1e290])
@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_weights_and_columns_at_the_ends_of_the_range(weight, unit):
    rng = np.random.default_rng(0)
    X, s = rng.normal(size=(300, 2)), weight * rng.random(300)
    y = X @ [1.0, 2.0] + 0.1 * rng.normal(size=300)
    expected = gd.LinearRegression(alpha=1e-3).fit(X, y, s / weight).coef_
    Z = X * [unit, 1.0]
    parts = [(Z[a : a + 90], y[a : a + 90], s[a : a + 90]) for a in range(0, 300, 90)]
    model = gd.LinearRegression(alpha=1e-3).fit(parts)
    np.testing.assert_allclose(model.coef_ * [unit, 1.0], expected, rtol=1e-6)


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_chunks_of_one_row_are_mixed_and_held_out(share):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    c = (X @ [1.0, 2.0] > 0) * 1
    single = [(X[i : i + 1], c[i : i + 1]) for i in range(300)]
    model = gd.LogisticRegression(
        early_stopping=True, validation_fraction=share, batch_size=16, max_epochs=20, random_state=0
    )
    model.fit(gd.chunks.shuffled(single, buffer=3))
    assert model.score(X, c) > 0.95


class Changing:
    """Chunks whose second half is made by change(X, y) from the third pass on."""

    def __init__(self, X, y, change):
        self.X, self.y, self.change, self.passes = X, y, change, 0

    def __iter__(self):
        self.passes += 1
        yield self.X[:200], self.y[:200]
        rest = self.X[200:400], self.y[200:400]
        yield rest if self.passes < 3 else self.change(*rest)


CHANGES = [
    (lambda X, y: (X, y, np.zeros(200)), "gave other rows or weights in a later pass"),
    (lambda X, y: (X, y, np.full(200, 2.0)), "gave other rows or weights in a later pass"),
    (lambda X, y: (X, np.append(y[:199], "perhaps")), "gave a label in a later pass, 'perhaps'"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("stopping", [False, True])
def test_chunks_that_change_are_refused(rows, change, words, mixed, stopping):
    chunks, settings = Changing(rows[0], rows[2], change), {"early_stopping": stopping}
    if mixed:
        chunks, settings["batch_size"] = gd.chunks.shuffled(chunks, buffer=1), 32
    with pytest.raises(ValueError, match=words):
        gd.LogisticRegression(random_state=0, **settings).fit(chunks)


def test_rows_held_out_of_chunks_in_another_order_each_pass_are_no_matter(rows):
    class Turning:
        turn = 0

        def __iter__(self):
            self.turn += 1
            for a, b in [(0, 350), (350, 601), (601, 999)][:: 1 if self.turn % 2 else -1]:
                yield rows[0][a:b], rows[2][a:b]

    model = gd.LogisticRegression(early_stopping=True, random_state=0).fit(Turning())
    assert model.score(rows[0], rows[2]) > 0.7


def test_labels_of_two_kinds_are_refused(rows):
    X, words, numbers = rows[0], rows[2], rows[3]
    for first, then in ((words, numbers), (numbers, words), (words.astype(object), numbers)):
        with pytest.raises(TypeError, match="y mixes strings and numbers"):
            gd.LogisticRegression().fit([(X[:99], first[:99]), (X[99:], then[99:])])


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
    (lambda X, y: chunked(X[:1], y[:1]), {"early_stopping": True}, ValueError, "to hold out"),
    (chunked, {"optimizer": "saga"}, ValueError, "needs them in memory"),
    (chunked, {"optimizer": "closed-form"}, ValueError, "needs rows in memory"),
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
    """A file of 160 MB trains in well under 80 MB of memory of its own."""
    code = f"""
import resource, sys, numpy as np, gdcore as gd
path = {str(tmp_path / "X.npy")!r}
n, p = 400_000, 50
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
            "model.fit(path, y)\nprint(most - before)\nassert most - before < 80\n"
        )
        if not sys.platform.startswith("linux"):
            pytest.skip("the resident memory is read from /proc")
        subprocess.run([sys.executable, "-W", "ignore", "-c", run], check=True)


@pytest.mark.parametrize("how", [{}, {"optimizer": "fista"}, {"batch_size": 64}], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_file_that_is_written_to_in_mid_fit_is_named(rows, how, bad, tmp_path):
    """Numbers of a file are looked at in its first pass alone, and when a sum is none."""
    path = tmp_path / "X.npy"
    np.save(path, rows[0])
    there = np.load(path, mmap_mode="r+")

    def write(moment):
        if moment.epoch == 2:
            there[333, 1] = bad
            there.flush()

    chunks = gd.chunks.arrays(str(path), rows[2], rows=100)
    model = gd.LogisticRegression(callbacks=write, tol=0, max_epochs=6, random_state=0, **how)
    with pytest.raises(ValueError, match=r"X of chunk 3 contains .*, first at row 33, column 1"):
        model.fit(chunks)
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize("labels", [(0, 1), (-1, 1), (3.0, 7.0), (False, True)], ids=str)
@pytest.mark.parametrize("weight", [None, "balanced"])
def test_two_numeric_labels_are_those_in_memory(rows, labels, weight):
    y = np.where(np.asarray(rows[2]) == np.asarray(rows[2])[0], *labels)
    how = {"class_weight": weight, "tol": 1e-12}
    ours = gd.LogisticRegression(**how).fit(rows[0], y)
    theirs = gd.LogisticRegression(**how).fit(gd.chunks.arrays(rows[0], y, rows=100))
    np.testing.assert_allclose(theirs.coef_, ours.coef_, rtol=1e-6)
    np.testing.assert_array_equal(theirs.classes_, ours.classes_)


def test_each_fit_looks_at_the_numbers_anew(rows):
    """Also of chunks that a fit before has found sound; and who walks over them is told."""
    X, y = rows[0].copy(), rows[2]
    chunks = gd.chunks.shuffled(gd.chunks.checked(gd.chunks.arrays(X, y, rows=500)))
    model = gd.LogisticRegression(batch_size=100, max_epochs=2, tol=0).fit(chunks)
    list(chunks)
    X[7, 2] = np.nan
    for use in (lambda: model.fit(chunks), lambda: list(chunks), lambda: list(chunks.source)):
        with pytest.raises(ValueError, match="contains NaN, first at row"):
            use()


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.longdouble, ">f8"])
def test_labels_and_targets_in_chunks_have_any_kind(rows, kind):
    y = (np.asarray(rows[3]) > 0).astype(kind)
    for model in (gd.LogisticRegression, gd.LinearRegression):
        ours, theirs = model().fit(rows[0], y), model().fit(chunked(rows[0], y))
        np.testing.assert_allclose(theirs.coef_, ours.coef_, rtol=1e-5)


def test_a_closed_form_between_two_budgets_is_where_the_second_starts(rows):
    how = {"optimizer": "adam", "max_epochs": 3, "tol": 0, "warm_start": True}
    model = gd.LinearRegression(**how).fit(rows[0], rows[1])
    lowest = model.set_params(optimizer="closed-form").fit(rows[0], rows[1]).result_.fun
    again = model.set_params(optimizer="adam").fit(rows[0], rows[1])
    assert again.trace_.cost[0] == pytest.approx(lowest, rel=1e-9)
