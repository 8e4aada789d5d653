"""What is chained around a rule, by facts: norms, sums, means, and what must not move."""

import dataclasses
import pickle

import numpy as np
import pytest

import gdcore as gd
from gdcore.optim import chain
from tests.optim.landscapes import RULES

BAD = {
    "ClipNorm": ("limit", 0),
    "ClipValue": ("limit", -1),
    "AdaptiveClip": ("ratio", 0),
    "Noise": ("eta", -1),
    "Accumulate": ("steps", 0),
    "SkipNonFinite": None,
    "ZeroNonFinite": None,
    "Decay": ("rate", -1),
    "EMA": ("decay", 1),
    "PolyakAverage": ("start", -1),
    "Lookahead": ("alpha", 2),
}
EVERY = pytest.mark.parametrize("name", BAD)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def one_step(transform, g, theta=None, rule=None):
    """θ after one step of SGD with lr = 1 behind the transform."""
    theta = np.zeros_like(g) if theta is None else theta
    rule = chain(transform, rule or gd.optim.SGD(1.0))
    rule.step(theta, g, rule.init(theta), rule.lr)
    return theta


@EVERY
def test_frozen_printable_picklable_and_checked(name):
    kind = getattr(gd.optim, name)
    made = kind()
    assert pickle.loads(pickle.dumps(made)) == made == kind()
    assert eval(repr(made), {name: kind}) == made
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.spam = 1
    if BAD[name] is not None:
        argument, value = BAD[name]
        for bad in (value, float("nan"), "1"):
            with pytest.raises(ValueError, match=f"{name} needs {argument}"):
                kind(**{argument: bad})


@EVERY
@DTYPES
def test_gradients_are_never_changed(name, dtype):
    g = np.array([1e3, -2.0, 0.5], dtype)
    kept = g.copy()
    one_step(getattr(gd.optim, name)(), g)
    np.testing.assert_array_equal(g, kept)


@pytest.mark.parametrize("name", RULES)
def test_an_empty_chain_is_its_rule_to_the_bit(name):
    rule, rng = RULES[name](0.05), np.random.default_rng(0)
    wrapped = chain(rule)
    theta = rng.normal(size=6)
    other = theta.copy()
    states = rule.init(theta), wrapped.init(other)
    for _ in range(5):
        g = rng.normal(size=6)
        for one, x, state in zip((rule, wrapped), (theta, other), states, strict=True):
            one.step(x, g, state, one.lr, cost=1.0)
            one.extrapolate(x, g, state)
    np.testing.assert_array_equal(theta, other)
    assert wrapped.lr == rule.lr
    assert wrapped.scale == rule.scale


@DTYPES
def test_clip_norm_keeps_the_direction(dtype):
    g = np.array([3.0, -4.0], dtype)
    np.testing.assert_allclose(-one_step(gd.optim.ClipNorm(1.0), g), [0.6, -0.8], rtol=1e-6)
    np.testing.assert_array_equal(-one_step(gd.optim.ClipNorm(5.0), g), g)
    np.testing.assert_array_equal(-one_step(gd.optim.ClipValue(3.5), g), [3.0, -3.5])


def test_adaptive_clip_bounds_each_unit_by_its_weights():
    W = np.array([[3.0, 4.0], [0.0, 0.0], [30.0, 40.0]])
    g = np.array([[1.0, 1.0], [1.0, 1.0], [0.1, 0.1]])
    updater = chain(gd.optim.AdaptiveClip(0.1, eps=0.01), gd.optim.SGD(1.0)).bind({"W": W})
    before = W.copy()
    updater.step({"W": g})
    moved = np.linalg.norm(before - W, axis=1)
    np.testing.assert_allclose(moved, [0.1 * 5, 0.1 * 0.01, np.linalg.norm(g[2])])


def test_noise_has_its_variance_and_is_the_same_at_the_same_step():
    g = np.zeros(200_000)
    rule = chain(gd.optim.Noise(eta=0.25, gamma=1.0, seed=7), gd.optim.SGD(1.0))
    theta = np.zeros_like(g)
    state = rule.init(theta)
    stds = []
    for _ in range(3):
        before = theta.copy()
        rule.step(theta, g, state, 1.0)
        stds.append((theta - before).std())
    np.testing.assert_allclose(stds, np.sqrt(0.25 / np.arange(1, 4)), rtol=0.01)
    again, other = np.zeros_like(g), rule.init(theta)
    rule.step(again, g, other, 1.0)
    np.testing.assert_array_equal(again, one_step(gd.optim.Noise(0.25, 1.0, 7), g))
    assert (again != one_step(gd.optim.Noise(0.25, 1.0, 8), g)).any()


def test_accumulated_steps_are_one_step_on_the_mean():
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(12, 5))
    rule, plain = chain(gd.optim.Accumulate(4), gd.optim.Adam(0.1)), gd.optim.Adam(0.1)
    theta, other = np.zeros(5), np.zeros(5)
    state, theirs = rule.init(theta), plain.init(other)
    for t, g in enumerate(gradients):
        before = theta.copy()
        rule.step(theta, g, state, 0.1)
        assert (theta != before).any() == (t % 4 == 3)
    for part in gradients.reshape(3, 4, 5):
        plain.step(other, part.mean(axis=0), theirs, 0.1)
    np.testing.assert_allclose(theta, other, rtol=1e-12)
    assert state["t"][0] == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_skipped_or_zeroed(bad):
    g = np.array([1.0, bad, 2.0])
    rule = chain(gd.optim.SkipNonFinite(), gd.optim.Adam(0.1), gd.optim.PolyakAverage())
    theta = np.ones(3)
    state = rule.init(theta)
    rule.step(theta, g, state, 0.1)
    assert (theta == 1).all()
    assert state["t"][0] == 0  # no step: no moment, no count, no average
    assert state["transform0.skipped"][0] == 1
    rule.step(theta, np.ones(3), state, 0.1)
    assert (theta != 1).all()
    np.testing.assert_array_equal(-one_step(gd.optim.ZeroNonFinite(), g), [1, 0, 2])


