"""What is public: every name that a user may rely on, found by `__all__`."""

import dataclasses
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
    "gdcore.layers.base": ["Scope", "Gradient"],
    "gdcore.data": ["Rows"],
    "gdcore.models.family": ["LinearFamily"],
    "gdcore.models.network": ["Network"],
    "gdcore.models.network_cost": ["NetworkCost"],
}
# Of what lies beneath the estimators these alone are held; the rest is the loop's own business.
HELD = {
    "Cost": ["value_and_gradient"],
    "Rows": ["part"],
    "LinearFamily": ["init", "predict", "add_cost_and_gradient"],
    "Network": ["init", "predict", "add_cost_and_gradient"],
    "NetworkCost": ["__enter__", "step", "value_and_gradient"],
    "Scope": ["__getitem__", "buffer", "gradient", "matmul", "training"],
    "Gradient": ["__getitem__", "product", "scatter"],
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
    if path == "gdcore.schedules":
        return ["Schedule", *module.__all__]
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
    fields = {f.name for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    for name in dir(kind):
        if name in fields or (name.startswith("_") and name not in SPECIAL):
            continue  # fields are in the signature
        if name not in HELD.get(kind.__name__, [name]):
            continue
        home = next((base for base in kind.__mro__ if name in vars(base)), None)
        if home is None or not home.__module__.startswith("gdcore"):
            continue
        attribute = inspect.getattr_static(kind, name)
        if not any(_same(attribute, base, name) for base in bases):  # else it is listed there
            yield name, attribute


def _same(attribute, base, name):
    """Whether a public base says of a member what the class says."""
    above, function = inspect.getattr_static(base, name, _same), function_of(attribute)
    if above is _same:
        return False
    if function is None or function_of(above) is None or isinstance(attribute, property):
        return True
    return str(signature(function)) == str(signature(function_of(above)))


def default(value):
    """A default as a reader would write it; `...` where it has no such form."""
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    text = repr(value)
    return "..." if text.startswith("<") or " at 0x" in text else text


class _Written:
    """A default that shows as it is written."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text


def signature(function, bound=False):
    """Names, order, kinds and defaults, without annotations; `bound`: without self."""
    plain = [
        each.replace(
            annotation=each.empty,
            default=each.empty if each.default is each.empty else _Written(default(each.default)),
        )
        for each in inspect.signature(function).parameters.values()
    ]
    return inspect.Signature(plain[bound:])


def has_signature(kind):
    """Whether a class says itself what it is made of."""
    own = kind.__init__ not in (object.__init__, dict.__init__, tuple.__init__)
    return (own or hasattr(kind, "_fields")) and not issubclass(kind, Exception)


def function_of(attribute):
    """The function in a method, class method, static method or property; None in other things."""
    if isinstance(attribute, (classmethod, staticmethod)):
        return attribute.__func__
    if isinstance(attribute, property):
        return attribute.fget
    return attribute if inspect.isfunction(attribute) else None
