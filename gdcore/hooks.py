"""What a descent tells those who watch it: when it begins, after steps and epochs, when it ends."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import numpy as np

from gdcore._typing import Array
from gdcore.errors import require
from gdcore.parameters import read_only
from gdcore.remembered import has_state
from gdcore.status import Moment

if TYPE_CHECKING:
    from gdcore.optim.base import Optimizer
    from gdcore.result import Result

NAMES = ("on_begin", "on_step", "on_epoch", "on_end", "on_error")
OWN = ("_on_advance", "_on_find", "_on_keep", "_on_refuse")  # of callbacks of this house
Call: TypeAlias = Callable[..., Any]  # of a plan, a moment, a result or an error


@dataclass(frozen=True)
class Plan:
    """What a descent is about to do: what `on_begin` sees.

    Example
    -------
    >>> import gdcore as gd
    >>> class Announced(gd.callbacks.Callback):
    ...     def on_begin(self, plan):
    ...         self.said = plan.examples, plan.max_epochs, plan.unit
    >>> model = gd.LinearRegression(callbacks=(told := Announced()), max_epochs=50)
    >>> model.fit([[0.0], [1.0]], [0.0, 9.0]) and told.said
    (2, 50, 'epoch')
    """

    optimizer: "Optimizer | None"  # None where the minimum is solved for directly
    size: int  # numbers in θ
    examples: int
    batch_size: int
    max_epochs: int
    max_time: float
    unit: str = "epoch"  # of max_epochs: "round" of steps of a GPT, "iteration" of `minimize`
    epoch: int = 0  # where it goes on from
    validates: bool = False  # whether a loss is measured on rows held out
    run: int = 0  # of a fit that begins anew, for restarts or one class after another,
    runs: int = 1  # which this is, and how many there are
    theta: Array | None = field(default=None, repr=False, compare=False)  # the first; copy it
    cost: Any = field(default=None, repr=False, compare=False)  # what is descended on
    settings: Any = field(default=None, repr=False, compare=False)  # {name: value} of a model's


class Callback:
    """What a descent tells its callbacks; each of these does nothing. A callback needs no base
    class: a function of a `Moment`, or an object with any of these methods, is one.

    A function, or an object that can be called, hears every measurement, the first at θ₀ included.
    A moment's θ moves on, and is only to be read: copy what is to be kept. What callbacks raise
    ends the fit and reaches its caller, and an estimator stays what it was.

    Example
    -------
    >>> import gdcore as gd
    >>> class Costs(gd.callbacks.Callback):
    ...     def on_begin(self, plan):
    ...         self.costs = []
    ...     def on_epoch(self, moment):
    ...         self.costs.append(moment.cost)
    ...         return moment.cost < 1e-6  # True stops
    >>> model = gd.LinearRegression(callbacks=(costs := Costs()))
    >>> model.fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 4.0]).n_iter_ == len(costs.costs)
    True
    """

    def on_begin(self, plan: Plan) -> None:
        """Before the first measurement, once a fit; `plan` is a `Plan`: optimizer, budgets, sizes.
        Restarts of a network, and classes fitted one against the rest, each begin anew."""

    def on_step(self, moment: Moment) -> bool | None:
        """After each step. With mini-batches moment.cost is the batch's mean loss, and θ that of
        the steps; compiled epochs of linear models are then gone through twice. True stops."""

    def on_epoch(self, moment: Moment) -> bool | None:
        """After each epoch, that is each step on all rows, with J and θ as measured. True stops."""

    def on_end(self, result: "Result") -> None:
        """Once after on_begin, with the `Result`: budgets, Ctrl-C and divergence end a fit, too."""

    def on_error(self, error: BaseException) -> None:
        """In place of on_end, or after one that failed, where the fit ends in an exception."""


class Begins(Protocol):
    """Has `on_begin`; the next ones one of the other methods."""

    def on_begin(self, plan: Plan, /) -> object: ...


class Steps(Protocol):
    """Has `on_step`."""

    def on_step(self, moment: Moment, /) -> object: ...


class Epochs(Protocol):
    """Has `on_epoch`."""

    def on_epoch(self, moment: Moment, /) -> object: ...


class Ends(Protocol):
    """Has `on_end`."""

    def on_end(self, result: "Result[Any]", /) -> object: ...


class Fails(Protocol):
    """Has `on_error`."""

    def on_error(self, error: BaseException, /) -> object: ...


# What `callbacks` may be: a function of a moment, an object with any of the five, or several.
Listener: TypeAlias = "Callable[[Moment], object] | Begins | Steps | Epochs | Ends | Fails"
Callbacks: TypeAlias = "Hooks | Listener | Sequence[Listener] | None"


class Watcher(Callback):
    """A callback whose state is one run's: what begins with _ is neither copied nor pickled."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}


