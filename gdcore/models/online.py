"""Learning example by example: the methods of estimators that learn so."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy import ndarray

from gdcore._typing import Array, ArrayLike
from gdcore.data import as_numbers, as_real_targets, as_targets
from gdcore.devices import to_host
from gdcore.errors import require
from gdcore.given import require_unmasked
from gdcore.losses import REGRESSION
from gdcore.models import on_device
from gdcore.models.classifier import (
    ClassWeight,
    as_classes,
    encode,
    factors_of,
    merged,
    most_probable,
    require_weighed,
)
from gdcore.models.estimator import OwnLoss, counted
from gdcore.models.family import Matrix, margins
from gdcore.models.stream import MOST, Stream, known_loss, require_learnable, stretches
from gdcore.sparse import CSR, as_csr

RATE = 1.0  # of the first steps; see docs/decisions/0011-streams.md
SETTINGS = (
    "alpha", "l1_ratio", "fit_intercept", "standardize", "learning_rate", "loss", "class_weight",
)  # fmt: skip
PAST = 1000.0  # examples that a fitted model has seen, where it does not say
PLAIN = {float, int, bool, *(np.dtype(kind).type for kind in "?bhilqBHILQefd")}  # kinds of numbers
UNSURE = 0.1  # a typical squared slope of a fitted classifier

if TYPE_CHECKING:  # what these are mixed into
    from gdcore.models.estimator import Estimator as Base
else:
    Base = object


class Online(Base):
    """What estimators share that learn by a Stream."""

    alpha: float | Literal["auto"]
    l1_ratio: float
    fit_intercept: bool
    coef_: Array
    intercept_: Array

    _past: float
    _stream: Any = None
    _fitted = "intercept_"  # coef_ may have to be caught up with, which takes time

    if not TYPE_CHECKING:  # to whom any name would be one of an estimator

        def __getattr__(self, name: str) -> Any:
            """coef_ while penalties wait for their columns: what is due is done in a copy."""
            if name != "coef_" or self._stream is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            self.coef_ = self._parts(self._stream.settled())[0]
            return self.coef_

        def __setattr__(self, name: str, value: object) -> None:
            """A stream whose settings have changed is looked at before its next example."""
            object.__setattr__(self, name, value)
            if name in SETTINGS and self._stream is not None:
                self._stream.ready = None

    def _one(self, x: Any) -> Matrix:
        """x as one finite row, for all that the short way does not take."""
        if isinstance(x, Mapping):
            raise TypeError("x is a dict. Pass numbers: gd.hash_features([x]) makes them of it.")
        if isinstance(x, CSR) or hasattr(x, "tocsr"):
            rows = as_csr(x, "x")
            require(len(rows) == 1, f"x must be one example, got {len(rows)}. Pass one row of it.")
            return rows
        x = np.ascontiguousarray(as_numbers(x, "x"))
        if x.ndim != 1:
            raise ValueError(f"x must be one example (p,), got shape {x.shape}. Pass x.ravel().")
        if not np.isfinite(x).all():
            raise ValueError("x contains NaN or infinity. Fill it first, or leave the example out.")
        p = getattr(self, "n_features_in_", len(x))
        require(len(x) == p, f"x has {len(x)} features in place of {p}. Pass the fitted columns.")
        row: Array = x[None]
        return row

    def _open(self, p: int, loss: str, many: str | None = None, knob: float = 0.0) -> Stream:
        """The stream, begun anew or from what was fitted, with today's parameters."""
        stream: Stream = self._stream
        if stream is None:
            k = len(np.atleast_2d(to_host(self.coef_))) if hasattr(self, "coef_") else 1
            stream = Stream(loss, p, k, many)
        require(
            stream.one == loss,
            f"loss was changed from {stream.one!r} to {loss!r} in a running stream. Set it back, "
            "or clone the estimator.",
        )
        alpha = 0.0 if isinstance(self.alpha, str) else float(self.alpha)
        rate: Any = RATE if isinstance(self.learning_rate, str) else self.learning_rate
        require(
            not callable(rate),
            "learning_rate must be a number or 'auto' in a stream, not a schedule. Pass 'auto'.",
        )
        l1 = alpha * float(self.l1_ratio)
        settings = rate, knob, l1, alpha - l1, self.standardize, self.fit_intercept
        require(
            max(settings) <= MOST,
            "learning_rate, alpha and the loss's own number must be at most 1e150 in a stream. "
            "Pass a smaller one.",
        )
        stream.under(tuple(map(float, settings)))
        return stream

    def _close(self, stream: Stream, names: Sequence[str] | None) -> Self:
        """Show what was learnt: views of the stream's weights, where they are up to date."""
        if self._stream is None:
            for stale in ("result_", "results_"):
                self.__dict__.pop(stale, None)
            self.n_iter_ = 1
            if not hasattr(self, "n_features_in_"):
                self._remember(stream.p, names)
        self._stream, self.trace_ = stream, stream.trace
        return self._bind()

    def _bind(self) -> Self:
        coef, self.intercept_ = self._parts(self._stream.weights)
        if self._stream.lags:
            self.__dict__.pop("coef_", None)
        else:
            self.coef_ = coef
        if self._stream.classes is not None:
            self.classes_ = self._stream.classes
        return self

    if TYPE_CHECKING:

        def _parts(self, w: Array) -> tuple[Array, Array]: ...

    def _margins(self, X: Matrix) -> Array:
        """z of rows (n, k); penalties are caught up with where sparse ones ask for it alone."""
        if isinstance(X, CSR) and self._stream is not None and self._stream.lags:
            z: Array = self._stream.margins(X)
            return z
        return margins(X, np.atleast_2d(to_host(self.coef_)), to_host(self.intercept_))

    def _fitted_anew(self, weights: Array | None = None) -> None:
        """A stream ends where `fit` begins."""
        self._stream = None
        if weights is not None:
            self._past = float(np.count_nonzero(weights))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._stream is not None:
            self._bind()


