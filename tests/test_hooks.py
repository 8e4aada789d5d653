"""What callbacks hear, when, and that who listens changes nothing."""

import math
import warnings

import numpy as np
import pytest

import gdcore as gd
from gdcore.data import visiting_order
from gdcore.hooks import Callback, Hooks

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5)) * [1, 2, 0.5, 3, 1] + 1
Y = X @ [1.0, -1, 2, 0, 0.5] + RNG.normal(size=120)
LABELS = (Y > np.median(Y)).astype(int)
THREE = np.digitize(Y, np.quantile(Y, [0.3, 0.7]))


class Recorder(Callback):
    """All that it hears, and it may ask to stop at a step or an epoch."""

    def __init__(self, at_step=None, at_epoch=None):
        self.at_step, self.at_epoch, self.said = at_step, at_epoch, []
        self.steps, self.epochs, self.plans, self.results, self.errors = [], [], [], [], []

    def on_begin(self, plan):
        self.said.append("begin")
        self.plans.append(plan)

    def on_step(self, moment):
        self.said.append("step")
        self.steps.append((moment.step, moment.cost, moment.examples, moment.theta.copy()))
        return moment.step == self.at_step

    def on_epoch(self, moment):
        self.said.append("epoch")
        self.epochs.append((moment.step, moment.epoch, moment.cost, moment.seconds))
        return moment.epoch == self.at_epoch

    def on_end(self, result):
        self.said.append("end")
        self.results.append(result)

    def on_error(self, error):
        self.said.append("error")
        self.errors.append(error)


class Epochs:
    """Hears of epochs alone."""

    def __init__(self):
        self.count = 0

    def on_epoch(self, moment):
        self.count += 1


def sparse_rows():
    scipy = pytest.importorskip("scipy.sparse")
    mask = np.random.default_rng(1).random(X.shape) < 0.4
    return scipy.csr_matrix(X * mask)


def linear(**settings):
    kind = settings.pop("kind", gd.LinearRegression)
    y = Y if kind is gd.LinearRegression else LABELS
    rows = sparse_rows() if settings.pop("sparse", False) else X
    rows = rows.astype(settings.pop("dtype", np.float64))
    given = {"max_epochs": 7, "tol": 0, "batch_size": 16, "random_state": 0} | settings

    def fit(callbacks):
        return kind(callbacks=callbacks, **given).fit(rows, y)

    return fit


def network(kind=gd.MLPClassifier, **settings):
    y = Y if kind is gd.MLPRegressor else THREE
    given = {"hidden_layer_sizes": (8,), "max_epochs": 6, "batch_size": 25, "random_state": 0}

    def fit(callbacks):
        return kind(callbacks=callbacks, **given | settings).fit(X, y)

    return fit


def gpt(**settings):
    def fit(callbacks):
        model = gd.GPT(n_layer=1, n_head=2, n_embd=8, block_size=8, dropout=0.1)
        given = {"max_steps": 12, "eval_every": 5, "batch_size": 3} | settings
        return model.fit("the cat sat on the mat. " * 9, callbacks=callbacks or (), **given)

    return fit


def theta_of(model):
    if hasattr(model, "theta_"):
        return model.theta_.vector
    return np.append(model.coef_, model.intercept_)


