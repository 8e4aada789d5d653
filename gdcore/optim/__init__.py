"""Optimizers: direction rules with frozen hyper-parameters and state in plain arrays.

`__all__` holds the rules; beside them stand what is chained around a rule (`chain`, ClipNorm,
EMA …), `SparseGradient` and `Updater`. Names are loaded when they are first asked for: twenty
files of dataclasses would take longer to import than NumPy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdcore.optim.adam import Adam, AdamW, AMSGrad
    from gdcore.optim.adam_kin import AdaMax, Lion, NAdam, RAdam
    from gdcore.optim.adaptive import AdaDelta, AdaGrad, RMSProp
    from gdcore.optim.adgd import AdGD
    from gdcore.optim.automatic import DoWG, Polyak, Prodigy
    from gdcore.optim.averages import EMA as EMA
    from gdcore.optim.averages import Lookahead as Lookahead
    from gdcore.optim.averages import PolyakAverage as PolyakAverage
    from gdcore.optim.base import Optimizer as Optimizer
    from gdcore.optim.base import Rule as Rule
    from gdcore.optim.bind import Updater as Updater
    from gdcore.optim.chained import Chain as Chain
    from gdcore.optim.chained import chain as chain
    from gdcore.optim.descent import SGD, Momentum, Nesterov
    from gdcore.optim.fista import FISTA
    from gdcore.optim.lbfgs import LBFGS
    from gdcore.optim.matrix import Adafactor, Muon
    from gdcore.optim.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD
    from gdcore.optim.sparse import SparseGradient as SparseGradient
    from gdcore.optim.transforms import Accumulate as Accumulate
    from gdcore.optim.transforms import AdaptiveClip as AdaptiveClip
    from gdcore.optim.transforms import ClipNorm as ClipNorm
    from gdcore.optim.transforms import ClipValue as ClipValue
    from gdcore.optim.transforms import Decay as Decay
    from gdcore.optim.transforms import Noise as Noise
    from gdcore.optim.transforms import SkipNonFinite as SkipNonFinite
    from gdcore.optim.transforms import Transform as Transform
    from gdcore.optim.transforms import ZeroNonFinite as ZeroNonFinite

_FILES = {  # file: the names it gives
    "adam": "AMSGrad Adam AdamW",
    "adam_kin": "AdaMax Lion NAdam RAdam",
    "adaptive": "AdaDelta AdaGrad RMSProp",
    "adgd": "AdGD",
    "automatic": "DoWG Polyak Prodigy",
    "averages": "EMA Lookahead PolyakAverage",
    "base": "Optimizer Rule",
    "bind": "Updater",
    "chained": "Chain chain",
    "descent": "Momentum Nesterov SGD",
    "fista": "FISTA",
    "lbfgs": "LBFGS",
    "matrix": "Adafactor Muon",
    "schedule_free": "ScheduleFreeAdamW ScheduleFreeSGD",
    "sparse": "SparseGradient",
    "transforms": "Accumulate AdaptiveClip ClipNorm ClipValue Decay Noise SkipNonFinite Transform "
    "ZeroNonFinite",
}
_HOMES = {name: file for file, names in _FILES.items() for name in names.split()}

__all__ = [
    "FISTA",
    "LBFGS",
    "SGD",
    "AMSGrad",
    "AdGD",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adafactor",
    "Adam",
    "AdamW",
    "DoWG",
    "Lion",
    "Momentum",
    "Muon",
    "NAdam",
    "Nesterov",
    "Polyak",
    "Prodigy",
    "RAdam",
    "RMSProp",
    "ScheduleFreeAdamW",
    "ScheduleFreeSGD",
]

if TYPE_CHECKING:  # public as well, but no rules
    __all__ += [
        "EMA", "Accumulate", "AdaptiveClip", "Chain", "ClipNorm", "ClipValue", "Decay",
        "Lookahead", "Noise", "Optimizer", "PolyakAverage", "Rule", "SkipNonFinite",
        "SparseGradient", "Transform", "Updater", "ZeroNonFinite", "chain",
    ]  # fmt: skip


def _load(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'gdcore.optim' has no attribute {name!r}")
    value = getattr(import_module(f"gdcore.optim.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # to whom other names are mistakes
    __getattr__ = _load


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def by_name(name: str) -> "type[Optimizer]":
    """The class behind a name in lower case, as "adam".

    Example
    -------
    >>> import gdcore as gd
    >>> gd.optim.by_name("adam").__name__
    'Adam'
    """
    from gdcore.errors import require_choice

    names = {each.lower(): each for each in __all__}
    require_choice("optimizer", name, list(names))
    found: type[Optimizer] = globals().get(names[name]) or _load(names[name])
    return found
