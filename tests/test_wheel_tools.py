"""Who looks at a wheel refuses one that is not as it should be; an archive tells no time."""

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import gdcore

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tools"))
pytestmark = pytest.mark.tree
INFO = f"gdcore-{gdcore.__version__}.dist-info"
NAME = f"gdcore-{gdcore.__version__}-cp311-abi3-manylinux_2_17_x86_64.whl"
METADATA = f"""\
Metadata-Version: 2.4
Name: gdcore
Version: {gdcore.__version__}
Requires-Python: >=3.11
License-Expression: BSD-3-Clause
License-File: LICENSE
Requires-Dist: numpy>=1.25
Requires-Dist: threadpoolctl>=3.1
Provides-Extra: arrow
Requires-Dist: pyarrow>=14; extra == "arrow"

import gdcore
"""


@pytest.fixture
def tools(monkeypatch):
    import wheel_check

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(wheel_check, "check_library", lambda name, data: None)
    return wheel_check


def tracked():
    files = [path for part in ("gdcore", "src") for path in (ROOT / part).rglob("*")]
    built = (".so", ".pyc", ".pyd")
    names = [path.relative_to(ROOT).as_posix() for path in files if path.is_file()]
    return [name for name in names if not name.endswith(built)]


def make(folder, tools, changes=(), name=NAME):
    """A wheel as it should be, but for the changes: {name: text}, None for a file that lacks."""
    texts = dict.fromkeys(tools.expected(tracked(), INFO, ".abi3.so"), "x")
    texts[f"{INFO}/METADATA"] = METADATA
    texts |= dict(changes)
    with zipfile.ZipFile(folder / name, "w") as archive:
        for each, text in texts.items():
            if text is not None:
                archive.writestr(each, text)
    return folder / name


def test_a_wheel_as_it_should_be_passes(tools, tmp_path):
    kernels = len(list((ROOT / "src").glob("*.pyx")))
    assert tools.check_wheel(make(tmp_path, tools), tracked()) == kernels + 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gdcore/_native/vectors.pyx": "x"}, "has also"),
        ({"tests/test_house.py": "x"}, "has also"),
        ({"gdcore/_native/vectors.abi3.so": None}, "lacks"),
        ({"gdcore/py.typed": None}, "lacks"),
        ({"gdcore/datasets/digits.npz": None}, "lacks"),
        ({f"{INFO}/licenses/LICENSE": None}, "lacks"),
        ({f"{INFO}/METADATA": METADATA.replace("3-Clause", "2-Clause")}, "licence"),
        ({f"{INFO}/METADATA": METADATA.replace('; extra == "arrow"', "")}, "it needs"),
        ({f"{INFO}/METADATA": METADATA.replace(">=3.11", ">=3.9")}, "requires-python"),
        ({"gdcore/py.typed": "x" * 4_000_000}, "bytes"),
    ],
)
def test_a_wheel_that_is_not_is_refused(tools, tmp_path, changes, words):
    with pytest.raises(SystemExit, match=words):
        tools.check_wheel(make(tmp_path, tools, changes), tracked())


@pytest.mark.parametrize(
    "tag", ["cp311-cp311-manylinux_2_17_x86_64", "cp311-abi3-linux_x86_64", "py3-none-any"]
)
def test_a_wheel_with_another_tag_is_refused(tools, tmp_path, tag):
    wheel = make(tmp_path, tools, name=f"gdcore-{gdcore.__version__}-{tag}.whl")
    with pytest.raises(SystemExit, match=r"tag of|platform of"):
        tools.check_wheel(wheel, tracked())


def test_an_archive_does_not_say_when_and_by_whom_it_was_made(tmp_path):
    import wheel_build

    for number, order in enumerate(["ab", "ba"]):
        with tarfile.open(tmp_path / f"{number}.tar.gz", "w:gz") as archive:
            for letter in order:
                member = tarfile.TarInfo(letter)
                member.size, member.mtime, member.uid, member.uname = 3, number, number, order
                member.mode = 0o640 - number * 0o40
                archive.addfile(member, io.BytesIO(b"abc"))
        made, clean = tmp_path / f"{number}.tar.gz", tmp_path / f"{number}.clean"
        wheel_build.repack(made, clean, 1_000_000_000)
    first, second = ((tmp_path / f"{number}.clean").read_bytes() for number in (0, 1))
    assert first == second
    with tarfile.open(fileobj=io.BytesIO(first)) as archive:
        assert [(m.name, m.mtime, m.uid, m.mode) for m in archive] == [
            ("a", 1_000_000_000, 0, 0o644),
            ("b", 1_000_000_000, 0, 0o644),
        ]


def test_this_interpreter_is_found_and_runs():
    import wheel_test

    found = wheel_test.interpreters()
    version = f"3.{sys.version_info.minor}"
    assert version in {name.rstrip("t") for name in found}
    for name, path in found.items():
        asked = "import sys; print('3.%d' % sys.version_info[1])"
        done = subprocess.run([path, "-c", asked], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == name.rstrip("t")


def test_the_lowest_versions_are_those_of_the_metadata(tools, tmp_path):
    import wheel_test

    wheel = make(tmp_path, tools)
    assert list(wheel_test.lowest(wheel)) == ["numpy==1.25", "threadpoolctl==3.1"]
