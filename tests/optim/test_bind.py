"""Optimizers on the user's own arrays: any structure, any shape, in place, to the bit."""

import io

import numpy as np
import pytest

import gdcore as gd
from tests.optim.landscapes import RULES

EVERY = pytest.mark.parametrize("name", RULES)
ELEMENTWISE = [name for name, rule in RULES.items() if rule.elementwise]
SHAPES = {"a": (3, 4), "b": (4,), "c": (), "d": (2, 3, 2), "e": (0,)}


def arrays(seed=0, dtype=np.float64, shapes=SHAPES):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def flat(tree):
    return np.concatenate([np.ravel(array) for array in tree.values()])


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_dict_moves_as_one_flat_vector_would(name, dtype):
    """To the bit, for rules that see single coordinates, all of them, or matrices."""
    rule, params = RULES[name](0.05), arrays(dtype=dtype)
    theta = flat(params)
    state = rule.init(theta, list(SHAPES.values()))
    updater = rule.bind(params)
    for t in range(12):
        grads = arrays(seed=t + 1, dtype=dtype)
        kept = {key: g.copy() for key, g in grads.items()}
        updater.step(grads, cost=1.0 + t)
        g = flat(grads)
        rule.step(theta, g, state, rule.lr, cost=1.0 + t)
        rule.extrapolate(theta, g, state)
        assert all((grads[key] == kept[key]).all() for key in grads)
    np.testing.assert_array_equal(flat(params), theta)
    assert updater.t == 12


STRUCTURES = {
    "array": lambda a: a["a"],
    "list": lambda a: list(a.values()),
    "tuple": lambda a: tuple(a.values()),
    "dict": lambda a: a,
    "nested": lambda a: {"x": [a["a"], (a["b"], a["c"])], "y": {"d": a["d"], "e": a["e"]}},
}


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("rule", [gd.optim.Adam(0.1), gd.optim.DoWG()], ids=["Adam", "DoWG"])
def test_every_structure_moves_alike_and_in_place(structure, rule):
    params, given = arrays(), arrays(seed=1)
    names = ["a"] if structure == "array" else list(params)
    plain = {name: params[name].copy() for name in names}
    tree = STRUCTURES[structure](params)
    updater, other = rule.bind(tree), rule.bind(plain)
    for _ in range(3):
        updater.step(STRUCTURES[structure](given))
        other.step({name: given[name] for name in names})
    for name in names:
        np.testing.assert_array_equal(params[name], plain[name])


def test_a_nested_structure_is_not_taken_for_a_flat_one():
    """Two keys, two arrays, but both under one key."""
    params, ones = {"a": [np.ones(2), np.ones(2)], "b": []}, [np.ones(2), np.ones(2)]
    gd.optim.SGD(1.0).bind(params).step({"a": ones, "b": []})
    assert not any(array.any() for array in params["a"])


VIEWS = {
    "columns first": lambda a: np.asfortranarray(a),
    "transposed": lambda a: a.T.copy().T,
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["Adam", "Momentum", "Prodigy", "Muon"])
def test_memory_of_any_layout(view, name):
    rule, rng = RULES[name](0.1), np.random.default_rng(0)
    plain, g = rng.normal(size=(2, 4, 6))
    odd = VIEWS[view](plain)
    updater, other = rule.bind([odd]), rule.bind([plain])
    for _ in range(3):
        updater.step([VIEWS[view](g)])
        other.step([g])
    np.testing.assert_array_equal(odd, plain)


def test_gradients_may_come_in_any_real_dtype_and_layout():
    w, v = np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)
    g = np.arange(6).reshape(2, 3)
    for given in (g, g.astype(np.float64), np.asfortranarray(g), g.tolist()):
        updater, other = gd.optim.SGD(0.1).bind({"w": w}), gd.optim.SGD(0.1).bind({"w": v})
        updater.step({"w": given})
        other.step({"w": g.astype(np.float32)})
        np.testing.assert_array_equal(w, v)


def test_both_precisions_side_by_side():
    params = {"half": np.ones(3, np.float32), "full": np.ones(3)}
    alone = {name: array.copy() for name, array in params.items()}
    updater = gd.optim.Adam(0.1).bind(params)
    updaters = {name: gd.optim.Adam(0.1).bind(array) for name, array in alone.items()}
    for t in range(5):
        grads = {name: np.full(3, 1.5 - t, array.dtype) for name, array in params.items()}
        updater.step(grads)
        for name in params:
            updaters[name].step(grads[name])
    for name in params:
        np.testing.assert_array_equal(params[name], alone[name])
        assert params[name].dtype == alone[name].dtype


