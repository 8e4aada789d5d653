"""docs/doctor.md: its example runs, and its list and table are those of the code."""

import re
from pathlib import Path

import pytest

from tests.diagnose.problems import HEALTHY, ILL

PAGE = Path(__file__).parents[1] / "docs" / "doctor.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="a wheel is under test, without its docs")
SEEDS = 20
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""


def test_the_example_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(block, "doctor.md", "exec"), {})
    said = capsys.readouterr().out
    assert said.startswith("diverging\n  symptom ")
    assert float(said.strip().splitlines()[-1]) == pytest.approx(2.1, rel=0.01)


def test_the_table_names_every_illness():
    planted = {illness for illness, _ in ILL.values()}
    rows = re.findall(r"^\| ([a-z -]+) \| \d+ \| \d+ \| \d+ \|", TEXT, re.MULTILINE)
    assert set(rows) == planted
    assert f"({len(ILL)} kinds of run) or none ({len(HEALTHY)} kinds)" in TEXT
    assert f"at {SEEDS} seeds" in TEXT
    told, _, table = TEXT.partition("## How often")
    listed = set(re.findall(r"[a-z][a-z -]+[a-z]", told.partition("| --- |")[2]))
    assert planted <= listed | {"saddle", "plateau"}
    assert "precision" in table
