"""Step length as a function of the step t = 0, 1, 2 …: each schedule is a callable t → factor ≥ 0.

The factor multiplies the optimizer's learning rate. Schedules take an array of steps too, join by
`a.then(b, after=steps)`, and compare, print and pickle by their settings.
"""

from gdcore.schedules.base import Schedule as Schedule
from gdcore.schedules.decays import (
    Constant,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseSqrt,
    InverseTime,
    Linear,
    MultiStep,
    Polynomial,
    Step,
)
from gdcore.schedules.phases import Joined, OneCycle, WarmUp, WarmUpCosine, WarmUpStableDecay
from gdcore.schedules.plateau import Plateau

__all__ = [
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "InverseSqrt",
    "InverseTime",
    "Joined",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Plateau",
    "Polynomial",
    "Step",
    "WarmUp",
    "WarmUpCosine",
    "WarmUpStableDecay",
]
