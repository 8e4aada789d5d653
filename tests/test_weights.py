"""Weights in files and from others' mappings: whole, named, or refused with nothing lost."""

import errno
import sys

import numpy as np
import pytest

import gdcore as gd
from gdcore import tensors

L = gd.layers
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 4)), RNG.integers(0, 3, 60)
SUFFIX = pytest.mark.parametrize("suffix", ["npz", "safetensors"])


def fitted(seed=0, **given):
    given = {"hidden_layer_sizes": (6, 5), "max_epochs": 2, "tol": 0} | given
    return gd.MLPClassifier(random_state=seed, **given).fit(X, Y)


@SUFFIX
def test_weights_come_back_to_the_bit(tmp_path, suffix):
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    one, other = fitted(0), fitted(1)
    assert one.theta_.vector.tobytes() != other.theta_.vector.tobytes()
    gd.save_weights(one, tmp_path / f"w.{suffix}")
    gd.load_weights(other, tmp_path / f"w.{suffix}")
    assert one.theta_.vector.tobytes() == other.theta_.vector.tobytes()
    assert [path.name for path in tmp_path.iterdir()] == [f"w.{suffix}"]


def test_an_npz_holds_the_names(tmp_path):
    model = fitted()
    gd.save_weights(model.theta_, tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as file:
        assert sorted(file.files) == sorted(model.theta_)
        np.testing.assert_array_equal(file["0.weight"], model.coefs_[0])


def refused(model, source, words):
    before = model.theta_.vector.tobytes()
    with pytest.raises(ValueError, match=words):
        gd.load_weights(model, source)
    assert model.theta_.vector.tobytes() == before


def test_the_wrong_tensor_is_named_and_nothing_changes():
    model = fitted()
    arrays = {name: model.theta_[name] + 1 for name in model.theta_}
    refused(model, {k: v for k, v in arrays.items() if k != "1.bias"}, r"no tensor 1\.bias")
    wrong = arrays | {"1.weight": np.zeros((6, 7), np.float32)}
    refused(model, wrong, r"Tensor 1\.weight has shape \(6, 7\), and the model's is \(6, 5\)")
    refused(model, arrays | {"2.bias": arrays["2.bias"] * np.nan}, r"Tensor 2\.bias does not hold")
    refused(model, arrays | {"2.bias": np.array(["a"] * 3)}, r"Tensor 2\.bias does not hold")


@SUFFIX
def test_broken_files_are_refused(tmp_path, suffix):
    if suffix == "safetensors":
        pytest.importorskip("safetensors")
    model, path = fitted(), tmp_path / f"w.{suffix}"
    gd.save_weights(model, path)
    whole = path.read_bytes()
    for cut in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        refused(model, path, "is not a whole file of weights")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        gd.load_weights(model, tmp_path / f"none.{suffix}")


def test_a_pickle_is_not_opened(tmp_path):
    model, path = fitted(), tmp_path / "w.npz"
    np.savez(path, **{"0.weight": np.array([print], dtype=object)})
    refused(model, path, "is not a whole file of weights")


def test_other_suffixes_and_other_things_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ends in '\.bin'"):
        gd.save_weights(fitted(), tmp_path / "w.bin")
    with pytest.raises(TypeError, match="has no layers"):
        gd.save_weights(gd.LinearRegression(), tmp_path / "w.npz")
    with pytest.raises(ValueError, match="is not fitted yet"):
        gd.save_weights(gd.MLPRegressor(), tmp_path / "w.npz")


def test_without_safetensors_the_cure_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"Install gdcore\[safetensors\]"):
        gd.save_weights(fitted(), tmp_path / "w.safetensors")


def test_without_onnx_the_cure_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"Install gdcore\[onnx\]"):
        gd.to_onnx(fitted())


def state_dict(model):
    """As PyTorch lays it out: (outputs, inputs), names of its own."""
    state = {}
    for number, (W, b) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        state[f"net.{2 * number}.weight"] = W.T.copy()
        state[f"net.{2 * number}.bias"] = b.copy()
    return state


