"""MLPClassifier and MLPRegressor: what they learn, what they promise, what they refuse."""

import warnings

import numpy as np
import pytest

import gdcore as gd

L = gd.layers
XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        yield


@pytest.fixture(scope="module")
def digits():
    data = gd.datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(data.X))
    cut = round(0.75 * len(order))
    fit, held = order[:cut], order[cut:]
    return data.X[fit], data.y[fit], data.X[held], data.y[held]


@pytest.mark.parametrize("seed", range(3))
def test_xor(seed):
    model = gd.MLPClassifier(hidden_layer_sizes=8, random_state=seed).fit(XOR, [0, 1, 1, 0])
    assert model.predict(XOR).tolist() == [0, 1, 1, 0]


def test_digits_as_well_as_asked(digits):
    X, y, other, labels = digits
    assert gd.MLPClassifier(random_state=0).fit(X, y).score(other, labels) >= 0.975


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", [{}, {"normalization": "layer"}, {"normalization": "batch"}])
def test_thirty_two_examples_are_learnt_by_heart(given, dtype):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(32, 10)), rng.integers(0, 4, 32)
    model = gd.MLPClassifier(
        alpha=0, tol=0, max_epochs=400, learning_rate=0.01, dtype=dtype, random_state=0, **given
    )
    model.fit(X, y)
    assert model.loss_ < 1e-3
    assert model.score(X, y) == 1
    Y = rng.normal(size=(32, 2))
    curve = gd.MLPRegressor(
        alpha=0, tol=0, max_epochs=500, learning_rate=0.01, dtype=dtype, random_state=0, **given
    )
    assert curve.fit(X, Y).loss_ < 1e-3


def test_the_same_bits_for_any_number_of_threads(digits):
    X, y, *_ = digits
    found = {
        gd.MLPClassifier(
            hidden_layer_sizes=(300, 200), dropout=0.3, max_epochs=2, batch_size=600,
            n_threads=n, random_state=0,
        ).fit(X, y).theta_.vector.tobytes()
        for n in (1, 2, 4)
    }  # fmt: skip
    assert len(found) == 1


def test_weights_equal_repetition():
    rng = np.random.default_rng(0)
    X, y, times = rng.normal(size=(30, 4)), rng.integers(0, 3, 30), rng.integers(0, 3, 30)
    given = {"random_state": 0, "max_epochs": 50, "tol": 0}
    weighted = gd.MLPClassifier(**given, batch_size="full").fit(X, y, sample_weight=times)
    repeated = gd.MLPClassifier(**given, batch_size="full").fit(X.repeat(times, 0), y.repeat(times))
    np.testing.assert_allclose(
        weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-7, atol=1e-9
    )


def test_class_weights_equal_sample_weights():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 4)), rng.integers(0, 2, 40)
    given = {"random_state": 0, "max_epochs": 30, "tol": 0}
    one = gd.MLPClassifier(class_weight={0: 1, 1: 3}, **given).fit(X, y)
    other = gd.MLPClassifier(**given).fit(X, y, sample_weight=np.where(y == 1, 3, 1))
    np.testing.assert_allclose(one.theta_.vector, other.theta_.vector, rtol=1e-9, atol=1e-12)


def test_several_labels_a_row():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    Y = (X[:, :3] + 0.5 * X[:, 2:5] > 0).astype(int)
    model = gd.MLPClassifier(random_state=0).fit(X, Y)
    assert model.predict(X).shape == model.predict_proba(X).shape == (200, 3)
    assert (model.predict(X) == Y).mean() > 0.95
    Y, weights = rng.integers(0, 2, Y.shape), np.arange(200.0)
    right = model.predict(X) == Y
    assert model.score(X, Y) == right.all(axis=1).mean() < right.mean()
    assert model.score(X, Y, weights) == pytest.approx(weights @ right.all(axis=1) / weights.sum())
    with pytest.raises(ValueError, match="zeros and ones"):
        gd.MLPClassifier().fit(X, Y + 1)


def test_two_classes_have_one_margin():
    X, y = XOR.repeat(5, 0), np.array(["a", "b", "b", "a"]).repeat(5)
    model = gd.MLPClassifier(hidden_layer_sizes=(8,), random_state=0).fit(X, y)
    assert model.decision_function(X).shape == (20,)
    p = model.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    assert ((p[:, 1] > 0.5) == (model.predict(X) == "b")).all()


def test_several_targets():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (300, 2))
    Y = np.stack([np.sin(X[:, 0]), 1000 + 100 * X[:, 0] * X[:, 1]], axis=1)
    model = gd.MLPRegressor(activation="tanh", learning_rate=0.01, random_state=0).fit(X, Y)
    assert model.predict(X).shape == (300, 2)
    assert model.score(X, Y) > 0.98
    assert gd.MLPRegressor(max_epochs=1).fit(X, Y[:, 0]).predict(X).shape == (300,)


