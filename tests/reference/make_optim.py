"""Make optim.npz: 200 steps of PyTorch's optimizers on fixed gradients from 1e-12 to 1e3.

Run by hand with PyTorch installed: python tests/reference/make_optim.py
The suite compares gdcore with the file; tests/peers makes the same numbers live.
"""

from pathlib import Path

import numpy as np

STEPS, SIZE = 200, 24
KEPT = (0, 1, 9, 99, 199)  # the steps after which θ is stored
CASES = {
    "sgd": ("SGD", {"lr": 0.03}),
    "momentum": ("SGD", {"lr": 0.03, "momentum": 0.9}),
    "nesterov": ("SGD", {"lr": 0.03, "momentum": 0.9, "nesterov": True}),
    "adagrad": ("Adagrad", {"lr": 0.5, "eps": 1e-6}),
    "rmsprop": ("RMSprop", {"lr": 0.05, "alpha": 0.95, "eps": 1e-6}),
    "adam": ("Adam", {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-6}),
    "adamw": ("AdamW", {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-6, "weight_decay": 0.05}),
}


def gradients(dtype):
    """(STEPS, SIZE) gradients whose sizes span fifteen orders of magnitude."""
    rng = np.random.default_rng(20261123)
    sizes = 10.0 ** np.linspace(-12, 3, SIZE)
    return (rng.standard_normal((STEPS, SIZE)) * sizes).astype(dtype)


def start(dtype):
    """θ before the first step."""
    return np.random.default_rng(1).standard_normal(SIZE).astype(dtype)


def trajectory(case, dtype):
    """θ after the KEPT steps, by PyTorch's single-tensor loop."""
    import torch

    name, settings = CASES[case]
    theta = torch.nn.Parameter(torch.from_numpy(start(dtype)))
    rule = getattr(torch.optim, name)([theta], foreach=False, **settings)
    kept = []
    for t, g in enumerate(gradients(dtype)):
        theta.grad = torch.from_numpy(g.copy())
        rule.step()
        if t in KEPT:
            kept.append(theta.detach().numpy().copy())
    return np.array(kept)


def everything():
    """{"case-dtype": trajectory}."""
    kinds = {"f32": np.float32, "f64": np.float64}
    return {f"{c}-{k}": trajectory(c, dtype) for c in CASES for k, dtype in kinds.items()}


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("optim.npz"), **everything())
