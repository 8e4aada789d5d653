"""scikit-learn's callbacks watch our fits: each hook in its place, and stops that are heard."""

import copy
import sys
import warnings

import numpy as np
import pytest

import gdcore as gd

sklearn = pytest.importorskip("sklearn")
base = pytest.importorskip("sklearn.base")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4)) * [1, 5, 0.2, 1] + 3
Y = X @ [1.0, 0.3, 2, 0] + RNG.normal(size=90)
TWO, THREE = (Y > np.median(Y)).astype(str), np.digitize(Y, np.quantile(Y, [0.3, 0.7]))
WEIGHTS = RNG.integers(1, 4, size=90).astype(float)
BATCHES = {"batch_size": 30, "max_epochs": 4, "tol": 0, "random_state": 0}

try:
    from sklearn import callback as theirs
except ImportError:
    theirs = None
NEW = pytest.mark.skipif(theirs is None, reason="scikit-learn 1.9 is what has callbacks")


class Recorder:
    """Every hook, and whether it is to stop at an epoch."""

    def __init__(self, at=None, fails=None):
        self.at, self.fails, self.said, self.models, self.data = at, fails, [], [], []

    def _say(self, word, context):
        self.said.append((word, context.task_name, context.task_id))
        if self.fails == (word, context.task_name):
            raise RuntimeError("mine")

    def setup(self, estimator, context):
        self._say("setup", context)

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self._say("begin", context)
        self.data.append((X, y, metadata, context.max_subtasks))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self._say("end", context)
        self.models.append(fitted_estimator)
        return self.at is not None and context.task_id == self.at and context.task_name == "epoch"

    def teardown(self, estimator, context):
        self._say("teardown", context)


class Light:
    """Asks for no fitted estimator."""

    def __init__(self):
        self.ends = 0

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context):
        self.ends += 1


class Propagated(Recorder):
    """One that a meta-estimator hands down."""

    max_propagation_depth = None


MODELS = {
    "least squares": (gd.LinearRegression(**BATCHES), Y),
    "two classes": (gd.LogisticRegression(**BATCHES), TWO),
    "three classes": (gd.LogisticRegression(**BATCHES), THREE),
    "hinge": (gd.LinearClassifier(**BATCHES), TWO),
    "mlp": (gd.MLPClassifier(hidden_layer_sizes=(5,), **BATCHES), THREE),
    "mlp, real": (gd.MLPRegressor(hidden_layer_sizes=(5,), **BATCHES), Y),
}
EACH = pytest.mark.parametrize(("model", "y"), MODELS.values(), ids=MODELS)


@NEW
@EACH
def test_hooks_come_in_order_with_what_the_fit_was_given(model, y):
    model = base.clone(model)
    alone = base.clone(model).fit(X, y, sample_weight=WEIGHTS)
    recorder = Recorder()
    assert model.set_callbacks(recorder) is model
    model.fit(X, y, WEIGHTS)
    epochs = [(word, "epoch", t) for t in range(4) for word in ("begin", "end")]
    assert recorder.said == [
        ("setup", "fit", 0), ("begin", "fit", 0), *epochs, ("end", "fit", 0), ("teardown", "fit", 0)
    ]  # fmt: skip
    for given, targets, metadata, _ in recorder.data:
        assert given is X
        assert targets is y
        assert metadata["sample_weight"] is WEIGHTS
    assert [most for *_, most in recorder.data] == [4, 0, 0, 0, 0]
    np.testing.assert_array_equal(model.predict(X), alone.predict(X))
    left = set(vars(model)) - set(vars(alone))
    assert left == {"_skl_callbacks"}


@NEW
@EACH
def test_fitted_estimators_predict_as_if_the_fit_had_ended_there(model, y):
    model = base.clone(model).set_callbacks(recorder := Recorder())
    model.fit(X, y)
    assert len(recorder.models) == 5
    for epochs, part in enumerate(recorder.models[:4], start=1):
        assert type(part) is type(model)
        assert part is not model
        before = copy.deepcopy(part).predict(X)
        np.testing.assert_array_equal(before, part.predict(X))
        if not hasattr(part, "coef_"):  # the last θ; linear fits keep the best
            short = base.clone(model).set_params(max_epochs=epochs).set_callbacks()
            np.testing.assert_array_equal(part.predict(X), short.fit(X, y).predict(X))
    np.testing.assert_array_equal(recorder.models[-1].predict(X), model.predict(X))
    assert recorder.models[0].score(X, y) <= recorder.models[3].score(X, y) <= 1
    assert recorder.models[0].n_features_in_ == 4


@NEW
@EACH
def test_true_stops(model, y):
    model = base.clone(model).set_callbacks(recorder := Recorder(at=1)).fit(X, y)
    assert model.n_iter_ == 2
    assert model.result_.status is gd.Status.CALLBACK
    assert recorder.said[-3:] == [("end", "epoch", 1), ("end", "fit", 0), ("teardown", "fit", 0)]


