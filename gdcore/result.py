"""What a descent returns: SciPy's OptimizeResult in shape, without SciPy."""

import math
from collections.abc import Callable, Iterable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic

import numpy as np

from gdcore._typing import Array, PathLike
from gdcore.status import Status

if TYPE_CHECKING:  # a TypeVar has a default from Python 3.13 on
    from typing_extensions import TypeVar

    from gdcore.optim.base import Optimizer
    from gdcore.trace import Trace

    Tree = TypeVar("Tree", default=Array)
else:
    from typing import TypeVar

    Tree = TypeVar("Tree")

HIDDEN = ("settings", "origin", "safe_rate", "automatic")  # from what is printed


class Result(dict[str, Any], Generic[Tree]):
    """A dict whose keys are attributes too.

    x (θ), fun J(θ), jac ∇J(θ) (the shortest subgradient), nit steps, nfev full evaluations,
    success, status (a `Status`), message (why it stopped, with the number, and the cure), trace,
    optimizer, learning_rate (the last one), batch_size, bound (J(θ) − J* is proven to be at most
    that; infinite where nothing is proven); of an estimator's fit also settings {name: text}.

    Example
    -------
    >>> from gdcore.result import Result
    >>> Result(fun=1.5).fun
    1.5
    """

    x: Tree
    fun: float
    jac: Tree
    nit: int
    nfev: int
    njev: int  # of `minimize`, as restarts and curvature
    success: bool
    status: "Status"
    message: str
    trace: "Trace"
    optimizer: "Optimizer | str"
    learning_rate: float
    batch_size: int
    bound: float
    settings: dict[str, str]
    restarts: Any
    curvature: tuple[float, float]
    automatic: bool
    safe_rate: float
    choice: str
    separable: bool
    origin: Any

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            known = ", ".join(self)
            raise AttributeError(f"A Result has no {name!r}. It has {known}.") from error

    __setattr__ = dict.__setitem__
    __delattr__ = dict.__delitem__

    def __repr__(self) -> str:
        shown = {name: value for name, value in self.items() if name not in HIDDEN}
        width = max(map(len, shown), default=0)
        return "\n".join(f"{name:>{width}}: {_short(value)}" for name, value in shown.items())

    def report(self, path: PathLike, title: str | None = None) -> None:
        """Write a page about the descent: the doctor's verdict, pictures, numbers, settings.

        One HTML file that needs no network and nothing beside it; pictures take matplotlib
        (gdcore[plot]). A file that is there is replaced.

        Example
        -------
        >>> import gdcore as gd
        >>> result = gd.minimize(lambda x: (x @ x, 2 * x), [3.0, 4.0])
        >>> result.report("run.html")
        """
        _report().write({title or self._name(): self}, path, title)

    def _repr_html_(self) -> str:
        """For notebooks: the same without the versions."""
        if "trace" not in self:
            return f"<pre>{self!r}</pre>"
        return str(_report().section(self))

    def _name(self) -> str:
        return str(self.get("settings", {}).get("estimator", "Descent"))

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]


def _report() -> ModuleType:
    # Floors above: the page reads results, and a result only has to know where the page is.
    return import_module("gdcore.diagnose.report")


def _short(value: Any) -> Any:
    shape = tuple(getattr(value, "shape", ()))
    if math.prod(shape) <= 6 or not shape:
        return value
    begin = f", {value.ravel()[:3]} …" if isinstance(value, np.ndarray) else ""  # a device's: no
    return f"array of shape {shape}{begin}"


def until_interrupted(
    run: Callable[[int, Any], Result[Tree]], starts: Iterable[Any]
) -> tuple[list[Result[Tree]], Status | None]:
    """(results of run(number, start), INTERRUPTED or LOST where that ended them): what ends one
    ends all. They come from no generator, so that a StopIteration of the user's leaves as it came.
    """
    found: list[Result[Tree]] = []
    ended = None
    try:
        for number, start in enumerate(starts):
            result = run(number, start)
            found.append(result)
            if result.status in (Status.INTERRUPTED, Status.LOST):
                ended = result.status
                break
    except KeyboardInterrupt:  # before a run had anything to show: earlier ones are kept
        if not found:
            raise
        ended = Status.INTERRUPTED
    return found, ended


def interrupt(best: Result[Any], status: Status) -> None:
    """Say of the best of several runs that those to come were not made. Changes it."""
    if best.status is not status:
        best.update(status=status, success=False, message=f"{best.message} {status.value}")