def test_decay_decoupled_and_coupled():
    theta = one_step(gd.optim.Decay(0.5), np.array([1.0]), np.array([4.0]), gd.optim.SGD(0.1))
    assert theta[0] == pytest.approx(4 * (1 - 0.1 * 0.5) - 0.1)
    coupled = gd.optim.Decay(0.5, "coupled")
    theta = one_step(coupled, np.array([1.0]), np.array([4.0]), gd.optim.SGD(0.1))
    assert theta[0] == pytest.approx(4 - 0.1 * (1 + 0.5 * 4))
    rule = gd.optim.Adam(0.1)
    mine = one_step(gd.optim.Decay(0.5), np.array([1.0]), np.array([4.0]), rule)
    theirs = np.array([4.0])
    decayed = gd.optim.AdamW(0.1, decay=0.5)
    decayed.step(theirs, np.array([1.0]), decayed.init(theirs), 0.1)
    np.testing.assert_allclose(mine, theirs, rtol=1e-15)


def path(*parts, steps=20):
    """(points θ took, the solution) on a cost with noise."""
    rule, rng = chain(*parts), np.random.default_rng(2)
    theta = np.full(3, 2.0)
    state, points = rule.init(theta), []
    for _ in range(steps):
        rule.step(theta, theta + rng.normal(size=3), state, rule.lr)
        points.append(theta.copy())
    return np.array(points), rule.solution(theta, state)


def test_polyak_average_is_the_mean_of_the_path():
    points, mean = path(gd.optim.SGD(0.3), gd.optim.PolyakAverage())
    np.testing.assert_allclose(mean, points.mean(axis=0), rtol=1e-12)
    points, mean = path(gd.optim.SGD(0.3), gd.optim.PolyakAverage(start=15))
    np.testing.assert_allclose(mean, points[15:].mean(axis=0), rtol=1e-12)


def test_ema_weighs_the_path_geometrically_with_weights_that_add_to_one():
    points, mean = path(gd.optim.SGD(0.3), gd.optim.EMA(0.8))
    weights = 0.8 ** np.arange(19, -1, -1)
    np.testing.assert_allclose(mean, weights @ points / weights.sum(), rtol=1e-12)


def test_averages_do_not_disturb_the_path_and_start_at_theta():
    plain, last = path(gd.optim.Adam(0.3))
    np.testing.assert_array_equal(plain[-1], last)
    for average in (gd.optim.EMA(0.9), gd.optim.PolyakAverage()):
        points, _ = path(gd.optim.Adam(0.3), average)
        np.testing.assert_array_equal(points, plain)
        rule, theta = chain(gd.optim.SGD(), average), np.ones(3)
        np.testing.assert_array_equal(rule.solution(theta, rule.init(theta)), theta)


def test_lookahead_goes_half_way_back_every_k_steps():
    theta, rule = np.zeros(1), chain(gd.optim.SGD(1.0), gd.optim.Lookahead(3, alpha=0.5))
    state = rule.init(theta)
    seen = []
    for _ in range(6):
        rule.step(theta, -np.ones(1), state, 1.0)
        seen.append(float(theta[0]))
    assert seen == [1, 2, 1.5, 2.5, 3.5, 3.0]


def test_transforms_act_in_their_order():
    g = np.array([np.inf, 30.0, 40.0])
    first_zero = chain(gd.optim.ZeroNonFinite(), gd.optim.ClipNorm(1.0), gd.optim.SGD(1.0))
    theta = np.zeros(3)
    first_zero.step(theta, g, first_zero.init(theta), 1.0)
    np.testing.assert_allclose(theta, [0, -0.6, -0.8])


def test_a_chain_holds_one_rule_and_transforms():
    with pytest.raises(ValueError, match="chain needs one rule, got 0"):
        chain(gd.optim.ClipNorm())
    with pytest.raises(ValueError, match="chain needs one rule, got 2"):
        chain(gd.optim.SGD(), gd.optim.Adam())
    with pytest.raises(ValueError, match="chain takes transforms and a rule, got 'clip'"):
        chain("clip", gd.optim.SGD())
    with pytest.raises(ValueError, match="chain needs one rule"):
        chain(chain(gd.optim.SGD()))
    with pytest.raises(ValueError, match=r"got the class .*Adam"):
        chain(gd.optim.ClipNorm(), gd.optim.Adam)
    assert chain(gd.optim.ClipNorm(), gd.optim.LBFGS()).full_batch


def test_a_chain_trains_a_model():
    data = gd.datasets.load_breast_cancer()
    rule = chain(gd.optim.ClipNorm(1.0), gd.optim.Adam(0.01), gd.optim.EMA(0.9))
    model = gd.LogisticRegression(
        optimizer=rule, batch_size=32, max_epochs=30, tol=0, random_state=0
    )
    assert model.fit(data.X, data.y).score(data.X, data.y) > 0.97
