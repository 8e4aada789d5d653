"""The house: imports only go down its floors, files and functions stay small."""

import ast
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gdcore"
FLOORS = [
    {"_numpy", "_native", "_version"},
    {"kernels", "errors"},
    {"parameters", "losses", "penalties", "schedules", "optim", "threads", "result", "trace"},
    {"data", "convergence", "rates", "progress"},
    {"cost", "models.family"},
    {"models.coordinates"},
    {"descent", "datasets", "models.least_squares"},
    {"models.base"},
    {"models.linear", "models.logistic"},
    {"models"},
    {"files", "info"},
    {"demo", "tabular"},
    {"cli"},
    {"", "__main__"},
]
SOURCES = sorted(path for path in PACKAGE.rglob("*.py"))


def module_of(path):
    """ "models.linear" for gdcore/models/linear.py, "" for gdcore/__init__.py."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor_of(module):
    """The number of its floor; a module's own name wins over its package's."""
    while True:
        for number, names in enumerate(FLOORS):
            if module in names:
                return number
        assert module, "the house has a module without a floor"
        module = module.rpartition(".")[0]


def imports_of(path):
    """Modules of gdcore that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("gdcore"):
            base = node.module.removeprefix("gdcore").removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(".")
                file = PACKAGE / inner.replace(".", "/")
                yield inner if file.with_suffix(".py").exists() or file.is_dir() else base
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("gdcore"):
                    yield alias.name.removeprefix("gdcore").removeprefix(".")


def upward(path):
    """Imports of a file that do not go down; siblings of one package may see each other."""
    here = module_of(path)
    for there in imports_of(path):
        same = here.partition(".")[0] == there.partition(".")[0] and not here.startswith("models")
        if there == "_version" or same:
            continue
        if floor_of(there) >= floor_of(here):
            yield f"gdcore.{here} imports gdcore.{there}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    if module_of(path) == "":
        return  # the roof names everything, when it is asked for
    assert not list(upward(path))


def test_a_planted_upward_import_is_found(tmp_path, monkeypatch):
    planted = PACKAGE / "losses.py"
    text = planted.read_text(encoding="utf-8") + "\nfrom gdcore.descent import descend\n"
    monkeypatch.setattr(Path, "read_text", lambda self, encoding=None: text)
    assert list(upward(planted)) == ["gdcore.losses imports gdcore.descent"]


def test_numpy_twins_call_only_numpy_and_each_other():
    for path in (PACKAGE / "_numpy").glob("*.py"):
        assert all(name.startswith("_numpy") for name in imports_of(path)), path


def functions(path):
    """(name, lines without the docstring, positional arguments) of every function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            words = first.end_lineno - first.lineno + 1 if documented else 0
            count = len([a for a in node.args.args if a.arg not in ("self", "cls")])
            yield node.name, node.end_lineno - node.lineno + 1 - words, count


def test_files_are_small():
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    sizes |= {
        p: len(p.read_text(encoding="utf-8").splitlines()) for p in (ROOT / "src").glob("*.p*")
    }
    assert max(sizes.values()) <= 400, max(sizes, key=sizes.get)
    assert statistics.median(sizes.values()) < 150


def test_functions_are_small():
    long = [f"{p.name}: {n} ({k})" for p in SOURCES for n, k, _ in functions(p) if k > 50]
    assert not long


def test_functions_take_few_arguments():
    many = [
        f"{p.name}: {n} ({c})"
        for p in SOURCES
        if "_numpy" not in p.parts
        for n, _, c in functions(p)
        if c > 6
    ]
    assert not many


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_say_what_they_are(path):
    text = path.read_text(encoding="utf-8")
    assert path.name == "_version.py" or ast.get_docstring(ast.parse(text))
    assert text.isascii() or "\t" not in text


def test_no_flag_that_breaks_arithmetic():
    flags = [line for line in (ROOT / "setup.py").read_text().splitlines() if "FLAGS = " in line]
    assert flags
    assert not any(bad in line for line in flags for bad in ("-march=native", "-ffast-math"))


def test_import_is_light_and_silent():
    heavy = ("scipy", "sklearn", "torch", "pandas", "argparse", "json", "logging",
             "concurrent.futures", "threadpoolctl", "gdcore.descent")  # fmt: skip
    code = f"import sys, gdcore; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("choice", ["numpy", "nonsense"])
def test_the_backend_is_the_users_choice(choice):
    code = "import gdcore; print(set(gdcore.backend().values()))"
    settings = os.environ | {"GDCORE_BACKEND": choice}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=settings
    )
    if choice == "numpy":
        assert done.stdout.strip() == "{'numpy'}"
    else:
        assert "GDCORE_BACKEND must be auto, native or numpy, got 'nonsense'" in done.stderr


@pytest.mark.skipif(os.environ.get("GDCORE_BACKEND") != "native", reason="asks the compiled core")
def test_native_means_every_kernel():
    import gdcore

    assert set(gdcore.backend().values()) == {"native"}
