"""What classifiers share: labels to numbers and back, weights of classes, accuracy."""

import math
from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.data import as_targets, as_weights
from gdcore.devices import to_host
from gdcore.errors import require, require_choice, require_number
from gdcore.given import as_array, is_missing
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
            return both if self.classes_.shape[0] > 1 else np.ones(1)
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
            labels = as_targets(y, len(predicted))
            require_labels(labels, "y")
            right = predicted == labels
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
        require_class_weights(self.class_weight)
        factors = factors_of(self.class_weight, classes)
        require(
            np.count_nonzero(factors) > 1,
            "class_weight leaves fewer than two classes with a weight. Give two one above 0.",
        )
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
        given is None or np.array_equal(as_classes(given), np.sort(known)),
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


def require_class_weights(class_weight: Mapping[Any, float], most: float | None = None) -> None:
    """Refuse what is no weight of a class."""
    for label, weight in class_weight.items():
        require_number(f"class_weight of {label!r}", weight, low=0, high=most)


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


def require_labels(y: Array, name: str) -> None:
    """Refuse what has no classes: what is missing, fractions, complex numbers."""
    cure = "Remove those rows first." if name == "y" else "Leave those out."
    if y.dtype.kind == "f":
        require(bool(np.isfinite(y).all()), f"{name} contains NaN or infinity. {cure}")
        require(
            bool((y == np.round(y)).all()),
            f"Unknown label type: continuous. {name} holds fractions, which are no classes; "
            "use LinearRegression, or pass labels.",
        )
        require(
            float(np.abs(y).max(initial=0)) <= 2**53,
            f"{name} holds labels beyond 2⁵³, which doubles, as those of a CSV file, cannot tell "
            "apart. Pass whole numbers as such, or text.",
        )
    if y.dtype.kind == "c":
        raise TypeError(f"{name} holds complex numbers, which have no order. Pass numbers or text.")
    if y.dtype.kind in "mM":
        require(not np.isnat(y).any(), f"{name} contains missing labels. {cure}")
    if y.dtype.kind in "OT":  # strings of any length may be missing, too
        missing = any(map(is_missing, y.tolist()))
        require(not missing, f"{name} contains missing labels. {cure}")


def encode(y: Array, name: str = "y") -> tuple[Array, Array]:
    """(classes in order, class number of each row)."""
    require_labels(y, name)
    if y.dtype.kind == "O":
        return _encode_objects(y, name)
    if y.dtype.kind in "fiub" and len(y):
        low, high = y.min(), y.max()
        upper = y == high
        if ((y == low) | upper).all():  # two numbers need no sorting
            classes = np.array([low, high] if low != high else [low], y.dtype)
            return classes, upper.astype(np.intp) * (len(classes) - 1)
    return _sorted(y)


def _encode_objects(y: Array, name: str) -> tuple[Array, Array]:
    """The same of objects, which may be anything."""
    try:
        set(y)  # each has a hash: a stream looks labels up
        return _sorted(y)
    except (TypeError, ValueError) as error:
        text = {isinstance(label, str) for label in y}
        what = "mixes strings and numbers" if len(text) > 1 else f"cannot be sorted ({error})"
        raise TypeError(f"{name} {what}. Pass labels of one kind, numbers or text.") from error


def as_classes(given: Any) -> Array:
    """Labels that are announced, sorted."""
    listed = list(given) if isinstance(given, (Set, Iterator)) else given
    if isinstance(listed, (list, tuple)) and len({isinstance(each, str) for each in listed}) > 1:
        raise TypeError("classes mixes strings and numbers. Pass labels of one kind.")
    array = as_array(listed, "classes", "Pass a list of labels.")
    require(array.ndim == 1, f"classes must be a list of labels, got {given!r}. Pass one.")
    return encode(array, "classes")[0]


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
        require_class_weights(given, most)
        require(
            factors_of(given, classes).max() * weights.max() <= most,
            "sample_weight times class_weight goes beyond 1e150. Divide the weights.",
        )
