"""The transformer and its cost: gradients, causality, and sums that no cutting changes."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gdcore as gd
from gdcore.layers.passes import MASK, Pass, _key
from gdcore.models import arena, batch_cost, language, stepped
from gdcore.models.language import LanguageCost, LanguageModel
from tests.languages import cases, network, problem

CASES = dict(cases())


def shards(monkeypatch, count):
    """Have batches cut into so many shards, whatever their size."""
    monkeypatch.setattr(LanguageModel, "shards", lambda self, rows: min(rows, count))


def gradient(cost, theta, rows, training=True):
    """(mean loss, gradient) of step 5, whose dropout is always the same."""
    g, cost.steps = np.full_like(theta, np.nan), 4
    return cost.gradient(theta, g, rows, training=training) / len(rows), g


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_is_that_of_central_differences(monkeypatch, case):
    """Along a random direction in each part, and as a whole."""
    shards(monkeypatch, CASES[case]["shards"])
    cost, theta, rows = problem(network(**CASES[case]))
    rng, step = np.random.default_rng(1), 1e-6
    with cost:
        _, g = gradient(cost, theta, rows)
        for name, view in cost.model.views(g.copy()).items():
            direction = np.zeros_like(theta)
            mine = cost.model.views(direction)[name]
            mine[...] = rng.normal(size=mine.shape)
            ends = [gradient(cost, theta + s * step * direction, rows)[0] for s in (1, -1)]
            slope = (view * mine).sum()
            near = 1e-7 * max(1, np.abs(view).sum())
            assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=near), name
            assert view.any(), name


@pytest.mark.parametrize("name", ["wte.weight", "h.0.attn.c_attn.weight", "h.1.ln_2.bias"])
def test_the_gradient_of_every_number_of_some_parts(name):
    cost, theta, rows = problem(network(features=4, blocks=2), rows=2)
    view, step = cost.model.views(theta)[name], 1e-6
    with cost:
        g = cost.model.views(gradient(cost, theta, rows)[1])[name].copy()
        for place in np.ndindex(view.shape):
            before, ends = view[place], []
            for sign in (1, -1):
                view[place] = before + sign * step
                ends.append(gradient(cost, theta, rows)[0])
            view[place] = before
            assert g[place] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)


@pytest.mark.parametrize("case", CASES)
def test_computing_again_gives_the_same_gradient(monkeypatch, case):
    """Within rounding; the same dropout falls on the way back as did on the way forward."""
    found = []
    for recompute in (False, True):
        options = CASES[case] | {"recompute": recompute}
        shards(monkeypatch, options["shards"])
        cost, theta, rows = problem(network(**options))
        with cost:
            found.append(gradient(cost, theta, rows))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-14)
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1e-13)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_shards_sum_to_the_whole(monkeypatch, dropout, recompute):
    """Dropout goes by a row's number in the batch: it falls the same, however the batch is cut."""
    found = []
    for count in (1, 2, 4, 5):
        shards(monkeypatch, count)
        cost, theta, rows = problem(network(dropout=dropout, recompute=recompute), rows=5)
        with cost:
            found.append(gradient(cost, theta, rows))
    for loss, g in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-13)
        np.testing.assert_allclose(g, found[0][1], atol=1e-13)


def test_micro_batches_sum_to_the_batch():
    found = []
    for micro in (None, 1, 2, 4):
        cost, theta, rows = problem(network(), rows=7, micro_batch=micro)
        with cost:
            found.append((*gradient(cost, theta, rows), cost.loss(theta, rows) / len(rows)))
    for loss, g, alone in found:
        assert loss == pytest.approx(found[0][0], rel=1e-13)
        assert alone == pytest.approx(found[0][0], rel=1e-13)
        np.testing.assert_allclose(g, found[0][1], atol=1e-13)


def test_micro_batches_are_dropped_out_each_in_its_own_way():
    """The same window twice, one at a time: were the masks the same, so were the losses."""
    cost, theta, _ = problem(network(dropout=0.5), micro_batch=1)
    with cost:
        twice = gradient(cost, theta, np.array([3, 3]))[0]
        once = gradient(cost, theta, np.array([3]))[0]
    assert abs(twice - once) > 1e-3


