"""A network as a model of the one loop: layers, a loss, and all parameters in one flat vector."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.data import Rows
from gdcore.errors import require
from gdcore.layers.activations import ACTIVATIONS
from gdcore.layers.dense import Dense
from gdcore.layers.sequential import Sequential
from gdcore.losses import Logistic, Softmax, Squared
from gdcore.models.flat import LEAST_WORK, Flat
from gdcore.parameters import read_only

LONGEST_CHAIN = 32  # layers that the kernel of small networks takes
SHARD_ROWS = 256  # fewer rows than this make a matrix product slower
MOST_SHARDS = 64
CHUNK = 1024  # rows at a time where nothing but predictions is wanted
HEADS: dict[type, str] = {
    Softmax: "softmax_cross_entropy",
    Logistic: "logistic_cross_entropy",
    Squared: "squared_error",
}

Scaling: TypeAlias = tuple[Array, Array] | None  # shift and inverse scale of the columns
Head: TypeAlias = Callable[[Array, Array, Array, float, Array], float]


class Network(Flat):
    """Layers with a loss at their end.

    J(θ) is the mean over the examples of ℓ(net(x), y). Parameters are called by the place of their
    layer and their own name, as "0.weight".

    Parameters
    ----------
    layers : Sequential, or a list of layers
    shape : tuple of int
        Of one input, without the axis of the rows.
    loss : Softmax, Logistic, Squared, or an object with value(z, y) → (n,) and slope(z, y) → (n, k)

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> from gdcore.models.network import Network
    >>> net = Network([gd.layers.Dense(8, "tanh"), gd.layers.Dense(3)], (4,), gd.losses.Softmax())
    >>> net.size, net.predict(net.init(0), np.ones((2, 4))).shape
    (67, (2, 3))
    """

    def __init__(self, layers: Any, shape: Sequence[int], loss: Any) -> None:
        layers = layers if isinstance(layers, Sequential) else Sequential(*layers)
        super().__init__(layers, shape)
        self.loss = loss
        output = self.layers.output(self.shape)
        require(
            len(output) == 1,
            f"A network must end in rows of numbers, this one gives {output}. "
            "Put a Flatten and a Dense at its end.",
        )
        self.outputs = output[0]
        self.head = _head(loss)

    def shards(self, rows: int) -> int:
        """Parts into which so many rows of a batch are cut."""
        if self.layers.whole_batch:
            return 1
        return max(1, min(rows // SHARD_ROWS, rows * self.size // LEAST_WORK, MOST_SHARDS))

    def chain(self) -> tuple[Array, Array] | None:
        """(widths, codes of activations) of a network of dense layers alone, else None."""
        layers = self.layers.layers
        plain = all(type(layer) is Dense and layer.bias for layer in layers)
        if not plain or type(self.loss) not in HEADS or len(layers) > LONGEST_CHAIN:
            return None
        codes = [list(ACTIVATIONS).index(layer.activation) for layer in layers]
        return np.array([*self.shape, *(layer.units for layer in layers)]), np.array(codes)

    def dead(self, theta: Array, X: Array, scaling: Scaling = None) -> dict[int, float]:
        """{number of a rectified layer: share of its units that none of these rows excites}."""
        found: dict[int, float] = {}
        scope = self.scope(theta)
        with np.errstate(all="ignore"):
            x = self._inputs(X, scaling, theta.dtype)
            for number, (layer, inner) in enumerate(
                zip(self.layers.layers, scope.children, strict=True)
            ):
                x = layer(inner, x)[0]
                if "relu" in (getattr(layer, "activation", None), getattr(layer, "name", None)):
                    units = x.reshape(-1, x.shape[-1])
                    found[number] = float((units <= 0).all(axis=0).mean())
        return found

    def predict(self, theta: Array, X: Array, scaling: Scaling = None) -> Array:
        """Outputs z (n, k) of the last layer for X, or for (X − shift)·inverse, untrained."""
        scope = self.scope(theta)
        out = np.empty((len(X), self.outputs), theta.dtype)
        with np.errstate(all="ignore"):
            for a in range(0, len(X), CHUNK):
                x = self._inputs(X[a : a + CHUNK], scaling, theta.dtype)
                out[a : a + CHUNK] = self.layers(scope, x)[0]
        return out

    def _inputs(self, X: Array, scaling: Scaling, dtype: Any) -> Array:
        """Rows as the layers see them."""
        if X.dtype.kind in "iu":
            return X
        out = np.empty((len(X), math.prod(self.shape)), dtype)
        flat = np.ascontiguousarray(X.reshape(len(X), -1))
        shift, inverse = scaling_for(scaling, flat.dtype, dtype)
        kernels.take_rows(flat, np.arange(len(X)), shift, inverse, out)
        return out.reshape(len(X), *self.shape)

    def add_cost_and_gradient(self, theta: Array, shard: Rows, g: Array) -> float:
        """Add the shard's summed gradient to g and return its summed loss."""
        scope = self.scope(theta)
        own = scope.gradient()
        scope.wants_dx = False
        X: Any = shard.X
        z, backward = self.layers(scope, self._inputs(X, None, theta.dtype))
        dz = np.empty_like(z)
        loss = self.head(z, targets(shard.y, self.loss), shard.weights, 1.0, dz)
        backward(dz, own)
        views = self.views(g)
        for gradient in own.walk():
            for name in gradient.touched:
                views[gradient.name + name] += gradient.view(name)
        return loss

    def __repr__(self) -> str:
        return f"Network({self.layers}, {self.shape}, {self.loss})"


def targets(y: Array, loss: Any) -> Array:
    """What a head takes: class numbers (n,) for softmax, else (n, k)."""
    return y if isinstance(loss, Softmax) or y.ndim == 2 else y[:, None]


def scaling_for(scaling: Scaling, dtype: Any, out: Any) -> tuple[Array, Array]:
    """(shift, in X's dtype, for the difference may be small; inverse, in that of θ)."""
    if scaling is None:
        return np.empty(0, dtype), np.empty(0, out)
    return scaling[0].astype(dtype), scaling[1].astype(out)


def as_told(y: Array) -> Array:
    """Targets as losses of the user's see them: (n,) where there is one a row."""
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _head(loss: Any) -> Head:
    """The function (z, y, weights, scale, dz) → Σ weights·ℓ, with scale times its slope in dz."""
    name = HEADS.get(type(loss))
    if name is not None:
        known: Head = getattr(kernels, name)
        return known
    missing = [each for each in ("value", "slope") if not callable(getattr(loss, each, None))]
    require(
        not missing,
        f"loss must have value(z, y) and slope(z, y), {loss!r} lacks {' and '.join(missing)}. "
        "Pass one of gd.losses or an object with both.",
    )

    def head(z: Array, y: Array, weights: Array, scale: float, dz: Array) -> float:
        y = read_only(as_told(y))
        dz[...] = scale * weights[:, None] * loss.slope(z, y)
        return float(weights @ loss.value(z, y))

    return head


def require_outputs(network: Network, outputs: int) -> None:
    """Refuse layers of one's own that end in another number than y needs."""
    require(
        network.outputs == outputs,
        f"layers end in {network.outputs} outputs, and y needs {outputs}. "
        f"End them in Dense({outputs}).",
    )
