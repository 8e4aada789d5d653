"""What every estimator is: scikit-learn's protocol without importing it, and one way to fit."""

import math
from dataclasses import dataclass, fields

import numpy as np

from gdcore import optim
from gdcore.convergence import CostChange, GradientNorm, Rule
from gdcore.cost import Cost, held_out
from gdcore.data import Rows, as_features, as_weights
from gdcore.descent import descend
from gdcore.errors import (
    ConvergenceWarning,
    also_sklearns,
    not_fitted,
    require,
    require_choice,
    require_number,
)
from gdcore.models.coordinates import coordinates
from gdcore.progress import reporting
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

    def __repr__(self):
        given = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if not _same(getattr(self, field.name), field.default)
        ]
        return f"{type(self).__name__}({', '.join(given)})"


def _same(value, default):
    return value is default or (type(value) is type(default) and value == default)


@dataclass(kw_only=True, eq=False, repr=False)
class LinearEstimator(Parametrised):
    """Parameters and fitting that linear and logistic regression share; see either of them."""

    alpha: object = "auto"
    l1_ratio: float = 0.0
    fit_intercept: bool = True
    standardize: bool = True
    optimizer: object = "auto"
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

    def _check_parameters(self):
        if self.alpha != "auto":
            require(not isinstance(self.alpha, str), _alpha_message(self.alpha))
            require_number("alpha", self.alpha, low=0)
        require_number("l1_ratio", self.l1_ratio, low=0, high=1)
        require_number("max_epochs", self.max_epochs, low=0, whole=True)
        require_number("validation_fraction", self.validation_fraction, low=0, above=True)
        require(
            self.validation_fraction < 1,
            f"validation_fraction must be below 1, got {self.validation_fraction}. Try 0.1.",
        )
        if not isinstance(self.tol, Rule):
            require_number("tol", self.tol, low=0)
        for name in ("fit_intercept", "standardize", "warm_start"):
            value = getattr(self, name)
            require(
                isinstance(value, (bool, np.bool_)),
                f"{name} must be True or False, got {value!r}. Pass one of them.",
            )
        if isinstance(self.batch_size, str):
            require_choice("batch_size", self.batch_size, ["auto", "full"])
        else:
            require_number("batch_size", self.batch_size, low=1, whole=True)
        if isinstance(self.learning_rate, str):
            require_choice("learning_rate", self.learning_rate, ["auto"])
        elif not callable(self.learning_rate):
            require_number("learning_rate", self.learning_rate, low=0, above=True)
        resolve(self.n_threads)
        for callback in _as_list(self.callbacks):
            require(
                callable(callback),
                f"callbacks must be callables, got {callback!r}. Pass functions of a Moment.",
            )
        if not isinstance(self.random_state, np.random.RandomState):  # asking it would advance it
            _generator(self.random_state)
        self._optimizer(full=True)

    def _optimizer(self, full):
        """The optimizer behind a name or "auto": FISTA for full batches, SGD for small ones."""
        if isinstance(self.optimizer, optim.Optimizer):
            return self.optimizer
        if not isinstance(self.optimizer, str):
            raise TypeError(
                f"optimizer must be a name or an optimizer, got {self.optimizer!r}. "
                "Pass 'auto', a name as 'adam', or an instance as gd.optim.Adam(1e-3)."
            )
        closed = ["closed-form"] if self._closed_form else []
        require_choice(
            "optimizer", self.optimizer, ["auto", *closed, *map(str.lower, optim.__all__)]
        )
        if self.optimizer in ("auto", "closed-form"):
            return optim.FISTA() if full else optim.SGD()
        return optim.by_name(self.optimizer)()

    def _suited(self, optimizer, full):
        """The optimizer, refused where it cannot do what is asked."""
        name = type(optimizer).__name__
        require(
            full or not optimizer.full_batch,
            f"{name} compares the gradients of successive steps, so each must be over all rows. "
            "Pass batch_size='full', or another optimizer.",
        )
        lasso = self.l1_ratio > 0 and self.alpha != 0
        require(
            optimizer.proximal or not lasso,
            f"{name} has no proximal step for the L1 term. Pass l1_ratio=0, or optimizer='fista'.",
        )
        return optimizer

    def _rate(self):
        """The learning rate of the run: None finds one on the way."""
        if isinstance(self.optimizer, optim.Optimizer):  # an instance brings its own
            given = callable(self.learning_rate)
            return self.learning_rate if given else self.optimizer.lr
        return None if isinstance(self.learning_rate, str) else self.learning_rate

    def _stop(self, full, unit):
        """tol as a rule; the gradient has the unit of the targets, the cost its square."""
        if isinstance(self.tol, Rule):
            return self.tol
        if self.tol == 0:
            return None
        gradient = GradientNorm(self.tol * unit)
        return gradient if full else gradient | CostChange(0.01 * self.tol * unit * unit)

    def _fit(self, X, y, weights, loss, outputs):
        """Descend on checked arrays; sets what every linear estimator has after `fit`."""
        rng = _generator(self.random_state)
        kept = weights > 0
        if not kept.all():  # a row without weight must change nothing
            X, y, weights = X[kept], y[kept], weights[kept]
        alpha = 1 / weights.sum() if isinstance(self.alpha, str) else float(self.alpha)
        train, other = self._split(X, y, weights, rng)
        train = Rows(train.X, train.y, train.weights / train.weights.mean())
        auto = self._rate() is None
        model, penalty = coordinates(train, loss, outputs, alpha, self, precondition=auto)
        if self.optimizer == "closed-form":
            from gdcore.models.least_squares import solve

            result = solve(model, train, penalty, self.n_threads)
        else:
            validate = held_out(model, other) if other is not None else None
            result = self._descend(model, train, penalty, validate, rng)
        self._keep(result, model, X.dtype)
        return self

    def _descend(self, model, train, penalty, validate, rng):
        full = self.batch_size in ("auto", "full") or self.batch_size >= len(train)
        patience = self.early_stopping if type(self.early_stopping) is int else 5
        unit = _unit(model.loss, train)
        with reporting(self.verbose, self.progress, self.max_epochs) as reporters:
            return descend(
                Cost(model, train, penalty, self.n_threads, unit),
                self._start(model, train),
                self._suited(self._optimizer(full), full),
                learning_rate=self._rate(),
                batch_size=None if full else int(self.batch_size),
                stop=self._stop(full, unit),
                max_epochs=self.max_epochs,
                max_time=self.max_time,
                callbacks=[*_as_list(self.callbacks), *reporters],
                validate=validate,
                patience=patience,
                random_state=rng,
            )

    def _start(self, model, train):
        """θ to start from: the last fit's with warm_start, else the best constant prediction."""
        k, p = model.outputs, model.features
        if self.warm_start and hasattr(self, "coef_"):
            coef = np.atleast_2d(np.asarray(self.coef_, dtype=np.float64))
            if coef.shape == (k, p):
                return model.from_original(coef, np.reshape(self.intercept_, (k,)).astype(float))
        theta = model.init()
        if self.fit_intercept:
            theta[k * p :] = model.loss.constant(train.y, train.weights, k)
        return theta

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
        order = rng.permutation(n)
        everything = Rows(X, y, weights)
        return everything.part(np.sort(order[held:])), everything.part(np.sort(order[:held]))

    def _keep(self, result, model, dtype):
        coef, intercept = model.original(result.x)
        self.result_, self.trace_ = result, result.trace
        self.n_iter_ = int(result.trace.epoch[-1]) if len(result.trace) else 1
        self._shape_coefficients(coef.astype(dtype), intercept.astype(dtype))
        if not result.success and not (self.tol == 0 and result.status.name == "EPOCHS"):
            import warnings

            if result.status.name in ("EPOCHS", "TIME", "STALLED", "DIVERGED"):
                warnings.warn(result.message, also_sklearns(ConvergenceWarning), stacklevel=4)

    def _features(self, X):
        """X checked against what was fitted."""
        if not hasattr(self, "coef_"):
            raise not_fitted(self)
        names = feature_names(X)
        if names is not None and hasattr(self, "feature_names_in_"):
            require(
                list(names) == list(self.feature_names_in_),
                "The feature names should match those that were passed during fit. "
                "Pass the same columns in the same order.",
            )
        array = as_features(X)
        require(
            array.shape[1] == self.n_features_in_,
            f"X has {array.shape[1]} features, but {type(self).__name__} is expecting "
            f"{self.n_features_in_} features as input. Pass the columns that it was fitted on.",
        )
        return array

    def _begin(self, X, sample_weight):
        """Check everything but y; nothing of the estimator changes if this fails."""
        self._check_parameters()
        array = as_features(X)
        return array, as_weights(sample_weight, len(array)), feature_names(X)

    def _remember(self, p, names):
        self.n_features_in_ = p
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def __sklearn_is_fitted__(self):
        return hasattr(self, "coef_")


