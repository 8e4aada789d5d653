"""Functions that are other ones at each call: fun(x, rng), or fun(x, batch)."""

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcore._typing import Array, Seed
from gdcore.claims import counted, plain, rewind
from gdcore.errors import is_iterable, require
from gdcore.objective import Function, Layout, Objective, Sides
from gdcore.seeds import generator

if TYPE_CHECKING:
    from gdcore.convergence import Moment


class Noisy(Objective):
    """A function that is another one at each call: fun(x, rng) or fun(x, batch)."""

    noisy = True

    def __init__(
        self,
        fun: Function,
        layout: Layout,
        *,
        jac: Any,
        args: tuple[Any, ...],
        bounds: Sides,
        source: "Draws",
    ) -> None:
        super().__init__(fun, layout, jac=jac, args=args, bounds=bounds)
        self.source, self.plain_args = source, args

    def begin(self, x: Array) -> None:
        """Nothing: the first draw belongs to the first step."""

    def value_and_gradient(self, x: Array, g: Array) -> float:
        """fun at x on the next draw."""
        self.args = (self.source.next(), *self.plain_args)
        return super().value_and_gradient(x, g)

    def memory(self) -> dict[str, Any]:
        """The calls so far, and what was drawn."""
        return super().memory() | {"drawn": self.source.memory()}

    def put_back(self, memory: dict[str, Any], theta: Array) -> None:
        """Go on with the next draw."""
        super().put_back(memory, theta)
        self.source.put_back(memory.get("drawn"), self.calls)

    def facts(self) -> dict[str, Any]:
        """The first draw, as far as that is known."""
        return super().facts() | {"rng or batches": self.source.told()}

    def safe_rate(self, batch_size: int) -> None:
        """None: one draw says little about curvature."""
        return None

    def baseline(self, x: Array, value: float) -> float:
        """None: a noisy value is no measure."""
        return np.inf


class Draws:
    """What makes a function another one at each call: a generator, or the next batch."""

    def __init__(self, rng: Seed, batches: Any) -> None:
        self.rng = None if rng is None else generator(rng, "rng")
        require(
            batches is None or callable(batches) or is_iterable(batches),
            "batches must be an iterable, or a callable epoch → iterable. Pass one of them.",
        )
        self.batches, self.done = batches, False

    def memory(self) -> Any:
        """Where the draws stand: the generator's state, or how many batches were taken."""
        return plain(self.rng.bit_generator.state) if self.rng is not None else self.taken

    def put_back(self, memory: Any, calls: int) -> None:
        """Draw on from there; batches are walked again up to the one that is due, which is none
        beyond the calls that there were."""
        if self.rng is not None:
            rewind(self.rng, memory)
            return
        taken = counted({"batches": memory}, "batches")
        require(
            taken <= calls,
            "The checkpoint counts more batches than calls. Pass that of the same run.",
        )
        self.restart()
        while self.taken < taken:
            self.next()

    def told(self) -> int | str:
        """By what a run is known again."""
        state = None if self.rng is None else repr(self.rng.bit_generator.state)
        return "batches" if state is None else zlib.crc32(state.encode())

    def restart(self) -> None:
        """Before a run: the first batch of the first epoch."""
        self.epoch, self.done, self.spent, self.taken = 0, False, False, 0
        if self.rng is None:
            self.walk = self._epochs()
            self.ahead = next(self.walk, None)
            require(self.ahead is not None, "batches is empty. Pass at least one batch.")

    def _epochs(self) -> Iterator[tuple[Any]]:
        """Boxes of batches, epoch after epoch, until one has none."""
        while True:
            some = False
            batches = self.batches(self.epoch) if callable(self.batches) else self.batches
            if not is_iterable(batches):
                raise TypeError(
                    f"batches must return an iterable at each epoch, got {batches!r}. Return one."
                )
            for batch in batches:
                some = True
                yield (batch,)
            self.epoch += 1
            if not some or _walks_once(self.batches):
                return

    def next(self) -> Any:
        """The generator, or the batch that is due."""
        if self.rng is not None:
            return self.rng
        self.taken += 1
        box, self.ahead = self.ahead, next(self.walk, None)
        if box is None:  # the last batch once more, to measure where its step has led
            self.spent = True
        else:
            self.last = box
        return self.last[0]

    def over(self, moment: "Moment") -> bool:
        """True when there is no batch for another step."""
        self.done = self.spent
        return self.done


def _walks_once(batches: Any) -> bool:
    """An iterator, which cannot be walked again."""
    return not callable(batches) and iter(batches) is batches