SAME = {
    "averaged, dense": linear(),
    "averaged, rates that halve": linear(max_epochs=25),
    "averaged, sparse": linear(sparse=True),
    "averaged, sparse lasso": linear(sparse=True, l1_ratio=0.5, alpha=0.1),
    "single precision": linear(dtype=np.float32),
    "one by one": linear(batch_size=1),
    "a rate": linear(learning_rate=0.01),
    "a rate, sparse": linear(learning_rate=0.01, sparse=True),
    "a rate, a ridge, a stop": linear(learning_rate=0.01, alpha=0.3, tol=1e-5, max_epochs=60),
    "a schedule": linear(optimizer=gd.optim.SGD(0.05), learning_rate=gd.schedules.InverseTime(0.1)),
    "a plateau": linear(
        optimizer=gd.optim.SGD(0.05),
        alpha=0.5,
        learning_rate=gd.schedules.Plateau(patience=1),
        max_epochs=40,
    ),
    "adam": linear(optimizer="adam", kind=gd.LogisticRegression),
    "momentum, sparse": linear(optimizer="momentum", sparse=True, kind=gd.LogisticRegression),
    "no compiled epoch": linear(optimizer="lion", learning_rate=0.01),
    "schedule-free": linear(optimizer=gd.optim.ScheduleFreeSGD(0.01)),
    "early stopping": linear(early_stopping=True, max_epochs=30),
    "full batch": linear(batch_size="full", optimizer="fista"),
    "newton": linear(batch_size="full", tol=1e-8),
    "hinge": linear(kind=gd.LinearClassifier, batch_size="full", tol=1e-6, max_epochs=500),
    "saga": linear(optimizer="saga", batch_size="auto"),
    "mlp": network(),
    "mlp, dropout": network(dropout=0.3),
    "mlp, batch norm": network(normalization="batch", alpha=0.1),
    "mlp, stopped by its rule": network(alpha=1.0, tol=0.01, max_epochs=300, patience=2),
    "mlp, held out": network(early_stopping=True, max_epochs=30),
    "mlp, a plateau": network(
        optimizer=gd.optim.SGD(0.1),
        learning_rate=gd.schedules.Plateau(patience=1),
        max_epochs=30,
        alpha=0.5,
        tol=0,
    ),
    "mlp, full": network(batch_size="full"),
    "mlp, restarts": network(gd.MLPRegressor, restarts=2),
    "gpt": gpt(),
    "gpt, accumulated": gpt(gradient_accumulation=2),
}


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
@pytest.mark.parametrize("fit", SAME.values(), ids=SAME)
def test_who_hears_of_each_step_changes_no_bit(fit):
    alone, heard = fit(None), fit(recorder := Recorder())
    np.testing.assert_array_equal(theta_of(heard), theta_of(alone))
    assert heard.result_.message == alone.result_.message
    for name in ("step", "epoch", "cost", "learning_rate", "examples", "validation"):
        np.testing.assert_array_equal(getattr(heard.trace_, name), getattr(alone.trace_, name))
    assert len(recorder.steps) >= heard.result_.nit > 0


@pytest.mark.parametrize("sparse", [False, True])
def test_each_step_is_told_with_its_batchs_loss_and_theta(sparse):
    recorder = Recorder()
    given = {"learning_rate": 0.01, "alpha": 0, "standardize": False, "fit_intercept": False}
    model = linear(sparse=sparse, max_epochs=3, optimizer="sgd", **given)(recorder)
    batches = -(-120 // 16)
    assert [step for step, *_ in recorder.steps] == list(range(1, 3 * batches + 1))
    assert [step for step, *_ in recorder.epochs] == [batches, 2 * batches, 3 * batches]
    assert [seen for _, _, seen, _ in recorder.steps][batches - 1] == 120
    rows, rng = sparse_rows().toarray() if sparse else X, np.random.default_rng(0)
    w, t = np.zeros(5), 0
    for _ in range(3):  # the textbook's
        order = visiting_order(120, rng)
        for a in range(0, 120, 16):
            part = order[a : a + 16]
            r = rows[part] @ w - Y[part]
            loss = 0.5 * np.mean(r * r)
            w = w - 0.01 * rows[part].T @ r / len(part)
            assert recorder.steps[t][1] == pytest.approx(loss, rel=1e-12)
            np.testing.assert_allclose(recorder.steps[t][3][:5], w, rtol=1e-10, atol=1e-14)
            t += 1
    assert model.result_.nit == t


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (linear(), "stopped in epoch 2, after 10 steps. A callback"),
        (linear(sparse=True), "stopped in epoch 2, after 10 steps. A callback"),
        (linear(learning_rate=0.01), "stopped in epoch 2, after 10 steps. A callback"),
        (linear(tol=1e-1), "stopped in epoch 2, after 10 steps. A callback"),
        (linear(optimizer="lion", learning_rate=0.01), "stopped in epoch 2, after 10 steps"),
        (network(batch_size=16), "stopped in epoch 2, after 10 steps. A callback"),
        (gpt(), "stopped after 10 steps. A callback"),
        (gpt(eval_every=7), "stopped after 10 steps. A callback"),
        (linear(batch_size="full", optimizer="fista", max_epochs=50), "stopped after epoch 10"),
    ],
)
def test_stopping_at_a_step_says_so_and_keeps_what_is_finite(fit, message):
    model = fit(recorder := Recorder(at_step=10))
    assert model.result_.status is gd.Status.CALLBACK
    assert message in model.result_.message
    assert model.result_.nit == 10
    assert len(recorder.steps) == 10
    assert recorder.said[-1] == "end"
    assert model.trace_.step[-1] == 10
    assert model.trace_.examples[-1] == recorder.steps[-1][2]
    assert np.isfinite(theta_of(model)).all()


