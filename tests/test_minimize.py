"""minimize: structures, criteria, bounds, budgets, and what must not be lost."""

import collections

import numpy as np
import pytest

import gdcore as gd
from gdcore.convergence import Status
from tests.optim.landscapes import RULES, rosenbrock
from tests.problems import PROBLEMS

CURVATURE = np.geomspace(1, 100, 6)
CENTRE = np.arange(6.0)


def bowl(x):
    d = x - CENTRE
    return 0.5 * float(CURVATURE @ d**2), CURVATURE * d


class Counted:
    """A function that counts its calls and keeps the very arrays it was given."""

    def __init__(self, fun):
        self.fun, self.seen = fun, []

    def __call__(self, x, *args):
        self.seen.append(x)
        return self.fun(x, *args)


@pytest.mark.parametrize("name", PROBLEMS)
def test_lbfgs_reaches_a_stationary_point(name):
    fun, x0 = PROBLEMS[name]
    kept = x0.copy()
    result = gd.minimize(fun, x0, gtol=1e-6, ftol=0)
    assert result.status is Status.GRADIENT, result.message
    assert result.success
    value, g = fun(result.x)
    assert np.abs(g).max() <= 1e-6
    assert value == result.fun < fun(x0)[0]
    np.testing.assert_array_equal(result.jac, g)
    np.testing.assert_array_equal(x0, kept)


def test_it_asks_no_more_often_than_scipys_lbfgsb_on_most_problems():
    """Calls of fun to the same max |∂f/∂x| ≤ 1e-6, with ten pairs on both sides."""
    scipy = pytest.importorskip("scipy.optimize")
    fewer, counts = 0, {}
    for name, (fun, x0) in PROBLEMS.items():
        ours = gd.minimize(fun, x0, gtol=1e-6, ftol=0, check_saddle=False)
        options = {"gtol": 1e-6, "ftol": 0, "maxcor": 10, "maxfun": 10**6, "maxiter": 10**6}
        theirs = scipy.minimize(fun, x0, jac=True, method="L-BFGS-B", options=options)
        counts[name] = ours.nfev, theirs.nfev
        fewer += ours.success and ours.nfev <= theirs.nfev
    assert fewer > len(PROBLEMS) / 2, counts


@pytest.mark.parametrize("name", [name for name in RULES if name not in ("Polyak", "Adafactor")])
@pytest.mark.parametrize("named", [True, False])
def test_every_optimizer_by_name_and_as_an_instance(name, named):
    """By name the rate is found on the way. Adafactor's steps are parts of θ, Polyak's aim at 0."""
    rate = 1.0 if name in ("AdaDelta", "AdaGrad") else 0.005
    rule = RULES[name](**({} if named or RULES[name]().scale == "itself" else {"lr": rate}))
    result = gd.minimize(bowl, np.zeros(6), method=name.lower() if named else rule, max_iter=5000)
    slow = name in ("AdaDelta", "Lion", "RMSProp", "Muon", "DoWG", "AdaGrad", "AdamW", "Prodigy")
    start = bowl(np.zeros(6))[0]
    assert result.fun < (0.2 if slow or not named else 1e-6) * start, result.message
    assert result.fun == bowl(result.x)[0]
    assert type(result.optimizer) is RULES[name]


def test_polyak_is_given_the_cost():
    result = gd.minimize(bowl, np.zeros(6), method="polyak", max_iter=5000)
    assert result.status is Status.GRADIENT


Pair = collections.namedtuple("Pair", "first second")
STRUCTURES = {
    "number": (3.0, lambda x: (x * x, 2 * x)),
    "0-d array": (np.array(3.0), lambda x: (x * x, 2 * x)),
    "list": ([1.0, 2.0], lambda x: (x @ x, 2 * x)),
    "integers": (np.array([3, 4]), lambda x: (x @ x, 2 * x)),
    "matrix": (np.ones((2, 3)), lambda x: (np.sum(x * x), 2 * x)),
    "single precision": (np.ones(4, np.float32), lambda x: (x @ x, 2 * x)),
    "list of arrays": ([np.ones(2), np.ones((2, 2))],
                       lambda x: (x[0] @ x[0] + np.sum(x[1] ** 2), [2 * x[0], 2 * x[1]])),
    "dict": ({"a": np.ones(2), "b": 2.0},
             lambda x: (x["a"] @ x["a"] + x["b"] ** 2, {"b": 2 * x["b"], "a": 2 * x["a"]})),
    "nested": ({"a": [np.ones(2), (np.ones(3),)]},
               lambda x: (x["a"][0] @ x["a"][0] + x["a"][1][0] @ x["a"][1][0],
                          {"a": [2 * x["a"][0], (2 * x["a"][1][0],)]})),
    "named tuple": (Pair(np.ones(2), np.ones(1)),
                    lambda x: (x.first @ x.first + x.second @ x.second,
                               Pair(2 * x.first, 2 * x.second))),
}  # fmt: skip


