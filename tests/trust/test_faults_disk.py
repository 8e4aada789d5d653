"""A disk that is full, a folder that may not be written to, files that go away: nothing is lost."""

import errno
import io
import os
import subprocess
import sys
from copy import deepcopy
from importlib.util import find_spec

import numpy as np
import pytest

import gdcore as gd
from gdcore import disk
from gdcore.callbacks import Checkpoint, CSVLogger, load_checkpoint
from tests.tally import THOROUGH, count

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = X @ [1.0, -1.0, 2.0, 0.5] + RNG.normal(size=60)
X.flags.writeable = Y.flags.writeable = False
TEXT = "to be or not to be, " * 20


def line(*callbacks):
    given = {"batch_size": 10, "max_epochs": 6, "tol": 0, "random_state": 0}
    return gd.LinearRegression(callbacks=callbacks, **given).fit(X, Y)


def net(*callbacks):
    given = {"hidden_layer_sizes": (5,), "max_epochs": 4, "tol": 0, "random_state": 0}
    return gd.MLPRegressor(callbacks=callbacks, **given).fit(X, Y)


def gpt(**given):
    model = gd.GPT(n_layer=1, n_head=1, n_embd=8, block_size=8)
    return model.fit(TEXT, max_steps=8, batch_size=2, eval_every=2, **given)


LINE, NET, GPT = line(), net(), gpt()
WRITERS = {
    "save": ("model.npz", lambda path: gd.save(LINE, path), gd.load),
    "save of a network": ("net.npz", lambda path: gd.save(NET, path), gd.load),
    "save_weights": ("w.npz", lambda path: gd.save_weights(NET, path),
                     lambda path: gd.load_weights(deepcopy(NET), path)),
    "save_weights as safetensors": ("w.safetensors", lambda path: gd.save_weights(NET, path),
                                    lambda path: gd.load_weights(deepcopy(NET), path)),
    "GPT.save": ("gpt", lambda path: GPT.save(path), gd.GPT.load),
    "GPT.save_gpt2": ("model.safetensors", lambda path: GPT.save_gpt2(path), gd.GPT.from_gpt2),
    "report": ("page.html", lambda path: LINE.result_.report(path),
               lambda path: path.read_text().endswith("</html>\n") or 1 / 0),
    "to_json": ("trace.json", lambda path: LINE.trace_.to_json(path), None),
    "to_onnx": ("model.onnx", lambda path: gd.to_onnx(LINE, path), None),
}  # fmt: skip


for _name, _package in (("to_onnx", "onnx"), ("save_weights as safetensors", "safetensors")):
    if find_spec(_package) is None:
        del WRITERS[_name]


class Failing:
    """`open` of a disk that says no at some call: a write in its midst, a flush, the close."""

    def __init__(self, at, error, after=0):
        self.at, self.error, self.after = at, error, after

    def __call__(self, path, mode="r", *args, **kwargs):
        if self.at == "open" and "x" in mode:
            raise OSError(self.error, os.strerror(self.error))
        file = open(path, mode, *args, **kwargs)
        return self.Writer(self, file) if "x" in mode else file

    class Writer:
        def __init__(self, disk, file):
            self.disk, self.file, self.left = disk, file, disk.after

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()
            if self.disk.at == "close" and error[0] is None:
                raise OSError(self.disk.error, os.strerror(self.disk.error))

        def write(self, data):
            data = memoryview(data).cast("B")
            if self.disk.at == "write" and len(data) > self.left:
                self.file.write(data[: self.left])
                raise OSError(self.disk.error, os.strerror(self.disk.error))
            self.left -= len(data)
            return self.file.write(data)

        def __getattr__(self, name):
            return getattr(self.file, name)


def broken(monkeypatch, kind):
    """From now on every write of the house ends like that."""
    call, error, *after = kind
    fail = Failing(call, error, *after)
    monkeypatch.setattr(disk, "open", fail, raising=False)
    if call in ("fsync", "replace"):

        def raising(*args):
            raise OSError(error, os.strerror(error))

        monkeypatch.setattr(os, call, raising)


