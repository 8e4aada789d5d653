"""Arrays of other libraries: proofs, rows held out, several targets, and fits that go on."""

import numpy as np
import pytest

import gdcore as gd
from tests.test_devices import TARGETS, X, here, refused, there

RNG = np.random.default_rng(1)
SEVERAL = np.stack([TARGETS["numbers"], 3 * RNG.normal(size=300) + X[:, 1], X[:, 0] ** 2], axis=1)
LABELS = (SEVERAL > SEVERAL.mean(axis=0)).astype(int)
NOISY = TARGETS["numbers"]
NETWORKS = [
    ("MLPRegressor", TARGETS["numbers"]), ("MLPClassifier", TARGETS["two"]),
    ("MLPClassifier", TARGETS["three"]), ("MLPRegressor", SEVERAL), ("MLPClassifier", LABELS),
]  # fmt: skip
SMALL = {"hidden_layer_sizes": (8,), "random_state": 0, "dtype": "float64"}
NAMES = ["numbers", "two", "three", "several", "labels"]


def with_alpha(kind, y, alpha, l1_ratio, loss):
    """A linear model with a penalty, and its minimum by NumPy's arrays."""
    how = {"alpha": alpha, "l1_ratio": l1_ratio} | ({} if loss is None else {"loss": loss})
    return how, getattr(gd, kind)(**how, tol=1e-12, max_epochs=10**5).fit(X, y).result_.fun


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.1, 0.0), (0.02, 0.5), (0.1, 1.0)])
@pytest.mark.parametrize(("kind", "target", "loss"), [
    ("LinearRegression", "numbers", None), ("LinearRegression", "numbers", "huber"),
    ("LinearRegression", "counts", "poisson"), ("LogisticRegression", "two", None),
    ("LogisticRegression", "three", None),
])  # fmt: skip
def test_minima_are_proven(kind, target, loss, alpha, l1_ratio):
    """J - J* is at most the bound, at every tolerance, and the bound at most what was asked."""
    y = TARGETS[target]
    how, lowest = with_alpha(kind, y, alpha, l1_ratio, loss)
    for tol in (1e-2, 1e-4, 1e-8):
        theirs = getattr(gd, kind)(**how, tol=tol, max_epochs=5000).fit(there(X), there(y))
        result = theirs.result_
        assert result.status.name == "CERTIFIED"
        assert result.bound <= tol * result.fun
        assert result.fun - lowest <= result.bound + 1e-12 * abs(lowest)


def test_a_proof_is_that_of_the_host():
    """The same coefficients have the same bound, whoever holds the rows."""
    how = {"optimizer": "sgd", "learning_rate": 0.1, "max_epochs": 7, "tol": 0, "alpha": 0.1}
    for target in ("two", "three"):
        y = TARGETS[target]
        ours = gd.LogisticRegression(**how).fit(X, y)
        theirs = gd.LogisticRegression(**how).fit(there(X), there(y))
        assert theirs.result_.bound == pytest.approx(ours.result_.bound, rel=1e-9)


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_separated_classes_are_told():
    model = gd.LogisticRegression(alpha=0).fit(there(X), there((X[:, 0] > 0).astype(int)))
    assert not model.result_.success
    assert "separated" in model.result_.message