def test_scales_of_columns_and_targets_do_not_matter():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = X[:, 0] * X[:, 1]
    given = {"random_state": 0, "max_epochs": 30, "dtype": "float64"}
    plain = gd.MLPRegressor(**given).fit(X, y)
    scaled = gd.MLPRegressor(**given).fit(X * [1e-6, 1e3, 1] + [0, 1e4, 5], 1e5 * y - 7)
    np.testing.assert_allclose(
        scaled.predict(X * [1e-6, 1e3, 1] + [0, 1e4, 5]), 1e5 * plain.predict(X) - 7, rtol=1e-4,
        atol=1e-1,
    )  # fmt: skip


def test_early_stopping_restores_the_best(digits):
    X, y, other, labels = digits
    model = gd.MLPClassifier(early_stopping=3, learning_rate=0.02, random_state=0)
    model.fit(X, y, validation=(other, labels))
    z = model.decision_function(other)
    held = gd.losses.Softmax().value(z, labels.astype(float)).mean()
    assert model.result_.status.name == "VALIDATION"
    assert held == pytest.approx(np.nanmin(model.trace_.validation), rel=1e-5)
    assert held < model.trace_.validation[-1]
    assert len(model.trace_) - 1 - np.nanargmin(model.trace_.validation) == 3


def test_validation_alone_is_watched_too(digits):
    X, y, other, labels = digits
    model = gd.MLPClassifier(random_state=0, max_epochs=3).fit(X, y, validation=(other, labels))
    assert np.isfinite(model.trace_.validation).all()
    with pytest.raises(ValueError, match="not among the classes"):
        gd.MLPClassifier().fit(X, y, validation=(other, labels + 100))


@pytest.mark.parametrize("kind", [gd.MLPClassifier, gd.MLPRegressor])
def test_validation_that_does_not_fit_is_named(digits, kind):
    X, y, other, labels = digits
    for given in (other, (other, labels, labels), {"X": other, "y": labels}):
        with pytest.raises(ValueError, match="validation must be a pair"):
            kind().fit(X, y, validation=given)
    with pytest.raises(ValueError, match="validation X has 3 features, and X has 64"):
        kind().fit(X, y, validation=(other[:, :3], labels))
    with pytest.raises(ValueError, match="rows and validation y has"):
        kind().fit(X, y, validation=(other, labels[:5]))


def test_images_are_told_their_way(digits):
    X, y, *_ = digits
    with pytest.raises(ValueError, match=r"begin with gd\.layers\.Reshape\(\(8, 8\)\)"):
        gd.MLPClassifier().fit(X.reshape(-1, 8, 8), y)


def test_partial_fit_learns_and_goes_on(digits):
    X, y, other, labels = digits
    model = gd.MLPClassifier(random_state=0)
    model.partial_fit(X[:200], y[:200], classes=range(10))
    for _ in range(15):
        for a in range(0, len(X), 200):
            model.partial_fit(X[a : a + 200], y[a : a + 200])
    assert model.score(other, labels) > 0.95
    with pytest.raises(ValueError, match="Pass all classes at the first call"):
        model.partial_fit(X[:5], y[:5] + 50)
    with pytest.raises(ValueError, match="differs from the first call's"):
        model.partial_fit(X[:5], y[:5], classes=[0, 1])
    line = gd.MLPRegressor(random_state=0, learning_rate=0.01)
    for _ in range(300):
        line.partial_fit(X[:300, :5], X[:300, :5].sum(axis=1))
    assert line.score(X[:300, :5], X[:300, :5].sum(axis=1)) > 0.9


def test_partial_fit_after_fit_goes_on_from_its_weights(digits):
    X, y, *_ = digits
    model = gd.MLPClassifier(max_epochs=3, tol=0, random_state=0).fit(X, y)
    before, epochs = model.theta_.vector.copy(), model.n_iter_
    model.set_params(learning_rate=1e-12).partial_fit(X, y)
    np.testing.assert_allclose(model.theta_.vector, before, atol=1e-7)
    assert model.n_iter_ == epochs + 1
    with pytest.raises(ValueError, match="one label a row in one call and several in another"):
        model.partial_fit(X, np.eye(10)[y.astype(int)])


def test_a_refused_first_call_leaves_nothing_behind(digits):
    X, y, *_ = digits
    model = gd.MLPClassifier(optimizer="lbfgs")
    for _ in range(2):
        with pytest.raises(ValueError, match="LBFGS"):
            model.partial_fit(X, y)
    assert not hasattr(model, "theta_")


