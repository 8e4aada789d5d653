"""Variance-reduced steps against the textbook, each other and the minimum, on both twins."""

import numpy as np
import pytest

from tests.kernels.cases import examples
from tests.kernels.test_linear_family import seen, thinned
from tests.kernels.twins import same_bits

LOSSES = pytest.mark.parametrize("loss", ["squared", "logistic", "softmax", "huber"])
KIND = pytest.mark.parametrize(
    "kind", ["no penalty", "smooth", "lasso", "own", "own and lasso", "lasso alone"]
)
LEARN = pytest.mark.parametrize("learn", [0, 1], ids=["SVRG", "SAGA"])
CHANGED = ("theta", "margins", "mean")


def passes(loss, kind, learn, rate=0.05, dtype=np.float64, *, n=60, p=11, seed=0):
    """(arguments for dense rows, the same rows in CSR form), from a point with others' margins."""
    work, stored = thinned(examples(loss, dtype, n=n, p=p, seed=seed), 0.15, np.int32)
    rng, columns = np.random.default_rng(seed), work["columns"]
    columns[0], columns[1, p // 3] = 0, 0
    columns[2, :-1] = 0.3 * ("smooth" in kind or kind == "lasso")
    columns[3] *= 30 * ("lasso" in kind)
    if "own" in kind:
        columns[2, :-1] = rng.uniform(0, 0.5, p) * (rng.random(p) < 0.8)
    names = ("loss", "shape", "smooth", "y", "weights", "columns", "theta")
    given = {name: work[name] for name in names}
    given |= {"order": rng.integers(0, n, 2 * n), "margins": rng.normal(size=(n, outputs(work)))}
    given |= {"mean": 0.3 * rng.normal(size=len(work["theta"])), "rate": rate, "learn": learn}
    return given | {"X": work["X"]}, given | stored


def outputs(work):
    return work["margins"].shape[1]


def run(kernel, work):
    given = work | {name: work[name].copy() for name in CHANGED}
    assert kernel(**given) is None
    return {name: given[name] for name in CHANGED}


def require_near(one, other, near=1e-11):
    for name in CHANGED:
        size = max(np.abs(other[name]).max(), 1e-3)
        np.testing.assert_allclose(one[name], other[name], rtol=0, atol=near * size)


@LOSSES
@KIND
@LEARN
@pytest.mark.parametrize("rate", [0.01, 0.2])
def test_what_waits_is_what_every_step_would_do(kernels, loss, kind, learn, rate):
    dense, sparse = passes(loss, kind, learn, rate)
    one, other = run(kernels.csr_corrected, sparse), run(kernels.linear_corrected, dense)
    require_near(one, other)
    assert ((one["theta"] == 0) == (other["theta"] == 0)).all()


@LOSSES
@KIND
@LEARN
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twins_agree(pair, loss, kind, learn, dtype):
    dense, sparse = passes(loss, kind, learn, dtype=dtype)
    require_near(*(run(kernels.linear_corrected, dense) for kernels in pair))
    require_near(*(run(kernels.csr_corrected, sparse) for kernels in pair))


@LEARN
def test_a_step_is_the_textbooks(kernels, learn):
    """θ ← prox(θ − η(s(r − r₀)x̃ + G)), by hand for the squared loss, whose slope is z − y."""
    dense, _ = passes("squared", "lasso", learn)
    dense["columns"][0, :-1] = 0.5
    dense["order"] = np.array([7])
    x, theta = seen(dense)[7], dense["theta"]
    change = dense["weights"][7] * (x @ theta - dense["margins"][7, 0]) * x
    moved = theta - 0.05 * (change + dense["mean"])
    moved = np.sign(moved) * np.maximum(abs(moved) - 0.05 * dense["columns"][3], 0)
    after = run(kernels.linear_corrected, dense)
    near = {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(after["theta"], moved / (1 + 0.05 * dense["columns"][2]), **near)
    noted = change / 60 if learn else 0
    np.testing.assert_allclose(after["mean"], dense["mean"] + noted, **near)
    expected = x @ theta if learn else dense["margins"][7, 0]
    assert after["margins"][7, 0] == pytest.approx(expected, rel=1e-12)


@LOSSES
@LEARN
def test_at_the_minimum_nothing_moves(kernels, loss, learn):
    """Where all margins are θ's own and ridge·θ = −G, every step leads back to θ: no noise."""
    dense, sparse = passes(loss, "smooth", learn)
    k = outputs(dense)
    W = np.column_stack([dense["theta"][: 11 * k].reshape(k, 11), dense["theta"][11 * k :]])
    margins = seen(dense) @ W.T
    ridge = np.r_[np.tile(dense["columns"][2, :-1], k), np.zeros(k)]
    mean = -ridge * dense["theta"]
    for kernel, work in ((kernels.linear_corrected, dense), (kernels.csr_corrected, sparse)):
        after = run(kernel, work | {"margins": margins, "mean": mean})
        np.testing.assert_allclose(after["theta"], dense["theta"], rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(after["mean"], mean, rtol=1e-10, atol=1e-12)


@LEARN
@KIND
def test_a_pass_may_be_cut_anywhere(kernels, learn, kind):
    for kernel, work in zip(
        (kernels.linear_corrected, kernels.csr_corrected),
        passes("logistic", kind, learn),
        strict=True,
    ):
        whole = run(kernel, work)
        half = run(kernel, work | {"order": work["order"][:47]})
        require_near(run(kernel, work | half | {"order": work["order"][47:]}), whole)


@LEARN
@KIND
def test_rows_without_weight_leave_noted_means_alone(kernels, learn, kind):
    for kernel, work in zip(
        (kernels.linear_corrected, kernels.csr_corrected),
        passes("logistic", kind, learn),
        strict=True,
    ):
        after = run(kernel, work | {"weights": np.zeros(60)})
        np.testing.assert_array_equal(after["mean"], work["mean"])


@LOSSES
@KIND
def test_divergence_ends_quietly(kernels, loss, kind):
    dense, sparse = passes(loss, kind, 1, 1e30)
    run(kernels.linear_corrected, dense)
    run(kernels.csr_corrected, sparse)


BAD = {
    "a row before the first": ({"order": np.array([0, -1])}, "order must hold row numbers"),
    "a row far away": ({"order": np.array([0, 2**62])}, "order must hold row numbers"),
    "margins of fewer rows": ({"margins": np.zeros((59, 1))}, "margins must be .n, k."),
    "margins of more outputs": ({"margins": np.zeros((60, 2))}, "margins must be .n, k."),
    "a short mean": ({"mean": np.zeros(5)}, "margins must be .n, k., and mean have theta's"),
    "a short theta": ({"theta": np.zeros(5)}, "theta must hold the coefficients"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_named_and_nothing_changes(kernels, case):
    spoilt, message = BAD[case]
    for kernel, work in zip(
        (kernels.linear_corrected, kernels.csr_corrected), passes("squared", "own", 1), strict=True
    ):
        work |= spoilt
        before = {name: work[name].copy() for name in CHANGED}
        with pytest.raises(ValueError, match=message):
            kernel(**work)
        assert all(same_bits(work[name], before[name]) for name in before)


def test_columns_outside_and_shifts_are_refused(kernels):
    _, sparse = passes("squared", "smooth", 1)
    with pytest.raises(ValueError, match="columns must have no shift"):
        kernels.csr_corrected(**sparse | {"columns": np.ones((4, 12))})
    for spoilt in (-1, 11, 2**31 - 1):
        sparse["indices"] = sparse["indices"].copy()
        sparse["indices"][7] = spoilt
        with pytest.raises(ValueError, match="indices must hold column numbers"):
            kernels.csr_corrected(**sparse)
