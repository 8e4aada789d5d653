"""Make gpt2/: a tiny GPT-2 with random weights as Hugging Face writes it, and what it says.

Run by hand with PyTorch and transformers installed: python -m tests.reference.make_gpt2
model.safetensors and config.json are theirs; answers.npz holds ids, the logits, and the mean loss
of the next token with its gradient for each tensor, all of them computed in float64.
"""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("gpt2")
ANSWERS = FOLDER / "answers.npz"
SETTINGS = {
    "n_layer": 2, "n_head": 2, "n_embd": 8, "vocab_size": 17, "n_positions": 12,
    "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip


def random_model(**given):
    """A GPT-2 of theirs, all of whose weights matter."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(20261126)
    config = GPT2Config(**SETTINGS | {"attn_pdrop": 0, "resid_pdrop": 0, "embd_pdrop": 0} | given)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


def ids():
    return np.random.default_rng(0).integers(0, SETTINGS["vocab_size"], (3, 12))


def answers(model):
    """{name: array} of a model's logits, loss and gradients in float64."""
    import torch

    model, x = model.double().eval(), torch.from_numpy(ids())
    model.zero_grad()
    logits = model(x).logits
    vocabulary = logits.shape[-1]
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, vocabulary), x[:, 1:].reshape(-1)
    )
    loss.backward()
    found = {"ids": x, "logits": logits.detach(), "loss": loss.detach()}
    for name, parameter in model.named_parameters():
        found[f"gradient {name.removeprefix('transformer.')}"] = parameter.grad
    return {name: tensor.numpy() for name, tensor in found.items()}


def make():
    model = random_model()
    model.save_pretrained(FOLDER)
    (FOLDER / "generation_config.json").unlink(missing_ok=True)
    np.savez_compressed(ANSWERS, **answers(model))


if __name__ == "__main__":
    make()
