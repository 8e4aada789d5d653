"""The house: imports only go down its floors, files and functions stay small."""

import ast
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import gdcore

ROOT = Path(__file__).parents[1]
PACKAGE = Path(gdcore.__file__).parent  # of the tree, or of the wheel that is under test
FLOORS = [
    {"_version", "_typing", "devices"},
    {"_numpy", "_native"},
    {"_array"},
    {"kernels", "errors", "deprecation", "status"},
    {"disk", "given", "parameters"},
    {
        "losses",
        "penalties",
        "schedules",
        "optim",
        "threads",
        "convergence",
        "trace",
        "origin",
        "scores",
        "layers",
        "tokenizers",
        "seeds",
        "sparse",
        "sparse_gradients",
        "claims",
    },
    {"result", "remembered"},
    {"hooks"},
    {
        "data",
        "ranges",
        "rates",
        "progress",
        "sweeps",
        "models.contexts",
        "tensors",
        "lines",
        "second_order",
        "continuation",
        "info",
        "arrow",
        "hashing",
        "models.visits",
    },
    {"passes", "glimpse", "penalised", "snapshot"},
    {"chunks"},
    {
        "cost",
        "models.family",
        "models.labels",
        "models.gpt_claims",
        "search",
        "curvature",
        "certificate",
        "survey",
        "device_proof",
    },
    {"interior", "newton", "normalized", "reduced"},
    {"chunk_cost", "device_cost"},
    {"models.coordinates", "objective", "run"},
    {"listener", "noise", "descent", "datasets", "models.least_squares"},
    {"models.solvers", "minimizer"},
    {"models.estimator", "models.classifier", "models.flat", "models.stream"},
    {"models.out_of_core", "models.device_rows"},
    {"models.network", "models.on_device", "models.packed"},
    {"models.arena"},
    {"models.stepped"},
    {"models.networked"},
    {"models.network_device"},
    {"models.batch_cost"},
    {"models.network_cost", "models.language", "models.decoder", "models.training"},
    {
        "models.base",
        "models.online",
        "models.neural",
        "models.networks_on_device",
        "models.generation",
        "models.gpt_files",
        "models.gpt_arguments",
    },
    {"models.linear", "models.logistic", "models.margin", "models.mlp", "models.gpt"},
    {"models"},
    {"diagnose.findings", "diagnose.pages", "diagnose.path", "diagnose.drawing"},
    {
        "diagnose.course",
        "diagnose.endings",
        "diagnose.layers",
        "diagnose.columns",
        "diagnose.subjects",
        "diagnose.differences",
        "diagnose.walks",
        "diagnose.plot_attention",
        "diagnose.plot_boundary",
        "diagnose.plot_coefficients",
        "diagnose.plot_course",
        "diagnose.plot_layers",
        "diagnose.plot_path",
    },
    {"diagnose.doctor", "diagnose.gradients", "diagnose.rates", "diagnose.plots", "callbacks"},
    {"diagnose.report"},
    {"diagnose", "distributed"},
    {"stored"},
    {"files"},
    {"weights", "onnx"},
    {"demo", "tabular", "text"},
    {"cli"},
    {"", "__main__"},
]
TYPES = {"typing", "collections"}  # where annotations have their words from
SOURCES = sorted(path for path in PACKAGE.rglob("*.py"))
KERNELS = sorted((ROOT / "src").glob("*.p*"))
NATIVE = {
    f"_native.{name}"
    for name in (
        "activations",
        "attention",
        "batches",
        "chains",
        "corrected",
        "decoding",
        "epochs",
        "gradients",
        "hashing",
        "heads",
        "hessians",
        "layers",
        "moments",
        "normalization",
        "online",
        "products",
        "quasi",
        "sampling",
        "sparse",
        "sparse_epochs",
        "sparse_gradients",
        "sparse_online",
        "updates",
        "vectors",
    )
}


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


def imports_of(path, tree=None):
    """Modules of gdcore that a file imports, wherever in it."""
    for node in ast.walk(tree or ast.parse(path.read_text(encoding="utf-8"))):
        assert not getattr(node, "level", 0), f"{path.name}: spell imports out, from gdcore…"
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
    planted = PACKAGE / "penalties.py"
    text = planted.read_text(encoding="utf-8") + "\nfrom gdcore.descent import descend\n"
    monkeypatch.setattr(Path, "read_text", lambda self, encoding=None: text)
    assert list(upward(planted)) == ["gdcore.penalties imports gdcore.descent"]