@NEW
@EACH
@pytest.mark.parametrize("where", [("begin", "fit"), ("end", "epoch"), ("end", "fit")])
def test_what_they_raise_passes_after_teardown_and_changes_nothing(model, y, where):
    model = base.clone(model).fit(X, y)
    model.set_callbacks(recorder := Recorder(fails=where))
    before = dict(vars(model))
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X[::-1] * 2, y)
    assert recorder.said[-1] == ("teardown", "fit", 0)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before)


@NEW
def test_a_setup_that_fails_is_torn_down_and_a_bad_parameter_comes_before():
    model = gd.LinearRegression(**BATCHES)
    model.set_callbacks(recorder := Recorder(fails=("setup", "fit")))
    with pytest.raises(RuntimeError, match="mine"):
        model.fit(X, Y)
    assert [word for word, *_ in recorder.said] == ["setup", "teardown"]
    model = gd.LinearRegression(alpha=-1).set_callbacks(recorder := Recorder())
    with pytest.raises(ValueError, match="alpha"):
        model.fit(X, Y)
    assert recorder.said == []


@NEW
def test_ctrl_c_closes_the_task_it_came_in():
    class Pressing:
        def on_step(self, moment):
            if moment.step == 4:
                raise KeyboardInterrupt

    model = gd.LinearRegression(callbacks=Pressing(), **BATCHES).set_callbacks(r := Recorder())
    model.fit(X, Y)
    assert model.result_.status is gd.Status.INTERRUPTED
    assert r.said[2:] == [
        ("begin", "epoch", 0), ("end", "epoch", 0), ("begin", "epoch", 1), ("end", "epoch", 1),
        ("end", "fit", 0), ("teardown", "fit", 0),
    ]  # fmt: skip


@NEW
def test_descents_of_one_fit_are_tasks_of_their_own():
    model = gd.LinearClassifier(**BATCHES).set_callbacks(recorder := Recorder()).fit(X, THREE)
    names = [(word, name) for word, name, _ in recorder.said]
    assert names.count(("begin", "descent")) == names.count(("end", "descent")) == 3
    assert names.count(("end", "epoch")) == 12
    assert recorder.models[:-1] == [None] * 15  # one class of three is no model
    np.testing.assert_array_equal(recorder.models[-1].predict(X), model.predict(X))
    net = gd.MLPRegressor(restarts=1, hidden_layer_sizes=(3,), **BATCHES)
    net.set_callbacks(recorder := Recorder()).fit(X, Y)
    assert [most for *_, most in recorder.data[:2]] == [2, 4]
    assert all(part.predict(X).shape == (90,) for part in recorder.models)


@NEW
def test_corners_stay_within_the_tasks_they_announced():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        for dtype in (np.float32, np.float64):
            for most in (1, 3, 500):
                model = gd.LinearClassifier(max_epochs=most).set_callbacks(r := Recorder())
                model.fit(X.astype(dtype), TWO)
                assert r.data[0][3] == most
                assert sum(each[:2] == ("end", "epoch") for each in r.said) == model.result_.nit


@NEW
def test_closed_forms_and_chunks_are_watched():
    model = gd.LinearRegression(optimizer="closed-form").set_callbacks(r := Recorder()).fit(X, Y)
    assert [word for word, *_ in r.said] == ["setup", "begin", "end", "teardown"]
    np.testing.assert_array_equal(r.models[0].predict(X), model.predict(X))
    chunks = [(X[:40], TWO[:40]), (X[40:], TWO[40:])]
    model = gd.LogisticRegression(**BATCHES).set_callbacks(r := Recorder()).fit(chunks)
    assert r.data[0][:2] == (None, None)  # chunks are no rows to be scored
    np.testing.assert_array_equal(r.models[-1].predict(X), model.predict(X))
    assert r.models[0].predict(X).dtype == TWO.dtype


@NEW
def test_a_stream_that_a_fit_follows_is_no_part_of_it():
    model = gd.LogisticRegression(**BATCHES).partial_fit(X, TWO, classes=np.unique(TWO))
    model.set_callbacks(recorder := Recorder()).fit(X, TWO)
    short = gd.LogisticRegression(**BATCHES | {"max_epochs": 4}).fit(X, TWO)
    np.testing.assert_array_equal(recorder.models[-1].coef_, short.coef_)
    assert recorder.models[0]._stream is None
    model.partial_fit(X, TWO)  # tells nothing
    assert recorder.said[-1] == ("teardown", "fit", 0)


@NEW
def test_clones_share_their_callbacks_and_none_take_them_away():
    model = gd.LogisticRegression().set_callbacks(recorder := Recorder())
    other = base.clone(model)
    assert other._skl_callbacks == [recorder]
    other.set_callbacks()
    assert not hasattr(other, "_skl_callbacks")
    assert model._skl_callbacks == [recorder]
    for wrong in (3, Recorder, gd.callbacks.TimeLimit(1)):
        with pytest.raises(TypeError, match="FitCallback protocol"):
            model.set_callbacks(wrong)


