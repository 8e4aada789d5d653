"""What fuzzing has found, each once: kept, so that it stays mended."""

import warnings
from fractions import Fraction

import numpy as np
import pytest

import gdcore as gd
from gdcore import tensors
from gdcore.tokenizers import BPE
from tests.languages import TEXT
from tests.trust import forged
from tests.trust.readers import READERS, SMALL, STEPS

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
X = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, -1.0], [3.0, 2.0]])
KINDS = pytest.mark.parametrize("kind", [gd.LinearRegression, gd.LogisticRegression,
                                         gd.LinearClassifier, gd.MLPClassifier])  # fmt: skip


def misaligned(array):
    """The same numbers, one byte away from where numbers begin."""
    odd = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    odd[...] = array
    assert not odd.flags.aligned
    return odd


@KINDS
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_numbers_that_lie_off_their_places_are_the_same_numbers(kind, call):
    """Compiled loops were handed them: an error of a kernel's, or a fault of the processor."""
    for dtype in ("f4", "f8"):
        rows, y = X.astype(dtype), np.array([0, 1, 0, 1])
        here, there = (kind(max_epochs=3, tol=0, random_state=0) for _ in range(2))
        getattr(here, call)(rows, y)
        getattr(there, call)(misaligned(rows), misaligned(y))
        np.testing.assert_array_equal(here.predict(rows), there.predict(misaligned(rows)))


def test_sparse_structures_off_their_places():
    fields = np.array([1.0, 2.0]), np.array([1, 0]), np.array([0, 1, 2])
    odd = gd.CSR(*map(misaligned, fields), (2, 2))
    np.testing.assert_array_equal(odd.dense(), gd.CSR(*fields, (2, 2)).dense())
    assert odd.data.flags.aligned


def test_bound_arrays_and_gradients_off_their_places_move_as_others():
    theta, odd, g = np.ones(3), misaligned(np.ones(3)), np.array([1.0, 2.0, 3.0])
    for params, slope in ((theta, g), (odd, misaligned(g))):
        gd.optim.Adam(0.1).bind(params).step(slope)
    np.testing.assert_array_equal(theta, odd)


@KINDS
def test_masked_entries_are_not_unmasked_in_silence(kind):
    masked = np.ma.masked_array(X, mask=X == 1)
    with pytest.raises(ValueError, match=r"X has masked entries\. Fill them first"):
        kind().fit(masked, [0, 1, 0, 1])
    with pytest.raises(ValueError, match=r"y has masked entries"):
        kind().fit(X, np.ma.masked_array([0, 1, 0, 1], mask=[1, 0, 0, 0]))
    kind(max_epochs=2).fit(np.ma.masked_array(X), [0, 1, 0, 1])  # nothing is hidden


LABELS = {
    "records": (np.zeros(4, [("a", "f8")]), "y holds records"),
    "complex": (np.arange(4) * 1j, "y holds complex"),
    "no time": (np.array(["NaT", "2020", "2021", "2020"], "M8[Y]"), "missing labels"),
    "objects": (np.array([object(), object(), object(), object()]), "y cannot be sorted"),
    "mixed": (np.array([1, "a", 2, "b"], dtype=object), "y mixes strings and numbers"),
    "dicts": (np.array([{}, {}, {}, {}]), "y cannot be sorted"),
    "ragged": ([[1], [1, 2], [3], [4]], "y is ragged"),
}


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("kind", [gd.LogisticRegression, gd.LinearClassifier, gd.MLPClassifier])
@pytest.mark.parametrize("case", LABELS)
def test_labels_without_an_order_are_refused(kind, call, case):
    y, message = LABELS[case]
    with pytest.raises((ValueError, TypeError), match=message):
        getattr(kind(), call)(X, y)


def test_a_network_does_not_begin_with_one_class():
    """It predicted with an IndexError afterwards."""
    model = gd.MLPClassifier()
    with pytest.raises(ValueError, match=r"one class only, \[2\]\. Pass all classes"):
        model.partial_fit(X, [2, 2, 2, 2])
    model.partial_fit(X, [2, 2, 2, 2], classes=[2, 3])
    assert set(model.predict(X)) <= {2, 3}


