"""NaN and infinity in the midst of a stream: refused before anything changed, and it goes on."""

import pickle

import numpy as np
import pytest

import gdcore as gd
from tests.tally import count, times

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4))
Y = X @ [1.0, -1.0, 2.0, 0.5] + RNG.normal(size=120)
TWO, THREE = (Y > 0).astype(int), np.digitize(Y, [-1.0, 1.0])
for _array in (X, Y, TWO, THREE):
    _array.flags.writeable = False
BAD = (np.nan, np.inf, -np.inf)
STREAMS = {
    "linear regression": (gd.LinearRegression, Y, {}),
    "logistic regression": (gd.LogisticRegression, TWO, {"classes": [0, 1]}),
    "softmax regression": (gd.LogisticRegression, THREE, {"classes": [0, 1, 2]}),
    "a support vector machine": (gd.LinearClassifier, THREE, {"classes": [0, 1, 2]}),
    "a network of classes": (gd.MLPClassifier, THREE, {"classes": [0, 1, 2]}),
    "a network": (gd.MLPRegressor, Y, {}),
}  # fmt: skip


def made(name):
    kind = STREAMS[name][0]
    return kind(random_state=0, **({"hidden_layer_sizes": (4,)} if "MLP" in kind.__name__ else {}))


def bits(model):
    """All that a stream has come to but for its seconds."""
    state = pickle.loads(pickle.dumps(vars(model)))
    stream = state.get("_stream")
    if stream is not None and hasattr(stream, "seconds"):
        stream.seconds = 0.0
    if hasattr(stream, "y"):
        stream.y[:] = 0  # a room for the target at hand
    for trace in (state.get("trace_"), getattr(stream, "trace", None)):
        if trace is not None and len(trace):
            table = trace.table().copy()
            table[:, 5] = 0
            trace.restore(table)
    return pickle.dumps(state)


def frozen(array):
    array.flags.writeable = False
    return array


def spoilt(rows, value, place):
    rows = rows.copy()
    rows[place] = value
    return frozen(rows)


@pytest.mark.parametrize("name", STREAMS)
def test_partial_fit_refuses_them_whole_and_goes_on(name):
    _, y, more = STREAMS[name]
    clean, struck = made(name), made(name)
    rng, parts = np.random.default_rng(1), np.split(np.arange(120), 6)
    for number, part in enumerate(parts):
        clean.partial_fit(X[part], y[part], **more)
        struck.partial_fit(X[part], y[part], **more)
        before = bits(struck)
        for bad in rng.permutation(BAD)[: times(1, 3)]:
            places = [(int(rng.integers(20)), int(rng.integers(4))) for _ in range(times(1, 20))]
            tries = [(spoilt(X[part], bad, place), y[part], None) for place in places]
            weights = spoilt(np.ones(20), bad, places[0][0])
            tries += [(X[part], spoilt(y[part].astype(float), bad, places[0][0]), None)]
            tries += [(X[part], y[part], weights)]
            for rows, targets, weigh in tries:
                given = [rows.tobytes(), targets.tobytes()]
                with pytest.raises(ValueError, match=r"NaN|infinit|finite|not among the classes"):
                    struck.partial_fit(rows, targets, sample_weight=weigh, **more)
                assert bits(struck) == before
                assert given == [rows.tobytes(), targets.tobytes()]
                count("NaN and infinity in a stream refused, and nothing changed")
        assert number == 0 or before == bits(clean)
    assert bits(clean) == bits(struck)


@pytest.mark.parametrize("name", list(STREAMS)[:4])
def test_learn_one_refuses_them_and_goes_on(name):
    _, y, _ = STREAMS[name]
    clean, struck = made(name), made(name)
    rng = np.random.default_rng(2)
    for row, target in zip(X[:40], y[:40], strict=True):
        for model in (clean, struck):
            model.learn_one(row, target)
        before = bits(struck)
        bad = BAD[int(rng.integers(3))]
        tries = [(spoilt(row, bad, int(rng.integers(4))), target)]
        if y is Y:
            tries.append((row, bad))
        for example, truth in tries:
            with pytest.raises(ValueError, match=r"NaN|infinit|finite"):
                struck.learn_one(example, truth)
            assert bits(struck) == before
            count("NaN and infinity in a stream refused, and nothing changed")
    assert bits(clean) == bits(struck)


class Striking:
    """Chunks, one of which holds a NaN from some pass on."""

    def __init__(self, strikes, what):
        self.strikes, self.what, self.passes = strikes, what, 0

    def __iter__(self):
        self.passes += 1
        for number, part in enumerate(np.split(np.arange(120), 6)):
            rows, targets = X[part].copy(), TWO[part].astype(float)
            if number == 3 and self.passes >= self.strikes:
                (rows if self.what == "X" else targets)[7] = np.nan
            yield rows, targets


@pytest.mark.parametrize("what", ["X", "y"])
@pytest.mark.parametrize("strikes", [1, 2, 4])
def test_chunks_that_go_bad_in_a_pass_leave_the_model_as_it_was(what, strikes):
    given = {"batch_size": 16, "max_epochs": 6, "tol": 0, "random_state": 0}
    for model in (gd.LinearRegression(**given), gd.LogisticRegression(**given)):
        model.fit(X, TWO)
        before = pickle.dumps(vars(model))
        with pytest.raises(ValueError, match=r"of chunk 3 .*(NaN|infinit)"):
            model.fit(Striking(strikes, what))
        assert pickle.dumps(vars(model)) == before
        count("NaN and infinity in a stream refused, and nothing changed")
        found = model.fit(Striking(99, what)).coef_.tobytes()
        assert found == type(model)(**given).fit(Striking(99, what)).coef_.tobytes()


def test_a_memmap_that_holds_one_is_refused(tmp_path):
    rows = np.lib.format.open_memmap(tmp_path / "X.npy", "w+", np.float64, (120, 4))
    rows[:] = X
    rows[77, 2] = np.nan
    rows.flush()
    written = (tmp_path / "X.npy").read_bytes()
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for kind, y in ((gd.LinearRegression, Y), (gd.LogisticRegression, TWO)):
        model = kind(random_state=0).fit(X, y)
        before = pickle.dumps(vars(model))
        for given in (mapped, tmp_path / "X.npy"):
            with pytest.raises(ValueError, match="NaN"):
                model.fit(given, y)
            assert pickle.dumps(vars(model)) == before
            count("NaN and infinity in a stream refused, and nothing changed")
    assert (tmp_path / "X.npy").read_bytes() == written
