"""Gradient descent on NumPy arrays: predict → cost → gradient → update → convergence, in one loop."""

from gdcore import convergence, kernels, losses, optim, penalties, schedules
from gdcore._version import __version__
from gdcore.convergence import Status
from gdcore.cost import Cost
from gdcore.descent import descend
from gdcore.errors import ConvergenceWarning, NotFittedError
from gdcore.kernels import backend
from gdcore.models import LinearRegression, LogisticRegression
from gdcore.parameters import Parameters

__all__ = [
    "ConvergenceWarning",
    "Cost",
    "LinearRegression",
    "LogisticRegression",
    "NotFittedError",
    "Parameters",
    "Status",
    "__version__",
    "backend",
    "convergence",
    "descend",
    "kernels",
    "losses",
    "optim",
    "penalties",
    "schedules",
]