def test_steps_that_lead_nowhere_are_refused_and_the_weights_kept():
    model = gd.MLPRegressor(standardize=False, random_state=0)
    with pytest.raises(ValueError, match="weights that are NaN or infinite"):
        model.partial_fit(X * 1e30, X[:, 0])
    assert not hasattr(model, "theta_")
    model.partial_fit(X, X[:, 0])
    before = model.theta_.vector.copy()
    with pytest.raises(ValueError, match="those before are kept"):
        model.partial_fit(X * 1e30, X[:, 0])
    np.testing.assert_array_equal(model.theta_.vector, before)
    assert np.isfinite(model.partial_fit(X, X[:, 0]).predict(X)).all()
    with pytest.raises(ValueError, match="beyond what float32 can divide by"):
        gd.MLPRegressor().partial_fit(X * 1e305, X[:, 0])


def test_scores_of_other_columns_and_beyond_squares():
    model = gd.MLPRegressor(max_epochs=2).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="y has 2 columns, and the model predicts 1"):
        model.score(X, X)
    line = gd.LinearRegression(tol=0.1).fit(X, X[:, 0])
    assert line.score(X, X[:, 0] * 1e300) < 0.5  # without a warning of NumPy's


@pytest.mark.parametrize(("kind", "reach"), [("float64", 1e140), ("float32", 1e30)])
def test_extreme_targets_give_finite_coefficients_or_a_refusal(kind, reach):
    rows, y = X.astype(kind), np.array([0.6, -0.6, 1, 0.0]) * reach
    with pytest.raises(ValueError, match=f"and its squares have no place in {kind}"):
        gd.LinearRegression(max_epochs=5).fit(rows, y * 1.1)
    for size in (1, 1e-20):  # the coefficients may need more than float32 holds
        model = gd.LinearRegression(max_epochs=5).fit(rows * rows.dtype.type(size), y)
        assert np.isfinite(model.coef_).all()
        assert np.isfinite(model.intercept_)


@pytest.mark.parametrize("given", [int, 3, ["a"]])
def test_class_weights_that_are_none(given):
    with pytest.raises(TypeError, match=r"class_weight must be None, 'balanced' or a dict"):
        gd.MLPClassifier(class_weight=given).fit(X, [0, 1, 0, 1])


def bowl(x, *noise):
    return float(np.sum(np.square(x))), 2 * np.asarray(x)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"bounds": object()}, "bounds must be one"),
        ({"bounds": [("a", "b")] * 2}, "bounds must hold numbers"),
        ({"rng": "x", "method": "sgd"}, "rng must be None, a whole number"),
        ({"random_state": -1, "restarts": 1}, "random_state must be None, a whole number"),
    ],
)
def test_arguments_of_minimize(named, message):
    with pytest.raises((TypeError, ValueError), match=message):
        gd.minimize(bowl, [1.0, 2.0], **named)


def test_an_empty_dict_has_a_name():
    with pytest.raises(ValueError, match=r"got an empty dict\. Give it the structure"):
        gd.optim.SGD().bind([np.ones(1), np.ones(1)]).step({})


def test_byte_pairs_that_double_are_no_bomb():
    """Sixty merges would have made a token of 2⁶⁰ bytes."""
    merges = [(97, 97), *((256 + k, 256 + k) for k in range(59))]
    with pytest.raises(ValueError, match=r"tokens of more than 2²⁸ bytes\. Pass fewer"):
        BPE(merges)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("gpt") / "run.safetensors"
    gd.GPT(**SMALL).fit(TEXT, checkpoint=path, **STEPS)
    return path


def retold(path, out, **texts):
    """The same file with other texts, and sums that fit them."""
    from gdcore.models import gpt_files

    arrays, metadata = tensors.read(path)
    gpt_files._write(out, arrays, {n: t for n, t in metadata.items() if n != "crc32"} | texts)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"parameters": '{"n_layer": 1000000000}'}, "numbers at least"),
        ({"parameters": '{"n_layer": "x"}'}, "no whole number"),
        ({"parameters": "[" * 100_000 + "]" * 100_000}, "while decoding a JSON array"),
        (
            {"parameters": '{"n_layer": 1, "n_embd": 4, "n_head": 1, "dropout": 5}'},
            r"below 1, got 5\. Save it again\.$",
        ),
        ({"vocabulary": "true"}, "no whole number"),
        ({"vocabulary": '"x"'}, "no whole number"),
        ({"tokenizer": "[" * 100_000 + "]" * 100_000}, "while decoding a JSON array"),
    ],
)
def test_descriptions_that_would_build_anything(model, tmp_path, texts, message):
    retold(model, tmp_path / "a", **texts)
    with pytest.raises(ValueError, match=rf"has a damaged description: .*{message}"):
        gd.GPT.load(tmp_path / "a")


