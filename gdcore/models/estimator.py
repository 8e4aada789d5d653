"""What every estimator is: scikit-learn's protocol without importing it, parameters and checks."""

import math
import os
import warnings
from dataclasses import dataclass, fields
from html import escape

import numpy as np

from gdcore import optim
from gdcore.convergence import Rule
from gdcore.data import (
    Rows,
    as_features,
    as_rows,
    as_weights,
    generator,
    mass_of,
    require_summable,
)
from gdcore.errors import (
    ConvergenceWarning,
    also_sklearns,
    not_fitted,
    require,
    require_choice,
    require_number,
)
from gdcore.glimpse import Glimpse
from gdcore.hooks import Hooks, as_list
from gdcore.models.contexts import CallbackSupport
from gdcore.origin import Origin
from gdcore.progress import reporters
from gdcore.threads import resolve


class Parametrised:
    """`get_params`, `set_params` and a repr from the fields of a dataclass."""

    def get_params(self, deep=True):
        """{name: value} of every constructor argument."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def set_params(self, **params):
        """Set constructor arguments by name; returns the estimator."""
        for name, value in params.items():
            require_choice(f"{type(self).__name__} parameter", name, list(self.get_params()))
            setattr(self, name, value)
        return self

    def _given(self):
        """(name, value) of what differs from its default."""
        return _given(self)

    def __repr__(self):
        given = [f"{name}={value!r}" for name, value in self._given()]
        return f"{type(self).__name__}({', '.join(given)})"

    def _repr_html_(self):
        """For notebooks: what was set, and how the last fit ended."""
        rows = [(name, repr(value)) for name, value in self._given()]
        result = getattr(self, "result_", None)
        if result is not None:
            rows += [("cost", f"{result.fun:.6g}"), ("steps", result.nit)]
            rows += [("stopped", f"{result.status.name}: {result.message}")]
        return _table(type(self).__name__, rows)


def _given(estimator):
    pairs = [(field, getattr(estimator, field.name)) for field in fields(estimator)]
    return [(each.name, value) for each, value in pairs if not _same(value, each.default)]


def signed(result, estimator):
    """Note in a result whose it is, and what was set. Changes result."""
    given = {name: _short(value) for name, value in _given(estimator)}
    result.settings = {"estimator": type(estimator).__name__, **given}
    result.origin = Origin(estimator)


def _short(value, most=120):
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"


def _table(title, rows):
    """An HTML table of names and values."""
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(str(value))}</td></tr>"
        for name, value in rows
    )
    return f"<table><caption>{escape(title)}</caption>{cells}</table>"


def _same(value, default):
    return value is default or (type(value) is type(default) and value == default)


@dataclass(kw_only=True, eq=False, repr=False)
class Estimator(CallbackSupport, Parametrised):
    """Parameters that all estimators share, their checks, and what is fitted."""

    standardize: bool = True
    learning_rate: object = "auto"
    batch_size: object = "auto"
    max_epochs: int = 1000
    max_time: float = math.inf
    tol: object = 1e-6
    early_stopping: object = False
    validation_fraction: float = 0.1
    warm_start: bool = False
    callbacks: object = None
    progress: bool = False
    verbose: int = 0
    n_threads: object = None
    random_state: object = None

    _fitted = "coef_"  # what there is after fit, and not before
    _takes_sparse = False

    def _check_common(self):
        require_number("validation_fraction", self.validation_fraction, low=0, above=True)
        require(
            self.validation_fraction < 1,
            f"validation_fraction must be below 1, got {self.validation_fraction}. Try 0.1.",
        )
        if not isinstance(self.early_stopping, (bool, np.bool_)):  # else epochs to wait
            require_number("early_stopping", self.early_stopping, low=1, whole=True)
        if not isinstance(self.tol, Rule):
            require_number("tol", self.tol, low=0)
        require_flags(self, "standardize", "warm_start")
        if isinstance(self.batch_size, str):
            require_choice("batch_size", self.batch_size, ["auto", "full"])
        else:
            require_number("batch_size", self.batch_size, low=1, whole=True)
        if isinstance(self.learning_rate, str):
            require_choice("learning_rate", self.learning_rate, ["auto"])
        elif not callable(self.learning_rate):
            require_number("learning_rate", self.learning_rate, low=0, above=True)
        resolve(self.n_threads)
        Hooks(self.callbacks)
        if not isinstance(self.random_state, np.random.RandomState):  # asking it would advance it
            generator(self.random_state)

    def _rate(self):
        """The learning rate of the run: None finds one on the way."""
        if isinstance(self.optimizer, optim.Optimizer):  # an instance brings its own
            given = callable(self.learning_rate)
            return self.learning_rate if given else self.optimizer.lr
        return None if isinstance(self.learning_rate, str) else self.learning_rate

    def _split(self, X, y, weights, rng):
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
    def _patience(self):
        return self.early_stopping if type(self.early_stopping) is int else 5

    def _warn(self, result):
        """Say it where a budget or a fault ended the descent."""
        wished = self.tol == 0 and result.status.name in ("EPOCHS", "STALLED")
        if not result.success and not wished:
            faults = ("EPOCHS", "TIME", "STALLED", "DIVERGED")
            if result.status.name in faults or result.get("separable"):
                warnings.warn(result.message, also_sklearns(ConvergenceWarning), stacklevel=6)

    def _hooks(self, attributes, epochs, **changes):
        """Who watches one descent; attributes(θ) are those of the estimator fitted so far, None
        where it would be none. `changes` are of the `Plan`."""
        watch = [] if self._watch is None else [self._watch.of(attributes)]
        said = reporters(self.verbose, self.progress, epochs)
        return Hooks([*as_list(self.callbacks), *said, *watch], **changes)

    def _features(self, X):
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

    def _begin(self, X, sample_weight, fitted=False):
        """Check everything but y; nothing of the estimator changes if this fails."""
        self._check_parameters()
        array = self._features(X) if fitted else self._as_rows(X)
        weights, names = as_weights(sample_weight, len(array)), feature_names(X)
        if not fitted:
            self._glimpse = Glimpse(array, X)
        return array, weights, names

    def _as_rows(self, X):
        require_rows(X)
        return as_rows(X) if self._takes_sparse else as_features(X)

    def _remember(self, p, names):
        self.n_features_in_ = p
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def __sklearn_is_fitted__(self):
        return hasattr(self, self._fitted)


def feature_names(X):
    """The column names of a frame where they are all strings, else None."""
    columns = getattr(X, "columns", None)
    if columns is None or not hasattr(X, "shape"):
        return None
    names = list(columns)
    return names if all(isinstance(name, str) for name in names) else None


def require_rows(X):
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


def sklearn_tags(kind, sparse=False):
    """scikit-learn's own Tags; imported here because only scikit-learn asks."""
    from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=True),
        classifier_tags=ClassifierTags() if kind == "classifier" else None,
        regressor_tags=RegressorTags() if kind == "regressor" else None,
        input_tags=InputTags(sparse=sparse),
    )


def require_flags(estimator, *names):
    for name in names:
        value = getattr(estimator, name)
        require(
            isinstance(value, (bool, np.bool_)),
            f"{name} must be True or False, got {value!r}. Pass one of them.",
        )


def counted(X, y, weights):
    """The rows that have a weight: others must change nothing."""
    kept = weights > 0
    require_summable(mass_of(weights))
    return (X, y, weights) if kept.all() else (X[kept], y[kept], weights[kept])


def require_batch(optimizer, full):
    """Refuse a rule whose steps need all rows where they are of different rows."""
    require(
        full or not optimizer.full_batch,
        f"{type(optimizer).__name__} takes each step by the gradient over all rows. Pass "
        "batch_size='full', or another optimizer.",
    )


def require_optimizer(given):
    if not isinstance(given, str):
        raise TypeError(
            f"optimizer must be a name or an optimizer, got {given!r}. "
            "Pass 'auto', a name as 'adam', or an instance as gd.optim.Adam(1e-3)."
        )
