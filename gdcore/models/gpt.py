"""GPT: a decoder-only transformer that is trained on text, goes on with text, and reads GPT-2."""

import math
import numbers
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from gdcore._typing import Array, ArrayLike, PathLike
from gdcore.convergence import Moment
from gdcore.descent import descend
from gdcore.errors import NotFittedError, require, require_number
from gdcore.given import as_array
from gdcore.hooks import Callbacks, Hooks
from gdcore.layers import Transformer
from gdcore.models.estimator import signed
from gdcore.models.generation import Writer
from gdcore.models.gpt_arguments import (
    DTYPES,
    SHAPING,
    Schedule,
    require_budgets,
    require_shape,
    rule_for,
    schedule_for,
    settings_of,
)
from gdcore.models.gpt_files import Checkpoint, GPTFiles
from gdcore.models.language import LanguageCost, LanguageModel, reach
from gdcore.optim.base import Optimizer
from gdcore.parameters import Parameters, aligned_copy
from gdcore.progress import stepping
from gdcore.result import Result
from gdcore.tokenizers import LEARNED, encoded, size_of, tokenizer_for

MOST_TOKENS = 1 << 24  # of a vocabulary that nobody gave
VALIDATION_WINDOWS = 512  # at most, on which the held-out loss is measured

Text: TypeAlias = str | ArrayLike  # or tokens


