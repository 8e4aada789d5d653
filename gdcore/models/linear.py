"""Linear regression by gradient descent, or by its closed form; robust, quantile, counts."""

from dataclasses import dataclass
from typing import Any, Self

from gdcore._typing import Array, ArrayLike
from gdcore.data import as_real_targets, as_weights
from gdcore.devices import is_foreign, to_host
from gdcore.losses import REGRESSION, as_loss
from gdcore.models import on_device
from gdcore.models.base import LinearEstimator
from gdcore.models.contexts import whole
from gdcore.models.estimator import Features, OwnLoss, sklearn_tags
from gdcore.models.labels import r_squared
from gdcore.models.online import OnlineRegressor
from gdcore.models.out_of_core import Data, as_chunks, real_passes


@dataclass(kw_only=True, eq=False, repr=False)
class LinearRegression(OnlineRegressor, LinearEstimator):
    """Least squares, or another loss, with an optional elastic net, by gradient descent.

    J(w, b) = Σ sᵢ·ℓ(xᵢ·w + b, yᵢ) / Σ sᵢ + alpha·(½(1 − l1_ratio)‖w‖² + l1_ratio‖w‖₁), the
    intercept unpenalised; ℓ = ½(z − y)² by default (Legendre, 1805; Zou & Hastie, 2005).
    `partial_fit` and `learn_one` learn from a stream, each example once.

    Parameters
    ----------
    loss : str or object
        "squared", "huber", "quantile", "poisson" or "gamma" (both of them with log link), an
        instance of gd.losses, as gd.losses.Quantile(0.9), or an object of your own with
        value(z, y) (n,) and slope(z, y) (n, 1), convex in the margins z (n, 1).
    alpha : float ≥ 0 or "auto"
        Weight of the penalty; "auto" is 1/Σsᵢ.
    l1_ratio : float in [0, 1]
        0 is ridge, 1 the lasso.
    fit_intercept : bool
    standardize : bool
        Descend on columns of mean 0 and deviation 1, and penalise their coefficients; X is not
        copied and coef_ is for the columns as they came.
    optimizer : str or Optimizer
        "auto" (Newton's method for few columns, L-BFGS for many, FISTA with an L1 term, SGD for
        small batches; `result_.choice` tells), "newton", "saga", "svrg", "normalized-adaptive",
        "closed-form" (singular values, squared loss), a class of gd.optim in lower case, or an
        instance, which brings its own rate.
    learning_rate : float, schedule t → factor, or "auto"
        "auto" needs no tuning: 1/L for full batches, adaptive for small ones.
    batch_size : int, "full" or "auto"
        Examples a step: 1 is stochastic, "full" (and "auto") all of them.
    max_epochs, max_time : int and float
        Budgets: passes over the data, seconds.
    tol : float or Rule
        Stop when J − J* ≤ tol·J is proven, by duality or Newton's decrement; where nothing can be
        proven (alpha=0 and many columns), when ‖∇J‖ < tol·σ_y; with small batches also when
        |ΔJ| < tol·σ_y² from one epoch to the next. 0 switches stopping off. A rule of
        gd.convergence is used as it is.
    early_stopping : bool or int
        Hold out `validation_fraction` of the rows, stop after 5 (or that many) epochs without a
        lower loss there, and keep the best. Of chunks, that share of each, the same in each pass.
    warm_start : bool
        Go on from the last fit's coefficients.
    callbacks : callable or object, or list of them
        A function is called with each measurement (a `Moment`); an object may have any of
        on_begin, on_step, on_epoch, on_end and on_error, see gd.callbacks. True stops.
    progress, verbose : bool and int
        A progress bar on a terminal or in a notebook (`gd.callbacks.Progress`); lines through
        logging, about twenty a fit with 1, one a measurement with 2.
    n_threads : int, optional
        Default: the cores available. The result has the same bits for any number.
    random_state : int, Generator or None

    Attributes
    ----------
    coef_ : array (p,), intercept_ : float, n_iter_ : int (epochs), trace_ : Trace,
    result_ : Result (status and message say why it stopped, bound how far J is from J* at most),
    n_features_in_, feature_names_in_

    Raises
    ------
    ValueError, TypeError
        For a parameter outside its range, and data that are not finite numbers of fitting shapes.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])
    >>> model = gd.LinearRegression(alpha=0).fit(X, y)
    >>> model.coef_.round(4), round(float(model.intercept_), 4)
    (array([2.]), 1.0)
    >>> model.result_.status.name
    'CERTIFIED'
    """

    loss: str | OwnLoss = "squared"

    _closed_form = True

    @whole
    def fit(
        self, X: Data, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit to X (n, p) and y (n,), with optional weights (n,); returns the estimator.

        X may be sparse; or the path of an .npy file, a numpy.memmap, or chunks (see gd.chunks),
        which are read in each pass and need not fit into memory.
        """
        if is_foreign(X):
            loss = as_loss(self.loss, REGRESSION)
            self._fitted_anew(on_device.fit_regression(self, X, y, sample_weight, loss))
            return self
        chunks = as_chunks(X, y, sample_weight)
        if chunks is not None:
            self._check_parameters()
            loss = as_loss(self.loss, REGRESSION)
            passes, about = real_passes(chunks, getattr(loss, "check", None), self._held())
            self._fit_chunks(chunks, passes, about, loss, outputs=1)
            self._fitted_anew(about.weights)
            return self
        X_, weights, names = self._begin(X, sample_weight)
        targets = as_real_targets(y, len(X_))
        loss = as_loss(self.loss, REGRESSION)
        if hasattr(loss, "check"):
            loss.check(targets[weights > 0])
        self._remember(X_.shape[1], names)
        self._fit(X_, targets, weights, loss, outputs=1)
        self._fitted_anew(weights)
        return self

    def predict(self, X: Features) -> Array:
        """ŷ = X·coef_ + intercept_, shape (n,); e to that for the losses with log link."""
        mean = getattr(as_loss(self.loss, REGRESSION), "mean", None)
        if on_device.on_device(self):
            return on_device.predictions(self, X, mean)
        X_ = self._features(X)
        z = self._margins(X_)
        return (z[:, 0] if mean is None else mean(z)).astype(self.intercept_.dtype, copy=False)

    def score(self, X: Features, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """R² = 1 − Σs(y − ŷ)²/Σs(y − ȳ)²; 1 is perfect, 0 as good as the mean."""
        predicted = to_host(self.predict(X))
        targets = as_real_targets(to_host(y), len(predicted))
        return r_squared(targets, predicted, as_weights(to_host(sample_weight), len(targets)))

    def _shape_coefficients(self, coef: Array, intercept: Array) -> None:
        self.coef_, self.intercept_ = coef[0], intercept[0]

    def __sklearn_tags__(self) -> Any:
        return sklearn_tags("regressor", sparse=True)
