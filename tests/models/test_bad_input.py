"""What must be refused, in one clear sentence, with nothing changed; and what must simply work."""

import numpy as np
import pytest

import gdcore as gd

pytestmark = pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
X = np.random.default_rng(0).normal(size=(30, 3))
Y = np.arange(30) % 2
BOTH = pytest.mark.parametrize("kind", [gd.LinearRegression, gd.LogisticRegression])


def spoilt(value, where=(4, 1)):
    array = X.copy()
    array[where] = value
    return array


DATA = {
    "NaN in X": (spoilt(np.nan), Y, None, "X contains NaN, first at row 4, column 1"),
    "infinity in X": (spoilt(-np.inf), Y, None, "X contains infinity"),
    "NaN in float32 X": (spoilt(np.nan).astype(np.float32), Y, None, "X contains NaN"),
    "NaN in y": (X, np.where(Y, np.nan, 1.0), None, "y contains NaN"),
    "infinity in y": (X, np.where(Y, np.inf, 1.0), None, "y contains"),
    "NaN in weights": (X, Y, np.where(Y, np.nan, 1.0), "sample_weight contains NaN"),
    "negative weights": (X, Y, np.where(Y, -1.0, 1.0), "negative weight"),
    "no weight at all": (X, Y, np.zeros(30), "zero everywhere"),
    "weights of another length": (X, Y, np.ones(29), r"sample_weight must have shape \(30,\)"),
    "one dimension": (X[:, 0], Y, None, "two dimensions"),
    "three dimensions": (X[None], Y, None, "two dimensions"),
    "no rows": (X[:0], Y[:0], None, "no rows"),
    "no columns": (X[:, :0], Y, None, "no columns"),
    "y of another length": (X, Y[:-1], None, "X has 30 rows and y has 29"),
    "y with two columns": (X, np.stack([Y, Y], 1), None, "y must have one dimension"),
    "no y": (X, None, None, "y is None"),
    "strings in X": (X.astype(str).astype(object) + "a", Y, None, "X must hold numbers"),
    "objects in X": (np.full((30, 3), {}, dtype=object), Y, None, "X must hold numbers"),
    "complex X": (X + 1j, Y, None, "complex"),
    "ragged X": ([[1.0, 2.0], [3.0]], [0, 1], None, "X"),
}


@BOTH
@pytest.mark.parametrize("case", DATA)
def test_bad_data_is_refused_and_nothing_changes(kind, case):
    bad_X, bad_y, weights, message = DATA[case]
    model = kind().fit(X, Y)
    before = model.coef_.copy(), model.result_
    kept = np.array(bad_X, copy=True) if isinstance(bad_X, np.ndarray) else None
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(bad_X, bad_y, sample_weight=weights)
    np.testing.assert_array_equal(model.coef_, before[0])
    assert model.result_ is before[1]
    assert model.n_features_in_ == 3
    if kept is not None and kept.dtype != object:
        np.testing.assert_array_equal(bad_X, kept)


PARAMETERS = [
    ("learning_rate", 0, "learning_rate must be a number above 0"),
    ("learning_rate", -0.1, "learning_rate must be a number above 0"),
    ("learning_rate", np.nan, "learning_rate must be a number"),
    ("learning_rate", "fast", "learning_rate='fast' is not known"),
    ("alpha", -1, "alpha must be a number of at least 0"),
    ("alpha", np.inf, "alpha must be a number"),
    ("alpha", "none", "alpha must be a number or 'auto'"),
    ("l1_ratio", 1.5, "l1_ratio must be"),
    ("optimizer", "adan", "Did you mean 'adam'"),
    ("optimizer", "rmsporp", "Did you mean 'rmsprop'"),
    ("optimizer", 3, "optimizer must be a name or an optimizer"),
    ("batch_size", 0, "batch_size must be a whole number"),
    ("batch_size", 1.5, "batch_size must be a whole number"),
    ("batch_size", "ful", "Did you mean 'full'"),
    ("max_epochs", -1, "max_epochs must be"),
    ("max_time", 0, "max_time must be"),
    ("tol", -1e-3, "tol must be"),
    ("tol", "small", "tol must be"),
    ("validation_fraction", 0, "validation_fraction must be"),
    ("validation_fraction", 1.0, "validation_fraction must be"),
    ("fit_intercept", "no", "fit_intercept must be True or False"),
    ("standardize", 2, "standardize must be True or False"),
    ("n_threads", 0, "n_threads must be"),
    ("random_state", "seed", "random_state must be"),
    ("callbacks", 5, "callbacks must be"),
]


@BOTH
@pytest.mark.parametrize(("name", "value", "message"), PARAMETERS)
def test_bad_parameters_are_refused(kind, name, value, message):
    model = kind(**{name: value})
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(X, Y)
    assert not hasattr(model, "coef_")


def test_one_class_and_fractions_are_no_classification():
    with pytest.raises(ValueError, match=r"one class only.*at least two classes"):
        gd.LogisticRegression().fit(X, np.ones(30))
    with pytest.raises(ValueError, match="Unknown label type"):
        gd.LogisticRegression().fit(X, X[:, 0])
    with pytest.raises(ValueError, match="class_weight names"):
        gd.LogisticRegression(class_weight={5: 1.0}).fit(X, Y)
    with pytest.raises(ValueError, match="Did you mean 'balanced'"):
        gd.LogisticRegression(class_weight="balance").fit(X, Y)


