"""The command line, as a user meets it."""

import csv
import os
import subprocess
import sys

import numpy as np
import pytest

import gdcore as gd
from gdcore.cli import main
from gdcore.demo import ENTRIES, LINEAR, Entry, table, train
from gdcore.demo import run as run_demo


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
    assert "stopped          CERTIFIED" in out
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
    "the target dropped": (["--target", "price", "--drop", "price"], "drops the target"),
    "a seed below 0": (["--target", "dear", "--drop", "town", "--seed", "-1"], "--seed must be"),
    "a folder that is none": (["--target", "dear", "--output", "none/m.npz"], "is no folder"),
    "the data as output": (
        ["--target", "dear", "--output", "houses.csv", "--force"],
        "is the file with the data",
    ),
    "nothing to train on": (
        ["--target", "dear", "--drop", "town", "--test-fraction", "0.999"],
        "leaves none of 60 rows",
    ),
    "unknown column": (["--target", "prise"], "Did you mean 'price'"),
    "text among the features": (["--target", "price"], "--drop 'town'"),
    "unknown optimizer": (["--target", "price", "--drop", "town", "--optimizer", "adan"], "'adam'"),
    "rate of zero": (["--target", "price", "--drop", "town", "--learning-rate", "0"], "above 0"),
    "share of two": (["--target", "dear", "--drop", "town", "--test-fraction", "2"], "--test-f"),
    "text for linear": (["--target", "town", "--model", "linear"], "--model logistic"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_says_what_to_do_and_writes_nothing(houses, capsys, monkeypatch, case):
    more, message = REFUSED[case]
    monkeypatch.chdir(houses.parent)
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
        ("a,b\n1,2\n\n3,\n", "target 'b' is missing in row 2 (line 4)"),
        ("a,b\nnan,2\n3,4\n", "Column 'a' holds 'nan', which is no finite number, in row 1"),
        ("a,b\n1,2\n1_000,4\n", "Column 'a' holds '1_000'"),
        ("a,b\n1,2\n3,inf\n", "'b' holds 'inf' in row 2 (line 3), and numbers in other rows"),
        ("a,b\n1,2\n3,NA\n", "--model logistic if each text is a class"),
        ('a,b\n1,2\n\n"x\ny",4\n', "in row 2 (line 5)"),
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


@pytest.fixture(scope="module")
def rows():
    """The rows of the demo without its longest ones."""
    return [train(entry)[1] for entry in ENTRIES if entry.data in ("diabetes", "breast_cancer")]


@pytest.mark.parametrize("width", [80, 100, 150])
def test_the_table_fits_the_terminal_and_its_columns_are_aligned(rows, width):
    lines = list(table(rows, width))
    assert max(map(len, lines)) <= width
    names = ("FISTA", "Newton", "SGD", "closed-form")
    shown = [line for line in lines if any(name in line for name in names)]
    assert len(shown) == len(rows) == 7
    rule = next(line for line in lines if line.startswith("─"))
    gaps = [i for i, mark in enumerate(rule) if mark == " "]
    for line in shown:
        assert {line[i] for i in gaps if i < len(line)} == {" "}


def test_the_table_tells_why_and_how_well(rows):
    lines = list(table(rows, 150))
    for title in ("steps", "cost first → last", "‖∇J‖", "held-out", "seconds", "stopped because"):
        assert title in lines[0]
    closed, batch, mini, stochastic = lines[2:6]
    assert closed.endswith("CLOSED_FORM")
    assert batch.endswith("CERTIFIED J − J* < 1e-20·J")
    assert "COST |ΔJ| < " in mini
    assert int(rows[3]["steps"]) % 332 == 0  # one example a step
    assert all(float(row["score"]) > 0.9 for row in rows if row["kind"] == "acc")
    assert "R² 0.3" in stochastic


def test_the_demo_ends_with_the_distance_from_the_closed_form():
    lines = []
    run_demo(ENTRIES[:2], write=lines.append, width=80)
    assert "thread" in lines[0]
    assert max(map(len, lines)) <= 80
    gap = " ".join(lines).split("differ by ")[1]
    assert 0 < float(gap.split(" ")[0]) < 1e-8
    assert "in the cost" in gap


def test_a_row_that_ends_by_its_budget_says_so():
    entry = Entry(*LINEAR, {"batch_size": "full", "optimizer": "fista", "max_epochs": 3})
    lines = []
    run_demo([entry], write=lines.append, width=150)
    last = lines.index("The doctor's verdict on each descent:") - 2  # of the table
    assert lines[last].endswith("EPOCHS 3 epochs")


def test_one_entry_more_is_one_row_more():
    lines, more = [], []
    entry = Entry(*LINEAR, {"optimizer": "closed-form"})
    run_demo([entry], write=lines.append, width=80)
    run_demo([entry, Entry("ridge", *LINEAR[1:], {"alpha": 10.0})], write=more.append, width=80)
    assert len([line for line in more if "Newton" in line]) == 1
    assert not [line for line in lines if "Newton" in line]


def shell(*arguments, **settings):
    return subprocess.run(
        [sys.executable, "-m", "gdcore", *arguments],
        capture_output=True, text=True, encoding="utf-8", env=os.environ | settings,
    )  # fmt: skip


def test_the_module_and_info_run_from_a_shell():
    done = shell("info", PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("gdcore", "Python", "NumPy", "threadpoolctl", "SIMD level", "threads", "BLAS"):
        assert word in done.stdout
    for name, who in gd.backend().items():
        assert f"{name:19} {who}\n" in done.stdout


def test_info_on_numpy_says_so():
    done = shell("info", PYTHONIOENCODING="utf-8", GDCORE_BACKEND="numpy")
    assert "NumPy answers for every kernel: as GDCORE_BACKEND asks" in done.stdout
    assert "Unset GDCORE_BACKEND" in done.stdout


@pytest.mark.parametrize(("module", "who"), [("activations", "for every kernel"), ("layers", "")])
def test_info_without_the_compiled_core_says_how_to_get_it(module, who):
    hide = f"import sys; sys.modules['gdcore._native.{module}'] = None"
    show = "from gdcore.cli import main; main(['info'])"
    done = subprocess.run(
        [sys.executable, "-c", f"{hide}; {show}"], capture_output=True, text=True, check=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8", "GDCORE_BACKEND": "auto"},
    )  # fmt: skip
    assert f"NumPy answers {who}" in done.stdout
    assert "the compiled core is missing" in done.stdout
    assert "install a C compiler" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_reader_that_leaves_is_no_traceback():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "gdcore", "info"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "invalid choice: 'trian'"),
        ([], "COMMAND"),
        (["train", "a.csv"], "--target"),
        (["train", "a.csv", "--target", "b", "--learning-rate", "fast"], "a number or auto"),
        (["train", "a.csv", "--target", "b", "--batch-size", "3.5"], "a whole number, auto or"),
    ],
)
def test_mistakes_in_the_arguments_are_one_line(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert "--help" in err


@pytest.mark.parametrize("command", [[], ["train"], ["predict"]])
def test_help_shows_examples(capsys, command):
    code, out, _ = run(capsys, *command, "--help")
    assert code == 0
    assert "examples:\n  gdcore " in out


def test_help_names_every_optimizer(capsys):
    out = run(capsys, "train", "--help")[1]
    for name in gd.optim.__all__:
        assert name.lower() in out


def test_the_version(capsys):
    assert run(capsys, "--version")[:2] == (0, f"gdcore {gd.__version__}\n")


def test_the_same_command_gives_the_same_predictions(houses, capsys, tmp_path):
    base = ["train", houses, "--target", "dear", "--drop", "town", "--drop", "price"]
    shown = []
    for name in ("one.npz", "two.npz"):
        options = ["--batch-size", "4", "--seed", "5", "--output", tmp_path / name]
        assert run(capsys, *base, *options)[0] == 0
        shown.append(run(capsys, "predict", tmp_path / name, houses, "--proba")[1])
    assert shown[0] == shown[1]


def test_predictions_are_those_of_the_saved_model_whatever_the_order_of_columns(
    houses, capsys, tmp_path
):
    run(capsys, "train", houses, "--target", "price", "--drop", "town", "--drop", "dear")
    with open(houses, newline="") as file:
        rows = list(csv.DictReader(file))
    turned = tmp_path / "turned.csv"
    with open(turned, "w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["town", "age", "area"])
        writer.writerows([row["town"], row["age"], row["area"]] for row in rows)
    model = gd.load(houses.with_suffix(".gdcore.npz"))
    assert list(model.feature_names_in_) == ["area", "age"]
    X = np.array([[float(row["area"]), float(row["age"])] for row in rows])
    code, out, _ = run(capsys, "predict", houses.with_suffix(".gdcore.npz"), turned)
    assert code == 0
    np.testing.assert_array_equal(np.array(out.split()[1:], float), model.predict(X))


def test_a_missing_column_is_named(houses, capsys, tmp_path):
    run(capsys, "train", houses, "--target", "price", "--drop", "town")
    short = tmp_path / "short.csv"
    short.write_text("area,dear\n1,2\n")
    code, _, err = run(capsys, "predict", houses.with_suffix(".gdcore.npz"), short)
    assert (code, "'age'" in err) == (2, True)


def test_numbers_have_no_probabilities(houses, capsys):
    run(capsys, "train", houses, "--target", "price", "--drop", "town")
    code, _, err = run(capsys, "predict", houses.with_suffix(".gdcore.npz"), houses, "--proba")
    assert (code, "--proba needs a classifier" in err) == (2, True)


def test_predictions_are_not_overwritten_without_force(houses, capsys, tmp_path):
    run(capsys, "train", houses, "--target", "price", "--drop", "town")
    target = tmp_path / "out.csv"
    target.write_text("mine")
    base = ["predict", houses.with_suffix(".gdcore.npz"), houses, "--output", target]
    assert run(capsys, *base)[0] == 2
    assert target.read_text() == "mine"
    assert run(capsys, *base, "--force")[0] == 0
    assert target.read_text().startswith("prediction\n")


def test_a_file_that_is_no_text_is_one_message(capsys, tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("é,b\n1,2\n".encode("latin-1"))
    code, _, err = run(capsys, "train", path, "--target", "b")
    assert (code, "Save it as CSV in UTF-8" in err) == (2, True)
    path.write_text("a,b\n" + "1" * 200_000 + ",2\n")
    code, _, err = run(capsys, "train", path, "--target", "b")
    assert (code, "Save it as CSV in UTF-8" in err) == (2, True)


def test_verbose_logs_the_descent(houses):
    done = shell(
        "train", str(houses), "--target", "price", "--drop", "town", "--verbose",
        PYTHONIOENCODING="ascii",
    )  # fmt: skip
    assert done.returncode == 0
    assert "epoch     0  cost" in done.stderr
    assert "J ? J* ?" in done.stdout  # on a terminal that has no such signs


def test_a_delimiter_in_quotes_is_none(capsys, tmp_path):
    path = tmp_path / "quoted.csv"
    path.write_text('"a, b, c";y\n' + "".join(f"{i};{i + 0.5}\n" for i in range(30)))
    assert run(capsys, "train", path, "--target", "y")[0] == 0
    names = gd.load(tmp_path / "quoted.gdcore.npz").feature_names_in_
    assert list(names) == ["a, b, c"]


def test_numbers_too_large_to_be_class_numbers_are_numbers(capsys, tmp_path):
    path = tmp_path / "large.csv"
    path.write_text("a,y\n" + "".join(f"{i},{(i % 3 + 1) * 1e20}\n" for i in range(30)))
    code, out, err = run(capsys, "train", path, "--target", "y")
    assert (code, err) == (0, "")
    assert "LinearRegression: the target is a number" in out


def test_a_hole_in_the_data_to_predict_does_not_advise_dropping(houses, capsys, tmp_path):
    run(capsys, "train", houses, "--target", "price", "--drop", "town")
    holes = tmp_path / "holes.csv"
    holes.write_text("area,age,dear\n1,,0\n")
    code, _, err = run(capsys, "predict", houses.with_suffix(".gdcore.npz"), holes)
    assert (code, "Column 'age' holds nothing in row 1" in err, "--drop" in err) == (2, True, False)


def test_words_that_are_not_ascii_come_back_in_utf8(capsys, tmp_path):
    path, out = tmp_path / "words.csv", tmp_path / "out.csv"
    rows = "".join(f"{i},{'été' if i > 14 else 'hiver'}\n" for i in range(30))
    path.write_text("a,saison\n" + rows, encoding="utf-8")
    assert run(capsys, "train", path, "--target", "saison")[0] == 0
    model = tmp_path / "words.gdcore.npz"
    assert run(capsys, "predict", model, path, "--output", out)[0] == 0
    assert "été" in out.read_text(encoding="utf-8")


def test_training_writes_a_page_where_asked(tmp_path, capsys):
    file = tmp_path / "rows.csv"
    file.write_text("a,b,y\n" + "".join(f"{i},{i * i % 7},{2 * i + 1}\n" for i in range(40)))
    page = tmp_path / "run.html"
    arguments = ["train", str(file), "--target", "y", "--report", str(page)]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert f"report           {page}" in said
    text = page.read_text()
    assert "rows.csv: y" in text
    assert "Nothing found." in text
    assert main([*arguments, "--output", str(tmp_path / "other.npz")]) == 2
    assert f"{page} exists. Pass --force to overwrite it, or another --report." in (
        capsys.readouterr().err
    )


def test_training_says_what_the_doctor_found(tmp_path, capsys):
    file = tmp_path / "rows.csv"
    file.write_text("a,b,y\n" + "".join(f"{i},{2 * i},{3 * i % 5}\n" for i in range(40)))
    assert main(["train", str(file), "--target", "y", "--model", "linear", "--alpha", "0"]) == 0
    said = capsys.readouterr().out
    assert "doctor           collinear columns: Columns a, b make each other up" in said


def test_the_demo_ends_with_verdicts_and_a_page(tmp_path):
    lines, page = [], tmp_path / "demo.html"
    run_demo(ENTRIES[:2], write=lines.append, width=100, report=page)
    at = lines.index("The doctor's verdict on each descent:")
    assert [line.split()[-2:] for line in lines[at + 1 : at + 3]] == [["nothing", "found"]] * 2
    assert lines[-1].endswith(str(page))
    assert page.read_text().count("<h2>linear regression, diabetes") == 2
