"""Arrays of other libraries: fits and predictions where they are, as those on NumPy arrays."""

import copy
import pickle

import numpy as np
import pytest

import gdcore as gd
from gdcore.models.networks_on_device import hosted
from gdcore.reduced import SAGA

strict = pytest.importorskip("array_api_strict")
pytest.importorskip("array_api_compat")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 5)) * [1, 10, 0.1, 3, 1] + [0, 5, 0, -2, 1]
Z = (X - X.mean(axis=0)) / X.std(axis=0) @ [1.0, -2.0, 0.5, 1.5, 0.0]
NOISY = Z + RNG.normal(size=300)
TARGETS = {
    "numbers": NOISY, "two": (NOISY > 0).astype(int), "three": np.digitize(NOISY, [-1.5, 1.5]) + 4,
    "counts": RNG.poisson(np.exp(Z / 3)).astype(float),
}  # fmt: skip


def there(values):
    return strict.asarray(values)


def here(values):
    assert type(values).__module__.startswith("array_api_strict")
    return np.asarray(values)


def refused(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


LINEAR = [
    ("LinearRegression", "numbers", {}), ("LinearRegression", "counts", {"loss": "poisson"}),
    ("LinearRegression", "numbers", {"loss": "huber"}),
    ("LinearRegression", "numbers", {"alpha": 0.1, "l1_ratio": 1.0}),
    ("LinearRegression", "numbers", {"standardize": False, "fit_intercept": False}),
    ("LogisticRegression", "two", {}), ("LogisticRegression", "three", {}),
    ("LogisticRegression", "three", {"class_weight": "balanced", "alpha": 0.01}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "target", "how"), LINEAR, ids=str)
def test_linear_models_are_those_of_numpy_arrays(kind, target, how):
    y = TARGETS[target]
    tight = {**how, "tol": 1e-10, "max_epochs": 5000}
    ours = getattr(gd, kind)(**how, tol=1e-13).fit(X, y)
    theirs = getattr(gd, kind)(**tight).fit(there(X), there(y))
    assert theirs.result_.success
    np.testing.assert_allclose(here(theirs.coef_), ours.coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(here(theirs.intercept_), ours.intercept_, rtol=1e-4, atol=1e-5)
    found = here(theirs.predict(there(X)))
    np.testing.assert_allclose(found, ours.predict(X), rtol=1e-4, atol=1e-5)
    if hasattr(ours, "predict_proba"):
        shares = here(theirs.predict_proba(there(X)))
        np.testing.assert_allclose(shares, ours.predict_proba(X), atol=1e-5)
        margins = here(theirs.decision_function(there(X)))
        np.testing.assert_allclose(margins, ours.decision_function(X), rtol=1e-3, atol=1e-4)


OPTIMIZERS = [name.lower() for name in gd.optim.__all__ if hasattr(getattr(gd.optim, name), "lr")]
HOST = {"muon", "adafactor"}  # which look at the shapes of matrices


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - HOST))
def test_optimizers_take_the_same_steps(name):
    how = {"optimizer": name, "max_epochs": 10, "tol": 0, "fit_intercept": False}
    ours = gd.LogisticRegression(**how).fit(X, TARGETS["two"])
    theirs = gd.LogisticRegression(**how).fit(there(X), there(TARGETS["two"]))
    np.testing.assert_allclose(here(theirs.coef_), ours.coef_, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(theirs.trace_.cost, ours.trace_.cost, rtol=1e-9)


@pytest.mark.parametrize("name", sorted({*OPTIMIZERS, "auto"} - HOST))
def test_mini_batches_are_the_same(name, recwarn):
    how = {"batch_size": 32, "max_epochs": 3, "random_state": 0, "optimizer": name}
    try:
        ours = gd.LogisticRegression(**how).fit(X, TARGETS["two"])
    except ValueError as error:  # of those that take the gradient over all rows
        refused(
            lambda: gd.LogisticRegression(**how).fit(there(X), there(TARGETS["two"])), str(error)
        )
        return
    theirs = gd.LogisticRegression(**how).fit(there(X), there(TARGETS["two"]))
    np.testing.assert_allclose(here(theirs.coef_), ours.coef_, rtol=1e-6, atol=1e-10)


NETWORKS = [("MLPRegressor", "numbers"), ("MLPClassifier", "two"), ("MLPClassifier", "three")]


@pytest.mark.parametrize(("kind", "target"), NETWORKS)
@pytest.mark.parametrize("how", [
    {"batch_size": "full", "max_epochs": 20},
    {"batch_size": 50, "max_epochs": 2, "dtype": "float64", "clip_norm": 0.5},
    {"optimizer": "lbfgs", "max_epochs": 15, "activation": "tanh"},
    {"batch_size": 50, "max_epochs": 2, "dtype": "float64", "activation": "gelu"},
], ids=str)  # fmt: skip
def test_networks_are_those_of_numpy_arrays(kind, target, how):
    y = TARGETS[target]
    how = {**how, "hidden_layer_sizes": (16, 8), "random_state": 0, "tol": 0}
    ours = getattr(gd, kind)(**how).fit(X, y)
    theirs = getattr(gd, kind)(**how).fit(there(X), there(y))
    vector = here(theirs.theta_.vector.array)
    np.testing.assert_allclose(vector, ours.theta_.vector, rtol=1e-6, atol=1e-8)
    found = here(theirs.predict(there(X)))
    np.testing.assert_allclose(found, ours.predict(X), rtol=1e-6, atol=1e-6)
    if hasattr(ours, "predict_proba"):
        shares = here(theirs.predict_proba(there(X)))
        np.testing.assert_allclose(shares, ours.predict_proba(X), atol=1e-6)


def test_single_precision_stays_single():
    theirs = gd.LinearRegression().fit(there(X.astype(np.float32)), there(TARGETS["numbers"]))
    assert here(theirs.coef_).dtype == np.float32
    assert here(theirs.predict(there(X.astype(np.float32)))).dtype == np.float32


def test_weights_count():
    weights = RNG.integers(1, 4, 300).astype(float)
    ours = gd.LogisticRegression().fit(X, TARGETS["two"], weights)
    theirs = gd.LogisticRegression(tol=1e-10).fit(there(X), there(TARGETS["two"]), there(weights))
    np.testing.assert_allclose(here(theirs.coef_), ours.coef_, rtol=1e-4, atol=1e-6)


class Own:
    def value(self, z, y):
        return (z[:, 0] - y) ** 2

    def slope(self, z, y):
        return 2 * (z - y[:, None])


REFUSED = [
    ({"optimizer": "newton"}, "needs arrays of NumPy's"),
    ({"optimizer": SAGA()}, "needs arrays of NumPy's"),
    ({"loss": gd.losses.Quantile(0.9)}, "A loss with a corner"),
    ({"loss": Own()}, "loss of your own"),
]


@pytest.mark.parametrize(("how", "sentence"), REFUSED, ids=[text for _, text in REFUSED])
def test_what_needs_the_host_is_refused(how, sentence):
    with pytest.raises(ValueError, match=sentence):
        gd.LinearRegression(**how).fit(there(X), there(TARGETS["numbers"]))


def test_bad_numbers_and_shapes_are_refused():
    bad = X.copy()
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="X contains NaN or infinity"):
        gd.LinearRegression().fit(there(bad), there(TARGETS["numbers"]))
    with pytest.raises(ValueError, match="X has 300 rows and y has shape"):
        gd.LinearRegression().fit(there(X), there(TARGETS["numbers"][:-1]))
    with pytest.raises(ValueError, match="two dimensions"):
        gd.LinearRegression().fit(there(X[0]), there(TARGETS["numbers"]))
    with pytest.raises(ValueError, match="dense layers"):
        gd.MLPRegressor(dropout=0.5).fit(there(X), there(TARGETS["numbers"]))
    model = gd.LinearRegression().fit(there(X), there(TARGETS["numbers"]))
    with pytest.raises(ValueError, match="expecting 5 features"):
        model.predict(there(X[:, :3]))


