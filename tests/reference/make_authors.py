"""Make authors.npz: Schedule-Free and Prodigy by their authors' own packages, on PyTorch.

Run by hand with both installed: python -m tests.reference.make_authors
"""

import numpy as np

from tests.reference.problem import Case, everything, follow, path_of, rate, start

BETAS = {"betas": (0.9, 0.99), "eps": 1e-6}
OURS = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-6}
SLOW = {"lr": 0.05, "warmup_steps": 20, "weight_decay": 0.1, "r": 1.0, "weight_lr_power": 1.0}
OUR_SLOW = {"lr": 0.05, "warmup": 20, "decay": 0.1, "r": 1.0, "lr_power": 1.0}
FAR = {"d0": 1e-2, "d_coef": 0.2}  # it comes to rest at 1e-2 … 1
CASES = {
    "schedule-free sgd": Case(
        "SGDScheduleFree", {"lr": 0.1}, "ScheduleFreeSGD", {"lr": 0.1}, average=True
    ),
    "schedule-free sgd, warm-up": Case(
        "SGDScheduleFree",
        SLOW | {"momentum": 0.8},
        "ScheduleFreeSGD",
        OUR_SLOW | {"momentum": 0.8},
        average=True,
    ),
    "schedule-free adamw": Case(
        "AdamWScheduleFree",
        BETAS | {"lr": 0.1},
        "ScheduleFreeAdamW",
        OURS | {"lr": 0.1},
        average=True,
    ),
    "schedule-free adamw, warm-up": Case(
        "AdamWScheduleFree", BETAS | SLOW, "ScheduleFreeAdamW", OURS | OUR_SLOW, average=True
    ),
    "schedule-free adamw, falling rate": Case(
        "AdamWScheduleFree",
        BETAS | {"lr": 0.1},
        "ScheduleFreeAdamW",
        OURS | {"lr": 0.1},
        average=True,
        changing=True,
    ),
    "prodigy": Case("Prodigy", BETAS | FAR, "Prodigy", OURS | FAR, drift=True),
    "prodigy, corrected": Case(
        "Prodigy",
        BETAS | {"use_bias_correction": True, "weight_decay": 0.05} | FAR,
        "Prodigy",
        OURS | {"bias_correction": True, "decay": 0.05} | FAR,
        drift=True,
    ),
    "prodigy, safeguarded": Case(
        "Prodigy",
        BETAS | {"safeguard_warmup": True, "lr": 0.5, "d0": 1e-2, "d_coef": 0.5},
        "Prodigy",
        OURS | {"safeguard_warmup": True, "lr": 0.5, "d0": 1e-2, "d_coef": 0.5},
        drift=True,
        changing=True,
    ),
}


def trajectory(case, dtype):
    """θ after the KEPT steps, and beside it the average that Schedule-Free answers with."""
    import prodigyopt
    import schedulefree
    import torch

    theta = torch.nn.Parameter(torch.from_numpy(start(dtype)))
    if case.average:
        rule = getattr(schedulefree, case.peer)([theta], foreach=False, **case.settings)
        rule.train()
    else:
        rule = getattr(prodigyopt, case.peer)([theta], **case.settings)
    lr = case.settings.get("lr", 1.0)

    def step(t, g):
        theta.grad = torch.from_numpy(g.copy())
        rule.param_groups[0]["lr"] = rate(case, lr, t)
        rule.step()
        point = theta.detach().numpy().copy()
        if not case.average:
            return point
        z = rule.state[theta]["z"].numpy()
        beta = case.settings.get("momentum", 0.9)
        # eval() by hand: there and back again it would round θ.
        return np.concatenate([point, point + (1 - 1 / beta) * (z - point)])

    return follow(case, dtype, step)


if __name__ == "__main__":
    np.savez_compressed(path_of("authors"), **everything(CASES, trajectory))