def test_where_memory_ends_a_batch_is_cut_by_itself(monkeypatch):
    cost, theta, rows = problem(network(), rows=8)
    with cost:
        whole = gradient(cost, theta, rows)
        assert cost._micro >= 8
    monkeypatch.setattr(batch_cost, "MOST_BYTES", 3 * cost._arena.nbytes // 8)
    cost, theta, rows = problem(network(), rows=8)
    with cost:
        loss, g = gradient(cost, theta, rows)
        assert 2 <= cost._micro <= 4
    assert loss == pytest.approx(whole[0], rel=1e-13)
    np.testing.assert_allclose(g, whole[1], atol=1e-13)


def test_computing_again_takes_a_fraction_of_the_memory():
    sizes = []
    for recompute in (False, True):
        cost, theta, rows = problem(network(blocks=8, recompute=recompute), rows=4)
        with cost:
            gradient(cost, theta, rows)
        sizes.append(cost._arena.nbytes)
    assert sizes[1] < sizes[0] / 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("recompute", [False, True])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, dtype, recompute):
    """Loss, gradient, the clipped and cut step, with dropout."""
    monkeypatch.setattr(stepped, "SLICES", 256)
    shards(monkeypatch, 2 if recompute else 5)
    found = []
    for n_threads in (1, 2, 3):
        net = network(features=16, dropout=0.2, recompute=recompute)
        cost, theta, rows = problem(net, rows=6, dtype=dtype, n_threads=n_threads, clip_norm=0.1)
        rule = gd.optim.AdamW(0.01)
        state = rule.init(theta)
        with cost:
            assert cost.threads.n_threads == n_threads
            losses = [cost.step(theta, rule, state, rows, 0.01) for _ in range(5)]
            losses.append(cost.loss(theta, rows))
        found.append((losses, theta.tobytes(), state["v"].tobytes()))
    assert found[0] == found[1] == found[2]


def test_float32_is_near_float64():
    for case in CASES.values():
        cost, theta, rows = problem(network(**case))
        with cost:
            loss, g = gradient(cost, theta, rows)
        cost, theta, rows = problem(network(**case), dtype=np.float32)
        with cost:
            near, g32 = gradient(cost, theta, rows)
        assert g32.dtype == np.float32
        assert near == pytest.approx(loss, rel=1e-5)
        np.testing.assert_allclose(g32, g, atol=2e-5 * np.abs(g).max())


CAUSAL = {
    positions: problem(network(vocabulary=9, places=12, positions=positions), dtype=np.float32)
    for positions in ("learned", "rotary")
}
IDS = st.lists(st.integers(0, 8), min_size=1, max_size=12)


@pytest.mark.parametrize("positions", CAUSAL)
@settings(max_examples=30, deadline=None)
@given(ids=IDS, data=st.data())
def test_a_later_token_never_changes_an_earlier_logit(positions, ids, data):
    cost, theta, _ = CAUSAL[positions]
    place = data.draw(st.integers(0, len(ids) - 1))
    later = data.draw(st.lists(st.integers(0, 8), min_size=len(ids), max_size=len(ids)))
    other = [*ids[: place + 1], *later[place + 1 :]]
    mine, others = (cost.model.logits(theta, np.array([each]))[0] for each in (ids, other))
    np.testing.assert_array_equal(mine[: place + 1], others[: place + 1])
    short = cost.model.logits(theta, np.array([ids[: place + 1]]))[0]
    np.testing.assert_allclose(short, mine[: place + 1], atol=2e-5)


@pytest.mark.parametrize("positions", CAUSAL)
def test_an_earlier_token_changes_every_later_logit_and_no_other_sequence(positions):
    cost, theta, _ = CAUSAL[positions]
    ids = np.random.default_rng(0).integers(0, 8, (3, 12))
    before = cost.model.logits(theta, ids)
    ids[1, 4] = 8
    after = cost.model.logits(theta, ids)
    same = (before == after).all(axis=2)
    assert same.tolist() == [[True] * 12, [True] * 4 + [False] * 8, [True] * 12]


def test_rotary_attention_knows_distances_alone():
    """Without a later token to tell where a text begins, shifting it shifts the logits."""
    net = network(vocabulary=9, places=12, blocks=1, positions="rotary")
    cost, theta, _ = problem(net)
    one = cost.model.logits(theta, np.array([[3, 3, 3, 3, 3, 3, 3, 3]]))[0]
    np.testing.assert_allclose(one, np.broadcast_to(one[0], one.shape), atol=1e-12)
    learned, theta, _ = problem(network(vocabulary=9, places=12, blocks=1))
    other = learned.model.logits(theta, np.array([[3, 3, 3, 3, 3, 3, 3, 3]]))[0]
    assert np.abs(other - other[0]).max() > 0.1


