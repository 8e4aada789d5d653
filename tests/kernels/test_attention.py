"""Causal attention against the textbook and against facts of mathematics, on both twins."""

import numpy as np
import pytest

from tests.kernels import textbook
from tests.kernels.textbook import OPTIONS, backward, forward, kept, problem, rotary, slopes_for
from tests.kernels.twins import same_bits

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
OPTION = pytest.mark.parametrize("option", OPTIONS)
LENGTHS = (1, 3, 16, 17, 63, 64, 65, 130)
CUTS = (1, 4, 63, 64, 65, 100, 129)
# Every length with an odd width and with one of whole registers, every width in short and long.
SIZES = sorted(
    {(t, d) for t in LENGTHS for d in (7, 16)}
    | {(t, d) for t in (3, 65) for d in (1, 2, 7, 16, 24, 32, 64)}
)
NEAR = {np.float32: 1e-5, np.float64: 1e-13}  # of the largest number of an array


def assert_near(array, exact, near=None):
    """Within a share of the largest number, and 1 where all of them are smaller."""
    near = near or NEAR[array.dtype.type]
    atol = near * max(1, np.abs(exact).max(initial=0))
    np.testing.assert_allclose(array, exact, rtol=0, atol=atol)


def thirds(qkv):
    """Views of Q, K and V."""
    return np.split(qkv, 3, axis=-1)


@DTYPES
@pytest.mark.parametrize(("t", "d"), SIZES)
def test_both_ways_are_the_textbooks_at_every_size(kernels, dtype, t, d):
    for number, chosen in enumerate(OPTIONS.values()):
        given = problem(dtype, n=1 + number % 2, t=t, d=d, heads=1 + (t + number) % 3, **chosen)
        for ours, exact in zip(forward(kernels, given), textbook.attention(given), strict=True):
            assert_near(ours, exact)
        dout = slopes_for(given)
        ours, exact = backward(kernels, given, dout), textbook.attention_backward(given, dout)
        for mine, theirs in zip(ours, exact, strict=True):
            assert_near(mine, theirs)


@OPTION
@pytest.mark.parametrize("what", ["qkv", "bias"])
def test_the_gradient_is_that_of_central_differences(kernels, option, what):
    given = problem(np.float64, t=5, d=4, **OPTIONS[option])
    dout, h = slopes_for(given), 1e-5
    flat = given[what].reshape(-1)
    slopes = np.empty_like(flat)
    for j, value in enumerate(flat.copy()):
        up, down = (forward(kernels, given)[0] for flat[j] in (value + h, value - h))
        flat[j], slopes[j] = value, ((up - down) * dout).sum() / (2 * h)
    ours = backward(kernels, given, dout)[what == "bias"]
    np.testing.assert_allclose(ours.reshape(-1), slopes, rtol=0, atol=1e-8)


@DTYPES
@OPTION
def test_a_later_place_never_changes_an_earlier_output(kernels, dtype, option):
    given = problem(dtype, t=130, **OPTIONS[option])
    before = forward(kernels, given)
    for cut in CUTS:
        changed = given | {"qkv": given["qkv"].copy()}
        changed["qkv"][:, cut:] *= -30
        after = forward(kernels, changed)
        early, late = range(cut), range(cut, 130)
        for one, other, axis in zip(before, after, (1, 2), strict=True):
            assert same_bits(one.take(early, axis), other.take(early, axis))
            assert (one.take(late, axis) != other.take(late, axis)).any(axis=-1).all()


@DTYPES
@OPTION
def test_the_gradient_of_an_early_output_never_reaches_a_later_place(kernels, dtype, option):
    given = problem(dtype, t=130, **OPTIONS[option])
    dout = slopes_for(given)
    for cut in reversed(CUTS):
        dout[:, cut:] = 0
        dqkv, _ = backward(kernels, given, dout)
        assert (dqkv[:, cut:] == 0).all()
        assert (dqkv[:, :cut] != 0).any(axis=-1).all()