def test_linear_layers_of_a_state_dict():
    model = fitted(standardize=False)
    again = gd.from_torch(state_dict(model), classes=[0, 1, 2])
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    other = fitted(1, standardize=False)
    gd.load_weights(other, state_dict(model))
    assert other.theta_.vector.tobytes() == model.theta_.vector.tobytes()
    np.testing.assert_array_equal(
        gd.from_torch(state_dict(model)).predict(X), model.decision_function(X)
    )


def test_two_classes_of_one_logit():
    state = {"w.weight": np.array([[1.0, -1.0]]), "w.bias": np.array([0.5])}
    model = gd.from_torch(state, classes=["no", "yes"])
    assert model.predict([[1.0, 0.0], [0.0, 1.0]]).tolist() == ["yes", "no"]


@pytest.mark.parametrize("classes", [["yes", "no"], ["no", "yes"]])
def test_two_classes_of_two_outputs_in_their_order(tmp_path, classes):
    state = {"w.weight": np.array([[1.0, -1.0], [-1.0, 1.0]]), "w.bias": np.array([0.5, 0.0])}
    model = gd.from_torch(state, classes=classes)
    rows = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert model.predict(rows).tolist() == classes
    gd.save(model, tmp_path / "two.npz")
    again = gd.load(tmp_path / "two.npz")
    np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))
    assert again.score(rows, classes) == 1
    for _ in range(20):  # goes on from these weights, in the order of these outputs
        again.partial_fit(rows, classes)
    assert again.predict(rows).tolist() == classes
    assert again.loss_ < 0.25


def test_training_goes_on_from_weights_of_elsewhere():
    model = fitted(standardize=False)
    again = gd.from_torch(state_dict(model), classes=[0, 1, 2])
    again.set_params(learning_rate=1e-12, random_state=0)
    again.partial_fit(X, Y)
    np.testing.assert_allclose(again.theta_.vector, model.theta_.vector, atol=1e-8)
    again.partial_fit(X, Y)
    gd.load_weights(again, state_dict(other := fitted(1, standardize=False)))
    again.partial_fit(X, Y)
    np.testing.assert_allclose(again.theta_.vector, other.theta_.vector, atol=1e-8)


def test_state_dicts_that_do_not_fit_are_refused():
    state = state_dict(fitted())
    with pytest.raises(ValueError, match="classes has 2 labels, and the last layer needs 3"):
        gd.from_torch(state, classes=[0, 1])
    with pytest.raises(ValueError, match="classes has 2 labels, and the last layer needs 3"):
        gd.from_torch(state, classes=[0, 1, 1])
    with pytest.raises(ValueError, match=r"conv\.weight \(2, 3, 3, 3\) is not of a Linear layer"):
        gd.from_torch({"conv.weight": np.zeros((2, 3, 3, 3))})
    backwards = dict(reversed(state.items()))
    with pytest.raises(ValueError, match="in their order"):
        gd.from_torch(backwards)
    with pytest.raises(ValueError, match="holds no weights"):
        gd.from_torch({})


KEPT = {
    "classifier": lambda: fitted(),
    "text": lambda: gd.MLPClassifier(max_epochs=2, tol=0).fit(X, np.array(["a", "b", "c"])[Y]),
    "labels": lambda: gd.MLPClassifier(max_epochs=2, tol=0).fit(X, np.eye(3, dtype=int)[Y]),
    "norms": lambda: fitted(normalization="batch", dropout=0.1, early_stopping=True),
    "regressor": lambda: gd.MLPRegressor(max_epochs=2, tol=0).fit(X, X[:, 0]),
    "targets": lambda: gd.MLPRegressor(max_epochs=2, tol=0, standardize=False).fit(X, X[:, :2]),
    "images": lambda: gd.MLPClassifier(
        max_epochs=2, tol=0,
        layers=L.Sequential(
            L.Reshape((2, 2, 1)), L.Sequential(L.Conv2D(3, 2, activation="gelu"), L.MeanPool2D()),
            L.Flatten(), L.LayerNorm(), L.Dense(3, init="orthogonal"),
        ),
    ).fit(X, Y),
}  # fmt: skip