def test_a_fresh_model_knows_nothing_and_its_loss_is_log_v():
    cost, _, rows = problem(network(vocabulary=50, features=32, heads=4))
    theta = cost.model.init(0, np.float64)
    with cost:
        assert cost.loss(theta, rows) / len(rows) == pytest.approx(np.log(50), abs=0.05)


def test_parts_have_gpt2s_names_shapes_and_first_values():
    model = LanguageModel(network(vocabulary=40, features=64, heads=4, blocks=3, places=20))
    shapes, theta = model.shapes(), model.views(model.init(0))
    assert shapes["wte.weight"] == (40, 64)
    assert shapes["wpe.weight"] == (20, 64)
    assert shapes["h.2.attn.c_attn.weight"] == (64, 192)
    assert shapes["h.2.mlp.c_proj.weight"] == (256, 64)
    assert len(shapes) == 2 + 3 * 12 + 2
    for name, deviation in (("mlp.c_fc", 0.02), ("mlp.c_proj", 0.02 / 6**0.5)):
        assert theta[f"h.1.{name}.weight"].std() == pytest.approx(deviation, rel=0.05)
    assert (theta["ln_f.weight"] == 1).all()
    assert not theta["h.0.attn.c_attn.bias"].any()
    assert "lm_head.weight" in LanguageModel(network(tied=False)).shapes()
    rotary = LanguageModel(network(positions="rotary", bias=False)).shapes()
    assert not [name for name in rotary if name.endswith("bias") or name == "wpe.weight"]


def test_matrices_decay_and_vectors_do_not():
    cost, theta, rows = problem(network(), clip_norm=1e-30)  # no gradient moves anything
    before, rule = theta.copy(), gd.optim.AdamW(0.1, eps=1.0, decay=0.5)
    with cost:
        cost.step(theta, rule, rule.init(theta), rows, 0.1)
    for name, view in cost.model.views(theta).items():
        by = 0.95 if view.ndim == 2 else 1.0
        np.testing.assert_allclose(view, by * cost.model.views(before)[name], rtol=1e-12)


def test_a_gradient_beyond_clip_norm_is_scaled_to_it_and_a_shorter_one_is_not():
    cost, theta, rows = problem(network(), clip_norm=0.01)
    with cost:
        _, g = gradient(cost, theta, rows)
        moved, rule = theta.copy(), gd.optim.SGD(1.0)
        cost.steps = 4
        cost.step(moved, rule, rule.init(theta), rows, 1.0)
        assert np.linalg.norm(moved - theta) == pytest.approx(0.01, rel=1e-9)
        assert cost.gradient_norm == pytest.approx(np.linalg.norm(g), rel=1e-12)
        cost.clip_norm, moved = 1e6, theta.copy()
        cost.step(moved, rule, rule.init(theta), rows, 1.0)
        np.testing.assert_allclose(theta - moved, g, atol=1e-14)


def test_windows_are_a_function_of_seed_and_step_alone():
    a, b, c = (problem(network(), seed=0)[0] for _ in range(3))
    c.seed = 1
    late = a.windows(200)
    for step in (0, 63, 64, 200):
        assert a.windows(step).tolist() == b.windows(step).tolist() != c.windows(step).tolist()
    assert late.tolist() == b.windows(200).tolist() != b.windows(201).tolist()
    drawn = np.concatenate([a.windows(t) for t in range(400)])
    assert (drawn.min(), drawn.max()) == (0, 60 - 6 - 1)  # the last window ends with the tokens
    assert a.draw(6).tolist() == np.concatenate([a.windows(t) for t in (6, 7, 8)]).tolist()


def test_held_out_windows_do_not_overlap_and_lie_all_over():
    cost, _, _ = problem(network())
    for n in (7, 12, 13, 14, 100, 1000):
        rows = cost.spread(10**6, range(n))
        assert rows[0] == 0
        assert len(rows) == (n - 1) // 6
        assert (np.diff(rows) >= 6).all()
        assert rows[-1] == n - 7 or len(rows) == 1
    assert len(cost.spread(5, range(1000))) == 5


