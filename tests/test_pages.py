"""The pages: links lead somewhere, names in backticks exist, every block of code is run or checked.

Python runs as it stands: by the page's own test where it has one, else here. Lines for a shell are
parsed: the named targets, commands, options, scripts and extras exist. What has no language is
output or a picture in letters.
"""

import re
import shlex
import tomllib
import warnings
from functools import reduce
from pathlib import Path

import pytest

import gdcore as gd
from gdcore import cli
from tests import tally

ROOT = Path(__file__).parents[1]
if not (ROOT / "docs").exists():
    pytest.skip("a wheel is under test, without its docs", allow_module_level=True)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
TEXTS = {name: page.read_text(encoding="utf-8") for name, page in zip(NAMES, PAGES, strict=True)}
OWN = {  # pages whose Python runs in a test of their own, which looks at what it says
    "README.md": "test_readme",
    "docs/doctor.md": "test_doctor_page",
    "docs/gallery.md": "test_gallery_page",
    "docs/gpt.md": "test_gpt_page",
    "docs/learning-loop.md": "test_loop_page",
    "docs/linear.md": "test_linear_page",
    "docs/networks.md": "test_networks_page",
    "docs/optimizers.md": "test_optimizer_page",
}
BLOCK = re.compile(r"(?ms)^```(\w*)[^\n]*\n(.*?)^```")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")


def prose(text):
    """A page without its blocks of code."""
    return BLOCK.sub("", text)


def anchors(text):
    """What GitHub, and the site, call the headings of a page."""
    found = []
    for head in re.findall(r"(?m)^#+ (.+?)\s*$", prose(text)):
        plain = re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")
        found.append(plain if plain not in found else f"{plain}-{found.count(plain)}")
    return set(found)


@pytest.mark.tree
@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name):
    broken, here = [], (ROOT / name).parent
    for target in LINK.findall(prose(TEXTS[name])):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        path = (here / file).resolve() if file else ROOT / name
        if not path.exists() or not path.is_relative_to(ROOT.resolve()):
            broken.append(target)
        elif anchor and anchor not in anchors(path.read_text(encoding="utf-8")):
            broken.append(target)
        tally.count("local links followed")
    assert broken == []


@pytest.mark.parametrize("name", NAMES)
def test_names_in_backticks_exist(name):
    """`gd.optim.Adam(1e-3)`, `gd.GPT.load`: each leads to something."""
    missing = []
    for span in SPAN.findall(prose(TEXTS[name])):
        for path in re.findall(r"(?<![\w.])gd((?:\.[A-Za-z_]\w*)+)", span):
            try:
                reduce(getattr, path[1:].split("."), gd)
            except AttributeError:
                missing.append(span)
            tally.count("names in pages looked up")
    assert missing == []


FILE = re.compile(r"[\w./-]*\w\.(?:py|pyx|pxd|h|md|toml|txt|svg)")


def is_there(file, page):
    """From the root, from the page, or, of a name alone, anywhere below src and gdcore."""
    if (ROOT / file).exists() or (page.parent / file).exists():
        return True
    return "/" not in file and any(any((ROOT / part).rglob(file)) for part in ("src", "gdcore"))


TIMELESS = [n for n in NAMES if n != "CHANGELOG.md" and "decisions" not in n]  # they tell of then


@pytest.mark.tree
@pytest.mark.parametrize("name", TIMELESS)
def test_files_in_backticks_exist(name):
    files = [span for span in SPAN.findall(prose(TEXTS[name])) if FILE.fullmatch(span)]
    assert [f for f in files if "NNNN" not in f and not is_there(f, ROOT / name)] == []


def test_names_in_backticks_exist_in_docstrings_too(monkeypatch):
    for path in (ROOT / "gdcore").rglob("*.py"):
        spans = re.findall(r"`gd\.[^`\n]+`", path.read_text(encoding="utf-8"))
        monkeypatch.setitem(TEXTS, path.name, " ".join(spans))
        test_names_in_backticks_exist(path.name)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_are_run_or_checked(name):
    kinds = {kind for kind, _ in BLOCK.findall(TEXTS[name])}
    assert kinds <= {"", "python", "sh", "text", "toml", "yaml", "json"}
    for kind, body in BLOCK.findall(TEXTS[name]):
        assert kind or not re.search(r"^(>>> |import |from |\$ )", body, re.M), body
    assert TEXTS[name].count("```") == 2 * len(BLOCK.findall(TEXTS[name]))


