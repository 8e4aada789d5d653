"""Least squares solved for directly: the reference that descent is measured against."""

import math
import time
from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.convergence import Status
from gdcore.cost import Cost
from gdcore.data import Rows
from gdcore.errors import require
from gdcore.models.family import LinearFamily
from gdcore.models.visits import INVERSE, SHIFT
from gdcore.penalties import Penalty
from gdcore.result import Result
from gdcore.trace import Trace

NUMBERS = 1 << 20  # in a block of rows, or four times as many rows as columns
NOTHING = 1e-14  # of the largest singular value: collinear but for rounding


def solve(
    model: LinearFamily, rows: Rows, penalty: Penalty, n_threads: int | None = None
) -> Result:
    """The minimum by singular values of √s·x̃ with √(n·ridge) below it; never the normal equations.

    With an intercept both sides are centred first, so that it stays out of the penalty. Where
    columns are collinear and nothing is penalised, the shortest solution.
    """
    require(
        penalty.smooth,
        "optimizer='closed-form' has no closed form for an L1 penalty. "
        "Pass l1_ratio=0, or optimizer='auto'.",
    )
    started, p, n = time.perf_counter(), model.features, len(rows)
    columns = model.columns
    intercept = columns[INVERSE, p] != 0
    center = (rows.moments()[0] - columns[SHIFT, :p]) * columns[INVERSE, :p] * intercept
    middle = np.average(rows.y, weights=rows.weights) * intercept
    left, right = _triangle(rows, columns, center, middle)
    left = np.vstack([left, np.diag(np.sqrt(n * penalty.ridge[:p]))])
    coef, inverse_root, known = _shortest(left, np.append(right, np.zeros(p)), n + p)
    theta = np.append(coef, middle - center @ coef)
    g, trace = np.empty_like(theta), Trace()
    with Cost(model, rows, penalty, n_threads) as cost:
        value = cost.value_and_gradient(theta, g)
    norm = kernels.norm(g)
    # J is a parabola: J − J* = ½ gᵀH⁻¹g, where the intercept of centred columns stands alone.
    step = inverse_root @ (g[:p] - g[p] * center)
    bound = 0.5 * (n * float(step @ step) + intercept * g[p] ** 2) if known else math.inf
    seconds = max(0.0, time.perf_counter() - started)
    trace.add(step=0, epoch=1, cost=value, gradient_norm=norm, examples=n, seconds=seconds)
    status = Status.CLOSED_FORM
    return Result(
        x=theta, fun=value, jac=g, nit=1, nfev=1, status=status, success=True,
        message=f"‖∇J‖ = {norm:.3g}. {status.value}", trace=trace, optimizer="closed-form",
        learning_rate=float("nan"), batch_size=n, bound=bound,
    )  # fmt: skip


def _shortest(left: Array, right: Array, n: int) -> tuple[Array, Array, bool]:
    """(the shortest w with the least ‖left·w − right‖, a root of the inverse of leftᵀ·left, whether
    that is all there is).

    By the singular values of R in left = QR, whose Q is never formed. Small ones count as zeros:
    what is not clearly rounding may hide a direction along which J falls further.
    """
    p = left.shape[1]
    R: Any = np.linalg.qr(np.column_stack([left, right]), mode="r")
    U, values, V = np.linalg.svd(R[:p, :p])
    kept = values > max(n, left.shape[1]) * np.finfo(float).eps * values[:1]
    known = not (values[~kept] > NOTHING * values[:1]).any()
    root = V[kept] / values[kept, None]
    return root.T @ (U[:, kept].T @ R[:p, p]), root, known


def _triangle(rows: Rows, columns: Array, center: Array, middle: float) -> tuple[Array, Array]:
    """R and Qᵀ·right of √s·(x̃ − center) = QR and √s·(y − middle); of few rows themselves.

    Block by block (Demmel et al., 2012): the same singular values to rounding, no copy of X, and
    Ctrl-C is heard between two of them.
    """
    p = rows.X.shape[1]
    step = max(4 * p, NUMBERS // p)
    known: Any = np.empty((0, p + 1))
    for a in range(0, len(rows), step):
        part = rows.part(slice(a, a + step))
        x = (part.X - columns[SHIFT, :p]) * columns[INVERSE, :p] - center
        block = np.column_stack([x, part.y - middle]) * np.sqrt(part.weights)[:, None]
        known = np.vstack([known, block])
        if len(rows) > step:
            known = np.linalg.qr(known, mode="r")
    return known[:, :p], known[:, p]
