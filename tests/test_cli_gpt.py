"""`gdcore gpt train` and `gdcore gpt generate`, as a user meets them, at a terminal too."""

import os
import re
import select
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

import gdcore as gd
from gdcore import cli

TEXT = "the cat sat on the mat, and the dog sat on the cat. " * 50  # no line break: see the pty
SMALL = [
    "--n-layer", "1", "--n-head", "2", "--n-embd", "16", "--block-size", "16", "--batch-size", "4",
    "--learning-rate", "0.01",
]  # fmt: skip
BRIEF = [*SMALL, "--max-steps", "40", "--eval-every", "20"]
TERMINAL = pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal of POSIX")


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small GPT in a file, of a text without line breaks."""
    path = tmp_path_factory.mktemp("model") / "cat.gpt.safetensors"
    gpt = gd.GPT(n_layer=1, n_head=2, n_embd=16, block_size=16)
    gpt.fit(TEXT, max_steps=100, batch_size=4, learning_rate=0.01).save(path)
    return path


def run(capsys, *arguments):
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_train_reports_saves_and_shows_a_sample(book, capsys):
    code, out, err = run(capsys, "gpt", "train", book, *BRIEF)
    assert (code, err) == (0, "")
    head, end = out.split("\nstopped ")
    assert f"{len(TEXT):,} characters" in head
    assert "1 layer, 2 heads, 16 wide" in head
    lines = [line.split() for line in head.splitlines() if re.match(r" +\d+ ", line)]
    assert [line[0] for line in lines] == ["0", "20", "40"]
    assert float(lines[-1][1]) < float(lines[0][1])
    assert lines[0][3] == "–"
    assert int(lines[1][3].replace(",", "")) > 0
    assert "STEPS: 40 steps" in end
    saved = book.with_name("book.gpt.safetensors")
    assert f"saved            {saved}" in end
    gpt = gd.GPT.load(saved)
    held = TEXT[round(0.9 * len(TEXT)) :]
    assert float(lines[-1][2]) == pytest.approx(gpt.evaluate(held), abs=1e-4)
    assert f"validation loss  {lines[-1][2]} nats a token" in end
    sample = end.split("tokens:\n")[1]
    assert len(sample) == 301
    assert set(sample[:-1]) <= set(TEXT)


def test_the_defaults_are_those_of_the_class(book):
    arguments = cli._parser().parse_args(["gpt", "train", str(book)])
    gpt = gd.GPT()
    for name in ("n_layer", "n_head", "n_embd", "block_size", "dropout", "tokenizer"):
        assert getattr(arguments, name) == getattr(gpt, name)
    defaults = gd.GPT.fit.__kwdefaults__
    names = "max_steps batch_size learning_rate validation eval_every patience checkpoint resume"
    for name in names.split():
        assert getattr(arguments, name) == defaults[name]
    written = cli._parser().parse_args(["gpt", "generate", "m", "--prompt", "a"])
    for name in ("temperature", "top_k", "top_p", "repetition_penalty", "seed"):
        assert getattr(written, name) == gd.GPT.generate.__kwdefaults__[name]


@pytest.mark.parametrize("tokenizer", ["bytes", "bpe"])
def test_other_tokenizers_and_no_validation(book, capsys, tokenizer):
    more = ["--tokenizer", tokenizer, "--validation", "0", "--threads", "1", "--dropout", "0.1"]
    code, out, _ = run(capsys, "gpt", "train", book, *BRIEF, *more)
    assert code == 0
    assert f"({tokenizer})" in out
    assert "validation loss  " not in out.split("stopped")[1]


def test_divergence_advises_what_a_gpt_can_do():
    gpt = gd.GPT(n_layer=1, n_head=1, n_embd=8, block_size=8)
    gpt.fit(TEXT, max_steps=20, eval_every=1, learning_rate=1e30)
    assert gpt.result_.status is gd.Status.DIVERGED
    assert "try a tenth of it. The descent diverged" in gpt.result_.message
    assert "auto" not in gpt.result_.message


def test_other_files_say_who_reads_and_writes_a_gpt(model, tmp_path):
    with pytest.raises(TypeError, match="a GPT is saved by its own save"):
        gd.save(gd.GPT.load(model), tmp_path / "m.npz")
    with pytest.raises(ValueError, match=r"GPT\.load reads a GPT"):
        gd.load(model)


def test_the_same_seed_gives_the_same_bytes(book, capsys, tmp_path):
    kept = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        path = tmp_path / name
        assert run(capsys, "gpt", "train", book, *BRIEF, "--seed", seed, "--output", path)[0] == 0
        kept.append(gd.GPT.load(path).theta_.vector)
    np.testing.assert_array_equal(kept[0], kept[1])
    assert not np.array_equal(kept[0], kept[2])


def test_patience_keeps_the_weights_with_the_lowest_validation_loss(tmp_path, capsys):
    path = tmp_path / "noise.txt"
    path.write_text("".join(np.random.default_rng(0).choice(list("abcdefgh"), 300)))
    more = ["--max-steps", "400", "--eval-every", "20", "--patience", "2", "--validation", "0.3"]
    code, out, _ = run(capsys, "gpt", "train", path, *SMALL, *more)
    assert code == 0
    assert "VALIDATION: no lower held-out loss in 2" in out
    losses = re.findall(r"^ +[\d,]+ +[\d.]+ +([\d.]+) ", out, re.MULTILINE)
    assert f"validation loss  {min(losses)} " in out


def test_a_checkpoint_is_gone_on_from_to_the_same_bits(book, capsys, tmp_path, monkeypatch):
    whole, part, kept = tmp_path / "whole", tmp_path / "part", tmp_path / "run"
    assert run(capsys, "gpt", "train", book, *BRIEF, "--output", whole)[0] == 0
    from gdcore.models.language import LanguageCost

    step = LanguageCost.step

    def interrupted(self, *arguments):
        if self.steps == 30:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(LanguageCost, "step", interrupted)
    base = ["gpt", "train", book, *BRIEF, "--output", part, "--checkpoint", kept]
    code, out, _ = run(capsys, *base)
    assert code == 0
    assert "INTERRUPTED: by the keyboard; the weights of step 20 are kept" in out
    assert "--resume --force goes on from it" in out
    assert gd.GPT.load(part).theta_.vector.size == gd.GPT.load(kept).theta_.vector.size
    monkeypatch.undo()
    code, _, err = run(capsys, *base, "--force")
    assert (code, "Pass --resume to go on" in err) == (2, True)
    code, out, _ = run(capsys, *base, "--resume", "--force")
    assert code == 0
    assert f"{kept}: training goes on from it" in out
    one, other = gd.GPT.load(whole), gd.GPT.load(part)
    np.testing.assert_array_equal(one.theta_.vector, other.theta_.vector)
    code, _, err = run(capsys, *base, "--resume", "--force", "--max-steps", "50")
    assert (code, "another max_steps" in err) == (2, True)


REFUSED = {
    "no such file": (["none.txt"], "none.txt"),
    "no text": (["bytes.txt"], "is no text in UTF-8"),
    "an empty file": (["empty.txt"], "is empty"),
    "too short a text": (["book.txt", "--block-size", "5000"], "Pass more text"),
    "heads that do not divide": (["book.txt", "--n-embd", "10"], "n_embd must be a multiple"),
    "no layers": (["book.txt", "--n-layer", "0"], "n_layer must be"),
    "steps of zero": (["book.txt", "--max-steps", "0"], "max_steps must be"),
    "a rate of zero": (["book.txt", "--learning-rate", "0"], "learning_rate must be"),
    "a rate that is none": (["book.txt", "--learning-rate", "nan"], "learning_rate must be"),
    "dropout of one": (["book.txt", "--dropout", "1"], "dropout must be below 1"),
    "all held out": (["book.txt", "--validation", "1"], "share for validation"),
    "patience for nothing": (
        ["book.txt", "--validation", "0", "--patience", "2"],
        "patience watches the held-out loss",
    ),
    "no patience": (["book.txt", "--patience", "0"], "patience must be"),
    "a seed below 0": (["book.txt", "--seed", "-1"], "--seed must be at least 0"),
    "no threads": (["book.txt", "--threads", "0"], "n_threads must be"),
    "an unknown tokenizer": (["book.txt", "--tokenizer", "words"], "choose from"),
    "a folder that is none": (["book.txt", "--output", "none/m"], "is no folder"),
    "the text as output": (["book.txt", "--output", "book.txt", "--force"], "with the data"),
    "resume from nowhere": (["book.txt", "--resume"], "Pass --checkpoint"),
    "a checkpoint that is the model": (
        ["book.txt", "--checkpoint", "m", "--output", "m"],
        "is to be the model",
    ),
    "a checkpoint in no folder": (["book.txt", "--checkpoint", "none/c"], "another --checkpoint"),
    "a checkpoint that is none": (
        ["book.txt", "--checkpoint", "bytes.txt", "--resume"],
        "not a whole safetensors file",
    ),
    "a model as large as the world": (
        ["book.txt", "--n-embd", "2000000"],
        "The memory does not hold this",
    ),
    "divergence": (
        ["book.txt", *SMALL, "--learning-rate", "1e30", "--eval-every", "1"],
        "Training diverged",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_what_to_do_and_writes_nothing(book, capsys, monkeypatch, case):
    more, message = REFUSED[case]
    monkeypatch.chdir(book.parent)
    book.with_name("empty.txt").touch()
    book.with_name("bytes.txt").write_bytes(b"\xff\xfe" * 20)
    code, _, err = run(capsys, "gpt", "train", *more)
    assert code == 2
    assert err.startswith("gdcore: ")
    assert message in err
    assert err.count("\n") == 1
    assert {path.name for path in book.parent.iterdir()} == {"book.txt", "empty.txt", "bytes.txt"}


def test_a_model_is_not_overwritten_without_force(book, capsys):
    base = ["gpt", "train", book, *BRIEF]
    assert run(capsys, *base)[0] == 0
    saved = book.with_name("book.gpt.safetensors")
    before = saved.read_bytes()
    code, _, err = run(capsys, *base, "--seed", "1")
    assert (code, "--force" in err) == (2, True)
    assert saved.read_bytes() == before
    assert run(capsys, *base, "--seed", "1", "--force")[0] == 0
    assert saved.read_bytes() != before


def test_generate_is_generate(model, capsys):
    options = {
        "max_tokens": 50, "temperature": 0.8, "top_k": 5, "top_p": 0.9, "repetition_penalty": 1.1,
        "seed": 7,
    }  # fmt: skip
    given = [part for name, value in options.items()
             for part in (f"--{name.replace('_', '-')}", value)]  # fmt: skip
    code, out, err = run(capsys, "gpt", "generate", model, "--prompt", "the ", *given)
    assert (code, err) == (0, "")
    assert out == gd.GPT.load(model).generate("the ", **options) + "\n"
    assert len(out) == 51
    assert run(capsys, "gpt", "generate", model, "--prompt", "the ", *given)[1] == out


def test_stop_may_be_given_several_times(model, capsys):
    base = ["gpt", "generate", model, "--prompt", "the ", "--temperature", "0"]
    whole = run(capsys, *base)[1]
    assert {"t", "o"} & set(whole)
    text = run(capsys, *base, "--stop", "t", "--stop", "o")[1]
    assert text == re.split("[to]", whole)[0] + "\n"


def test_the_prompt_comes_from_the_standard_input(model):
    base = [sys.executable, "-m", "gdcore", "gpt", "generate", str(model), "--temperature", "0"]
    given = subprocess.run([*base, "--prompt", "the cat"], capture_output=True, check=True)
    done = subprocess.run([*base, "--prompt", "-"], input=b"the cat\n", capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, given.stdout, b"")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--prompt", ""], "The prompt is empty"),
        (["--prompt", "the Cat"], "The text has 'C' at place 4"),
        (["--prompt", "a\udcff"], "The prompt is no text in UTF-8"),
        (["--prompt", "a", "--temperature", "-1"], "temperature must be"),
        (["--prompt", "a", "--temperature", "nan"], "temperature must be"),
        (["--prompt", "a", "--top-k", "0"], "top_k must be"),
        (["--prompt", "a", "--top-p", "1.5"], "top_p must be"),
        (["--prompt", "a", "--repetition-penalty", "0"], "repetition_penalty must be"),
        (["--prompt", "a", "--max-tokens", "-1"], "max_tokens must be"),
        (["--prompt", "a", "--max-tokens", "many"], "invalid int value: 'many'"),
        (["--prompt", "a", "--stop", ""], "stop holds an empty text"),
        (["--prompt", "a", "--seed", "-1"], "--seed must be at least 0"),
        ([], "--prompt"),
    ],
)
def test_mistakes_in_a_prompt_or_a_number_are_one_line(model, capsys, more, message):
    code, out, err = run(capsys, "gpt", "generate", model, *more)
    assert (code, out.strip()) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_files_that_are_no_models(model, capsys, tmp_path):
    def answer(path):
        code, out, err = run(capsys, "gpt", "generate", path, "--prompt", "a")
        assert (code, out, err.count("\n")) == (2, "", 1)
        return err

    assert "does not exist" in answer(tmp_path / "none")
    assert "is a folder" in answer(tmp_path)
    cut = tmp_path / "cut"
    cut.write_bytes(model.read_bytes()[:-100])
    assert "is cut off" in answer(cut)
    cut.write_bytes(b"")
    assert "has no header" in answer(cut)
    other = tmp_path / "other.safetensors"
    net = gd.MLPClassifier(max_epochs=1, tol=0).fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])
    gd.save_weights(net, other)
    assert "is no model of gdcore" in answer(other)
    gd.GPT(n_layer=1, n_head=1, n_embd=4, block_size=4).fit(
        np.arange(50) % 5, max_steps=1, validation=None
    ).save(other)
    assert "holds no tokenizer" in answer(other)


@pytest.mark.parametrize("command", [["gpt"], ["gpt", "train"], ["gpt", "generate"]])
def test_help_shows_examples(capsys, command):
    code, out, _ = run(capsys, *command, "--help")
    assert code == 0
    assert "examples:\n  gdcore gpt " in out


class Terminal:
    """A command at a pseudo-terminal of its own."""

    def __init__(self, *arguments):
        import fcntl
        import pty
        import termios

        self.mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gdcore", *map(str, arguments)],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip
        os.close(theirs)
        self.reads = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
        os.close(self.mine)

    @property
    def text(self):
        return b"".join(self.reads).decode(errors="replace")

    def read(self, until=lambda text: False):
        """Read on until the text is as wanted, or there is no more."""
        end = time.monotonic() + 60
        while time.monotonic() < end and not until(self.text):
            if not select.select([self.mine], [], [], 0.1)[0]:
                continue
            try:
                got = os.read(self.mine, 1 << 16)
            except OSError:  # Linux's way to say that the other side is closed
                got = b""
            if not got:
                break
            self.reads.append(got)
        return self.text

    def interrupt(self):
        """Ctrl-C; (exit code, all that was written)."""
        self.process.send_signal(signal.SIGINT)
        text = self.read()
        return self.process.wait(60), text


@TERMINAL
def test_text_comes_piece_by_piece(model):
    """A text without line breaks and without end: what is seen of it was not held back."""
    base = ["gpt", "generate", model, "--prompt", "the ", "--seed", 0]
    with Terminal(*base, "--max-tokens", 10**8) as terminal:
        shown = terminal.read(until=lambda text: len(text) > 200)
        assert terminal.process.poll() is None
        assert len(terminal.reads) > 1  # of a buffer's size, one would be more than is asked for
        code, text = terminal.interrupt()
    assert "\n" not in shown
    assert shown == gd.GPT.load(model).generate("the ", len(shown), seed=0)
    assert code == 130
    assert text.endswith("\r\ngdcore: interrupted\r\n")


@TERMINAL
def test_ctrl_c_in_training_saves_what_was_measured_last(book):
    base = ["gpt", "train", book, *SMALL, "--max-steps", 10**6, "--eval-every", 100]
    with Terminal(*base) as terminal:
        terminal.read(until=lambda text: re.search(r"[\r\n] +300 ", text))
        code, text = terminal.interrupt()
    assert code == 0
    assert re.search(r"step \d+/1000000 .*tokens/s", text)  # the bar
    step = int(re.search(r"INTERRUPTED: .* of step ([\d,]+) are kept", text)[1].replace(",", ""))
    assert step >= 300
    assert step % 100 == 0
    gpt = gd.GPT.load(book.with_name("book.gpt.safetensors"))
    shown = re.search(rf"[\r\n] +{step:,} +\S+ +(\S+) ", text)[1]
    assert float(shown) == pytest.approx(gpt.evaluate(TEXT[round(0.9 * len(TEXT)) :]), abs=1e-4)


@TERMINAL
def test_ctrl_c_before_anything_was_measured_saves_nothing(book):
    base = ["gpt", "train", book, *SMALL, "--max-steps", 10**6, "--eval-every", 10**4]
    with Terminal(*base) as terminal:
        terminal.read(until=lambda text: re.search(r"step [1-9]\d*/1000000 ", text))
        code, text = terminal.interrupt()
    assert code == 130
    assert "nothing is saved" in text
    assert [path.name for path in book.parent.iterdir()] == ["book.txt"]