@DTYPES
@pytest.mark.parametrize("t", [1, 5, 63, 64, 65])
def test_a_sequence_cut_short_gives_the_same_outputs_as_far_as_it_goes(kernels, dtype, t):
    given = problem(dtype, t=130, bias=True, turns=True)
    short = given | {"qkv": given["qkv"][:, :t].copy(), "turns": given["turns"][:t]}
    (whole, log), (part, part_log) = forward(kernels, given), forward(kernels, short)
    assert_near(part, whole[:, :t], 4 * np.finfo(dtype).eps)
    assert_near(part_log, log[:, :, :t], 4 * np.finfo(dtype).eps)


@DTYPES
def test_where_all_scores_are_equal_the_output_is_the_running_mean_of_v(kernels, dtype):
    for t in LENGTHS:
        given = problem(dtype, t=t, heads=3)
        _, k, v = thirds(given["qkv"])
        k[:] = 0
        out, lse = forward(kernels, given)
        count = np.arange(1, t + 1)
        assert_near(out, v.cumsum(axis=1, dtype=np.float64) / count[:, None])
        assert_near(lse, np.broadcast_to(np.log(count), lse.shape))


@DTYPES
def test_adding_one_vector_to_all_keys_moves_the_logarithms_alone(kernels, dtype):
    """A softmax does not see a shift. So no key's bias has a gradient."""
    given = problem(dtype, t=70, bias=True, d=16)
    shifted = given | {"bias": given["bias"].copy()}
    _, shift, _ = thirds(shifted["bias"])
    shift += 1
    (out, lse), (other, moved) = forward(kernels, given), forward(kernels, shifted)
    assert_near(other, out)
    q = (given["qkv"] + given["bias"])[..., :32].astype(np.float64).reshape(2, 70, 2, 16)
    assert_near(moved, lse + q.sum(axis=-1).transpose(0, 2, 1) / 4)
    _, dbias = backward(kernels, given, slopes_for(given))
    dq, dk, dv = (np.abs(part).max() for part in thirds(dbias))
    assert dk <= NEAR[dtype] * max(dq, dv)
    assert min(dq, dv) > 1


@DTYPES
@pytest.mark.parametrize("start", [1, 1000])
def test_turned_scores_depend_on_the_difference_of_places_alone(kernels, dtype, start):
    given = problem(dtype, t=40, d=8, turns=True)
    later = given | {"turns": rotary(range(start, start + 40), 8).astype(dtype)}
    for one, other in zip(forward(kernels, given), forward(kernels, later), strict=True):
        assert_near(one, other)
    dout = slopes_for(given)
    assert_near(backward(kernels, given, dout)[0], backward(kernels, later, dout)[0])
    further = given | {"turns": rotary(range(0, 80, 2), 8).astype(dtype)}
    assert np.abs(forward(kernels, given)[1] - forward(kernels, further)[1]).max() > 0.1


