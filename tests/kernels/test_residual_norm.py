"""A residual sum and its layer norm against facts of mathematics, on both twins."""

import numpy as np
import pytest

from tests.kernels.twins import same_bits

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
COLUMNS = (1, 2, 7, 15, 16, 17, 64, 100)
BIASED = pytest.mark.parametrize("biased", [False, True], ids=["without bias", "bias"])
RESIDUAL = pytest.mark.parametrize("residual", [False, True], ids=["without R", "R"])
NEAR = {np.float32: 1e-5, np.float64: 1e-13}  # of the largest number of an array
EPS = 1e-5


def problem(dtype, n=3, p=7, biased=True, seed=0):
    """D, X, bias, gain and shift."""
    rng = np.random.default_rng(seed)
    D, X = rng.normal(size=(2, n, p)).astype(dtype)
    bias, gain, shift = rng.normal(size=(3, p)).astype(dtype)
    return {"D": D, "X": X, "bias": bias if biased else bias[:0], "gain": gain, "shift": shift}


def forward(kernels, given, eps=EPS):
    """(D after, Y, statistics)."""
    D = given["D"].copy()
    Y, statistics = np.full_like(D, np.nan), np.full((len(D), 2), np.nan, D.dtype)
    kernels.residual_norm(**(given | {"D": D}), eps=eps, Y=Y, statistics=statistics)
    return D, Y, statistics


def slopes_for(given, residual=True):
    """Gradients of Y, and of D where it goes on beside its norm."""
    dY, R = np.random.default_rng(1).normal(size=(2, *given["D"].shape)).astype(given["D"].dtype)
    return dY, R if residual else R[:0, :0].copy()


def backward(kernels, given, dY, R, sums=None, eps=EPS):
    """(dD, dgain, dshift, dbias), the last three added to sums."""
    D, _, statistics = forward(kernels, given, eps)
    dD = np.full_like(D, np.nan)
    sums = sums or [np.zeros_like(given[name]) for name in ("gain", "shift", "bias")]
    kernels.residual_norm_backward(D, given["gain"], statistics, dY, R, dD, *sums)
    return dD, *sums


def assert_near(array, exact):
    """Within a share of the largest number, and 1 where all of them are smaller."""
    atol = NEAR[array.dtype.type] * max(1, np.abs(exact).max(initial=0))
    np.testing.assert_allclose(array, exact, rtol=0, atol=atol)


def in_double(given):
    """(sum, its mean, its inverse deviation) by the textbook."""
    D, X, bias = (given[name].astype(np.float64) for name in ("D", "X", "bias"))
    D = D + X + (bias if len(bias) else 0)
    return D, D.mean(axis=1, keepdims=True), 1 / np.sqrt(D.var(axis=1, keepdims=True) + EPS)


@DTYPES
@BIASED
@RESIDUAL
def test_both_ways_are_the_textbooks_at_every_width(kernels, dtype, biased, residual):
    for p in COLUMNS:
        given = problem(dtype, p=p, biased=biased)
        sum_, mean, inverse = in_double(given)
        hat, gain = (sum_ - mean) * inverse, given["gain"].astype(np.float64)
        D, Y, statistics = forward(kernels, given)
        assert_near(D, sum_)
        assert_near(Y, hat * gain + given["shift"])
        assert_near(statistics, np.concatenate([mean, inverse], axis=1))
        dY, R = slopes_for(given, residual)
        d = dY * gain
        # The Jacobian of (x − mean)·inverse, as a matrix for each row.
        J = np.eye(p) - 1 / p - hat[:, :, None] * hat[:, None, :] / p
        dD = inverse * np.einsum("nj,njk->nk", d, J) + (R if residual else 0)
        sums = (dY * hat).sum(axis=0), dY.sum(axis=0, dtype=np.float64), dD.sum(axis=0)
        exact = dD, *sums[:2], sums[2] if biased else np.zeros(0)
        for ours, theirs in zip(backward(kernels, given, dY, R), exact, strict=True):
            assert_near(ours, theirs)


