"""What must not matter to a linear model: scales, threads, precision, interruptions."""

import pickle
import signal
import threading

import numpy as np
import pytest

import gdcore as gd

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")


@pytest.fixture(scope="module")
def scaled():
    """Columns of deviations from 1e-12 to 1e12, and two classes that no plane separates."""
    rng = np.random.default_rng(0)
    Z = rng.normal(size=(800, 13))
    y = (Z @ rng.normal(size=13) + 2 * rng.logistic(size=800) > 0).astype(int)
    return Z, 10.0 ** np.linspace(-12, 12, 13), y


SETTINGS = [
    {}, {"optimizer": "lbfgs"}, {"optimizer": "fista"}, {"optimizer": "adgd"},
    {"batch_size": 16, "random_state": 0}, {"batch_size": 1, "random_state": 0},
    {"batch_size": 16, "optimizer": "adam", "random_state": 0},
    {"l1_ratio": 0.5, "alpha": 0.01},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_columns_from_1e_minus_12_to_1e12(scaled, settings):
    Z, scale, y = scaled
    one = gd.LogisticRegression(max_epochs=15, **settings).fit(Z, y)
    other = gd.LogisticRegression(max_epochs=15, **settings).fit(Z * scale, y)
    assert np.isfinite(other.coef_).all()
    assert other.result_.fun == pytest.approx(one.result_.fun, rel=1e-6)
    assert other.score(Z * scale, y) == pytest.approx(one.score(Z, y), abs=0.01)


@pytest.mark.parametrize("settings", [{}, {"batch_size": 16, "random_state": 0}], ids=str)
@pytest.mark.parametrize("kind", [gd.LogisticRegression, gd.LinearClassifier])
def test_without_standardisation_nothing_breaks_either(scaled, settings, kind):
    Z, scale, y = scaled
    model = kind(standardize=False, max_epochs=50, **settings).fit(Z * scale, y)
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.result_.fun)


SEPARABLE = [{}, {"optimizer": "lbfgs"}, {"batch_size": 4, "random_state": 0}]


@pytest.mark.parametrize("settings", SEPARABLE, ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_separable_classes_are_detected_and_reported(settings, classes):
    rng = np.random.default_rng(0)
    y = np.arange(60) % classes
    X = rng.normal(size=(60, 2)) + 20 * np.column_stack([y, y * y])
    model = gd.LogisticRegression(alpha=0, max_epochs=300, **settings)
    with pytest.warns(gd.ConvergenceWarning, match="separated by the columns"):
        model.fit(X, y)
    assert model.result_.separable
    assert not model.result_.success
    assert np.isfinite(model.coef_).all()
    held = gd.LogisticRegression(**settings).fit(X, y).result_
    assert held.separable
    assert "separated" not in held.message


def test_classes_that_overlap_are_not_called_separable(scaled):
    Z, _, y = scaled
    assert not gd.LogisticRegression(alpha=0).fit(Z, y).result_.separable


@pytest.mark.parametrize("loss", ["squared", "huber", "poisson"])
def test_single_precision_is_near_double(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 8))
    y = X @ rng.normal(size=8) / 4 + rng.normal(size=2000) / 4
    y = rng.poisson(np.exp(y)).astype(float) if loss == "poisson" else y
    one, other = (
        gd.LinearRegression(loss=loss, tol=1e-6).fit(each, y) for each in (X.astype(np.float32), X)
    )
    assert one.coef_.dtype == np.float32
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-2, atol=2e-3)
    assert one.result_.fun == pytest.approx(other.result_.fun, rel=1e-5)


@pytest.mark.parametrize("loss", ["huber", "poisson", "quantile"])
def test_the_bits_do_not_depend_on_the_threads(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60_000, 9))
    y = np.abs(X @ rng.normal(size=9)).round()
    settings = {"loss": loss, "max_epochs": 15, "alpha": 0.1}
    fits = [gd.LinearRegression(n_threads=k, **settings).fit(X, y).coef_ for k in (1, 2, 3)]
    assert {fit.tobytes() for fit in fits} == {fits[0].tobytes()}


