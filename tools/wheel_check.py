"""Is in the sdist and in the wheel what should be, and nothing else?"""

import io
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from packaging.metadata import Metadata
from packaging.utils import parse_wheel_filename

MOST = 4_000_000  # bytes of a wheel
NEEDS = {"numpy", "threadpoolctl"}
PLATFORMS = {
    "linux": r"(many|musl)linux_\d+_\d+_(x86_64|aarch64)",
    "darwin": r"macosx_\d+_\d+_(x86_64|arm64)",
    "win32": r"win_(amd64|arm64)",
}


def require(fact, words):
    if not fact:
        raise SystemExit(f"dist/ is not as it should be: {words}")


def expected(tracked, info, suffix):
    """The names in a wheel: each module, each kernel, the data, what a wheel says of itself."""
    package = [name for name in tracked if name.startswith("gdcore/")]
    found = (re.fullmatch(r"src/(\w+)\.pyx", name) for name in tracked)
    kernels = ["_shared", *(each[1] for each in found if each)]
    about = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE")
    return {
        *package,
        *(f"gdcore/_native/{name}{suffix}" for name in kernels),
        *(f"{info}/{name}" for name in about),
    }


def check_metadata(text):
    found = Metadata.from_email(text, validate=True)
    version = re.search(r'__version__ = "(.+)"', Path("gdcore/_version.py").read_text())[1]
    needs = {each.name for each in found.requires_dist if "extra" not in str(each.marker or "")}
    require((found.name, str(found.version)) == ("gdcore", version), "name or version")
    require(needs == NEEDS, f"it needs {needs}, not {NEEDS}.")
    require(str(found.requires_python) == ">=3.11", f"requires-python {found.requires_python}")
    require(found.license_expression == "BSD-3-Clause", "the licence's name")
    require("import gdcore" in (found.description or ""), "the README is not its description.")


def check_library(name, data):
    """A kernel carries neither symbols that nobody asks for nor the place where it was built."""
    if sys.platform == "linux":
        from elftools.elf.elffile import ELFFile

        sections = [section.name for section in ELFFile(io.BytesIO(data)).iter_sections()]
        require(not {".symtab", ".debug_info"} & set(sections), f"{name} is not stripped.")
    homes = [each for each in (b"/tmp/", str(Path.home()).encode()) if len(each) > 4]
    require(not any(home in data for home in homes), f"{name} names the folder of its build.")


def check_wheel(wheel, tracked):
    name, version, _, tags = parse_wheel_filename(wheel.name)
    stable = {(tag.interpreter, tag.abi) for tag in tags} == {("cp311", "abi3")}
    places = {tag.platform for tag in tags}
    require(stable or "t-" in wheel.name, f"tag of {wheel.name}")
    kind = re.compile(PLATFORMS.get(sys.platform, "nowhere") + "|manylinux.*")
    require(all(kind.fullmatch(place) for place in places), f"platform of {wheel.name}")
    require(wheel.stat().st_size < MOST, f"{wheel.name} has {wheel.stat().st_size:,} bytes.")
    with zipfile.ZipFile(wheel) as archive:
        names = [each for each in archive.namelist() if not each.endswith("/")]
        libraries = [each for each in names if each.endswith((".so", ".pyd"))]
        suffix = libraries[0][libraries[0].index(".") :] if libraries else "?"
        info = f"{name}-{version}.dist-info"
        wanted = expected(tracked, info, suffix)
        extra = {each for each in set(names) - wanted if not each.startswith(f"{info}/sboms/")}
        require(not wanted - set(names), f"the wheel lacks {sorted(wanted - set(names))}.")
        require(not extra, f"the wheel has also {sorted(extra)}.")
        require("gdcore/py.typed" in names, "no py.typed")
        check_metadata(archive.read(f"{info}/METADATA"))
        for each in libraries:
            check_library(each, archive.read(each))
    return len(libraries)


def check_sdist(sdist, tracked):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    parts = ("gdcore/", "src/", "tests/", "docs/", "tools/")
    single = {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "setup.py", "Makefile"}
    wanted = single | {name for name in tracked if name.startswith(parts)}
    require(not wanted - names, f"the sdist lacks {sorted(wanted - names)}.")
    built = [name for name in names if name.endswith((".c", ".so", ".pyc", ".pyd"))]
    require(not built, f"the sdist has {built}, which were built.")


def check(sdist, wheel, tracked):
    """All of it, and what the tools that others check with say."""
    check_sdist(sdist, tracked)
    count = check_wheel(wheel, tracked)
    bin = Path(sys.executable).parent
    tools = [["twine", "check", "--strict", sdist, wheel], ["check-wheel-contents", wheel]]
    if "abi3" in wheel.name:
        tools.append(["abi3audit", "--strict", wheel])
    for tool, *rest in tools:
        done = subprocess.run([bin / tool, *rest], capture_output=True, text=True)
        require(done.returncode == 0, f"{tool} says\n{done.stdout}{done.stderr}")
    names = ", ".join(tool for tool, *_ in tools)
    print(f"{wheel.name}: {count} compiled kernel modules; {names} have nothing to say against it.")
