"""A picture of what the heads of a GPT attend to, which no kernel keeps: it is computed here."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self, TypeAlias

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.diagnose.drawing import SURFACE, entitle, need_matplotlib, owned, panels, plain
from gdcore.errors import require, require_number
from gdcore.layers.passes import Pass
from gdcore.models.gpt import GPT

MOST = 48  # tokens that can be read along an axis; of more, every so many is named
ACROSS = 4  # panels side by side
SHOWN = {" ": "␣", "\n": "↵", "\t": "⇥"}

Heads: TypeAlias = int | Sequence[int] | None


def attention_of(gpt: GPT, ids: ArrayLike, layer: int = 0) -> Array:
    """Attention's weights of one layer of a GPT, (heads, t, t), for tokens ids (t,).

    P = softmax(QKᵀ/√d) over no later place: row i says how place i weighs the places up to i, and
    sums to 1. P·V, heads side by side, is what the layer's attention gives.
    """
    gpt._require_fitted()
    ids = np.asarray(ids, np.int64).reshape(1, -1)
    net = replace(gpt.model_.layers, recompute=False)  # each block's numbers stay where they are
    require_number("layer", layer, low=0, high=net.blocks - 1, whole=True)
    require(
        0 < ids.size <= net.places,
        f"The prompt has {ids.size} tokens, and the model reads 1 to {net.places}. Pass such.",
    )
    net._checked(ids)
    with np.errstate(all="ignore"):
        run = Pass(net, gpt.model_.scope(gpt.theta_.vector), *ids.shape)
        run.forward(ids)
        weights: Array = run.attention(layer)[0]
    return weights


class AttentionDisplay:
    """What each head of one layer of a GPT attends to, for a prompt: one panel a head.

    Row i of a panel is the distribution of token i over itself and those before it. Attributes:
    `weights` (heads, t, t), `tokens`, `heads`; after `plot`: `ax_` (the first), `axes_`, `images_`,
    `figure_`.

    Example
    -------
    >>> import gdcore as gd
    >>> text = "the cat sat on the mat. " * 40
    >>> gpt = gd.GPT(n_layer=1, n_head=2, n_embd=16, block_size=16, random_state=0)
    >>> gpt = gpt.fit(text, max_steps=20, batch_size=8, learning_rate=0.01)
    >>> display = gd.plots.AttentionDisplay.from_estimator(gpt, "the cat")
    >>> display.weights.shape, float(display.weights.sum(axis=2).round(5).min())
    ((2, 7, 7), 1.0)
    """

    def __init__(
        self,
        weights: ArrayLike,
        tokens: Sequence[str],
        *,
        heads: Heads = None,
        title: str = "Attention",
    ) -> None:
        self.weights, self.tokens, self.title = np.asarray(weights), list(tokens), title
        shown: Any = range(len(self.weights)) if heads is None else np.atleast_1d(heads)
        self.heads = [int(head) for head in shown]
        for head in self.heads:
            require_number("heads", head, low=0, high=len(self.weights) - 1, whole=True)

    @classmethod
    def from_estimator(
        cls,
        gpt: GPT,
        prompt: str | ArrayLike,
        *,
        layer: int = 0,
        heads: Heads = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the attention of a GPT.

        Parameters
        ----------
        gpt : GPT, fitted or loaded
        prompt : str, or array (t,) of tokens
            At most block_size tokens.
        layer : int
            From 0 on.
        heads : int or list of int, optional
            Default: all of the layer.
        ax : Axes, or one for each head, optional
        kwargs : of each imshow
        """
        need_matplotlib()
        if not isinstance(gpt, GPT):
            raise TypeError(
                f"gpt must be a GPT, got {type(gpt).__name__}. Pass a fitted or loaded one."
            )
        gpt._require_fitted()
        ids = gpt._known_tokens(prompt, "prompt")
        weights = attention_of(gpt, ids, layer)
        title = f"Attention of layer {layer} (of 0 to {gpt.model_.layers.blocks - 1})"
        return cls(weights, _texts(gpt, ids), heads=heads, title=title).plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw into new Axes, a given one, which is divided, or one for each head."""
        need_matplotlib()
        from matplotlib.colors import PowerNorm

        count = len(self.heads)
        across = min(count, 2 if count == 4 else ACROSS)
        rows = -(-count // across)
        own, height = owned(ax), 1.0 + rows * (min(6.4 / across, 5.0) + 0.2)
        axes = panels(ax, count, height, columns=across, sharex=True, sharey=True)
        self.ax_, self.axes_, self.figure_ = axes[0], axes, axes[0].figure
        later = np.triu(np.ones(self.weights.shape[1:], bool), 1)
        norm = PowerNorm(0.5, 0.0, 1.0)  # most weights are small: their differences show, too
        style = {"cmap": SURFACE, "norm": norm} | kwargs
        self.images_: list[Any] = []
        for number, (head, each) in enumerate(zip(self.heads, axes, strict=True)):
            weights = np.ma.masked_array(self.weights[head], later)
            self.images_.append(each.imshow(weights, **style))
            entitle(each, f"head {head}")
            self._name(each, number, count, across)
        bar = self.figure_.colorbar(self.images_[0], ax=axes, shrink=0.8)
        bar.set_label("weight, rows sum to 1")
        if own:
            self.figure_.suptitle(self.title, fontsize="medium")
        else:
            entitle(axes[0], f"{self.title}, head {self.heads[0]}")
        return self

    def _name(self, ax: Any, number: int, count: int, across: int) -> None:
        """Tokens along the outer axes."""
        step = -(-len(self.tokens) * across // (2 * MOST))
        places = np.arange(0, len(self.tokens), step)
        texts = plain([self.tokens[place] for place in places])
        size = 9 if len(texts) * across <= MOST else 7
        wide = max(map(len, texts)) > 2
        if wide:
            ax.set_xticks(places, texts, rotation=90, fontsize=size)
        else:  # letters stand on a line, below the ticks by their height
            ax.set_xticks(places, texts, fontsize=size, verticalalignment="baseline")
            ax.tick_params(axis="x", pad=size + 2)
        ax.set_yticks(places, texts, fontsize=size)
        ax.tick_params(length=2)
        below = number + across >= count
        ax.tick_params(labelbottom=below, labelleft=number % across == 0)
        if below:
            ax.set_xlabel("token attended to")
        if number % across == 0:
            ax.set_ylabel("attending token")


def _texts(gpt: GPT, ids: Array) -> list[str]:
    """Each token as a text that shows, or its number where there is no tokenizer."""
    if not hasattr(gpt, "tokenizer_"):
        return [str(token) for token in ids]
    texts = [gpt.tokenizer_.decode([int(token)]) for token in ids]
    return ["".join(SHOWN.get(letter, letter) for letter in text) for text in texts]
