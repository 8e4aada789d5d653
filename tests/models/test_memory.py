"""Memory is let go when the last name for it is, without waiting for the collector of cycles."""

import gc
import weakref

import numpy as np
import pytest

import gdcore as gd
from gdcore.data import Rows
from gdcore.models import batch_cost
from gdcore.models.language import LanguageCost, LanguageModel
from gdcore.models.network import Network
from gdcore.models.network_cost import NetworkCost

L = gd.layers


def language(**given):
    net = L.Transformer(7, 8, 2, 2, 16, **given)
    model, tokens = LanguageModel(net), np.arange(900) % 7
    cost = LanguageCost(model, tokens, max_steps=1, round_steps=1, batch_size=30, n_threads=1)
    return model, cost


def network():
    model = Network(
        [L.Dense(9), L.LayerNorm(), L.Dropout(0.1), L.Dense(3)], (6,), gd.losses.Softmax()
    )
    rng = np.random.default_rng(0)
    rows = Rows(rng.normal(size=(200, 6)), rng.integers(0, 3, 200).astype(float), np.ones(200))
    return model, NetworkCost(model, rows, n_threads=1)


KINDS = {
    "a transformer": language,
    "with dropout": lambda: language(dropout=0.1),
    "recomputed": lambda: language(recompute=True),
    "a network": network,
}


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("kind", KINDS)
def test_a_cost_takes_its_arenas_along(kind, no_collector, monkeypatch):
    made = []

    class Watched(batch_cost.Arena):
        def __init__(self, rows):
            super().__init__(rows)
            made.append(weakref.ref(self))

    monkeypatch.setattr(batch_cost, "Arena", Watched)
    model, cost = KINDS[kind]()
    theta, adam = model.init(0), gd.optim.Adam(1e-3)
    with cost:
        cost.step(theta, adam, adam.init(theta), np.arange(25), 1e-3)
        cost.loss(theta, np.arange(40))
        cost.step(theta, adam, adam.init(theta), np.arange(30), 1e-3)
    assert sum(each() is not None for each in made) == 1
    del cost
    assert made
    assert all(each() is None for each in made)


def test_logits_leave_nothing_behind(no_collector):
    model, _ = language()
    theta = model.init(0)
    before = len([each for each in gc.get_objects() if type(each).__name__ == "Pass"])
    for _ in range(3):
        model.logits(theta, np.zeros((2, 16), int))
    assert len([each for each in gc.get_objects() if type(each).__name__ == "Pass"]) == before


def test_held_out_windows_take_no_more_than_a_batch():
    model, cost = language()
    theta = model.init(0)
    with cost:
        loss = cost.held_out(np.arange(9000) % 7, 500)(theta)
    assert cost._arena.rows == 30
    with cost:
        rows = cost.spread(500, np.arange(9000) % 7)
    cost.tokens = np.arange(9000) % 7
    alone = [cost.loss(theta, rows[i : i + 1]) for i in range(len(rows))]
    assert loss == pytest.approx(np.mean(alone), rel=1e-6)
