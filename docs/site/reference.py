"""The API reference: every public name, by its signature and its docstring, as Markdown for MyST.

Docstrings are written for `help()`: numpydoc's sections over plain text with names in backticks.
Here they get a signature, anchors, and links from one to another.
"""

import dataclasses
import enum
import inspect
import os
import re
import types
from contextlib import redirect_stdout
from io import StringIO

from gdcore import cli
from tests.public import (
    FURTHER,
    function_of,
    has_signature,
    members,
    modules,
    public,
    signature,
)

# What an estimator, a function or a layer of one's own meets beneath them.
BENEATH = ("gdcore.data", "gdcore.models", "gdcore.layers.base")
SECTION = re.compile(r"(?m)^([A-Z][a-z]+)\n-{3,}\n")
SPAN = re.compile(r"`([^`\n]+)`")


class Names:
    """Where a name between backticks leads: to the one thing that it can mean, or nowhere."""

    def __init__(self):
        self.objects, self.last = {}, {}
        self.seen = {}  # id of a thing: its first path
        known = {each.value for each in public() if isinstance(each.value, type)}
        for each in public():
            if callable(each.value) and id(each.value) in self.seen:
                continue
            self.seen[id(each.value)] = each.path
            self._add(each.path, each.name)
            if isinstance(each.value, type):
                self._add_members(each, known)
        for path in modules():
            if path != "gdcore":
                self.objects[path] = path

    def _add(self, path, name):
        self.objects[path] = path
        self.last.setdefault(name, set()).add(path)

    def _add_members(self, each, known):
        names = [name for name, _ in members(each.value, known)]
        if issubclass(each.value, enum.Enum):
            names += [member.name for member in each.value]
        for name in names:
            self.objects[f"{each.path}.{name}"] = f"{each.path}.{name}"
            self.last.setdefault(f"{each.name}.{name}", set()).add(f"{each.path}.{name}")

    def find(self, text, module=None):
        """The path of what `text` names, with or without arguments; None where it names nothing."""
        match = re.fullmatch(r"([A-Za-z_][\w.]*)(\(.*\))?", text)
        if not match:
            return None
        name = match[1]
        if name.startswith("gd."):
            return self.dotted("gdcore." + name[3:])
        if name in self.objects:
            return name
        if match[2] and not self.takes(name, match[2]):
            return None  # another library's thing of that name
        for home in (module, "gdcore"):
            if f"{home}.{name}" in self.objects:
                return f"{home}.{name}"
        found = self.last.get(name, ())
        return next(iter(found)) if len(found) == 1 and name[0].isupper() else None

    def takes(self, name, given):
        """Whether the public thing of that name has arguments that are called so."""
        keywords = set(re.findall(r"(?<=[(,])\s*(\w+)=", given))
        return (
            any(
                keywords <= {k.strip("*") for k in signature(each.value).parameters}
                for each in public()
                if each.name == name and callable(each.value)
            )
            or not keywords
        )

    def dotted(self, path):
        """`path` where it is known, also by its second name, or by that of an inherited method."""
        if path in self.objects:
            return path
        for each in public():
            if path == each.path:
                return self.seen[id(each.value)]
            if path.startswith(each.path + ".") and isinstance(each.value, type):
                name = path.removeprefix(each.path + ".")
                for base in each.value.__mro__:
                    inherited = f"{self.seen.get(id(base))}.{name}"
                    if inherited in self.objects:
                        return inherited
        return None


def linked(text, names, module=None, but=None):
    """Text with its names in backticks made links."""

    def link(match):
        path = names.find(match[1], module)
        if path is None or path == but:
            return match[0]
        return f"{{py:obj}}`{match[1]} <{path}>`"

    return SPAN.sub(link, text)


def plain(text, names, module, but=None):
    """A paragraph of a docstring: nothing in it is markup but what stands in backticks."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    parts[::2] = [re.sub(r"([\\*_<\[\]{}|~#$^])", r"\\\1", part) for part in parts[::2]]
    text = "".join(parts)
    text = re.sub(r"^([-+]|\d+[.)])(?=\s)", r"\\\1", text)
    return linked(text, names, module, but)


def paragraphs(text, names, module, but=None):
    found = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(plain(each, names, module, but) for each in found if each.strip())


def entries(text, names, module):
    """`name : what it is`, and what is told of it in the lines after it, as definitions."""
    if "\n " not in text and re.match(r"\w+_ : ", text):  # a_ : array, b_ : float, all in a row
        text = re.sub(r", (?=\w+_ : )", "\n", " ".join(text.split()))
        bare = r", (\w+_(?:, \w+_)*)$"
        text = re.sub(bare, lambda m: "\n" + re.sub(r"\w+", r"`\g<0>`", m[1]), text)
    blocks = re.split(r"\n(?=\S)", text.strip("\n"))
    written = []
    for block in blocks:
        head, _, rest = block.partition("\n")
        told = paragraphs(inspect.cleandoc(rest), names, module) if rest.strip() else ""
        if " : " not in head and not told:
            if written and not written[-1].startswith("\n`"):
                written[-1] += " " + plain(head, names, module)
            else:
                written.append("\n" + plain(head, names, module))
            continue
        term, _, what = head.partition(" : ")
        what = plain(what, names, module)
        new = not told or told[0].isupper() or told[0] in '`{"('
        joined = f"{what}\\\n{told}" if what and told and new else f"{what} {told}".strip()
        terms = ", ".join(f"`{each.strip()}`" for each in term.split(", "))
        written.append(f"\n{terms}\n: " + joined.replace("\n", "\n  "))
    return "\n".join(written)


def docstring(text, names, module, but=None):
    """A docstring as Markdown."""
    first, *rest = SECTION.split(inspect.cleandoc(text or ""))
    written = [paragraphs(first, names, module, but)]
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        written.append(f":::{{rubric}} {title}\n:::")
        if title == "Example":
            code = re.sub(r"  # doctest: .*", "", body.strip())
            written.append(f"```pycon\n{code}\n```")
        elif title in ("Notes", "References"):
            written.append(paragraphs(body, names, module))
        else:
            written.append(entries(body, names, module))
    return "\n\n".join(each for each in written if each)


def fields(kind, names, module):
    """What a dataclass says of its fields in comments beside them, where its docstring does not."""
    told = "Parameters\n" in (kind.__doc__ or "")
    if told or not (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields")):
        return ""
    found = re.findall(r"(?m)^    (\w+): [^#\n]*  # (.+)$", inspect.getsource(kind))
    entries = [f"`{name}`\n: {plain(what, names, module)}" for name, what in found]
    return "\n\n".join([":::{rubric} Fields\n:::", *entries]) if entries else ""


def directive(kind, head, body, depth, options=()):
    """A directive of Sphinx's Python domain; an outer one has the longer fence."""
    fence = ":" * (9 - 2 * depth)
    return "\n".join([f"{fence}{{py:{kind}}} {head}", *options, "", body, "", fence, ""])


