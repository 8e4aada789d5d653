"""Where a descent stood when its budget was used up, to go on from as if it had been larger."""

import copy
import time
import zlib
from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.devices import to_host
from gdcore.sparse import CSR

OWN = (  # what belongs to one run alone
    "cost", "optimizer", "callbacks", "validate", "proof", "stop", "draw", "max_epochs", "max_time",
    "started", "ended",
)  # fmt: skip
WHOLE = 1 << 26  # bytes of X that are looked at all; of more,
SAMPLED = 256  # so many rows


class Continuation:
    """All that the rest of a descent depends on, but for its cost and its rules."""

    def __init__(self, run: Any) -> None:
        kept = {name: value for name, value in vars(run).items() if name not in OWN}
        self.state = copy.deepcopy(kept)
        self.seconds = time.perf_counter() - run.started

    def put_back(self, run: Any) -> None:
        """Bring a descent that has not begun to where the other one was. Changes run."""
        vars(run).update(copy.deepcopy(self.state))
        run.started = time.perf_counter() - self.seconds
        run.max_epochs += run.epoch
        run.max_time += self.seconds
        if run.rate.returned:  # which the budget's end came before
            run.return_to_best()


def rounded(array: Array) -> str:
    """A number by which an array is known again, whose last bits may differ elsewhere."""
    return f"{float(np.abs(array).sum()):.9g}"


def told(cost: Any) -> dict[str, Any]:
    """What tells a linear model's cost from others, beside its rows."""
    ridge, lasso = rounded(cost.penalty.ridge), rounded(cost.penalty.lasso)
    return {"loss": type(cost.model.loss).__name__, "sums of penalties": [ridge, lasso]}


def fingerprint(rows: Any) -> int:
    """A number that other rows hardly share: of the targets, the weights and X, or some rows of a
    large one."""
    step = 1 if rows.X.nbytes <= WHOLE else max(1, len(rows) // SAMPLED)
    X = rows.X[np.arange(0, len(rows), step)]
    arrays = (X.data, X.indices, X.indptr) if isinstance(X, CSR) else (X,)
    sum_ = zlib.crc32(repr((rows.X.shape, str(rows.X.dtype))).encode())
    for array in map(to_host, (*arrays, rows.y, rows.weights)):
        sum_ = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data, sum_)
    return sum_
