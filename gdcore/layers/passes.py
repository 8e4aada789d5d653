"""One pass of rows through a transformer, forward and back, in the memory that θ's scope gives.

On the way back every array is overwritten by the gradient of what it held as soon as it is not
needed any more, so that products xᵀ·dz may wait until all rows are through.
"""

from functools import lru_cache

import numpy as np

from gdcore import kernels

SITES = 0x9E3779B97F4A7C15  # keys of dropout at successive places of the network lie this far apart
MASK = 0xFFFFFFFFFFFFFFFF


class Pass:
    """n sequences of t ids on their way through a `Transformer`.

    x of block i is the residual stream that enters it, x2 the one between its halves; h and h2 are
    what its norms make of them. Block number `blocks` is what comes after the last: the final norm.
    Arrays of a block are its own; where they are computed again on the way back, all blocks share
    them but for x.
    """

    def __init__(self, net, theta, n, t):
        self.net, self.theta, self.n, self.t = net, theta, n, t
        self.rate = net.dropout if theta.training else 0.0
        self.rooms = {}
        dtype = theta["wte.weight"].dtype
        self.none, self.nothing = np.empty(0, dtype), np.empty((0, 0), dtype)
        rotary = net.positions == "rotary"
        self.turns = rotary_turns(t, net.features // net.heads, dtype) if rotary else self.nothing

    def forward(self, ids):
        """Logits (n·t, vocabulary)."""
        net, theta, x = self.net, self.theta, self._x(0)
        self.ids = ids.reshape(-1)
        np.take(theta["wte.weight"], self.ids, axis=0, out=x, mode="clip")
        if net.positions == "learned":
            by_sequence = x.reshape(self.n, self.t, -1)
            by_sequence += theta["wpe.weight"][: self.t]
        self._drop(0, x, x)
        self._norm(0)
        for i in range(net.blocks):
            self._attend(i)
            self._perceive(i)
            theta.matmul(
                self._own(i, "f", net.width), self._weight(i, "mlp.c_proj"), self._x(i + 1)
            )
            self._join(i, "mlp.c_proj", self._own(i, "x2"), self._x(i + 1), self._next_norm(i + 1))
        logits = self._room("logits", net.vocabulary)
        return theta.matmul(self._own(net.blocks, "h"), theta[net.head].T, logits)

    def backward(self, dz, g):
        """Add the gradient of the parameters to g, dz that of the logits."""
        net, theta, h = self.net, self.theta, self._own(self.net.blocks, "h")
        dz = dz.reshape(len(h), -1)
        g.product(net.head, dz, h)
        dh = theta.matmul(dz, theta[net.head], self._room("dh"))
        self._norm_back(
            g, self._next_norm(net.blocks), dh, self.nothing, (net.blocks - 1, "mlp.c_proj")
        )
        for i in reversed(range(net.blocks)):
            if net.recompute:
                self._norm(i)
                self._attend(i)
                self._perceive(i)
            self._perceive_back(g, i)
            self._attend_back(g, i)
        dx = self._x(0)
        self._drop(0, dx, dx)
        g.scatter("wte.weight", self.ids, dx)
        if net.positions == "learned":
            g["wpe.weight"][: self.t] += dx.reshape(self.n, self.t, -1).sum(axis=0)

    def keys_and_values(self, i):
        """Keys, turned where positions are rotary, and values of block i, (n·t, features) each."""
        c, d = self.net.features, self.net.features // self.net.heads
        qkv = self._own(i, "qkv", 3 * c)
        bias = self._bias(self.theta, i, "attn.c_attn")
        keys, values = (
            (qkv + bias if len(bias) else qkv)[:, c:].reshape(-1, 2, c).transpose(1, 0, 2)
        )
        if len(self.turns):
            half = d // 2
            pairs = keys.reshape(self.n, self.t, -1, d)
            a, b = pairs[..., :half], pairs[..., half:]
            cosine, sine = (each[:, None] for each in (self.turns[:, :half], self.turns[:, half:]))
            keys = np.concatenate([a * cosine - b * sine, a * sine + b * cosine], axis=-1)
        return keys.reshape(-1, c), values

    def _attend(self, i):
        """First half of block i: x2 and h2 from x and h."""
        theta, c = self.theta, self.net.features
        qkv, a = self._own(i, "qkv", 3 * c), self._own(i, "a")
        theta.matmul(self._own(i, "h"), self._weight(i, "attn.c_attn"), qkv)
        kernels.causal_attention(*self._attention(i), self._by_sequence(a), self._logs(i))
        x2 = theta.matmul(a, self._weight(i, "attn.c_proj"), self._own(i, "x2"))
        self._join(
            i,
            "attn.c_proj",
            self._x(i),
            x2,
            (f"h.{i}.ln_2", x2, self._own(i, "s2", 2), self._own(i, "h2")),
        )

    def _perceive(self, i):
        """Second half of block i but for its last product: f from h2."""
        f, slope = self._own(i, "f", self.net.width), self._own(i, "slope", self.net.width)
        self.theta.matmul(self._own(i, "h2"), self._weight(i, "mlp.c_fc"), f)
        kernels.activate(self.net.activation, f, self._bias(self.theta, i, "mlp.c_fc"), slope)

    def _perceive_back(self, g, i):
        """From the gradient of x of block i + 1 to that of x2, both in place."""
        net, theta = self.net, self.theta
        f, slope = self._own(i, "f", net.width), self._own(i, "slope", net.width)
        dz = self._join_back(g, i, "mlp.c_proj", self._x(i + 1))
        g.product(f"h.{i}.mlp.c_proj.weight", f, dz)
        df = theta.matmul(dz, self._weight(i, "mlp.c_proj").T, self._room("df", net.width))
        # The product of gradient and slope is to lie where the slope does: df is every block's.
        kernels.activate_backward(net.activation, f, df, slope, self._bias(g, i, "mlp.c_fc"))
        g.product(f"h.{i}.mlp.c_fc.weight", self._own(i, "h2"), slope)
        dh = theta.matmul(slope, self._weight(i, "mlp.c_fc").T, self._room("dh"))
        norm = f"h.{i}.ln_2", self._own(i, "x2"), self._own(i, "s2", 2)
        self._norm_back(g, norm, dh, self._x(i + 1), (i, "attn.c_proj"))

    def _attend_back(self, g, i):
        """From the gradient of x2 to that of x, both in place."""
        theta, a, qkv = self.theta, self._own(i, "a"), self._own(i, "qkv", 3 * self.net.features)
        dz = self._join_back(g, i, "attn.c_proj", self._own(i, "x2"))
        g.product(f"h.{i}.attn.c_proj.weight", a, dz)
        da = theta.matmul(dz, self._weight(i, "attn.c_proj").T, self._room("dh"))
        kernels.causal_attention_backward(
            *self._attention(i), self._by_sequence(a), self._logs(i), self._by_sequence(da),
            self._by_sequence(qkv), self._bias(g, i, "attn.c_attn"),
        )  # fmt: skip
        g.product(f"h.{i}.attn.c_attn.weight", self._own(i, "h"), qkv)
        dh = theta.matmul(qkv, self._weight(i, "attn.c_attn").T, self._room("dh"))
        self._norm_back(g, self._next_norm(i), dh, self._own(i, "x2"), (i - 1, "mlp.c_proj"))

    def _attention(self, i):
        """The arguments that attention has on both ways."""
        qkv = self._by_sequence(self._own(i, "qkv", 3 * self.net.features))
        bias = self._bias(self.theta, i, "attn.c_attn")
        return (
            qkv,
            bias,
            self.turns,
            self.net.heads,
            self.rate,
            self._key(3 * i + 1),
            self.theta.first,
        )

    def _norm(self, i):
        """h of block i from x."""
        name, x, s, h = self._next_norm(i)
        kernels.layer_norm(
            x, self.theta[f"{name}.weight"], self._shift(self.theta, name), self.net.eps, h, s
        )

    def _next_norm(self, i):
        """(name, input, statistics, output) of the norm that makes h of x."""
        name = "ln_f" if i == self.net.blocks else f"h.{i}.ln_1"
        return name, self._x(i), self._room(f"{i}.s", 2), self._own(i, "h")

    def _join(self, i, product, x, d, norm):
        """d, what a product gave, + bias, dropped out, + x is the next residual; and its norm."""
        bias = self._bias(self.theta, i, product)
        if self.rate:
            kernels.activate("linear", d, bias, self.nothing)
            self._drop(self._site(i, product), d, d)
            bias = self.none
        name, _, s, h = norm
        gain, shift = self.theta[f"{name}.weight"], self._shift(self.theta, name)
        kernels.residual_norm(d, x, bias, gain, shift, self.net.eps, h, s)

    def _norm_back(self, g, norm, dh, residual, before):
        """The gradient of a residual stream, in place of it: from its norm, and from what it met.

        Its sum over the rows is the gradient of the bias of the product before.
        """
        name, x, s = norm[:3]
        bias = self.none if self.rate or before[0] < 0 else self._bias(g, *before)
        gain, dshift = self.theta[f"{name}.weight"], self._shift(g, name)
        kernels.residual_norm_backward(
            x, gain, s, dh, residual, x, g[f"{name}.weight"], dshift, bias
        )

    def _join_back(self, g, i, product, d):
        """The gradient of what a product gave."""
        if not self.rate:
            return d
        dz = self._own(i, "d" + product)
        self._drop(self._site(i, product), d, dz)
        kernels.activate_backward("linear", dz, self.nothing, dz, self._bias(g, i, product))
        return dz

    def _drop(self, site, x, out):
        if self.rate:
            first = self.theta.first * self.t * self.net.features
            kernels.dropout(x.reshape(-1), self.rate, self._key(site), first, out.reshape(-1))

    def _key(self, site):
        return (self.theta.key + site * SITES) & MASK

    def _site(self, i, product):
        return 3 * i + (2 if product == "attn.c_proj" else 3)

    def _room(self, name, width=None):
        """Memory (n·t, width) by name, the same throughout this pass."""
        room = self.rooms.get(name)
        if room is None:
            width = width or self.net.features
            room = self.theta.buffer(name, (self.n, self.t, width)).reshape(-1, width)
            self.rooms[name] = room
        return room

    def _own(self, i, name, width=None):
        return self._room(name if self.net.recompute else f"{i}.{name}", width)

    def _x(self, i):
        return self._room(f"{i}.x")

    def _logs(self, i):
        name, t = "log" if self.net.recompute else f"{i}.log", self.t
        return self._room(name, self.net.heads).reshape(self.n, self.net.heads, t)

    def _by_sequence(self, rows):
        return rows.reshape(self.n, self.t, -1)

    def _weight(self, i, product):
        return self.theta[f"h.{i}.{product}.weight"]

    def _bias(self, vectors, i, product):
        return vectors[f"h.{i}.{product}.bias"] if self.net.bias else self.none

    def _shift(self, vectors, norm):
        """A norm's bias; without one, zeros to add, or a place for a gradient that nobody wants."""
        return (
            vectors[f"{norm}.bias"]
            if self.net.bias
            else np.zeros(self.net.features, self.none.dtype)
        )


@lru_cache(maxsize=8)
def rotary_turns(t, width, dtype):
    """cos and sin of place·10000^(−2j/width) for each place and pair j (Su et al., 2021)."""
    angles = np.arange(t)[:, None] * 10_000.0 ** (-2 * np.arange(width // 2) / width)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(dtype)
