"""Learning from sparse rows: the dense rule without centring, at the cost of what a row holds."""

import itertools
import math

import numpy as np
import pytest

from tests.kernels.test_online import LOSS, fresh, problem
from tests.kernels.twins import same_bits

PENALTIES = {"none": (0.0, 0.0), "lasso": (1e-3, 0.0), "ridge": (0.0, 1e-2), "both": (1e-3, 1e-2)}
KINDS = list(itertools.product([np.int32, np.int64], [np.float32, np.float64]))


def sparse_problem(loss, dtype=np.float64, whole=np.int64, p=30, n=200):
    """Rows of which a fifth is held, and the same as (data, indices, indptr)."""
    X, y, weights = problem(loss, n=n, p=p, dtype=dtype)
    held = np.random.default_rng(3).random(X.shape) < 0.2
    X = X * held * (10.0 ** np.linspace(-3, 3, p)).astype(dtype)
    indptr = np.append(0, held.sum(axis=1).cumsum()).astype(np.int64)
    return X, (X[held], held.nonzero()[1].astype(whole), indptr), y, weights


def numbers(penalty="none", scaled=0.0, constant=1.0):
    return (1.0, 0.5, *PENALTIES[penalty], scaled, constant)


@LOSS
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("scaled", [0.0, 1.0])
def test_it_is_the_rule_of_dense_rows_seen_from_zero(kernels, loss, penalty, scaled):
    """There every example moves every column: the constant is a column more, of which penalties
    see nothing, and nothing is centred where there is no intercept."""
    (whole, dtype) = KINDS[(len(loss) + len(penalty)) % 4]
    X, rows, y, weights = sparse_problem(loss, dtype, whole)
    n, p = X.shape
    state, clock = fresh(loss, p)
    lost = kernels.csr_online_pass(loss, *rows, y, weights, state, clock, numbers(penalty, scaled))
    kernels.csr_online_settle(state, numbers(penalty, scaled))
    if scaled:  # the units of a state are fixed: here the scales that the columns have in the end
        return compare_without_intercept(kernels, loss, penalty)
    dense, other = fresh(loss, p + 1)
    dense = np.vstack([dense, np.append(np.ones(p), [0, 0])])
    X = np.hstack([X, np.ones((n, 1), X.dtype)])
    eager = kernels.online_pass(loss, X, y, weights, dense, other, numbers(penalty, 0.0, 0.0))
    k = len(state) // 2 - 1
    assert lost == pytest.approx(eager, rel=1e-12)
    np.testing.assert_allclose(clock, other, rtol=1e-12)
    near = {"rtol": 1e-11, "atol": 1e-11 * np.abs(dense[:k]).max()}
    np.testing.assert_allclose(state[: 2 * k + 1], dense[: 2 * k + 1, :-1], **near)
    if penalty == "none":
        assert state[:k, :-1].all()
    elif penalty == "lasso":
        np.testing.assert_array_equal(state[:k] == 0, dense[:k, :-1] == 0)


def compare_without_intercept(kernels, loss, penalty):
    X, rows, y, weights = sparse_problem(loss)
    (state, clock), (dense, other) = fresh(loss, X.shape[1]), fresh(loss, X.shape[1])
    given = numbers(penalty, 1.0, 0.0)
    kernels.csr_online_pass(loss, *rows, y, weights, state, clock, given)
    kernels.csr_online_settle(state, given)
    kernels.online_pass(loss, X, y, weights, dense, other, given)
    near = {"rtol": 1e-11, "atol": 1e-11 * np.abs(dense[0]).max()}
    np.testing.assert_allclose(state[:-1], dense[:-1], **near)
    np.testing.assert_allclose(clock, other, rtol=1e-12)


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_many_calls_give_the_bits_of_one_and_rows_without_weight_none(kernels, loss):
    X, rows, y, weights = sparse_problem(loss)
    given, p = numbers("both"), X.shape[1]
    one, clock = fresh(loss, p)
    kernels.csr_online_pass(loss, *rows, y, weights, one, clock, given)
    parts, other = fresh(loss, p)
    for i in np.flatnonzero(weights):
        row = slice(rows[2][i], rows[2][i + 1])
        data, indices = rows[0][row], rows[1][row]
        zeros = np.append(data, 0.0), np.append(indices, p - 1 if p - 1 not in indices else -1)
        data, indices = zeros if zeros[1][-1] >= 0 else (data, indices)  # a stored zero is none
        ends = np.array([0, len(data)])
        args = y[i : i + 1], weights[i : i + 1], parts, other, given
        kernels.csr_online_pass(loss, data, indices, ends, *args)
    assert same_bits(one, parts)
    assert same_bits(clock, other)