def test_two_classes_may_have_two_outputs(digits):
    X, y, *_ = digits
    X, y = X[y < 2], y[y < 2]
    two = gd.MLPClassifier(layers=[L.Dense(8, "relu"), L.Dense(2)], max_epochs=20, random_state=0)
    two.fit(X, y)
    assert two.decision_function(X).shape == (len(X), 2)
    np.testing.assert_allclose(two.predict_proba(X).sum(axis=1), 1, rtol=1e-6)
    assert two.score(X, y) > 0.99


def test_warm_start_refuses_other_classes(digits):
    X, y, *_ = digits
    model = gd.MLPClassifier(max_epochs=1, tol=0, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match="warm_start goes on from classes"):
        model.fit(X, y + 1)


def test_a_resumed_stream_has_the_bits_of_the_uninterrupted_one(digits):
    import pickle

    X, y, *_ = digits
    one = gd.MLPClassifier(random_state=0, dropout=0.2)
    other = gd.MLPClassifier(random_state=0, dropout=0.2)
    for a in range(0, 1000, 100):
        part = X[a : a + 100], y[a : a + 100]
        one.partial_fit(*part, classes=range(10))
        other.partial_fit(*part, classes=range(10))
        other = pickle.loads(pickle.dumps(other))
    assert one.theta_.vector.tobytes() == other.theta_.vector.tobytes()


def test_a_stream_of_an_averaging_rule_predicts_by_its_average(digits):
    X, y, other, labels = digits
    model = gd.MLPClassifier(optimizer=gd.optim.ScheduleFreeAdamW(0.01), random_state=0)
    for _ in range(10):
        model.partial_fit(X, y)
    stream = model._stream
    average = stream.optimizer.solution(stream.walker, stream.state)
    np.testing.assert_array_equal(model.theta_.vector, average)
    assert not np.array_equal(stream.walker, average)
    assert model.score(other, labels) > 0.95


def test_warm_start_goes_on_and_a_cold_one_does_not(digits):
    X, y, *_ = digits
    model = gd.MLPClassifier(max_epochs=5, tol=0, warm_start=True, random_state=0).fit(X, y)
    first = model.loss_
    assert model.fit(X, y).trace_.cost[0] == pytest.approx(first, rel=1e-4)
    cold = gd.MLPClassifier(max_epochs=5, tol=0, random_state=0).fit(X, y)
    assert cold.fit(X, y).loss_ == pytest.approx(first, rel=1e-9)


def test_restarts_keep_the_best():
    model = gd.MLPClassifier(hidden_layer_sizes=2, restarts=4, learning_rate=0.05, random_state=1)
    model.fit(XOR, [0, 1, 1, 0])
    costs = model.result_.restarts["fun"]
    assert len(costs) == len(model.result_.restarts["status"]) == 5
    assert model.loss_ == costs.min()
    assert costs.max() > 1.5 * costs.min()


def test_the_trace_names_layers_that_die_vanish_and_explode(digits):
    X, y, *_ = digits

    def layers(**given):
        model = gd.MLPClassifier(max_epochs=5, tol=0, random_state=0, **given).fit(X, y)
        return model.trace_.layers

    healthy = layers(hidden_layer_sizes=(30, 30))
    assert healthy.names == ("0.weight", "1.weight", "2.weight")
    assert healthy.weight.shape == healthy.gradient.shape == healthy.dead.shape
    assert healthy.dead[-1][0] < 0.2
    assert np.isnan(healthy.dead[:, 2]).all()
    killed = layers(hidden_layer_sizes=(30, 30), learning_rate=3.0)
    assert killed.dead[-1][:2].max() > 0.5
    deep = layers(hidden_layer_sizes=(20,) * 8, activation="sigmoid")
    assert deep.gradient[1][0] < 1e-3 * deep.gradient[1][-1]
    wild = [L.Dense(30, init=lambda rng, s: 3 * rng.normal(size=s)) for _ in range(4)]
    exploding = layers(layers=[*wild, L.Dense(10)], optimizer=gd.optim.SGD(1e-12))
    assert exploding.gradient[1][0] > 1e3


def test_layers_of_ones_own(digits):
    X, y, other, labels = digits

    net = L.Sequential(
        L.Reshape((8, 8, 1)),
        L.Conv2D(8, activation="relu"),
        L.MaxPool2D(),
        L.Flatten(),
        L.Dense(10),
    )
    model = gd.MLPClassifier(layers=net, max_epochs=40, random_state=0).fit(X, y)
    assert model.score(other, labels) > 0.95
    with pytest.raises(ValueError, match=r"End them in Dense\(10\)"):
        gd.MLPClassifier(layers=[L.Dense(4)]).fit(X, y)


