"""The command line: gdcore demo, info, train, predict, gpt."""

import argparse
import contextlib
import csv
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from gdcore import optim
from gdcore._version import __version__
from gdcore.disk import refuse_overwriting

EXAMPLES = """examples:
  gdcore demo
  gdcore train houses.csv --target price
  gdcore predict houses.gdcore.npz new.csv --output prices.csv
  gdcore gpt train book.txt
  gdcore gpt generate book.gpt.safetensors --prompt "The "

`gdcore COMMAND --help` explains each command.
"""
TRAIN = """examples:
  gdcore train houses.csv --target price
  gdcore train houses.csv --target price --drop town --drop street --optimizer closed-form
  gdcore train mails.csv --target spam --model logistic --optimizer adam --batch-size 32
  gdcore train houses.csv --target price --report run.html
"""
PREDICT = """examples:
  gdcore predict houses.gdcore.npz new.csv
  gdcore predict mails.gdcore.npz new.csv --proba --output probabilities.csv
"""
GPT = """examples:
  gdcore gpt train book.txt
  gdcore gpt generate book.gpt.safetensors --prompt "The "
"""
GPT_TRAIN = """examples:
  gdcore gpt train book.txt
  gdcore gpt train book.txt --n-layer 6 --n-embd 192 --dropout 0.1 --max-steps 5000
  gdcore gpt train book.txt --checkpoint run.safetensors --resume

Ctrl-C ends the training and saves the model as it was measured last.
"""
GPT_GENERATE = """examples:
  gdcore gpt generate book.gpt.safetensors --prompt "The " --seed 1
  gdcore gpt generate book.gpt.safetensors --prompt "Q: " --temperature 0.7 --stop "Q:"
  gdcore gpt generate book.gpt.safetensors --prompt - < beginning.txt
"""


class _Parser(argparse.ArgumentParser):
    """Mistakes in the arguments are errors like all others: one message, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}. See {self.prog} --help.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code, 2 for what the user can mend.

    Example
    -------
    >>> from gdcore.cli import main
    >>> main(["--version"])  # doctest: +ELLIPSIS
    gdcore ...
    0
    """
    if sys.stdout is None:  # closed by who called
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            return main(argv)
    try:
        arguments = _parser().parse_args(argv)
        arguments.run(arguments)
        sys.stdout.flush()  # here, where a reader that left can still be noticed
    except SystemExit as ended:  # --help and --version
        return int(ended.code or 0)
    except BrokenPipeError:
        _discard_output()
        return 1
    except KeyboardInterrupt:
        print("gdcore: interrupted", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, MemoryError, csv.Error) as error:
        print(f"gdcore: {_message(error)}", file=sys.stderr)
        return 2
    return 0


def _message(error: BaseException) -> str:
    """What the error says, in the form of our own messages."""
    if isinstance(error, OSError) and error.strerror:
        place = "The output" if error.filename is None else error.filename
        return f"{place}: {error.strerror}. Check the path and its permissions."
    if isinstance(error, (UnicodeDecodeError, csv.Error)):
        return f"The file is no CSV text in UTF-8 ({error}). Save it as CSV in UTF-8."
    if isinstance(error, UnicodeEncodeError):
        return f"The terminal cannot show this text ({error}). Set PYTHONIOENCODING=utf-8."
    if isinstance(error, MemoryError):
        return f"The memory does not hold this ({error}). Make the model or the batch smaller."
    return str(error)


def _discard_output() -> None:
    """The reader left: what is still buffered must not fail once more at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_what_it_can() -> None:
    """A terminal without ∇ and → shows marks in their place."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gdcore",
        description="Gradient descent on NumPy arrays: train, predict, inspect.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gdcore {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="train on real data, print one table")
    demo.add_argument("--report", metavar="PAGE.html", help="default: a new temporary folder")
    demo.add_argument("--force", action="store_true", help="overwrite an existing page")
    demo.set_defaults(run=_demo)
    info = commands.add_parser("info", help="versions, kernels, SIMD level, threads, BLAS")
    info.set_defaults(run=_info)
    _train_arguments(commands)
    _predict_arguments(commands)
    _gpt_arguments(commands)
    return parser


