"""Attention of one more token against attention over all of them, on both twins."""

import numpy as np
import pytest

from tests.kernels.twins import same_bits

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NEAR = {np.float32: 1e-5, np.float64: 1e-13}


def turns_for(t, d, dtype):
    angles = np.arange(t)[:, None] / 3.0 ** np.arange(d // 2)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(dtype)


@DTYPES
@pytest.mark.parametrize(("heads", "d"), [(1, 2), (2, 7), (3, 16), (2, 20), (1, 33)])
@pytest.mark.parametrize("biased", [False, True], ids=["plain", "biased"])
@pytest.mark.parametrize("turned", [False, True], ids=["as it lies", "turned"])
def test_place_by_place_it_is_causal_attention(kernels, dtype, heads, d, biased, turned):
    if turned and d % 2:
        d += 1
    n, t, width = 3, 21, heads * d
    rng = np.random.default_rng(0)
    qkv = rng.normal(size=(n, t, 3 * width)).astype(dtype)
    bias = rng.normal(size=3 * width if biased else 0).astype(dtype)
    turns = turns_for(t, d, dtype) if turned else np.empty((0, 0), dtype)
    whole, logs = np.empty((n, t, width), dtype), np.empty((n, heads, t), dtype)
    kernels.causal_attention(qkv, bias, turns, heads, 0.0, 0, 0, whole, logs)
    keys, values = np.full((2, n, t, width), np.nan, dtype)
    for place in range(t):
        out, texts = np.empty((n, width), dtype), np.array([2, 0, 1])
        row = np.ascontiguousarray(qkv[texts, place])
        kernels.cached_attention(
            row, bias, turns, heads, texts, np.full(n, place), keys, values, out
        )
        near = NEAR[dtype] * np.abs(whole).max()
        np.testing.assert_allclose(out, whole[texts, place], rtol=0, atol=near)


@DTYPES
def test_texts_at_other_places_do_not_meet(kernels, dtype):
    rng = np.random.default_rng(0)
    qkv = rng.normal(size=(2, 24)).astype(dtype)
    keys, values = rng.normal(size=(2, 4, 9, 8)).astype(dtype)
    none, nothing = np.empty(0, dtype), np.empty((0, 0), dtype)
    out, alone = np.empty((2, 8), dtype), np.empty((1, 8), dtype)
    before = keys.copy(), values.copy()
    kernels.cached_attention(
        qkv, none, nothing, 2, np.array([3, 1]), np.array([8, 2]), keys, values, out
    )
    assert same_bits(keys[3, 8], qkv[0, 8:16])
    assert same_bits(values[1, 2], qkv[1, 16:])
    keys[3, 8], keys[1, 2] = before[0][3, 8], before[0][1, 2]
    values[3, 8], values[1, 2] = before[1][3, 8], before[1][1, 2]
    assert same_bits(keys, before[0])
    assert same_bits(values, before[1])
    keys[[0, 2]] = np.nan
    kernels.cached_attention(
        qkv[1:].copy(), none, nothing, 2, np.array([1]), np.array([2]), keys, values, alone
    )
    assert same_bits(alone[0], out[1])


@DTYPES
def test_alike_keys_give_the_mean_of_the_values_whatever_the_scores(kernels, dtype):
    keys, values = np.full((1, 5, 4), 1e4, dtype), np.arange(20, dtype=dtype).reshape(1, 5, 4)
    qkv = np.concatenate([np.full(4, 30), np.full(4, 1e4), [16, 17, 18, 19]]).astype(dtype)[None]
    out = np.empty((1, 4), dtype)
    kernels.cached_attention(
        qkv, np.empty(0, dtype), np.empty((0, 0), dtype), 1, np.array([0]), np.array([4]), keys,
        values, out,
    )  # fmt: skip
    np.testing.assert_allclose(out[0], [8, 9, 10, 11], rtol=NEAR[dtype])


@pytest.mark.parametrize(("text", "place"), [(2, 0), (-1, 0), (0, 5), (0, -1)])
def test_what_lies_beyond_the_kept_is_refused(kernels, text, place):
    keys, values = np.zeros((2, 2, 5, 4))
    with pytest.raises(ValueError, match="texts and places must be those"):
        kernels.cached_attention(
            np.ones((1, 12)), np.empty(0), np.empty((0, 0)), 1, np.array([text]),
            np.array([place]), keys, values, np.empty((1, 4)),
        )  # fmt: skip
    assert not keys.any()
