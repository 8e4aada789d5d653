"""What classifiers share: labels to numbers and back, weights of classes, accuracy."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.data import as_targets, as_weights
from gdcore.devices import to_host
from gdcore.errors import require, require_choice, require_number
from gdcore.losses import Logistic, Softmax
from gdcore.models.labels import as_label_matrix, as_many

AT_ONCE = 1 << 16  # labels that are sorted in one call

ClassWeight: TypeAlias = Literal["balanced"] | Mapping[Any, float] | None


class Probabilities:
    """What follows from `predict_proba`."""

    if TYPE_CHECKING:

        def predict_proba(self, X: Any) -> Array: ...

    def predict_log_proba(self, X: Any) -> Array:
        """log P(class | x), shape (n, k)."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


class OneProbability:
    """Probabilities of one example, by the margins that a stream or a fit has taught."""

    classes_: Array

    if TYPE_CHECKING:

        def _margin(self, x: Any) -> list[float]: ...

    def predict_proba_one(self, x: Any) -> Array:
        """P(class | x) of one example x (p,), shape (k,)."""
        z = self._margin(x)
        if len(z) == 1:
            e = math.exp(-abs(z[0]))
            more = 1 / (1 + e)
            both = np.array((e * more, more) if z[0] > 0 else (more, e * more))
            return both if len(self.classes_) > 1 else np.ones(1)
        most = max(z)
        shares = [math.exp(each - most) for each in z]
        total = sum(shares)
        return np.array([each / total for each in shares])


