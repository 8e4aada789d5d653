"""Linear models: whole fits to one cost, an epoch on sparse rows, one example, many classes."""

import time
import warnings
from functools import partial
from itertools import islice

import numpy as np
import pytest
from river.linear_model import LogisticRegression as Rivers
from sklearn.linear_model import LogisticRegression, SGDClassifier

import gdcore as gd
from benchmarks import linear
from benchmarks.group import Group, SelfTimed, each
from benchmarks.replay import clock

ETA = 0.1  # so that an intercept, whose rate is a hundredth in SGDClassifier, stays calm in gdcore
FEATURES = 54
ANYWHERE = tuple(f"scikit-learn: {name}" for name in ("lbfgs", "newton-cg"))
SINGLE = (*ANYWHERE, *(f"scikit-learn: {name}" for name in ("sag", "saga", "liblinear")))
CHOLESKY = "scikit-learn: newton-cholesky"
BOTH = ("gdcore", "gdcore: float32")


def fits(setting, load, names):
    """{contender: a whole fit to J − J* ≤ 1e-6·J*}."""
    problem = load(setting.smoke)
    return {name: linear.to_the_goal(name, problem, setting.threads) for name in names}


def epoch(setting):
    """One more epoch of a fit, whole fits of one epoch, and the epoch that is a call of its own."""
    problem = linear.rare(setting.smoke)
    X, y, ridge = problem.X, problem.y, 1 / len(problem.y)

    def ours(epochs=1):
        model = gd.LogisticRegression(
            alpha=ridge, standardize=False, batch_size=1, optimizer="sgd", learning_rate=ETA,
            max_epochs=epochs, tol=0, n_threads=setting.threads, random_state=0,
        )  # fmt: skip
        return model.fit(X, y)

    def theirs(epochs=1):
        return _classifier(ridge, max_iter=epochs).fit(X, y)

    def partial_fit():
        return _classifier(ridge).partial_fit(X, y, classes=[0.0, 1.0])

    costs = [linear.cost(X, y, run()) for run in (ours, theirs, partial_fit)]
    assert max(costs) < min(1.05 * min(costs), np.log(2)), costs
    return {
        "gdcore": SelfTimed(partial(_one_more, ours)),
        "gdcore: a whole fit": ours,
        "scikit-learn": SelfTimed(partial(_one_more, theirs)),
        "scikit-learn: a whole fit": theirs,
        "scikit-learn: partial_fit": partial_fit,
    }


def _classifier(ridge, **settings):
    return SGDClassifier(
        loss="log_loss", alpha=ridge, learning_rate="constant", eta0=ETA, tol=None, random_state=0,
        **settings,
    )  # fmt: skip


def _one_more(fit):
    """(time of 4 epochs − time of 1)/3: checks of the input cancel."""
    seconds = []
    for epochs in (4, 1):
        began = time.perf_counter()
        fit(epochs)
        seconds.append(time.perf_counter() - began)
    return (seconds[0] - seconds[1]) / 3


def stream(setting):
    """(rows, as dicts for River, labels)."""
    n = 200 if setting.smoke else 10_000
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, FEATURES))
    y = (rng.logistic(size=n) < X @ rng.normal(size=FEATURES) / 4).astype(int).tolist()
    return X, [dict(enumerate(row)) for row in X.tolist()], y


def per_example(call, *examples, most=None):
    """Seconds an example, over all of them or the first so many."""
    turns = list(islice(zip(*examples, strict=True), most))

    def seconds():
        began = time.perf_counter()
        for turn in turns:
            call(*turn)
        return (time.perf_counter() - began) / len(turns)

    return SelfTimed(seconds)


def _students(X, dicts, y):
    """All three at the same point: each has learnt the first hundred examples."""
    ours, rivers = gd.LogisticRegression(), Rivers()
    theirs = SGDClassifier(loss="log_loss").partial_fit(X[:100], y[:100], classes=[0, 1])
    for x, named, label in islice(zip(X, dicts, y, strict=True), 100):
        ours.learn_one(x, label)
        rivers.learn_one(named, bool(label))
    return ours, rivers, theirs