WRONG = {
    "features": ({"features": 9}, "features must be a multiple of heads, got 9 and 2"),
    "pairs": ({"features": 6, "positions": "rotary"}, "Rotary positions turn pairs"),
    "positions": ({"positions": "learnt"}, "Did you mean 'learned'"),
    "dropout": ({"dropout": 1.0}, "dropout must be below 1"),
    "activation": ({"activation": "relu"}, "activation='relu' is not known"),
    "hidden": ({"hidden": 0}, "hidden must be a whole number"),
    "eps": ({"eps": 0.0}, "eps must be a number above 0"),
    "blocks": ({"blocks": 0}, "blocks must be a whole number of at least 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_network_that_cannot_be_is_refused(case):
    settings, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        network(**settings)


def test_ids_that_do_not_fit_are_refused():
    net = network(vocabulary=7, places=6)
    theta = net.scope((6,), rng=0)
    with pytest.raises(ValueError, match="7 ids is longer than the 6 places"):
        net(theta, np.zeros((1, 7), int))
    for wrong in (-1, 7):
        with pytest.raises(ValueError, match="Ids must be from 0 to 6"):
            net(theta, np.array([[0, wrong]]))


def test_an_interrupted_step_leaves_the_next_one_right(monkeypatch):
    shards(monkeypatch, 2)
    cost, theta, rows = problem(network())
    with cost:
        _, g = gradient(cost, theta, rows)
        forward = LanguageCost._forward

        def failing(self, shard, rows, scale):
            loss, z, backward = forward(self, shard, rows, scale)

            def stop(dz, g):
                backward(dz, g)
                raise KeyboardInterrupt

            return loss, z, stop

        monkeypatch.setattr(LanguageCost, "_forward", failing)
        with pytest.raises(KeyboardInterrupt):
            gradient(cost, theta, rows)
        monkeypatch.setattr(LanguageCost, "_forward", forward)
        assert gradient(cost, theta, rows)[1].tobytes() == g.tobytes()


def test_a_pass_whose_writing_down_was_interrupted_is_written_anew(monkeypatch):
    shards(monkeypatch, 1)
    cost, theta, rows = problem(network())
    with cost:
        cost.loss(theta, rows)
        for name in ("_norm_back", "_attend_back"):
            with monkeypatch.context() as patch:
                patch.setattr(Pass, name, interrupted)
                with pytest.raises(KeyboardInterrupt):
                    cost.gradient(theta, g := np.empty_like(theta), rows)
            found = cost.gradient(theta, g, rows), g.tobytes()
            fresh, same, _ = problem(network())
            with fresh:
                assert found == (fresh.gradient(same, g, rows), g.tobytes())


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("n_threads", [2, 3, 5])
def test_two_shards_may_both_ask_threads_for_their_large_products(monkeypatch, n_threads):
    """Each waits for help while it is the other's only helper."""
    monkeypatch.setattr(arena, "LEAST_WORK", 1)
    monkeypatch.setattr(arena, "TILE_WIDTH", 4)
    found = []
    for count in (1, n_threads):
        cost, theta, rows = problem(network(recompute=True), rows=6, n_threads=count)
        with cost:
            found.append(gradient(cost, theta, rows))
    assert found[0][0] == found[1][0]
    assert found[0][1].tobytes() == found[1][1].tobytes()


def test_no_place_drops_out_at_one_step_what_another_does_at_the_next():
    keys = set()
    for step in range(50):
        theta = SimpleNamespace(key=(7 + step * batch_cost.GOLDEN) & MASK)
        keys |= {_key(theta, site) for site in range(50)}
    assert len(keys) == 2500


def test_logits_are_not_overwritten_by_the_next_ones():
    net = network(vocabulary=7, places=6)
    theta = net.scope((6,), rng=0)
    first, _ = net(theta, ids := np.array([[1, 2, 3]]))
    kept = first.copy()
    second, _ = net(theta, ids + 1)
    assert not np.array_equal(second, kept)
    np.testing.assert_array_equal(first, kept)


def test_the_automatic_cut_keeps_products_large():
    model = LanguageModel(network(features=64, places=64))
    assert model.shards(1) == 1
    assert 1 < model.shards(64) <= 64 * 64 // language.SHARD_PLACES