def network():
    return {"layers": [arrays(0, shapes={"w": (3, 2), "bias": (2,)}) for _ in range(2)]}


def test_groups_have_their_own_hyper_parameters():
    params, grads = network(), network()
    plain = network()
    rule = gd.optim.AdamW(0.1, decay=0.5)
    updater = rule.bind(params, groups={"*.bias": {"decay": 0.0}, "layers.1.*": {"lr": 0.01}})
    separate = {
        "w": rule.bind(plain["layers"][0]["w"]),
        "b": [gd.optim.AdamW(0.1, decay=0.0).bind(layer["bias"]) for layer in plain["layers"]],
        "v": gd.optim.AdamW(0.01, decay=0.5).bind(plain["layers"][1]["w"]),
    }
    for _ in range(4):
        updater.step(grads)
        separate["w"].step(grads["layers"][0]["w"])
        separate["v"].step(grads["layers"][1]["w"])
        for one, layer in zip(separate["b"], grads["layers"], strict=True):
            one.step(layer["bias"])
    for mine, theirs in zip(params["layers"], plain["layers"], strict=True):
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


def test_clipping_sees_all_groups_together():
    params = {"w": np.zeros(2), "bias": np.zeros(2)}
    rule = gd.optim.chain(gd.optim.ClipNorm(1.0), gd.optim.SGD(1.0))
    updater = rule.bind(params, groups={"bias": {"lr": 0.5}})
    updater.step({"w": np.array([3.0, 0.0]), "bias": np.array([0.0, 4.0])})
    np.testing.assert_allclose(params["w"], [-0.6, 0])
    np.testing.assert_allclose(params["bias"], [0, -0.4])


@EVERY
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "chained"])
def test_a_saved_run_goes_on_to_the_bit(name, wrapped):
    def rule():
        one = RULES[name](0.05)
        if not wrapped:
            return one
        return gd.optim.chain(
            gd.optim.Noise(0.1, seed=3), gd.optim.Accumulate(2), one, gd.optim.EMA(0.9),
            gd.optim.Lookahead(3),
        )  # fmt: skip

    params = arrays()
    updater = rule().bind(params)
    for t in range(7):
        updater.step(arrays(seed=t), cost=2.0)
    file = io.BytesIO()
    np.savez(file, **updater.state_dict())
    file.seek(0)
    again = {key: array.copy() for key, array in params.items()}
    resumed = rule().bind(again)
    with np.load(file, allow_pickle=False) as saved:
        resumed.load_state_dict(dict(saved))
    for t in range(7, 15):
        updater.step(arrays(seed=t), cost=2.0)
        resumed.step(arrays(seed=t), cost=2.0)
    np.testing.assert_array_equal(flat(params), flat(again))
    mine, theirs = updater.state_dict(), resumed.state_dict()
    assert all((mine[key] == theirs[key]).all() for key in mine)


def test_a_state_that_does_not_fit_is_refused_whole():
    updater = gd.optim.Adam().bind([np.ones(3)])
    updater.step([np.ones(3)])
    before = updater.state_dict()
    other = gd.optim.Adam().bind([np.ones(4)]).state_dict()
    with pytest.raises(ValueError, match=r"state\['0.m'\] must be float64 of shape \(3,\)"):
        updater.load_state_dict(other)
    with pytest.raises(ValueError, match=r"'0\.v' is on one side only"):
        updater.load_state_dict({k: v for k, v in before.items() if k != "0.v"})
    after = updater.state_dict()
    assert all((before[key] == after[key]).all() for key in before)
    before["0.m"][:] = 7  # a copy: the updater does not see it
    assert (updater.state_dict()["0.m"] != 7).all()


def test_a_state_of_other_names_is_refused():
    """Equal shapes in another order: the moments would change places."""
    saved = gd.optim.Adam().bind({"a": np.ones(2), "b": np.ones(2)}).state_dict()
    other = gd.optim.Adam().bind({"b": np.ones(2), "a": np.ones(2)})
    with pytest.raises(ValueError, match="state belongs to the parameters 'a', 'b', these are"):
        other.load_state_dict(saved)


