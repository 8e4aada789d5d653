"""The ground floor: θ, losses, penalties, trace."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.parameters import aligned, aligned_copy
from gdcore.trace import Trace

RNG = np.random.default_rng(0)


def test_parameters_are_views_of_one_vector():
    theta = gd.Parameters({"coef": (2, 3), "intercept": (2,)})
    theta["coef"][1, 2] = 5
    theta["intercept"][:] = 7
    np.testing.assert_array_equal(theta.vector, [0, 0, 0, 0, 0, 5, 7, 7])
    assert list(theta) == ["coef", "intercept"]
    assert len(theta) == 8
    other = theta.like(np.arange(8.0))
    np.testing.assert_array_equal(other["intercept"], [6, 7])
    with pytest.raises(ValueError, match="contiguous vector of 8 numbers"):
        theta.like(np.zeros(7))
    with pytest.raises(ValueError, match="contiguous"):
        theta.like(np.zeros(16)[::2])


LOSSES = [(gd.losses.Squared(), 1), (gd.losses.Logistic(), 1), (gd.losses.Softmax(), 4)]
EACH = pytest.mark.parametrize(("loss", "k"), LOSSES, ids=lambda each: type(each).__name__)


def targets(loss, k, n=50):
    if isinstance(loss, gd.losses.Squared):
        return RNG.normal(size=n)
    return RNG.integers(0, max(k, 2), n).astype(float)


@EACH
def test_the_slope_is_the_derivative_of_the_value(loss, k):
    z, y, h = RNG.normal(size=(50, k)) * 3, targets(loss, k), 1e-6
    for j in range(k):
        step = np.zeros(k)
        step[j] = h
        difference = (loss.value(z + step, y) - loss.value(z - step, y)) / (2 * h)
        np.testing.assert_allclose(loss.slope(z, y)[:, j], difference, atol=1e-8)


@EACH
def test_curvature_bounds_the_second_derivative(loss, k):
    z, y, h = RNG.normal(size=(2000, k)) * 2, targets(loss, k, 2000), 1e-5
    along = RNG.normal(size=(2000, k))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    change = (loss.slope(z + h * along, y) - loss.slope(z - h * along, y)) / (2 * h)
    second = (change * along).sum(axis=1)
    assert second.max() <= loss.curvature * (1 + 1e-6)
    assert second.min() >= -1e-6


@EACH
def test_the_constant_start_is_the_best_constant(loss, k):
    y, s = targets(loss, k), RNG.random(50)
    margin = loss.constant(y, s, k)
    slope = s @ loss.slope(np.tile(margin, (50, 1)), y)
    np.testing.assert_allclose(slope, 0, atol=1e-10)


def test_the_prox_is_the_argmin():
    penalty = gd.penalties.Penalty(np.zeros(3), np.array([0.0, 1.0, 2.0]))
    grid = np.linspace(-4, 4, 80_001)
    for start in (-3.0, -0.4, 0.0, 0.7, 2.5):
        theta = np.full(3, start)
        penalty.prox(theta, 0.5)
        for j, weight in enumerate(penalty.lasso):
            best = grid[np.argmin((grid - start) ** 2 / (2 * 0.5) + weight * np.abs(grid))]
            assert theta[j] == pytest.approx(best, abs=2e-4)


def test_the_shortest_subgradient_is_zero_at_the_minimum():
    penalty = gd.penalties.Penalty(np.zeros(3), np.full(3, 1.0))
    theta, g = np.array([0.0, 2.0, -1.0]), np.array([0.9, -1.0, 1.0])
    np.testing.assert_array_equal(penalty.steepest(theta, g), 0)
    np.testing.assert_allclose(penalty.steepest(np.zeros(3), np.array([3.0, -3, 0.5])), [2, -2, 0])


def test_the_penaltys_gradient_is_the_derivative_of_its_value():
    penalty = gd.penalties.Penalty(np.array([2.0, 0.5]), np.zeros(2))
    theta, g, h = np.array([1.5, -2.0]), np.zeros(2), 1e-6
    penalty.add_gradient(theta, g)
    for j in range(2):
        step = h * np.eye(2)[j]
        rise = penalty.value(theta + step) - penalty.value(theta - step)
        assert g[j] == pytest.approx(rise / (2 * h), rel=1e-8)


def test_the_trace_is_bounded_and_keeps_both_ends():
    trace = Trace(limit=100)
    for t in range(5000):
        trace.add(step=t, cost=1.0 / (t + 1))
    assert len(trace) <= 100
    assert trace.step[0] == 0
    assert trace.step[-1] == 4999
    assert (np.diff(trace.step) > 0).all()
    assert np.isnan(trace.validation).all()
    assert set(trace.to_dict()) >= {"step", "cost", "gradient_norm", "seconds"}
    with pytest.raises(AttributeError, match="A Trace has no 'loss'"):
        _ = trace.loss


def test_results_are_dicts_with_attributes():
    from gdcore.result import Result

    result = Result(fun=1.0, x=np.arange(10.0))
    assert result.fun == result["fun"]
    assert "array of shape (10,)" in repr(result)
    assert "fun" in dir(result)
    with pytest.raises(AttributeError, match="A Result has no 'xx'"):
        _ = result.xx


@pytest.mark.parametrize("eps", [0, -1e-6])
@pytest.mark.parametrize("rule", ["GradientNorm", "CostChange", "ParameterChange"])
def test_rules_need_a_positive_number(rule, eps):
    with pytest.raises(ValueError, match=f"{rule} needs eps > 0"):
        getattr(gd.convergence, rule)(eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 7, 16, 1000])
def test_vectors_begin_with_a_line_of_the_cache(size, dtype):
    vector = aligned(size, dtype)
    assert vector.shape == (size,)
    assert vector.dtype == dtype
    assert vector.ctypes.data % 64 == 0
    assert vector.flags.c_contiguous
    assert vector.flags.writeable
    np.testing.assert_array_equal(aligned_copy(np.arange(5.0), dtype), np.arange(5.0))
