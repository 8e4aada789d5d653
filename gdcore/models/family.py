"""The model behind linear, logistic and softmax regression: margins z = x̃·θ + b and a loss."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeGuard

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.data import AT_ONCE, Rows
from gdcore.lines import NOWHERE
from gdcore.losses import Loss
from gdcore.models.visits import (
    INVERSE,
    LASSO,
    RIDGE,
    SHIFT,
    bears_shift,
    csr_visits,
    filled,
    lazy,
    movable,
    move,
    without_shift,
)
from gdcore.parameters import read_only
from gdcore.penalties import Penalty
from gdcore.ranges import require_numbers
from gdcore.sparse import CSR

VISITED = 1 << 20  # numbers of X in one call of a kernel that visits rows in random order
CHUNK = 1 << 16  # numbers at a time where a pass over X is NumPy's
FEW = 0.25  # entries a column, below which columns are sought out

Matrix: TypeAlias = Array | CSR
Kernel: TypeAlias = Callable[..., Any]  # one of two, by what X is
Each: TypeAlias = Callable[[Callable[[slice], None], list[slice]], Iterable[None]]  # map, or alike


class LinearFamily:
    """θ is (k, p) coefficients, then k intercepts, in the coordinates that `columns` describes.

    Parameters
    ----------
    loss : of gd.losses, or an object of your own with value(z, y) and slope(z, y)
    features : int
        p.
    outputs : int
        k, one but for softmax.
    columns : array (4, p + 1), optional
        How descent sees each column, the intercept last: a shift, an inverse scale, and the ridge
        and lasso weights that a compiled epoch applies. Default: the columns as they are.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> from gdcore.models.family import LinearFamily
    >>> model = LinearFamily(gd.losses.Squared(), features=2)
    >>> model.predict(np.array([1.0, 2.0, 0.5]), np.eye(2))  # w, then b
    array([[1.5],
           [2.5]])
    """

    def __init__(
        self, loss: Any, features: int, outputs: int = 1, columns: Array | None = None
    ) -> None:
        self.loss, self.features, self.outputs = loss, features, outputs
        self.size = outputs * (features + 1)
        if columns is None:
            columns = np.zeros((4, features + 1))
            columns[INVERSE] = 1
        self.columns = columns
        self._known = isinstance(loss, Loss)  # to the kernels; else its slopes are asked for
        self._written: tuple[CSR, Array] | None = None

    def like(self, loss: Any = None) -> "LinearFamily":
        """The same model of other rows, or with another loss."""
        return LinearFamily(loss or self.loss, self.features, self.outputs, self.columns)

    def init(self, rng: Any = None) -> Array:
        """θ = 0; the cost is convex, so any start will do."""
        return np.zeros(self.size)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The parts of θ, for `Parameters`."""
        return {"coef": (self.outputs, self.features), "intercept": (self.outputs,)}

    def predict(self, theta: Array, X: Matrix) -> Array:
        """Margins z, shape (n, k), in float64."""
        p, k = self.features, self.outputs
        coef, intercept = self.original(theta)
        return margins(X, coef.reshape(k, p), intercept)

    def original(self, theta: Array) -> tuple[Array, Array]:
        """Coefficients (k, p) and intercepts (k,) for the columns as they came."""
        p, k = self.features, self.outputs
        shift, inverse = self.columns[SHIFT, :p], self.columns[INVERSE, :p]
        coef = theta[: k * p].reshape(k, p) * inverse
        return coef, theta[k * p :] * self.columns[INVERSE, p] - coef @ shift

    def from_original(self, coef: Array, intercept: Array) -> Array:
        """The θ that gives these coefficients; the inverse of `original`."""
        p = self.features
        shift, inverse = self.columns[SHIFT, :p], self.columns[INVERSE, :p]
        scale = np.divide(1, inverse, out=np.zeros(p), where=inverse != 0)
        start = intercept + (coef * (inverse != 0)) @ shift
        return np.concatenate([(coef * scale).ravel(), start * self.columns[INVERSE, p]])

    def add_cost_and_gradient(
        self, theta: Array, shard: Rows, g: Array, margins: Array = NOWHERE
    ) -> float:
        """Add the shard's summed gradient to g and return its summed loss; write its margins."""
        if not self._known:
            return self._add_own(theta, shard, g, margins)
        loss, sparse = self.loss, _sparse(shard.X)
        kernel: Callable[..., float] = kernels.csr_gradient if sparse else kernels.linear_gradient
        return kernel(
            loss.name, loss.shape, loss.smooth, *_stored(shard.X), shard.y, shard.weights,
            self.columns, theta, g, margins,
        )  # fmt: skip

    def _add_own(self, theta: Array, shard: Rows, g: Array, margins: Array) -> float:
        """The same with the user's loss, by blocks that stay in the cache between the two reads."""
        total, rows = 0.0, max(1, CHUNK // (self.features + 1))
        for a in range(0, len(shard), rows):
            part = shard.part(slice(a, a + rows))
            z = margins[a : a + rows] if len(margins) else np.empty((len(part), self.outputs))
            self.write_margins(theta, part, z)
            y = read_only(part.y)  # the caller's own, perhaps
            total += float(part.weights @ self.loss.value(z, y))
            self.combine(part, np.asarray(self.loss.slope(z, y)) * part.weights[:, None], g)
        return total

    def write_margins(self, theta: Array, shard: Rows, margins: Array) -> None:
        """Write z (n, k) of the shard's rows."""
        kernel: Kernel = kernels.csr_margins if _sparse(shard.X) else kernels.linear_margins
        kernel(*_stored(shard.X), self.columns, theta, margins)

    def combine(self, shard: Rows, slopes: Array, g: Array) -> None:
        """Add Σ r·x̃ over the shard's rows to g, for slopes r (n, k)."""
        kernel: Kernel = kernels.csr_combine if _sparse(shard.X) else kernels.linear_combine
        kernel(*_stored(shard.X), slopes, self.columns, g)

    def epoch(
        self, theta: Array, rows: Rows, penalty: Penalty, *, order: Array, moments: Any,
        average: Array, rule: str, constants: Any, rates: Array, first_step: int, batch_size: int,
    ) -> float:  # fmt: skip
        """One compiled pass of steps over the rows in `order`; returns the summed loss as met."""
        columns = self._penalised(penalty)
        X = rows.X
        if _sparse(X) and self._visited_dense(X, rule, columns):
            X = self._dense(X)
        if isinstance(X, CSR):
            return csr_visits(
                self.loss, rows, columns, theta, average, order=order, rates=rates,
                batch_size=batch_size,
            )  # fmt: skip
        return kernels.linear_epoch(
            self.loss.name, self.loss.shape, self.loss.smooth, X, rows.y, rows.weights, order,
            columns, theta, moments, average, rule, constants, rates, first_step, batch_size,
        )  # fmt: skip

    def visit(
        self, theta: Array, rows: Rows, penalty: Penalty, *, order: Array, margins: Array,
        mean: Array, rate: float, learn: bool,
    ) -> None:  # fmt: skip
        """A pass of variance-reduced steps from θ, where the margins of all rows and the mean
        gradient of the loss are known. Changes theta, margins and mean."""
        if not self._known:
            raise TypeError(
                "A loss of your own has no compiled slopes. Pass a loss of gd.losses, or another "
                "optimizer, as 'lbfgs'."
            )
        loss, (X, columns) = self.loss, self._seen(rows, penalty)
        known = (loss.name, loss.shape, loss.smooth, *_stored(X), rows.y, rows.weights)
        step = rows.per_call(VISITED)  # so that Ctrl-C is heard soon
        pieces = [order[a : a + step] for a in range(0, len(order), step)]
        kernel: Kernel = kernels.csr_corrected if _sparse(X) else kernels.linear_corrected
        if not _sparse(X):
            for piece in pieces:
                kernel(*known, piece, columns, theta, margins, mean, rate, int(learn))
            return
        move(theta, self.columns, -1)
        width = self.outputs * self.features
        around = self.columns[SHIFT, :-1] * self.columns[INVERSE, :-1]
        if around.any():
            mean[:width] += np.outer(mean[width:] / columns[INVERSE, -1], around).ravel()
        for piece in pieces:
            kernel(*known, piece, columns, theta, margins, mean, rate, int(learn))
        move(theta, self.columns, 1)

    def learn(
        self, theta: Array, rows: Rows, penalty: Penalty, *, order: Array,
        kept: tuple[Array, Array], rate: float,
    ) -> None:  # fmt: skip
        """A pass of the streams' rule over the rows in `order`, which goes on from what is kept of
        them: (memory, clock). Changes theta and both."""
        if not self._known:
            raise TypeError(
                "A loss of your own has no compiled slopes. Pass a loss of gd.losses, or another "
                "optimizer, as 'lbfgs'."
            )
        (memory, clock), k = kept, self.outputs
        coef, memory[:k, -1] = self.original(theta)
        memory[:k, :-1] = coef
        l1, l2, memory[-1, :-1] = self._raw_penalty(penalty)
        numbers = rate, self.loss.shape, l1, l2, 0.0, float(self.columns[INVERSE, -1])
        if _sparse(rows.X) and filled(rows.X):
            rows = type(rows)(self._dense(rows.X), rows.y, rows.weights)
        step = max(1, rows.per_call(CHUNK))
        for a in range(0, len(order), step):
            part = rows.part(order[a : a + step])
            given = part.y, part.weights, memory, clock, numbers
            kernel: Kernel = kernels.csr_online_pass if _sparse(part.X) else kernels.online_pass
            kernel(self.loss.name, *_stored(part.X), *given)
        if _sparse(rows.X):
            kernels.csr_online_settle(memory, numbers)
        coef, intercept = memory[:k, :-1], memory[:k, -1]
        constant = self.columns[INVERSE, :-1] == 0  # such a column is a second intercept
        intercept = intercept + coef[:, constant] @ self.columns[SHIFT, :-1][constant]
        theta[:] = self.from_original(coef, intercept)

    def _raw_penalty(self, penalty: Penalty) -> tuple[float, float, Array]:
        """(l1, l2, units) of l1·|w·units| + ½l2·(w·units)² for coefficients w as they are."""
        inverse, p = self.columns[INVERSE, :-1], self.features
        scale = np.divide(1, inverse, out=np.zeros(p), where=inverse != 0)
        ridge, lasso = np.sqrt(penalty.ridge[:p]) * scale, penalty.lasso[:p] * scale
        units = ridge if ridge.any() else lasso
        most = units.max()
        if not most > 0:
            return 0.0, 0.0, units
        return float(lasso.max()), float(ridge.max()) ** 2, units / most

    def steepest_row(self, rows: Rows, penalty: Penalty) -> float:
        """The largest s·|x̃|² of a row as `visit` sees it."""
        X, columns = self._seen(rows, penalty)
        square = _squares(X, columns)
        return float((rows.weights * (square + columns[INVERSE, -1] ** 2)).max())

    def _seen(self, rows: Rows, penalty: Penalty) -> tuple[Matrix, Array]:
        """(X, columns) for visits to single rows: sparse ones without a shift."""
        X, columns = rows.X, self._penalised(penalty)
        if _sparse(X) and (filled(X) or not movable(columns)):
            X = self._dense(X)
        return X, without_shift(columns) if _sparse(X) else columns

    def compiled(self, rule: str | None, rows: Rows, penalty: Penalty, rates: Array) -> bool:
        """Whether a whole epoch of steps is one call of a kernel."""
        if rule is None or not self._known:
            return False
        columns = self._penalised(penalty)
        return (
            not _sparse(rows.X)
            or self._visited_dense(rows.X, rule, columns)
            or lazy(rule, rows.X, columns, rates)
        )

    def _penalised(self, penalty: Penalty) -> Array:
        columns, p = self.columns.copy(), self.features
        columns[RIDGE, :p], columns[LASSO, :p] = penalty.ridge[:p], penalty.lasso[:p]
        return columns

    def _visited_dense(self, X: CSR, rule: str, columns: Array) -> bool:
        return filled(X) and not (rule == "sgd" and bears_shift(columns))

    def _dense(self, X: CSR) -> Array:
        """X with its zeros, kept for the next epoch."""
        if self._written is None or self._written[0] is not X:
            self._written = X, X.dense()
        return self._written[1]

    def add_product(self, v: Array, shard: Rows, bends: Array, out: Array) -> None:
        """Add Σ h·x̃(x̃·v) to out: the product of v and the rows' moments, weighted by h."""
        kernel: Kernel = kernels.csr_gradient if _sparse(shard.X) else kernels.linear_gradient
        zeros = np.zeros(len(shard))
        kernel("squared", 0.0, 0.0, *_stored(shard.X), zeros, bends, self.columns, v, out, NOWHERE)

    def add_moments(self, shard: Rows, bends: Array, H: Array) -> None:
        """Add Σ h·x̃x̃ᵀ, the intercept's 1 last, to H (p + 1, p + 1)."""
        X = shard.X.dense() if isinstance(shard.X, CSR) else shard.X  # few columns: it is small
        kernels.linear_hessian(X, np.ascontiguousarray(bends), self.columns, H)

    def measure(self, rows: Rows, each: Each = map) -> tuple[float, float]:
        """(mean, largest) squared length of a row as the descent sees it, its 1 included; `each`
        may call a function for some rows at a time by several threads."""
        square = _squares(rows.X, self.columns, each)
        one = float(self.columns[INVERSE, self.features] ** 2)
        return float(np.average(square, weights=rows.weights)) + one, float(square.max()) + one


def _squares(X: Matrix, columns: Array, each: Each = map) -> Array:
    """|x̃|² (n,) of each row, without its 1, some rows at a time."""
    square, n = np.empty(len(X)), len(X)
    step = max(
        1, (AT_ONCE // 4 * n // max(1, len(X.data))) if _sparse(X) else AT_ONCE // X.shape[1]
    )
    kernel: Kernel = kernels.csr_lengths if _sparse(X) else kernels.row_lengths

    def write(rows: slice) -> None:
        kernel(*_stored(X[rows]), columns, square[rows])

    list(each(write, [slice(a, a + step) for a in range(0, n, step)]))
    return square


@np.errstate(over="ignore", invalid="ignore")
def margins(X: Matrix, coef: Array, intercept: Array) -> Array:
    """X·coefᵀ + intercept (n, k), in float64 for sparse rows; all of them numbers."""
    z = _margins(X, coef, intercept)
    require_numbers(z)
    return z


def _margins(X: Matrix, coef: Array, intercept: Array) -> Array:
    if not _sparse(X):
        return X @ coef.T + intercept
    if len(X.data) < FEW * X.shape[1]:  # a few rows of very many columns: those that they hold
        held, at = np.unique(X.indices, return_inverse=True)
        X = CSR(X.data, at, X.indptr, (len(X), max(1, len(held))))
        coef = coef[:, held] if len(held) else coef[:, :1]
    k, p = coef.shape
    columns, z = np.zeros((2, p + 1)), np.empty((len(X), k))
    columns[1] = 1
    theta = np.concatenate([coef.ravel(), np.broadcast_to(intercept, k)]).astype(np.float64)
    kernels.csr_margins(X.data, X.indices, X.indptr, columns, theta, z)
    return z


def _sparse(X: object) -> TypeGuard[CSR]:
    return isinstance(X, CSR)


def _stored(X: Matrix) -> tuple[Array, ...]:
    """The arrays by which a kernel takes X."""
    return (X.data, X.indices, X.indptr) if isinstance(X, CSR) else (X,)
