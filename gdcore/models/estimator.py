"""What every estimator is: scikit-learn's protocol without importing it, parameters and checks."""

import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeAlias

import numpy as np

from gdcore import optim
from gdcore._typing import Array, ArrayLike, Generator, Sparse
from gdcore.convergence import Rule
from gdcore.data import (
    Rows,
    as_features,
    as_rows,
    as_weights,
    feature_names,
    mass_of,
    require_summable,
)
from gdcore.errors import (
    ConvergenceWarning,
    also_sklearns,
    not_fitted,
    require,
    require_choice,
    require_flag,
    require_number,
    require_seconds,
)
from gdcore.glimpse import Glimpse
from gdcore.hooks import Callbacks, Hooks, as_list
from gdcore.models.contexts import Attributes, CallbackSupport
from gdcore.optim.base import Optimizer
from gdcore.origin import Origin
from gdcore.progress import reporters
from gdcore.result import Result
from gdcore.seeds import generator
from gdcore.sparse import CSR
from gdcore.threads import resolve
from gdcore.trace import Trace

Rate: TypeAlias = float | Callable[[int], float]
Seed: TypeAlias = "int | Generator | np.random.RandomState | None"


class OwnLoss(Protocol):
    """A loss: one of gd.losses, or of the user's own."""

    def value(self, z: Array, y: Array, /) -> Array:
        """ℓ of each row, (n,)."""

    def slope(self, z: Array, y: Array, /) -> Array:
        """dℓ/dz, of z's shape."""


Features: TypeAlias = ArrayLike | CSR | Sparse


class Fitted:
    """What there is of an estimator beside its parameters."""

    optimizer: str | Optimizer
    result_: Result
    trace_: Trace
    n_iter_: int
    n_features_in_: int
    feature_names_in_: Array
    _glimpse: Glimpse

    if TYPE_CHECKING:

        def _check_parameters(self) -> None: ...


class Parametrised:
    """`get_params`, `set_params` and a repr from the fields of a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """{name: value} of every constructor argument."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def set_params(self, **params: Any) -> Self:
        """Set constructor arguments by name; returns the estimator."""
        for name, value in params.items():
            require_choice(f"{type(self).__name__} parameter", name, list(self.get_params()))
            setattr(self, name, value)
        return self

    def _given(self) -> list[tuple[str, Any]]:
        """(name, value) of what differs from its default."""
        return _given(self)

    def __repr__(self) -> str:
        given = [f"{name}={value!r}" for name, value in self._given()]
        return f"{type(self).__name__}({', '.join(given)})"

    def _repr_html_(self) -> str:
        """For notebooks: what was set, and how the last fit ended."""
        rows = [(name, repr(value)) for name, value in self._given()]
        result = getattr(self, "result_", None)
        if result is not None:
            rows += [("cost", f"{result.fun:.6g}"), ("steps", result.nit)]
            rows += [("stopped", f"{result.status.name}: {result.message}")]
        return _table(type(self).__name__, rows)


def _given(estimator: Any) -> list[tuple[str, Any]]:
    pairs = [(field, getattr(estimator, field.name)) for field in fields(estimator)]
    return [(each.name, value) for each, value in pairs if not _same(value, each.default)]


def signed(result: Result, estimator: Any) -> None:
    """Note in a result whose it is, and what was set. Changes result."""
    given = {name: _short(value) for name, value in _given(estimator)}
    result["settings"] = {"estimator": type(estimator).__name__, **given}
    result["origin"] = Origin(estimator)


