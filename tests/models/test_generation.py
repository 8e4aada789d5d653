"""Text from a model: what is kept changes nothing, every choice is the stated one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gdcore as gd
from gdcore.models.decoder import Decoder
from gdcore.models.generation import Sampling, Told, told_bit_by_bit
from gdcore.tokenizers import BPE, Bytes, Characters
from tests.languages import random_gpt

KINDS = {
    "learned": {}, "rotary": {"positions": "rotary"}, "bare": {"bias": False, "tied": False},
    "recompute": {"recompute": True}, "gelu": {"activation": "gelu", "n_inner": 5},
    "dropout": {"dropout": 0.5}, "one place": {"block_size": 1}, "odd": {"block_size": 5},
}  # fmt: skip
NEAR = {"float32": 1e-5, "float64": 1e-12}


@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("kind", KINDS)
def test_kept_keys_and_values_give_the_logits_of_reading_all_again(kind, dtype):
    """Far beyond block_size, each token the likeliest of those before."""
    gpt = random_gpt(dtype, **KINDS[kind])
    for prompt in ([3], [1, 2, 3, 4], list(range(10)) * 2):
        ids, fresh = list(prompt), prompt
        kept, anew = (Decoder(gpt.model_, gpt.theta_.vector, cache=c) for c in (True, False))
        for _ in range(3 * gpt.block_size + 2):
            mine, other = kept.read(fresh), anew.read(fresh)
            near = NEAR[dtype] * max(1, np.abs(other).max())
            np.testing.assert_allclose(mine, other, rtol=0, atol=near)
            (window,) = kept.windows
            assert window == ids[-len(window) :]
            assert min(len(ids), gpt.block_size // 2 + 1) <= len(window) <= gpt.block_size
            np.testing.assert_allclose(gpt.logits(np.array(window))[-1], other, atol=near)
            fresh = [int(other.argmax())]
            ids += fresh


@pytest.mark.parametrize("kind", KINDS)
def test_generating_with_and_without_what_is_kept_gives_the_same_tokens(kind):
    gpt = random_gpt(**KINDS[kind])
    for how in ({"seed": 0}, {"temperature": 0}, {"seed": 1, "top_p": 0.7, "temperature": 2.0}):
        kept = gpt.generate([1, 2], 30, **how)
        assert kept.tolist() == gpt.generate([1, 2], 30, cache=False, **how).tolist()
        assert kept.shape == (30,)


def test_temperature_zero_and_the_first_alone_are_the_likeliest():
    gpt = random_gpt()
    best = gpt.generate([1], 20, temperature=0)
    assert best[0] == gpt.logits(np.array([1]))[-1].argmax()
    for how in ({"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-9}, {"temperature": 5e-324}):
        assert gpt.generate([1], 20, seed=3, **how).tolist() == best.tolist()


def test_seeds_repeat_and_differ():
    gpt = random_gpt()
    texts = {tuple(gpt.generate([1], 20, seed=seed)) for seed in (0, 0, 1, 1, 2)}
    assert len(texts) == 3
    assert len({tuple(gpt.generate([1], 20)) for _ in range(3)}) == 3


def test_every_prompt_of_a_list_is_answered_whatever_the_others_are():
    gpt = random_gpt()
    prompts = [[1, 2, 3], np.array([4]), (5, 6)]
    found = gpt.generate(prompts, 12, seed=7)
    assert [len(each) for each in found] == [12, 12, 12]
    changed = gpt.generate([[1, 2, 3], [9, 9, 9], (5, 6)], 12, seed=7)
    assert changed[0].tolist() == found[0].tolist()
    assert changed[2].tolist() == found[2].tolist()
    greedy = gpt.generate(prompts, 12, temperature=0)
    for prompt, answer in zip(prompts, greedy, strict=True):
        assert answer.tolist() == gpt.generate(prompt, 12, temperature=0).tolist()
    same = gpt.generate([[1], [1]], 20, seed=0)
    assert same[0].tolist() != same[1].tolist()


LOGITS = st.lists(st.integers(-40, 40).map(lambda n: n / 8), min_size=1, max_size=12).map(np.array)


@settings(max_examples=150, deadline=None)
@given(LOGITS, st.integers(1, 13), st.floats(0.01, 1.0), st.floats(0.1, 5.0))
def test_probabilities_are_those_of_the_definition(z, k, p, temperature):
    found = Sampling(temperature, k, p).probabilities(z)
    order = np.argsort(-z, kind="stable")[:k]
    scores = np.exp((z[order] - z.max()) / temperature)
    scores /= scores.sum()
    before = np.concatenate([[0], np.cumsum(scores)[:-1]])
    surely, maybe = before < p - 1e-12, before < p + 1e-12
    assert found.sum() == pytest.approx(1)
    assert set(order[surely]) <= set(np.flatnonzero(found)) <= set(order[maybe])
    if (surely == maybe).all():
        expected = np.zeros(len(z))
        expected[order[surely]] = scores[surely] / scores[surely].sum()
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_tokens_are_drawn_as_often_as_they_are_likely():
    z, rng = np.log(np.array([0.5, 0.3, 0.15, 0.05])), np.random.default_rng(0)
    drawn = [Sampling(top_k=3).choose(z, [], rng) for _ in range(20_000)]
    expected = np.array([0.5, 0.3, 0.15, 0]) / 0.95
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 20_000, expected, atol=0.012)


@pytest.mark.parametrize("number", [0.0, 0.5, 1 - 2**-53])
def test_what_is_left_out_is_never_drawn(number):
    class Fixed:
        def random(self):
            return number

    rng = np.random.default_rng(0)
    for _ in range(200):
        z = rng.normal(size=20) * 3
        chosen = Sampling(top_k=4).choose(z, [], Fixed())
        assert z[chosen] >= np.sort(z)[-4]


def test_repetition_penalty_divides_what_is_positive_and_multiplies_the_rest():
    z = np.array([2.0, 1.5, -1.0, -0.5])
    assert Sampling(0, repetition_penalty=2.0).choose(z, [0, 0, 3], None) == 1
    assert Sampling(0, repetition_penalty=1.2).choose(z, [0], None) == 0
    low = np.array([-1.0, -1.5])
    assert Sampling(0, repetition_penalty=2.0).choose(low, [0], None) == 1
    assert z.tolist() == [2.0, 1.5, -1.0, -0.5]


def test_repetition_penalty_counts_the_prompt_and_all_that_was_written():
    gpt = random_gpt(block_size=20)
    ids = [1]
    for _ in range(15):
        z = gpt.logits(np.array(ids))[-1]
        ids.append(Sampling(0, repetition_penalty=1.5).choose(z, ids, None))
    found = gpt.generate([1], 15, temperature=0, repetition_penalty=1.5)
    assert found.tolist() == ids[1:]
    assert found.tolist() != gpt.generate([1], 15, temperature=0).tolist()


class Joined:
    """No `joins`: its text is that of all tokens at once, as tiktoken's and SentencePiece's is."""

    def decode(self, ids):
        return Bytes().decode(ids)


TEXTS = st.text("aeéß🙂\ufffd ", max_size=12)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(st.text("aeéß🙂 ", min_size=1, max_size=3), max_size=3), st.booleans())
def test_pieces_are_the_text_up_to_the_first_stop_and_never_half_a_character(text, stop, joins):
    ids = Bytes().encode(text).tolist()
    parts = list(pieces(iter(ids), Bytes() if joins else Joined(), stop))
    ends = [text.find(each) for each in stop if each in text]
    first = [(text.find(each) + len(each), text.find(each)) for each in stop if each in text]
    expected = text if not ends else text[: min(n for end, n in first if end == min(first)[0])]
    assert "".join(parts) == expected
    assert all(parts)
    assert "\ufffd" in text or not any("\ufffd" in part for part in parts)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=8))
def test_bytes_that_are_no_text_come_out_as_they_decode(content):
    assert (
        "".join(pieces(iter(content), Bytes(), ["q"]))
        == content.decode(errors="replace").split("q")[0]
    )


def test_a_stop_split_over_tokens_is_held_back_and_ends_the_reading_at_once():
    read = []

    def tokens(text):
        for n in Bytes().encode(text).tolist():
            read.append(n)
            yield n

    assert list(pieces(tokens("one STAND STOP two"), Bytes(), ["STOP"])) == [
        "o", "n", "e", " ", "STA", "N", "D", " ",
    ]  # fmt: skip
    assert len(read) == len("one STAND STOP")
    long = BPE.train("stop it stop it stop it now", 300)
    ids = long.encode("go now stop it stop").tolist()
    assert "".join(pieces(iter(ids), long, ["op it"])) == "go now st"


def pieces(tokens, tokenizer, stop):
    """What is shown of tokens as they come."""
    told = Told([], None, tokenizer, stop)
    for token in tokens:
        yield from told.add(token)
        if told.ended:
            return
    yield from told.rest()


def spoken(text, tokenizer, **given):
    gpt = gd.GPT(
        n_layer=1, n_head=2, n_embd=16, block_size=16, tokenizer=tokenizer, random_state=0, **given
    )
    return gpt.fit(
        text, max_steps=120, batch_size=8, learning_rate=0.02, validation=None, eval_every=120
    )


@pytest.fixture(scope="module", params=["bytes", "characters", "bpe"])
def gpt(request):
    tokenizer = BPE.train("né 🙂 你好. " * 9, 262) if request.param == "bpe" else request.param
    return spoken("né 🙂 你好. " * 40, tokenizer)


def test_a_stream_is_the_text_in_pieces(gpt):
    whole = gpt.generate("né", 40, temperature=0)
    assert "né 🙂 你好. né" in "né" + whole
    for how in ({"temperature": 0}, {"seed": 5, "temperature": 1.5}, {"seed": 1, "stop": "你好"}):
        text = gpt.generate("né", 40, **how)
        stream = gpt.generate("né", 40, stream=True, **how)
        assert iter(stream) is iter(stream)
        assert "".join(stream) == text
    for piece in gpt.generate("né", 40, temperature=0, stream=True):
        assert "\ufffd" not in piece[:-1]  # the last may end in the middle of a character
    assert "".join(gpt.generate("né", 40, temperature=0, stop="好", stream=True)) == " 🙂 你"
    assert gpt.generate("né", 40, temperature=0, stop=["好", "🙂"]) == " "


def test_a_stream_comes_as_it_is_made():
    gpt = random_gpt()
    stream = gpt.generate([1], 10**9, stream=True, temperature=0)
    assert [next(stream) for _ in range(5)] == gpt.generate([1], 5, temperature=0).tolist()
    assert gpt.generate([1], 0).tolist() == []


def test_texts_for_texts_and_tokens_for_tokens(gpt):
    prompt = gpt.tokenizer_.encode("né")
    tokens = gpt.generate(prompt, 8, temperature=0)
    assert tokens.dtype == np.int64
    assert gpt.tokenizer_.decode(tokens) == gpt.generate("né", 8, temperature=0)
    texts = gpt.generate(["né", "🙂"], 8, seed=0)
    assert [type(each) for each in texts] == [str, str]


WRONG = {
    "no prompt": (("",), {}, "prompt is empty. Pass at least one token"),
    "no tokens": ((np.array([], int),), {}, "prompt is empty"),
    "a matrix": ((np.zeros((2, 2), int),), {}, "prompt must be a text or a vector of whole"),
    "halves": ((np.zeros(2),), {}, "prompt must be a text or a vector of whole numbers"),
    "an unknown token": (([0, 99],), {}, "prompt holds the token 99, and the model has 3"),
    "a negative token": (([0, -1],), {}, "prompt holds the token -1, and the model has 3"),
    "an unknown character": (("x",), {}, "has 'x' at place 0"),
    "max_tokens": (("a", -1), {}, "max_tokens must be a whole number of at least 0, got -1"),
    "temperature": (("a",), {"temperature": -1}, "temperature must be a number of at least 0"),
    "no temperature": (("a",), {"temperature": np.nan}, "temperature must be a number"),
    "top_k": (("a",), {"top_k": 0}, "top_k must be a whole number of at least 1"),
    "top_p": (("a",), {"top_p": 0.0}, "top_p must be a number above 0 and at most 1"),
    "more than all": (("a",), {"top_p": 1.5}, "top_p must be a number above 0 and at most 1"),
    "penalty": (("a",), {"repetition_penalty": 0}, "repetition_penalty must be a number above 0"),
    "stop": (("a",), {"stop": ["b", ""]}, "stop holds an empty text. Pass texts"),
    "no text": (("a",), {"stop": [3]}, "stop must be a text or a list of texts"),
    "stop for tokens": (([0],), {"stop": "b"}, "stop takes texts, and the prompt holds tokens"),
    "a stream of several": ((["a", "b"],), {"stream": True}, "stream=True takes one prompt"),
    "seed": (("a",), {"seed": -1}, "seed must be a whole number of at least 0"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_asked_is_refused_before_a_word_is_said(case, stream):
    arguments, options, message = WRONG[case]
    gpt = random_gpt(vocabulary=3)
    gpt.tokenizer = gpt.tokenizer_ = Characters("abc")
    if stream and "stream" in case:
        return
    with pytest.raises((ValueError, TypeError)) as error:
        gpt.generate(*arguments, **{"stream": stream, **options})
    assert message in str(error.value)
    assert str(error.value).count(". ") == 1


def test_a_model_of_tokens_says_that_it_has_no_tokenizer():
    gpt = random_gpt(tokenizer="characters")
    with pytest.raises(ValueError, match="this GPT learned from tokens, without a tokenizer"):
        gpt.generate("abc")
    assert not hasattr(gpt, "tokenizer_")
    assert gpt.generate([1], 3).shape == (3,)


def test_before_any_fit():
    with pytest.raises(gd.NotFittedError, match="has no weights yet"):
        gd.GPT().generate("a")


def test_tokens_after_a_prompt_see_all_of_it():
    gpt = random_gpt()
    decoder = Decoder(gpt.model_, gpt.theta_.vector)
    found = list(told_bit_by_bit(decoder, Told([1, 2], None), 5, Sampling(0)))
    assert found == gpt.generate([1, 2], 5, temperature=0).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_goes_on_alike_in_any_company(kind):
    """Prompts of all lengths, some of which outgrow the window earlier than others."""
    gpt = random_gpt("float64", **KINDS[kind])
    prompts = [[1], [2, 1, 2], list(range(gpt.block_size)), [3] * (gpt.block_size + 2)]
    together = Decoder(gpt.model_, gpt.theta_.vector, len(prompts))
    alone = [Decoder(gpt.model_, gpt.theta_.vector) for _ in prompts]
    fresh = dict(enumerate(prompts))
    for _ in range(2 * gpt.block_size):
        found = together.read_together(fresh)
        for number, ids in fresh.items():
            expected = alone[number].read(ids)
            near = NEAR["float64"] * max(1, np.abs(expected).max())
            np.testing.assert_allclose(found[number], expected, rtol=0, atol=near)
        fresh = {number: [int(z.argmax())] for number, z in found.items()}
    assert [decoder.windows[0] for decoder in alone] == together.windows


def test_prompts_in_a_list_are_answered_as_each_alone():
    gpt = random_gpt("float64")
    prompts, seeds = [[1], [2, 1, 2], [0] * 7], np.random.SeedSequence(4).spawn(3)
    answers = gpt.generate(prompts, 20, seed=4)
    for prompt, seed, answer in zip(prompts, seeds, answers, strict=True):
        decoder = Decoder(gpt.model_, gpt.theta_.vector)
        text = Told(prompt, np.random.default_rng(seed))
        assert list(told_bit_by_bit(decoder, text, 20, Sampling())) == answer.tolist()
    assert gpt.generate([], 5) == []
    assert [len(each) for each in gpt.generate(prompts, 0)] == [0, 0, 0]


def test_texts_in_a_list_end_each_at_its_own_stop(gpt):
    prompts = ["né", "né 🙂 你", "你"]
    answers = gpt.generate(prompts, 30, temperature=0, stop="好")
    alone = [gpt.generate(each, 30, temperature=0, stop="好") for each in prompts]
    assert answers == alone
    assert not any("好" in each for each in answers)
