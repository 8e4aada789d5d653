"""What happened at each step, as arrays."""

from array import array

import numpy as np

COLUMNS = (
    "step", "epoch", "cost", "gradient_norm", "learning_rate", "seconds", "examples", "validation",
)  # fmt: skip


class LayerTrace:
    """What became of each layer of a network: norms, and units that no example excites.

    Attributes are arrays: `step` (rows,), and of shape (rows, layers) `weight` ‖W‖, `gradient`
    ‖∂J/∂W‖ (of the latest batch) and `dead`, the share of rectified units that were zero for all
    of up to 256 examples (NaN for other layers). `names` are those of the weights.
    """

    KINDS = ("weight", "gradient", "dead")

    def __init__(self, names, limit=2_000):
        self.names, self._limit, self._rows = tuple(names), limit, []

    def append(self, step, values):
        """One row: for each of KINDS a number for each layer."""
        if len(self._rows) == self._limit:  # every other one of the middle goes
            self._rows = [*self._rows[:-1:2], self._rows[-1]]
        self._rows.append((step, values))

    def __len__(self):
        return len(self._rows)

    def __getattr__(self, name):
        if name == "step":
            return np.array([step for step, _ in self._rows])
        if name in self.KINDS:
            k = self.KINDS.index(name)
            return np.array([values[k] for _, values in self._rows]).reshape(len(self), -1)
        raise AttributeError(f"A LayerTrace has no {name!r}. It has step, {', '.join(self.KINDS)}.")

    def __repr__(self):
        return f"LayerTrace({len(self)} rows, {', '.join(self.names)})"


class Trace:
    """The course of a descent: one row for each time the cost was measured.

    Attributes are arrays of one length: `step` (updates of θ so far), `epoch` (passes over the
    data), `cost` J, `gradient_norm` ‖∇J‖ (NaN where it was not measured), `learning_rate`,
    `seconds` since the start, `examples` seen, `validation` (NaN without early stopping). `layers`
    is a `LayerTrace` for a network, else None.

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

    def __init__(self, limit=20_000):
        self._limit = max(limit, 4)
        self._rows = array("d")  # one row after another: to append is half as long as to an ndarray
        self._used = 0
        self.layers = None

    def add(self, **values):
        """Append one row; what is not given is NaN."""
        self.append([values.get(name, np.nan) for name in COLUMNS])

    def append(self, row):
        """Append one row, its values in the order of COLUMNS."""
        if self._used == self._limit:
            kept = np.unique(np.r_[0 : self._used : 2, self._used - 1])
            self.restore(self.table()[kept])
        self._rows.extend(row)
        self._used += 1

    def restore(self, table):
        """Put these rows in place of all."""
        self._rows = array("d", np.ascontiguousarray(table, np.float64).tobytes())
        self._used = len(table)

    def table(self):
        """All rows, (rows, columns) in the order of COLUMNS."""
        return np.frombuffer(self._rows, np.float64).reshape(-1, len(COLUMNS))

    def __len__(self):
        return self._used

    def __getattr__(self, name):
        if name in COLUMNS:
            return self.table()[:, COLUMNS.index(name)].copy() if self._used else np.empty(0)
        raise AttributeError(f"A Trace has no {name!r}. It has {', '.join(COLUMNS)}.")

    def to_dict(self):
        """{name: array}, as pandas.DataFrame or polars.DataFrame take it."""
        return {name: getattr(self, name) for name in COLUMNS}

    def __repr__(self):
        if not self._used:
            return "Trace(empty)"
        first, last = self.cost[[0, -1]]
        return f"Trace({self._used} rows, cost {first:.6g} → {last:.6g})"
