"""Images: two-dimensional convolution by im2col and a matrix product, and pooling."""

from dataclasses import dataclass

import numpy as np

from gdcore._typing import Array
from gdcore.errors import require, require_choice, require_number
from gdcore.layers.activations import activate, require_weighted, weighted_parts
from gdcore.layers.base import Answer, Gradient, Layer, Part, Scope
from gdcore.layers.initializers import Shape, Start


def windows(x: Array, size: int, stride: int) -> list[Array]:
    """Views (n, rows, columns, c) of x (n, h, w, c), one for each place in a window, row by row."""
    _, h, w, _ = x.shape
    rows, columns = (h - size) // stride + 1, (w - size) // stride + 1
    down, across = stride * (rows - 1) + 1, stride * (columns - 1) + 1
    return [
        x[:, i : i + down : stride, j : j + across : stride]
        for i in range(size)
        for j in range(size)
    ]


def require_image(layer: Layer, shape: Shape, size: int) -> None:
    name = type(layer).__name__
    require(
        len(shape) == 3,
        f"{name} takes images (height, width, channels), got inputs of shape {shape}. "
        "Reshape them, channels last.",
    )
    require(
        min(shape[:2]) >= size,
        f"{name} has windows of {size} × {size} and gets images of {shape[0]} × {shape[1]}. "
        "Use smaller windows, or padding='same'.",
    )


