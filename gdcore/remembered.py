"""What rules, schedules and generators remember of a descent, as JSON takes it."""

import re
from typing import Any

import numpy as np


def forgets(run: Any) -> str | None:
    """What a descent remembers that no snapshot can hold, in words; None where there is nothing."""
    schedule = getattr(run.rate, "schedule", None)
    if hasattr(schedule, "observe") and not _has_state(schedule):
        return f"schedule {text(schedule)}"
    own = [rule for rule in _leaves(run.stop) if not _has_state(rule) and not _frozen(rule)]
    kept = [{n: v for n, v in vars(rule).items() if n != "proof"} for rule in own]
    lost = [rule for rule, k in zip(own, kept, strict=True) if not all(map(_plain, k.values()))]
    return f"rule {text(lost[0])}" if lost else None


def text(value: object) -> str:
    """Its repr, without addresses in memory, by which nothing is known again."""
    return re.sub(" at 0x[0-9a-fA-F]+", "", value if isinstance(value, str) else repr(value))


def plain(value: Any) -> Any:
    """The state of a generator as JSON takes it: arrays become lists."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def from_plain(value: Any) -> Any:
    """The same, with arrays again."""
    if isinstance(value, dict):
        return {name: from_plain(item) for name, item in value.items()}
    return np.array(value, np.uint64) if isinstance(value, list) else value


def _leaves(rule: Any) -> list[Any]:
    """The rules that one is made of."""
    if hasattr(rule, "first") and hasattr(rule, "second"):
        return [*_leaves(rule.first), *_leaves(rule.second)]
    return [] if rule is None else [rule]


def _has_state(rule: Any) -> bool:
    return hasattr(rule, "state_dict") and hasattr(rule, "load_state_dict")


def _plain(value: object) -> bool:
    return isinstance(value, (bool, int, float))


def _frozen(rule: Any) -> bool:
    params: Any = getattr(rule, "__dataclass_params__", None)
    return params is not None and bool(params.frozen)


def memory(stop: Any) -> list[dict[str, Any]]:
    """What each of the rules has seen so far."""
    found = []
    for rule in _leaves(stop):
        if _has_state(rule):
            found.append(plain(rule.state_dict()))
        else:
            numbers = {n: v for n, v in vars(rule).items() if _plain(v)}
            found.append({} if _frozen(rule) else numbers)
    return found


def remember(stop: Any, kept: list[dict[str, Any]] | None) -> None:
    """Give the rules back what they had seen. Changes them."""
    for rule, numbers in zip(_leaves(stop), kept or [], strict=False):
        if _has_state(rule):
            rule.load_state_dict(numbers)
        elif not _frozen(rule):
            vars(rule).update({n: v for n, v in numbers.items() if n in vars(rule)})
