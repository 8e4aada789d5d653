"""Checkpoints whose sums are right and whose contents are not: refused by name, before anything."""

import json
import os
import zipfile

import numpy as np
import pytest

import gdcore as gd
from gdcore.callbacks import Checkpoint, EarlyStopping, load_checkpoint
from gdcore.claims import plain, rewind
from gdcore.snapshot import Snapshot
from gdcore.trace import LayerTrace, Trace
from tests.tally import count, times

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 2))
Y = X @ [1.0, -1.0] + RNG.normal(size=30)


pytestmark = pytest.mark.filterwarnings("ignore::gdcore.errors.ConvergenceWarning")


class LightsOut(Exception):
    pass


@pytest.fixture(autouse=True)
def _without_a_disk(monkeypatch):
    """What is asked here is what a file holds, not whether it is on the disk."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def fail(moment):
    if moment.epoch == 3:
        raise LightsOut


def fit(*callbacks, **given):
    given = {"batch_size": 10, "max_epochs": 5, "random_state": 0} | given
    return gd.LinearRegression(callbacks=callbacks, **given).fit(X, Y)


def patient(*callbacks):
    given = {"hidden_layer_sizes": (2,), "max_epochs": 5, "tol": 0.1, "random_state": 0}
    given |= {"optimizer": "sgd", "learning_rate": gd.schedules.Plateau(0.5)}
    stop = EarlyStopping("cost", patience=9)
    return gd.MLPRegressor(callbacks=[stop, *callbacks], **given).fit(X, Y)


def batches(*callbacks):
    def fun(x, draw):
        return float(((x - draw.mean()) ** 2).sum()), 2 * (x - draw.mean())

    parts = np.split(np.arange(12.0), 4)
    return gd.minimize(fun, np.zeros(2), batches=parts, max_iter=6, callbacks=callbacks)


@pytest.fixture(scope="module", params=[fit, patient, batches], ids=lambda each: each.__name__)
def stopped(request, tmp_path_factory):
    """(the fit, its file, {name: array} of that, what its header says)."""
    path = tmp_path_factory.mktemp("run") / "run.npz"
    with pytest.raises(LightsOut):
        request.param(Checkpoint(path, resume=True), fail)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    return request.param, path, arrays, json.loads(arrays.pop("header").tobytes())


def forge(path, arrays, header):
    content = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
    np.savez(path, **arrays, **content)
    return path.read_bytes()


def refuse(run, path, content):
    with pytest.raises(ValueError, match=r"run\.npz.*\. \w+ .*\.$") as caught:
        run(Checkpoint(path, resume=True))
    assert str(caught.value).isprintable()
    assert path.read_bytes() == content
    count("checkpoints with a forged part refused")


def places(value, at=()):
    """Where a header has a number, a text or nothing that a run would take."""
    for name, part in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(part, (dict, list)):
            yield from places(part, (*at, name))
        yield *at, name


def test_a_part_of_another_kind_is_refused(stopped):
    run, path, arrays, header = stopped
    told = header["descents"][0]
    free = [("numbers", "rng")] * (told["numbers"]["rng"] is None)  # a run without luck asks none
    found = [at for at in places(told) if at[0] != "facts" and at not in free]
    random = np.random.default_rng(1)
    for place in random.permutation(len(found))[: times(16, None)].tolist():
        spoilt = json.loads(json.dumps(header))
        inner, at = spoilt["descents"][0], found[place]
        for name in at[:-1]:
            inner = inner[name]
        others = [[[1]], 10**400, *([{"a": "b"}] * (at[-1] != "cost"))] + ["x"] * (
            type(inner[at[-1]]) is not str
        )
        inner[at[-1]] = others[random.integers(len(others))]
        refuse(run, path, forge(path, arrays, spoilt))


COUNTS = {"step": -1, "epoch": True, "seen": 0.5, "waited": 1 << 60, "seconds": float("inf"),
          "clock": -1.0, "best_cost": float("nan"), "watched": "x"}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_numbers_that_none_can_be_are_refused(stopped, name):
    run, path, arrays, header = stopped
    spoilt = json.loads(json.dumps(header))
    spoilt["descents"][0]["numbers"][name] = COUNTS[name]
    refuse(run, path, forge(path, arrays, spoilt))


def test_arrays_that_do_not_fit_are_refused(stopped):
    run, path, arrays, header = stopped
    names = [each for each in arrays if each.startswith("0.")]
    for name in np.random.default_rng(2).permutation(names)[: times(5, None)].tolist():
        for spoilt in (arrays[name].astype("c16"), arrays[name][None, None], None):
            others = {n: a for n, a in (arrays | {name: spoilt}).items() if a is not None}
            refuse(run, path, forge(path, others, header))
    for name in ("0.theta", "0.best"):
        refuse(run, path, forge(path, arrays | {name: arrays[name] * np.nan}, header))
    other = np.array(arrays["0.trace"])
    other[-1, 0] += 1  # its latest row is of another step than the numbers
    refuse(run, path, forge(path, arrays | {"0.trace": other}, header))


def test_headers_that_are_none_are_refused(stopped):
    run, path, arrays, _ = stopped
    for header in ([], None, {}, {"began": None, "lowest": 1, "descents": [[]]},
                   {"began": None, "lowest": True, "descents": []},
                   {"began": None, "lowest": 1, "descents": [{"facts": {"a": 1}}]}):  # fmt: skip
        refuse(run, path, forge(path, arrays, header))


def test_more_batches_than_calls_are_not_walked(tmp_path):
    """It went through 10¹⁸ of them."""
    path = tmp_path / "run.npz"
    with pytest.raises(LightsOut):
        batches(Checkpoint(path, resume=True), fail)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays.pop("header").tobytes())
    header["descents"][0]["numbers"]["cost"]["drawn"] = 1 << 50
    refuse(batches, path, forge(path, arrays, header))


def test_a_step_before_the_first_is_refused(tmp_path):
    fit(Checkpoint(tmp_path / "run.npz"))
    with np.load(tmp_path / "run.npz") as file:
        np.savez(tmp_path / "run.npz", **dict(file) | {"step": np.array(-1)})
    with pytest.raises(ValueError, match="its 'step' is -1"):
        load_checkpoint(tmp_path / "run.npz")


def test_what_differs_does_not_steer_a_terminal(tmp_path):
    path = tmp_path / "run.npz"
    fit(Checkpoint(path))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays.pop("header").tobytes())
    header["descents"][0]["facts"]["\x1b]0;owned\x07"] = "\x1b[31m"
    refuse(fit, path, forge(path, arrays, header))


GENERATORS = {
    "MT19937": ("state", "pos", [10**9, -1, 625]), "Philox": (None, "buffer_pos", [-(10**9), 5]),
    "PCG64": ("state", "inc", [0.5, "x", None, -1, 1 << 200]),
}  # fmt: skip


@pytest.mark.parametrize("kind", GENERATORS)
def test_a_state_that_is_none_leaves_the_generator_as_it_was(kind):
    """NumPy itself reads from any place of its memory that such a state names, and may crash."""
    part, name, values = GENERATORS[kind]
    rng = np.random.Generator(getattr(np.random, kind)(3))
    before = plain(rng.bit_generator.state)
    for value in values:
        state = plain(rng.bit_generator.state)
        (state if part is None else state[part])[name] = value
        with pytest.raises(ValueError, match=r"of another generator \(.*\)\. Start anew\."):
            rewind(rng, state)
        assert plain(rng.bit_generator.state) == before
    rng.random(7)
    rewind(rng, before)
    assert plain(rng.bit_generator.state) == before


def test_a_state_of_luck_that_is_none_is_refused_with_its_file(tmp_path):
    def lucky(*callbacks):
        return fit(*callbacks, random_state=None)

    path = tmp_path / "run.npz"
    lucky(Checkpoint(path, resume=True))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(arrays.pop("header").tobytes())
    header["began"]["state"] = []
    refuse(lucky, path, forge(path, arrays, header))


def test_two_checkpoints_of_one_fit(tmp_path):
    """Of which the second was a KeyError."""
    whole = fit()
    keep = [Checkpoint(tmp_path / "a", resume=True), Checkpoint(tmp_path / "b", best=True)]
    with pytest.raises(LightsOut):
        fit(*keep, fail)
    again = fit(keep[0], Checkpoint(tmp_path / "b", best=True, resume=True))
    assert again.coef_.tobytes() == whole.coef_.tobytes()
    assert load_checkpoint(tmp_path / "b")["epoch"] <= load_checkpoint(tmp_path / "a")["epoch"]


def test_a_refused_fit_is_not_taken_for_the_next_one(tmp_path):
    """A solver that is none of the loop's asks for nothing to go on from, and wrote nothing."""
    fit(Checkpoint(tmp_path / "run.npz", resume=True))
    keep = Checkpoint(tmp_path / "run.npz", resume=True)
    with pytest.raises(ValueError, match="of a run with another"):
        fit(keep, alpha=2.0)
    assert (keep._told, keep._file, keep._kept) == (False, None, None)