def test_the_best_so_far_is_kept_where_the_last_steps_led_away():
    def wild(t):  # good steps, then one that leaps
        return 1.0 if t < 16 else 300.0

    given = {"optimizer": gd.optim.SGD(0.02), "learning_rate": wild, "standardize": True}
    model = linear(early_stopping=False, **given)(recorder := Recorder(at_step=18))
    assert model.result_.status is gd.Status.CALLBACK
    assert model.result_.fun < 1.5 * min(cost for _, _, cost, _ in recorder.epochs)
    assert model.result_.fun < recorder.epochs[-1][2]


def test_a_fit_that_was_stopped_in_mid_epoch_goes_on():
    fit = gd.LinearRegression(
        max_epochs=5, batch_size=16, random_state=0, tol=0, warm_start=True,
        callbacks=Recorder(at_step=10),
    ).fit(X, Y)  # fmt: skip
    fit.callbacks = recorder = Recorder()
    fit.fit(X, Y)
    assert fit.result_.status is gd.Status.EPOCHS
    assert recorder.plans[0].epoch == 2
    assert recorder.plans[0].max_epochs == 7
    assert [epoch for _, epoch, *_ in recorder.epochs] == [3, 4, 5, 6, 7]


def test_chunks_are_told_step_by_step_too():
    chunks = [(X[:50], Y[:50]), (X[50:], Y[50:])]
    given = {"batch_size": 16, "max_epochs": 4, "tol": 0, "random_state": 0}
    alone = gd.LinearRegression(**given).fit(chunks)
    recorder = Recorder()
    heard = gd.LinearRegression(**given, callbacks=recorder).fit(chunks)
    np.testing.assert_array_equal(heard.coef_, alone.coef_)
    assert len(recorder.steps) == 4 * (4 + 5)  # batches end where chunks do
    assert recorder.steps[-1][0] == heard.result_.nit == 4 * 8
    stopped = gd.LinearRegression(**given, callbacks=Recorder(at_step=6)).fit(chunks)
    assert stopped.result_.status is gd.Status.CALLBACK
    assert stopped.result_.nit == 6
    assert stopped.trace_.examples[-1] == 50 + 2 * 16
    fixed = gd.LinearRegression(**given, learning_rate=0.01, callbacks=Recorder(at_step=2))
    assert fixed.fit(chunks).trace_.examples[-1] == 32


CORNERS = {
    "inside": ({"kind": gd.LinearClassifier}, 500),
    "quantile": ({"loss": "quantile"}, 500),
    "rounded": ({"kind": gd.LinearClassifier, "dtype": np.float32}, 500),
}


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
@pytest.mark.parametrize(("settings", "most"), CORNERS.values(), ids=CORNERS)
def test_a_fit_of_several_descents_begins_and_ends_once(settings, most):
    plain = []
    fit = linear(batch_size="full", tol=1e-6, max_epochs=most, **settings)
    model = fit([recorder := Recorder(), lambda moment: plain.append(moment.step)])
    assert recorder.said.count("begin") == recorder.said.count("end") == 1
    assert recorder.said[0] == "begin"
    assert recorder.said[-1] == "end"
    assert recorder.results[0] is model.result_
    assert recorder.plans[0].max_epochs == most
    steps = [step for step, *_ in recorder.epochs]
    assert steps == list(range(1, model.result_.nit + 1))  # counts go on
    assert plain == model.trace_.step.tolist()
    seconds = [each[3] for each in recorder.epochs]
    assert seconds == sorted(seconds)


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_who_asks_to_stop_in_one_of_several_descents_is_heard():
    fit = linear(
        kind=gd.LinearClassifier, batch_size="full", tol=1e-6, max_epochs=500, dtype=np.float32
    )
    whole = fit(Recorder())
    ends = np.flatnonzero(np.diff(whole.trace_.step) == 0)
    assert len(ends) > 0  # there are several
    at = int(whole.trace_.step[ends[0]])  # the last of the first: its own rule fires, too
    model = fit(recorder := Recorder(at_epoch=at))
    assert model.result_.status is gd.Status.CALLBACK
    assert [epoch for _, epoch, *_ in recorder.epochs][-1] == at
    assert recorder.said.count("end") == 1


