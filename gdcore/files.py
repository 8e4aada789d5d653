"""Fitted models in files: one .npz of plain arrays and JSON, never pickle."""

import dataclasses
import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from gdcore import losses, models
from gdcore._typing import Array, PathLike
from gdcore._version import __version__
from gdcore.disk import as_path, damaged, replace, require_plain, shown, store, unpacked, unreadable
from gdcore.errors import not_fitted, require
from gdcore.models.classifier import Classifier
from gdcore.models.networks_on_device import hosted
from gdcore.models.neural import NeuralEstimator
from gdcore.stored import pack, real, unpack

FORMAT = 1
Model: TypeAlias = (
    models.LinearRegression | models.LogisticRegression | models.LinearClassifier
    | models.MLPRegressor | models.MLPClassifier
)  # fmt: skip


def save(estimator: Model, path: PathLike) -> None:
    """Write a fitted estimator to `path`, whole or not at all.

    What predicts is kept, and the parameters that are plain numbers, words and None. An optimizer
    instance, a schedule or callbacks matter only to another fit and come back as defaults.

    Parameters
    ----------
    estimator : any of gdcore's, fitted
        A network may be of every layer of gd.layers, not of functions of your own.
    path : str or Path
        An existing file is replaced in one move and keeps its permissions.

    Raises
    ------
    NotFittedError, TypeError, OSError
        Before fit; for what is no model of gdcore; where the file cannot be written.

    Example
    -------
    >>> import os, tempfile, gdcore as gd
    >>> model = gd.LinearRegression().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> path = os.path.join(tempfile.mkdtemp(), "line.npz")
    >>> gd.save(model, path)
    >>> bool((gd.load(path).predict([[5.0]]) == model.predict([[5.0]])).all())
    True
    """
    kind = type(estimator)
    if kind not in [getattr(models, name) for name in models.__all__]:  # names alone are anyone's
        name = f"{kind.__module__}.{kind.__name__}"
        require_alone(name, estimator)
        raise TypeError(
            f"{name} is not a model of gdcore. "
            f"Pass one of {', '.join(models.__all__)}; a GPT is saved by its own save."
        )
    if not estimator.__sklearn_is_fitted__():
        raise not_fitted(estimator)
    estimator = hosted(estimator)
    estimator._check_parameters()  # set since fit, perhaps: what is saved can be loaded
    parameters = {name: _scalar(value) for name, value in estimator.get_params().items()}
    names = getattr(estimator, "feature_names_in_", None)
    header = {
        "format": FORMAT,
        "gdcore": __version__,
        "model": kind.__name__,
        "parameters": {name: value for name, value in parameters.items() if _plain(value)},
        "fit_loss": _told(getattr(estimator, "loss", None)),
        "feature_names": None if names is None else list(names),
        "n_features": int(estimator.n_features_in_),
        "n_iter": int(estimator.n_iter_),
    }
    if isinstance(estimator, NeuralEstimator):
        more, arrays = pack(estimator)
        header |= more
    else:
        arrays = {"coef": np.asarray(estimator.coef_)}
        arrays["intercept"] = np.asarray(estimator.intercept_)
    if hasattr(estimator, "classes_"):
        arrays["classes"] = _storable(estimator.classes_)
        header["object_classes"] = estimator.classes_.dtype.kind == "O"
    for name, array in arrays.items():
        require(
            array.dtype.kind != "f" or name == "classes" or bool(np.isfinite(array).all()),
            f"The model's {name} holds NaN or infinity, and would predict nothing. Fit it again.",
        )
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    _write(path, arrays)


def require_alone(name: str, estimator: Any) -> None:
    """Refuse an estimator of a cluster, and say which of its own is none."""
    if hasattr(estimator, "to_local"):
        raise TypeError(f"{name} is a model of a cluster. Pass its to_local(), which needs none.")


