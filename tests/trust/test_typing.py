"""Types: `mypy --strict` finds nothing in gdcore and in a typed program that uses it, where mypy is
installed (`make typecheck` installs it); everywhere the program runs and finds what it states."""

import ast
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import gdcore as gd
from gdcore.objective import Settings
from tests import tally
from tests.trust import typed_user

PACKAGE = Path(gd.__file__).parent
ROOT = Path(__file__).parents[2]
SOURCES = sorted(PACKAGE.rglob("*.py"))
MYPY = pytest.mark.skipif(
    importlib.util.find_spec("mypy") is None or not (ROOT / "pyproject.toml").exists(),
    reason="mypy is not installed: make typecheck",
)


def mypy(*files):
    """(exit code, what it prints) of a check by pyproject.toml: strict."""
    command = [sys.executable, "-m", "mypy", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("part", ["minimising", "fitting", "own_arrays"])
def test_the_typed_program_runs(part, capsys):
    getattr(typed_user, part)()


def test_the_typed_program_writes_and_reads_its_files(tmp_path):
    typed_user.networks(tmp_path)


def functions(path):
    """(name, whether each parameter and the return have a type) of the functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {  # from checkers, so that misspelt names are mistakes to them
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "not TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node in hidden:
            continue
        given = node.args
        named = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        bare = {a.arg for a in named if a is not None and a.annotation is None}
        yield node.name, node.returns is not None and bare <= {"self", "cls"}


def test_every_function_has_types():
    """Without mypy, too: no file is left out of the checks by accident."""
    found = [(path.name, *each) for path in SOURCES for each in functions(path)]
    assert [each for each in found if not each[-1]] == []
    assert len(found) > 1500
    tally.count("functions with types", len(found))


def test_a_function_without_types_is_found(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("def one(a: int) -> int: ...\ndef two(a) -> int: ...\ndef three(): ...\n")
    assert list(functions(planted)) == [("one", True), ("two", False), ("three", False)]


def test_exceptions_from_checking_are_few_and_named():
    """Each `type: ignore` says which rule it means."""
    lines = [line for path in SOURCES for line in path.read_text(encoding="utf-8").splitlines()]
    ignored = [line for line in lines if "# type: ignore" in line]
    assert len(ignored) <= 10
    assert all("# type: ignore[" in line for line in ignored)
    tally.count("lines excepted from type checking", len(ignored))


def test_what_minimize_takes_by_name_is_said_once_more():
    """`Settings`, for the two kinds of x0, names what `minimize` does, in its order."""
    names = [
        name
        for name, each in inspect.signature(gd.minimize).parameters.items()
        if each.kind is each.KEYWORD_ONLY
    ]
    assert list(Settings.__annotations__) == names


def test_every_public_name_is_known_to_checkers():
    """The lazy names and modules of gdcore are all imported for type checkers."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    known = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(gd.__all__) <= known


@MYPY
@pytest.mark.tree
def test_gdcore_and_the_typed_programs_are_sound():
    code, said = mypy()
    assert (code, said.startswith("Success: no issues found")) == (0, True), said


@MYPY
@pytest.mark.tree
def test_mistakes_of_a_user_are_found(tmp_path):
    """What checkers are for: wrong names, arguments and uses of what comes back."""
    wrong = [
        "gd.LinearRegresion()",
        "gd.optim.Adan()",
        "gd.LinearRegression(alfa=1.0)",
        "gd.minimize(len, [1.0], gtoll=1e-3)",
        "gd.minimize(len, [1.0]).fun.sum()",
        "gd.LinearRegression().fit([[1.0]], [1.0]).predict_proba([[1.0]])",
        "gd.descend(len, [1.0], gd.optim.SGD(0.1))",
        "gd.LinearRegression(callbacks=3)",
        "gd.GPT(n_layers=1)",
        "gd.doctor([1.0])",
    ]
    program = tmp_path / "wrong.py"
    program.write_text("import gdcore as gd\n" + "\n".join(wrong) + "\n")
    _, said = mypy(program)
    found = {int(line.split(":")[1]) for line in said.splitlines() if ": error:" in line}
    assert found == set(range(2, len(wrong) + 2)), said
    tally.count("mistakes of a user found by types", len(wrong))
