"""Multi-layer perceptrons: classification and regression by a network."""

from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.data import Rows, as_held_out, as_targets, as_weights, column_moments
from gdcore.devices import is_foreign, to_host
from gdcore.errors import require
from gdcore.losses import Gamma, Logistic, Poisson, Softmax, Squared
from gdcore.models import networks_on_device
from gdcore.models.classifier import (
    Classifier,
    ClassWeight,
    Probabilities,
    as_classes,
    encode,
    most_probable,
    probabilities,
    require_classes,
    same_classes,
)
from gdcore.models.contexts import at_once, whole
from gdcore.models.estimator import sklearn_tags
from gdcore.models.labels import (
    as_label_matrix,
    as_many,
    as_real_matrix,
    r_squared,
    several_columns,
)
from gdcore.models.neural import NeuralEstimator
from gdcore.models.training import require_same
from gdcore.ranges import require_numbers

Held: TypeAlias = tuple[ArrayLike, ArrayLike] | None


def task(estimator: Any, classes: Array, several: bool, shape: tuple[int, ...]) -> tuple[int, Any]:
    """(outputs, loss) of a classifier: two classes take one logit, or two where its layers end in
    two."""
    outputs = len(classes)
    if not several and outputs == 2:
        ends = None if estimator.layers is None else estimator._layers(1).output(shape)
        outputs = 2 if ends == (2,) else 1
    loss = Logistic() if several or outputs == 1 else Softmax()
    return outputs, loss if isinstance(estimator.loss, str) else estimator.loss