FAULTS = {
    "full at once": ("open", errno.ENOSPC), "full in mid-write": ("write", errno.ENOSPC, 300),
    "over quota": ("write", errno.EDQUOT, 0), "read-only": ("open", errno.EROFS),
    "an I/O error at fsync": ("fsync", errno.EIO), "one at close": ("close", errno.EIO),
    "a stale handle": ("write", errno.ESTALE, 100), "another device": ("replace", errno.EXDEV),
    "no more files": ("open", errno.EMFILE), "a file too large": ("write", errno.EFBIG, 64),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_writers_leave_the_old_file_or_none(tmp_path, monkeypatch, fault):
    for name, (file, write, read) in WRITERS.items():
        if name == "report" and not THOROUGH:
            continue  # its pictures take a second
        for old in (False, True):
            folder = tmp_path / f"{name} {old}"
            folder.mkdir()
            path = folder / file
            if old:
                write(path)
            before = {each.name: each.read_bytes() for each in folder.iterdir()}
            with monkeypatch.context() as patch:
                broken(patch, FAULTS[fault])
                with pytest.raises(OSError, match=r"Nothing was changed: make room, or pass"):
                    write(path)
            assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
            write(path)  # and afterwards
            if read is not None:
                read(path)
            count("faults survived: writes of models and pages")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fit_goes_on_without_its_checkpoint(tmp_path, monkeypatch, fault):
    whole = line()
    for since in (1, 4):  # epochs before which the disk works
        path = tmp_path / f"{since}" / "run.npz"
        path.parent.mkdir()
        with monkeypatch.context() as patch:

            def breaks(moment, since=since, patch=patch):
                if moment.epoch == since:
                    broken(patch, FAULTS[fault])

            with pytest.warns(
                RuntimeWarning, match="could not be written: .* The fit goes"
            ) as told:
                found = line(breaks, Checkpoint(path, resume=True))
        assert len(told) == 1
        assert found.coef_.tobytes() == whole.coef_.tobytes()
        assert [each.name for each in path.parent.iterdir()] == ["run.npz"] * (since > 1)
        if since > 1:
            assert load_checkpoint(path)["epoch"] == since - 1
        assert line(Checkpoint(path, resume=True)).coef_.tobytes() == whole.coef_.tobytes()
        count("faults survived: a disk that fails during a checkpoint")


def test_a_disk_that_has_room_again_is_written_to_again(tmp_path, monkeypatch):
    path, epochs = tmp_path / "run.npz", []

    def breaks(moment):
        if moment.epoch == 2:
            patch.setattr(disk, "open", Failing("write", errno.ENOSPC, 100), raising=False)
        if moment.epoch == 4:
            patch.undo()
        if path.exists():
            epochs.append(load_checkpoint(path)["epoch"])

    with monkeypatch.context() as patch, pytest.warns(RuntimeWarning, match="No space left"):
        line(breaks, Checkpoint(path))
    assert epochs == [1, 1, 1, 4, 5]
    assert load_checkpoint(path)["epoch"] == 6


@pytest.mark.parametrize("fault", ["full in mid-write", "an I/O error at fsync"])
def test_a_gpt_goes_on_without_its_checkpoint(tmp_path, monkeypatch, fault):
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        breaks = lambda moment: moment.step == 4 and broken(patch, FAULTS[fault])  # noqa: E731
        with pytest.warns(RuntimeWarning, match="could not be written"):
            found = gpt(checkpoint=path, callbacks=breaks)
    assert found.theta_.vector.tobytes() == GPT.theta_.vector.tobytes()
    assert gd.GPT.load(path).logits([1]).shape == (1, len(set(TEXT)))
    again = gpt(checkpoint=path, resume=True)
    assert again.theta_.vector.tobytes() == GPT.theta_.vector.tobytes()
    count("faults survived: a disk that fails during a checkpoint")


def test_a_log_on_a_full_disk_ends_with_a_whole_line(tmp_path, monkeypatch):
    path, whole = tmp_path / "log.csv", line()

    class Full(io.FileIO):
        room = 400

        def write(self, data):
            some = super().write(data[: Full.room])
            Full.room -= some
            if not some:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return some

    monkeypatch.setattr("gdcore.callbacks.logs.open", lambda path, mode, buffering: Full(path, "w"),
                        raising=False)  # fmt: skip
    with pytest.warns(RuntimeWarning, match=r"No space left on device\. The fit goes on without"):
        found = line(CSVLogger(path))
    assert found.coef_.tobytes() == whole.coef_.tobytes()
    lines = path.read_text()
    assert lines.endswith("\n")
    assert {row.count(",") for row in lines.splitlines()} == {9}
    assert 1 < len(lines.splitlines()) < 8
    count("faults survived: a disk that fails during a log")


def test_places_where_nothing_can_be_written_are_told_before_the_first_step(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    places = {
        tmp_path / "none" / "run": "is no folder", tmp_path / "file" / "run": "is no folder",
        tmp_path / ("n" * 250): "name too long", tmp_path / ("n" * 300): "name too long",
        tmp_path: "is a folder", "/proc/run.npz": "Nothing was changed: make room, or pass",
        "/dev/full": "no plain file|is no checkpoint",
    }  # fmt: skip
    for path, message in places.items():
        for fit in (lambda seen, p=path: line(seen, Checkpoint(p)),
                    lambda seen, p=path: line(seen, Checkpoint(p, resume=True)),
                    lambda seen, p=path: gpt(checkpoint=p, callbacks=seen)):  # fmt: skip
            steps = []
            with pytest.raises((ValueError, OSError), match=message):
                fit(lambda moment, steps=steps: steps.append(1))
            assert not steps
            count("faults survived: places that cannot be written to")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_goes_away_and_a_file_that_becomes_a_folder(tmp_path):
    whole = line()
    for number, spoil in enumerate((
        lambda path: (path.unlink(), path.parent.rmdir()),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to(path.parent / "none" / "at all")),
        lambda path: path.write_bytes(b"spoilt"),
    )):  # fmt: skip
        path = tmp_path / f"{number}" / "run.npz"
        path.parent.mkdir()
        done = []

        def spoils(moment, path=path, spoil=spoil, done=done):
            if moment.epoch == 3:
                spoil(path)
                done.append(1)

        if number < 3:
            with pytest.warns(RuntimeWarning, match="could not be written"):
                found = line(spoils, Checkpoint(path, resume=True))
        else:  # which is written over
            found = line(spoils, Checkpoint(path, resume=True))
            assert load_checkpoint(path)["epoch"] == 6
        assert done
        assert found.coef_.tobytes() == whole.coef_.tobytes()
        count("faults survived: a disk that fails during a checkpoint")


def test_leftovers_of_writers_that_were_killed_are_taken_away(tmp_path):
    for name in (".run.npz.0123abcd", ".run.npz.89efabcd"):
        (tmp_path / name).write_bytes(b"half")
    for other in (".run.npz.0123abcg", ".other.npz.0123abcd", "run.npz.0123abcd"):
        (tmp_path / other).write_bytes(b"mine")
    line(Checkpoint(tmp_path / "run.npz", resume=True))
    found = sorted(each.name for each in tmp_path.iterdir())
    assert found == [".other.npz.0123abcd", ".run.npz.0123abcg", "run.npz", "run.npz.0123abcd"]


def test_a_call_that_a_signal_interrupts_is_taken_up_again(tmp_path):
    """As Python does itself (PEP 475): the timer rings in the midst of writes and syncs."""
    signal = pytest.importorskip("signal")
    rings = []
    before = signal.signal(signal.SIGALRM, lambda *_: rings.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        found = line(Checkpoint(tmp_path / "run.npz"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rings
    assert found.coef_.tobytes() == LINE.coef_.tobytes()
    assert load_checkpoint(tmp_path / "run.npz")["epoch"] == 6


SMALL = """if True:
    import sys, warnings, os
    from pathlib import Path
    import numpy as np
    from tests.trust.test_faults_disk import LINE, NET, line
    import gdcore as gd
    from gdcore.callbacks import Checkpoint, CSVLogger, load_checkpoint
    folder = Path(sys.argv[1])

    def fill(moment):
        if moment.epoch == 3:
            with open(folder / "ballast", "wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError:
                    pass

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = line(fill, Checkpoint(folder / "run.npz", resume=True), CSVLogger(folder / "log"))
    assert "No space left" in str(told[0].message), [str(t.message) for t in told]
    assert found.coef_.tobytes() == LINE.coef_.tobytes()
    assert load_checkpoint(folder / "run.npz")["epoch"] == 2
    try:
        gd.save(NET, folder / "net.npz")
    except OSError as error:
        assert error.errno == 28, error
    else:
        raise SystemExit("a full disk was written to")
    assert sorted(os.listdir(folder)) == ["ballast", "log", "run.npz"], os.listdir(folder)
    assert (folder / "log").read_bytes().endswith(b"\\n") or not (folder / "log").stat().st_size
    os.unlink(folder / "ballast")
    again = line(Checkpoint(folder / "run.npz", resume=True))
    assert again.coef_.tobytes() == LINE.coef_.tobytes()
    os.system(f"mount -o remount,ro {folder}")
    for path in ("run.npz", "new.npz"):
        try:
            line(Checkpoint(folder / path))
        except OSError as error:
            assert "Read-only" in str(error) and "pass another path" in str(error), error
        else:
            raise SystemExit("a read-only disk was written to")
    assert load_checkpoint(folder / "run.npz")["epoch"] == 6
    print("ok")
"""


def test_a_small_disk_that_is_really_full_and_then_read_only(tmp_path):
    """A tmpfs in a mount namespace of its own, where this system lets us; without it the faults
    above stand in for the disk."""
    inner = f"mount -t tmpfs -o size=96k tmpfs {tmp_path} && exec {sys.executable} -c '{SMALL}' "
    command = ["unshare", "--mount", "sh", "-c", inner + f"{tmp_path}"]
    try:
        able = subprocess.run(
            ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs -o size=64k tmpfs {tmp_path}"],
            capture_output=True,
        )  # fmt: skip
    except FileNotFoundError:
        able = None
    if able is None or able.returncode:
        pytest.skip("no mounts for us here: the faults of test_a_fit_goes_on_… stand in for it")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "ok\n", done.stderr
    count("faults survived: a disk that is really full, then read-only", 2)
