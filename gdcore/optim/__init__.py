"""Optimizers: direction rules with frozen hyper-parameters and state in plain arrays.

`__all__` holds the rules; beside them stand what is chained around a rule (`chain`, ClipNorm,
EMA …), `SparseGradient` and `Updater`.
"""

from gdcore.optim.adam import Adam, AdamW, AMSGrad
from gdcore.optim.adam_kin import AdaMax, Lion, NAdam, RAdam
from gdcore.optim.adaptive import AdaDelta, AdaGrad, RMSProp
from gdcore.optim.automatic import DoWG, Polyak, Prodigy
from gdcore.optim.averages import EMA as EMA
from gdcore.optim.averages import Lookahead as Lookahead
from gdcore.optim.averages import PolyakAverage as PolyakAverage
from gdcore.optim.base import Optimizer as Optimizer
from gdcore.optim.base import Rule as Rule
from gdcore.optim.bind import Updater as Updater
from gdcore.optim.chain import Chain as Chain
from gdcore.optim.chain import chain as chain
from gdcore.optim.descent import SGD, Momentum, Nesterov
from gdcore.optim.fista import FISTA
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

__all__ = [
    "FISTA",
    "SGD",
    "AMSGrad",
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
