"""Run the suite against the installed wheel, from an empty folder, on each CPython that is found.

Each run has a fresh environment with the newest NumPy that pip finds; the oldest CPython has a
second one with the lowest NumPy and threadpoolctl that pyproject.toml allows. What needs the source
tree is marked `tree` and left out. A free-threaded CPython has no stable ABI: it builds
its own wheel from the sdist, and its tests do without what has none for it; that of 3.13 was an
experiment, and is left out. `--smoke` runs a part of the suite; without it the figures are saved.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "trust" / "wheels.json"
CARRIED = ("tests", "docs", "README.md", "pyproject.toml", "Makefile")  # what tests read
SMOKE = ("tests/kernels", "tests/layers", "tests/test_house.py", "tests/test_descent.py")
LIGHT = ("pytest>=8", "pytest-xdist>=3.5", "hypothesis>=6")  # all that those need
NO_FREE_WHEEL = ("polars",)  # nothing without the GIL; its tests know
FREE_FROM = {"safetensors": ">=0.9.0rc1"}  # the first one without
WITH_LOWEST = ("pyarrow<20",)  # later ones want NumPy 2, and say so only when they are imported
ASK = (
    "import sys, sysconfig, platform as p; print(p.python_implementation(), p.python_version(), "
    "bool(sysconfig.get_config_var('Py_GIL_DISABLED')))"
)
WHERE = (
    "import gdcore, sys, pathlib; at = pathlib.Path(gdcore.__file__); "
    "assert at.is_relative_to(sys.prefix), at; assert set(gdcore.backend().values()) == {'native'}"
)


def interpreters():
    """{"3.11": path, "3.13t": path}: of each CPython ≥ 3.11 on the path or of pyenv the newest."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    on_path = [
        shutil.which(f"python3.{minor}{kind}") for minor in range(11, 20) for kind in ("", "t")
    ]
    others = os.environ.get("PYTHONS", "").split()
    found = {}
    for path in [sys.executable, *others, *on_path, *sorted(home.glob("versions/*/bin/python"))]:
        done = path and subprocess.run([path, "-c", ASK], capture_output=True, text=True)
        if not path or done.returncode or not done.stdout.startswith("CPython 3."):
            continue
        _, version, free = done.stdout.split()
        numbers = tuple(map(int, re.findall(r"\d+", version)))
        key = (numbers[1], free == "True")
        if key >= (11, False) and key != (13, True) and numbers > found.get(key, ((), ""))[0]:
            found[key] = numbers, str(path)
    return {
        f"3.{minor}{'t' if free else ''}": path
        for (minor, free), (_, path) in sorted(found.items())
    }


def needs(wheel, extra=""):
    """Requirements of the wheel: its own, or those of an extra."""
    with ZipFile(wheel) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        told = HeaderParser().parsestr(archive.read(name).decode()).get_all("Requires-Dist")
    for need in map(Requirement, told):
        asked = need.marker is not None and need.marker.evaluate({"extra": extra})
        if asked or (need.marker is None and not extra):
            yield need


def lowest(wheel):
    """`name==version` for what the wheel needs at least; its tests take what gets on with that."""
    for need in needs(wheel):
        (bound,) = need.specifier
        yield f"{need.name}=={bound.version}"


def with_tests(product, wheel):
    """The product and what its tests need, as pip is given them."""
    if product == wheel:
        return [f"{product}[test,dask,devices]"]
    theirs = [need for need in needs(wheel, "test") if need.name not in NO_FREE_WHEEL]
    asked = (f"{need.name}{FREE_FROM.get(need.name, need.specifier)}" for need in theirs)
    return [f"{product}[dask,devices]", *asked]


def suite(python, folder, wanted, tests):
    """One fresh environment, one run: what the suite counted, and pytest's answer."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"GDCORE_REQUIRE_NATIVE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    env["PIP_PREFER_BINARY"] = "1"  # an older wheel is better than a compiler of another language
    inner = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True, env=env)
    subprocess.run([inner, "-m", "pip", "install", "--quiet", *wanted], check=True, env=env)
    for name in CARRIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    tally = folder / "tally.json"
    env |= {"GDCORE_BACKEND": "native", "GDCORE_TALLY": str(tally)}
    subprocess.run([inner, "-c", WHERE], check=True, env=env, cwd=folder)
    how = ["-q", "-p", "no:cacheprovider", "-m", "not tree", "-n", "2", "--dist", "loadfile"]
    command = [inner, "-m", "pytest", *how, *tests]
    done = subprocess.run(command, env=env, cwd=folder)
    return json.loads(tally.read_text()), done.returncode


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rounds(pythons, wheel, asked):
    """(version, path, which, pins): each CPython with the newest, the first with the lowest too."""
    for number, (version, python) in enumerate(pythons.items()):
        if not asked.only or version in asked.only:
            yield version, python, "newest", []
            if number == 0:
                yield version, python, "lowest", [*lowest(wheel), *WITH_LOWEST]


def save(wheel, run):
    """The figures of this wheel's runs; those of another wheel are forgotten."""
    about = {"wheel": wheel.name, "bytes": wheel.stat().st_size, "sha256": digest(wheel)}
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    runs = known.get("runs", []) if known.get("sha256") == about["sha256"] else []
    names = ("python", "versions", "product", "simd")
    runs = [each for each in runs if any(each[name] != run[name] for name in names)] + [run]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(about | {"runs": runs}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--smoke", action="store_true", help="a part of the suite, nothing saved")
    parser.add_argument("--only", nargs="*", help="versions such as 3.12 or 3.14t")
    parser.add_argument("tests", nargs="*", help="tests instead of all, nothing saved")
    asked = parser.parse_args()
    (wheel,) = (ROOT / "dist").glob("*.whl")
    (sdist,) = (ROOT / "dist").glob("*.tar.gz")
    tests = asked.tests or (SMOKE if asked.smoke else ())
    runs, failed = [], 0
    for version, python, which, pins in rounds(interpreters(), wheel, asked):
        product = sdist if version.endswith("t") else wheel
        print(f"CPython {version}, {which} versions: {product.name}", flush=True)
        wanted = [product, *LIGHT] if asked.smoke else with_tests(product, wheel)
        with tempfile.TemporaryDirectory() as room:
            found, code = suite(python, Path(room), [*wanted, *pins], tests)
        runs.append({"versions": which, "product": product.name} | found)
        failed += code != 0
        if not tests:
            save(wheel, runs[-1])
    for run in runs:
        counts = ", ".join(f"{count} {kind}" for kind, count in run["outcomes"].items())
        print(f"CPython {run['python']}, {run['versions']}, NumPy {run['numpy']}: {counts}")
    if failed or not runs:
        raise SystemExit(f"{failed} of {len(runs)} runs failed.")


if __name__ == "__main__":
    main()
