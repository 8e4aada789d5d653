"""What a precision can hold: refused before the arithmetic, not found in its ruins."""

from typing import Any

import numpy as np

from gdcore import kernels
from gdcore._typing import Array
from gdcore.errors import require


def require_range(deviation: Array, dtype: Any) -> None:
    """Refuse columns that nothing can be divided by: a coefficient of theirs would be no number."""
    kind = np.finfo(dtype)
    off = (deviation > 0) & ~((deviation > kind.tiny) & (deviation < kind.max))
    if off.any():
        first = int(off.argmax())
        raise ValueError(
            f"X varies by {deviation[first]:.2g} in column {first}, beyond what {kind.dtype} can "
            "divide by. Scale that column by a power of ten, or leave it out."
        )


def require_held(X: Array, dtype: Any) -> None:
    """Refuse numbers of X that another precision has no place for."""
    most = float(np.finfo(dtype).max)
    if X.dtype != dtype and float(np.abs(X).max(initial=0.0)) > most:
        raise ValueError(
            f"X has numbers beyond {most:.2g}, the largest of {np.dtype(dtype)}. Scale the columns,"
            " or pass standardize=True."
        )


def require_numbers(z: Array) -> None:
    """Refuse predictions (n, k) that left the range of their dtype."""
    if not kernels.all_finite(z.reshape(-1)):
        row = int(np.argmin(np.isfinite(z.reshape(len(z), -1)).all(axis=1)))
        raise ValueError(
            f"The prediction for row {row} of X leaves the range of {z.dtype}. Pass rows of the "
            "size of those that the model was fitted to."
        )


def require_logits(z: Array) -> None:
    """Refuse logits that left the range of their dtype: no token can be chosen by them."""
    require(
        kernels.all_finite(z.reshape(-1)),
        f"The logits leave the range of {z.dtype}: the weights are too large. Fetch the file again,"
        " or train at a smaller rate.",
    )


def require_reach(rows: Any) -> None:
    """Refuse targets whose squares, summed, would leave the range of the numbers computed with."""
    most = np.abs(rows.y).max(initial=0.0)
    name, reach = ("float32", 1e30) if rows.X.dtype == np.float32 else ("float64", 1e140)
    require(
        most <= reach,
        f"y reaches {most:.2g}, and its squares have no place in {name}. Divide y by a power of "
        f"ten, so that it stays below {reach:.0e}.",
    )
    spread = np.ptp(rows.y) if len(rows.y) else 0.0
    require(
        spread == 0 or spread >= 1e-140,
        f"y varies by {spread:.2g} only, and the squares of that are nothing in float64. Multiply "
        "y by a power of ten.",
    )