def _short(value: object, most: int = 120) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def _table(title: str, rows: list[tuple[str, Any]]) -> str:
    """An HTML table of names and values."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(str(value))}</td></tr>"
        for name, value in rows
    )
    return f"<table><caption>{escape(title)}</caption>{cells}</table>"


def _same(value: object, default: object) -> bool:
    return value is default or (type(value) is type(default) and value == default)


class Coefficients:
    """What linear models have after `fit`."""

    coef_: Array
    intercept_: Array

    if TYPE_CHECKING:

        def _shape_coefficients(self, coef: Array, intercept: Array) -> None: ...


@dataclass(kw_only=True, eq=False, repr=False)
class Estimator(CallbackSupport, Fitted, Parametrised):
    """Parameters that all estimators share, their checks, and what is fitted."""

    standardize: bool = True
    learning_rate: Rate | Literal["auto"] = "auto"
    batch_size: int | Literal["auto", "full"] = "auto"
    max_epochs: int | Literal["auto"] = 1000
    max_time: float = math.inf
    tol: float | Rule = 1e-6
    early_stopping: bool | int = False
    validation_fraction: float = 0.1
    warm_start: bool = False
    callbacks: Callbacks = None
    progress: bool = False
    verbose: int = 0
    n_threads: int | None = None
    random_state: Seed = None

    _fitted = "coef_"  # what there is after fit, and not before
    _takes_sparse = False

    def _check_common(self) -> None:
        require_number("validation_fraction", self.validation_fraction, low=0, above=True)
        require(
            self.validation_fraction < 1,
            f"validation_fraction must be below 1, got {self.validation_fraction}. Try 0.1.",
        )
        if not isinstance(self.early_stopping, (bool, np.bool_)):  # else epochs to wait
            require_number("early_stopping", self.early_stopping, low=1, whole=True)
        if not isinstance(self.tol, Rule):
            require_number("tol", self.tol, low=0)
        require_flags(self, "standardize", "warm_start", "progress")
        if isinstance(self.batch_size, str):
            require_choice("batch_size", self.batch_size, ["auto", "full"])
        else:
            require_number("batch_size", self.batch_size, low=1, whole=True)
        if isinstance(self.learning_rate, str):
            require_choice("learning_rate", self.learning_rate, ["auto"])
        elif not callable(self.learning_rate):
            require_number("learning_rate", self.learning_rate, low=0, above=True)
        require_seconds("max_time", self.max_time)
        if not isinstance(self.verbose, (bool, np.bool_)):
            require_number("verbose", self.verbose, low=0, whole=True)
        resolve(self.n_threads)
        Hooks(self.callbacks)
        if not isinstance(self.random_state, np.random.RandomState):  # asking it would advance it
            generator(self.random_state)

    def _rate(self) -> Rate | None:
        """The learning rate of the run: None finds one on the way."""
        if isinstance(self.optimizer, optim.Optimizer):  # an instance brings its own
            return self.learning_rate if callable(self.learning_rate) else self.optimizer.lr
        return None if isinstance(self.learning_rate, str) else self.learning_rate

    def _split(self, X: Any, y: Array, weights: Array, rng: Generator) -> tuple[Rows, Rows | None]:
        """(training rows, held-out rows or None)."""
        if not self.early_stopping:
            return Rows(X, y, weights), None
        n = len(X)
        held = max(1, round(self.validation_fraction * n))
        require(
            held < n,
            f"early_stopping needs rows to train on: {n} rows with validation_fraction="
            f"{self.validation_fraction} leave none. Pass more rows or a smaller fraction.",
        )
        out = np.zeros(n, bool)
        out[rng.permutation(n)[:held]] = True
        everything = Rows(X, y, weights)
        return everything.part(np.flatnonzero(~out)), everything.part(np.flatnonzero(out))

    @property
    def _patience(self) -> int:
        return self.early_stopping if type(self.early_stopping) is int else 5

    def _held(self) -> tuple[float, int] | None:
        """(share, seed) of the rows of chunks that early stopping holds out, or None."""
        if not self.early_stopping:
            return None
        return self.validation_fraction, int(self._generator().integers(2**63))

    def _warn(self, result: Result) -> None:
        """Say it where a budget or a fault ended the descent."""
        wished = self.tol == 0 and result.status.name in ("EPOCHS", "STALLED")
        if not result.success and not wished:
            faults = ("EPOCHS", "TIME", "STALLED", "DIVERGED")
            if result.status.name in faults or result.get("separable"):
                warnings.warn(result.message, also_sklearns(ConvergenceWarning), stacklevel=6)

    def _hooks(self, attributes: Attributes, epochs: int, **changes: Any) -> Hooks:
        """Who watches one descent; attributes(θ) are those of the estimator fitted so far, None
        where it would be none. `changes` are of the `Plan`."""
        watch = [] if self._watch is None else [self._watch.of(attributes)]
        said = reporters(self.verbose, self.progress, epochs)
        changes["settings"] = self.get_params()
        return Hooks([*as_list(self.callbacks), *said, *watch], **changes)

    def _generator(self) -> Generator:
        """That of random_state; without one a fit that goes on from a checkpoint has the luck with
        which it began."""
        rng = generator(self.random_state)
        if self.random_state is None:
            for each in as_list(self.callbacks):
                if hasattr(each, "_luck"):
                    each._luck(rng)
        return rng

    def _features(self, X: Any) -> Any:
        """X checked against what was fitted."""
        if not self.__sklearn_is_fitted__():
            raise not_fitted(self)
        names = feature_names(X)
        if names is not None and hasattr(self, "feature_names_in_"):
            require(
                list(names) == list(self.feature_names_in_),
                "The feature names should match those that were passed during fit. "
                "Pass the same columns in the same order.",
            )
        array = self._as_rows(X)
        require(
            array.shape[1] == self.n_features_in_,
            f"X has {array.shape[1]} features, but {type(self).__name__} is expecting "
            f"{self.n_features_in_} features as input. Pass the columns that it was fitted on.",
        )
        return array

    def _begin(
        self, X: Any, sample_weight: ArrayLike | None, fitted: bool = False
    ) -> tuple[Any, Array, list[str] | None]:
        """Check everything but y; nothing of the estimator changes if this fails."""
        self._check_parameters()
        array = self._features(X) if fitted else self._as_rows(X)
        weights, names = as_weights(sample_weight, len(array)), feature_names(X)
        if not fitted:
            self._glimpse = Glimpse(array, X)
        return array, weights, names

    def _as_rows(self, X: Any) -> Any:
        require_rows(X)
        return as_rows(X) if self._takes_sparse else as_features(X)

    def _remember(self, p: int, names: Sequence[str] | None) -> None:
        self.n_features_in_ = p
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, self._fitted)


def require_rows(X: Any) -> None:
    """Refuse paths and chunks, which `fit` of linear models has taken by now where it can."""
    if isinstance(X, (str, os.PathLike)):
        raise TypeError(
            "X is a path, which fit of linear models alone takes. Pass rows, as "
            "numpy.load(path, mmap_mode='r')[:1000]."
        )
    first = X[0] if isinstance(X, (list, tuple)) and len(X) else None
    listed = isinstance(first, tuple) and len(first) in (2, 3) and np.ndim(first[0]) == 2
    array = any(hasattr(X, name) for name in ("__len__", "shape", "__array__"))
    if listed or (hasattr(X, "__iter__") and not array):
        raise TypeError(
            "X holds chunks, which carry their own y and which fit of linear models alone takes. "
            "Pass fit(chunks) without y, or the rows of one chunk."
        )


def sklearn_tags(kind: str, sparse: bool = False) -> Any:
    """scikit-learn's own Tags; imported here because only scikit-learn asks."""
    from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=True),
        classifier_tags=ClassifierTags() if kind == "classifier" else None,
        regressor_tags=RegressorTags() if kind == "regressor" else None,
        input_tags=InputTags(sparse=sparse),
    )


def require_flags(estimator: Any, *names: str) -> None:
    for name in names:
        require_flag(name, getattr(estimator, name))


def counted(X: Any, y: Array, weights: Array) -> tuple[Any, Array, Array]:
    """The rows that have a weight: others must change nothing."""
    kept = weights > 0
    require_summable(mass_of(weights))
    return (X, y, weights) if kept.all() else (X[kept], y[kept], weights[kept])


def require_batch(optimizer: Optimizer, full: bool) -> None:
    """Refuse a rule whose steps need all rows where they are of different rows."""
    require(
        full or not optimizer.full_batch,
        f"{type(optimizer).__name__} takes each step by the gradient over all rows. Pass "
        "batch_size='full', or another optimizer.",
    )


def require_optimizer(given: object) -> None:
    if not isinstance(given, str):
        raise TypeError(
            f"optimizer must be a name or an optimizer, got {given!r}. "
            "Pass 'auto', a name as 'adam', or an instance as gd.optim.Adam(1e-3)."
        )
