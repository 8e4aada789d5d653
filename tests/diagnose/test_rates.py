"""The edge is where it is known to be, and the suggested rate trains best among its neighbours."""

import copy
import sys
import types

import numpy as np
import pytest

import gdcore as gd
from gdcore.data import Rows
from gdcore.diagnose.rates import smoothed
from tests.diagnose.problems import classes, line, rings


def valley(x):
    return 0.5 * (x[0] ** 2 + 100 * x[1] ** 2), np.array([x[0], 100 * x[1]])


def below_zero(x):
    f, g = valley(x)
    return f - 1e4, g


def well(x):
    e = np.exp(-x @ x / 2)
    return -e - 5, x * e


def test_the_edge_of_a_valley_is_two_over_its_curvature():
    found = gd.find_learning_rate(valley, [1.0, 1.0])
    assert 0.02 <= found.edge <= 0.02 * 1.05
    assert found.learning_rate == found.edge / 2
    assert found.noise == 0
    assert np.isfinite(found.costs).all()
    assert np.all(np.diff(found.rates) > 0)
    assert "half of it" in found.message


@pytest.mark.parametrize("fun", [valley, below_zero])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("start", [[1.0, 1.0], [1e4, 1e-3], [0.0, 1e-2]])
def test_the_edge_for_any_unit_start_and_sign(fun, scale, start):
    def scaled(x):
        f, g = fun(x)
        return scale * f, scale * g

    found = gd.find_learning_rate(scaled, start)
    assert 1 <= found.edge * scale / 0.02 <= 1.2


@pytest.mark.parametrize("curvature", [1e-6, 1.0, 1e6])
def test_the_edge_of_any_curvature(curvature):
    found = gd.find_learning_rate(lambda x: (curvature * x * x / 2, curvature * x), 3.0)
    assert 1 <= found.edge * curvature / 2 <= 1.05


def test_the_edge_with_momentum():
    found = gd.find_learning_rate(valley, [1.0, 1.0], method="momentum")
    assert 0.99 <= found.edge / (2 * 1.9 / 100) <= 1.2
    instance = gd.optim.Momentum(lr=123.0, momentum=0.5)
    found = gd.find_learning_rate(valley, [1.0, 1.0], method=instance)
    assert 0.99 <= found.edge / (2 * 1.5 / 100) <= 1.2
    assert found.optimizer == instance


def test_the_edge_of_least_squares_over_all_rows():
    X, y = line(np.random.default_rng(0), n=500)
    X[:, 1] += 2 * X[:, 0]
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    most = np.linalg.eigvalsh(Z.T @ Z / len(Z))[-1]
    model = gd.LinearRegression(optimizer="sgd", alpha=0)
    found = gd.find_learning_rate(model, X, y)
    assert 1 <= found.edge * most / 2 <= 1.1
    model.set_params(learning_rate=found.learning_rate, tol=1e-6).fit(X, y)
    assert model.result_.success


def test_rates_of_raw_columns_are_those_of_raw_columns():
    X, y = line(np.random.default_rng(0), n=300)
    X[:, 0] *= 1e3
    most = np.linalg.eigvalsh(np.c_[X, np.ones(300)].T @ np.c_[X, np.ones(300)] / 300)[-1]
    model = gd.LinearRegression(optimizer="sgd", alpha=0, standardize=False)
    assert 1 <= gd.find_learning_rate(model, X, y).edge * most / 2 <= 1.1


# (how to search, rate → the cost after as long a run)
def by_function(fun, start, method="sgd", steps=100):
    def search():
        return gd.find_learning_rate(fun, start, method=method, steps=steps)

    def train(rate):
        g = np.empty(len(start))
        rule = gd.optim.by_name(method)(rate)
        x = np.array(start, float)
        state = rule.init(x)
        with np.errstate(all="ignore"):
            for _ in range(steps):
                g[:] = fun(x)[1]
                rule.step(x, g, state, rate)
            return fun(x)[0]

    return search, train


