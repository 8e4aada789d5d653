"""Calls of kernels that are looked at once and run as often as wanted, in a row where they can."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any, TypeAlias

Call: TypeAlias = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Compiled kernels' calls. Arrays must stay where they are; numbers are those of now."""

    steps: tuple[Any, ...]
    arguments: tuple[Any, ...]  # steps have but addresses of arrays: they are held here

    def __call__(self) -> None:
        _native()._run_steps(self.steps)

    def draw(self, key: int) -> None:
        """By this key from now on, where it is one call of a kernel that draws random words."""
        _native()._set_key(self.steps[0], key)


def prepared(kernel: Callable[..., Any], *arguments: Any) -> Call:
    """kernel(*arguments) for later; where it is compiled, arguments are looked at here and now."""
    kernel = getattr(kernel, "__wrapped__", kernel)  # by what lets kernels take arrays on devices
    later = getattr(sys.modules[kernel.__module__], f"_later_{kernel.__name__}", None)
    if later is None:
        return partial(kernel, *arguments)
    return Prepared((later(*arguments),), arguments)


@cache
def _native() -> Any:
    return import_module("gdcore._native.steps")  # only where kernels are compiled


def joined(calls: list[Call]) -> list[Call]:
    """The same work in fewer calls: between prepared neighbours there is no interpreter."""
    fewer: list[Call] = []
    for call in calls:
        last = fewer[-1] if fewer else None
        if isinstance(call, Prepared) and isinstance(last, Prepared):
            fewer[-1] = Prepared(last.steps + call.steps, last.arguments + call.arguments)
        else:
            fewer.append(call)
    return fewer
