"""What rules and callbacks remember of a descent, as JSON takes it, and back."""

import json
import re
from typing import Any

import numpy as np

from gdcore.claims import is_number, plain, recalling
from gdcore.errors import require


def forgets(run: Any) -> str | None:
    """What a descent remembers that no snapshot can hold, in words; None where there is nothing."""
    schedule = getattr(run.rate, "schedule", None)
    if forgetful(schedule):
        return f"schedule {text(schedule)}"
    own = [rule for rule in _leaves(run.stop) if not has_state(rule) and not _frozen(rule)]
    kept = [{n: v for n, v in vars(rule).items() if n != "proof"} for rule in own]
    lost = [rule for rule, k in zip(own, kept, strict=True) if not all(map(_plain, k.values()))]
    return f"rule {text(lost[0])}" if lost else None


def forgetful(schedule: Any) -> bool:
    """Whether a schedule, or one that it is made of, observes costs and cannot say what it saw."""
    if not hasattr(schedule, "observe"):
        return False
    parts = schedule._parts() if hasattr(schedule, "_parts") else ()
    return not has_state(schedule) or any(map(forgetful, parts))


def text(value: object) -> str:
    """Its repr, without addresses in memory, by which nothing is known again."""
    return re.sub(" at 0x[0-9a-fA-F]+", "", value if isinstance(value, str) else repr(value))


def written(value: Any) -> str:
    """JSON, in which arrays are lists; of other objects nothing could be given back."""

    def listed(value: Any) -> Any:
        if isinstance(value, (np.ndarray, np.generic)):
            return value.tolist()
        raise TypeError(f"it cannot keep {value!r}")

    try:
        return json.dumps(value, default=listed)
    except (TypeError, ValueError, RecursionError) as error:  # ValueError: a list that holds itself
        raise TypeError(
            f"A checkpoint keeps numbers, texts, lists and dicts by text: {error}. Let state_dict "
            "give such, or pass resume=False."
        ) from error


def _leaves(rule: Any) -> list[Any]:
    """The rules that one is made of."""
    if hasattr(rule, "first") and hasattr(rule, "second"):
        return [*_leaves(rule.first), *_leaves(rule.second)]
    return [] if rule is None else [rule]


def has_state(rule: Any) -> bool:
    """Whether it says itself what it remembers, and takes it back."""
    return hasattr(rule, "state_dict") and hasattr(rule, "load_state_dict")


def _plain(value: object) -> bool:
    return isinstance(value, (bool, int, float))


def _frozen(rule: Any) -> bool:
    params: Any = getattr(rule, "__dataclass_params__", None)
    return params is not None and bool(params.frozen)


def memory(stop: Any) -> list[dict[str, Any]]:
    """What each of the rules has seen so far."""
    return [
        plain(rule.state_dict()) if has_state(rule) else _numbers(rule) for rule in _leaves(stop)
    ]


def _numbers(rule: Any) -> dict[str, Any]:
    return {} if _frozen(rule) else {n: v for n, v in vars(rule).items() if _plain(v)}


def require_memory(stop: Any, kept: Any) -> None:
    """Refuse what is not `memory` of the same rules."""
    rules = _leaves(stop)
    same = isinstance(kept, list) and len(kept) == len(rules)
    for rule, numbers in zip(rules, kept if same else (), strict=False):
        if not has_state(rule):
            same = same and isinstance(numbers, dict) and _fits(rule, numbers)
    require(same, "The checkpoint's stop is of other rules. Pass that of the same run.")


def _fits(rule: Any, numbers: dict[str, Any]) -> bool:
    """Numbers under the names that the rule has, or might have come to; never over its methods."""
    if _frozen(rule):
        return not numbers
    own, plainly = _numbers(rule), (type(v) is bool or is_number(v) for v in numbers.values())
    taken = {*vars(rule), *dir(type(rule))} - own.keys()
    return own.keys() <= numbers.keys() and not taken & numbers.keys() and all(plainly)


def remember(stop: Any, kept: list[dict[str, Any]]) -> None:
    """Give the rules back what they had seen. Changes them."""
    for rule, numbers in zip(_leaves(stop), kept, strict=True):
        if has_state(rule):
            with recalling(f"rule {text(rule)}"):
                rule.load_state_dict(numbers)
        else:
            vars(rule).update(numbers)