def same_structure(one, other):
    if isinstance(other, dict):
        return isinstance(one, dict) and all(same_structure(one[k], other[k]) for k in other)
    if isinstance(other, (list, tuple)) and not isinstance(other[0], float):
        pairs = zip(one, other, strict=True)
        return type(one) is type(other) and all(same_structure(*pair) for pair in pairs)
    other = np.asarray(other)
    kind = other.dtype if other.dtype.kind == "f" else np.float64
    return one.shape == other.shape and one.dtype == kind


@pytest.mark.parametrize("what", STRUCTURES)
@pytest.mark.parametrize("jac", [True, None])
def test_x_has_the_structure_of_x0(what, jac):
    x0, fun = STRUCTURES[what]
    calls = Counted(fun)
    result = gd.minimize(calls if jac else lambda x: calls(x)[0], x0, jac=jac)
    assert result.status is Status.GRADIENT, result.message
    assert result.fun < 1e-6
    assert all(same_structure(x, x0) for x in calls.seen)
    assert same_structure(result.x, x0)
    assert same_structure(result.jac, x0)


def test_fun_is_asked_once_a_point_and_owns_what_it_gets():
    calls = Counted(bowl)
    result = gd.minimize(calls, np.zeros(6), check_saddle=False)
    assert result.nfev == result.njev == len(calls.seen)
    points = {x.tobytes() for x in calls.seen}
    assert len(points) == len(calls.seen)
    buffer = np.empty(6)

    def rude(x):
        value, g = bowl(x)
        buffer[:] = g
        x[:] = np.nan  # its own copy
        return value, buffer  # the same memory at every call

    for method in ("auto", "adam", "adgd"):
        again = gd.minimize(rude, np.zeros(6), method=method, max_iter=3000)
        assert again.status is Status.GRADIENT
    assert gd.minimize(rude, np.zeros(6), check_saddle=False).nfev == result.nfev
    assert (gd.minimize(lambda x: (0.5 * x @ x, x), np.ones(3)).x == 0).all()  # x as its gradient


def test_a_gradient_of_its_own_and_none():
    value, slope = Counted(lambda x, k: k * bowl(x)[0]), Counted(lambda x, k: k * bowl(x)[1])
    both = gd.minimize(value, np.zeros(6), jac=slope, args=(2.0,), ftol=0, check_saddle=False)
    assert both.status is Status.GRADIENT
    assert len(value.seen) == len(slope.seen) == both.nfev == both.njev
    calls = Counted(lambda x, k: k * bowl(x)[0])
    none = gd.minimize(calls, np.zeros(6), jac=None, args=2.0, ftol=0, check_saddle=False)
    assert none.status is Status.GRADIENT
    assert none.nfev == len(calls.seen) == none.njev * (1 + 2 * 6)
    assert f"{none.nfev} calls of fun, most of them for differences" in none.message
    np.testing.assert_allclose(none.x, CENTRE, atol=1e-5)


@pytest.mark.parametrize("gtol", [1e-2, 1e-5, 1e-8])
def test_gtol_fires_at_its_crossing(gtol):
    result = gd.minimize(rosenbrock, [-1.2, 1.0], gtol=gtol, ftol=0)
    assert result.trace.gradient_norm[-1] <= gtol < result.trace.gradient_norm[:-1].min()
    assert f"max |∂f/∂x| = {result.trace.gradient_norm[-1]:.3g} ≤ {gtol:.3g}" in result.message


