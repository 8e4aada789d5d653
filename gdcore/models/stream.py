"""What a stream of examples has taught a linear model so far."""

import itertools
import math
import time
from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from gdcore._typing import Array, ArrayLike
from gdcore.errors import require
from gdcore.kernels import csr_online_pass, csr_online_settle, largest, online_pass
from gdcore.losses import Loss, as_loss
from gdcore.models.family import Matrix, margins
from gdcore.sparse import CSR
from gdcore.trace import Trace

DENSE = 1 << 18  # numbers of sparse rows that are written down at a time
MOST = 1e150  # of rows, weights, targets and settings, as the kernels have it


class Stream:
    """Weights of one linear model that learns row by row, and the sums that its steps depend on.

    The rule is the kernel `online_pass`. `state` holds k rows of weights, the intercept last, k
    rows of sums of squared slopes, the scale and the mean of each column; `clock` what is counted.
    A stream that begins with sparse rows does not centre its columns, and an example costs what it
    holds: the rule is `csr_online_pass`, and penalties wait in `state` for a column's next turn.
    """

    centred: bool | None  # as the first rows will have it
    numbers: tuple[float, ...]
    ready: type | None  # and shape: of rows that `learn_row` takes
    shape: tuple[int, ...] | None
    classes: Any  # an array, and their codes: of a classifier
    codes: dict[Any, int]
    factors: Any  # or mass, by class_weight: of each class, or the weight that it has had
    mass: Any

    def __init__(self, loss: str, p: int, k: int = 1, many: str | None = None) -> None:
        self.loss, self.one, self.p = loss, loss, p
        self.many = many or loss  # of three classes or more
        self.state, self.clock = np.zeros((2 * k + 2, p + 1)), np.zeros(5)
        self.y, self.weight = np.zeros(1), np.ones(1)
        self.centred, self.numbers, self.ready, self.shape = None, (), None, None
        self.classes, self.codes, self.factors, self.mass = None, {}, None, None
        self.total = 0.0  # of mass
        self.trace, self.examples, self.seconds = Trace(), 0, 0.0

    @property
    def weights(self) -> Array:
        """A view (k, p + 1), the intercept last."""
        return self.state[: len(self.state) // 2 - 1]

    def follow(
        self, coef: ArrayLike, intercept: ArrayLike, past: float, slope: float, error: float = 0.0
    ) -> None:
        """Go on from weights that were learnt from `past` examples of a typical squared `slope`."""
        self.weights[:, :-1], self.weights[:, -1] = coef, intercept
        # Rates of 1/past, not of 1/√past as a stream's own: noise is not to drown what is known.
        self.clock[[0, 2, 3]] = past, past * error, past * past * slope

    @property
    def lags(self) -> bool:
        """Whether penalties wait for their columns."""
        return self.centred is False and (self.numbers[2] > 0 or self.numbers[3] > 0)

    def settled(self) -> Array:
        """The weights (k, p + 1) with all that penalties still have to do, a copy."""
        state = self.state.copy()
        csr_online_settle(state, self.numbers)
        return state[: len(state) // 2 - 1]

    def under(self, numbers: tuple[float, ...]) -> None:
        """Learn by these numbers from now on: what has waited is due to the old ones."""
        if self.centred is False and numbers[2:5] != self.numbers[2:5]:
            csr_online_settle(self.state, self.numbers)
        self.numbers = numbers
        self._get_ready()

    def _get_ready(self) -> None:
        self.ready = {None: None, True: np.ndarray, False: CSR}[self.centred]
        self.shape = (self.p,) if self.centred else (1, self.p)

    def learn_row(self, x: Any) -> None:
        """Learn from a row of the type `ready` and of that shape; y and its weight are noted."""
        if self.centred:
            online_pass(self.loss, x, self.y, self.weight, self.state, self.clock, self.numbers)
        else:
            csr_online_pass(self.loss, x.data, x.indices, x.indptr, self.y, self.weight, self.state,
                            self.clock, self.numbers)  # fmt: skip

    def margins(self, X: CSR) -> Array:
        """z (n, k) of sparse rows, without catching up with the columns that they do not hold."""
        held, at = np.unique(X.indices, return_inverse=True)
        state = np.ascontiguousarray(self.state[:, [*held.tolist(), self.p]])
        csr_online_settle(state, self.numbers)
        w, X = state[: len(state) // 2 - 1], CSR(X.data, at, X.indptr, (len(X), max(1, len(held))))
        return margins(X, w[:, : X.shape[1]], w[:, -1])

    def study(self, X: Matrix, y: Array, weights: Array) -> None:
        """Learn from the rows, and note in the trace how well they were foretold."""
        began, mass = time.perf_counter(), float(weights.sum())
        lost = self.learn(X, y, weights)
        self.examples += len(X)
        self.seconds += max(0.0, time.perf_counter() - began)
        self.trace.add(
            step=self.examples, cost=lost / mass if mass > 0 else math.nan, seconds=self.seconds,
            examples=self.examples,
        )  # fmt: skip

    def learn(self, X: Matrix, y: Array, weights: Array) -> float:
        """The summed loss of the rows, each before it was learnt."""
        if self.centred is None and len(X):
            self.centred = not isinstance(X, CSR)
            self._get_ready()
        if self.centred is False:
            X = X if isinstance(X, CSR) else stored(X)
            memory = self.state, self.clock, self.numbers
            return csr_online_pass(self.loss, X.data, X.indices, X.indptr, y, weights, *memory)
        if not isinstance(X, CSR):
            return online_pass(self.loss, X, y, weights, self.state, self.clock, self.numbers)
        total, step = 0.0, max(1, DENSE // X.shape[1])
        for a in range(0, len(X), step):  # the rule moves every column at each example
            rows = slice(a, a + step)
            total += self.learn(X[rows].dense(), y[rows], weights[rows])
        return total

    def admit(self, classes: Array) -> None:
        """Take on the classes, sorted, all of those there are among them."""
        old, new = list(self.codes), classes.tolist()
        if len(new) < 3:
            if old and old[0] != new[0]:
                self.weights[:] *= -1  # what was class 0 is class 1 now
        elif len(new) > len(old):
            if self.lags:
                csr_online_settle(self.state, self.numbers)
            self._spread([new.index(label) for label in old], len(new))
        if self.mass is not None:
            mass, self.mass = self.mass, np.zeros(max(2, len(new)))
            self.mass[[new.index(label) for label in old]] = mass[: len(old)]
        self.called(classes)

    def called(self, classes: Array) -> None:
        """The classes of the outputs there are."""
        self.classes, self.codes = classes, {each: c for c, each in enumerate(classes.tolist())}
        self.loss = self.many if len(classes) > 2 else self.one

    def _spread(self, places: list[int], k: int) -> None:
        """A row of weights for each class: those of the known ones keep their differences.

        One margin z of two becomes ±z/2, or ±z where each class is against the rest. A new class
        begins as if one of the examples so far had been half its own, which leaves the odds of the
        others as they were; against the rest at −1, where a hinge holds all of them.
        """
        q, w, G = self.p + 1, self.weights, self.state[len(self.weights) : -2]
        soft = self.many == "softmax"
        if len(w) == 1:
            share = 0.5 if soft else 1.0
            w, G = np.concatenate([-share * w, share * w]), np.concatenate([G, G])
            if len(places) < 2:  # the second is the first of the new ones
                places = [*places, *[c for c in range(k) if c not in places][: 2 - len(places)]]
        state = np.zeros((2 * k + 2, q))
        if soft:
            state[:k] = w.mean(axis=0)
            state[:k, -1] -= math.log1p(self.clock[0])
        elif self.clock[0] > 0:
            state[:k, -1] = -self.numbers[5]
        state[places], state[k:-2][places] = w, G
        state[-2:] = self.state[-2:]
        self.state = state

    def balance(self, codes: Array, weights: Array) -> Array:
        """Weight of all rows so far / (k · that of the row's class), row by row; counts them."""
        total, own = running(self.total, weights), np.zeros(len(codes))
        for code in np.unique(codes):
            rows = codes == code
            own[rows] = running(self.mass[code], weights[rows])
            self.mass[code] = own[rows][-1]
        self.total = float(total[-1])
        return total / (len(self.mass) * own)


def require_learnable(X: Matrix, weights: Array, y: Array | None = None) -> None:
    """Refuse what the kernels refuse, before anything has changed."""
    require(
        largest(X.data if isinstance(X, CSR) else X.reshape(-1)) <= MOST,
        "X holds a number beyond 1e150. Remove such rows, or divide the column.",
    )
    require(
        largest(weights) <= MOST, "sample_weight has a weight beyond 1e150. Divide all of them."
    )
    if y is not None:
        require(largest(y) <= MOST, "y holds a number beyond 1e150. Remove such rows, or divide y.")


def stored(X: Array) -> CSR:
    """Dense rows as sparse ones."""
    held = X != 0
    indptr = np.append(0, np.count_nonzero(held, axis=1).cumsum())
    return CSR(X[held], held.nonzero()[1], indptr, X.shape)


def running(start: float, weights: Array) -> Array:
    """The sums from `start` on, added one after the other: as bits would have it, call by call."""
    return np.cumsum(np.concatenate([[start], weights]))[1:]


def stretches(y: Array, known: Container[Any]) -> list[slice]:
    """Slices of y, of which each but the first begins with a label that is not known yet."""
    first = np.unique(y, return_index=True)
    cuts = sorted(
        i for label, i in zip(first[0].tolist(), first[1], strict=True) if label not in known
    )
    cuts = sorted({0, *cuts})
    return [slice(a, b) for a, b in itertools.pairwise([*cuts, len(y)])]


def known_loss(given: Any, known: Mapping[str, type[Loss]]) -> Loss:
    """The loss behind a name or an object, which a stream must know."""
    loss: Loss = as_loss(given, known)
    require(
        isinstance(loss, Loss),
        "A stream takes the losses of gd.losses alone, not one of your own. Use fit, or one of "
        f"{', '.join(map(repr, known))}.",
    )
    return loss
