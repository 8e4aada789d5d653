"""The user's arrays, looked at before they are bound, and their groups of hyper-parameters."""

from collections.abc import Iterator
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.errors import require
from gdcore.optim.base import Groups
from gdcore.optim.tree import Tree, leaves


def checked(params: Tree) -> Iterator[tuple[str, Array]]:
    """(path, array) of everything that is to be moved."""
    seen, paths = [], set()
    for path, array in leaves(params):
        name = f"params[{path!r}]" if path else "params"
        odd = isinstance(array, (np.matrix, np.ma.MaskedArray))  # with an arithmetic of their own
        if odd or not isinstance(array, np.ndarray):
            raise TypeError(
                f"{name} must be a NumPy array, to be moved in place, got {type(array).__name__}. "
                "Pass numpy.asarray(…) and keep it."
            )
        if array.dtype.char not in "fd" or not array.dtype.isnative:
            raise ValueError(
                f"{name} must be float32 or float64, got {array.dtype}. Convert it with astype."
            )
        if not array.flags.writeable:
            raise ValueError(f"{name} is read-only, so it cannot be moved. Pass a copy.")
        if path in paths:
            raise ValueError(f"{name} names two arrays. Choose keys without dots and of one type.")
        paths.add(path)
        seen.append((path, array))
        yield path, array
    _require_apart(seen)
    require(seen, "params holds no array. Pass at least one.")


def _require_apart(named: list[tuple[str, Array]]) -> None:
    """Refuse arrays that share memory: what they share would move twice."""
    spans = []
    for path, array in named:
        reach = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
        first = array.__array_interface__["data"][0]
        if array.size:
            low, high = (first + sum(f(0, r) for r in reach) for f in (min, max))
            spans.append((low, high + array.itemsize, path, array))
    spans.sort(key=lambda span: span[0])
    for number, (_, end, path, array) in enumerate(spans):
        for low, _, other, view in spans[number + 1 :]:
            if low >= end:
                break
            if np.shares_memory(array, view):
                raise ValueError(
                    f"params[{path!r}] and params[{other!r}] share memory, which would move twice. "
                    "Pass it once."
                )


def grouped(
    rule: Any, named: dict[str, Array], groups: Groups
) -> list[tuple[Any, dict[str, Array]]]:
    """(rule, its arrays by path) by the first pattern that matches and by dtype; None stays out."""
    _require_groups(rule, groups)
    sorted_in: dict[Any, dict[str, Array]] = {}
    used = set()
    for path, array in named.items():
        pattern = next((each for each in groups if fnmatchcase(path, each)), None)
        used.add(pattern)
        if pattern is None or groups[pattern] is not None:
            sorted_in.setdefault((pattern, array.dtype.char), {})[path] = array
    for pattern in groups:
        require(
            any(fnmatchcase(path, pattern) for path in named),
            f"groups[{pattern!r}] matches no array of {', '.join(map(repr, named))}. "
            "Correct the pattern.",
        )
        require(
            pattern in used,
            f"groups[{pattern!r}] is never reached: an earlier pattern matches all of its arrays. "
            "Put it first.",
        )
    require(sorted_in, "groups leave no array to move. Give one of them hyper-parameters.")
    return [
        (replace(rule, **groups[pattern] or {}) if pattern is not None else rule, arrays)
        for (pattern, _), arrays in sorted_in.items()
    ]


def _require_groups(rule: Any, groups: Groups) -> None:
    if not isinstance(groups, dict):
        raise TypeError(f'groups must be a dict, got {groups!r}. Pass {{"*.bias": {{"lr": 0.1}}}}.')
    known = {field.name for field in fields(rule)}
    for pattern, changes in groups.items():
        if not isinstance(pattern, str) or not (changes is None or isinstance(changes, dict)):
            raise TypeError(
                f"groups must map patterns to dicts of hyper-parameters, got {pattern!r}: "
                f'{changes!r}. Pass {{"*.bias": {{"lr": 0.1}}}}.'
            )
        unknown = sorted(set(changes or {}) - known)
        require(
            not unknown,
            f"groups[{pattern!r}] names {unknown[0] if unknown else ''!r}, which "
            f"{type(rule).__name__} does not have. Choose from {', '.join(sorted(known))}.",
        )