def _train_arguments(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a linear model on a CSV file",
        description="Train on a CSV file with a header, report, and save the model.",
        epilog=TRAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = train.add_argument
    add("file", metavar="FILE.csv", help="comma, semicolon or tab between the cells")
    add("--target", required=True, metavar="COLUMN", help="the column to predict")
    add(
        "--model", choices=["auto", "linear", "logistic"], default="auto",
        help="auto: logistic for text and for up to 20 whole numbers, else linear",
    )  # fmt: skip
    add(
        "--drop", action="append", default=[], metavar="COLUMN",
        help="leave a column out; may be given several times",
    )  # fmt: skip
    names = ", ".join(map(str.lower, optim.__all__))
    add(
        "--optimizer", default="auto",
        help=f"auto, closed-form (linear only), newton, saga, svrg, normalized-adaptive, {names}",
    )  # fmt: skip
    add(
        "--learning-rate", default="auto", type=_rate, metavar="RATE",
        help="auto (default) needs no tuning",
    )  # fmt: skip
    add(
        "--batch-size", default="auto", type=_batch, metavar="ROWS",
        help="rows a step; 1 is stochastic, full (default) all of them",
    )  # fmt: skip
    add("--alpha", default="auto", type=_rate, help="weight of the penalty; auto (default): 1/n")
    add(
        "--l1-ratio", default=0.0, type=float, metavar="RATIO",
        help="0 (default) is ridge, 1 the lasso",
    )  # fmt: skip
    add("--max-epochs", default=1000, type=int, metavar="N", help="passes at most (1000)")
    add("--tol", default=1e-8, type=float, help="how near to the minimum, relatively (1e-8)")
    add(
        "--test-fraction", default=0.25, type=float, metavar="SHARE",
        help="rows held out for the score (0.25); 0 trains on all",
    )  # fmt: skip
    add("--seed", default=0, type=int, help="of the split and of the order of rows (0)")
    add("--output", metavar="MODEL.npz", help="default: FILE.gdcore.npz")
    add("--report", metavar="PAGE.html", help="write a page about the descent")
    add("--force", action="store_true", help="overwrite an existing model")
    add("--verbose", action="store_true", help="log the descent")
    train.set_defaults(run=_train)


def _predict_arguments(commands: Any) -> None:
    predict = commands.add_parser(
        "predict",
        help="predict the rows of a CSV file with a saved model",
        description="Predict with a saved model. Columns are found by name; others are ignored.",
        epilog=PREDICT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = predict.add_argument
    add("model", metavar="MODEL", help="what gdcore train or gd.save wrote")
    add("file", metavar="FILE.csv", help="a file with the columns of the training file")
    add("--output", metavar="PRED.csv", help="default: the terminal")
    add("--proba", action="store_true", help="a probability for each class")
    add("--force", action="store_true", help="overwrite an existing file")
    predict.set_defaults(run=_predict)


def _gpt_arguments(commands: Any) -> None:
    gpt = commands.add_parser(
        "gpt",
        help="train a transformer on a text, or let it write",
        description="A decoder-only transformer on texts.",
        epilog=GPT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = gpt.add_subparsers(required=True, metavar="COMMAND")
    _gpt_train_arguments(commands)
    _gpt_generate_arguments(commands)


def _gpt_train_arguments(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train on a text file",
        description="Train on a text file in UTF-8, save the model, and show what it writes.",
        epilog=GPT_TRAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = train.add_argument
    add("file", metavar="FILE.txt", help="the text; its end is held out")
    add("--n-layer", default=4, type=int, metavar="N", help="blocks (4)")
    add("--n-head", default=4, type=int, metavar="N", help="heads of attention (4)")
    add("--n-embd", default=128, type=int, metavar="N", help="width, a multiple of heads (128)")
    add("--block-size", default=64, type=int, metavar="TOKENS", help="that it sees at once (64)")
    add("--dropout", default=0.0, type=float, metavar="RATE", help="0 (default) is none")
    add(
        "--tokenizer", default="characters", choices=["characters", "bytes", "bpe"],
        help="characters (default), bytes, or byte pairs learned from the text",
    )  # fmt: skip
    add("--max-steps", default=2000, type=int, metavar="N", help="steps of training (2000)")
    add("--batch-size", default=12, type=int, metavar="WINDOWS", help="windows a step (12)")
    add("--learning-rate", default=1e-3, type=float, metavar="RATE", help="the highest (0.001)")
    add(
        "--validation", default=0.1, type=float, metavar="SHARE",
        help="share of the text that is held out, from its end (0.1); 0 trains on all",
    )  # fmt: skip
    add("--eval-every", default=250, type=int, metavar="N", help="steps a measurement (250)")
    add(
        "--patience", type=int, metavar="N",
        help="stop after N measurements without a lower validation loss, keep the weights before",
    )  # fmt: skip
    add("--seed", default=0, type=int, help="of weights, windows and dropout (0)")
    add("--threads", type=int, metavar="N", help="default: the cores there are; the same bits")
    add("--checkpoint", metavar="PATH", help="keep the run there after each measurement")
    add("--resume", action="store_true", help="go on from the checkpoint, if there is one")
    add("--output", metavar="MODEL.safetensors", help="default: FILE.gpt.safetensors")
    add("--force", action="store_true", help="overwrite an existing model")
    train.set_defaults(run=_gpt_train)


def _gpt_generate_arguments(commands: Any) -> None:
    generate = commands.add_parser(
        "generate",
        help="go on with a text",
        description="Write what a trained model goes on with, piece by piece.",
        epilog=GPT_GENERATE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = generate.add_argument
    add("model", metavar="MODEL", help="what gdcore gpt train or GPT.save wrote, or a checkpoint")
    add(
        "--prompt", required=True, metavar="TEXT",
        help="what to go on from; - is the standard input without its last line break",
    )  # fmt: skip
    add("--max-tokens", default=200, type=int, metavar="N", help="at most (200)")
    add(
        "--temperature", default=1.0, type=float, metavar="T",
        help="lower is more likely, 0 always the likeliest (1)",
    )  # fmt: skip
    add("--top-k", type=int, metavar="K", help="choose among the K likeliest")
    add("--top-p", type=float, metavar="P", help="among the fewest that have probability P")
    add(
        "--repetition-penalty", default=1.0, type=float, metavar="R",
        help="above 1 makes what was there less likely (1)",
    )  # fmt: skip
    add(
        "--stop", action="append", default=[], metavar="TEXT",
        help="end before it; may be given several times",
    )  # fmt: skip
    add("--seed", type=int, help="the same text again; default: another each time")
    generate.set_defaults(run=_gpt_generate)


def _rate(text: str) -> str | float:
    with contextlib.suppress(ValueError):
        return text if text == "auto" else float(text)
    raise argparse.ArgumentTypeError(f"must be a number or auto, got {text!r}")


def _batch(text: str) -> str | int:
    with contextlib.suppress(ValueError):
        return text if text in ("auto", "full") else int(text)
    raise argparse.ArgumentTypeError(f"must be a whole number, auto or full, got {text!r}")


def _demo(arguments: argparse.Namespace) -> None:
    from gdcore.demo import run
    from gdcore.diagnose.report import require_own

    _show_what_it_can()
    if arguments.report:
        refuse_overwriting(Path(arguments.report), arguments.force, option="--report")
        require_own(arguments.report)
    run(report=arguments.report or Path(tempfile.mkdtemp(prefix="gdcore-demo-"), "report.html"))


def _info(arguments: argparse.Namespace) -> None:
    from gdcore.info import report

    _show_what_it_can()
    print(report())


def _train(arguments: argparse.Namespace) -> None:
    from gdcore.tabular import train

    _show_what_it_can()
    train(arguments)


def _predict(arguments: argparse.Namespace) -> None:
    from gdcore.tabular import predict

    predict(arguments)


def _gpt_train(arguments: argparse.Namespace) -> None:
    from gdcore.text import train

    _show_what_it_can()
    train(arguments)


def _gpt_generate(arguments: argparse.Namespace) -> None:
    from gdcore.text import generate

    _show_what_it_can()
    generate(arguments)
