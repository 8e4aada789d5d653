"""The public names and signatures, one a line: what tests/trust/api.txt holds.

`python -m tests.trust.api --write` writes the list anew. It refuses to where users would meet an
error that they did not meet before: where a name is missing or an argument has another place,
unless tests/trust/gone.txt tells how it was announced.
"""

import argparse
import ast
import enum
import sys
import warnings
from pathlib import Path

import numpy as np

import gdcore as gd
from gdcore import cli, files, trace
from gdcore.callbacks import checkpoints
from gdcore.models import gpt_files
from tests.kernels.twins import HOME, PLAIN
from tests.public import function_of, has_signature, members, public, signature

STORED = Path(__file__).with_name("api.txt")
GONE = Path(__file__).with_name("gone.txt")
FREE = "gdcore.kernels."  # names there may change in any version: CONTRIBUTING.md
NEEDED, ABSTRACT = ": required", ": abstract"  # what a caller, and what a subclass, must give
HEAD = "# Written by `make api`. Read in CONTRIBUTING.md what may change, and how.\n"


def lines_of(name, known):
    """The lines of one public thing, its members after it."""
    path, value = name.path, name.value
    if isinstance(value, type):
        yield from class_lines(path, value, known)
    elif path.startswith(FREE) and name.name in HOME:
        yield f"{path}{signature(getattr(PLAIN[HOME[name.name]], name.name))}"
    elif callable(value):
        yield f"{path}{signature(value)}"
    else:
        yield f"{path}: {type(value).__name__}"


def class_lines(path, kind, known):
    if issubclass(kind, enum.Enum):
        yield from (f"{path}.{each.name}: member" for each in kind)
    elif has_signature(kind):
        yield f"{path}{signature(kind)}"
    else:
        bases = [base.__name__ for base in kind.__bases__ if base.__module__ != "typing"]
        yield f"{path}: {', '.join(bases)}"
    for name, attribute in members(kind, known):
        if name not in getattr(kind, "__members__", ()):
            yield f"{path}.{name}{_kind_of(attribute)}"


def _kind_of(attribute):
    function = function_of(attribute)
    if isinstance(attribute, property):
        return ": property"
    if function is None:
        return ": attribute"
    text = str(signature(function, bound=not isinstance(attribute, staticmethod)))
    return text + ABSTRACT * getattr(function, "__isabstractmethod__", False)


def fitted():
    """What a fit leaves: attributes of estimators, keys of results, columns of traces."""
    X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 1, 0, 1])
    short = {"max_epochs": 1, "tol": 0}
    gpt = gd.GPT(n_layer=1, n_head=1, n_embd=4, block_size=4, tokenizer="bytes")
    models = [gpt.fit("abcd" * 9, max_steps=1, validation=None)]
    models += [getattr(gd, name)(**short).fit(X, y) for name in gd.models.__all__]
    for model in models:
        names = sorted(n for n in dir(model) if n.endswith("_") and not n.startswith("_"))
        yield from (f"gdcore.{type(model).__name__}.{name}: fitted" for name in names)
    results = {f"gdcore.{type(model).__name__}": model.result_ for model in models}
    results["gdcore.minimize"] = gd.minimize(lambda x: (x @ x, 2 * x), [1.0])
    for path, result in sorted(results.items()):
        yield from (f"{path} gives Result.{key}" for key in sorted(result))
    yield from (f"gdcore.trace.Trace.{name}: column" for name in trace.COLUMNS)
    yield from (f"gdcore.trace.LayerTrace.{n}: column" for n in ("step", *trace.LayerTrace.KINDS))
    made = {
        "gdcore.trace.Trace": trace.Trace(),
        "gdcore.trace.LayerTrace": trace.LayerTrace([]),
        "gdcore.diagnose.findings.Findings": gd.doctor(results["gdcore.minimize"]),
        "gdcore.optim.Updater": gd.optim.SGD().bind(np.ones(2)),
        "gdcore.Parameters": gd.Parameters({"w": (2,)}),
        "gdcore.tokenizers.Characters": gd.tokenizers.Characters("ab"),
        "gdcore.tokenizers.BPE": gd.tokenizers.BPE.train("abab" * 9, 257),
    }
    for path, thing in made.items():
        names = sorted(name for name in vars(thing) if not name.startswith("_"))
        yield from (f"{path}.{name}: attribute" for name in names)