@DTYPES
def test_turns_of_nothing_and_a_bias_of_zeros_change_nothing(kernels, dtype):
    given = problem(dtype, t=70)
    still = given | {"turns": rotary([0] * 70, 8).astype(dtype), "bias": np.zeros(48, dtype)}
    dout = slopes_for(given)
    for one, other in zip(
        (*forward(kernels, given), backward(kernels, given, dout)[0]),
        (*forward(kernels, still), backward(kernels, still, dout)[0]),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def equal_weights(dtype, rate, n=6, t=64, first=3):
    """All scores equal, V the unit matrix: out[i, j] of a head is the weight of place j for i."""
    given = problem(dtype, n=n, t=t, d=t, heads=2, rate=rate, first=first)
    given["qkv"][..., : 4 * t] = 0
    given["qkv"][..., 4 * t :] = np.tile(np.eye(t), 2)
    return given


def by_head(out):
    """(n, heads, t, t) of (n, t, 2·t)."""
    n, t, _ = out.shape
    return out.reshape(n, t, 2, t).transpose(0, 2, 1, 3)


@DTYPES
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_leaves_out_its_share_and_scales_the_rest(kernels, dtype, rate):
    given = equal_weights(dtype, rate)
    weights = by_head(forward(kernels, given)[0])
    below = np.tril(np.ones((64, 64), bool))
    assert (weights[..., ~below] == 0).all()
    dropped = weights[..., below] == 0
    assert abs(dropped.mean() - rate) <= 4 * np.sqrt(rate * (1 - rate) / dropped.size)
    patterns = {pattern.tobytes() for pattern in dropped.reshape(12, -1)}
    assert len(patterns) == 12, "two heads drop the same weights"
    exact = below / np.arange(1, 65)[:, None] * kept(given)
    assert ((weights == 0) == (exact == 0)).all()
    assert_near(weights, exact)


@DTYPES
def test_both_ways_drop_the_same_weights(kernels, dtype):
    """With a unit matrix as gradient of the outputs, that of V is the weights, rows as columns."""
    given = equal_weights(dtype, 0.4)
    dout = np.tile(np.eye(64, dtype=dtype), (6, 1, 2))
    dqkv, _ = backward(kernels, given, dout)
    weights, slopes = (by_head(x) for x in (forward(kernels, given)[0], thirds(dqkv)[2]))
    assert ((slopes.swapaxes(-1, -2) == 0) == (weights == 0)).all()
    assert_near(slopes.swapaxes(-1, -2), weights)


@DTYPES
@OPTION
def test_the_bits_do_not_depend_on_how_the_batch_is_cut(kernels, dtype, option):
    given = problem(dtype, n=5, t=19, **OPTIONS[option])
    dout = slopes_for(given)
    whole = *forward(kernels, given), *backward(kernels, given, dout)
    for cut in (1, 2, 4):
        dbias = np.zeros_like(given["bias"])
        for a in range(0, 5, cut):
            own = slice(a, a + cut)
            part = given | {"qkv": given["qkv"][own], "first": given["first"] + a}
            out, lse = forward(kernels, part)
            dqkv, dbias = backward(kernels, part, dout[own], dbias)
            for one, other in zip(whole, (out, lse, dqkv), strict=False):
                assert same_bits(one[own], other)
        assert_near(dbias, whole[3])


@DTYPES
@pytest.mark.parametrize("first", [2**60 + 3, 2**64 - 2])
def test_words_of_any_number_are_there(pair, dtype, first):
    """The stream of a key begins again after 2⁶⁴ words, for sequences as for numbers."""
    given = problem(dtype, n=3, t=9, rate=0.5, first=first)
    one, other = (forward(kernels, given)[0] for kernels in pair)
    assert_near(one, other)
    x = np.ones(300, dtype)
    one, other = np.zeros_like(x), np.zeros_like(x)
    for kernels, out in zip(pair, (one, other), strict=True):
        kernels.dropout(x, 0.5, 1, 2**64 - 7, out)
    assert same_bits(one, other)


@DTYPES
@pytest.mark.parametrize("score", [1e4, 1e20])
def test_scores_of_any_size_choose_and_do_not_overflow(kernels, dtype, score):
    """Keys for and against a query: the output is the mean of V over those for it, if any are.

    The first of them comes late, so that the largest score is not among the first.
    """
    given = problem(dtype, t=70, d=16, heads=1)
    q, k, v = thirds(given["qkv"])
    places = np.arange(70)
    chosen = (places >= 18) & (places % 3 == 0)
    q[:], k[:] = 0, 0
    q[..., 0], k[..., 0] = 4 * score, np.where(chosen, 1, -1)
    out, lse = forward(kernels, given)
    weights = np.tril(np.where(places[:, None] < 18, 1.0, chosen))
    count = weights.sum(axis=1)
    assert_near(out, weights @ v / count[:, None])
    exact = np.where(places < 18, -score, score) + np.log(count)
    np.testing.assert_allclose(lse[:, 0], np.tile(exact, (2, 1)), rtol=1e-6)
    if score < 1e10:  # beyond, slopes of the scores have no meaning: one bit of lse is everything
        dq, dk, dv = thirds(backward(kernels, given, slopes_for(given))[0])
        assert np.isfinite(dq).all()
        assert np.isfinite(dk).all()
        assert (np.abs(dv[:, 18:][:, ~chosen[18:]]) <= 1e-30).all()
        assert (dv[:, chosen] != 0).any(axis=-1).all()


@DTYPES
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", ["q", "k", "v"])
def test_what_is_no_number_stays_in_its_head_and_is_seen(kernels, dtype, bad, part):
    given = problem(dtype, n=3, t=70, heads=2, bias=True, turns=True, rate=0.2)
    spoilt = given | {"qkv": given["qkv"].copy()}
    column = "qkv".index(part) * 16 + 11  # of the second head
    spoilt["qkv"][1, 66, column] = bad
    (out, lse), (seen, log) = forward(kernels, given), forward(kernels, spoilt)
    assert not np.isfinite(seen[1, 66:, 8:]).all()
    if part != "v" and np.isnan(bad):
        assert np.isnan(log[1, 1, 66])
        assert np.isnan(seen[1, 66, 8:]).all()
    for array in (seen, log):
        assert np.isfinite(array[::2]).all()
    assert same_bits(seen[1, :, :8], out[1, :, :8])
    assert same_bits(log[1, 0], lse[1, 0])
    dout = slopes_for(given)
    one, other = (backward(kernels, each, dout)[0] for each in (given, spoilt))
    assert not np.isfinite(other[1]).all()
    assert same_bits(one[::2], other[::2])
    own = np.arange(48) // 8 % 2 == 0
    assert same_bits(one[1][:, own], other[1][:, own])


@DTYPES
@OPTION
def test_no_sequences_and_no_places_are_nothing_to_do(kernels, dtype, option):
    for shape in ((0, 3), (2, 0), (0, 0)):
        given = problem(dtype, *shape, **OPTIONS[option])
        assert forward(kernels, given)[0].shape == (*shape, 16)
        before = np.arange(len(given["bias"])).astype(dtype)
        dqkv, dbias = backward(kernels, given, slopes_for(given), before)
        assert dqkv.shape == (*shape, 48)
        assert same_bits(dbias, before)


@DTYPES
@OPTION
@pytest.mark.parametrize("t", [17, 65])
def test_the_gradient_may_lie_where_its_argument_does(kernels, dtype, option, t):
    given = problem(dtype, t=t, heads=3, **OPTIONS[option])
    dout, (out, lse) = slopes_for(given), forward(kernels, given)
    dqkv, dbias = backward(kernels, given, dout)
    place, sums = given["qkv"].copy(), np.zeros_like(given["bias"])
    kernels.causal_attention_backward(
        **(given | {"qkv": place}), out=out, lse=lse, dout=dout, dqkv=place, dbias=sums
    )
    assert same_bits(place, dqkv)
    assert same_bits(sums, dbias)


@DTYPES
def test_gradients_of_the_bias_are_added_to_what_is_there(kernels, dtype):
    given = problem(dtype, t=20, bias=True)
    dout, before = slopes_for(given), np.linspace(-5, 5, 48).astype(dtype)
    dqkv, dbias = backward(kernels, given, dout, before)
    assert_near(dbias, before + dqkv.sum(axis=(0, 1), dtype=np.float64))


WRONG = {
    "heads=0": {"heads": 0},
    "heads below zero": {"heads": -1},
    "heads that do not divide": {"heads": 4},
    "heads=2.0": {"heads": 2.0},
    "heads='2'": {"heads": "2"},
    "rate=1": {"rate": 1.0},
    "rate below zero": {"rate": -0.1},
    "rate=nan": {"rate": np.nan},
    "first below zero": {"first": -1},
    "key of 65 bits": {"key": 2**64},
    "no columns": {"qkv": np.ones((2, 3, 0)), "bias": np.empty(0), "out": np.ones((2, 3, 0))},
    "turns for odd d": {
        "qkv": np.ones((2, 3, 30)),
        "bias": np.empty(0),
        "turns": np.ones((3, 5)),
        "out": np.ones((2, 3, 10)),
    },
}


@pytest.mark.parametrize("wrong", WRONG)
def test_numbers_that_make_no_sense_are_refused_in_the_same_way(pair, wrong):
    given = problem(np.float64, t=3, bias=True, turns=True)
    out, lse = np.ones((2, 3, 16)), np.ones((2, 2, 3))
    errors = []
    for kernels in pair:
        with pytest.raises((TypeError, ValueError, OverflowError)) as caught:
            kernels.causal_attention(**({**given, "out": out, "lse": lse} | WRONG[wrong]))
        errors.append((caught.type, str(caught.value) if caught.type is ValueError else ""))
    assert errors[0] == errors[1]
    assert (out == 1).all()
    assert (lse == 1).all()
