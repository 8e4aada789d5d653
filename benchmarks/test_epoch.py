"""One epoch of logistic regression, one example a step, against scikit-learn's SGDClassifier."""

import time

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier

from benchmarks.epochs import LR, PERMUTED, SIZE, agree, data, ours
from benchmarks.group import Group, SelfTimed, each
from benchmarks.replay import clock

RIDGE = 1e-4


def classifier(epochs):
    return SGDClassifier(
        loss="log_loss", alpha=RIDGE, learning_rate="constant", eta0=LR, max_iter=epochs, tol=None,
        random_state=0,
    )  # fmt: skip


def epoch_of_fit(X, y):
    """(time of 6 epochs − time of 1)/5: checks of the input cancel, which partial_fit repeats.

    The cheaper of the two ways to see one epoch, therefore the one that a ratio is wanted of.
    """

    def fit(epochs):
        model, began = classifier(epochs), time.perf_counter()
        model.fit(X, y)
        return time.perf_counter() - began

    return SelfTimed(lambda: (fit(6) - fit(1)) / 5)


def partial_fit(X, y):
    classes = np.array([0.0, 1.0])

    def run():
        model = classifier(1).partial_fit(X, y, classes=classes)
        return np.append(model.coef_, model.intercept_)

    return run


def build(setting):
    X, y = data(setting)
    contenders = ours(X, y, 1, RIDGE) | {"scikit-learn: partial_fit": partial_fit(X, y)}
    agree(X, y, contenders.values())
    return contenders | {"scikit-learn": epoch_of_fit(X, y)}


GROUPS = {
    "single": Group(
        f"SGD epoch, one example a step, {SIZE}",
        build,
        ("gdcore", PERMUTED, "scikit-learn", "scikit-learn: partial_fit"),
        wanted={"scikit-learn": 3},
    )
}


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_epoch(contend, group, contender):
    contend(GROUPS[group], contender)