@pytest.mark.parametrize("loss", ["squared", "softmax"])
def test_columns_that_no_row_holds_are_neither_read_nor_written(kernels, loss):
    """So an example's cost does not know how many there are: NaN in all of them stays."""
    X, rows, y, weights = sparse_problem(loss)
    p, given = X.shape[1], numbers("both")
    small, clock = fresh(loss, p)
    large, other = fresh(loss, 10 * p)
    large[:, :-1].reshape(len(large), p, 10)[..., 1:] = np.nan
    kernels.csr_online_pass(loss, *rows, y, weights, small, clock, given)
    kernels.csr_online_pass(loss, rows[0], 10 * rows[1], rows[2], y, weights, large, other, given)
    assert same_bits(small[:, :-1], np.ascontiguousarray(large[:, :-1:10]))
    assert same_bits(small[:, -1].copy(), large[:, -1].copy())
    assert np.isnan(large[:, :-1].reshape(len(large), p, 10)[..., 1:]).all()


@pytest.mark.parametrize("l1", [0.0, 0.4])
def test_what_waits_is_the_solution_of_a_differential_equation(kernels, l1):
    """dv/dt = −(l1·sign v + l2·v/s)·d/s for v = w·s at the rate d = 1/√G, here by small steps."""
    l2, s, G, w, T, n = 0.7, 3.0, 4.0, 2.0, 5.0, 200_000
    state = np.array([[w, -w, 9.0], [G, G, 1], [s, s, 1], [0, 0, T]])
    kernels.csr_online_settle(state, (1.0, 0.5, l1, l2, 0.0, 1.0))
    v, dt, d = w * s, T / n, 1 / math.sqrt(G)
    for _ in range(n):
        v = max(0.0, v - dt * (l1 + l2 * v / s) * d / s)
    np.testing.assert_allclose(state[0], [v / s, -v / s, 9.0], rtol=1e-5)
    np.testing.assert_array_equal(state[3], [T, T, T])


@LOSS
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
@pytest.mark.parametrize("where", ["data", "y", "weights"])
def test_what_is_not_finite_is_refused_before_anything_changes(kernels, loss, bad, where):
    X, rows, y, weights = sparse_problem(loss, n=20)
    memory = fresh(loss, X.shape[1])
    kernels.csr_online_pass(loss, *rows, y, weights, *memory, numbers())
    kept = [each.copy() for each in memory]
    {"data": rows[0], "y": y, "weights": weights}[where][-1] = bad
    with pytest.raises(ValueError, match=r"X holds|y holds|y and weights"):
        kernels.csr_online_pass(loss, *rows, y, weights, *memory, numbers())
    assert all(same_bits(a, b) for a, b in zip(memory, kept, strict=True))


@pytest.mark.parametrize("column", [-1, 30, 2**40])
def test_columns_outside_are_refused(kernels, column):
    _, (data, indices, indptr), y, weights = sparse_problem("squared")
    indices[7] = column
    memory = fresh("squared", 30)
    with pytest.raises(ValueError, match="indices must hold column numbers"):
        kernels.csr_online_pass("squared", data, indices, indptr, y, weights, *memory, numbers())
    assert not memory[0].any()
    indices[7] = 0
    for broken in ([1, *indptr[1:]], [*indptr[:-1], indptr[-1] + 1], [0, *indptr[1:][::-1]]):
        rows = data, indices, np.array(broken)
        with pytest.raises(ValueError, match="indptr must begin at 0"):
            kernels.csr_online_pass("squared", *rows, y, weights, *memory, numbers())
