"""Train every kind of model on real data and print one table."""

import shutil
import sys
import textwrap
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from gdcore import datasets, tokenizers
from gdcore._typing import PathLike
from gdcore.convergence import Moment, Status
from gdcore.diagnose.doctor import doctor
from gdcore.diagnose.report import write as write_report
from gdcore.errors import ConvergenceWarning
from gdcore.info import backend_line
from gdcore.models import LinearRegression, LogisticRegression, MLPClassifier
from gdcore.models.gpt import GPT

Row: TypeAlias = dict[str, str]  # {title: cell}
SAMPLE = 300  # characters that the GPT writes
WIDEST = 150  # characters a line; also where the output is no terminal
WIDE = (
    "model", "data", "examples", "optimizer", "batch", "steps", "cost first → last", "‖∇J‖",
    "held-out", "seconds", "stopped because",
)  # fmt: skip
NARROW = ("optimizer", "batch", "steps", "first → last", "‖∇J‖", "score", "sec")
TO_THE_LEFT = {"model", "data", "optimizer", "stopped because", "stopped"}


@dataclass(frozen=True)
class Fitted:
    """What became of an entry: the model, the size of what it learned from, and its score."""

    model: Any
    examples: str
    score: float
    seconds: float
    rows: Any = None  # held, so that the doctor can look at them


@dataclass(frozen=True)
class Entry:
    """One row: what to train on what, and what its held-out score is called."""

    model: str
    data: str
    estimator: Any
    score: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def batch(self) -> Any:
        """Examples a step."""
        return self.settings.get("batch_size", "–")

    def fit(self, watch: Callable[[Moment], object] | None = None) -> Fitted:
        """Train on a fixed 75 % of the rows."""
        data = datasets.load(self.data)
        order = np.random.default_rng(0).permutation(len(data.X))
        cut = round(0.75 * len(order))
        fit, held = order[:cut], order[cut:]
        model = self.estimator(**self.settings)
        rows = data.X[fit]
        seconds = _timed(lambda: model.fit(rows, data.y[fit]))
        score = model.score(data.X[held], data.y[held])
        return Fitted(model, f"{cut} × {data.X.shape[1]}", score, seconds, rows)


@dataclass(frozen=True)
class TextEntry:
    """One row of a transformer on the documentation that Python carries, and what it writes."""

    model: str
    data: str
    score: str
    settings: dict[str, Any]
    training: dict[str, Any]
    prompt: str = "The "

    @property
    def batch(self) -> Any:
        """Windows a step."""
        return self.training["batch_size"]

    def fit(self, watch: Callable[[Moment], object] | None = None) -> Fitted:
        """Train on the first 75 % of the text."""
        text = documentation() or ""
        cut = round(0.75 * len(text))
        model = GPT(tokenizer=tokenizers.Characters(text), **self.settings)
        how = self.training | {"callbacks": [watch] if watch else []}
        seconds = _timed(lambda: model.fit(text[:cut], validation=None, **how))
        return Fitted(model, f"{cut // 1000}k chars", model.evaluate(text[cut:]), seconds)

    def sample(self, model: Any, width: int) -> Iterator[str]:
        """Lines of what a trained model writes, without line breaks of its own."""
        text = model.generate(self.prompt, SAMPLE, temperature=0.6, seed=0)
        words = " ".join((self.prompt + text).split())
        yield f"The {self.model} goes on from {self.prompt.strip()!r}:"
        yield from textwrap.wrap(words, width - 2, initial_indent="  ", subsequent_indent="  ")


def documentation() -> str | None:
    """The texts behind Python's help(), one after another; None where they are left out."""
    try:
        from pydoc_data.topics import topics
    except ImportError:  # some distributions put it into a package of its own
        return None
    return "".join(topics[name] for name in sorted(topics))


