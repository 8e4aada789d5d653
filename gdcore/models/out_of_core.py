"""Rows that are not in memory: what `fit` takes for chunks, and labels that come up in passes."""

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from gdcore import chunks as readers
from gdcore._typing import Array, ArrayLike
from gdcore.data import as_numbers, require_finite
from gdcore.errors import require
from gdcore.models.classifier import encode, require_class_weights, require_classes
from gdcore.models.estimator import Features
from gdcore.passes import Checked, Shuffled
from gdcore.survey import Passes, Survey, survey

LARGE = 1 << 28  # bytes from where on a memory map is read in chunks

Data: TypeAlias = "Features | os.PathLike[str] | Iterable[Any] | Callable[[], Iterable[Any]]"
Held: TypeAlias = tuple[float, int] | None  # share and seed of the rows held out


def as_chunks(X: Any, y: Any, sample_weight: ArrayLike | None) -> Any:
    """Checked chunks where X is a path, a large memory map or chunks; None for other rows."""
    large = isinstance(X, np.memmap) and X.ndim == 2 and X.nbytes >= LARGE
    if large or isinstance(X, (str, os.PathLike)):
        return readers.checked(readers.arrays(X, y, sample_weight), "X")
    if not _gives_chunks(X, y):
        return None
    require(
        sample_weight is None,
        "sample_weight goes with arrays. Let each chunk be (X, y, weights).",
    )
    return readers.checked(X, "X")


def _gives_chunks(X: Any, y: Any) -> bool:
    if isinstance(X, (Checked, Shuffled)):
        require(y is None, "y goes with arrays. Let each chunk be (X, y), and pass it alone.")
        return True
    if y is not None or hasattr(X, "shape") or hasattr(X, "__array__"):
        return False
    if isinstance(X, (list, tuple)):
        first = X[0] if X else None
        return isinstance(first, tuple) and len(first) in (2, 3) and np.ndim(first[0]) == 2
    return hasattr(X, "__iter__") or callable(X)


def real_passes(
    chunks: Any, check: Callable[[Array], None] | None = None, held: Held = None
) -> tuple[Passes, Survey]:
    """(Passes, Survey) with real targets; check(y) refuses some; `held` as in `Passes`."""

    def numbers(y: Any, weights: Array) -> tuple[Array, Array]:
        y = np.ascontiguousarray(as_numbers(y, "y"), np.float64)
        require_finite(y, "y")
        if check is not None:
            check(np.append(y[weights > 0], 1.0))  # others may have what this chunk lacks
        return y, weights

    passes = Passes(chunks, numbers, held)
    about = survey(passes)
    if check is not None:
        check(np.average(about.y, weights=about.weights, keepdims=True))
    return passes, about


class Labels:
    """Labels as class numbers: in the order in which they come up, then in that of the classes."""

    codes: dict[Any, int]
    factors: list[float]
    rank: Any  # an array, once it is known
    kind: type | None

    def __init__(self, factor_of: Callable[[Any], float]) -> None:
        self.codes, self.factors, self.factor_of = {}, [], factor_of
        self.rank = self.kind = None

    def __call__(self, y: Array, weights: Array) -> tuple[Array, Array]:
        if self.rank is not None and len(self.codes) == 2 and y.dtype.kind in "fiub":
            low, high = sorted(self.codes)
            upper = y == high
            if (upper | (y == low)).all():  # nothing is new: the usual case, in each pass
                first, second = (self.factors[self.codes[label]] for label in (low, high))
                if not first == second == 1:
                    weights = weights * np.where(upper, second, first)
                return upper.astype(np.float64), weights
        values, where = encode(y)
        kinds = {_kind(value) for value in values.tolist()[:1]} | {self.kind} - {None}
        if len(kinds) > 1:
            raise TypeError("y mixes strings and numbers. Pass labels of one kind.")
        self.kind = next(iter(kinds), None)
        for value in values.tolist():
            if value not in self.codes:
                require(
                    self.rank is None,
                    f"The chunks gave a label in a later pass, {value!r}, that the first did not "
                    "have. Give the same rows each time.",
                )
                self.codes[value] = len(self.codes)
                self.factors.append(self.factor_of(value))
        own = np.array([self.codes[value] for value in values.tolist()], np.intp)[where]
        weights = weights * np.array(self.factors)[own]
        return (own if self.rank is None else self.rank[own]).astype(np.float64), weights

    def settle(self) -> Array:
        """The classes, sorted; from now on codes are their numbers."""
        classes = np.unique(np.array(list(self.codes)))
        self.rank = np.searchsorted(classes, np.array(list(self.codes)))
        return classes


def _kind(label: object) -> type:
    return next((kind for kind in (str, bytes) if isinstance(label, kind)), float)


def label_passes(chunks: Any, estimator: Any, held: Held = None) -> tuple[Array, Passes, Survey]:
    """(classes, Passes, Survey) with class numbers for targets, weighed by class_weight."""
    given = estimator.class_weight
    named = given if isinstance(given, dict) else {}
    require_class_weights(named)
    labels = Labels(lambda label: float(named.get(label, 1.0)))
    passes = Passes(chunks, labels, held)
    about = survey(passes)
    classes, rank = labels.settle(), labels.rank
    masses = np.zeros(len(classes))
    masses[rank[about.y.astype(int)]] = about.weights
    require_classes(estimator, classes, np.flatnonzero(masses))
    factors = estimator._class_weights(classes, np.arange(len(classes)), masses)
    labels.factors = factors[rank].tolist()
    if given == "balanced":  # which weighs the columns' moments as well
        about = survey(passes)
        masses = masses * factors
    return classes, passes, replace(about, y=np.arange(float(len(classes))), weights=masses)


def one_class(passes: Passes, about: Survey, c: int) -> tuple[Passes, Survey]:
    """(Passes, Survey) of class c against the rest, whose columns need no second look."""

    def encode(y: Array, weights: Array) -> tuple[Array, Array]:
        codes, weights = passes.encode(y, weights)
        return (codes == c).astype(np.float64), weights

    own = Passes(passes.given, encode, passes.held)
    own.mass, own.counts, own.known = passes.mass, passes.counts, passes.known
    return own, replace(about, y=(about.y == c).astype(np.float64))
