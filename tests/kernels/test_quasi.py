"""Quasi-Newton steps: the recursion against the dense formula, the search by its conditions."""

import math

import numpy as np
import pytest

from tests.kernels.cases import pairs

N = 6
RNG = np.random.default_rng(0)
ROOT = RNG.normal(size=(N, N))
H = ROOT @ ROOT.T + np.eye(N)


def dense_inverse(S, Y):
    """BFGS's inverse Hessian from all pairs, oldest first: H ← VᵀHV + ssᵀ/sᵀy."""
    s, y = S[-1], Y[-1]
    inverse = np.eye(S.shape[1]) * (s @ y) / (y @ y)
    for s, y in zip(S, Y, strict=True):
        V = np.eye(len(s)) - np.outer(y, s) / (s @ y)
        inverse = V.T @ inverse @ V + np.outer(s, s) / (s @ y)
    return inverse


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("newest", [0, 3, 4])
def test_the_two_loops_are_the_dense_formula(kernels, count, newest):
    S = RNG.normal(size=(5, N))
    Y, g, d = S @ H, RNG.normal(size=N), np.empty(N)
    rho = 1 / (S * Y).sum(axis=1)
    slope = kernels.two_loop(g, S, Y, rho, newest, count, d)
    rows = [(newest - k) % 5 for k in reversed(range(count))]
    np.testing.assert_allclose(d, -dense_inverse(S[rows], Y[rows]) @ g, rtol=1e-9)
    assert slope == pytest.approx(g @ d)
    assert slope < 0


def test_without_pairs_it_is_the_gradient(kernels):
    g, d = RNG.normal(size=N), np.empty(N)
    assert kernels.two_loop(g, np.zeros((2, N)), np.zeros((2, N)), np.zeros(2), 0, 0, d) < 0
    np.testing.assert_array_equal(d, -g)


@pytest.mark.parametrize("bend", [1.0, 0.0, -1.0])
def test_a_pair_is_kept_where_its_curvature_is_positive(kernels, bend):
    x, before = RNG.normal(size=(2, N))
    S, Y, rho = np.zeros((3, N)), np.zeros((3, N)), np.ones(3)
    far = kernels.curvature_pair(x, before, bend * x, bend * before, S, Y, rho, 1, 1e-10)
    assert far == pytest.approx(np.linalg.norm(x - before))
    np.testing.assert_array_equal(S[1], x - before)
    assert rho[1] == pytest.approx(1 / (S[1] @ S[1]) if bend > 0 else 0)
    assert (rho[[0, 2]] == 1).all()
    assert not S[[0, 2]].any()


def step(kernels, fun, x, pairs=0, memory=4):
    """(answer, x_new, g_new, the trials' points) of one step from x."""
    seen, g = [], np.empty_like(x)
    value = fun(x, g)

    def evaluate(point, slope):
        seen.append(point.copy())
        return fun(point, slope)

    room = np.zeros((memory + 1, len(x)))
    new, slopes = np.empty_like(x), np.empty_like(x)
    answer = kernels.wolfe_step(
        evaluate, x, g, value, room, room.copy(), np.zeros(memory + 1), pairs, 1e-10, new, slopes
    )
    return answer, new, slopes, seen, (value, g)


def valley(x, g):
    """Rosenbrock's: curved, so that first trials are too long or too short."""
    a, b = 1 - x[0], x[1] - x[0] ** 2
    g[:] = -2 * a - 400 * x[0] * b, 200 * b
    return a * a + 100 * b * b


def quartic(x, g):
    g[:] = 4 * x**3
    return float(np.sum(x**4))


def shallow(x, g):
    """A slope of 1e-4 for a long way: trials must grow."""
    g[:] = 1e-4 * x / np.sqrt(1 + x * x)
    return float(1e-4 * np.sqrt(1 + x * x).sum())


FUNCTIONS = {"valley": (valley, 2), "quartic": (quartic, 3), "shallow": (shallow, 2)}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("seed", range(8))
def test_strong_wolfe_conditions_hold(kernels, name, seed):
    fun, n = FUNCTIONS[name]
    x = np.random.default_rng(seed).normal(size=n) * 3
    (f, far, kept, trials), new, slopes, seen, (value, g) = step(kernels, fun, x)
    along, here = new - x, np.empty(n)
    assert f == fun(new, here)
    np.testing.assert_array_equal(here, slopes)
    assert f <= value + 1e-4 * (g @ along)
    assert abs(slopes @ along) <= 0.9 * abs(g @ along) + 1e-14
    assert far == pytest.approx(np.linalg.norm(along))
    assert trials == len(seen) <= 20
    assert kept in (0, 1)


@pytest.mark.parametrize("beyond", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_a_wall(kernels, beyond):
    """f = x − log x, which is asked for beyond 0 at first."""

    def fun(x, g):
        if (x <= 0).any():
            g[:] = beyond
            return beyond
        g[:] = 4 - 1 / x
        return float(np.sum(4 * x - np.log(x)))

    x = np.full(2, 0.3)
    (f, *_), new, _, seen, (value, _) = step(kernels, fun, x)
    assert any((point <= 0).any() for point in seen)
    assert (new > 0).all()
    assert f < value


def test_no_lower_point_is_said(kernels):
    """A gradient that points the wrong way, as a user's wrong derivative does."""

    def wrong(x, g):
        g[:] = -2 * x
        return float(x @ x)

    (f, far, kept, trials), *_ = step(kernels, wrong, np.ones(3))
    assert math.isnan(f)
    assert (far, kept) == (0.0, 0)
    assert 0 < trials <= 20
    (f, *_), _, _, seen, _ = step(kernels, lambda x, g: g.fill(0) or 1.0, np.ones(3))
    assert math.isnan(f)
    assert not seen


def test_pairs_that_lead_nowhere_are_forgotten(kernels):
    known = pairs(np.float64)
    x, g = np.ones(37), np.ones(37)
    rho = np.full(4, np.nan)  # whatever has become of them
    new, slopes = np.empty(37), np.empty(37)

    def fun(point, slope):
        slope[:] = point
        return 0.5 * float(point @ point)

    f, _, kept, _ = kernels.wolfe_step(
        fun, x, g, 18.5, known["S"], known["Y"], rho, 3, 1e-10, new, slopes
    )
    assert f < 18.5
    assert kept == 1


def test_what_fun_raises_comes_through(kernels):
    def broken(x, g):
        raise RuntimeError("the user's own")

    x, room = np.ones(2), np.zeros((3, 2))
    with pytest.raises(RuntimeError, match="the user's own"):
        kernels.wolfe_step(
            broken, x, x.copy(), 1.0, room, room.copy(), np.zeros(3), 0, 0.1, x.copy(), x.copy()
        )
    assert not room.any()
