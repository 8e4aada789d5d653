"""Logistic and softmax regression by gradient descent."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.data import as_targets
from gdcore.devices import is_foreign
from gdcore.losses import Logistic, Loss, Softmax
from gdcore.models import on_device
from gdcore.models.base import LinearEstimator
from gdcore.models.classifier import (
    Classifier,
    ClassWeight,
    OneProbability,
    Probabilities,
    encode,
    probabilities,
    require_classes,
)
from gdcore.models.contexts import whole
from gdcore.models.estimator import Features, sklearn_tags
from gdcore.models.online import OnlineClassifier
from gdcore.models.out_of_core import Data, as_chunks, label_passes


@dataclass(kw_only=True, eq=False, repr=False)
class LogisticRegression(
    OnlineClassifier, OneProbability, Probabilities, Classifier, LinearEstimator
):
    """Classification of two or more classes by a linear model of their log-odds.

    Two classes: ℓ = log(1 + eᶻ) − yz with z = x·w + b. More: ℓ = log Σ eᶻ − z_y with one z a class,
    the true softmax, not one class against the rest. J = Σ sᵢℓᵢ / Σ sᵢ +
    alpha·(½(1 − l1_ratio)‖W‖² + l1_ratio‖W‖₁), intercepts unpenalised (Cox, 1958; Bridle, 1990).
    `partial_fit` and `learn_one` learn from a stream, each example once.

    Parameters
    ----------
    class_weight : None, "balanced" or dict
        Factors on the rows of each class; "balanced" is n / (k · the class's own weight).

    The other parameters are those of `LinearRegression` (no closed form here; the unit of ‖∇J‖ and
    |ΔJ| is 1).

    Attributes
    ----------
    classes_ : array (k,), coef_ : array (1 or k, p), intercept_ : array (1 or k,), n_iter_ : int,
    trace_ : Trace, result_ : Result, n_features_in_, feature_names_in_

    Raises
    ------
    ValueError, TypeError
        For a parameter outside its range, one class only, and data that are not finite numbers.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array(["no", "no", "yes", "yes"])
    >>> model = gd.LogisticRegression().fit(X, y)
    >>> model.predict([[0.2], [2.9]])
    array(['no', 'yes'], dtype='<U3')
    """

    class_weight: ClassWeight = None

    _closed_form = False

    @whole
    def fit(
        self, X: Data, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit to X (n, p) and labels y (n,), with optional weights (n,); returns the estimator.

        X may be sparse; or the path of an .npy file, a numpy.memmap, or chunks (see gd.chunks),
        which are read in each pass and need not fit into memory.
        """
        if is_foreign(X):
            self._fitted_anew(on_device.fit_classes(self, X, y, sample_weight))
            return self
        chunks = as_chunks(X, y, sample_weight)
        if chunks is not None:
            self._check_parameters()
            classes, passes, about = label_passes(chunks, self, self._held())
            self.classes_ = classes
            self._fit_chunks(chunks, passes, about, *_likelihood(classes))
            self._fitted_anew(about.weights)
            return self
        X_, weights, names = self._begin(X, sample_weight)
        classes, codes = encode(as_targets(y, len(X_)))
        require_classes(self, classes, codes[weights > 0])
        weights = weights * self._class_weights(classes, codes, weights)[codes]
        self.classes_ = classes
        self._remember(X_.shape[1], names)
        self._fit(X_, codes.astype(np.float64), weights, *_likelihood(classes))
        self._fitted_anew(weights)
        return self

    def predict_proba(self, X: Features) -> Array:
        """P(class | x), shape (n, k), rows sum to one."""
        if on_device.on_device(self):
            return on_device.shares_of(on_device.margins(self, X))
        z = self.decision_function(X)
        return np.ones((len(z), 1)) if len(self.classes_) == 1 else probabilities(z)

    def _losses(self) -> tuple[str, str]:
        return "logistic", "softmax"

    def _shape_coefficients(self, coef: Array, intercept: Array) -> None:
        self.coef_, self.intercept_ = coef, intercept

    def __sklearn_tags__(self) -> Any:
        return sklearn_tags("classifier", sparse=True)


def _likelihood(classes: Array) -> tuple[Loss, int]:
    """(loss, number of outputs): a sigmoid for two classes, softmax for more."""
    return (Softmax(), len(classes)) if len(classes) > 2 else (Logistic(), 1)


__all__ = ["LogisticRegression"]