class Counting:
    """A callback that remembers what a test tells it to."""

    def __init__(self, kept):
        self.kept = self.given = kept

    def on_epoch(self, moment):
        pass

    def state_dict(self):
        return {"kept": self.kept}

    def load_state_dict(self, state):
        self.given = state["kept"]


class Other(Counting):
    pass


def test_arrays_of_a_callback_are_kept_as_lists(tmp_path):
    with pytest.raises(LightsOut):
        fit(Counting(np.arange(3)), Checkpoint(tmp_path / "run", resume=True), fail)
    mine = Counting(None)
    fit(mine, Checkpoint(tmp_path / "run", resume=True))
    assert mine.given == [0, 1, 2]


@pytest.mark.parametrize("kept", [object(), {1j: 1}, {(1, 2): 3}])
def test_a_callback_that_remembers_what_no_file_holds_is_told_so(tmp_path, kept):
    with pytest.raises(TypeError, match=r"A checkpoint keeps numbers, texts.*\. Let state_dict"):
        fit(Counting(kept), Checkpoint(tmp_path / "run", resume=True))
    assert not list(tmp_path.iterdir())


def test_callbacks_get_back_what_is_theirs(tmp_path):
    with pytest.raises(LightsOut):
        fit(Counting(1), Other(2), Counting(3), Checkpoint(tmp_path / "run", resume=True), fail)
    mine = [Other(0), Counting(0), EarlyStopping("cost", patience=9), Counting(0), Counting(0)]
    fit(*mine, Checkpoint(tmp_path / "run", resume=True))
    assert [each.given for each in mine if isinstance(each, Counting)] == [2, 1, 3, 0]


