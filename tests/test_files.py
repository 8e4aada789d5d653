"""Model files: the same bits back, nothing executed, nothing half written."""

import contextlib
import json
import os
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
    "numbers in objects": np.array([3, 7], dtype=object)[RNG.integers(0, 2, 40)],
    "halves of 2": RNG.integers(0, 2, 40) * 2.0,
}


@pytest.mark.parametrize("kind", LABELS)
def test_classifiers_come_back_to_the_bit(tmp_path, kind):
    model = gd.LogisticRegression(alpha=0.1, tol=1e-3).fit(X, LABELS[kind])
    gd.save(model, tmp_path / "model.npz")
    again = gd.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.predict(X).dtype == model.predict(X).dtype
    assert again.get_params() == model.get_params()


def test_parameters_come_back_as_plain_values(tmp_path):
    given = {
        "alpha": np.float64(0.1), "batch_size": np.int64(8), "fit_intercept": np.bool_(False),
        "tol": 0.5, "optimizer": "adam", "class_weight": {"a": 2.0, "b": 1},
    }  # fmt: skip
    model = gd.LogisticRegression(random_state=3, **given).fit(X, np.where(X[:, 0] > 0, "a", "b"))
    gd.save(model, tmp_path / "model.npz")
    again = gd.load(tmp_path / "model.npz").get_params()
    assert {name: again[name] for name in given} == given
    assert type(again["batch_size"]) is int


def test_an_optimizer_instance_comes_back_as_the_default(tmp_path):
    model = gd.LinearRegression(optimizer=gd.optim.Adam(1e-2), tol=1.0).fit(X, X[:, 0])
    gd.save(model, tmp_path / "model.npz")
    assert gd.load(tmp_path / "model.npz").optimizer == "auto"


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
    dates = np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]")[LABELS["truth"].astype(int)]
    with pytest.raises(TypeError, match="cannot be saved"):
        gd.save(gd.LogisticRegression(tol=1e-1).fit(X, dates), tmp_path / "model.npz")
    mixed = np.array([1, 2.5], dtype=object)[LABELS["truth"].astype(int)]
    with pytest.raises(TypeError, match="cannot be saved"):
        gd.save(gd.LogisticRegression(tol=1e-1).fit(X, mixed), tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())


def test_the_same_name_elsewhere_is_another_class(tmp_path):
    linear_model = pytest.importorskip("sklearn.linear_model")
    theirs = linear_model.LinearRegression().fit(X, X[:, 0])
    with pytest.raises(TypeError, match=r"sklearn\.linear_model\S* is not a model of gdcore"):
        gd.save(theirs, tmp_path / "model.npz")


