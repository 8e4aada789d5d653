"""What a tester found who tried sequences and odd arguments, and what is refused or right since."""

import copy
import os
import signal
import threading

import numpy as np
import pytest

import gdcore as gd
from gdcore import cli

X = np.random.default_rng(0).normal(size=(60, 3))
Y, R = np.arange(60) % 2, X @ [1.0, 2.0, 3.0]
DATES = np.array(["2020-01-01", "2020-01-02", "NaT", "2020-01-04"], "M8[D]")
HUGE = 10**400
SMALL = {"n_layer": 1, "n_head": 1, "n_embd": 8, "block_size": 4}
CLASSIFIERS = [gd.LogisticRegression, gd.LinearClassifier, gd.MLPClassifier]


def refused(match, call):
    with pytest.raises((ValueError, TypeError), match=match) as caught:
        call()
    assert type(caught.value) in (ValueError, TypeError)


def bowl(x):
    return float(x @ x), 2 * x


def gpt():
    return gd.GPT(**SMALL).fit("abc" * 30, max_steps=1, batch_size=1)


def test_dates_are_no_numbers():
    four = [1.0, 2.0, 3.0, 4.0]
    for dates in (DATES, DATES[[0, 1, 3, 0]], DATES - DATES[0]):
        refused(
            "X holds dates or durations",
            lambda d=dates: gd.LinearRegression().fit(d[:, None], four),
        )
        refused("y holds dates or durations",
                lambda d=dates: gd.LinearRegression().fit(np.eye(4), d))  # fmt: skip
        refused("y holds dates", lambda d=dates: gd.LinearRegression().fit([(np.eye(4), d)]))
    model = gd.LinearRegression().learn_one(np.zeros(2), 1.0).learn_one(np.ones(2), 1.0)
    before = model.coef_.copy()
    for odd in (np.timedelta64("NaT", "s"), np.ma.masked, HUGE, "a", None, 1j):
        with pytest.raises((ValueError, TypeError)):
            model.learn_one(np.ones(2), odd)
        np.testing.assert_array_equal(model.coef_, before)
    for plain in (2, 2.0, np.float32(2), np.int16(2), np.uint64(2), True):
        copy.deepcopy(model).learn_one(np.ones(2), plain)


def test_numbers_beyond_double_are_named():
    model = gd.LinearRegression().fit(X, R)
    for name, call in {
        "X": lambda: gd.LinearRegression().fit([[HUGE], [1]], [1, 2.0]),
        "y": lambda: gd.LinearRegression().fit([[1], [2]], [1, HUGE]),
        "sample_weight": lambda: gd.LinearRegression().fit([[1], [2]], [1, 2], [1, HUGE]),
        "CSR": lambda: gd.CSR([HUGE], [0], [0, 1], (1, 2)),
    }.items():
        refused(f"{name} has a number beyond 1.8e308", call)
    refused("X has a number beyond", lambda: model.predict([[1, 2, HUGE]]))
    refused("bounds must hold numbers", lambda: gd.minimize(bowl, [1.0], bounds=[(0, HUGE)]))
    refused("alpha must be", lambda: gd.LinearRegression(alpha=10**5000).fit(X, R))  # has no repr


@pytest.mark.parametrize("kind", [gd.LogisticRegression, gd.LinearClassifier])
def test_a_stream_of_one_class_is_saved_and_goes_on(kind, tmp_path):
    model, path = kind().learn_one([1.0, 2.0], "a"), tmp_path / "one.npz"
    gd.save(model, path)
    other = gd.load(path)
    assert other.predict([[5.0, -1.0]]).tolist() == ["a"]
    np.testing.assert_array_equal(
        other.decision_function(X[:, :2]), model.decision_function(X[:, :2])
    )
    assert other.learn_one([2.0, 1.0], "b").classes_.tolist() == ["a", "b"]