class OnlineRegressor(Online):
    """Streams of the losses of regression."""

    loss: str | OwnLoss

    if TYPE_CHECKING:

        def predict(self, X: Any) -> Array: ...

    def partial_fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from the rows of X (n, p) one after the other, each once; returns the estimator.

        Normalised adaptive steps that no weight makes overshoot: nothing is to be tuned, and
        columns may have any units. learning_rate, if it is a number, is a factor on the steps;
        alpha is a penalty an example, "auto" none; with standardize it sees each column over its
        largest distance from its mean. coef_ and intercept_ are views of what is learnt. A
        stream that begins with sparse rows counts columns from zero, not from their mean, and an
        example costs what it holds. After `fit` the stream goes on from its coefficients, in steps
        as small as those after so many examples (Ross, Mineiro & Langford, 2013; Karampatziakis &
        Langford, 2011).
        """
        fresh = not self.__sklearn_is_fitted__()
        X_, weights, names = self._begin(X, sample_weight, fitted=not fresh)
        X_, y_, weights = counted(X_, as_real_targets(y, len(X_)), weights)
        loss = known_loss(self.loss, REGRESSION)
        loss.check(y_)
        require_learnable(X_, weights, y_)
        stream = self._open(X_.shape[1], loss.name, knob=loss.shape)
        if self._stream is None and not fresh:
            z = self._margins(X_)
            error, past = float(np.mean((z[:, 0] - y_) ** 2)), getattr(self, "_past", PAST)
            slope = float(np.mean(loss.slope(z, y_) ** 2))
            stream.follow(to_host(self.coef_), to_host(self.intercept_), past, slope, error)
        stream.study(X_, y_, weights)
        return self._close(stream, names)

    def learn_one(self, x: Any, y: float) -> Self:
        """Learn from one example x (p,) and its target y, as `partial_fit` does; returns self.

        x may be a CSR of one row, and learns then in the time of what it holds.

        ValueError or TypeError for what is not p finite numbers and one more; nothing changes then.

        Example
        -------
        >>> import numpy as np, gdcore as gd
        >>> model = gd.LinearRegression()
        >>> for x in np.random.default_rng(0).normal(size=(1000, 2)):
        ...     _ = model.learn_one(x, 3 * x[0] - x[1] + 5)
        >>> model.coef_.round(3), round(model.predict_one(np.array([1.0, 1.0])), 3)
        (array([ 3., -1.]), 7.0)
        """
        stream = self._stream
        ready = stream is not None and type(x) is stream.ready and type(y) in PLAIN
        if ready and x.shape == stream.shape:
            try:
                stream.y[0] = y
                stream.learn_row(x)
                return self if stream.centred else self._bind()
            except (TypeError, ValueError, OverflowError):
                pass  # nothing has changed; say why, or convert
        require_unmasked(y, "y")  # within a list nobody would look for a mask
        return self.partial_fit(self._one(x), [y])

    def _parts(self, w: Array) -> tuple[Array, Array]:
        return w[0, :-1], w[0, -1:].reshape(())

    def predict_one(self, x: Any) -> float:
        """ŷ of one example x (p,), a float."""
        try:
            if type(x) is ndarray and x.ndim == 1:
                z: float = (self.coef_.dot(x) + self.intercept_).item()
                if math.isfinite(z) and self.loss == "squared":  # finite: so is x
                    return z
        except (AttributeError, TypeError, ValueError):
            pass  # say why, or convert
        return float(self.predict(self._one(x))[0])


class OnlineClassifier(Online):
    """Streams of two classes or more, which may come up on the way.

    `_losses` names the loss of two classes and that of more.
    """

    classes_: Array
    class_weight: ClassWeight

    if TYPE_CHECKING:

        def _losses(self) -> tuple[str, str]: ...

    def partial_fit(
        self,
        X: Any,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn from the rows of X (n, p) one after the other, each once; returns the estimator.

        Normalised adaptive steps that no weight makes overshoot: nothing is to be tuned, and
        columns may have any units. learning_rate, if it is a number, is a factor on the steps;
        alpha is a penalty an example, "auto" none; with standardize it sees each column over its
        largest distance from its mean. Classes may be announced, or come up as they like: the
        odds of the known ones stay as they were. class_weight="balanced" balances what has come
        so far. coef_ and intercept_ are views of what is learnt. A stream that begins with sparse
        rows counts columns from zero, not from their mean, and an example costs what it holds.
        After `fit` the stream goes on from its coefficients, in steps as small as those after so
        many examples (Ross, Mineiro & Langford, 2013; Karampatziakis & Langford, 2011).
        """
        fresh = not self.__sklearn_is_fitted__()
        X_, weights, names = self._begin(X, sample_weight, fitted=not fresh)
        X_, y_, weights = counted(X_, as_targets(y, len(X_)), weights)
        require_learnable(X_, weights)
        labels = encode(y_)[0]
        announced = labels[:0] if classes is None else as_classes(classes)
        stream = self._open(X_.shape[1], *self._losses())
        if self._stream is None and not fresh:
            past = getattr(self, "_past", PAST)
            stream.follow(to_host(self.coef_), to_host(self.intercept_), past, UNSURE)
            stream.called(to_host(self.classes_))
        known = labels[:0] if stream.classes is None else stream.classes
        found = merged(known, labels, announced)
        require_weighed(self.class_weight, stream.total, found, weights, MOST)
        stream.classes = known  # nothing is refused from here on
        self._weigh_classes(stream)
        self._close(stream, names)
        self._admit(announced)
        for rows in stretches(y_, stream.codes):
            self._admit(y_[rows][:1])
            codes = np.array([stream.codes[each] for each in y_[rows].tolist()], dtype=np.intp)
            stream.study(X_[rows], codes.astype(float), self._weights_of(codes, weights[rows]))
        return self._bind()  # the first rows have said what kind of stream it is

    def learn_one(self, x: Any, y: Any) -> Self:
        """Learn from one example x (p,) and its label y, as `partial_fit` does; returns self.

        x may be a CSR of one row, and learns then in the time of what it holds.

        ValueError or TypeError for what is not p finite numbers, or a label of another kind than
        those before; nothing changes then.

        Example
        -------
        >>> import numpy as np, gdcore as gd
        >>> model = gd.LogisticRegression()
        >>> for x in np.random.default_rng(0).normal(size=(1000, 2)):
        ...     _ = model.learn_one(x, "up" if x[0] > x[1] else "down")
        >>> model.classes_, str(model.predict_one(np.array([1.0, 0.0])))
        (array(['down', 'up'], dtype='<U4'), 'up')
        """
        stream = self._stream
        if stream is not None and type(x) is stream.ready and x.shape == stream.shape:
            try:
                stream.y[0] = code = stream.codes[y]
                if stream.factors is not None:
                    stream.weight[0] = stream.factors[code]
                elif stream.mass is not None:
                    total, own = stream.total + 1.0, stream.mass[code] + 1.0
                    stream.weight[0] = total / (len(stream.mass) * own)
                stream.learn_row(x)
                if stream.mass is not None:
                    stream.total, stream.mass[code] = total, own
                return self if stream.centred else self._bind()
            except (KeyError, TypeError, ValueError):
                pass  # nothing has changed; learn a new class, say why, or convert
        require_unmasked(y, "y")  # within a list nobody would look for a mask
        return self.partial_fit(self._one(x), [y])

    def decision_function(self, X: Any) -> Array:
        """Margins: (n,) for two classes, positive for classes_[1]; (n, k) for more."""
        if on_device.on_device(self):
            return on_device.decision(self, X)
        z = self._margins(self._features(X)).astype(self.intercept_.dtype, copy=False)
        return z[:, 0] if len(self.classes_) < 3 else z

    def predict(self, X: Any) -> Array:
        """The class with the largest margin, the most probable one where margins are log-odds."""
        if on_device.on_device(self):
            return on_device.classes_of(self, on_device.margins(self, X))
        z = self.decision_function(X)
        if len(self.classes_) == 1:  # a stream that has met no other yet
            return np.repeat(self.classes_, len(z))
        return most_probable(self.classes_, z)

    def predict_one(self, x: Any) -> Any:
        """The class of one example x (p,), as `predict` has it."""
        z = self._margin(x)
        if len(z) == 1:
            return to_host(self.classes_)[1 if z[0] > 0 and self.classes_.shape[0] > 1 else 0]
        return to_host(self.classes_)[z.index(max(z))]

    def _margin(self, x: Any) -> list[float]:
        """The k margins of one example, a list."""
        try:
            if type(x) is ndarray and x.ndim == 1:
                z: list[float] = (self.coef_.dot(x) + self.intercept_).tolist()
                if math.isfinite(sum(z)):  # not so where x holds NaN or infinity
                    return z
        except (AttributeError, TypeError, ValueError):
            pass  # say why, or convert
        rows = self._margins(self._features(self._one(x)))
        return list(rows[0].tolist())

    def _admit(self, labels: Array) -> None:
        """Classes that may be new."""
        stream = self._stream
        if any(label not in stream.codes for label in labels.tolist()):
            known = [stream.classes, labels] if stream.codes else [labels]
            stream.admit(np.unique(np.concatenate(known)))
            self._weigh_classes(stream)
            self._bind()

    def _parts(self, w: Array) -> tuple[Array, Array]:
        return w[:, :-1], w[:, -1]

    def _weigh_classes(self, stream: Stream) -> None:
        given, stream.factors = self.class_weight, None
        if isinstance(given, str):
            if stream.mass is None:
                stream.mass, stream.total = np.zeros(max(2, len(stream.classes))), 0.0
            return
        stream.mass, stream.weight[0] = None, 1.0
        if given is not None:
            stream.factors = factors_of(given, stream.classes)

    def _weights_of(self, codes: Array, weights: Array) -> Array:
        stream = self._stream
        if stream.mass is not None:
            weights = weights * stream.balance(codes, weights)
        elif stream.factors is not None:
            weights = weights * stream.factors[codes]
        return weights