@pytest.mark.parametrize(
    "texts", [{"numbers": "{}"}, {"numbers": "[]"}, {"numbers": "["}, {"run": "[]"}, {"run": "{}"}]
)
def test_checkpoints_that_lack_what_a_run_needs(model, tmp_path, texts):
    retold(model, tmp_path / "a", **texts)
    with pytest.raises(ValueError, match="is not a whole checkpoint of a GPT"):
        READERS["GPT.fit(resume=True)"](tmp_path / "a")


NPY = {
    "empty": b"",
    "half a header": forged.npy("{'descr': '<f8', 'shape': (")[:-8],
    "an archive": b"PK\3\4" + bytes(40),
    "brackets": forged.npy("(" * 3000),
    "of Python 2": forged.npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4L, 2)}"),
    "cut": forged.array_of(X)[:-1],
    "objects": forged.npy({"descr": "|O", "shape": (1,)}, b"x"),
}


@pytest.mark.parametrize("case", NPY)
def test_arrays_on_the_disk_that_are_none(tmp_path, case):
    """They were EOFError, BadZipFile, TokenError and a warning."""
    (tmp_path / "X.npy").write_bytes(NPY[case])
    try:
        READERS["chunks.arrays"](tmp_path / "X.npy")
    except (ValueError, UserWarning) as error:
        assert isinstance(error, ValueError), error  # noqa: PT017
        assert "X.npy is not a whole .npy file" in str(error)  # noqa: PT017
    else:
        pytest.fail("it was read")


