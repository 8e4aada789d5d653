"""Over chunks tol is the distance that is proven, too, and proofs cost few passes."""

import numpy as np
import pytest

import gdcore as gd
from gdcore import chunk_cost

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
