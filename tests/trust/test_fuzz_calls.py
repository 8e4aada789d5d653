"""Functions that give rubbish, odd trees of arrays, any text, any command line."""

import contextlib
import copy
import io

import numpy as np
import pytest
from hypothesis import strategies as st

import gdcore as gd
from gdcore import cli, tokenizers
from tests.languages import TEXT
from tests.trust.fuzzing import Held, fuzz, outcome
from tests.trust.inputs import ANY, arrays

NAMES = [name.lower() for name in gd.optim.__all__]


class Own(Exception):
    """What a function of the user's raises, and what the user is to see."""


VALUES = [1.0, 0.5, -3.0, 1, True, np.nan, np.inf, -np.inf, None, "x", [], [1.0], (1.0,), 1j,
    10**400,
          np.float32(2), np.array(1.0), np.array([1.0]), np.array([1.0, 2.0]), {}, object(),
          1e308]  # fmt: skip
RIGHT = object()
SLOPES = ["right", "right", "zero", "nan", "inf", "short", "long", "flat", "list", "whole",
    "single",
          "complex", "none", "text", "objects", "ragged", "scalar", "dict", "huge",
          "kept"]  # fmt: skip
FORMS = ["pair", "pair", "pair", "list", "value", "three", "nothing", "raises", "late"]


@np.errstate(all="ignore")
def slope_of(kind, x):
    """A gradient at x, right or not."""
    try:
        right = 2 * np.asarray(x, float)
    except (TypeError, ValueError):
        return x  # a tree: points uphill from 0, as it should
    made = {
        "right": right, "zero": 0 * right, "nan": right * np.nan, "inf": right + np.inf,
        "short": right.reshape(-1)[:-1], "long": np.append(right, 1.0), "flat": right.reshape(-1),
        "whole": right.astype(int), "single": right.astype("f4"), "complex": right + 1j,
        "none": None, "text": "slope", "objects": right.astype(object), "ragged": [[1.0], [1.0,
        2.0]],
        "scalar": 1.0, "dict": {"x": right}, "huge": right * 0 + 1e308, "kept": x,
    }  # fmt: skip
    return right.tolist() if kind == "list" else made[kind]


class Rubbish:
    """A function that gives now this, now that."""

    def __init__(self, form, values, slopes):
        self.form, self.values, self.slopes, self.asked = form, values, slopes, 0

    def __call__(self, x, *args):
        self.asked += 1
        if self.form == "raises" or (self.form == "late" and self.asked > 3):
            raise Own
        value = self.values[self.asked % len(self.values)]
        value = self.asked**-1.0 if value is RIGHT else value
        slope = slope_of(self.slopes[self.asked % len(self.slopes)], x)
        forms = {
            "list": [value, slope],
            "value": value,
            "three": (value, slope, 1),
            "nothing": None,
        }
        return forms.get(self.form, (value, slope))


@st.composite
def minimizations(draw):
    """(fun, x0, named arguments)."""
    some = st.lists(st.just(RIGHT) | st.sampled_from(VALUES), min_size=1, max_size=3)
    fun = Rubbish(
        draw(st.sampled_from(FORMS)), draw(some), draw(st.lists(st.sampled_from(SLOPES),
            min_size=1, max_size=2))
    )  # fmt: skip
    x0 = draw(
        st.sampled_from([[1.0, 2.0], [1.0, 2.0], np.ones((2, 2)), 3.0, np.float32([1, 2]), [], [1,
            2],
                         (np.ones(2),), {"a": np.ones(2)}, {"a": [np.ones(1), 2.0]}, None, "x",
                             [None],
                         [np.nan], np.array([1j]), np.ones(0), [[1.0], [1.0, 2.0]], object()])
        | arrays((2,))
    )  # fmt: skip
    names = ["jac", "method", "bounds", "tol", "gtol", "ftol", "xtol", "learning_rate", "restarts",
             "random_state", "rng", "batches", "args", "callback", "check_saddle"]  # fmt: skip
    pool = [*ANY, *NAMES, (0, 1), [(0, 1), (0, 1)], [(1, 0)] * 2, [(np.nan, 1)] * 2, [None, None],
            (np.zeros(2), np.ones(2)), [[1.0]], [(None, None)] * 2]  # fmt: skip
    named = draw(st.dictionaries(st.sampled_from(names), st.sampled_from(pool), max_size=2))
    if isinstance(named.get("restarts"), int) and named["restarts"] > 9:
        named["restarts"] = 2
    if draw(st.booleans()):
        named["method"] = draw(st.sampled_from(NAMES))
    for name in ("jac", "callback", "batches"):  # what can be called raises what is its own
        if isinstance(named.get(name), (type, gd.optim.Optimizer, gd.layers.Dense)):
            del named[name]
    return fun, x0, {"max_iter": draw(st.sampled_from([0, 1, 5, 20])), "max_time": 0.3, **named}