def test_what_load_would_refuse_is_not_saved(tmp_path):
    path, model = tmp_path / "model", gpt()
    for odd in (-1, 1.5, "x", [1], np.random.default_rng(0)):
        model.random_state = odd
        refused("random_state must be", lambda: model.save(path))
    line = gd.LinearRegression().fit(X, R)
    line.coef_[0] = np.nan
    refused("coef holds NaN or infinity", lambda: gd.save(line, path))
    assert not path.exists()


def test_ctrl_c_in_the_first_pass_of_a_network_leaves_none():
    rows = np.random.default_rng(0).normal(size=(200_000, 20))
    labels = (rows[:, 0] > 0).astype(int)
    model = gd.MLPClassifier(random_state=0, batch_size=16)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(rows, labels)
    timer.join()
    assert not model.__sklearn_is_fitted__()
    fresh = gd.MLPClassifier(random_state=0, batch_size=16).partial_fit(rows[:90], labels[:90])
    np.testing.assert_array_equal(
        model.partial_fit(rows[:90], labels[:90]).theta_.vector, fresh.theta_.vector
    )


class Failing:
    """A schedule that raises once."""

    at = -1

    def __call__(self, step):
        if step == Failing.at:
            Failing.at = -1
            raise RuntimeError("mine")
        return 1.0


def test_a_pass_of_a_network_that_fails_changes_nothing():
    how = {"random_state": 0, "batch_size": 8, "dropout": 0.2, "standardize": False}
    one, other = (gd.MLPRegressor(**how, learning_rate=Failing()).partial_fit(X, R) for _ in "ab")
    refused("those before are kept", lambda: one.partial_fit(X * 1e30, R))
    Failing.at = 12
    with pytest.raises(RuntimeError, match="mine"):
        one.partial_fit(X, R)
    for model in (one, other):
        model.partial_fit(X, R)
    np.testing.assert_array_equal(one.theta_.vector, other.theta_.vector)
    assert len(one.trace_) == len(other.trace_) == 2


def test_rows_held_out_are_those_of_the_model():
    pd = pytest.importorskip("pandas")
    many = np.c_[R, 2 * R, 3 * R]

    def net():
        return gd.MLPRegressor(max_epochs=1, hidden_layer_sizes=(4,), tol=0)

    refused("validation y has 1 columns, and the model predicts 3",
            lambda: net().fit(X, many, validation=(X, R)))  # fmt: skip
    refused("validation y has 3 columns", lambda: net().fit(X, R, validation=(X, many)))
    refused("y has 3 columns, and the model predicts 2",
            lambda: net().partial_fit(X, many[:, :2]).partial_fit(X, many))  # fmt: skip
    refused("validation y has 5", lambda: net().fit(X, R, validation=(X, R[:5])))
    frame = pd.DataFrame(X, columns=list("abc"))
    refused("validation X has other feature names",
            lambda: net().fit(frame, R, validation=(frame[list("cba")], R)))  # fmt: skip
    refused("validation y holds .5, 6.*Leave those rows out",
            lambda: gd.MLPClassifier().fit(X, Y, validation=(X, Y + 5)))  # fmt: skip


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_far_from_the_minimum_nothing_is_proven_and_nothing_raised():
    rows, labels = np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 3
    model = gd.LogisticRegression(warm_start=True).fit(rows, labels)
    model.fit(rows * 1e4, labels[::-1].copy())
    fresh = gd.LogisticRegression().fit(rows * 1e4, labels[::-1].copy())
    assert model.result_.success
    assert model.result_.fun == pytest.approx(fresh.result_.fun, rel=1e-4)
    gd.LinearRegression(loss="gamma").fit(X, np.abs(R) * 1e-320 + 5e-324)
    wide = X / np.abs(X).max() * 1.7e308
    for kind in (gd.LinearRegression, gd.LogisticRegression):
        refused("second derivatives leave the range",
                lambda k=kind: k(standardize=False).fit(wide, Y))  # fmt: skip
    assert "found" in str(gd.doctor(gd.LogisticRegression().fit(X, Y), X * 1e300))


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_weights_of_classes_are_weights(kind):
    for learn in ("fit", "partial_fit"):
        for odd in ("a", np.nan, 1j, [1, 2], HUGE, -1.0):
            refused("class_weight of 0 must be a number",
                    lambda v=odd, m=learn: getattr(kind(class_weight={0: v}), m)(X, Y))  # fmt: skip
    refused("fewer than two classes", lambda: kind(class_weight={0: 0, 1: 0}).fit(X, Y))
    refused("fewer than two classes", lambda: kind(class_weight={0: 0}).fit(X, Y))
    if kind is not gd.MLPClassifier:
        refused("least two classes", lambda: kind(class_weight={0: 0}).fit([(X, Y)]))
        refused("class_weight of 0 must be", lambda: kind(class_weight={0: "a"}).fit([(X, Y)]))


