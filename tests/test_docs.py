"""Every example in a docstring runs."""

import doctest
import importlib
import pkgutil

import pytest

import gdcore

MODULES = [
    module.name
    for module in pkgutil.walk_packages(gdcore.__path__, "gdcore.")
    if not module.name.startswith(("gdcore._native", "gdcore.__main__"))
]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert result.failed == 0


PUBLIC = [
    getattr(gdcore, name) for name in gdcore.__all__ if isinstance(getattr(gdcore, name), type)
] + [getattr(gdcore.optim, name) for name in gdcore.optim.__all__]


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_public_classes_show_an_example(thing):
    if issubclass(thing, Exception) or thing is gdcore.Status:
        assert thing.__doc__
    else:
        assert ">>> " in thing.__doc__
