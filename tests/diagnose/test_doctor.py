"""The doctor finds what was planted, all of it and nothing else, and is silent of the healthy."""

import pickle
import warnings

import numpy as np
import pytest

import gdcore as gd
from tests.diagnose.problems import HEALTHY, ILL, line, valley


@pytest.mark.parametrize("name", ILL)
def test_the_planted_illness_is_found_alone(name):
    illness, make = ILL[name]
    fitted, rows = make(0)
    found = gd.doctor(fitted)
    assert found.illnesses == [illness], repr(found)
    finding = found[0]
    assert finding.cure.endswith(".")
    assert any(c.isdigit() for c in finding.symptom)
    assert not np.isnan(finding.number)
    del rows


@pytest.mark.parametrize("name", HEALTHY)
def test_of_the_healthy_nothing_is_said(name):
    fitted, rows = HEALTHY[name](0)
    found = gd.doctor(fitted)
    assert not found, repr(found)
    assert repr(found) == "Nothing found."
    assert found.verdict == "nothing found"
    del rows


@pytest.mark.parametrize("name", ["rate_too_large_for_a_function", "rate_near_the_edge"])
def test_the_rate_of_the_cure_cures(name):
    fitted, _ = ILL[name][1](0)
    cure = gd.doctor(fitted)[0].cure
    rate = float(cure.partition("Set the rate to ")[2].partition(",")[0])
    again = gd.minimize(valley, [1.0, 1.0], method=gd.optim.SGD(rate), max_iter=5000)
    assert again.success
    assert not gd.doctor(again)


def test_columns_are_named_as_the_frame_names_them():
    pandas = pytest.importorskip("pandas")
    X, y = line(np.random.default_rng(0))
    X = pandas.DataFrame(np.c_[X, X[:, 0] - 2 * X[:, 2]], columns=["a", "b", "c", "d", "e"])
    model = gd.LinearRegression(alpha=0).fit(X, y)
    (finding,) = gd.doctor(model, X)
    assert "Columns c, a, e make" in finding.symptom or {"a", "c", "e"} <= set(
        finding.symptom.replace(",", "").split()
    )


def test_rows_that_are_gone_are_asked_for():
    X, y = line(np.random.default_rng(0))
    model = gd.LinearRegression(alpha=0).fit(np.c_[X, X[:, 0]], y)
    found = gd.doctor(model)
    assert "Pass X" in repr(found)
    assert not found
    assert gd.doctor(model, np.c_[X, X[:, 0]]).illnesses == ["collinear columns"]
    with pytest.raises(ValueError, match="X has 4 columns, and the estimator was fitted on 5"):
        gd.doctor(model, X)


def test_a_fit_keeps_no_rows_alive_and_pickles_none():
    X, y = line(np.random.default_rng(0), n=3000)
    model = gd.LinearRegression().fit(X, y)
    assert model._glimpse() is not None
    assert np.shares_memory(model._glimpse(), X)
    assert len(pickle.dumps(model)) < X.nbytes / 2
    assert pickle.loads(pickle.dumps(model))._glimpse() is None
    del X
    assert model._glimpse() is None


def test_sparse_rows_are_looked_at_too():
    sparse = pytest.importorskip("scipy.sparse")
    X, y = line(np.random.default_rng(0))
    X = sparse.csr_array(np.c_[X, X[:, 0]])
    assert gd.doctor(gd.LinearRegression(alpha=0).fit(X, y), X).illnesses == ["collinear columns"]


def test_a_finding_reads_well():
    fitted, _ = ILL["rate_too_large_for_a_function"][1](0)
    found = gd.doctor(fitted)
    text, page = repr(found), found._repr_html_()
    assert text.startswith("diverging\n  symptom ")
    assert "\n  cure    Set the rate to 0.01, " in text
    assert max(map(len, text.splitlines())) <= 100
    assert page.count("<tr>") == 2
    assert "diverging" in page


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (3, TypeError, "got int. Pass one of them."),
        (gd.LinearRegression(), gd.NotFittedError, "Call fit first."),
        (gd.minimize(lambda x: (x @ x, 2 * x), [1.0], trace=False), ValueError, "trace=True"),
    ],
)
def test_what_has_no_course_is_refused(given, error, words):
    with pytest.raises(error, match=words):
        gd.doctor(given)


@pytest.mark.parametrize("loss", ["hinge", "quantile"])
def test_a_corner_promises_nothing(loss):
    """The trapezoid rule does not hold across it."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    y = X[:, 0] + rng.normal(size=300)
    kind = gd.LinearClassifier if loss == "hinge" else gd.LinearRegression
    model = kind(optimizer="newton", loss=loss, max_epochs=200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y > 0 if loss == "hinge" else y)
    assert np.isnan(model.trace_.promised).all()
    assert "wrong gradient" not in gd.doctor(model).illnesses


@pytest.mark.parametrize("steps", [19_000, 20_010, 40_000])
def test_long_runs_are_judged_as_short_ones(steps):
    def hill(x):
        s = np.array([1.0, 1e-6])
        return 0.5 * (s * x * x).sum(), s * x

    result = gd.minimize(hill, [1.0, 1.0], method=gd.optim.SGD(1.9999), max_iter=steps, tol=0)
    assert gd.doctor(result).illnesses == ["oscillating"]


def test_rates_that_were_found_do_not_oscillate():
    rng = np.random.default_rng(1)
    for _ in range(10):
        A, b = rng.normal(size=(20, 5)), rng.normal(size=20)
        result = gd.minimize(
            lambda w, A=A, b=b: (0.5 * ((A @ w - b) ** 2).sum(), A.T @ (A @ w - b)), np.zeros(5),
            method="sgd",
        )  # fmt: skip
        assert "oscillating" not in gd.doctor(result).illnesses


def test_separable_classes_need_no_rows_to_be_seen():
    with pytest.warns(gd.ConvergenceWarning):
        model = gd.LogisticRegression(alpha=0).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
    assert gd.doctor(model).illnesses == ["separable classes"]


def test_frames_and_columns_in_another_order_are_known_while_they_are_held():
    pandas = pytest.importorskip("pandas")
    X, y = line(np.random.default_rng(0))
    wide = X * [1e4, 1, 1, 1]
    for held in (pandas.DataFrame(wide), np.asfortranarray(wide), wide.astype(np.float32)[:, ::-1]):
        model = gd.LinearRegression(
            standardize=False, optimizer=gd.optim.SGD(1e-9), batch_size="full", max_epochs=300
        )
        with pytest.warns(gd.ConvergenceWarning):
            model.fit(held, y)
        assert gd.doctor(model).illnesses == ["badly scaled columns"]


def test_progress_holds_no_rows():
    import gc
    import weakref

    X, y = line(np.random.default_rng(0))
    rows = weakref.ref(X)
    model = gd.LinearRegression(callbacks=gd.callbacks.Progress()).fit(X, y)
    del X
    gc.collect()
    assert rows() is None
    assert model.callbacks is not None
