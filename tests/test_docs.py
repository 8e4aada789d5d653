"""Every public name says what it is and shows it; every example in a docstring runs."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import gdcore
from tests import tally
from tests.public import function_of, members, public

MODULES = [
    module.name
    for module in pkgutil.walk_packages(gdcore.__path__, "gdcore.")
    if not module.name.startswith(("gdcore._native", "gdcore.__main__"))
]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
CLUSTERED = [f"gdcore.distributed.{name}" for name in ("rows", "cost", "linear", "mlp", "network")]
NEEDS = {"gdcore.chunks": "pyarrow"} | dict.fromkeys(CLUSTERED, "distributed")
ELSEWHERE = {"gdcore.onnx.to_onnx": "needs onnx: tests/peers/test_onnx.py runs it"}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    monkeypatch.chdir(tmp_path)  # they may write files
    result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert result.failed == 0
    tally.count("lines of docstrings' examples run", result.attempted)


def test_no_example_is_skipped():
    """But what is run elsewhere, for the reason given."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    skipped = {
        test.name
        for name in MODULES
        for test in finder.find(importlib.import_module(name), name)
        if any(example.options.get(doctest.SKIP) for example in test.examples)
    }
    assert skipped == set(ELSEWHERE)


NAMES = [each for each in public() if callable(each.value)]
CLASSES = {each.value for each in NAMES if isinstance(each.value, type)}


@pytest.mark.parametrize("path", sorted({each.path for each in NAMES}))
def test_a_public_name_says_what_it_is(path):
    """In a sentence of its own, not that of a base or of a dataclass; and shows it."""
    (value,) = [each.value for each in NAMES if each.path == path]
    text = vars(value)["__doc__"] if isinstance(value, type) else value.__doc__
    assert text
    first = inspect.cleandoc(text).partition("\n\n")[0]
    assert first.endswith((".", ":"))
    shows = ">>> " in text
    kernel = path.startswith("gdcore.kernels.")  # one line, equal to its twin's; cases.py shows it
    assert shows or kernel or (isinstance(value, type) and issubclass(value, Exception))
    if shows:
        assert "\nExample\n-------\n" in inspect.cleandoc(text)


def test_every_method_and_property_says_what_it_does():
    silent = [
        f"{each.path}.{name}"
        for each in NAMES
        if isinstance(each.value, type)
        for name, attribute in members(each.value, CLASSES)
        if (function := function_of(attribute)) is not None
        and not name.startswith("__")
        and not inspect.getdoc(function)
    ]
    assert silent == []
