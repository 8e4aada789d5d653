"""Networks for other runtimes: `to_onnx`, an ONNX graph of a fitted estimator."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gdcore._typing import ArrayLike, PathLike
from gdcore._version import __version__
from gdcore.disk import replace
from gdcore.errors import not_fitted
from gdcore.layers import (
    Activation,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    MaxPool2D,
    MeanPool2D,
    Reshape,
    Sequential,
)
from gdcore.models.neural import NeuralEstimator

OPSET = 20  # the first with Gelu
SIMPLE = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softplus": "Softplus"}


def to_onnx(model: NeuralEstimator, path: PathLike | None = None) -> Any:
    """An ONNX model of a fitted network: standardisation, layers, probabilities and labels.

    Its input "X" is float32 (n, p). A classifier gives "label" and "probabilities", a regressor
    "prediction". Needs the package onnx (extra `onnx`); any ONNX runtime can run the result.

    Parameters
    ----------
    model : MLPClassifier or MLPRegressor, fitted
    path : str or Path, optional
        Where to write it, whole or not at all.

    Returns
    -------
    onnx.ModelProto

    Raises
    ------
    ImportError, TypeError, NotFittedError
        Without onnx; for a layer of one's own, which is named; before fit.

    Example
    -------
    >>> import numpy as np, gdcore as gd
    >>> model = gd.MLPClassifier(max_epochs=2, tol=0).fit(np.eye(4), [0, 1, 0, 1])
    >>> proto = gd.to_onnx(model, "net.onnx")  # doctest: +SKIP
    """
    if not isinstance(model, NeuralEstimator):
        raise TypeError(f"{model!r} has no layers. Pass an MLPClassifier or MLPRegressor.")
    if not hasattr(model, "theta_"):
        raise not_fitted(model)
    graph = _Graph(_onnx(), model)
    proto = graph.model()
    if path is not None:
        replace(path, lambda file: file.write(proto.SerializeToString()))
    return proto


def _onnx() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError("to_onnx needs the package onnx. Install gdcore[onnx].") from error
    return onnx


class _Graph:
    """Nodes as they are added, each named after what it gives."""

    def __init__(self, onnx: Any, estimator: Any) -> None:
        self.onnx, self.estimator, self.theta = onnx, estimator, estimator.theta_
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.count = 0

    def constant(self, array: ArrayLike) -> str:
        name = f"c{len(self.constants)}"
        array = np.ascontiguousarray(array)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        self.count += 1
        output = to or f"{kind.lower()}{self.count}"
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, [output], **attributes))
        return output

    def model(self) -> Any:
        helper, types = self.onnx.helper, self.onnx.TensorProto
        estimator, x = self.estimator, "X"
        p = estimator.n_features_in_
        if estimator.scaling_ is not None:
            shift, inverse = estimator.scaling_
            x = self.add("Mul", self.add("Sub", x, self.constant(shift)), self.constant(inverse))
        network = estimator.network_
        x = self.layer(network.layers, x, network.shape, "")
        outputs = self.classes(x) if hasattr(estimator, "classes_") else self.prediction(x)
        graph = helper.make_graph(
            self.nodes, "gdcore", [helper.make_tensor_value_info("X", types.FLOAT, ["n", p])],
            outputs, self.constants,
        )  # fmt: skip
        opset = [helper.make_opsetid("", OPSET)]
        proto = helper.make_model(
            graph, opset_imports=opset, producer_name="gdcore", producer_version=__version__,
            ir_version=9,
        )  # fmt: skip
        self.onnx.checker.check_model(proto, full_check=True)
        return proto

    def classes(self, z: str) -> list[Any]:
        """Nodes for "probabilities" and "label"."""
        helper, types, estimator = self.onnx.helper, self.onnx.TensorProto, self.estimator
        several, k = estimator._several, estimator.network_.outputs
        width = 2 if k == 1 and not several else k
        if several:
            self.add("Sigmoid", z, to="probabilities")
            over = self.add("Greater", z, self.constant(np.float32(0)))
            self.cast(over, "label")
            label = helper.make_tensor_value_info("label", types.INT64, ["n", k])
        else:
            if k == 1:
                p = self.add("Sigmoid", z)
                rest = self.add("Sigmoid", self.add("Neg", z))
                self.add("Concat", rest, p, to="probabilities", axis=1)
            else:
                self.add("Softmax", z, to="probabilities", axis=1)
            best = self.add("ArgMax", "probabilities", axis=1, keepdims=0)
            classes = estimator.classes_
            text = classes.dtype.kind not in "biuf"
            values = classes.astype(str).astype(object) if text else classes
            values = values.astype(np.int64) if values.dtype.kind in "biu" else values
            self.add("Gather", self.constant(values), best, to="label")
            kind = (
                types.STRING if text else types.INT64 if values.dtype.kind == "i" else types.FLOAT
            )
            label = helper.make_tensor_value_info("label", kind, ["n"])
        shares = helper.make_tensor_value_info("probabilities", types.FLOAT, ["n", width])
        return [label, shares]

    def cast(self, x: str, output: str) -> None:
        node = self.onnx.helper.make_node("Cast", [x], [output], to=self.onnx.TensorProto.INT64)
        self.nodes.append(node)

    def prediction(self, z: str) -> list[Any]:
        """Nodes for "prediction", on the targets' scale."""
        helper, types, estimator = self.onnx.helper, self.onnx.TensorProto, self.estimator
        z = self.add("Mul", z, self.constant(estimator.target_scale_))
        name = None if estimator._vector else "prediction"
        z = self.add("Add", z, self.constant(estimator.target_mean_), to=name)
        shape = ["n", estimator.network_.outputs]
        if estimator._vector:
            self.add("Squeeze", z, self.constant(np.array([1])), to="prediction")
            shape = ["n"]
        return [helper.make_tensor_value_info("prediction", types.FLOAT, shape)]

    def layer(self, layer: Any, x: str, shape: tuple[int, ...], name: str) -> str:
        """Nodes of a layer whose parameters' names begin so; what it gives."""
        kind: Any = type(layer)
        if kind is Sequential:
            for number, (inner, its) in enumerate(layer.inside(shape)):
                x = self.layer(inner, x, its, f"{name}{number}.")
            return x
        if kind not in _WRITERS:
            raise TypeError(
                f"{layer!r} is a layer that ONNX has no words for here. "
                "Use the layers of gd.layers."
            )
        return _WRITERS[kind](self, layer, x, shape, name)

    def part(self, name: str) -> str:
        return self.constant(self.theta[name])

    def activation(self, kind: str, x: str) -> str:
        if kind == "linear":
            return x
        if kind in SIMPLE:
            return self.add(SIMPLE[kind], x)
        if kind == "leaky_relu":
            return self.add("LeakyRelu", x, alpha=0.01)
        if kind == "silu":
            return self.add("Mul", x, self.add("Sigmoid", x))
        return self.add("Gelu", x, approximate="tanh" if kind == "gelu_tanh" else "none")

    def reshape(self, x: str, shape: tuple[int, ...]) -> str:
        return self.add("Reshape", x, self.constant(np.array([-1, *shape], np.int64)))

    def channels_first(self, x: str) -> str:
        return self.add("Transpose", x, perm=[0, 3, 1, 2])

    def channels_last(self, x: str) -> str:
        return self.add("Transpose", x, perm=[0, 2, 3, 1])


