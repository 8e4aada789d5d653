"""Linear and logistic regression on a Dask cluster."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.distributed.cost import DaskCost
from gdcore.distributed.lazily import DaskClassifier, DaskRegressor, Distributed
from gdcore.distributed.plan import Coded, Real
from gdcore.distributed.rows import DaskRows
from gdcore.errors import require_number
from gdcore.losses import REGRESSION, Logistic, Softmax, as_loss
from gdcore.models import linear, logistic
from gdcore.models.base import LinearEstimator
from gdcore.models.classifier import ClassWeight, require_classes
from gdcore.models.contexts import whole
from gdcore.models.estimator import OwnLoss


class _Linear(Distributed):
    """What both share."""

    local_steps: int | None

    def _fit_rows(self: Any, rows: DaskRows, encode: Any, loss: Any, outputs: int) -> None:
        if self.local_steps is not None:
            require_number("local_steps", self.local_steps, low=1, whole=True)
        held = self._held()
        about = rows.survey(encode, held)

        def cost(model: Any, penalty: Any, unit: float) -> DaskCost:
            return DaskCost(model, rows, penalty, unit, local_steps=self.local_steps)

        self._fit_surveyed(about, loss, outputs, cost, held is not None, rows.cluster.names)


@dataclass(kw_only=True, eq=False, repr=False)
class LinearRegression(DaskRegressor, _Linear, LinearEstimator):
    """`gd.LinearRegression` on the collections of a Dask cluster, which holds the rows.

    Parameters
    ----------
    client : distributed.Client, optional
        Default: that of the process.
    local_steps : int, optional
        With a number for `batch_size`: steps that each worker takes alone before θ is averaged.

    The other parameters, and the attributes, are those of `gd.LinearRegression`; there is no closed
    form and no stream. The minimum is that of a local fit.

    Raises
    ------
    ValueError, TypeError
        As `gd.LinearRegression`; for partitions that do not hold together, by their number.
    LostError
        Where the scheduler, or rows that nobody can compute anew, are gone. The best coefficients
        so far are kept.

    Example
    -------
    >>> import dask.array as da, gdcore as gd
    >>> from distributed import Client
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     X, y = da.arange(6, chunks=3)[:, None], 2.0 * da.arange(6, chunks=3) + 1
    ...     model = gd.distributed.LinearRegression(alpha=0, client=client).fit(X, y)
    ...     print(model.coef_.round(6), model.predict(X).compute().round(6))
    [2.] [ 1.  3.  5.  7.  9. 11.]
    """

    loss: str | OwnLoss = "squared"
    client: Any = None
    local_steps: int | None = None

    _closed_form = False
    _alone = linear.LinearRegression

    @whole
    def _fit_there(self, X: Any, y: Any, weights: Any) -> None:
        self._check_parameters()
        loss = as_loss(self.loss, REGRESSION)
        with self._rows(X, y, weights) as rows:
            rows.require_vector()
            self._fit_rows(rows, Real(getattr(loss, "check", None)), loss, outputs=1)

    def _shape_coefficients(self, coef: Array, intercept: Array) -> None:
        self.coef_, self.intercept_ = coef[0], intercept[0]


@dataclass(kw_only=True, eq=False, repr=False)
class LogisticRegression(DaskClassifier, _Linear, LinearEstimator):
    """`gd.LogisticRegression` on the collections of a Dask cluster, which holds the rows.

    Parameters
    ----------
    client, local_steps : as for `gd.distributed.LinearRegression`

    The other parameters, and the attributes, are those of `gd.LogisticRegression`; there is no
    stream. The minimum is that of a local fit.

    Raises
    ------
    ValueError, TypeError, LostError
        As `gd.distributed.LinearRegression`.

    Example
    -------
    >>> import dask.array as da, gdcore as gd
    >>> from distributed import Client
    >>> with Client(processes=False, dashboard_address=":0") as client:
    ...     X, y = da.arange(6, chunks=3)[:, None], da.arange(6, chunks=3) > 2
    ...     model = gd.distributed.LogisticRegression(client=client).fit(X, y)
    ...     print(model.predict(X).compute())
    [False False False  True  True  True]
    """

    class_weight: ClassWeight = None
    client: Any = None
    local_steps: int | None = None

    _closed_form = False
    _alone = logistic.LogisticRegression

    @whole
    def _fit_there(self, X: Any, y: Any, weights: Any) -> None:
        self._check_parameters()
        with self._rows(X, y, weights) as rows:
            rows.require_vector()
            encode, k = coded(self, rows)
            self.classes_ = encode.classes
            loss = Softmax() if k > 2 else Logistic()
            self._fit_rows(rows, encode, loss, outputs=k if k > 2 else 1)

    def _shape_coefficients(self, coef: Array, intercept: Array) -> None:
        self.coef_, self.intercept_ = coef, intercept


def coded(estimator: Any, rows: DaskRows) -> tuple[Coded, int]:
    """(labels as class numbers, weighed by class_weight; how many classes)."""
    classes, masses = rows.labels()
    require_classes(estimator, classes, np.flatnonzero(masses))
    factors = estimator._class_weights(classes, np.arange(len(classes)), masses)
    return Coded(classes, factors, masses), len(classes)