class Classifier:
    """Methods over `classes_` and `predict`, and the parameter class_weight."""

    classes_: Array
    class_weight: ClassWeight

    if TYPE_CHECKING:

        def predict(self, X: Any) -> Array: ...

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy: the weighted share of rows whose class, or every label, is predicted right."""
        predicted, y = to_host(self.predict(X)), to_host(y)
        if predicted.ndim == 1:
            right = predicted == as_targets(y, len(predicted))
        else:
            right = (predicted == as_many(as_label_matrix(y, len(predicted)), predicted)).all(
                axis=1
            )
        return float(np.average(right, weights=as_weights(to_host(sample_weight), len(right))))

    def _class_weights(self, classes: Array, codes: Array, weights: Array) -> Array:
        """A factor for each class."""
        if self.class_weight is None:
            return np.ones(len(classes))
        if isinstance(self.class_weight, str):
            require_choice("class_weight", self.class_weight, ["balanced"])
            mass = np.bincount(codes, weights, minlength=len(classes))
            factors: Array = np.divide(
                weights.sum(), len(classes) * mass, out=np.zeros_like(mass), where=mass > 0
            )
            return factors
        if not isinstance(self.class_weight, Mapping):
            raise TypeError(
                f"class_weight must be None, 'balanced' or a dict, got {self.class_weight!r}. "
                "Pass one."
            )
        unknown = [label for label in self.class_weight if label not in classes.tolist()]
        require(
            not unknown,
            f"class_weight names {unknown}, which y does not hold. Its classes are "
            f"{classes.tolist()}. Leave those out.",
        )
        factors = np.array([self.class_weight.get(label, 1.0) for label in classes.tolist()], float)
        require((factors >= 0).all(), "class_weight has a negative weight. Pass weights ≥ 0.")
        require(np.isfinite(factors).all(), "class_weight is infinite. Pass finite weights.")
        return factors


def probabilities(z: Array) -> Array:
    """P(class | x), rows that sum to one, of margins (n,) for two classes or (n, k) for k."""
    if z.ndim == 2:
        return Softmax().mean(z)
    z = z[:, None]
    return np.stack([Logistic().mean(-z), Logistic().mean(z)], axis=1)


def most_probable(classes: Array, z: Array) -> Array:
    """The class of each row, by its margins (n,) or (n, k)."""
    found: Array = classes[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]
    return found


def same_classes(known: Array, given: Any) -> Array:
    """The classes of the first call, which a later call may repeat and not change."""
    require(
        given is None or np.array_equal(np.unique(given), np.sort(known)),
        f"classes={given} differs from the first call's {known.tolist()}. Pass the same or none.",
    )
    return known


def require_classes(estimator: object, classes: Array, codes: Array) -> None:
    """Refuse one class alone, among the rows that count."""
    present = np.flatnonzero(np.bincount(codes))
    require(
        len(present) > 1,
        f"y holds one class only, {classes.tolist()[present[0]]!r}: {type(estimator).__name__} "
        "needs at least two classes. Pass examples of another class.",
    )


def factors_of(class_weight: Mapping[Any, float], classes: Array) -> Array:
    """The factor of each class by a dict, where it names it."""
    return np.array([float(class_weight.get(label, 1.0)) for label in classes.tolist()])


def merged(*labels: Array) -> Array:
    """All labels, sorted; they must be of one kind."""
    kinds = {"text" if each.dtype.kind in "US" else "number" for each in labels if len(each)}
    mixed = len(kinds) > 1 and not any(each.dtype.kind == "O" for each in labels)
    try:
        if not mixed:
            return np.unique(np.concatenate(labels))
    except TypeError:
        pass  # objects that cannot be sorted
    raise TypeError("y mixes strings and numbers. Pass labels of one kind.")


def encode(y: Array) -> tuple[Array, Array]:
    """(classes in order, class number of each row)."""
    if y.dtype.kind == "f":
        require(bool(np.isfinite(y).all()), "y contains NaN or infinity. Remove those rows first.")
        require(
            bool((y == np.round(y)).all()),
            "Unknown label type: continuous. y holds fractions, which are no classes; "
            "use LinearRegression, or pass labels.",
        )
    if y.dtype.kind == "c":
        raise TypeError("y holds complex numbers, which have no order. Pass numbers or text.")
    if y.dtype.kind in "mM":
        require(not np.isnat(y).any(), "y contains missing labels. Remove those rows first.")
    if y.dtype.kind == "O":
        return _encode_objects(y)
    if y.dtype.kind in "fiub" and len(y):
        low, high = y.min(), y.max()
        upper = y == high
        if ((y == low) | upper).all():  # two numbers need no sorting
            classes = np.array([low, high] if low != high else [low], y.dtype)
            return classes, upper.astype(np.intp) * (len(classes) - 1)
    return _sorted(y)


def _encode_objects(y: Array) -> tuple[Array, Array]:
    """The same of objects, which may be anything."""
    try:
        set(y)  # each has a hash: a stream looks labels up
        missing = [label for label in y if label is None or label != label]
        encoded = _sorted(y[:0] if missing else y)
    except (TypeError, ValueError) as error:
        text = {isinstance(label, str) for label in y}
        what = "mixes strings and numbers" if len(text) > 1 else f"cannot be sorted ({error})"
        raise TypeError(f"y {what}. Pass labels of one kind, numbers or text.") from error
    require(not missing, "y contains missing labels. Remove those rows first.")
    return encoded


def _sorted(y: Array) -> tuple[Array, Array]:
    if len(y) <= AT_ONCE:
        return np.unique(y, return_inverse=True)
    parts = [y[a : a + AT_ONCE] for a in range(0, len(y), AT_ONCE)]  # so that Ctrl-C is heard soon
    classes = np.unique(np.concatenate([np.unique(part) for part in parts]))
    return classes, np.concatenate([np.searchsorted(classes, part) for part in parts])


def require_weighed(given: Any, total: float, classes: Array, weights: Array, most: float) -> None:
    """Refuse what class_weight would make no weight of, for the known and the new classes."""
    if isinstance(given, str):
        require_choice("class_weight", given, ["balanced"])
        require(
            weights.min() >= 1 / most and total + weights.sum() <= most,
            "sample_weight must be at least 1e-150, and at most 1e150 in all, where classes "
            "are balanced. Multiply all weights by one number.",
        )
    elif given is not None:
        if not isinstance(given, Mapping):
            raise TypeError(
                f"class_weight must be None, 'balanced' or a dict, got {given!r}. Pass one."
            )
        for label in classes.tolist():
            name = f"class_weight of {label!r}"
            require_number(name, given.get(label, 1.0), low=0, high=most)
        require(
            factors_of(given, classes).max() * weights.max() <= most,
            "sample_weight times class_weight goes beyond 1e150. Divide the weights.",
        )
