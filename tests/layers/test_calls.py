"""Calls that are prepared once and run in a row: the kernels' bits, and their errors."""

import gc
from functools import partial

import numpy as np
import pytest

from gdcore import kernels
from gdcore.layers.calls import Prepared, joined, prepared

NATIVE = kernels.backend()["residual_norm"] == "native"
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def arguments(name, dtype):
    """What a kernel takes, with random numbers wherever it reads some."""
    rng, n, p = np.random.default_rng(0), 6, 20

    def some(*shape):
        return rng.normal(size=shape).astype(dtype)

    qkv, lse = some(2, 5, 3 * p), np.abs(some(2, 4, 5)) + 5
    return {
        "activate": ("gelu", some(n, p), some(p), some(n, p)),
        "activate_backward": ("tanh", some(n, p), np.empty((0, 0), dtype), some(n, p), some(p)),
        "residual_norm": (some(n, p), some(n, p), some(p), some(p), some(p), 1e-5, some(n, p),
                          some(n, 2)),
        "residual_norm_backward": (some(n, p), some(p), some(n, 2), some(n, p), some(n, p),
                                   some(n, p), some(p), some(p), some(p)),
        "causal_attention": (qkv, some(3 * p), np.empty((0, 0), dtype), 4, 0.2, 7, 3,
                             some(2, 5, p), lse),
        "causal_attention_backward": (qkv, some(3 * p), np.empty((0, 0), dtype), 4, 0.2, 7, 3,
                                      some(2, 5, p), lse, some(2, 5, p), some(2, 5, 3 * p),
                                      some(3 * p)),
        "dropout": (some(33), 0.3, 2**63 + 5, 11, some(33)),
        "embed": (some(n, p), rng.integers(-2, n + 2, 9), some(4, p), some(9, p)),
        "layer_norm": (some(n, p), some(p), some(p), 1e-5, some(n, p), some(n, 2)),
        "matrix_product": (some(n, p), some(p, 7), True, some(n, 7)),
        "panel_product": (some(n, p), some(p * 32 * 4 // np.dtype(dtype).itemsize), False,
                          some(n, 9)),
    }[name]  # fmt: skip


NAMES = [
    "activate", "activate_backward", "residual_norm", "residual_norm_backward", "causal_attention",
    "causal_attention_backward", "dropout", "embed", "layer_norm", "matrix_product",
    "panel_product",
]  # fmt: skip


@DTYPES
@pytest.mark.parametrize("name", NAMES)
def test_a_call_for_later_has_the_kernels_bits_each_time(name, dtype):
    now, later = arguments(name, dtype), arguments(name, dtype)
    call = prepared(getattr(kernels, name), *later)
    assert isinstance(call, Prepared) == NATIVE
    for _ in range(2):  # what it adds up is added once more
        getattr(kernels, name)(*now)
        call()
        for one, two in zip(now, later, strict=True):
            assert np.array_equal(one, two)


@pytest.mark.parametrize("name", NAMES)
def test_arguments_are_looked_at_when_a_call_is_prepared(name):
    given = list(arguments(name, np.float32))
    last = max(i for i, each in enumerate(given) if isinstance(each, np.ndarray))
    given[last] = given[last].astype(np.float64)  # another dtype than the rest
    with pytest.raises((ValueError, TypeError)):
        prepared(getattr(kernels, name), *given)()


def test_a_row_of_calls_runs_in_order_and_breaks_at_others():
    x, W = np.ones((3, 4), np.float32), np.eye(4, dtype=np.float32)
    y, z, none = np.empty_like(x), np.empty_like(x), np.empty(0, np.float32)
    heard = []
    calls = [
        prepared(kernels.matrix_product, x, W, False, y),
        prepared(kernels.activate, "linear", y, np.full(4, 2, np.float32), none[:0, None]),
        partial(lambda: heard.append(y.copy())),
        prepared(kernels.matrix_product, y, W, False, z),
    ]
    fewer = joined(calls)
    assert len(fewer) == (3 if NATIVE else 4)
    for call in fewer:
        call()
    assert (heard[0] == 3).all()
    assert (z == 3).all()
    assert joined([]) == []


def test_a_call_holds_its_arrays():
    out = np.zeros((40, 40), np.float32)

    def twice_one(add):
        two, one = np.full((40, 40), 2, np.float32), np.eye(40, dtype=np.float32)
        return prepared(kernels.matrix_product, two, one, add, out)

    call = joined([twice_one(False), twice_one(True)])
    gc.collect()
    [np.full((40, 40), 9, np.float32) for _ in range(50)]  # would lie where they lay
    for each in call:
        each()
    assert (out == 4).all()


@pytest.mark.skipif(not NATIVE, reason="there are no keys to be changed without the compiled core")
@pytest.mark.parametrize("name", ["dropout", "causal_attention", "causal_attention_backward"])
def test_a_call_draws_by_the_key_that_it_is_given_last(name):
    now, later = (list(arguments(name, np.float32)) for _ in range(2))
    place = 2 if name == "dropout" else 5  # of the key
    call = prepared(getattr(kernels, name), *later)
    for key in (3, 2**64 - 1, 0):
        now[place] = key
        getattr(kernels, name)(*now)
        call.draw(key)
        call()
        for one, two in zip(now, later, strict=True):
            assert isinstance(one, (int, float)) or np.array_equal(one, two)
    with pytest.raises(OverflowError):
        call.draw(-1)


@pytest.mark.skipif(not NATIVE, reason="there are no steps without the compiled core")
def test_only_steps_of_kernels_are_run():
    from gdcore._native.steps import _run_steps

    for wrong in ((None,), (3,), (object(),), [1], None):
        with pytest.raises((TypeError, ValueError)):
            _run_steps(wrong)
    _run_steps(())
