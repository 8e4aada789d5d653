"""A descent between two rounds: all that its rest depends on, as arrays and plain numbers.

Nothing of it is an object: what is put back is written into the objects of a descent that was made
anew from the same arguments, so that a file of it can hold neither code nor another model.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from gdcore._typing import Array, PathLike
from gdcore.claims import MOST, is_count, is_number, plain, recalling, rewind
from gdcore.continuation import fingerprint
from gdcore.devices import DeviceArray, to_host
from gdcore.disk import shown
from gdcore.errors import require
from gdcore.remembered import memory, remember, require_memory, text
from gdcore.trace import COLUMNS

VECTORS = ("theta", "walker", "best", "earlier", "slopes")
WHOLE = ("step", "epoch", "evaluations", "seen", "waited", "above", "still")  # counts
NUMBERS = (*WHOLE, "measured", "older", "value", "moved", "best_cost", "best_validation")
LATER = ("watched", "lowest", "here", "clock")  # numbers that older files lack
RATE = ("rate", "waited", "halvings", "epochs")  # of a rate that is found on the way
SUPPLIED = ("shapes",)  # arrays of an optimizer's that are no state but follow from θ
ROW = {"step": "step", "epoch": "epoch", "seen": "examples"}  # as the latest row of the trace says


@dataclass
class Snapshot:
    """Arrays {name: array} and numbers {name: number, text, list or dict} of a descent."""

    arrays: dict[str, Array]
    numbers: dict[str, Any]
    callbacks: tuple[Any, ...] = ()  # (class, state) of those that have state_dict
    path: PathLike | None = None  # of the file that it comes from

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
        return cls({name: to_host(array) for name, array in arrays.items()}, numbers)

    def copy(self) -> Self:
        """The same with arrays of its own."""
        return replace(self, arrays={name: np.array(a) for name, a in self.arrays.items()})

    def put_back(self, run: Any) -> None:
        """Bring a descent that has not begun to where this one was. Changes run.

        Raises
        ------
        ValueError
            For that of another descent, or one whose file says what cannot be: told before
            anything of the caller's, rules or a generator, was changed.
        """
        with self._named():
            self._require_fit(run)
            self._take_arrays(run)
            for name in NUMBERS:
                setattr(run, name, self.numbers[name])
            for name in LATER:
                setattr(run, name, self.numbers.get(name, getattr(run, name)))
            run.limits = tuple(self.numbers["limits"])
            run.started = time.perf_counter() - self.numbers["seconds"]
            if run.rng is not None:
                rewind(run.rng, self.numbers["rng"])
            if _finds(run):
                vars(run.rate).update(
                    self.numbers["rate"], rate=float(self.numbers["rate"]["rate"])
                )
            if hasattr(run.cost, "put_back"):  # of the caller's, and it may refuse: late
                run.cost.put_back(self.numbers.get("cost", {"steps": run.step}), run.theta)
            remember(run.stop, self.numbers.get("stop", memory(run.stop)))

    def recall(self, callbacks: list[Any]) -> None:
        """Give callbacks back what those of the same class remembered; more of them begin anew."""
        kept = list(self.callbacks)
        for each in callbacks:
            name = type(each).__name__
            place = next((i for i, (other, _) in enumerate(kept) if other == name), None)
            if place is not None:
                with self._named(), recalling(f"callback {name}"):
                    each.load_state_dict(kept.pop(place)[1])

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What is refused is told with the file that it is in."""
        try:
            yield
        except ValueError as error:
            if self.path is None:
                raise
            raise ValueError(f"{self.path}: {error}") from error

    def _require_fit(self, run: Any) -> None:
        """All that can be looked at without the parts that others wrote."""
        try:
            require_snapshot(self.numbers)
        except ValueError as error:
            raise ValueError(f"The checkpoint is not whole: {error}. Start anew.") from error
        for name in _vectors(run):
            self._require_like(name, getattr(run, name))
        for name in ("theta", "best", "earlier"):  # one of them is returned, whatever comes
            sound = getattr(run, name) is None or bool(np.isfinite(self._array(name)).all())
            require(sound, f"The checkpoint's {name} is no finite θ. Start anew.")
        for name, fresh in run.state.items():
            self._require_state(name, fresh)
        for name, values in _schedule(run).items():
            self._require_kind(f"schedule.{name}", np.asarray(values))
        self._require_trace(run)
        if run.rng is not None:
            require("rng" in self.numbers, "The checkpoint has no random numbers. Start anew.")
        told = isinstance(self.numbers.get("cost", {}), dict)
        require(told, "The checkpoint has no cost's numbers. Pass that of the same run.")
        require_memory(run.stop, self.numbers.get("stop", memory(run.stop)))
        if _finds(run):
            _require_rate(self.numbers.get("rate"))
        if run.secants is not None:
            arrays, _ = run.secants.memory()
            for name, array in arrays.items():
                self._require_like(f"secants.{name}", array)
            kept: Any = self.numbers.get("secants")
            right = isinstance(kept, dict) and is_count(kept.get("rows"))
            right = right and is_number(kept.get("size"))
            require(right, "The checkpoint has no secants. Pass that of the same run.")

    def _take_arrays(self, run: Any) -> None:
        for name in _vectors(run):
            getattr(run, name)[...] = self.arrays[name]
        for name, fresh in run.state.items():
            if fresh.size:
                fresh[...] = self.arrays[f"state.{name}"]
            else:  # it has made room since
                values = np.array(self.arrays[f"state.{name}"])
                run.state[name] = fresh.like(values) if isinstance(fresh, DeviceArray) else values
        if watched := _schedule(run):
            with recalling("schedule"):
                given = {name: self.arrays[f"schedule.{name}"] for name in watched}
                run.rate.schedule.load_state_dict(given)
        run.trace.restore(self.arrays["trace"])
        if run.secants is not None:
            moved = {name: self.arrays[f"secants.{name}"] for name in ("theta", "g")}
            run.secants.put_back(moved, self.numbers["secants"])
        if run.trace.layers is not None:
            run.trace.layers.restore(self.arrays["layers"])

    def _require_like(self, name: str, mine: Array) -> None:
        values = self._array(name)
        right = values.shape == mine.shape and values.dtype == mine.dtype
        require(right, self._other(name, mine))

    def _require_state(self, name: str, fresh: Array) -> None:
        """An array of the optimizer's, which may have made room since it began."""
        values, named = self._array(f"state.{name}"), f"state.{name}"
        if fresh.size:
            self._require_like(named, fresh)
        right = values.dtype == fresh.dtype and values.ndim == fresh.ndim
        if name.rpartition(".")[2] in SUPPLIED:
            right = right and np.array_equal(values, fresh)
        elif right and fresh.dtype.kind == "i":
            right = bool(((values >= 0) & (values <= MOST)).all())
        require(right, self._other(named, fresh))

    def _require_kind(self, name: str, mine: Array) -> None:
        """Numbers where there are numbers: what a schedule keeps may grow."""
        values = self._array(name)
        right = values.dtype.kind in "biuf" or values.dtype.kind == mine.dtype.kind
        require(right and values.ndim == mine.ndim, self._other(name, mine))

    def _other(self, name: str, mine: Array) -> str:
        values = self.arrays[name]
        return (
            f"The array {name} of the checkpoint is {values.dtype} {values.shape}, and this run's "
            f"is {mine.dtype} {mine.shape}. Pass the checkpoint of the same run."
        )

    def _require_trace(self, run: Any) -> None:
        """Tables as this version writes them, the latest row of which is where the run stands."""
        tables = {"trace": len(COLUMNS)}
        if (layers := run.trace.layers) is not None:
            tables["layers"] = 1 + len(layers.KINDS) * len(layers.names)
        for name, columns in tables.items():
            table = self._array(name)
            right = table.dtype == np.float64 and table.ndim == 2 and table.shape[1] == columns
            right = right and len(table) > 0 and bool(np.isfinite(table[:, 0]).all())
            require(right, f"The checkpoint's {name} is of another version of gdcore. Start anew.")
        last = dict(zip(COLUMNS, self.arrays["trace"][-1].tolist(), strict=True))
        for name, column in ROW.items():
            same = self.numbers[name] == last[column]
            require(same, f"The checkpoint's {name} is not that of its trace. Start anew.")

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


