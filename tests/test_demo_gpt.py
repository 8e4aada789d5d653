"""The transformer's row of `gdcore demo`, with a budget that a test can afford."""

import sys
from dataclasses import replace

import pytest

from gdcore import demo

pytest.importorskip("pydoc_data.topics")
(ENTRY,) = [entry for entry in demo.ENTRIES if isinstance(entry, demo.TextEntry)]
BRIEF = replace(
    ENTRY,
    settings=ENTRY.settings | {"n_layer": 1, "n_embd": 16, "block_size": 32},
    training=ENTRY.training | {"max_steps": 40, "eval_every": 20},
)


@pytest.fixture(scope="module")
def trained():
    return demo.train(BRIEF)


def test_the_text_is_english_and_long():
    text = demo.documentation()
    assert len(text) > 300_000
    assert " the " in text


def test_its_row_has_what_the_others_have(trained):
    other = demo.train(demo.ENTRIES[0])[1]
    row = trained[1]
    assert row.keys() == other.keys()
    assert row["optimizer"] == "AdamW"
    assert (row["batch"], row["steps"]) == ("12", "40")
    first, last = map(float, row["first → last"].split(" → "))
    assert 4 < first < 5
    assert last < first
    assert row["held-out"] == f"nats {row['score']}"
    assert 2 < float(row["score"]) < first
    assert row["stopped because"] == "STEPS 40 steps"


@pytest.mark.parametrize("width", [80, 150])
def test_under_the_table_it_writes(trained, width):
    lines = list(BRIEF.sample(trained[0].model, width))
    assert lines[0].endswith("goes on from 'The':")
    assert 2 <= len(lines) <= 8
    assert max(map(len, lines)) <= width
    assert lines[1].startswith("  The")


def test_the_rows_of_the_whole_demo_fit_a_terminal(trained):
    """With the longest cells that its other rows have."""
    long = dict.fromkeys(trained[1], "") | {
        "model": "logistic regression", "data": "breast cancer", "examples": "1348 × 64",
        "optimizer": "closed-form", "batch": "full", "steps": "110536", "kind": "acc",
        "cost first → last": "3103.5 → 1394.6", "first → last": "3103.5 → 1394.6",
        "‖∇J‖": "7.7e-11", "held-out": "acc 0.958", "score": "0.958", "seconds": "10.011",
        "sec": "10.011", "stopped because": "GRADIENT ‖∇J‖ < 7.9e-11",
        "stopped": "‖∇J‖ < 7.9e-11",
    }  # fmt: skip
    for width in (80, 150):
        lines = list(demo.table([long, trained[1]], width))
        assert max(map(len, lines)) <= width
    assert lines[0].startswith("model")


def test_it_is_bounded_in_time_where_steps_are_slow():
    assert ENTRY.training["max_time"] <= 45
    assert ENTRY.training["eval_every"] <= 50


def test_a_python_without_its_documentation_leaves_the_row_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    lines = []
    demo.run([demo.ENTRIES[0], ENTRY], write=lines.append, width=80)
    assert max(map(len, lines)) <= 80
    text = " ".join(lines)
    assert "The GPT is left out: this Python has no pydoc_data.topics" in text
    assert "goes on from" not in text
    assert "nats" not in text


def test_the_sample_is_written_by_run(monkeypatch):
    lines = []
    demo.run([BRIEF], write=lines.append, width=80)
    assert "The GPT goes on from 'The':" in lines