def learning(setting):
    X, dicts, y = stream(setting)
    ours, rivers, theirs = _students(X, dicts, y)
    rows = [(X[i : i + 1], y[i : i + 1]) for i in range(len(X))]
    return {
        "gdcore": per_example(ours.learn_one, list(X), y),
        "River": per_example(rivers.learn_one, dicts, list(map(bool, y))),
        "scikit-learn": per_example(theirs.partial_fit, *zip(*rows, strict=True), most=500),
    }


def predicting(setting):
    X, dicts, y = stream(setting)
    ours, rivers, theirs = _students(X, dicts, y)
    rows = [X[i : i + 1] for i in range(len(X))]
    return {
        "gdcore": per_example(ours.predict_one, list(X)),
        "River": per_example(rivers.predict_one, dicts),
        "scikit-learn": per_example(theirs.predict, rows, most=1_000),
    }


def many_classes(setting, load):
    """scikit-learn's default 100 iterations of L-BFGS, and gdcore until it is at that cost."""
    X, y = load(setting.smoke)
    X32 = X.astype(np.float32)

    def theirs():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that 100 were too few
            return LogisticRegression().fit(X, y)

    reached = linear.cost(X, y, theirs())

    def ours(rows):
        model = gd.LogisticRegression(
            alpha=1 / len(y), standardize=False, tol=0, n_threads=setting.threads,
            callbacks=lambda moment: moment.cost <= reached,
        )  # fmt: skip
        return model.fit(rows, y)

    for rows in (X, X32):
        assert linear.cost(X, y, ours(rows)) <= reached * (1 + linear.GOAL)
    return {
        "gdcore": partial(ours, X),
        "gdcore: float32": partial(ours, X32),
        "scikit-learn": theirs,
    }


def _goal_groups():
    """Dense and sparse; on two threads without those that use one."""
    sizes = {"dense": (linear.dense, "300,000 × 54 float64", (CHOLESKY,)),
             "sparse": (linear.rare, "CSR 100,000 × 50,000, 75 entries a row", ())}  # fmt: skip
    for key, (load, size, more) in sizes.items():
        for threads, others in ((1, SINGLE), (2, ANYWHERE)):
            peers = (*others, *more)
            wanted = dict.fromkeys(peers, 2) if threads == 1 else {}
            yield (
                f"{key}-{threads}",
                Group(
                    f"logistic regression to J − J* ≤ 1e-6·J*, {size}",
                    partial(fits, load=load, names=(*BOTH, *peers)),
                    (*BOTH, *peers),
                    threads=threads,
                    wanted=wanted,
                    rounds=5,
                ),
            )


SOFTMAX = "softmax regression to the cost of 100 iterations of L-BFGS, {} 70,000 × 784, 10 classes"
GROUPS = {
    **dict(_goal_groups()),
    "epoch": Group(
        "SGD epoch, one example a step, CSR 100,000 × 50,000, 75 entries a row",
        epoch,
        ("gdcore", "gdcore: a whole fit", "scikit-learn", "scikit-learn: a whole fit",
         "scikit-learn: partial_fit"),
        wanted={"scikit-learn": 1.3},
        rounds=5,
    ),
    "learn": Group(
        f"learn_one, {FEATURES} features",
        learning,
        ("gdcore", "River", "scikit-learn"),
        wanted={"River": 5, "scikit-learn": 50},
    ),
    "predict": Group(
        f"predict_one, {FEATURES} features",
        predicting,
        ("gdcore", "River", "scikit-learn"),
        wanted={"scikit-learn": 30},
    ),
    **{
        key: Group(
            SOFTMAX.format(name),
            partial(many_classes, load=load),
            (*BOTH, "scikit-learn"),
            wanted={"scikit-learn": 1.5},
            rounds=3,
        )
        for key, name, load in (
            ("fashion", "Fashion-MNIST", linear.fashion), ("pictures", "made", linear.pictures)
        )
    },
}  # fmt: skip


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_linear(contend, group, contender):
    contend(GROUPS[group], contender)
