"""A fit that was killed and resumed ends with the bits of one that was not."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import gdcore as gd
from gdcore import tensors
from gdcore.models.language import LanguageCost
from tests.languages import TEXT

GIVEN = {"n_layer": 1, "n_head": 2, "n_embd": 8, "block_size": 8, "dropout": 0.2}
RUN = {"max_steps": 11, "batch_size": 3, "eval_every": 3, "learning_rate": 0.01}
COLUMNS = ("step", "epoch", "cost", "gradient_norm", "learning_rate", "examples", "validation")


def fit(given=None, data=TEXT, **options):
    return gd.GPT(**GIVEN | (given or {})).fit(data, **RUN | options)


def bits(gpt):
    """All that is the same for the same run: everything but the seconds."""
    trace = [getattr(gpt.trace_, name).tobytes() for name in COLUMNS]
    return gpt.theta_.vector.tobytes(), trace, gpt.result_.fun, gpt.result_.jac.tobytes()


@pytest.fixture(scope="module")
def whole():
    return bits(fit())


KILLED = {
    "in a step": "step == 5 and kill()",
    "in the first step after a checkpoint": "step == 6 and kill()",
    "in the last step": "step == 10 and kill()",
    "while the first checkpoint is written": "write == 0 and kill()",
    "while a later one is written": "write == 2 and kill()",
    "before a checkpoint takes its place": "move == 1 and kill()",
    "just after": "moved == 1 and kill()",
}
SCRIPT = """if True:
    import os, signal, sys
    import gdcore.disk
    from gdcore.models.language import LanguageCost
    from tests.models.test_gpt_checkpoints import fit

    step = write = move = moved = -1

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    def counted(name, function, after=None):
        def run(*args):
            globals()[name] += 1
            CONDITION
            result = function(*args)
            if after:
                globals()[after] += 1
                CONDITION
            return result
        return run

    LanguageCost.step = counted("step", LanguageCost.step)
    os.fsync = counted("write", os.fsync)
    os.replace = counted("move", os.replace, "moved")
    fit(checkpoint=sys.argv[1], resume=True)