def test_ftol_and_xtol_fire_at_their_crossings():
    result = gd.minimize(rosenbrock, [-1.2, 1.0], gtol=0, ftol=1e-6)
    change = np.abs(np.diff(result.trace.cost))
    assert result.status is Status.COST
    assert result.success
    assert change[-1] <= 1e-6 < change[:-1].min()
    assert "|ΔJ| = " in result.message
    result = gd.minimize(rosenbrock, [-1.2, 1.0], gtol=0, ftol=0, xtol=1e-4)
    assert result.status is Status.PARAMETERS
    np.testing.assert_allclose(result.x, 1, atol=1e-2)


def test_tol_sets_gtol_and_its_square_ftol():
    by_name = gd.minimize(rosenbrock, [-1.2, 1.0], tol=1e-3)
    spelt = gd.minimize(rosenbrock, [-1.2, 1.0], gtol=1e-3, ftol=1e-6)
    assert (by_name.nit, by_name.message) == (spelt.nit, spelt.message)


def test_zero_switches_off():
    loose = gd.minimize(bowl, np.zeros(6), tol=1e-2)
    assert loose.nit < gd.minimize(bowl, np.zeros(6), tol=1e-10).nit
    never = gd.minimize(bowl, np.zeros(6), tol=0, method=gd.optim.SGD(1e-3), max_iter=50)
    assert (never.status, never.nit, never.success) == (Status.ITERATIONS, 50, False)
    assert "Raise max_iter" in never.message


def test_without_criteria_it_stops_where_no_point_is_lower():
    result = gd.minimize(rosenbrock, [-1.2, 1.0], tol=0)
    assert result.status is Status.STALLED
    assert "No lower point along the direction" in result.message
    assert result.fun < 1e-20


def test_budgets():
    assert gd.minimize(rosenbrock, [-1.2, 1.0], max_iter=0).nit == 0
    result = gd.minimize(rosenbrock, [-1.2, 1.0], max_iter=3)
    assert (result.nit, result.status) == (3, Status.ITERATIONS)
    assert result.fun < rosenbrock([-1.2, 1.0])[0]
    timed = gd.minimize(rosenbrock, [-1.2, 1.0], tol=0, method="sgd", max_iter=10**9, max_time=0.05)
    assert timed.status is Status.TIME


def test_callbacks_see_copies_after_every_step():
    seen = []

    def spoil(x):
        seen.append(x.copy())
        x[:] = np.nan

    result = gd.minimize(bowl, np.zeros(6), callback=spoil)
    assert len(seen) == result.nit
    np.testing.assert_array_equal(seen[-1], result.x)

    def whole(intermediate_result):
        assert intermediate_result.fun == bowl(intermediate_result.x)[0]
        return intermediate_result.nit >= 2

    stopped = gd.minimize(bowl, np.zeros(6), callback=whole)
    assert (stopped.nit, stopped.status) == (2, Status.CALLBACK)

    def stop(x):
        raise StopIteration

    assert gd.minimize(bowl, np.zeros(6), callback=stop).nit == 1


def test_what_fun_raises_comes_through_and_ctrl_c_keeps_the_best():
    def broken(x):
        raise RuntimeError("the user's own")

    with pytest.raises(RuntimeError, match="the user's own"):
        gd.minimize(broken, np.zeros(2))
    calls = []

    def interrupted(x):
        calls.append(bowl(x)[0])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return bowl(x)

    result = gd.minimize(interrupted, np.zeros(6), check_saddle=False)
    assert result.status is Status.INTERRUPTED
    assert result.fun == min(calls[:3])


def test_values_that_are_no_numbers_never_reach_x():
    """A barrier: −log is NaN or infinite beyond 0, where the first step leads."""

    def barrier(x):
        with np.errstate(all="ignore"):
            return float(np.sum(5 * x - np.log(x))), 5 - 1 / x

    for method in ("auto", gd.optim.SGD(10.0), "adgd"):
        result = gd.minimize(barrier, np.full(3, 4.0), method=method, max_iter=500)
        assert np.isfinite(result.x).all()
        assert (result.x > 0).all()
        assert np.isfinite(result.fun)
    result = gd.minimize(barrier, np.full(3, 4.0))
    np.testing.assert_allclose(result.x, 0.2, rtol=1e-4)


