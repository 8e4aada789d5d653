"""Text to numbers and back."""

import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gdcore as gd
from gdcore.tokenizers import (
    BPE,
    WORDS,
    Bytes,
    Characters,
    encoded,
    restored,
    size_of,
    tokenizer_for,
)

TEXT = "low lower lowest, slow slower; 12 312 — né né né\n\n  \t_low__lowé 你好 你好 🙂🙂"
LEARNED = BPE.train(TEXT * 3, size=300)


class Words:
    """As tiktoken's encodings look from outside."""

    n_vocab = 7

    def encode(self, text):
        return [len(word) % 7 for word in text.split()]

    def decode(self, ids):
        return " ".join("x" * n for n in ids)


@settings(max_examples=150, deadline=None)
@given(st.text())
def test_bytes_and_byte_pairs_give_any_text_back(text):
    for tokenizer in (Bytes(), LEARNED):
        ids = tokenizer.encode(text)
        assert ids.dtype == np.int64
        assert ids.ndim == 1
        assert tokenizer.decode(ids) == tokenizer.decode(ids.tolist()) == text
        assert len(ids) == 0 or (ids.min() >= 0 and ids.max() < tokenizer.size)
    assert "".join(WORDS.findall(text)) == text
    assert len(LEARNED.encode(text)) <= len(Bytes().encode(text))


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1), st.data())
def test_characters_give_back_what_is_made_of_them(text, data):
    tokenizer = Characters(text)
    assert tokenizer.size == len(set(text))
    other = "".join(data.draw(st.lists(st.sampled_from(sorted(text)))))
    for each in (text, other):
        assert tokenizer.decode(tokenizer.encode(each)) == each
    assert list(tokenizer.encode("".join(sorted(set(text))))) == list(range(tokenizer.size))


def naive_train(text, size):
    """Count all pairs anew for each merge."""
    words, merges = [list(word.encode()) for word in WORDS.findall(text)], []
    while len(merges) < size - 256:
        counts = Counter(pair for word in words for pair in pairwise(word))
        if not counts or max(counts.values()) < 2:
            break
        merges.append(min(counts, key=lambda pair: (-counts[pair], pair)))
        words = [naive_join(word, merges[-1], 255 + len(merges)) for word in words]
    return merges


def naive_join(word, pair, token):
    text = "".join(map(chr, word))
    return [ord(c) for c in text.replace(chr(pair[0]) + chr(pair[1]), chr(token))]


def naive_encode(merges, text):
    """Every merge in its turn, over every word."""
    ids = []
    for word in WORDS.findall(text):
        word = list(word.encode())
        for number, pair in enumerate(merges):
            word = naive_join(word, pair, 256 + number)
        ids += word
    return ids


@settings(max_examples=60, deadline=None)
@given(st.text("aab é1", max_size=60), st.integers(256, 280), st.text("ab é1\n", max_size=30))
def test_byte_pairs_are_learned_and_joined_as_a_naive_reference_does(text, size, other):
    tokenizer = BPE.train(text, size)
    assert tokenizer.merges == naive_train(text, size) == BPE.train(text, size).merges
    assert tokenizer.size <= size
    for each in (text, other):
        assert tokenizer.encode(each).tolist() == naive_encode(tokenizer.merges, each)


def test_training_joins_the_most_frequent_pair_and_of_equals_the_smaller():
    assert BPE.train("xyxy abab abab", 257).merges == [(ord("a"), ord("b"))]
    assert BPE.train("ba ba ab ab", 257).merges[0] == (ord(" "), ord("a"))
    assert BPE.train("abcd", 300).merges == []  # no pair comes twice
    assert BPE.train("aaaa", 300).merges == [(97, 97)]
    assert BPE.train("", 300).merges == []


def test_pairs_never_cross_words():
    tokenizer = BPE.train("a b " * 50, 400)
    assert {tokenizer.decode([n]) for n in range(256, tokenizer.size)} == {" a", " b"}


def test_merges_out_of_order_are_refused():
    with pytest.raises(ValueError, match="before they are known"):
        BPE([(97, 257), (97, 98)])
    with pytest.raises(ValueError, match="before they are known"):
        BPE([(-1, 97)])
    with pytest.raises(ValueError, match="size must be a whole number of at least 256"):
        BPE.train("abc", 255)


def test_an_unknown_character_is_named_with_its_place():
    tokenizer = Characters("abc")
    for text, what in (("abxc", "'x' at place 2"), ("é", "'é' at place 0"), ("aa\U0010ffff", "2")):
        with pytest.raises(ValueError, match=what) as error:
            tokenizer.encode(text)
        assert "Leave it out, or use the tokenizer 'bytes'" in str(error.value)
    assert tokenizer.encode("").tolist() == []
    assert tokenizer.decode([]) == ""
    with pytest.raises(ValueError, match="Characters needs a text, got an empty one"):
        Characters("")


