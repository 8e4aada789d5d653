"""Margins, sums, second moments and rows in CSR form: against the gradient and dense arithmetic."""

import numpy as np
import pytest

from tests.kernels.cases import examples
from tests.kernels.twins import LOSSES as EVERY
from tests.kernels.twins import same_bits

LOSSES = pytest.mark.parametrize("loss", EVERY)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NEAR = {np.float32: 1e-5, np.float64: 1e-12}


def thinned(work, share=0.3, index=np.int32):
    """(the work with most numbers of X zero, the same X in CSR form)."""
    X = work["X"] * (np.random.default_rng(5).random(work["X"].shape) < share)
    rows, indices = np.nonzero(X)
    indptr = np.searchsorted(rows, np.arange(len(X) + 1))
    stored = {"data": X[rows, indices], "indices": indices.astype(index), "indptr": indptr}
    return work | {"X": X.astype(work["X"].dtype)}, stored


def seen(work):
    """Rows as the descent sees them, the intercept's number last, in double."""
    p = work["X"].shape[1]
    x = (work["X"].astype(float) - work["columns"][0, :p]) * work["columns"][1, :p]
    return np.column_stack([x, np.full(len(x), work["columns"][1, p])])


@LOSSES
@DTYPES
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_rows_in_csr_form_are_the_dense_rows(kernels, loss, dtype, index):
    """The same cost, gradient and margins, whether a zero is written down or not."""
    for n in (1, 7, 8, 9, 200):
        work, stored = thinned(examples(loss, dtype, n=n, p=11), index=index)
        one = work | {"g": np.zeros_like(work["g"]), "margins": np.zeros_like(work["margins"])}
        other = {
            name: value.copy() if hasattr(value, "copy") else value for name, value in one.items()
        }
        value = kernels.linear_gradient(**one)
        del other["X"]
        assert kernels.csr_gradient(**other, **stored) == pytest.approx(value, rel=NEAR[dtype])
        size = np.linalg.norm(one["g"])
        np.testing.assert_allclose(other["g"], one["g"], rtol=0, atol=NEAR[dtype] * size)
        most = np.abs(one["margins"]).max()
        np.testing.assert_allclose(
            other["margins"], one["margins"], rtol=0, atol=NEAR[dtype] * most
        )


@LOSSES
@DTYPES
@pytest.mark.parametrize("shift", [0.0, 1e6], ids=["folded", "in scratch"])
def test_margins_and_sums_are_those_of_the_gradient(kernels, loss, dtype, shift):
    work = examples(loss, dtype, n=150, p=7)
    work["columns"][0, :7] += shift
    whole = work | {"g": np.zeros_like(work["g"])}
    kernels.linear_gradient(**whole)
    z = np.empty_like(work["margins"])
    kernels.linear_margins(work["X"], work["columns"], work["theta"], z)
    assert same_bits(z, whole["margins"])
    slopes = np.random.default_rng(0).normal(size=z.shape)
    g = np.zeros_like(work["g"])
    kernels.linear_combine(work["X"], slopes, work["columns"], g)
    x = seen(work)
    expected = slopes.T @ x
    expected = np.r_[expected[:, :-1].ravel(), expected[:, -1]]
    near = NEAR[dtype] * (100 if shift else 1)
    assert np.linalg.norm(g - expected) <= near * np.linalg.norm(expected)


@LOSSES
def test_losses_at_given_margins_are_those_of_the_gradient(kernels, loss):
    """Their weighted sum, and the sum of their slopes for an intercept."""
    work = examples(loss, np.float64, n=150, p=7)
    whole = work | {"g": np.zeros_like(work["g"])}
    total = kernels.linear_gradient(**whole)
    z, y, weights = work["margins"], work["y"], work["weights"]
    lost, r = np.empty(150), np.empty_like(z)
    kernels.linear_losses(loss, work["shape"], work["smooth"], z, y, lost, r)
    assert weights @ lost == pytest.approx(total, rel=1e-12)
    k = z.shape[1]
    slopes = whole["g"][7 * k :] / work["columns"][1, 7]
    np.testing.assert_allclose(weights @ r, slopes, rtol=1e-11, atol=1e-11 * np.abs(r).sum())


@DTYPES
def test_the_csr_forms_of_margins_sums_and_lengths(kernels, dtype):
    work, stored = thinned(examples("softmax", dtype, n=60, p=9))
    x, k = seen(work), 3
    z = np.empty((60, k))
    kernels.csr_margins(**stored, columns=work["columns"], theta=work["theta"], margins=z)
    W = np.column_stack([work["theta"][: 9 * k].reshape(k, 9), work["theta"][9 * k :]])
    np.testing.assert_allclose(z, x @ W.T, rtol=1e-5 if dtype == np.float32 else 1e-11)
    g = np.zeros(10 * k)
    kernels.csr_combine(**stored, slopes=z, columns=work["columns"], g=g)
    expected = z.T @ x
    expected = np.r_[expected[:, :-1].ravel(), expected[:, -1]]
    assert np.linalg.norm(g - expected) <= NEAR[dtype] * np.linalg.norm(expected)
    lengths = np.empty(60)
    kernels.csr_lengths(**stored, columns=work["columns"], lengths=lengths)
    np.testing.assert_allclose(lengths, (x[:, :-1] ** 2).sum(axis=1), rtol=NEAR[dtype] * 10)


