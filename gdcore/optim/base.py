"""The contract of an optimizer: frozen hyper-parameters, state in arrays, a step in place."""

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, ArrayLike, State
from gdcore.errors import as_plain, require, require_choice
from gdcore.optim.tree import Tree

if TYPE_CHECKING:
    from gdcore.optim.bind import Updater

Shapes: TypeAlias = Sequence[tuple[int, ...]] | None  # of θ's parts; None where it is one
Groups: TypeAlias = Mapping[str, Mapping[str, Any] | None]  # hyper-parameters by pattern


class Optimizer(ABC):
    """A direction rule.

    A subclass is a frozen dataclass, hence equal, printable and picklable. Its state is a dict of
    arrays: its moments have θ's length, "t" (int64) counts the steps taken. Copy the dict to save
    it, put it back to resume.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> class Signs(gd.optim.Optimizer):  # a rule of one's own
    ...     lr = 0.25
    ...     def step(self, theta, g, state, lr, cost=None):
    ...         theta -= lr * np.sign(g)
    >>> theta, rule = np.array([1.0, -1.0]), Signs()
    >>> rule.step(theta, np.array([7.0, -0.1]), rule.init(theta), rule.lr)
    >>> theta
    array([ 0.75, -0.75])
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    lr: float
    moments: tuple[str, ...] = ()  # names of vectors in the state, as the kernel takes them in turn
    rule: str | None = None  # what the compiled epochs call it, where they know it
    needs_cost = False  # whether a step needs J(θ)
    elementwise = False  # whether θ and g may be lists of arrays: no coordinate sees another
    searches = False  # whether the loop is to look along `direction` for a step
    visits = False  # whether it goes over the rows itself, one at a time, from a measured θ
    full_batch = False  # whether successive gradients must be of one and the same cost
    proximal = True  # whether `reach` tells the step length for an |θ| term
    scale = "gradient"  # how long a step is: as the "gradient" says, a "unit", or found by "itself"
    automatic = 0.05  # where the rate of a "unit" rule starts, in units of θ, when none is given

    @abstractmethod
    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """Move θ against g by the learning rate lr. Changes theta and state, never g."""

    def init(self, theta: Array, shapes: Shapes = None) -> State:
        """Fresh state for a flat θ; shapes of its parts, where it has several."""
        state = {name: np.full_like(theta, self.start(name)) for name in self.moments}
        state["t"] = np.zeros(1, np.int64)
        return state

    def start(self, moment: str) -> float:
        """What a moment is filled with at first."""
        return 0.0

    def constants(self) -> tuple[float, ...]:
        """The hyper-parameters that the compiled epochs take after lr."""
        return ()

    def reach(self, state: State, lr: float) -> Array | float:
        """How far one unit of gradient moves each coordinate: the step of the proximal operator."""
        return lr

    def extrapolate(self, theta: Array, g: Array, state: State) -> None:
        """Move on from the point that the step and the proximal operator gave. Changes theta."""
        return None

    def solution(self, theta: Array, state: State) -> Array:
        """The point to use: θ, or the average of its path where the rule keeps one."""
        return theta

    def without_decay(self) -> "Optimizer":
        """The rule for what is not to decay: itself, where it has no decoupled decay."""
        return self

    def bind(
        self,
        params: Tree,
        *,
        groups: Groups | None = None,
        schedule: Callable[[int], float] | None = None,
    ) -> "Updater":
        """An `Updater` that moves your own arrays: `updater.step(grads)`.

        Parameters
        ----------
        params : array, or (nested) dict, list or tuple of arrays, float32 or float64
            Moved in place; any shape, contiguous or not.
        groups : dict of pattern → dict of hyper-parameters, optional
            Arrays whose path matches the pattern ("*.bias", "layers.0.*") get these instead, as
            {"*.bias": {"decay": 0}}; the first pattern that matches counts. None for the
            hyper-parameters leaves its arrays as they are.
        schedule : callable t → factor, optional
            Multiplies lr.

        Example
        -------
        >>> import numpy as np, gdcore as gd
        >>> params = {"w": np.ones((2, 2)), "b": np.ones(2)}
        >>> updater = gd.optim.SGD(lr=0.5).bind(params, groups={"b": {"lr": 1.0}})
        >>> updater.step({"w": np.ones((2, 2)), "b": np.ones(2)})
        >>> params["w"][0], params["b"]
        (array([0.5, 0.5]), array([0., 0.]))
        """
        from gdcore.optim.bind import Updater

        return Updater(self, params, groups=groups, schedule=schedule)

    def __call__(
        self, fun: Callable[..., Any], x0: ArrayLike, args: tuple[Any, ...] = (), **options: Any
    ) -> Any:
        """Minimise for SciPy: `scipy.optimize.minimize(fun, x0, method=gd.optim.Adam(0.01))`."""
        # The one call up the house: SciPy knows nothing but the instance it was given.
        return import_module("gdcore.minimizer").scipy_method(self, fun, x0, args, **options)


class Rule(Optimizer):
    """A rule whose coordinates do not see each other: one pass of a compiled loop over memory.

    Example
    -------
    >>> import gdcore as gd
    >>> issubclass(gd.optim.Adam, gd.optim.Rule), issubclass(gd.optim.LBFGS, gd.optim.Rule)
    (True, False)
    """

    elementwise = True

    @abstractmethod
    def kernel(self, state: State, lr: float) -> tuple[str, tuple[float, ...]]:
        """(name of the loop, its numbers) for the step that state["t"] counts."""

    def advance(self, state: State, lr: float) -> None:
        """Bring what the state counts beside its moments to the next step. Changes state."""
        t = state["t"]
        t[0] = t.item() + 1  # three times as fast as t += 1, which is a third of a small step

    def step(
        self,
        theta: Array | Sequence[Array],
        g: Array | Sequence[Array],
        state: State,
        lr: float,
        cost: float | None = None,
    ) -> None:
        """Move θ, one array or a list of them, against g. Changes theta and state."""
        self.advance(state, lr)
        name, c = self.kernel(state, lr)
        kernels.update(name, theta, g, [state[moment] for moment in self.moments], c)


def require_finite(optimizer: Any, argument: str) -> Any:
    """The hyper-parameter, which must be a finite number."""
    value, name = as_plain(optimizer, argument), type(optimizer).__name__
    if not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"{name} needs {argument} to be a finite number, got {value!r}. Pass one.")
    return value


def require_rate(optimizer: Any) -> None:
    name, lr = type(optimizer).__name__, require_finite(optimizer, "lr")
    require(lr > 0, f"{name} needs lr > 0, got {lr}. Pass a positive learning rate, as 0.01.")


def require_fraction(optimizer: Any, *arguments: str) -> None:
    for argument in arguments:
        name, value = type(optimizer).__name__, require_finite(optimizer, argument)
        require(
            0 <= value < 1, f"{name} needs {argument} in [0, 1), got {value}. Pass one, as 0.9."
        )


def require_positive(optimizer: Any, *arguments: str) -> None:
    for argument in arguments:
        name, value = type(optimizer).__name__, require_finite(optimizer, argument)
        require(value > 0, f"{name} needs {argument} > 0, got {value}. Pass one, as 1e-8.")


def require_not_negative(optimizer: Any, *arguments: str) -> None:
    for argument in arguments:
        name, value = type(optimizer).__name__, require_finite(optimizer, argument)
        require(value >= 0, f"{name} needs {argument} ≥ 0, got {value}. Pass one, as 0.01.")


def require_whole(optimizer: Any, argument: str, low: int) -> None:
    name, value = type(optimizer).__name__, require_finite(optimizer, argument)
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    require(
        whole and value >= low,
        f"{name} needs {argument} to be a whole number ≥ {low}, got {value!r}. Pass one.",
    )


def require_flag(optimizer: Any, *arguments: str) -> None:
    for argument in arguments:
        name, value = type(optimizer).__name__, getattr(optimizer, argument)
        flag = isinstance(value, (bool, np.bool_))
        require(flag, f"{name} needs {argument} to be True or False, got {value!r}. Pass one.")


def require_one_of(optimizer: Any, argument: str, choices: list[str]) -> None:
    name, value = type(optimizer).__name__, getattr(optimizer, argument)
    require_choice(f"{name} needs {argument} to be known: {argument}", value, choices)
