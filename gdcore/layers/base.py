"""The contract of a layer: `y, backward = layer(θ, x)`, and what θ and the gradient are to it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, DTypeLike
from gdcore.layers.calls import Call
from gdcore.layers.initializers import Shape, Start, initializer
from gdcore.layers.products import bound, product

T = TypeVar("T")
Backward: TypeAlias = "Callable[[Array, Gradient], Any]"  # dx, or None where x cannot move
Answer: TypeAlias = tuple[Array, Backward]  # of a layer


class Part(NamedTuple):
    """One array of a layer's parameters: its shape, how it starts, whether descent moves it.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.layers.Dense(2).parts((3,))["bias"]
    Part(shape=(2,), start='zeros', trainable=True)
    """

    shape: Shape
    start: Start  # a name of `initializers`, or a callable (rng, shape) → array
    trainable: bool = True


class Layer(ABC):
    """A function of parameters and inputs that also knows its slope.

    A subclass is a frozen dataclass: equal, printable, picklable. Its call computes y for rows x
    and returns with it a closure `backward(dy, g) → dx`, which adds the gradient of the parameters,
    summed over the rows, into g and returns that of the inputs. `dy` is consumed: backward may use
    it as scratch. It is called at most once, before the next call with the same θ.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> class Double(gd.layers.Layer):
    ...     def parts(self, shape):
    ...         return {}
    ...     def output(self, shape):
    ...         return shape
    ...     def __call__(self, theta, x):
    ...         return 2 * x, lambda dy, g: 2 * dy
    >>> net = gd.layers.Sequential(gd.layers.Dense(2), Double())
    >>> net(net.scope((3,), rng=0), np.ones((4, 3)))[0].shape
    (4, 2)
    """

    whole_batch: bool = False  # True: all rows of a batch at once, as batch statistics need
    random: bool = False  # True: training draws numbers, so J is another one at each step

    @abstractmethod
    def parts(self, shape: Shape) -> dict[str, Part]:
        """{name: Part} for inputs of this shape, without the axis of the rows."""

    @abstractmethod
    def output(self, shape: Shape) -> Shape:
        """The shape of one output, for inputs of this shape."""

    @abstractmethod
    def __call__(self, theta: "Scope", x: Array) -> Answer:
        """(y, backward)."""

    def inside(self, shape: Shape) -> Iterable[tuple["Layer", Shape]]:
        """(layer, shape of its inputs) for each layer that this one is made of."""
        return ()

    def scope(
        self, shape: Shape, rng: Any = None, dtype: DTypeLike = np.float64, training: bool = False
    ) -> "Scope":
        """A `Scope` of fresh parameters for inputs of this shape, to try a layer alone.

        Example
        -------
        >>> import numpy as np, gdcore as gd
        >>> layer = gd.layers.Dense(2, activation="relu")
        >>> theta = layer.scope((3,), rng=0)
        >>> y, backward = layer(theta, np.ones((4, 3)))
        >>> g = theta.gradient()
        >>> backward(np.ones_like(y), g).shape, g["weight"].shape
        ((4, 3), (3, 2))
        """
        rng = np.random.default_rng(rng)
        arrays = {
            name: np.ascontiguousarray(initializer(part.start)(rng, part.shape), dtype=dtype)
            for name, part in named(self, shape)
        }
        return Scope(self, shape, arrays, Context(dtype, training=training))


def named(layer: Layer, shape: Shape, prefix: str = "") -> Iterator[tuple[str, Part]]:
    """(full name, Part) of a layer's parameters, those of the layers inside with their number.

    Example
    -------
    >>> import gdcore as gd
    >>> net = gd.layers.Sequential(gd.layers.Dense(2), gd.layers.Dense(1, bias=False))
    >>> [name for name, part in gd.layers.named(net, (3,))]
    ['0.weight', '0.bias', '1.weight']
    """
    for name, part in layer.parts(shape).items():
        yield prefix + name, part
    for number, (inner, its) in enumerate(layer.inside(shape)):
        yield from named(inner, its, f"{prefix}{number}.")


class Context:
    """What all layers share during one pass over some rows; here: fresh memory at each call."""

    keeps = False  # whether the next pass finds its memory where this one did

    def __init__(
        self, dtype: DTypeLike, training: bool = False, first: int = 0, key: int = 0
    ) -> None:
        self.dtype, self.training = np.dtype(dtype), training
        self.first, self.key = first, key

    def memory(self, scope: "Scope", name: str, shape: Shape, dtype: DTypeLike | None) -> Array:
        """An uninitialised array."""
        return np.empty(shape, dtype or self.dtype)

    def product(self, gradient: "Gradient", name: str, x: Array, dz: Array) -> None:
        """gradient[name] += xᵀ·dz."""
        gradient.multiply(name, x, dz)

    @property
    def waits(self) -> bool:
        """Whether `product` but notes what is to be multiplied when all rows are through."""
        return False

    def noting(self, gradient: "Gradient", products: list[tuple[str, Array, Array]]) -> Call:
        """A call of `product` for each (name, x, dz)."""

        def note() -> None:
            for each in products:
                self.product(gradient, *each)

        return note

    def scatter(self, gradient: "Gradient", name: str, rows: Array, values: Array) -> None:
        """gradient[name][rows] += values."""
        kernels.add_rows(gradient[name], rows, values)

    def matmul(self, a: Array, b: Array, out: Array) -> Array:
        """out = a·b."""
        return product(a, b, out)

    def multiplication(self, name: str, turned: bool, a: Array, b: Array, out: Array) -> Call:
        """A call that computes out = a·b, where b is the parameter of this name, or is turned."""
        return bound(a, b, out)


class Scope:
    """The parameters of one layer, by name, and memory for its results.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> theta = gd.layers.Dense(2).scope((3,), rng=0)
    >>> theta["weight"].shape, theta.buffer("y", (5, 2)).shape
    ((3, 2), (5, 2))
    """

    __slots__ = ("_kept", "_made", "_views", "children", "context", "name", "number", "wants_dx")

    def __init__(
        self,
        layer: Layer,
        shape: Shape,
        arrays: Mapping[str, Array],
        context: Context,
        prefix: str = "",
    ) -> None:
        self.name, self.context, self.wants_dx = prefix, context, True
        self.number = hash_of(prefix)
        self._kept: dict[str, Array] = {}
        self._made: dict[Any, Any] = {}
        self._views = {name: arrays[prefix + name] for name in layer.parts(shape)}
        self.children = [
            Scope(inner, its, arrays, context, f"{prefix}{k}.")
            for k, (inner, its) in enumerate(layer.inside(shape))
        ]

    def __getitem__(self, name: str) -> Array:
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def buffer(self, name: str, shape: Shape, dtype: DTypeLike | None = None) -> Array:
        """Memory to write into, of θ's dtype where no other is asked for; shape[0] counts rows."""
        kept = self._kept.get(name)
        if kept is not None and kept.shape == shape:
            return kept
        return self.context.memory(self, name, shape, dtype)

    def matmul(self, a: Array, b: Array, out: Array) -> Array:
        """out = a·b, by several threads where it is large."""
        return self.context.matmul(a, b, out)

    def multiplication(self, a: Array, name: str, turned: bool, out: Array) -> Call:
        """A call that computes out = a·W, or a·Wᵀ, for W of this name, as often as it is called."""
        W = self[name].T if turned else self[name]
        return self.context.multiplication(self.name + name, turned, a, W, out)

    def recall(self, key: Any, make: Callable[[], T]) -> T:
        """What make() gave for this key since the parameters last moved to other arrays.

        Made anew where memory is fresh at each call.
        """
        if not self.context.keeps:
            return make()
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = make()
        return made

    def forget(self) -> None:
        """Let go of all memory for results."""
        self._made.clear()
        self._kept.clear()

    def keep(self, name: str, array: Array) -> None:
        """Give this array whenever a buffer of its name and shape is asked for."""
        self._kept[name] = array

    @property
    def training(self) -> bool:
        """Whether this pass is one of training."""
        return self.context.training

    @property
    def first(self) -> int:
        """Number, within the batch, of the first row that this pass sees."""
        return self.context.first

    @property
    def key(self) -> int:
        """Key of the counter-based generators: another one for each layer and each step."""
        return (self.context.key + self.number) & 0xFFFFFFFFFFFFFFFF

    def bind(self, arrays: Mapping[str, Array]) -> None:
        """Take the parameters from other arrays from now on; the memory for results stays."""
        self._made.clear()
        for name in self._views:
            self._views[name] = arrays[self.name + name]
        for child in self.children:
            child.bind(arrays)

    def gradient(self) -> "Gradient":
        """A `Gradient` of zeros, with memory of its own."""
        arrays = {
            scope.name + n: np.zeros_like(v) for scope in self.walk() for n, v in scope.items()
        }
        return Gradient(self, arrays, self.context)

    def items(self) -> ItemsView[str, Array]:
        """(name, view) of this layer's own parameters."""
        return self._views.items()

    def walk(self) -> Iterator["Scope"]:
        """This scope and all inside."""
        yield self
        for child in self.children:
            yield from child.walk()


