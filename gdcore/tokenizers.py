"""Text to numbers and back: bytes, characters, byte pairs learned here, or an object you bring."""

import numbers
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Protocol, Self, TypeAlias

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.errors import require, require_choice, require_number

__all__ = ["BPE", "KINDS", "Bytes", "Characters"]

# What byte pairs never cross: words with the space before them, numbers, signs, white space.
WORDS = re.compile(r" ?[^\W\d_]+| ?\d+| ?[^\s\w]+| ?_+|\s+(?!\S)|\s+")
KINDS = ("bytes", "characters", "bpe")
LEARNED = ("characters", "bpe")  # those that are made of a text
Pair: TypeAlias = tuple[int, int]
BPE_SIZE = 512  # tokens, where nobody says
MOST_BYTES = 1 << 28  # of all tokens: each merge may double the one before it


class Tokenizer(Protocol):
    """What text is turned into numbers by: those here, tiktoken's, or an object of your own."""

    def encode(self, text: str, /) -> ArrayLike:
        """Numbers (n,) of a text."""

    def decode(self, ids: Any, /) -> str:
        """The text of numbers."""


class Bytes:
    """Every byte of UTF-8 is a token: 256 of them, any text, nothing to learn.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.tokenizers.Bytes().encode("né").tolist()
    [110, 195, 169]
    """

    size = 256
    joins = True  # the text of tokens is that of each, one after another

    def encode(self, text: str) -> Array:
        """Numbers (n,) of a text."""
        return np.frombuffer(_utf8(text), np.uint8).astype(np.int64)

    def decode(self, ids: ArrayLike) -> str:
        """The text of numbers; half a character becomes �."""
        return bytes(_known(ids, self.size)).decode(errors="replace")

    def state(self) -> dict[str, Any]:
        """What `restored` makes the same tokenizer of."""
        return {"kind": "bytes"}


class Characters:
    """Every character of a text is a token; others are an error that names the first of them.

    Parameters
    ----------
    text : str
        Whose characters to know.

    Example
    -------
    >>> import gdcore as gd
    >>> tokenizer = gd.tokenizers.Characters("abba")
    >>> tokenizer.encode("baa").tolist(), tokenizer.decode([0, 1])
    ([1, 0, 0], 'ab')
    """

    joins = True

    def __init__(self, text: str) -> None:
        _require_text(text)
        require(len(text) > 0, "Characters needs a text, got an empty one. Pass what to train on.")
        self.characters = "".join(sorted(set(text)))
        self.size = len(self.characters)
        self._numbers = {character: n for n, character in enumerate(self.characters)}
        codes = np.array([ord(character) for character in self.characters])
        self._table = np.full(codes.max() + 2, -1, np.int64)
        self._table[codes] = np.arange(self.size)

    def encode(self, text: str) -> Array:
        """Numbers (n,) of a text."""
        _require_text(text)
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        ids = self._table[np.minimum(codes, len(self._table) - 1)]
        if len(ids) and ids.min() < 0:
            where = int(np.argmin(ids))
            raise ValueError(
                f"The text has {text[where]!r} at place {where}, which the tokenizer never saw. "
                "Leave it out, or use the tokenizer 'bytes' or 'bpe', which know every text."
            )
        return ids

    def decode(self, ids: ArrayLike) -> str:
        """The text of numbers."""
        return "".join(self.characters[n] for n in _known(ids, self.size))

    def state(self) -> dict[str, Any]:
        """What `restored` makes the same tokenizer of."""
        return {"kind": "characters", "characters": self.characters}


class BPE:
    """Byte-pair encoding (Gage, 1994; Sennrich et al., 2016): bytes, and pairs of tokens joined.

    Made by `BPE.train`. Words are split off first, each with the space before it, and pairs never
    cross them. Any text can be encoded, and decoding gives it back.

    Parameters
    ----------
    merges : list of (int, int)
        Token 256 + i joins the pair merges[i]; the earlier one is joined first.

    Example
    -------
    >>> import gdcore as gd
    >>> tokenizer = gd.tokenizers.BPE.train("low lower lowest", size=258)
    >>> tokenizer.merges, tokenizer.decode(tokenizer.encode("low tide"))
    ([(108, 111), (256, 119)], 'low tide')
    """

    joins = True

    def __init__(self, merges: Iterable[Pair]) -> None:
        self.merges = [tuple(pair) for pair in merges]
        self.size = 256 + len(self.merges)
        self._rank = {pair: rank for rank, pair in enumerate(self.merges)}
        self._bytes, room = [bytes([n]) for n in range(256)], MOST_BYTES
        for number, (one, two) in enumerate(self.merges, start=256):
            known = 0 <= one < number and 0 <= two < number
            require(known, f"merges joins {(one, two)} before they are known. Pass them in order.")
            room -= len(self._bytes[one]) + len(self._bytes[two])
            require(room >= 0, "merges makes tokens of more than 2²⁸ bytes. Pass fewer of them.")
            self._bytes.append(self._bytes[one] + self._bytes[two])
        self._cache: dict[str, list[int]] = {}

    @classmethod
    def train(cls, text: str, size: int = BPE_SIZE) -> Self:
        """Join the most frequent pair of tokens until there are `size` tokens.

        Of equally frequent pairs the one with the smaller numbers comes first. Stops early where
        no pair comes twice.
        """
        _require_text(text)
        require_number("size", size, low=256, whole=True)
        counts = Counter(WORDS.findall(text))
        words = [(list(_utf8(word)), count) for word, count in counts.items()]
        total: Counter[Pair] = Counter()
        where: dict[Pair, set[int]] = defaultdict(set)
        for number, (word, count) in enumerate(words):
            for pair in pairwise(word):
                total[pair] += count
                where[pair].add(number)
        merges: list[Pair] = []
        while len(merges) < size - 256 and total:
            pair = min(total, key=lambda each: (-total[each], each))
            if total[pair] < 2:
                break
            token = 256 + len(merges)
            merges.append(pair)
            for number in list(where[pair]):
                _join(words, number, pair, token, (total, where))
        return cls(merges)

    def encode(self, text: str) -> Array:
        """Numbers (n,) of a text."""
        _require_text(text)
        ids: list[int] = []
        for word in WORDS.findall(text):
            known = self._cache.get(word)
            if known is None:
                known = self._cache[word] = self._word(list(_utf8(word)))
            ids += known
        return np.array(ids, np.int64)

    def _word(self, ids: list[int]) -> list[int]:
        """The tokens of one word: the earliest merge first, until none is left."""
        while len(ids) > 1:
            pairs = pairwise(ids)
            rank, pair = min((self._rank.get(each, len(self._rank)), each) for each in pairs)
            if rank == len(self._rank):
                break
            ids = joined(ids, pair, 256 + rank)
        return ids

    def decode(self, ids: ArrayLike) -> str:
        """The text of numbers; half a character becomes �."""
        known = _known(ids, self.size)
        return b"".join(self._bytes[n] for n in known).decode(errors="replace")

    def state(self) -> dict[str, Any]:
        """What `restored` makes the same tokenizer of."""
        return {"kind": "bpe", "merges": [list(pair) for pair in self.merges]}


