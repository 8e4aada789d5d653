"""Gradients of several shards: summed in long vectors, or one by one where not all touched them."""

from dataclasses import dataclass

import numpy as np
import pytest

import gdcore as gd
from gdcore.layers.base import Layer, Part
from gdcore.models.arena import Arena, Plan
from gdcore.models.flat import Flat
from gdcore.parameters import merged
from gdcore.threads import Threads


def test_neighbours_in_memory_become_one_vector():
    vector = np.arange(20.0)
    parts = vector[:4].reshape(2, 2), vector[4:9], vector[10:12], vector[12:20].reshape(4, 2)
    one, two = merged(parts)
    assert one.tolist() == list(range(9))
    assert two.tolist() == list(range(10, 20))
    one[0], two[-1] = -1, -2
    assert (vector[0], vector[-1]) == (-1, -2)  # the same memory
    assert [len(each) for each in merged([vector[4:9], vector[:4], np.ones(3), vector[4:4]])] == [
        5,
        4,
        3,
        0,
    ]
    assert merged([]) == []


@dataclass(frozen=True)
class Some(Layer):
    """y = x + a + b, where b hears only of rows from `first` on."""

    first: int

    def parts(self, shape):
        return {"a": Part(shape, "zeros"), "b": Part(shape, "zeros"), "c": Part(shape, "zeros")}

    def output(self, shape):
        return shape

    def __call__(self, theta, x):
        def backward(dy, g):
            g["a"] += dy.sum(axis=0)
            g["c"] += 2 * dy.sum(axis=0)
            if theta.first >= self.first:
                g["b"] += dy.sum(axis=0)
            return dy

        return x + theta["a"] + theta["b"] + theta["c"], backward


class Cut(Flat):
    def shards(self, rows):
        return 3


@pytest.mark.parametrize("first", [0, 1, 4, 8, 9])
def test_what_only_some_shards_touch_is_summed_over_those(first):
    network = Cut(gd.layers.Sequential(gd.layers.Dense(4), Some(first)), (5,))
    theta, rows = network.init(0), 9
    g, arena = np.full_like(theta, np.nan), Arena(rows)
    plan, threads = Plan(network, rows, arena, theta.dtype), Threads(1)
    x = np.random.default_rng(0).normal(size=(rows, 5)).astype(theta.dtype)
    dy = np.random.default_rng(1).normal(size=(rows, 4)).astype(theta.dtype)
    for _ in range(3):  # what is settled in the first step holds in those after
        g[:] = np.nan
        plan.bind(theta, g)
        plan.begin(0, True, threads)
        for shard in plan.shards:
            some = slice(shard.a, shard.b)
            backward = network.layers(shard.scope, x[some])[1]
            backward(dy[some].copy(), shard.gradient)
        plan.finish(threads)
        views = network.views(g)
        assert np.allclose(views["1.a"], dy.sum(axis=0))
        assert np.allclose(views["1.c"], 2 * dy.sum(axis=0))
        begins = [shard.a for shard in plan.shards if shard.a >= first]
        wanted = dy[begins[0] :].sum(axis=0) if begins else np.zeros(4)
        assert np.allclose(views["1.b"], wanted)
        assert np.allclose(views["0.weight"], x.T @ dy, atol=1e-6)
