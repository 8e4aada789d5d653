"""The examples of docs/linear.md run as they stand, in their order; its claims are the code's."""

import re
import warnings
from pathlib import Path

import pytest

import gdcore as gd
from gdcore.newton import FEW, MANY

PAGE = Path(__file__).parents[1] / "docs" / "linear.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="a wheel is under test, without its docs")
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def test_the_examples_run(capsys):
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, block in enumerate(BLOCKS):
            exec(compile(block, f"linear.md, example {number}", "exec"), names)
            if "print(" in block:
                assert capsys.readouterr().out.strip() not in ("", "False")


def test_every_loss_is_named():
    named = [*gd.losses.REGRESSION, *gd.losses.MARGIN]
    words = {"squared": "LinearRegression()", "huber": "Huber(", "quantile": "Quantile("}
    missing = [name for name in named if words.get(name, name.replace("_", "")) not in TEXT
               and name not in TEXT]  # fmt: skip
    assert missing == []


def test_the_limit_is_the_codes():
    assert f"up to {FEW} numbers in θ, up to {MANY} where dense rows" in TEXT
    assert f"up to {MANY} numbers in θ also an L1 term" in TEXT