@pytest.mark.parametrize("how", [
    {"batch_size": 32}, {"batch_size": 32, "early_stopping": 2}, {"optimizer": "sgd"},
], ids=str)  # fmt: skip
@pytest.mark.parametrize(("kind", "target"), [
    ("LinearRegression", "numbers"), ("LogisticRegression", "two"), ("LogisticRegression", "three"),
])  # fmt: skip
def test_linear_models_stop_where_those_of_the_host_do(kind, target, how):
    weights = RNG.integers(0, 3, 300).astype(float)
    how = {"early_stopping": True, "random_state": 0} | how
    ours = getattr(gd, kind)(**how).fit(X, TARGETS[target], weights)
    theirs = getattr(gd, kind)(**how).fit(there(X), there(TARGETS[target]), there(weights))
    assert theirs.result_.status is ours.result_.status
    np.testing.assert_allclose(theirs.trace_.validation, ours.trace_.validation, rtol=1e-9)
    np.testing.assert_allclose(theirs.trace_.score, ours.trace_.score, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(here(theirs.coef_), ours.coef_, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("kind", "y"), NETWORKS, ids=NAMES)
@pytest.mark.parametrize("given", [False, True], ids=["held out", "given"])
@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_networks_stop_where_those_of_the_host_do(kind, y, given):
    how = {**SMALL, "early_stopping": 3, "max_epochs": 40, "learning_rate": 0.02}
    ours, theirs = getattr(gd, kind)(**how), getattr(gd, kind)(**how)
    held = np.arange(0, 300, 5)
    ours.fit(X, y, validation=(X[held], y[held]) if given else None)
    theirs.fit(there(X), there(y), validation=(there(X[held]), there(y[held])) if given else None)
    np.testing.assert_allclose(theirs.trace_.validation, ours.trace_.validation, rtol=1e-7)
    np.testing.assert_allclose(theirs.trace_.score, ours.trace_.score, rtol=1e-7, atol=1e-9)
    assert len(theirs.trace_) == len(ours.trace_) > 3


@pytest.mark.parametrize(("kind", "y"), NETWORKS, ids=NAMES)
def test_several_targets_are_those_of_the_host(kind, y, tmp_path):
    how = {**SMALL, "max_epochs": 20, "tol": 0}
    ours, theirs = getattr(gd, kind)(**how).fit(X, y), getattr(gd, kind)(**how)
    theirs.fit(there(X), there(y))
    found = here(theirs.predict(there(X)))
    assert found.shape == ours.predict(X).shape
    np.testing.assert_allclose(found, ours.predict(X), rtol=1e-7, atol=1e-9)
    if kind == "MLPClassifier":
        for name in ("predict_proba", "decision_function"):
            found = here(getattr(theirs, name)(there(X)))
            np.testing.assert_allclose(found, getattr(ours, name)(X), rtol=1e-6, atol=1e-8)
    assert theirs.score(there(X), there(y)) == pytest.approx(ours.score(X, y))
    gd.save(theirs, tmp_path / "model.npz")
    loaded = gd.load(tmp_path / "model.npz")
    np.testing.assert_allclose(loaded.predict(X), ours.predict(X), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("given", ["there", "here"])
def test_a_warm_start_goes_on(given):
    """From coefficients of the device, and from those of the host."""
    y = TARGETS["two"]
    rows = (there(X), there(y)) if given == "there" else (X, y)
    model = gd.LogisticRegression(tol=1e-10, warm_start=True).fit(*rows)
    first = model.result_.nit
    again = model.fit(there(X), there(y))
    assert again.result_.nit < first / 2
    network = gd.MLPClassifier(**SMALL, warm_start=True, max_epochs=20, tol=0).fit(*rows)
    before = network.loss_
    assert network.fit(there(X), there(y)).trace_.cost[0] < 1.5 * before


class Stop(Exception):
    pass


def stop(moment):
    if moment.epoch == 5:
        raise Stop


FITS = [
    (gd.LogisticRegression, "two", {"batch_size": 32, "random_state": 0, "max_epochs": 12}),
    (gd.LogisticRegression, "two", {"tol": 1e-9}),
    (gd.LinearRegression, "numbers", {"optimizer": "adam", "max_epochs": 15}),
    (gd.LinearRegression, "numbers", {"batch_size": 32, "early_stopping": 9, "random_state": 1}),
    (gd.MLPClassifier, "three", {**SMALL, "max_epochs": 12}),
    (gd.MLPRegressor, "numbers", {**SMALL, "optimizer": "lbfgs", "max_epochs": 15}),
    (gd.MLPRegressor, "numbers", {**SMALL, "early_stopping": 9, "max_epochs": 15}),
]


@pytest.mark.parametrize(("kind", "target", "how"), FITS, ids=str)
@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_a_checkpoint_goes_on_to_the_same_bits(kind, target, how, tmp_path):
    rows = there(X), there(TARGETS[target])
    whole = kind(**how).fit(*rows)
    keep = gd.callbacks.Checkpoint(tmp_path / "fit.npz", resume=True)
    with pytest.raises(Stop):
        kind(**how, callbacks=[keep, stop]).fit(*rows)
    rest = kind(**how, callbacks=keep).fit(*rows)
    assert len(rest.trace_) == len(whole.trace_) > 6
    np.testing.assert_array_equal(here(rest.result_.x), here(whole.result_.x))
    other = X.copy()
    other[0, 0] += 1
    refused(
        lambda: kind(**how, callbacks=gd.callbacks.Checkpoint(keep.path, resume=True)).fit(
            there(other[:-1]), there(TARGETS[target][:-1])
        ),
        "of a run with another",
    )


def test_what_is_held_out_is_checked():
    y = there(TARGETS["two"])
    for validation, sentence in (
        ((there(X[:, :3]), y), "validation X has 3 features, and X has 5"),
        ((there(X),), "validation must be a pair"),
        ((there(X), there(TARGETS["two"] + 7)), "not among the classes"),
    ):
        model = gd.MLPClassifier(**SMALL)
        refused(lambda m=model, v=validation: m.fit(there(X), y, validation=v), sentence)
        assert not hasattr(model, "theta_")
    refused(
        lambda: gd.MLPRegressor(**SMALL).fit(
            there(X), there(SEVERAL), validation=(there(X), there(SEVERAL[:, :2]))
        ),
        "validation y has 2 columns, and the model predicts 3",
    )
    refused(lambda: gd.MLPClassifier(**SMALL).fit(there(X), there(LABELS + 1)), "zeros and ones")
    refused(lambda: gd.LinearRegression().fit(there(X), there(SEVERAL)), "Pass one number a row")
    with pytest.raises(ValueError, match="warm_start goes on from classes"):
        gd.MLPClassifier(**SMALL, warm_start=True, tol=0, max_epochs=2).fit(there(X), y).fit(
            there(X), there(TARGETS["three"])
        )


CHANGES = {
    "columns swapped": (X[:, [1, 0, 2, 3, 4]], TARGETS["two"]),
    "rows reversed": (X[::-1].copy(), TARGETS["two"]),
    "one number": (X + np.where(np.arange(1500).reshape(300, 5) == 16, 0.01, 0), TARGETS["two"]),
    "two labels": (X, np.r_[TARGETS["two"][1:], TARGETS["two"][:1]]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", [gd.LogisticRegression, gd.MLPClassifier])
def test_a_checkpoint_of_other_rows_is_refused(kind, change, tmp_path):
    how = {"max_epochs": 3, "tol": 0, "random_state": 0, "optimizer": "adam"}
    kind(**how, callbacks=gd.callbacks.Checkpoint(tmp_path / "a.npz")).fit(
        there(X), there(TARGETS["two"])
    )
    keep = gd.callbacks.Checkpoint(tmp_path / "a.npz", resume=True)
    rows = map(there, CHANGES[change])
    refused(lambda: kind(**how, callbacks=keep).fit(*rows), "of a run with another")


@pytest.mark.parametrize(("kind", "target"), [
    ("LinearRegression", "numbers"), ("LogisticRegression", "three"), ("MLPRegressor", "numbers"),
    ("MLPClassifier", "three"),
])  # fmt: skip
def test_rows_without_a_weight_change_nothing(kind, target):
    """Not even where they hold what no fit could take, as on the host."""
    weights, given = np.r_[np.zeros(50), np.ones(250)], X.copy()
    given[:50], given[50:, 2] = 1e100, 3.0
    how = {"max_epochs": 3, "batch_size": 32, "random_state": 0, "tol": 0}
    how |= {"dtype": "float64"} if kind.startswith("MLP") else {}
    ours = getattr(gd, kind)(**how).fit(given, TARGETS[target], weights)
    theirs = getattr(gd, kind)(**how).fit(there(given), there(TARGETS[target]), there(weights))
    np.testing.assert_allclose(theirs.trace_.cost, ours.trace_.cost, rtol=1e-8)
    np.testing.assert_allclose(here(theirs.predict(there(X))), ours.predict(X), rtol=1e-6)


def test_single_precision_says_how_far_it_tells():
    data = gd.datasets.load_breast_cancer()
    model = gd.LogisticRegression().fit(there(data.X.astype(np.float32)), there(data.y))
    assert "single precision tells: J − J* ≤" in model.result_.message
    assert model.result_.bound < 1e-6 * model.result_.fun
    loose = gd.LogisticRegression(tol=1e-3).fit(there(data.X.astype(np.float32)), there(data.y))
    assert loose.result_.status.name == "CERTIFIED"


@pytest.mark.filterwarnings("ignore::gdcore.errors.DataConversionWarning")
def test_a_column_is_a_vector():
    y = TARGETS["numbers"]
    for kind in (gd.LinearRegression, gd.MLPRegressor):
        how = {"max_epochs": 3, "tol": 0} | ({} if kind is gd.LinearRegression else SMALL)
        one, other = kind(**how).fit(there(X), there(y)), kind(**how)
        with pytest.warns(gd.errors.DataConversionWarning):
            other.fit(there(X), there(y[:, None]))
        np.testing.assert_array_equal(here(other.predict(there(X))), here(one.predict(there(X))))


def test_a_used_up_budget_goes_on():
    """Two fits of five epochs are one of ten."""
    y, how = TARGETS["two"], {"optimizer": "adam", "tol": 0}
    model = gd.LogisticRegression(**how, max_epochs=5, warm_start=True)
    model.fit(there(X), there(y)).fit(there(X), there(y))
    whole = gd.LogisticRegression(**how, max_epochs=10).fit(there(X), there(y))
    np.testing.assert_array_equal(here(model.coef_), here(whole.coef_))


def test_callbacks_cannot_write_and_paths_are_kept():
    def spoil(moment):
        moment.theta[0] = 99.0

    how = {"optimizer": "adam", "max_epochs": 5, "tol": 0}
    path = gd.plots.Path()
    model = gd.LinearRegression(**how, callbacks=[spoil, path])
    model.fit(there(X), there(TARGETS["numbers"]))
    ours = gd.LinearRegression(**how).fit(there(X), there(TARGETS["numbers"]))
    np.testing.assert_array_equal(here(model.coef_), here(ours.coef_))
    assert path.points.shape == (6, 6)
    np.testing.assert_array_equal(path.solution, here(model.result_.x))


def test_networks_tell_of_their_layers():
    how = {**SMALL, "max_epochs": 4, "tol": 0}
    ours = gd.MLPClassifier(**how).fit(X, TARGETS["two"])
    theirs = gd.MLPClassifier(**how).fit(there(X), there(TARGETS["two"]))
    for name, values in ours.trace_.layers.to_dict().items():
        np.testing.assert_allclose(theirs.trace_.layers.to_dict()[name], values, rtol=1e-9)


def test_what_wants_rows_of_the_host_says_so():
    model, rows = gd.LogisticRegression(), (there(X), there(TARGETS["two"]))
    for look in (gd.check_gradient, gd.find_learning_rate):
        refused(lambda look=look: look(model, *rows), "needs NumPy's. Pass X as one")
    whole = gd.optim.chain(gd.optim.ClipNorm(1.0), gd.optim.Muon())
    refused(lambda: gd.MLPClassifier(optimizer=whole).fit(*rows), "optimizer=Muon looks at")
    fitted = model.fit(*rows)
    one = fitted.predict_one(X[0])
    assert one == here(fitted.predict(there(X[:1])))[0]
    shares = fitted.predict_proba_one(X[0])
    np.testing.assert_allclose(shares, here(fitted.predict_proba(there(X[:1])))[0], rtol=1e-9)


@pytest.mark.parametrize("how", [{}, {"optimizer": "adam"}, {"batch_size": 32}], ids=str)
@pytest.mark.parametrize("first", ["there", "here"])
@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_a_warm_start_crosses_over_by_its_coefficients(how, first):
    """What a used-up budget leaves is of arrays of one library on one device."""
    rows = {"there": (there(X), there(TARGETS["two"])), "here": (X, TARGETS["two"])}
    how = {**how, "max_epochs": 5, "tol": 0, "warm_start": True, "random_state": 0}
    model = gd.LogisticRegression(**how).fit(*rows.pop(first))
    before = model.result_.fun
    assert model.fit(*rows.popitem()[1]).trace_.cost[0] == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize("side", ["there", "here"])
@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_a_warm_start_begins_at_coefficients_that_were_changed(side):
    rows = (there(X), there(NOISY)) if side == "there" else (X, NOISY)
    model = gd.LinearRegression(optimizer="adam", max_epochs=3, tol=0, warm_start=True).fit(*rows)
    model.coef_ = model.coef_ * 0 + 7.0
    theta = model.set_params(max_epochs=0).fit(*rows).coef_
    np.testing.assert_allclose(theta if side == "here" else here(theta), 7.0)


@pytest.mark.parametrize("seed", range(12))
def test_single_precision_is_no_failure(seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((300, 5)).astype(np.float32)
    b = (A @ rng.standard_normal(5) + rng.standard_normal(300)).astype(np.float32)
    model = gd.LinearRegression().fit(there(A), there(b))
    assert model.result_.success
    np.testing.assert_allclose(here(model.coef_), gd.LinearRegression().fit(A, b).coef_, atol=2e-4)


def test_adaptive_clipping_is_refused():
    chain = gd.optim.chain(gd.optim.AdaptiveClip(), gd.optim.Adam())
    model = gd.MLPClassifier(optimizer=chain)
    refused(lambda: model.fit(there(X), there(TARGETS["two"])), "AdaptiveClip looks at the shapes")
