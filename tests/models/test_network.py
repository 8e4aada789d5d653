"""A network as a cost: the sum over shards, tiles and micro-batches is the gradient of J."""

import numpy as np
import pytest

import gdcore as gd
from gdcore.data import Rows
from gdcore.models import arena, batch_cost, network, network_cost, stepped
from gdcore.models.network import Network
from gdcore.models.network_cost import NetworkCost
from gdcore.parameters import aligned

L = gd.layers


def problem(n=150, p=6, k=3, seed=0, dtype=np.float64, shape=None):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, *(shape or (p,)))).astype(dtype)
    return Rows(X, rng.integers(0, k, n).astype(float), rng.uniform(0.5, 1.5, n))


DENSE = [L.Dense(9, "tanh"), L.Dense(5, "gelu"), L.Dense(3)]
MIXED = [
    L.Dense(9),
    L.LayerNorm(),
    L.Activation("silu"),
    L.Dense(7, "relu", bias=False),
    L.Dense(3),
]
IMAGES = [L.Conv2D(4, activation="tanh"), L.MeanPool2D(2), L.Flatten(), L.Dense(3)]
NETS = {"dense": (DENSE, (6,)), "mixed": (MIXED, (6,)), "images": (IMAGES, (4, 4, 1))}


def build(name, loss=None):
    layers, shape = NETS[name]
    return Network(layers, shape, loss or gd.losses.Softmax()), problem(shape=shape)


def by_layers(monkeypatch):
    """Never by the kernel of small networks."""
    monkeypatch.setattr(network_cost, "CHAIN_WORK", 0)
    monkeypatch.setattr(network_cost, "CUT_SIZE", 0)


@pytest.fixture
def fine(monkeypatch):
    """Shards, tiles and slices as small as can be."""
    monkeypatch.setattr(network, "SHARD_ROWS", 20)
    monkeypatch.setattr(arena, "TILE_WIDTH", 2)
    for module in (arena, network):
        monkeypatch.setattr(module, "LEAST_WORK", 1)
    monkeypatch.setattr(stepped, "SLICES", 16)
    by_layers(monkeypatch)


def plain_gradient(net, rows, theta, alpha=0.0):
    """J and ∇J by the model's own sum, without shards."""
    g = np.zeros_like(theta)
    value = net.add_cost_and_gradient(theta, rows, g) / len(rows)
    g /= len(rows)
    for part in net.slices(lambda part: len(part.shape) > 1):
        value += 0.5 * alpha * float(theta[part] @ theta[part])
        g[part] += alpha * theta[part]
    return value, g