def test_nothing_goes_to_the_host_unasked():
    from gdcore.devices import DeviceArray

    with pytest.raises(TypeError, match="only by numpy"):
        np.asarray(DeviceArray(there(X)))
    np.testing.assert_array_equal(DeviceArray(there(X)).numpy(), X)


@pytest.mark.parametrize(("kind", "target"), [
    ("LinearRegression", "numbers"), ("LogisticRegression", "three"), *NETWORKS,
])  # fmt: skip
def test_scores_and_files_are_those_of_the_host(kind, target, tmp_path):
    y = TARGETS[target]
    how = {} if kind.startswith("L") else {"random_state": 0, "max_epochs": 20, "tol": 0}
    model = getattr(gd, kind)(**how).fit(there(X), there(y))
    gd.save(model, tmp_path / "model.npz")
    loaded = gd.load(tmp_path / "model.npz")
    np.testing.assert_allclose(
        loaded.predict(X), here(model.predict(there(X))), rtol=1e-4, atol=1e-5
    )
    assert model.score(there(X), there(y)) == pytest.approx(loaded.score(X, y))
    found = here(model.predict(X))  # of the host: it goes where the fit was
    np.testing.assert_allclose(found, here(model.predict(there(X))))


def test_labels_may_be_text_and_truth():
    names = np.array(["no", "yes"])[TARGETS["two"]]
    model = gd.LogisticRegression().fit(there(X), names)
    ours = gd.LogisticRegression().fit(X, names)
    np.testing.assert_array_equal(model.predict(there(X)), ours.predict(X))
    truths = gd.LogisticRegression().fit(there(X), there(TARGETS["two"] > 0))
    assert set(here(truths.predict(there(X))).tolist()) == {0, 1}
    with pytest.raises(ValueError, match="continuous"):
        gd.LogisticRegression().fit(there(X), there(TARGETS["numbers"]))
    with pytest.raises(ValueError, match="validation y holds"):
        gd.MLPClassifier().fit(there(X), there(TARGETS["two"]), validation=(X, names))


