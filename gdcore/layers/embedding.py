"""Numbers of things to vectors."""

from dataclasses import dataclass

import numpy as np

from gdcore._typing import Array
from gdcore.errors import require, require_number
from gdcore.layers.base import Answer, Gradient, Layer, Part, Scope
from gdcore.layers.initializers import Shape, Start


@dataclass(frozen=True)
class Embedding(Layer):
    """Row `id` of a table for each id: y = weight[x] (Bengio et al., 2003).

    Shapes: x (n,) or (n, t) whole numbers in [0, vocabulary), weight (vocabulary, features),
    y (n, features) or (n, t, features).

    Parameters
    ----------
    vocabulary, features : int
    init : as for `Dense`

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> layer = gd.layers.Embedding(10, 4)
    >>> layer(layer.scope((3,)), np.array([[1, 5, 1]]))[0].shape
    (1, 3, 4)
    """

    vocabulary: int
    features: int
    init: Start = "normal"

    def __post_init__(self) -> None:
        require_number("vocabulary", self.vocabulary, low=1, whole=True)
        require_number("features", self.features, low=1, whole=True)

    def parts(self, shape: Shape) -> dict[str, Part]:
        """weight (vocabulary, features)."""
        return {"weight": Part((self.vocabulary, self.features), self.init)}

    def output(self, shape: Shape) -> Shape:
        """(…, features)."""
        return (*shape, self.features)

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(weight[x], backward); the gradient of whole numbers is None."""
        ids = np.ascontiguousarray(x, np.int64)
        whole = x.dtype.kind in "iu" or bool((ids == x).all())
        inside = whole and (ids.size == 0 or (ids.min() >= 0 and ids.max() < self.vocabulary))
        require(
            inside,
            f"Embedding takes whole numbers from 0 to {self.vocabulary - 1}. "
            "Pass ids of that range, or a larger vocabulary.",
        )
        y = theta.buffer("y", (*x.shape, self.features))
        np.take(theta["weight"], ids, axis=0, out=y, mode="clip")

        def backward(dy: Array, g: Gradient) -> None:
            g.scatter("weight", ids.reshape(-1), dy.reshape(-1, self.features))

        return y, backward
