"""The estimator that a result is of: looked up while it lives, never kept alive, never pickled."""

import weakref


class Origin:
    """Called, the estimator, else None."""

    def __init__(self, estimator=None):
        self._reference = None if estimator is None else weakref.ref(estimator)

    def __call__(self):
        return None if self._reference is None else self._reference()

    def __reduce__(self):
        return Origin, ()

    def __deepcopy__(self, memo):
        return self

    def __repr__(self):
        return f"Origin({type(self()).__name__})"
