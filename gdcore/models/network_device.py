"""J(θ) of a network of dense layers over rows on a device, where θ stays as well."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._array import links_of
from gdcore._typing import Array
from gdcore.continuation import fingerprint
from gdcore.data import Rows, visiting_order
from gdcore.device_proof import doubles
from gdcore.devices import DeviceArray, to_host
from gdcore.errors import require
from gdcore.models.network import HEADS, Network, Scaling
from gdcore.models.networked import LOOKED_AT, Networked, judged


class DeviceNetworkCost(Networked):
    """J(θ) = Σ sᵢℓᵢ(θ)/n + ½·alpha·‖W‖² over rows on a device; as `NetworkCost`.

    Parameters
    ----------
    network : Network
        Of dense layers alone, with a loss of gd.losses.
    rows : Rows of `DeviceArray`s
    alpha, scaling, full : as in `NetworkCost`
    """

    def __init__(
        self, network: Network, rows: Rows, *, alpha: float, scaling: Scaling, full: bool
    ) -> None:
        super().__init__(network, alpha, 1)
        self.chain = chain_of(network)
        X: Any = rows.X
        y: Any = rows.y
        self.X, self.y, self.weights = X, y[:, None] if y.ndim == 1 else y, rows.weights
        self._begin(to_host(self.X[:LOOKED_AT]), scaling, full)
        self.shift, self.inverse = (
            (X[0, :0], X[0, :0]) if scaling is None
            else (X.like(each, X.dtype) for each in scaling)
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.X)

    def placed(self, theta: Array) -> Any:
        """θ where the rows are."""
        return self.X.like(theta, theta.dtype)

    def gradient(self, theta: Array, g: Array, rows: Any, training: bool = True) -> float:
        """Summed loss over these rows; the gradient of their mean loss and penalty goes into g."""
        self.steps += training
        n = len(self) if isinstance(rows, slice) else len(rows)
        loss = kernels.chain_gradient(
            self.X, rows, self.shift, self.inverse, self.y, self.weights, *self.chain, theta,
            HEADS[type(self.model.loss)], 1.0 / n, g,
        )  # fmt: skip
        self._latest = g
        self._add_decay(theta, g)
        return loss

    def _of_all(self, theta: Array, g: Array, training: bool) -> float:
        """`gradient` over all rows."""
        return self.gradient(theta, g, slice(None), training)

    def held_out(self, rows: Rows) -> Callable[[Any], tuple[float, float]]:
        """(the plain mean loss, the score) on other rows on the device, as a function of θ; their
        outputs come to the host for it."""
        X: Any = rows.X
        here = Rows(X, doubles(rows.y), doubles(rows.weights))
        return judged(
            self.model, here, lambda theta: to_host(outputs(self.model, theta, X, self._scaling))
        )

    def facts(self) -> dict[str, Any]:
        """{name: number or text} by which the cost is known again."""
        rows: Any = Rows(self.X, self.y, self.weights)
        return {
            "loss": type(self.model.loss).__name__, "alpha": self.alpha,
            "layers": repr(self.model.layers), "rows": fingerprint(rows),
        }  # fmt: skip

    def order(self, rng: Any) -> Array:
        """Row numbers in the order in which an epoch visits them."""
        return visiting_order(len(self), rng)


def chain_of(network: Network) -> tuple[Array, Array]:
    """(widths, codes of activations), refused where there are layers of other kinds."""
    chain = network.chain()
    require(
        chain is not None,
        "Rows on a device go through dense layers and losses of gd.losses alone. Pass "
        "hidden_layer_sizes without dropout and normalization, or arrays of NumPy's.",
    )
    assert chain is not None
    return chain


def outputs(network: Network, theta: Any, X: DeviceArray, scaling: Scaling) -> DeviceArray:
    """z (n, k) of the last layer, where X is."""
    widths, kinds = chain_of(network)
    if not isinstance(theta, DeviceArray):
        theta = X.like(theta)
    x: Any = X
    if scaling is not None:
        shift, inverse = (X.like(each, X.dtype) for each in scaling)
        x = (X - shift) * inverse
    *_, (*_, z) = links_of(x.astype(theta.dtype, copy=False), widths, kinds, theta)
    found: DeviceArray = np.add(z, 0.0)
    return found
