"""Layer and batch normalisation."""

from dataclasses import dataclass

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.errors import as_plain, require, require_number
from gdcore.layers.base import Answer, Gradient, Layer, Part, Scope
from gdcore.layers.initializers import Shape


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Each row gets mean 0 and variance 1, then a gain and a bias (Ba, Kiros & Hinton, 2016).

    y = (x − mean)/√(variance + eps)·gain + bias over the last axis, with the biased variance, as
    in GPT-2 and PyTorch. Shapes: x (…, p), gain and bias (p,).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> layer = gd.layers.LayerNorm()
    >>> layer(layer.scope((2,)), np.array([[1.0, 3.0]]))[0].round(3)
    array([[-1.,  1.]])
    """

    eps: float = 1e-5

    def __post_init__(self) -> None:
        require_number("eps", as_plain(self, "eps"), low=0, above=True)

    def parts(self, shape: Shape) -> dict[str, Part]:
        """gain and bias, one number a column."""
        return {"gain": Part(shape[-1:], "ones"), "bias": Part(shape[-1:], "zeros")}

    def output(self, shape: Shape) -> Shape:
        """As it came."""
        return shape

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(y, backward)."""
        gain, p = theta["gain"], x.shape[-1]
        y = theta.buffer("y", x.shape)
        statistics = theta.buffer("statistics", (len(x), x[0].size // p, 2)).reshape(-1, 2)
        rows = x.reshape(-1, p)
        kernels.layer_norm(rows, gain, theta["bias"], self.eps, y.reshape(-1, p), statistics)

        def backward(dy: Array, g: Gradient) -> Array:
            flat = dy.reshape(-1, p)
            kernels.layer_norm_backward(rows, gain, statistics, flat, flat, g["gain"], g["bias"])
            return dy

        return y, backward


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Each column gets the batch's mean 0 and variance 1, then a gain and a bias.

    y = (x − mean)/√(variance + eps)·gain + bias over all axes but the last (Ioffe & Szegedy, 2015).
    In training mean and variance are the batch's, and running ones follow them by `momentum`, the
    variance unbiased, as in PyTorch; otherwise the running ones count. They lie in θ and no
    optimizer moves them. All rows of a batch are seen at once; with micro-batches, those of one.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> layer = gd.layers.BatchNorm()
    >>> layer(layer.scope((1,), training=True), np.array([[1.0], [3.0]]))[0].round(3)
    array([[-1.],
           [ 1.]])
    """

    eps: float = 1e-5
    momentum: float = 0.1

    whole_batch = True

    def __post_init__(self) -> None:
        require_number("eps", as_plain(self, "eps"), low=0, above=True)
        require_number("momentum", as_plain(self, "momentum"), low=0, high=1)

    def parts(self, shape: Shape) -> dict[str, Part]:
        """gain, bias, running_mean and running_variance, one number a column."""
        one = shape[-1:]
        return {
            "gain": Part(one, "ones"),
            "bias": Part(one, "zeros"),
            "running_mean": Part(one, "zeros", trainable=False),
            "running_variance": Part(one, "ones", trainable=False),
        }

    def output(self, shape: Shape) -> Shape:
        """As it came."""
        return shape

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(y, backward)."""
        gain, p, training = theta["gain"], x.shape[-1], theta.training
        y, rows = theta.buffer("y", x.shape), x.reshape(-1, x.shape[-1])
        hat = theta.buffer("hat", x.shape).reshape(-1, p)
        mean, scale = self._statistics(theta, rows) if training else self._running(theta)
        np.subtract(rows, mean, out=hat)
        hat *= scale
        out = y.reshape(-1, p)
        np.multiply(hat, gain, out=out)
        out += theta["bias"]

        def backward(dy: Array, g: Gradient) -> Array:
            d = dy.reshape(-1, p)
            g["bias"] += d.sum(axis=0)
            share = np.einsum("ij,ij->j", d, hat)
            g["gain"] += share
            if training:
                d -= d.mean(axis=0)
                hat_share = np.multiply(hat, share / len(d), out=hat)
                d -= hat_share
            d *= gain * scale
            return dy

        return y, backward

    def _statistics(self, theta: Scope, rows: Array) -> tuple[Array, Array]:
        """(mean, 1/√(variance + eps)) of the batch, which the running ones follow."""
        mean = rows.mean(axis=0)
        variance = np.square(rows - mean).mean(axis=0)
        m, n = self.momentum, len(rows)
        theta["running_mean"][...] += m * (mean - theta["running_mean"])
        unbiased = variance * (n / max(n - 1, 1))
        theta["running_variance"][...] += m * (unbiased - theta["running_variance"])
        return mean, 1 / np.sqrt(variance + np.asarray(self.eps, variance.dtype))

    def _running(self, theta: Scope) -> tuple[Array, Array]:
        variance = theta["running_variance"]
        return theta["running_mean"], 1 / np.sqrt(variance + np.asarray(self.eps, variance.dtype))


@dataclass(frozen=True)
class Dropout(Layer):
    """In training each number is left out with probability `rate`, the others are scaled up.

    y = x·mask/(1 − rate) (Srivastava et al., 2014). The mask comes from a counter-based generator
    (Philox4x32-10: Salmon et al., 2011), counted by the number's place in the batch: the same bits
    for any number of threads, and nothing to keep for the way back.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> layer = gd.layers.Dropout(0.5)
    >>> y, _ = layer(layer.scope((1000,), training=True), np.ones((1, 1000)))
    >>> sorted(set(y[0].tolist())), bool(abs(y.mean() - 1) < 0.1)
    ([0.0, 2.0], True)
    """

    rate: float = 0.5

    random = True

    def __post_init__(self) -> None:
        require_number("rate", self.rate, low=0)
        require(
            self.rate < 1, f"rate must be below 1, got {self.rate}. Pass the share to leave out."
        )

    def parts(self, shape: Shape) -> dict[str, Part]:
        """None."""
        return {}

    def output(self, shape: Shape) -> Shape:
        """As it came."""
        return shape

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(x·mask/(1 − rate), backward); x itself outside training."""
        if not theta.training or self.rate == 0:
            return x, lambda dy, g: dy
        y = theta.buffer("y", x.shape)
        key, first = theta.key, theta.first * (x.size // len(x))
        kernels.dropout(x.reshape(-1), self.rate, key, first, y.reshape(-1))

        def backward(dy: Array, g: Gradient) -> Array:
            flat = dy.reshape(-1)
            kernels.dropout(flat, self.rate, key, first, flat)
            return dy

        return y, backward