@pytest.mark.parametrize("kind", [*CLASSIFIERS, gd.LinearRegression, gd.MLPRegressor])
def test_arguments_that_are_no_scalars(kind):
    many = np.array([0.1, 1.0])
    names = ("alpha", "max_time", "tol", "max_epochs", "batch_size", "verbose", "progress",
             "warm_start", "standardize", "learning_rate", "early_stopping")  # fmt: skip
    for name in names:
        for odd in (many, np.ma.masked, np.timedelta64(1, "s")):
            refused(f"{name} must be", lambda n=name, v=odd: kind(**{n: v}).fit(X, Y))
    for odd in (None, "60", 0, -1, np.nan):
        refused("max_time must be", lambda v=odd: kind(max_time=v).fit(X, Y))


def test_other_arguments_that_are_no_scalars():
    many = np.array([0.1, 1.0])
    for name in ("activation", "normalization", "dtype"):
        refused(f"{name}=.* is not known", lambda n=name: gd.MLPClassifier(**{n: many}).fit(X, Y))
    for name in ("resume", "progress", "max_time"):
        refused(f"{name} must be", lambda n=name: gd.GPT(**SMALL).fit("abc" * 30, **{n: many}))
    for name in ("tied", "bias", "recompute"):
        refused(f"{name} must be", lambda n=name: gd.GPT(**SMALL | {n: many}).fit("abc" * 30))
    model = gpt()
    for name in ("stream", "cache"):
        refused(f"{name} must be", lambda n=name: model.generate("ab", 3, **{n: many}))
    refused("max_time must be", lambda: gd.minimize(bowl, [1.0], max_time=many))
    refused("sign must be", lambda: gd.hash_features([{"a": 1}], sign=many))
    refused("path must be", lambda: gd.GPT(**SMALL).fit("abc" * 30, max_steps=1, checkpoint=5))
    refused("shape must be", lambda: gd.layers.Reshape(None))
    refused("vector must be an array", lambda: gd.Parameters({"a": (2,)}, [1, 2]))
    refused("A side of 'a' must be", lambda: gd.Parameters({"a": (-1,)}))
    bound = gd.optim.Adam(0.1).bind(np.ones(2), schedule=lambda t: "a")
    refused("schedule must give factors", lambda: bound.step(np.ones(2)))
    refused("state must be a mapping", lambda: bound.load_state_dict(None))
    refused("bounds must hold numbers", lambda: gd.minimize(bowl, [1.0], bounds=[(1j, 2)]))
    optimize = pytest.importorskip("scipy.optimize")
    box = optimize.Bounds([0] * 3, [1] * 3)
    refused("hold 2 numbers a side", lambda: gd.minimize(bowl, [1.0, 2.0], bounds=box))
    assert gd.find_learning_rate(bowl, [1.0, 2.0], low=1e-300, high=1e300).learning_rate > 0


