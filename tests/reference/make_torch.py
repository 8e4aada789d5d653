"""Make torch.npz: PyTorch's optimizers on the gradients of problem.py, by its single-tensor loops.

Run by hand with PyTorch installed: python -m tests.reference.make_torch
"""

from unittest.mock import patch

import numpy as np

from tests.reference.problem import Case, everything, flat, follow, path_of, rate, split, start

BETAS = {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-6}
OURS = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-6}
RMS = {"lr": 0.05, "alpha": 0.95, "eps": 1e-6}
OUR_RMS = {"lr": 0.05, "decay": 0.95, "eps": 1e-6}
BALL = {"lr": 0.03, "momentum": 0.9}
MIXED = ((4, 5), (4,))  # a matrix and a vector
CASES = {
    "sgd": Case("SGD", {"lr": 0.03}, "SGD", {"lr": 0.03}),
    "momentum": Case("SGD", BALL, "Momentum", BALL),
    "momentum, damped": Case(
        "SGD", BALL | {"dampening": 0.3}, "Momentum", BALL | {"dampening": 0.3}
    ),
    "momentum, falling rate": Case("SGD", BALL, "Momentum", BALL, changing=True),
    "nesterov": Case("SGD", BALL | {"nesterov": True}, "Nesterov", BALL),
    "nesterov, falling rate": Case(
        "SGD", BALL | {"nesterov": True}, "Nesterov", BALL, changing=True
    ),
    "adagrad": Case("Adagrad", {"lr": 0.5, "eps": 1e-6}, "AdaGrad", {"lr": 0.5, "eps": 1e-6}),
    "adagrad, decay and start": Case(
        "Adagrad",
        {"lr": 0.5, "eps": 1e-6, "lr_decay": 0.01, "initial_accumulator_value": 0.1},
        "AdaGrad",
        {"lr": 0.5, "eps": 1e-6, "lr_decay": 0.01, "initial_accumulator": 0.1},
    ),
    "adadelta": Case(
        "Adadelta",
        {"lr": 1.0, "rho": 0.9, "eps": 1e-4},
        "AdaDelta",
        {"lr": 1.0, "decay": 0.9, "eps": 1e-4},
    ),
    "rmsprop": Case("RMSprop", RMS, "RMSProp", OUR_RMS),
    "rmsprop, centered": Case(
        "RMSprop", RMS | {"centered": True}, "RMSProp", OUR_RMS | {"centered": True}
    ),
    "rmsprop, momentum": Case(
        "RMSprop", RMS | {"momentum": 0.9}, "RMSProp", OUR_RMS | {"momentum": 0.9}
    ),
    "rmsprop, centered, momentum": Case(
        "RMSprop",
        RMS | {"centered": True, "momentum": 0.9},
        "RMSProp",
        OUR_RMS | {"centered": True, "momentum": 0.9},
    ),
    "rmsprop, momentum, falling rate": Case(
        "RMSprop", RMS | {"momentum": 0.9}, "RMSProp", OUR_RMS | {"momentum": 0.9}, changing=True
    ),
    "adam": Case("Adam", BETAS, "Adam", OURS),
    "adam, falling rate": Case("Adam", BETAS, "Adam", OURS, changing=True),
    "amsgrad": Case("Adam", BETAS | {"amsgrad": True}, "AMSGrad", OURS),
    "adamw": Case("AdamW", BETAS | {"weight_decay": 0.05}, "AdamW", OURS | {"decay": 0.05}),
    "nadam": Case("NAdam", BETAS, "NAdam", OURS),
    "nadam, psi": Case("NAdam", BETAS | {"momentum_decay": 0.1}, "NAdam", OURS | {"psi": 0.1}),
    "radam": Case("RAdam", BETAS, "RAdam", OURS),
    "adamax": Case("Adamax", BETAS, "AdaMax", OURS),
    "adafactor": Case(
        "Adafactor", {"lr": 0.2, "eps": (1e-4, 1e-3)}, "Adafactor",
        {"lr": 0.2, "eps1": 1e-4, "eps2": 1e-3}, shapes=MIXED,
    ),
    "adafactor, decay": Case(
        "Adafactor", {"lr": 0.05, "weight_decay": 0.1, "d": 2.0, "beta2_decay": -0.5}, "Adafactor",
        {"lr": 0.05, "decay": 0.1, "clip": 2.0, "beta2_decay": -0.5}, shapes=MIXED,
    ),
    "muon": Case("Muon", {"lr": 0.02}, "Muon", {"like": "torch", "lr": 0.02}, shapes=((4, 6),)),
    "muon, tall": Case(
        "Muon", {"lr": 0.02, "weight_decay": 0.0},
        "Muon", {"lr": 0.02, "decay": 0.0, "eps_mode": "floor"},
        shapes=((6, 4),),
    ),
    "muon, as AdamW": Case(
        "Muon", {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw", "nesterov": False, "momentum": 0.8},
        "Muon", {"like": "torch", "lr": 0.02, "adjust": "rms", "nesterov": False, "momentum": 0.8},
        shapes=((6, 4),),
    ),
}  # fmt: skip


def trajectory(case, dtype):
    """θ after the KEPT steps. Muon's own rounding to bfloat16 is taken out: it hides all else."""
    import torch

    torch.set_default_dtype(getattr(torch, np.dtype(dtype).name))  # NAdam's product of μ takes it
    parts = split(start(dtype), case.shapes)
    theta = [torch.nn.Parameter(torch.from_numpy(part)) for part in parts]
    settings = case.settings | ({} if case.peer == "Muon" else {"foreach": False})
    rule = getattr(torch.optim, case.peer)(theta, **settings)

    def step(t, g):
        for parameter, slope in zip(theta, split(g, case.shapes), strict=True):
            parameter.grad = torch.from_numpy(slope)
        rule.param_groups[0]["lr"] = rate(case, settings["lr"], t)
        with patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone):
            rule.step()
        return flat([parameter.detach().numpy() for parameter in theta])

    kept = follow(case, dtype, step)
    torch.set_default_dtype(torch.float32)
    return kept


if __name__ == "__main__":
    np.savez_compressed(path_of("torch"), **everything(CASES, trajectory))
