"""What users pass lies where it lies: at odd addresses, or on memory that two arrays share. Kernels
refuse both; what is built on them copies, and answers as ever."""

import numpy as np
import pytest

import gdcore as gd
from tests.tally import count

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def odd(array):
    """The same numbers, one byte off the multiples of their size."""
    array = np.asarray(array)
    room = np.zeros(array.nbytes + 1, np.uint8)
    moved = room[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    assert not moved.flags.aligned
    assert moved.flags.c_contiguous
    return moved


def data(dtype, n=60, p=4):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p)).astype(dtype)
    return X, (X @ np.arange(1, p + 1) + 0.1 * rng.normal(size=n)).astype(dtype)


FITS = {
    "LinearRegression": (gd.LinearRegression, {}),
    "LinearRegression by epochs": (gd.LinearRegression, {"batch_size": 8, "max_epochs": 5}),
    "LogisticRegression": (gd.LogisticRegression, {}),
    "MLPRegressor": (gd.MLPRegressor, {"hidden_layer_sizes": (4,), "max_epochs": 3}),
}


@pytest.mark.parametrize("name", FITS)
@DTYPES
@pytest.mark.filterwarnings("ignore::gdcore.ConvergenceWarning")
def test_models_learn_from_arrays_at_odd_addresses(name, dtype):
    kind, options = FITS[name]
    X, y = data(dtype)
    y = y > 0 if kind is gd.LogisticRegression else y
    s = np.linspace(0.5, 1.5, len(y))
    one = kind(random_state=0, **options).fit(X, y, sample_weight=s)
    shifted = odd(X), odd(y) if y.dtype.itemsize > 1 else y, odd(s)
    kept = [each.tobytes() for each in shifted]
    other = kind(random_state=0, **options).fit(shifted[0], shifted[1], sample_weight=shifted[2])
    np.testing.assert_array_equal(one.predict(X), other.predict(odd(X)))
    assert [each.tobytes() for each in shifted] == kept
    count("fits of arrays at odd addresses")


@DTYPES
def test_streams_learn_from_arrays_at_odd_addresses(dtype):
    X, y = data(dtype)
    one, other = gd.LinearRegression(random_state=0), gd.LinearRegression(random_state=0)
    for row, target in zip(X, y, strict=True):
        one.learn_one(row, target)
        other.learn_one(odd(row), target)
    one.partial_fit(X, y)
    other.partial_fit(odd(X), odd(y))
    assert one.predict_one(X[0]) == other.predict_one(odd(X[0]))
    np.testing.assert_array_equal(one.coef_, other.coef_)
    count("fits of arrays at odd addresses")


def test_sparse_rows_at_odd_addresses():
    sparse = pytest.importorskip("scipy.sparse")
    X, y = data(np.float64)
    X[X < 0.3] = 0
    plain, shifted = sparse.csr_matrix(X), sparse.csr_matrix(X)
    shifted.data, shifted.indices = odd(shifted.data), odd(shifted.indices)
    shifted.indptr = odd(shifted.indptr)
    fits = [gd.LinearRegression().fit(each, y) for each in (plain, shifted)]
    np.testing.assert_array_equal(fits[0].coef_, fits[1].coef_)
    count("fits of arrays at odd addresses")


@DTYPES
def test_parameters_and_gradients_at_odd_addresses(dtype):
    start, slope = np.arange(6.0).reshape(2, 3).astype(dtype), np.ones((2, 3), dtype)
    one, other = start.copy(), odd(start)
    for array, g in ((one, slope), (other, odd(slope))):
        updater = gd.optim.Adam(lr=0.1).bind(array)
        for _ in range(3):
            updater.step(g)
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, start)
    count("fits of arrays at odd addresses")


RULES = ("SGD", "Momentum", "Nesterov", "AdaGrad", "RMSProp", "Adam", "AdamW", "Lion", "NAdam",
         "ScheduleFreeSGD", "ScheduleFreeAdamW")  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_a_gradient_that_is_the_parameters_themselves(rule):
    """Of ½‖θ‖², the gradient is θ: a user need not know that a step reads what it writes."""
    one, other = np.linspace(-1, 1, 50), np.linspace(-1, 1, 50)
    for array, slope in ((one, one.copy), (other, lambda: other)):
        updater = getattr(gd.optim, rule)(lr=0.1).bind([array])
        for _ in range(3):
            updater.step([slope()])
    np.testing.assert_array_equal(one, other)
    count("steps on shared memory that were right")


def test_a_gradient_that_overlaps_its_parameters():
    room = np.linspace(-1, 1, 51)
    theta, g = room[:50], room[1:]
    expected = theta - 0.1 * g
    gd.optim.SGD(lr=0.1).bind([theta]).step([g])
    np.testing.assert_array_equal(theta, expected)
    count("steps on shared memory that were right")