@pytest.mark.parametrize("tokenizer", [Bytes(), LEARNED], ids=["bytes", "bpe"])
def test_half_a_character_becomes_a_sign_and_half_a_surrogate_is_an_error(tokenizer):
    assert tokenizer.decode(Bytes().encode("né")[:2]) == "n\ufffd"
    with pytest.raises(ValueError, match="half a surrogate pair"):
        tokenizer.encode("ab\ud800")


@pytest.mark.parametrize("tokenizer", [Bytes(), Characters("abc"), LEARNED])
def test_a_token_that_is_none_is_named(tokenizer):
    for wrong in (-1, tokenizer.size, 10**6):
        for ids in ([0, wrong], np.array([0, wrong])):
            with pytest.raises(ValueError, match=f"Token {wrong} is none of the tokenizer's"):
                tokenizer.decode(ids)


@pytest.mark.parametrize("tokenizer", [Bytes(), Characters(TEXT + "\ud800"), LEARNED])
def test_a_state_gives_the_same_tokenizer(tokenizer):
    for state in (tokenizer.state(), json.loads(json.dumps(tokenizer.state()))):
        again = restored(state)
        assert type(again) is type(tokenizer)
        assert again.encode(TEXT).tolist() == tokenizer.encode(TEXT).tolist()


BAD_STATES = [
    None, [], {}, {"kind": "pickle"}, {"kind": "characters"},
    {"kind": "characters", "characters": 3},
    {"kind": "bpe"}, {"kind": "bpe", "merges": [[1]]}, {"kind": "bpe", "merges": [[1, 2.0]]},
    {"kind": "bpe", "merges": [[1, 900]]}, {"kind": "bpe", "merges": [[True, 2]]},
    {"kind": "characters", "characters": ""},
]  # fmt: skip


@pytest.mark.parametrize("state", BAD_STATES, ids=str)
def test_what_describes_no_tokenizer_is_refused(state):
    with pytest.raises(ValueError, match=r"describes no|its |merges |Characters "):
        restored(state)


def test_tokenizers_by_name_and_ones_own():
    assert isinstance(tokenizer_for("bytes", "ab"), Bytes)
    assert tokenizer_for("characters", "ba").characters == "ab"
    assert tokenizer_for("bpe", "ab ab ab").merges == BPE.train("ab ab ab").merges
    mine = Words()
    assert tokenizer_for(mine, "ab") is mine
    with pytest.raises(ValueError, match="Did you mean 'bytes'"):
        tokenizer_for("byte", "ab")
    with pytest.raises(TypeError, match="tokenizer must have encode and decode, got 3"):
        tokenizer_for(3, "ab")
    with pytest.raises(TypeError, match=r"encode and decode, got <class .*Bytes'>. Pass such"):
        tokenizer_for(Bytes, "ab")


@pytest.mark.parametrize("wrong", [None, b"ab", ["a", "b"], 3], ids=repr)
def test_what_is_no_text_and_what_are_no_tokens(wrong):
    known = [Bytes(), Characters("ab"), LEARNED]
    for take in [Characters, BPE.train, *(each.encode for each in known)]:
        with pytest.raises(TypeError, match=r"text must be a str, got \w+\. Pass a str"):
            take(wrong)
    for tokenizer in known:
        for ids in (wrong, [1.5], [[1]]):
            with pytest.raises(TypeError, match="ids must be a list of whole numbers, got"):
                tokenizer.decode(ids)


@pytest.mark.parametrize(
    "ids",
    [list("ab"), [1.5, 2.0], [[1, 2]], 3, object()],
    ids=["letters", "halves", "nested", "a number", "an object"],
)
def test_what_encode_gives_must_be_whole_numbers(ids):
    class Mine(Words):
        def encode(self, text):
            return ids

    with pytest.raises(
        TypeError, match=r"tokenizer\.encode must give a list of whole numbers, got"
    ):
        encoded(Mine(), "ab")


def test_a_tokenizer_says_how_many_tokens_it_has():
    class Long(Words):
        n_vocab = None

        def __len__(self):
            return 9

    class Silent(Words):
        n_vocab = None

    assert [size_of(each) for each in (Bytes(), Characters("ab"), Words(), Long())] == [
        256,
        2,
        7,
        9,
    ]
    Long.n_vocab = np.int64(8)
    assert size_of(Long()) == 8
    assert size_of(LEARNED) == 256 + len(LEARNED.merges)
    with pytest.raises(TypeError, match="Pass vocabulary="):
        size_of(Silent())


def test_tokenizers_are_public():
    assert gd.tokenizers.BPE is BPE
    assert "GPT" in gd.__all__
