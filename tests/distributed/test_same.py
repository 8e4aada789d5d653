"""A fit on a cluster is the fit on one machine, but for rounding."""

import warnings

import numpy as np
import pytest

import gdcore as gd
from tests.distributed.conftest import table

dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
pytest.importorskip("distributed")

X, TARGETS = table()
CHUNKS = (200, 13, 150, 237)  # of uneven sizes


def chunked(y):
    return da.from_array(y, chunks=(CHUNKS,))


dX = da.from_array(X, chunks=(CHUNKS, -1))


def apart(one, other):
    return np.abs(one - other).max() / max(np.abs(one).max(), 1e-300)


def both(kind, target, weights=None, **parameters):
    """(the fit here, the fit on the cluster, how far apart their numbers are)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        y = TARGETS[target]
        here = getattr(gd, kind)(**parameters).fit(X, y, weights)
        given = (chunked(y), None if weights is None else chunked(weights))
        there = getattr(gd.distributed, kind)(**parameters).fit(dX, *given)
    if hasattr(here, "theta_"):
        return here, there, apart(here.theta_.vector, there.theta_.vector)
    far = max(apart(here.coef_, there.coef_), apart(here.intercept_, there.intercept_))
    return here, there, far


LINEAR = [
    ("LinearRegression", "numbers", {}),
    ("LinearRegression", "numbers", {"alpha": 0.0, "standardize": False}),
    ("LinearRegression", "counts", {"loss": "poisson"}),
    ("LinearRegression", "numbers", {"l1_ratio": 0.5, "alpha": 0.1}),
    ("LogisticRegression", "two", {}),
    ("LogisticRegression", "two", {"class_weight": "balanced"}),
    ("LogisticRegression", "two", {"class_weight": {"yes": 3.0}, "fit_intercept": False}),
    ("LogisticRegression", "three", {}),
    ("LogisticRegression", "three", {"optimizer": "lbfgs"}),
    ("LogisticRegression", "two", {"l1_ratio": 1.0, "alpha": 0.02, "optimizer": "fista"}),
    ("LogisticRegression", "two", {"batch_size": 64, "max_epochs": 3, "random_state": 0}),
    ("LogisticRegression", "two", {
        "optimizer": "adam", "batch_size": 64, "max_epochs": 3, "random_state": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "target", "parameters"), LINEAR, ids=str)
def test_linear_models_are_those_of_one_machine(client, kind, target, parameters):
    here, there, far = both(kind, target, **parameters)
    assert far <= 1e-10
    assert there.result_.status is here.result_.status
    assert there.n_iter_ == here.n_iter_
    if there.result_.status is gd.Status.CERTIFIED:
        assert there.result_.bound <= 1e-8 * there.result_.fun


OPTIMIZERS = [name.lower() for name in gd.optim.__all__ if hasattr(getattr(gd.optim, name), "lr")]


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_takes_the_same_steps(client, name):
    """Without an intercept: it starts where its slope is nothing but rounding, of which Adam and
    its kin make a whole step."""
    how = {"optimizer": name, "max_epochs": 10, "tol": 0, "fit_intercept": False}
    _, there, far = both("LogisticRegression", "two", **how)
    assert there.result_.choice == "as asked"
    if name == "adgd":  # whose second rate is a quotient of differences over next to nothing
        assert far <= 1e-8
        far = both("LogisticRegression", "two", optimizer=name)[2]  # to the minimum
    assert far <= 1e-10


def test_losses_with_a_corner_have_the_same_minimum(client):
    """There is no interior-point method for rows that are elsewhere; the minimum is proven."""
    for loss in ("huber", gd.losses.Quantile(0.8)):
        here, there, _ = both("LinearRegression", "numbers", loss=loss, tol=1e-4)
        assert there.result_.status is gd.Status.CERTIFIED
        assert there.result_.fun == pytest.approx(here.result_.fun, rel=2e-4)


def test_weights_count_and_rows_without_one_change_nothing(client):
    weights = np.random.default_rng(1).integers(0, 3, len(X)).astype(float)
    weights[200:213] = 0  # a whole partition
    far = both("LogisticRegression", "two", weights)[2]
    assert far <= 1e-10
    with gd.distributed.DaskRows(dX, chunked(TARGETS["two"]), chunked(weights)) as rows:
        assert len(rows.labels()[0]) == 2


NETWORKS = [
    ("MLPRegressor", "numbers"), ("MLPClassifier", "two"), ("MLPClassifier", "three"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "target"), NETWORKS)
@pytest.mark.parametrize("how", [
    {"batch_size": "full", "max_epochs": 20}, {"optimizer": "lbfgs", "max_epochs": 15},
    {"batch_size": 50, "max_epochs": 2, "dtype": "float64"},
    {"batch_size": 50, "max_epochs": 2, "dtype": "float64", "clip_norm": 0.1, "restarts": 1},
], ids=str)  # fmt: skip
def test_networks_are_those_of_one_machine(client, kind, target, how):
    sizes = {"hidden_layer_sizes": (16, 8), "random_state": 0, "tol": 0}
    here, there, far = both(kind, target, **sizes, **how)
    assert far <= 1e-10
    assert there.loss_ == pytest.approx(here.loss_, rel=1e-10)
    np.testing.assert_allclose(there.trace_.cost, here.trace_.cost, rtol=1e-9)


MANY = np.column_stack([TARGETS["numbers"], X[:, 0] * X[:, 1], np.full(len(X), 7.0)])
LABELS = (np.column_stack([TARGETS["numbers"], X[:, 0], X[:, 1] * X[:, 2]]) > 0).astype(int)


@pytest.mark.parametrize(("kind", "y"), [("MLPRegressor", MANY), ("MLPClassifier", LABELS)])
@pytest.mark.parametrize("how", [
    {"optimizer": "lbfgs", "max_epochs": 15}, {"batch_size": 50, "max_epochs": 2},
    {"early_stopping": True, "max_epochs": 3},
], ids=str)  # fmt: skip
def test_networks_take_several_targets_or_labels_a_row(client, kind, y, how):
    weights = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    how = {"hidden_layer_sizes": 8, "random_state": 0, "dtype": "float64", "tol": 0, **how}
    there = getattr(gd.distributed, kind)(**how)
    given = da.from_array(y, chunks=(CHUNKS, 2))  # columns cut, too
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        there.fit(dX, given, chunked(weights))
        here = getattr(gd, kind)(**how).fit(X, y, weights)
    alone = there.to_local()
    if "early_stopping" not in how:  # whose rows held out are others
        assert apart(here.theta_.vector, there.theta_.vector) <= 1e-10
    predicted = there.predict(dX)
    assert predicted.shape == y.shape
    assert predicted.dtype == here.predict(X).dtype
    np.testing.assert_array_equal(predicted.compute(), alone.predict(X))
    score = there.score(dX, given, chunked(weights))
    assert score == pytest.approx(alone.score(X, y, weights), rel=1e-12)
    if kind == "MLPClassifier":
        for name in ("predict_proba", "decision_function"):
            lazy, at_once = getattr(there, name)(dX), getattr(alone, name)(X)
            assert lazy.shape == at_once.shape
            np.testing.assert_allclose(lazy.compute(), at_once, atol=1e-12)
    if "batch_size" in how:
        alone.partial_fit(X[:10], y[:10])


def test_several_targets_come_as_arrays_frames_and_lists_too(client):
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    how = {"hidden_layer_sizes": 4, "random_state": 0, "tol": 0, "max_epochs": 2}
    how |= {"dtype": "float64", "batch_size": 100}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        here = gd.MLPRegressor(**how).fit(X, MANY)
        inputs, targets = list("abcdefgh"[: X.shape[1]]), ["u", "v", "w"]
        values = pd.DataFrame(np.column_stack([X, MANY]), columns=inputs + targets)
        frame = dd.from_pandas(values, npartitions=3)
        parts = [dask.delayed((X[a : a + 150], MANY[a : a + 150])) for a in range(0, 600, 150)]
        for given in ((dX, MANY), (frame[inputs], frame[targets]), (parts,)):
            there = gd.distributed.MLPRegressor(**how).fit(*given)
            assert apart(here.theta_.vector, there.theta_.vector) <= 1e-10
    score = there.score(frame[inputs], frame[targets])
    assert score == pytest.approx(here.score(X, MANY), rel=1e-9)


def test_several_targets_that_do_not_fit_are_refused_with_a_word(client):
    def refused(kind, y, message, **how):
        with pytest.raises(ValueError, match=message):
            getattr(gd.distributed, kind)(**how).fit(dX, y)

    refused("LinearRegression", MANY, "y must have one dimension, and it has 3 columns")
    refused("LogisticRegression", LABELS, "y must have one dimension, and it has 3 columns")
    refused("MLPClassifier", 2 * LABELS, "must hold zeros and ones")
    refused("MLPRegressor", np.ones((600, 2, 2)), "y is .* does not go with X's partitions")
    refused("MLPRegressor", np.where(MANY > 2, np.nan, MANY), r"y of partition \d contains NaN")
    parts = [dask.delayed((X[:9], MANY[:9, :k])) for k in (2, 3)]
    with pytest.raises(ValueError, match="y of partition 1 has 3 columns, and partition 0 has 2"):
        gd.distributed.MLPRegressor().fit(parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        there = gd.distributed.MLPRegressor(max_epochs=1).fit(dX, MANY)
    with pytest.raises(
        ValueError, match=r"y of partition \d has 1 columns, and the model predicts 3"
    ):
        there.score(dX, chunked(TARGETS["numbers"]))


def test_batch_normalisation_keeps_statistics_of_all_workers(client):
    how = {"normalization": "batch", "batch_size": 100, "max_epochs": 20, "random_state": 0}
    here, there, _ = both("MLPRegressor", "numbers", tol=0, **how)
    assert there.score(dX, chunked(TARGETS["numbers"])) == pytest.approx(
        here.score(X, TARGETS["numbers"]), abs=0.1
    )


def test_dropout_is_another_on_each_worker_and_the_same_in_each_fit(client):
    how = {"dropout": 0.3, "batch_size": 100, "max_epochs": 3, "random_state": 0, "tol": 0}
    _, one, far = both("MLPClassifier", "three", **how)
    _, other, _ = both("MLPClassifier", "three", **how)
    assert far > 1e-3
    assert apart(one.theta_.vector, other.theta_.vector) <= 1e-6


def test_rows_may_come_as_frames_lists_and_sparse_blocks(client):
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    sparse = pytest.importorskip("scipy.sparse")
    y = TARGETS["two"]
    here = gd.LogisticRegression().fit(X, y)
    names = [f"x{j}" for j in range(X.shape[1])]
    frame = dd.from_pandas(pd.DataFrame(X, columns=names).assign(y=y), npartitions=3)
    fitted = gd.distributed.LogisticRegression().fit(frame[names], frame["y"])
    assert list(fitted.feature_names_in_) == names
    assert apart(here.coef_, fitted.coef_) <= 1e-10
    assert (fitted.predict(frame[names]).compute() == here.predict(X)).all()
    assert fitted.score(frame[names], frame["y"]) == here.score(X, y)
    parts = [dask.delayed((X[a : a + 150], y[a : a + 150])) for a in range(0, 600, 150)]
    futures = client.compute(parts)
    for given in (parts, futures):
        fitted = gd.distributed.LogisticRegression().fit(given)
        assert apart(here.coef_, fitted.coef_) <= 1e-10
    blocks = dX.map_blocks(sparse.csr_matrix)
    fitted = gd.distributed.LogisticRegression().fit(blocks, chunked(y))
    assert apart(here.coef_, fitted.coef_) <= 1e-10
    assert (fitted.predict(blocks).compute() == here.predict(X)).all()


def test_columns_may_be_cut_too_and_sizes_unknown(client):
    y = TARGETS["numbers"]
    here = gd.LinearRegression().fit(X, y)
    cut = da.from_array(X, chunks=(200, 2))
    assert apart(here.coef_, gd.distributed.LinearRegression().fit(cut, y).coef_) <= 1e-10
    keep = da.from_array(np.ones(len(X), bool), chunks=(CHUNKS,))
    unknown = gd.distributed.LinearRegression().fit(dX[keep], chunked(y)[keep])
    assert apart(here.coef_, unknown.coef_) <= 1e-10


def test_predictions_are_lazy_and_those_of_the_local_estimator(client):
    there = gd.distributed.LogisticRegression().fit(dX, chunked(TARGETS["three"]))
    alone = there.to_local()
    assert type(alone) is gd.LogisticRegression
    shares = there.predict_proba(dX)
    assert shares.chunks == (CHUNKS, (3,))
    np.testing.assert_array_equal(shares.compute(), alone.predict_proba(X))
    np.testing.assert_array_equal(there.predict(dX).compute(), alone.predict(X))
    np.testing.assert_array_equal(there.predict(X), alone.predict(X))
    y = TARGETS["three"]
    assert there.score(dX, chunked(y)) == pytest.approx(alone.score(X, y))
    alone.partial_fit(X[:10], y[:10])


@pytest.mark.parametrize("kind", ["LogisticRegression", "MLPClassifier"])
@pytest.mark.parametrize("target", ["two", "three"])
def test_margins_are_lazy_too(client, kind, target):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        there = getattr(gd.distributed, kind)(max_epochs=2).fit(dX, chunked(TARGETS[target]))
    alone = there.to_local()
    for name in ("decision_function", "predict_log_proba"):
        lazy, at_once = getattr(there, name)(dX), getattr(alone, name)(X)
        assert lazy.shape == at_once.shape
        assert lazy.numblocks[0] == len(CHUNKS)
        np.testing.assert_allclose(lazy.compute(), at_once, atol=1e-5)  # networks are in float32
        np.testing.assert_array_equal(getattr(there, name)(X), at_once)


def test_held_out_rows_stop_the_descent(client):
    for kind, how in (
        ("LogisticRegression", {"batch_size": 150, "learning_rate": 0.5}),
        ("MLPClassifier", {"batch_size": 150, "learning_rate": 0.03}),
    ):
        estimator = getattr(gd.distributed, kind)(early_stopping=2, random_state=0, **how)
        fitted = estimator.fit(dX, chunked(TARGETS["two"]))
        held = fitted.trace_.validation
        assert np.isfinite(held).all()
        assert fitted.result_.status is gd.Status.VALIDATION
        assert held.min() < held[0]


def test_local_steps_find_the_minimum_with_fewer_rounds(client):
    how = {"batch_size": 20, "max_epochs": 20, "random_state": 0, "learning_rate": 0.2, "tol": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        fitted = gd.distributed.LogisticRegression(local_steps=10, **how)
        fitted.fit(dX, chunked(TARGETS["two"]))
        adam = gd.distributed.LogisticRegression(
            local_steps=10, optimizer=gd.optim.Adam(0.02), batch_size=20, max_epochs=20,
            random_state=0,
        ).fit(dX, chunked(TARGETS["two"]))  # fmt: skip
    best = gd.LogisticRegression().fit(X, TARGETS["two"]).result_.fun
    assert fitted.result_.fun - best < 0.1 * best
    assert adam.result_.fun - best < 0.1 * best


def test_the_doctor_and_the_report_know_the_result(client, tmp_path):
    fitted = gd.distributed.LogisticRegression().fit(dX, chunked(TARGETS["two"]))
    assert fitted.result_.settings["estimator"] == "LogisticRegression"
    assert gd.doctor(fitted) is not None
    fitted.result_.report(tmp_path / "fit.html")
    assert "CERTIFIED" in (tmp_path / "fit.html").read_text(encoding="utf-8")