def commands(parser=None, words=("gdcore",)):
    """Every command with its arguments and their defaults."""
    parser = parser or cli._parser()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from commands(inner, (*words, name))
        elif not isinstance(action, argparse._HelpAction):
            names = " ".join(action.option_strings) or action.dest
            fixed = "" if action.default in (None, argparse.SUPPRESS) else f" = {action.default!r}"
            must = NEEDED if action.required else ""
            yield f"{' '.join(words)}: {names}{fixed}{must}"


def formats():
    """What files say of themselves: a reader that finds another mark refuses."""
    yield f"gd.save: format {files.FORMAT}"
    yield f"GPT.save: {gpt_files.MODEL}"
    yield f"a checkpoint of GPT.fit: {gpt_files.CHECKPOINT}"
    yield from (f"gd.callbacks.Checkpoint holds {each}" for each in ("theta", *checkpoints.NUMBERS))


def current():
    """All lines, in the order of the file."""
    listed, seen = [], {}
    found = public()
    known = {each.value for each in found if isinstance(each.value, type)}
    for name in found:
        if callable(name.value) and id(name.value) in seen:
            listed.append(f"{name.path} is {seen[id(name.value)]}")
            continue
        seen[id(name.value)] = name.path
        listed += lines_of(name, known)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fit of one epoch is not done
        listed += fitted()
    return [*listed, *commands(), *formats()]


def stored():
    """The lines of the list in the repository."""
    text = STORED.read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def gone():
    """{line or name that left: (deprecated since, gone with, what to use)}."""
    left = {}
    for line in GONE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            since, until, name, instead = (part.strip() for part in line.split("|"))
            left[name] = since, until, instead
    return left


def split(line):
    """(what it is of, its arguments or None)."""
    line = line.removesuffix(NEEDED)  # who gives it may go on to
    name, bracket, rest = line.partition("(")
    if not bracket or " " in name:
        return line, None
    return name, arguments(rest.rpartition(")")[0])


def arguments(text):
    """(by place, by name alone, whether *args, whether **kwargs) of a signature's text."""
    found = ast.parse(f"def f({text}): pass").body[0].args
    unparsed = [ast.unparse(each) for each in found.defaults]
    by_place = [each.arg for each in (*found.posonlyargs, *found.args)]
    without = [None] * (len(by_place) - len(unparsed))
    by_name = {
        each.arg: value and ast.unparse(value)
        for each, value in zip(found.kwonlyargs, found.kw_defaults, strict=True)
    }
    places = list(zip(by_place, [*without, *unparsed], strict=True))
    return places, by_name, found.vararg is not None, found.kwarg is not None


def fits(old, new):
    """Whether every call that was right by the old signature is right by the new one, and the same.

    More arguments may come: by place after the others, with a default; by name with a default.
    What is free for any argument stays so.
    """
    if old is None or new is None:
        return old == new
    places, names, rest, more = old
    new_places, new_names, new_rest, new_more = new
    later = dict(new_places[len(places) :]) | new_names
    return (
        new_places[: len(places)] == places
        and names.items() <= later.items()
        and all(later[name] is not None for name in later.keys() - names.keys())
        and (new_rest or not rest)
        and (new_more or not more)
    )


def broken(old, new, left=()):
    """Lines of the old list that users may miss in the new one."""
    now = dict(map(split, new))
    missed = []
    for line in old:
        name, given = split(line)
        if name.startswith(FREE) or name in left or line in left:
            continue
        if name not in now or not fits(given, now[name]):
            missed.append(line)
    return missed


def demanded(old, new):
    """New lines that ask of those who call, or subclass, what was not asked before."""
    owners = {owner(line) for line in old}
    asked = [line for line in new if line.endswith((NEEDED, ABSTRACT)) and line not in old]
    return [line for line in asked if owner(line) in owners]


def owner(line):
    """The command or class that a line is of."""
    command, colon, _ = line.partition(": ")
    return command if line.startswith("gdcore ") and colon else split(line)[0].rpartition(".")[0]


def main():
    new, old = current(), stored() if STORED.exists() else []
    missed = broken(old, new, gone()) + demanded(old, new)
    if missed:
        print("These would be missed, called in vain, or are asked for anew:", *missed, sep="\n  ")
        print(f"Let them go by CONTRIBUTING.md's way, and tell of it in {GONE.name}.")
    elif "--write" in sys.argv:
        STORED.write_text(HEAD + "\n".join(new) + "\n", encoding="utf-8")
        print(f"{len(new)} lines, {len(set(new) - set(old))} of them new")
    else:
        print(*new, sep="\n")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
