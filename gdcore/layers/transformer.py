"""The decoder-only transformer: attention and small networks in turns, on a residual stream."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from gdcore._typing import Array, computed
from gdcore.errors import require, require_choice, require_number
from gdcore.layers.base import Answer, Layer, Part, Scope
from gdcore.layers.initializers import Shape, normal
from gdcore.layers.passes import Pass

ACTIVATIONS = ("gelu_tanh", "gelu")


@dataclass(frozen=True)
class Transformer(Layer):
    """GPT-2's network (Radford et al., 2019): from ids to a logit for each possible next id.

    x₀ = wte[ids] + wpe; then for each block x ← x + Attention(LN₁ x), x ← x + MLP(LN₂ x); logits =
    LN_f(x)·wteᵀ. Attention is causal and has several heads (Vaswani et al., 2017); the MLP is
    gelu(xW + b)W' + b', four times as wide. Parameters have the names and shapes that GPT-2 has in
    Hugging Face's files, matrices (inputs, outputs), all matrices before all vectors.
    Shapes: ids (n, t) with t ≤ places, logits (n, t, vocabulary).

    Parameters
    ----------
    vocabulary, features, heads, blocks, places : int
        places is the longest sequence; heads must divide features.
    positions : "learned" (wpe), or "rotary"
        Queries and keys turned by their place (Su et al., 2021).
    tied : bool
        Whether logits use wte, or a matrix of their own, lm_head.
    bias : bool
        Whether products and norms have one.
    dropout : float in [0, 1)
        After the embedding, of attention's weights, and before each addition to the residual.
    activation : "gelu_tanh", as GPT-2, or "gelu", with erf
    hidden : int, optional
        Width of the MLP, 4·features where not given.
    eps : float
        Of the norms.
    recompute : bool
        Keep only what enters each block, compute the rest again on the way back: a third more
        arithmetic, a fraction of the memory (Chen et al., 2016).

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> net = gd.layers.Transformer(vocabulary=10, features=8, heads=2, blocks=1, places=4)
    >>> net(net.scope((4,), rng=0), np.array([[1, 2, 3, 4]]))[0].shape
    (1, 4, 10)
    """

    vocabulary: int
    features: int
    heads: int
    blocks: int
    places: int
    positions: str = "learned"
    tied: bool = True
    bias: bool = True
    dropout: float = 0.0
    activation: str = "gelu_tanh"
    hidden: int | None = None
    eps: float = 1e-5
    recompute: bool = False

    def __post_init__(self) -> None:
        for name in ("vocabulary", "features", "heads", "blocks", "places"):
            require_number(name, getattr(self, name), low=1, whole=True)
        require(
            self.features % self.heads == 0,
            f"features must be a multiple of heads, got {self.features} and {self.heads}. "
            "Pass heads that divide it.",
        )
        require_choice("positions", self.positions, ["learned", "rotary"])
        require(
            self.positions == "learned" or self.features // self.heads % 2 == 0,
            f"Rotary positions turn pairs, and a head has {self.features // self.heads} features. "
            "Pass heads that leave each an even number.",
        )
        require_number("dropout", self.dropout, low=0)
        require(self.dropout < 1, f"dropout must be below 1, got {self.dropout}. Try 0.1.")
        require_choice("activation", self.activation, list(ACTIVATIONS))
        if self.hidden is not None:
            require_number("hidden", self.hidden, low=1, whole=True)
        require_number("eps", self.eps, low=0, above=True)

    @computed
    def random(self) -> bool:
        """True with dropout."""
        return self.dropout > 0

    @property
    def width(self) -> int:
        """Of the MLP."""
        return 4 * self.features if self.hidden is None else self.hidden

    def parts(self, shape: Shape) -> dict[str, Part]:
        """Matrices, then vectors, under GPT-2's names."""
        c, start = self.features, normal
        matrices = {"wte.weight": Part((self.vocabulary, c), start)}
        if self.positions == "learned":
            matrices["wpe.weight"] = Part((self.places, c), start)
        vectors, smaller = {}, partial(normal, deviation=0.02 / math.sqrt(2 * self.blocks))
        for i in range(self.blocks):
            at, mlp = f"h.{i}.attn.", f"h.{i}.mlp."
            sizes = {
                at + "c_attn": (c, 3 * c), at + "c_proj": (c, c),
                mlp + "c_fc": (c, self.width), mlp + "c_proj": (self.width, c),
            }  # fmt: skip
            for name, size in sizes.items():
                into_residual = name.endswith("c_proj")
                matrices[f"{name}.weight"] = Part(size, smaller if into_residual else start)
                if self.bias:
                    vectors[f"{name}.bias"] = Part(size[1:], "zeros")
            for name in (f"h.{i}.ln_1", f"h.{i}.ln_2"):
                vectors |= self._norm(name)
        if not self.tied:
            matrices["lm_head.weight"] = Part((self.vocabulary, c), start)
        return matrices | vectors | self._norm("ln_f")

    def _norm(self, name: str) -> dict[str, Part]:
        parts = {f"{name}.weight": Part((self.features,), "ones")}
        return parts | ({f"{name}.bias": Part((self.features,), "zeros")} if self.bias else {})

    def output(self, shape: Shape) -> Shape:
        """(t, vocabulary)."""
        return (*shape, self.vocabulary)

    @property
    def head(self) -> str:
        """The name of the matrix (vocabulary, features) that gives the logits."""
        return "wte.weight" if self.tied else "lm_head.weight"

    def __call__(self, theta: Scope, x: Array) -> Answer:
        """(logits, backward); the gradient of whole numbers is None."""
        ids = self._checked(x)
        key = (*ids.shape, theta.training)
        run = theta.recall(key, lambda: Pass(self, theta, *ids.shape))
        return run.forward(ids), run.backward

    def _checked(self, x: Array) -> Array:
        ids = np.ascontiguousarray(x, np.int64)
        require(
            x.shape[1] <= self.places,
            f"A sequence of {x.shape[1]} ids is longer than the {self.places} places. Cut it.",
        )
        # a number below zero is a large one without its sign
        inside = ids.size == 0 or ids.view(np.uint64).max() < self.vocabulary
        require(
            inside,
            f"Ids must be from 0 to {self.vocabulary - 1}. Pass those of the model's tokenizer.",
        )
        return ids
