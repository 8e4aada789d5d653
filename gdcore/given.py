"""What users pass, as arrays of NumPy's that hold numbers; what is none is refused by its name."""

from typing import Any

import numpy as np

from gdcore._typing import Array
from gdcore.errors import require


def require_unmasked(values: object, name: str) -> None:
    """Refuse entries that are there and are not to be seen: NumPy would show them."""
    masked = isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values)
    require(not masked, f"{name} has masked entries. Fill them first, as by .filled(0).")


def as_array(values: Any, name: str, cure: str = "Pass rows of one length.") -> Array:
    """numpy.asarray; what is masked, ragged, or on another device is refused by name."""
    require_unmasked(values, name)
    require(values is not None, f"{name} is None. Pass an array.")
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is ragged. {cure}") from error
    except (TypeError, RuntimeError) as error:
        kind = type(values)
        called = f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
        raise TypeError(
            f"{name} is of type {called}, and NumPy cannot read it ({str(error).rstrip('.')}). "
            "Copy it to the host's memory first, as x.detach().cpu().numpy()."
        ) from error


def from_objects(array: Array, name: str) -> Array:
    """Numbers in double of whatever may be one."""
    if array.dtype.kind in "mM":
        raise TypeError(
            f"{name} holds dates or durations ({array.dtype}). Pass numbers: divide the distances "
            "from one date by numpy.timedelta64(1, 'D'), and fill what is missing."
        )
    try:
        return array.astype(np.float64)
    except OverflowError as error:
        raise ValueError(
            f"{name} has a number beyond 1.8e308, the largest in double. Scale the numbers."
        ) from error
    except (TypeError, ValueError) as error:
        cure = "Encode strings and categories as numbers first."
        if any(map(is_missing, array.flat)):
            cure = "Fill what is missing first, and encode strings and categories as numbers."
        raise type(error)(
            f"{name} must hold numbers, got dtype {array.dtype} ({error}). {cure}"
        ) from error


def is_missing(value: Any) -> bool:
    """Whether it stands for no value: None, pandas' NA, NaN."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, (float, np.floating, np.datetime64, np.timedelta64)) and value != value
