"""A descent between two rounds: all that its rest depends on, as arrays and plain numbers.

Nothing of it is an object: what is put back is written into the objects of a descent that was made
anew from the same arguments, so that a file of it can hold neither code nor another model.
"""

import time
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from gdcore._typing import Array, Generator
from gdcore.continuation import fingerprint
from gdcore.errors import require
from gdcore.remembered import from_plain, memory, plain, remember, text
from gdcore.trace import COLUMNS

VECTORS = ("theta", "walker", "best", "earlier", "slopes")
NUMBERS = (
    "step", "epoch", "evaluations", "seen", "measured", "older", "value", "moved", "best_cost",
    "best_validation", "waited", "above", "still",
)  # fmt: skip
LATER = ("watched", "lowest", "here", "clock")  # numbers that older files lack
RATE = ("rate", "waited", "halvings", "epochs")  # of a rate that is found on the way


WHOLE = ("step", "epoch", "evaluations", "seen", "waited", "above", "still")


@dataclass
class Snapshot:
    """Arrays {name: array} and numbers {name: number, text, list or dict} of a descent."""

    arrays: dict[str, Array]
    numbers: dict[str, Any]
    callbacks: tuple[Any, ...] = ()  # what those that have state_dict had come to

    @classmethod
    def of(cls, run: Any) -> Self:
        """That of a descent as it is; the arrays are the run's own, to be written or copied now."""
        arrays = {name: getattr(run, name) for name in _vectors(run)}
        arrays |= {f"state.{name}": values for name, values in run.state.items()}
        arrays |= {f"schedule.{name}": values for name, values in _schedule(run).items()}
        arrays["trace"] = run.trace.table().copy()  # what is looked at cannot grow
        numbers = {name: getattr(run, name) for name in (*NUMBERS, *LATER)}
        numbers["limits"] = list(run.limits)
        numbers["seconds"] = time.perf_counter() - run.started
        numbers["rng"] = None if run.rng is None else plain(run.rng.bit_generator.state)
        if _finds(run):
            numbers["rate"] = {name: getattr(run.rate, name) for name in RATE}
        numbers["stop"] = memory(run.stop)
        numbers["cost"] = getattr(run.cost, "memory", dict)()  # a cost of others may have none
        if run.secants is not None:
            more, numbers["secants"] = run.secants.memory()
            arrays |= {f"secants.{name}": values for name, values in more.items()}
        if run.trace.layers is not None:
            arrays["layers"] = run.trace.layers.table()
        return cls(arrays, numbers)

    def copy(self) -> "Snapshot":
        """The same with arrays of its own."""
        return Snapshot({name: np.array(a) for name, a in self.arrays.items()}, self.numbers)

    def put_back(self, run: Any) -> None:
        """Bring a descent that has not begun to where this one was. Changes run."""
        for name in _vectors(run):
            self._copy(name, getattr(run, name))
        run.state = {name: self._state(name, values) for name, values in run.state.items()}
        if watched := _schedule(run):
            run.rate.schedule.load_state_dict({n: self._array(f"schedule.{n}") for n in watched})
        run.trace.restore(self._table("trace", len(COLUMNS)))
        for name in NUMBERS:
            setattr(run, name, self.numbers[name])
        for name in LATER:
            setattr(run, name, self.numbers.get(name, getattr(run, name)))
        run.limits = tuple(self.numbers["limits"])
        run.started = time.perf_counter() - self.numbers["seconds"]
        if run.rng is not None:
            _rewind(run.rng, from_plain(self.numbers["rng"]))
        if _finds(run):
            vars(run.rate).update(self.numbers["rate"])
        remember(run.stop, self.numbers.get("stop"))
        if run.secants is not None:
            moved = {name: self._array(f"secants.{name}") for name in ("theta", "g")}
            run.secants.put_back(moved, self.numbers["secants"])
        if (layers := run.trace.layers) is not None:
            layers.restore(self._table("layers", 1 + len(layers.KINDS) * len(layers.names)))
        if hasattr(run.cost, "put_back"):
            run.cost.put_back(self.numbers.get("cost", {"steps": run.step}), run.theta)

    def _copy(self, name: str, to: Array) -> None:
        values = self._array(name)
        right = values.shape == to.shape and values.dtype == to.dtype
        require(
            right,
            f"The array {name} of the checkpoint is {values.dtype} {values.shape}, and this run's "
            f"is {to.dtype} {to.shape}. Pass the checkpoint of the same run.",
        )
        to[...] = values

    def _state(self, name: str, fresh: Array) -> Array:
        """An array of the optimizer's, which may have made room since it began."""
        values = self._array(f"state.{name}")
        if fresh.size:
            self._copy(f"state.{name}", fresh)
            return fresh
        right = values.dtype == fresh.dtype and values.ndim == fresh.ndim
        require(
            right,
            f"The array state.{name} of the checkpoint is {values.dtype} {values.shape}, and this "
            f"run's is {fresh.dtype} {fresh.shape}. Pass the checkpoint of the same run.",
        )
        return np.array(values)

    def _table(self, name: str, columns: int) -> Array:
        table = self._array(name)
        require(
            table.ndim == 2 and table.shape[1] == columns,
            f"The checkpoint's {name} is of another version of gdcore. Start anew.",
        )
        return table

    def _array(self, name: str) -> Array:
        there = name in self.arrays
        require(there, f"The checkpoint lacks the array {name}. Pass that of the same run.")
        return self.arrays[name]


def facts(run: Any) -> dict[str, str]:
    """{name: text} of what the bits of a descent depend on and no snapshot holds."""
    known = {"size of θ": len(run.theta), "dtype of θ": run.theta.dtype}
    known |= {"cost": type(run.cost).__name__} | getattr(run.cost, "facts", dict)()
    held = getattr(run.validate, "rows", None)
    known["held-out rows"] = run.validate is not None if held is None else fingerprint(held)
    return {name: text(value) for name, value in known.items()}


def require_numbers(numbers: Any) -> None:
    """Refuse what does not hold the numbers of a snapshot, as they come from a file."""
    require(isinstance(numbers, dict), "its numbers are no JSON object")
    limits = numbers.get("limits")
    require(isinstance(limits, list) and len(limits) == 2, "its limits are no two numbers")
    values = {name: numbers.get(name) for name in (*NUMBERS, "seconds")}
    for name, value in [*values.items(), ("limits", limits[0]), ("limits", limits[1])]:
        require(type(value) in (int, float), f"its {name} is no number")
    for name in WHOLE:
        require(type(numbers[name]) is int and numbers[name] >= 0, f"its {name} is no count")


def _rewind(rng: Generator, state: Any) -> None:
    """Go on with random numbers from a state of the same generator."""
    try:
        rng.bit_generator.state = state
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(
            f"The checkpoint's random numbers are of another generator ({error}). Start anew."
        ) from error


def _vectors(run: Any) -> tuple[str, ...]:
    own = (name for name in VECTORS if getattr(run, name) is not None)
    return (*own, "g") if run.exact else tuple(own)


def _finds(run: Any) -> bool:
    """Whether the rate is found on the way."""
    return hasattr(run.rate, "halvings")


def _schedule(run: Any) -> dict[str, Any]:
    """What a schedule that observes costs has come to, as arrays."""
    return run.rate.schedule.state_dict() if getattr(run.rate, "watches", False) else {}
