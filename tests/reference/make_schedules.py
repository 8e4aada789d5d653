"""Make schedules.npz: factors of PyTorch's learning-rate schedulers, step by step.

Run by hand with PyTorch installed: python -m tests.reference.make_schedules
"""

from pathlib import Path

import numpy as np

import gdcore as gd

S = gd.schedules
# Case: (PyTorch's class, its settings, steps compared, gdcore's schedule). PyTorch's cosine rises
# again after its end, and its one-cycle ends in an error: no longer than that.
CASES = {
    "constant": ("ConstantLR", {"factor": 0.5, "total_iters": 99}, 20, S.Constant(0.5)),
    "linear": (
        "LinearLR",
        {"start_factor": 0.25, "end_factor": 0.75, "total_iters": 12},
        20,
        S.Linear(steps=12, start=0.25, end=0.75),
    ),
    "step": ("StepLR", {"step_size": 4, "gamma": 0.5}, 20, S.Step(every=4, rate=0.5)),
    "multi-step": (
        "MultiStepLR",
        {"milestones": [3, 11], "gamma": 0.1},
        20,
        S.MultiStep(at=[3, 11], rate=0.1),
    ),
    "exponential": ("ExponentialLR", {"gamma": 0.9}, 20, S.Exponential(0.9)),
    "polynomial": (
        "PolynomialLR",
        {"total_iters": 13, "power": 1.5},
        20,
        S.Polynomial(steps=13, power=1.5),
    ),
    "cosine": ("CosineAnnealingLR", {"T_max": 17, "eta_min": 0.1}, 18, S.Cosine(17, floor=0.1)),
    "restarts": (
        "CosineAnnealingWarmRestarts",
        {"T_0": 5, "T_mult": 1, "eta_min": 0.05},
        23,
        S.CosineRestarts(5, floor=0.05),
    ),
    "restarts that grow": (
        "CosineAnnealingWarmRestarts",
        {"T_0": 3, "T_mult": 2},
        60,
        S.CosineRestarts(3, growth=2),
    ),
    "one-cycle": ("OneCycleLR", {"max_lr": 1.0, "total_steps": 30}, 30, S.OneCycle(steps=30)),
    "one-cycle, linear": (
        "OneCycleLR",
        {
            "max_lr": 1.0,
            "total_steps": 25,
            "pct_start": 0.37,
            "anneal_strategy": "linear",
            "div_factor": 10,
            "final_div_factor": 20,
        },
        25,
        S.OneCycle(steps=25, rise=0.37, start=0.1, floor=0.005, shape="linear"),
    ),
}
COSTS = [5, 4, 4.1, 4, 4, 3.99995, 4, 3.9, 4, 4, 4, 4, 4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 3, 3]
PLATEAU = {"patience": 2, "cooldown": 1}


def _optimizer():
    import torch

    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)


def factors(case):
    """The learning rates of the steps 0, 1 …, where the optimizer's own is 1."""
    import torch

    name, settings, steps, _ = CASES[case]
    rule, rates = _optimizer(), []
    scheduler = getattr(torch.optim.lr_scheduler, name)(rule, **settings)
    for t in range(steps):
        rates.append(rule.param_groups[0]["lr"])
        rule.step()
        if t + 1 < steps:
            scheduler.step()
    return np.array(rates)


def warm_up_and_cosine():
    """LinearLR from 1/5 to 1, then CosineAnnealingLR over 15 steps, by SequentialLR."""
    from torch.optim import lr_scheduler

    rule, rates = _optimizer(), []
    rise = lr_scheduler.LinearLR(rule, start_factor=0.2, end_factor=1.0, total_iters=4)
    fall = lr_scheduler.CosineAnnealingLR(rule, T_max=15)
    scheduler = lr_scheduler.SequentialLR(rule, [rise, fall], milestones=[5])
    for _ in range(21):
        rates.append(rule.param_groups[0]["lr"])
        rule.step()
        scheduler.step()
    return np.array(rates)


def plateau():
    """ReduceLROnPlateau's rate after each of COSTS."""
    import torch

    rule, rates = _optimizer(), []
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(rule, factor=0.5, min_lr=0.1, **PLATEAU)
    for cost in COSTS:
        scheduler.step(cost)
        rates.append(rule.param_groups[0]["lr"])
    return np.array(rates)


def everything():
    """{case: factors}."""
    made = {case: factors(case) for case in CASES}
    return made | {"warm-up, cosine": warm_up_and_cosine(), "plateau": plateau()}


if __name__ == "__main__":
    np.savez_compressed(Path(__file__).with_name("schedules.npz"), **everything())
