"""The examples of docs/gpt.md run as they stand; its lists are those of the code."""

import dataclasses
import inspect
import re
import warnings
from pathlib import Path

import pytest

import gdcore as gd
from gdcore import cli
from gdcore.tokenizers import KINDS

PAGE = Path(__file__).parents[1] / "docs" / "gpt.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="a wheel is under test, without its docs")
TEXT = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_an_example_runs(number, capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(BLOCKS[number], f"gpt.md, example {number}", "exec"), {})
    out = capsys.readouterr().out
    assert out.strip()
    assert "False" not in out


def test_every_argument_is_named():
    names = [field.name for field in dataclasses.fields(gd.GPT)]
    for method in (gd.GPT.fit, gd.GPT.generate, gd.GPT.from_gpt2):
        names += [name for name in inspect.signature(method).parameters if name != "self"]
    words = set(re.findall(r"\w+", TEXT)) | {"random_state", "path"}
    assert [name for name in names if name not in words] == []
    for method in ("fit", "generate", "evaluate", "logits", "save", "load", "save_gpt2"):
        assert re.search(rf"\b{method}\b", TEXT)


def test_the_defaults_of_fit_are_those_of_the_code():
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", TEXT, re.MULTILINE))
    for name in ("max_steps", "batch_size", "gradient_accumulation", "learning_rate", "clip_norm",
                 "eval_every", "validation", "patience", "progress"):  # fmt: skip
        assert rows[name] == str(gd.GPT.fit.__kwdefaults__[name])
    for name in ("optimizer", "schedule"):
        assert rows[name] == f'`"{gd.GPT.fit.__kwdefaults__[name]}"`'


def test_every_tokenizer_is_named():
    assert [kind for kind in KINDS if f'| `"{kind}"` |' not in TEXT] == []


def test_its_commands_are_commands(capsys):
    (block,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    import shlex

    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)[1:]
        given = words[: words.index("<")] if "<" in words else words
        assert cli._parser().parse_args(given).run
