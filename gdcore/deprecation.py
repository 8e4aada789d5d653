"""Names on their way out: they go on to work, and say once what to use instead.

The policy is in CONTRIBUTING.md; what has gone is listed in tests/trust/gone.txt.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])
_told: set[str] = set()


def tell(what: str, instead: str, *, since: str, until: str, stacklevel: int = 3) -> None:
    """Warn that `what` leaves, the first time in this process; a FutureWarning, for users see it.

    Example
    -------
    >>> import warnings
    >>> from gdcore.deprecation import tell
    >>> with warnings.catch_warnings(record=True) as told:
    ...     warnings.simplefilter("always")
    ...     tell("gd.descent", "gd.descend", since="0.3", until="0.5")
    >>> print(told[0].message)
    gd.descent is deprecated since gdcore 0.3 and leaves with 0.5. Use gd.descend instead.
    """
    if what not in _told:
        _told.add(what)
        text = f"{what} is deprecated since gdcore {since} and leaves with {until}."
        warnings.warn(f"{text} Use {instead} instead.", FutureWarning, stacklevel=stacklevel)


def deprecated(instead: str, *, since: str, until: str) -> Callable[[Function], Function]:
    """A decorator for a function or method that leaves; what it does stays the same.

    Example
    -------
    >>> import warnings
    >>> from gdcore.deprecation import deprecated
    >>> @deprecated("sum", since="0.3", until="0.5")
    ... def total(values):
    ...     return sum(values)
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     total([1, 2])
    3
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def leaving(*args: Any, **given: Any) -> Any:
            tell(f"{function.__qualname__}()", instead, since=since, until=until)
            return function(*args, **given)

        return cast(Function, leaving)

    return decorate


def renamed(*, since: str, until: str, **names: str) -> Callable[[Function], Function]:
    """A decorator for a function some of whose keywords have new names: `renamed(old="new", …)`.

    Both at once are an error, as the same argument given twice.

    Example
    -------
    >>> import warnings
    >>> from gdcore.deprecation import renamed
    >>> @renamed(step_size="lr", since="0.3", until="0.5")
    ... def step(lr=0.1):
    ...     return lr
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     step(step_size=0.5)
    0.5
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def renaming(*args: Any, **given: Any) -> Any:
            for old in names.keys() & given.keys():
                new, where = names[old], function.__qualname__
                tell(f"{where}({old}=…)", f"{new}=…", since=since, until=until)
                if new in given:
                    raise TypeError(
                        f"{where} got {new} under its old name {old}, too. Pass {new} alone."
                    )
                given[new] = given.pop(old)
            return function(*args, **given)

        return cast(Function, renaming)

    return decorate
