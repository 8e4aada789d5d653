"""Optimizers on anyone's arrays: `updater = Adam(1e-3).bind(params)`, `updater.step(grads)`."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np

from gdcore._typing import Array, ArrayLike, State
from gdcore.errors import require, require_number
from gdcore.optim.base import Groups, Optimizer
from gdcore.optim.chained import Chain
from gdcore.optim.groups import checked, grouped
from gdcore.optim.sparse import SparseGradient, sparse_step
from gdcore.optim.tree import Tree, matching


class Updater:
    """Moves arrays in place by an optimizer; made by `Optimizer.bind`.

    Elementwise rules run over the arrays where they lie, in one call of a compiled loop for each
    group of hyper-parameters. Rules that look at all of θ at once, and transforms, work on one
    flat copy, which is written back. Gradients are never changed.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> params = {"W": np.ones((2, 2)), "b": np.zeros(2)}
    >>> updater = gd.optim.Momentum(0.1).bind(params)
    >>> updater.step({"W": np.ones((2, 2)), "b": np.ones(2)})
    >>> params["b"], updater.t
    (array([-0.1, -0.1]), 1)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        params: Tree,
        *,
        groups: Groups | None = None,
        schedule: Callable[[int], float] | None = None,
    ) -> None:
        if schedule is not None and not callable(schedule):
            raise ValueError("schedule must be a callable t → factor. Pass one of gd.schedules.")
        self._watches = hasattr(schedule, "observe")  # it changes: this updater's copy does
        self.schedule: Any = copy.deepcopy(schedule) if self._watches else schedule
        self.params: Any = params
        self.optimizer = optimizer
        self._chain = optimizer if isinstance(optimizer, Chain) else None
        rule = self._chain.optimizer if self._chain else optimizer
        self._bare = isinstance(params, np.ndarray)
        self._named = dict(checked(params))
        self._groups = [_Group(*group) for group in grouped(rule, self._named, groups or {})]
        if self._chain is None and rule.elementwise:
            self._whole = None
            for group in self._groups:
                group.lie_where_they_are()
        else:
            self._whole = _Whole(self._groups, self._chain)
        children = params.values() if isinstance(params, dict) else params
        flat = not self._bare and all(isinstance(child, np.ndarray) for child in children)
        kinds: dict[Any, Any] = {list: list, tuple: list, dict: dict}
        self._flat = kinds.get(type(params)) if flat else None
        alone = len(self._groups) == 1 and self._groups[0].names == list(self._named)
        plain = self._whole is None and alone and self._groups[0].plain
        self._quick = self._groups[0].quick if plain else None

    @property
    def t(self) -> int:
        """Steps taken."""
        return int(self._groups[0].state["t"][0])

    def step(self, grads: Any, *, lr: float | None = None, cost: float | None = None) -> None:
        """Move the parameters against their gradients, given in the parameters' structure.

        A gradient may be a `SparseGradient` for SGD, AdaGrad and Adam. `lr` overrides the
        optimizer's own this once; `cost` is J(θ), for what needs it: Polyak, a Plateau schedule.
        """
        if cost is None and (self.optimizer.needs_cost or self._watches):
            who = type(self.optimizer if self.optimizer.needs_cost else self.schedule).__name__
            raise ValueError(f"{who} needs the cost at each step. Pass step(grads, cost=J).")
        if lr is not None:
            require_number("lr", lr, low=0)
        factor = 1.0 if self.schedule is None else self.schedule(self.t)
        if type(factor) is not float:
            if not isinstance(factor, Real):
                raise TypeError(f"schedule must give factors, got {factor!r}. Return a number.")
            factor = float(factor)
        if not 0 <= factor < math.inf:
            raise ValueError(f"schedule must give factors ≥ 0, got {factor}. Correct it.")
        given = self._listed(grads)
        if self._quick is None or not self._quick(given, lr, factor):
            self._step(dict(zip(self._named, given, strict=True)), lr, factor, cost)
        if self._watches:
            self.schedule.observe(cost)

    def _step(
        self, given: dict[str, Any], lr: float | None, factor: float, cost: float | None
    ) -> None:
        work = [group.gradients(given) for group in self._groups]
        with np.errstate(all="ignore"):  # what is infinite stays so, in silence as in the kernels
            if self._whole is not None:
                self._whole.step(work, lr, factor, cost)
                return
            for group, slopes in zip(self._groups, work, strict=True):
                group.step(slopes, group.rate(lr, factor))

    def _listed(self, grads: Any) -> Sequence[Any]:
        """The gradients in the parameters' order; without a walk where the structure is flat."""
        if self._bare:
            return [grads]
        if self._flat is list and isinstance(grads, (list, tuple)):
            if len(grads) == len(self.params):
                return grads
        elif self._flat is dict and isinstance(grads, dict) and grads.keys() == self.params.keys():
            return [grads[key] for key in self.params]
        return matching(grads, self.params)

    def state_dict(self) -> State:
        """A copy of everything that a resumed run needs: a dict of arrays, as np.savez takes it."""
        state = {name: array.copy() for name, array in (self._entries() | self._watched()).items()}
        return state | {"names": np.array(self._order())}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over what `state_dict` gave; nothing changes where it does not fit."""
        if not isinstance(state, Mapping):
            raise TypeError(f"state must be a mapping, got {state!r:.60}. Pass a state_dict.")
        names = np.asarray(state.get("names", self._order())).tolist()
        if names != self._order():
            raise ValueError(
                f"state belongs to the parameters {', '.join(map(repr, names))}, these are "
                f"{', '.join(map(repr, self._order()))}. Bind in the same order and groups."
            )
        state = {name: array for name, array in state.items() if name != "names"}
        mine = self._entries()
        watched = {name: state[name] for name in self._watched() if name in state}
        state = {name: array for name, array in state.items() if name not in watched}
        missing = sorted(set(mine) ^ set(state))
        require(
            not missing,
            f"state must hold the arrays of this updater; {missing[0] if missing else ''!r} is on "
            "one side only. Bind the same optimizer to the same parameters first.",
        )
        for name, array in mine.items():
            given = np.asarray(state[name])
            if given.shape != array.shape or given.dtype != array.dtype:
                raise ValueError(
                    f"state[{name!r}] must be {array.dtype} of shape {array.shape}, got "
                    f"{given.dtype} of shape {given.shape}. Bind to parameters of the same shapes."
                )
        if self._watched():
            self.schedule.load_state_dict(
                {name[len("schedule.") :]: a for name, a in watched.items()}
            )
        for name, array in mine.items():
            array[...] = state[name]

    @contextmanager
    def averaged(self) -> Iterator[Any]:
        """Within, the parameters are the optimizer's solution, an average of their path.

        For Schedule-Free rules, EMA and PolyakAverage: evaluate and save there, train outside.
        """
        kept = {name: array.copy() for name, array in self._named.items()}
        points = self._whole.solutions() if self._whole else _solutions(self._groups)
        for array, point in points:
            array[...] = point
        try:
            yield self.params
        finally:
            for name, array in self._named.items():
                array[...] = kept[name]

    def _order(self) -> list[str]:
        """The paths of the arrays as the state has them: group after group."""
        return [name for group in self._groups for name in group.names]

    def _watched(self) -> State:
        """What a schedule that observes costs has come to."""
        if not hasattr(self.schedule, "state_dict"):
            return {}
        return {f"schedule.{name}": a for name, a in self.schedule.state_dict().items()}

    def _entries(self) -> State:
        entries = {
            f"{number}.{name}": array
            for number, group in enumerate(self._groups)
            for name, array in group.state.items()
        }
        return entries | (self._whole.entries() if self._whole else {})

    def __repr__(self) -> str:
        count = sum(array.size for array in self._named.values())
        return f"Updater({self.optimizer}, {len(self._named)} arrays, {count} numbers, t={self.t})"


class _Group:
    """Arrays that share hyper-parameters and a dtype, with their state."""

    def __init__(self, optimizer: Any, named: dict[str, Array]) -> None:
        self.optimizer, self.named = optimizer, named
        self.names, self.arrays = list(named), list(named.values())
        self.dtype = self.arrays[0].dtype
        self.size = sum(array.size for array in self.arrays)
        self.shapes = [array.shape for array in self.arrays]

    def lie_where_they_are(self) -> None:
        """State over the arrays themselves; those with gaps are stepped in a copy."""
        theta = np.concatenate([array.ravel() for array in self.arrays])
        self.state = self.optimizer.init(theta, self.shapes)
        self.plain = all(a.flags.c_contiguous and a.flags.aligned for a in self.arrays)
        moments = self.optimizer.moments
        self.counters = [array for name, array in self.state.items() if name not in moments]

    def rate(self, lr: float | None, factor: float) -> float:
        """lr given, or the optimizer's own, times the schedule's factor."""
        return (self.optimizer.lr if lr is None else lr) * factor

    def gradients(self, given: Mapping[str, Any]) -> list[Any]:
        """The group's gradients, of its dtype and contiguous; refused by name where unfit."""
        return [_slope(name, given[name], array) for name, array in self.named.items()]

    def quick(self, grads: Sequence[Any], lr: float | None, factor: float) -> bool:
        """The step without looking, where the kernel accepts what there is; False where not."""
        optimizer, state = self.optimizer, self.state
        kept = [array.item() for array in self.counters]
        lr = optimizer.lr if lr is None else lr
        try:
            optimizer.step(self.arrays, grads, state, lr * factor)
        except (TypeError, ValueError):
            for array, value in zip(self.counters, kept, strict=True):
                array[0] = value
            return False
        return True

    def step(self, slopes: list[Any], lr: float) -> None:
        """An elementwise rule over the arrays; sparse gradients touch their own rows alone."""
        if any(isinstance(slope, SparseGradient) for slope in slopes):
            sparse_step(self.optimizer, self.arrays, slopes, self.state, lr)
            return
        arrays = [np.require(array, requirements=["C", "A"]) for array in self.arrays]
        self.optimizer.step(arrays, slopes, self.state, lr)
        for array, moved in zip(self.arrays, arrays, strict=True):
            if moved is not array:
                array[...] = moved


