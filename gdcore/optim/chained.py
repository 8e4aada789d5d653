"""One optimizer of transforms and a rule: `chain(ClipNorm(1.0), Adam(1e-3), EMA(0.999))`."""

from dataclasses import dataclass, field

from gdcore._typing import Array, State, computed
from gdcore.errors import require
from gdcore.optim.base import Optimizer, Shapes
from gdcore.optim.transforms import Transform


@dataclass(frozen=True)
class Chain(Optimizer):
    """Transforms around a rule; made by `chain`.

    Example
    -------
    >>> import gdcore as gd
    >>> whole = gd.optim.chain(gd.optim.ClipNorm(1.0), gd.optim.Adam(0.01), gd.optim.EMA(0.99))
    >>> whole.optimizer.lr, len(whole.transforms)
    (0.01, 2)
    """

    transforms: tuple[Transform, ...] = ()
    optimizer: Optimizer = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        require(
            isinstance(self.optimizer, Optimizer) and not isinstance(self.optimizer, Chain),
            f"chain needs one rule, got {self.optimizer!r}. Pass one, as gd.optim.Adam(1e-3).",
        )

    @computed
    def lr(self) -> float:
        """The rule's learning rate."""
        return self.optimizer.lr

    @computed
    def moments(self) -> tuple[str, ...]:
        """The rule's."""
        return self.optimizer.moments

    @computed
    def needs_cost(self) -> bool:
        """As the rule does."""
        return self.optimizer.needs_cost

    @computed
    def full_batch(self) -> bool:
        """As the rule does."""
        return self.optimizer.full_batch

    @computed
    def scale(self) -> str:
        """As the rule's."""
        return self.optimizer.scale

    @computed
    def proximal(self) -> bool:
        """As the rule is."""
        return self.optimizer.proximal

    def init(self, theta: Array, shapes: Shapes = None) -> State:
        """The rule's state, and each transform's under its number."""
        state = self.optimizer.init(theta, shapes)
        for number, inner in enumerate(self.init_transforms(theta, shapes)):
            state |= {f"transform{number}.{name}": array for name, array in inner.items()}
        return state

    def init_transforms(self, theta: Array, shapes: Shapes) -> list[State]:
        """States of the transforms alone."""
        return [transform.init(theta, shapes) for transform in self.transforms]

    def _states(self, state: State) -> list[State]:
        """The states of the transforms within the chain's."""
        states: list[State] = [{} for _ in self.transforms]
        for name, array in state.items():
            if name.startswith("transform"):
                number, _, inner = name[len("transform") :].partition(".")
                states[int(number)][inner] = array
        return states

    def before(self, theta: Array, g: Array, states: list[State], lr: float) -> bool:
        """Everything that comes before the step; False where it is not to be taken."""
        pairs = zip(self.transforms, states, strict=True)
        return all(transform.before(theta, g, state, lr) for transform, state in pairs)

    def after(self, theta: Array, states: list[State]) -> None:
        """Everything that comes after it."""
        for transform, state in zip(self.transforms, states, strict=True):
            transform.after(theta, state)

    def average(self, theta: Array, states: list[State]) -> Array:
        """The point to use."""
        for transform, state in zip(self.transforms, states, strict=True):
            theta = transform.average(theta, state)
        return theta

    def step(
        self, theta: Array, g: Array, state: State, lr: float, cost: float | None = None
    ) -> None:
        """Transform a copy of g, step, transform θ."""
        states, slope = self._states(state), g.copy()
        if self.before(theta, slope, states, lr):
            self.optimizer.step(theta, slope, state, lr, cost=cost)
            self.after(theta, states)

    def reach(self, state: State, lr: float) -> Array | float:
        """The rule's."""
        return self.optimizer.reach(state, lr)

    def extrapolate(self, theta: Array, g: Array, state: State) -> None:
        """The rule's."""
        self.optimizer.extrapolate(theta, g, state)

    def solution(self, theta: Array, state: State) -> Array:
        """The rule's, averaged by what averages."""
        return self.average(self.optimizer.solution(theta, state), self._states(state))


def chain(*parts: Optimizer | Transform) -> Chain:
    """One optimizer of transforms and a rule, in the order in which they act.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.optim.chain(gd.optim.ClipNorm(1.0), gd.optim.SGD(0.1))
    Chain(transforms=(ClipNorm(limit=1.0),), optimizer=SGD(lr=0.1))
    """
    rules = [part for part in parts if isinstance(part, Optimizer)]
    transforms = tuple(part for part in parts if not isinstance(part, Optimizer))
    for part in transforms:
        require(
            not isinstance(part, type),
            f"chain takes instances, got the class {part}. Call it first.",
        )
        require(
            isinstance(part, Transform),
            f"chain takes transforms and a rule, got {part!r}. Pass one, as ClipNorm(1.0).",
        )
    require(len(rules) == 1, f"chain needs one rule, got {len(rules)}. Pass one, as Adam(1e-3).")
    return Chain(transforms, rules[0])
