"""A descent between two rounds of mini-batches: what its rest depends on, arrays and numbers."""

import time
from dataclasses import dataclass
from typing import Any, Self

from gdcore._typing import Array, Generator
from gdcore.errors import require
from gdcore.trace import COLUMNS

VECTORS = ("theta", "walker", "best")
NUMBERS = (
    "step", "epoch", "evaluations", "seen", "measured", "older", "value", "moved", "best_cost",
    "best_validation", "waited", "above", "still",
)  # fmt: skip


WHOLE = ("step", "epoch", "evaluations", "seen", "waited", "above", "still")


@dataclass
class Snapshot:
    """Arrays {name: array} and numbers {name: number or list} of a descent, made by `descend`."""

    arrays: dict[str, Array]
    numbers: dict[str, Any]

    @classmethod
    def of(cls, run: Any) -> Self:
        """That of a descent as it is; the arrays are the run's own, to be written or copied now."""
        _require_batches(run)
        arrays = {name: getattr(run, name) for name in _vectors(run)}
        arrays |= {f"state.{name}": values for name, values in run.state.items()}
        arrays |= {f"schedule.{name}": values for name, values in _schedule(run).items()}
        arrays["trace"] = run.trace.table().copy()  # what is looked at cannot grow
        numbers = {name: getattr(run, name) for name in NUMBERS}
        numbers["limits"] = list(run.limits)
        numbers["seconds"] = time.perf_counter() - run.started
        numbers["rng"] = None if run.rng is None else run.rng.bit_generator.state
        return cls(arrays, numbers)

    def put_back(self, run: Any) -> None:
        """Bring a descent that has not begun to where this one was. Changes run."""
        _require_batches(run)
        for name in _vectors(run):
            self._copy(name, getattr(run, name))
        for name, values in run.state.items():
            self._copy(f"state.{name}", values)
        if watched := _schedule(run):
            run.rate.schedule.load_state_dict({n: self._array(f"schedule.{n}") for n in watched})
        table = self._array("trace")
        require(
            table.ndim == 2 and table.shape[1] == len(COLUMNS),
            "The checkpoint's trace is of another version of gdcore. Start anew.",
        )
        run.trace.restore(table)
        for name in NUMBERS:
            setattr(run, name, self.numbers[name])
        run.limits = tuple(self.numbers["limits"])
        run.started = time.perf_counter() - self.numbers["seconds"]
        if run.rng is not None:
            _rewind(run.rng, self.numbers["rng"])
        run.cost.steps = run.step

    def _copy(self, name: str, to: Array) -> None:
        values = self._array(name)
        right = values.shape == to.shape and values.dtype == to.dtype
        require(
            right,
            f"The array {name} of the checkpoint is {values.dtype} {values.shape}, and this run's "
            f"is {to.dtype} {to.shape}. Pass the checkpoint of the same run.",
        )
        to[...] = values

    def _array(self, name: str) -> Array:
        there = name in self.arrays
        require(there, f"The checkpoint lacks the array {name}. Pass that of the same run.")
        return self.arrays[name]


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


def _require_batches(run: Any) -> None:
    """Else a descent's rest would depend on more than a snapshot holds."""
    require(
        not (run.full or run.averages or run.stop is not None),
        "A checkpoint holds a descent by mini-batches at a rate that is given, with no stop rule. "
        "Pass batch_size and learning_rate, and a callback in place of stop.",
    )


def _vectors(run: Any) -> tuple[str, ...]:
    return VECTORS if run.earlier is None else (*VECTORS, "earlier")


def _schedule(run: Any) -> dict[str, Any]:
    """What a schedule that observes costs has come to, as arrays."""
    return run.rate.schedule.state_dict() if getattr(run.rate, "watches", False) else {}
