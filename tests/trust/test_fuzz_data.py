"""Rows, targets, weights and parameters of any kind, before every estimator."""

import numpy as np
from hypothesis import strategies as st

import gdcore as gd
from tests.trust.fuzzing import Held, fuzz, outcome
from tests.trust.inputs import Sparse, parameters, plain_rows, rows, sparse_parts, targets, weights

KINDS = [gd.LinearRegression, gd.LogisticRegression, gd.LinearClassifier, gd.MLPClassifier,
         gd.MLPRegressor]  # fmt: skip
SHORT = {"max_time": 0.2}
N, P = st.sampled_from([1, 2, 3, 5, 8]), st.sampled_from([1, 2, 3])
CALLS = ["fit", "fit", "fit", "partial_fit", "partial_fit", "learn_one", "predict", "score"]


@st.composite
def fits(draw, X):
    """(estimator, method, arguments) of a call that teaches or asks."""
    n, p = draw(N), draw(P)
    kind, call = draw(st.sampled_from(KINDS)), draw(st.sampled_from(CALLS))
    model = kind(**SHORT, random_state=0)
    x, y, w = draw(X(n, p)), draw(targets(n)), draw(weights(n))
    return model, call, x, y, w, (n, p)


def tried(model, call, X, y, w, size):
    """Whether a call is refused; what it learned must be of use, and nothing else has changed."""
    held = Held(X, y, w)
    n, p = size
    if call in ("predict", "score"):
        model.fit(*good(n, p, model))
    if call == "predict":
        given, refused = outcome(model.predict, X)
        beyond = refused or np.abs(np.asarray(X, float)).max() > 1e100  # as sums of rows may be
        assert beyond or given.dtype.kind in "OUS" or np.isfinite(given).all()
    elif call == "score":
        given, refused = outcome(model.score, X, y, w)
        assert refused or given == given or len(X) < 2
    elif call == "learn_one":
        if not hasattr(model, "learn_one"):
            return False
        x = X[0] if isinstance(X, np.ndarray) and X.ndim and len(X) else X
        label = y[0] if isinstance(y, np.ndarray) and y.ndim and len(y) else y
        _, refused = outcome(model.learn_one, x, label)
    else:
        named = {} if w is None else {"sample_weight": w}
        _, refused = outcome(getattr(model, call), X, y, **named)
    held.require_unchanged()
    if refused is None:
        require_sane(model, p)
    return refused is not None


def good(n, p, model):
    X = np.arange(max(4, n) * p, dtype=float).reshape(-1, p) % 7
    return X, np.arange(len(X)) % 2


def require_sane(model, p):
    """What was learned is finite, and predicts."""
    for name in ("coef_", "intercept_"):
        if hasattr(model, name):
            assert np.isfinite(getattr(model, name)).all(), name
    if hasattr(model, "theta_"):
        assert np.isfinite(model.theta_.vector).all()
    if hasattr(model, "n_features_in_"):
        _, refused = outcome(model.predict, np.zeros((1, model.n_features_in_)))
        assert refused is None or "leaves the range of float" in str(refused)  # 0 may be far off


@fuzz("dense rows", 24, fits(rows))
def test_dense_rows(drawn):
    return tried(*drawn)


@fuzz("numbers", 20, fits(plain_rows))
def test_numbers(drawn):
    return tried(*drawn)


@st.composite
def settings_of(draw):
    kind, n, p = draw(st.sampled_from(KINDS)), draw(N), draw(P)
    call = draw(st.sampled_from(["fit", "fit", "partial_fit"]))
    return kind, draw(parameters(kind)), call, draw(plain_rows(n, p)), (n, p)


@fuzz("parameters", 25, settings_of())
def test_parameters(drawn):
    kind, chosen, call, X, (n, p) = drawn
    chosen = {name: value for name, value in chosen.items() if type(value) is not int or value < 99}
    if isinstance(
        chosen.get("learning_rate"), gd.layers.Dense
    ):  # what can be called raises its own
        chosen.pop("learning_rate")
    model = kind(**SHORT | chosen)
    y = np.arange(n) % 2
    _, refused = outcome(getattr(model, call), X, y)
    if refused is None:
        require_sane(model, p)
    return refused is not None


@fuzz(
    "sparse rows",
    60,
    sparse_parts(),
    st.sampled_from(KINDS),
    st.sampled_from(["fit", "partial_fit", "CSR"]),
)
def test_sparse_rows(parts, kind, call):
    held = Held(*parts[:3])
    if call == "CSR":
        made, refused = outcome(gd.CSR, *parts)
        if refused is None and np.prod(made.shape, dtype=float) < 1e6:
            again = gd.CSR(made.data, made.indices, made.indptr, made.shape).dense()
            np.testing.assert_array_equal(again, made.dense())
    else:
        X = Sparse(*parts)
        n = X.shape[0] if isinstance(X.shape, tuple) and isinstance(X.shape[0], int) else 3
        wide = (
            isinstance(X.shape, tuple)
            and len(X.shape) > 1
            and isinstance(X.shape[1], int)
            and X.shape[1] > 10**6
        )
        if wide or n > 1000:
            return False
        model = kind(**SHORT, random_state=0)
        _, refused = outcome(getattr(model, call), X, np.arange(max(n, 0)) % 2)
        if refused is None:
            require_sane(model, X.shape[1])
    held.require_unchanged()
    return refused is not None
