"""Fitted models in files: one .npz of plain arrays and JSON, never pickle."""

import json
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from gdcore import models
from gdcore._version import __version__
from gdcore.errors import not_fitted

FORMAT = 1
LARGEST = 1 << 31  # bytes that one array of a file may take once unpacked


def save(estimator, path):
    """Write a fitted estimator to `path`, whole or not at all.

    Parameters
    ----------
    estimator : LinearRegression or LogisticRegression, fitted
    path : str or Path
        An existing file is replaced in one move.

    Raises
    ------
    NotFittedError, TypeError, OSError

    Example
    -------
    >>> import os, tempfile, gdcore as gd
    >>> model = gd.LinearRegression().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> path = os.path.join(tempfile.mkdtemp(), "line.npz")
    >>> gd.save(model, path)
    >>> bool((gd.load(path).predict([[5.0]]) == model.predict([[5.0]])).all())
    True
    """
    kind = type(estimator).__name__
    if kind not in models.__all__:
        raise TypeError(
            f"{kind} is not a model of gdcore. Pass one of {', '.join(models.__all__)}."
        )
    if not hasattr(estimator, "coef_"):
        raise not_fitted(estimator)
    arrays = {"coef": np.asarray(estimator.coef_), "intercept": np.asarray(estimator.intercept_)}
    if hasattr(estimator, "classes_"):
        classes = estimator.classes_
        arrays["classes"] = classes.astype(str) if classes.dtype.kind == "O" else classes
    names = getattr(estimator, "feature_names_in_", None)
    header = {
        "format": FORMAT,
        "gdcore": __version__,
        "model": kind,
        "parameters": {k: v for k, v in estimator.get_params().items() if _plain(v)},
        "feature_names": None if names is None else list(names),
        "n_features": int(estimator.n_features_in_),
        "n_iter": int(estimator.n_iter_),
        "message": estimator.result_.message if hasattr(estimator, "result_") else "",
    }
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    _write(Path(path), arrays)


def load(path):
    """Read an estimator that `save` wrote; it predicts the same bits. Never executes code.

    Raises
    ------
    FileNotFoundError
    ValueError
        For a file that is no model of gdcore, truncated, damaged, or of a later format.

    Example
    -------
    >>> import gdcore as gd
    >>> gd.load("no such file.npz")
    Traceback (most recent call last):
    ...
    FileNotFoundError: no such file.npz does not exist. Pass the path of a saved model.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist. Pass the path of a saved model.")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [entry.file_size for entry in archive.infolist()]
        if max(sizes, default=0) > LARGEST:
            raise ValueError("an array in it is larger than any model")
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        header = json.loads(arrays["header"].tobytes())
        return _restore(header, arrays)
    except (PermissionError, IsADirectoryError):
        raise
    except Exception as error:  # zip, zlib, npy, JSON: each has its own way to say "broken"
        raise _damaged(path, error) from error


def _damaged(path, error):
    return ValueError(
        f"{path} is not a whole model file of gdcore ({error}). Save the model again with gd.save."
    )


def _restore(header, arrays):
    if header["format"] > FORMAT:
        raise ValueError(f"format {header['format']} needs a gdcore later than {__version__}")
    if header["model"] not in models.__all__:
        raise ValueError(f"unknown model {header['model']!r}")
    estimator = getattr(models, header["model"])(**header["parameters"])
    coef, p = arrays["coef"], header["n_features"]
    if coef.shape[-1] != p or coef.dtype.char not in "fd" or not np.isfinite(coef).all():
        raise ValueError(f"coefficients of shape {coef.shape} for {p} features")
    estimator.coef_ = coef
    intercept = arrays["intercept"]
    estimator.intercept_ = intercept if intercept.ndim else intercept[()]
    if header["model"] == "LogisticRegression":
        estimator.classes_ = arrays["classes"]
        k = len(estimator.classes_)
        if coef.shape != (1 if k == 2 else k, p) or len(intercept) != len(coef):
            raise ValueError(f"coefficients of shape {coef.shape} for {k} classes")
    names = header["feature_names"]
    if names is not None:
        if len(names) != p or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{len(names)} names for {p} features")
        estimator.feature_names_in_ = np.array(names, dtype=object)
    estimator.n_features_in_, estimator.n_iter_ = p, header["n_iter"]
    return estimator


def _plain(value):
    return value is None or isinstance(value, (bool, int, str)) or _finite(value)


def _finite(value):
    return isinstance(value, float) and abs(value) < float("inf")


def _write(path, arrays):
    """To a temporary file beside it, onto the disk, then into its place in one move."""
    handle, name = tempfile.mkstemp(dir=path.parent or ".", prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
