"""What the estimators of a cluster share: a client, predictions where the rows are."""

import copy
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gdcore._typing import Array
from gdcore.distributed.cluster import client_for
from gdcore.distributed.rows import DaskRows
from gdcore.distributed.scores import accuracy, r_squared
from gdcore.errors import LostError, not_fitted
from gdcore.models.classifier import Classifier
from gdcore.result import Result
from gdcore.status import Status

OWN = ("client", "local_steps")  # parameters that an estimator without a cluster does not have


class Distributed:
    """Fits on Dask collections, and predicts for them lazily."""

    client: Any
    n_threads: int | None
    result_: Result
    _alone: Any  # the class without a cluster

    if TYPE_CHECKING:

        def __sklearn_is_fitted__(self) -> bool: ...

        def _fit_there(self, X: Any, y: Any, weights: Any) -> None: ...

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit to X (n, p) and y (n,), with optional weights (n,); returns the estimator.

        X is a dask.array, a dask.dataframe, or a list of delayed or futures that give (X, y) or
        (X, y, weights); blocks of linear models may be sparse.
        """
        self._fit_there(X, y, sample_weight)
        self._require_found()
        return self

    def to_local(self) -> Any:
        """The same as an estimator of gdcore that needs no cluster: it saves, and learns on.

        Raises
        ------
        NotFittedError
            Before `fit`.
        """
        if not self.__sklearn_is_fitted__():
            raise not_fitted(self)
        names = [each.name for each in fields(self._alone)]
        alone = self._alone(**{name: getattr(self, name) for name in names})
        parameters = {*names, *OWN}
        vars(alone).update({
            name: value for name, value in vars(self).items() if name not in parameters
        })  # fmt: skip
        return alone

    def _rows(self, X: Any, y: Any, weights: Any) -> DaskRows:
        return DaskRows(X, y, weights, client=self.client, n_threads=self.n_threads)

    def _lazily(self, method: str, X: Any, k: int | None, dtype: Any) -> Any:
        """A method of the estimator without a cluster, of each partition when it is asked for:
        (n,), or (n, k). Of rows that are here, at once."""
        from dask.base import is_dask_collection
        from dask.delayed import Delayed

        alone = self.to_local()
        if isinstance(X, (list, tuple)) and X and hasattr(X[0], "key"):
            raise TypeError(
                "X is a list of partitions, which only fit takes. Pass a dask.array or frame, or "
                f"client.map(model.to_local().{method}, parts)."
            )
        if not is_dask_collection(X):
            return getattr(alone, method)(X)
        if isinstance(X, Delayed) or X.ndim != 2:
            raise ValueError(
                f"X is a {type(X).__name__} and not a collection with two dimensions. Pass a "
                "dask.array or frame of rows and columns."
            )
        del alone.result_, alone.trace_  # which need not travel
        function = _Of(alone, method, () if k is None else (k,), dtype)
        meta = np.empty((0,) if k is None else (0, k), dtype)
        if getattr(X, "chunks", None) is None:
            return X.map_partitions(function, meta=meta)
        if X.numblocks[1] > 1:
            X = X.rechunk({1: -1})
        if k is None:
            return X.map_blocks(function, drop_axis=1, dtype=dtype, meta=meta)
        return X.map_blocks(function, chunks=(X.chunks[0], (k,)), dtype=dtype, meta=meta)

    def _scored(self, score: Any, X: Any, y: Any, weights: Any) -> float:
        """A score of rows on the cluster, or of rows that are here."""
        from dask.base import is_dask_collection

        alone = self.to_local()
        if not (is_dask_collection(X) or isinstance(X, (list, tuple))):
            here = [each.compute() if is_dask_collection(each) else each for each in (y, weights)]
            return float(alone.score(X, *here))
        del alone.result_, alone.trace_
        return float(score(client_for(self.client), alone, X, y, weights))

    def _require_found(self) -> None:
        """Raise where the cluster was lost; what was found until then is kept."""
        if self.result_.status is Status.LOST:
            error = LostError(self.result_.message)
            error.result = self.result_
            raise error

    def __sklearn_clone__(self) -> Any:
        """Another with the same parameters, and with the same client, of which there is no copy."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]
        own = {name: given.pop(name) for name in OWN if name in given}
        return type(self)(**copy.deepcopy(given), **own)

    def __copy__(self) -> Any:
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        other = object.__new__(type(self))
        for name, value in vars(self).items():  # of a client there is no copy
            vars(other)[name] = value if name == "client" else copy.deepcopy(value, memo)
        return other

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"client": None}  # a connection is of its process


class DaskClassifier(Distributed):
    """Predictions of classes."""

    _class_weights = Classifier._class_weights

    def predict(self, X: Any) -> Any:
        """The most probable class of each row (n,), or its labels (n, k) as zeros and ones, lazily
        for a collection."""
        classes: Array = getattr(self, "classes_", np.empty(0))
        k = len(classes) if getattr(self, "_several", False) else None
        return self._lazily("predict", X, k, classes.dtype)

    def predict_proba(self, X: Any) -> Any:
        """P(class | x), (n, k), lazily for a collection."""
        return self._lazily("predict_proba", X, len(getattr(self, "classes_", ())), np.float64)

    def predict_log_proba(self, X: Any) -> Any:
        """ln P(class | x), (n, k), lazily for a collection."""
        return self._lazily("predict_log_proba", X, len(getattr(self, "classes_", ())), np.float64)

    def decision_function(self, X: Any) -> Any:
        """Margins, lazily for a collection: (n,) for two classes, positive for classes_[1]; else
        (n, k)."""
        alone = self.to_local()
        one = alone.decision_function(np.zeros((1, alone.n_features_in_)))
        k = one.shape[1] if one.ndim == 2 else None
        return self._lazily("decision_function", X, k, np.float64)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy: the weighted share of rows whose class, or every label, is predicted right."""
        return self._scored(accuracy, X, y, sample_weight)


class DaskRegressor(Distributed):
    """Predictions of numbers."""

    target_mean_: Array

    def predict(self, X: Any) -> Any:
        """ŷ, (n,), or (n, k) where y had k columns, lazily for a collection."""
        k = None if getattr(self, "_vector", True) else len(self.target_mean_)
        return self._lazily("predict", X, k, np.float64)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R² = 1 − Σs(y − ŷ)²/Σs(y − ȳ)², the mean over the targets, computed on the cluster."""
        return self._scored(r_squared, X, y, sample_weight)


class _Of:
    """A method of an estimator on one partition, which may have no rows."""

    def __init__(self, alone: Any, method: str, shape: tuple[int, ...], dtype: Any) -> None:
        self.alone, self.method, self.shape, self.dtype = alone, method, shape, dtype

    def __call__(self, part: Any) -> Array:
        if np.shape(part)[0] == 0:
            return np.empty((0, *self.shape), self.dtype)
        method: Callable[..., Any] = getattr(self.alone, self.method)
        return np.asarray(method(part), self.dtype)
