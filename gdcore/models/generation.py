"""Text from a trained transformer, token by token; keys and values of earlier ones are kept."""

import numbers
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, Unpack, overload

import numpy as np

from gdcore._typing import Array, Generator
from gdcore.errors import require, require_flag, require_number
from gdcore.models.decoder import Decoder
from gdcore.models.language import LanguageModel
from gdcore.parameters import Parameters
from gdcore.ranges import require_logits
from gdcore.seeds import generator
from gdcore.tokenizers import told_size

MOST = 1e300  # a logit that a penalty has made


class Options(TypedDict, total=False):
    """What `generate` takes by name for any prompt."""

    temperature: float
    top_k: int | None
    top_p: float | None
    repetition_penalty: float
    stop: str | Iterable[str]
    seed: int | None
    cache: bool


Tokens: TypeAlias = Array | Sequence[int] | Sequence[Array] | Sequence[Sequence[int]]


class Writer:
    """`generate` of a GPT."""

    model_: LanguageModel
    theta_: Parameters
    tokenizer_: Any

    if TYPE_CHECKING:

        def _require_fitted(self) -> None: ...
        def _known_tokens(self, data: Any, name: str) -> Array: ...

    @overload
    def generate(
        self, prompt: str, max_tokens: int = 200, *, stream: Literal[False] = False,
        **options: Unpack[Options],
    ) -> str: ...  # fmt: skip

    @overload
    def generate(
        self, prompt: str, max_tokens: int = 200, *, stream: Literal[True],
        **options: Unpack[Options],
    ) -> Iterator[str]: ...  # fmt: skip

    @overload
    def generate(
        self, prompt: list[str] | tuple[str, ...], max_tokens: int = 200, *,
        stream: Literal[False] = False, **options: Unpack[Options],
    ) -> list[str]: ...  # fmt: skip

    @overload
    def generate(
        self, prompt: Tokens, max_tokens: int = 200, *, stream: bool = False,
        **options: Unpack[Options],
    ) -> Any: ...  # fmt: skip

    def generate(
        self, prompt: Any, max_tokens: int = 200, *, temperature: float = 1.0,
        top_k: int | None = None, top_p: float | None = None, repetition_penalty: float = 1.0,
        stop: str | Iterable[str] = (), seed: int | None = None, stream: bool = False,
        cache: bool = True,
    ) -> Any:  # fmt: skip
        """What the model writes after a prompt.

        Parameters
        ----------
        prompt : str, tokens (n,), or a list of them
            Each prompt of a list has a generator of its own.
        max_tokens : int
        temperature : float
            Divides the logits; 0 always takes the likeliest token.
        top_k : int, optional
            Choose among the k likeliest tokens alone.
        top_p : float in (0, 1], optional
            Choose among the fewest tokens that together have this probability.
        repetition_penalty : float > 0
            Above 1 it makes tokens that were there already less likely.
        stop : str or list of str
            Ends before the first of them.
        seed : int, optional
        stream : bool
            Return an iterator of pieces, for one prompt.
        cache : bool
            Keep keys and values. Without, every token reads the whole window: the same, slowly.

        Returns
        -------
        str for a text, array of tokens for tokens, a list for a list.
        """
        self._require_fitted()
        require_number("max_tokens", max_tokens, low=0, whole=True)
        require_flag("stream", stream)
        require_flag("cache", cache)
        sampling = Sampling(temperature, top_k, top_p, repetition_penalty)
        if seed is not None:
            require_number("seed", seed, low=0, whole=True)
        stop = _texts(stop)
        several = isinstance(prompt, (list, tuple)) and not _numbers(prompt)
        prompts = list(prompt) if several else [prompt]
        ids = [self._prompt(each, stop) for each in prompts]
        decoder = Decoder(self.model_, self.theta_.vector, len(prompts), cache=cache)
        if several:
            require(not stream, "stream=True takes one prompt. Pass them one after another.")
            seeds = np.random.SeedSequence(seed).spawn(len(prompts))
            texts = [self._told(*each, stop) for each in zip(prompts, ids, seeds, strict=True)]
            return [text.whole() for text in told_together(decoder, texts, max_tokens, sampling)]
        text = self._told(prompt, ids[0], seed, stop)
        parts = told_bit_by_bit(decoder, text, max_tokens, sampling)
        if stream:
            return parts
        for _ in parts:
            pass
        return text.whole()

    def _prompt(self, prompt: Any, stop: list[str]) -> list[int]:
        """Tokens of a prompt, as a list."""
        ids: list[int] = self._known_tokens(prompt, "prompt").tolist()
        require(ids, "prompt is empty. Pass at least one token to go on from.")
        told = isinstance(prompt, str) or not stop
        require(told, "stop takes texts, and the prompt holds tokens. Pass a text.")
        return ids

    def _told(self, prompt: Any, ids: list[int], seed: Any, stop: list[str]) -> "Told":
        tokenizer = self.tokenizer_ if isinstance(prompt, str) else None
        return Told(ids, generator(seed, "seed"), tokenizer, stop)


