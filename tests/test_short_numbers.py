"""Hyper-parameters in NumPy's short numbers are the numbers that they are, in double arithmetic."""

import inspect

import numpy as np
import pytest

import gdcore as gd

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
SHORT = pytest.mark.parametrize("kind", [np.float32, np.float16])
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)) * [1.0, 10.0, 0.1]
Y = X @ [1.0, 0.1, 10.0] + RNG.normal(size=60)
CLASSES = (Y > 0).astype(int)


def defaults(module):
    """(class, hyper-parameter, its default) of all that are numbers above what float16 holds."""
    for name in sorted(module.__all__):
        kind = getattr(module, name)
        if inspect.isclass(kind) and not inspect.isabstract(kind):
            for argument, about in inspect.signature(kind).parameters.items():
                if isinstance(about.default, float) and 1e-6 < about.default < np.inf:
                    yield pytest.param(kind, argument, about.default, id=f"{name}-{argument}")


def needed(kind):
    """What a schedule cannot be made without."""
    given = {"steps": 9, "warmup": 3, "every": 3, "scale": 3, "at": [3, 6]}
    known = inspect.signature(kind).parameters.items()
    return {name: given[name] for name, each in known if each.default is each.empty}


@SHORT
@pytest.mark.parametrize(("rule", "argument", "value"), [*defaults(gd.optim)])
def test_of_optimizers(kind, rule, argument, value):
    def path(number):
        optimizer, theta = rule(**{argument: number}), np.array([1.0, 2.0, 3.0])
        result = gd.minimize(lambda x: (x @ x, 2 * x), theta, jac=True, method=optimizer,
                             max_iter=20, tol=0)  # fmt: skip
        return result.x, result.fun

    short = kind(value)
    assert rule(**{argument: short}) == rule(**{argument: float(short)})
    for one, other in zip(path(short), path(float(short)), strict=True):
        np.testing.assert_array_equal(one, other)


@SHORT
@pytest.mark.parametrize(("schedule", "argument", "value"), [*defaults(gd.schedules)])
def test_of_schedules(kind, schedule, argument, value):
    short, rest = kind(value), needed(schedule)
    one, other = (schedule(**{**rest, argument: each}) for each in (short, float(short)))
    np.testing.assert_array_equal(one(np.arange(12)), other(np.arange(12)))


@SHORT
@pytest.mark.parametrize("rule", [
    "GradientNorm", "CostChange", "RelativeChange", "RelativeStep", "ParameterChange",
    "Stagnation", "RelativeGap", "TargetCost",
])  # fmt: skip
def test_of_rules(kind, rule):
    short, rule = kind(0.01), getattr(gd.convergence, rule)
    assert rule(short) == rule(float(short))
    one, other = (gd.LinearRegression(optimizer="fista", tol=rule(each), max_epochs=50).fit(X, Y)
                  for each in (short, float(short)))  # fmt: skip
    assert one.n_iter_ == other.n_iter_
    large = gd.minimize(lambda x: (1e300, np.ones(2)), [1.0, 2.0], jac=True, tol=short, max_iter=3)
    assert large.fun == 1e300  # which no float32 holds


@SHORT
@pytest.mark.parametrize("loss", ["Huber", "Quantile"])
def test_of_losses(kind, loss):
    loss = getattr(gd.losses, loss)
    one, other = (gd.LinearRegression(loss=loss(each)).fit(X, Y)
                  for each in (kind(0.3), float(kind(0.3))))  # fmt: skip
    np.testing.assert_array_equal(one.coef_, other.coef_)


FITS = [
    (gd.LinearRegression, Y, {}), (gd.LogisticRegression, CLASSES, {}),
    (gd.LinearClassifier, CLASSES, {}),
    (gd.LinearRegression, Y, {"optimizer": "adam", "batch_size": 20, "early_stopping": True}),
]  # fmt: skip
NETWORKS = [
    (gd.MLPRegressor, Y, {"hidden_layer_sizes": 8, "dtype": "float64"}),
    (gd.MLPClassifier, CLASSES, {"hidden_layer_sizes": 8, "early_stopping": True}),
]  # fmt: skip
NUMBERS = {"alpha": 0.01, "tol": 1e-3, "learning_rate": 0.01, "validation_fraction": 0.2}


@SHORT
@pytest.mark.parametrize(("model", "y", "how", "argument", "value"), [
    (*fit, argument, value)
    for fits, own in ((FITS, {"l1_ratio": 0.3}),
                      (NETWORKS, {"dropout": 0.2, "clip_norm": 0.5}))
    for fit in fits
    for argument, value in (NUMBERS | own).items()
    if not (argument == "l1_ratio" and "optimizer" in fit[2])
])  # fmt: skip
def test_of_estimators(kind, model, y, how, argument, value):
    how = {"max_epochs": 5, "random_state": 0, **how}
    one, other = (model(**{**how, argument: each}).fit(X, y)
                  for each in (kind(value), float(kind(value))))  # fmt: skip
    for name in ("theta_", "coef_", "intercept_"):
        if hasattr(one, name):
            here, there = (getattr(each, name) for each in (one, other))
            np.testing.assert_array_equal(getattr(here, "vector", here),
                                          getattr(there, "vector", there))  # fmt: skip
    assert type(getattr(one, argument)) is kind  # what was passed stays as it was passed


@SHORT
@pytest.mark.parametrize(("layer", "argument"), [
    ("LayerNorm", "eps"), ("BatchNorm", "eps"), ("BatchNorm", "momentum"),
])  # fmt: skip
def test_of_layers(kind, layer, argument):
    one = getattr(gd.layers, layer)(**{argument: kind(0.1)})
    assert type(getattr(one, argument)) is float
    assert one == getattr(gd.layers, layer)(**{argument: float(kind(0.1))})