INTERRUPTED = [
    {"optimizer": "lbfgs"}, {"optimizer": "fista"},
    {"batch_size": 1, "random_state": 0}, {"batch_size": 32, "optimizer": "adam"},
]  # fmt: skip


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals are sent to a thread")
@pytest.mark.parametrize("settings", INTERRUPTED, ids=str)
def test_ctrl_c_keeps_the_best_so_far(settings):
    """From another thread, at any moment of a fit that would run for long."""
    n = 100_000 if gd.backend()["linear_gradient"] == "native" else 20_000
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 30)) @ rng.normal(size=(30, 30)) * np.geomspace(1e-7, 1, 30)
    y = (X.sum(axis=1) + rng.logistic(size=n) > 0).astype(int)
    main, begun, done = threading.main_thread().ident, threading.Event(), threading.Event()

    def press():
        begun.wait(60)
        if not done.wait(0.3):
            signal.pthread_kill(main, signal.SIGINT)

    model = gd.LogisticRegression(
        alpha=0, tol=0, standardize=False, max_epochs=10**6, max_time=60, n_threads=2,
        callbacks=lambda moment: begun.set(), **settings,
    )  # fmt: skip
    # A process in the background of a shell is deaf to it, unless it says otherwise.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    finger = threading.Thread(target=press)
    finger.start()
    try:
        model.fit(X, y)
    finally:
        begun.set()
        done.set()
        finger.join()
        signal.signal(signal.SIGINT, before)
    assert model.result_.status is gd.Status.INTERRUPTED
    assert np.isfinite(model.coef_).all()
    assert model.result_.fun <= model.trace_.cost[0]


CONTINUED = [
    {"optimizer": "lbfgs"}, {"optimizer": "newton"}, {"optimizer": "fista"},
    {"l1_ratio": 0.5, "alpha": 0.01}, {"batch_size": 16}, {"batch_size": 1, "learning_rate": 0.01},
    {"batch_size": 16, "optimizer": "adam", "learning_rate": 0.01},
    {"batch_size": 16, "early_stopping": 50},
]  # fmt: skip


@pytest.mark.parametrize("settings", CONTINUED, ids=str)
def test_a_warm_start_is_the_uninterrupted_run_to_the_bit(scaled, settings):
    """Also through a pickle; every measurement of the trace, too."""
    X, _, y = scaled
    given = {"tol": 0, "warm_start": True, "random_state": 0} | settings
    whole = gd.LogisticRegression(max_epochs=7, **given).fit(X, y)
    parts = gd.LogisticRegression(max_epochs=2, **given).fit(X, y)
    parts = pickle.loads(pickle.dumps(parts)).set_params(max_epochs=4).fit(X, y)
    parts.set_params(max_epochs=1).fit(X, y)
    np.testing.assert_array_equal(parts.coef_, whole.coef_)
    np.testing.assert_array_equal(parts.intercept_, whole.intercept_)
    np.testing.assert_array_equal(parts.trace_.cost, whole.trace_.cost)


def test_a_warm_start_on_other_rows_or_parameters_begins_at_the_coefficients(scaled):
    X, _, y = scaled
    model = gd.LogisticRegression(max_epochs=2, tol=0, warm_start=True, optimizer="lbfgs")
    first = model.fit(X, y).result_.fun
    model.fit(X + 1e-9, y)
    assert model.trace_.epoch[0] == 0
    assert model.trace_.cost[0] == pytest.approx(first, rel=1e-6)
    model.set_params(optimizer="fista").fit(X + 1e-9, y)
    assert model.trace_.epoch[0] == 0


@pytest.mark.parametrize("kind", ["logistic", "hinge", "quantile", "chunks", "sample"])
def test_no_thread_is_left_behind(kind):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150_000 if kind == "sample" else 40_000, 9))
    z = X @ rng.normal(size=9) + rng.logistic(size=len(X))
    more = {"n_threads": 3, "max_epochs": 5}
    if kind == "hinge":
        gd.LinearClassifier(**more).fit(X, z > 0)
    elif kind == "quantile":
        gd.LinearRegression(loss="quantile", **more).fit(X, z)
    elif kind == "chunks":
        gd.LogisticRegression(**more).fit(gd.chunks.arrays(X, z > 0, rows=30_000))
    else:
        gd.LogisticRegression(**more).fit(X, z > 0)
    assert [each.name for each in threading.enumerate() if each.name.startswith("gdcore")] == []


OF_MARGINS = [
    {"optimizer": "lbfgs"}, {"optimizer": "adgd"}, {"optimizer": "fista"},
    {"optimizer": "saga", "loss": "squared_hinge"}, {"optimizer": "normalized-adaptive"},
]  # fmt: skip


@pytest.mark.parametrize("settings", OF_MARGINS, ids=str)
def test_a_warm_start_of_several_classes_is_the_uninterrupted_run_to_the_bit(scaled, settings):
    X, _, y = scaled
    y = y + (X[:, 0] > 0.5)
    given = {"tol": 0, "warm_start": True, "random_state": 0} | settings
    whole = gd.LinearClassifier(max_epochs=10, **given).fit(X, y)
    parts = gd.LinearClassifier(max_epochs=4, **given).fit(X, y)
    parts = pickle.loads(pickle.dumps(parts)).set_params(max_epochs=5).fit(X, y)
    parts.set_params(max_epochs=1).fit(X, y)
    np.testing.assert_array_equal(parts.coef_, whole.coef_)
    np.testing.assert_array_equal(parts.intercept_, whole.intercept_)
    for one, other in zip(parts.results_, whole.results_, strict=True):
        np.testing.assert_array_equal(one.trace.cost, other.trace.cost)