def test_a_moment_is_only_to_be_read():
    for model in (gd.LinearClassifier(), gd.LogisticRegression(), gd.MLPClassifier(max_epochs=2)):
        heard = []

        def write(moment, heard=heard):
            heard.append(moment)
            moment.theta.fill(1e6)

        model.callbacks = write
        refused("read-only", lambda m=model: m.fit(X, Y))
        assert len(heard) == 1
        assert not model.__sklearn_is_fitted__()


@pytest.mark.parametrize("kind", [gd.LinearClassifier, gd.LogisticRegression, gd.MLPClassifier])
def test_a_fit_within_itself_is_refused_and_the_outer_one_is_whole(kind):
    model, heard = kind(max_epochs=3, tol=0), []

    def again(moment):
        if not heard:
            with pytest.raises(ValueError, match="is being fitted already"):
                model.fit(X[:30, :2], np.arange(30) % 3)
            heard.append(copy.deepcopy(model).set_params(callbacks=None).fit(X[:30, :2], Y[:30]))

    model.callbacks = again
    model.fit(X, Y)
    assert model.n_features_in_ == 3
    assert model.classes_.tolist() == [0, 1]
    assert len(model.predict(X)) == 60
    assert heard[0].n_features_in_ == 2


class Loss:
    def __init__(self, value=None, slope=None):
        self.value = value or (lambda z, y: 0.5 * (z[:, 0] - y) ** 2)
        self.slope = slope or (lambda z, y: z - y[:, None])


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
@pytest.mark.parametrize("kind", [gd.LinearRegression, gd.MLPRegressor])
def test_a_loss_of_ones_own_answers_row_by_row(kind):
    right = Loss()
    wrong = {
        "slope": [lambda z, y: z - y, lambda z, y: 1.0, lambda z, y: None, lambda z, y: "a"],
        "value": [lambda z, y: right.value(z, y).mean(), lambda z, y: right.value(z, y) + 1j,
                  lambda z, y: right.value(z, y)[:, None]],
    }  # fmt: skip
    for name, answers in wrong.items():
        for answer in answers:
            own = Loss(**{name: answer})
            refused(rf"loss.{name}\(z, y\) (is None|must be real numbers of shape)",
                    lambda v=own: kind(loss=v, max_epochs=2).fit(X, R))  # fmt: skip
    y = R.copy()
    greedy = Loss(lambda z, y: (y.__imul__(2), right.value(z, y))[1])
    refused("read-only", lambda: kind(loss=greedy, max_epochs=2).fit(X, y))
    np.testing.assert_array_equal(y, R)
    assert kind(loss=right, max_epochs=500).fit(X, R).score(X, R) > 0.9


def test_softmax_is_for_classes():
    refused(
        "Softmax is for classes", lambda: gd.LinearRegression(loss=gd.losses.Softmax()).fit(X, R)
    )


def test_classes_that_are_announced():
    for kind in (gd.LogisticRegression, gd.MLPClassifier):
        for odd in (2, [[0, 1]], [0, np.nan], [0, "a"], [None, 1], [[0], [1, 2]]):
            refused("^classes ", lambda k=kind, c=odd: k().partial_fit(X, Y, classes=c))
        for given in ({0, 1}, (k for k in (0, 1)), np.array([1, 0])):
            assert kind().partial_fit(X, Y, classes=given).classes_.tolist() == [0, 1]
    refused(
        "^classes ", lambda: gd.MLPClassifier().partial_fit(X, Y).partial_fit(X, Y, classes=[None])
    )
    state = {"0.weight": np.ones((1, 3), "f4"), "0.bias": np.ones(1, "f4")}
    for odd in ([0, np.nan], [0, "a"], [[0], [1, 2]], 3, [None, 1]):
        refused("^classes ", lambda c=odd: gd.from_torch(state, classes=c))
    refused("state_dict must be a mapping", lambda: gd.from_torch(None))