def test_a_schedule_multiplies_the_rate_and_lr_overrides_it():
    w, schedule = np.zeros(1), lambda t: 1 / (1 + t)
    updater = gd.optim.SGD(1.0).bind(w, schedule=schedule)
    for _ in range(3):
        updater.step(np.ones(1))
    assert w[0] == pytest.approx(-(1 + 1 / 2 + 1 / 3))
    updater.step(np.ones(1), lr=4.0)
    assert w[0] == pytest.approx(-(1 + 1 / 2 + 1 / 3 + 4 / 4))
    with pytest.raises(ValueError, match="schedule must be a callable"):
        gd.optim.SGD().bind(w, schedule=0.1)


def test_a_plateau_watches_the_cost_and_resumes():
    plateau = gd.schedules.Plateau(rate=0.5, patience=1)
    w, again = np.zeros(1), np.zeros(1)
    updater = gd.optim.SGD(1.0).bind(w, schedule=plateau)
    with pytest.raises(ValueError, match="Plateau needs the cost at each step"):
        updater.step(np.ones(1))
    for _ in range(4):
        updater.step(np.ones(1), cost=1.0)
    assert w[0] == -(1 + 1 + 1 + 0.5)  # two costs that are no better, then half the rate
    assert plateau.value == 1.0  # the user's own is not changed
    resumed = gd.optim.SGD(1.0).bind(again, schedule=plateau)
    resumed.load_state_dict(updater.state_dict())
    again[:] = w
    for one in (updater, resumed):
        one.step(np.ones(1), cost=1.0)
        one.step(np.ones(1), cost=1.0)
    assert again[0] == w[0]


@pytest.mark.parametrize("chained", [False, True])
def test_a_missing_cost_changes_nothing(chained):
    rule = gd.optim.Polyak()
    rule = gd.optim.chain(gd.optim.Accumulate(2), rule) if chained else rule
    w = np.ones(2)
    updater = rule.bind(w)
    with pytest.raises(ValueError, match="needs the cost at each step"):
        updater.step(np.ones(2))
    assert (w == 1).all()
    state = updater.state_dict()
    assert not any(state[name].any() for name in state if name.endswith((".t", "sum", "count")))


@pytest.mark.parametrize("name", ["ScheduleFreeSGD", "ScheduleFreeAdamW"])
def test_the_average_stands_in_and_goes_again(name):
    params = {"w": np.full((2, 2), 3.0), "b": np.full(2, -3.0)}
    updater = RULES[name](0.5).bind(params)
    for _ in range(30):
        updater.step({key: array.copy() for key, array in params.items()})
    before = {key: array.copy() for key, array in params.items()}
    with updater.averaged() as point:
        assert point is params
        assert any((params[key] != before[key]).any() for key in params)
        assert abs(params["w"]).max() < 3
    for key in params:
        np.testing.assert_array_equal(params[key], before[key])


BAD_PARAMS = {
    "a list of numbers": ([1.0, 2.0], TypeError, r"params\['0'\] must be a NumPy array"),
    "integers": (np.ones(3, int), ValueError, "params must be float32 or float64, got int64"),
    "half precision": ({"w": np.ones(3, np.float16)}, ValueError, r"params\['w'\] must be float32"),
    "nothing": ({}, ValueError, "params holds no array"),
    "foreign bytes": (np.ones(3, ">f8"), ValueError, "params must be float32 or float64"),
}


@pytest.mark.parametrize("what", BAD_PARAMS)
def test_bad_parameters_are_named(what):
    params, error, words = BAD_PARAMS[what]
    with pytest.raises(error, match=words):
        gd.optim.SGD().bind(params)


def test_parameters_that_are_read_only_or_there_twice():
    w = np.ones(3)
    for view in (w, w[:2], w[::2], w[2:]):
        with pytest.raises(ValueError, match=r"'\w'\] and params\['\w'\] share memory"):
            gd.optim.SGD().bind({"w": w, "v": view})
    table = np.ones((4, 3))
    assert "3 arrays" in repr(gd.optim.SGD().bind([table[:, k] for k in range(3)]))
    w.flags.writeable = False
    with pytest.raises(ValueError, match="params is read-only"):
        gd.optim.SGD().bind(w)


BAD_GRADS = {
    "another shape": ({"w": np.ones(3), "b": np.ones(2)}, r"grads\['w'\] must have the shape"),
    "a key missing": ({"w": np.ones((2, 3))}, "grads must hold the keys w, b"),
    "a list": ([np.ones((2, 3)), np.ones(2)], "grads must hold the keys w, b, got a list of 2"),
    "complex": ({"w": np.ones((2, 3), complex), "b": np.ones(2)}, r"grads\['w'\] must hold real"),
    "words": ({"w": np.ones((2, 3)), "b": ["x", "y"]}, r"grads\['b'\] must hold real"),
    "nothing": (None, "grads must hold the keys"),
}


