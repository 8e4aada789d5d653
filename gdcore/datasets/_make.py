"""Make the .npz files of this folder from scikit-learn's copies, without loss.

Run by hand with scikit-learn installed: python -m gdcore.datasets._make
"""

from pathlib import Path
from typing import Any

import numpy as np

from gdcore._typing import Array

MOST_DECIMALS = 9


def compact(values: Array) -> tuple[Array, int]:
    """(whole numbers, decimals): values = whole / 10**decimals, to the last bit, which scikit-learn
    before 1.8 had wrong in some (4.803999999999999 for 4.804).

    The sources are decimal numbers, and a quotient of two whole numbers is rounded as the decimal
    number was when it was read. Whole numbers pack into half the bytes of the same float64.
    """
    for decimals in range(MOST_DECIMALS + 1):
        whole = np.round(values * 10**decimals)
        if np.allclose(whole / 10**decimals, values, rtol=np.finfo(float).eps, atol=0):
            return whole.astype(np.int64), decimals
    raise ValueError(f"No {MOST_DECIMALS} decimals give the values back. Store them as they are.")


def narrow(whole: Array) -> Array:
    """The same whole numbers in the narrowest dtype."""
    dtypes = [np.dtype(name) for name in ("u1", "i2", "i4", "i8")]
    return whole.astype(next(d for d in dtypes if np.array_equal(whole.astype(d), whole)))


def arrays(data: Any) -> dict[str, Any]:
    """What the file of one scikit-learn data set holds."""
    columns = [compact(column) for column in data.data.T]
    target, decimals = compact(data.target.astype(np.float64))
    assert decimals == 0, "y is stored as whole numbers"
    held = {
        "X": narrow(np.stack([whole for whole, _ in columns], axis=1)),
        "decimals": np.array([decimals for _, decimals in columns], dtype=np.uint8),
        "y": narrow(target),
        "feature_names": np.array(data.feature_names, dtype=str),
    }
    if "target_names" in data:
        held["target_names"] = np.array(data.target_names).astype(str)
    return held


def main(folder: Path = Path(__file__).parent) -> None:
    """Write diabetes.npz, breast_cancer.npz and digits.npz."""
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

    sources = {
        "diabetes": load_diabetes(scaled=False),
        "breast_cancer": load_breast_cancer(),
        "digits": load_digits(),
    }
    for name, data in sources.items():
        np.savez_compressed(Path(folder) / f"{name}.npz", **arrays(data))


if __name__ == "__main__":
    main()