def test_scores_of_labels_that_are_none():
    model = gd.LogisticRegression().fit(X, Y)
    refused("y contains NaN", lambda: model.score(X, np.full(60, np.nan)))
    refused("y holds complex", lambda: model.score(X, Y + 0j))
    pd = pytest.importorskip("pandas")
    texts = pd.Series(["a", None] * 30, dtype="string")
    refused("y contains missing labels", lambda: gd.LogisticRegression().fit(X, texts))
    mixed = pd.DataFrame({"a": pd.Series([1.0, pd.NA] * 30, dtype=object)})
    refused(
        "X must hold numbers.*Fill what is missing", lambda: gd.LinearRegression().fit(mixed, R)
    )


def test_masks_are_seen_everywhere():
    two = np.ma.masked_array([1.0, 99.0], [0, 1])
    whole = np.ma.masked_array([0, 1], [0, 1])
    model = gpt()
    for name, call in {
        "CSR.data": lambda: gd.CSR(two, [0, 1], [0, 1, 2], (2, 2)),
        "CSR.indices": lambda: gd.CSR([1.0, 2.0], whole, [0, 1, 2], (2, 2)),
        "x0": lambda: gd.minimize(bowl, two),
        "the gradient": lambda: gd.minimize(
            lambda x: (1.0, np.ma.masked_array(x, [0, 1])), [1.0, 2]
        ),
        "prompt": lambda: model.generate(whole, 2),
        "data": lambda: model.evaluate(np.ma.masked_array(np.arange(20) % 3, np.arange(20) % 2)),
        "ids": lambda: model.logits(whole),
    }.items():
        refused(f"^{name} has masked entries", call)


def test_a_penalty_and_a_vocabulary_of_any_size():
    model = gd.GPT(**SMALL | {"vocabulary": 30}).fit(
        "hello world, " * 30, max_steps=1, batch_size=1
    )
    for penalty in (1e-320, 1e-300, 1.0, 1e300):
        text = model.generate("hello", 40, seed=0, repetition_penalty=penalty)
        assert len(text) == 40  # of the tokenizer's eleven characters alone
    assert model.generate("hello", 9, seed=0, stop="x" * 200_000) == model.generate(
        "hello", 9, seed=0
    )


def test_costs_whose_sum_is_no_number_have_a_mean():
    result = gd.minimize(lambda x, rng: (1e308, 0 * x), [1.0, 2.0], rng=True, max_iter=20)
    assert result.fun == pytest.approx(1e308)


