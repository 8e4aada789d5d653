"""A GPT in files: the same bits back, GPT-2's answers, and one sentence for what is damaged."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest

import gdcore as gd
from gdcore import tensors
from gdcore.models.language import LanguageCost
from gdcore.tokenizers import BPE, Bytes
from tests.languages import TEXT, random_gpt
from tests.reference.make_gpt2 import ANSWERS, FOLDER

IDS = np.array([[1, 2, 3], [4, 5, 6]])


def fitted(**given):
    settings = {"n_layer": 1, "n_head": 2, "n_embd": 8, "block_size": 8} | given
    return gd.GPT(**settings).fit(TEXT, max_steps=3, batch_size=2)


KINDS = {
    "plain": {}, "double": {"dtype": "float64"}, "rotary": {"positions": "rotary", "bias": False},
    "head": {"tied": False, "activation": "gelu", "n_inner": 5, "eps": 1e-3, "recompute": True},
    "bytes": {"tokenizer": "bytes", "dropout": 0.1}, "bpe": {"tokenizer": BPE.train(TEXT, 270)},
    "numpy": {"n_layer": np.int64(1), "dropout": np.float32(0.1), "random_state": np.int64(3)},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_comes_back_to_the_bit(tmp_path, kind):
    gpt, path = fitted(**KINDS[kind]), tmp_path / "model.safetensors"
    gpt.save(path)
    again = gd.GPT.load(path)
    assert again.theta_.vector.tobytes() == gpt.theta_.vector.tobytes()
    assert again.theta_.vector.dtype == gpt.theta_.vector.dtype
    assert again.logits(IDS).tobytes() == gpt.logits(IDS).tobytes()
    assert again.generate("the", 20, seed=0) == gpt.generate("the", 20, seed=0)
    assert again.evaluate(TEXT) == gpt.evaluate(TEXT)
    assert again.model_.layers == gpt.model_.layers
    assert (again.random_state, again.dropout) == (gpt.random_state, gpt.dropout)
    again.save(tmp_path / "again")
    assert gd.GPT.load(tmp_path / "again").logits(IDS).tobytes() == gpt.logits(IDS).tobytes()


def test_a_tokenizer_of_ones_own_is_given_again(tmp_path):
    class Mine:
        n_vocab = 30

        def encode(self, text):
            return [ord(c) % 30 for c in text]

        def decode(self, ids):
            return "".join(chr(97 + n) for n in ids)

    gpt = fitted(tokenizer=Mine())
    assert gpt.model_.layers.vocabulary == 30
    gpt.save(tmp_path / "a")
    again = gd.GPT.load(tmp_path / "a", tokenizer=Mine())
    assert again.generate("the", 9, seed=0) == gpt.generate("the", 9, seed=0)
    with pytest.raises(ValueError, match="A text needs a tokenizer"):
        gd.GPT.load(tmp_path / "a").generate("the")
    assert isinstance(gd.GPT.load(tmp_path / "a", tokenizer="bytes").tokenizer_, Bytes)
    for read, place in ((gd.GPT.load, tmp_path / "a"), (gd.GPT.from_gpt2, FOLDER)):
        with pytest.raises(ValueError, match=r"'bpe' would have to learn from a text. Pass"):
            read(place, tokenizer="bpe")
        with pytest.raises(TypeError, match="tokenizer must have encode and decode, got 3"):
            read(place, tokenizer=3)


def test_the_formats_own_library_reads_the_weights_under_gpt2s_names(tmp_path):
    theirs = pytest.importorskip("safetensors.numpy")
    gpt = fitted()
    gpt.save(tmp_path / "a")
    found = theirs.load_file(tmp_path / "a")
    assert found.keys() == set(gpt.theta_)
    for name, array in found.items():
        np.testing.assert_array_equal(array, gpt.theta_[name])
    with pytest.importorskip("safetensors").safe_open(tmp_path / "a", "np") as file:
        theirs.save_file(found, tmp_path / "b", file.metadata())
    assert gd.GPT.load(tmp_path / "b").logits(IDS).tobytes() == gpt.logits(IDS).tobytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "whole"
    fitted().save(path)
    return path


def changed(whole, path, change):
    arrays, metadata = tensors.read(whole)
    change(arrays, metadata)
    tensors.write(path, arrays, metadata)


def put(name, value):
    def change(arrays, metadata):
        arrays[name] = value(arrays[name]) if callable(value) else value

    return change


def told(**given):
    return lambda arrays, metadata: metadata.update(given)


def nan(array):
    array = array.copy()
    array.flat[3] = np.nan
    return array


NAME = "h.0.mlp.c_fc.weight"
WRONG = {
    "missing": (lambda arrays, _: arrays.pop(NAME), f"tensor {NAME} is missing"),
    "one too many": (put("h.1.ln_1.bias", np.ones(8)), "tensor h.1.ln_1.bias belongs to no part"),
    "wrong shape": (put(NAME, lambda a: a.T), f"tensor {NAME} has shape (32, 8), and the model's"),
    "NaN": (put(NAME, nan), f"tensor {NAME} does not hold finite numbers"),
    "whole numbers": (put(NAME, lambda a: a.astype(int)), f"tensor {NAME} does not hold finite"),
    "other numbers": (put(NAME, lambda a: a + 1), f"tensor {NAME} is not what was written"),
    "another description": (told(vocabulary="16"), "its description is not what was written"),
    "no sums": (lambda _, metadata: metadata.pop("crc32"), "its crc32 are none"),
    "sums that are none": (told(crc32="[1]"), "its crc32 are none"),
    "no format": (lambda _, metadata: metadata.pop("format"), "is no model of gdcore"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_part_is_named(whole, tmp_path, case):
    change, message = WRONG[case]
    changed(whole, tmp_path / "broken", change)
    with pytest.raises(ValueError, match="broken") as error:
        gd.GPT.load(tmp_path / "broken")
    assert message in str(error.value)
    assert ". " in str(error.value)


def test_any_flipped_bit_and_any_cut_are_refused(whole, tmp_path):
    content, rng = whole.read_bytes(), np.random.default_rng(0)
    header = 8 + int.from_bytes(content[:8], "little")
    places = [*rng.integers(0, 8 * header, 150), *rng.integers(8 * header, 8 * len(content), 50)]
    path = tmp_path / "broken"
    for place in map(int, places):
        broken = bytearray(content)
        broken[place // 8] ^= 1 << place % 8
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="broken"):
            gd.GPT.load(path)
    for end in rng.integers(0, len(content), 20):
        path.write_bytes(content[:end])
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            gd.GPT.load(path)


def test_a_pickle_is_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    (tmp_path / "bomb").write_bytes(pickle.dumps(Bomb()))
    for read in (gd.GPT.load, gd.GPT.from_gpt2):
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            read(tmp_path / "bomb")
    assert [each.name for each in tmp_path.iterdir()] == ["bomb"]


def test_where_nothing_can_be_read_or_written(tmp_path):
    with pytest.raises(gd.NotFittedError, match="has no weights yet"):
        gd.GPT().save(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        gd.GPT.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="is no folder"):
        random_gpt().save(tmp_path / "none" / "a")
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file_whole(tmp_path, monkeypatch):
    fitted().save(tmp_path / "a")
    before = (tmp_path / "a").read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        fitted(random_state=1).save(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


@pytest.fixture(scope="module")
def answers():
    with np.load(ANSWERS, allow_pickle=False) as file:
        return dict(file)


def test_a_gpt2_gives_the_logits_that_transformers_gives(answers):
    gpt = gd.GPT.from_gpt2(FOLDER)
    assert (gpt.n_head, gpt.block_size, gpt.tied, gpt.activation) == (2, 12, True, "gelu_tanh")
    found, near = gpt.logits(answers["ids"]), 1e-5 * max(1, np.abs(answers["logits"]).max())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, answers["logits"], rtol=0, atol=near)
    one = gd.GPT.from_gpt2(FOLDER / "model.safetensors", n_head=1)
    assert np.abs(one.logits(answers["ids"]) - found).max() > 0.01
    assert gpt.generate(answers["ids"][0], 4, temperature=0)[0] == found[0, -1].argmax()


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_a_gpt2s_gradient_is_autograds(answers, monkeypatch, recompute, count):
    """In float64. Our windows give a target to the last place, too: here they are one shorter."""
    gpt = gd.GPT.from_gpt2(FOLDER)
    gpt.block_size, gpt.recompute, gpt.dtype = 12, recompute, "float64"
    gpt._build(17)
    tokens, model = answers["ids"].reshape(-1), gpt.model_
    monkeypatch.setattr(type(model), "shards", lambda self, rows: min(rows, count))
    theta, g = gpt.theta_.vector.astype(np.float64), np.empty(model.size)
    settings = {"max_steps": 1, "round_steps": 1, "batch_size": 3}
    with LanguageCost(model, tokens, **settings) as cost:
        cost.places, cost._window = 11, np.arange(12)
        loss = cost.gradient(theta, g, np.array([0, 12, 24])) / 3
    assert loss == pytest.approx(float(answers["loss"]), rel=1e-12)
    for name, view in model.views(g).items():
        theirs = answers[f"gradient {name}"]
        np.testing.assert_allclose(view, theirs, rtol=0, atol=1e-12, err_msg=name)


def test_a_gpt2_is_given_back_tensor_by_tensor(tmp_path):
    arrays, _ = tensors.read(FOLDER / "model.safetensors")
    gd.GPT.from_gpt2(FOLDER).save_gpt2(tmp_path / "folder")
    gd.GPT.from_gpt2(FOLDER).save_gpt2(tmp_path / "other.safetensors")
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "config.json", "folder", "other.safetensors",
    ]  # fmt: skip
    again, metadata = tensors.read(tmp_path / "folder" / "model.safetensors")
    assert metadata == {"format": "pt"}
    assert again.keys() == arrays.keys()
    for name, array in arrays.items():
        assert again[name].tobytes() == array.tobytes()
        assert again[name].dtype == array.dtype
    ours, theirs = (
        json.loads((folder / "config.json").read_text()) for folder in (tmp_path / "folder", FOLDER)
    )
    for name in ours.keys() & theirs.keys() - {"bos_token_id", "eos_token_id"}:
        assert ours[name] == theirs[name], name


def rewritten(folder, change=lambda arrays: None, **config):
    """The tiny GPT-2 with other contents."""
    folder.mkdir()
    arrays = dict(tensors.read(FOLDER / "model.safetensors")[0])
    change(arrays)
    tensors.write(folder / "model.safetensors", arrays)
    told = json.loads((FOLDER / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize("kind", ["prefix", "masks", "tied head", "head", "f16", "f64", "inner"])
def test_gpt2s_of_every_kind_are_read(tmp_path, kind, answers):
    def change(arrays):
        whole = dict(arrays)
        if kind == "prefix":
            arrays.clear()
            arrays.update({n.removeprefix("transformer."): a for n, a in whole.items()})
        if kind == "masks":
            arrays["transformer.h.0.attn.bias"] = np.ones((1, 1, 12, 12), bool)
            arrays["transformer.h.0.attn.masked_bias"] = np.array(-1e4, np.float32)
        if kind in ("head", "tied head"):
            wte = whole["transformer.wte.weight"]
            arrays["lm_head.weight"] = wte if kind == "tied head" else 2 * wte
        if kind in ("f16", "f64"):
            arrays.update({n: a.astype(kind.replace("f", "float")) for n, a in whole.items()})
        if kind == "inner":
            for i in (0, 1):
                at = f"transformer.h.{i}.mlp."
                for name, cut in (("c_fc.weight", (..., slice(7))), ("c_fc.bias", slice(7))):
                    arrays[at + name] = whole[at + name][cut]
                arrays[at + "c_proj.weight"] = whole[at + "c_proj.weight"][:7]

    gpt = gd.GPT.from_gpt2(rewritten(tmp_path / "gpt2", change))
    found, ids = gpt.logits(answers["ids"]), answers["ids"]
    assert gpt.tied == (kind != "head")
    assert gpt.n_inner == (7 if kind == "inner" else None)
    if kind == "head":
        np.testing.assert_allclose(found, 2 * answers["logits"], atol=1e-4)
    elif kind != "inner":
        near = 0.05 if kind == "f16" else 1e-4
        np.testing.assert_allclose(found, answers["logits"], atol=near)
    gpt.save_gpt2(tmp_path / "again")
    assert gd.GPT.from_gpt2(tmp_path / "again").logits(ids).tobytes() == found.tobytes()


AT = "transformer.h.1.attn.c_attn.weight"
BAD = {
    "missing": (lambda a: a.pop(AT), {}, "tensor h.1.attn.c_attn.weight is missing"),
    "no words": (lambda a: a.pop("transformer.wte.weight"), {}, "tensor wte.weight is missing"),
    "shape": (lambda a: a.update({AT: a[AT].T}), {}, "tensor h.1.attn.c_attn.weight has shape"),
    "NaN": (lambda a: a.update({AT: nan(a[AT])}), {}, "c_attn.weight does not hold finite"),
    "more": (lambda a: a.update(x=np.ones(2)), {}, "tensor x belongs to no part of the model"),
    "heads": (lambda a: None, {"n_head": 3}, "n_embd must be a multiple of n_head, got 8 and 3"),
    "activation": (lambda a: None, {"activation_function": "relu"}, "activation_function is relu"),
    "no word": (lambda a: None, {"activation_function": ["x"]}, "activation_function is ['x']"),
    "steering": (lambda a: None, {"activation_function": "\x1b"}, r"activation_function is \x1b"),
    "beyond": (
        lambda a: a.update({AT: np.full(a[AT].shape, 1e300)}), {}, "c_attn.weight does not hold",
    ),
    "scores": (
        lambda a: None, {"scale_attn_by_inverse_layer_idx": True},
        "scale_attn_by_inverse_layer_idx is True",
    ),
    "unscaled": (lambda a: None, {"scale_attn_weights": False}, "scale_attn_weights is False"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_gpt2_with_a_wrong_part_says_which(tmp_path, case):
    change, config, message = BAD[case]
    folder = rewritten(tmp_path / "gpt2", change, **config)
    with pytest.raises(ValueError, match=r"\. ") as error:
        gd.GPT.from_gpt2(folder)
    assert message in str(error.value)


def test_a_gpt2_without_its_settings_asks_for_the_heads(tmp_path):
    shutil.copy(FOLDER / "model.safetensors", tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"no config.json beside it\. Pass n_head"):
        gd.GPT.from_gpt2(tmp_path / "a.safetensors")
    assert gd.GPT.from_gpt2(tmp_path / "a.safetensors", n_head=2).n_head == 2
    for text in ("{broken", "[" * 100_000, "[1]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"config.json is not a whole .*Fetch it again"):
            gd.GPT.from_gpt2(tmp_path / "a.safetensors")
    with pytest.raises(FileNotFoundError, match=r"model.safetensors does not exist"):
        gd.GPT.from_gpt2(tmp_path)


def test_what_is_no_gpt2_is_not_saved_as_one(tmp_path):
    for given in ({"positions": "rotary"}, {"bias": False}):
        with pytest.raises(ValueError, match=r"learned positions and biases\. Save this model by"):
            random_gpt(**given).save_gpt2(tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_a_gpt2_learns_on_with_a_tokenizer_of_ones_own():
    class Mine:
        def encode(self, text):
            return [ord(c) % 17 for c in text]

        def decode(self, ids):
            return "".join(chr(97 + n) for n in ids)

    gpt = gd.GPT.from_gpt2(FOLDER, tokenizer=Mine())
    before = gpt.evaluate(TEXT)
    gpt.fit(TEXT, max_steps=60, batch_size=8, learning_rate=0.01)
    assert gpt.evaluate(TEXT) < before - 1
    assert len(gpt.generate("the", 5, seed=0)) == 5