def test_columns_with_names_in_no_language(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,\xff\n1,2\n")
    with pytest.raises(ValueError, match=r"a\.csv cannot be read .*Mend the file"):
        READERS["chunks.csv"](tmp_path / "a.csv")
    (tmp_path / "a.parquet").write_bytes(b"PAR1" + bytes(40) + b"\x10\0\0\0PAR1")
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read"):
        READERS["chunks.parquet"](tmp_path / "a.parquet")


def test_what_a_file_says_does_not_steer_a_terminal(tmp_path):
    name = "\x1b]0;owned\x07\n" + "x" * 5000
    tensors.write(tmp_path / "a.safetensors", {name: np.ones(1, ">f4")})
    header = (tmp_path / "a.safetensors").read_bytes().replace(b'"F32"', b'"F99"')
    (tmp_path / "a.safetensors").write_bytes(header)
    with pytest.raises(ValueError, match=r"unknown dtype|not a whole") as caught:
        tensors.read(tmp_path / "a.safetensors")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_what_is_too_large_to_be_packed_is_stored_as_it_is(tmp_path, monkeypatch):
    """Else `load` could not tell a model of zeros from a bomb: nothing saved is lost."""
    monkeypatch.setattr("gdcore.disk.LARGEST", 1 << 12)
    wide = gd.LinearRegression(l1_ratio=1.0, alpha=1e3).fit(np.eye(4, 5000), np.arange(4.0))
    gd.save(wide, tmp_path / "wide.npz")
    assert (tmp_path / "wide.npz").stat().st_size > 8 * 5000
    np.testing.assert_array_equal(gd.load(tmp_path / "wide.npz").coef_, wide.coef_)


def test_weights_of_next_to_nothing():
    """1/Σs was beyond the doubles, in a warning of NumPy's."""
    model = gd.LinearRegression().fit(X, X[:, 0], sample_weight=[1e-310] * 4)
    assert np.isfinite(model.coef_).all()


@pytest.mark.parametrize("given", [gd.optim.Adam(0.01), gd.optim.SGD, int], ids=["a", "b", "c"])
def test_what_can_be_called_is_not_yet_a_schedule(given):
    rows, y = [[1.0], [2.0]], [1.0, 2.0]
    fits = (
        lambda: gd.LinearRegression(learning_rate=given, optimizer="sgd").fit(rows, y),
        lambda: gd.minimize(lambda x: (x @ x, 2 * x), [1.0], learning_rate=given, method="sgd"),
        lambda: gd.MLPRegressor(learning_rate=given).partial_fit(rows, y),
    )
    for fit in fits:
        with pytest.raises(TypeError, match=r"schedule t → factor, got .* Pass one of"):
            fit()


@pytest.mark.parametrize("given", [None, "a", 1j, np.ones(1)], ids=str)
def test_a_schedule_returns_numbers(given):
    model = gd.LinearRegression(learning_rate=lambda t: given, optimizer="sgd")
    with pytest.raises(TypeError, match=r"learning_rate must return a number .* Return a factor"):
        model.fit([[1.0], [2.0]], [1, 2])
    fine = gd.LinearRegression(learning_rate=lambda t: np.array(0.5), optimizer="sgd", max_epochs=2)
    with pytest.warns(gd.ConvergenceWarning):
        assert fine.fit([[1.0], [2.0]], [1, 2]).n_iter_ == 2


def test_a_label_that_nothing_can_look_up():
    with pytest.raises(TypeError, match=r"y cannot be sorted .* Pass labels of one kind"):
        gd.LogisticRegression().learn_one([1.0], np.array(None, dtype=object))


@pytest.mark.parametrize("kind", [gd.LinearRegression, gd.LogisticRegression])
def test_a_masked_target_learned_alone(kind):
    with pytest.raises(ValueError, match=r"y has masked entries\. Fill them"):
        kind().learn_one([1.0], np.ma.masked_array([1.0], [True]))


def test_row_numbers_that_are_complex_and_none():
    with pytest.raises(TypeError, match="indices must hold whole numbers"):
        gd.CSR([], np.array([], complex), [0, 0], (1, 1))
    assert gd.CSR([], [], [0, 0], (1, 1)).dense().tolist() == [[0.0]]


def test_a_gradient_of_zero_where_no_tolerance_ends_the_search():
    model = gd.LinearClassifier(alpha=0, tol=0).fit([[0.12573022], [-0.13210486]], [0, 1])
    assert model.predict([[1.0], [-1.0]]).tolist() == [0, 1]


def test_curvatures_beyond_the_doubles():
    """1e308 a gradient, at a distance of 1e-5: the difference quotient overflowed in a warning."""

    def wild(x):
        return 0.0, np.zeros(2) if not x.any() else np.full(2, 1e308)

    assert np.isfinite(gd.minimize(wild, [0.0, 0.0], jac=True).x).all()


def test_a_descent_ends_at_numbers_also_where_a_function_has_a_value_at_infinity():
    def flat(x, rng):
        return 1.0, np.full(2, 1e308)

    result = gd.minimize(flat, [9e15, 1e300], jac=True, rng=True, max_iter=1)
    assert np.isfinite(result.x).all()


@pytest.mark.parametrize("method", ["fista", "auto", "momentum"])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_a_descent_ends_at_numbers_of_the_precision_that_x0_has(kind, method):
    """A double goes on where they have no place, and the function was asked at infinity."""
    asked = []

    def flat(x):
        asked.append(x)
        return 1.0, {"a": np.full(2, 1e300), "b": 0.0}

    x0 = {"a": np.ones(2, kind), "b": 1e200}  # of which one is a double, and has place
    result = gd.minimize(flat, x0, jac=True, max_iter=2, method=method)
    for x in (*asked, result.x):
        assert x["a"].dtype == kind
        assert np.isfinite(x["a"]).all()
    assert result.x["b"] == 1e200


@pytest.mark.parametrize("make", [
    lambda v: gd.optim.SGD(v), gd.schedules.Linear, gd.losses.Huber,
    lambda v: gd.LinearRegression(alpha=v).fit(X, X[:, 0]),
    lambda v: gd.MLPRegressor(learning_rate=v).fit(X, X[:, 0]),
    lambda v: gd.LogisticRegression(max_time=v).fit(X, [0, 1, 0, 1]),
])  # fmt: skip
def test_fractions_are_numbers_and_those_beyond_double_are_refused(make):
    make(Fraction(1, 3))
    for huge in (10**400, Fraction(10**400)):
        with pytest.raises(ValueError, match=r"must be|needs"):
            make(huge)


def test_a_tolerance_may_be_a_fraction():
    here, there = (gd.LinearRegression(tol=tol, optimizer="fista").fit(X, X[:, 0])
                   for tol in (Fraction(1, 4), 0.25))  # fmt: skip
    assert here.result_.message == there.result_.message


def test_batches_that_return_none():
    with pytest.raises(TypeError, match=r"batches must return an iterable .* Return one"):
        gd.minimize(lambda x, batch: (x @ x, 2 * x), [1.0], jac=True, batches=lambda epoch: 0.5)


@pytest.mark.parametrize(("call", "message"), [
    (lambda z: gd.minimize(np.sum, [1.0, 2.0], batches=z), "batches must be an iterable, or"),
    (lambda z: gd.minimize(lambda x, b: x @ x, [1.0], batches=lambda epoch: z),
     "batches must return an iterable at each epoch"),
    (lambda z: gd.minimize(np.sum, [1.0, 2.0], bounds=z), "bounds must be one"),
    (lambda z: gd.LinearRegression().fit(lambda: z), "X must return an iterable of"),
    (lambda z: gd.LinearRegression().fit(lambda: None), "X must return an iterable of"),
    (gd.chunks.shuffled, "chunks must give"),
    (gd.hash_features, "rows must be an iterable of rows"),
    (lambda z: gd.hash_features([z]), r"rows\[0\] is of type"),
])  # fmt: skip
def test_arrays_without_a_dimension_only_look_iterable(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(np.array(0.1))


@pytest.mark.parametrize("kind", [gd.MLPRegressor, gd.MLPClassifier])
def test_double_has_room_for_single_and_says_nothing(kind):
    """The largest double was compared as a float32, with a warning."""
    model = kind(standardize=False, max_epochs=3, random_state=0, dtype="float64")
    model.fit(X.astype(np.float32), [0, 1, 0, 1])
    assert model.theta_.vector.dtype == np.float64


def test_predictions_beyond_double_are_refused():
    model = gd.MLPRegressor(random_state=0, max_epochs=3)
    model.fit([[0.3], [0.8], [0.4]], [1e-300, 1e-300, 1.7e308], [0, 1, 2])
    with pytest.raises(ValueError, match="The prediction for row 0 of X leaves the range of float"):
        model.predict([[-1e4]])


def test_what_a_header_says_ends_as_a_sentence_does(tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, np.ones((3, 2)))
    path.write_bytes(path.read_bytes().replace(b"'fortran_order'", b"'fo .  n_order'"))
    with pytest.raises(ValueError, match=r"not a whole \.npy file: .*\S\. Save it with numpy"):
        list(gd.chunks.arrays(path, np.zeros(3)))


def test_logits_beyond_the_precision_choose_no_token():
    gpt = gd.GPT(n_layer=1, n_head=1, n_embd=4, block_size=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        gpt.fit("the cat sat on the mat. " * 9, max_steps=1, batch_size=2)
    gpt.theta_.vector[:] *= 1e37  # each of them a number, as in a file with a flipped bit
    for call in (lambda: gpt.logits([1, 2]), lambda: gpt.generate("the", 3),
                 lambda: gpt.generate("the", 3, temperature=0)):  # fmt: skip
        with pytest.raises(ValueError, match="The logits leave the range of float32"):
            call()


def test_stop_texts_that_are_none():
    gpt = gd.GPT(n_layer=1, n_head=1, n_embd=4, block_size=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gd.ConvergenceWarning)
        gpt.fit("the cat sat on the mat. " * 9, max_steps=1, batch_size=2)
    with pytest.raises(TypeError, match="stop must be a text or a list of texts"):
        gpt.generate("the", 3, stop=np.array(0.1))


def test_labels_in_half_precision_are_labels():
    """2⁵³, which they are compared with, has no place there: a warning of NumPy's."""
    y = np.float16([0, 1, 0, 1])
    assert gd.LogisticRegression().fit(X, y).classes_.tolist() == [0, 1]
