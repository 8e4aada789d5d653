"""The estimator that a result is of: looked up while it lives, never kept alive, never pickled."""

import weakref
from typing import Any, Self


class Origin:
    """Called, the estimator, else None."""

    def __init__(self, estimator: Any = None) -> None:
        self._reference = None if estimator is None else weakref.ref(estimator)

    def __call__(self) -> Any:
        return None if self._reference is None else self._reference()

    def __reduce__(self) -> "tuple[type[Origin], tuple[()]]":
        return Origin, ()

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __repr__(self) -> str:
        return f"Origin({type(self()).__name__})"
