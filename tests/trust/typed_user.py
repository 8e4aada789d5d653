"""A program of a user who runs mypy --strict: everyday use of the public names, all of it typed.

`test_typing.py` runs it and, where mypy is installed, checks it. What `assert_type` says is what
a checker must know without being told.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import gdcore as gd

Array = np.ndarray[Any, np.dtype[Any]]
Floats = npt.NDArray[np.float64]
RNG = np.random.default_rng(0)


def rosenbrock(x: Floats) -> tuple[float, Floats]:
    """A valley, and its gradient."""
    a, b = 1 - x[0], x[1] - x[0] ** 2
    return float(a * a + 100 * b * b), np.array([-2 * a - 400 * x[0] * b, 200 * b])


def bowl(x: dict[str, Floats]) -> tuple[float, dict[str, Floats]]:
    """A function of two arrays by name."""
    value = sum(float((part**2).sum()) for part in x.values())
    return value, {name: 2 * part for name, part in x.items()}


class Costs(gd.callbacks.Callback):
    """Keeps the cost of every epoch, and stops below 1e-12."""

    def __init__(self) -> None:
        self.costs: list[float] = []

    def on_epoch(self, moment: gd.convergence.Moment) -> bool:
        """Note one, say whether to stop."""
        self.costs.append(moment.cost)
        return moment.cost < 1e-12


class Parabola(gd.cost.PlainCost):
    """A cost of one's own."""

    def value_and_gradient(self, theta: Array, g: Array) -> float:
        """½‖θ‖², and θ into g."""
        g[:] = theta
        return float(theta @ theta) / 2


@dataclass(frozen=True)
class Enough(gd.convergence.Rule):
    """A rule of one's own."""

    steps: int

    def check(self, moment: gd.convergence.Moment) -> tuple[gd.Status, str] | None:
        """After so many steps."""
        return (gd.Status.TARGET, f"{moment.step} steps") if moment.step >= self.steps else None


def minimising() -> None:
    """Functions of arrays, lists, and dicts of arrays."""
    told: list[float] = []
    found = gd.minimize(
        rosenbrock,
        np.array([-1.2, 1.0]),
        callbacks=[Costs(), lambda moment: told.append(moment.cost)],
    )
    assert_type(found.x, Array)
    assert_type(found.fun, float)
    assert_type(found.status, gd.Status)
    assert_type(found.status.success, bool)
    assert found.success
    assert found.x.round(3).tolist() == [1, 1]
    assert told
    assert_type(gd.minimize(rosenbrock, [-1.2, 1.0], method="adgd").x, Array)
    start = {"a": np.ones(2), "b": np.ones((2, 2))}
    apart = gd.minimize(bowl, start, method=gd.optim.LBFGS(), gtol=1e-9, max_iter=50)
    assert set(apart.x) == {"a", "b"}
    assert apart.x["b"].shape == (2, 2)
    bounded = gd.minimize(rosenbrock, [0.5, 0.5], bounds=[(0, 0.8), (None, None)], restarts=1)
    assert bounded.x[0] <= 0.8
    rule = Enough(3) | gd.convergence.GradientNorm(1e-9)
    result = gd.descend(Parabola(), np.ones(3), gd.optim.SGD(0.1), learning_rate=0.1, stop=rule)
    assert_type(result.trace.cost, Array)
    assert_type(result.trace.to_dict(), dict[str, Array])
    assert result.nit == 3
    assert result.message.startswith("3 steps")
    schedule = gd.schedules.WarmUpCosine(steps=20, warmup=2)
    assert_type(schedule(3), float)
    gd.descend(Parabola(), np.ones(3), gd.optim.Adam(0.1), learning_rate=schedule, max_epochs=20)


