"""What a type checker is told about names that users meet is what they get.

mypy reads this file too (`files` in pyproject.toml): it must find every type that `assert_type`
claims, and the errors that are ignored by their code, as an ignore without one is an error.
"""

from collections.abc import Callable
from typing import Any, assert_type

import numpy as np
import pytest

import gdcore as gd

Array = np.ndarray[Any, np.dtype[Any]]


def test_a_rule_is_bound_to_arrays_in_any_structure() -> None:
    adam = gd.optim.Adam(1e-3, eps_mode="hat", like="keras")
    assert type(assert_type(adam, gd.optim.Adam)) is gd.optim.Adam
    assert isinstance(assert_type(adam.lr, float), float)
    params = {"w": np.ones((2, 2)), "b": [np.ones(2), np.ones(3)]}
    updater = adam.bind(params, groups={"b.*": {"lr": 1.0}}, schedule=gd.schedules.Cosine(10))
    updater.step(params, lr=0.1)
    assert isinstance(assert_type(updater, gd.optim.Updater), gd.optim.Updater)
    assert isinstance(assert_type(updater.t, int), int)
    assert isinstance(assert_type(updater.state_dict(), dict[str, Array]), dict)
    adam.bind(np.ones(3)).step([1.0, 2.0, 3.0])


def test_a_chain_is_an_optimizer_with_its_rules_attributes() -> None:
    chain = gd.optim.chain(gd.optim.ClipNorm(1.0), gd.optim.Adam(0.5), gd.optim.EMA())
    assert isinstance(assert_type(chain, gd.optim.Chain), gd.optim.Optimizer)
    assert assert_type(chain.lr, float) == 0.5
    assert assert_type(chain.moments, tuple[str, ...]) == ("m", "v")
    assert assert_type(chain.rule, str | None) is None


def test_arguments_of_another_type_are_refused() -> None:
    with pytest.raises(ValueError, match="Adam needs lr to be a finite number"):
        gd.optim.Adam("0.1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a NumPy array"):
        gd.optim.Adam().bind(0.1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="like"):
        gd.optim.SGD(like="torch")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="abstract"):
        gd.optim.Optimizer()  # type: ignore[abstract]


def test_a_schedule_gives_a_number_for_a_number_and_an_array_for_an_array() -> None:
    warm = gd.schedules.WarmUp(steps=4, after=gd.schedules.Cosine(10))
    rate = warm.then(lambda t: t * 0.0, after=3)
    assert isinstance(assert_type(rate(3), float), float)
    assert isinstance(assert_type(rate(np.arange(3)), Array), np.ndarray)
    assert isinstance(assert_type(gd.schedules.MultiStep([30, 80])([1, 2]), Array), np.ndarray)
    factor: Callable[[int], float] = warm
    assert factor(1) == 0.5


def test_a_layer_answers_with_its_way_back() -> None:
    @gd.layers.layer(scale=lambda p: np.ones(p))
    def rescale(theta: Any, x: Array) -> Any:
        return theta["scale"] * x, lambda dy, g: theta["scale"] * dy

    net = gd.layers.Sequential(gd.layers.Dense(3, "relu"), gd.layers.Dropout(0.1), rescale)
    assert isinstance(rescale, gd.layers.Layer)
    assert assert_type(net.random, bool) is True
    assert assert_type(net.output((2,)), tuple[int, ...]) == (3,)
    theta = net.scope((2,), rng=0)
    y, backward = net(theta, np.ones((4, 2)))
    assert isinstance(assert_type(y, Array), np.ndarray)
    assert backward(np.ones_like(y), theta.gradient()).shape == (4, 2)


def test_a_loss_takes_what_becomes_an_array() -> None:
    loss = gd.losses.Hinge().rounded(0.5)
    assert isinstance(assert_type(loss, gd.losses.Hinge), gd.losses.Hinge)
    assert assert_type(loss.curvature, float) == 2.0
    assert assert_type(gd.losses.Huber(1.5).shape, float) == 1.5
    assert isinstance(assert_type(loss.value([[1.0]], [1.0]), Array), np.ndarray)


def test_kernels_have_the_types_of_their_numpy_twins() -> None:
    a = np.array([3.0, 4.0])
    assert assert_type(gd.kernels.norm(a), float) == 5.0
    gd.kernels.update("sgd", [a, a[:1].copy()], [a, a[:1].copy()], (), (0.5,))
    with pytest.raises((TypeError, ValueError)):
        gd.kernels.clip_norm([3.0, 4.0], 1.0)  # type: ignore[arg-type]


def test_data_sets_come_with_their_names() -> None:
    data = gd.datasets.load("digits")
    assert isinstance(assert_type(data.X, Array), np.ndarray)
    assert isinstance(assert_type(data.target_names, list[str] | None), list)
