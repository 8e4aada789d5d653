"""A language model's cost: the mean cross-entropy of the next token, over windows of a text."""

import zlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, State
from gdcore.layers import Transformer
from gdcore.models.arena import Shard
from gdcore.models.batch_cost import Backward, BatchCost
from gdcore.models.flat import Flat
from gdcore.optim.base import Optimizer
from gdcore.ranges import require_logits

SHARD_PLACES = 192  # fewer rows than this make a matrix product slower,
HALF_PLACES = 128  # but two shards of so many are two threads' work
SHARD_WORK = 1 << 22  # multiplications of a product over a shard's rows that pay for a thread
MOST_SHARDS = 64
DRAWN = 64  # steps whose windows are drawn at once
LOOKED_AT = 12  # windows that go through at once, untrained, or a batch
SAMPLE = 32  # windows on which J is measured where nobody asked for more
PART = 1 << 20  # tokens looked at together
TOLD = 1 << 20  # tokens at each end by which data are known again

Observer: TypeAlias = Callable[[int, float, int], None]  # of steps, loss, tokens


class LanguageModel(Flat):
    """A `Transformer` over windows of `places` tokens, its parameters in one vector."""

    def __init__(self, net: Transformer) -> None:
        super().__init__(net, (net.places,))

    def shards(self, rows: int) -> int:
        """Parts into which so many windows are cut."""
        if self.layers.recompute:  # each has a gradient of its own
            return min(rows, 2)
        places, work = rows * self.shape[0], rows * self.shape[0] * self.size
        shards = max(places // SHARD_PLACES, min(2, places // HALF_PLACES))
        return max(1, min(rows, shards, work // SHARD_WORK, MOST_SHARDS))

    def logits(self, theta: Array, ids: Array) -> Array:
        """Logits (n, t, vocabulary) for ids (n, t)."""
        with np.errstate(all="ignore"):
            logits: Array = self.layers(self.scope(theta), ids)[0]
        require_logits(logits)
        return logits


class LanguageCost(BatchCost):
    """J(θ) = mean over tokens of −log p(token | those before it in its window).

    A row is a window, called by the place of its first token. What the loop asks of a cost, and
    `step`, one step on some windows.

    Parameters
    ----------
    model : LanguageModel
    tokens : array or memmap (n,) of whole numbers
    round_steps, max_steps : int
        Steps between two measurements of the loop, and in all.
    batch_size : int
        Windows a step.
    micro_batch : int, optional
        Windows at once; default: as many as memory holds.
    clip_norm : float, optional
    n_threads : int, optional
    seed : int
        Of the windows drawn and of dropout. Step t of a seed sees the same windows whenever it is
        taken, so that a resumed run is the same run.
    """

    unit = 1.0
    noisy = True  # between measurements J is met on other windows
    held: Array | None = None  # tokens that validation watches

    def __init__(
        self, model: LanguageModel, tokens: Array, *, max_steps: int, round_steps: int,
        batch_size: int, micro_batch: int | None = None, clip_norm: float | None = None,
        n_threads: int | None = None, seed: int = 0, observe: Observer | None = None,
    ) -> None:  # fmt: skip
        super().__init__(model, 0.0, n_threads, micro_batch, seed)
        self.tokens, self.places = tokens, model.shape[0]
        self.max_steps, self.round_steps, self.batch_size = max_steps, round_steps, batch_size
        self.clip_norm, self.observe = clip_norm, observe
        self.looked_at = max(batch_size, LOOKED_AT)  # held-out windows take no more than training's
        vectors = model.slices(lambda part: len(part.shape) == 1)
        self.spared = vectors[0].start if len(vectors) == 1 else 0
        self._block: int | None = None
        self._starts: Any = None
        self._window = np.arange(self.places + 1)

    def __len__(self) -> int:
        return len(self.tokens) - self.places

    def draw(self, step: int) -> Array:
        """Windows of the steps from this one to the next measurement."""
        end = min(step + self.round_steps, self.max_steps)
        return np.concatenate([self.windows(t) for t in range(step, end)])

    def windows(self, step: int) -> Array:
        """Windows (batch_size,) of one step, a function of seed and step alone."""
        block, place = divmod(step, DRAWN)
        if block != self._block:
            rng = np.random.Generator(np.random.Philox(key=[self.seed, block]))
            self._starts = rng.integers(0, len(self), (DRAWN, self.batch_size))
            self._block = block
        starts: Array = self._starts[place]
        return starts

    def facts(self) -> dict[str, Any]:
        """{name: number or text} by which the cost is known again."""
        held = None if self.held is None else [len(self.held), *ends_of(self.held)]
        return {
            "max_steps": self.max_steps, "eval_every": self.round_steps,
            "batch_size × gradient_accumulation": self.batch_size, "clip_norm": self.clip_norm,
            "seed": self.seed, "tokens": len(self.tokens), "text": ends_of(self.tokens),
            "validation": held,
        }  # fmt: skip

    def step(
        self, theta: Array, optimizer: Optimizer, state: State, rows: Array, lr: float
    ) -> float:
        """One step of an optimizer on these windows; the mean loss that it met."""
        loss = super().step(theta, optimizer, state, rows, lr)
        if self.observe is not None:
            self.observe(self.steps, loss, len(rows) * self.places)
        return loss

    def _at_once(self, theta: Array, g: Array, rows: Array) -> None:
        """None: there is no other way."""
        return None

    def _forward(self, shard: Shard, rows: Array, scale: float) -> tuple[float, Array, Backward]:
        """(summed loss, its gradient in the logits times scale, backward)."""
        scope, n = shard.scope, len(rows)
        tokens = self.tokens[rows[:, None] + self._window]
        y = scope.buffer("targets", (n, self.places), np.float64)
        y[...] = tokens[:, 1:]
        weights = scope.buffer("weights", (n, self.places), np.float64)
        weights.fill(1)
        z, backward = self.model.layers(scope, tokens[:, :-1])
        logits, share = z.reshape(-1, z.shape[-1]), scale / self.places
        loss = kernels.softmax_cross_entropy(
            logits, y.reshape(-1), weights.reshape(-1), share, logits
        )
        return loss / self.places, z, backward

    def spread(self, count: int, tokens: Array) -> Array:
        """Places of so many windows, evenly over tokens, or of all that do not overlap."""
        most = (len(tokens) - 1) // self.places
        return np.linspace(0, len(tokens) - 1 - self.places, min(count, most)).astype(np.int64)

    def value_and_gradient(self, theta: Array, g: Array) -> float:
        """J(θ) on a sample of windows; its gradient is written into g."""
        rows = self.spread(min(SAMPLE, self.batch_size), self.tokens)
        return self.gradient(theta, g, rows, training=False) / len(rows)

    def held_out(self, tokens: Array, count: int) -> Callable[[Array], float]:
        """The mean loss on other tokens, as a function of θ: what validation watches."""
        rows = self.spread(count, tokens)

        def loss(theta: Array) -> float:
            mine, self.tokens = self.tokens, tokens
            try:
                return self.loss(theta, rows) / len(rows)
            finally:
                self.tokens = mine

        return loss

    def baseline(self, theta: Array, value: float) -> float:
        """A cost that no descent has business far above: that of the first θ."""
        return value

    def safe_rate(self, batch_size: int) -> float:
        """A rate for plain SGD to start from; J is not convex, so nothing better is known."""
        return 0.1


def ends_of(tokens: Array) -> list[int]:
    """Sums by which tokens are told from others."""
    ends = [np.ascontiguousarray(part) for part in (tokens[:TOLD], tokens[-TOLD:])]
    return [zlib.crc32(part.astype(np.int64).tobytes()) for part in ends]


def reach(tokens: Array) -> tuple[int, int]:
    """The least and the largest token; a memmap is read part by part."""
    parts = [tokens[a : a + PART] for a in range(0, len(tokens), PART)]
    return min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)