@dataclass(kw_only=True, eq=False)
class GPT(GPTFiles, Writer):
    """A decoder-only transformer (Radford et al., 2019), trained to predict the next token.

    J(θ) = mean of −log p(token | those before it), in nats a token. By default GPT-2's arithmetic
    to the letter: pre-norm, tanh GELU, learned positions, logits by the embedding's own matrix.

    Parameters
    ----------
    n_layer, n_head, n_embd, block_size : int
        Blocks, heads, width, and the longest sequence, in tokens.
    dropout : float in [0, 1)
    tokenizer : "characters", "bytes", "bpe", or an object with encode and decode, as tiktoken's
        "characters" and "bpe" learn from the text of the first fit. None for tokens alone.
    vocabulary : int, optional
        Tokens; default: as many as the tokenizer has, or the largest of the data and one.
    positions : "learned" or "rotary"
    tied, bias : bool
    activation : "gelu_tanh" or "gelu"
    n_inner : int, optional
        Width of the MLPs; default 4·n_embd.
    eps : float
        Of the layer norms.
    recompute : bool
        Keep less on the way forward, compute it again on the way back.
    dtype : "float32" or "float64"
    n_threads : int, optional
        Default: the cores that this process may use. The same bits for any number.
    random_state : int, optional
        Of the first weights, the windows that steps see, and dropout.

    Attributes
    ----------
    theta_ : Parameters
        All weights, under GPT-2's names. tokenizer_, result_, trace_ (cost: mean loss on the way
        since the row before; validation) and n_iter_ (steps) as the last fit left them.

    Example
    -------
    >>> import gdcore as gd
    >>> text = "the cat sat on the mat. " * 40
    >>> gpt = gd.GPT(n_layer=1, n_head=2, n_embd=16, block_size=16, random_state=0)
    >>> gpt = gpt.fit(text, max_steps=200, batch_size=8, learning_rate=0.01)
    >>> gpt.generate("the cat", 8, seed=0)
    ' sat on '
    """

    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    block_size: int = 64
    dropout: float = 0.0
    tokenizer: Any = "characters"
    vocabulary: int | None = None
    positions: Literal["learned", "rotary"] = "learned"
    tied: bool = True
    bias: bool = True
    activation: Literal["gelu_tanh", "gelu"] = "gelu_tanh"
    n_inner: int | None = None
    eps: float = 1e-5
    recompute: bool = False
    dtype: Literal["float32", "float64"] = "float32"
    n_threads: int | None = None
    random_state: int | None = 0

    def fit(
        self, data: Text, *, max_steps: int = 2000, batch_size: int = 12,
        gradient_accumulation: int = 1, optimizer: str | Optimizer = "auto",
        learning_rate: float = 1e-3, schedule: Schedule | Literal["auto"] | None = "auto",
        clip_norm: float | None = 1.0, eval_every: int = 250, validation: float | Text | None = 0.1,
        patience: int | None = None, checkpoint: PathLike | None = None, resume: bool = False,
        max_time: float = math.inf, callbacks: Callbacks = (), progress: bool = False,
    ) -> Self:  # fmt: skip
        """Train on a text or on tokens; goes on from the weights that there are.

        Parameters
        ----------
        data : str, or array or memmap (n,) of tokens
            A memmap is read window by window.
        max_steps : int
        batch_size, gradient_accumulation : int
            Windows of block_size tokens that go through at once, and such batches a step.
        optimizer : "auto", a name or an instance
            "auto" is AdamW(beta2=0.99, decay=0.1). AdamW and Lion spare biases and norms of decay.
        learning_rate : float
            For "auto" and a name; an instance brings its own.
        schedule : "auto", a callable step → factor, or None
            "auto" rises for 100 steps, at most a tenth of all, then falls by a cosine to a tenth.
        clip_norm : float or None
            The gradient is scaled down to this norm where it is longer.
        eval_every : int
            Steps between measurements: trace, held-out loss, callbacks, checkpoint.
        validation : float in [0, 1), text, tokens, or None
            A share is taken from the end of the data.
        patience : int, optional
            Stop after so many measurements without a lower held-out loss, and keep the weights
            that had it. Default: keep the last weights.
        checkpoint : path, optional
            All that the rest of the run depends on is written there after each measurement.
        resume : bool
            Go on from the checkpoint where it exists: to the same bits as without the interruption.
        max_time : float, in seconds
        callbacks : functions of a `Moment`, or objects as of `gd.callbacks`; True stops
            While they run, the model has the weights of the moment: it can generate, and be saved.
        progress : bool
            A bar with loss, tokens a second and time left, on a terminal.

        Returns
        -------
        self. Ctrl-C and divergence end the fit as a result, with the last sound weights measured.
        """
        budgets = {
            "max_steps": max_steps, "batch_size": batch_size, "eval_every": eval_every,
            "gradient_accumulation": gradient_accumulation,
        }  # fmt: skip
        require_budgets(budgets, clip_norm, patience, resume=resume, progress=progress)
        hooks = Hooks(callbacks, around=self._seeing)
        rule, factor = rule_for(optimizer, learning_rate), schedule_for(schedule, max_steps)
        train, held = self._data(data, validation)
        require(
            patience is None or held is not None,
            "patience watches the held-out loss, and validation holds nothing out. Pass a share "
            "for validation, or leave patience out.",
        )
        theta = self._begin({"data": train, "validation": held})
        cost = self._cost(train, budgets, clip_norm)
        cost.held = held
        stored = Checkpoint.at(checkpoint, self, cost, (rule, factor, patience), resume)
        with ExitStack() as stack:
            stack.enter_context(hooks)
            if progress:
                cost.observe = stack.enter_context(stepping(max_steps, stored.steps))
            validate = cost.held_out(held, VALIDATION_WINDOWS) if held is not None else None
            hooks.changes["settings"] = settings_of(self, rule, factor)
            result = descend(
                cost, theta, rule,
                learning_rate=factor,
                batch_size=batch_size * gradient_accumulation,
                max_epochs=-(-max_steps // eval_every),
                max_time=max_time,
                callbacks=hooks,
                validate=validate,
                patience=patience,
                checkpoint=stored.write if checkpoint is not None else None,
                resume=stored.snapshot,
            )  # fmt: skip
            self._keep(result, hooks)
        return self

    def _keep(self, result: Result, hooks: Hooks) -> None:
        """What was learned, unless a callback that hears of it raises."""
        before = dict(vars(self))
        self.theta_ = Parameters(self.model_.shapes(), result.x)
        signed(result, self)
        self.result_, self.trace_, self.n_iter_ = result, result.trace, result.nit
        try:
            hooks.end(result)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def _data(self, data: Text, validation: Any) -> tuple[Array, Array | None]:
        """(tokens to train on, held-out tokens or None)."""
        require_number("block_size", self.block_size, low=1, whole=True)
        if hasattr(self, "theta_"):
            self._follow()
        else:
            self.__dict__.pop("tokenizer_", None)  # what a fit that failed learned from its text
            if isinstance(data, str):
                require(len(data) > 0, "data is an empty text. Pass a longer one.")
                self.tokenizer_ = tokenizer_for(self._named_tokenizer(), data)
            elif self.tokenizer is not None and not self._learns():
                self.tokenizer_ = tokenizer_for(self.tokenizer, "")
        tokens = self._tokens(data, "data")
        share = isinstance(validation, numbers.Real)
        if validation is None or (share and validation == 0):
            held = None
        elif share:
            require_number("validation", validation, low=0, high=1)
            cut = round(len(tokens) * (1 - validation))
            tokens, held = tokens[:cut], tokens[cut:]
        else:
            held = self._tokens(validation, "validation")
        for name, part in (("data", tokens), ("validation", held)):
            enough = part is None or len(part) > self.block_size + 1
            require(
                enough,
                f"{name} holds {0 if part is None else len(part)} tokens, and a window of "
                f"block_size={self.block_size} needs more. Pass more text, or a smaller "
                "block_size or share for validation.",
            )
        return tokens, held

    def _named_tokenizer(self) -> Any:
        require(
            self.tokenizer is not None,
            "A text needs a tokenizer, and tokenizer is None. Pass one, as 'bytes', or tokens.",
        )
        return self.tokenizer

    def _learns(self) -> bool:
        """Whether the tokenizer is one that is made of a text."""
        return isinstance(self.tokenizer, str) and self.tokenizer in LEARNED

    def _tokens(self, data: Text, name: str) -> Array:
        """Data as whole numbers (n,)."""
        if isinstance(data, str):
            if not hasattr(self, "tokenizer_"):
                self._named_tokenizer()
                require(
                    not self._learns(),
                    f"{name} is a text, and this GPT learned from tokens, without a tokenizer. "
                    "Pass tokens.",
                )
                self.tokenizer_ = tokenizer_for(self.tokenizer, data)
            return encoded(self.tokenizer_, data)
        tokens = data if isinstance(data, np.memmap) else as_array(data, name)
        require(
            tokens.ndim == 1 and tokens.dtype.kind in "iu",
            f"{name} must be a text or a vector of whole numbers, got {tokens.dtype} of shape "
            f"{tokens.shape}. Pass a str, or tokens as integers.",
        )
        return tokens

    def _known_tokens(self, data: Text, name: str) -> Array:
        """The same for a model that there is, all of them its own."""
        tokens = self._tokens(data, name)
        if len(tokens):
            self._require_known(name, reach(tokens))
        return tokens

    def _begin(self, parts: dict[str, Array | None]) -> Array:
        """θ to start from, for these parts of the data, all of whose tokens must be known."""
        ends_of = {name: reach(part) for name, part in parts.items() if part is not None}
        fresh = not hasattr(self, "theta_")
        if fresh:
            self._build(self._vocabulary(max(most for _, most in ends_of.values())))
        for name, ends in ends_of.items():
            self._require_known(name, ends)
        if fresh:
            return self.model_.init(np.random.default_rng(self.random_state), DTYPES[self.dtype])
        return aligned_copy(self.theta_.vector)

    def _vocabulary(self, most: int) -> int:
        if self.vocabulary is not None:
            return self.vocabulary
        if hasattr(self, "tokenizer_"):
            return size_of(self.tokenizer_)
        require(
            most < MOST_TOKENS,
            f"data holds the token {most}, and a vocabulary is as large as that. Look at the dtype "
            "in which it was read, or pass vocabulary=.",
        )
        return most + 1

    def _require_known(self, name: str, ends: tuple[int, int]) -> None:
        size = self.model_.layers.vocabulary
        for token in ends:
            require(
                0 <= token < size,
                f"{name} holds the token {token}, and the model has {size} from 0 on. Pass what "
                "its tokenizer gives, or a larger vocabulary to a new GPT.",
            )

    def _build(self, vocabulary: int) -> None:
        """The network that the parameters describe."""
        require_shape(self)
        net = Transformer(
            vocabulary, self.n_embd, self.n_head, self.n_layer, self.block_size,
            positions=self.positions, tied=self.tied, bias=self.bias, dropout=self.dropout,
            activation=self.activation, hidden=self.n_inner, eps=self.eps,
            recompute=self.recompute,
        )  # fmt: skip
        self.model_, self._shaped = LanguageModel(net), self._shaping()

    def _shaping(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in SHAPING)

    def _follow(self) -> None:
        """Make the network anew where a parameter was changed, so long as the weights fit it."""
        require_shape(self)
        if self._shaping() == self._shaped:
            return
        before = self.model_, self._shaped
        self._build(self.model_.layers.vocabulary)
        if self.model_.shapes() != self.theta_.shapes:
            old = dict(zip(SHAPING, before[1], strict=True))
            changed = [name for name in SHAPING if getattr(self, name) != old[name]]
            self.model_, self._shaped = before
            raise ValueError(
                f"The weights are those of another {' and '.join(changed)}. "
                f"Set {', '.join(f'{name}={old[name]!r}' for name in changed)} again, or fit a "
                "new GPT."
            )
        theta = aligned_copy(self.theta_.vector, DTYPES[self.dtype])
        self.theta_ = Parameters(self.theta_.shapes, theta)

    def _seeing(self, call: Callable[[Moment], Any]) -> Callable[[Moment], Any]:
        """A callback for whom this model has the weights of the moment."""

        def seeing(moment: Moment) -> Any:
            before = self.__dict__.get("theta_")
            self.theta_ = Parameters(self.model_.shapes(), aligned_copy(moment.theta))
            try:
                return call(moment)
            finally:
                if before is None:
                    del self.theta_
                else:
                    self.theta_ = before

        return seeing

    def _cost(
        self, tokens: Array, budgets: dict[str, int], clip_norm: float | None
    ) -> LanguageCost:
        seed = np.random.SeedSequence(self.random_state).generate_state(1, np.uint64)[0]
        return LanguageCost(
            self.model_, tokens, max_steps=budgets["max_steps"],
            round_steps=budgets["eval_every"],
            batch_size=budgets["batch_size"] * budgets["gradient_accumulation"],
            micro_batch=budgets["batch_size"] if budgets["gradient_accumulation"] > 1 else None,
            clip_norm=clip_norm, n_threads=self.n_threads, seed=int(seed),
        )  # fmt: skip

    def logits(self, ids: ArrayLike) -> Array:
        """Logits (n, t, vocabulary) of the token after each of ids (n, t), or (t, …) of (t,)."""
        self._require_fitted()
        ids = as_array(ids, "ids")
        right = ids.ndim in (1, 2) and ids.dtype.kind in "iu"
        require(
            right and ids.size,
            f"ids must be whole numbers (t,) or (n, t), got {ids.dtype} {ids.shape}. Pass tokens, "
            "at least one.",
        )
        logits = self.model_.logits(self.theta_.vector, np.atleast_2d(ids))
        return logits.squeeze(0) if ids.ndim == 1 else logits

    def evaluate(self, data: Text) -> float:
        """Mean loss in nats a token over all windows of a text or of tokens."""
        self._require_fitted()
        tokens = self._known_tokens(data, "data")
        require(
            len(tokens) > self.block_size,
            f"data holds {len(tokens)} tokens, and a window needs {self.block_size + 1}. "
            "Pass more of it.",
        )
        budgets = {"max_steps": 1, "eval_every": 1, "batch_size": 1, "gradient_accumulation": 1}
        with self._cost(tokens, budgets, None) as cost:
            return cost.held_out(tokens, len(tokens))(self.theta_.vector)

    def _require_fitted(self) -> None:
        if not hasattr(self, "theta_"):
            raise NotFittedError("This GPT has no weights yet. Call fit first, or GPT.load.")
        self._follow()
