"""Fits that ended in an error go on from their checkpoint: every solver, rule and kind of fit."""

import os

import numpy as np
import pytest

import gdcore as gd
from gdcore.callbacks import Checkpoint, EarlyStopping, load_checkpoint
from tests.tally import count, times
from tests.trust.killing import COLUMNS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 5))
Y = X @ RNG.normal(size=5) + RNG.normal(size=150)
TWO, THREE = (Y > 0).astype(int), np.digitize(Y, [-1.0, 1.0])
for _array in (X, Y, TWO, THREE):
    _array.flags.writeable = False
pytestmark = pytest.mark.filterwarnings("ignore::gdcore.errors.ConvergenceWarning")


@pytest.fixture(autouse=True)
def _without_a_disk(monkeypatch):
    """What is asked here is what a file holds, not whether it is on the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class LightsOut(Exception):
    pass


def linear(y=Y, kind=gd.LinearRegression, **given):
    return lambda *keep: kind(callbacks=keep, **{"random_state": 0, **given}).fit(X, y)


def net(y=Y, kind=gd.MLPRegressor, **given):
    given = {"hidden_layer_sizes": (6,), "random_state": 0, "max_epochs": 12, **given}
    return lambda *keep: kind(callbacks=keep, **given).fit(X, y)


def patient(*keep):
    stop = EarlyStopping("cost", patience=3, min_delta=0.05)
    return gd.MLPRegressor(callbacks=[stop, *keep], max_epochs=60, random_state=0).fit(X, Y)


def chunked(*keep):
    rows = gd.chunks.shuffled(gd.chunks.arrays(X, TWO, rows=40), buffer=2, seed=1)
    given = {"batch_size": 16, "max_epochs": 9, "early_stopping": True, "tol": 0}
    return gd.LogisticRegression(callbacks=keep, random_state=0, **given).fit(rows)


LOGISTIC, SVM = {"y": TWO, "kind": gd.LogisticRegression}, {"kind": gd.LinearClassifier}
PLATEAU = gd.schedules.Plateau(0.5, patience=0, threshold=0.5)
FITS = {
    "adam on all rows": linear(optimizer="adam", max_epochs=30),
    "sgd on all rows": linear(optimizer="sgd", tol=0, max_epochs=12),
    "mini-batches at a rate found": linear(batch_size=16, max_epochs=12),
    "mini-batches at a rate given": linear(batch_size=16, optimizer=gd.optim.Nesterov(0.01), tol=0,
                                           max_epochs=9),
    "rows held out": linear(batch_size=16, optimizer="adam", early_stopping=3, max_epochs=30),
    "newton": linear(**LOGISTIC, optimizer="newton", tol=1e-14),
    "newton on three classes": linear(**LOGISTIC | {"y": THREE}, optimizer="newton", tol=1e-12),
    "l-bfgs": linear(**LOGISTIC, optimizer="lbfgs", tol=1e-10),
    "fista": linear(**LOGISTIC, optimizer="fista", l1_ratio=0.5, tol=1e-8),
    "saga": linear(**LOGISTIC, optimizer="saga", tol=1e-8),
    "svrg": linear(**LOGISTIC, optimizer="svrg", tol=1e-8),
    "normalised": linear(**LOGISTIC, optimizer="normalized-adaptive", max_epochs=20),
    "an interior point": linear(TWO, **SVM),
    "rounded corners": linear(TWO, **SVM, l1_ratio=0.3, tol=0.1, max_epochs=8),
    "one class after another": linear(THREE, **SVM, batch_size=20, max_epochs=6),
    "chunks": chunked,
    "a network with dropout": net(THREE, gd.MLPClassifier, dropout=0.2),
    "batch norm": net(normalization="batch"),
    "batch norm on all rows": net(normalization="batch", batch_size="full", dropout=0.1),
    "a network by l-bfgs": net(optimizer="lbfgs", max_epochs=25),
    "held-out patience": net(early_stopping=3, learning_rate=0.05, max_epochs=60),
    "stagnation": net(learning_rate=0.05, tol=0.1, patience=3, max_epochs=60),
    "restarts": net(restarts=2, dropout=0.1, max_epochs=6),
    "muon": net(optimizer="muon"),
    "schedule-free": net(optimizer="schedulefreeadamw"),
    "clipped": net(optimizer="adagrad", clip_norm=0.1),
    "a schedule that watches": net(optimizer="sgd", learning_rate=PLATEAU),
    "a callback that waits": patient,
}  # fmt: skip


def bits(model):
    trace, result = model.trace_, model.result_
    theta = model.theta_.vector if hasattr(model, "theta_") else model.coef_
    layers = trace.layers.table().tobytes() if trace.layers is not None else b""
    told = result.nit, result.nfev, result.status, result.message.partition("seconds")[0]
    return theta.tobytes(), layers, result.fun, result.jac.tobytes(), told, result.bound, [
        getattr(trace, name).tobytes() for name in COLUMNS
    ]  # fmt: skip


def failing(at):
    """A callback that raises at that measurement of a fit, counted from 1; a list counts them."""
    seen = []

    def fail(moment):
        seen.append(moment.step)
        if len(seen) == at:
            raise LightsOut

    return fail, seen


@pytest.mark.parametrize("name", FITS)
def test_resumed_equals_uninterrupted(tmp_path, name):
    fit, before = FITS[name], [each.tobytes() for each in (X, Y, TWO, THREE)]
    listen, seen = failing(0)
    whole = bits(fit(listen))
    total = len(seen)
    some = np.random.default_rng(list(name.encode())).permutation(np.arange(3, total + 1))
    for at in some[: times(1, total)].tolist():
        path = tmp_path / f"{at}.npz"
        with pytest.raises(LightsOut):
            fit(failing(at)[0], Checkpoint(path, resume=True))
        listen, seen = failing(0)
        assert bits(fit(listen, Checkpoint(path, resume=True))) == whole
        assert len(seen) < total
        count("faults survived: a fit that ended in an error went on to the same bits")
    finished = bits(fit(Checkpoint(path, resume=True)))  # once more, of a fit that is over
    assert finished == whole
    assert before == [each.tobytes() for each in (X, Y, TWO, THREE)]


def test_minimize_and_restarts_go_on(tmp_path):
    def hills(x):
        return float((x**4 - 3 * x**2 + x).sum()), 4 * x**3 - 6 * x + 1

    for method in ("auto", "adam", "adgd"):
        given = {"restarts": 1, "random_state": 0, "method": method, "max_iter": 15}
        listen, seen = failing(0)
        whole = gd.minimize(hills, np.ones(3), callbacks=listen, **given)
        for at in times((len(seen) // 2 + 2,), range(3, len(seen))):
            keep = Checkpoint(tmp_path / f"{method}{at}", resume=True)
            with pytest.raises(LightsOut):
                gd.minimize(hills, np.ones(3), callbacks=[failing(at)[0], keep], **given)
            again = gd.minimize(hills, np.ones(3), callbacks=keep, **given)
            assert again.x.tobytes() == whole.x.tobytes()
            assert (again.nfev, again.njev, again.message) == (
                whole.nfev,
                whole.njev,
                whole.message,
            )


NOISE = {
    "rng": lambda: {"rng": 3}, "batches": lambda: {"batches": np.split(np.arange(12.0), 4)},
    "epochs": lambda: {"batches": lambda epoch: [np.full(2, epoch), np.arange(2.0)]},
}  # fmt: skip


@pytest.mark.parametrize("kind", NOISE)
def test_functions_with_noise_go_on_with_the_next_draw(tmp_path, kind):
    def fun(x, draw):
        target = draw.normal(size=2) if kind == "rng" else draw.mean()
        return float(((x - target) ** 2).sum()), 2 * (x - target)

    def fit(*callbacks):
        return gd.minimize(fun, np.zeros(2), max_iter=9, callbacks=callbacks, **NOISE[kind]())

    whole = fit()
    for at in (3, 9):
        keep = Checkpoint(tmp_path / f"{at}", resume=True)
        with pytest.raises(LightsOut):
            fit(failing(at)[0], keep)
        again = fit(keep)
        assert again.x.tobytes() == whole.x.tobytes()
        assert (again.fun, again.nfev, again.message) == (whole.fun, whole.nfev, whole.message)
        count("faults survived: a fit that ended in an error went on to the same bits")


class Bowl:
    """A cost that has what every descent asks of one, and no more."""

    unit, leave = 1.0, staticmethod(lambda run: None)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __len__(self):
        return 1

    def value_and_gradient(self, theta, g):
        g[:] = theta - 3
        return float(g @ g) / 2

    def steepest(self, theta, g):
        return g

    def norm(self, theta, g):
        return float(np.linalg.norm(g))

    def prox(self, theta, reach):
        pass

    def baseline(self, theta, value):
        return np.inf

    def safe_rate(self, batch_size):
        return 1.0


def test_a_cost_of_others_needs_no_more_than_a_descent_asks(tmp_path):
    def fit(*callbacks):
        given = {"max_epochs": 9, "callbacks": callbacks}
        return gd.descend(Bowl(), np.zeros(2), gd.optim.Momentum(0.1), **given)

    keep = Checkpoint(tmp_path / "run.npz", resume=True)
    with pytest.raises(LightsOut):
        fit(failing(5)[0], keep)
    assert fit(keep).x.tobytes() == fit().x.tobytes()


def test_a_gpt_takes_the_callback_too(tmp_path):
    def fit(*callbacks):
        gpt = gd.GPT(n_layer=1, n_head=1, n_embd=8, block_size=8, dropout=0.1)
        return gpt.fit("to be or not " * 20, max_steps=12, eval_every=2, callbacks=callbacks)

    keep = Checkpoint(tmp_path / "gpt.npz", resume=True)
    with pytest.raises(LightsOut):
        fit(failing(5)[0], keep)
    assert fit(keep).theta_.vector.tobytes() == fit().theta_.vector.tobytes()


def test_a_fit_without_a_seed_goes_on_with_its_own_luck(tmp_path):
    for number, fit in enumerate(
        (
            net(random_state=None, early_stopping=20, dropout=0.1),
            linear(random_state=None, batch_size=16, early_stopping=9),
        )
    ):
        path = tmp_path / f"{number}.npz"
        with pytest.raises(LightsOut):
            fit(failing(6)[0], Checkpoint(path, resume=True))
        kept = path.read_bytes()
        first = bits(fit(Checkpoint(path, resume=True)))
        path.write_bytes(kept)
        assert bits(fit(Checkpoint(path, resume=True))) == first
        other = bits(fit(Checkpoint(tmp_path / f"other{number}", resume=True)))
        assert other != first  # luck of its own


OTHERS = {
    "alpha": linear(alpha=0.5, batch_size=16), "batch_size": linear(batch_size=32),
    "optimizer": linear(batch_size=16, optimizer="adam"), "tol": linear(batch_size=16, tol=1e-3),
    "random_state": linear(batch_size=16, random_state=1),
    "standardize": linear(batch_size=16, standardize=False),
    "rows": lambda *keep: gd.LinearRegression(
        callbacks=keep, batch_size=16, random_state=0).fit(X, Y + (np.arange(150) == 149)),
    "cost": net(),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_the_checkpoint_of_another_fit_is_refused_and_what_differs_is_named(tmp_path, name):
    path = tmp_path / "run.npz"
    with pytest.raises(LightsOut):
        linear(batch_size=16)(failing(4)[0], Checkpoint(path, resume=True))
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"run\.npz is of a run with another {name}: .*\. Pass"):
        OTHERS[name](Checkpoint(path, resume=True))
    assert path.read_bytes() == before
    count("checkpoints of another run refused")


def test_one_changed_number_of_x_is_another_run(tmp_path):
    keep = Checkpoint(tmp_path / "run.npz", resume=True)
    linear()(keep)
    other = X.copy()
    other[77, 3] = np.nextafter(other[77, 3], 9)
    with pytest.raises(ValueError, match="with another rows"):
        gd.LinearRegression(callbacks=keep, random_state=0).fit(other, Y)


def test_a_longer_budget_goes_on_as_if_it_had_been_that_long(tmp_path):
    keep = Checkpoint(tmp_path / "run.npz", resume=True)
    given = {"tol": 0, "dropout": 0.1}
    net(**given, max_epochs=5)(keep)
    assert bits(net(**given, max_epochs=11)(keep)) == bits(net(**given, max_epochs=11)())


def test_what_cannot_be_kept_is_said_before_the_first_step(tmp_path):
    class Watching:
        def __init__(self):
            self.seen = []

        def observe(self, cost):
            self.seen.append(cost)

        def __call__(self, t):
            return 1.0

    class Forgetful(gd.convergence.Rule):
        def __init__(self):
            self.seen = []

        def check(self, moment):
            self.seen.append(moment.cost)

    for given in ({"learning_rate": Watching(), "batch_size": 16}, {"tol": Forgetful()}):
        fit = linear(optimizer=gd.optim.SGD(0.01), max_epochs=3, **given)
        with pytest.raises(ValueError, match=r"cannot keep what .* remembers\. Give it state_dict"):
            fit(Checkpoint(tmp_path / "run.npz", resume=True))
        assert not (tmp_path / "run.npz").exists()
        fit(Checkpoint(tmp_path / "theta.npz"))  # θ can be kept
        assert load_checkpoint(tmp_path / "theta.npz")["epoch"] == 3


def test_files_with_nothing_to_go_on_from(tmp_path):
    path = tmp_path / "run.npz"
    linear(max_epochs=3)(Checkpoint(path))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "header"}
    np.savez(path, **arrays)  # as they were once written
    assert load_checkpoint(path)["theta"].shape == (6,)
    with pytest.raises(ValueError, match=r"holds θ and nothing to go on from\. Pass another path"):
        linear(max_epochs=3)(Checkpoint(path, resume=True))
    linear(max_epochs=3)(Checkpoint(path))  # which begins anew
    with pytest.raises(ValueError, match="resume must be True or False"):
        Checkpoint(path, resume="yes")
    (tmp_path / "text").write_text("mine")
    for resume in (True, False):
        with pytest.raises(ValueError, match=r"text is not a whole|text exists and is no"):
            linear()(Checkpoint(tmp_path / "text", resume=resume))
    assert (tmp_path / "text").read_text() == "mine"


def test_the_best_of_a_fit_that_went_on_is_the_best_of_all(tmp_path):
    fit = net(early_stopping=30, learning_rate=0.05, max_epochs=30, tol=0)
    fit(Checkpoint(tmp_path / "whole.npz", best=True))
    for at in (4, 12, 29):
        path = tmp_path / f"{at}.npz"
        with pytest.raises(LightsOut):
            fit(failing(at)[0], Checkpoint(path, best=True, resume=True))
        fit(Checkpoint(path, best=True, resume=True))
        best, whole = load_checkpoint(path), load_checkpoint(tmp_path / "whole.npz")
        assert best.pop("theta").tobytes() == whole.pop("theta").tobytes()
        assert best["validation"] == whole["validation"]
        assert best["epoch"] == whole["epoch"]