def _timed(fit: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last column says it
        fit()
    return time.perf_counter() - started


LINEAR = ("linear regression", "diabetes", LinearRegression, "R²")
BINARY = ("logistic regression", "breast_cancer", LogisticRegression, "acc")
NEURAL = ("neural network", "digits", MLPClassifier, "acc")
SOFTMAX = ("softmax regression", "digits", LogisticRegression, "acc")
BATCH = {"batch_size": "full", "max_time": 5.0}
SMALL = {"random_state": 0, "tol": 1e-4, "max_time": 3.0}  # on NumPy, a step costs 50 times as much
WIDE_NET = {"random_state": 0, "max_time": 5.0}
GPT_NET = {"n_layer": 2, "n_head": 4, "n_embd": 128, "block_size": 64, "random_state": 0}
GPT_FIT = {
    "max_steps": 1000, "batch_size": 12, "learning_rate": 3e-3, "eval_every": 25, "max_time": 40.0,
}  # fmt: skip

# A later model is a line here.
ENTRIES: list[Entry | TextEntry] = [
    Entry(*LINEAR, {"optimizer": "closed-form"}),
    Entry(*LINEAR, BATCH | {"optimizer": "fista", "tol": 1e-20}),  # compared with the closed form
    Entry(*LINEAR, SMALL | {"batch_size": 32}),
    Entry(*LINEAR, SMALL | {"batch_size": 1}),
    Entry(*BINARY, BATCH),
    Entry(*BINARY, SMALL | {"batch_size": 32}),
    Entry(*BINARY, SMALL | {"batch_size": 1}),
    Entry(*SOFTMAX, BATCH | {"max_epochs": 2000}),
    Entry(*SOFTMAX, SMALL | {"batch_size": 32}),
    Entry(*SOFTMAX, SMALL | {"batch_size": 1}),
    Entry(*NEURAL, WIDE_NET | {"optimizer": "lbfgs", "batch_size": "full"}),
    Entry(*NEURAL, WIDE_NET | {"optimizer": "adam", "batch_size": 32}),
    Entry(*NEURAL, WIDE_NET | {"optimizer": "adamw", "batch_size": 32, "dropout": 0.3}),
    TextEntry("GPT", "Python's help", "nats", GPT_NET, GPT_FIT),
]


def run(
    entries: Sequence[Entry | TextEntry] = ENTRIES,
    write: Callable[[str], object] = print,
    width: int | None = None,
    report: PathLike | None = None,
) -> None:
    """Print which backend answers, the table, how near descent came to the closed form, and what
    the doctor says of each; write the page about all of them to `report`.

    Example
    -------
    >>> from gdcore.demo import ENTRIES, run
    >>> lines = []
    >>> run(ENTRIES[:2], write=lines.append, width=80)
    >>> max(map(len, lines)) <= 80
    True
    """
    width = min(width or shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    texts = [entry for entry in entries if isinstance(entry, TextEntry)]
    if texts and documentation() is None:
        entries = [entry for entry in entries if entry not in texts]
    write(backend_line())
    write("Each model trains on 75 % of its data; the score is that of the other 25 %.")
    write("")
    fits, rows = [], []
    for number, entry in enumerate(entries, start=1):
        title = f"training {number} of {len(entries)}"
        _progress(title)
        fitted, row = train(entry, partial(_show, title))
        fits.append(fitted)
        rows.append(row)
    _progress("")
    models = [fitted.model for fitted in fits]
    for line in table(rows, width):
        write(line)
    for sentence in [*distances(entries, models), *_left_out(entries, texts)]:
        write("")
        for line in textwrap.wrap(sentence, width):
            write(line)
    for entry, model in zip(entries, models, strict=True):
        if entry in texts:
            write("")
            for line in entry.sample(model, width):
                write(line)
    write("")
    for line in verdicts(entries, models, width):
        write(line)
    if report is not None:
        _progress("writing the report")
        results = (model.result_ for model in models)
        write_report(dict(zip(map(_heading, entries), results, strict=True)), report, "gdcore demo")
        _progress("")
        write("")
        write(f"Pictures, findings and settings of each: {report}")


def _heading(entry: Entry | TextEntry) -> str:
    return ", ".join(filter(None, (entry.model, entry.data.replace("_", " "), _how(entry))))


def _how(entry: Entry | TextEntry) -> str:
    """What sets an entry apart from the others of its model."""
    settings = entry.settings
    words = [settings["optimizer"]] if "optimizer" in settings else []
    words += [f"batch {settings['batch_size']}"] if "batch_size" in settings else []
    return ", ".join([*words, "dropout"] if settings.get("dropout") else words)


def verdicts(
    entries: Sequence[Entry | TextEntry], models: Sequence[Any], width: int
) -> Iterator[str]:
    """A line for each descent: what the doctor says; then his findings in full."""
    found = [doctor(model) for model in models]
    names = [_heading(entry) for entry in entries]
    wide = max(map(len, names))
    yield "The doctor's verdict on each descent:"
    for name, each in zip(names, found, strict=True):
        yield f"  {name:{wide}}  {each.verdict}"[:width]
    for name, each in zip(names, found, strict=True):
        for finding in each:
            yield from textwrap.wrap(f"{name}: {finding}", width, subsequent_indent="  ")


def _show(title: str, moment: Moment) -> None:
    _progress(f"{title}, step {moment.step}")


def _left_out(entries: Sequence[Entry | TextEntry], texts: Sequence[TextEntry]) -> Iterator[str]:
    if any(entry not in entries for entry in texts):
        yield (
            "The GPT is left out: this Python has no pydoc_data.topics, the text that it would "
            "train on."
        )


def train(
    entry: Entry | TextEntry, watch: Callable[[Moment], object] | None = None
) -> tuple[Fitted, Row]:
    """(what became of it, {title: cell} of its row) on a fixed 75 % of the data."""
    fitted = entry.fit(watch)
    result, trace = fitted.model.result_, fitted.model.trace_
    named = isinstance(result.optimizer, str)
    seconds, score = f"{fitted.seconds:.3f}", f"{fitted.score:.3f}"
    course, reason = _course(trace.cost[0], result.fun), _reason(result)
    return fitted, {
        "model": entry.model, "data": entry.data.replace("_", " "),
        "examples": fitted.examples, "kind": entry.score,
        "optimizer": result.optimizer if named else type(result.optimizer).__name__,
        "batch": str(entry.batch), "steps": str(result.nit),
        "cost first → last": course, "first → last": course,
        "‖∇J‖": f"{np.linalg.norm(result.jac):.1e}",
        "held-out": f"{entry.score} {score}", "score": score, "seconds": seconds, "sec": seconds,
        "stopped because": f"{result.status.name} {reason}".rstrip(), "stopped": reason or "solved",
    }  # fmt: skip


def _course(first: float, last: float) -> str:
    digits = max(1, 5 - len(str(int(abs(last)))))
    text = f"{last:.{digits}f}"
    return text if first == last else f"{first:.{digits}f} → {text}"


def _reason(result: Any) -> str:
    """What the rule asked for, or the budget; what was measured has its own column."""
    if result.status is Status.CLOSED_FORM:
        return ""
    sentence = result.message.split(". ")[0]
    if sentence.startswith("J − J*"):
        return f"J − J* < {sentence.split(' < ')[1]}"
    if " < " in sentence:
        quantity, rest = sentence.split(" = ", 1)
        return f"{quantity} < {float(rest.split(' < ')[1].split()[0]):.2g}"
    if ", a fall of less than " in sentence:
        least = sentence.split(", a fall of less than ")[1]
        return f"ΔJ > −{float(least.split()[0]):.2g}"  # over so many epochs: no room for them
    return str(sentence.split(", ")[0].split(" while ")[0])


def table(rows: Sequence[Row], width: int) -> Iterator[str]:
    """Aligned lines: one table where it fits, else a heading for each model and its data."""
    repeated = [a and _group(a) == _group(b) for a, b in zip([None, *rows], rows, strict=False)]
    blank = dict.fromkeys(("model", "data", "examples"), "")
    shown = [row | blank if again else row for row, again in zip(rows, repeated, strict=True)]
    lines = _aligned(WIDE, shown, gap=2)
    if len(lines[1]) <= width:
        yield from lines
        return
    for stopped, gap in (("stopped because", 2), ("stopped", 2), ("stopped", 1)):
        lines = _aligned((*NARROW, stopped), rows, gap)
        if len(lines[1]) <= width:
            break
    yield from lines[:2]
    for row, again, line in zip(rows, repeated, lines[2:], strict=True):
        if not again:
            yield ""
            yield f"{row['model']}: {row['data']}, {row['examples']}, score {row['kind']}"
        yield line


def _group(row: Row) -> tuple[str, str]:
    return row["model"], row["data"]


def _aligned(titles: Iterable[str], rows: Sequence[Row], gap: int) -> list[str]:
    """Head, rule and rows; numbers to the right."""
    cells = [list(titles), *([row[title] for title in titles] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["─" * width for width in widths])
    lines = []
    for line in cells:
        places = zip(titles, line, widths, strict=True)
        padded = [c.ljust(w) if title in TO_THE_LEFT else c.rjust(w) for title, c, w in places]
        lines.append((" " * gap).join(padded).rstrip())
    return lines


def distances(entries: Sequence[Entry | TextEntry], models: Sequence[Any]) -> Iterator[str]:
    """Sentences on how far batch descent ended from the closed form of the same problem."""
    solved = {
        entry.data: model
        for entry, model in zip(entries, models, strict=True)
        if entry.settings.get("optimizer") == "closed-form"
    }
    for entry, model in zip(entries, models, strict=True):
        exact = solved.get(entry.data)
        if exact in (None, model) or entry.settings.get("batch_size") != "full":
            continue
        coefficients = np.abs(model.coef_ / exact.coef_ - 1).max()
        cost = abs(model.result_.fun / exact.result_.fun - 1)
        yield (
            f"Batch descent on {entry.data} and its closed form differ by {coefficients:.1e} in "
            f"the worst coefficient and by {cost:.1e} in the cost (relative to the closed form)."
        )


def _progress(text: str) -> None:
    """One line that is written over, where someone watches."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text:<40}\r")
        sys.stderr.flush()