def test_whole_numbers_are_taken_exactly():
    whole = (1 << 26) + np.arange(40)[:, None]
    y = np.arange(40.0)
    theirs = gd.LinearRegression(alpha=0).fit(there(whole), there(y))
    assert here(theirs.coef_)[0] == pytest.approx(1.0)


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_what_was_fitted_on_the_host_stays_there():
    model = gd.MLPClassifier(random_state=0, max_epochs=5, dropout=0.2).fit(X, TARGETS["two"])
    assert isinstance(model.predict(there(X)), np.ndarray)
    gd.LinearRegression().fit(there(X), there(TARGETS["numbers"]))  # kernels take devices now
    again = pickle.loads(pickle.dumps(gd.MLPClassifier(random_state=0, max_epochs=5).fit(X, Z > 0)))
    assert isinstance(again.predict(X), np.ndarray)


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_devices_without_doubles():
    """As Apple's: float32 throughout."""
    if "Device" not in dir(strict):
        pytest.skip("this array-api-strict has one device alone")
    device = strict.Device("no_float64")
    short = strict.asarray(X.astype(np.float32), device=device)
    try:
        short.to_device(strict.Device("CPU_DEVICE"))
    except TypeError:
        assert np.lib.NumpyVersion(np.__version__) < "2.0.0"
        pytest.skip("this array-api-strict leaves its devices by NumPy 2's asarray alone")
    y = strict.asarray(TARGETS["two"].astype(np.int32), device=device)
    for optimizer in ("auto", "adam"):
        model = gd.LogisticRegression(optimizer=optimizer, max_epochs=50, tol=0).fit(short, y)
        assert model.coef_.dtype == strict.float32
        assert model.coef_.device == device