def require_snapshot(numbers: Any) -> None:
    """Refuse what does not hold the numbers of a snapshot, as they come from a file."""
    require(isinstance(numbers, dict), "its numbers are no JSON object")
    limits = numbers.get("limits")
    require(isinstance(limits, list) and len(limits) == 2, "its limits are no two numbers")
    given = {name: numbers.get(name) for name in (*NUMBERS, "seconds")}
    given |= {name: numbers[name] for name in LATER if name in numbers}
    for name, value in [*given.items(), ("limits", limits[0]), ("limits", limits[1])]:
        require(is_number(value), f"its {name} is no number")
    for name in WHOLE:
        require(is_count(numbers[name]), f"its {name} is no count")
    for name in ("seconds", "clock"):  # else a budget of them would never end, or at once
        require(0 <= given.get(name, 0) < math.inf, f"its {name} are no time that has passed")
    for name in ("best_cost", "best_validation"):  # what nothing is below: it would stay for good
        require(given[name] == given[name], f"its {name} is NaN")


def of_another_run(path: PathLike, name: str, kept: Any, mine: Any, cure: str) -> ValueError:
    """The error to raise for a file that goes on from another run, and what is another there."""
    there, here = shown(str(kept), 60), shown(str(mine), 60)
    return ValueError(
        f"{path} is of a run with another {shown(name, 60)}: {there}, and this one has {here}. "
        f"Pass the same, or another path; {cure}."
    )


def _require_rate(kept: Any) -> None:
    right = isinstance(kept, dict) and kept.keys() == set(RATE) and is_number(kept["rate"])
    right = right and 0 <= kept["rate"] < math.inf
    right = right and all(is_count(kept[name]) for name in RATE if name != "rate")
    require(right, "The checkpoint has no rate that was found. Pass that of the same run.")


def _vectors(run: Any) -> tuple[str, ...]:
    own = (name for name in VECTORS if getattr(run, name) is not None)
    return (*own, "g") if run.exact else tuple(own)


def _finds(run: Any) -> bool:
    """Whether the rate is found on the way."""
    return hasattr(run.rate, "halvings")


def _schedule(run: Any) -> dict[str, Any]:
    """What a schedule that observes costs has come to, as arrays."""
    return run.rate.schedule.state_dict() if getattr(run.rate, "watches", False) else {}