def test_numpy_twins_call_only_numpy_and_each_other():
    for path in (PACKAGE / "_numpy").glob("*.py"):
        assert all(name.startswith(("_numpy", "_typing")) for name in imports_of(path)), path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            roots = {name.partition(".")[0] for name in names}
            assert roots <= {"numpy", "math", "operator", "itertools", "gdcore", *TYPES}, path


def test_no_module_imports_itself_on_a_round_way():
    """What a module needs at import time forms no circle; imports within functions may wait."""
    needs = {}
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.If)):
                node.body = [ast.Pass()]
        needs[module_of(path)] = set(imports_of(path, tree)) - {module_of(path), ""}
    done = set()
    while ready := {name for name in needs if name not in done and needs[name] <= done | NATIVE}:
        done |= ready
    assert set(needs) == done


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
    sizes = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in [*SOURCES, *KERNELS]}
    assert max(sizes.values()) <= 400, max(sizes, key=sizes.get)
    assert statistics.median(sizes.values()) < 150


def test_functions_are_small():
    long = [f"{p.name}: {n} ({k})" for p in SOURCES for n, k, _ in functions(p) if k > 50]
    assert not long


def kernel_functions(path):
    """(first line, number of lines) of every function of a Cython file."""
    name, size = None, 0
    for line in [*path.read_text(encoding="utf-8").splitlines(), "cdef end"]:
        indented = line.startswith((" ", ")")) or not line
        if name and not indented:
            yield name, size
            name = None
        if re.match(r"(cdef|cpdef|def) .*\(", line) and "extern" not in line:
            name, size = line, 0
        size += bool(line.strip())


@pytest.mark.tree
def test_kernels_are_small():
    sizes = [(size, f"{p.name}: {name}") for p in KERNELS for name, size in kernel_functions(p)]
    assert len(sizes) > 50
    assert [each for each in sizes if each[0] > 80] == []


def test_functions_take_few_arguments():
    many = [
        f"{p.name}: {n} ({c})"
        for p in SOURCES
        if "_numpy" not in p.parts and p.name != "_array.py"  # which have their kernels' arguments
        for n, _, c in functions(p)
        if c > 6
    ]
    assert not many


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_say_what_they_are(path):
    text = path.read_text(encoding="utf-8")
    assert path.name == "_version.py" or ast.get_docstring(ast.parse(text))
    assert text.isascii() or "\t" not in text


@pytest.mark.tree
def test_no_flag_that_breaks_arithmetic():
    """Comments may name them; no string of setup.py does."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    flags = [text for text in texts if isinstance(text, str) and text.startswith(("-", "/"))]
    assert "-ffp-contract=off" in flags
    forbidden = {"-march=native", "-mtune=native", "-ffast-math", "-Ofast", "-fassociative-math"}
    assert not forbidden & set(flags)


def test_every_module_is_imported_alone_and_in_silence():
    """Each from a house that is empty but for the kernels, and where only what it asks for is
    found. What was run before is not run again: that is the same, as imports form no circle."""
    names = [f"gdcore.{name}".rstrip(".") for name in map(module_of, SOURCES) if name != "__main__"]
    code = """if True:
        import importlib, importlib.util, sys
        class Known(dict):
            def find_spec(self, name, path=None, target=None):
                return importlib.util.spec_from_loader(name, self) if name in self else None
            def create_module(self, spec):
                return self[spec.name]
            def exec_module(self, module):
                pass
        known = Known()
        sys.meta_path.insert(0, known)
        for name in sys.argv[1:]:
            known.pop(name, None)
            importlib.import_module(name)
            for loaded in [n for n in sys.modules if n.startswith("gdcore")]:
                if not loaded.startswith("gdcore._native."):
                    known[loaded] = sys.modules.pop(loaded)
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *names], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_import_is_light_and_silent():
    heavy = ("scipy", "sklearn", "torch", "pandas", "argparse", "json", "logging",
             "concurrent.futures", "threadpoolctl", "gdcore.descent")  # fmt: skip
    code = (  # NumPy before 2 imports json
        "import sys, numpy; known = set(sys.modules); import gdcore; "
        f"print([name for name in {heavy!r} if name in sys.modules and name not in known])"
    )
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

    assert set(gdcore.backend().values()) == {"native"}
