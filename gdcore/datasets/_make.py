"""Make the .npz files of this folder from scikit-learn's copies, without loss.

Run by hand with scikit-learn installed: python -m gdcore.datasets._make
"""

from pathlib import Path

import numpy as np


def compact(X):
    """X in the narrowest dtype that gives the same float64 numbers back."""
    for dtype in (np.uint8, np.int16, np.float32):
        with np.errstate(all="ignore"):
            if np.array_equal(X.astype(dtype).astype(np.float64), X):
                return X.astype(dtype)
    return X


def main():
    """Write diabetes.npz, breast_cancer.npz and digits.npz."""
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

    here = Path(__file__).parent
    sources = {
        "diabetes": load_diabetes(scaled=False),
        "breast_cancer": load_breast_cancer(),
        "digits": load_digits(),
    }
    for name, data in sources.items():
        arrays = {"X": compact(data.data), "feature_names": np.array(data.feature_names, dtype=str)}
        arrays["y"] = compact(data.target.astype(np.float64))
        if name != "diabetes":
            arrays["target_names"] = np.array(data.target_names).astype(str)
        np.savez_compressed(here / f"{name}.npz", **arrays)


if __name__ == "__main__":
    main()
