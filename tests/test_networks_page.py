"""The examples of docs/networks.md run as they stand; its lists are those of the code."""

import re
import warnings
from pathlib import Path

import pytest

import gdcore as gd
from gdcore.layers.activations import ACTIVATIONS
from gdcore.layers.initializers import INITIALIZERS

PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="a wheel is under test, without its docs")
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_runs(number, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(BLOCKS[number], f"networks.md, example {number}", "exec"), {})
    assert capsys.readouterr().out.strip() not in ("", "False")


def test_every_layer_activation_and_initializer_is_named():
    layers = set(gd.layers.__all__) - {"Layer", "Part", "layer", "named"}
    missing = [name for name in layers if f"`{name}(" not in TEXT]
    missing += [name for name in ACTIVATIONS if name not in TEXT]
    words = set(re.findall(r"\w+", TEXT)) | {"ones"}
    missing += [name for name in INITIALIZERS if name not in words]
    assert missing == []


def test_a_layer_of_ones_own_has_twelve_lines():
    (block,) = [block for block in BLOCKS if "@gd.layers.layer" in block]
    function = block[block.index("@gd.layers.layer") :].split("\n\n\n")[0]
    assert len([line for line in function.splitlines() if line.strip()]) <= 12
