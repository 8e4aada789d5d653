"""Costs that every optimizer must go down, and the settings with which each is to do it."""

import numpy as np

import gdcore as gd

RULES = {name: getattr(gd.optim, name) for name in gd.optim.__all__}

# Settings for a cost whose curvature is about 1 and whose minimum is a few units away.
SETTINGS = {
    "SGD": {"lr": 0.9},
    "Momentum": {"lr": 0.2},
    "Nesterov": {"lr": 0.2},
    "FISTA": {"lr": 0.9},
    "AdaGrad": {"lr": 0.5},
    "AdaDelta": {"lr": 1.0, "eps": 1e-3},
    "RMSProp": {"lr": 0.02},
    "AdamW": {"lr": 0.05, "decay": 0.0},
    "Lion": {"lr": 0.01},
    "ScheduleFreeSGD": {"lr": 0.9},
    "ScheduleFreeAdamW": {"lr": 0.1},
    "Polyak": {},
    "AdGD": {},
    "LBFGS": {},
    "DoWG": {},
    "Prodigy": {},
    "Muon": {"lr": 0.02, "rest": gd.optim.AdamW(0.05, decay=0.0)},
}


def made(name, landscape):
    """The rule, its rate scaled to this landscape where it is in units of 1/curvature."""
    settings = SETTINGS.get(name, {"lr": 0.05})
    if landscape.steep and name == "AdaDelta":  # its steps begin at √eps, and grow
        settings = {"lr": 1.0, "eps": 1e-5}
    if name == "Polyak":
        settings = {"minimum": landscape.least}
    rule = RULES[name](**settings)
    if name == "RAdam" and landscape.steep:  # its first steps are as long as the gradient says
        return RULES[name](2 * landscape.by)
    if rule.scale == "gradient":
        return RULES[name](**settings | {"lr": rule.lr * landscape.by})
    return rule


def descend(rule, theta, landscape):
    """The rule's solution after the landscape's steps, rates falling as 1/t. Changes theta."""
    state = rule.init(theta)
    for t in range(landscape.steps):
        cost, g = landscape.fun(theta.astype(np.float64))
        if not np.abs(g).max() > 1e-12:  # there, or lost
            break
        lr = rule.lr / (1 + t / (landscape.steps / 6))
        rule.step(theta, g.astype(theta.dtype), state, lr, cost=cost)
        rule.extrapolate(theta, g, state)
    return rule.solution(theta, state)


class Landscape:
    """value_and_gradient, a start, the rates' size relative to curvature 1, and what to reach."""

    def __init__(self, fun, start, reach, by=1.0, steps=1500, steep=False, least=0.0):
        self.fun, self.start, self.reach, self.least = fun, start, reach, least
        self.by, self.steps, self.steep = by, steps, steep


def quadratic(condition):
    curvature = np.geomspace(1 / condition, 1, 5)
    start = np.full(5, 2.0)
    first = 0.5 * curvature @ start**2
    return Landscape(lambda x: (0.5 * curvature @ x**2, curvature * x), start, 0.01 * first)


def rosenbrock(x):
    a, b = 1 - x[0], x[1] - x[0] ** 2
    return a * a + 100 * b * b, np.array([-2 * a - 400 * x[0] * b, 200 * b])


def beale(x):
    a, b = x
    terms = np.array([1.5 - a + a * b, 2.25 - a + a * b**2, 2.625 - a + a * b**3])
    da = np.array([b - 1, b**2 - 1, b**3 - 1])
    db = np.array([a, 2 * a * b, 3 * a * b**2])
    return float(terms @ terms), np.array([2 * terms @ da, 2 * terms @ db])


def styblinski_tang(x):
    """Shifted so that its minimum, at −2.903534 everywhere, is 0."""
    value = 0.5 * np.sum(x**4 - 16 * x**2 + 5 * x) + 39.16616570377142 * len(x)
    return float(value), 0.5 * (4 * x**3 - 32 * x + 5)


def logistic():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(120, 5)) * [1, 2, 0.5, 1, 1]
    y = (X @ [1, -1, 2, 0, 0] + rng.logistic(size=120) > 0).astype(float)

    def fun(theta):
        z = X @ theta
        cost = np.logaddexp(0, z).mean() - (y * z).mean() + 0.05 * theta @ theta
        return float(cost), X.T @ (1 / (1 + np.exp(-z)) - y) / len(y) + 0.1 * theta

    return fun


def network():
    """Two inputs, eight tanh units, one output: the exclusive or."""
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float) * 2 - 1
    y = np.array([0, 1, 1, 0.0]) * 2 - 1

    def fun(theta):
        W, b, v = theta[:16].reshape(2, 8), theta[16:24], theta[24:32]
        h = np.tanh(X @ W + b)
        r = h @ v + theta[32] - y
        d = (r[:, None] * v) * (1 - h * h)
        g = [(X.T @ d).ravel(), d.sum(0), h.T @ r, [r.sum()]]
        return float(0.5 * r @ r / 4), np.concatenate(g) / 4

    return fun, 0.5 * np.random.default_rng(0).normal(size=33)


LANDSCAPES = {
    "quadratic, condition 1": quadratic(1),
    "quadratic, condition 100": quadratic(100),
    "quadratic, condition 1e6": quadratic(1e6),
    "Rosenbrock": Landscape(
        rosenbrock, np.array([-1.2, 1.0]), 0.1, by=1e-3, steps=13_000, steep=True
    ),
    "Beale": Landscape(beale, np.array([1.0, 1.0]), 0.02, by=0.01, steps=5000, steep=True),
    "Styblinski-Tang": Landscape(
        styblinski_tang, np.array([-1.0, -4.0, -2.0]), 0.3, by=0.02, steep=True
    ),
    "logistic": Landscape(logistic(), np.zeros(5), 0.53, by=0.5, least=0.5216),
    "a network": Landscape(*network(), 0.05, by=0.2, steps=2500),
}
