"""Where the kernels are found: the public modules of gdcore._numpy and their compiled twins."""

import importlib
import os
import pkgutil
from types import SimpleNamespace

import numpy as np

import gdcore._numpy

FAMILIES = sorted(
    module.name
    for module in pkgutil.iter_modules(gdcore._numpy.__path__)
    if not module.name.startswith("_")
)
PLAIN = {name: importlib.import_module(f"gdcore._numpy.{name}") for name in FAMILIES}
try:
    NATIVE = {name: importlib.import_module(f"gdcore._native.{name}") for name in FAMILIES}
except ImportError:
    if os.environ.get("GDCORE_BACKEND") == "native":
        raise
    NATIVE = None

HOME = {kernel: family for family in FAMILIES for kernel in PLAIN[family].__all__}
KERNELS = sorted(HOME)
LOSSES = list(importlib.import_module("gdcore._numpy._losses").LOSSES)


RULES = PLAIN["updates"].RULES  # name: (loop, vectors of state, numbers)


def namespace(modules):
    """All kernels of one twin as attributes; also "update:rule" and "linear_gradient:loss"."""
    found = SimpleNamespace(**{name: getattr(modules[HOME[name]], name, None) for name in KERNELS})
    for rule in RULES:
        setattr(found, f"update:{rule}", one_rule(found.update, rule))
    for loss in LOSSES:
        for kernel in (
            "linear_gradient", "linear_epoch", "linear_corrected", "csr_gradient", "csr_epoch",
            "csr_corrected",
            "linear_losses",
        ):  # fmt: skip
            setattr(found, f"{kernel}:{loss}", getattr(found, kernel))
    return found


def one_rule(update, rule):
    """The update kernel for one rule and one array, its vectors of state by name."""

    def kernel(w, g, numbers, **state):
        return update(rule, w, g, [state[name] for name in sorted(state)], numbers)

    kernel.__doc__ = update.__doc__

    return kernel


def outcome(kernel, arguments):
    """(what it raised or returned, the arrays afterwards), from copies of the arguments."""
    given = {
        name: value.copy() if isinstance(value, np.ndarray) else value
        for name, value in arguments.items()
    }
    try:
        answer = kernel(**given)
    except Exception as error:
        answer = error
    return answer, {name: v for name, v in given.items() if isinstance(v, np.ndarray)}


def same_bits(one, other):
    """Two dicts of arrays, or two arrays, byte by byte; NaN equals NaN."""
    if isinstance(one, dict):
        return all(same_bits(one[name], other[name]) for name in one)
    return (
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )
