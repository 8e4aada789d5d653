"""The contract of an optimizer: frozen hyper-parameters, state in arrays, a step in place."""

import math
import numbers
from abc import ABC, abstractmethod

import numpy as np

from gdcore.errors import require


class Optimizer(ABC):
    """A direction rule.

    A subclass is a frozen dataclass, hence equal, printable and picklable. Its state is a dict of
    arrays of θ's length, and "t", the number of steps taken (int64), where the rule counts them:
    copy the dict to save it, put it back to resume.
    """

    moments = ()  # names of the vectors in the state, in the order in which the kernel takes them
    rule = None  # name of the update kernel, where the compiled epochs know it

    @abstractmethod
    def step(self, theta, g, state, lr):
        """Move θ against g by the learning rate lr. Changes theta and state, never g."""

    def init(self, theta):
        """Fresh state for θ: zeros."""
        state = {name: np.zeros_like(theta) for name in self.moments}
        state["t"] = np.zeros(1, np.int64)
        return state

    def constants(self):
        """The hyper-parameters that the update kernel takes after lr."""
        return ()

    def reach(self, state, lr):
        """How far one unit of gradient moves each coordinate: the step of the proximal operator."""
        return lr

    def extrapolate(self, theta, g, state):
        """Move on from the point that the step and the proximal operator gave. Changes theta."""
        return None


def _value(optimizer, argument):
    """The hyper-parameter, which must be a finite number."""
    value, name = getattr(optimizer, argument), type(optimizer).__name__
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"{name} needs {argument} to be a finite number, got {value!r}. Pass one.")
    return value


def require_rate(optimizer):
    name, lr = type(optimizer).__name__, _value(optimizer, "lr")
    require(lr > 0, f"{name} needs lr > 0, got {lr}. Pass a positive learning rate, as 0.01.")


def require_fraction(optimizer, argument):
    name, value = type(optimizer).__name__, _value(optimizer, argument)
    require(0 <= value < 1, f"{name} needs {argument} in [0, 1), got {value}. Pass one, as 0.9.")


def require_positive(optimizer, argument):
    name, value = type(optimizer).__name__, _value(optimizer, argument)
    require(value > 0, f"{name} needs {argument} > 0, got {value}. Pass one, as 1e-8.")


def require_not_negative(optimizer, argument):
    name, value = type(optimizer).__name__, _value(optimizer, argument)
    require(value >= 0, f"{name} needs {argument} ≥ 0, got {value}. Pass one, as 0.01.")
