"""The command line: gdcore demo, info, train, predict."""

import argparse
import sys

from gdcore._version import __version__


def main(argv=None):
    """Run one command; returns the exit code, 2 for what the user can mend."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except (ValueError, TypeError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            sys.stderr.close()  # the reader left; there is nobody to tell
            return 1
        print(f"gdcore: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gdcore: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser():
    parser = argparse.ArgumentParser(
        prog="gdcore", description="Gradient descent on NumPy arrays: train, predict, inspect."
    )
    parser.add_argument("--version", action="version", version=f"gdcore {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="train on real data, print one table")
    demo.set_defaults(run=_demo)
    info = commands.add_parser("info", help="versions, kernels, SIMD level, threads, BLAS")
    info.set_defaults(run=_info)
    _train_arguments(commands)
    _predict_arguments(commands)
    return parser


def _train_arguments(commands):
    train = commands.add_parser(
        "train",
        help="train a linear model on a CSV file",
        description="Train on a CSV file with a header, report, and save the model.",
        epilog="example: gdcore train houses.csv --target price --batch-size 32",
    )
    train.add_argument("file", metavar="FILE.csv")
    train.add_argument("--target", required=True, metavar="COLUMN", help="what to predict")
    train.add_argument(
        "--model", choices=["auto", "linear", "logistic"], default="auto",
        help="auto: logistic for text and for up to 20 whole numbers, else linear",
    )  # fmt: skip
    train.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="leave out")
    train.add_argument("--optimizer", default="auto", help="auto, closed-form, sgd, adam, …")
    train.add_argument("--learning-rate", default="auto", type=_number_or_auto, metavar="RATE")
    train.add_argument("--batch-size", default="auto", type=_whole_or_name, metavar="ROWS")
    train.add_argument("--alpha", default="auto", type=_number_or_auto, help="penalty, auto: 1/n")
    train.add_argument("--l1-ratio", default=0.0, type=float, metavar="RATIO")
    train.add_argument("--max-epochs", default=1000, type=int, metavar="N")
    train.add_argument("--tol", default=1e-6, type=float)
    train.add_argument("--test-fraction", default=0.25, type=float, metavar="SHARE")
    train.add_argument("--seed", default=0, type=int)
    train.add_argument("--output", metavar="MODEL.npz", help="default: FILE.gdcore.npz")
    train.add_argument("--force", action="store_true", help="overwrite an existing model")
    train.add_argument("--verbose", action="store_true", help="log the descent")
    train.set_defaults(run=_train)


def _predict_arguments(commands):
    predict = commands.add_parser(
        "predict",
        help="predict the rows of a CSV file with a saved model",
        description="Predict with a saved model; columns are found by name.",
        epilog="example: gdcore predict houses.gdcore.npz new.csv --output prices.csv",
    )
    predict.add_argument("model", metavar="MODEL")
    predict.add_argument("file", metavar="FILE.csv")
    predict.add_argument("--output", metavar="FILE.csv", help="default: the terminal")
    predict.add_argument("--proba", action="store_true", help="a probability for each class")
    predict.add_argument("--force", action="store_true", help="overwrite an existing file")
    predict.set_defaults(run=_predict)


def _number_or_auto(text):
    return text if text == "auto" else float(text)


def _whole_or_name(text):
    return int(text) if text.lstrip("+-").isdigit() else text


def _demo(arguments):
    from gdcore.demo import run

    run()


def _info(arguments):
    from gdcore.info import report

    print(report())


def _train(arguments):
    from gdcore.tabular import train

    train(arguments)


def _predict(arguments):
    from gdcore.tabular import predict

    predict(arguments)
