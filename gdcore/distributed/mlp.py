"""Multi-layer perceptrons on a Dask cluster."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcore.distributed.lazily import DaskClassifier, DaskRegressor, Distributed
from gdcore.distributed.linear import coded
from gdcore.distributed.network import DaskNetworkCost
from gdcore.distributed.plan import Marked, Scaled
from gdcore.distributed.rows import DaskRows
from gdcore.glimpse import Glimpse
from gdcore.losses import Squared
from gdcore.models import mlp
from gdcore.models.classifier import ClassWeight
from gdcore.models.contexts import whole
from gdcore.models.network import Network, require_outputs
from gdcore.models.neural import NeuralEstimator
from gdcore.models.training import Judge, inverted, require_same
from gdcore.ranges import require_held


class _Perceptron(Distributed):
    """What both share."""

    def _fit_rows(self: Any, rows: DaskRows, encode: Any, outputs: int, loss: Any) -> None:
        rng, held, self._glimpse = self._generator(), self._held(), Glimpse()
        about = rows.survey(encode, held)
        network = Network(self._layers(outputs), about.X.shape[1:], loss)
        require_outputs(network, outputs)
        precision = self._precision(len(about))
        scaling = None
        if self.standardize:
            scaling = inverted(about.mean, about.deviation, precision)
        else:
            require_held(np.array([about.mean, about.deviation]), precision)

        def make(full: bool, seed: int) -> tuple[DaskNetworkCost, Judge | None]:
            cost = DaskNetworkCost(
                network, rows, alpha=self.alpha, scaling=scaling, full=full, seed=seed
            )
            return cost, None if held is None else cost.validate

        self._remember(about.X.shape[1], rows.cluster.names)
        self._train(network, scaling, make, len(about), rng, precision)


@dataclass(kw_only=True, eq=False, repr=False)
class MLPClassifier(DaskClassifier, _Perceptron, NeuralEstimator):
    """`gd.MLPClassifier` on the collections of a Dask cluster, which holds the rows.

    Each step sums the gradients of the workers. Rows are dense.

    Parameters
    ----------
    client : distributed.Client, optional
        Default: that of the process.

    The other parameters, and the attributes, are those of `gd.MLPClassifier`.

    Raises
    ------
    ValueError, TypeError, LostError
        As `gd.distributed.LinearRegression`.

    Example
    -------
    >>> import dask.array as da, numpy as np, gdcore as gd
    >>> from distributed import Client
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     X, y = da.arange(40, chunks=20)[:, None] % 4, da.arange(40, chunks=20) % 4
    ...     model = gd.distributed.MLPClassifier(hidden_layer_sizes=16, optimizer="lbfgs",
    ...                                          random_state=0, client=client).fit(X, y)
    ...     print(model.score(X, y))
    1.0
    """

    class_weight: ClassWeight = None
    client: Any = None

    _alone = mlp.MLPClassifier

    @whole
    def _fit_there(self, X: Any, y: Any, weights: Any) -> None:
        self._check_parameters()
        with self._rows(X, y, weights) as rows:
            rows.require_dense()
            encode: Any = Marked()
            if rows.targets is None:
                encode = coded(self, rows)[0]
            classes = encode.classes if rows.targets is None else np.arange(rows.targets)
            require_same(self, classes)
            self.classes_, self._several = classes, rows.targets is not None
            self._fit_rows(rows, encode, *mlp.task(self, classes, self._several, (rows.width,)))


@dataclass(kw_only=True, eq=False, repr=False)
class MLPRegressor(DaskRegressor, _Perceptron, NeuralEstimator):
    """`gd.MLPRegressor` on the collections of a Dask cluster, which holds the rows.

    Each step sums the gradients of the workers. Rows are dense.

    Parameters
    ----------
    client : distributed.Client, optional
        Default: that of the process.

    The other parameters, and the attributes, are those of `gd.MLPRegressor`.

    Raises
    ------
    ValueError, TypeError, LostError
        As `gd.distributed.LinearRegression`.

    Example
    -------
    >>> import dask.array as da, gdcore as gd
    >>> from distributed import Client
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     X = da.linspace(-2, 2, 200, chunks=100)[:, None]
    ...     y = da.sin(2 * X[:, 0])
    ...     model = gd.distributed.MLPRegressor(activation="tanh", optimizer="lbfgs",
    ...                                         random_state=0, client=client).fit(X, y)
    ...     print(model.score(X, y) > 0.99)
    True
    """

    client: Any = None

    _alone = mlp.MLPRegressor

    @whole
    def _fit_there(self, X: Any, y: Any, weights: Any) -> None:
        self._check_parameters()
        with self._rows(X, y, weights) as rows:
            rows.require_dense()
            own = isinstance(self.loss, str)
            k = rows.targets or 1
            self.target_mean_, self.target_scale_ = np.zeros(k), np.ones(k)
            if own:
                self.target_mean_, deviation = rows.target_moments()
                self.target_scale_ = np.where(deviation > 0, deviation, 1.0)
            self._vector = rows.targets is None
            encode = Scaled(self.target_mean_, self.target_scale_)
            self._fit_rows(rows, encode, k, Squared() if own else self.loss)
