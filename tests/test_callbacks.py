"""Callbacks that are there ready-made: what they do, what they refuse, and that no fit leaks."""

import copy
import io
import math
import os
import pickle
import subprocess
import sys
import types
import zipfile

import numpy as np
import pytest

import gdcore as gd
from gdcore.callbacks import (
    Callback,
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    MLflow,
    Progress,
    TimeLimit,
    load_checkpoint,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
Y = X @ [1.0, -1, 2, 0, 0.5] + RNG.normal(size=120)
THREE = np.digitize(Y, np.quantile(Y, [0.3, 0.7]))
SMALL = {"batch_size": 16, "random_state": 0, "tol": 0}


class Parabola(gd.cost.PlainCost):
    def value_and_gradient(self, theta, g):
        g[:] = theta - 3
        with np.errstate(over="ignore"):
            return float(g @ g) / 2


def descend(callbacks, rate=0.5, **settings):
    given = {"learning_rate": rate, "max_epochs": 20} | settings
    return gd.descend(Parabola(), np.zeros(2), gd.optim.SGD(), callbacks=callbacks, **given)


def fit(callbacks, **settings):
    given = SMALL | {"max_epochs": 9} | settings
    return gd.LinearRegression(callbacks=callbacks, **given).fit(X, Y)


READY = [
    EarlyStopping("cost", 3, 0.1),
    TimeLimit(5, every="step"),
    Checkpoint("a.npz", every=2, best=True),
    CSVLogger("a.csv", append=True),
    MLflow("lines", tags={"a": "b"}),
    Progress(),
]


@pytest.mark.parametrize("each", READY, ids=lambda each: type(each).__name__)
def test_each_is_a_callback_that_is_copied_without_its_state(each):
    assert isinstance(each, Callback)
    assert type(each).__name__ in gd.callbacks.__all__
    each._state = object()
    for again in (pickle.loads(pickle.dumps(each)), copy.deepcopy(each)):
        assert repr(again) == repr(each)
        assert not hasattr(again, "_state")
    assert type(each).__doc__.count(">>> ")


@pytest.mark.parametrize("each", READY, ids=lambda each: type(each).__name__)
def test_scikit_learn_clones_estimators_that_hold_one(each):
    base = pytest.importorskip("sklearn.base")
    model = gd.LinearRegression(callbacks=[each])
    (other,) = base.clone(model).callbacks
    assert other is not each
    assert repr(other) == repr(each)


def test_a_clone_of_a_running_logger_has_no_open_file(tmp_path):
    log = CSVLogger(tmp_path / "a.csv")
    clones = []
    fit([log, lambda moment: clones.append(pickle.loads(pickle.dumps(log)))])
    assert clones[3]._file is None
    assert log._file is None


BAD = {
    "monitor": (lambda: EarlyStopping("loss"), "monitor='loss' is not known"),
    "patience": (lambda: EarlyStopping(patience=0), "patience must be a whole number of at least"),
    "delta": (lambda: EarlyStopping(min_delta=-1), "min_delta must be a number of at least 0"),
    "seconds": (lambda: TimeLimit(0), "seconds must be a number above 0"),
    "when": (lambda: TimeLimit(1, every="batch"), "every='batch' is not known"),
    "path": (lambda: Checkpoint(3), "path must be the path of a file, got 3"),
    "no path": (lambda: CSVLogger(""), "path must be the path of a file, got ''"),
    "every": (lambda: Checkpoint("a", every=0.5), "every must be a whole number, got 0.5"),
    "best": (lambda: Checkpoint("a", best=1), "best must be True or False, got 1"),
    "append": (lambda: CSVLogger("a", append="a"), "append must be True or False, got 'a'"),
    "both": (lambda: CSVLogger("a", append=True, overwrite=True), "append keeps what a file holds"),
    "experiment": (lambda: MLflow(3), "experiment must be a text or None, got 3"),
    "tags": (lambda: MLflow(tags=["a"]), "tags must be a dict, got"),
    "mlflow's every": (lambda: MLflow(every=0), "every must be a whole number of at least 1"),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_bad_arguments_are_named(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()


class Course:
    """A descent of given numbers, told to a callback."""

    def __init__(self, validates=True, run=0):
        from gdcore.hooks import Plan

        self.plan = Plan(None, 2, 10, 10, 100, math.inf, validates=validates, run=run)

    def epochs(self, callback, **columns):
        """How many epochs it goes on for."""
        from gdcore.convergence import Moment

        callback.on_begin(self.plan)
        length = len(next(iter(columns.values())))
        for t in range(length):
            given = {name: values[t] for name, values in columns.items()}
            cost = given.pop("cost", 1.0)
            moment = Moment(t + 1, t + 1, cost, 0, 0, 0, 0, 0, 0, theta=np.zeros(2), **given)
            if callback.on_epoch(moment):
                return t + 1
        return length


def test_early_stopping_counts_from_the_best():
    losses = [5, 4, 4, 3, 3, 3, 3, 2]
    assert Course().epochs(EarlyStopping(patience=3), validation=losses) == 7
    assert Course().epochs(EarlyStopping(patience=4), validation=losses) == 8
    assert Course().epochs(EarlyStopping(patience=2), validation=losses) == 6
    assert Course().epochs(EarlyStopping("cost", patience=1), cost=losses) == 3
    slow = [5, 4.5, 4.2, 4.1, 4.05, 3]
    assert Course().epochs(EarlyStopping(patience=2, min_delta=0.4), validation=slow) == 4
    scores = [0.5, 0.6, 0.6, 0.55, 0.9]
    given = {"validation": [1] * 5, "score": scores}
    assert Course().epochs(EarlyStopping("score", patience=2), **given) == 4
    assert Course().epochs(EarlyStopping("cost", patience=2), cost=[1, math.nan, math.nan, 0]) == 3


def test_early_stopping_forgets_the_fit_before():
    stop = EarlyStopping(patience=2)
    assert Course().epochs(stop, validation=[1, 2, 2]) == 3
    assert Course().epochs(stop, validation=[9, 8, 7, 6]) == 4


def test_early_stopping_refuses_what_it_cannot_watch():
    model = gd.LinearRegression(callbacks=EarlyStopping(), **SMALL)
    with pytest.raises(ValueError, match="watches the validation on rows held out, and none are"):
        model.fit(X, Y)
    assert not hasattr(model, "coef_")
    with pytest.raises(ValueError, match="the score on rows held out, and none are"):
        gd.MLPClassifier(callbacks=EarlyStopping("score")).fit(X, THREE)
    with pytest.raises(ValueError, match="this loss has none"):
        descend(EarlyStopping("score"), validate=lambda theta: 1.0, patience=None)


def test_early_stopping_on_estimators():
    model = fit(EarlyStopping("cost", patience=2, min_delta=0.01), max_epochs=500)
    assert model.result_.status is gd.Status.CALLBACK
    cost = model.trace_.cost[1:]
    assert cost[-3] - cost[-2:].min() <= 0.01
    held = fit(EarlyStopping("score", patience=2), max_epochs=500, early_stopping=400)
    best = np.argmax(held.trace_.score[1:])
    assert held.n_iter_ == best + 1 + 2


def test_a_limit_of_time_ends_all_restarts_together():
    limit = TimeLimit(0.2)
    given = {"tol": 0, "max_epochs": 10**6, "restarts": 3, "random_state": 0}
    model = gd.MLPRegressor(hidden_layer_sizes=(4,), callbacks=limit, **given).fit(X, Y)
    assert all(status is gd.Status.CALLBACK for status in model.result_.restarts["status"])
    assert model.trace_.seconds[-1] < 2
    assert "stopped after" in model.result_.message


def test_a_limit_of_time_by_step_ends_an_epoch_in_its_midst():
    class Slow:
        def on_step(self, moment):
            import time

            time.sleep(0.02)

    coarse, fine = fit([TimeLimit(0.05), Slow()]), fit([TimeLimit(0.05, every="step"), Slow()])
    assert coarse.result_.nit % 8 == 0
    assert fine.result_.nit in (2, 3, 4)
    assert "in epoch 1" in fine.result_.message
    again = fine.fit(X, Y)  # the clock begins anew
    assert again.result_.nit in (2, 3, 4)


def test_checkpoints_come_when_due_and_the_end_is_the_result(tmp_path):
    path, seen = tmp_path / "run.npz", []

    def look(moment):
        if path.exists():
            seen.append((moment.epoch, load_checkpoint(path)["epoch"]))

    result = descend([Checkpoint(path, every=4), look], max_epochs=10)
    assert seen == [(e, e - e % 4 if e % 4 else e - 4) for e in range(5, 11)]
    saved = load_checkpoint(path)
    np.testing.assert_array_equal(saved["theta"], result.x)
    assert (saved["epoch"], saved["step"], saved["cost"]) == (10, 10, result.fun)
    assert saved["learning_rate"] == 0.5
    assert math.isnan(saved["validation"])
    assert type(saved["step"]) is int
    assert os.listdir(tmp_path) == ["run.npz"]


def test_a_descent_goes_on_from_a_checkpoint(tmp_path):
    path = tmp_path / "run.npz"
    whole = descend(None, max_epochs=12)
    descend(Checkpoint(path), max_epochs=5)
    saved = load_checkpoint(path)
    given = {"learning_rate": 0.5, "max_epochs": 7}
    rest = gd.descend(Parabola(), saved["theta"], gd.optim.SGD(), **given)
    np.testing.assert_array_equal(rest.x, whole.x)


def test_the_best_is_kept(tmp_path):
    path = tmp_path / "best.npz"
    keep = Checkpoint(path, best=True)
    Course(validates=False).epochs(keep, cost=[4, 2, 3, 1.5, 9])
    assert load_checkpoint(path)["epoch"] == 4
    Course().epochs(keep, cost=[4, 2, 3, 1, 9], validation=[3, 2, 9, 9, 9])
    assert load_checkpoint(path)["epoch"] == 2
    Course(run=1).epochs(keep, validation=[5, 5, 1.0])  # a restart of the same fit
    assert load_checkpoint(path)["epoch"] == 3
    Course(run=2).epochs(keep, validation=[5, 5, 5, 5])
    assert load_checkpoint(path)["epoch"] == 3
    model = gd.MLPRegressor(
        callbacks=keep, restarts=1, early_stopping=30, max_epochs=30, random_state=0, tol=0
    ).fit(X, Y)
    assert load_checkpoint(path)["validation"] == np.nanmin(model.trace_.validation)
    np.testing.assert_array_equal(load_checkpoint(path)["theta"], model.theta_.vector)


def test_what_is_not_finite_is_not_written(tmp_path):
    path = tmp_path / "run.npz"
    result = descend(Checkpoint(path), rate=1e200)
    assert result.status is gd.Status.DIVERGED
    assert not path.exists() or np.isfinite(load_checkpoint(path)["theta"]).all()


def test_a_checkpoint_of_ctrl_c_is_what_is_returned(tmp_path):
    def press(moment):
        if moment.epoch == 3:
            raise KeyboardInterrupt

    result = descend([Checkpoint(tmp_path / "a.npz", every=100), press])
    np.testing.assert_array_equal(load_checkpoint(tmp_path / "a.npz")["theta"], result.x)


@pytest.mark.parametrize("kind", [Checkpoint, CSVLogger])
def test_folders_are_looked_at_before_any_work(tmp_path, kind):
    steps = []
    for path, message in ((tmp_path / "no" / "a", "is no folder"), (tmp_path, "is a folder")):
        with pytest.raises(ValueError, match=message):
            fit([kind(path), lambda moment: steps.append(1)])
    assert not steps


def test_files_that_are_no_checkpoint_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    with pytest.raises(FileNotFoundError, match=r"does not exist\. Pass the path of a checkpoint"):
        load_checkpoint(path)
    descend(Checkpoint(path))
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match="is not a whole checkpoint"):
            load_checkpoint(path)
    for at in range(0, len(whole), 97):  # damage is told or harmless, never anything else
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        try:
            assert np.isfinite(load_checkpoint(path)["theta"]).all()
        except ValueError as error:
            assert "is not a whole checkpoint" in str(error)  # noqa: PT017
    arrays = dict(np.load(io.BytesIO(whole)))
    for change in (
        {"theta": np.array([None, 1], dtype=object)},
        {"theta": np.array([np.nan])},
        {"theta": np.zeros((2, 2))},
        {"step": np.array(1.5)},
        {"cost": np.array("a")},
    ):
        np.savez(path, **arrays | change)
        with pytest.raises(ValueError, match="is not a whole checkpoint"):
            load_checkpoint(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("theta.npy", bytes(1 << 20))
    monkeypatch.setattr("gdcore.disk.LARGEST", 1 << 19)
    with pytest.raises(ValueError, match="larger than any model"):
        load_checkpoint(path)
    monkeypatch.undo()
    gd.save(fit(None), path)
    with pytest.raises(ValueError, match="it lacks 'theta'"):
        load_checkpoint(path)


def rows_of(path):
    lines = path.read_text().splitlines()
    return lines[0], [line.split(",") for line in lines[1:]]


def test_a_log_has_a_row_for_each_measurement(tmp_path):
    model = fit(CSVLogger(tmp_path / "a.csv"), early_stopping=50)
    head, rows = rows_of(tmp_path / "a.csv")
    names = head.split(",")
    assert names[:4] == ["run", "step", "epoch", "cost"]
    assert len(rows) == len(model.trace_) == 10
    for name in names[1:]:
        column = [float(row[names.index(name)]) for row in rows]
        np.testing.assert_array_equal(column, getattr(model.trace_, name))


def test_what_was_not_measured_is_empty(tmp_path):
    fit(CSVLogger(tmp_path / "a.csv"), learning_rate=0.01)
    head, rows = rows_of(tmp_path / "a.csv")
    assert rows[-1][head.split(",").index("gradient_norm")] == ""
    assert rows[-1][head.split(",").index("score")] == ""


def test_a_log_overwrites_nothing_unasked(tmp_path):
    path = tmp_path / "a.csv"
    fit(CSVLogger(path))
    before = path.read_text()
    model = gd.LinearRegression(callbacks=CSVLogger(path))
    with pytest.raises(ValueError, match=r"exists. Pass append=True or overwrite=True"):
        model.fit(X, Y)
    assert path.read_text() == before
    assert not hasattr(model, "coef_")
    fit(CSVLogger(path, append=True), max_epochs=2)
    assert path.read_text().startswith(before)
    assert len(rows_of(path)[1]) == 10 + 3
    fit(CSVLogger(path, overwrite=True), max_epochs=2)
    assert len(rows_of(path)[1]) == 3
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="has other columns"):
        fit(CSVLogger(path, append=True))
    path.write_text("")
    fit(CSVLogger(path))  # an empty file holds nothing
    assert len(rows_of(path)[1]) == 10


def test_restarts_go_on_in_the_same_file(tmp_path):
    path = tmp_path / "a.csv"
    given = {"restarts": 2, "max_epochs": 3, "tol": 0, "random_state": 0}
    gd.MLPRegressor(callbacks=CSVLogger(path), **given).fit(X, Y)
    _, rows = rows_of(path)
    assert [row[0] for row in rows] == ["0"] * 4 + ["1"] * 4 + ["2"] * 4


def test_a_log_is_closed_whatever_happens(tmp_path):
    def fail(moment):
        if moment.epoch == 2:
            raise RuntimeError("mine")

    log = CSVLogger(tmp_path / "a.csv")
    with pytest.raises(RuntimeError, match="mine"):
        fit([log, fail])
    assert log._file is None
    assert len(rows_of(tmp_path / "a.csv")[1]) == 3


def test_a_run_that_is_killed_leaves_whole_lines(tmp_path):
    path = tmp_path / "a.csv"
    code = f"""if True:
        import os, signal, numpy as np, gdcore as gd
        def kill(moment):
            if moment.epoch == 5:
                os.kill(os.getpid(), signal.SIGKILL)
        X = np.arange(60.0).reshape(30, 2) % 7
        log, keep = gd.callbacks.CSVLogger({str(path)!r}), gd.callbacks.Checkpoint({str(path)!r}"z")
        gd.MLPRegressor(callbacks=[log, keep, kill], max_epochs=50, random_state=0).fit(X, X[:, 0])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    text = path.read_text()
    assert text.endswith("\n")
    assert [line.count(",") for line in text.splitlines()] == [9] * 7
    assert load_checkpoint(f"{path}z")["epoch"] in (4, 5)


class Stand(types.ModuleType):
    """A stand-in for mlflow: what was asked of it, and a stack of runs."""

    def __init__(self):
        super().__init__("mlflow")
        self.stack, self.asked = [], []

    def active_run(self):
        return self.stack[-1] if self.stack else None

    def start_run(self, run_name=None, nested=False):
        assert nested or not self.stack, "Run is already active"
        self.stack.append({"name": run_name, "metrics": [], "params": {}, "tags": {}})
        self.asked.append(self.stack[-1])

    def end_run(self, status="FINISHED"):
        self.stack.pop()["status"] = status

    def set_experiment(self, name):
        self.experiment = name

    def log_params(self, params):
        own = self.stack[-1]["params"]
        assert all(own.get(key, value) == value for key, value in params.items())
        own |= params

    def log_metrics(self, metrics, step=None):
        assert all(math.isfinite(value) for value in metrics.values())
        self.stack[-1]["metrics"].append((step, metrics))

    def set_tags(self, tags):
        self.stack[-1]["tags"] |= tags


@pytest.fixture
def mlflow(monkeypatch):
    module = Stand()
    monkeypatch.setitem(sys.modules, "mlflow", module)
    return module


def test_mlflow_has_a_run_of_its_own(mlflow):
    model = fit(MLflow("lines", run_name="one", tags={"a": "b"}, every=3), early_stopping=50)
    (run,) = mlflow.asked
    assert not mlflow.stack
    assert (mlflow.experiment, run["name"], run["status"]) == ("lines", "one", "FINISHED")
    assert run["params"]["optimizer"] == "SGD"
    assert run["params"]["optimizer.lr"] == gd.optim.SGD().lr
    assert (run["params"]["examples"], run["params"]["batch_size"]) == (108, 16)
    assert run["tags"]["a"] == "b"
    assert run["tags"]["gdcore.status"] == "EPOCHS"
    assert "budget of epochs" in run["tags"]["gdcore.message"]
    steps = model.trace_.step[[3, 6, 9]].astype(int).tolist()
    assert [step for step, _ in run["metrics"][:-1]] == steps
    assert set(run["metrics"][0][1]) == {
        "cost", "gradient_norm", "learning_rate", "validation", "score"
    }  # fmt: skip
    assert run["metrics"][1][1]["cost"] == model.trace_.cost[6]
    assert run["metrics"][-1] == (model.result_.nit, {"final_cost": model.result_.fun})


def test_mlflow_uses_the_run_that_is_active(mlflow):
    mlflow.start_run("mine")
    fit(MLflow("other", run_name="unused"))
    assert len(mlflow.stack) == len(mlflow.asked) == 1
    assert "status" not in mlflow.stack[0]
    assert not hasattr(mlflow, "experiment")
    assert mlflow.stack[0]["tags"]["gdcore.status"] == "EPOCHS"
    gd.MLPRegressor(callbacks=MLflow(), restarts=1, max_epochs=2, tol=0)  # of the same run
    mlflow.stack[0]["params"].clear()
    gd.MLPRegressor(callbacks=MLflow(), restarts=1, max_epochs=2, tol=0).fit(X, Y)
    assert len(mlflow.stack) == 1
    assert [run.get("status") for run in mlflow.asked] == [None, "FINISHED"]


def test_mlflow_is_told_how_it_ended(mlflow):
    def press(moment):
        raise KeyboardInterrupt

    def fail(moment):
        raise RuntimeError("mine")

    fit([MLflow(), press])
    descend(MLflow(), rate=1e200)
    with pytest.raises(RuntimeError, match="mine"):
        fit([MLflow(), fail])
    gd.LinearRegression(optimizer="closed-form", callbacks=MLflow()).fit(X, Y)
    assert [run["status"] for run in mlflow.asked] == ["KILLED", "FAILED", "FAILED", "FINISHED"]
    assert mlflow.asked[-1]["params"]["optimizer"] == "closed-form"
    assert not mlflow.stack


def test_mlflow_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    model = gd.LinearRegression(callbacks=MLflow())
    with pytest.raises(
        ImportError, match=r"needs mlflow. Install it: pip install gdcore\[mlflow\]"
    ):
        model.fit(X, Y)
    assert not hasattr(model, "coef_")


def test_who_asked_to_stop_is_named():
    X, y = np.eye(20), np.arange(20.0)
    late = gd.callbacks.TimeLimit(1e-9)
    model = gd.LinearRegression(optimizer="sgd", batch_size="full", callbacks=late).fit(X, y)
    assert model.result_.message.startswith("TimeLimit stopped after epoch ")
    model = gd.LinearRegression(optimizer="sgd", batch_size="full", callbacks=lambda moment: True)
    assert model.fit(X, y).result_.message.startswith("stopped after epoch 0. A callback asked")