@pytest.mark.parametrize("kind", KEPT)
@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_fitted_networks_come_back_to_the_bit(tmp_path, kind):
    model = KEPT[kind]()
    gd.save(model, tmp_path / "model.npz")
    again = gd.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.theta_.vector.tobytes() == model.theta_.vector.tobytes()
    assert again.hidden_layer_sizes == model.hidden_layer_sizes
    assert again.network_.layers == model.network_.layers
    if kind != "regressor" and kind != "targets":
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_layers_of_ones_own_are_not_saved(tmp_path):
    net = [lambda theta, x: (x, lambda dy, g: dy), L.Dense(3)]
    model = gd.MLPClassifier(layers=net, max_epochs=1, tol=0).fit(X, Y)
    with pytest.raises(TypeError, match="Keep its numbers with"):
        gd.save(model, tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["layers", "shape", "loss"])
def test_a_changed_description_is_refused(tmp_path, key):
    import json

    gd.save(fitted(), tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as file:
        arrays = dict(file)
    header = json.loads(arrays["header"].tobytes())
    header[key] = {"layers": [["os.system", {}]], "shape": [5], "loss": "Evil"}[key]
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez(tmp_path / "model.npz", **arrays)
    with pytest.raises(ValueError, match="is not a whole model file of gdcore"):
        gd.load(tmp_path / "model.npz")


@pytest.mark.parametrize("name", ["file", "allow_pickle", "a/b", "w.npy"])
def test_a_part_may_have_any_name(tmp_path, name):
    """Those of numpy.savez's own arguments were an error, or left out in silence."""
    given, taken = gd.Parameters({name: (2,)}, np.ones(2)), gd.Parameters({name: (2,)})
    gd.save_weights(given, tmp_path / "w.npz")
    gd.load_weights(taken, tmp_path / "w.npz")
    assert taken.vector.tolist() == [1.0, 1.0]


def test_numbers_beyond_the_models_are_refused_before_anything_changes():
    theta = gd.Parameters({"v": (1,), "w": (2,)}, np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"w does not hold finite numbers of float32\. Save"):
        gd.load_weights(theta, {"v": np.ones(1), "w": np.array([1.0, 1e300])})
    assert not theta.vector.any()


def test_what_is_no_file_is_called_what_it_is(tmp_path):
    (tmp_path / "w.npz").mkdir()
    theta = gd.Parameters({"w": (2,)})
    with pytest.raises(IsADirectoryError, match=r"w\.npz is a folder\. Pass the path of saved"):
        gd.load_weights(theta, tmp_path / "w.npz")
    for call in (gd.load, gd.callbacks.load_checkpoint, tensors.read):
        with pytest.raises(IsADirectoryError, match=r"w\.npz is a folder\. Pass"):
            call(tmp_path / "w.npz")
        with pytest.raises(TypeError, match=r"path must be a text or a Path, got 3\. Pass"):
            call(3)
        with pytest.raises(ValueError, match=r"path has a zero byte: 'a\\x00b'\. Pass"):
            call("a\0b")
    for path, error in ((None, TypeError), ("a\0b.npz", ValueError)):
        with pytest.raises(error, match=r"path .*\. Pass"):
            gd.save(gd.LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), path)


@pytest.mark.parametrize("call", [gd.load, gd.callbacks.load_checkpoint, "weights"])
def test_a_disk_that_does_not_read_is_no_damaged_file(tmp_path, monkeypatch, call):
    def fail(*given):
        raise OSError(errno.EIO, "Input/output error")

    theta, path = gd.Parameters({"w": (2,)}), tmp_path / "w.npz"
    gd.save_weights(theta, path)
    monkeypatch.setattr("gdcore.disk._require_modest", fail)
    with pytest.raises(OSError, match=r"Make it readable, or pass another path: '.*w\.npz'"):
        gd.load_weights(theta, path) if call == "weights" else call(path)
