"""What onnxruntime and PyTorch make of our networks."""

import numpy as np
import pytest

import gdcore as gd

L = gd.layers
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 16)).astype(np.float32), RNG.integers(0, 3, 50)


def run(model):
    import onnxruntime

    session = onnxruntime.InferenceSession(gd.to_onnx(model).SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": X}), strict=True))


def classifier(y=Y, **given):
    return gd.MLPClassifier(max_epochs=3, tol=0, random_state=0, **given).fit(X, y)


@pytest.mark.parametrize("activation", list(L.activations.ACTIVATIONS))
def test_every_activation(activation):
    model = classifier(hidden_layer_sizes=(9, 7), activation=activation)
    found = run(model)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), atol=2e-6)
    np.testing.assert_array_equal(found["label"], model.predict(X))


@pytest.mark.parametrize("normalization", ["layer", "batch"])
def test_norms_and_dropout(normalization):
    model = classifier(normalization=normalization, dropout=0.2)
    np.testing.assert_allclose(run(model)["probabilities"], model.predict_proba(X), atol=2e-6)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("padding", ["same", "valid", 1])
def test_images(padding, size):
    net = L.Sequential(
        L.Reshape((4, 4, 1)), L.Conv2D(5, size, padding=padding, activation="relu"),
        L.MaxPool2D(2, stride=1), L.Conv2D(2, 1, stride=1, bias=False), L.MeanPool2D(1),
        L.Flatten(), L.Dense(3),
    )  # fmt: skip
    model = classifier(layers=net)
    np.testing.assert_allclose(run(model)["probabilities"], model.predict_proba(X), atol=2e-6)


def test_text_two_classes_and_several_labels():
    text = classifier(np.array(["x", "yy", "zzz"])[Y])
    assert run(text)["label"].tolist() == text.predict(X).tolist()
    two = classifier(Y > 0)
    np.testing.assert_allclose(run(two)["probabilities"], two.predict_proba(X), atol=2e-6)
    several = classifier(np.stack([Y == 0, Y > 0, Y == 2], 1) * 1)
    np.testing.assert_array_equal(run(several)["label"], several.predict(X))


def test_regressors():
    model = gd.MLPRegressor(max_epochs=3, tol=0).fit(X, 100 + 10 * X[:, 0])
    np.testing.assert_allclose(run(model)["prediction"], model.predict(X), rtol=1e-5)
    model = gd.MLPRegressor(max_epochs=3, tol=0).fit(X, X[:, :2])
    np.testing.assert_allclose(run(model)["prediction"], model.predict(X), atol=1e-5)


def test_a_layer_of_ones_own_is_named():
    def mine(theta, x):
        return x, lambda dy, g: dy

    with pytest.raises(TypeError, match="mine is a layer that ONNX has no words for"):
        gd.to_onnx(classifier(layers=[mine, L.Dense(3)]))


def test_the_file_is_the_model(tmp_path):
    import onnx

    model = classifier()
    proto = gd.to_onnx(model, tmp_path / "net.onnx")
    assert onnx.load(tmp_path / "net.onnx") == proto


def test_a_model_of_pytorch():
    import torch

    net = torch.nn.Sequential(
        torch.nn.Linear(16, 8), torch.nn.GELU(), torch.nn.Linear(8, 3)
    )  # fmt: skip
    model = gd.from_torch(net.state_dict(), activation="gelu", classes=[0, 1, 2])
    with torch.no_grad():
        z = net(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(model.decision_function(X), z, atol=2e-6)
