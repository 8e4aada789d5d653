"""Files cut off anywhere, and bits that flip: what loads is what was written, or a sentence says
which file is damaged; never another model."""

from importlib.util import find_spec

import numpy as np
import pytest

import gdcore as gd
from gdcore import tensors
from gdcore.callbacks import Checkpoint, load_checkpoint
from tests.tally import THOROUGH, count, times

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3))
Y = X @ [1.0, -1.0, 2.0] + RNG.normal(size=50)
WORDS = np.array(["low", "mid", "top"])[np.digitize(Y, [-1.0, 1.0])]
TEXT = "to be or not to be, " * 10


def line(*callbacks):
    return gd.LinearRegression(
        callbacks=callbacks, batch_size=10, max_epochs=3, tol=0, random_state=0
    ).fit(X, Y)


def net(y=WORDS, kind=gd.MLPClassifier):
    return kind(hidden_layer_sizes=(4,), max_epochs=2, tol=0, random_state=0).fit(X, y)


def gpt(**given):
    return gd.GPT(n_layer=1, n_head=1, n_embd=4, block_size=4).fit(
        TEXT, max_steps=4, batch_size=2, eval_every=2, **given
    )


def estimator(path):
    """All that a loaded estimator is."""
    found = gd.load(path)
    theta = [found.theta_.vector] if hasattr(found, "theta_") else [found.coef_, found.intercept_]
    parts = [*theta, getattr(found, "classes_", np.zeros(0))]
    told = {name: value for name, value in found.get_params().items() if name != "callbacks"}
    return repr(told), found.predict(X).tobytes(), [np.asarray(part).tobytes() for part in parts]


def weights(path):
    model = net()
    gd.load_weights(model, path)
    return model.theta_.vector.tobytes()


def language(path):
    found = gd.GPT.load(path)
    return repr(found), found.theta_.vector.tobytes(), found.tokenizer_.state()


def checkpoint(path):
    """θ of a checkpoint, and the end of the fit that goes on from it."""
    found = load_checkpoint(path)
    content = path.read_bytes()
    rest = line(Checkpoint(path, resume=True))
    path.write_bytes(content)
    return repr({n: v for n, v in found.items()}), found["theta"].tobytes(), rest.coef_.tobytes()


def resumed(path):
    content = path.read_bytes()
    found = gpt(checkpoint=path, resume=True)
    path.write_bytes(content)
    return found.theta_.vector.tobytes()


def halfway(path):
    def stop(moment):
        return moment.epoch == 2

    line(stop, Checkpoint(path))


FORMATS = {
    "line.npz": (lambda path: gd.save(line(), path), estimator),
    "classes.npz": (lambda path: gd.save(
        gd.LogisticRegression(random_state=0).fit(X, WORDS), path), estimator),
    "net.npz": (lambda path: gd.save(net(), path), estimator),
    "weights.npz": (lambda path: gd.save_weights(net(), path), weights),
    "weights.safetensors": (lambda path: gd.save_weights(net(), path), weights),
    "gpt": (lambda path: gpt().save(path), language),
    "gpt-checkpoint": (lambda path: gpt(checkpoint=path), resumed),
    "checkpoint.npz": (halfway, checkpoint),
}  # fmt: skip
if find_spec("safetensors") is None:
    del FORMATS["weights.safetensors"]
SLOW = ("gpt-checkpoint", "checkpoint.npz", "weights.npz", "weights.safetensors")  # each a fit


def refused_or_equal(path, content, read, good):
    """Whether it was refused: by a sentence that names the file, or what of it is missing."""
    path.write_bytes(content)
    try:
        found = read(path)
    except (ValueError, OSError) as error:
        said = str(error)
        assert path.name in said or "ensor" in said, said
        assert ". " in said, said
        return True
    assert found == good
    return False


@pytest.fixture(scope="module", params=FORMATS)
def written(request, tmp_path_factory):
    write, read = FORMATS[request.param]
    path = tmp_path_factory.mktemp("files") / request.param
    write(path)
    return request.param, path, path.read_bytes(), read, read(path)


def test_files_cut_off_anywhere_are_refused(written):
    name, path, content, read, good = written
    step = 1 if THOROUGH else len(content) // (8 if name in SLOW else 30)
    for length in range(0, len(content), step):
        assert refused_or_equal(path, content[:length], read, good), length
        count("files cut off refused")


def test_flipped_bits_are_refused_or_change_nothing(written):
    name, path, content, read, good = written
    size, refused = len(content), 0
    places = np.arange(8 * size)
    if size * 8 > times(10 if name in SLOW else 40, 4000):
        places = np.random.default_rng(size).choice(places, times(10 if name in SLOW else 40, 4000))
    for place in places.tolist():
        broken = bytearray(content)
        broken[place // 8] ^= 1 << place % 8
        refused += refused_or_equal(path, bytes(broken), read, good)
        count("files with a flipped bit refused, or loaded as they were")
    assert refused > len(places) // 3


def test_a_flipped_bit_in_large_compressed_numbers_is_refused(tmp_path):
    """Whose end is far from where their last byte is unpacked."""
    rows = np.random.default_rng(0).normal(size=(3, 40_000))
    model = gd.LogisticRegression(max_epochs=2, tol=0, optimizer="sgd").fit(rows, [0, 1, 1])
    path = tmp_path / "large.npz"
    gd.save(model, path)
    content = path.read_bytes()
    for place in np.random.default_rng(1).integers(1000, len(content) - 1000, times(6, 100)):
        broken = bytearray(content)
        broken[place] ^= 16
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"large\.npz is not a whole model file"):
            gd.load(path)
        count("files with a flipped bit refused, or loaded as they were")


def test_weights_of_others_have_no_sum_and_are_read(tmp_path):
    pytest.importorskip("safetensors")
    model, path = net(), tmp_path / "theirs.safetensors"
    theta = model.theta_.vector.copy()
    tensors.write(path, {name: model.theta_[name] for name in model.theta_})
    model.theta_.vector[:] = 0
    gd.load_weights(model, path)
    np.testing.assert_array_equal(model.theta_.vector, theta)


def test_foreign_files_cut_off_or_broken_are_sentences(tmp_path):
    """GPT-2's weights and data files carry no sums: what is cut off is told, numbers are theirs."""
    gpt().save_gpt2(tmp_path)
    path = tmp_path / "model.safetensors"
    content = path.read_bytes()
    for length in range(0, len(content), times(len(content) // 30, 7)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"model\.safetensors"):
            gd.GPT.from_gpt2(tmp_path)
        count("files cut off refused")
    path.write_bytes(content)
    config = (tmp_path / "config.json").read_bytes()
    for length in range(1, len(config) - 2, times(40, 1)):
        (tmp_path / "config.json").write_bytes(config[:length])
        with pytest.raises(ValueError, match=r"config\.json"):
            gd.GPT.from_gpt2(tmp_path)
        count("files cut off refused")
    np.save(tmp_path / "X.npy", X)
    content = (tmp_path / "X.npy").read_bytes()
    for length in range(0, len(content), times(len(content) // 20, 1)):
        (tmp_path / "X.npy").write_bytes(content[:length])
        with pytest.raises((ValueError, OSError), match=r"X\.npy"):
            gd.LinearRegression().fit(tmp_path / "X.npy", Y)
        count("files cut off refused")
