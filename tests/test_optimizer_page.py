"""docs/optimizers.md: its examples run, no rule is missing, its conventions are the code's."""

import re
from pathlib import Path

import pytest

import gdcore as gd

PAGE = Path(__file__).parents[1] / "docs" / "optimizers.md"
if not PAGE.exists():
    pytest.skip("a wheel is under test, without its docs", allow_module_level=True)
TEXT = PAGE.read_text(encoding="utf-8")
LIBRARIES = ("torch", "optax", "keras", "sklearn")
BEGIN, END = "<!-- conventions:begin -->\n", "<!-- conventions:end -->"


def conventions():
    """The table that stands between the marks."""
    lines = [f"| rule | {' | '.join(LIBRARIES)} |", "| --- |" + " --- |" * len(LIBRARIES)]
    for name in sorted(gd.optim.__all__):
        known = getattr(getattr(gd.optim, name), "conventions", {})
        cells = [
            "–" if library not in known
            else ", ".join(f"{k}={v!r}" for k, v in known[library].items()) or "as here"
            for library in LIBRARIES
        ]  # fmt: skip
        if known:
            lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def test_every_rule_has_its_line():
    rows = re.findall(r"^\| `(\w+)` \|", TEXT.partition("## Conventions")[0], re.M)
    assert sorted(rows) == sorted(gd.optim.__all__)


def test_the_conventions_are_the_codes():
    block = TEXT.partition(BEGIN)[2].partition(END)[0]
    assert block == conventions(), f"paste this between the marks:\n{conventions()}"


def test_transforms_and_schedules_are_named():
    for name in gd.schedules.__all__:
        assert f"`{name}`" in TEXT or name == "Joined"
    for name in ("ClipNorm", "ClipValue", "AdaptiveClip", "Noise", "Accumulate", "SkipNonFinite",
                 "ZeroNonFinite", "Decay", "EMA", "PolyakAverage", "Lookahead"):  # fmt: skip
        assert f"`{name}(" in TEXT


def test_the_examples_run(capsys):
    pytest.importorskip("scipy")
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert len(blocks) > 8
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "[0.99 0.99]" or out[0].startswith("[1.")
    assert out[1].startswith("[1. 1.] max |∂f/∂x| = ")
    assert "[ 3 77]" in out
    assert out[-1] == "True"


if __name__ == "__main__":
    print(conventions())
