"""The one loop: predict → cost → gradient → update → convergence."""

import math
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from gdcore._typing import Array, Rate, Seed
from gdcore.convergence import Status
from gdcore.devices import to_host
from gdcore.errors import LostError, require_number, require_seconds
from gdcore.hooks import Hooks
from gdcore.remembered import text
from gdcore.result import Result
from gdcore.run import Run
from gdcore.seeds import generator
from gdcore.snapshot import Snapshot, facts

if TYPE_CHECKING:
    from gdcore.continuation import Continuation
    from gdcore.convergence import Rule
    from gdcore.hooks import Callbacks
    from gdcore.optim.base import Optimizer


class Descended(Protocol):
    """What every descent asks of a cost; `Cost` and `PlainCost` have it, and so may yours."""

    unit: float

    def __enter__(self) -> object: ...
    def __exit__(self, *error: Any) -> None: ...
    def __len__(self) -> int: ...
    def value_and_gradient(self, theta: Array, g: Array, /) -> float: ...
    def steepest(self, theta: Array, g: Array, /) -> Array: ...
    def norm(self, theta: Array, g: Array, /) -> float: ...
    def prox(self, theta: Array, reach: Any, /) -> None: ...
    def baseline(self, theta: Array, value: float, /) -> float: ...
    def order(self, rng: Any, /) -> Any: ...
    def safe_rate(self, batch_size: int, /) -> float | None: ...
    def leave(self, run: Any, /) -> None: ...


def descend(
    cost: Descended, theta: Array, optimizer: "Optimizer", *, learning_rate: Rate = None,
    batch_size: int | None = None, stop: "Rule | None" = None, max_epochs: int = 1000,
    max_time: float = math.inf, callbacks: "Callbacks" = (),
    validate: Callable[[Array], float | tuple[float, float]] | None = None,
    patience: int | None = 5, random_state: Seed = None,
    checkpoint: Callable[[Snapshot], object] | None = None,
    resume: "Snapshot | Continuation | None" = None,
) -> Result:  # fmt: skip
    """Minimise a cost by gradient descent from θ, and say why it stopped.

    Each round measures J(θ) and ∇J(θ), asks the rules, and moves: one step on the full batch, or
    one epoch of steps on mini-batches. With mini-batches, no rule, no validation and a given rate
    nobody asks for J between epochs: the trace then has the mean cost met on the way.

    Parameters
    ----------
    cost : a `Cost`, or a `PlainCost` of your own
    theta : array (size,), float64
        Where to start; not changed.
    optimizer : Optimizer
    learning_rate : float, schedule, or None
        A number; a callable t → factor on the optimizer's own lr; None for a rate that starts at
        the cost's `safe_rate` and halves, back at the best θ, whenever the cost stops falling. With
        mini-batches θ is then a mean of the steps' points, the later ones weighing more, which
        has less of their noise (Polyak & Juditsky, 1992; Shamir & Zhang, 2013).
    batch_size : int or None
        None is the full batch.
    stop : Rule or None
        As `GradientNorm(1e-6) | CostChange(1e-9)`. None runs to the budget.
    max_epochs, max_time : budgets, in passes over the data and in seconds
    callbacks : callables, or objects as of `gd.callbacks`
        A function is called with the `Moment` after every measurement. An object may have any of
        on_begin(plan), on_step(moment), on_epoch(moment), on_end(result) and on_error(error); what
        on_step gets of mini-batches is the batch's mean loss, and no gradient. True stops.
    validate : callable θ → loss, or θ → (loss, score), optional
        Stop after `patience` measurements without a lower loss, and keep the θ that had it. With
        patience=None it is only measured.
    random_state : int, Generator or None
    checkpoint : callable, optional
        Called after each measurement with a `gdcore.snapshot.Snapshot` of the descent.
    resume : Snapshot, optional
        Go on from there: the same bits as if it had never been interrupted.

    Returns
    -------
    Result
        x, fun, jac, nit, nfev, success, status, message, trace. Divergence, Ctrl-C and a cluster
        that is lost are results too, with the best θ so far, which is never NaN.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> from gdcore.data import Rows
    >>> from gdcore.models.family import LinearFamily
    >>> rows = Rows(np.array([[1.0], [2.0]]), np.array([1.0, 3.0]), np.ones(2))
    >>> nothing = gd.penalties.Penalty(np.zeros(2), np.zeros(2))
    >>> cost = gd.Cost(LinearFamily(gd.losses.Squared(), features=1), rows, nothing)
    >>> rule = gd.convergence.GradientNorm(1e-9)
    >>> result = gd.descend(cost, np.zeros(2), gd.optim.FISTA(), stop=rule)
    >>> result.x.round(6), result.status.name
    (array([ 2., -1.]), 'GRADIENT')
    """
    require_number("max_epochs", max_epochs, low=0, whole=True)
    require_seconds("max_time", max_time)
    run = Run(
        cost, theta, optimizer, rate=learning_rate, batch_size=batch_size, stop=stop,
        validate=validate, patience=patience,
    )  # fmt: skip
    run.max_epochs, run.max_time = max_epochs, max_time
    run.rng = None if run.full else generator(random_state)  # 15 µs, for order alone
    run.callbacks, own = Hooks.of(callbacks)
    if resume is not None:
        resume.put_back(run)
    with run.callbacks if own else nullcontext():
        if run.callbacks.keeps:
            asked = {
                "optimizer": optimizer, "learning_rate": learning_rate, "batch_size": batch_size,
                "stop": stop, "patience": patience,
            }  # fmt: skip
            resume = _found(run, asked, random_state) or resume
        run.callbacks.begin(run.plan())
        result = _rounds(run, checkpoint, resume is not None)
        run.proof = run.stop = None  # they know the run: its rows are to go with their owner
        if own:
            run.callbacks.end(result)
    return result


def _found(run: Run, asked: dict[str, Any], random_state: Seed) -> Snapshot | None:
    """What a callback has kept of this descent, put back; None where there is nothing."""
    asked, known = {name: text(value) for name, value in asked.items()}, facts(run)
    asked["first θ"] = str(zlib.crc32(to_host(run.theta).tobytes()))
    if run.rng is not None and random_state is not None:
        known["random_state"] = str(zlib.crc32(repr(run.rng.bit_generator.state).encode()))
    found: Snapshot | None = run.callbacks.find(run, asked, known)
    if found is not None:
        with run.cost:
            found.put_back(run)
    return found


def _rounds(run: Run, checkpoint: Callable[[Snapshot], object] | None, known: bool) -> Result:
    """Measure and advance in turns; where it stands is `known` of a descent that goes on."""
    with run.cost:
        try:
            if known and run.epoch >= run.max_epochs:  # no more is asked for than there was
                run.ended = run.spent()
                return run.result()
            while known or not run.measure():
                if not known:
                    if checkpoint is not None:
                        checkpoint(Snapshot.of(run))
                    run.callbacks.keep(run)
                known = False
                run.callbacks.advance()
                run.advance()
            return run.result()
        except (KeyboardInterrupt, LostError) as error:
            where = f"in epoch {run.epoch + 1}" if run.draw is None else f"after {run.steps()}"
            run.ended = Status.INTERRUPTED, f"stopped {where}"
            if isinstance(error, LostError):
                if not len(run.trace):  # nothing is known of any θ
                    raise
                run.ended = Status.LOST, f"{str(error).rstrip('.')}, {where}"
            return run.result()