@pytest.mark.parametrize("what", BAD_GRADS)
@pytest.mark.parametrize("name", ["Adam", "NAdam", "ScheduleFreeSGD", "DoWG"])
def test_bad_gradients_are_named_and_nothing_changes(what, name):
    grads, words = BAD_GRADS[what]
    params = {"w": np.ones((2, 3)), "b": np.ones(2)}
    updater = RULES[name]().bind(params)
    updater.step({"w": np.ones((2, 3)), "b": np.ones(2)})
    kept, state = {k: v.copy() for k, v in params.items()}, updater.state_dict()
    with pytest.raises((ValueError, TypeError), match=words):
        updater.step(grads)
    assert all((params[k] == kept[k]).all() for k in params)
    after = updater.state_dict()
    assert all((after[k] == state[k]).all() for k in state)


@pytest.mark.parametrize("name", ["Adam", "Prodigy"])
def test_arrays_may_be_left_as_they_are(name):
    params = {"encoder": {"w": np.ones(3), "b": np.ones(1)}, "head": np.ones(2)}
    updater = RULES[name]().bind(params, groups={"encoder.*": None})
    alone = np.ones(2)
    other = RULES[name]().bind(alone)
    for _ in range(3):
        updater.step({"encoder": {"w": np.ones(3), "b": np.ones(1)}, "head": np.ones(2)})
        other.step(np.ones(2))
    assert (params["encoder"]["w"] == 1).all()
    assert (params["encoder"]["b"] == 1).all()
    np.testing.assert_array_equal(params["head"], alone)
    with pytest.raises(ValueError, match="groups leave no array to move"):
        RULES[name]().bind(params, groups={"*": None})


def test_a_group_that_an_earlier_one_hides_is_told():
    with pytest.raises(ValueError, match=r"groups\['w'\] is never reached"):
        gd.optim.SGD().bind({"w": np.ones(2)}, groups={"*": {"lr": 0.1}, "w": {"lr": 0.2}})


@pytest.mark.parametrize("groups", [["w"], {"w": 0}, {0: {"lr": 1.0}}])
def test_groups_of_another_form_are_told(groups):
    with pytest.raises(TypeError, match="groups must"):
        gd.optim.SGD().bind({"w": np.ones(2)}, groups=groups)


def test_no_gradient_is_told():
    updater = gd.optim.SGD().bind({"w": np.ones(2)})
    with pytest.raises(TypeError, match=r"grads\['w'\] is None. Pass zeros"):
        updater.step({"w": None})


def test_two_arrays_of_one_name_are_not_lost():
    for params in ({"a.b": np.ones(2), "a": {"b": np.ones(2)}}, {1: np.ones(2), "1": np.ones(2)}):
        with pytest.raises(ValueError, match="names two arrays"):
            gd.optim.SGD().bind(params)


@pytest.mark.parametrize("lr", [float("nan"), -1.0, float("inf"), "fast"])
def test_a_bad_rate_or_factor_moves_nothing(lr):
    w = np.ones(2)
    with pytest.raises((ValueError, TypeError), match="lr must be a number"):
        gd.optim.SGD().bind(w).step(np.ones(2), lr=lr)
    if lr != "fast":
        with pytest.raises(ValueError, match="schedule must give factors ≥ 0"):
            gd.optim.SGD().bind(w, schedule=lambda t: lr).step(np.ones(2))
    assert (w == 1).all()


def test_bad_groups_are_named():
    params = {"w": np.ones(2), "b": np.ones(2)}
    with pytest.raises(ValueError, match=r"groups\['bias'\] matches no array of 'w', 'b'"):
        gd.optim.SGD().bind(params, groups={"bias": {"lr": 0.1}})
    with pytest.raises(ValueError, match=r"groups\['b'\] names 'decay', which SGD does not have"):
        gd.optim.SGD().bind(params, groups={"b": {"decay": 0.1}})
    with pytest.raises(ValueError, match="SGD needs lr > 0"):
        gd.optim.SGD().bind(params, groups={"b": {"lr": -1.0}})