def load(path: PathLike) -> Model:
    """Read an estimator that `save` wrote; it predicts the same bits. Never executes code.

    Raises
    ------
    OSError
        Where there is no such file, or it may not be read.
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
    path = as_path(path)
    require_plain(path, "a saved model")
    try:
        header, arrays = _read(path)
        later = header["format"] > FORMAT
        estimator: Any = None if later else _restore(header, arrays)
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # zip, zlib, npy, JSON: each has its own way to say "broken"
        cure = "Save the model again with gd.save."
        if path.suffix == ".safetensors":
            cure = "GPT.load reads a GPT, gd.load_weights the weights of a network."
        raise damaged(path, "model file of gdcore", error, cure) from error
    theirs = shown(str(header["format"]), 20)
    require(
        not later,
        f"{path} has format {theirs}, and gdcore {__version__} reads up to format {FORMAT}. "
        "Upgrade gdcore to load it.",
    )
    model: Model = estimator
    return model


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """(header, arrays) as they are in the file; only format and names are checked."""
    arrays = unpacked(path)
    header = json.loads(_part(arrays, "header").tobytes())
    require(isinstance(header, dict), "its header is no JSON object")
    _whole(header, "format", 1)
    return header, arrays


def _restore(header: dict[str, Any], arrays: dict[str, Array]) -> Any:
    """The estimator, every part of it checked: what is not right must not predict."""
    kind, parameters = _part(header, "model"), _part(header, "parameters")
    require(kind in models.__all__, f"it holds an unknown model {kind!r}")
    require(isinstance(parameters, dict), "its parameters are no JSON object")
    given = {n: tuple(v) if isinstance(v, list) else v for n, v in parameters.items()}
    if header.get("fit_loss") is not None:
        given["loss"] = _loss(header["fit_loss"])
    estimator = getattr(models, kind)(**given)
    estimator._check_parameters()
    p = estimator.n_features_in_ = _whole(header, "n_features", 1)
    estimator.n_iter_ = _whole(header, "n_iter", 0)
    if isinstance(estimator, Classifier):
        ordered = not isinstance(estimator, NeuralEstimator)  # gd.from_torch keeps its outputs'
        estimator.classes_ = _classes(_part(arrays, "classes"), header, ordered)
    if isinstance(estimator, NeuralEstimator):
        unpack(estimator, header, arrays)
    else:
        _coefficients(estimator, arrays)
    names = _part(header, "feature_names")
    if names is not None:
        text = isinstance(names, list) and all(isinstance(name, str) for name in names)
        require(text and len(names) == p, f"its feature_names are not {p} words")
        estimator.feature_names_in_ = np.array(names, dtype=object)
    return estimator


def _coefficients(estimator: Any, arrays: dict[str, Array]) -> None:
    """coef_ and intercept_ of a linear model, checked."""
    coef: tuple[int, ...] = (estimator.n_features_in_,)
    intercept: tuple[int, ...] = ()
    if isinstance(estimator, Classifier):
        k = len(estimator.classes_)
        outputs = k if k > 2 else 1
        coef, intercept = (outputs, *coef), (outputs,)
    estimator.coef_ = real(arrays, "coef", coef)
    estimator.intercept_ = real(arrays, "intercept", intercept)[()]  # a scalar where it was one


def _part(parts: dict[str, Any], name: str) -> Any:
    require(name in parts, f"it lacks {name!r}")
    return parts[name]


def _whole(header: dict[str, Any], name: str, low: int) -> int:
    value = _part(header, name)
    right = type(value) is int and value >= low
    require(right, f"its {name!r} is {value!r}, not a whole number from {low} on")
    return int(value)


def _storable(classes: Array) -> Array:
    """Classes as an array of numbers, truth values or text, which needs no pickle."""
    kept = classes
    if classes.dtype.kind == "O":
        plain = [_scalar(label) for label in classes]
        kept = np.array(plain)
        if len(set(map(type, plain))) != 1 or kept.tolist() != plain:
            kept = classes
    if kept.dtype.kind not in "biufU":
        raise TypeError(
            f"Classes of dtype {classes.dtype} cannot be saved. "
            "Fit on labels that are numbers, truth values or text."
        )
    return kept


def _classes(classes: Array, header: dict[str, Any], ordered: bool) -> Array:
    least = 1 if ordered else 2  # a stream may have met no other yet
    right = classes.dtype.kind in "biufU" and classes.ndim == 1 and len(classes) >= least
    right = right and len(np.unique(classes)) == len(classes)
    right = right and (not ordered or bool((classes[1:] > classes[:-1]).all()))
    require(right, f"its 'classes' are not {least} or more labels in order, each of them once")
    return np.array(classes.tolist(), dtype=object) if header.get("object_classes") else classes


def _told(loss: Any) -> list[Any] | None:
    """[class, fields] of a loss of gdcore; None of a name, and of one's own that changes nothing
    of what is predicted."""
    kind = type(loss)
    if kind in [getattr(losses, name) for name in losses.__all__]:
        fields = dataclasses.fields(loss) if dataclasses.is_dataclass(loss) else ()
        return [kind.__name__, {each.name: _scalar(getattr(loss, each.name)) for each in fields}]
    if loss is not None and not isinstance(loss, str) and hasattr(loss, "mean"):
        raise TypeError(
            f"loss={loss!r} is of your own and has a mean(z), whose code no file keeps. Keep coef_ "
            "and intercept_ by numpy.savez."
        )
    return None


def _loss(told: Any) -> Any:
    """The loss that `_told` described; nothing but the classes of gd.losses is ever made."""
    whole = isinstance(told, list) and len(told) == 2 and isinstance(told[1], dict)
    require(whole and told[0] in set(losses.__all__) - {"Loss"}, f"its loss is none: {told!r}")
    return getattr(losses, told[0])(**told[1])


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _plain(value: object) -> bool:
    """Whether JSON gives the same value back."""
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    if isinstance(value, dict):  # JSON would make text of other keys
        return all(isinstance(key, str) and _plain(item) for key, item in value.items())
    if isinstance(value, float):
        return abs(value) < float("inf")
    return value is None or isinstance(value, (bool, int, str))


def _write(path: PathLike, arrays: dict[str, Any]) -> None:
    """Arrays as an .npz, whole or not at all."""
    replace(path, lambda file: store(file, arrays, pack=True))
