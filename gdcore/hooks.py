"""What a descent tells those who watch it: when it begins, after steps and epochs, when it ends."""

from dataclasses import dataclass, field

import numpy as np

from gdcore.errors import require

NAMES = ("on_begin", "on_step", "on_epoch", "on_end")


@dataclass(frozen=True)
class Plan:
    """What a descent is about to do: what `on_begin` sees."""

    optimizer: object
    size: int  # numbers in θ
    examples: int
    batch_size: int
    max_epochs: int
    max_time: float
    unit: str = "epoch"  # of max_epochs: "step" where the cost says itself which rows come next
    theta: object = field(default=None, repr=False, compare=False)  # the first; copy it
    cost: object = field(default=None, repr=False, compare=False)  # what is descended on


class Hooks:
    """The callbacks of one fit, sorted by what they want to hear.

    A plain callable hears of every measurement, the first at θ₀ included. A fit may be several
    descents in a row, as corners are rounded less and less: then it is they who share this object,
    and the fit that says it is over. `around` may wrap each function of a moment.
    """

    def __init__(self, callbacks=(), around=None):
        self.callbacks = as_list(callbacks)
        for each in self.callbacks:
            known = callable(each) or any(callable(getattr(each, name, None)) for name in NAMES)
            require(
                known and not isinstance(each, type),
                f"callbacks must be functions or objects with {', '.join(NAMES[:-1])} or on_end, "
                f"got {each!r}. Pass such, as gd.callbacks.TimeLimit(60).",
            )
        self._begin, self._step, self._epoch, self._end = (self._with(name) for name in NAMES)
        plain = [each for each in self.callbacks if not any(hasattr(each, n) for n in NAMES)]
        self.measured = [each for each in plain if callable(each)]
        if around is not None:
            for calls in (self._step, self._epoch, self.measured):
                calls[:] = map(around, calls)
        self.begun = self.asked = False

    def _with(self, name):
        found = (getattr(each, name, None) for each in self.callbacks)
        return [each for each in found if callable(each)]

    @classmethod
    def of(cls, callbacks):
        """(hooks, whether they are of this descent alone)."""
        if isinstance(callbacks, cls):
            return callbacks, False
        return cls(callbacks), True

    @property
    def by_step(self):
        """Whether anyone wants to hear of single steps."""
        return bool(self._step)

    def begin(self, plan):
        """Say once that a fit begins."""
        self.asked = False
        if not self.begun:
            self.begun = True
            for call in self._begin:
                call(plan)

    def step(self, moment):
        """After a step. True where anyone asks to stop."""
        self.asked = any([stops(call(moment)) for call in self._step]) or self.asked
        return self.asked

    def measure(self, moment, epoch):
        """After a measurement, which ends an epoch or not. True where anyone has asked to stop."""
        calls = [*self.measured, *(self._epoch if epoch else ())]
        self.asked = any([stops(call(moment)) for call in calls]) or self.asked
        return self.asked

    def end(self, result):
        """Say that the fit is over."""
        for call in self._end:
            call(result)


def as_list(callbacks):
    """None, one or several callbacks as a list."""
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


def stops(answer):
    """Whether a callback said True, in Python or NumPy; whatever else it returns says nothing."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)