def _require_text(text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, got {type(text).__name__}. Pass a str; decode bytes.")


def _utf8(text: str) -> bytes:
    """The bytes of a text, all of which must be characters."""
    _require_text(text)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"The text has {text[error.start]!r}, half a surrogate pair, which UTF-8 does not "
            "know. Read the text with errors='replace', or leave it out."
        ) from error


def _known(ids: ArrayLike, size: int) -> list[int]:
    """ids as a list, each of them a token."""
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise TypeError(f"ids must be a list of whole numbers, got {ids.dtype}. Pass tokens.")
    known: list[int] = ids.tolist()
    wrong = next((n for n in known if not 0 <= n < size), None)
    require(
        wrong is None,
        f"Token {wrong} is none of the tokenizer's {size}. Pass what it gave; the vocabulary of a "
        "model must not be larger.",
    )
    return known


def joined(ids: list[int], pair: Pair, token: int) -> list[int]:
    """ids with each pair, from the left, in one token."""
    out, i = [], 0
    while i < len(ids):
        found = i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair
        out.append(token if found else ids[i])
        i += 2 if found else 1
    return out


def _join(
    words: list[tuple[list[int], int]],
    number: int,
    pair: Pair,
    token: int,
    index: tuple[Counter[Pair], dict[Pair, set[int]]],
) -> None:
    """Join a pair in one word, and keep the counts of pairs as they then are."""
    (word, count), (total, where) = words[number], index
    for each in pairwise(word):
        total[each] -= count
        if total[each] <= 0:
            del total[each]
        where[each].discard(number)
    word = joined(word, pair, token)
    words[number] = word, count
    for each in pairwise(word):
        total[each] += count
        where[each].add(number)


def tokenizer_for(given: Any, text: str) -> Any:
    """The tokenizer behind an argument: by name, learned from the text, or as it was given."""
    if isinstance(given, str):
        require_choice("tokenizer", given, KINDS)
        if given == "bytes":
            return Bytes()
        return Characters(text) if given == "characters" else BPE.train(text)
    usable = all(callable(getattr(given, name, None)) for name in ("encode", "decode"))
    if not usable or isinstance(given, type):
        raise TypeError(
            f"tokenizer must have encode and decode, got {given!r}. "
            f"Pass such an object, or one of {', '.join(map(repr, KINDS))}."
        )
    return given


def encoded(tokenizer: Tokenizer, text: str) -> Array:
    """Tokens (n,) of a text, by a tokenizer that may be anybody's."""
    given = tokenizer.encode(text)
    ids = np.asarray(given)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise TypeError(
            f"tokenizer.encode must give a list of whole numbers, got {type(given).__name__} "
            f"({ids.dtype}, {ids.ndim} axes). Pass an object whose encode does."
        )
    return ids.astype(np.int64)


def told_size(tokenizer: object) -> int | None:
    """How many tokens it has: `size`, as here, `n_vocab`, as tiktoken, or its length; None where
    it does not say."""
    for name in ("size", "n_vocab"):
        size = getattr(tokenizer, name, None)
        if isinstance(size, numbers.Integral):
            return int(size)
    return len(tokenizer) if hasattr(tokenizer, "__len__") else None


def size_of(tokenizer: object) -> int:
    """The same, a TypeError where it does not say."""
    size = told_size(tokenizer)
    if size is None:
        raise TypeError(
            f"{tokenizer!r} does not say how many tokens it has. Pass vocabulary= to the model."
        )
    return size


def restored(state: Any) -> Bytes | Characters | BPE:
    """The tokenizer that `state()` described."""
    kind = state.get("kind") if isinstance(state, dict) else None
    require(kind in KINDS, f"it describes no tokenizer: {kind!r}")
    if kind == "bytes":
        return Bytes()
    if kind == "characters":
        require(isinstance(state.get("characters"), str), "its characters are no text")
        return Characters(state["characters"])
    merges = state.get("merges")
    pairs = isinstance(merges, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair)
        for pair in merges
    )
    require(pairs, "its merges are no pairs of numbers")
    return BPE(merges)
