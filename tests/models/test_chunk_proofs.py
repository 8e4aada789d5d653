"""Over chunks tol is the distance that is proven, too, and proofs cost few passes."""

import numpy as np
import pytest

import gdcore as gd
from gdcore import chunk_cost
from gdcore.losses import regression
from gdcore.models import solvers

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")


class Counted(gd.chunks.ArrayChunks):
    """Chunks that count the passes over them."""

    def __iter__(self):
        self.parts[0].passes += 1
        return super().__iter__()


class Watched(np.ndarray):
    passes = 0


def counted(X, y, rows=300):
    X = X.view(Watched)
    return X, Counted((X, y), *X.shape, rows)


@pytest.fixture(scope="module")
def wide():
    """More columns than Newton's method takes, few of which matter."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(800, 410))
    X[:, 1:] += 0.5 * X[:, :-1]
    return X, X[:, :20] @ rng.normal(size=20) / 3 + rng.logistic(size=800)


def fitted(kind, z, settings, tol=1e-6):
    """(estimator, its targets)."""
    if kind in ("squared", "huber"):
        return gd.LinearRegression(loss=kind, tol=tol, **settings), z
    if kind == "poisson":
        mean = np.exp(np.clip(z / 4, -3, 3))
        counts = np.random.default_rng(1).poisson(mean).astype(float)
        return gd.LinearRegression(loss=kind, tol=tol, **settings), counts
    classes = (z > 0).astype(int) if kind == "logistic" else np.digitize(z, [-1, 1])
    return gd.LogisticRegression(tol=tol, **settings), classes


PENALTIES = {"ridge": 0.0, "net": 0.5, "lasso": 1.0}
KEPT = [("logistic", "ridge"), ("logistic", "lasso"), ("softmax", "net")]
PASSES = [("squared", "lasso"), ("huber", "ridge"), ("poisson", "net"), ("softmax", "ridge")]
CASES = [(*each, True) for each in KEPT] + [(*each, False) for each in PASSES]


@pytest.mark.parametrize(("kind", "penalty", "kept"), CASES)
def test_tol_is_a_proven_distance(kind, penalty, kept, wide, monkeypatch):
    """The bound holds against a tighter minimum in memory, and few passes are spent on it."""
    monkeypatch.setattr(chunk_cost, "KEPT", chunk_cost.KEPT if kept else 0)
    settings = {"alpha": 0.1, "l1_ratio": PENALTIES[penalty], "max_epochs": 3000}
    model, y = fitted(kind, wide[1], settings, 1e-4)
    X, chunks = counted(wide[0], y)
    found = model.fit(chunks).result_
    best = fitted(kind, wide[1], settings, 1e-8)[0].fit(wide[0], y).result_
    assert found.status is gd.Status.CERTIFIED
    assert found.bound <= 1e-4 * found.fun
    assert best.fun - best.bound <= found.fun <= best.fun + found.bound + 1e-12
    others = 2 + 12 * (penalty != "ridge")  # a survey and a start; FISTA's first step length
    assert found.nfev < X.passes <= found.nfev + others + 8


def test_the_bound_of_a_fit_that_ends_early_holds(wide):
    settings = {"alpha": 0.05, "max_epochs": 3, "batch_size": 64, "random_state": 0}
    for kind in ("squared", "logistic"):
        model, y = fitted(kind, wide[1], settings)
        found = model.fit(gd.chunks.shuffled(gd.chunks.arrays(wide[0], y, rows=300))).result_
        best = fitted(kind, wide[1], {"alpha": 0.05}, 1e-8)[0].fit(wide[0], y).result_
        assert found.status is gd.Status.EPOCHS
        assert best.fun - best.bound <= found.fun <= best.fun + found.bound


def test_rows_in_another_order_each_pass_are_no_matter(wide):
    """An object of one's own may mix its rows: then nothing is kept of them."""
    rng = np.random.default_rng(0)
    y = (wide[1] > 0).astype(int)

    def mixed():
        order = rng.permutation(len(y))
        for a in range(0, len(y), 500):
            yield wide[0][order[a : a + 500]], y[order[a : a + 500]]

    one = gd.LogisticRegression(alpha=0.05).fit(mixed).result_
    other = gd.LogisticRegression(alpha=0.05).fit(*wide[:1], y).result_
    assert one.status is gd.Status.CERTIFIED
    assert one.fun == pytest.approx(other.fun, rel=1e-7)