def test_a_step_counter_goes_on_past_two_to_the_24th():
    """PyTorch's is a float32: it stops there, and with it the bias correction of a low beta."""
    w = np.zeros(1)
    updater = gd.optim.Adam(1.0).bind(w)
    state = updater.state_dict()
    state["0.t"][0] = 2**24
    updater.load_state_dict(state)
    for _ in range(3):
        updater.step(np.ones(1))
    assert updater.t == 2**24 + 3


def test_printing_says_what_is_bound():
    text = repr(gd.optim.SGD(0.5).bind([np.ones(3), np.ones((2, 2))]))
    assert text == "Updater(SGD(lr=0.5), 2 arrays, 7 numbers, t=0)"


def sparse(indices, values):
    return gd.optim.SparseGradient(indices, values)


@pytest.mark.parametrize("name", ["SGD", "AdaGrad"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_is_dense_where_zeros_move_nothing(name, dtype):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(50, 3)).astype(dtype)
    other, rule = table.copy(), RULES[name](0.1)
    updater, dense = rule.bind({"t": table}), rule.bind({"t": other})
    for _ in range(10):
        g = sparse(rng.integers(0, 50, 8), rng.normal(size=(8, 3)).astype(dtype))
        updater.step({"t": g})
        dense.step({"t": g.dense((50, 3))})
    np.testing.assert_allclose(table, other, rtol=1e-6 if dtype == np.float32 else 1e-14)


def test_sparse_adam_is_lazy():
    """A row that is touched k times has moments of k gradients, at the time the last one came."""
    table, rows = np.zeros((4, 2)), [0, 2]
    rule = gd.optim.Adam(0.1)
    updater = rule.bind(table)
    alone = np.zeros((2, 2))
    state = rule.init(alone.ravel())
    rng = np.random.default_rng(1)
    for _ in range(5):
        values = rng.normal(size=(2, 2))
        updater.step(sparse(rows, values))
        rule.step(alone.reshape(-1), values.ravel(), state, rule.lr)
    np.testing.assert_array_equal(table[rows], alone)
    assert not table[[1, 3]].any()
    moments = updater.state_dict()["0.m"].reshape(4, 2)
    assert not moments[[1, 3]].any()


def test_sparse_and_dense_in_one_step():
    table, bias = np.zeros((5, 2)), np.zeros(2)
    updater = gd.optim.Adam(0.5).bind({"table": table, "bias": bias})
    updater.step({"table": sparse([4], [[1.0, -1.0]]), "bias": np.ones(2)})
    np.testing.assert_allclose(table[4], [-0.5, 0.5])
    np.testing.assert_allclose(bias, [-0.5, -0.5])
    assert not table[:4].any()


BAD_SPARSE = {
    "beyond": ([5], [[1.0, 1.0]], ValueError, "indices must lie in 0 … 4"),
    "negative": ([-1], [[1.0, 1.0]], ValueError, "indices must lie in 0 … 4"),
    "fractions": ([0.5], [[1.0, 1.0]], TypeError, "indices must be whole numbers"),
    "a column less": ([0], [[1.0]], ValueError, r"values must have the shape \(1, 2\)"),
    "a row more": ([0], np.ones((2, 2)), ValueError, r"values must have the shape \(1, 2\)"),
    "complex": ([0], [[1j, 1.0]], TypeError, "values must hold real numbers"),
}


@pytest.mark.parametrize("what", BAD_SPARSE)
def test_bad_sparse_gradients_are_named(what):
    indices, values, error, words = BAD_SPARSE[what]
    table = np.zeros((5, 2))
    updater = gd.optim.AdaGrad().bind({"t": table})
    with pytest.raises(error, match=r"grads\['t'\]." + words):
        updater.step({"t": sparse(indices, values)})
    assert not table.any()
    assert updater.t == 0


def test_rules_that_move_every_row_refuse_sparse_gradients():
    for name in ELEMENTWISE:
        table = np.zeros((5, 2))
        updater = RULES[name]().bind(table)
        if name in ("SGD", "AdaGrad", "Adam"):
            updater.step(sparse([0], [[1.0, 1.0]]))
            continue
        with pytest.raises(ValueError, match=f"{name} moves every row"):
            updater.step(sparse([0], [[1.0, 1.0]]))
        assert updater.t == 0
    with pytest.raises(ValueError, match="without transforms"):
        gd.optim.chain(gd.optim.ClipNorm(), gd.optim.SGD()).bind(table).step(sparse([0], [[1, 1]]))
