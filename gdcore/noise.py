"""Functions that are other ones at each call: fun(x, rng), or fun(x, batch)."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gdcore._typing import Array, Seed
from gdcore.errors import require
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
        source: Callable[[], Any],
    ) -> None:
        super().__init__(fun, layout, jac=jac, args=args, bounds=bounds)
        self.source, self.plain_args = source, args

    def begin(self, x: Array) -> None:
        """Nothing: the first draw belongs to the first step."""

    def value_and_gradient(self, x: Array, g: Array) -> float:
        """fun at x on the next draw."""
        self.args = (self.source(), *self.plain_args)
        return super().value_and_gradient(x, g)

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
            batches is None or callable(batches) or hasattr(batches, "__iter__"),
            "batches must be an iterable, or a callable epoch → iterable. Pass one of them.",
        )
        self.batches, self.done = batches, False

    def restart(self) -> None:
        """Before a run: the first batch of the first epoch."""
        self.epoch, self.done, self.spent = 0, False, False
        if self.rng is None:
            self.walk = self._epochs()
            self.ahead = next(self.walk, None)
            require(self.ahead is not None, "batches is empty. Pass at least one batch.")

    def _epochs(self) -> Iterator[tuple[Any]]:
        """Boxes of batches, epoch after epoch, until one has none."""
        while True:
            some = False
            for batch in self.batches(self.epoch) if callable(self.batches) else self.batches:
                some = True
                yield (batch,)
            self.epoch += 1
            if not some or _walks_once(self.batches):
                return

    def next(self) -> Any:
        """The generator, or the batch that is due."""
        if self.rng is not None:
            return self.rng
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