def on_device(*arrays):
    from gdcore.devices import DeviceArray

    gd.kernels.take_devices()
    return [DeviceArray(there(array)) for array in arrays]


LOSSES = {
    "squared": NOISY, "huber": NOISY, "logistic": TARGETS["two"].astype(float),
    "hinge": TARGETS["two"].astype(float), "squared_hinge": TARGETS["two"].astype(float),
    "poisson": TARGETS["counts"], "gamma": TARGETS["counts"] + 0.5, "quantile": NOISY,
    "softmax": TARGETS["three"] - 4.0,
}  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
def test_the_linear_kernels_are_the_hosts(loss):
    k, p = (3 if loss == "softmax" else 1), X.shape[1]
    columns = np.array([[*X.mean(axis=0), 0], [*1 / X.std(axis=0), 1]])
    theta, weights = RNG.normal(size=k * (p + 1)) / 3, RNG.random(300)
    g, z = np.ones(k * (p + 1)), np.empty((300, k))
    mine = gd.kernels.linear_gradient(
        loss, 0.5, 0.1, X, LOSSES[loss], weights, columns, theta, g, z
    )
    given = on_device(X, LOSSES[loss], weights, columns, theta, np.ones(k * (p + 1)), z * 0)
    theirs = gd.kernels.linear_gradient(loss, 0.5, 0.1, *given)
    assert theirs == pytest.approx(mine, rel=1e-12)
    np.testing.assert_allclose(given[5].numpy(), g, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(given[6].numpy(), z, rtol=1e-10, atol=1e-10)


def test_the_vector_kernels_are_the_hosts():
    a, b = RNG.normal(size=(2, 100))
    there_a, there_b = on_device(a, b)
    for name in ("norm", "largest"):
        mine, theirs = (getattr(gd.kernels, name)(each) for each in (a, there_a))
        assert theirs == pytest.approx(mine, rel=1e-14)
    for far in (1e-200, 1e200):
        assert gd.kernels.norm(there_a * far) == pytest.approx(gd.kernels.norm(a * far))
    assert gd.kernels.dot(there_a, there_b) == pytest.approx(a @ b)
    assert gd.kernels.all_finite(there_a)
    there_b[7] = np.nan
    assert not gd.kernels.all_finite(there_b)
    np.testing.assert_array_equal(there_a.numpy(), a)


KINDS = [gd.LinearRegression, gd.LogisticRegression, gd.MLPRegressor, gd.MLPClassifier]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_device_cannot_take_gets_a_sentence(kind):
    regression = "Regressor" in kind.__name__ or kind is gd.LinearRegression
    y = TARGETS["numbers" if regression else "two"]
    odd = np.where(np.arange(len(y)) == 3, np.inf, y)
    masked = np.ma.masked_array(y, mask=np.arange(len(y)) == 0)
    ones = np.ones(len(y))
    refused(lambda: kind().fit(there(X), there(odd)), "y contains NaN or infinity")
    refused(lambda: kind().fit(there(X), there(y), ones * 1.7e308), "The weights add up to more")
    refused(lambda: kind().fit(there(X), masked), "y has masked entries")
    weights = np.ma.masked_array(ones, mask=masked.mask)
    refused(lambda: kind().fit(there(X), there(y), weights), "sample_weight has masked entries")
    refused(lambda: kind().fit(there(X + 0j), there(y)), "X holds complex numbers")
    refused(lambda: kind().fit(there(X), there(y + 0j)), "y holds complex numbers")
    refused(lambda: kind().fit(there(X), there(y), ["a"] * len(y)), "sample_weight must hold num")
    refused(lambda: kind(optimizer="adafactor").fit(there(X), there(y)), "shapes of matrices")
    if regression:
        refused(lambda: kind().fit(there(X), ["a"] * len(y)), "y must hold numbers")
        refused(lambda: kind().fit(there(X), there(y * 1e200)), "squares have no place in float64")
        refused(lambda: kind().fit(there(X), there(y * 1e-200)), "Multiply y by a power of ten")
    refused(lambda: kind().fit(there(X * 1e-300), there(y)), "Column 0 of X varies by")


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_models_of_a_device_are_copied_printed_and_pickled(kind):
    y = TARGETS["numbers" if kind in (gd.LinearRegression, gd.MLPRegressor) else "three"]
    how = {"max_epochs": 5} if "MLP" in kind.__name__ else {}
    model = kind(random_state=0, **how).fit(there(X), there(y))
    assert "fun" in repr(model.result_)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(here(other.predict(there(X))), here(model.predict(there(X))))


def test_two_devices_are_named():
    if "Device" not in dir(strict):
        pytest.skip("this array-api-strict has one device alone")
    far = strict.Device("device1")
    y, X_ = TARGETS["numbers"], strict.asarray(X, device=far)
    refused(lambda: gd.LinearRegression().fit(there(X), strict.asarray(y, device=far)),
            "y is on .*device1.*, and X on .*Move one")  # fmt: skip
    model = gd.LinearRegression().fit(there(X), there(y))
    refused(lambda: model.predict(X_), "X is on .*device1.*, and what was fitted on")
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":  # strict's own way home is NumPy 2's
        model = gd.LinearRegression().fit(X_, strict.asarray(y, device=far))
        weights = strict.asarray(np.ones(len(y)), device=far)
        assert model.score(X_, strict.asarray(y, device=far), weights) > 0.5


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_a_device_goes_on_with_rows_of_the_host(kind):
    """As one that was fitted here and holds the same numbers."""
    y = TARGETS["numbers" if kind in (gd.LinearRegression, gd.MLPRegressor) else "three"]
    how = {"max_epochs": 5, "random_state": 0, "tol": 1e-9}
    for go_on in ("partial_fit", "fit", "learn_one"):
        if go_on == "learn_one" and not hasattr(kind, "learn_one"):
            continue
        model = kind(**how).fit(there(X), there(y))
        result = model.result_
        kept = here(result.x).copy()
        other = copy.deepcopy(hosted(model))
        if go_on == "learn_one":
            assert model.predict_one(X[0]) == pytest.approx(other.predict_one(X[0]))
        for each in (model, other):
            each.warm_start = True
            rows = (X[0], y[0]) if go_on == "learn_one" else (X[:200], y[:200])
            getattr(each, go_on)(*rows)
        assert type(model.predict(X)) is np.ndarray
        np.testing.assert_allclose(model.predict(X), other.predict(X), rtol=1e-9)
        np.testing.assert_array_equal(here(result.x), kept)  # that of the fit is what it was


def test_rows_of_a_device_are_named_where_the_host_wants_its_own():
    if "Device" not in dir(strict):
        pytest.skip("this array-api-strict has one device alone")
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        pytest.skip("NumPy 1 reads arrays of any of strict's devices")
    far = strict.Device("device1")
    y, ones = (strict.asarray(each, device=far) for each in (TARGETS["two"], np.ones(300)))
    X_, x = (strict.asarray(each, device=far) for each in (X, X[0]))
    model = gd.LinearRegression().fit(X, TARGETS["numbers"])
    for name, call in {
        "X": lambda: gd.LinearRegression().partial_fit(X_, y),
        "y": lambda: gd.LogisticRegression().fit(X, y),
        "sample_weight": lambda: model.fit(X, TARGETS["numbers"], ones),
        "x": lambda: model.predict_one(x),
        "x0": lambda: gd.minimize(lambda v: float((v**2).sum()), x),
        "ids": lambda: gd.GPT(n_layer=1, n_head=1, n_embd=8, block_size=4).fit(
            "abcabcabcabc" * 9, max_steps=1, progress=False).logits(y),
    }.items():  # fmt: skip
        refused(call, f"^{name} is of type array_api_strict.*NumPy cannot read.*cpu")
