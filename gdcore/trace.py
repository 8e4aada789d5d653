"""What happened at each step, as arrays."""

import json
import math
from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array, PathLike
from gdcore.disk import replace

COLUMNS = (
    "step", "epoch", "cost", "gradient_norm", "learning_rate", "seconds", "examples", "validation",
    "score", "step_norm", "gradient_dot", "cosine", "curvature", "promised",
)  # fmt: skip
UNKNOWN = (math.nan,) * 4
TOGETHER = 64  # rows that are put among the others at once
CLOSELY, EVERY = 16, 16  # rows of which each has a secant; of later ones every so many have


class Secants:
    """What two measurements in a row say of the cost between them: ⟨∇J, ∇J before⟩, the cosine of
    the two, the curvature ‖Δ∇J‖/‖Δθ‖, and the change of J that they promise, ½⟨∇J + ∇J before, Δθ⟩.

    The promise is the trapezoid rule's: exact where J is a parabola.
    """

    def __init__(self, theta: Array) -> None:
        self._theta, self._g, self._rows = np.empty_like(theta), np.empty_like(theta), 0
        self._size = math.nan

    def look(self, theta: Array, g: Array) -> tuple[float, float, float, float]:
        """The four, or NaN for the first row and, of many, for most of the later ones."""
        row, self._rows = self._rows, self._rows + 1
        fresh = row < CLOSELY or row % EVERY == 1  # else what is kept is not of the row before
        if not fresh and row % EVERY:
            return UNKNOWN
        away, product, bent, promised, size = kernels.secant(theta, self._theta, g, self._g)
        both, self._size = self._size * size, size
        if not fresh or row == 0:
            return UNKNOWN
        cosine = product / math.sqrt(both) if both > 0 else math.nan
        return product, cosine, math.sqrt(bent / away) if away > 0 else math.nan, promised

    def memory(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """(arrays, numbers) of what the next look is compared with."""
        return {"theta": self._theta, "g": self._g}, {"rows": self._rows, "size": self._size}

    def put_back(self, arrays: dict[str, Array], numbers: dict[str, Any]) -> None:
        """Look on from there."""
        self._theta[:], self._g[:] = arrays["theta"], arrays["g"]
        self._rows, self._size = numbers["rows"], numbers["size"]


class Columns(ABC):
    """What has `to_dict`, {name: array}, in the forms that others take."""

    @abstractmethod
    def to_dict(self) -> dict[str, Array]:
        """{name: array}."""

    def to_pandas(self) -> Any:
        """A pandas.DataFrame, one row a measurement; needs pandas."""
        return _frames("pandas").DataFrame(self.to_dict())

    def to_polars(self) -> Any:
        """A polars.DataFrame, one row a measurement; needs polars."""
        return _frames("polars").DataFrame(self.to_dict())

    def to_json(self, path: PathLike | None = None) -> str:
        """{name: [numbers]} as JSON text, null for what is no number; written to `path`, if any."""
        columns = {
            name: [value if math.isfinite(value) else None for value in values.tolist()]
            for name, values in self.to_dict().items()
        }
        text = json.dumps(columns)
        if path is not None:
            replace(path, lambda file: file.write(text.encode()))
        return text


class LayerTrace(Columns):
    """What became of each layer of a network: norms, and units that no example excites.

    Attributes are arrays: `step` (rows,), and of shape (rows, layers) `weight` ‖W‖, `gradient`
    ‖∂J/∂W‖ (of the latest batch, without the penalty's share) and `dead`, the share of rectified
    units that were zero for all of up to 256 examples (NaN for other layers). `names` are those of
    the weights.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X, y = np.eye(4), np.array([0, 1, 0, 1])
    >>> model = gd.MLPClassifier(hidden_layer_sizes=(3,), max_epochs=5, tol=0).fit(X, y)
    >>> layers = model.trace_.layers
    >>> layers.names, layers.weight.shape == (len(layers), 2)
    (('0.weight', '1.weight'), True)
    """

    KINDS = ("weight", "gradient", "dead")

    def __init__(self, names: Sequence[str], limit: int = 2_000) -> None:
        self.names, self._limit = tuple(names), limit
        self._rows: list[tuple[int, Sequence[Array]]] = []

    def append(self, step: int, values: Sequence[Array]) -> None:
        """One row: for each of KINDS a number for each layer."""
        if len(self._rows) >= self._limit:  # every other one of the middle goes
            self._rows = [*self._rows[:-1:2], self._rows[-1]]
        self._rows.append((step, values))

    def table(self) -> Array:
        """All rows, (rows, 1 + kinds·layers): the step, then one kind after another."""
        width = 1 + len(self.KINDS) * len(self.names)
        rows = [[step, *chain.from_iterable(values)] for step, values in self._rows]
        return np.array(rows, np.float64).reshape(-1, width)

    def restore(self, table: Array) -> None:
        """Put these rows in place of all."""
        shaped = (len(self.KINDS), len(self.names))
        self._rows = [(int(row[0]), row[1:].reshape(shaped).tolist()) for row in table]

    def __len__(self) -> int:
        return len(self._rows)

    def __getattr__(self, name: str) -> Any:
        if name == "step":
            return np.array([step for step, _ in self._rows])
        if name in self.KINDS:
            k = self.KINDS.index(name)
            return np.array([values[k] for _, values in self._rows]).reshape(len(self), -1)
        raise AttributeError(f"A LayerTrace has no {name!r}. It has step, {', '.join(self.KINDS)}.")

    def to_dict(self) -> dict[str, Array]:
        """{"step": array, "weight 0.weight": array, …}: a column for each kind and layer."""
        columns = {"step": self.step}
        for kind in self.KINDS:
            values = getattr(self, kind)
            columns |= {f"{kind} {name}": values[:, i] for i, name in enumerate(self.names)}
        return columns

    def __repr__(self) -> str:
        return f"LayerTrace({len(self)} rows, {', '.join(self.names)})"


class Trace(Columns):
    """The course of a descent: one row for each time the cost was measured.

    Attributes are arrays of one length: `step` (updates of θ so far), `epoch` (passes over the
    data), `cost` J, `gradient_norm` ‖∇J‖ (NaN where it was not measured), `learning_rate`,
    `seconds` since the start, `examples` seen; `validation` and `score`, the held-out loss and
    accuracy or R² (NaN without early stopping); `step_norm` ‖Δθ‖ since the row before. From one
    measured gradient to the next: `gradient_dot` ⟨∇J, ∇J before⟩ and their `cosine`, `curvature`
    ‖Δ∇J‖/‖Δθ‖, and `promised`, the ΔJ that the gradients promise, ½⟨∇J + ∇J before, Δθ⟩; from row
    16 on for every sixteenth row, and NaN where J has noise or, `promised`, an |θ| term. Of linear
    models θ is that of the standardised columns. `layers` is a `LayerTrace` for a network, else
    None.

    Of a stream there is a row for each `partial_fit`: `cost` is the mean loss of its rows, each
    before it was learnt (`learn_one` writes none: it takes two microseconds).

    Memory is bounded: beyond `limit` rows every other one of the middle is dropped; the first and
    the latest rows are always there.

    Example
    -------
    >>> from gdcore.trace import Trace
    >>> trace = Trace()
    >>> trace.add(step=0, epoch=0, cost=2.0, gradient_norm=1.0)
    >>> trace.cost
    array([2.])
    """

    step: Array
    epoch: Array
    cost: Array
    gradient_norm: Array
    learning_rate: Array
    seconds: Array
    examples: Array
    validation: Array
    score: Array
    step_norm: Array
    gradient_dot: Array
    cosine: Array
    curvature: Array
    promised: Array

    def __init__(self, limit: int = 20_000) -> None:
        self._limit = max(limit, 4)
        self._rows = array("d")  # one row after another: to append is half as long as to an ndarray
        self._latest: list[
            Sequence[float]
        ] = []  # rows that are not among them yet: many at once take half as long
        self._used = 0
        self.layers: LayerTrace | None = None

    def add(self, **values: float) -> None:
        """Append one row; what is not given is NaN."""
        self.append([values.get(name, np.nan) for name in COLUMNS])

    def append(self, row: Sequence[float]) -> None:
        """Append one row, its values in the order of COLUMNS."""
        if self._used >= self._limit:  # above: rows of a file
            self.restore(_thinned(self.table()))
        self._latest.append(row)
        self._used += 1
        if len(self._latest) == TOGETHER:
            self._gather()

    def _gather(self) -> None:
        if self._latest:  # an array that is looked at cannot grow
            self._rows.extend(chain.from_iterable(self._latest))
            self._latest.clear()

    def restore(self, table: Array) -> None:
        """Put these rows in place of all."""
        self._rows = array("d", np.ascontiguousarray(table, np.float64).tobytes())
        self._latest = []
        self._used = len(table)

    def table(self) -> Array:
        """All rows, (rows, columns) in the order of COLUMNS."""
        self._gather()
        return np.frombuffer(self._rows, np.float64).reshape(-1, len(COLUMNS))

    def __len__(self) -> int:
        return self._used

    def __getattr__(self, name: str) -> Array:
        if name in COLUMNS:
            return self.table()[:, COLUMNS.index(name)].copy() if self._used else np.empty(0)
        raise AttributeError(f"A Trace has no {name!r}. It has {', '.join(COLUMNS)}.")

    def to_dict(self) -> dict[str, Array]:
        """{name: array}, as pandas.DataFrame or polars.DataFrame take it."""
        return {name: getattr(self, name) for name in COLUMNS}

    def __repr__(self) -> str:
        if not self._used:
            return "Trace(empty)"
        first, last = self.cost[[0, -1]]
        return f"Trace({self._used} rows, cost {first:.6g} → {last:.6g})"


def _thinned(table: Array) -> Array:
    """One of each two rows, that which was compared with the row before it if either was; the first
    and the latest always."""
    told = np.isfinite(table[:, COLUMNS.index("cosine")])
    kept = np.arange(0, len(table) - 1, 2)
    kept[told[kept + 1] & ~told[kept]] += 1
    thinner: Array = table[np.unique(np.r_[0, kept, len(table) - 1])]
    return thinner


def _frames(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"to_{name} needs {name}. Install it: pip install {name}") from error
