"""What a descent says of itself: one measurement on the way, and why it stopped."""

import enum
from dataclasses import dataclass

from gdcore._typing import NOTHING, Array


class Status(enum.Enum):
    """Why a descent stopped; the value is the message and its cure.

    Example
    -------
    >>> import gdcore as gd
    >>> result = gd.minimize(lambda x: (x @ x, 2 * x), [3.0, 4.0])
    >>> result.status.name, result.status.success
    ('GRADIENT', True)
    """

    GRADIENT = "The gradient is as small as asked: a stationary point."
    CERTIFIED = "The minimum is proven to be no further below than asked."
    COST = (
        "The cost changes as little as asked. That alone does not make a minimum: look at the "
        "gradient's norm, and lower tol or add a gradient rule where it is still large."
    )
    PARAMETERS = "The parameters move as little as asked. Look at the gradient's norm as well."
    TARGET = "The cost is as low as asked."
    VALIDATION = "The held-out loss stopped improving; the parameters with the lowest one are kept."
    CLOSED_FORM = "The minimum of least squares, solved for directly."
    STALLED = (
        "No step changes the parameters any more: floating point has no finer numbers, or the "
        "learning rate is zero. Ask for a larger tol, or a schedule that ends above zero."
    )
    EPOCHS = "The budget of epochs is used up. Raise max_epochs or tol to go on from here."
    STEPS = "The budget of steps is used up. Fit again to go on from here, or raise max_steps."
    ITERATIONS = "The budget of iterations is used up. Raise max_iter or the tolerances to go on."
    SADDLE = (
        "The gradient vanishes at a saddle point, no minimum: the function falls along a direction "
        "of negative curvature. Start elsewhere, or pass restarts=5."
    )
    PLATEAU = (
        "The function is flat here in every direction that was tried: the gradient says nothing "
        "about a minimum. Start elsewhere, rescale the function, or pass restarts=5."
    )
    TIME = "The budget of seconds is used up. Raise max_time or tol to go on from here."
    CALLBACK = "A callback asked to stop; the best parameters so far are kept."
    INTERRUPTED = "Interrupted from the keyboard; the best parameters so far are kept."
    DIVERGED = "The descent diverged; the best parameters so far are kept."
    LOST = "What held the rows is gone; the best parameters so far are kept."

    @property
    def success(self) -> bool:
        """True where the descent ended as wished, False where a budget or a fault ended it."""
        return self in _SUCCESS

    def cure(self, last: bool = False) -> str:
        """The value; with `last`, of a descent that keeps the parameters it measured last."""
        text: str = self.value
        if last and self in (Status.CALLBACK, Status.INTERRUPTED):
            return text.replace("best parameters so far", "parameters measured last")
        return text


_SUCCESS = {
    Status.GRADIENT, Status.CERTIFIED, Status.COST, Status.PARAMETERS, Status.TARGET,
    Status.VALIDATION, Status.CLOSED_FORM,
}  # fmt: skip


@dataclass(slots=True)
class Moment:
    """One measurement: what rules and callbacks see.

    Example
    -------
    >>> import gdcore as gd
    >>> costs = []
    >>> model = gd.LinearRegression(callbacks=lambda moment: costs.append(moment.cost))
    >>> bool(model.fit([[0.0], [1.0]], [0.0, 9.0]).result_.fun == min(costs))
    True
    """

    step: int  # updates of θ so far
    epoch: int  # passes over the data
    cost: float  # J; during an epoch of mini-batches the batch's mean loss
    previous_cost: float  # of the measurement before
    gradient_norm: float  # ‖∇J‖; NaN where it was not measured
    moved: float  # ‖Δθ‖ since the measurement before
    learning_rate: float
    seconds: float  # since the start
    examples: int  # seen so far
    validation: float = float("nan")  # the held-out loss
    theta: Array = NOTHING  # as it moves: copy what is to be kept
    gradient: Array | None = None
    score: float = float("nan")  # the held-out accuracy or R²