class Hooks:
    """The callbacks of one fit, sorted by what they want to hear.

    What can be called hears of every measurement. A fit may be several descents in a row, as
    corners are rounded less and less: then it is they who share this object, whose counts go on,
    and the fit that says it is over. As a context it tells of exceptions. `around` may wrap each
    function of a moment; `changes` are of the plan.
    """

    def __init__(
        self,
        callbacks: Callbacks = (),
        around: Callable[[Call], Call] | None = None,
        **changes: Any,
    ) -> None:
        self.callbacks, self.changes = as_list(callbacks), changes
        for each in self.callbacks:
            known = callable(each) or any(callable(getattr(each, name, None)) for name in NAMES)
            require(
                known and not isinstance(each, type),
                f"callbacks must be functions or objects with {', '.join(NAMES[:-1])} or "
                f"{NAMES[-1]}, got {each!r}. Pass such, as gd.callbacks.TimeLimit(60).",
            )
        self._begin, self._step, self._epoch, self._end, self._error = map(self._with, NAMES)
        self._advance, self._find, self._keep, self._refuse = map(self._with, OWN)
        self.measured = [each for each in self.callbacks if callable(each)]
        if around is not None:
            for calls in (self._step, self._epoch, self.measured):
                calls[:] = map(around, calls)
        self.begun, self.asked, self.by = False, False, ""
        self._last: Moment | None = None  # the latest
        self._past: Moment | None = None  # that of the descents before
        self._found: Any = None  # what a descent goes on from

    def _with(self, name: str) -> list[Call]:
        """The methods of that name, but for those that do nothing."""
        nothing = getattr(Callback, name, None)
        found = (getattr(each, name, None) for each in self.callbacks)
        return [f for f in found if callable(f) and getattr(f, "__func__", None) is not nothing]

    @classmethod
    def of(cls, callbacks: Callbacks) -> "tuple[Hooks, bool]":
        """(hooks, whether they are of this descent alone)."""
        if isinstance(callbacks, cls):
            return callbacks, False
        return cls(callbacks), True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            told = self._error if self.begun else self._refuse
            with ExitStack() as stack:  # all are told, whatever one of them does
                for call in reversed(told):
                    stack.callback(call, error)

    @property
    def by_step(self) -> bool:
        """Whether anyone wants to hear of single steps."""
        return bool(self._step)

    @property
    def keeps(self) -> bool:
        """Whether anyone keeps descents, to go on from where they were."""
        return bool(self._keep)

    def find(self, run: Any, asked: dict[str, Any], facts: dict[str, str]) -> Any:
        """The `Snapshot` that someone has of a descent known by these, to go on from, or None."""
        plan = replace(run.plan(), **self.changes)
        asked = asked | {"first": not self.begun and plan.run == 0}
        found = [call(run, plan, dict(asked), facts) for call in self._find]
        self._found = next((each for each in found if each is not None), None)
        return self._found

    def begin(self, plan: Plan) -> None:
        """Say once that a fit begins."""
        if self.begun:
            self._past = self._last
        else:
            self.begun = True
            for call in self._begin:
                call(replace(plan, **self.changes))
        if self._found is not None:  # after they forgot the fit before
            self._found.recall(self._remembering())
            self._found = None

    def _remembering(self) -> list[Any]:
        return [each for each in self.callbacks if has_state(each)]

    def keep(self, run: Any) -> None:
        """After a measurement that did not end the descent: it may go on from here."""
        for call in self._keep:
            call(run, [(type(e).__name__, e.state_dict()) for e in self._remembering()])

    def advance(self) -> None:
        """Before an epoch."""
        for call in self._advance:
            call()

    def step(self, moment: Moment) -> bool:
        """After a step. True where anyone asks to stop."""
        if not self.callbacks:  # a step takes some tens of microseconds in all
            return False
        moment = self._counted(moment)
        return self._ask(self._step, moment)

    def measure(self, moment: Moment, epoch: bool) -> bool:
        """After a measurement, which ends an epoch or not. True where anyone has asked to stop."""
        if not self.callbacks:
            return False
        moment = self._counted(moment)
        return self._ask([*self.measured, *(self._epoch if epoch else ())], moment)

    def _ask(self, calls: Iterable[Call], moment: Moment) -> bool:
        """Whether anyone has asked to stop; of objects `by` has the name of the first."""
        for call in calls:
            if stops(call(moment)) and not self.asked:
                self.asked, owner = True, getattr(call, "__self__", call)
                self.by = "" if hasattr(owner, "__code__") else f"{type(owner).__name__} "
        return self.asked

    def _counted(self, moment: Moment) -> Moment:
        """The moment, its counts going on from those of the descents before."""
        past = self._past
        if past is not None:
            counts = ("step", "epoch", "seconds", "examples")
            moment = replace(moment, **{n: getattr(moment, n) + getattr(past, n) for n in counts})
        self._last = moment
        return moment

    def end(self, result: "Result") -> None:
        """Say that the fit is over."""
        for call in self._end:
            call(result)


def as_list(callbacks: Callbacks) -> list[Any]:
    """None, one or several callbacks as a list."""
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]


def stops(answer: object) -> bool:
    """Whether a callback said True, in Python or NumPy; whatever else it returns says nothing."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


class Told:
    """Tells callbacks of each step of an epoch, and keeps how far it came."""

    def __init__(self, run: Any, rates: Array) -> None:
        self.run, self.rates = run, rates
        self.taken = self.rows = 0
        self.stopped = False

    @property
    def step(self) -> int:
        """Steps as they are counted: batches that end with their chunk may be more."""
        return min(self.taken, len(self.rates))

    def __call__(self, theta: Array, loss: float, rows: int) -> bool:
        run, rate = self.run, float(self.rates[min(self.taken, len(self.rates) - 1)])
        self.taken, self.rows = self.taken + 1, self.rows + rows
        moment = Moment(
            run.step + self.step, run.epoch, loss, run.measured, math.nan, math.nan, rate,
            run.seconds(), run.seen + self.rows, theta=read_only(theta),
        )  # fmt: skip
        self.stopped = run.callbacks.step(moment)
        return self.stopped
