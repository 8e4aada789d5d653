"""Model files: the same bits back, nothing executed, nothing half written."""

import contextlib
import json
import pickle

import numpy as np
import pytest

import gdcore as gd

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
LABELS = {
    "whole numbers": RNG.integers(0, 3, 40),
    "text": np.array(["a", "b", "ccc"])[RNG.integers(0, 3, 40)],
    "truth": RNG.integers(0, 2, 40).astype(bool),
    "objects": np.array(["x", "y"], dtype=object)[RNG.integers(0, 2, 40)],
}


@pytest.mark.parametrize("kind", LABELS)
def test_classifiers_come_back_to_the_bit(tmp_path, kind):
    model = gd.LogisticRegression(alpha=0.1, tol=1e-3).fit(X, LABELS[kind])
    gd.save(model, tmp_path / "model.npz")
    again = gd.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.get_params() == model.get_params()


def test_regressors_and_names_come_back(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["one", "two", "drei"])
    model = gd.LinearRegression(tol=1e-3).fit(frame.astype(np.float32), X[:, 0])
    gd.save(model, tmp_path / "model.npz")
    again = gd.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict(frame), model.predict(frame))
    assert list(again.feature_names_in_) == ["one", "two", "drei"]
    assert again.coef_.dtype == np.float32
    with pytest.raises(ValueError, match="feature names"):
        again.predict(frame[["two", "one", "drei"]])


def test_only_fitted_models_are_saved(tmp_path):
    with pytest.raises(gd.NotFittedError):
        gd.save(gd.LinearRegression(), tmp_path / "model.npz")
    with pytest.raises(TypeError, match="not a model of gdcore"):
        gd.save(object(), tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    model = gd.LinearRegression().fit(X, X[:, 0])
    path = tmp_path / "model.npz"
    gd.save(model, path)
    before = path.read_bytes()
    monkeypatch.setattr(np, "savez_compressed", _fail)
    with pytest.raises(OSError, match="disk full"):
        gd.save(model, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["model.npz"]


def _fail(*_, **__):
    raise OSError("disk full")


def damaged(path):
    """The same file, broken in many ways."""
    whole = path.read_bytes()
    yield b""
    yield b"not a zip file"
    for part in (0.1, 0.5, 0.9, 0.99):
        yield whole[: int(len(whole) * part)]
    rng = np.random.default_rng(0)
    for _ in range(40):
        broken = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            broken[at] ^= 1 << int(rng.integers(8))
        yield bytes(broken)


def test_damaged_files_are_refused_or_still_the_same_model(tmp_path):
    model = gd.LogisticRegression(tol=1e-2).fit(X, LABELS["text"])
    path, broken = tmp_path / "model.npz", tmp_path / "broken.npz"
    gd.save(model, path)
    refused = 0
    for content in damaged(path):
        broken.write_bytes(content)
        with contextlib.suppress(_Refused):
            again = load(broken)  # where it loads, the bits that changed were not read
            np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
            refused -= 1
        refused += 1
    assert refused > 30


class _Refused(Exception):
    """The one sentence that a damaged file may meet."""


def load(path):
    try:
        return gd.load(path)
    except ValueError as error:
        message = str(error)
    if "broken.npz is not a whole model file of gdcore" in message:
        raise _Refused
    raise AssertionError(message)


def rewritten(tmp_path, **changes):
    """A model file with other header entries."""
    gd.save(gd.LinearRegression().fit(X, X[:, 0]), tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as file:
        arrays = dict(file)
    header = json.loads(arrays["header"].tobytes()) | changes
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez(tmp_path / "model.npz", **arrays)
    return tmp_path / "model.npz"


@pytest.mark.parametrize(
    "changes",
    [{"format": 99}, {"model": "os"}, {"n_features": 7}, {"parameters": {"evil": 1}},
     {"feature_names": 3}],
)  # fmt: skip
def test_headers_that_make_no_sense(tmp_path, changes):
    path = rewritten(tmp_path, **changes)
    with pytest.raises(ValueError, match="not a whole model file"):
        gd.load(path)


class Bomb:
    """Pickled, it would write a file on loading."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_in_disguise_is_not_executed(tmp_path):
    trap = tmp_path / "executed"
    (tmp_path / "bomb.npz").write_bytes(pickle.dumps(Bomb(trap)))
    with pytest.raises(ValueError, match="not a whole model file"):
        gd.load(tmp_path / "bomb.npz")
    objects = np.array([Bomb(trap)], dtype=object)
    np.savez(tmp_path / "bomb2.npz", header=objects, coef=objects)
    with pytest.raises(ValueError, match="not a whole model file"):
        gd.load(tmp_path / "bomb2.npz")
    assert not trap.exists()
