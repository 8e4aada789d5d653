"""docs/optimizers.md: its examples run, no rule is missing, its conventions are the code's."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

import gdcore as gd

PAGE = Path(__file__).parents[1] / "docs" / "optimizers.md"
if not PAGE.exists():
    pytest.skip("a wheel is under test, without its docs", allow_module_level=True)
TEXT = PAGE.read_text(encoding="utf-8")
LIBRARIES = ("torch", "optax", "keras", "sklearn")
BEGIN, END = "<!-- conventions:begin -->\n", "<!-- conventions:end -->"
RULES = {name: getattr(gd.optim, name) for name in sorted(gd.optim.__all__)}


def section(title):
    """The text from one heading to the next."""
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def cells(line):
    """What stands between the bars of a table's line."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def rows(text):
    """The cells of every line that begins with a name in code, by that name."""
    lines = re.findall(r"^\| `\w+`.*\|$", text, re.M)
    return {cells(line)[0].strip("`"): cells(line)[1:] for line in lines}


def values(rule, names):
    return ", ".join(str(getattr(rule, name)) for name in names)


def conventions():
    """The table between the marks: keywords on which libraries differ, and their values."""
    heads = ("rule", "keywords", "here", *LIBRARIES)
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for name, kind in RULES.items():
        known = getattr(kind, "conventions", {})
        changed = {keyword for settings in known.values() for keyword in settings}
        differ = [
            field.name
            for field in dataclasses.fields(kind)
            if field.name in changed
            and any(getattr(kind(like=each), field.name) != field.default for each in known)
        ]
        answers = [values(kind(like=e), differ) if e in known else "–" for e in LIBRARIES]
        if differ:
            keywords = ", ".join(f"`{keyword}`" for keyword in differ)
            lines.append(
                f"| `{name}` | {keywords} | {values(kind(), differ)} | {' | '.join(answers)} |"
            )
    return "\n".join(lines) + "\n"


def test_every_rule_has_its_line():
    assert sorted(rows(section("The rules"))) == sorted(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_rules_line_is_true(name):
    formula, state, made, source, when = rows(section("The rules"))[name]
    assert formula
    assert when
    assert re.search(r"\b(1[89]|20)\d\d\b", source), "a source has a year"
    assert (made == "compiled") == issubclass(RULES[name], gd.optim.Rule)
    assert made in ("compiled", "parts", "NumPy")
    n = 1000
    arrays = RULES[name]().init(np.ones(n)).values()
    vectors = sum(array.size for array in arrays) // n
    assert state == ("rows + columns" if name == "Adafactor" else str(vectors))


def test_the_conventions_are_the_codes():
    block = TEXT.partition(BEGIN)[2].partition(END)[0]
    assert block == conventions(), f"paste this between the marks:\n{conventions()}"


def test_every_library_of_like_is_named():
    known = {library for kind in RULES.values() for library in getattr(kind, "conventions", {})}
    for library in known - set(LIBRARIES):
        assert f'(like="{library}")' in section("Conventions")


def test_every_keyword_of_a_convention_is_explained():
    keywords = rows("| " + section("Conventions").partition("| keyword |")[2])
    explained = set(re.findall(r"`(\w+)`", " ".join(f"`{names}`" for names in keywords)))
    used = {
        keyword
        for kind in RULES.values()
        for settings in getattr(kind, "conventions", {}).values()
        for keyword in settings
    }
    modes = {"dampening", "lr_decay", "centered", "threshold", "decay_mode"}
    assert used | modes <= explained
    fields = {field.name for kind in RULES.values() for field in dataclasses.fields(kind)}
    assert used | modes <= fields


def test_transforms_are_named_with_their_settings():
    listed = re.findall(r"^\| `(\w+)\((.*?)\)` \|", section("Around the rule"), re.M)
    kinds = {
        name: kind
        for name in dir(gd.optim)
        if isinstance(kind := getattr(gd.optim, name), type)
        and issubclass(kind, gd.optim.Transform)
    }
    del kinds["Transform"]
    assert sorted(name for name, _ in listed) == sorted(kinds)
    for name, settings in listed:
        names = [field.name for field in dataclasses.fields(kinds[name])]
        assert settings == ", ".join(names)


def test_every_schedule_has_its_line_and_number():
    lines = rows(section("Schedules"))
    assert sorted(lines) == sorted(gd.schedules.__all__)
    for name, (formula, example) in lines.items():
        call, _, value = re.fullmatch(r"`(.*)`( = )(\S+)", example).groups()
        names = {each: getattr(gd.schedules, each) for each in gd.schedules.__all__}
        assert formula
        assert name in call or name == "Joined"
        assert eval(call, names) == pytest.approx(float(value), abs=1e-12)


def test_the_criteria_are_statuses():
    table = section("minimize").partition("| criterion |")[2].partition("\n\n")[0]
    statuses = re.findall(r"`([A-Z]+)`", table)
    assert len(statuses) >= 6
    assert all(hasattr(gd.Status, status) for status in statuses)


def test_links_lead_to_headings():
    heads = {head.lower().replace(" ", "-") for head in re.findall(r"^## (.+)$", TEXT, re.M)}
    assert set(re.findall(r"\]\(#(.*?)\)", TEXT)) <= heads


def test_the_examples_run(capsys):
    pytest.importorskip("scipy")
    names, said = {}, []
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert len(blocks) > 12
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
        said.append(capsys.readouterr().out)
    out = "".join(said).splitlines()
    assert out[0] == "[1. 1.]"
    assert out[1].startswith("[1. 1.] max |∂f/∂x| = ")
    assert "[ 3 77]" in out
    assert "{'scale': 5.0, 'rate': 1.3}" in "".join(said)
    assert any(line.startswith("[-2.904 -2.904] [-78.33 ") for line in out)
    assert "True ITERATIONS" in out
    assert out[-1] == "True"
    assert "False" not in out


if __name__ == "__main__":
    print(conventions())
