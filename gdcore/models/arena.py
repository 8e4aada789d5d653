"""Memory that the passes over a batch share, and the plan of one batch: shards, then products."""

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise
from operator import is_
from typing import Any, TypeAlias

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.layers.base import Context, Gradient, Layer, Scope
from gdcore.layers.calls import Call, joined
from gdcore.layers.products import bound, by_tiles, product, reads_rows
from gdcore.layers.sequential import Sequential
from gdcore.models.flat import LEAST_WORK
from gdcore.models.packed import MOST_PACKED, Packed
from gdcore.parameters import aligned, merged
from gdcore.threads import Threads, given_back

TILE_WIDTH = 384  # and so do fewer columns

Task: TypeAlias = tuple[Array, Array, Array]  # a, b, out
Pair: TypeAlias = tuple[Array, Array]  # x, dz
Note: TypeAlias = tuple[str, Array, Array]  # full name, and two arrays that wait


class Arena:
    """Arrays by name, each with one row for each row of the largest batch."""

    def __init__(self, rows: int) -> None:
        self.rows, self._lock = rows, threading.RLock()
        self._arrays: dict[str, Array] = {}

    def full(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """The array behind a name, made at its first use."""
        try:  # within: Ctrl-C may come between the lock and what follows
            self._lock.acquire()
            found = self._arrays.get(name)
            if found is None or found.shape[1:] != shape or found.dtype != dtype:
                size = self.rows * math.prod(shape)
                found = aligned(size, dtype).reshape(self.rows, *shape)
                self._arrays[name] = found
            return found
        finally:
            given_back(self._lock)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self._arrays.values())