class Gradient:
    """Where a layer's backward pass adds its gradient; of the structure of a `Scope`.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> g = gd.layers.Dense(2).scope((3,), rng=0).gradient()
    >>> g["bias"] += 1.0  # added, and zero before the first time in a step
    >>> g.product("weight", np.ones((5, 3)), np.ones((5, 2)))  # xᵀ·dz
    >>> g["bias"], g["weight"][0]
    (array([1., 1.]), array([5., 5.]))
    """

    __slots__ = ("_arrays", "_context", "_views", "children", "name", "names", "touched")

    def __init__(self, scope: Scope, arrays: Mapping[str, Array], context: Context) -> None:
        self.name, self._context, self._arrays = scope.name, context, arrays
        self.names, self.touched = list(scope), set[str]()
        self._views: dict[str, Array] = {}
        self.children = [Gradient(child, arrays, context) for child in scope.children]

    def __getitem__(self, name: str) -> Array:
        """The view to add into; zero at the first touch of a step."""
        view = self.view(name)
        if name not in self.touched:
            self.touched.add(name)
            view.fill(0)
        return view

    def begin(self, names: set[str], vectors: list[Array]) -> None:
        """Touch all of these at once; their memory is that of the vectors."""
        if self.touched.isdisjoint(names):
            for vector in vectors:
                vector.fill(0)
            self.touched.update(names)
        else:
            for name in names:
                self[name]

    def __setitem__(self, name: str, value: Array) -> None:  # g["bias"] += … ends here
        view = self[name]
        if value is not view:
            view[...] = value

    def view(self, name: str) -> Array:
        """The memory behind a name, as it is."""
        view = self._views.get(name)
        if view is None:
            view = self._views[name] = self._arrays[self.name + name]
        return view

    def bind(self, arrays: Mapping[str, Array]) -> None:
        """Write into other arrays from now on."""
        self._arrays = arrays
        self._views.clear()
        for child in self.children:
            child.bind(arrays)

    @property
    def waits(self) -> bool:
        """Whether `product` but notes arrays, which may then be filled later."""
        return self._context.waits

    def noting(self, products: list[tuple[str, Array, Array]]) -> Call:
        """A call of `product` for each (name, x, dz)."""
        return self._context.noting(self, products)

    def product(self, name: str, x: Array, dz: Array) -> None:
        """Add xᵀ·dz, possibly later: neither array may change until the step's end."""
        self._context.product(self, name, x, dz)

    def scatter(self, name: str, rows: Array, values: Array) -> None:
        """Add values to the rows of these numbers, possibly later, as `product` does."""
        self._context.scatter(self, name, rows, values)

    def multiply(self, name: str, x: Array, dz: Array) -> None:
        """Add xᵀ·dz now."""
        if name in self.touched:
            self.view(name)[...] += x.T @ dz
        else:
            self.touched.add(name)
            self._context.matmul(x.T, dz, self.view(name))

    def finish(self) -> None:
        """End a step: what no backward pass touched is zero."""
        if len(self.touched) != len(self.names):
            for name in self.names:
                if name not in self.touched:
                    self.view(name).fill(0)
        self.touched.clear()
        for child in self.children:
            child.finish()

    def forget(self) -> None:
        """Begin anew, whatever the memory holds."""
        self.touched.clear()
        for child in self.children:
            child.forget()

    def walk(self) -> Iterator["Gradient"]:
        """This gradient and all inside."""
        yield self
        for child in self.children:
            yield from child.walk()


def hash_of(text: str) -> int:
    """A 64-bit number for a name, the same on every machine (FNV-1a)."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value