@DTYPES
@BIASED
def test_the_stream_is_a_sum_and_its_norm_that_of_layer_norm(kernels, dtype, biased):
    for p in COLUMNS:
        given = problem(dtype, p=p, biased=biased)
        D, Y, statistics = forward(kernels, given)
        joined = given["X"] + given["bias"] if biased else given["X"]
        assert same_bits(D, given["D"] + joined)
        other, also = np.empty_like(Y), np.empty_like(statistics)
        kernels.layer_norm(D, given["gain"], given["shift"], EPS, other, also)
        assert same_bits(Y, other)
        assert same_bits(statistics, also)


@DTYPES
@BIASED
def test_the_way_back_is_that_of_layer_norm_and_what_comes_by_the_stream(kernels, dtype, biased):
    for p in COLUMNS:
        given = problem(dtype, p=p, biased=biased)
        dY, R = slopes_for(given)
        D, _, statistics = forward(kernels, given)
        dX, dgain, dbias = np.empty_like(D), np.zeros_like(D[0]), np.zeros_like(D[0])
        kernels.layer_norm_backward(D, given["gain"], statistics, dY, dX, dgain, dbias)
        dD, *sums = backward(kernels, given, dY, R)
        assert same_bits(dD, dX + R)
        assert same_bits(sums[0], dgain)
        assert same_bits(sums[1], dbias)
        alone, *_ = backward(kernels, given, dY, R[:0, :0].copy())
        assert same_bits(alone, dX)


@BIASED
@RESIDUAL
@pytest.mark.parametrize("what", ["D", "X", "bias", "gain", "shift"])
def test_the_gradient_is_that_of_central_differences(kernels, biased, residual, what):
    given = problem(np.float64, p=9, biased=biased)
    dY, R = slopes_for(given, residual)

    def cost():
        D, Y, _ = forward(kernels, given)
        return (Y * dY).sum() + ((D * R).sum() if residual else 0)

    dD, dgain, dshift, dbias = backward(kernels, given, dY, R)
    ours = {"D": dD, "X": dD, "bias": dbias, "gain": dgain, "shift": dshift}[what]
    flat, h = given[what].reshape(-1), 1e-5
    slopes = np.empty_like(flat)
    for j, value in enumerate(flat.copy()):
        flat[j] = value + h
        up = cost()
        flat[j] = value - h
        flat[j], slopes[j] = value, (up - cost()) / (2 * h)
    np.testing.assert_allclose(ours.reshape(-1), slopes, rtol=0, atol=1e-8)


@DTYPES
@pytest.mark.parametrize("p", [2, 7, 16, 100])
def test_rows_have_mean_0_and_variance_1(kernels, dtype, p):
    given = problem(dtype, n=20, p=p) | {"gain": np.ones(p, dtype), "shift": np.zeros(p, dtype)}
    _, Y, _ = forward(kernels, given, eps=0)
    Y = Y.astype(np.float64)
    near = 200 * np.finfo(dtype).eps  # of two columns that nearly agree, few bits are left
    np.testing.assert_allclose(Y.mean(axis=1), 0, atol=near)
    np.testing.assert_allclose(Y.var(axis=1), 1, rtol=near)


@DTYPES
def test_the_norm_sees_neither_shift_nor_scale_of_a_row(kernels, dtype):
    """Powers of two and small whole numbers, so that both are exact."""
    given = problem(dtype, n=9, p=16)
    for name in ("D", "X", "bias"):
        given[name][:] = np.random.default_rng(5).integers(-20, 20, given[name].shape)
    _, Y, _ = forward(kernels, given, eps=0)
    moved = given | {name: 4 * given[name] for name in ("D", "X", "bias")}
    moved["bias"] = moved["bias"] + dtype(64)
    _, other, statistics = forward(kernels, moved, eps=0)
    np.testing.assert_array_equal(other, Y)
    _, _, before = forward(kernels, given, eps=0)
    np.testing.assert_allclose(statistics[:, 0], 4 * before[:, 0] + 64, rtol=1e-6)
    np.testing.assert_allclose(statistics[:, 1], before[:, 1] / 4, rtol=1e-6)


