"""Optimizers: direction rules with frozen hyper-parameters and state in plain arrays."""

from gdcore.optim.adam import Adam, AdamW
from gdcore.optim.adaptive import AdaGrad, RMSProp
from gdcore.optim.base import Optimizer as Optimizer
from gdcore.optim.descent import FISTA, SGD, Momentum, Nesterov

__all__ = ["FISTA", "SGD", "AdaGrad", "Adam", "AdamW", "Momentum", "Nesterov", "RMSProp"]


def by_name(name):
    """The class behind a name in lower case, as "adam".

    Example
    -------
    >>> import gdcore as gd
    >>> gd.optim.by_name("adam").__name__
    'Adam'
    """
    from gdcore.errors import require_choice

    classes = {each.lower(): globals()[each] for each in __all__}
    require_choice("optimizer", name, list(classes))
    return classes[name]