@DTYPES
@pytest.mark.parametrize(("n", "p"), [(1, 1), (95, 5), (96, 6), (97, 15), (3000, 16), (200, 70)])
def test_second_moments_are_the_products_of_the_rows(kernels, dtype, n, p):
    work = examples("squared", dtype, n=n, p=p)
    h = np.random.default_rng(1).normal(size=n)  # of either sign, as softmax has them
    H = np.zeros((p + 1, p + 1))
    kernels.linear_hessian(work["X"], h, work["columns"], H)
    x = seen(work)
    expected = (x * h[:, None]).T @ x
    assert np.abs(H - expected).max() <= NEAR[dtype] * (np.abs(x).T @ np.abs(x * h[:, None])).max()
    np.testing.assert_allclose(H, H.T, rtol=0, atol=NEAR[dtype] * np.abs(H).max())


# Several outputs have a test of their own; corners have no derivative.
BENT = [loss for loss in EVERY if loss not in ("softmax", "squared_hinge", "huber")]


@pytest.mark.parametrize("loss", BENT)
def test_second_moments_are_the_derivative_of_the_gradient(kernels, loss):
    """H·v by the matrix and by differences of gradients, at slopes without corners nearby."""
    import gdcore as gd

    kinds = {"Hinge": {"smooth": 50.0}, "Quantile": {"q": 0.3, "smooth": 50.0}}
    known = {
        kind.name: kind(**kinds.get(name, {}))
        for name in gd.losses.__all__
        if (kind := getattr(gd.losses, name)).name
    }
    loss = known[loss]
    work = examples(loss.name, n=40, p=4) | {"shape": loss.shape, "smooth": loss.smooth}
    work["theta"] *= 0.1
    kernels.linear_gradient(**work)
    h = loss.bend(work["margins"], work["y"])[:, 0] * work["weights"]
    H = np.zeros((5, 5))
    kernels.linear_hessian(work["X"], h, work["columns"], H)
    v, far = np.random.default_rng(3).normal(size=5), 1e-6
    up, down = np.zeros(5), np.zeros(5)
    kernels.linear_gradient(**work | {"theta": work["theta"] + far * v, "g": up})
    kernels.linear_gradient(**work | {"theta": work["theta"] - far * v, "g": down})
    difference = (up - down) / (2 * far)
    np.testing.assert_allclose(H @ v, difference, rtol=1e-5, atol=1e-6 * np.abs(difference).max())


@DTYPES
def test_moments_of_columns(kernels, dtype):
    for n in (1, 31, 32, 33, 500):
        rng = np.random.default_rng(n)
        X = (rng.normal(size=(n, 5)) * [1, 10, 1e-3, 1, 0] + [0, 1e3, 5, -2, 7]).astype(dtype)
        s = rng.integers(0, 3, n) + (np.arange(n) == 0.0)
        mean, square, low, high = np.empty((4, 5))
        total = kernels.column_moments(X, s.astype(float), mean, square, low, high)
        wide = np.repeat(X.astype(np.longdouble), s, axis=0)
        assert total == s.sum()
        np.testing.assert_allclose(mean, wide.mean(axis=0).astype(float), rtol=1e-13)
        spread = ((wide - wide.mean(axis=0)) ** 2).sum(axis=0).astype(float)
        np.testing.assert_allclose(square, spread, rtol=1e-10, atol=1e-18)
        assert square[4] == 0


@pytest.mark.parametrize("kernel", ["csr_gradient", "csr_margins", "csr_combine", "csr_lengths"])
def test_columns_outside_are_refused(kernels, kernel):
    for spoilt in (-1, 11, 2**31 - 1):
        work, stored = thinned(examples("squared", n=20, p=11))
        stored["indices"][7] = spoilt
        more = {
            "csr_gradient": {name: work[name] for name in work if name != "X"},
            "csr_margins": {name: work[name] for name in ("columns", "theta", "margins")},
            "csr_combine": {"slopes": np.ones((20, 1)), "columns": work["columns"], "g": work["g"]},
            "csr_lengths": {"columns": work["columns"], "lengths": np.empty(20)},
        }[kernel]
        before = work["g"].copy()
        with pytest.raises(ValueError, match="indices must hold column numbers"):
            getattr(kernels, kernel)(**stored, **more)
        assert same_bits(work["g"], before)
