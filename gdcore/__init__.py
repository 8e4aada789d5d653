"""Gradient descent on NumPy arrays: predict → cost → gradient → update → convergence, one loop.

Names are loaded when they are first asked for, so that `import gdcore` costs little more than
`import numpy`.
"""

from typing import TYPE_CHECKING

from gdcore import kernels
from gdcore._version import __version__
from gdcore.kernels import backend

if TYPE_CHECKING:
    from gdcore import (
        callbacks,
        chunks,
        convergence,
        cost,
        datasets,
        distributed,
        layers,
        losses,
        optim,
        penalties,
        schedules,
        tokenizers,
    )
    from gdcore.cost import Cost
    from gdcore.descent import descend
    from gdcore.diagnose import plots
    from gdcore.diagnose.doctor import doctor
    from gdcore.diagnose.gradients import check_gradient
    from gdcore.diagnose.rates import find_learning_rate
    from gdcore.errors import ConvergenceWarning, NotFittedError
    from gdcore.files import load, save
    from gdcore.hashing import hash_features
    from gdcore.minimizer import minimize
    from gdcore.models import (
        LinearClassifier,
        LinearRegression,
        LogisticRegression,
        MLPClassifier,
        MLPRegressor,
    )
    from gdcore.models.gpt import GPT
    from gdcore.onnx import to_onnx
    from gdcore.parameters import Parameters
    from gdcore.sparse import CSR
    from gdcore.status import Status
    from gdcore.weights import from_torch, load_weights, save_weights

_HOMES = {
    "CSR": "sparse",
    "ConvergenceWarning": "errors",
    "Cost": "cost",
    "GPT": "models.gpt",
    "LinearClassifier": "models",
    "LinearRegression": "models",
    "LogisticRegression": "models",
    "MLPClassifier": "models",
    "MLPRegressor": "models",
    "NotFittedError": "errors",
    "Parameters": "parameters",
    "Status": "status",
    "check_gradient": "diagnose.gradients",
    "descend": "descent",
    "doctor": "diagnose.doctor",
    "find_learning_rate": "diagnose.rates",
    "from_torch": "weights",
    "hash_features": "hashing",
    "load": "files",
    "load_weights": "weights",
    "minimize": "minimizer",
    "save": "files",
    "save_weights": "weights",
    "to_onnx": "onnx",
}
_MODULES = {
    "callbacks": "callbacks",
    "chunks": "chunks",
    "convergence": "convergence",
    "cost": "cost",
    "datasets": "datasets",
    "distributed": "distributed",
    "layers": "layers",
    "losses": "losses",
    "optim": "optim",
    "penalties": "penalties",
    "plots": "diagnose.plots",
    "schedules": "schedules",
    "tokenizers": "tokenizers",
}

__all__ = [
    "CSR",
    "GPT",
    "ConvergenceWarning",
    "Cost",
    "LinearClassifier",
    "LinearRegression",
    "LogisticRegression",
    "MLPClassifier",
    "MLPRegressor",
    "NotFittedError",
    "Parameters",
    "Status",
    "__version__",
    "backend",
    "callbacks",
    "check_gradient",
    "chunks",
    "convergence",
    "cost",
    "datasets",
    "descend",
    "distributed",
    "doctor",
    "find_learning_rate",
    "from_torch",
    "hash_features",
    "kernels",
    "layers",
    "load",
    "load_weights",
    "losses",
    "minimize",
    "optim",
    "penalties",
    "plots",
    "save",
    "save_weights",
    "schedules",
    "to_onnx",
    "tokenizers",
]


if not TYPE_CHECKING:  # for checkers the names are those above, and no others

    def __getattr__(name):
        from importlib import import_module

        if name in _MODULES:
            return import_module(f"gdcore.{_MODULES[name]}")
        if name not in _HOMES:
            raise AttributeError(f"module 'gdcore' has no attribute {name!r}")
        value = getattr(import_module(f"gdcore.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
