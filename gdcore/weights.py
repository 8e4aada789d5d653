"""Weights of networks in files and mappings that others read: .npz, .safetensors, state_dict."""

import itertools
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, overload

import numpy as np

from gdcore._typing import Array, ArrayLike, PathLike
from gdcore.disk import as_path, damaged, replace, require_plain, shown, store, unpacked, unreadable
from gdcore.errors import not_fitted, require
from gdcore.layers import Dense
from gdcore.losses import Logistic, Softmax, Squared
from gdcore.models.classifier import as_classes
from gdcore.models.mlp import MLPClassifier, MLPRegressor
from gdcore.models.network import Network
from gdcore.models.neural import NeuralEstimator
from gdcore.parameters import Parameters, held

SUFFIXES = (".npz", ".safetensors")
SUM = "crc32"  # of all arrays of a .safetensors file; an .npz has its own


def save_weights(model: NeuralEstimator | Parameters, path: PathLike) -> None:
    """Write every array of a network by its name, whole or not at all.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor, fitted, or Parameters
    path : str or Path
        ".npz", or ".safetensors" (extra `safetensors`).

    Example
    -------
    >>> import os, tempfile, gdcore as gd
    >>> model = gd.MLPRegressor(max_epochs=1, tol=0).fit([[0.0], [1.0]], [0.0, 1.0])
    >>> path = os.path.join(tempfile.mkdtemp(), "weights.npz")
    >>> gd.save_weights(model, path)
    >>> gd.load_weights(model, path)
    """
    theta = _parameters(model)
    arrays = {name: np.ascontiguousarray(theta[name]) for name in theta}
    if _suffix(path) == ".npz":
        replace(path, lambda file: store(file, arrays))
    else:
        content = _safetensors().save(arrays, {SUM: _sum(arrays)})
        replace(path, lambda file: file.write(content))


def load_weights(model: NeuralEstimator | Parameters, source: PathLike | Mapping[str, Any]) -> None:
    """Set every array of a network; nothing is changed where one of them is missing or wrong.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor, fitted, or Parameters
    source : path of an .npz or .safetensors file, or a mapping of names to arrays
        A PyTorch state_dict is known by its matrices, (outputs, inputs), and taken layer by layer.

    Raises
    ------
    OSError
        Where there is no such file, or it may not be read.
    ValueError
        For a file that is damaged, and for a tensor that is missing, of another shape, or not
        finite in the model's numbers; it is named.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> X, y = np.eye(4), np.array([0, 1, 0, 1])
    >>> settings = {"hidden_layer_sizes": (3,), "max_epochs": 2, "tol": 0}
    >>> one = gd.MLPClassifier(**settings, random_state=0).fit(X, y)
    >>> other = gd.MLPClassifier(**settings, random_state=1).fit(X, y)
    >>> gd.load_weights(other, {name: one.theta_[name] for name in one.theta_})
    >>> bool((one.predict_proba(X) == other.predict_proba(X)).all())
    True
    """
    theta = _parameters(model)
    given: Any = source if hasattr(source, "keys") else _read(as_path(source))
    arrays = {name: _as_array(given[name]) for name in given.keys()}
    if set(arrays) != set(theta) or any(arrays[n].shape != theta[n].shape for n in theta):
        arrays = _by_layer(arrays, theta)
    checked = {name: _checked(arrays, name, theta[name]) for name in theta}
    for name, array in checked.items():
        theta[name][...] = array
    if not isinstance(model, Parameters):
        model._stream = None  # another partial_fit goes on from these weights


