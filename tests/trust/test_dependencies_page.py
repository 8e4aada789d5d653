"""docs/dependencies.md names what pyproject.toml asks for, and what the wheel holds: no more."""

import re
import tomllib
from pathlib import Path

import pytest

import gdcore

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "dependencies.md"
DEVELOPING = ("test", "bench", "peers", "docs")
pytestmark = pytest.mark.tree


def tables():
    """The page's tables, {heading: rows of cells}."""
    found, heading = {}, None
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("| ") and heading:
            found.setdefault(heading, []).append([cell.strip() for cell in line.split("|")[1:-1]])
    return {heading: rows[1:] for heading, rows in found.items()}


def asked_for():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def split(requirement):
    """(name, lowest version) of "numpy>=1.25"."""
    name, version = re.fullmatch(r"([\w-]+)(?:\[.*\])?(?:[>=]=([\w.]+))?.*", requirement).groups()
    return name.lower(), version


def test_every_dependency_is_named_with_its_version_and_a_licence():
    page, project = tables(), asked_for()
    rows = page["At run time"]
    assert [(name, low) for name, low, *_ in rows] == list(
        map(split, project["project"]["dependencies"])
    )
    extras = project["project"]["optional-dependencies"]
    wanted = {
        (extra, *split(each))
        for extra, given in extras.items()
        for each in given
        if extra not in DEVELOPING
    }
    assert {tuple(row[:3]) for row in page["Extras"]} == wanted
    built = {split(each) for each in project["build-system"]["requires"]}
    assert {tuple(row[:2]) for row in page["To build"]} == built
    developing = {
        (split(each)[0], extra) for extra in DEVELOPING if extra in extras for each in extras[extra]
    }
    shown = {
        (name, extra)
        for name, _, given in page["To test and to measure"]
        for extra in given.split(", ")
    }
    assert shown == developing
    assert all(all(row) for rows in page.values() for row in rows), "a cell is empty"


def test_the_data_sets_of_the_wheel_are_named_with_their_licences():
    folder = Path(gdcore.__file__).parent / "datasets"
    rows = {row[0].strip("`"): row[2] for row in tables()["What is in the wheel"]}
    assert set(rows) == {path.name for path in folder.glob("*.npz")}
    licences = (folder / "LICENSES.md").read_text(encoding="utf-8")
    for name, licence in rows.items():
        part = licences.split(f"## {Path(name).stem}\n")[1].split("\n## ")[0]
        said = licence in part or "without stating a licence" in " ".join(part.split())
        assert said, name
    declared = asked_for()["tool"]["setuptools"]["package-data"]["gdcore.datasets"]
    assert "LICENSES.md" in declared


def test_the_wheel_bundles_no_library():
    """The package holds Python, its own kernels, data and their licences, and nothing else."""
    folder = Path(gdcore.__file__).parent
    kinds = {".py", ".so", ".pyd", ".npz", ".md", ".typed", ".pyc"}
    known = {path.stem for path in (ROOT / "src").glob("*.pyx")} | {"_shared"}  # Cython's
    for path in folder.rglob("*"):
        if path.is_file():
            assert path.suffix in kinds or path.name == "py.typed", path
            if path.suffix in (".so", ".pyd"):
                assert path.name.partition(".")[0] in known, path


def test_there_is_a_word_on_security():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for heading in ("## Versions", "## Reporting", "## What is promised", "## What is not"):
        assert heading in text
    from gdcore import disk, tensors

    assert disk.LARGEST == 256 << 20
    assert disk.INFLATED == 4
    assert tensors.LONGEST == 100_000_000
    assert "256 MB" in text
    assert "four times" in text
    assert "100 MB" in text