class Gone:
    """A terminal that went away."""

    encoding = "utf-8"

    def isatty(self):
        return True

    def write(self, text):
        raise OSError(5, "Input/output error")

    def flush(self):
        raise OSError(5, "Input/output error")


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_a_terminal_that_goes_away_ends_no_fit(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stderr", Gone())
    assert gd.LinearRegression(progress=True, optimizer="adam", max_epochs=50).fit(X, R).n_iter_ > 0


def test_commands_run_without_an_output(monkeypatch, tmp_path):
    file = tmp_path / "d.csv"
    file.write_text("a,y\n1,2\n2,3\n3,5\n")
    monkeypatch.setattr("sys.stdout", None)
    assert cli.main(["train", str(file), "--target", "y", "--force"]) == 0


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_of_files_go_by_their_names(kind, tmp_path):
    pa = pytest.importorskip("pyarrow")
    table, path = pa.table({"a": [1.0, 2.0], "y": [1.0, 2.0]}), tmp_path / f"t.{kind}"
    from pyarrow import csv, parquet

    {"csv": csv.write_csv, "parquet": parquet.write_table}[kind](table, path)
    read = getattr(gd.chunks, kind)
    for odd in (None, 3, ["y"]):
        refused("target must be the name of a column", lambda v=odd: read(path, target=v))
    refused("weights must be the name", lambda: read(path, target="y", weights=3))
    for given in ({"target": ""}, {"target": "y", "weights": ""}):
        refused("has no column", lambda v=given: read(path, **v))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_arrays_with_an_arithmetic_of_their_own_are_not_moved():
    for odd in (np.matrix([1.0, 2.0]), np.ma.masked_array([1.0, 2.0], [0, 1])):
        refused("must be a NumPy array, to be moved", lambda v=odd: gd.optim.Adam(0.1).bind(v))


def test_a_diverged_fit_takes_no_models_place(tmp_path, capsys):
    file = tmp_path / "d.csv"
    rows = "".join(f"{a},{b},{'up' if a > b else 'down'}\n" for a, b in X[:, :2])
    file.write_text("a,b,y\n" + rows)
    call = ["train", str(file), "--target", "y", "--force"]
    assert cli.main(call) == 0
    kept = (tmp_path / "d.gdcore.npz").read_bytes()
    wild = ["--learning-rate", "1e9", "--optimizer", "sgd", "--batch-size", "8"]
    assert cli.main([*call, *wild]) == 2
    assert "nothing is saved" in capsys.readouterr().err
    assert (tmp_path / "d.gdcore.npz").read_bytes() == kept


def test_a_gpt_that_forgot_its_best_says_so(tmp_path, capsys):
    file = tmp_path / "t.txt"
    file.write_text("".join(np.random.default_rng(0).choice(list("abcdefgh"), 400)))
    sizes = ["--n-layer", "1", "--n-head", "2", "--n-embd", "32", "--block-size", "8"]
    steps = ["--max-steps", "300", "--eval-every", "20", "--learning-rate", "0.02"]
    assert cli.main(["gpt", "train", str(file), *sizes, *steps]) == 0
    assert "--patience 2 keeps the best weights" in capsys.readouterr().out


def test_bounds_hold_whatever_a_rule_does_after_its_step():
    asked = []

    def far(x, rng=None):
        asked.append(x.copy())
        d = x - 5
        return 0.5 * float(d @ d), d + (0 if rng is None else 0.1 * rng.normal(size=2))

    optim = gd.optim
    averages = [optim.EMA(0.9), optim.PolyakAverage(), optim.Lookahead(5)]
    rules = [optim.chain(optim.SGD(0.1), each) for each in averages]
    for rule in ["fista", optim.chain(optim.LBFGS(), optim.EMA(0.9)), *rules]:
        for noise in (None, 0):
            if noise is not None and rule not in rules:
                continue
            asked.clear()
            result = gd.minimize(
                far, [0.5, 0.0], bounds=(0, 1), method=rule, rng=noise, max_iter=60
            )
            assert (np.array([*asked, result.x]) <= 1).all()
            assert (np.array([*asked, result.x]) >= 0).all()
            np.testing.assert_allclose(result.x, 1, atol=0.02)
    for name in ("schedulefreesgd", "schedulefreeadamw"):
        refused(
            "that no bounds hold",
            lambda n=name: gd.minimize(far, [0.5, 0], bounds=(0, 1), method=n),
        )


def test_fista_reaches_the_minimum_within_bounds():
    rng = np.random.default_rng(28)
    A, c = rng.normal(size=(3, 3)), rng.normal(size=3) * 3
    H = A @ A.T + 0.1 * np.eye(3)

    def bent(x):
        return 0.5 * float((x - c) @ H @ (x - c)), H @ (x - c)

    ours, other = (
        gd.minimize(bent, np.zeros(3), bounds=(-1, 1), method=rule, max_iter=2000)
        for rule in (gd.optim.FISTA(1 / np.linalg.eigvalsh(H)[-1]), "lbfgs")
    )
    assert ours.success
    np.testing.assert_allclose(ours.x, other.x, atol=1e-4)


@pytest.mark.parametrize("loss", [gd.losses.Poisson(), gd.losses.Gamma(), gd.losses.Huber(0.7),
                                  gd.losses.Quantile(0.3)])  # fmt: skip
def test_a_loss_of_gdcores_is_saved(loss, tmp_path):
    y = np.random.default_rng(1).poisson(np.exp(X[:, 0])) + 1.0
    model = gd.LinearRegression(loss=loss, max_epochs=200).fit(X, y)
    gd.save(model, tmp_path / "m.npz")
    other = gd.load(tmp_path / "m.npz")
    assert other.loss == loss
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    if isinstance(loss, (gd.losses.Poisson, gd.losses.Gamma)):
        refused("which networks do not raise", lambda: gd.MLPRegressor(loss=loss).fit(X, y))


def test_a_loss_of_ones_own_with_a_mean_is_not_saved(tmp_path):
    class Linked(Loss):
        def mean(self, z):
            return 2 * z[:, 0]

    model = gd.LinearRegression(loss=Linked()).fit(X, R)
    refused("whose code no file keeps", lambda: gd.save(model, tmp_path / "m.npz"))


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_schedules_made_of_others_are_resumed(tmp_path):
    S, labels = gd.schedules, (X[:, 0] > 0).astype(int)

    class Stop(Exception):
        pass

    def at_four(moment):
        if moment.epoch == 4:
            raise Stop

    def fit(schedule, *callbacks):
        return gd.LogisticRegression(
            optimizer="adam", batch_size=16, max_epochs=8, tol=0, learning_rate=schedule(),
            random_state=0, callbacks=callbacks,
        ).fit(X, labels)  # fmt: skip

    schedules = [
        lambda: S.WarmUp(10, after=S.Cosine(100)),
        lambda: S.WarmUp(5, after=S.Linear(50)).then(S.Constant(), after=20),
        lambda: S.WarmUp(3, after=S.Plateau(patience=0, threshold=0.5)),
    ]
    for number, schedule in enumerate(schedules):
        path = tmp_path / f"{number}.npz"
        with pytest.raises(Stop):
            fit(schedule, gd.callbacks.Checkpoint(path, every=1), at_four)
        resumed = fit(schedule, gd.callbacks.Checkpoint(path, every=1, resume=True))
        np.testing.assert_array_equal(resumed.coef_, fit(schedule).coef_)


def test_labels_that_doubles_cannot_tell_apart_are_refused():
    y = np.tile([2.0**53 + 2, 2.0**53, 5], 20)
    refused("beyond 2⁵³", lambda: gd.LogisticRegression().fit(X, y))
    model = gd.LogisticRegression().fit(X, np.tile([2**53 + 1, 2**53, 5], 20))
    assert len(model.classes_) == 3


def test_functions_without_a_minimum_have_rates():
    saddle = gd.find_learning_rate(
        lambda x: (0.5 * float(x[1] ** 2 - x[0] ** 2), np.array([-x[0], x[1]])), np.ones(2)
    )
    assert saddle.learning_rate > 0


def test_a_type_of_chunks_that_is_none(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "b.csv").write_text("a,y\n1,1\n1e300,2\n3,3\n")
    refused(
        "dtype must be float32", lambda: gd.chunks.csv(tmp_path / "b.csv", target="y", dtype="foo")
    )
    chunks = gd.chunks.csv(tmp_path / "b.csv", target="y", dtype=np.float32)
    refused("infinity", lambda: gd.LinearRegression().fit(chunks))


@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_a_search_that_fails_at_first_moves_nothing_and_says_so():
    rng = np.random.default_rng(29)
    n, p = int(rng.integers(2, 60)), int(rng.integers(1, 12))
    rows = rng.normal(size=(n, p))
    rng.choice(6), rng.choice(8)
    z = (rows - rows.mean(0)) / (rows.std(0) + 1e-12) @ rng.normal(size=p) * 0.5
    y = (z + rng.normal(size=n) > 0).astype(float)
    rng.choice(3)
    s = rng.exponential(size=n) * 10.0 ** rng.integers(-3, 4)
    s[:2] = s.max()
    s[np.flatnonzero(y == 0)[0]] = s[np.flatnonzero(y == 1)[0]] = s.max()
    model = gd.LinearClassifier(alpha=1e-4, l1_ratio=0.5, standardize=False).fit(rows, y, s)
    assert "nan" not in model.result_.message
