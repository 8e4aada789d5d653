"""What classifiers share: labels to numbers and back, weights of classes, accuracy."""

from collections.abc import Mapping

import numpy as np

from gdcore.data import as_targets, as_weights
from gdcore.errors import require, require_choice
from gdcore.losses import Logistic, Softmax
from gdcore.models.labels import as_label_matrix, as_many

AT_ONCE = 1 << 16  # labels that are sorted in one call


class Probabilities:
    """What follows from `predict_proba`."""

    def predict_log_proba(self, X):
        """log P(class | x), shape (n, k)."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


class Classifier:
    """Methods over `classes_` and `predict`, and the parameter class_weight."""

    def score(self, X, y, sample_weight=None):
        """Accuracy: the weighted share of rows whose class, or every label, is predicted right."""
        predicted = self.predict(X)
        if predicted.ndim == 1:
            right = predicted == as_targets(y, len(predicted))
        else:
            right = (predicted == as_many(as_label_matrix(y, len(predicted)), predicted)).all(
                axis=1
            )
        return float(np.average(right, weights=as_weights(sample_weight, len(right))))

    def _class_weights(self, classes, codes, weights):
        """A factor for each class."""
        if self.class_weight is None:
            return np.ones(len(classes))
        if isinstance(self.class_weight, str):
            require_choice("class_weight", self.class_weight, ["balanced"])
            mass = np.bincount(codes, weights, minlength=len(classes))
            return np.divide(
                weights.sum(), len(classes) * mass, out=np.zeros_like(mass), where=mass > 0
            )
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


def probabilities(z):
    """P(class | x), rows that sum to one, of margins (n,) for two classes or (n, k) for k."""
    if z.ndim == 2:
        return Softmax().mean(z)
    z = z[:, None]
    return np.stack([Logistic().mean(-z), Logistic().mean(z)], axis=1)


def most_probable(classes, z):
    """The class of each row, by its margins (n,) or (n, k)."""
    return classes[(z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)]


def same_classes(known, given):
    """The classes of the first call, which a later call may repeat and not change."""
    require(
        given is None or np.array_equal(np.unique(given), np.sort(known)),
        f"classes={given} differs from the first call's {known.tolist()}. Pass the same or none.",
    )
    return known


def require_classes(estimator, classes, codes):
    """Refuse one class alone, among the rows that count."""
    present = np.flatnonzero(np.bincount(codes))
    require(
        len(present) > 1,
        f"y holds one class only, {classes.tolist()[present[0]]!r}: {type(estimator).__name__} "
        "needs at least two classes. Pass examples of another class.",
    )


def factors_of(class_weight, classes):
    """The factor of each class by a dict, where it names it."""
    return np.array([float(class_weight.get(label, 1.0)) for label in classes.tolist()])


def merged(*labels):
    """All labels, sorted; they must be of one kind."""
    kinds = {"text" if each.dtype.kind in "US" else "number" for each in labels if len(each)}
    mixed = len(kinds) > 1 and not any(each.dtype.kind == "O" for each in labels)
    try:
        if not mixed:
            return np.unique(np.concatenate(labels))
    except TypeError:
        pass  # objects that cannot be sorted
    raise TypeError("y mixes strings and numbers. Pass labels of one kind.")


def encode(y):
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


def _encode_objects(y):
    """The same of objects, which may be anything."""
    try:
        missing = [label for label in y if label is None or label != label]
        encoded = None if missing else _sorted(y)
    except (TypeError, ValueError) as error:
        text = {isinstance(label, str) for label in y}
        what = "mixes strings and numbers" if len(text) > 1 else f"cannot be sorted ({error})"
        raise TypeError(f"y {what}. Pass labels of one kind, numbers or text.") from error
    require(not missing, "y contains missing labels. Remove those rows first.")
    return encoded


def _sorted(y):
    if len(y) <= AT_ONCE:
        return np.unique(y, return_inverse=True)
    parts = [y[a : a + AT_ONCE] for a in range(0, len(y), AT_ONCE)]  # so that Ctrl-C is heard soon
    classes = np.unique(np.concatenate([np.unique(part) for part in parts]))
    return classes, np.concatenate([np.searchsorted(classes, part) for part in parts])
