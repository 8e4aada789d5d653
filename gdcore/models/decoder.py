"""Logits of the next token of texts that grow: keys and values of earlier tokens are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.layers.calls import Call
from gdcore.layers.passes import Pass, rotary_turns
from gdcore.layers.products import packs, panel_numbers
from gdcore.parameters import aligned

MOST_PACKED = 1 << 24  # parameters that are packed for products: they take their memory once more


class Decoder:
    """Logits of the next token for each of some texts, from what is kept of the tokens before.

    Where a text outgrows the model's places, only its latest half of them is read again, so that a
    window always holds between half of the places and all. `cache=False` reads the same window
    anew for every token: the same logits but for rounding. What a text gives does not depend on
    the others, where products are of the compiled kernel to the bit.
    """

    def __init__(self, model: Any, theta: Array, texts: int = 1, *, cache: bool = True) -> None:
        # Every block's keys and values are asked for after the pass: none may share its memory.
        self.net, self.cache = replace(model.layers, recompute=False), cache
        self.scope, self.dtype = model.scope(theta), theta.dtype
        self.windows: list[list[int]] = [[] for _ in range(texts)]
        net, none = self.net, np.empty((0, 0), theta.dtype)
        shape = (net.blocks, 2, texts, net.places, net.features)
        self.kept = np.empty(shape if cache else (0,), theta.dtype)
        rotary = net.positions == "rotary"
        self.turns = (
            rotary_turns(net.places, net.features // net.heads, theta.dtype) if rotary else none
        )
        self._panels: dict[tuple[str, bool], Array] | None = None
        self._panels = {} if packs() and model.size <= MOST_PACKED else None
        self._steps: dict[int, Step] = {}

    def read(self, ids: Sequence[int], text: int = 0) -> Array:
        """Logits (vocabulary,) of a text after these tokens, which follow those read before."""
        return self.read_together({text: ids})[text]

    def read_together(self, fresh: Mapping[int, Sequence[int]]) -> dict[int, Array]:
        """The same for several texts, {number: tokens} → {number: logits}."""
        logits: dict[int, Array] = {}
        steps: list[int] = []
        for text, ids in fresh.items():
            window, places = self.windows[text], self.net.places
            step = self.cache and len(ids) == 1 and 0 < len(window) < places
            window.extend(ids)
            if step:
                steps.append(text)
                continue
            del window[: len(window) - length(len(window), places)]
            logits[text] = self._read_whole(text)
        if steps:
            step = self._steps.get(len(steps))
            if step is None:
                step = self._steps[len(steps)] = Step(self, len(steps))
            logits.update(zip(steps, step.take(steps), strict=True))
        return logits

    def _read_whole(self, text: int) -> Array:
        ids = np.array([self.windows[text]])
        with np.errstate(all="ignore"):
            run = Pass(self.net, self.scope, *ids.shape)
            logits: Array = run.forward(ids)[0, -1]
            if self.cache:
                for i in range(self.net.blocks):
                    for kept, values in zip(self.kept[i], run.keys_and_values(i), strict=True):
                        kept[text, : len(values)] = values
        return logits

    def multiplication(self, a: Array, name: str, turned: bool, out: Array) -> Call:
        """A call that computes out = a·W, or a·Wᵀ, for few rows."""
        W = self.scope[name].T if turned else self.scope[name]
        if self._panels is None:
            return partial(np.matmul, a, W, out)
        panels = self._panels.get((name, turned))
        if panels is None:
            panels = self._panels[name, turned] = aligned(panel_numbers(W), W.dtype)
            kernels.pack_panels(W, panels)
        return partial(kernels.panel_product, a, panels, False, out)


class Step:
    """One more token of each of r texts, written down once as calls over fixed arrays."""

    def __init__(self, decoder: Decoder, r: int) -> None:
        self.decoder, net, theta = decoder, decoder.net, decoder.scope
        c, dtype = net.features, decoder.dtype
        self.ids, self.texts, self.places = np.zeros((3, r), np.int64)
        self.none, self.zeros = np.empty(0, dtype), np.zeros(c, dtype)
        x, other, h, a = np.empty((4, r, c), dtype)
        qkv, statistics = np.empty((r, 3 * c), dtype), np.empty((r, 2), dtype)
        f, slope = np.empty((2, r, net.width), dtype)
        self.h, self.statistics = h, statistics
        self.logits = np.empty((r, net.vocabulary), dtype)
        calls: list[Call]
        self.calls = calls = [partial(np.take, theta["wte.weight"], self.ids, 0, x, "clip")]
        if net.positions == "learned":
            calls += [
                partial(np.take, theta["wpe.weight"], self.places, 0, other, "clip"),
                partial(np.add, x, other, x),
            ]
        gain, shift = self._norm("h.0.ln_1")
        calls.append(partial(kernels.layer_norm, x, gain, shift, net.eps, h, statistics))
        for i in range(net.blocks):
            at, mlp, (keys, values) = f"h.{i}.attn.", f"h.{i}.mlp.", decoder.kept[i]
            bias = self._bias(at + "c_attn")
            calls += [
                decoder.multiplication(h, at + "c_attn.weight", False, qkv),
                partial(
                    kernels.cached_attention, qkv, bias, decoder.turns, net.heads, self.texts,
                    self.places, keys, values, a,
                ),
                decoder.multiplication(a, at + "c_proj.weight", False, other),
                self._join(other, x, at + "c_proj", f"h.{i}.ln_2"),
                decoder.multiplication(h, mlp + "c_fc.weight", False, f),
                partial(kernels.activate, net.activation, f, self._bias(mlp + "c_fc"), slope),
                decoder.multiplication(f, mlp + "c_proj.weight", False, x),
                self._join(
                    x, other, mlp + "c_proj",
                    "ln_f" if i + 1 == net.blocks else f"h.{i + 1}.ln_1",
                ),
            ]  # fmt: skip
        calls.append(decoder.multiplication(h, net.head, True, self.logits))

    def take(self, texts: list[int]) -> Array:
        """Logits (r, vocabulary) after the latest token of these texts' windows."""
        for row, text in enumerate(texts):
            window = self.decoder.windows[text]
            self.ids[row], self.texts[row], self.places[row] = window[-1], text, len(window) - 1
        with np.errstate(all="ignore"):
            for call in self.calls:
                call()
        return self.logits.copy()

    def _join(self, d: Array, x: Array, product: str, norm: str) -> Call:
        """d, what a product gave, + bias + x is the next residual; and its norm in h."""
        bias, (gain, shift), eps = self._bias(product), self._norm(norm), self.decoder.net.eps
        return partial(kernels.residual_norm, d, x, bias, gain, shift, eps, self.h, self.statistics)

    def _norm(self, name: str) -> tuple[Array, Array]:
        """(gain, shift)."""
        theta = self.decoder.scope
        shift = theta[f"{name}.bias"] if self.decoder.net.bias else self.zeros
        return theta[f"{name}.weight"], shift

    def _bias(self, product: str) -> Array:
        return self.decoder.scope[f"{product}.bias"] if self.decoder.net.bias else self.none


def length(n: int, places: int) -> int:
    """Tokens that are read of a text of n: all, or between half of the places and all of them."""
    half = max(1, places // 2)
    return n if n <= places else places - half + 1 + (n - places - 1) % half
