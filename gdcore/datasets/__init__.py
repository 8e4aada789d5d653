"""Small real data that the package carries: diabetes, breast cancer, digits. See LICENSES.md."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gdcore._typing import Array
from gdcore.errors import require_choice

__all__ = ["Dataset", "load", "load_breast_cancer", "load_diabetes", "load_digits"]

_DESCRIPTIONS = {
    "diabetes": "Disease progression of 442 diabetes patients after one year, from age, sex, body "
    "mass index, blood pressure and six serum measurements (Efron et al., 2004).",
    "breast_cancer": "569 breast masses, malignant (0) or benign (1), from 30 measurements of cell "
    "nuclei in images (Street, Wolberg & Mangasarian, 1993).",
    "digits": "1797 handwritten digits as 8×8 images with 17 levels of grey "
    "(Alpaydin & Kaynak, 1998).",
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples X (n, p) in float64, targets y (n,), names, and where they come from.

    y is float64 for regression, with target_names None. For classes it is their numbers (int64),
    and target_names[y] are their names. The fields do not change; the arrays are yours.

    Example
    -------
    >>> import gdcore as gd
    >>> data = gd.datasets.load("diabetes")
    >>> data.X.shape, data.feature_names[:3], data.target_names
    ((442, 10), ['age', 'sex', 'bmi'], None)
    """

    name: str
    X: Array
    y: Array
    feature_names: list[str]
    target_names: list[str] | None
    description: str

    def __repr__(self) -> str:
        n, p = self.X.shape
        kind = f"{len(self.target_names)} classes" if self.target_names else "regression"
        return f"Dataset({self.name}: {n} examples × {p} features, {kind})"


def load(name: str) -> Dataset:
    """The data set of that name; fresh arrays at every call.

    Raises
    ------
    ValueError
        For an unknown name, with the nearest one.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.datasets.load("digits")
    Dataset(digits: 1797 examples × 64 features, 10 classes)
    """
    require_choice("name", name, list(_DESCRIPTIONS))
    with np.load(Path(__file__).with_name(f"{name}.npz"), allow_pickle=False) as file:
        targets = file["target_names"].tolist() if "target_names" in file else None
        return Dataset(
            name=name,
            X=np.ascontiguousarray(file["X"] / 10 ** file["decimals"].astype(np.int64)),
            y=file["y"].astype(np.int64 if targets else np.float64),
            feature_names=file["feature_names"].tolist(),
            target_names=targets,
            description=_DESCRIPTIONS[name],
        )


def load_diabetes() -> Dataset:
    """Diabetes: 442 × 10, regression, in the units in which it was measured.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.datasets.load_diabetes().y[:3]
    array([151.,  75., 141.])
    """
    return load("diabetes")


def load_breast_cancer() -> Dataset:
    """Breast cancer: 569 × 30, two classes.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.datasets.load_breast_cancer().target_names
    ['malignant', 'benign']
    """
    return load("breast_cancer")


def load_digits() -> Dataset:
    """Digits: 1797 × 64, ten classes.

    Example
    -------
    >>> import gdcore as gd
    >>> float(gd.datasets.load_digits().X.max())
    16.0
    """
    return load("digits")
