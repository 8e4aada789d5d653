"""What the arguments of GPT.fit stand for: budgets, an optimizer, a schedule."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, TypeAlias

import numpy as np

from gdcore import optim
from gdcore.errors import require, require_choice, require_flag, require_number
from gdcore.optim.base import Optimizer
from gdcore.schedules import Constant, WarmUpCosine

DTYPES = {"float32": np.float32, "float64": np.float64}
SHAPING = (
    "n_layer", "n_head", "n_embd", "block_size", "dropout", "positions", "tied", "bias",
    "activation", "n_inner", "eps", "recompute", "dtype",
)  # fmt: skip
WARMUP, FLOOR = 100, 0.1  # of the automatic schedule: steps, at most a tenth of all; last factor
DECAY, BETA2 = 0.1, 0.99  # of the automatic AdamW

Schedule: TypeAlias = Callable[[int], float]


def require_budgets(
    budgets: dict[str, int], clip_norm: float | None, patience: int | None, **flags: bool
) -> None:
    """Refuse what counts nothing."""
    for name, flag in flags.items():
        require_flag(name, flag)
    for name, value in budgets.items():
        require_number(name, value, low=1, whole=True)
    if clip_norm is not None:
        require_number("clip_norm", clip_norm, low=0, above=True)
    if patience is not None:
        require_number("patience", patience, low=1, whole=True)


def require_shape(gpt: Any) -> None:
    """Refuse sizes that no network has."""
    require_choice("dtype", gpt.dtype, list(DTYPES))
    for name in ("tied", "bias", "recompute"):
        require_flag(name, getattr(gpt, name))
    for name in ("n_layer", "n_head", "n_embd", "block_size"):
        require_number(name, getattr(gpt, name), low=1, whole=True)
    if gpt.n_inner is not None:
        require_number("n_inner", gpt.n_inner, low=1, whole=True)
    if gpt.random_state is not None:
        require_number("random_state", gpt.random_state, low=0, whole=True)
    require(
        gpt.n_embd % gpt.n_head == 0,
        f"n_embd must be a multiple of n_head, got {gpt.n_embd} and {gpt.n_head}. Pass "
        "another of the two.",
    )


def rule_for(optimizer: str | Optimizer, rate: float) -> Optimizer:
    """The optimizer behind an argument."""
    if isinstance(optimizer, optim.Optimizer):
        rule = optimizer
    else:
        require_number("learning_rate", rate, low=0, above=True)
        require_choice("optimizer", optimizer, ["auto", *map(str.lower, optim.__all__)])
        if optimizer == "auto":
            return optim.AdamW(rate, beta2=BETA2, decay=DECAY)
        made: Any = optim.by_name(optimizer)()
        rule = replace(made, lr=rate)
    require(
        not (rule.full_batch or rule.searches),
        f"{type(rule).__name__} needs the gradient of one and the same cost at each step, and "
        "each step here sees other windows. Pass another optimizer, as 'adamw'.",
    )
    return rule


def schedule_for(schedule: Schedule | str | None, max_steps: int) -> Schedule:
    """A callable step → factor."""
    if schedule is None:
        return Constant()
    if isinstance(schedule, str):
        require_choice("schedule", schedule, ["auto"])
        warmup = min(WARMUP, max_steps // 10)
        return WarmUpCosine(steps=max_steps, warmup=warmup, floor=FLOOR)
    if not callable(schedule) or isinstance(schedule, (type, optim.Optimizer)):
        raise TypeError(
            f"schedule must be a callable step → factor, got {schedule!r}. Pass one of "
            "gd.schedules, 'auto' or None."
        )
    return schedule


def settings_of(gpt: Any, rule: Any, factor: Any) -> dict[str, Any]:
    """What callbacks hear of as set: parameters, and the rules of this fit."""
    given = {each.name: getattr(gpt, each.name) for each in fields(gpt)}
    return given | {"optimizer": rule, "schedule": factor}