def test_a_callback_that_cannot_take_its_state_is_named(tmp_path):
    class Failing(Counting):
        def load_state_dict(self, state):
            raise KeyError("best")

    with pytest.raises(LightsOut):
        fit(Failing(1), Checkpoint(tmp_path / "run", resume=True), fail)
    with pytest.raises(ValueError, match=r"run: What the checkpoint has of the callback Failing d"):
        fit(Failing(1), Checkpoint(tmp_path / "run", resume=True))


def test_states_that_are_none_change_no_rule():
    stop, plateau = EarlyStopping("cost"), gd.schedules.Plateau()
    for state in ({"best": "x", "waited": 1}, {"best": 1.0, "waited": -1}, {"best": True}):
        with pytest.raises(ValueError, match=r"EarlyStopping needs state .*\. Pass what"):
            stop.load_state_dict(state)
        assert (stop._best, stop._waited) == (np.inf, 0)
    for change in ({"value": "x"}, {"resting": -(1 << 63)}, {"value": [1.0, 2.0]}):
        with pytest.raises(ValueError, match=r"Plateau needs state .*\. Pass what"):
            plateau.load_state_dict({"best": 3.0, **plateau.state_dict(), **change})
        assert plateau.state_dict() == gd.schedules.Plateau().state_dict()


def test_a_copy_of_a_snapshot_has_all_of_it():
    shot = Snapshot({"theta": np.ones(2)}, {"step": 1}, (("Counting", {}),), "run.npz")
    copied = shot.copy()
    assert copied.arrays["theta"] is not shot.arrays["theta"]
    assert (copied.callbacks, copied.path) == (shot.callbacks, shot.path)


def test_a_trace_with_more_rows_than_it_keeps_gets_no_longer():
    trace, layers = Trace(limit=8), LayerTrace(["w"], limit=4)
    trace.restore(np.zeros((20, 14)))
    layers.restore(np.zeros((9, 4)))
    for step in range(40):
        trace.add(step=step)
        layers.append(step, [[0.0]] * 3)
    assert (len(trace) <= 8, len(layers) <= 4) == (True, True)


def test_members_are_stored_by_their_names(tmp_path):
    fit(Checkpoint(tmp_path / "run.npz"))
    with zipfile.ZipFile(tmp_path / "run.npz") as archive:
        assert {"theta.npy", "header.npy", "0.trace.npy"} <= set(archive.namelist())