def test_a_rate_that_was_forced_too_high():
    result = gd.minimize(bowl, np.ones(6) * 9, method=gd.optim.SGD(1.0))
    assert result.status is Status.DIVERGED
    assert result.fun <= bowl(np.ones(6) * 9)[0]
    assert "try 0.0" in result.message
    rate = float(result.message.split("try ")[1].split(",")[0])
    again = gd.minimize(bowl, np.ones(6) * 9, method="sgd", learning_rate=rate)
    assert again.status is Status.GRADIENT


def test_schedules_and_float32_tolerances():
    half = gd.minimize(
        bowl, np.zeros(6), method=gd.optim.SGD(0.01), learning_rate=lambda t: 0.5, max_iter=3
    )
    np.testing.assert_allclose(half.trace.learning_rate, 0.005)
    single = gd.minimize(lambda x: (x @ x, 2 * x), np.ones(3, np.float32))
    assert "≤ 0.001" in single.message


def test_without_a_trace():
    assert "trace" not in gd.minimize(bowl, np.zeros(6), trace=False)


BAD = {
    "method": (
        {"method": "lbgfs"},
        ValueError,
        "method='lbgfs' is not known. Did you mean 'lbfgs'",
    ),
    "a class": ({"method": gd.optim.Adam}, TypeError, "method must be a name or an optimizer"),
    "jac": ({"jac": False}, ValueError, "jac must be True, None or a callable"),
    "gtol": ({"gtol": -1}, ValueError, "gtol must be a number of at least 0"),
    "max_iter": ({"max_iter": 1.5}, ValueError, "max_iter must be a whole number"),
    "max_time": ({"max_time": 0}, ValueError, "max_time must be a number above 0"),
    "restarts": ({"restarts": -1}, ValueError, "restarts must be a whole number of at least 0"),
    "callback": ({"callback": 3}, ValueError, "callback must be callable"),
    "bounds": ({"bounds": [(0, 1)]}, ValueError, "bounds must be one .low, high. or 6 of them"),
    "turned": ({"bounds": (1, 0)}, ValueError, "bounds must have low ≤ high"),
    "learning_rate": ({"learning_rate": -1}, ValueError, "learning_rate must be a number above 0"),
    "noise twice": ({"rng": 0, "batches": [1]}, ValueError, "rng and batches are two kinds"),
    "search in noise": ({"rng": 0, "method": "lbfgs"}, ValueError, "LBFGS needs the same function"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_arguments_are_named(what):
    given, error, words = BAD[what]
    with pytest.raises(error, match=words):
        gd.minimize(bowl, np.zeros(6), **given)


def test_a_pair_where_a_value_was_meant():
    with pytest.raises(TypeError, match="Pass jac=True where it returns the gradient too"):
        gd.minimize(bowl, np.zeros(6), jac=None)


BAD_FUNCTIONS = {
    "no gradient": (lambda x: 1.0, TypeError, "fun must return .value, gradient. with jac=True"),
    "a vector": (lambda x: (x, x), TypeError, "fun must return one real number"),
    "complex": (lambda x: (1j, x), TypeError, "fun must return one real number"),
    "a complex gradient": (lambda x: (1.0, 1j * x), TypeError, "must hold real numbers, got compl"),
    "short": (lambda x: (1.0, x[:1]), ValueError, r"must have the shape \(2,\) of x, got \(1,\)"),
    "nothing": (lambda x: None, TypeError, "got NoneType"),
    "NaN at the start": (lambda x: (np.nan, x), ValueError, "At x0 fun is nan"),
    "a gradient of NaN": (lambda x: (1.0, x * np.nan), ValueError, "its gradient is not finite"),
}


@pytest.mark.parametrize("what", BAD_FUNCTIONS)
def test_bad_functions_are_told(what):
    fun, error, words = BAD_FUNCTIONS[what]
    with pytest.raises(error, match=words):
        gd.minimize(fun, np.ones(2))


def test_bad_starts_are_told():
    with pytest.raises(TypeError, match="x0 must hold real numbers"):
        gd.minimize(bowl, np.zeros(6, complex))
    with pytest.raises(ValueError, match="x0 holds NaN or infinity"):
        gd.minimize(bowl, [np.nan])
    with pytest.raises(ValueError, match="x0 holds no array"):
        gd.minimize(bowl, {})
    with pytest.raises(ValueError, match="fun must be callable"):
        gd.minimize(3, np.zeros(6))
