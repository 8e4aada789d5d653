"""Files are written where they belong, and over nothing that nobody gave away."""

import os
import stat
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd
from gdcore import cli, disk
from tests import tally
from tests.languages import TEXT
from tests.trust.readers import SMALL, STEPS, network

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
X, Y = np.arange(12.0).reshape(6, 2) % 5, np.arange(6.0)
POSIX = pytest.mark.skipif(os.name != "posix", reason="links, owners and modes of POSIX")


def line(**given):
    return gd.LinearRegression(tol=1e-2, **given).fit(X, Y)


def write_log(path):
    line(callbacks=gd.callbacks.CSVLogger(path, overwrite=True))


def write_checkpoint(path):
    line(callbacks=gd.callbacks.Checkpoint(path))


def write_gpt(path):
    gd.GPT(**SMALL).fit(TEXT, **STEPS).save(path)


WRITERS = {
    "save": lambda path: gd.save(line(), path),
    "save_weights": lambda path: gd.save_weights(network(), path),
    "tensors": lambda path: gd.save_weights(network(), path.with_suffix(".safetensors")),
    "report": lambda path: line().result_.report(path),
    "Checkpoint": write_checkpoint,
    "CSVLogger": write_log,
    "GPT.save": write_gpt,
    "predict": lambda path: _predicted(path),
}


def _predicted(path):
    folder = path.parent.parent / "inputs"
    folder.mkdir(exist_ok=True)
    gd.save(line(), folder / "model.npz")
    (folder / "new.csv").write_text("a,b\n1,2\n3,4\n")
    given = ["predict", str(folder / "model.npz"), str(folder / "new.csv"), "--output", str(path)]
    assert cli.main([*given, "--force"]) == 0


@POSIX
@pytest.mark.parametrize("name", WRITERS)
def test_new_files_have_the_modes_of_the_umask_and_nothing_lies_beside(tmp_path, name):
    folder = tmp_path / "outputs"
    folder.mkdir()
    before = os.umask(0o027)
    try:
        WRITERS[name](folder / "file.npz")
    finally:
        os.umask(before)
    (made,) = folder.iterdir()
    assert stat.S_IMODE(made.stat().st_mode) == 0o640
    tally.count("files written with the umask's mode, and nothing beside them")


@POSIX
def test_what_was_secret_is_so_while_it_is_replaced(tmp_path):
    path, seen = tmp_path / "secret", []
    path.write_bytes(b"old")
    path.chmod(0o600)

    def write(file):
        seen.extend((each.name, each.stat().st_mode & 0o777) for each in tmp_path.iterdir())
        file.write(b"new")

    disk.replace(path, write)
    assert len(seen) == 2
    assert {mode for _, mode in seen} == {0o600}
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600


@POSIX
@pytest.mark.parametrize("name", ["save", "save_weights", "Checkpoint", "CSVLogger"])
def test_a_link_goes_on_pointing_at_the_file(tmp_path, name):
    """Who names a link names the file behind it, as with all tools of the system."""
    folder, link = tmp_path / "outputs", tmp_path / "link.npz"
    folder.mkdir()
    WRITERS[name](folder / "file.npz")
    link.symlink_to(folder / "file.npz")
    (folder / "file.npz").chmod(0o640)
    WRITERS[name](link)
    assert link.is_symlink()
    assert [each.name for each in folder.iterdir()] == ["file.npz"]
    assert (folder / "file.npz").stat().st_mode & 0o777 == 0o640


