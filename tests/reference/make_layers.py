"""Make layers.npz: PyTorch's outputs and gradients for each layer, float64 and float32.

Run by hand with PyTorch installed: python -m tests.reference.make_layers
PyTorch has images and matrices the other way round: `theirs` turns ours into its own and back.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import gdcore as gd

L = gd.layers
PATH = Path(__file__).with_name("layers.npz")
DTYPES = {"f32": np.float32, "f64": np.float64}
ROWS = 6
ACTIVATIONS = {
    "linear": lambda F, z: z,
    "relu": lambda F, z: F.relu(z),
    "leaky_relu": lambda F, z: F.leaky_relu(z, 0.01),
    "tanh": lambda F, z: z.tanh(),
    "sigmoid": lambda F, z: z.sigmoid(),
    "gelu": lambda F, z: F.gelu(z),
    "gelu_tanh": lambda F, z: F.gelu(z, approximate="tanh"),
    "silu": lambda F, z: F.silu(z),
    "softplus": lambda F, z: F.softplus(z),
}


@dataclass(frozen=True)
class Case:
    """A layer of ours, the shape of its inputs, and PyTorch's (F, x, θ) → y."""

    layer: object
    shape: tuple
    theirs: object
    training: bool = False


def first(x):
    return x.permute(0, 3, 1, 2)


def last(y):
    return y.permute(0, 2, 3, 1)


def conv(size, channels, **given):
    def theirs(F, x, theta):
        weight = theta["weight"].reshape(size, size, channels, -1).permute(3, 2, 0, 1)
        return last(F.conv2d(first(x), weight, theta.get("bias"), **given))

    return theirs


def dense(name):
    def theirs(F, x, theta):
        return ACTIVATIONS[name](F, x @ theta["weight"] + theta["bias"])

    return Case(L.Dense(7, name), (5,), theirs)


def batch_norm(training):
    def theirs(F, x, theta):
        statistics = theta["running_mean"], theta["running_variance"]
        return F.batch_norm(x, *statistics, theta["gain"], theta["bias"], training)

    return Case(L.BatchNorm(), (5,), theirs, training)


CASES = {
    **{f"dense {name}": dense(name) for name in ACTIVATIONS},
    "layer norm": Case(
        L.LayerNorm(), (9,), lambda F, x, t: F.layer_norm(x, (9,), t["gain"], t["bias"])
    ),
    "batch norm, training": batch_norm(True),
    "batch norm": batch_norm(False),
    "conv, same": Case(L.Conv2D(3), (6, 5, 2), conv(3, 2, padding=1)),
    "conv, strided": Case(
        L.Conv2D(4, 2, stride=2, padding="valid", bias=False), (6, 6, 2), conv(2, 2, stride=2)
    ),
    "max pool": Case(L.MaxPool2D(2), (6, 5, 2), lambda F, x, t: last(F.max_pool2d(first(x), 2))),
    "mean pool": Case(
        L.MeanPool2D(3, stride=1), (6, 5, 2), lambda F, x, t: last(F.avg_pool2d(first(x), 3, 1))
    ),
}
HEADS = {
    "softmax_cross_entropy": lambda F, z, y: F.cross_entropy(z, y.long(), reduction="none"),
    "logistic_cross_entropy": lambda F, z, y: F.binary_cross_entropy_with_logits(
        z, y, reduction="none"
    ).sum(dim=1),
    "squared_error": lambda F, z, y: 0.5 * ((z - y) ** 2).sum(dim=1),
}


def problem(case, dtype):
    """(θ as a Scope, x, the gradient of y), of numbers that are the same everywhere."""
    rng = np.random.default_rng(20261124)
    theta = case.layer.scope(case.shape, rng=0, dtype=dtype, training=case.training)
    for name, view in theta.items():
        view[...] = rng.standard_normal(view.shape)
        if name == "running_variance":
            view[...] = np.abs(view) + 0.5
    x = rng.standard_normal((ROWS, *case.shape)).astype(dtype)
    dy = rng.standard_normal((ROWS, *case.layer.output(case.shape))).astype(dtype)
    return theta, x, dy


def margins(name, dtype):
    """(z, targets, weights) for a head."""
    rng = np.random.default_rng(7)
    z, weights = 3 * rng.standard_normal((ROWS, 4)), rng.uniform(0.5, 2, ROWS)
    y = rng.random((ROWS, 4))
    y = rng.integers(0, 4, ROWS).astype(float) if name.startswith("softmax") else y
    return z.astype(dtype), y, weights


def theirs(case, dtype):
    """{what: array} of PyTorch: y, dx, and the gradient of each trainable parameter."""
    import torch

    scope, x, dy = problem(case, dtype)
    frozen = [n for n, part in case.layer.parts(case.shape).items() if not part.trainable]
    theta = {n: torch.tensor(v, requires_grad=n not in frozen) for n, v in scope.items()}
    x = torch.tensor(x, requires_grad=True)
    y = case.theirs(torch.nn.functional, x, theta)
    y.backward(torch.tensor(dy))
    found = {"y": y, "dx": x.grad} | {n: t if n in frozen else t.grad for n, t in theta.items()}
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


def ours(case, dtype):
    """The same of gdcore."""
    theta, x, dy = problem(case, dtype)
    y, backward = case.layer(theta, x)
    y, g = y.copy(), theta.gradient()
    dx = backward(dy, g)
    parts = case.layer.parts(case.shape)
    grads = {n: g[n] if part.trainable else theta[n] for n, part in parts.items()}
    return {"y": y, "dx": dx} | grads


def head_theirs(name, dtype):
    import torch

    z, y, weights = margins(name, dtype)
    z = torch.tensor(z, requires_grad=True)
    y = torch.tensor(y, dtype=z.dtype)
    loss = (HEADS[name](torch.nn.functional, z, y) * torch.tensor(weights)).sum()
    loss.backward()
    return {"loss": loss.detach().numpy().astype(np.float64), "dz": z.grad.numpy()}


def head_ours(name, dtype):
    z, y, weights = margins(name, dtype)
    dz = np.empty_like(z)
    return {"loss": np.array(getattr(gd.kernels, name)(z, y, weights, 1.0, dz)), "dz": dz}


def everything(layer=theirs, head=head_theirs):
    """{"case-precision-what": array}."""
    found = {}
    for kind, dtype in DTYPES.items():
        for name, case in CASES.items():
            found |= {f"{name}-{kind}-{what}": a for what, a in layer(case, dtype).items()}
        for name in HEADS:
            found |= {f"{name}-{kind}-{what}": a for what, a in head(name, dtype).items()}
    return found


if __name__ == "__main__":
    np.savez_compressed(PATH, **everything())
