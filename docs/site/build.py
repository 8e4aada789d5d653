"""Build the site: `python docs/site/build.py` writes build/docs/index.html; warnings are errors.

The pages are those of the repository, where they link to each other by relative paths that work on
GitHub: they are put together as they lie there, with the README as the first page and the
reference beside them.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(Path(__file__).parent))

import reference  # noqa: E402

SOURCE, SITE = ROOT / "build" / "docs-source", ROOT / "build" / "docs"
ORDER = ("learning-loop", "linear", "networks", "optimizers", "gpt", "doctor", "gallery")
FENCE = re.compile(r"(?ms)^(`{3,}).*?^\1[ ]*$|^#+ .*?$|\[[^\]\n]*\]\([^)\n]*\)|<!--.*?-->")


def prose(text, change):
    """Text in which `change` had what stands outside of code, headings and links."""
    done, end = [], 0
    for match in FENCE.finditer(text):
        done += [change(text[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*done, change(text[end:])])


def page(path, names):
    """A page of the repository; names in backticks lead to the reference."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\]\(((?:\.\./)*)README\.md", r"](\1index.md", text)
    return prose(text, lambda part: reference.linked(part, names))


def decisions(names):
    """(name, page) of each decision, with a list of them."""
    files = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    entries = "\n".join(file.stem for file in files)
    contents = f"```{{toctree}}\n:maxdepth: 1\n\n{entries}\n```\n"
    told = "Where the code departs from its design, and why.\n\n"
    yield "index", f"# Decisions\n\n{told}{contents}"
    for file in files:
        yield file.stem, page(file, names)


def contents():
    """The site's order: pages that are not named here come after those that are."""
    others = {file.stem for file in (ROOT / "docs").glob("*.md")} - {*ORDER}
    guide = "\n".join(f"docs/{name}" for name in (*ORDER, *sorted(others)))
    return f"""

```{{toctree}}
:hidden:
:caption: Guide

{guide}
```

```{{toctree}}
:hidden:
:caption: Reference

reference/index
```

```{{toctree}}
:hidden:
:caption: Project

CHANGELOG
CONTRIBUTING
SECURITY
docs/decisions/index
```
"""


def gather():
    """Put the site's sources together."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    names = reference.Names()
    texts = {
        "index": page(ROOT / "README.md", names) + contents(),
        "CHANGELOG": page(ROOT / "CHANGELOG.md", names),
        "CONTRIBUTING": page(ROOT / "CONTRIBUTING.md", names),
        "SECURITY": page(ROOT / "SECURITY.md", names),
    }
    for file in (ROOT / "docs").glob("*.md"):
        texts[f"docs/{file.stem}"] = page(file, names)
    texts |= {f"docs/decisions/{name}": text for name, text in decisions(names)}
    texts |= {f"reference/{name}": text for name, text in reference.pages().items()}
    for name, text in texts.items():
        path = SOURCE / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for picture in (ROOT / "docs").rglob("*.svg"):
        copy = SOURCE / picture.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, copy)
    (SOURCE / "_static").mkdir()
    shutil.copy(Path(__file__).with_name("site.css"), SOURCE / "_static")
    shutil.copy(Path(__file__).with_name("conf.py"), SOURCE)


def foreign(site):
    """What pages would load from other hosts: nothing, so that they work without a network."""
    loads = r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=["'](?:https?:)?//[^"']*"""
    styles = r"""(?:@import|url\()[^;)]*?(?:https?:)?//[^;)]*"""
    for path in site.rglob("*"):
        pattern = {".html": loads, ".css": styles}.get(path.suffix)
        if pattern:
            for found in re.findall(pattern, path.read_text(encoding="utf-8")):
                yield f"{path.relative_to(site)}: {found}"


def main():
    from sphinx.cmd.build import main as sphinx

    gather()
    shutil.rmtree(SITE, ignore_errors=True)
    cache = ROOT / "build" / "docs-cache"
    shutil.rmtree(cache, ignore_errors=True)
    options = ["-q", "-W", "--keep-going", "-d", str(cache), "-b", "html"]
    failed = sphinx([*options, str(SOURCE), str(SITE)])
    loaded = list(foreign(SITE))
    print(*loaded or [f"{SITE / 'index.html'}"], sep="\n")
    return failed or bool(loaded)


if __name__ == "__main__":
    sys.exit(main())
