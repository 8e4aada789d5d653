"""What the arguments of GPT.fit stand for: budgets, an optimizer, a schedule."""

from dataclasses import replace

from gdcore import optim
from gdcore.errors import require, require_choice, require_number
from gdcore.schedules import Constant, WarmUpCosine

WARMUP, FLOOR = 100, 0.1  # of the automatic schedule: steps, at most a tenth of all; last factor
DECAY, BETA2 = 0.1, 0.99  # of the automatic AdamW


def require_budgets(budgets, clip_norm, patience):
    """Refuse what counts nothing."""
    for name, value in budgets.items():
        require_number(name, value, low=1, whole=True)
    if clip_norm is not None:
        require_number("clip_norm", clip_norm, low=0, above=True)
    if patience is not None:
        require_number("patience", patience, low=1, whole=True)


def rule_for(optimizer, rate):
    """The optimizer behind an argument."""
    if isinstance(optimizer, optim.Optimizer):
        rule = optimizer
    else:
        require_number("learning_rate", rate, low=0, above=True)
        require_choice("optimizer", optimizer, ["auto", *map(str.lower, optim.__all__)])
        if optimizer == "auto":
            return optim.AdamW(rate, beta2=BETA2, decay=DECAY)
        rule = replace(optim.by_name(optimizer)(), lr=rate)
    require(
        not (rule.full_batch or rule.searches),
        f"{type(rule).__name__} needs the gradient of one and the same cost at each step, and "
        "each step here sees other windows. Pass another optimizer, as 'adamw'.",
    )
    return rule


def schedule_for(schedule, max_steps):
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