def test_where_no_file_can_be(tmp_path):
    model = gd.LinearRegression(tol=1.0).fit(X, X[:, 0])
    with pytest.raises(FileNotFoundError, match="is no folder"):
        gd.save(model, tmp_path / "none" / "model.npz")
    with pytest.raises(OSError, match="no plain file"):
        gd.save(model, tmp_path)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        gd.load(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
def test_a_replaced_file_keeps_its_permissions_and_a_link_its_target(tmp_path):
    model = gd.LinearRegression(tol=1.0).fit(X, X[:, 0])
    path, link = tmp_path / "model.npz", tmp_path / "link.npz"
    gd.save(model, path)
    path.chmod(0o600)
    link.symlink_to(path)
    before = path.read_bytes()
    gd.save(model.set_params(alpha=3.0), link)
    assert link.is_symlink()
    assert path.read_bytes() != before
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    model = gd.LinearRegression().fit(X, X[:, 0])
    path = tmp_path / "model.npz"
    gd.save(model, path)
    before = path.read_bytes()
    monkeypatch.setattr("gdcore.files.store", _fail)
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


def rewritten(tmp_path, header=None, without=(), **arrays):
    """A model file with other contents; None in place of an array takes it away."""
    gd.save(gd.LogisticRegression(tol=1.0).fit(X, LABELS["text"]), tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz") as file:
        held = dict(file)
    entries = json.loads(held["header"].tobytes()) | (header or {})
    for name in without:
        held.pop(name, None)
        entries.pop(name, None)
    if "header" in held:
        held["header"] = np.frombuffer(json.dumps(entries).encode(), dtype=np.uint8)
    np.savez(tmp_path / "model.npz", **held | arrays)
    return tmp_path / "model.npz"


WRONG = {
    "no header": ({"without": ["header"]}, "lacks 'header'"),
    "no coefficients": ({"without": ["coef"]}, "lacks 'coef'"),
    "no intercept": ({"without": ["intercept"]}, "lacks 'intercept'"),
    "no classes": ({"without": ["classes"]}, "lacks 'classes'"),
    "no format": ({"without": ["format"]}, "lacks 'format'"),
    "no parameters": ({"without": ["parameters"]}, "lacks 'parameters'"),
    "no count of features": ({"without": ["n_features"]}, "lacks 'n_features'"),
    "no feature names": ({"without": ["feature_names"]}, "lacks 'feature_names'"),
    "format of no version": ({"header": {"format": 0}}, "'format' is 0"),
    "format in words": ({"header": {"format": "1"}}, "'format' is '1'"),
    "a model of ours that is none": ({"header": {"model": "os"}}, "unknown model 'os'"),
    "a parameter of ours that is none": ({"header": {"parameters": {"evil": 1}}}, "'evil'"),
    "a parameter out of range": ({"header": {"parameters": {"alpha": -1}}}, "alpha must be"),
    "parameters that are no object": ({"header": {"parameters": [1]}}, "no JSON object"),
    "other features": ({"header": {"n_features": 7}}, "shape (3, 3) in place of (3, 7)"),
    "features that are no number": ({"header": {"n_features": True}}, "'n_features' is True"),
    "names that are none": ({"header": {"feature_names": 3}}, "not 3 words"),
    "names too few": ({"header": {"feature_names": ["a"]}}, "not 3 words"),
    "another model": ({"header": {"model": "LinearRegression"}}, "class_weight"),
    "coefficients of NaN": ({"coef": np.full((3, 3), np.nan)}, "'coef' holds NaN"),
    "coefficients in whole numbers": ({"coef": np.ones((3, 3), int)}, "'coef' has dtype int64"),
    "an intercept of infinity": ({"intercept": np.full(3, np.inf)}, "'intercept' holds NaN or inf"),
    "an intercept too long": ({"intercept": np.zeros(4)}, "'intercept' has shape (4,)"),
    "classes twice": ({"classes": np.array(["a", "a", "b"])}, "or more labels in order"),
    "classes out of order": ({"classes": np.array([2, 1, 3])}, "or more labels in order"),
    "classes of a number": ({"classes": np.float64(3)}, "or more labels in order"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_with_a_wrong_part_says_which(tmp_path, case):
    changes, message = WRONG[case]
    path = rewritten(tmp_path, **changes)
    with pytest.raises(ValueError, match="not a whole model file") as refused:
        gd.load(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)


def test_unchanged_parts_are_not_refused(tmp_path):
    again = gd.load(rewritten(tmp_path))
    assert list(again.classes_) == ["a", "b", "ccc"]
    swapped = again.coef_.astype(">f8")
    other = gd.load(rewritten(tmp_path, coef=swapped))  # written where bytes are the other way
    np.testing.assert_array_equal(other.predict_proba(X), again.predict_proba(X))
    assert other.coef_.dtype == again.coef_.dtype  # not the file's order of bytes


def test_a_later_format_asks_for_a_later_gdcore(tmp_path):
    path = rewritten(tmp_path, header={"format": 99, "model": "Later"})
    with pytest.raises(ValueError, match=r"format 99, .*Upgrade gdcore"):
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