@POSIX
def test_a_link_that_another_user_put_into_a_common_folder_is_not_followed(tmp_path, monkeypatch):
    common, mine = tmp_path / "common", tmp_path / "mine"
    common.mkdir()
    common.chmod(0o1777)
    mine.write_bytes(b"precious")
    link = common / "model.npz"
    link.symlink_to(mine)
    stranger = os.lstat(link).st_uid + 1
    real = os.lstat

    def lstat(path, **given):
        found = list(real(path, **given))
        if os.fspath(path) == os.fspath(link):
            found[4] = stranger
        return os.stat_result(found)

    monkeypatch.setattr(disk.os, "lstat", lstat)
    for name in ("save", "save_weights", "report", "CSVLogger", "Checkpoint"):
        with pytest.raises(
            (PermissionError, ValueError), match=r"another user|no report|no checkp"
        ):
            WRITERS[name](link)
        assert mine.read_bytes() == b"precious"
    monkeypatch.undo()
    gd.save(line(), link)  # of one's own it is followed
    assert mine.read_bytes() != b"precious"


@POSIX
def test_a_temporary_file_is_no_link_that_somebody_put_there(tmp_path, monkeypatch):
    monkeypatch.setattr(disk.os, "urandom", lambda n: bytes(n))
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / ".model.npz.00000000").symlink_to(target)
    with pytest.raises(FileExistsError):
        gd.save(line(), tmp_path / "model.npz")
    assert target.read_bytes() == b"precious"


def test_the_names_within_an_archive_are_no_paths(tmp_path):
    """Weights may be called anything: nothing is unpacked into files."""
    inner = tmp_path / "inner"
    inner.mkdir()
    np.savez(inner / "w.npz", **{"../../escaped": np.ones(2), "/escaped": np.ones(2)})
    with pytest.raises(ValueError, match=r"\.\./\.\./escaped"):
        gd.load_weights(network(), inner / "w.npz")
    with pytest.raises(ValueError, match="model file"):
        gd.load(inner / "w.npz")
    assert [each.name for each in tmp_path.rglob("*")] == ["inner", "w.npz"]


EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&</title></style></svg>"


class Page(HTMLParser):
    """The tags of a page, and what they carry."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = set(), [], []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text.append(data)


class Evil:
    """A schedule whose name is a script."""

    def __call__(self, step):
        return 1.0

    def __repr__(self):
        return EVIL


def reasons(moment):
    return moment.step > 1


def test_a_report_runs_nothing_whatever_names_say(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), columns=[EVIL, "b"])
    frame[EVIL] *= 1e6
    labels = np.where(np.arange(40) % 2, EVIL, "no")
    given = {"optimizer": "adam", "learning_rate": Evil(), "max_epochs": 5, "standardize": False}
    model = gd.LogisticRegression(class_weight={EVIL: 2.0}, callbacks=reasons, **given)
    model.fit(frame, labels)
    model.result_.message = EVIL
    model.result_.report(tmp_path / "page.html", title=EVIL)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert EVIL not in text
    assert not page.tags & {"script", "img", "iframe", "object", "embed", "link", "form", "base"}
    names = {name for name, _ in page.attributes}
    assert not [name for name in names if name.startswith("on")]
    outside = [value for name, value in page.attributes if name in ("src", "href", "xlink:href")]
    assert all(value.startswith("#") for value in outside)
    assert "default-src 'none'" in text
    assert "".join(page.text).count("<script>alert(1)</script>") >= 3  # as text, where it belongs
    assert "<script" not in model._repr_html_()
    assert "<script" not in gd.doctor(model)._repr_html_()


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """A folder with what the commands read, to be in."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{i},{i * i % 7},{i * 2}\n" for i in range(12))
    (tmp_path / "rows.csv").write_text("a,b,y\n" + rows)
    (tmp_path / "book.txt").write_text(TEXT)
    small = ["--max-steps", "2", "--n-embd", "4", "--n-layer", "1", "--n-head", "1"]
    small += ["--block-size", "4"]
    assert cli.main(["train", "rows.csv", "--target", "y", "--output", "model.npz"]) == 0
    assert cli.main(["gpt", "train", "book.txt", *small, "--output", "model.gpt"]) == 0
    return small