class Shard(Context):
    """One pass over rows a … b − 1 of a batch: its part of the arena, and what waits."""

    keeps = True
    scope: Any = None  # until the plan is bound
    gradient: Any = None

    def __init__(self, dtype: Any, arena: Arena, a: int, b: int, packed: Packed | None) -> None:
        super().__init__(dtype, training=True, first=a)
        self.packed = packed
        self.arena, self.a, self.b = arena, a, b
        # Who helps with large products, where no other shard keeps them busy.
        self.threads: Threads | None = None
        self.deferred: list[Note] | None = None  # of x and dz, or none wait
        self.scattered: list[Note] = []  # of rows and values, to be added after those

    def memory(self, scope: Scope, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """The same array each time; where shape counts the rows, a part of the whole batch's."""
        dtype = np.dtype(dtype or self.dtype)
        if shape and shape[0] == self.b - self.a:
            array = self.arena.full(scope.name + name, shape[1:], dtype)[self.a : self.b]
        else:
            array = np.empty(shape, dtype)
        scope.keep(name, array)
        return array

    @property
    def waits(self) -> bool:
        """With other shards: products are those of the whole batch."""
        return self.deferred is not None

    def noting(self, gradient: Gradient, products: list[Note]) -> Call:
        """Where they wait, all at once."""
        if self.deferred is None:
            return super().noting(gradient, products)
        names = {name for name, *_ in products}
        notes = [(gradient.name + name, x, dz) for name, x, dz in products]

        def note() -> None:
            gradient.touched.update(names)
            if self.deferred is not None:
                self.deferred.extend(notes)

        return note

    def product(self, gradient: Gradient, name: str, x: Array, dz: Array) -> None:
        """Now, or noted for when all shards are done."""
        if self.deferred is None:
            gradient.multiply(name, x, dz)
        else:
            gradient.touched.add(name)
            self.deferred.append((gradient.name + name, x, dz))

    def scatter(self, gradient: Gradient, name: str, rows: Array, values: Array) -> None:
        """Now, or noted for when the products are done."""
        if self.deferred is None:
            super().scatter(gradient, name, rows, values)
        else:
            gradient.touched.add(name)
            self.scattered.append((gradient.name + name, rows, values))

    def matmul(self, a: Array, b: Array, out: Array) -> Array:
        """out = a·b, in tiles that the sizes alone decide."""
        self._tiled(tiles(a, b, out), a, b, out)
        return out

    def multiplication(self, name: str, turned: bool, a: Array, b: Array, out: Array) -> Call:
        """The same as a call, whose tiles are cut, or whose weights are packed, for good."""
        tasks = tiles(a, b, out)
        if len(tasks) > 1:
            return partial(self._tiled, tasks, a, b, out)
        packed = self.packed if turned or not reads_rows() else None
        if packed is not None and by_tiles(a, b, out):
            return packed.multiplication((name, turned), a, b, out)
        return bound(a, b, out)

    def _tiled(self, tasks: list[Task], a: Array, b: Array, out: Array) -> None:
        if len(tasks) > 1 and self.threads is not None and self.threads.n_threads > 1:
            self.threads.map(_run, tasks)
        else:
            multiply(tasks, a, b, out)


# Kind of product: whether this BLAS gives the whole the bits of its tiles.
_as_tiled: dict[Any, bool] = {}


def multiply(tasks: list[Task], a: Array, b: Array, out: Array) -> None:
    """out = a·b with the bits of its tiles, by one thread.

    Whole it is some percent faster. Whether the bits are the same is seen at the first product of
    a kind: another order of summation would show in some of its many numbers.
    """
    kind = a.shape, b.shape, a.strides, b.strides, out.strides, out.dtype
    if len(tasks) == 1 or _as_tiled.get(kind):
        product(a, b, out)
        return
    for task in tasks:
        product(*task)
    if kind not in _as_tiled and np.isfinite(out).all() and out.any():
        whole = np.empty_like(out)
        product(a, b, whole)
        _as_tiled[kind] = whole.tobytes() == out.tobytes()


def tiles(a: Array, b: Array, out: Array) -> list[Task]:
    """(a, b, out) of the parts that a product is cut into."""
    n, k = out.shape
    by_rows = 2 * n >= k
    count = min(n * k * a.shape[1] // LEAST_WORK, (n if by_rows else k) // TILE_WIDTH)
    if count < 2:
        return [(a, b, out)]
    cuts = pairwise(np.linspace(0, n if by_rows else k, count + 1).astype(int).tolist())
    if by_rows:
        return [(a[i:j], b, out[i:j]) for i, j in cuts]
    return [(a, b[:, i:j], out[:, i:j]) for i, j in cuts]


def _run(task: Task) -> None:
    product(*task)


class Lazy(dict[str, Array]):
    """Arrays of given shapes, made when they are asked for: most shards need few. All vectors are
    made at once, one behind the other, as they lie in θ."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], dtype: Any) -> None:
        super().__init__()
        self._shapes, self._dtype = shapes, dtype

    def __missing__(self, name: str) -> Array:
        if len(self._shapes[name]) != 1:
            array = self[name] = np.empty(self._shapes[name], self._dtype)
            return array
        sizes = {other: shape[0] for other, shape in self._shapes.items() if len(shape) == 1}
        parts = np.split(
            aligned(sum(sizes.values()), self._dtype), np.cumsum([*sizes.values()])[:-1]
        )
        self.update(zip(sizes, parts, strict=True))
        return self[name]


class Plan:
    """How the gradient of `rows` rows is computed: cut by the sizes alone, never by the threads.

    Shards of rows go forward and backward, each in one thread; where there is but one shard, its
    large products are cut into tiles instead. The products xᵀ·dz behind the weight gradients of
    several shards wait until all are done: they are products over the whole batch, so nothing is
    summed over shards but the small parts, in the shards' order.
    """

    def __init__(self, network: Any, rows: int, arena: Arena, dtype: Any) -> None:
        self.network, self.rows = network, rows
        count = network.shards(rows)
        self._at_once = getattr(network.layers, "recompute", False)  # arrays are soon overwritten
        cuts = np.linspace(0, rows, count + 1).astype(int).tolist()
        shared = count > 1 and network.size <= MOST_PACKED
        self.packed = Packed() if shared else None
        self.shards = [Shard(dtype, arena, a, b, self.packed) for a, b in pairwise(cuts)]
        self._lazy = [Lazy(network.shapes(), dtype) for _ in self.shards[1:]]
        self._bound: tuple[Any, Any] = None, None
        self._settled: Any = None
        self._broken = False

    def bind(self, theta: Array, g: Array) -> None:
        """Lay the layers' views over these vectors."""
        if self._bound[0] is theta and self._bound[1] is g:
            return
        views, self._views = self.network.views(theta), self.network.views(g)
        if self.packed is not None:
            self.packed.forget()
        for shard, arrays in zip(self.shards, [self._views, *self._lazy], strict=True):
            if self._bound[0] is None:
                shard.scope = self.network.scope(theta, shard)
                shard.gradient = Gradient(shard.scope, arrays, shard)
                _without_dx(self.network.layers, shard.scope)
            shard.scope.bind(views)
            shard.gradient.bind(arrays)
        self._bound, self._settled = (theta, g), None

    def release(self) -> None:
        """Let go of the arena."""
        for shard in self.shards:
            for scope in shard.scope.walk() if shard.scope else ():
                scope.forget()
            shard.scope = shard.gradient = None

    def begin(self, key: int, training: bool, threads: Threads) -> None:
        """Before the shards run."""
        if self._broken:  # the last pass was interrupted: what it touched is to be zero again
            for shard in self.shards:
                shard.gradient.forget()
        self._broken, alone = True, len(self.shards) == 1
        if self.packed is not None:
            self.packed.begin(threads)
        for shard in self.shards:
            shard.key, shard.training = key, training
            shard.deferred, shard.threads = (
                (None, threads) if alone or self._at_once else ([], None)
            )
            shard.scattered = []

    def finish(self, threads: Threads) -> None:
        """After the shards ran: sums over them and the products that waited."""
        if len(self.shards) > 1:
            self._settle(threads.n_threads > 1)
            for total, others in self._sums:
                for part in others:
                    np.add(total, part, out=total)
            for whole, name, parts in self._rest:
                _add(whole, name, parts)
            threads.map(lambda task: task(), self._tasks)
            self._scatter()
            for shard in self.shards[1:]:
                shard.gradient.forget()
        self.shards[0].gradient.finish()
        self._broken = False

    def _settle(self, cut: bool) -> None:
        """What is to be done after the shards: as in the last step, where the same arrays wait."""
        scattered = [name for name, *_ in self.shards[0].scattered]
        touched = [g.touched for shard in self.shards for g in shard.gradient.walk()]
        waiting = (cut, scattered, touched), [shard.deferred or [] for shard in self.shards]
        if self._settled is not None and _same(waiting, self._settled):
            return
        noted = [*waiting[1][0], *self.shards[0].scattered]  # in the first shard, and so in each
        later = {name for name, *_ in noted}
        self._sums, self._rest = [], []
        for gradients in zip(*(s.gradient.walk() for s in self.shards), strict=True):
            whole, *parts = gradients
            names = [name for name in whole.names if whole.name + name not in later]
            in_all = [name for name in names if all(name in g.touched for g in gradients)]
            self._sums += _sums(gradients, in_all)
            self._rest += [(whole, name, parts) for name in names if name not in in_all]
        tasks = list(self._products(cut))
        self._tasks = tasks if cut else joined(tasks)
        self._settled = (cut, scattered, [set(names) for names in touched]), waiting[1]

    def _scatter(self) -> None:
        """Rows of tables that only some inputs name, one shard after another."""
        begun = {name for name, *_ in self.shards[0].deferred or ()}
        for shard in self.shards:
            for name, rows, values in shard.scattered:
                if name not in begun:
                    self._views[name].fill(0)
                    begun.add(name)
                kernels.add_rows(self._views[name], rows, values)

    def _products(self, cut: bool) -> Iterator[Callable[[], object]]:
        """Tasks, each of which computes some tile of one weight gradient."""
        together: dict[str, list[Pair]] = {}
        for notes in zip(*(shard.deferred or () for shard in self.shards), strict=True):
            pairs = [note[1:] for note in notes]
            together.setdefault(notes[0][0], []).extend(_joined(pairs))
        for name, pairs in together.items():
            if len(pairs) == 1:
                ((x, dz),), out = pairs, self._views[name]
                parts = tiles(x.T, dz, out)
                if cut or len(parts) == 1:
                    yield from (bound(*tile) for tile in parts)
                else:
                    yield partial(multiply, parts, x.T, dz, out)
            else:
                yield partial(_sum, pairs, self._views[name])


def _sum(pairs: list[Pair], out: Array) -> None:
    """Σ xᵀ·dz in the order of the pairs."""
    (x, dz), *others = pairs
    product(x.T, dz, out)
    for x, dz in others:
        out += x.T @ dz


def _joined(pairs: list[Pair]) -> list[Pair]:
    """[(x, dz)] of the whole batch where the shards' arrays lie in one; else as they are."""
    x, dz = (_base(list(arrays)) for arrays in zip(*pairs, strict=True))
    return pairs if x is None or dz is None else [(x, dz)]


def _base(arrays: list[Array]) -> Array | None:
    """The array of the whole batch whose parts, one behind the other, these are, or None."""
    if not all(array.flags.c_contiguous for array in arrays):
        return arrays[0] if len(arrays) == 1 else None
    whole, *others = merged(arrays)
    return None if others else whole.reshape(-1, arrays[0].shape[1])


def _sums(gradients: Iterable[Gradient], names: list[str]) -> list[tuple[Array, list[Array]]]:
    """(whole, parts) that are to be summed over shards, in few long vectors where they can be."""
    vectors = [merged(g.view(name) for name in names) for g in gradients]
    if any([v.size for v in each] != [v.size for v in vectors[0]] for each in vectors):
        vectors = [[g.view(name) for name in names] for g in gradients]
    return [(whole, list(parts)) for whole, *parts in zip(*vectors, strict=True)]


def _add(whole: Gradient, name: str, parts: list[Gradient]) -> None:
    """The sum over shards of what not every one of them touched."""
    for part in parts:
        if name in part.touched:
            view = whole[name]  # zero, where the first shard did not touch it
            view += part.view(name)


def _same(waiting: Any, before: Any) -> bool:
    """Whether the same arrays wait for the same sums."""
    if waiting[0] != before[0]:
        return False
    for notes, old in zip(waiting[1], before[1], strict=True):
        if len(notes) != len(old):
            return False
        if all(map(is_, notes, old)):
            continue
        for (name, x, dz), (its, y, dy) in zip(notes, old, strict=True):
            if x is not y or dz is not dy or name != its:
                return False
    return True


def _without_dx(layer: Layer, scope: Scope) -> None:
    """Nobody wants the gradient of the network's inputs."""
    scope.wants_dx = False
    if isinstance(layer, Sequential):
        _without_dx(layer.layers[0], scope.children[0])
