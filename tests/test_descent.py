"""The loop: what stops it, what it returns, and that nothing can make it return NaN."""

from copy import deepcopy

import numpy as np
import pytest

import gdcore as gd
from gdcore.convergence import CostChange, GradientNorm, ParameterChange, TargetCost
from gdcore.data import Rows, visiting_order
from gdcore.models.family import LinearFamily

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 5))
Y = X @ RNG.normal(size=5) + 0.1 * RNG.normal(size=200)


def cost(**settings):
    rows = Rows(X, Y, np.ones(len(X)))
    penalty = gd.penalties.Penalty(np.zeros(6), np.zeros(6))
    return gd.Cost(LinearFamily(gd.losses.Squared(), 5), rows, penalty, **settings)


def descend(stop=None, optimizer=None, **settings):
    return gd.descend(cost(), np.zeros(6), optimizer or gd.optim.SGD(), stop=stop, **settings)


def test_the_gradient_rule_stops_exactly_where_the_norm_crosses():
    result = descend(GradientNorm(1e-5))
    norms = result.trace.gradient_norm
    assert result.status is gd.Status.GRADIENT
    assert result.success
    assert norms[-1] < 1e-5 <= norms[:-1].min()
    assert np.linalg.norm(result.jac) == pytest.approx(norms[-1])
    assert f"{norms[-1]:.3g} < 1e-05" in result.message


def test_the_cost_rule_stops_exactly_where_the_change_crosses():
    result = descend(CostChange(1e-8))
    changes = np.abs(np.diff(result.trace.cost))
    assert result.status is gd.Status.COST
    assert changes[-1] < 1e-8 <= changes[:-1].min()
    assert "|ΔJ| =" in result.message
    assert "‖∇J‖ =" in result.message


def test_either_stops_first_both_stop_last():
    one, other = GradientNorm(1e-3), CostChange(1e-10)
    alone = [descend(one).nit, descend(other).nit]
    assert alone[0] != alone[1]
    assert descend(one | other).nit == min(alone)
    assert descend(one & other).nit == max(alone)


def test_neither_runs_to_the_budget():
    result = descend(None, max_epochs=17)
    assert (result.nit, result.status, result.success) == (17, gd.Status.EPOCHS, False)
    assert len(result.trace) == 18


def test_other_rules():
    assert descend(ParameterChange(1e-6)).status is gd.Status.PARAMETERS
    low = descend(TargetCost(1.0))
    assert low.status is gd.Status.TARGET
    assert low.trace.cost[-1] <= 1.0 < low.trace.cost[-2]


def test_a_budget_of_seconds():
    slow = []

    def wait(moment):
        slow.append(moment.seconds)
        import time

        time.sleep(0.01)

    result = descend(None, max_time=0.05, max_epochs=10**6, callbacks=[wait])
    assert result.status is gd.Status.TIME
    assert 0.05 <= result.trace.seconds[-1] < 5


def test_zero_epochs_measure_the_start():
    result = descend(None, max_epochs=0)
    assert result.nit == 0
    np.testing.assert_array_equal(result.x, np.zeros(6))
    assert result.fun == pytest.approx(0.5 * np.mean(Y**2))


def test_no_step_that_changes_anything_is_called_stalled():
    result = descend(GradientNorm(1e-300), max_epochs=10**5)
    assert result.status is gd.Status.STALLED
    assert np.linalg.norm(result.jac) < 1e-13


@pytest.mark.parametrize("batch_size", [None, 1, 16])
@pytest.mark.parametrize("rate", [10.0, 1e6, 1e300])
def test_divergence_is_a_result_with_the_best_so_far_and_a_rate_that_works(batch_size, rate):
    result = descend(GradientNorm(1e-6), learning_rate=rate, batch_size=batch_size)
    assert result.status is gd.Status.DIVERGED
    assert np.isfinite(result.x).all()
    assert np.isfinite(result.fun)
    assert result.fun <= result.trace.cost[0]
    better = float(result.message.split("try ")[1].split(",")[0])
    again = descend(None, learning_rate=better, batch_size=batch_size, max_epochs=30)
    assert again.fun < 0.2 * result.trace.cost[0]


def test_the_start_is_not_changed_and_the_end_is_measured_where_it_is():
    start = np.ones(6)
    result = gd.descend(cost(), start, gd.optim.Adam(), max_epochs=5, learning_rate=0.1)
    np.testing.assert_array_equal(start, 1)
    g = np.empty(6)
    assert cost().value_and_gradient(result.x, g) == result.fun
    np.testing.assert_array_equal(g, result.jac)


def test_callbacks_see_and_stop():
    seen = []
    result = descend(None, callbacks=[seen.append, lambda moment: moment.epoch == 3])
    assert result.status is gd.Status.CALLBACK
    assert [moment.epoch for moment in seen] == [0, 1, 2, 3]


def test_ctrl_c_returns_the_best_so_far():
    def interrupt(moment):
        if moment.epoch == 4:
            raise KeyboardInterrupt

    result = descend(None, callbacks=[interrupt])
    assert result.status is gd.Status.INTERRUPTED
    assert result.fun <= result.trace.cost.min() * (1 + 1e-12)


def test_an_error_in_a_callback_is_the_users():
    def fail(moment):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        descend(None, callbacks=[fail])