@dataclass(kw_only=True, eq=False, repr=False)
class MLPClassifier(Probabilities, Classifier, NeuralEstimator):
    """Classification by a multi-layer perceptron, or by layers of your own.

    J(θ) = Σ sᵢℓᵢ / Σ sᵢ + ½·alpha·‖W‖², W the weights and not the biases. One label a row: softmax
    over k classes, ℓ = log Σ eᶻ − z_y, with one z for two classes. A matrix of zeros and ones
    (n, k), several labels a row: ℓ = Σ log(1 + eᶻ) − yz (Rumelhart, Hinton & Williams, 1986).

    Parameters
    ----------
    hidden_layer_sizes : tuple of int
    activation : str
        "relu", "leaky_relu", "tanh", "sigmoid", "gelu", "gelu_tanh", "silu", "softplus"
    layers : Sequential or list of layers, optional
        In place of the hidden layers and the output layer that the parameters above describe.
    dropout : float in [0, 1)
        Share of the hidden units left out at each step (Srivastava et al., 2014).
    normalization : None, "layer" or "batch"
        Between a hidden layer's product and its activation.
    loss : "auto" or an object with value(z, y) → (n,) and slope(z, y) → (n, k)
    alpha : float ≥ 0
    optimizer : str or Optimizer
        A class of gd.optim in lower case, or an instance, which brings its own rate.
    learning_rate : float, schedule t → factor, or "auto"
        "auto" is the optimizer's own.
    batch_size : int, "full" or "auto"
        "auto" is a sixteenth of the rows, from 32 to 128, but all of up to 64 rows, and all for an
        optimizer that needs them, as "lbfgs".
    max_epochs, max_time : int or "auto", and float
        Budgets: passes over the data, seconds. "auto" is 200 epochs, and at least 2,000 steps.
    tol : float or Rule
        Stop when the mean cost of an epoch has not fallen by tol·J₀, J₀ the first one, in
        `patience` epochs and 200 steps; 0 switches stopping off. A rule of gd.convergence is used
        as it is.
    early_stopping : bool or int
        Hold out `validation_fraction` of the rows, stop after 5 (or that many) epochs without a
        lower loss there, and keep the best. `fit(…, validation=(X, y))` brings rows of your own.
    clip_norm : float, optional
        Largest norm of a step's gradient (Pascanu et al., 2013).
    restarts : int
        So many further descents, each from weights of its own; the best is kept,
        result_.restarts has them all.
    dtype : "float32", "float64" or "auto"
        Precision of the computation; "auto" is single for small batches, and double where each
        step sees all rows.
    standardize : bool
        Give the network columns of mean 0 and deviation 1; X is not copied.
    class_weight : None, "balanced" or dict
    warm_start, callbacks, progress, verbose, n_threads, random_state
        As for `LinearRegression`; the same bits for any n_threads.

    Attributes
    ----------
    classes_, coefs_, intercepts_ (lists, a dense layer each), theta_ (all parameters by name),
    network_, loss_, n_iter_ (epochs), trace_, result_, n_features_in_, feature_names_in_

    Raises
    ------
    ValueError, TypeError
        For a parameter outside its range, one class only, and data that are not finite numbers.

    Example
    -------
    >>> import gdcore as gd
    >>> data = gd.datasets.load_digits()
    >>> model = gd.MLPClassifier(max_epochs=20, tol=0, random_state=0)
    >>> model.fit(data.X[:1500], data.y[:1500]).score(data.X[1500:], data.y[1500:]) > 0.9
    True
    """

    class_weight: ClassWeight = None

    @whole
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        validation: Held = None,
    ) -> Self:
        """Fit to X (n, p) and labels y (n,) or (n, k), with optional weights (n,); returns self."""
        if is_foreign(X):
            networks_on_device.fit_classes(self, X, y, sample_weight, validation)
            return self
        X_, weights, names = self._begin(X, sample_weight)
        classes, codes = self._encode(y, len(X_))
        require_same(self, classes)
        if codes.ndim == 1:
            require_classes(self, classes, codes[weights > 0].astype(int))
        weights = self._weigh(weights, classes, codes)
        outputs, loss = task(self, classes, codes.ndim == 2, X_.shape[1:])
        other = self._validation(validation, X_.shape[1], names, classes, codes)
        self.classes_, self._several = classes, codes.ndim == 2
        self._remember(X_.shape[1], names)
        self._fit(X_, codes, weights, loss, outputs, other)
        return self

    @at_once
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """One pass of steps over these rows, going on where the last call ended; returns self.

        After `fit`, `gd.load` or `gd.from_torch` it goes on from their weights. Otherwise the first
        call needs all `classes`, where its rows do not hold them, and takes the scales of the
        columns from its rows.
        """
        fresh = not hasattr(self, "theta_")
        X_, weights, names = self._begin(X, sample_weight, fitted=not fresh)
        if fresh:
            known = self._announced(y if classes is None else classes, classes is None, len(X_))
        else:
            known = same_classes(to_host(self.classes_), classes)
        several = several_columns(y)
        require(
            fresh or several == self._several,
            "y has one label a row in one call and several in another. Pass one kind.",
        )
        codes = as_label_matrix(y, len(X_)) if several else self._codes(y, len(X_), known)
        known = np.arange(codes.shape[1]) if several else known
        weights = self._weigh(weights, known, codes)
        if fresh or several:
            outputs, loss = task(self, known, several, X_.shape[1:])
        else:  # of layers that need not be those of the parameters
            outputs, loss = self.network_.outputs, self.network_.loss
        self._partial(X_, codes, weights, loss, outputs)
        self.classes_, self._several = known, several
        self._remember(X_.shape[1], names)
        return self

    def _announced(self, labels: Any, of_rows: bool, n: int) -> Array:
        """The classes of the first call of partial_fit."""
        if of_rows and several_columns(labels):
            return np.arange(0)  # as many as there are columns
        known = encode(as_targets(labels, n))[0] if of_rows else as_classes(labels)
        require(
            len(known) > 1,
            f"The first call of partial_fit knows one class only, {known.tolist()}. "
            "Pass all classes to it.",
        )
        return known

    def _weigh(self, weights: Array, classes: Array, codes: Array) -> Array:
        """Weights of the rows times those of their classes, where a row has but one."""
        if codes.ndim == 2:
            return weights
        whole = codes.astype(int)
        factors = self._class_weights(classes, whole, weights)
        weighed: Array = weights * factors[whole]
        return weighed

    def _codes(self, y: ArrayLike, n: int, known: Array, name: str = "y") -> Array:
        labels, codes = encode(as_targets(y, n, name))
        unknown = [label for label in labels.tolist() if label not in known.tolist()]
        first = "Pass all classes at the first call of partial_fit."
        require(
            not unknown,
            f"{name} holds {unknown}, which are not among the classes {known.tolist()}. "
            + (first if name == "y" else "Leave those rows out, or fit on some of that class."),
        )
        order = np.argsort(known)  # those of `gd.from_torch` come in the order of its outputs
        return order[np.searchsorted(known, labels, sorter=order)][codes].astype(np.float64)

    def _encode(self, y: ArrayLike, n: int) -> tuple[Array, Array]:
        """(classes, codes (n,) or a matrix (n, k) of zeros and ones), codes in float64."""
        if several_columns(y):
            codes = as_label_matrix(y, n)
            return np.arange(codes.shape[1]), codes
        classes, codes = encode(as_targets(y, n))
        return classes, codes.astype(np.float64)

    def _validation(
        self, given: Held, p: int, names: Any, classes: Array, codes: Array
    ) -> Rows | None:
        if given is None:
            return None
        X_, y = as_held_out(given, p, names)
        if codes.ndim == 2:
            name = "validation y"
            known = as_many(as_label_matrix(y, len(X_), name), codes, name)
        else:
            known = self._codes(y, len(X_), classes, "validation y")
        return Rows(X_, known, np.ones(len(X_)))

    def decision_function(self, X: ArrayLike) -> Array:
        """Margins: (n,) for two classes, positive for classes_[1]; else (n, k)."""
        if networks_on_device.on_device(self):
            return networks_on_device.decision(self, X)
        z = self._margins(X)
        return z[:, 0] if z.shape[1] == 1 else z

    def predict_proba(self, X: ArrayLike) -> Array:
        """P(class | x), shape (n, k); rows sum to one, but where a row has several labels."""
        if networks_on_device.on_device(self):
            return networks_on_device.shares(self, X)
        z = self.decision_function(X)
        if not self._several:
            return probabilities(z)
        return Logistic().mean(z.reshape(-1, 1)).reshape(z.shape)

    def predict(self, X: ArrayLike) -> Array:
        """The most probable class of each row (n,), or its labels (n, k) as zeros and ones."""
        if networks_on_device.on_device(self):
            return networks_on_device.predict_classes(self, X)
        z = self.decision_function(X)
        return (z > 0).astype(int) if self._several else most_probable(self.classes_, z)

    def __sklearn_tags__(self) -> Any:
        tags = sklearn_tags("classifier")
        tags.classifier_tags.multi_label = True
        return tags


