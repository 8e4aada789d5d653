"""Text files in and text out, for the command line: train a GPT, and let it go on with a text."""

import os
import shutil
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gdcore.convergence import Moment, Status
from gdcore.disk import refuse_overwriting
from gdcore.errors import ConvergenceWarning, require
from gdcore.info import backend_line
from gdcore.models.gpt import GPT

SAMPLE = 300  # tokens that a trained model shows
LOST = 1.01  # times its least, from where on a last held-out loss is worth a word
MODEL = (
    "n_layer", "n_head", "n_embd", "block_size", "dropout", "tokenizer",
)  # fmt: skip
FIT = (
    "max_steps", "batch_size", "learning_rate", "validation", "eval_every", "patience",
    "checkpoint", "resume",
)  # fmt: skip


def train(arguments: Namespace) -> None:
    """The command `gdcore gpt train`."""
    file = Path(arguments.file)
    output = Path(arguments.output or file.parent / f"{file.stem}.gpt.safetensors")
    _require_places(arguments, file, output)
    require(arguments.seed >= 0, f"--seed must be at least 0, got {arguments.seed}. Try 0.")
    text = _read(file)
    settings = {name: getattr(arguments, name) for name in MODEL}
    gpt = GPT(**settings, n_threads=arguments.threads, random_state=arguments.seed)
    print(backend_line())
    print(f"text             {file}, {len(text):,} characters", flush=True)
    if arguments.resume:
        there = Path(arguments.checkpoint).exists()
        what = "training goes on from it" if there else "none there yet, training begins"
        print(f"checkpoint       {arguments.checkpoint}: {what}", flush=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the report says it
        how = {name: getattr(arguments, name) for name in FIT}
        gpt.fit(text, **how, callbacks=[_Measurements(gpt)], progress=True)
    _refuse_nothing(gpt.result_)
    gpt.save(output)
    print()
    for line in _report(gpt, output, arguments):
        print(line)
    prompt = "\n" if "\n" in text else text[0]
    print()
    print(f"What it writes, {SAMPLE} tokens:", flush=True)
    _write(gpt.generate(prompt, SAMPLE, temperature=0.8, seed=arguments.seed, stream=True))


def _require_places(arguments: Namespace, file: Path, output: Path) -> None:
    """Before any work: where the model and the checkpoint go."""
    refuse_overwriting(output, arguments.force, file)
    kept = arguments.checkpoint
    require(
        kept or not arguments.resume, "--resume needs a place to go on from. Pass --checkpoint."
    )
    if kept is None:
        return
    folder = Path(kept).parent
    require(folder.is_dir(), f"{folder} is no folder. Make it first, or pass another --checkpoint.")
    same = Path(kept).resolve() == output.resolve()
    require(not same, f"{kept} is to be the model, too. Pass another --checkpoint.")
    require(
        arguments.resume or not os.path.lexists(kept),
        f"{kept} exists. Pass --resume to go on from it, or another --checkpoint to begin anew.",
    )


def _read(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text in UTF-8 ({error}). Save it as UTF-8.") from error
    require(text != "", f"{file} is empty. Pass a file with text.")
    return text


class _Measurements:
    """Writes what there is to train, and then a line for each measurement, as a callback."""

    def __init__(self, gpt: Any) -> None:
        self.gpt = gpt
        self.before: tuple[float, int] | None = None  # seconds and examples

    def __call__(self, moment: Moment) -> None:
        """Write the line of a moment."""
        if self.before is None:
            self._begin(moment)
        speed = "–"
        if self.before is not None and moment.seconds > self.before[0]:
            windows = moment.examples - self.before[1]
            per_second = windows * self.gpt.block_size / (moment.seconds - self.before[0])
            speed = f"{per_second:,.0f}"
        held = "–" if moment.validation != moment.validation else f"{moment.validation:.4f}"
        self._line(f"{moment.step:8,} {moment.cost:11.4f} {held:>16} {speed:>10}")
        self.before = moment.seconds, moment.examples

    def _begin(self, moment: Moment) -> None:
        gpt = self.gpt
        tokens = gpt.model_.layers.vocabulary
        self._line(
            f"model            {_count(gpt.n_layer, 'layer')}, {_count(gpt.n_head, 'head')}, "
            f"{gpt.n_embd} wide, {len(moment.theta):,} weights"
        )
        self._line(
            f"tokens           {tokens} kinds ({gpt.tokenizer}), {gpt.block_size} in a window"
        )
        self._line("")
        self._line("    step  train loss  validation loss   tokens/s")

    def _line(self, text: str) -> None:
        """A line that takes the place of the progress bar, where there is one."""
        if sys.stderr.isatty() and sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - 1
            text = f"\r{text:<{width}}"
        print(text, flush=True)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")


def _refuse_nothing(result: Any) -> None:
    """Weights that no training has reached, or that it has spoiled, are not worth a file."""
    if result.status is Status.INTERRUPTED and result.nit == 0:
        print("\nInterrupted before the first --eval-every steps were done: nothing is saved.")
        raise KeyboardInterrupt
    if result.status is Status.DIVERGED:
        cost = result.trace.cost
        raise ValueError(
            f"Training diverged: the loss went from {cost[0]:.3g} to {cost[-1]:.3g}, and nothing "
            "is saved. Pass a smaller --learning-rate, a tenth of it to begin with."
        )


def _report(gpt: Any, output: Path, arguments: Namespace) -> Iterator[str]:
    """Lines on the end and the result."""
    result, trace = gpt.result_, gpt.trace_
    kept = -1 if arguments.patience is None else int(trace.validation.argmin())
    sentence = result.message.split(". ")[0]
    if result.status is Status.INTERRUPTED:
        sentence = f"by the keyboard; the weights of step {int(trace.step[kept]):,} are kept"
    yield f"stopped          {result.status.name}: {sentence}"
    if arguments.validation:
        yield f"validation loss  {trace.validation[kept]:.4f} nats a token"
        best = int(trace.validation.argmin())
        if trace.validation[kept] > LOST * trace.validation[best]:
            yield (
                f"{'':16} it was {trace.validation[best]:.4f} at step {int(trace.step[best]):,}: "
                "--patience 2 keeps the best weights"
            )
    yield f"saved            {output}"
    if arguments.checkpoint is not None and result.status is Status.INTERRUPTED:
        yield f"checkpoint       {arguments.checkpoint}: --resume --force goes on from it"


def generate(arguments: Namespace) -> None:
    """The command `gdcore gpt generate`."""
    seed = arguments.seed
    require(seed is None or seed >= 0, f"--seed must be at least 0, got {seed}. Try 0.")
    gpt = GPT.load(arguments.model)
    require(
        hasattr(gpt, "tokenizer_"),
        f"{arguments.model} holds no tokenizer, so it takes tokens alone. Use GPT.load with "
        "tokenizer= in Python.",
    )
    pieces = gpt.generate(
        _prompt(arguments.prompt), arguments.max_tokens, temperature=arguments.temperature,
        top_k=arguments.top_k, top_p=arguments.top_p,
        repetition_penalty=arguments.repetition_penalty, stop=arguments.stop, seed=seed,
        stream=True,
    )  # fmt: skip
    _write(pieces)


def _prompt(given: str) -> str:
    """The prompt itself, or the standard input without its last line break."""
    text = given
    if given == "-":
        try:
            text = sys.stdin.read().removesuffix("\n")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"The standard input is no text in {sys.stdin.encoding} ({error}). "
                "Pass it in that encoding."
            ) from error
    try:
        text.encode()
    except UnicodeEncodeError as error:  # bytes that are no UTF-8 came in as halves of pairs
        raise ValueError(f"The prompt is no text in UTF-8 ({error}). Pass it as UTF-8.") from error
    require(text != "", "The prompt is empty. Pass at least one character to go on from.")
    return text


def _write(pieces: Iterable[str]) -> None:
    """Each piece as soon as it is there, and a line break at the end, also after Ctrl-C."""
    try:
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
    finally:
        print()
