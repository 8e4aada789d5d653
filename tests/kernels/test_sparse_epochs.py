"""Epochs over rows in CSR form against dense epochs and against mathematics, on both twins.

What a column waits for, and gets at its next visit, must be what every step would have done to it.
"""

import math

import numpy as np
import pytest

from tests.kernels.cases import examples
from tests.kernels.test_linear_family import thinned
from tests.kernels.twins import same_bits

LOSSES = pytest.mark.parametrize("loss", ["squared", "logistic", "softmax", "huber", "hinge"])
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
KINDS = ("smooth", "lasso", "own", "own and lasso")
KIND = pytest.mark.parametrize("kind", KINDS)
BATCHES = pytest.mark.parametrize("batch_size", [1, 3, 64, 70, 300])


def steps(loss, kind="smooth", batch_size=1, dtype=np.float64, *, n=200, p=11, seed=0, rate=0.05):
    """(dense rows with all arguments of an epoch, the same in CSR form)."""
    work, stored = thinned(examples(loss, dtype, n=n, p=p, seed=seed), index=np.int32)
    rng = np.random.default_rng(seed)
    columns, batches = work["columns"], -(-n // batch_size)
    columns[2, :-1], columns[1, p // 3] = 0.3, 0
    columns[3, -1] = 0.01
    if kind == "smooth":
        columns[3, :-1] = 0
    else:
        columns[0] = 0
        columns[3, :-1] *= 20 * ("lasso" in kind)
    if "own" in kind:
        columns[2, :-1] = rng.uniform(0, 0.5, p) * (rng.random(p) < 0.8)
    rates = np.full(batches, rate) if "own" in kind else rng.uniform(rate / 5, rate, batches)
    names = ("loss", "shape", "smooth", "y", "weights", "columns", "theta")
    given = {name: work[name] for name in names}
    given |= {"order": rng.permutation(n), "average": rng.normal(size=len(work["theta"]))}
    given |= {"rates": rates, "batch_size": batch_size}
    return given | {"X": work["X"]}, given | stored


def run(kernel, work):
    given = work | {name: work[name].copy() for name in ("theta", "average")}
    met = kernel(**given)
    return met, given["theta"], given["average"]


def eager(kernels, dense):
    """The same steps, each of them over all columns, in double."""
    more = {"rule": "sgd", "constants": np.zeros(0), "first_step": 1}
    more["state"] = np.zeros((0, len(dense["theta"])))
    return run(kernels.linear_epoch, dense | more | {"X": dense["X"].astype(np.float64)})


def require_near(one, other, near=1e-12):
    for mine, theirs in zip(one, other, strict=True):
        size = max(np.abs(theirs).max(initial=0), 1e-3)
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=near * size)


@LOSSES
@KIND
@BATCHES
def test_what_waits_is_what_every_step_would_do(kernels, loss, kind, batch_size):
    dense, sparse = steps(loss, kind, batch_size)
    expected, found = eager(kernels, dense), run(kernels.csr_epoch, sparse)
    require_near(found, expected)
    assert ((found[1] == 0) == (expected[1] == 0)).all()
    if kind == "lasso" and batch_size == 1:
        assert (found[1] == 0).any()


@LOSSES
@DTYPES
@KIND
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_twins_agree_in_either_precision(pair, loss, dtype, kind, index):
    _, sparse = steps(loss, kind, 4, dtype)
    sparse["indices"] = sparse["indices"].astype(index)
    require_near(*(run(kernels.csr_epoch, sparse) for kernels in pair))


@KIND
@LOSSES
def test_an_epoch_is_its_steps(kernels, loss, kind):
    """Cut anywhere, and its average the sum of the points that single steps come to."""
    _, sparse = steps(loss, kind, n=60)
    whole, theta, path, met = run(kernels.csr_epoch, sparse), sparse["theta"], 0, 0.0
    for t in range(60):
        part = {"order": sparse["order"][t : t + 1], "rates": sparse["rates"][t : t + 1]}
        one, theta, _ = run(kernels.csr_epoch, sparse | part | {"theta": theta})
        met, path = met + one, path + theta
    require_near((met, theta, sparse["average"] + path), whole)


@KIND
@pytest.mark.parametrize("batch_size", [1, 8])
def test_without_an_average_the_steps_are_the_same(kernels, kind, batch_size):
    _, sparse = steps("logistic", kind, batch_size)
    found = run(kernels.csr_epoch, sparse)
    without = run(kernels.csr_epoch, sparse | {"average": np.zeros(0)})
    require_near(without[:2], found[:2], 1e-14)


@KIND
@LOSSES
def test_a_row_of_weight_two_beside_one_of_none_is_the_row_twice(kernels, loss, kind):
    _, sparse = steps(loss, kind, 2, n=40)
    once, twice = np.repeat([2.0, 0.0], 20), np.ones(40)
    pairs = np.stack([np.arange(20), np.arange(20, 40)], axis=1).ravel()
    one = run(kernels.csr_epoch, sparse | {"order": pairs, "weights": once})
    two = run(kernels.csr_epoch, sparse | {"order": np.repeat(np.arange(20), 2), "weights": twice})
    require_near(one, two)


@LOSSES
@KIND
def test_rows_without_weight_leave_the_penalty_alone(kernels, loss, kind):
    """θⱼ shrinks by every step, as the closed form says, and no loss is met."""
    _, sparse = steps(loss, kind, n=50)
    sparse |= {"weights": np.zeros(50), "rates": np.full(50, 0.05)}
    met, theta, _ = run(kernels.csr_epoch, sparse)
    ridge, lasso = sparse["columns"][2:4]
    k = len(theta) // len(ridge)
    for j, start in enumerate(sparse["theta"].tolist()):
        column = j % 11 if j < 11 * k else 11
        w = start
        for _ in range(50):
            w -= 0.05 * ridge[column] * w
            w = math.copysign(max(abs(w) - 0.05 * lasso[column], 0), w)
        assert theta[j] == pytest.approx(w, rel=1e-12, abs=1e-15)
    assert met == 0


@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("rate", [1.0, 3.0, 3.3333333333333335, 5.0])
@pytest.mark.parametrize("kind", ["smooth", "lasso"])
def test_the_factor_of_all_coefficients_may_vanish_or_change_its_sign(
    kernels, kind, rate, batch_size
):
    """1 − rate·ridge of 0.7, 0.1, 0 and −0.5, hundreds of times."""
    dense, sparse = steps("logistic", kind, batch_size)
    for work in (dense, sparse):
        work["rates"] = np.full(len(work["rates"]), rate)
        work["columns"] = work["columns"].copy()
        work["columns"][3] *= 0.1
    require_near(run(kernels.csr_epoch, sparse), eager(kernels, dense), 1e-11)


@LOSSES
@BATCHES
def test_a_rate_of_zero_changes_nothing_and_meets_the_cost(kernels, loss, batch_size):
    dense, sparse = steps(loss, "smooth", batch_size)
    sparse["rates"] = np.zeros_like(sparse["rates"])
    met, theta, _ = run(kernels.csr_epoch, sparse)
    names = ("loss", "shape", "smooth", "X", "y", "weights", "columns", "theta")
    room = {"g": np.zeros_like(theta), "margins": np.empty((0, 0))}
    value = kernels.linear_gradient(**{name: dense[name] for name in names}, **room)
    assert met == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(theta, sparse["theta"], rtol=0, atol=1e-14)


@KIND
@LOSSES
def test_divergence_ends_quietly(kernels, loss, kind):
    _, sparse = steps(loss, kind)
    rate = 1e-2 if "own" in kind else 1e30
    sparse |= {"rates": np.full(200, rate), "theta": sparse["theta"] * 1e200}
    run(kernels.csr_epoch, sparse)


def test_rows_may_be_skipped_and_visited_twice(kernels):
    dense, sparse = steps("logistic", "lasso", 2)
    more = {"order": np.array([5, 5, 0, 199, 5, 0]), "rates": np.full(3, 0.01)}
    require_near(run(kernels.csr_epoch, sparse | more), eager(kernels, dense | more))


def test_rows_may_be_empty_and_name_a_column_twice(kernels):
    dense, sparse = steps("squared", "smooth", 2, n=4, p=3)
    sparse |= {"data": np.array([1.0, 2.0, 3.0]), "indices": np.array([2, 2, 0], np.int32)}
    sparse["indptr"] = np.array([0, 0, 2, 2, 3])
    X = np.array([[0, 0, 0], [0, 0, 3], [0, 0, 0], [3, 0, 0.0]])
    require_near(run(kernels.csr_epoch, sparse), eager(kernels, dense | {"X": X}))


BAD = {
    "a row before the first": ({"order": np.array([0, -1, 2])}, "order must hold row numbers"),
    "a row after the last": ({"order": np.array([0, 200, 2])}, "order must hold row numbers"),
    "a row far away": ({"order": np.array([0, 2**62, 2])}, "order must hold row numbers"),
    "a short average": ({"average": np.zeros(5)}, "average must have theta's length"),
    "a rate too few": ({"rates": np.zeros(2)}, "rates must hold one step length a batch"),
    "a rate too many": ({"rates": np.zeros(4)}, "rates must hold one step length a batch"),
    "empty batches": ({"batch_size": 0}, "rates must hold one step length a batch"),
    "a short theta": ({"theta": np.zeros(5)}, "theta must hold the coefficients"),
    "no columns": ({"columns": np.zeros((4, 0))}, "columns must describe each column"),
    "no penalty": ({"columns": np.zeros((3, 12))}, "columns must describe each column"),
    "rows that fall": ({"indptr": np.r_[0, 9, 5, np.full(198, 9)]}, "indptr must begin at 0"),
    "rows beyond": ({"indptr": np.r_[np.zeros(200, int), 2**40]}, "indptr must begin at 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named_and_nothing_changes(kernels, case):
    spoilt, message = BAD[case]
    _, sparse = steps("squared", "smooth")
    sparse |= {"order": np.array([3, 1, 2]), "rates": np.full(3, 0.1)} | spoilt
    before = {name: sparse[name].copy() for name in ("theta", "average")}
    with pytest.raises(ValueError, match=message):
        kernels.csr_epoch(**sparse)
    assert all(same_bits(sparse[name], before[name]) for name in before)


@pytest.mark.parametrize("spoilt", [-1, 11, 2**31 - 1, -(2**31)])
def test_columns_outside_are_refused(kernels, spoilt):
    _, sparse = steps("squared")
    sparse["indices"] = sparse["indices"].copy()
    sparse["indices"][7] = spoilt
    with pytest.raises(ValueError, match="indices must hold column numbers"):
        kernels.csr_epoch(**sparse)


def test_what_no_column_could_wait_for_is_refused(kernels):
    _, sparse = steps("squared", "lasso")
    sparse["columns"][0, 2] = 1
    with pytest.raises(ValueError, match="columns must have no shift beside a lasso"):
        kernels.csr_epoch(**sparse)
    _, sparse = steps("squared", "own")
    with pytest.raises(ValueError, match="rates must be equal, and below 1/ridge"):
        kernels.csr_epoch(**sparse | {"rates": np.linspace(0.1, 0.01, 200)})
    with pytest.raises(ValueError, match="rates must be equal, and below 1/ridge"):
        kernels.csr_epoch(**sparse | {"rates": np.full(200, 100.0)})
