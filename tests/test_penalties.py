"""Penalties against a grid and against each other; the rest is in test_ground.py."""

import numpy as np
import pytest

import gdcore as gd

GRID = np.linspace(-5, 5, 200_001)
RIDGE, LASSO = np.array([0.0, 1.0, 0.0, 0.5]), np.array([0.0, 0.0, 1.5, 0.5])


def test_the_value_is_the_formulas():
    theta = np.array([3.0, -2.0, -1.0, 4.0])
    value = gd.penalties.Penalty(RIDGE, LASSO).value(theta)
    assert value == pytest.approx(0 + 0.5 * 1 * 4 + 1.5 * 1 + 0.5 * 0.5 * 16 + 0.5 * 4)
    assert type(value) is float
    assert gd.penalties.Penalty(RIDGE, 0 * LASSO).smooth
    assert not gd.penalties.Penalty(RIDGE, LASSO).smooth


@pytest.mark.parametrize("reach", [0.0, 0.25, 2.0, np.array([0.1, 0.2, 0.4, 0.8])])
def test_the_prox_is_the_argmin_for_one_reach_or_one_a_coordinate(reach):
    """The ridge is left to the gradient: of the penalty, the prox knows the |θ| term alone."""
    penalty = gd.penalties.Penalty(RIDGE, LASSO)
    start = np.array([-3.0, 0.4, 1.9, -0.3])
    theta = start.copy()
    penalty.prox(theta, reach)
    for j, far in enumerate(np.broadcast_to(reach, 4)):
        work = 0.5 * (GRID - start[j]) ** 2 + far * LASSO[j] * np.abs(GRID)
        assert theta[j] == pytest.approx(GRID[work.argmin()], abs=1e-4)


def test_the_prox_never_moves_points_apart():
    rng = np.random.default_rng(0)
    penalty = gd.penalties.Penalty(np.zeros(50), rng.random(50))
    one, other = rng.normal(size=(2, 50))
    apart = np.abs(one - other)
    penalty.prox(one, 0.7)
    penalty.prox(other, 0.7)
    assert (np.abs(one - other) <= apart + 1e-15).all()


def test_a_point_that_the_proximal_step_keeps_has_no_slope():
    """The two tests of a minimum are one: θ = prox(θ − g) exactly where `steepest` is zero."""
    rng = np.random.default_rng(1)
    penalty = gd.penalties.Penalty(np.zeros(200), np.full(200, 0.5))
    theta = np.where(rng.random(200) < 0.5, 0, rng.normal(size=200))
    g = np.where(rng.random(200) < 0.5, -0.5 * np.sign(theta), rng.normal(size=200))
    moved = theta - g
    penalty.prox(moved, 1.0)
    kept, flat = np.isclose(moved, theta, atol=1e-15), penalty.steepest(theta, g) == 0
    np.testing.assert_array_equal(kept, flat)
    assert 20 < kept.sum() < 180


def test_the_shortest_subgradient_is_the_shortest():
    """Among g + lasso·s, s in [−1, 1] where θ = 0."""
    penalty = gd.penalties.Penalty(np.zeros(1), np.array([0.7]))
    for g in (-2.0, -0.7, -0.1, 0.0, 0.3, 5.0):
        choices = g + 0.7 * np.linspace(-1, 1, 100_001)
        shortest = choices[np.abs(choices).argmin()]
        assert penalty.steepest(np.zeros(1), np.array([g])) == pytest.approx(shortest, abs=1e-5)
