"""The examples of docs/gallery.md run as they stand, in their order; its script says the same."""

import importlib.util
import re
import warnings
from pathlib import Path

import matplotlib
import pytest

import gdcore as gd

matplotlib.use("Agg")

from matplotlib import pyplot

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "gallery.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="a wheel is under test, without its docs")
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
SIZE = 150_000  # bytes of a picture


def test_the_examples_run():
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, block in enumerate(BLOCKS):
            exec(compile(block, f"gallery.md, example {number}", "exec"), names)
            if number:
                display = names.pop("display")
                assert display.ax_.get_title() + display.figure_.get_suptitle()
            pyplot.close("all")


def test_the_page_is_what_its_script_writes():
    spec = importlib.util.spec_from_file_location("make_gallery", DOCS / "make_gallery.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.page() == TEXT
    assert len(BLOCKS) == len(script.PICTURES) + 1


def test_every_display_is_shown_by_few_lines():
    for name in gd.plots.__all__:
        assert name == "Path" or f"gd.plots.{name}" in TEXT
    assert max(len(block.strip().splitlines()) for block in BLOCKS) <= 9


def test_pictures_are_there_small_and_without_a_date():
    files = re.findall(r"!\[.*\]\((.*)\)", TEXT)
    assert len(files) == len(BLOCKS) - 1
    assert sorted(files) == sorted(f"gallery/{each.name}" for each in (DOCS / "gallery").iterdir())
    for file in files:
        svg = (DOCS / file).read_text(encoding="utf-8")
        assert len(svg.encode()) < SIZE
        assert "<dc:date>" not in svg