@dataclass(frozen=True)
class Conv2D(Layer):
    """Windows of an image times a matrix: y = act(patches(x)·W + b) (LeCun et al., 1989).

    Shapes: x (n, h, w, c), W (size·size·c, channels), y (n, h′, w′, channels). As in all networks
    this is a correlation: the window is not turned round.

    Parameters
    ----------
    channels, size, stride : int
    padding : "same" (zeros, so that h′ = ⌈h/stride⌉), "valid" (none), or zeros on each side
    activation, bias, init : as for `Dense`

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> layer = gd.layers.Conv2D(8, size=3, activation="relu")
    >>> layer(layer.scope((28, 28, 1)), np.ones((2, 28, 28, 1)))[0].shape
    (2, 28, 28, 8)
    """

    channels: int
    size: int = 3
    stride: int = 1
    padding: str | int = "same"
    activation: str = "linear"
    bias: bool = True
    init: Start = "auto"

    def __post_init__(self) -> None:
        for name in ("channels", "size", "stride"):
            require_number(name, getattr(self, name), low=1, whole=True)
        if isinstance(self.padding, str):
            require_choice("padding", self.padding, ["same", "valid"])
        else:
            require_number("padding", self.padding, low=0, whole=True)
        require_weighted(self)

    def _margins(self, extent: int) -> tuple[int, int]:
        """Zeros before and after an axis."""
        if self.padding == "same":
            needed = (-(-extent // self.stride) - 1) * self.stride + self.size - extent
            return max(needed, 0) // 2, max(needed, 0) - max(needed, 0) // 2
        zeros = 0 if isinstance(self.padding, str) else self.padding
        return zeros, zeros

    def _padded(self, shape: Shape) -> Shape:
        return tuple(extent + sum(self._margins(extent)) for extent in shape[:2])

    def parts(self, shape: Shape) -> dict[str, Part]:
        """weight (size·size·c, channels) and bias (channels,)."""
        self.output(shape)
        return weighted_parts(self, self.size * self.size * shape[2], self.channels)

    def output(self, shape: Shape) -> Shape:
        """(h′, w′, channels)."""
        require_image(self, (*self._padded(shape), *shape[2:]), self.size)
        h, w = ((e - self.size) // self.stride + 1 for e in self._padded(shape))
        return h, w, self.channels

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(y, backward)."""
        n, c, patch = len(x), x.shape[3], self.size * self.size * x.shape[3]
        shape = self.output(x.shape[1:])
        weight, places = theta["weight"], shape[0] * shape[1]
        columns = theta.buffer("columns", (n, places, patch))
        each = columns.reshape(n, *shape[:2], patch)
        for k, view in enumerate(windows(self._pad(theta, x), self.size, self.stride)):
            each[..., k * c : (k + 1) * c] = view
        flat = columns.reshape(-1, patch)
        y = theta.buffer("y", (n, *shape))
        theta.matmul(flat, weight, y.reshape(-1, self.channels))
        through = activate(theta, self.activation, y, self.bias)

        def backward(dy: Array, g: Gradient) -> Array | None:
            dz = through(dy, g)
            g.product("weight", flat, dz)
            return self._inputs(theta, dz, x.shape) if theta.wants_dx else None

        return y, backward

    def _pad(self, theta: Scope, x: Array) -> Array:
        (top, bottom), (left, right) = (self._margins(extent) for extent in x.shape[1:3])
        if not (top or bottom or left or right):
            return x
        h, w = x.shape[1:3]
        padded = theta.buffer("padded", (len(x), *self._padded(x.shape[1:]), x.shape[3]))
        padded.fill(0)
        padded[:, top : top + h, left : left + w] = x
        return padded

    def _inputs(self, theta: Scope, dz: Array, shape: Shape) -> Array:
        """The gradient of x: each patch's is added where the patch was taken."""
        n, h, w, c = shape
        rows, columns, _ = self.output(shape[1:])
        patches = theta.buffer("patches", (n, rows * columns, self.size * self.size * c))
        theta.matmul(dz, theta["weight"].T, patches.reshape(len(dz), -1))
        each = patches.reshape(n, rows, columns, -1)
        dx = theta.buffer("dx padded", (n, *self._padded(shape[1:]), c))
        dx.fill(0)
        for k, view in enumerate(windows(dx, self.size, self.stride)):
            view += each[..., k * c : (k + 1) * c]
        (top, _), (left, _) = (self._margins(extent) for extent in (h, w))
        inner = dx[:, top : top + h, left : left + w]
        if inner.shape == dx.shape:
            return dx
        whole = theta.buffer("dx", shape)
        whole[...] = inner
        return whole


class Pool(Layer):
    """What the poolings share: a number of each window and channel."""

    size: int
    stride: int | None

    def __post_init__(self) -> None:
        require_number("size", self.size, low=1, whole=True)
        if self.stride is not None:
            require_number("stride", self.stride, low=1, whole=True)

    def parts(self, shape: Shape) -> dict[str, Part]:
        """None."""
        return {}

    def output(self, shape: Shape) -> Shape:
        """(h′, w′, c)."""
        require_image(self, shape, self.size)
        step = self.stride or self.size
        return *((extent - self.size) // step + 1 for extent in shape[:2]), shape[2]


@dataclass(frozen=True)
class MaxPool2D(Pool):
    """The largest number of each window and channel (Ranzato et al., 2007); of equals the first.

    Shapes: x (n, h, w, c), y (n, h′, w′, c) with h′ = ⌊(h − size)/stride⌋ + 1.

    Parameters
    ----------
    size : int
    stride : int, optional
        Default: size.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> layer = gd.layers.MaxPool2D(2)
    >>> layer(layer.scope((2, 2, 1)), np.arange(4.0).reshape(1, 2, 2, 1))[0].item()
    3.0
    """

    size: int = 2
    stride: int | None = None

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(y, backward)."""
        step, shape = self.stride or self.size, (len(x), *self.output(x.shape[1:]))
        y, first = theta.buffer("y", shape), True
        place = theta.buffer("place", shape, np.int32)
        place.fill(0)
        for k, view in enumerate(windows(x, self.size, step)):
            if first:
                y[...], first = view, False
            else:
                larger = view > y
                np.copyto(y, view, where=larger)
                np.copyto(place, k, where=larger)

        def backward(dy: Array, g: Gradient) -> Array | None:
            dx = theta.buffer("dx", x.shape)
            dx.fill(0)
            for k, view in enumerate(windows(dx, self.size, step)):
                np.add(view, dy, out=view, where=place == k)
            return dx

        return y, backward


@dataclass(frozen=True)
class MeanPool2D(Pool):
    """The mean of each window and channel (LeCun et al., 1989).

    Shapes and parameters are those of `MaxPool2D`.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> layer = gd.layers.MeanPool2D(2)
    >>> layer(layer.scope((2, 2, 1)), np.arange(4.0).reshape(1, 2, 2, 1))[0].item()
    1.5
    """

    size: int = 2
    stride: int | None = None

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(y, backward)."""
        step, shape = self.stride or self.size, (len(x), *self.output(x.shape[1:]))
        y, share = theta.buffer("y", shape), 1 / self.size**2
        y.fill(0)
        for view in windows(x, self.size, step):
            y += view
        y *= share

        def backward(dy: Array, g: Gradient) -> Array | None:
            dx = theta.buffer("dx", x.shape)
            dx.fill(0)
            dy *= share
            for view in windows(dx, self.size, step):
                view += dy
            return dx

        return y, backward