def test_a_loss_of_ones_own():
    class Absolute:
        def value(self, z, y):
            return np.abs(z[:, 0] - y)

        def slope(self, z, y):
            return np.sign(z - y[:, None])

    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 1))
    y = 2 * X[:, 0] + np.where(rng.random(300) < 0.2, 100, 0)  # a fifth of the rows are far off
    robust = gd.MLPRegressor(
        loss=Absolute(), layers=[L.Dense(1)], learning_rate=0.05, random_state=0
    )
    robust.fit(X, y)
    assert np.abs(robust.predict(X) - 2 * X[:, 0]).max() < 0.5
    squared = gd.MLPRegressor(layers=[L.Dense(1)], learning_rate=0.05, random_state=0).fit(X, y)
    assert np.abs(squared.predict(X) - 2 * X[:, 0]).max() > 10


@pytest.mark.parametrize("name", ["sgd", "momentum", "rmsprop", "adamw", "lion", "lbfgs", "muon"])
def test_any_optimizer_by_its_name(name, digits):
    X, y, *_ = digits
    rate = {"sgd": 0.1, "momentum": 0.05, "lion": 1e-3, "muon": 0.02}.get(name, 0.005)
    model = gd.MLPClassifier(optimizer=name, learning_rate=rate, max_epochs=20, random_state=0)
    assert model.fit(X, y).score(X, y) > 0.95


def test_a_schedule_and_clipping(digits):
    X, y, *_ = digits
    rates = []
    gd.MLPClassifier(
        optimizer=gd.optim.AdamW(0.01), learning_rate=gd.schedules.Cosine(100), clip_norm=0.5,
        max_epochs=4, tol=0, callbacks=lambda moment: rates.append(moment.learning_rate),
    ).fit(X, y)  # fmt: skip
    assert rates[0] == 0.01
    assert rates[-1] < rates[1] < rates[0]


def test_callbacks_stop_and_ctrl_c_keeps_the_best(digits):
    X, y, *_ = digits
    model = gd.MLPClassifier(callbacks=lambda moment: moment.epoch == 3, random_state=0).fit(X, y)
    assert (model.result_.status.name, model.n_iter_) == ("CALLBACK", 3)

    def interrupt(moment):
        if moment.epoch == 2:
            raise KeyboardInterrupt

    stopped = gd.MLPClassifier(callbacks=interrupt, random_state=0).fit(X, y)
    assert stopped.result_.status.name == "INTERRUPTED"
    assert np.isfinite(stopped.theta_.vector).all()
    assert stopped.score(X, y) > 0.5


def test_a_rate_that_is_too_large_diverges_without_nan(digits):
    X, y, *_ = digits
    model = gd.MLPRegressor(optimizer="sgd", learning_rate=1e4, random_state=0)
    model.fit(X, y.astype(float))
    assert model.result_.status.name == "DIVERGED"
    assert np.isfinite(model.theta_.vector).all()
    assert np.isfinite(model.predict(X)).all()


REFUSED = {
    "hidden_layer_sizes": ((0,), "hidden_layer_sizes must be a whole number"),
    "activation": ("rleu", "Did you mean 'relu'"),
    "dropout": (1.0, "dropout must be below 1"),
    "normalization": ("group", "normalization='group' is not known"),
    "alpha": (-1, "alpha must be a number of at least 0"),
    "clip_norm": (0, "clip_norm must be a number above 0"),
    "restarts": (-1, "restarts must be a whole number"),
    "dtype": ("float16", "dtype='float16' is not known"),
    "max_epochs": ("many", "max_epochs='many' is not known"),
    "patience": (0, "patience must be a whole number"),
    "layers": (3, "layers must be a Sequential or a list"),
    "optimizer": ("adm", "Did you mean 'adam'"),
    "loss": ("huber", "loss='huber' is not known"),
    "batch_size": (0, "batch_size must be a whole number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_parameters_are_refused_and_nothing_is_lost(name):
    value, words = REFUSED[name]
    model = gd.MLPClassifier(max_epochs=2).fit(XOR, [0, 1, 1, 0])
    before = model.predict_proba(XOR)
    model.set_params(**{name: value})
    with pytest.raises(ValueError, match=words):
        model.fit(XOR, [0, 0, 1, 1])
    np.testing.assert_array_equal(model.predict_proba(XOR), before)


def test_dropout_and_line_searches_do_not_go_together():
    with pytest.raises(ValueError, match="dropout makes each another one"):
        gd.MLPClassifier(optimizer="lbfgs", dropout=0.5).fit(XOR, [0, 1, 1, 0])
    with pytest.raises(ValueError, match="Pass batch_size='full'"):
        gd.MLPClassifier(optimizer="lbfgs", batch_size=2).fit(XOR, [0, 1, 1, 0])


def test_nothing_that_was_passed_in_is_changed(digits):
    X, y = digits[0].copy(), digits[1].copy()
    weights = np.ones(len(X))
    gd.MLPClassifier(max_epochs=2, dropout=0.2).fit(X, y, weights)
    np.testing.assert_array_equal(X, digits[0])
    np.testing.assert_array_equal(y, digits[1])
    assert (weights == 1).all()
