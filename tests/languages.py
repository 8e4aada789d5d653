"""Small language models for tests: random weights of any kind, and a text that repeats itself."""

import numpy as np

import gdcore as gd
from gdcore.models.language import LanguageCost, LanguageModel

TEXT = "the cat sat on the mat, and the dog lay by the log. " * 12
# Two values of each of seven options, eight cases: any two options meet in all four ways.
OPTIONS = {
    "positions": ("learned", "rotary"), "tied": (True, False), "bias": (True, False),
    "activation": ("gelu_tanh", "gelu"), "recompute": (False, True), "dropout": (0.0, 0.3),
    "shards": (1, 3),
}  # fmt: skip
MASKS = (1, 2, 4, 3, 5, 6, 7)  # the parities of these bits of a case's number choose the values


def cases():
    """{name: options}, eight of them."""
    for number in range(8):
        chosen = [(number & mask).bit_count() % 2 for mask in MASKS]
        options = {name: OPTIONS[name][k] for name, k in zip(OPTIONS, chosen, strict=True)}
        yield ", ".join(f"{name} {value}" for name, value in options.items()), options


def network(vocabulary=7, features=8, heads=2, blocks=2, places=6, **options):
    options.pop("shards", None)
    return gd.layers.Transformer(vocabulary, features, heads, blocks, places, **options)


def problem(net, rows=4, dtype=np.float64, seed=0, **given):
    """(cost, θ, rows) of a network with weights all of which matter, on random tokens."""
    rng = np.random.default_rng(seed)
    model = LanguageModel(net)
    theta = model.init(rng, dtype)
    theta += rng.normal(scale=0.3, size=theta.shape).astype(dtype)
    tokens = rng.integers(0, net.vocabulary, 60)
    settings = {"max_steps": 9, "round_steps": 3, "batch_size": rows} | given
    return LanguageCost(model, tokens, **settings), theta, rng.integers(0, 60 - net.places, rows)


def random_gpt(dtype="float64", seed=0, scale=0.4, **given):
    """A GPT with random weights and no training: its texts are wild, and depend on every token."""
    settings = {"n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 8, "tokenizer": None}
    gpt = gd.GPT(**settings | {"dtype": dtype, "vocabulary": 11} | given)
    gpt._build(gpt.vocabulary)
    rng = np.random.default_rng(seed)
    theta = gpt.model_.init(rng, np.dtype(dtype))
    theta += rng.normal(scale=scale, size=theta.shape).astype(dtype)
    gpt.theta_ = gd.Parameters(gpt.model_.shapes(), theta)
    return gpt