@dataclass(kw_only=True, eq=False, repr=False)
class MLPRegressor(NeuralEstimator):
    """Regression by a multi-layer perceptron, or by layers of your own.

    J(θ) = Σ sᵢ·½‖zᵢ − yᵢ‖² / Σ sᵢ + ½·alpha·‖W‖² (Rumelhart, Hinton & Williams, 1986). The targets
    are standardised for the descent; predictions come back on their scale.

    Parameters and attributes are those of `MLPClassifier`, without classes.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X = np.linspace(-2, 2, 200)[:, None]
    >>> model = gd.MLPRegressor(activation="tanh", learning_rate=0.01, random_state=0)
    >>> model.fit(X, np.sin(2 * X[:, 0])).score(X, np.sin(2 * X[:, 0])) > 0.99
    True
    """

    @whole
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        validation: Held = None,
    ) -> Self:
        """Fit to X (n, p) and y (n,) or (n, k), with optional weights (n,); returns self."""
        if is_foreign(X):
            networks_on_device.fit_regression(self, X, y, sample_weight, validation)
            return self
        X_, weights, names = self._begin(X, sample_weight)
        y_ = as_real_matrix(y, len(X_))
        self._scale_targets(y_, weights)
        other = None
        if validation is not None:
            held, y_held = as_held_out(validation, X_.shape[1], names)
            name = "validation y"
            targets = self._scaled(as_many(as_real_matrix(y_held, len(held), name), y_, name))
            other = Rows(held, targets, np.ones(len(held)))
        self._vector = not several_columns(y)
        self._remember(X_.shape[1], names)
        self._fit(X_, self._scaled(y_), weights, self._own_loss(), y_.shape[1], other)
        return self

    @at_once
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Self:
        """One pass of steps over these rows, going on where the last call ended; returns self.

        After `fit`, `gd.load` or `gd.from_torch` it goes on from their weights. Otherwise the first
        call takes the scales of columns and targets from its rows.
        """
        fresh = not hasattr(self, "theta_")
        X_, weights, names = self._begin(X, sample_weight, fitted=not fresh)
        y_ = as_real_matrix(y, len(X_))
        if fresh:
            self._scale_targets(y_, weights)
        as_many(y_, self.target_mean_[None])
        self._partial(X_, self._scaled(y_), weights, self._own_loss(), y_.shape[1])
        self._vector = not several_columns(y)
        self._remember(X_.shape[1], names)
        return self

    def _own_loss(self) -> Any:
        require(
            not isinstance(self.loss, (Poisson, Gamma)),
            f"loss={self.loss!r} is of e to the prediction, which networks do not raise. Use "
            "LinearRegression, or a loss of your own.",
        )
        return Squared() if isinstance(self.loss, str) else self.loss

    def _scale_targets(self, y: Array, weights: Array) -> None:
        """Mean and deviation of each target; 0 and 1 under a loss of the user's own."""
        k = y.shape[1]
        self.target_mean_, self.target_scale_ = np.zeros(k), np.ones(k)
        if isinstance(self.loss, str):
            self.target_mean_, deviation = column_moments(y, weights)
            self.target_scale_ = np.where(deviation > 0, deviation, 1.0)

    def _scaled(self, y: Array) -> Array:
        return np.ascontiguousarray((y - self.target_mean_) / self.target_scale_)

    def predict(self, X: ArrayLike) -> Array:
        """ŷ (n,), or (n, k) where y had k columns."""
        if networks_on_device.on_device(self):
            return networks_on_device.predict_numbers(self, X)
        z = self._margins(X)
        with np.errstate(over="ignore"):
            z = z * self.target_scale_ + self.target_mean_
        require_numbers(z)
        return z[:, 0] if self._vector else z

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """R² = 1 − Σs(y − ŷ)²/Σs(y − ȳ)², the mean over the targets."""
        predicted = to_host(self.predict(X))
        predicted = predicted.reshape(len(predicted), -1)
        y = as_many(as_real_matrix(to_host(y), len(predicted)), predicted)
        s = as_weights(to_host(sample_weight), len(y))
        scores = [r_squared(y[:, j], predicted[:, j], s) for j in range(y.shape[1])]
        return float(np.mean(scores))

    def __sklearn_tags__(self) -> Any:
        tags = sklearn_tags("regressor")
        tags.target_tags.multi_output = True
        return tags
