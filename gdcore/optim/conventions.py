"""One formula, four conventions: `like="torch"`, "optax", "keras" or "sklearn" sets them together.

Libraries differ in where ε stands, in what a buffer holds, in how accumulators start and in the
defaults. Each difference is a keyword of the rule; `like` fills in a library's answers, and what
is given beside it wins.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from gdcore.errors import require_choice

T = TypeVar("T")

if TYPE_CHECKING:

    @dataclass(frozen=True)
    class Like:
        like: str | None = field(default=None, kw_only=True)
else:

    class Like:
        """A rule that is made `like` a library's, as `conventions` lets it; for type checkers."""


def conventions(**libraries: dict[str, Any]) -> Callable[[T], T]:
    """A decorator for a rule's dataclass: {library: {keyword: value}}.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.optim.Adam(like="keras", lr=0.01)
    Adam(lr=0.01, beta1=0.9, beta2=0.999, eps=1e-07, eps_mode='hat')
    """

    def decorate(rule: Any) -> Any:
        plain = rule.__init__
        names = [each.name for each in fields(rule)]

        @functools.wraps(plain)
        def __init__(self: Any, *args: Any, like: str | None = None, **given: Any) -> None:
            if like is not None:
                require_choice("like", like, list(libraries))
                taken = names[: len(args)]
                given = {k: v for k, v in libraries[like].items() if k not in taken} | given
            plain(self, *args, **given)

        signature = inspect.signature(plain)
        like = inspect.Parameter("like", inspect.Parameter.KEYWORD_ONLY, default=None)
        parameters = [*signature.parameters.values(), like]
        rule.__init__ = __init__
        rule.__init__.__signature__ = signature.replace(parameters=parameters)
        rule.conventions = libraries
        return rule

    return decorate
