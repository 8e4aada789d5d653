"""A recorder of where a descent went: θ at every so many steps, in bounded memory."""

from typing import Any, TypeAlias

import numpy as np

from gdcore._typing import Array
from gdcore.convergence import Moment
from gdcore.devices import DeviceArray, to_host
from gdcore.errors import require_number
from gdcore.hooks import Plan
from gdcore.optim.tree import leaves
from gdcore.result import Result

MOST_BYTES = 1 << 28  # of all points together

Point: TypeAlias = tuple[int, Array, float]  # step, θ, cost


class Path:
    """A callback that keeps a copy of θ at every k-th step: the path of descent.

    For `callbacks=[path]` of estimators and `descend`, where it hears of θ₀, too, and as
    `callback=path` of `minimize`, which tells of no x0: pass it as `start`. Of mini-batches these
    are the steps themselves, not the mean of them that a fit may return. A new fit starts anew.

    Memory is bounded: beyond `limit` points, or 256 MB, two of three are dropped and `every`
    is taken three times as large; the first and the latest are always there.

    Parameters
    ----------
    every : int
        Steps from one point to the next.
    limit : int
        The most points.
    start : array or structure, optional
        The point before the first step, for `minimize`.

    Attributes
    ----------
    points : array (points, size)
    steps, costs : array (points,)
        Steps taken so far, and J there as the descent met it (NaN where it did not tell).
    cost : the cost that was descended on, None for `minimize`
        It holds the rows of the fit for as long as you hold the path.
    solution : array (size,) or None
        What the descent returned.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> path = gd.plots.Path(start=[2.0, 2.0])
    >>> result = gd.minimize(lambda x: (x @ x, 2 * x), [2.0, 2.0], method="sgd", callback=path)
    >>> path.points[0], bool(np.array_equal(path.points[-1], result.x))
    (array([2., 2.]), True)
    """

    def __init__(self, every: int = 1, limit: int = 2000, start: Any = None) -> None:
        require_number("every", every, low=1, whole=True)
        require_number("limit", limit, low=4, whole=True)
        self.every, self.limit, self.start = every, limit, start
        self.cost: Any = None
        self._restart(None if start is None else _flat(start))

    def _restart(self, start: Array | None) -> None:
        self._rows: list[Point] = []
        self._late: Point | None = None
        self.solution: Array | None = None
        self._stride, self._seen, self._before = self.every, 0, 0
        if start is not None:
            self._add(0, start, np.nan)

    def on_begin(self, plan: Plan) -> None:
        """A fit begins: forget the last one."""
        there = isinstance(plan.theta, DeviceArray)  # whose cost takes no θ of the host's
        self.cost = None if there else plan.cost
        self._restart(plan.theta)

    def on_step(self, moment: Moment) -> None:
        """Keep θ after this step; a fit may be several descents in a row, each counting anew."""
        if moment.step <= self._seen:
            self._before += self._seen
        self._seen = moment.step
        step = self._before + moment.step
        if step == 1 and self._rows and np.isnan(self._rows[0][2]):
            self._rows[0] = (*self._rows[0][:2], moment.previous_cost)
        self._add(step, moment.theta, moment.cost)

    def on_end(self, result: Result[Any]) -> None:
        """Keep what is returned."""
        self.solution = np.array(to_host(result.x))

    def __call__(self, intermediate_result: Any) -> None:
        """The same for `minimize`; where it begins anew, as with restarts, the path does, too."""
        if isinstance(intermediate_result, Moment):
            return  # `on_step` hears of it
        if intermediate_result.nit <= self._seen:
            self._restart(None if self.start is None else _flat(self.start))
        self._seen = intermediate_result.nit
        self._add(self._seen, _flat(intermediate_result.x), intermediate_result.fun)

    def _add(self, step: int, theta: Array, cost: float) -> None:
        theta = to_host(theta)
        most = max(4, min(self.limit, MOST_BYTES // max(1, theta.nbytes)))
        if len(self._rows) >= most - 1:  # one place is the latest point's
            self._stride *= 3  # not 2, which would hide steps that go to and fro
            first, *others = self._rows
            self._rows = [first, *(row for row in others if row[0] % self._stride == 0)]
        if step % self._stride == 0 or not self._rows:
            self._rows.append((step, theta.copy(), float(cost)))
            self._late = None
        elif self._late is None or len(self._late[1]) != len(theta):
            self._late = step, theta.copy(), float(cost)
        else:
            self._late[1][:] = theta
            self._late = step, self._late[1], float(cost)

    def _all(self) -> list[Point]:
        return self._rows if self._late is None else [*self._rows, self._late]

    def __len__(self) -> int:
        return len(self._all())

    @property
    def points(self) -> Array:
        """θ, one row a point."""
        return np.array([theta for _, theta, _ in self._all()]).reshape(len(self), -1)

    @property
    def steps(self) -> Array:
        """Steps taken before each point."""
        return np.array([step for step, _, _ in self._all()], np.int64)

    @property
    def costs(self) -> Array:
        """J at each point."""
        return np.array([cost for _, _, cost in self._all()])

    def __repr__(self) -> str:
        if not len(self):
            return "Path(empty)"
        return f"Path({len(self)} points, steps {self.steps[0]} to {self.steps[-1]})"


def _flat(x: Any) -> Array:
    """A structure of arrays as one vector."""
    if isinstance(x, (dict, list, tuple)):
        return np.concatenate([np.ravel(leaf) for _, leaf in leaves(x)]).astype(float)
    return np.ravel(np.asarray(x, float))
