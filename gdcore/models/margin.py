"""Classification by the margins of a linear model: support vector machines and their like."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.convergence import Status
from gdcore.data import as_targets
from gdcore.losses import MARGIN, as_loss
from gdcore.models.base import LinearEstimator, rounded
from gdcore.models.classifier import Classifier, ClassWeight, encode, require_classes
from gdcore.models.contexts import whole
from gdcore.models.estimator import OwnLoss, sklearn_tags
from gdcore.models.online import OnlineClassifier
from gdcore.models.out_of_core import Data, as_chunks, label_passes, one_class
from gdcore.models.solvers import SOON
from gdcore.models.stream import known_loss
from gdcore.result import Result


@dataclass(kw_only=True, eq=False, repr=False)
class LinearClassifier(OnlineClassifier, Classifier, LinearEstimator):
    """A linear support vector machine, or another loss of margins; no probabilities.

    J = Σ sᵢ·ℓ(xᵢ·w + b, yᵢ) / Σ sᵢ + alpha·(½(1 − l1_ratio)‖w‖² + l1_ratio‖w‖₁), y = 1 for the
    second class and 0 for the first, the intercept unpenalised; ℓ = max(0, 1 − tz), t = 2y − 1, by
    default (Cortes & Vapnik, 1995). More than two classes: one of them against the rest, each in
    its turn (Rifkin & Klautau, 2004). `partial_fit` and `learn_one` learn from a stream, each
    example once, of the same classes or new ones.

    Parameters
    ----------
    loss : str or object
        "hinge", "squared_hinge", or an object of your own with value(z, y) (n,) and slope(z, y)
        (n, 1), convex in the margins z (n, 1).
    class_weight : None, "balanced" or dict
        Factors on the rows of each class; "balanced" is n / (k · the class's own weight).

    The other parameters are those of `LinearRegression` (no closed form here). The minimum
    of the hinge itself is proven to be near: by an interior-point method for few columns, else
    its corner is rounded less and less.

    Attributes
    ----------
    classes_ : array (k,), coef_ : array (1 or k, p), intercept_ : array (1 or k,), n_iter_ : int,
    results_ : list of a `Result` for each row of coef_, result_ and trace_ : those of the row whose
    minimum is least proven, n_features_in_, feature_names_in_. After Ctrl-C results_ ends with the
    row that was being fitted; classes behind it have margins of −1, or those of a warm start.

    Raises
    ------
    ValueError, TypeError
        For a parameter outside its range, one class only, and data that are not finite numbers.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array(["no", "no", "yes", "yes"])
    >>> gd.LinearClassifier().fit(X, y).predict([[0.2], [2.9]])
    array(['no', 'yes'], dtype='<U3')
    """

    loss: str | OwnLoss = "hinge"
    class_weight: ClassWeight = None

    _closed_form = False
    _until = math.inf  # by the clock of time.perf_counter: the budget of all classes

    @whole
    def fit(
        self, X: Data, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit to X (n, p) and labels y (n,), with optional weights (n,); returns the estimator.

        X may be sparse; or the path of an .npy file, a numpy.memmap, or chunks (see gd.chunks),
        which are read in each pass and need not fit into memory.
        """
        chunks = as_chunks(X, y, sample_weight)
        if chunks is not None:
            self._check_parameters()
            loss = as_loss(self.loss, MARGIN)
            classes, passes, about = label_passes(chunks, self, self._held())

            def fit_chunks(c: int) -> None:
                self._fit_chunks(chunks, *one_class(passes, about, c), loss, outputs=1)

            self._fit_classes(classes, about.X.shape[1], fit_chunks)
            self._fitted_anew(about.weights)
            return self
        X_, weights, names = self._begin(X, sample_weight)
        classes, codes = encode(as_targets(y, len(X_)))
        require_classes(self, classes, codes[weights > 0])
        weights = weights * self._class_weights(classes, codes, weights)[codes]
        loss = as_loss(self.loss, MARGIN)

        def fit_rows(c: int) -> None:
            self._fit(X_, (codes == c).astype(np.float64), weights, loss, outputs=1)

        self._remember(X_.shape[1], names)
        self._fit_classes(classes, X_.shape[1], fit_rows)
        self._fitted_anew(weights)
        return self

    def _fit_classes(self, classes: Array, p: int, fit: Callable[[int], None]) -> None:
        """The second of two classes, or each of more, against the rest by fit(number)."""
        self._until = time.perf_counter() + self.max_time
        self._fit_each(classes, p, fit)
        del self._until, self._number

    def _fit_each(self, classes: Array, p: int, fit: Callable[[int], None]) -> None:
        known, numbers = self._known(len(classes), p), range(len(classes))
        self.classes_ = classes
        self._stream = None
        results: list[Result] = []
        left: dict[int, Any] = {}
        coef, intercept = (np.zeros((len(classes), p)), np.full(len(classes), -1.0))
        if known is not None:
            coef, intercept = (given.copy() for given in known)
            left = dict(getattr(self, "_lefts", {}))  # by class, what `_recall` asks for
        for c in numbers[1:] if len(classes) == 2 else numbers:
            row = slice(c, c + 1) if len(classes) > 2 else slice(0, 1)
            if known is not None:  # warm_start: each row goes on from its own
                self.coef_, self.intercept_ = known[0][row], known[1][row]
            elif hasattr(self, "coef_"):
                del self.coef_
            self._number = len(results), 1 if len(classes) == 2 else len(classes)
            self._left = left.pop(c, (None, None))  # `_recall` asks for it, `_leave` has another
            fit(c)
            left[c] = self._left
            results.append(self.result_)
            dtype, coef[row], intercept[row] = self.coef_.dtype, self.coef_, self.intercept_
            if self.result_.status is Status.INTERRUPTED:
                break
        shape = slice(None) if len(classes) > 2 else slice(0, 1)
        self._shape_coefficients(rounded(coef[shape], dtype), rounded(intercept[shape], dtype))
        self.results_, self._lefts = results, left
        self.n_iter_ = max(int(each.trace.epoch[-1]) if len(each.trace) else 1 for each in results)
        worst = max(results, key=lambda end: (not end.success, end.bound / (end.fun or 1.0)))
        self.result_, self.trace_ = worst, worst.trace

    def _known(self, k: int, p: int) -> tuple[Array, Array] | None:
        """What warm_start goes on from, where it fits."""
        shape = (1 if k == 2 else k, p)
        if self.warm_start and hasattr(self, "coef_") and self.coef_.shape == shape:
            return self.coef_, self.intercept_
        return None

    def _seconds(self) -> float:
        return max(SOON, min(self.max_time, self._until - time.perf_counter()))

    def _losses(self) -> tuple[str, str]:
        name = known_loss(self.loss, MARGIN).name
        return name, name

    def _shape_coefficients(self, coef: Array, intercept: Array) -> None:
        self.coef_, self.intercept_ = coef, intercept

    def __sklearn_tags__(self) -> Any:
        return sklearn_tags("classifier", sparse=True)