def written(each, names, known):
    """One public thing with its members."""
    value, path, module = each.value, each.path, each.module
    if not isinstance(value, type):
        if callable(value):
            body = docstring(value.__doc__, names, module, path)
            return directive("function", f"{path}{signature(value)}", body, 0)
        return directive("data", path, f"= `{value!r}`", 0)
    kind = "exception" if issubclass(value, Exception) else "class"
    head = f"{path}{signature(value)}" if has_signature(value) else path
    bases = [names.seen[id(base)] for base in value.__mro__[1:] if base in known]
    body = [f"A {{py:obj}}`{bases[0]}`."] if bases else []
    text, more = docstring(value.__doc__, names, module, path), fields(value, names, module)
    before, mark, example = text.partition(":::{rubric} Example")
    body += [before, more, mark + example]
    if issubclass(value, enum.Enum):
        body += [
            directive("attribute", f"{path}.{m.name}", plain(m.value, names, module), 1)
            for m in value
        ]
    body += [member(path, name, what, names, module) for name, what in members(value, known)]
    return directive(kind, head, "\n\n".join(filter(None, body)), 0)


def member(path, name, attribute, names, module):
    function, head = function_of(attribute), f"{path}.{name}"
    if function is None:
        return "" if isinstance(attribute, enum.Enum) else directive("attribute", head, "", 1)
    body = docstring(function.__doc__, names, module, head)
    if isinstance(attribute, property):
        return directive("property", head, body, 1)
    if not body and name.startswith("__"):
        return ""
    static, of_class = isinstance(attribute, staticmethod), isinstance(attribute, classmethod)
    options = [":staticmethod:"] * static + [":classmethod:"] * of_class
    return directive("method", f"{head}{signature(function, not static)}", body, 1, options)


def pages():
    """{file name: Markdown} of the reference, with its own table of contents."""
    names, found = Names(), public()
    known = {each.value for each in found if isinstance(each.value, type)}
    groups = {
        "estimators": ("Estimators", lambda e: e.module == "gdcore" and hasattr(e.value, "fit")),
        "functions": ("Functions, and what they give back", lambda e: e.module in (
            "gdcore", *FURTHER) and not e.module.startswith(BENEATH)),
    }  # fmt: skip
    for path, module in modules().items():
        if isinstance(module, types.ModuleType) and path != "gdcore":
            groups[path.removeprefix("gdcore.")] = f"gd.{path[7:]}", _of(path)
    groups["beneath"] = "Beneath the estimators", lambda e: e.module.startswith(BENEATH)
    texts, left = {}, found
    for name, (title, belongs) in groups.items():
        own = [each for each in left if belongs(each)]
        left = [each for each in left if not belongs(each)]
        texts[name] = _page(name, title, own, names, known)
    assert not left, f"no page has {left}"
    texts["command-line"] = command_line()
    contents = "\n".join(texts)
    texts["index"] = (
        f"# API reference\n\n{INTRODUCTION}\n```{{toctree}}\n:maxdepth: 1\n\n{contents}\n```\n"
    )
    return texts


INTRODUCTION = """Every public name, made from its docstring; `import gdcore as gd`. What may change
from one version to the next is said in [CONTRIBUTING](../CONTRIBUTING.md#what-may-change).
"""


def _of(path):
    return lambda each: each.module == path


def _page(name, title, own, names, known):
    module = modules().get(f"gdcore.{name}")
    text = [f"# {title}"]
    if module:
        text.append(f":::{{py:module}} gdcore.{name}\n:::\n:::{{py:currentmodule}} None\n:::")
        text.append(docstring(module.__doc__, names, module.__name__))
    for each in own:
        first = names.seen.get(id(each.value), each.path)
        if callable(each.value) and first != each.path:
            text.append(f"`{each.path}` is {{py:obj}}`{first}`.")
        else:
            text.append(written(each, names, known))
    return "\n\n".join(text) + "\n"


def command_line():
    """What `gdcore --help` says, of each command."""
    os.environ["COLUMNS"] = "88"
    text = ["# Command line"]
    for words in ((), ("demo",), ("info",), ("train",), ("predict",), ("gpt",), ("gpt", "train"),
                  ("gpt", "generate")):  # fmt: skip
        said = StringIO()
        with redirect_stdout(said):
            cli.main([*words, "--help"])
        title = " ".join(["gdcore", *words])
        text.append(f"## {title}\n\n```text\n{said.getvalue().rstrip()}\n```")
    return "\n\n".join(text) + "\n"
