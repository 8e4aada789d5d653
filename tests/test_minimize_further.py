"""minimize: bounds, noise, several minima, saddles, and SciPy's own way of calling it."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.convergence import Status
from tests.optim.landscapes import rosenbrock, styblinski_tang
from tests.problems import PROBLEMS

RNG = np.random.default_rng(5)
HALF = RNG.normal(size=(12, 8))
H, C = HALF.T @ HALF / 12 + 0.1 * np.eye(8), RNG.normal(size=8) * 3


def quadratic(x):
    return 0.5 * float(x @ H @ x) - float(C @ x), H @ x - C


class Within:
    """A function that checks every point it is asked at."""

    def __init__(self, fun, low, high):
        self.fun, self.low, self.high = fun, low, high

    def __call__(self, x):
        assert (x >= self.low).all()
        assert (x <= self.high).all()
        return self.fun(x)


def kkt(x, g, low, high):
    """How far from: no slope inside, only outward ones at the bounds."""
    inside = np.abs(np.where((x > low) & (x < high), g, 0)).max()
    return max(inside, np.where(x <= low, -g, 0).max(), np.where(x >= high, g, 0).max())


@pytest.mark.parametrize("method", ["auto", "sgd", "adgd", "fista", "adam", "momentum"])
def test_bounds_hold_at_every_point_and_slopes_point_outward_at_the_end(method):
    low, high = np.full(8, -0.5), np.linspace(0.1, 2, 8)
    fun = Within(quadratic, low, high)
    result = gd.minimize(
        fun, np.zeros(8), method=method, bounds=list(zip(low, high, strict=True)), max_iter=20_000
    )
    assert result.success, result.message
    at_bound = (result.x == low) | (result.x == high)
    assert 0 < at_bound.sum() < 8
    assert kkt(result.x, quadratic(result.x)[1], low, high) < 1e-4


def test_the_bounded_minimum_is_scipys():
    scipy = pytest.importorskip("scipy.optimize")
    cases = {
        "Rosenbrock": ([(-2, 0.5), (None, None)], rosenbrock, np.array([-1.2, 1.0])),
        "all held": ([(2, 3)] * 8, quadratic, np.zeros(8)),
        "one fixed": ([(0.3, 0.3)] + [(None, None)] * 7, quadratic, np.zeros(8)),
        "half-lines": ([(None, 0)] * 4 + [(0, None)] * 4, quadratic, np.ones(8)),
        "a bowl in a box": ([(0, 1)] * 50, PROBLEMS["quadratic 50, 1e4"][0], np.ones(50)),
    }
    for name, (bounds, fun, x0) in cases.items():
        options = {"gtol": 1e-8, "ftol": 1e-14, "maxiter": 10_000}
        theirs = scipy.minimize(
            fun, x0, jac=True, bounds=bounds, method="L-BFGS-B", options=options
        )
        ours = gd.minimize(fun, x0, bounds=bounds, gtol=1e-7, ftol=0)
        assert ours.fun <= theirs.fun + 1e-7 * (1 + abs(theirs.fun)), name
        np.testing.assert_array_equal(ours.jac, fun(ours.x)[1])  # not the projected one
        again = gd.minimize(fun, x0, bounds=scipy.Bounds(*_arrays(bounds)), gtol=1e-7, ftol=0)
        np.testing.assert_array_equal(again.x, ours.x)


def test_differences_stay_within_bounds_too():
    fun = Within(lambda x: quadratic(x)[0], np.full(8, -0.5), np.full(8, 0.5))
    result = gd.minimize(fun, np.full(8, 0.5), jac=None, bounds=(-0.5, 0.5))
    exact = gd.minimize(quadratic, np.full(8, 0.5), bounds=(-0.5, 0.5))
    assert result.success
    np.testing.assert_allclose(result.x, exact.x, atol=1e-4)


def _arrays(bounds):
    low = [-np.inf if a is None else a for a, _ in bounds]
    return low, [np.inf if b is None else b for _, b in bounds]


def test_bounds_in_the_structure_of_x0_and_one_pair_for_all():
    def fun(x):
        return float(np.sum((x["a"] - 3) ** 2) + (x["b"] + 5) ** 2), {
            "a": 2 * (x["a"] - 3),
            "b": 2 * (x["b"] + 5),
        }

    x0 = {"a": np.zeros((2, 2)), "b": 0.0}
    result = gd.minimize(fun, x0, bounds={"a": (0, [[1, 2], [3, 4]]), "b": (-1, None)})
    np.testing.assert_allclose(result.x["a"], [[1, 2], [3, 3]], atol=1e-5)
    assert result.x["b"] == -1
    one = gd.minimize(lambda x: (x @ x, 2 * x), np.array([2.0, 3.0]), bounds=(1, None))
    np.testing.assert_array_equal(one.x, [1, 1])
    outside = gd.minimize(Within(quadratic, 0, 1), np.full(8, 9.0), bounds=(0, 1))
    assert outside.success


@pytest.mark.parametrize("low", [0.1, 1 / 3, -1e-3])
def test_bounds_hold_in_single_precision(low):
    fun = Within(lambda x: (float(x @ x + x.sum()), 2 * x + 1), low, np.inf)
    result = gd.minimize(fun, np.ones(4, np.float32), bounds=(low, None))
    assert result.x.dtype == np.float32
    assert result.success
    assert (result.x >= low).all()


@pytest.mark.parametrize("name", ["Rosenbrock 10", "Beale", "Himmelblau", "Booth", "logistic"])
@pytest.mark.parametrize("jac", [True, None])
def test_single_precision_finds_minima_and_calls_them_so(name, jac):
    fun, x0 = PROBLEMS[name]

    def single(x):
        assert x.dtype == np.float32
        value, g = fun(x.astype(np.float64))
        return (np.float32(value), g.astype(np.float32)) if jac else np.float32(value)

    result = gd.minimize(single, x0.astype(np.float32), jac=jac)
    assert result.status in (Status.GRADIENT, Status.COST), result.message
    assert result.fun < fun(x0)[0]


def saddle(x):
    return x[0] ** 2 - x[1] ** 2, np.array([2 * x[0], -2 * x[1]])


def monkey(x):
    """x³ − 3xy²: flat to second order at 0, but no minimum; found along the way down instead."""
    return x[0] ** 3 - 3 * x[0] * x[1] ** 2, np.array(
        [3 * x[0] ** 2 - 3 * x[1] ** 2, -6 * x[0] * x[1]]
    )


def index_one(x):
    """One direction of descent among forty."""
    curvature = np.r_[-0.5, np.linspace(1, 10, 39)]
    return 0.5 * float(curvature @ x**2), curvature * x


@pytest.mark.parametrize("method", ["auto", "sgd", "adam"])
def test_a_saddle_is_called_one(method):
    result = gd.minimize(saddle, [1.0, 0.0], method=method)
    assert result.status is Status.SADDLE
    assert not result.success
    assert "a curvature of -2 beside one of 2" in result.message
    assert "restarts=5" in result.message
    np.testing.assert_allclose(result.curvature, (-2, 2), rtol=1e-4)


def test_a_saddle_among_many_directions():
    start = np.r_[0.0, np.ones(39)]
    result = gd.minimize(index_one, start, ftol=0)
    assert result.status is Status.SADDLE
    assert result.curvature[0] < 0
    unasked = gd.minimize(index_one, start, ftol=0, check_saddle=False)
    assert unasked.status is Status.GRADIENT
    assert 0 < result.nfev - unasked.nfev <= 10
    assert "curvature" not in unasked


@pytest.mark.parametrize("name", PROBLEMS)
def test_minima_are_not_called_saddles(name):
    fun, x0 = PROBLEMS[name]
    result = gd.minimize(fun, x0, gtol=1e-6, ftol=0)
    if name != "network":  # its units may be exchanged: flat directions, whose sign is rounding
        assert result.status is Status.GRADIENT, result.message


def test_a_flat_minimum_of_fourth_order_is_none_either():
    result = gd.minimize(lambda x: (float(np.sum(x**4)), 4 * x**3), np.ones(3), ftol=0)
    assert result.status is Status.GRADIENT


def test_a_plateau_is_called_one():
    """The tail of a bell: at 40 its slope and curvature are 1e-345 and less."""

    def bell(x):
        height = float(np.exp(-0.5 * x @ x))
        return 1 - height, height * x

    result = gd.minimize(bell, np.full(2, 40.0))
    assert (result.status, result.success) == (Status.PLATEAU, False)
    assert gd.minimize(bell, np.full(2, 0.5)).status is Status.GRADIENT


def test_a_corner_is_a_minimum_though_nothing_is_left_to_curve():
    result = gd.minimize(lambda x: (float(x.sum()), np.ones(3)), np.ones(3), bounds=(0, 2))
    assert (result.status, result.x.tolist()) == (Status.GRADIENT, [0, 0, 0])


def test_a_wrong_gradient_is_no_success():
    result = gd.minimize(lambda x: (float(x @ x), -2 * x), np.ones(3))
    assert (result.status, result.success) == (Status.STALLED, False)
    assert "or the gradient is not its own" in result.message
    np.testing.assert_array_equal(result.x, 1)
    still = gd.minimize(lambda x: (float(x @ x), -2 * x), np.ones(3), gtol=0, ftol=0, xtol=1e-8)
    assert not still.success


def test_restarts_find_the_lowest_of_many_minima():
    bounds = [(-5, 5)] * 2
    once = gd.minimize(styblinski_tang, [4.0, 4.0], bounds=bounds)
    assert once.fun > 20
    settings = {"bounds": bounds, "restarts": 30, "random_state": 0}
    result = gd.minimize(styblinski_tang, [4.0, 4.0], **settings)
    assert result.fun == pytest.approx(0, abs=1e-6)
    values = result.restarts["fun"]
    assert len(values) == len(result.restarts["status"]) == 31
    assert result.fun == values.min() < values.max()
    assert values[0] == once.fun
    assert f"Lowest of 31 runs, whose values range from {values.min():.6g}" in result.message
    assert result.nfev > 31
    again = gd.minimize(styblinski_tang, [4.0, 4.0], **settings)
    np.testing.assert_array_equal(again.restarts["fun"], values)
    away = gd.minimize(saddle_with_floor, [1.0, 0.0], restarts=3, random_state=1)
    assert away.success


def saddle_with_floor(x):
    a, b = x
    return a * a - b * b + 0.25 * b**4, np.array([2 * a, -2 * b + b**3])


def noisy_bowl(x, rng):
    shift = rng.normal(size=len(x))
    return 0.5 * float((x - 1 - shift) @ (x - 1 - shift)), x - 1 - shift


def test_a_function_with_noise():
    result = gd.minimize(noisy_bowl, np.full(4, 5.0), rng=0, learning_rate=None, max_iter=4000)
    assert type(result.optimizer) is gd.optim.Adam
    assert (result.status, result.nit) == (Status.ITERATIONS, 4000)
    np.testing.assert_allclose(result.x, 1, atol=0.2)
    assert result.fun == pytest.approx(
        0.5 * 4, rel=0.2
    )  # the mean of the last tenth, not the luckiest
    again = gd.minimize(noisy_bowl, np.full(4, 5.0), rng=0, max_iter=4000)
    np.testing.assert_array_equal(again.x, result.x)
    sgd = gd.minimize(
        noisy_bowl, np.full(4, 5.0), rng=1, method=gd.optim.SGD(0.5), max_iter=4000,
        learning_rate=gd.schedules.InverseTime(10),
    )  # fmt: skip
    np.testing.assert_allclose(sgd.x, 1, atol=0.1)


def test_noise_that_diverges_is_a_result():
    for given in ({"rng": 0}, {"batches": [1, 2]}):
        with np.errstate(all="ignore"):
            result = gd.minimize(
                lambda x, _: (float(x @ x), 2 * x), np.ones(2), method=gd.optim.SGD(3.0), **given
            )
        assert result.status is Status.DIVERGED
        assert np.isfinite(result.x).all()
        assert "try a tenth of it" in result.message


def test_differences_across_draws_are_refused():
    with pytest.raises(ValueError, match="jac=None with rng"):
        gd.minimize(lambda x, rng: float(x @ x), np.ones(2), rng=0, jac=None)


def test_a_schedule_on_a_named_method_starts_at_a_rate_that_is_found():
    result = gd.minimize(
        quadratic, np.ones(8), method="adam", learning_rate=gd.schedules.Cosine(800), max_iter=800
    )
    assert result.optimizer.lr > 0.01
    assert result.fun == pytest.approx(gd.minimize(quadratic, np.ones(8)).fun, abs=1e-3)


def test_polyak_above_its_minimum_is_told():
    with pytest.raises(ValueError, match="Polyak needs minimum ≤ J, got J = -4"):
        gd.minimize(lambda x: (float(x @ x) - 9, 2 * x), [1.0, 2.0], method="polyak")


BAD_BOUNDS = [{"a": 0, "b": None}, {"a": (0, 1, 2), "b": None}, {"a": ([0, 1, 2], None), "b": None}]


@pytest.mark.parametrize("bounds", BAD_BOUNDS)
def test_bad_bounds_of_a_structure_are_told(bounds):
    x0 = {"a": np.zeros(2), "b": 1.0}
    with pytest.raises(ValueError, match="bounds at 'a' must be"):
        gd.minimize(lambda x: (x["b"] ** 2, {"a": x["a"], "b": 2 * x["b"]}), x0, bounds=bounds)


def test_schedule_free_gives_its_average():
    rule = gd.optim.ScheduleFreeSGD(0.5)
    result = gd.minimize(noisy_bowl, np.full(4, 5.0), rng=0, method=rule, max_iter=3000)
    np.testing.assert_allclose(result.x, 1, atol=0.1)


def squares(x, batch):
    """Least squares on some rows."""
    X, y = batch
    r = X @ x - y
    return 0.5 * float(r @ r) / len(y), X.T @ r / len(y)


X = RNG.normal(size=(60, 3))
Y = X @ [1.0, -2.0, 3.0]
BATCHES = [(X[i : i + 10], Y[i : i + 10]) for i in range(0, 60, 10)]


@pytest.mark.parametrize("kind", ["list", "callable"])
def test_batches_are_walked_again_and_again(kind):
    epochs = []

    def shuffled(epoch):
        epochs.append(epoch)
        return (BATCHES[i] for i in np.random.default_rng(epoch).permutation(6))

    given = BATCHES if kind == "list" else shuffled
    result = gd.minimize(
        squares, np.zeros(3), batches=given, method=gd.optim.Adam(0.1), max_iter=600
    )
    np.testing.assert_allclose(result.x, [1, -2, 3], atol=1e-2)
    assert result.nit == 600
    assert kind == "list" or epochs == list(range(101))


def test_a_generator_of_batches_ends_the_run():
    steps, asked = [], []

    def fun(x, batch):
        asked.append(batch)
        return squares(x, BATCHES[batch])

    result = gd.minimize(
        fun, np.zeros(3), batches=iter(range(4)), method=gd.optim.SGD(0.1), callback=steps.append
    )
    assert asked[:4] == [0, 1, 2, 3]
    assert set(asked) == {0, 1, 2, 3}
    assert len(steps) == result.nit == 4  # one on each batch, the last one too
    assert result.status is Status.ITERATIONS
    with pytest.raises(ValueError, match="batches is empty"):
        gd.minimize(fun, np.zeros(3), batches=[])
    with pytest.raises(ValueError, match="batches must be an iterable"):
        gd.minimize(fun, np.zeros(3), batches=3)


METHODS = [gd.optim.Adam(0.05), gd.optim.LBFGS(), gd.optim.AdGD(), gd.optim.Nesterov(1e-4)]


@pytest.mark.parametrize("method", METHODS, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("jac", [True, "callable", None])
def test_an_optimizer_is_a_method_of_scipys_minimize(method, jac):
    scipy = pytest.importorskip("scipy.optimize")
    fun = rosenbrock if jac is True else lambda x: rosenbrock(x)[0]
    slope = (lambda x: rosenbrock(x)[1]) if jac == "callable" else jac
    seen = []
    result = scipy.minimize(
        fun, [0.5, 0.5], jac=slope, method=method, tol=1e-3, callback=seen.append,
        options={"maxiter": 20_000},
    )  # fmt: skip
    assert result.success, result.message
    assert result.fun < 0.01
    assert len(seen) == result.nit
    bounded = scipy.minimize(
        fun, [0.2, 0.2], jac=slope, method=method, bounds=[(0, 0.5), (None, None)], tol=1e-2,
        options={"maxiter": 20_000},
    )  # fmt: skip
    assert bounded.x[0] <= 0.5
    assert bounded.fun < 0.3


def test_basinhopping_hops_with_it():
    scipy = pytest.importorskip("scipy.optimize")
    given = {"method": gd.optim.LBFGS(), "jac": True}
    settings = {"minimizer_kwargs": given, "rng": 0, "niter": 60, "stepsize": 4}
    result = scipy.basinhopping(styblinski_tang, [4.0, 4.0], **settings)
    assert result.fun == pytest.approx(0, abs=1e-6)


def test_what_scipy_offers_and_gdcore_does_not(capsys):
    scipy = pytest.importorskip("scipy.optimize")
    given = {"jac": True, "method": gd.optim.LBFGS()}
    with pytest.raises(ValueError, match="constraints are not supported"):
        scipy.minimize(rosenbrock, [0, 0], constraints={"type": "eq", "fun": sum}, **given)
    with pytest.raises(ValueError, match="Did you mean 'gtol'"):
        scipy.minimize(rosenbrock, [0, 0], options={"gtoll": 1e-3}, **given)
    scipy.minimize(rosenbrock, [0, 0], options={"disp": True}, **given)
    assert "max |∂f/∂x|" in capsys.readouterr().out


def test_a_maximum_is_called_one():
    result = gd.minimize(lambda x: (np.cos(x).sum(), -np.sin(x)), [0.0, 0.0])
    assert result.status.name == "SADDLE"
    assert "bent downwards in every direction tried" in result.message
    assert "The gradient vanishes at a maximum: the function falls" in result.message