TRAIN, PREDICT = ["train", "rows.csv", "--target", "y"], ["predict", "model.npz", "rows.csv"]
OUTPUTS = {
    "train": (TRAIN, None, "rows.gdcore.npz"),
    "train --output": (TRAIN, "--output", "mine.npz"),
    "train --report": ([*TRAIN, "--output", "other.npz"], "--report", "mine.html"),
    "predict --output": (PREDICT, "--output", "mine.csv"),
    "gpt train": (["gpt", "train", "book.txt"], None, "book.gpt.safetensors"),
    "gpt train --output": (["gpt", "train", "book.txt"], "--output", "mine.gpt"),
    "gpt train --checkpoint": (["gpt", "train", "book.txt"], "--checkpoint", "mine.run"),
    "demo --report": (["demo"], "--report", "mine.html"),
}


@pytest.mark.parametrize("kind", ["a file", "a link to nothing"])
@pytest.mark.parametrize("name", OUTPUTS)
def test_no_command_writes_over_a_file_unasked(inputs, capsys, name, kind):
    command, option, path = OUTPUTS[name]
    given = [*command, *(inputs if command[0] == "gpt" else [])]
    given += [option, path] if option else []
    if kind == "a file":
        Path(path).write_bytes(b"precious")
    elif os.name == "posix":
        os.symlink("nowhere", path)
    before = sorted(os.listdir())
    assert cli.main(given) == 2
    said = capsys.readouterr().err
    assert f"{path} exists" in said
    assert "--force" in said or "--resume" in said
    assert sorted(os.listdir()) == before, "work was done before the refusal"
    if kind == "a file":
        assert Path(path).read_bytes() == b"precious"
    tally.count("outputs of the command line not written over")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([*TRAIN, "--output", "rows.csv", "--force"], "rows.csv is the file with the data"),
        ([*TRAIN, "--report", "rows.csv", "--force"], "rows.csv is the file with the data"),
        ([*TRAIN, "--report", "notes.txt", "--force"], "notes.txt exists and is no report"),
        ([*PREDICT, "--output", "rows.csv", "--force"], "rows.csv is the file with the data"),
        ([*PREDICT, "--output", "model.npz", "--force"], "model.npz is the model"),
        (["gpt", "train", "book.txt", "--output", "book.txt", "--force"], "with the data"),
        (["gpt", "train", "book.txt", "--checkpoint", "x", "--output", "x"], "is to be the model"),
        (["demo", "--report", "notes.txt", "--force"], "notes.txt exists and is no report"),
    ],
)
def test_even_with_force_nothing_is_lost_that_is_read_or_is_no_output(inputs, capsys, given, said):
    Path("notes.txt").write_text("precious")
    before = {path: path.read_bytes() for path in Path().iterdir()}
    assert cli.main(given) == 2
    assert said in capsys.readouterr().err
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


def test_force_is_what_it_takes(inputs, capsys):
    for name in ("train", "train --output", "predict --output", "gpt train"):
        command, option, path = OUTPUTS[name]
        given = [*command, *(inputs if command[0] == "gpt" else [])]
        given += [option, path] if option else []
        Path(path).write_bytes(b"old")
        assert cli.main([*given, "--force"]) == 0, capsys.readouterr().err
        assert os.path.getsize(path) > 3


def test_a_rehearsal_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    class Interrupting:
        def __init__(self, path, mode):
            Path(path).touch()

        def __enter__(self):
            raise KeyboardInterrupt

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(disk, "open", Interrupting, raising=False)
    with pytest.raises(KeyboardInterrupt):
        disk.rehearse(tmp_path / "run.npz")
    assert not list(tmp_path.iterdir())


def test_a_fit_that_begins_takes_nothing_away_from_another_process(tmp_path):
    """Which writes its first file there just now."""
    (tmp_path / ".run.0123abcd").write_bytes(b"half of theirs")
    gd.GPT(**SMALL).fit(TEXT, checkpoint=tmp_path / "run", **STEPS)
    assert (tmp_path / ".run.0123abcd").exists()
    gd.GPT(**SMALL).fit(TEXT, checkpoint=tmp_path / "run", resume=True, **STEPS)
    assert not (tmp_path / ".run.0123abcd").exists()
