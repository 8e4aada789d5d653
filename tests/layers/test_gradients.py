"""Each layer's backward pass against central differences of its forward pass, in double."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.layers.activations import ACTIVATIONS

L = gd.layers
IMAGE = (5, 4, 2)


@L.layer(scale=lambda p: np.linspace(0.5, 2, p))
def rescale(theta, x):
    y = theta["scale"] * x

    def backward(dy, g):
        g["scale"] += (dy * x).sum(axis=0)
        return theta["scale"] * dy

    return y, backward


CASES = {
    **{f"Dense {name}": (L.Dense(3, name), (4,)) for name in ACTIVATIONS},
    "Dense without bias": (L.Dense(3, "tanh", bias=False), (4,)),
    **{f"Activation {name}": (L.Activation(name), (4,)) for name in ACTIVATIONS},
    "Activation of images": (L.Activation("gelu"), IMAGE),
    "Reshape": (L.Reshape((2, 3)), (6,)),
    "Flatten": (L.Flatten(), IMAGE),
    "Dropout": (L.Dropout(0.4), (6,)),
    "Dropout of images": (L.Dropout(0.4), IMAGE),
    "LayerNorm": (L.LayerNorm(), (6,)),
    "LayerNorm of images": (L.LayerNorm(1e-3), IMAGE),
    "BatchNorm": (L.BatchNorm(), (4,)),
    "BatchNorm of images": (L.BatchNorm(1e-3), IMAGE),
    "Conv2D": (L.Conv2D(3, activation="tanh"), IMAGE),
    "Conv2D valid": (L.Conv2D(3, padding="valid", activation="silu"), IMAGE),
    "Conv2D strided": (L.Conv2D(2, size=3, stride=2, padding=1, bias=False), IMAGE),
    "Conv2D even": (L.Conv2D(2, size=2, stride=2), IMAGE),
    "MaxPool2D": (L.MaxPool2D(2), IMAGE),
    "MaxPool2D overlapping": (L.MaxPool2D(3, stride=1), IMAGE),
    "MeanPool2D": (L.MeanPool2D(2), IMAGE),
    "MeanPool2D overlapping": (L.MeanPool2D(2, stride=1), IMAGE),
    "Sequential": (L.Sequential(L.Dense(5, "tanh"), L.LayerNorm(), L.Dense(2)), (4,)),
    "a user's own": (rescale, (4,)),
    "a function": (L.Sequential(lambda theta, x: (2 * x, lambda dy, g: 2 * dy)), (4,)),
}


def value(layer, theta, x, weights):
    """Σ weights·y, with the running statistics put back."""
    kept = {scope.name + n: v.copy() for scope in theta.walk() for n, v in scope.items()}
    y = (layer(theta, x)[0] * weights).sum()
    for scope in theta.walk():
        for name, view in scope.items():
            view[...] = kept[scope.name + name]
    return y


def difference(function, array, step=1e-6):
    """Central differences in each element of an array, which comes back as it was."""
    slope = np.empty_like(array)
    for place in np.ndindex(array.shape):
        before = array[place]
        ends = []
        for sign in (1, -1):
            array[place] = before + sign * step
            ends.append(function())
        array[place] = before
        slope[place] = (ends[0] - ends[1]) / (2 * step)
    return slope


@pytest.mark.parametrize("training", [True, False], ids=["training", "using"])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_finite_differences(name, training):
    layer, shape = CASES[name]
    rng = np.random.default_rng(3)
    theta = layer.scope(shape, rng=1, training=training)
    for scope in theta.walk():
        for part, view in scope.items():
            if part != "running_variance":
                view += 0.3 * rng.normal(size=view.shape)
    x = rng.normal(size=(3, *shape))
    y, backward = layer(theta, x)
    assert y.shape == (3, *layer.output(shape))
    weights = rng.normal(size=y.shape)
    g = theta.gradient()
    kept = {scope.name + n: v.copy() for scope in theta.walk() for n, v in scope.items()}
    dx = backward(weights.copy(), g)

    def again():
        return value(layer, theta, x, weights)

    np.testing.assert_allclose(dx, difference(again, x), rtol=1e-6, atol=1e-7)
    for scope, gradient in zip(theta.walk(), g.walk(), strict=True):
        for part, view in scope.items():
            if not part.startswith("running"):
                slope = gradient[part]
                np.testing.assert_allclose(
                    slope, difference(again, view), rtol=1e-6, atol=1e-7, err_msg=part
                )
            assert np.array_equal(view, kept[scope.name + part])


def test_the_gradient_of_an_embedding_counts_each_use():
    layer = L.Embedding(5, 3)
    theta = layer.scope((2,), rng=0)
    x = np.array([[0, 2], [2, 2], [4, 0]])
    y, backward = layer(theta, x)
    np.testing.assert_array_equal(y, theta["weight"][x])
    dy = np.random.default_rng(0).normal(size=y.shape)
    g = theta.gradient()
    assert backward(dy.copy(), g) is None
    slope = difference(lambda: (layer(theta, x)[0] * dy).sum(), theta["weight"])
    np.testing.assert_allclose(g["weight"], slope, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_layers_compute_in_the_precision_of_theta(name):
    layer, shape = CASES[name]
    if name == "a user's own":
        shape = (4,)
    theta = layer.scope(shape, rng=0, dtype=np.float32, training=True)
    y, backward = layer(theta, np.ones((2, *shape), np.float32))
    dx = backward(np.ones_like(y), theta.gradient())
    assert y.dtype == dx.dtype == np.float32
