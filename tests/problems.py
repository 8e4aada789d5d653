"""Functions to minimise with gradients and starts, most from Moré, Garbow & Hillstrom (1981)."""

import numpy as np

from tests.optim.landscapes import beale, logistic, network, rosenbrock, styblinski_tang


def quadratic(n, condition):
    curvature = np.geomspace(1, condition, n)
    return (lambda x: (0.5 * float(curvature @ x**2), curvature * x)), np.ones(n)


def extended_rosenbrock(x):
    a, b = x[1::2] - x[::2] ** 2, 1 - x[::2]
    g = np.empty_like(x)
    g[::2] = -400 * x[::2] * a - 2 * b
    g[1::2] = 200 * a
    return float(100 * a @ a + b @ b), g


def residuals(fun):
    """½ a sum of squares: fun gives residuals and their Jacobian."""

    def value_and_gradient(x):
        r, J = fun(x)
        return 0.5 * float(r @ r), J.T @ r

    return value_and_gradient


@residuals
def powell_singular(x):
    a, b, c, d = x
    r = [a + 10 * b, np.sqrt(5) * (c - d), (b - 2 * c) ** 2, np.sqrt(10) * (a - d) ** 2]
    s, e = 2 * (b - 2 * c), 2 * np.sqrt(10) * (a - d)
    return np.array(r), np.array(
        [[1, 10, 0, 0], [0, 0, np.sqrt(5), -np.sqrt(5)], [0, s, -2 * s, 0], [e, 0, 0, -e]]
    )


@residuals
def wood(x):
    a, b, c, d = x
    t, u, v = 10, np.sqrt(90), np.sqrt(10)
    r = [t * (b - a * a), 1 - a, u * (d - c * c), 1 - c, v * (b + d - 2), (b - d) / v]
    J = [[-2 * t * a, t, 0, 0], [-1, 0, 0, 0], [0, 0, -2 * u * c, u], [0, 0, -1, 0],
         [0, v, 0, v], [0, 1 / v, 0, -1 / v]]  # fmt: skip
    return np.array(r), np.array(J)


@residuals
def helical_valley(x):
    a, b, c = x
    turn = np.arctan(b / a) / (2 * np.pi) + (a < 0) / 2
    radius, square = np.hypot(a, b), a * a + b * b
    da, db = -b / square / (2 * np.pi), a / square / (2 * np.pi)
    r = [10 * (c - 10 * turn), 10 * (radius - 1), c]
    J = [[-100 * da, -100 * db, 10], [10 * a / radius, 10 * b / radius, 0], [0, 0, 1]]
    return np.array(r), np.array(J)


@residuals
def brown_badly_scaled(x):
    a, b = x
    return np.array([a - 1e6, b - 2e-6, a * b - 2]), np.array([[1, 0], [0, 1], [b, a]])


@residuals
def trigonometric(x):
    n = len(x)
    r = n - np.cos(x).sum() + np.arange(1, n + 1) * (1 - np.cos(x)) - np.sin(x)
    J = np.tile(np.sin(x), (n, 1))
    J[np.diag_indices(n)] += np.arange(1, n + 1) * np.sin(x) - np.cos(x)
    return r, J


@residuals
def bard(x):
    u = np.arange(1, 16)
    y = np.array([14, 18, 22, 25, 29, 32, 35, 39, 37, 58, 73, 96, 134, 210, 439]) / 100
    v, w = 16 - u, np.minimum(u, 16 - u)
    low = v * x[1] + w * x[2]
    return y - (x[0] + u / low), np.column_stack([-np.ones(15), u * v / low**2, u * w / low**2])


@residuals
def booth(x):
    return np.array([x[0] + 2 * x[1] - 7, 2 * x[0] + x[1] - 5]), np.array([[1, 2], [2, 1]])


@residuals
def himmelblau(x):
    a, b = x
    return np.array([a * a + b - 11, a + b * b - 7]), np.array([[2 * a, 1], [1, 2 * b]])


@residuals
def variably_dimensioned(x):
    j = np.arange(1, len(x) + 1)
    s = float(j @ (x - 1))
    return np.r_[x - 1, s, s * s], np.vstack([np.eye(len(x)), j, 2 * s * j])


def broyden_tridiagonal(x):
    r = (3 - 2 * x) * x + 1
    r[1:] -= x[:-1]
    r[:-1] -= 2 * x[1:]
    g = (3 - 4 * x) * r
    g[:-1] -= r[1:]
    g[1:] -= 2 * r[:-1]
    return 0.5 * float(r @ r), g


def styblinski(n):
    return styblinski_tang, np.linspace(-1, 1, n)


PROBLEMS = {
    "quadratic 10, 1": quadratic(10, 1),
    "quadratic 10, 100": quadratic(10, 1e2),
    "quadratic 50, 1e4": quadratic(50, 1e4),
    "quadratic 100, 1e6": quadratic(100, 1e6),
    "Rosenbrock": (rosenbrock, np.array([-1.2, 1.0])),
    "Rosenbrock 10": (extended_rosenbrock, np.tile([-1.2, 1.0], 5)),
    "Rosenbrock 100": (extended_rosenbrock, np.tile([-1.2, 1.0], 50)),
    "Beale": (beale, np.array([1.0, 1.0])),
    "Styblinski-Tang 10": styblinski(10),
    "logistic": (logistic(), np.zeros(5)),
    "network": network(),
    "Powell singular": (powell_singular, np.array([3.0, -1, 0, 1])),
    "Wood": (wood, np.array([-3.0, -1, -3, -1])),
    "helical valley": (helical_valley, np.array([-1.0, 0, 0])),
    "Brown badly scaled": (brown_badly_scaled, np.array([1.0, 1.0])),
    "trigonometric 20": (trigonometric, np.full(20, 1 / 20)),
    "Bard": (bard, np.ones(3)),
    "Booth": (booth, np.zeros(2)),
    "Himmelblau": (himmelblau, np.zeros(2)),
    "variably dimensioned 10": (variably_dimensioned, 1 - np.arange(1, 11) / 10),
    "Broyden tridiagonal 50": (broyden_tridiagonal, -np.ones(50)),
}