@pytest.mark.parametrize("settings", [
    {}, {"l1_ratio": 0.5}, {"batch_size": 64, "random_state": 0}, {"early_stopping": True},
])  # fmt: skip
def test_no_pass_follows_ctrl_c(wide, settings):
    """The answer is the best so far as it was measured, with its gradient."""
    X, chunks = counted(wide[0], (wide[1] > 0).astype(int))
    seen = []

    def press(moment):
        if moment.epoch == 4:
            seen.append(X.passes)
            raise KeyboardInterrupt

    model = gd.LogisticRegression(alpha=0.01, tol=1e-9, callbacks=press, **settings)
    result = model.fit(chunks).result_
    assert result.status is gd.Status.INTERRUPTED
    assert seen == [X.passes]
    assert result.fun in result.trace.cost
    assert result.bound == np.inf
    again = gd.LogisticRegression(alpha=0.01, max_epochs=0, warm_start=True, **settings)
    again.coef_, again.intercept_ = model.coef_, model.intercept_
    if "early_stopping" not in settings:  # which holds out other rows
        there = again.fit(chunks).result_
        assert there.fun == pytest.approx(result.fun, rel=1e-9)
        np.testing.assert_allclose(there.jac, result.jac, rtol=1e-6, atol=1e-12)


def test_ctrl_c_in_the_sample_to_start_from_is_the_fits(monkeypatch):
    X = np.random.default_rng(0).normal(size=(70_000, 2))
    y = (X[:, 0] > 0.3 * X[:, 1]).astype(int)
    descend = solvers.descend

    def pressed(*given, **settings):
        def press(moment):
            raise KeyboardInterrupt

        return descend(*given, **settings, callbacks=[press])

    monkeypatch.setattr(solvers, "descend", pressed)
    model = gd.LogisticRegression()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize("chunked", [False, True])
def test_ctrl_c_among_several_classes_keeps_what_was_fitted(wide, chunked):
    X, y = wide[0][:200, :40], np.digitize(wide[1][:200], [-1, 0, 1])
    rows = ([(X[:150], y[:150]), (X[150:], y[150:])],) if chunked else (X, y)
    whole, seen = gd.LinearClassifier(alpha=0.01, tol=1e-3).fit(*rows), []

    def press(moment):  # soon after the first of four classes is done
        seen.append(moment.step)
        if len(seen) == len(whole.results_[0].trace) + 2:
            raise KeyboardInterrupt

    model = gd.LinearClassifier(alpha=0.01, tol=1e-3, callbacks=press).fit(*rows)
    assert [result.status is gd.Status.INTERRUPTED for result in model.results_] == [False, True]
    assert model.result_ is model.results_[1]
    np.testing.assert_array_equal(model.coef_[0], whole.coef_[0])
    assert model.coef_[1].any()
    assert not model.coef_[2:].any()
    assert model.intercept_[2:].tolist() == [-1, -1]
    assert set(model.predict(X)) <= set(range(4))


def test_what_breaks_a_fit_of_several_classes_leaves_the_model_before(wide):
    X, y = wide[0][:200, :40], np.digitize(wide[1][:200], [-1, 1])
    model = gd.LinearClassifier(alpha=0.01).fit(X, y)
    before = dict(model.__dict__)

    def fail(moment):
        raise RuntimeError("mine")

    model.callbacks = fail
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, y)
    assert all(model.__dict__[name] is before[name] for name in ("coef_", "result_", "classes_"))


def test_a_quantile_of_many_rows_is_that_of_a_sort(monkeypatch):
    monkeypatch.setattr(regression, "MANY", 500)
    rng = np.random.default_rng(0)
    for y in (rng.normal(size=3000), rng.integers(0, 4, 3000).astype(float)):
        s = rng.integers(0, 3, 3000).astype(float)
        for q in (0.001, 0.3, 0.5, 0.999):
            mass = np.cumsum(s[order := np.argsort(y, kind="stable")])
            expected = y[order[np.searchsorted(mass, q * mass[-1])]]
            assert gd.losses.Quantile(q).constant(y, s, 1) == expected