@overload
def from_torch(
    state_dict: Mapping[str, Any], activation: str = "relu", classes: None = None
) -> MLPRegressor: ...
@overload
def from_torch(
    state_dict: Mapping[str, Any], activation: str = ..., classes: ArrayLike = ...
) -> MLPClassifier: ...
def from_torch(
    state_dict: Mapping[str, Any], activation: str = "relu", classes: ArrayLike | None = None
) -> MLPRegressor | MLPClassifier:
    """A model from the Linear layers of a PyTorch state_dict, in their order.

    Parameters
    ----------
    state_dict : mapping of "….weight" (outputs, inputs) and "….bias" (outputs,) to tensors
    activation : str
        Of all layers but the last, which is linear.
    classes : sequence, optional
        Labels of the outputs (two for a single one): makes an `MLPClassifier`, without them an
        `MLPRegressor`. Inputs are taken as they come.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> state = {"0.weight": np.ones((1, 3), np.float32), "0.bias": np.zeros(1, np.float32)}
    >>> gd.from_torch(state).predict(np.ones((1, 3)))
    array([3.])
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict must be a mapping, got {state_dict!r:.60}. Pass a dict.")
    arrays = {name: _as_array(state_dict[name]) for name in state_dict}
    weights = [array for name, array in arrays.items() if name.endswith("weight")]
    for name, array in arrays.items():
        right = array.ndim == (2 if name.endswith("weight") else 1)
        require(
            right and name.endswith(("weight", "bias")),
            f"{name} {array.shape} is not of a Linear layer. Pass the weights and biases of those.",
        )
    require(weights, "state_dict holds no weights. Pass that of a model of Linear layers.")
    for one, other in itertools.pairwise(weights):
        require(
            len(one) == other.shape[1],
            f"A layer of {len(one)} outputs meets one of {other.shape[1]} inputs. "
            "Pass the Linear layers in their order.",
        )
    biased = len(arrays) == 2 * len(weights)
    units = [len(array) for array in weights]
    kinds = [activation] * (len(units) - 1) + ["linear"]
    layers = [Dense(n, kind, bias=biased) for n, kind in zip(units, kinds, strict=True)]
    given: dict[str, Any] = {"layers": layers, "standardize": False}
    model = MLPRegressor(**given) if classes is None else MLPClassifier(**given)
    model._check_parameters()
    loss = Squared() if classes is None else Logistic() if units[-1] == 1 else Softmax()
    network = Network(layers, (weights[0].shape[1],), loss)
    dtype = np.float64 if weights[0].dtype == np.float64 else np.float32
    model.network_ = network
    model.theta_ = Parameters(network.shapes(), np.zeros(network.size, dtype))
    load_weights(model, arrays)
    _finish(model, classes, units[-1])
    return model


def _finish(model: Any, classes: ArrayLike | None, outputs: int) -> None:
    """What is fitted beside the weights."""
    model.scaling_, model.n_features_in_ = None, model.network_.shape[0]
    model.n_iter_, model.loss_ = 0, float("nan")
    if classes is None:
        model.target_mean_, model.target_scale_ = np.zeros(outputs), np.ones(outputs)
        model._vector = outputs == 1
        return
    wanted, distinct = 2 if outputs == 1 else outputs, len(as_classes(classes))
    model.classes_, model._several = np.asarray(classes), False  # in the order of the outputs
    require(
        model.classes_.shape == (wanted,) and distinct == wanted,
        f"classes has {distinct} labels, and the last layer needs {wanted}. "
        "Pass one for each output.",
    )


def _parameters(model: Any) -> Parameters:
    if isinstance(model, Parameters):
        return model
    if not isinstance(model, NeuralEstimator):
        raise TypeError(
            f"{model!r} has no layers. Pass an MLPClassifier, MLPRegressor, Parameters."
        )
    if not hasattr(model, "theta_"):
        raise not_fitted(model)
    return model.theta_


def _suffix(path: PathLike) -> str:
    suffix = Path(path).suffix
    require(
        suffix in SUFFIXES,
        f"{path} ends in {suffix!r}, which is no format of weights. Use {' or '.join(SUFFIXES)}.",
    )
    return suffix


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "The safetensors format needs the package safetensors. "
            "Install gdcore[safetensors], or use .npz."
        ) from error
    return safetensors.numpy


def _read(path: Path) -> dict[str, Array]:
    """{name: array} of a file."""
    suffix = _suffix(path)
    require_plain(path, "saved weights")
    reader = None if suffix == ".npz" else _safetensors()
    try:
        if reader is None:
            return unpacked(path)
        arrays: dict[str, Array] = reader.load_file(path)
        _require_sum(path, arrays)
        return arrays
    except OSError as error:
        raise unreadable(path, error) from error
    except Exception as error:  # each format has its own way to say "broken"
        raise damaged(path, "file of weights", error, "Save the weights again.") from error


def _sum(arrays: Mapping[str, Array]) -> str:
    """A number that arrays hardly share with what they become where a bit of them is lost."""
    found = 0
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found = zlib.crc32(f"{name} {array.dtype} {array.shape}".encode(), found)
        found = zlib.crc32(array.reshape(-1).view(np.uint8).data, found)
    return str(found)


def _require_sum(path: PathLike, arrays: Mapping[str, Array]) -> None:
    """The arrays are those that were written, where the file says which those were."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    written = header.get("__metadata__", {}).get(SUM)
    require(written in (None, _sum(arrays)), "its numbers are not what was written")


def _as_array(tensor: Any) -> Array:
    """A NumPy array of an array or of anything with PyTorch's methods."""
    if hasattr(tensor, "detach"):
        tensor = tensor.detach().cpu().numpy()
    return np.asarray(tensor)


def _by_layer(arrays: dict[str, Array], theta: Parameters) -> dict[str, Array]:
    """Arrays of Linear layers under the names of ours: in their order, matrices turned."""
    matrices = [name for name in arrays if arrays[name].ndim == 2]
    ours = [name for name in theta if theta[name].ndim == 2]
    if len(matrices) != len(arrays) - sum(a.ndim == 1 for a in arrays.values()):
        return arrays
    fits = len(matrices) == len(ours) and all(
        arrays[one].shape == theta[other].shape[::-1]
        for one, other in zip(matrices, ours, strict=True)
    )
    if not fits or len(arrays) != len(list(theta)):
        return arrays
    return {
        name: array.T if array.ndim == 2 else array
        for name, array in zip(theta, arrays.values(), strict=True)
    }


def _names(arrays: Iterable[str]) -> str:
    return shown(", ".join(map(str, arrays))) or "none"


def _checked(arrays: dict[str, Array], name: str, wanted: Array) -> Array:
    """The array of this name, as it must be."""
    require(
        name in arrays,
        f"There is no tensor {name}; there are {_names(arrays)}. "
        "Pass the weights of the same layers.",
    )
    array = arrays[name]
    require(
        array.shape == wanted.shape,
        f"Tensor {name} has shape {array.shape}, and the model's is {wanted.shape}. "
        "Pass the weights of the same layers.",
    )
    finite = array.dtype.kind == "f" and bool(np.isfinite(held(array, wanted.dtype)).all())
    require(
        finite,
        f"Tensor {name} does not hold finite numbers of {wanted.dtype}. Save the weights again.",
    )
    return array