def test_restarts_and_classes_begin_anew_and_say_which_they_are():
    network(gd.MLPRegressor, restarts=2, tol=0)(recorder := Recorder())
    assert [(plan.run, plan.runs) for plan in recorder.plans] == [(0, 3), (1, 3), (2, 3)]
    assert recorder.said.count("end") == 3
    recorder = Recorder()
    gd.LinearClassifier(callbacks=recorder, alpha=0.1).fit(X, THREE)
    assert [(plan.run, plan.runs) for plan in recorder.plans] == [(0, 3), (1, 3), (2, 3)]
    assert recorder.said.count("end") == 3
    gd.minimize(lambda x: (x @ x, 2 * x), np.ones(2), restarts=1, callbacks=(again := Recorder()))
    assert [(plan.run, plan.runs, plan.unit) for plan in again.plans] == [
        (0, 2, "iteration"), (1, 2, "iteration")
    ]  # fmt: skip


def test_the_plan_says_what_is_to_come():
    linear(early_stopping=True)(recorder := Recorder())
    (plan,) = recorder.plans
    assert (plan.size, plan.examples, plan.batch_size, plan.max_epochs) == (6, 108, 16, 7)
    assert (plan.unit, plan.validates, plan.epoch, plan.max_time) == ("epoch", True, 0, math.inf)
    assert isinstance(plan.optimizer, gd.optim.SGD)
    gpt(validation=None)(recorder := Recorder())
    assert (recorder.plans[0].unit, recorder.plans[0].max_epochs) == ("round", 3)
    assert not recorder.plans[0].validates


def test_least_squares_solved_for_directly_begin_and_end():
    model = gd.LinearRegression(optimizer="closed-form", callbacks=(r := Recorder())).fit(X, Y)
    assert r.said == ["begin", "end"]
    assert r.plans[0].optimizer is None
    assert r.results == [model.result_]


def press(moment):
    if moment.epoch == 2:
        raise KeyboardInterrupt


@pytest.mark.parametrize("fit", [linear(), network(), gpt(), linear(batch_size="full")])
def test_ctrl_c_ends_by_on_end(fit):
    model = fit([recorder := Recorder(), press])
    assert model.result_.status is gd.Status.INTERRUPTED
    assert recorder.said[-1] == "end"
    assert not recorder.errors


def test_ctrl_c_in_mid_epoch_ends_by_on_end():
    class Pressing:
        def on_step(self, moment):
            if moment.step == 10:
                raise KeyboardInterrupt

    model = linear()([recorder := Recorder(), Pressing()])
    assert model.result_.status is gd.Status.INTERRUPTED
    assert recorder.said[-1] == "end"
    assert np.isfinite(model.coef_).all()


def test_divergence_ends_by_on_end():
    recorder = Recorder()
    given = {"learning_rate": 50.0, "optimizer": "sgd", "callbacks": recorder, "standardize": False}
    with pytest.warns(gd.ConvergenceWarning, match="diverged"):
        gd.LinearRegression(**given).fit(X, Y)
    assert recorder.said[-1] == "end"
    assert recorder.results[0].status is gd.Status.DIVERGED


class Fails(Callback):
    def __init__(self, where):
        self.where = where

    def _fail(self, *_):
        raise RuntimeError("mine")

    def __getattribute__(self, name):
        if name.startswith("on_") and name == object.__getattribute__(self, "where"):
            return object.__getattribute__(self, "_fail")
        return object.__getattribute__(self, name)


