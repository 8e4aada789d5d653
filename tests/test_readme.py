"""The README's examples run as they stand."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_runs(number, capsys):
    exec(compile(BLOCKS[number], f"README.md, example {number}", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_there_are_examples():
    assert len(BLOCKS) >= 2
