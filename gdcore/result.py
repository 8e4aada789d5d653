"""What a descent returns: SciPy's OptimizeResult in shape, without SciPy."""


class Result(dict):
    """A dict whose keys are attributes too.

    x (θ), fun J(θ), jac ∇J(θ) (the shortest subgradient), nit steps, nfev full evaluations,
    success, status (a `Status`), message (why it stopped, with the number, and the cure), trace,
    optimizer, learning_rate (the last one), batch_size, bound (J(θ) − J* is proven to be at most
    that; infinite where nothing is proven).

    Example
    -------
    >>> from gdcore.result import Result
    >>> Result(fun=1.5).fun
    1.5
    """

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError as error:
            known = ", ".join(self)
            raise AttributeError(f"A Result has no {name!r}. It has {known}.") from error

    __setattr__ = dict.__setitem__
    __delattr__ = dict.__delitem__

    def __repr__(self):
        width = max(map(len, self), default=0)
        return "\n".join(f"{name:>{width}}: {_short(value)}" for name, value in self.items())

    def __dir__(self):
        return [*super().__dir__(), *self]


def _short(value):
    if getattr(value, "ndim", 0) and value.size > 6:
        return f"array of shape {value.shape}, {value.ravel()[:3]} …"
    return value