def test_schedules_multiply_the_optimizers_rate():
    schedule = gd.schedules.InverseTime(scale=10)
    result = descend(None, gd.optim.SGD(lr=0.2), learning_rate=schedule, max_epochs=20)
    expected = 0.2 / (1 + np.arange(21) / 10)
    np.testing.assert_allclose(result.trace.learning_rate, expected)


def test_mini_batches_see_every_row_once_an_epoch():
    result = descend(None, batch_size=64, max_epochs=3, learning_rate=0.1)
    assert result.nit == 3 * 4
    np.testing.assert_array_equal(result.trace.examples, [0, 200, 400, 600])


@pytest.mark.parametrize("n", [1, 5, 1000, 16_384, 16_385, 50_001])
def test_the_visiting_order_is_a_permutation(n):
    order = visiting_order(n, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    assert n == 1 or (order != np.arange(n)).any()


def test_the_visiting_order_mixes_what_was_sorted():
    """Neighbours in memory must not stay neighbours in time: data may come sorted by class."""
    order = visiting_order(100_000, np.random.default_rng(0))
    thirds = np.array([np.ptp(order[a : a + 256]) for a in range(0, 99_000, 256)])
    assert np.median(thirds) > 40_000


def test_fast_rate_is_found_where_the_cost_is_steep():
    """J(θ) with curvature 1e12 and 1e-12: the safe rate is 1/L in both."""
    for scale in (1e6, 1e-6):
        rows = Rows(X * scale, Y, np.ones(len(X)))
        penalty = gd.penalties.Penalty(np.zeros(6), np.zeros(6))
        family = LinearFamily(gd.losses.Squared(), 5)
        family.columns[1, 5] = 0  # no intercept
        with gd.Cost(family, rows, penalty) as steep:
            largest = np.linalg.eigvalsh(rows.X.T @ rows.X / len(X))[-1]
            assert largest <= steep.curvature() <= 1.1 * largest


class Parabola(gd.cost.PlainCost):
    """A user's own cost, J = θ²/2 − 10: negative, without data."""

    def value_and_gradient(self, theta, g):
        g[:] = theta
        return float(theta @ theta) / 2 - 10

    def safe_rate(self, batch_size):
        return 1.0


def test_a_cost_of_ones_own_may_be_negative():
    for rate, status in ((0.1, gd.Status.GRADIENT), (2.5, gd.Status.DIVERGED)):
        stop = GradientNorm(1e-6)
        result = gd.descend(Parabola(), np.ones(1), gd.optim.SGD(), learning_rate=rate, stop=stop)
        assert result.status is status
        assert result.fun <= -9.5


@pytest.mark.parametrize("name", ["momentum", "adam", "rmsprop"])
@pytest.mark.parametrize("batch_size", [None, 7])
def test_an_automatic_rate_recovers_from_overflow(name, batch_size):
    """A start far too high must not leave NaN in the optimizer's moments."""
    steep = cost()
    steep.safe_rate = lambda batch_size: 1e200
    steep.unit = 1e200
    rule = gd.optim.by_name(name)()
    result = gd.descend(steep, np.zeros(6), rule, batch_size=batch_size, max_epochs=500)
    assert np.isfinite(result.x).all()
    assert result.fun <= result.trace.cost[0]


def test_ctrl_c_in_a_thread_waits_for_the_others():
    import threading
    import time

    from gdcore.threads import Threads

    running = threading.Event()

    def work(item):
        if item == 0:
            raise KeyboardInterrupt
        running.set()
        time.sleep(0.05)
        running.clear()

    with Threads(2) as threads:
        with pytest.raises(KeyboardInterrupt):
            threads.map(work, list(range(6)))
        assert not running.is_set()


def snapshots(**settings):
    """(result, a copy of the snapshot after each measurement)."""
    taken = []
    result = descend(checkpoint=lambda shot: taken.append(deepcopy(shot)), **settings)
    return result, taken


def test_a_resumed_descent_ends_with_the_same_bits():
    given = {"learning_rate": 0.02, "batch_size": 30, "max_epochs": 6, "random_state": 0}
    whole, taken = snapshots(optimizer=gd.optim.Momentum(), **given)
    for shot in taken[::2]:
        again = descend(optimizer=gd.optim.Momentum(), resume=shot, **given)
        assert again.x.tobytes() == whole.x.tobytes()
        assert again.fun == whole.fun


@pytest.mark.parametrize(
    "given",
    [{"learning_rate": 0.02}, {"batch_size": 30},
     {"learning_rate": 0.02, "batch_size": 30, "stop": CostChange(1e-9)}],
    ids=["all rows", "automatic rate", "stop"],
)  # fmt: skip
def test_a_snapshot_holds_any_descent_and_is_refused_by_another(given):
    given = {"max_epochs": 5, "random_state": 0} | given
    whole, taken = snapshots(**given)
    for shot in taken:
        again = descend(resume=shot, **given)
        assert again.x.tobytes() == whole.x.tobytes()
        assert again.trace.cost.tobytes() == whole.trace.cost.tobytes()
    _, others = snapshots(learning_rate=0.02, batch_size=30, max_epochs=2)
    with pytest.raises(
        ValueError, match=r"The checkpoint lacks the array g\. Pass that of the same"
    ):
        descend(**given, resume=others[0])
