"""GPT-2 by transformers, live: each reads what the other wrote, and both say the same."""

import numpy as np
import pytest
import torch

import gdcore as gd
from tests.languages import random_gpt
from tests.reference import make_gpt2

torch.set_num_threads(1)
IDS = make_gpt2.ids()


def theirs(folder):
    from transformers import GPT2LMHeadModel

    return GPT2LMHeadModel.from_pretrained(folder).eval()


def logits(model):
    with torch.no_grad():
        return model(torch.from_numpy(IDS)).logits.numpy()


def near(found, other):
    atol = 1e-5 * max(1, np.abs(other).max())
    np.testing.assert_allclose(found, other, rtol=0, atol=atol)


def test_the_stored_answers_are_what_transformers_gives():
    live = make_gpt2.answers(theirs(make_gpt2.FOLDER))
    with np.load(make_gpt2.ANSWERS, allow_pickle=False) as stored:
        assert set(stored) == set(live)
        for name in live:
            np.testing.assert_allclose(stored[name], live[name], rtol=0, atol=1e-12, err_msg=name)


KINDS = {
    "plain": {}, "head": {"tie_word_embeddings": False}, "erf": {"activation_function": "gelu"},
    "inner": {"n_inner": 12, "layer_norm_epsilon": 1e-3},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_transformers_wrote_gives_its_logits_and_goes_back(tmp_path, kind):
    model = make_gpt2.random_model(**KINDS[kind])
    model.save_pretrained(tmp_path / "theirs")
    gpt = gd.GPT.from_gpt2(tmp_path / "theirs")
    near(gpt.logits(IDS), logits(model))
    gpt.save_gpt2(tmp_path / "ours")
    again = theirs(tmp_path / "ours")
    assert torch.equal(again(torch.from_numpy(IDS)).logits, model(torch.from_numpy(IDS)).logits)
    prompt = torch.from_numpy(IDS[:1, :4])
    written = again.generate(prompt, max_new_tokens=8, do_sample=False, eos_token_id=None)
    assert written[0, 4:].tolist() == gpt.generate(IDS[0, :4], 8, temperature=0).tolist()


OURS = {
    "plain": {}, "head": {"tied": False}, "erf": {"activation": "gelu"},
    "inner": {"n_inner": 5, "eps": 1e-3}, "double": {"dtype": "float64"},
}  # fmt: skip


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", OURS)
def test_transformers_reads_what_save_gpt2_wrote(tmp_path, kind, caplog):
    gpt = random_gpt(**{"dtype": "float32", "vocabulary": 17, "block_size": 12} | OURS[kind])
    gpt.save_gpt2(tmp_path / "ours")
    model = theirs(tmp_path / "ours")
    assert not caplog.text
    near(logits(model), gpt.logits(IDS))
    model.save_pretrained(tmp_path / "again")
    near(gd.GPT.from_gpt2(tmp_path / "again").logits(IDS), gpt.logits(IDS))
