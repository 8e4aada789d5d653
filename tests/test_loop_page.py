"""The examples of docs/learning-loop.md run in their order, and show what it says."""

import re
import warnings
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "learning-loop.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="a wheel is under test, without its docs")
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def said():
    """What each block prints, in the order of the page."""
    import contextlib
    import io

    names, texts = {}, []
    for number, block in enumerate(BLOCKS):
        out = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(out):
            warnings.simplefilter("error")
            exec(compile(block, f"learning-loop.md, example {number}", "exec"), names)
        texts.append(out.getvalue())
    return texts


def test_every_block_that_prints_says_something(said):
    for block, text in zip(BLOCKS, said, strict=True):
        assert "print(" not in block or text.strip()


@pytest.mark.parametrize(
    ("shown", "block"),
    [
        ("too timid", "for rate in"),
        ("oscillating", "for rate in"),
        ("diverging", "for rate in"),
        ("badly scaled columns", "wide ="),
        ("SADDLE False", "def pass_between"),
        ("True", "lstsq"),
        ("True", "by_hand"),
        ("Nothing found.", "load_digits"),
        ("False", "check_gradient"),
    ],
)
def test_the_page_shows_what_it_tells(said, shown, block):
    (text,) = [text for code, text in zip(BLOCKS, said, strict=True) if block in code]
    assert shown in text


def test_its_pictures_and_links_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (PAGE.parent / target).exists(), target


def test_links_within_the_page_have_a_heading():
    headings = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