def fitting() -> None:
    """Linear models, dense and sparse, on arrays and on chunks."""
    X, y = RNG.normal(size=(120, 3)), RNG.normal(size=120)
    line = gd.LinearRegression(alpha=0.01, callbacks=(costs := Costs())).fit(X, y)
    assert_type(line, gd.LinearRegression)
    assert_type(line.predict(X), Array)
    assert_type(line.score(X, y), float)
    assert_type(line.n_iter_, int)
    assert line.coef_.shape == (3,)
    assert len(costs.costs) == line.n_iter_
    labels = np.where(X[:, 0] > 0, "yes", "no")
    weights = np.ones(120)
    model = gd.LogisticRegression(optimizer=gd.optim.AdamW(0.1), batch_size=16, max_epochs=5)
    shares = model.set_params(tol=0).fit(X, labels, sample_weight=weights).predict_proba(X)
    assert shares.shape == (120, 2)
    assert model.classes_.tolist() == ["no", "yes"]
    words = gd.hash_features([{"colour": "red", "age": 31.0}, {"colour": "blue"}], 16)
    assert_type(words, gd.CSR)
    gd.LogisticRegression().fit(words, [0, 1])
    sparse = gd.CSR([1.0, 2.0, 3.0], [0, 2, 1], [0, 2, 3], (2, 3))
    assert line.predict(sparse).shape == (2,)
    assert sparse[:1].dense().shape == (1, 3)
    chunks = gd.chunks.arrays(X, y, rows=50)
    again = gd.LinearRegression(alpha=0.01).fit(chunks)
    assert np.allclose(again.coef_, line.coef_, atol=1e-3)
    stream = gd.LinearRegression()
    for part in parts(X, y):
        stream.partial_fit(*part)
    stream.learn_one(X[0], float(y[0]))
    for finding in gd.doctor(line):
        print(finding.illness, finding.cure)


def parts(X: Floats, y: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Forty rows at a time."""
    for a in range(0, len(X), 40):
        yield X[a : a + 40], y[a : a + 40]


def networks(folder: Path) -> None:
    """A network, its layers and its files; a small GPT."""
    X = RNG.normal(size=(60, 4))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    layers = [gd.layers.Dense(8, "relu"), gd.layers.Dropout(0.1), gd.layers.Dense(1, "linear")]
    net = gd.MLPClassifier(layers=layers, max_epochs=3, tol=0, random_state=0).fit(X, y)
    assert_type(net.loss_, float)
    gd.save(net, folder / "net.npz")
    same = gd.load(folder / "net.npz")
    assert isinstance(same, gd.MLPClassifier)
    assert (same.predict(X) == net.predict(X)).all()
    gd.save_weights(net, folder / "weights.npz")
    gd.load_weights(net, str(folder / "weights.npz"))
    state: Mapping[str, Array] = {"0.weight": np.ones((1, 3)), "0.bias": np.zeros(1)}
    assert_type(gd.from_torch(state), gd.MLPRegressor)
    assert_type(gd.from_torch(state, classes=["a", "b"]), gd.MLPClassifier)
    gpt = gd.GPT(n_layer=1, n_head=2, n_embd=8, block_size=8, random_state=0)
    gpt.fit("to be or not to be, that is the question " * 5, max_steps=2, validation=None)
    assert_type(gpt.generate("to", 4), str)
    assert len("".join(gpt.generate("to", 4, stream=True))) == 4
    assert_type(gpt.evaluate("to be or not to be"), float)
    gpt.save(folder / "gpt.safetensors")
    assert_type(gd.GPT.load(folder / "gpt.safetensors"), gd.GPT)


def own_arrays() -> None:
    """An optimizer on arrays of one's own, a check of a gradient, a rate."""
    params = {"w": np.ones((2, 2)), "b": np.ones(2)}
    updater = gd.optim.Adam(0.1).bind(params, groups={"b": {"lr": 1.0}})
    updater.step({"w": np.ones((2, 2)), "b": np.ones(2)})
    updater.load_state_dict(updater.state_dict())
    assert params["w"].max() < 1
    assert gd.check_gradient(rosenbrock, np.array([0.3, 0.7]))
    search = gd.find_learning_rate(rosenbrock, np.array([-1.2, 1.0]))
    assert_type(search.learning_rate, float)
    assert_type(search.trials, dict[float, float])
    theta = gd.Parameters({"coef": (1, 2), "intercept": (1,)})
    assert_type(theta["coef"], Array)
    penalty = gd.penalties.Penalty(ridge=np.ones(3), lasso=np.zeros(3))
    assert_type(penalty.value(theta.vector), float)
    tokens = gd.tokenizers.BPE.train("low lower lowest", size=258)
    assert_type(tokens.decode(tokens.encode("low")), str)
    assert_type(gd.backend(), dict[str, str])
    assert_type(gd.datasets.load_digits().X, Array)


def main() -> None:
    """All of it."""
    minimising()
    fitting()
    own_arrays()
    with tempfile.TemporaryDirectory() as folder:
        networks(Path(folder))


if __name__ == "__main__":
    main()