def differences(cost, theta, places, step=1e-6):
    """Central differences of J in some coordinates."""
    unused = np.empty_like(theta)
    for place in places:
        ends = []
        for sign in (1, -1):
            moved = theta.copy()
            moved[place] += sign * step
            ends.append(cost.value_and_gradient(moved, unused))
        yield place, (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("name", NETS)
def test_shards_and_tiles_add_up_to_the_gradient(fine, name, n_threads, alpha):
    net, rows = build(name)
    theta = net.init(0, np.float64)
    g = np.full_like(theta, np.nan)
    with NetworkCost(net, rows, alpha=alpha, n_threads=n_threads) as cost:
        value = cost.value_and_gradient(theta, g)
        again = np.empty_like(g)
        assert cost.value_and_gradient(theta, again) == value
    expected, slope = plain_gradient(net, rows, theta, alpha)
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(g, slope, rtol=1e-10, atol=1e-12)
    assert g.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", NETS)
def test_the_gradient_is_that_of_finite_differences(name):
    net, rows = build(name)
    theta = net.init(1, np.float64)
    cost, g = NetworkCost(net, rows, alpha=0.1), np.empty(net.size)
    places = np.random.default_rng(0).choice(net.size, 20, replace=False)
    with cost:
        cost.value_and_gradient(theta, g)
        for place, slope in differences(cost, theta, places):
            assert g[place] == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(
    "optimizer", [gd.optim.Adam(0.01), gd.optim.Momentum(0.05), gd.optim.Muon(0.02)]
)
@pytest.mark.parametrize("name", NETS)
def test_steps_have_the_same_bits_for_any_number_of_threads(fine, name, optimizer):
    net, rows = build(name)
    found = set()
    for n_threads in (1, 2, 5):
        theta = net.init(0)
        state = optimizer.init(theta, list(net.shapes().values()))
        with NetworkCost(net, rows, alpha=0.01, n_threads=n_threads) as cost:
            for _ in range(5):
                cost.step(theta, optimizer, state, np.arange(120), optimizer.lr)
        found.add(theta.tobytes())
    assert len(found) == 1


def test_several_shards_are_indeed_cut(fine):
    net, rows = build("dense")
    with NetworkCost(net, rows, n_threads=2) as cost:
        cost.value_and_gradient(net.init(0), np.empty(net.size, np.float32))
    (plan,) = cost._plans.values()
    assert len(plan.shards) == 7
    assert len(arena.tiles(np.ones((8, 8)), np.ones((8, 8)), np.ones((8, 8)))) > 1


@pytest.mark.parametrize("name", NETS)
def test_micro_batches_add_up_to_the_batch(name, monkeypatch):
    by_layers(monkeypatch)
    net, rows = build(name)
    theta = net.init(0, np.float64)
    g, parts = np.empty_like(theta), np.empty_like(theta)
    value = NetworkCost(net, rows).value_and_gradient(theta, g)
    small = NetworkCost(net, rows, micro_batch=32)
    assert small.value_and_gradient(theta, parts) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(parts, g, rtol=1e-10, atol=1e-13)
    assert small._arena.rows == 32


def test_a_batch_beyond_memory_is_cut_by_itself(monkeypatch):
    by_layers(monkeypatch)
    monkeypatch.setattr(batch_cost, "MOST_BYTES", 10_000)
    net, rows = build("mixed")
    cost = NetworkCost(net, rows)
    cost.value_and_gradient(net.init(0), np.empty(net.size, np.float32))
    assert cost._arena.nbytes <= 10_000
    assert 1 < cost._arena.rows < len(rows)


def test_nothing_is_allocated_per_step(fine):
    """The arrays that a second step writes into are those of the first."""
    net, rows = build("mixed")
    theta, adam = net.init(0), gd.optim.Adam()
    state = adam.init(theta)
    with NetworkCost(net, rows, n_threads=1) as cost:
        cost.step(theta, adam, state, np.arange(100), 0.01)
        before = {name: id(array) for name, array in cost._arena._arrays.items()}
        kept = [
            dict(scope._kept) for shard in cost._plans[100].shards for scope in shard.scope.walk()
        ]
        cost.step(theta, adam, state, np.arange(50, 150), 0.01)
        assert {name: id(array) for name, array in cost._arena._arrays.items()} == before
        now = [scope._kept for shard in cost._plans[100].shards for scope in shard.scope.walk()]
    for one, other in zip(kept, now, strict=True):
        assert all(one[name] is other[name] for name in other)
    assert len(before) > 5


def test_the_small_network_kernel_and_the_layers_agree(monkeypatch):
    for loss, y in (
        (gd.losses.Softmax(), None),
        (gd.losses.Squared(), np.random.default_rng(0).normal(size=(150, 3))),
        (gd.losses.Logistic(), np.random.default_rng(0).integers(0, 2, (150, 3)) * 1.0),
    ):
        net, rows = build("dense", loss)
        rows = rows if y is None else Rows(rows.X, y, rows.weights)
        theta, scaling = net.init(0, np.float64), (np.full(6, 0.5), np.full(6, 2.0))
        g, other = np.empty_like(theta), np.empty_like(theta)
        value = NetworkCost(net, rows, scaling=scaling).value_and_gradient(theta, g)
        with monkeypatch.context() as patch:
            by_layers(patch)
            same = NetworkCost(net, rows, scaling=scaling).value_and_gradient(theta, other)
        assert value == pytest.approx(same, rel=1e-12)
        np.testing.assert_allclose(g, other, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("rows", [64, 65, 129, 300])
def test_the_small_network_kernel_has_the_same_bits_for_any_number_of_threads(monkeypatch, rows):
    monkeypatch.setattr(network_cost, "CHAIN_PIECE", 1)
    net, _ = build("dense")
    data, found = problem(300), set()
    for n_threads in (1, 2, 3, 5, 64):
        theta, g = net.init(0), np.empty(net.size, np.float32)
        with NetworkCost(net, data, alpha=0.01, n_threads=n_threads) as cost:
            loss = cost.gradient(theta, g, np.arange(rows))
            assert not cost._plans  # no layers were asked
        found.add((loss, g.tobytes()))
    assert len(found) == 1


def test_weights_anywhere_in_memory_give_the_same_bits():
    net = Network([L.Dense(32, "relu"), L.Dense(16, "tanh"), L.Dense(3)], (6,), gd.losses.Softmax())
    start, data, found = net.init(0), problem(), set()
    assert start.ctypes.data % 64 == 0
    for offset in (0, 1, 4):
        memory = aligned(net.size + offset, np.float32)
        theta, g = memory[offset:], np.empty_like(start)
        theta[:] = start
        found.add((NetworkCost(net, data).gradient(theta, g, np.arange(150)), g.tobytes()))
    assert len(found) == 1


def test_a_loss_of_ones_own():
    class Huber:
        def value(self, z, y):
            r = np.abs(z - y)
            return np.where(r < 1, r * r / 2, r - 0.5).sum(axis=1)

        def slope(self, z, y):
            return np.clip(z - y, -1, 1)

    net, rows = build("mixed", Huber())
    rows = Rows(rows.X, np.random.default_rng(0).normal(size=(150, 3)) * 3, rows.weights)
    theta = net.init(0, np.float64)
    g, cost = np.empty_like(theta), NetworkCost(net, rows)
    cost.value_and_gradient(theta, g)
    for place, slope in differences(cost, theta, range(0, net.size, 17)):
        assert g[place] == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_a_loss_without_slope_is_refused():
    with pytest.raises(ValueError, match=r"must have value\(z, y\) and slope\(z, y\).*lacks slope"):
        Network(DENSE, (6,), type("Half", (), {"value": lambda self, z, y: z})())


def test_statistics_move_and_no_optimizer_touches_them():
    net = Network([L.Dense(4), L.BatchNorm(), L.Dense(3)], (6,), gd.losses.Softmax())
    rows, decaying = problem(), gd.optim.AdamW(0.01, decay=0.5)
    theta = net.init(0, np.float64)
    cost, state = NetworkCost(net, rows), decaying.init(theta)
    with cost:
        for _ in range(200):
            cost.step(theta, decaying, state, np.arange(150), 0.0 + 1e-12)
    hidden = rows.X @ net.views(theta)["0.weight"] + net.views(theta)["0.bias"]
    views = net.views(theta)
    np.testing.assert_allclose(views["1.running_mean"], hidden.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(views["1.running_variance"], hidden.var(axis=0, ddof=1), rtol=1e-6)


def test_parameters_that_no_layer_touches_have_gradient_zero():
    idle = L.layer(unused=lambda p: np.ones(p))(lambda theta, x: (x, lambda dy, g: dy))
    net = Network([idle, L.Dense(3)], (6,), gd.losses.Softmax())
    g = np.full(net.size, np.nan)
    NetworkCost(net, problem(), full=True).value_and_gradient(net.init(0, np.float64), g)
    assert not net.views(g)["0.unused"].any()
    assert np.isfinite(g).all()


def test_words_and_ids():
    net = Network(
        [L.Embedding(7, 4), L.Flatten(), L.Dense(16, "relu"), L.Dense(3)], (2,), gd.losses.Softmax()
    )
    rng = np.random.default_rng(0)
    X = rng.integers(0, 7, (60, 2))
    y = (X.sum(axis=1) % 3).astype(float)
    theta, adam = net.init(0, np.float64), gd.optim.Adam(0.05)
    state = adam.init(theta)
    with NetworkCost(net, Rows(X, y, np.ones(60))) as cost:
        losses = [cost.step(theta, adam, state, np.arange(60), 0.05) for _ in range(200)]
    assert losses[-1] < 0.5 * losses[0]
    with pytest.raises(ValueError, match="whole numbers from 0 to 6"):
        net.predict(theta, np.array([[0, 7]]))


def test_an_end_that_is_no_row_is_refused():
    with pytest.raises(ValueError, match="Put a Flatten and a Dense at its end"):
        Network([L.Conv2D(2)], (4, 4, 1), gd.losses.Squared())


def test_micro_batches_draw_other_masks(monkeypatch):
    by_layers(monkeypatch)
    net = Network([L.Dropout(0.5), L.Dense(3)], (6,), gd.losses.Softmax())
    cost = NetworkCost(net, problem(), micro_batch=75, seed=1)
    theta, g = net.init(0, np.float64), np.empty(net.size)
    values = {cost.gradient(theta, g, np.arange(150)) for _ in range(4)}
    assert len(values) == 4
    same = NetworkCost(net, problem(), micro_batch=75, seed=1)
    assert same.gradient(theta, g, np.arange(150)) in values


def test_a_step_after_one_that_failed_is_as_if_it_had_not_been(fine):
    fails = []

    def faulty(theta, x):
        def backward(dy, g):
            if fails:
                raise RuntimeError("mine")
            return dy

        return x, backward

    net = Network([L.Dense(5), faulty, L.Dense(7, "tanh"), L.Dense(3)], (6,), gd.losses.Softmax())
    theta, rows = net.init(0, np.float64), problem()
    _, expected = plain_gradient(net, rows, theta)
    g = np.empty_like(theta)
    with NetworkCost(net, rows, n_threads=3) as cost:
        cost.value_and_gradient(theta, g)
        fails.append(True)
        with pytest.raises(RuntimeError, match="mine"):
            cost.value_and_gradient(theta, g)
        fails.clear()
        cost.value_and_gradient(theta, g)
    np.testing.assert_allclose(g, expected, rtol=1e-10, atol=1e-12)


def test_rows_in_any_order_of_memory(fine):
    net, rows = build("mixed")
    theta, g, other = net.init(0, np.float64), np.empty(net.size), np.empty(net.size)
    value = NetworkCost(net, rows).value_and_gradient(theta, g)
    turned = Rows(np.asfortranarray(rows.X), rows.y, rows.weights)
    assert NetworkCost(net, turned).value_and_gradient(theta, other) == value
    np.testing.assert_array_equal(g, other)