def test_no_closed_form_for_lasso_or_classes():
    with pytest.raises(ValueError, match="no closed form"):
        gd.LinearRegression(l1_ratio=0.5, optimizer="closed-form").fit(X, Y)
    with pytest.raises(ValueError, match="'closed-form' is for the squared loss"):
        gd.LogisticRegression(optimizer="closed-form").fit(X, Y)


@BOTH
def test_predict_before_fit_and_with_other_columns(kind):
    with pytest.raises(gd.NotFittedError, match=r"not fitted yet. Call fit") as caught:
        kind().predict(X)
    assert isinstance(caught.value, (ValueError, AttributeError))
    model = kind().fit(X, Y)
    with pytest.raises(ValueError, match="X has 2 features, but"):
        model.predict(X[:, :2])
    with pytest.raises(ValueError, match="X contains NaN"):
        model.predict(spoilt(np.nan))


@BOTH
def test_unknown_parameter_names_the_nearest(kind):
    with pytest.raises(ValueError, match="Did you mean 'alpha'"):
        kind().set_params(alhpa=1)


@BOTH
def test_every_layout_and_dtype_simply_works(kind):
    expected = kind().fit(X, Y).coef_
    frozen = X.copy()
    frozen.setflags(write=False)
    same = {
        "read-only": frozen,
        "Fortran": np.asfortranarray(X),
        "strided": np.repeat(X, 2, axis=0)[::2],
        "reversed": X[::-1].copy()[::-1],
        "big-endian": X.astype(">f8"),
        "list": X.tolist(),
        "objects that are numbers": X.astype(object),
    }
    for name, array in same.items():
        np.testing.assert_array_equal(kind().fit(array, Y).coef_, expected, err_msg=name)
    whole = np.random.default_rng(1).integers(-9, 9, (30, 3))
    expected = kind().fit(whole.astype(float), Y).coef_
    for dtype in (np.int8, np.int64, np.uint8 if (whole >= 0).all() else np.int16, ">i4"):
        np.testing.assert_array_equal(kind().fit(whole.astype(dtype), Y).coef_, expected)
    assert kind().fit(X.astype(np.float16), Y).coef_.dtype == np.float32


@BOTH
def test_frames_keep_their_names(kind):
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    expected = kind().fit(X, Y).coef_
    for frame in (
        pandas.DataFrame(X, columns=list("abc")),
        polars.DataFrame(X, schema=list("abc")),
    ):
        model = kind().fit(frame, Y)
        np.testing.assert_array_equal(model.coef_, expected)
        assert list(model.feature_names_in_) == ["a", "b", "c"]
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(frame[["b", "a", "c"]])


@pytest.mark.parametrize("given", [0, -3, 2.5])
def test_no_patience_is_no_early_stopping(given):
    X, y = np.random.default_rng(0).normal(size=(2, 30))
    with pytest.raises(ValueError, match="early_stopping must be"):
        gd.LinearRegression(early_stopping=given).fit(X[:, None], y)


def test_numbers_as_text_are_named():
    X = np.arange(6.0)[:, None].astype(str)
    with pytest.raises(ValueError, match=r"X holds text\..*astype"):
        gd.LinearRegression().fit(X, np.arange(6.0))


def test_a_budget_of_seconds_is_that_of_all_classes_and_stages():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(3000, 40)), rng.integers(0, 6, 3000)
    model = gd.LinearClassifier(l1_ratio=0.5, max_time=0.3).fit(X, y)
    spent = sum(result.trace.seconds[-1] for result in model.results_)
    assert model.coef_.shape == (6, 40)
    assert model.result_.status.name == "TIME"
    assert spent < 6  # far from what all stages take; a busy machine is slow to hear


def test_a_budget_of_epochs_counts_those_of_all_stages():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 10))
    model = gd.LinearClassifier(l1_ratio=0.5, max_epochs=20).fit(X, rng.integers(0, 2, 300))
    assert model.n_iter_ == 20
    assert model.result_.message.startswith("20 epochs")


@pytest.mark.parametrize("kind", [gd.LinearRegression, gd.LogisticRegression, gd.MLPClassifier])
def test_paths_and_chunks_are_for_fit_alone(kind, tmp_path):
    np.save(tmp_path / "X.npy", X)
    model = kind(max_epochs=5).fit(X, Y)
    for path in (str(tmp_path / "X.npy"), tmp_path / "X.npy"):
        with pytest.raises(TypeError, match="X is a path, which fit of linear models alone takes"):
            model.predict(path)
    for chunks in ([(X, Y), (X, Y)], gd.chunks.arrays(X, Y), iter([(X, Y)])):
        with pytest.raises(TypeError, match="X holds chunks, which carry their own y"):
            model.predict(chunks)
    with pytest.raises(TypeError, match=r"Pass fit\(chunks\) without y"):
        model.fit([(X, Y), (X, Y)], Y)
