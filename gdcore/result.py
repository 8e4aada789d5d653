"""What a descent returns: SciPy's OptimizeResult in shape, without SciPy."""

from importlib import import_module

HIDDEN = ("settings", "origin", "safe_rate", "automatic")  # from what is printed


class Result(dict):
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

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError as error:
            known = ", ".join(self)
            raise AttributeError(f"A Result has no {name!r}. It has {known}.") from error

    __setattr__ = dict.__setitem__
    __delattr__ = dict.__delitem__

    def __repr__(self):
        shown = {name: value for name, value in self.items() if name not in HIDDEN}
        width = max(map(len, shown), default=0)
        return "\n".join(f"{name:>{width}}: {_short(value)}" for name, value in shown.items())

    def report(self, path, title=None):
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

    def _repr_html_(self):
        """For notebooks: the same without the versions."""
        if "trace" not in self:
            return f"<pre>{self!r}</pre>"
        return _report().section(self)

    def _name(self):
        return self.get("settings", {}).get("estimator", "Descent")

    def __dir__(self):
        return [*super().__dir__(), *self]


def _report():
    # Floors above: the page reads results, and a result only has to know where the page is.
    return import_module("gdcore.diagnose.report")


def _short(value):
    if getattr(value, "ndim", 0) and value.size > 6:
        return f"array of shape {value.shape}, {value.ravel()[:3]} …"
    return value
