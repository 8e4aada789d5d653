"""What is public: every name that a user may rely on, found by `__all__`."""

import importlib
import inspect
import types
from typing import NamedTuple

import gdcore as gd

# What public functions give back, and what the pages build on: each by the module it lives in.
FURTHER = {
    "gdcore.result": ["Result"],
    "gdcore.trace": ["Trace", "LayerTrace"],
    "gdcore.diagnose.findings": ["Finding", "Findings"],
    "gdcore.diagnose.gradients": ["Coordinate", "GradientCheck"],
    "gdcore.diagnose.rates": ["LearningRateSearch"],
    "gdcore.errors": ["DataConversionWarning"],
    "gdcore.hooks": ["Plan"],
    "gdcore.data": ["Rows"],
    "gdcore.models.family": ["LinearFamily"],
    "gdcore.models.network": ["Network"],
    "gdcore.models.network_cost": ["NetworkCost"],
}


class Name(NamedTuple):
    """One public thing: the module that a user asks for it, its name there, and itself."""

    module: str
    name: str
    value: object

    @property
    def path(self):
        """As a user spells it: "gdcore.optim.Adam"."""
        return f"{self.module}.{self.name}"


def modules():
    """{path: module} of the roof and of the public modules under it."""
    found = {name: getattr(gd, name) for name in gd.__all__}
    below = {f"gdcore.{n}": m for n, m in found.items() if isinstance(m, types.ModuleType)}
    return {"gdcore": gd, **below}


def names_of(path, module):
    """The public names of a module, in the order of its `__all__`."""
    if path == "gdcore":
        under = modules()
        return [name for name in gd.__all__ if f"gdcore.{name}" not in under]
    if path == "gdcore.kernels":
        return ["backend", *gd.backend()]
    if path == "gdcore.optim":  # the rules, then what stands beside them
        return [*gd.optim.__all__, *sorted(set(gd.optim._HOMES) - {*gd.optim.__all__}), "by_name"]
    return list(module.__all__)


def public():
    """Every `Name`, module by module; a thing that has two names comes twice."""
    found = [
        Name(path, name, getattr(module, name))
        for path, module in modules().items()
        for name in names_of(path, module)
    ]
    for path, names in FURTHER.items():
        module = importlib.import_module(path)
        found += [Name(path, name, getattr(module, name)) for name in names]
    return found


def first_names():
    """{id of a thing: its first path}: where a second name leads."""
    first = {}
    for each in public():
        if callable(each.value):
            first.setdefault(id(each.value), each.path)
    return first


SPECIAL = ("__call__", "__getitem__", "__iter__", "__len__", "__or__", "__and__", "__enter__")


def members(kind, known):
    """(name, attribute as it stands in the class) of what a class adds to its public bases.

    `known` holds the public classes; what comes from outside of gdcore is left out.
    """
    bases = [base for base in kind.__mro__[1:] if base in known]
    for name in dir(kind):
        if name.startswith("_") and name not in SPECIAL:
            continue
        home = next((base for base in kind.__mro__ if name in vars(base)), None)
        if home is None or not home.__module__.startswith("gdcore"):
            continue
        if any(home is base or home in base.__mro__ for base in bases):
            continue  # listed there
        yield name, inspect.getattr_static(kind, name)


def function_of(attribute):
    """The function in a method, class method, static method or property; None in other things."""
    if isinstance(attribute, (classmethod, staticmethod)):
        return attribute.__func__
    if isinstance(attribute, property):
        return attribute.fget
    return attribute if inspect.isfunction(attribute) else None