def by_fit(model, X, y, epochs):
    def search():
        return gd.find_learning_rate(model, X, y)

    def train(rate):
        costs = []
        for seed in range(3):
            one = copy.deepcopy(model).set_params(
                learning_rate=rate, max_epochs=epochs, tol=0, random_state=seed
            )
            one.fit(X, y)
            theta = one.result_.x
            costs.append(cost_of(one, X, y, theta))
        return np.mean(costs)

    return search, train


def cost_of(model, X, y, theta):
    if hasattr(model, "coef_"):
        p = np.clip(model.predict_proba(X)[np.arange(len(y)), y], 1e-300, 1)
        return -np.log(p).mean() + 0.5 * np.square(model.coef_ * X.std(axis=0)).sum() / len(y)
    if isinstance(model, gd.MLPRegressor):
        return np.square(model.predict(X) - y).mean() / 2
    p = np.clip(model.predict_proba(X)[np.arange(len(y)), y], 1e-300, 1)
    return -np.log(p).mean()


def problems():
    rng = np.random.default_rng(0)
    X, y = classes(rng, n=1000)
    R, inside = rings(rng, n=800)
    S = rng.uniform(-2, 2, (600, 2))
    sine = np.sin(2 * S[:, 0]) + S[:, 1]
    return {
        "a valley": by_function(valley, [1.0, 1.0]),
        "a valley below zero": by_function(below_zero, [1.0, 1.0]),
        "a well below zero": by_function(well, [1.0, 0.5]),
        "a valley by Adam": by_function(valley, [1.0, 1.0], "adam"),
        "a valley by momentum": by_function(valley, [1.0, 1.0], "momentum"),
        "logistic, small batches": by_fit(
            gd.LogisticRegression(optimizer="sgd", batch_size=16), X, y, 2
        ),
        "a network by Adam": by_fit(gd.MLPClassifier(hidden_layer_sizes=(32,)), R, inside, 4),
        "a network by SGD": by_fit(
            gd.MLPClassifier(hidden_layer_sizes=(32,), optimizer="sgd"), R, inside, 4
        ),
        "a regressor by momentum": by_fit(
            gd.MLPRegressor(hidden_layer_sizes=(32,), optimizer="momentum"), S, sine, 4
        ),
    }


PROBLEMS = problems()


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_rate_four_times_off_trains_better(name):
    search, train = PROBLEMS[name]
    found = search()
    rate = found.learning_rate
    assert rate <= found.edge / 2
    here, above, below, start = (train(r) for r in (rate, 4 * rate, rate / 4, 1e-12 * rate))
    slack = 1e-4 * (start - here)  # of how far it fell
    assert here < start
    assert here <= below + slack
    assert here <= above + slack or not np.isfinite(above)
    again = search()
    assert (again.learning_rate, again.edge) == (rate, found.edge)


def test_batches_have_an_edge_at_which_a_fit_gets_worse():
    X, y = classes(np.random.default_rng(0), n=1000)
    model = gd.LogisticRegression(optimizer="sgd", batch_size=16, tol=0, max_epochs=2)
    found = gd.find_learning_rate(model, X, y)
    assert 0 < found.learning_rate <= found.edge / 3
    assert len(found.rates) > 30
    for rate, rises in ((found.learning_rate, False), (2 * found.edge, True)):
        costs = model.set_params(learning_rate=rate, random_state=0).fit(X, y).trace_.cost
        assert (costs[-1] > costs[0]) is np.bool_(rises)


def test_the_estimator_is_left_as_it_is():
    X, y = classes(np.random.default_rng(0), n=200)
    draws, seen = np.random.default_rng(3), []
    model = gd.MLPClassifier(
        hidden_layer_sizes=(4,), random_state=draws, callbacks=seen.append, early_stopping=True
    )
    known, state = dict(vars(model)), copy.deepcopy(draws.bit_generator.state)
    gd.find_learning_rate(model, X, y)
    assert vars(model) == known
    assert draws.bit_generator.state == state
    assert not seen
    fitted = gd.LogisticRegression(optimizer="sgd", batch_size=8, max_epochs=2, tol=0).fit(X, y)
    known, coef = dict(vars(fitted)), fitted.coef_.copy()
    gd.find_learning_rate(fitted, X, y, np.ones(200))
    assert vars(fitted).keys() == known.keys()
    assert np.array_equal(fitted.coef_, coef)