def _texts(stop: str | Iterable[str]) -> list[str]:
    """stop as a list."""
    lone: Any = [stop]  # a text, or what is none
    many = isinstance(stop, Iterable) and not isinstance(stop, str)
    texts: list[str] = list(stop) if many and getattr(stop, "ndim", None) != 0 else lone
    for each in texts:
        if not isinstance(each, str):
            raise TypeError(f"stop must be a text or a list of texts, got {each!r}. Pass such.")
        require(each, "stop holds an empty text. Pass texts of at least one character.")
    return texts


def _numbers(prompt: Any) -> bool:
    return len(prompt) > 0 and all(isinstance(each, numbers.Integral) for each in prompt)


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen from its logits.

    Logits of tokens in the text so far are divided by repetition_penalty where positive, else
    multiplied (Keskar et al., 2019); then all are divided by temperature; then only the top_k
    largest stay, and of those the fewest whose probabilities sum to top_p (Holtzman et al., 2020).
    Temperature 0 takes the largest.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        require_number("temperature", self.temperature, low=0)
        if self.top_k is not None:
            require_number("top_k", self.top_k, low=1, whole=True)
        if self.top_p is not None:
            require_number("top_p", self.top_p, low=0, high=1, above=True)
        require_number("repetition_penalty", self.repetition_penalty, low=0, above=True)
        for name in ("temperature", "top_p", "repetition_penalty"):  # any real number, as NumPy's
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))

    def choose(
        self, logits: Array, seen: list[int], rng: Generator, known: int | None = None
    ) -> int:
        """The number of the next token, one of those that a tokenizer of `known` tokens has."""
        require_logits(logits)
        z = logits[:known].astype(np.float64)
        if self.repetition_penalty != 1:
            met = np.unique(seen)
            by = self.repetition_penalty
            with np.errstate(over="ignore"):
                z[met] = np.where(z[met] > 0, z[met] / by, z[met] * by).clip(-MOST, MOST)
        if self.temperature == 0:
            return int(z.argmax())
        reached = self.probabilities(z).cumsum()
        drawn = min(rng.random() * reached[-1], np.nextafter(reached[-1], 0))
        return int(np.searchsorted(reached, drawn, "right"))  # never one of probability zero

    def probabilities(self, z: Array) -> Array:
        """Those of the tokens, zero for what top_k and top_p leave out."""
        with np.errstate(over="ignore"):  # to −∞, near temperature zero
            z = (z - z.max()) / self.temperature
        if self.top_k is not None and self.top_k < len(z):
            z = _largest(z, self.top_k)
        p = np.exp(z)
        p /= p.sum()
        if self.top_p is not None and self.top_p < 1:
            order = np.argsort(-p, kind="stable")
            beyond = p[order].cumsum() - p[order] >= self.top_p  # what came before is enough
            p[order[beyond]] = 0
            p /= p.sum()
        return p


