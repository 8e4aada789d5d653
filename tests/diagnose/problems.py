"""Descents with exactly one planted illness, and healthy ones; each of them a function of a seed.

ILL is {name: (illness, function)}, HEALTHY {name: function}; each function gives what `gd.doctor`
takes and, as it may hold the only reference to them, the rows.
"""

import warnings

import numpy as np

import gdcore as gd

ILL, HEALTHY = {}, {}


def ill(illness):
    """Register a problem with this illness."""

    def keep(make):
        ILL[make.__name__] = illness, quiet(make)
        return make

    return keep


def healthy(make):
    """Register a run of which nothing is to be said."""
    HEALTHY[make.__name__] = quiet(make)
    return make


def quiet(make):
    """Without the warnings that the fits themselves give."""

    def made(seed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = make(np.random.default_rng(seed))
        return found if isinstance(found, tuple) else (found, None)

    return made


def valley(x):
    """A parabola, a hundred times steeper along one axis."""
    return 0.5 * (x[0] ** 2 + 100 * x[1] ** 2), np.array([x[0], 100 * x[1]])


def line(rng, n=200, p=4, noise=0.1):
    X = rng.normal(size=(n, p))
    return X, X @ rng.normal(size=p) + 2 + noise * rng.normal(size=n)


def classes(rng, n=400, p=5, noise=1.0):
    X = rng.normal(size=(n, p))
    return X, (X @ rng.normal(size=p) + noise * rng.logistic(size=n) > 0).astype(int)


def rings(rng, n=400):
    radius = rng.uniform(0, 2, n)
    angle = rng.uniform(0, 2 * np.pi, n)
    X = np.c_[radius * np.cos(angle), radius * np.sin(angle)] + 0.05 * rng.normal(size=(n, 2))
    return X, (radius > 1).astype(int)


@ill("diverging")
def rate_too_large(rng):
    X, y = line(rng)
    model = gd.LinearRegression(optimizer=gd.optim.SGD(2.5), batch_size="full")
    return model.fit(X, y), X


@ill("diverging")
def rate_too_large_for_a_function(rng):
    return gd.minimize(valley, rng.normal(size=2), method=gd.optim.SGD(0.021))


@ill("diverging")
def network_thrown_off(rng):
    X, y = line(rng)
    model = gd.MLPRegressor(
        hidden_layer_sizes=(16,), optimizer=gd.optim.SGD(50.0), batch_size=16, random_state=0
    )
    return model.fit(X, y), X


@ill("diverging")
def network_led_nowhere(rng):
    """It is caught by no limit, and ends by a rule on the cost."""
    data = gd.datasets.load_digits()
    model = gd.MLPClassifier(
        hidden_layer_sizes=(32,),
        learning_rate=1.0,
        max_epochs=30,
        random_state=int(rng.integers(99)),
    )
    return model.fit(data.X, data.y), data.X


@ill("diverging")
def counts_by_too_large_a_rate(rng):
    X = rng.normal(size=(300, 3))
    model = gd.LinearRegression(loss="poisson", optimizer=gd.optim.SGD(0.8), batch_size="full")
    return model.fit(X, rng.poisson(np.exp(2 * X[:, 0]))), X


@ill("unbounded below")
def parabola_upside_down(rng):
    return gd.minimize(lambda x: (-x @ x, -2 * x), rng.normal(size=2), max_iter=500)


@ill("unbounded below")
def exponential_upside_down(rng):
    return gd.minimize(lambda x: (-np.exp(x).sum(), -np.exp(x)), rng.uniform(1, 2, 2), max_iter=300)


@ill("ill-conditioned")
def long_valley(rng):
    def deep(x):
        return 0.5 * (x[0] ** 2 + 1e4 * x[1] ** 2), np.array([x[0], 1e4 * x[1]])

    return gd.minimize(deep, rng.normal(size=2) + np.array((3, 0)), method="sgd", max_iter=500)


@ill("oscillating")
def rate_near_the_edge(rng):
    start = rng.normal(size=2) + np.array((0, 2))
    return gd.minimize(valley, start, method=gd.optim.SGD(0.0198), max_iter=120)


@ill("oscillating")
def rate_near_the_edge_of_a_fit(rng):
    X, y = line(rng, n=500, p=2)
    X[:, 1] = X[:, 0] + 0.5 * X[:, 1]
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    most = np.linalg.eigvalsh(Z.T @ Z / len(Z))[-1]
    model = gd.LinearRegression(optimizer=gd.optim.SGD(1.99 / most), batch_size="full", alpha=0)
    return model.set_params(max_epochs=60).fit(X, y), X


@ill("too timid")
def rate_too_small(rng):
    X, y = line(rng)
    model = gd.LinearRegression(optimizer=gd.optim.SGD(1e-3), batch_size="full", max_epochs=200)
    return model.fit(X, y), X


@ill("too timid")
def rate_too_small_for_adam(rng):
    start = rng.normal(size=2) + np.array((5, 5))
    return gd.minimize(valley, start, method=gd.optim.Adam(1e-5), max_iter=300)


@ill("too timid")
def rate_too_small_for_batches(rng):
    X, y = line(rng)
    model = gd.LinearRegression(optimizer=gd.optim.SGD(1e-5), batch_size=16, max_epochs=20)
    return model.set_params(random_state=0).fit(X, y), X


@ill("too timid")
def network_hardly_moved(rng):
    X, y = rings(rng)
    model = gd.MLPClassifier(
        hidden_layer_sizes=(16,), learning_rate=1e-6, max_epochs=30, tol=0, random_state=0
    )
    return model.fit(X, y), X


@ill("saddle")
def start_on_a_ridge(rng):
    def saddle(x):
        return x[0] ** 2 - x[1] ** 2 + 0.1 * x[1] ** 4, np.array(
            [2 * x[0], -2 * x[1] + 0.4 * x[1] ** 3]
        )

    return gd.minimize(saddle, [rng.normal(), 0.0])


@ill("plateau")
def start_far_out(rng):
    def saturated(x):
        t = np.tanh(x @ x)
        return t, 2 * x * (1 - t * t)

    return gd.minimize(saturated, 8 + rng.uniform(size=2))


@ill("plateau")
def nothing_to_learn(rng):
    X = rng.normal(size=(2000, 5))
    layers = [gd.layers.Dense(8, "tanh"), gd.layers.Dense(1, init="zeros")]
    model = gd.MLPClassifier(layers=layers, alpha=0.0, max_epochs=30, tol=0, random_state=0)
    return model.fit(X, rng.integers(0, 2, 2000)), X


@ill("false convergence")
def small_changes_taken_for_a_minimum(rng):
    start = rng.normal(size=2) + np.array((3, 3))
    return gd.minimize(valley, start, method=gd.optim.SGD(1e-6), ftol=1e-1, gtol=0)


@ill("noise floor")
def constant_rate_of_small_batches(rng):
    X, y = line(rng, n=300, noise=2.0)
    model = gd.LinearRegression(optimizer=gd.optim.SGD(0.2), batch_size=4, max_epochs=80)
    return model.set_params(random_state=0).fit(X, y), X


@ill("noise floor")
def hovering_without_a_rule(rng):
    X, y = line(rng, n=300, noise=1.0)
    model = gd.LinearRegression(optimizer=gd.optim.SGD(0.2), batch_size=4, max_epochs=80, tol=0)
    return model.set_params(random_state=0).fit(X, y), X


@ill("badly scaled columns")
def metres_and_millimetres(rng):
    X, y = line(rng)
    X[:, 0] *= 1e4
    model = gd.LinearRegression(
        standardize=False, optimizer=gd.optim.SGD(1e-9), batch_size="full", max_epochs=300
    )
    return model.fit(X, y), X


@ill("collinear columns")
def column_that_is_a_sum(rng):
    X, y = line(rng)
    X = np.c_[X, X[:, 0] + X[:, 1]]
    return gd.LinearRegression(alpha=0).fit(X, y), X


@ill("separable classes")
def classes_apart(rng):
    X, y = classes(rng, noise=0.0)
    return gd.LogisticRegression(alpha=0, max_epochs=200).fit(X, y), X


@ill("vanishing gradients")
def many_sigmoids(rng):
    X, y = rings(rng)
    model = gd.MLPClassifier(
        hidden_layer_sizes=(10,) * 8, activation="sigmoid", optimizer=gd.optim.SGD(0.1),
        max_epochs=40, random_state=0, tol=0,
    )  # fmt: skip
    return model.fit(X, y), X


@ill("exploding gradients")
def weights_far_too_large(rng):
    X, y = rings(rng)
    wide = {"init": lambda rng, shape: 3 * rng.normal(size=shape)}
    layers = [gd.layers.Dense(30, "relu", **wide) for _ in range(5)]
    model = gd.MLPClassifier(
        layers=[*layers, gd.layers.Dense(1, **wide)], optimizer=gd.optim.SGD(1e-3), max_epochs=20,
        random_state=0, tol=0,
    )  # fmt: skip
    return model.fit(X, y), X


@ill("dead units")
def units_below_zero(rng):
    X, y = rings(rng)
    low = {"init": lambda rng, shape: -np.abs(rng.normal(size=shape))}
    layers = [gd.layers.Dense(20, "sigmoid"), gd.layers.Dense(20, "relu", **low)]
    model = gd.MLPClassifier(
        layers=[*layers, gd.layers.Dense(1)], max_epochs=40, random_state=0, tol=0
    )
    return model.fit(X, y), X


@ill("over-fitting")
def labels_by_chance(rng):
    X, y = rng.normal(size=(200, 20)), rng.integers(0, 2, 200)
    model = gd.MLPClassifier(
        hidden_layer_sizes=(64,), alpha=0.0, early_stopping=500, validation_fraction=0.3,
        max_epochs=100, tol=0, random_state=0,
    )  # fmt: skip
    return model.fit(X, y), X


@ill("wrong gradient")
def factor_forgotten(rng):
    def bowl(x):
        return x @ x, x  # and not 2x

    return gd.minimize(bowl, rng.normal(size=3), method=gd.optim.SGD(0.02), max_iter=100)


@ill("wrong gradient")
def sign_of_one_coordinate(rng):
    def bowl(x):
        return 0.5 * x @ x, x * (1, -1, 1)

    return gd.minimize(bowl, rng.normal(size=3) + np.array((0.5, 3, 0.5)))


@ill("wrong gradient")
def mean_forgotten(rng):
    A, b = rng.normal(size=(30, 10)), rng.normal(size=30)
    return gd.minimize(lambda w: (0.5 * np.mean((A @ w - b) ** 2), A.T @ (A @ w - b)), np.zeros(10))


@healthy
def least_squares(rng):
    X, y = line(rng)
    return gd.LinearRegression().fit(X, y), X


@healthy
def closed_form(rng):
    X, y = line(rng)
    return gd.LinearRegression(optimizer="closed-form").fit(X, y), X


@healthy
def plain_descent(rng):
    X, y = line(rng)
    model = gd.LinearRegression(optimizer="sgd", batch_size="full", tol=1e-6)
    return model.fit(X, y), X


@healthy
def nesterov(rng):
    X, y = classes(rng)
    return gd.LogisticRegression(optimizer="fista", tol=1e-6).fit(X, y), X


@healthy
def two_classes(rng):
    X, y = classes(rng)
    return gd.LogisticRegression().fit(X, y), X


@healthy
def columns_in_any_unit(rng):
    X, y = classes(rng)
    X *= 10.0 ** np.arange(-2, 3)
    return gd.LogisticRegression(optimizer="lbfgs").fit(X, y), X


@healthy
def lasso(rng):
    X, y = line(rng, p=20)
    return gd.LinearRegression(alpha=0.1, l1_ratio=1.0).fit(X, y), X


@healthy
def mini_batches(rng):
    X, y = line(rng, n=2000)
    return gd.LinearRegression(batch_size=32, max_epochs=60, random_state=0).fit(X, y), X


@healthy
def support_vectors(rng):
    X, y = classes(rng)
    return gd.LinearClassifier().fit(X, y), X


@healthy
def apart_with_a_penalty(rng):
    X, y = classes(rng, noise=0.0)
    return gd.LogisticRegression().fit(X, y), X


@healthy
def network(rng):
    X, y = rings(rng)
    return gd.MLPClassifier(hidden_layer_sizes=(32,), random_state=0).fit(X, y), X


@healthy
def network_with_early_stopping(rng):
    X, y = rings(rng, n=1000)
    model = gd.MLPClassifier(hidden_layer_sizes=(32, 32), early_stopping=10, random_state=0)
    return model.fit(X, y), X


@healthy
def deep_network(rng):
    X, y = rings(rng, n=600)
    model = gd.MLPClassifier(hidden_layer_sizes=(32,) * 4, max_epochs=60, tol=0, random_state=0)
    return model.fit(X, y), X


@healthy
def network_of_numbers(rng):
    X = rng.uniform(-2, 2, (500, 2))
    y = np.sin(2 * X[:, 0]) + X[:, 1] ** 2
    return gd.MLPRegressor(hidden_layer_sizes=(32, 32), random_state=0).fit(X, y), X


@healthy
def beale(rng):
    def fun(x):
        a, b, c = 1.5 - x[0] + x[0] * x[1], 2.25 - x[0] + x[0] * x[1] ** 2, 0
        c = 2.625 - x[0] + x[0] * x[1] ** 3
        dx = 2 * (a * (x[1] - 1) + b * (x[1] ** 2 - 1) + c * (x[1] ** 3 - 1))
        dy = 2 * x[0] * (a + 2 * b * x[1] + 3 * c * x[1] ** 2)
        return a * a + b * b + c * c, np.array([dx, dy])

    return gd.minimize(fun, np.array((2.5, 0.3)) + 0.2 * rng.normal(size=2))


@healthy
def powell(rng):
    def fun(x):
        a, b, c, d = x[0] + 10 * x[1], x[2] - x[3], x[1] - 2 * x[2], x[0] - x[3]
        g = np.array([2 * a + 40 * d**3, 20 * a + 4 * c**3, 10 * b - 8 * c**3, -10 * b - 40 * d**3])
        return a * a + 5 * b * b + c**4 + 10 * d**4, g

    return gd.minimize(fun, rng.normal(size=4))


@healthy
def largest_of_three(rng):
    def fun(x):
        size = np.abs(x)
        return size.max(), np.where(size == size.max(), np.sign(x), 0)

    return gd.minimize(fun, rng.normal(size=3), method="adgd", max_iter=300)


@healthy
def rosenbrock(rng):
    def banana(x):
        a, b = 1 - x[0], x[1] - x[0] ** 2
        return a * a + 100 * b * b, np.array([-2 * a - 400 * x[0] * b, 200 * b])

    return gd.minimize(banana, rng.normal(size=2))


@healthy
def adam_on_a_function(rng):
    return gd.minimize(valley, rng.normal(size=2), method="adam")


@healthy
def function_with_a_kink(rng):
    def kinked(x):
        return np.abs(x).sum(), np.sign(x)

    cosine = gd.schedules.Cosine(200)
    return gd.minimize(
        kinked, rng.normal(size=3), method=gd.optim.SGD(0.1), learning_rate=cosine, max_iter=200
    )