def feature_names(X):
    """The column names of a frame where they are all strings, else None."""
    columns = getattr(X, "columns", None)
    if columns is None or not hasattr(X, "shape"):
        return None
    names = list(columns)
    return names if all(isinstance(name, str) for name in names) else None


def sklearn_tags(kind):
    """scikit-learn's own Tags; imported here because only scikit-learn asks."""
    from sklearn.utils import ClassifierTags, InputTags, RegressorTags, Tags, TargetTags

    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=True),
        classifier_tags=ClassifierTags() if kind == "classifier" else None,
        regressor_tags=RegressorTags() if kind == "regressor" else None,
        input_tags=InputTags(sparse=False),
    )


def _alpha_message(alpha):
    return f"alpha must be a number or 'auto', got {alpha!r}. Pass 'auto' for 1/n."


def _unit(loss, train):
    """The targets' standard deviation for squared loss: the unit of the gradient; else 1."""
    if loss.curvature != 1:
        return 1.0
    center = np.average(train.y, weights=train.weights)
    unit = float(np.sqrt(np.average((train.y - center) ** 2, weights=train.weights)))
    return unit if unit > 1e-12 * abs(center) and unit > 0 else (abs(center) or 1.0)


def _generator(random_state):
    """A Generator from None, a number, a Generator, or a legacy RandomState."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1, size=4))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"random_state must be None, a whole number or a Generator, got {random_state!r}. "
            "Pass a number for the same result each time."
        ) from error


def _as_list(callbacks):
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
