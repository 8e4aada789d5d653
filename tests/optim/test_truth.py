"""Each rule against its formula, written out here once more, and against minima known otherwise."""

import math

import numpy as np
import pytest

import gdcore as gd

RULES = {
    "SGD": {"lr": 0.1},
    "Momentum": {"lr": 0.1, "momentum": 0.8},
    "Nesterov": {"lr": 0.1, "momentum": 0.8},
    "AdaGrad": {"lr": 0.5, "eps": 1e-3},
    "RMSProp": {"lr": 0.05, "decay": 0.9, "eps": 1e-3},
    "Adam": {"lr": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3},
    "AdamW": {"lr": 0.1, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "decay": 0.2},
    "FISTA": {"lr": 0.1},
}
EVERY = pytest.mark.parametrize("name", RULES)  # the others' formulas stand in textbook.py


def textbook(name, x, gradient, steps, lr, momentum=0, decay=0, beta1=0, beta2=0, eps=0):
    """Points of one coordinate, by the formulas of the papers in PyTorch's conventions."""
    b = m = v = 0.0
    s, last, points = 1.0, x, []
    for t in range(1, steps + 1):
        g = gradient(x)
        if name == "SGD":
            x = x - lr * g
        elif name == "Momentum":
            b = momentum * b + g
            x = x - lr * b
        elif name == "Nesterov":
            b = momentum * b + g
            x = x - lr * (g + momentum * b)
        elif name == "AdaGrad":
            v = v + g * g
            x = x - lr * g / (math.sqrt(v) + eps)
        elif name == "RMSProp":
            v = decay * v + (1 - decay) * g * g
            x = x - lr * g / (math.sqrt(v) + eps)
        elif name in ("Adam", "AdamW"):
            x = x * (1 - lr * decay)  # Adam has none
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
            x = x - lr * m_hat / (math.sqrt(v_hat) + eps)
        else:
            assert name == "FISTA"
            point = x - lr * g
            if (x - point) * (point - last) > 0:
                s, x, last = 1.0, point, point
            else:
                after = (1 + math.sqrt(1 + 4 * s * s)) / 2
                x, last, s = point + (s - 1) / after * (point - last), point, after
        points.append(x)
    return points


@EVERY
@pytest.mark.parametrize(("dtype", "near"), [(np.float64, 1e-12), (np.float32, 2e-4)])
def test_the_trajectory_is_the_formulas(name, dtype, near):
    """On J = ½cx² + sin x: gradients of both signs and changing size."""
    rule = getattr(gd.optim, name)(**RULES[name])
    theta = np.array([3.0], dtype)
    state, points = rule.init(theta), []
    for _ in range(60):
        g = theta + np.cos(theta)
        rule.step(theta, g, state, rule.lr)
        rule.extrapolate(theta, g, state)
        points.append(float(theta[0]))
    expected = textbook(name, 3.0, lambda x: x + math.cos(x), 60, **RULES[name])
    np.testing.assert_allclose(points, expected, rtol=near, atol=near)


@EVERY
def test_coordinates_do_not_see_each_other(name):
    """Except through FISTA's restart; so a longer θ is a shorter one many times."""
    rule = getattr(gd.optim, name)(**RULES[name])
    one, many = np.array([2.0]), np.full(1001, 2.0)
    states = rule.init(one), rule.init(many)
    for t in range(20):
        for theta, state in zip((one, many), states, strict=True):
            g = np.full(len(theta), math.cos(t) + 0.5)
            rule.step(theta, g, state, rule.lr)
            rule.extrapolate(theta, g, state)
    assert (many == one[0]).all()


RATES = {"AdaGrad": 0.5, "RMSProp": 0.02, "Adam": 0.05, "AdamW": 0.05}


@EVERY
@pytest.mark.parametrize("condition", [1e1, 1e4])
def test_descends_where_curvatures_differ(name, condition):
    """In a rotated frame. RMSProp's steps do not shrink with the gradient: near, but not nearer."""
    rng = np.random.default_rng(0)
    frame, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    H = frame @ np.diag(np.geomspace(1 / condition, 1, 6)) @ frame.T
    settings = {"lr": RATES.get(name, 0.2)} | ({"decay": 0} if name == "AdamW" else {})
    rule, theta = getattr(gd.optim, name)(**settings), frame @ np.ones(6)
    state, start = rule.init(theta), 0.5 * theta @ H @ theta
    for t in range(3000):
        g = H @ theta
        rule.step(theta, g, state, rule.lr / (1 + t / 1000))
        rule.extrapolate(theta, g, state)
    reached = 1e-2 if condition == 1e4 else 1e-4 if name == "RMSProp" else 1e-8
    assert 0.5 * theta @ H @ theta < reached * start