def _dense(graph: _Graph, layer: Any, x: str, shape: tuple[int, ...], name: str) -> str:
    x = graph.add("MatMul", x, graph.part(name + "weight"))
    if layer.bias:
        x = graph.add("Add", x, graph.part(name + "bias"))
    return graph.activation(layer.activation, x)


def _batch_norm(graph: _Graph, layer: Any, x: str, shape: tuple[int, ...], name: str) -> str:
    part = {key: graph.theta[name + key] for key in ("gain", "bias", "running_mean")}
    scale = part["gain"] / np.sqrt(graph.theta[name + "running_variance"] + layer.eps)
    x = graph.add("Mul", x, graph.constant(scale))
    return graph.add("Add", x, graph.constant(part["bias"] - scale * part["running_mean"]))


def _layer_norm(graph: _Graph, layer: Any, x: str, shape: tuple[int, ...], name: str) -> str:
    gain, bias = graph.part(name + "gain"), graph.part(name + "bias")
    return graph.add("LayerNormalization", x, gain, bias, axis=-1, epsilon=layer.eps)


def _embedding(graph: _Graph, layer: Any, x: str, shape: tuple[int, ...], name: str) -> str:
    ids = f"{x}_ids"
    graph.cast(x, ids)
    return graph.add("Gather", graph.part(name + "weight"), ids, axis=0)


def _conv(graph: _Graph, layer: Any, x: str, shape: tuple[int, ...], name: str) -> str:
    weight = graph.theta[name + "weight"].reshape(layer.size, layer.size, shape[2], -1)
    (top, bottom), (left, right) = (layer._margins(extent) for extent in shape[:2])
    inputs = [graph.channels_first(x), graph.constant(weight.transpose(3, 2, 0, 1))]
    inputs += [graph.part(name + "bias")] if layer.bias else []
    x = graph.add("Conv", *inputs, strides=[layer.stride] * 2, pads=[top, left, bottom, right])
    return graph.activation(layer.activation, graph.channels_last(x))


def _pool(graph: _Graph, layer: Any, x: str, shape: tuple[int, ...], name: str) -> str:
    kind = "MaxPool" if isinstance(layer, MaxPool2D) else "AveragePool"
    step = layer.stride or layer.size
    x = graph.channels_first(x)
    return graph.channels_last(
        graph.add(kind, x, kernel_shape=[layer.size] * 2, strides=[step] * 2)
    )


_WRITERS: dict[Any, Callable[..., str]] = {
    Activation: lambda graph, layer, x, shape, name: graph.activation(layer.name, x),
    BatchNorm: _batch_norm,
    Conv2D: _conv,
    Dense: _dense,
    Dropout: lambda graph, layer, x, shape, name: x,
    Embedding: _embedding,
    Flatten: lambda graph, layer, x, shape, name: graph.reshape(x, layer.output(shape)),
    LayerNorm: _layer_norm,
    MaxPool2D: _pool,
    MeanPool2D: _pool,
    Reshape: lambda graph, layer, x, shape, name: graph.reshape(x, layer.shape),
}