@fuzz("functions that give rubbish", 30, minimizations())
def test_minimize(drawn):
    fun, x0, named = drawn
    held = Held(x0)
    try:
        result, refused = outcome(gd.minimize, fun, x0, **named)
    except Own:
        assert fun.form in ("raises", "late")
        return True
    held.require_unchanged()
    if refused is None:
        require_finite(result.x)
    return refused is not None


def require_finite(tree):
    for _, leaf in gd.optim.tree.leaves(tree):
        assert np.isfinite(leaf).all()


TREES = st.recursive(
    st.sampled_from([None, 1.0, "x", [], {}, np.ones(2), np.ones((2, 1)), np.ones(0), np.array(2.0),
                     np.float32([1, 2]), np.array([1]), np.array([True]), np.array([np.nan]),
                     np.array(["a"]), np.array([1j]), np.array([None]), np.float16([1]),
                     np.ones(2, ">f8"), np.ones((4, 4))[::2, ::2], np.broadcast_to(1.0, 3)])
    | arrays((2,)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab."), inner,
        max_size=3)
    | st.tuples(inner, inner),
    max_leaves=4,
)  # fmt: skip


RIGHT_TREES = [np.ones(3), np.float32([[1, 2], [3, 4]]), [np.ones(2), np.ones((2, 1))],
    np.array(2.0),
               {"w": np.ones((2, 3)), "b": [np.zeros(3), np.float32([1])]}, np.ones((4, 4))[::2,
                   1:3],
               np.empty(17, np.uint8)[1:].view(float)]  # fmt: skip


@st.composite
def bindings(draw):
    """(optimizer, params, gradients)."""
    params = draw(st.sampled_from(RIGHT_TREES)) if draw(st.integers(0, 2)) else draw(TREES)
    grads = like(draw, params) if draw(st.integers(0, 3)) else draw(TREES)
    return draw(st.sampled_from(gd.optim.__all__)), copy.deepcopy(params), copy.deepcopy(grads)