@NEW
def test_the_scoring_monitor_scores_each_epoch():
    monitor = theirs.ScoringMonitor(scoring="accuracy")
    model = gd.LogisticRegression(**BATCHES).set_callbacks(monitor).fit(X, THREE)
    log = monitor.get_logs()
    assert log.estimator_name == "LogisticRegression"
    by_task = {row["task_name"]: [] for row in log.data}
    for row in log.data:
        by_task[row["task_name"]].append(row["accuracy"])
    assert len(by_task["epoch"]) == 4
    assert by_task["fit"] == [model.score(X, THREE)]
    model = gd.MLPRegressor(**BATCHES, hidden_layer_sizes=(5,))
    monitor = theirs.ScoringMonitor(scoring="r2")
    model.set_callbacks(monitor).fit(X, Y)
    assert monitor.get_logs().data[-1]["r2"] == pytest.approx(model.score(X, Y))


@NEW
@pytest.mark.parametrize("jobs", [None, 2])
def test_a_search_hands_its_context_down(jobs):
    from joblib import parallel_config
    from sklearn.model_selection import GridSearchCV

    monitor = theirs.ScoringMonitor(scoring="accuracy")
    model = gd.LogisticRegression(**BATCHES).set_callbacks(monitor)
    with parallel_config("threading"):
        grid = GridSearchCV(model, {"alpha": [0.01, 0.1]}, cv=2, n_jobs=jobs).fit(X, TWO)
    (log,) = monitor.get_logs(select="all")
    assert log.estimator_name == "GridSearchCV"
    assert len(log.data) == (2 * 2 + 1) * 5  # fits and the refit, of four epochs
    assert grid.best_estimator_._skl_callbacks == [monitor]
    assert not hasattr(grid.best_estimator_, "_parent_callback_ctx")


@NEW
def test_a_search_hands_its_own_callbacks_down():
    from sklearn.model_selection import GridSearchCV

    grid = GridSearchCV(gd.LinearRegression(**BATCHES), {"alpha": [0.01, 0.1]}, cv=2)
    grid.set_callbacks(recorder := Propagated()).fit(X, Y)
    assert sum(each[:2] == ("end", "epoch") for each in recorder.said) == 5 * 4
    assert [each[0] for each in recorder.said].count("setup") == 1


@NEW
def test_a_pipeline_hands_its_callbacks_and_its_context_down():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = StandardScaler(), gd.LogisticRegression(**BATCHES)
    pipe = make_pipeline(*steps).set_callbacks(recorder := Propagated())
    pipe.fit(X, TWO)
    assert [name for word, name, _ in recorder.said if word == "setup"] == ["fit"]
    assert [each[1:] for each in recorder.said if each[0] == "end"][-6:-1] == [
        *(("epoch", t) for t in range(4)), ("fit", 1)
    ]  # fmt: skip
    assert not {"_parent_callback_ctx", "_skl_callbacks"} & set(vars(steps[1]))
    own = gd.LogisticRegression(**BATCHES).set_callbacks(light := Light())
    paths = []

    class Path(Light):
        def on_fit_task_end(self, estimator, context):
            paths.append((context.estimator_name, context.task_name, context.parent is not None))

    own.set_callbacks(light, Path())
    make_pipeline(StandardScaler(), own).fit(X, TWO)
    assert light.ends == 5
    assert paths[-1] == ("LogisticRegression", "fit", True)  # grown into the pipeline's tree
    assert "_parent_callback_ctx" not in vars(own)


@NEW
def test_a_pipeline_without_callbacks_is_as_before():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipe = make_pipeline(StandardScaler(), gd.MLPClassifier(**BATCHES, hidden_layer_sizes=(5,)))
    alone = gd.MLPClassifier(**BATCHES, hidden_layer_sizes=(5,))
    alone.fit(StandardScaler().fit_transform(X), THREE)
    np.testing.assert_array_equal(pipe.fit(X, THREE)[-1].theta_.vector, alone.theta_.vector)


@NEW
def test_their_progress_bar_shows_our_epochs(capsys):
    pytest.importorskip("rich")
    model = gd.LogisticRegression(**BATCHES).set_callbacks(theirs.ProgressBar())
    model.fit(X, TWO)
    assert "LogisticRegression - fit" in capsys.readouterr().out


def test_without_scikit_learn_or_with_an_old_one_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    message = r"set_callbacks takes scikit-learn's callbacks and needs its version 1.9"
    with pytest.raises(ImportError, match=message):
        gd.LinearRegression().set_callbacks()
    with pytest.raises(ImportError, match=message):
        gd.MLPClassifier().set_callbacks(Recorder())


def test_nothing_of_scikit_learn_is_imported_where_nobody_asks():
    import subprocess

    code = "import sys, gdcore as gd; gd.LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]); "
    code += "print([name for name in sys.modules if name.startswith('sklearn')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