def _largest(z: Array, k: int) -> Array:
    """z with −∞ for all but its k largest; of equals the first stay."""
    least = np.partition(z, -k)[-k]
    above, equal = z > least, np.flatnonzero(z == least)
    above[equal[: k - np.count_nonzero(above)]] = True
    return np.where(above, z, -np.inf)


class Told:
    """A text that grows behind a prompt: its tokens, generator, and what can be shown of it.

    Never half a character is shown, nor what may be the beginning of a stop string; the text ends
    before the first of those. Without a tokenizer, tokens are shown as they are.
    """

    def __init__(
        self,
        ids: list[int],
        rng: Generator,
        tokenizer: Any = None,
        stop: Sequence[str] = (),
    ) -> None:
        self.ids, self.rng, self.tokenizer, self.stop = list(ids), rng, tokenizer, stop
        self.first, self.ended = len(self.ids), False
        # a model may have more tokens, as where their number was rounded up
        self.known = told_size(tokenizer)
        self._ids: list[int] = []
        self._before = ""  # text of tokens that need not be decoded again
        self._text, self._shown = "", 0

    def next(self, logits: Array, sampling: Sampling) -> int:
        """The token that comes, by its logits."""
        return sampling.choose(logits, self.ids, self.rng, self.known)

    def add(self, token: int) -> list[Any]:
        """One token more; a list of what can now be shown, which has one element or none."""
        self.ids.append(token)
        if self.tokenizer is None:
            return [token]
        self._ids.append(token)
        text = self._before + self.tokenizer.decode(self._ids)
        ends = [text.find(each) for each in self.stop if each in text]
        if ends:
            self._text, self.ended = text[: min(ends)], True
            return self.rest()
        self._text, whole = text, len(text.rstrip("\ufffd"))
        if whole == len(text) and getattr(self.tokenizer, "joins", False):
            self._before, self._ids = text, []
        return self._show(whole - _begun(text[:whole], self.stop))

    def rest(self) -> list[Any]:
        """What was held back, now that no token follows."""
        return [] if self.tokenizer is None else self._show(len(self._text))

    def whole(self) -> Any:
        """All that came after the prompt."""
        if self.tokenizer is None:
            return np.array(self.ids[self.first :], np.int64)
        return self._text

    def _show(self, safe: int) -> list[Any]:
        if safe <= self._shown:
            return []
        part, self._shown = self._text[self._shown : safe], safe
        return [part]


def told_bit_by_bit(
    decoder: Decoder, text: "Told", count: int, sampling: Sampling
) -> Iterator[Any]:
    """Yield what can be shown of a text as up to count tokens come."""
    fresh = text.ids
    for _ in range(count):
        token = text.next(decoder.read(fresh), sampling)
        yield from text.add(token)
        if text.ended:
            return
        fresh = [token]
    yield from text.rest()


def told_together(
    decoder: Decoder, texts: list[Told], count: int, sampling: Sampling
) -> list[Told]:
    """The texts, after up to count tokens more; one step serves all that go on."""
    fresh = {number: list(text.ids) for number, text in enumerate(texts)}
    for _ in range(count):
        if not fresh:
            break
        logits, coming = decoder.read_together(fresh), {}
        for number, z in logits.items():
            text = texts[number]
            text.add(token := text.next(z, sampling))
            if not text.ended:
                coming[number] = [token]
        fresh = coming
    return texts


def _begun(text: str, stop: Sequence[str]) -> int:
    """Characters at the end of a text that may be the beginning of a stop string."""
    most = 0
    for each in stop:
        for n in range(min(len(each) - 1, len(text)), most, -1):
            if text.endswith(each[:n]):
                most = n
                break
    return most
