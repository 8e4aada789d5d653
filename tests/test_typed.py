"""What a type checker is told about names that users meet is what they get.

mypy reads this file too (`files` in pyproject.toml): it must find every type that `assert_type`
claims, and the errors that are ignored by their code, as an ignore without one is an error.
"""

from collections.abc import Callable, Iterator
from typing import Any, assert_type

import numpy as np
import pytest

import gdcore as gd
from gdcore.diagnose.gradients import GradientCheck
from gdcore.result import Result

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


X, Y = np.eye(4), np.array([0.0, 1.0, 2.0, 3.0])


def test_an_estimator_is_itself_after_fit_and_its_parts_have_types() -> None:
    model = gd.LinearRegression(loss=gd.losses.Huber(), callbacks=lambda moment: moment.step > 3)
    fitted = assert_type(model.fit(X, Y), gd.LinearRegression)
    assert isinstance(assert_type(fitted.coef_, Array), np.ndarray)
    assert assert_type(fitted.result_.nit, int) >= 1
    assert isinstance(assert_type(fitted.score(X.tolist(), [0, 1, 2, 3]), float), float)
    taught = gd.LinearRegression().learn_one(X[0], 1.0)
    assert isinstance(assert_type(taught.predict_one(X[0]), float), float)
    machine = gd.LinearClassifier(class_weight={0.0: 2.0}).fit(X, Y)
    assert len(assert_type(machine.results_, list[Result[Array]])) == 4
    net = gd.MLPClassifier(hidden_layer_sizes=[3], max_epochs=1, tol=0).fit(X, Y > 1)
    assert len(assert_type(net.predict_proba(X), Array)) == 4
    assert len(assert_type(net.coefs_, list[Array])) == 2


def test_parameters_and_names_that_no_estimator_has_are_refused() -> None:
    with pytest.raises(ValueError, match="learning_rate"):
        gd.LinearRegression(learning_rate="fast").fit(X, Y)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype"):
        gd.MLPRegressor(dtype="float16").fit(X, Y)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="loss"):
        gd.LinearRegression(loss=3).fit(X, Y)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="sparse"):
        gd.MLPRegressor().fit(gd.CSR([1.0], [0], [0, 1], (1, 1)), Y)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="fti"):
        gd.LinearRegression().fti(X, Y)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="monitor"):
        gd.callbacks.EarlyStopping("loss")  # type: ignore[arg-type]


def test_what_a_gpt_writes_is_of_the_kind_of_its_prompt() -> None:
    gpt = gd.GPT(n_layer=1, n_head=1, n_embd=4, block_size=4).fit("abab" * 25, max_steps=1)
    assert isinstance(assert_type(gpt.generate("a", 2, temperature=0), str), str)
    assert "".join(assert_type(gpt.generate("a", 2, stream=True), Iterator[str]))
    assert len(assert_type(gpt.generate(["a", "b"], 2), list[str])) == 2
    assert len(gpt.generate(np.array([0]), 2)) == 2
    assert assert_type(gpt.logits([0, 1]), Array).shape == (2, 2)


def test_what_was_found_has_types() -> None:
    def bowl(x: Array) -> tuple[float, Array]:
        return float(x @ x), 2 * x

    check = assert_type(gd.check_gradient(bowl, [1.0, 2.0]), GradientCheck)
    assert isinstance(assert_type(check.worst[0].error, float), float)
    assert assert_type(gd.find_learning_rate(bowl, [1.0, 2.0]).edge, float) > 0
    found = gd.doctor(gd.minimize(bowl, [1.0, 2.0]))
    assert isinstance(assert_type(found.illnesses, list[str]), list)
    path = gd.plots.Path(start=[1.0, 2.0])
    gd.minimize(bowl, [1.0, 2.0], callbacks=path)
    assert assert_type(path.points, Array).shape[1] == 2