def problem():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(120, 5)) * [1, 2, 0.5, 1, 1]
    return X, (X @ [1, -1, 2, 0, 0] + rng.logistic(size=120) > 0).astype(float)


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_descends_to_the_minimum_of_a_logistic_cost(name, dtype):
    X, y = problem()

    def cost_and_gradient(theta):
        z = X @ theta
        cost = np.logaddexp(0, z).mean() - (y * z).mean() + 0.05 * theta @ theta
        return cost, X.T @ (1 / (1 + np.exp(-z)) - y) / len(y) + 0.1 * theta

    best = np.zeros(5)  # Newton's method
    for _ in range(20):
        p = 1 / (1 + np.exp(-X @ best))
        H = (X.T * (p * (1 - p))) @ X / len(y) + 0.1 * np.eye(5)
        best = best - np.linalg.solve(H, cost_and_gradient(best)[1])
    settings = {"lr": RATES.get(name, 0.2)} | ({"decay": 0} if name == "AdamW" else {})
    rule, theta = getattr(gd.optim, name)(**settings), np.zeros(5, dtype)
    state = rule.init(theta)
    for t in range(1000):
        g = cost_and_gradient(theta.astype(np.float64))[1].astype(dtype)
        rule.step(theta, g, state, rule.lr / (1 + t / 100))
        rule.extrapolate(theta, g, state)
    assert theta.dtype == dtype
    assert np.abs(theta - best).max() < 1e-3


def lasso():
    """(H, c, weight) of J = ½θᵀHθ − cᵀθ + weight·‖θ‖₁ over a correlated design."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(60, 12)) + rng.normal(size=(60, 1))
    y = X[:, 0] - 2 * X[:, 3] + 0.1 * rng.normal(size=60)
    return X.T @ X / 60, X.T @ y / 60, 0.2


def coordinate_descent(H, c, weight):
    theta = np.zeros(len(c))
    for _ in range(5000):
        for j in range(len(c)):
            rest = c[j] - H[j] @ theta + H[j, j] * theta[j]
            theta[j] = np.sign(rest) * max(abs(rest) - weight, 0) / H[j, j]
    return theta


def proximal_descent(name, steps):
    """Distances from the lasso's minimum, and the last point."""
    H, c, weight = lasso()
    penalty = gd.penalties.Penalty(np.zeros(12), np.full(12, weight))
    best = coordinate_descent(H, c, weight)
    rule = getattr(gd.optim, name)(1 / np.linalg.eigvalsh(H)[-1])
    theta, far = np.zeros(12), []
    state = rule.init(theta)
    for _ in range(steps):
        g = H @ theta - c
        rule.step(theta, g, state, rule.lr)
        penalty.prox(theta, rule.reach(state, rule.lr))
        point = theta.copy()
        rule.extrapolate(theta, g, state)
        far.append(np.abs(point - best).max())
    g = H @ point - c
    assert np.linalg.norm(penalty.steepest(point, g)) < 1e3 * far[-1] + 1e-12
    return far, point, best


def test_fista_reaches_the_lassos_minimum_with_its_exact_zeros():
    far, point, best = proximal_descent("FISTA", 500)
    assert far[-1] < 1e-10
    assert 0 < (best == 0).sum() < 12
    np.testing.assert_array_equal(point == 0, best == 0)


def test_fista_needs_fewer_steps_than_plain_proximal_descent():
    fast, plain = proximal_descent("FISTA", 3000)[0], proximal_descent("SGD", 3000)[0]
    needed = [next(t for t, d in enumerate(far) if d < 1e-6) for far in (fast, plain)]
    assert 3 * needed[0] < needed[1]


def test_fista_falls_as_one_over_t_squared():
    """Beck & Teboulle's bound, 2L‖θ₀ − θ*‖²/(t + 1)², on a quadratic with no strong convexity."""
    curvature = np.geomspace(1e-9, 1, 50)
    theta, rule = np.ones(50), gd.optim.FISTA(1.0)
    state = rule.init(theta)
    for t in range(1, 1000):
        g = curvature * theta
        rule.step(theta, g, state, 1.0)
        cost = 0.5 * curvature @ theta**2
        rule.extrapolate(theta, g, state)
        assert cost <= 2 * 50 / (t + 1) ** 2
