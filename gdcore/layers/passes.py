"""One pass of rows through a transformer, forward and back, in the memory that θ's scope gives.

Which kernel works on which arrays is settled once, when the pass is written down as lists of calls;
a step then only runs down the lists. On the way back every array is overwritten by the gradient of
what it held as soon as it is not needed any more, so that products xᵀ·dz may wait until all rows
are through.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from gdcore import kernels
from gdcore._numpy.attention import attention_weights, turned
from gdcore._typing import Array, DTypeLike
from gdcore.layers.base import Gradient, Scope
from gdcore.layers.calls import Call, Prepared, joined, prepared
from gdcore.parameters import merged

if TYPE_CHECKING:
    from gdcore.layers.transformer import Transformer

Vectors: TypeAlias = Scope | Gradient
SITES = 0xD1B54A32D192ED03  # keys of dropout at successive places lie this far apart, not as steps'
MASK = 0xFFFFFFFFFFFFFFFF


class Pass:
    """n sequences of t ids on their way through a `Transformer`.

    x of block i is the residual stream that enters it, x2 the one between its halves; h and h2 are
    what its norms make of them. Block number `blocks` is what comes after the last: the final norm.
    Arrays of a block are its own; where they are computed again on the way back, all blocks share
    them but for x.
    """

    def __init__(self, net: "Transformer", theta: Scope, n: int, t: int) -> None:
        self.net, self.theta, self.n, self.t = net, theta, n, t
        self.rate = net.dropout if theta.training else 0.0
        self.rooms: dict[str, Array] = {}
        self.calls: list[Call] = []
        self.noted: list[tuple[str, Array, Array]] | None = None  # products that wait
        self.drawing: list[tuple[Prepared, int]] = []  # calls that draw, and at which site
        self.back: Any = None
        dtype = theta["wte.weight"].dtype
        self.none, self.nothing = np.empty(0, dtype), np.empty((0, 0), dtype)
        self.zeros = np.zeros(net.features, dtype)  # the shift of norms that have none
        self.unwanted = np.zeros(net.features, dtype)  # and where its gradient goes
        rotary = net.positions == "rotary"
        self.turns = rotary_turns(t, net.features // net.heads, dtype) if rotary else self.nothing
        self.ids = np.empty(n * t, np.int64)
        self._write_forward()
        self.calls = joined(self.calls)
        self.logits = self._room("logits", net.vocabulary).reshape(n, t, -1)

    def forward(self, ids: Array) -> Array:
        """Logits (n, t, vocabulary)."""
        self.ids[...] = ids.reshape(-1)
        self._run(self.calls, self.drawing)
        return self.logits

    def backward(self, dz: Array, g: Gradient) -> None:
        """Add the gradient of the parameters to g, dz that of the logits."""
        if self.back is None or self.back[0] is not g:
            self.back = g, *self._written_backward(g)
        if dz is not self.logits:
            self.logits[...] = dz
        _, names, vectors, calls, drawing = self.back
        g.begin(names, vectors)
        self._run(calls, drawing)

    def _run(self, calls: list[Call], drawing: list[tuple[Prepared, int]]) -> None:
        for call, site in drawing:
            call.draw(_key(self.theta, site))
        for each in calls:
            each()

    def keys_and_values(self, i: int) -> tuple[Array, Array]:
        """Keys, turned where positions are rotary, and values of block i, (n·t, features) each."""
        c, d = self.net.features, self.net.features // self.net.heads
        qkv = self._own(i, "qkv", 3 * c)
        bias = self._bias(self.theta, i, "attn.c_attn")
        keys, values = (
            (qkv + bias if len(bias) else qkv)[:, c:].reshape(-1, 2, c).transpose(1, 0, 2)
        )
        if len(self.turns):
            keys = turned(keys.reshape(self.n, self.t, -1, d), self.turns[:, None])
        return keys.reshape(-1, c), values

    def attention(self, i: int) -> Array:
        """Attention's weights in block i, (n, heads, t, t), which no kernel keeps."""
        qkv = self._by_sequence(self._own(i, "qkv", 3 * self.net.features))
        bias = self._bias(self.theta, i, "attn.c_attn")
        return attention_weights(qkv, bias, self.turns, self.net.heads)

    def _then(self, function: Callable[..., Any], *arguments: Any) -> None:
        """The next call of the list that is being written."""
        self.calls.append(prepared(function, *arguments))

    def _write_forward(self) -> None:
        net, theta, x = self.net, self.theta, self._x(0)
        learned = net.positions == "learned"
        places = theta["wpe.weight"][: self.t] if learned else self.nothing
        self._then(kernels.embed, theta["wte.weight"], self.ids, places, x)
        self._drop(0, x, x)
        self._norm(0)
        for i in range(net.blocks):
            self._attend(i)
            self._perceive(i)
            x = self._x(i + 1)
            self._multiply(self._own(i, "f", net.width), f"h.{i}.mlp.c_proj.weight", x)
            self._join(i, "mlp.c_proj", self._own(i, "x2"), x, self._next_norm(i + 1))
        logits = self._room("logits", net.vocabulary)
        self._multiply(self._own(net.blocks, "h"), net.head, logits, turned=True)

    def _written_backward(self, g: Gradient) -> tuple[set[str], list[Array], list[Call], list[Any]]:
        """(names of the vectors, whose gradients are added up from zero; their memory; calls; those
        that draw)."""
        forward, self.calls, self.drawing = (self.calls, self.drawing), [], []
        self.noted = [] if g.waits else None
        try:
            self._write_backward(g)
            back, drawing = joined(self.calls), self.drawing
            if self.noted is not None:  # before all else, lest it breaks the row
                back.insert(0, g.noting(self.noted))
        finally:
            self.calls, self.drawing = forward
        views = {name: g.view(name) for name in g.names if g.view(name).ndim == 1}
        return set(views), merged(views.values()), back, drawing

    def _write_backward(self, g: Gradient) -> None:
        net = self.net
        h, dz = self._own(net.blocks, "h"), self._room("logits", net.vocabulary)
        self._weigh(g, net.head, dz, h)
        self._multiply(dz, net.head, self._room("dh"))
        norm = self._next_norm(net.blocks)
        self._norm_back(g, norm, self.nothing, (net.blocks - 1, "mlp.c_proj"))
        for i in reversed(range(net.blocks)):
            if net.recompute:
                self._norm(i)
                self._attend(i)
                self._perceive(i)
            self._perceive_back(g, i)
            self._attend_back(g, i)
        dx = self._x(0)
        self._drop(0, dx, dx)
        self._then(g.scatter, "wte.weight", self.ids, dx)
        if net.positions == "learned":
            self._then(_place_back, g, np.tile(np.arange(self.t), self.n), dx)

    def _attend(self, i: int) -> None:
        """First half of block i: x2 and h2 from x and h."""
        at, a, x2 = f"h.{i}.attn.", self._own(i, "a"), self._own(i, "x2")
        qkv = self._own(i, "qkv", 3 * self.net.features)
        self._multiply(self._own(i, "h"), at + "c_attn.weight", qkv)
        self._attention(kernels.causal_attention, i, self._by_sequence(a), self._logs(i))
        self._multiply(a, at + "c_proj.weight", x2)
        norm = f"h.{i}.ln_2", x2, self._own(i, "s2", 2), self._own(i, "h2")
        self._join(i, "attn.c_proj", self._x(i), x2, norm)

    def _perceive(self, i: int) -> None:
        """Second half of block i but for its last product: f from h2."""
        f, slope = self._own(i, "f", self.net.width), self._own(i, "slope", self.net.width)
        self._multiply(self._own(i, "h2"), f"h.{i}.mlp.c_fc.weight", f)
        bias = self._bias(self.theta, i, "mlp.c_fc")
        self._then(kernels.activate, self.net.activation, f, bias, slope)

    def _perceive_back(self, g: Gradient, i: int) -> None:
        """From the gradient of x of block i + 1 to that of x2, both in place."""
        net, mlp, df = self.net, f"h.{i}.mlp.", self._room("df", self.net.width)
        f, slope = self._own(i, "f", net.width), self._own(i, "slope", net.width)
        dz = self._join_back(g, i, "mlp.c_proj", self._x(i + 1))
        self._weigh(g, mlp + "c_proj.weight", f, dz)
        self._multiply(dz, mlp + "c_proj.weight", df, turned=True)
        # The product of gradient and slope is to lie where the slope does: df is every block's.
        bias = self._bias(g, i, "mlp.c_fc")
        self._then(kernels.activate_backward, net.activation, f, df, slope, bias)
        self._weigh(g, mlp + "c_fc.weight", self._own(i, "h2"), slope)
        self._multiply(slope, mlp + "c_fc.weight", self._room("dh"), turned=True)
        norm = f"h.{i}.ln_2", self._own(i, "x2"), self._own(i, "s2", 2)
        self._norm_back(g, norm, self._x(i + 1), (i, "attn.c_proj"))

    def _attend_back(self, g: Gradient, i: int) -> None:
        """From the gradient of x2 to that of x, both in place."""
        at, a, qkv = f"h.{i}.attn.", self._own(i, "a"), self._own(i, "qkv", 3 * self.net.features)
        da = dh = self._room("dh")
        dz = self._join_back(g, i, "attn.c_proj", self._own(i, "x2"))
        self._weigh(g, at + "c_proj.weight", a, dz)
        self._multiply(dz, at + "c_proj.weight", da, turned=True)
        self._attention(
            kernels.causal_attention_backward, i, self._by_sequence(a), self._logs(i),
            self._by_sequence(da), self._by_sequence(qkv), self._bias(g, i, "attn.c_attn"),
        )  # fmt: skip
        self._weigh(g, at + "c_attn.weight", self._own(i, "h"), qkv)
        self._multiply(qkv, at + "c_attn.weight", dh, turned=True)
        self._norm_back(g, self._next_norm(i), self._own(i, "x2"), (i - 1, "mlp.c_proj"))

    def _attention(self, kernel: Callable[..., None], i: int, *arrays: Array) -> None:
        """Attention on either way; its key is that of the step."""
        qkv = self._by_sequence(self._own(i, "qkv", 3 * self.net.features))
        given = qkv, self._bias(self.theta, i, "attn.c_attn"), self.turns, self.net.heads, self.rate
        if self.rate:
            self._draw(kernel, given, 3 * i + 1, 1, arrays)
        else:
            self._then(kernel, *given, 0, 0, *arrays)

    def _draw(
        self, kernel: Callable[..., None], given: tuple[Any, ...], site: int, words: int,
        arrays: tuple[Array, ...],
    ) -> None:  # fmt: skip
        """A call that draws so many words a sequence, by the key that a step has for this site."""
        first = self.theta.first * words
        call = prepared(kernel, *given, 0, first, *arrays)
        if isinstance(call, Prepared):
            self.drawing.append((call, site))
            self.calls.append(call)
        else:
            self._then(_drawn, kernel, given, self.theta, site, (first, *arrays))

    def _weigh(self, g: Gradient, name: str, x: Array, dz: Array) -> None:
        """The gradient xᵀ·dz of a matrix."""
        if self.noted is None:
            self._then(g.product, name, x, dz)
        else:
            self.noted.append((name, x, dz))

    def _multiply(self, a: Array, weight: str, out: Array, turned: bool = False) -> None:
        """out = a·W, or a·Wᵀ."""
        self.calls.append(self.theta.multiplication(a, weight, turned, out))

    def _norm(self, i: int) -> None:
        """h of block i from x."""
        name, x, s, h = self._next_norm(i)
        gain, shift = self.theta[f"{name}.weight"], self._shift(self.theta, name, self.zeros)
        self._then(kernels.layer_norm, x, gain, shift, self.net.eps, h, s)

    def _next_norm(self, i: int) -> tuple[str, Array, Array, Array]:
        """(name, input, statistics, output) of the norm that makes h of x."""
        name = "ln_f" if i == self.net.blocks else f"h.{i}.ln_1"
        return name, self._x(i), self._room(f"{i}.s", 2), self._own(i, "h")

    def _join(
        self, i: int, product: str, x: Array, d: Array, norm: tuple[str, Array, Array, Array]
    ) -> None:
        """d, what a product gave, + bias, dropped out, + x is the next residual; and its norm."""
        bias = self._bias(self.theta, i, product)
        if self.rate:
            self._then(kernels.activate, "linear", d, bias, self.nothing)
            self._drop(self._site(i, product), d, d)
            bias = self.none
        name, _, s, h = norm
        gain, shift = self.theta[f"{name}.weight"], self._shift(self.theta, name, self.zeros)
        self._then(kernels.residual_norm, d, x, bias, gain, shift, self.net.eps, h, s)

    def _norm_back(
        self, g: Gradient, norm: tuple[Any, ...], residual: Array, before: tuple[int, str]
    ) -> None:
        """The gradient of a residual stream, in place of it: from its norm, and from what it met.

        Its sum over the rows is the gradient of the bias of the product before.
        """
        name, x, s = norm[:3]
        bias = self.none if self.rate or before[0] < 0 else self._bias(g, *before)
        gain, dgain = self.theta[f"{name}.weight"], g.view(f"{name}.weight")
        dshift = self._shift(g, name, self.unwanted)
        self._then(
            kernels.residual_norm_backward,
            x, gain, s, self._room("dh"), residual, x, dgain, dshift, bias,
        )  # fmt: skip

    def _join_back(self, g: Gradient, i: int, product: str, d: Array) -> Array:
        """The gradient of what a product gave."""
        if not self.rate:
            return d
        dz = self._own(i, "d" + product)
        self._drop(self._site(i, product), d, dz)
        bias = self._bias(g, i, product)
        self._then(kernels.activate_backward, "linear", dz, self.nothing, dz, bias)
        return dz

    def _drop(self, site: int, x: Array, out: Array) -> None:
        if not self.rate:
            return
        row, out = self.t * self.net.features, out.reshape(-1)
        self._draw(kernels.dropout, (x.reshape(-1), self.rate), site, row, (out,))

    def _site(self, i: int, product: str) -> int:
        return 3 * i + (2 if product == "attn.c_proj" else 3)

    def _room(self, name: str, width: int | None = None) -> Array:
        """Memory (n·t, width) by name, the same throughout this pass."""
        room = self.rooms.get(name)
        if room is None:
            width = width or self.net.features
            room = self.theta.buffer(name, (self.n, self.t, width)).reshape(-1, width)
            self.rooms[name] = room
        return room

    def _own(self, i: int, name: str, width: int | None = None) -> Array:
        return self._room(name if self.net.recompute else f"{i}.{name}", width)

    def _x(self, i: int) -> Array:
        return self._room(f"{i}.x")

    def _logs(self, i: int) -> Array:
        name, t = "log" if self.net.recompute else f"{i}.log", self.t
        return self._room(name, self.net.heads).reshape(self.n, self.net.heads, t)

    def _by_sequence(self, rows: Array) -> Array:
        return rows.reshape(self.n, self.t, -1)

    def _bias(self, vectors: Vectors, i: int, product: str) -> Array:
        """A product's bias in θ, or its gradient."""
        return _vector(vectors, f"h.{i}.{product}.bias") if self.net.bias else self.none

    def _shift(self, vectors: Vectors, norm: str, otherwise: Array) -> Array:
        return _vector(vectors, f"{norm}.bias") if self.net.bias else otherwise


# What a pass calls that is no kernel: functions, lest it refers to itself, and its memory waits
# for the collector.


def _drawn(
    kernel: Callable[..., None],
    given: tuple[Any, ...],
    theta: Scope,
    site: int,
    rest: tuple[Any, ...],
) -> None:
    kernel(*given, _key(theta, site), *rest)


def _key(theta: Scope, site: int) -> int:
    return (theta.key + site * SITES) & MASK


def _place_back(g: Gradient, places: Array, dx: Array) -> None:
    kernels.add_rows(g["wpe.weight"], places, dx)


def _vector(vectors: Vectors, name: str) -> Array:
    """From a `Scope`, or from a `Gradient` without touching it: that is done at each step."""
    return vectors.view(name) if hasattr(vectors, "view") else vectors[name]


@lru_cache(maxsize=8)
def rotary_turns(t: int, width: int, dtype: DTypeLike) -> Array:
    """cos and sin of place·10000^(−2j/width) for each place and pair j (Su et al., 2021)."""
    angles = np.arange(t)[:, None] * 10_000.0 ** (-2 * np.arange(width // 2) / width)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(dtype)
