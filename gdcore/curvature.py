"""Is it a minimum? The extreme curvatures at a stationary point, from a few gradients."""

from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.convergence import Status
from gdcore.result import Result

PRODUCTS = 10  # gradients spent at most
FLAT = 1e3  # rounding errors of f: less than that over a unit step in all directions is a plateau
NEGATIVE = 1e-4, 1e-2  # of the largest curvature met: less is rounding, in double and single


def negative(low: float, high: float, resolution: float) -> bool:
    """Whether the smallest curvature is below zero beyond rounding."""
    return low < -NEGATIVE[resolution > 1e-10] * max(abs(low), abs(high))


def extreme_curvatures(
    cost: Any, x: Array, g: Array, resolution: float
) -> tuple[float, float, int]:
    """(smallest, largest) Ritz value of the Hessian at x by Lanczos, and the gradients it took.

    Hv ≈ (∇f(x + hv) − ∇f(x))/h on a Krylov space of a random start (seeded): exact to the
    differences' rounding up to `PRODUCTS` coordinates, an inner estimate beyond that: a negative
    value proves a saddle, positive ones are good signs (Golub & Van Loan, 2013, §10.1).
    Coordinates held by bounds stay out. `resolution` is the relative one of fun's arithmetic.
    """
    h = resolution ** (1 / 3) * max(1.0, kernels.largest(x))
    free = cost.free(x, g)
    if free is not None:  # and no probe may leave the bounds
        free &= cost.room(x) >= h
    size = len(x) if free is None else int(free.sum())
    if size == 0:
        return 0.0, 0.0, 0
    v = np.random.default_rng(0).standard_normal(len(x))
    basis: list[Array] = []
    diagonal: list[float] = []
    beside: list[float] = []
    probe = np.empty_like(g)
    for _ in range(min(PRODUCTS, size)):
        if free is not None:
            v[~free] = 0
        for _ in range(2):  # once more than in exact arithmetic
            for u in basis:
                v -= (u @ v) * u
        length = kernels.norm(v)
        if basis and not length > 1e-8 * max(map(abs, diagonal)):
            break
        if basis:
            beside.append(length)
        v = v / length
        basis.append(v)
        cost.value_and_gradient(x + h * v, probe)
        with np.errstate(over="ignore", invalid="ignore"):  # of rubbish: looked at next
            v = (probe - g) / h
        if not np.isfinite(v).all():
            basis.pop()
            break
        diagonal.append(float(basis[-1] @ v))
    if not diagonal:
        return 0.0, 0.0, 1
    beside = beside[: len(diagonal) - 1]
    ritz = np.linalg.eigvalsh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    return float(ritz[0]), float(ritz[-1]), len(basis)


def look_around(result: Result, cost: Any, resolution: float) -> None:
    """A stationary point may be a saddle, or part of a plateau."""
    low, high, asked = extreme_curvatures(cost, result.x, result.jac, resolution)
    if not asked:  # bounds hold every coordinate
        return
    result.curvature = low, high
    size, far = max(abs(low), abs(high)), max(1.0, float(np.abs(result.x).max(initial=0)))
    if negative(low, high, resolution):
        result.status = Status.SADDLE
        found = f"a curvature of {low:.3g} beside one of {high:.3g}"
        if high < 0:
            found = f"f is bent downwards in every direction tried, by {low:.3g} to {high:.3g}"
    elif size * far * far <= FLAT * resolution * max(1e-300, abs(result.fun)):
        result.status = Status.PLATEAU
        found = f"no curvature above {size:.3g}"
    else:
        return
    sentence = result.message.partition(". ")[0]
    text = result.status.value
    if low < 0 and high < 0:
        text = text.replace("a saddle point, no minimum", "a maximum")
    result.message = f"{sentence}, but {found}. {text}"
    result.success = result.status.success