FITS = {
    "linear": (gd.LinearRegression(batch_size=16, max_epochs=3, tol=0), Y),
    "hinge": (gd.LinearClassifier(), THREE),
    "logistic": (gd.LogisticRegression(max_epochs=3, batch_size=16, tol=0), THREE),
    "classifier": (gd.MLPClassifier(max_epochs=2), THREE),
    "regressor": (gd.MLPRegressor(max_epochs=2), Y),
}


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
@pytest.mark.parametrize("where", ["on_begin", "on_step", "on_epoch", "on_end"])
@pytest.mark.parametrize("name", FITS)
def test_what_a_callback_raises_passes_and_leaves_the_estimator_as_it_was(name, where):
    model, y = FITS[name]
    model.set_params(callbacks=None, random_state=0)
    model.fit(X, y)
    before, predicted = dict(vars(model)), model.predict(X)
    model.callbacks = before["callbacks"] = [recorder := Recorder(), Fails(where)]
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X[::-1] * 3 + 1, y)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[key] is before[key] for key in before)
    np.testing.assert_array_equal(model.predict(X), predicted)
    assert recorder.said[-1] == "error"
    assert isinstance(recorder.errors[0], RuntimeError)
    model.callbacks = None


@pytest.mark.parametrize("where", ["on_begin", "on_step", "on_epoch", "on_end"])
def test_and_a_gpt(where):
    model = gpt()(None)
    before = model.theta_.vector.copy()
    with pytest.raises(RuntimeError, match="mine"):
        model.fit("the cat sat on the mat. " * 9, max_steps=3, callbacks=Fails(where))
    np.testing.assert_array_equal(model.theta_.vector, before)
    assert model.n_iter_ == 12


def test_a_fit_that_fails_without_a_callback_leaves_the_model_too():
    model = gd.MLPRegressor(max_epochs=2, random_state=0, tol=0).fit(X, Y)
    predicted = model.predict(X)
    model.layers = [gd.layers.Dense(3)]  # ends in three outputs, which y does not have
    with pytest.raises(ValueError, match="End them in Dense"):
        model.fit(X, 100 * Y)
    model.layers = None
    np.testing.assert_array_equal(model.predict(X), predicted)


def test_all_hear_of_an_error_whatever_one_of_them_does():
    first, last = Recorder(), Recorder()
    with pytest.raises(RuntimeError, match="mine"):
        linear()([first, Fails("on_error"), Fails("on_epoch"), last])
    assert first.errors
    assert last.errors


def test_descend_tells_of_errors_and_minimize_of_its_own_end():
    def fail(moment):
        raise RuntimeError("mine")

    def bowl(x):
        return x @ x, 2 * x

    with pytest.raises(RuntimeError, match="mine"):
        gd.minimize(bowl, np.ones(3), callbacks=[recorder := Recorder(), fail])
    assert recorder.said == ["begin", "error"]
    result = gd.minimize(bowl, np.ones(3), callbacks=(recorder := Recorder()), method="sgd")
    assert recorder.results == [result]
    assert [epoch for _, epoch, *_ in recorder.epochs] == list(range(1, result.nit + 1))
    given = {"method": gd.optim.SGD(0.01), "callbacks": lambda moment: moment.step == 7}
    stopped = gd.minimize(bowl, np.ones(3), **given)
    assert stopped.nit == 7
    assert "Stopped after 7 iterations" in stopped.message
    with pytest.raises(ValueError, match="callbacks must be functions or objects with on_begin"):
        gd.minimize(bowl, np.ones(3), callbacks=3)


@pytest.mark.parametrize(
    "wrong", [3, "word", gd.callbacks.TimeLimit, object(), [lambda moment: None, 3], Callback]
)
def test_what_is_no_callback_is_refused_before_any_work(wrong):
    with pytest.raises(ValueError, match="callbacks must be functions or objects with on_begin"):
        gd.LinearRegression(callbacks=wrong).fit(X, Y)


def test_who_does_not_ask_for_steps_has_whole_epochs():
    class Quiet(Callback):
        def on_epoch(self, moment):
            self.last = moment.epoch

    assert not Hooks([Quiet(), Epochs(), print]).by_step
    assert Hooks(Recorder()).by_step
    model = linear()(counting := Epochs())
    assert counting.count == model.n_iter_ == 7


def test_numpys_true_stops_and_other_answers_do_not():
    assert linear()(lambda moment: np.bool_(moment.epoch == 2)).n_iter_ == 2
    assert linear()(lambda moment: 1).n_iter_ == 7


def test_warnings_point_at_who_called_fit():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        gd.LinearRegression(max_epochs=1, optimizer="sgd").fit(X, Y)
    assert found[0].filename == __file__
