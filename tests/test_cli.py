"""The command line, as a user meets it."""

import csv
import subprocess
import sys

import numpy as np
import pytest

import gdcore as gd
from gdcore.cli import main


@pytest.fixture
def houses(tmp_path):
    """A CSV file of 60 houses whose price is nearly linear."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    price = 3 * X[:, 0] - 2 * X[:, 1] + 10 + 0.01 * rng.normal(size=60)
    path = tmp_path / "houses.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["area", "age", "price", "town", "dear"])
        for row, p in zip(X, price, strict=True):
            writer.writerow([*row, p, "A" if row[0] > 0 else "B", int(p > 10)])
    return path


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_train_then_predict(houses, capsys, tmp_path):
    code, out, err = run(capsys, "train", houses, "--target", "price", "--drop", "town")
    assert (code, err) == (0, "")
    assert "LinearRegression" in out
    assert "stopped          GRADIENT" in out
    model = tmp_path / "houses.gdcore.npz"
    assert model.exists()
    code, out, err = run(capsys, "predict", model, houses)
    lines = out.splitlines()
    assert lines[0] == "prediction"
    with open(houses, newline="") as file:
        rows = list(csv.DictReader(file))
    expected = np.array([float(row["price"]) for row in rows])
    assert np.corrcoef(np.array(lines[1:], float), expected)[0, 1] > 0.999


def test_classes_of_text_and_their_probabilities(houses, capsys, tmp_path):
    where = tmp_path / "town.npz"
    arguments = ["train", houses, "--target", "town", "--output", where, "--batch-size", 8]
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert "LogisticRegression: the target is text" in out
    assert "accuracy" in out
    code, out, _ = run(capsys, "predict", where, houses, "--proba")
    assert out.splitlines()[0] == "P(A),P(B)"
    first = np.array(out.splitlines()[1].split(","), float)
    assert first.sum() == pytest.approx(1)
    target = tmp_path / "out.csv"
    assert run(capsys, "predict", where, houses, "--output", target)[0] == 0
    assert set(target.read_text().split()[1:]) == {"A", "B"}


def test_whole_numbers_are_classes_unless_told_otherwise(houses, capsys, tmp_path):
    base = ["train", houses, "--target", "dear", "--drop", "town", "--output", tmp_path / "m.npz"]
    assert "LogisticRegression" in run(capsys, *base)[1]
    assert "LinearRegression" in run(capsys, *base, "--model", "linear", "--force")[1]


REFUSED = {
    "unknown column": (["--target", "prise"], "Did you mean 'price'"),
    "text among the features": (["--target", "price"], "--drop 'town'"),
    "unknown optimizer": (["--target", "price", "--drop", "town", "--optimizer", "adan"], "'adam'"),
    "rate of zero": (["--target", "price", "--drop", "town", "--learning-rate", "0"], "above 0"),
    "share of two": (["--target", "dear", "--drop", "town", "--test-fraction", "2"], "--test-f"),
    "text for linear": (["--target", "town", "--model", "linear"], "--model logistic"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_what_to_do_and_writes_nothing(houses, capsys, case):
    more, message = REFUSED[case]
    code, _, err = run(capsys, "train", houses, *more)
    assert code == 2
    assert err.startswith("gdcore: ")
    assert message in err
    assert "Traceback" not in err
    assert [path.name for path in houses.parent.iterdir()] == ["houses.csv"]


def test_nothing_is_overwritten_without_force(houses, capsys):
    base = ["train", houses, "--target", "price", "--drop", "town"]
    assert run(capsys, *base)[0] == 0
    before = houses.with_suffix(".gdcore.npz").read_bytes()
    code, _, err = run(capsys, *base, "--alpha", "5")
    assert (code, "--force" in err) == (2, True)
    assert houses.with_suffix(".gdcore.npz").read_bytes() == before
    assert run(capsys, *base, "--alpha", "5", "--force")[0] == 0
    assert houses.with_suffix(".gdcore.npz").read_bytes() != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,b\n", "no rows"),
        ("a,a\n1,2\n", "names a column twice"),
        ("a,b\n1,2\n3\n", "1 cells in line 3"),
        ("a,b\n1,2\n,4\n", "Column 'a' holds nothing in row 2"),
        ("a,b\n1,2\n3,\n", "target is missing in row 2"),
        ("a,b\nnan,2\n3,4\n", "X contains NaN"),
    ],
)
def test_broken_files_are_named(tmp_path, capsys, text, message):
    path = tmp_path / "broken.csv"
    path.write_text(text)
    code, _, err = run(capsys, "train", path, "--target", "b", "--test-fraction", "0")
    assert code == 2
    assert message in err


def test_files_that_are_not_there(capsys, tmp_path):
    assert run(capsys, "train", tmp_path / "no.csv", "--target", "x")[0] == 2
    code, _, err = run(capsys, "predict", tmp_path / "no.npz", tmp_path / "no.csv")
    assert (code, "does not exist" in err) == (2, True)


def test_other_delimiters(houses, capsys, tmp_path):
    path = tmp_path / "semicolon.csv"
    path.write_text(houses.read_text().replace(",", ";"))
    assert run(capsys, "train", path, "--target", "price", "--drop", "town")[0] == 0


def test_demo_prints_one_table_with_every_mode(capsys):
    from gdcore.demo import ENTRIES
    from gdcore.demo import run as demo

    demo([entry for entry in ENTRIES if entry.data != "digits"])
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].endswith("threads.")
    for column in ("steps", "cost first → last", "‖∇J‖", "held-out", "seconds", "stopped because"):
        assert column in lines[2]
    assert "442" not in lines[2]
    assert len([line for line in lines if "FISTA" in line]) == 2
    gap = float(out.split("differ by ")[1].split(" ")[0])
    assert gap < 1e-8
    assert max(map(len, lines)) <= 160


def test_the_module_and_info_run_from_a_shell():
    command = [sys.executable, "-m", "gdcore", "info"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for word in ("NumPy", "SIMD level", "threads", "BLAS", "logistic_epoch"):
        assert word in done.stdout
    who = "native" if "native" in gd.backend().values() else "numpy"
    assert f"sigmoid             {who}" in done.stdout


def test_info_on_numpy_says_so():
    command = [sys.executable, "-m", "gdcore", "info"]
    import os

    settings = os.environ | {"GDCORE_BACKEND": "numpy"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=settings)
    assert "NumPy answers for every kernel" in done.stdout
