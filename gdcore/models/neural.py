"""What the neural estimators share: parameters, layers, and one way to fit."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from gdcore import optim
from gdcore._typing import Array, ArrayLike, Generator
from gdcore.convergence import GradientNorm, Rule, Stagnation
from gdcore.data import Rows, column_moments
from gdcore.descent import descend
from gdcore.devices import to_host
from gdcore.errors import require, require_choice, require_number
from gdcore.layers import Activation, BatchNorm, Dense, Dropout, LayerNorm, Sequential
from gdcore.layers.activations import ACTIVATIONS
from gdcore.losses import require_own
from gdcore.models.estimator import (
    Estimator,
    OwnLoss,
    Rate,
    counted,
    require_optimizer,
    signed,
)
from gdcore.models.network import Network, Scaling, as_told, require_outputs
from gdcore.models.network_cost import NetworkCost
from gdcore.models.training import Judge, Make, Stream, inverted, rank, require_suited
from gdcore.optim.base import Optimizer
from gdcore.parameters import Parameters, aligned_copy
from gdcore.ranges import require_held, require_numbers
from gdcore.rates import FixedRate
from gdcore.result import Result, interrupt, until_interrupted
from gdcore.seeds import generator

SMALLEST, SMALL, LARGE = 64, 32, 128  # rows: all at once up to here; least and most of a batch
BATCHES = 16  # steps an epoch that the automatic batch aims at
EPOCHS, STEPS = 200, 2000  # the automatic budget: so many epochs, and at least so many steps
WAIT = 200  # steps without progress before the descent stops, at least
DTYPES = {"float32": np.float32, "float64": np.float64}


class Trained:
    """What networks have after `fit`."""

    network_: Network
    scaling_: Scaling
    theta_: Parameters
    loss_: float
    _stream: Any


@dataclass(kw_only=True, eq=False, repr=False)
class NeuralEstimator(Trained, Estimator):
    """Parameters and fitting that the network estimators share; see either of them."""

    hidden_layer_sizes: int | Sequence[int] | Array = (100,)
    activation: str = "relu"
    layers: Sequential | Sequence[Any] | None = None
    dropout: float = 0.0
    normalization: Literal["layer", "batch"] | None = None
    loss: OwnLoss | Literal["auto"] = "auto"
    alpha: float = 1e-4
    optimizer: str | Optimizer = "adam"
    learning_rate: Rate | Literal["auto"] = 0.001
    max_epochs: int | Literal["auto"] = "auto"
    tol: float | Rule = 1e-4
    patience: int = 10
    clip_norm: float | None = None
    restarts: int = 0
    dtype: Literal["auto", "float32", "float64"] = "auto"

    _fitted = "theta_"

    def _check_parameters(self) -> None:
        for size in self._sizes():
            require_number("hidden_layer_sizes", size, low=1, whole=True)
        require_choice("activation", self.activation, list(ACTIVATIONS))
        require_number("dropout", self.dropout, low=0)
        require(self.dropout < 1, f"dropout must be below 1, got {self.dropout}. Try 0.2.")
        if isinstance(self.loss, str):
            require_choice("loss", self.loss, ["auto"])
        if self.normalization is not None:
            require_choice("normalization", self.normalization, ["layer", "batch"])
        require_number("alpha", self.alpha, low=0)
        if isinstance(self.max_epochs, str):
            require_choice("max_epochs", self.max_epochs, ["auto"])
        else:
            require_number("max_epochs", self.max_epochs, low=0, whole=True)
        require_number("patience", self.patience, low=1, whole=True)
        if self.clip_norm is not None:
            require_number("clip_norm", self.clip_norm, low=0, above=True)
        require_number("restarts", self.restarts, low=0, whole=True)
        require_choice("dtype", self.dtype, ["auto", *DTYPES])
        require(
            self.layers is None or isinstance(self.layers, (Sequential, list, tuple)),
            f"layers must be a Sequential or a list of layers, got {self.layers!r}. Pass one.",
        )
        self._check_common()
        self._optimizer()

    def _sizes(self) -> tuple[Any, ...]:
        sizes: Any = self.hidden_layer_sizes
        listed = isinstance(sizes, (list, tuple)) or np.ndim(sizes) == 1
        return tuple(sizes) if listed else (sizes,)

    def _optimizer(self) -> Optimizer:
        """The optimizer behind a name, with clipping where that is asked for."""
        found = self.optimizer
        if not isinstance(found, optim.Optimizer):
            require_optimizer(found)
            require_choice("optimizer", found, ["auto", *map(str.lower, optim.__all__)])
            found = optim.Adam() if found == "auto" else optim.by_name(found)()
        return optim.chain(optim.ClipNorm(self.clip_norm), found) if self.clip_norm else found

    def _layers(self, outputs: int) -> Sequential:
        """The layers that the parameters describe."""
        if self.layers is not None:
            given = self.layers
            return given if isinstance(given, Sequential) else Sequential(*given)
        layers: list[Any] = []
        for size in self._sizes():
            if self.normalization is None:
                layers.append(Dense(int(size), self.activation))
            else:
                norm = LayerNorm() if self.normalization == "layer" else BatchNorm()
                start = ACTIVATIONS[self.activation]
                layers += [Dense(int(size), init=start), norm, Activation(self.activation)]
            if self.dropout:
                layers.append(Dropout(self.dropout))
        return Sequential(*layers, Dense(outputs))

    def _rate(self) -> Rate:
        """The learning rate; "auto" is the optimizer's own."""
        return super()._rate() or self._optimizer().lr

    def _stop(self, steps: int) -> Rule | None:
        """tol as a rule, for epochs of so many steps."""
        if isinstance(self.tol, Rule):
            return self.tol
        if self.tol == 0:
            return None
        rule = Stagnation(self.tol, max(self.patience, -(-WAIT // steps)))
        return rule | GradientNorm(self.tol) if steps == 1 else rule  # where ∇J is measured

    def _epochs(self, steps: int) -> int:
        """The budget of epochs of so many steps."""
        if self.max_epochs == "auto":
            return max(EPOCHS, -(-STEPS // steps))
        return self.max_epochs

    def _batch(self, n: int, optimizer: Optimizer) -> int | None:
        """Rows a step; None is all of them."""
        if self.batch_size == "full" or (optimizer.full_batch and self.batch_size == "auto"):
            return None
        if self.batch_size != "auto":
            return min(int(self.batch_size), n)
        if n <= SMALLEST:
            return n
        return min(LARGE, max(SMALL, 1 << round(math.log2(n / BATCHES))))

    def _precision(self, n: int) -> Any:
        """Double where each step sees all rows, so that ∇J is exact; single for small batches."""
        if self.dtype != "auto":
            return DTYPES[self.dtype]
        batch = self._batch(n, self._optimizer())
        return np.float64 if batch is None or batch >= n else np.float32

    def _build(
        self, X: Any, weights: Array, outputs: int, loss: Any, precision: Any
    ) -> tuple[Network, Scaling]:
        """Network and scaling for these rows, in numbers of that precision."""
        network = Network(self._layers(outputs), X.shape[1:], loss)
        require_outputs(network, outputs)
        return network, self._scales(X, weights, precision)

    def _scales(self, X: Array, weights: Array, precision: Any) -> Scaling:
        """(shift, inverse) of the columns, None where they are taken as they come."""
        if not self.standardize:
            require_held(X, precision)
            return None
        return inverted(*column_moments(X, weights), precision)

    def _fit(
        self, X: Array, y: Array, weights: Array, loss: Any, outputs: int, validation: Rows | None
    ) -> Self:
        """Descend on checked arrays; sets what every network estimator has after `fit`."""
        rng = self._generator()
        X, y, weights = counted(X, y, weights)
        train, other = Rows(X, y, weights), validation
        if other is None:
            train, other = self._split(X, y, weights, rng)
        train = Rows(train.X, train.y, train.weights / train.weights.mean())
        precision = self._precision(len(train))
        network, scaling = self._build(train.X, train.weights, outputs, loss, precision)
        require_own(loss, as_told(y), outputs, precision)

        def make(full: bool, seed: int) -> tuple[NetworkCost, Judge | None]:
            cost = NetworkCost(
                network, train, alpha=self.alpha, scaling=scaling, n_threads=self.n_threads,
                full=full, seed=seed,
            )  # fmt: skip
            return cost, None if other is None else cost.held_out(other)

        return self._train(network, scaling, make, len(train), rng, precision)

    def _train(
        self, network: Network, scaling: Scaling, make: Make, n: int, rng: Generator,
        precision: Any,
    ) -> Self:  # fmt: skip
        """The best of all starts on n rows, of which make(full, seed) gives the cost."""
        starts = [self._start(network, rng, precision)]
        starts += [network.init(rng, precision) for _ in range(self.restarts)]
        results, interrupted = until_interrupted(
            lambda number, t: self._descend(
                network, scaling, make, n, (t, rng, number, len(starts))
            ),
            starts,
        )
        result = min(results, key=rank)
        if self.restarts:
            result["restarts"] = {
                "fun": np.array([one.fun for one in results]),
                "status": [one.status for one in results],
            }
        if interrupted:
            interrupt(result, interrupted)
        self._keep(result, network, scaling)
        return self

    def _start(self, network: Network, rng: Generator, precision: Any) -> Array:
        """θ to start from: the last fit's with warm_start, or as the layers say."""
        fresh = network.init(rng, precision)
        if self.warm_start and hasattr(self, "theta_"):
            if self.theta_.shapes == network.shapes():
                last: Array = to_host(self.theta_.vector).astype(fresh.dtype)
                return last
        return fresh

    def _descend(
        self,
        network: Network,
        scaling: Scaling,
        make: Make,
        n: int,
        start: tuple[Array, Generator, int, int],
    ) -> Result:
        """The result of one start."""
        theta, rng, run, runs = start
        optimizer = self._optimizer()
        batch = self._batch(n, optimizer)
        full = batch is None or batch >= n
        require_suited(optimizer, network, full)
        cost, validate = make(full, int(rng.integers(2**62)))
        if hasattr(cost, "placed"):  # rows on a device, where θ goes as well
            theta = cost.placed(theta)
        steps = 1 if batch is None or full else -(-n // batch)
        epochs = self._epochs(steps)

        def known(theta: Array) -> dict[str, Any]:  # what a fit that ended there would have set
            parts = Parameters(network.shapes(), theta.copy())
            return {"network_": network, "scaling_": scaling, "theta_": parts}

        with self._hooks(known, epochs, run=run, runs=runs) as hooks:
            result = descend(
                cost, theta, optimizer,
                learning_rate=self._rate(),
                batch_size=batch,
                stop=self._stop(steps),
                max_epochs=epochs,
                max_time=self.max_time,
                callbacks=hooks,
                validate=validate,
                patience=self._patience,
                random_state=rng,
            )  # fmt: skip
            hooks.end(result)
        return result

    def _keep(self, result: Result, network: Network, scaling: Scaling) -> None:
        self.network_, self.scaling_ = network, scaling
        self.theta_ = Parameters(network.shapes(), result.x)
        signed(result, self)
        self.result_, self.trace_ = result, result.trace
        self.n_iter_ = int(result.trace.epoch[-1]) if len(result.trace) else 0
        self.loss_ = float(result.fun)
        self._stream = None  # another partial_fit goes on from these weights
        self._warn(result)

    @property
    def coefs_(self) -> list[Array]:
        """Weights of the dense layers, each (inputs, outputs)."""
        return self._parts("weight")

    @property
    def intercepts_(self) -> list[Array]:
        """Biases of the dense layers."""
        return self._parts("bias")

    def _parts(self, name: str) -> list[Array]:
        if not hasattr(self, "theta_"):
            raise AttributeError("There are no weights before fit. Call fit(X, y) first.")
        parts: list[Any] = [
            self.theta_[each] for each in self.theta_ if each.rpartition(".")[2] == name
        ]
        return [getattr(part, "array", part) for part in parts]

    def _margins(self, X: ArrayLike) -> Array:
        """Outputs of the last layer, (n, k)."""
        X_ = self._features(X)
        with np.errstate(over="ignore", invalid="ignore"):
            z = self.network_.predict(self.theta_.vector, X_, self.scaling_)
        require_numbers(z)
        return z.astype(np.float64, copy=False)

    def _partial(self, X: Array, y: Array, weights: Array, loss: Any, outputs: int) -> Self:
        """One pass of steps over these rows, going on where the last call ended."""
        if hasattr(self, "theta_"):
            require_outputs(self.network_, outputs)
        require(weights.any(), "No row has a weight, its class's included. Give one row one.")
        known = getattr(self, "_stream", None)
        # a copy: where a step fails, or Ctrl-C comes, the next pass begins where this one did
        stream = known.copy() if known else self._begin_stream(X, y, weights, outputs, loss)
        began = time.perf_counter()
        cost = NetworkCost(
            self.network_, Rows(X, y, weights), alpha=self.alpha, scaling=self.scaling_,
            n_threads=self.n_threads, seed=stream.seed,
        )  # fmt: skip
        cost.steps = stream.steps
        batch = self._batch(len(X), stream.optimizer) or len(X)
        order, total, given = stream.rng.permutation(len(X)), 0.0, self._rate()
        rate = FixedRate(stream.optimizer.lr, given) if callable(given) else FixedRate(given)
        with cost:
            for a in range(0, len(X), batch):
                part = order[a : a + batch]
                lr = rate.now(int(stream.state["t"][0]))
                loss = cost.step(stream.walker, stream.optimizer, stream.state, part, lr)
                total += loss * len(part)
        solution = stream.optimizer.solution(stream.walker, stream.state)
        require(
            np.isfinite(solution).all(),
            "These rows lead to weights that are NaN or infinite; those before are kept. Pass a "
            "smaller learning_rate, or X in another unit.",
        )
        stream.before, self._stream, self.theta_.vector[:] = known, stream, solution
        stream.steps = cost.steps
        self.loss_, self.n_iter_ = total / len(X), self.n_iter_ + 1
        stream.examples += len(X)
        stream.seconds += max(0.0, time.perf_counter() - began)
        stream.trace.add(
            step=int(stream.state["t"][0]), epoch=self.n_iter_, cost=self.loss_, learning_rate=lr,
            seconds=stream.seconds, examples=stream.examples,
        )  # fmt: skip
        self.trace_ = stream.trace
        return self

    def _begin_stream(self, X: Array, y: Array, weights: Array, outputs: int, loss: Any) -> Stream:
        """The optimizer's state; network, scales and θ for the first rows, where there are none."""
        rng, optimizer = generator(self.random_state), self._optimizer()
        if hasattr(self, "theta_"):
            network, scaling = self.network_, self.scaling_
            start = to_host(self.theta_.vector).copy()  # that of the fit's Result stays
        else:
            precision = DTYPES.get(self.dtype, np.float32)
            network, scaling = self._build(X, weights, outputs, loss, precision)
            require_own(loss, as_told(y), outputs, precision)
            start = network.init(rng, precision)
            self.n_iter_ = 0
        require_suited(optimizer, network, full=False)
        shapes = network.shapes()
        state = optimizer.init(start, list(shapes.values()))
        self.network_, self.scaling_, self.theta_ = network, scaling, Parameters(shapes, start)
        return Stream(optimizer, aligned_copy(start), state, rng, int(rng.integers(2**62)))