"""


def killed(path, condition):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT.replace("CONDITION", condition), path],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("moment", KILLED)
def test_a_run_that_was_killed_goes_on_to_the_same_bits(tmp_path, whole, moment):
    path = tmp_path / "run"
    killed(path, KILLED[moment])
    assert path.exists() == (not moment.startswith("while the first"))
    if path.exists():
        assert gd.GPT.load(path).logits([1, 2]).shape == (2, 17)  # at any time a whole model
    assert bits(fit(checkpoint=path, resume=True)) == whole


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_run_that_was_killed_again_and_again(tmp_path, whole):
    for condition in ("step == 4 and kill()", "step == 4 and kill()", "write == 0 and kill()"):
        killed(tmp_path / "run", condition)
    assert bits(fit(checkpoint=tmp_path / "run", resume=True)) == whole


class Stop(Exception):
    pass


def stopped(path, step=6, given=None, **options):
    """A run that ended with an error in the measurement at this step."""

    def stop(moment):
        if moment.step == step:
            raise Stop

    with pytest.raises(Stop):
        fit(given, checkpoint=path, callbacks=stop, **options)


LION = gd.optim.Lion()
RULES = {
    "adamw": {}, "muon": {"optimizer": "muon"}, "adafactor": {"optimizer": "adafactor"},
    "schedule-free": {"optimizer": "schedulefreeadamw", "schedule": None},
    "prodigy": {"optimizer": "prodigy"}, "nadam": {"optimizer": "nadam", "clip_norm": None},
    "chain": {"optimizer": gd.optim.chain(gd.optim.EMA(0.9), gd.optim.Lookahead(), LION)},
    "plateau": {"schedule": gd.schedules.Plateau(0.5, patience=0, threshold=0.5)},
    "accumulated": {"gradient_accumulation": 2}, "nothing held out": {"validation": None},
    "patience": {"patience": 2, "learning_rate": 1.0}, "tokens": {"data": np.arange(400) % 7},
}  # fmt: skip


@pytest.mark.parametrize("kind", RULES)
def test_every_rule_and_schedule_goes_on_to_the_same_bits(tmp_path, kind):
    stopped(tmp_path / "run", **RULES[kind])
    resumed = fit(checkpoint=tmp_path / "run", resume=True, **RULES[kind])
    assert bits(resumed) == bits(fit(**RULES[kind]))


GIVENS = [
    {"dtype": "float64"}, {"n_threads": 3}, {"recompute": True, "positions": "rotary"},
    {"tokenizer": "bytes"}, {"tokenizer": gd.tokenizers.BPE.train(TEXT, 264)},
]  # fmt: skip


@pytest.mark.parametrize("given", GIVENS, ids=[*map(str, GIVENS[:-1]), "BPE"])
def test_every_model_goes_on_to_the_same_bits(tmp_path, given):
    """Whatever the number of threads is then: it changes no bit."""
    stopped(tmp_path / "run", given=given)
    resumed = fit(given | {"n_threads": 2}, checkpoint=tmp_path / "run", resume=True)
    assert bits(resumed) == bits(fit(given))


def test_a_run_of_its_own_luck_goes_on_with_it(tmp_path):
    lucky = {"random_state": None}
    stopped(tmp_path / "run", given=lucky)
    one, other = (fit(lucky, checkpoint=tmp_path / "run", resume=True) for _ in range(2))
    assert bits(one) == bits(other)


def test_a_finished_run_comes_back_as_it_was_and_seconds_add_up(tmp_path, whole):
    gpt = fit(checkpoint=tmp_path / "run")
    again = fit(checkpoint=tmp_path / "run", resume=True)
    assert bits(gpt) == bits(again) == whole
    assert (np.diff(again.trace_.seconds) > 0).all()


def test_a_resumed_run_takes_only_the_steps_that_are_left(tmp_path, monkeypatch):
    stopped(tmp_path / "run", step=9)
    steps, step = [], LanguageCost.step

    def counted(self, *args):
        steps.append(self.steps)
        return step(self, *args)

    monkeypatch.setattr(LanguageCost, "step", counted)
    fit(checkpoint=tmp_path / "run", resume=True)
    assert steps == [6, 7, 8, 9, 10]


def test_what_exists_is_not_overwritten_unasked(tmp_path):
    stopped(tmp_path / "run")
    before = (tmp_path / "run").read_bytes()
    with pytest.raises(ValueError, match=r"run exists\. Pass resume=True to go on from it, or"):
        fit(checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match=r"checkpoint is a folder: .* Pass the path of a file"):
        fit(checkpoint=tmp_path)
    with pytest.raises(ValueError, match=r"resume=True needs a checkpoint\. Pass its path"):
        fit(resume=True)
    assert (tmp_path / "run").read_bytes() == before
    fit(checkpoint=tmp_path / "new", resume=True)  # nothing there yet: it begins


OTHERS = {
    "n_embd": ({"n_embd": 16}, {}), "dropout": ({"dropout": 0.1}, {}), "eps": ({"eps": 1e-6}, {}),
    "random_state": ({"random_state": 1}, {}), "dtype": ({"dtype": "float64"}, {}),
    "tokenizer": ({"tokenizer": "bytes"}, {}), "max_steps": ({}, {"max_steps": 12}),
    "eval_every": ({}, {"eval_every": 2}), "clip_norm": ({}, {"clip_norm": None}),
    "batch_size × gradient_accumulation": ({}, {"batch_size": 4}),
    "optimizer": ({}, {"learning_rate": 0.02}), "schedule": ({}, {"schedule": None}),
    "patience": ({}, {"patience": 2}), "validation": ({}, {"data": TEXT[:-1] + "a"}),
    "text": ({}, {"data": TEXT[1:] + TEXT[0]}), "tokens": ({}, {"data": TEXT + TEXT}),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_the_checkpoint_of_another_run_is_refused_and_what_differs_is_named(tmp_path, name):
    given, options = OTHERS[name]
    stopped(tmp_path / "run", step=3)
    before = (tmp_path / "run").read_bytes()
    with pytest.raises(ValueError, match=f"is of a run with another {name}: ") as error:
        fit(given, checkpoint=tmp_path / "run", resume=True, **options)
    assert "and this one has" in str(error.value)
    assert (tmp_path / "run").read_bytes() == before


def test_what_is_no_checkpoint_or_is_damaged_is_refused(tmp_path):
    fit().save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"model is no checkpoint of a GPT's fit\. Pass"):
        fit(checkpoint=tmp_path / "model", resume=True)
    stopped(tmp_path / "run")
    content = (tmp_path / "run").read_bytes()
    for place in np.random.default_rng(0).integers(0, 8 * len(content), 60).tolist():
        broken = bytearray(content)
        broken[place // 8] ^= 1 << place % 8
        (tmp_path / "run").write_bytes(broken)
        with pytest.raises(ValueError, match="run"):
            fit(checkpoint=tmp_path / "run", resume=True)
        assert (tmp_path / "run").read_bytes() == broken
    (tmp_path / "run").write_bytes(content[:-9])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        fit(checkpoint=tmp_path / "run", resume=True)


def test_a_snapshot_that_does_not_fit_is_refused(tmp_path):
    from gdcore.snapshot import Snapshot

    stopped(tmp_path / "run")
    arrays, metadata = tensors.read(tmp_path / "run")
    cost = gd.GPT(**GIVEN)
    tokens = cost._data(TEXT, None)[0]
    theta = cost._begin({"data": tokens})
    budgets = {"max_steps": 11, "eval_every": 3, "batch_size": 3, "gradient_accumulation": 1}
    wrong = [
        ({"theta": theta[1:]}, "The array theta of the checkpoint is float32"),
        ({"state.m": None}, "The checkpoint lacks the array state.m"),
    ]
    for change, message in wrong:
        held = {name: array for name, array in (arrays | change).items() if array is not None}
        snapshot = Snapshot(held, json.loads(metadata["numbers"]))
        with pytest.raises(ValueError, match=rf"{message}.*\. Pass "):
            gd.descend(
                cost._cost(tokens, budgets, 1.0), theta, gd.optim.AdamW(0.01), resume=snapshot,
                batch_size=3, learning_rate=gd.schedules.Constant(), validate=lambda theta: 0.0,
            )  # fmt: skip


def test_a_failed_write_is_a_warning_and_leaves_the_old_checkpoint(tmp_path, monkeypatch, whole):
    moves, move = [], os.replace

    def fail(*args):
        moves.append(args)
        if len(moves) > 2:
            raise OSError("disk full")
        move(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.warns(RuntimeWarning, match="run could not be written: disk full") as warned:
            assert bits(fit(checkpoint=tmp_path / "run")) == whole
    assert len(warned) == 1 < len(moves) - 2
    assert [each.name for each in tmp_path.iterdir()] == ["run"]
    assert json.loads(tensors.read(tmp_path / "run")[1]["numbers"])["step"] == 3
    assert bits(fit(checkpoint=tmp_path / "run", resume=True)) == whole


def test_a_folder_that_is_not_there_is_told_before_the_first_step(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no folder"):
        fit(checkpoint=tmp_path / "none" / "run", max_steps=10**9)


def test_a_schedule_that_cannot_be_kept_is_refused(tmp_path):
    class Watching:
        def observe(self, cost):
            pass

        def __call__(self, t):
            return 1.0

    with pytest.raises(ValueError, match=r"schedule observes costs.*\. Give it state_dict"):
        fit(checkpoint=tmp_path / "run", schedule=Watching())
    assert fit(schedule=Watching()).n_iter_ == 11


FORGED = {
    "rng": None, "rng.state": [], "cost": None, "cost.steps": "x", "stop": 3, "clock": "now",
    "step": 1 << 40, "seconds": 10**400,
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED)
def test_numbers_that_are_none_are_refused_with_their_file(tmp_path, name):
    from gdcore.models import gpt_files

    stopped(tmp_path / "run")
    arrays, metadata = tensors.read(tmp_path / "run")
    numbers = json.loads(metadata["numbers"])
    part, _, inner = name.partition(".")
    (numbers[part] if inner else numbers)[inner or part] = FORGED[name]
    texts = {n: t for n, t in metadata.items() if n != "crc32"}
    gpt_files._write(tmp_path / "new", arrays, texts | {"numbers": json.dumps(numbers)})
    with pytest.raises(ValueError, match=r"new.*\. \w+ .*\.$"):
        fit(checkpoint=tmp_path / "new", resume=True)


def test_what_is_another_does_not_steer_a_terminal(tmp_path):
    from gdcore.models import gpt_files

    stopped(tmp_path / "run")
    arrays, metadata = tensors.read(tmp_path / "run")
    run = json.loads(metadata["run"]) | {"optimizer": "\x1b[31m"}
    texts = {n: t for n, t in metadata.items() if n != "crc32"}
    gpt_files._write(tmp_path / "run", arrays, texts | {"run": json.dumps(run)})
    with pytest.raises(ValueError, match="of a run with another optimizer") as caught:
        fit(checkpoint=tmp_path / "run", resume=True)
    assert str(caught.value).isprintable()