def test_it_is_deterministic():
    X, y = classes(np.random.default_rng(0), n=300)
    model = gd.MLPClassifier(hidden_layer_sizes=(8,), dropout=0.2)
    one, two = (gd.find_learning_rate(model, X, y, steps=40, random_state=4) for _ in range(2))
    assert one.trials == two.trials
    np.testing.assert_array_equal(one.costs, two.costs)
    other = gd.find_learning_rate(model, X, y, steps=40, random_state=5)
    assert one.trials != other.trials


@pytest.mark.parametrize("level", [-100.0, 0.0, 100.0])
def test_noise_hides_no_edge(level):
    def noisy(x, rng):
        f, g = valley(x)
        return f + level + rng.normal(), g + rng.normal(size=2)

    found = gd.find_learning_rate(noisy, [1.0, 1.0], rng=0)
    assert 0.5 < found.noise < 2
    assert 0.015 <= found.edge <= 0.04
    assert found.learning_rate <= found.edge / 3
    generator = np.random.default_rng(0)
    state = copy.deepcopy(generator.bit_generator.state)
    same = gd.find_learning_rate(noisy, [1.0, 1.0], rng=generator)
    assert (same.edge, same.learning_rate) == (found.edge, found.learning_rate)
    assert generator.bit_generator.state == state


def test_noise_of_its_own_and_batches():
    rng = np.random.default_rng(0)

    def noisy(x):
        f, g = valley(x)
        return f + rng.normal(), g

    found = gd.find_learning_rate(noisy, [1.0, 1.0])
    assert found.noise > 0.5
    assert 0.015 <= found.edge <= 0.04

    X, y = line(rng, n=256)
    X = np.c_[X, np.ones(256)]

    def fun(w, rows):
        r = X[rows] @ w - y[rows]
        return r @ r / 2 / len(r), X[rows].T @ r / len(r)

    batches = np.split(np.arange(256), 16)
    found = gd.find_learning_rate(fun, np.zeros(5), batches=batches)
    assert 0.5 < found.edge < 3
    with pytest.raises(ValueError, match="batches can be walked once only"):
        gd.find_learning_rate(fun, np.zeros(5), batches=iter(batches))


def test_a_cost_that_is_flat_at_first():
    def plateau(x):  # a slope of 1e-5 at the start, of up to 1 on the way
        s = 0.5 + 0.5 * np.tanh(x / 2)
        return float(s.sum()), s * (1 - s)

    found = gd.find_learning_rate(plateau, [12.0])
    assert found.edge == np.inf
    assert "does not rise" in found.message
    x = np.array([12.0])
    for _ in range(100):
        x -= found.learning_rate * plateau(x)[1]
    assert plateau(x)[0] < 1e-3


def test_a_line_has_no_edge():
    found = gd.find_learning_rate(lambda x: (-x.sum(), -np.ones(2)), [1.0, 2.0], high=10.0)
    assert found.edge == np.inf
    assert found.rates[-1] == pytest.approx(10.0)
    assert found.learning_rate <= 10.0
    assert found.message.startswith("No edge: up to a rate of 10 the cost does not rise.")
    assert "none found" in repr(found)


def test_costs():
    X, y = line(np.random.default_rng(0), n=300)
    family = gd.models.family.LinearFamily(gd.losses.Squared(), X.shape[1])
    nothing = gd.penalties.Penalty(np.zeros(5), np.zeros(5))
    cost = gd.Cost(family, Rows(X, y, np.ones(300)), nothing)
    A = np.c_[X, np.ones(300)]
    most = np.linalg.eigvalsh(A.T @ A / 300)[-1]
    theta = np.zeros(5)
    assert 1 <= gd.find_learning_rate(cost, theta).edge * most / 2 <= 1.1
    assert not theta.any()
    small = gd.find_learning_rate(cost, theta, batch_size=4)
    assert small.noise > 0
    assert small.edge < 2 / most

    class Bowl(gd.cost.PlainCost):
        def value_and_gradient(self, theta, g):
            g[:] = 4 * theta
            return 2 * float(theta @ theta)

    assert 1 <= gd.find_learning_rate(Bowl(), np.ones(3)).edge / 0.5 <= 1.05


