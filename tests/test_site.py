"""The site's reference, before Sphinx sees it: no public name is missing, no link leads nowhere."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from tests import tally
from tests.public import public

SITE = Path(__file__).parents[1] / "docs" / "site"
if not SITE.exists():
    pytest.skip("a wheel is under test, without its docs", allow_module_level=True)


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, SITE / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


reference, build = loaded("reference"), loaded("build")


@pytest.fixture(scope="module")
def pages():
    return reference.pages()


def made(pages):
    """Paths that the pages describe."""
    heads = re.findall(r":{3,}\{py:(\w+)\} ([\w.]+)", "\n".join(pages.values()))
    return [path for kind, path in heads if kind != "currentmodule"]


def test_every_public_name_has_its_place(pages):
    paths = made(pages)
    assert len(set(paths)) == len(paths)
    text = "\n".join(pages.values())
    for each in public():
        assert each.path in paths or f"`{each.path}` is {{py:obj}}`" in text
        tally.count("public names in the reference")


def test_every_link_leads_to_what_is_described(pages):
    known, names = set(made(pages)), reference.Names()
    texts = [*pages.values(), build.page(SITE.parents[1] / "README.md", names)]
    texts += [build.page(path, names) for path in SITE.parent.glob("*.md")]
    links = [link for text in texts for link in re.findall(r"\{py:obj\}`[^`]*?([\w.]+)>?`", text)]
    assert len(links) > 200
    assert sorted(set(links) - known) == []


def test_pages_of_the_repository_are_in_the_contents():
    listed = build.contents()
    for path in SITE.parent.glob("*.md"):
        assert f"docs/{path.stem}\n" in listed


def test_code_headings_and_links_stay_as_they_are():
    text = "# `gd.GPT`\n[`gd.GPT`](x.md) `gd.GPT`\n```python\n`gd.GPT`\n```\n"
    text += "`gd.GPT.load(path)` `gpt`\n"
    names = reference.Names()
    assert build.prose(text, lambda part: reference.linked(part, names)) == (
        "# `gd.GPT`\n[`gd.GPT`](x.md) {py:obj}`gd.GPT <gdcore.GPT>`\n```python\n`gd.GPT`\n```\n"
        "{py:obj}`gd.GPT.load(path) <gdcore.GPT.load>` `gpt`\n"
    )


def test_a_docstring_becomes_markdown():
    text = """Move θ against g*, 2|x|.

    Parameters
    ----------
    lr, beta : float > 0
        The rate.
    path : str or
        None

    Example
    -------
    >>> 1 + 1  # doctest: +SKIP
    2
    """
    said = reference.docstring(text, reference.Names(), "gdcore.optim")
    assert said.startswith("Move θ against g\\*, 2\\|x\\|.\n\n:::{rubric} Parameters\n:::")
    assert "`lr`, `beta`\n: float > 0\\\n  The rate." in said
    assert "`path`\n: str or\\\n  None" in said
    assert said.endswith("```pycon\n>>> 1 + 1\n2\n```")


def test_what_a_page_would_load_from_elsewhere_is_found(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="https://example.org">x</a><script src="a.js"></script>'
        '<script async src="https://example.org/a.js"></script>'
    )
    (tmp_path / "a.css").write_text("@import url(//example.org/a.css); a { color: red }")
    assert len(list(build.foreign(tmp_path))) == 2