@pytest.mark.parametrize("name", [n for n in NAMES if "```python" in TEXTS[n]])
def test_python_runs(name, tmp_path, monkeypatch):
    """Here, block after block, where no test of the page's own does."""
    if name in OWN:
        text = (Path(__file__).parent / f"{OWN[name]}.py").read_text(encoding="utf-8")
        assert f'"{Path(name).name}"' in text
        assert "exec(compile(" in text
        return
    monkeypatch.chdir(tmp_path)
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, (kind, block) in enumerate(BLOCK.findall(TEXTS[name])):
            if kind == "python":
                exec(compile(block, f"{name}, block {number}", "exec"), names)


MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.M))
EXTRAS = set(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
)


def commands(text):
    """Lines for a shell: those of blocks, and those in backticks that begin like one."""
    for kind, body in BLOCK.findall(text):
        if kind == "sh":
            yield from filter(None, body.replace("\\\n", " ").splitlines())
    for span in SPAN.findall(prose(text)):
        if re.match(r"(make|gdcore|pip|python) [^ (=]", span):
            yield span


def wrong(line):
    """What is wrong with a line for a shell, or None."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words.pop(0)  # GDCORE_THOROUGH=1 make …
    if not words:
        return None
    words = words[: next((i for i, word in enumerate(words) if word in "<>|&&"), len(words))]
    if any("…" in word for word in words):  # goes on with what one likes
        words = [word for word in words if "…" not in word]
    return CHECKS.get(words[0], lambda words: f"{words[0]} is no command known here")(words)


def _make(words):
    missing = [word for word in words[1:] if "=" not in word and word not in TARGETS]
    return f"the Makefile has no {missing}" if missing else None


def _gdcore(words):
    try:
        cli._parser().parse_args(words[1:])
    except SystemExit as ended:  # --help
        return None if not ended.code else "gdcore refuses it"
    except ValueError as error:
        named = len(words) < 5 and re.search("required|expected one argument", str(error))
        return None if named else str(error)  # `gdcore train --report` names what it is about
    return None


def _pip(words):
    asked = [re.fullmatch(r"(?:gdcore|\.)\[(.*)\]", word) for word in words]
    missing = [m[1] for m in asked if m and not set(m[1].split(",")) <= EXTRAS]
    return f"there is no extra {missing}" if missing else None


def _python(words):
    script = next((word for word in words[1:] if not word.startswith("-")), None)
    if words[1] == "-m":
        path = ROOT / words[2].replace(".", "/")
        known = path.with_suffix(".py").exists() or path.is_dir() or words[2] in ("pytest", "build")
        return None if known else f"there is no module {words[2]}"
    return None if script and (ROOT / script).exists() else f"there is no {script}"


def _pytest(words):
    missing = [w for w in words[1:] if w.startswith("tests") and not (ROOT / w).exists()]
    return f"there is no {missing}" if missing else None


CHECKS = {"make": _make, "gdcore": _gdcore, "pip": _pip, "python": _python, "pytest": _pytest}


@pytest.mark.tree
@pytest.mark.parametrize("name", NAMES)
def test_shell_lines_are_right(name):
    for line in commands(TEXTS[name]):
        assert wrong(line) is None, f"{name}: {line}"
        tally.count("lines for a shell checked")


@pytest.mark.parametrize(
    "line",
    ["make tests", "gdcore trains", "gdcore train a.csv --targets b", "pip install gdcore[plots]",
     "python benchmarks/none.py", "python -m gdcore.none", "gdcore gpt generate a --topk 2",
     "pytest tests/none", "rm -rf /"],
)  # fmt: skip
def test_a_wrong_line_is_found(line):
    assert wrong(line)


def test_what_the_command_line_shows_is_right():
    shown = [
        text for name, text in vars(cli).items() if name.isupper() and "examples:" in str(text)
    ]
    lines = [line.strip() for text in shown for line in text.splitlines() if "  gdcore " in line]
    assert len(lines) > 10
    assert [line for line in lines if wrong(line)] == []


@pytest.mark.tree
def test_the_tree_in_the_readme_names_files_that_are_there():
    (tree,) = [body for kind, body in BLOCK.findall(TEXTS["README.md"]) if not kind]
    names = re.findall(r"[\w-]+\.(?:pyx|pxd|py|h|md)\b", tree)
    assert len(names) > 50
    known = {path.name for part in ("gdcore", "src", "docs") for path in (ROOT / part).rglob("*")}
    assert sorted(set(names) - known) == []


def test_a_broken_link_is_found(monkeypatch):
    monkeypatch.setitem(TEXTS, "README.md", "# A b\n\n[x](docs/none.md) [y](#a-b) [z](#c)\n")
    with pytest.raises(AssertionError, match=r"docs/none.md.*#c"):
        test_links_lead_somewhere("README.md")
    monkeypatch.setitem(TEXTS, "README.md", "`gd.optim.Adams(1e-3)` `gd.optim.Adam`")
    with pytest.raises(AssertionError, match="Adams"):
        test_names_in_backticks_exist("README.md")