RULES = ["lbfgs", "adgd", "polyak", "dowg", "prodigy"]


@pytest.mark.parametrize("name", RULES)
def test_rules_without_a_rate_are_refused(name):
    with pytest.raises(ValueError, match="finds its own steps: there is no learning rate"):
        gd.find_learning_rate(valley, [1.0, 1.0], method=name)


@pytest.mark.parametrize("name", ["auto", "newton", "lbfgs", "saga", "closed-form"])
def test_estimators_without_a_rate_are_refused(name):
    X, y = line(np.random.default_rng(0), n=60)
    with pytest.raises(ValueError, match=r"there is no learning rate|takes no steps"):
        gd.find_learning_rate(gd.LinearRegression(optimizer=name), X, y)


@pytest.mark.parametrize("name", sorted({*map(str.lower, gd.optim.__all__)} - {*RULES}))
def test_every_other_rule_has_a_rate(name):
    found = gd.find_learning_rate(valley, [1.0, 1.0], method=name, steps=50)
    assert 0 < found.learning_rate < found.edge
    assert type(found.optimizer) is gd.optim.by_name(name)


def test_what_else_is_refused():
    with pytest.raises(ValueError, match="The gradient is zero at the start"):
        gd.find_learning_rate(valley, [0.0, 0.0])
    with pytest.raises(ValueError, match="At the start the cost is nan"):
        gd.find_learning_rate(lambda x: (np.nan, x), [1.0])
    with pytest.raises(ValueError, match="Did you mean 'adam'"):
        gd.find_learning_rate(valley, [1.0, 1.0], method="adamm")
    with pytest.raises(TypeError, match="method must be a name or an optimizer"):
        gd.find_learning_rate(valley, [1.0, 1.0], method=3)
    with pytest.raises(ValueError, match="low must be below high"):
        gd.find_learning_rate(valley, [1.0, 1.0], low=1.0, high=0.5)
    for name, value in {"low": -1.0, "steps": 2, "high": 0.0}.items():
        with pytest.raises(ValueError, match=name):
            gd.find_learning_rate(valley, [1.0, 1.0], **{name: value})
    with pytest.raises(ValueError, match="fun must be callable"):
        gd.find_learning_rate(3, [1.0])
    with pytest.raises(TypeError, match="GPT is no linear model or network"):
        gd.find_learning_rate(gd.GPT(), "text")


def test_smoothing_has_no_bias_at_the_start():
    assert np.allclose(smoothed(np.full(30, 7.0)), 7.0)
    assert smoothed(np.array([3.0, 0.0]))[0] == pytest.approx(3.0)


def test_the_result_prints_and_draws_itself(monkeypatch):
    found = gd.find_learning_rate(valley, [1.0, 1.0])
    lines = repr(found).splitlines()
    assert lines[0].startswith("From a rate of 0.0201 on the cost rises. 0.0101 would do")
    assert {line.index(":") for line in lines[1:]} == {13}
    assert found._repr_html_().count("<tr>") == 6
    drawn = []

    class LearningRateDisplay:
        @classmethod
        def from_result(cls, result, ax=None):
            drawn.append((result, ax))
            return "a display"

    stand_in = types.ModuleType("gdcore.diagnose.plots")
    stand_in.LearningRateDisplay = LearningRateDisplay
    monkeypatch.setitem(sys.modules, "gdcore.diagnose.plots", stand_in)
    assert found.plot(ax="an axis") == "a display"
    assert drawn == [(found, "an axis")]


def test_a_gradient_that_leads_uphill_has_no_rate():
    found = gd.find_learning_rate(lambda x: (x @ x, -2 * x), [1.0, 2.0])
    assert np.isnan(found.learning_rate)
    assert "The cost rises at every rate" in found.message
    assert "check_gradient" in repr(found)