def like(draw, tree):
    """Gradients for a tree, seldom one that is not right."""
    if isinstance(tree, dict):
        return {key: like(draw, child) for key, child in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [like(draw, child) for child in tree]
    if draw(st.sampled_from([True] * 5 + [False])):
        with contextlib.suppress(TypeError, ValueError):
            return np.ones_like(tree)
    return draw(st.sampled_from([None, np.ones(3), [1.0, 2.0], np.full(2, np.nan), 1.0, "x"]))


@fuzz("trees of arrays", 40, bindings())
def test_bind(drawn):
    name, params, grads = drawn
    optimizer = getattr(gd.optim, name)()
    updater, refused = outcome(optimizer.bind, params)
    if refused is not None:
        return True
    leaves = [leaf for _, leaf in gd.optim.tree.leaves(grads)]
    held, before = Held(*leaves), updater.t
    _, refused = outcome(updater.step, grads, cost=1.0)
    held.require_unchanged()
    if refused is not None:
        assert updater.t == before, "a step that was refused was counted"
        return True
    _, refused = outcome(updater.load_state_dict, updater.state_dict())
    assert refused is None
    return False


TEXTS = st.text(max_size=40) | st.sampled_from(
    ["", "a", TEXT, "\ud800", "\0", "a" * 500, " " * 99, "é́"]
)
IDS = st.lists(st.integers(-2, 300), max_size=9) | st.sampled_from(
    [None, [1.5], [[1]], "ab", [2**70], [], 3]
)
ODD = TEXTS | st.sampled_from(
    [None, b"bytes", 3, [], ["a"], [1, 2], np.arange(3), np.array(["a"]), {}, [None]]
)


@fuzz("texts and tokens", 20, st.sampled_from(["bytes", "characters", "bpe"]), ODD, ODD, IDS)
def test_tokenizers(kind, learned, text, ids):
    made, refused = outcome(tokenizers.tokenizer_for, kind, learned)
    if refused is not None:
        return True
    _, refused = outcome(made.decode, ids)
    tokens, other = outcome(made.encode, text)
    if other is None:
        assert made.decode(tokens) == text
    return refused is not None or other is not None


SMALL = {"n_layer": 1, "n_head": 1, "n_embd": 4, "block_size": 4}


@st.composite
def languages(draw):
    """(GPT, text, arguments of fit, prompt, arguments of generate)."""
    fields = ["n_layer", "n_head", "n_embd", "block_size", "dropout", "tokenizer", "dtype", "bias",
              "activation", "positions", "n_inner", "random_state", "tied", "eps",
              "vocabulary"]  # fmt: skip
    fit = ["learning_rate", "validation", "patience", "optimizer", "schedule", "clip_norm",
           "gradient_accumulation", "eval_every"]  # fmt: skip
    ask = ["temperature", "top_k", "top_p", "repetition_penalty", "stop", "seed"]
    small = [value for value in ANY if type(value) is not int or value < 10]
    odd, made = draw(st.sampled_from(["fields", "fit", "ask", "text", "prompt"])), {}
    for name, names in {"fields": fields, "fit": fit, "ask": ask}.items():
        given = st.dictionaries(st.sampled_from(names), st.sampled_from(small), max_size=2)
        made[name] = draw(given) if name == odd else {}
    text = draw(ODD | IDS) if odd == "text" else TEXT
    prompt = draw(ODD | IDS) if odd == "prompt" else "the"
    return SMALL | made["fields"], text, made["fit"], prompt, made["ask"]


@fuzz("GPTs", 20, languages())
def test_gpt(drawn):
    settings, text, fit, prompt, ask = drawn
    gpt = gd.GPT(**settings)
    _, refused = outcome(gpt.fit, text, max_steps=2, batch_size=2, **fit)
    if refused is not None:
        return True
    assert np.isfinite(gpt.theta_.vector).all()
    _, refused = outcome(gpt.generate, prompt, 3, **ask)
    return refused is not None


CELLS = st.sampled_from(["1", "2", "0.5", "-3e4", "nan", "inf", "", " ", "x", "yes", "1_000", "٣",
    '"', "1e999",
                         "a,b", "\0", "é", "\ud7ff", "9" * 30, "=1+1", "'", "\t",
                         "1;2"])  # fmt: skip
FLAGS = ["--model", "--optimizer", "--learning-rate", "--batch-size", "--alpha", "--l1-ratio",
    "--max-epochs",
         "--tol", "--test-fraction", "--seed", "--drop", "--report", "--output", "--verbose",
         "--nonsense"]  # fmt: skip
GIVEN = ["linear", "logistic", "adam", "0", "1", "0.5", "-1", "nan", "inf", "auto", "x", "", "a",
    "c",
         "closed-form", "1e400", ".", "no/such/file", "page.html", "\udcff", "10"]  # fmt: skip


@st.composite
def tables(draw):
    """(text of a CSV file, arguments of gdcore train)."""
    names = st.sampled_from(["a", "b", "c", "y", "", "a", " a", '"q"', "é", "<b>"])
    head = draw(st.just(["a", "b", "y"]) | st.lists(names, min_size=1, max_size=4))
    width, good = len(head), draw(st.integers(0, 3))
    rows = [[str(i), str(i * i % 7), str(i % 3)][:width] + ["1"] * (width - 3) for i in range(12)]
    if not good:
        rows = draw(
            st.lists(
                st.lists(CELLS, min_size=width, max_size=width) | st.lists(CELLS, max_size=4),
                max_size=5,
            )
        )
    line = draw(st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"]))
    sep = draw(st.sampled_from([",", ",", ";", "\t"]))
    text = line.join(sep.join(row) for row in [head, *rows])
    text += draw(st.sampled_from(["", "", line, line, "\0", '"']))
    flags = draw(st.lists(st.tuples(st.sampled_from(FLAGS), st.sampled_from(GIVEN)), max_size=1))
    target = draw(st.sampled_from([head[-1].strip(), head[-1].strip(), "zzz"]))
    return text, ["--target", target, *(part for flag in flags for part in flag)]


@fuzz("CSV files on the command line", 20, tables())
def test_train(drawn):
    text, arguments = drawn
    with open("table.csv", "w", encoding="utf-8", newline="", errors="surrogatepass") as file:
        file.write(text)
    return commanded(["train", "table.csv", "--force", "--max-epochs", "20", *arguments])


@fuzz("texts on the command line", 12, TEXTS | st.binary(max_size=30), st.lists(st.tuples(
    st.sampled_from(["--n-layer", "--n-head", "--n-embd", "--block-size", "--dropout",
        "--tokenizer",
                     "--batch-size", "--learning-rate", "--validation", "--eval-every",
                     "--patience", "--seed"]),
    st.sampled_from(["0", "1", "2", "-1", "0.5", "x", "", "nan", "1e400", "bytes", "bpe"])),
        max_size=2))  # fmt: skip
def test_gpt_train(text, flags):
    content = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    with open("book.txt", "wb") as file:
        file.write(content)
    more = [part for flag in flags for part in flag]
    return commanded(["gpt", "train", "book.txt", "--force", "--max-steps", "2", "--n-embd", "4",
        "--n-layer", "1",
                      "--block-size", "4", *more])  # fmt: skip


def commanded(arguments):
    """Whether the command line refuses: exit code 2 and one line, and nothing else but success."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(arguments)
    assert code in (0, 2), (code, err.getvalue())
    said = err.getvalue().splitlines()
    if code == 2:
        assert said
        assert said[-1 if len(said) == 1 else 0].startswith("gdcore: "), said
        assert ". " in err.getvalue(), said
    return code == 2


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
