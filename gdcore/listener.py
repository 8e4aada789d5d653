"""A callback of `minimize` in SciPy's manner, as the loop calls it."""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gdcore.errors import require
from gdcore.objective import Layout
from gdcore.result import Result

if TYPE_CHECKING:
    from gdcore.status import Moment


def listener(
    callback: Callable[..., object] | None, layout: Layout
) -> "Callable[[Moment], Any] | None":
    """The user's callback as `descend` calls it, or None."""
    if callback is None:
        return None
    require(callable(callback), f"callback must be callable, got {callback!r}. Pass a function.")
    try:
        names = list(inspect.signature(callback).parameters)
    except (TypeError, ValueError):
        names = []
    whole = names == ["intermediate_result"]

    def call(moment: "Moment") -> Any:
        if moment.step == 0:
            return None  # after each step, as SciPy
        x = layout.build(moment.theta)
        try:
            if whole:
                return callback(intermediate_result=Result(x=x, fun=moment.cost, nit=moment.step))
            return callback(x)
        except StopIteration:
            return True

    return call