@DTYPES
@pytest.mark.parametrize("p", [3, 16, 100])
def test_no_gradient_goes_along_a_shift_or_a_stretch_of_the_row(kernels, dtype, p):
    given = problem(dtype, p=p)
    dY, R = slopes_for(given, residual=False)
    dD = backward(kernels, given, dY, R, eps=0)[0].astype(np.float64)
    D, _, _ = forward(kernels, given)
    near = NEAR[dtype] * np.abs(dD).sum(axis=1)
    assert (np.abs(dD.sum(axis=1)) <= near).all()
    along = (dD * (D - D.mean(axis=1, keepdims=True))).sum(axis=1)
    assert (np.abs(along) <= near * np.abs(D).max()).all()


@DTYPES
@BIASED
@pytest.mark.parametrize(
    ("name", "residual"), [("D", False), ("dY", False), ("D", True), ("dY", True), ("R", True)]
)
def test_the_gradient_may_lie_where_an_argument_does(kernels, dtype, biased, name, residual):
    given = problem(dtype, p=21, biased=biased)
    dY, R = slopes_for(given, residual)
    expected = backward(kernels, given, dY, R)
    D, _, statistics = forward(kernels, given)
    tables = {"D": D, "dY": dY, "R": R}
    dD = tables[name]
    sums = [np.zeros_like(given[each]) for each in ("gain", "shift", "bias")]
    kernels.residual_norm_backward(
        tables["D"], given["gain"], statistics, tables["dY"], tables["R"], dD, *sums
    )
    for ours, theirs in zip((dD, *sums), expected, strict=True):
        assert same_bits(ours, theirs)


@DTYPES
def test_gradients_are_added_to_what_is_there(kernels, dtype):
    given = problem(dtype, n=5, p=9)
    dY, R = slopes_for(given)
    alone = backward(kernels, given, dY, R)
    before = [np.linspace(-9, 9, 9).astype(dtype) for _ in range(3)]
    added = backward(kernels, given, dY, R, [each.copy() for each in before])
    for start, sums, both in zip(before, alone[1:], added[1:], strict=True):
        assert_near(both, start + sums.astype(np.float64))
    assert_near(alone[3], alone[0].sum(axis=0, dtype=np.float64))


@DTYPES
@BIASED
@RESIDUAL
def test_rows_do_not_see_each_other(kernels, dtype, biased, residual):
    """One that is no number spoils itself, and the sums over rows."""
    given = problem(dtype, n=5, p=20, biased=biased)
    spoilt = given | {"X": given["X"].copy()}
    spoilt["X"][2, 3] = np.nan
    dY, R = slopes_for(given, residual)
    fine, bad = (
        (*forward(kernels, each), backward(kernels, each, dY, R)[0]) for each in (given, spoilt)
    )
    others = [0, 1, 3, 4]
    for one, other in zip(fine, bad, strict=True):
        assert same_bits(one[others], other[others])
        assert np.isnan(other[2]).any()


@DTYPES
def test_a_row_of_equal_numbers_becomes_the_shift(kernels, dtype):
    for p in COLUMNS:
        given = problem(dtype, p=p)
        given["D"][:], given["X"][:], given["bias"][:] = 3, -5, 0.5
        D, Y, statistics = forward(kernels, given)
        assert (D == -1.5).all()
        np.testing.assert_array_equal(Y, np.tile(given["shift"], (3, 1)))
        np.testing.assert_allclose(statistics[:, 1], 1 / np.sqrt(EPS), rtol=1e-6)
        assert all(np.isfinite(each).all() for each in backward(kernels, given, *slopes_for(given)))


@DTYPES
@BIASED
@RESIDUAL
def test_no_rows_are_nothing_to_do(kernels, dtype, biased, residual):
    given = problem(dtype, n=0, biased=biased)
    D, _, _ = forward(kernels, given)
    assert D.shape == (0, 7)
    before = [given["gain"].copy(), given["shift"].copy(), given["bias"].copy()]
    _, *sums = backward(kernels, given, *slopes_for(given, residual), before)
    for name, each in zip(("gain", "shift", "bias"), sums, strict=True):
        assert same_bits(each, given[name])