class _Whole:
    """θ and its gradient as flat vectors, group after group, for what looks at all of them."""

    def __init__(self, groups: list[_Group], chain: Chain | None) -> None:
        self.groups, self.chain = groups, chain
        kind = np.result_type(*(group.dtype for group in groups))
        size = sum(group.size for group in groups)
        self.theta, self.g = np.zeros(size, kind), np.zeros(size, kind)
        self.slices, at = [], 0
        for group in groups:
            self.slices.append(slice(at, at + group.size))
            at += group.size
        self._read()
        for group, part in zip(groups, self.slices, strict=True):
            group.state = group.optimizer.init(self.theta[part].copy(), group.shapes)
        shapes = [shape for group in groups for shape in group.shapes]
        self.states = chain.init_transforms(self.theta, shapes) if chain else []

    def _read(self) -> None:
        arrays = [array.ravel() for group in self.groups for array in group.arrays]
        np.concatenate(arrays, out=self.theta)

    def _pieces(self, vector: Array) -> Iterator[tuple[Array, Array]]:
        """(the user's array, its piece of a flat vector)."""
        at = 0
        for group in self.groups:
            for array in group.arrays:
                yield array, vector[at : at + array.size].reshape(array.shape)
                at += array.size

    def step(
        self, work: list[list[Any]], lr: float | None, factor: float, cost: float | None
    ) -> None:
        """Gather, transform, step every group, transform, write back."""
        for slopes in work:
            if any(isinstance(slope, SparseGradient) for slope in slopes):
                raise ValueError(
                    "A sparse gradient needs SGD, AdaGrad or Adam without transforms. Pass "
                    "SparseGradient.dense(shape)."
                )
        self._read()
        np.concatenate([slope.ravel() for slopes in work for slope in slopes], out=self.g)
        first = self.groups[0].rate(lr, factor)
        if self.chain and not self.chain.before(self.theta, self.g, self.states, first):
            return
        for group, part in zip(self.groups, self.slices, strict=True):
            x, slope, rate = self.theta[part], self.g[part], group.rate(lr, factor)
            group.optimizer.step(x, slope, group.state, rate, cost=cost)
            group.optimizer.extrapolate(x, slope, group.state)
        if self.chain:
            self.chain.after(self.theta, self.states)
        for array, piece in self._pieces(self.theta):
            array[...] = piece

    def solutions(self) -> list[tuple[Array, Array]]:
        """(the user's array, its solution)."""
        self._read()
        point = self.theta.copy()
        for group, part in zip(self.groups, self.slices, strict=True):
            point[part] = group.optimizer.solution(self.theta[part], group.state)
        if self.chain:
            point = self.chain.average(point, self.states)
        return list(self._pieces(point))

    def entries(self) -> State:
        """The state of the transforms."""
        return {
            f"transform{number}.{name}": array
            for number, state in enumerate(self.states)
            for name, array in state.items()
        }


def _solutions(groups: list[_Group]) -> Iterator[tuple[Array, Array]]:
    for group in groups:
        theta = np.concatenate([array.ravel() for array in group.arrays])
        point, at = group.optimizer.solution(theta, group.state), 0
        for array in group.arrays:
            yield array, point[at : at + array.size].reshape(array.shape)
            at += array.size


def _slope(path: str, given: Any, array: Array) -> Any:
    """One gradient, ready for the kernel."""
    name = f"grads[{path!r}]" if path else "grads"
    if isinstance(given, SparseGradient):
        given.check(name, array)
        return given
    if given is None:
        raise TypeError(f"{name} is None. Pass zeros for a parameter that is not to move.")
    slope = np.asarray(given)
    if slope.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got {slope.dtype}. Convert it.")
    if slope.shape != array.shape:
        raise ValueError(
            f"{name} must have the shape {array.shape} of its parameter, got {slope.shape}. "
            "Reshape it."
        )
    with np.errstate(over="ignore"):  # a slope may be beyond float32
        ready = np.require(slope, array.dtype, ["C", "A"]).reshape(array.shape)
    return ready.copy() if np.may_share_memory(ready, array) else ready  # of ½θ², θ itself
