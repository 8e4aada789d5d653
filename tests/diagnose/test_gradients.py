"""Right gradients of every kind pass, planted bugs are found and named, kinks are no bugs."""

import copy

import numpy as np
import pytest

import gdcore as gd
from gdcore.data import Rows
from gdcore.models.language import LanguageCost, LanguageModel
from tests.diagnose.problems import classes, line

L = gd.layers
IMAGE = (5, 4, 2)


def rosenbrock(x):
    a, b = 1 - x[0], x[1] - x[0] ** 2
    return a * a + 100 * b * b, np.array([-2 * a - 400 * x[0] * b, 200 * b])


def waves(x, w):
    return np.sin(x * w).sum(), np.cos(x * w) * w


def tree(p):
    """A small network over a nested structure, its gradient by hand."""
    X = np.linspace(-1, 1, 12).reshape(4, 3)
    h = np.tanh(X @ p["layers"][0]["w"] + p["layers"][0]["b"])
    out = h @ p["layers"][1] + p["c"]
    dh = np.outer(out, p["layers"][1]) * (1 - h * h)
    return 0.5 * float(out @ out), {
        "layers": [{"w": X.T @ dh, "b": dh.sum(axis=0)}, h.T @ out],
        "c": out.sum(),
    }


def params(rng):
    first = {"w": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}
    return {"layers": [first, rng.normal(size=2)], "c": 0.7}


RIGHT = {
    "a parabola": (lambda x: (x @ x, 2 * x), [1.0, -2.0, 3.0]),
    "Rosenbrock": (rosenbrock, [-1.2, 1.0]),
    "a matrix": (lambda x: (np.sum(x**3), 3 * x**2), np.arange(6.0).reshape(2, 3) - 2),
    "one number": (lambda x: (np.exp(x), np.exp(x)), 1.5),
    "whole numbers": (lambda x: (x @ x, 2 * x), [1, 2]),
    "single precision given": (lambda x: (x @ x, 2 * x), np.ones(3, np.float32)),
    "single precision inside": (
        lambda x: (float((x.astype(np.float32) ** 2).sum()), 2 * x), np.full(4, 1.1)
    ),
    "a constant": (lambda x: (3.0, 0 * x), [1.0, 2.0]),
    "zero": (lambda x: (0.0, 0 * x), [0.0, 0.0]),
    "a line": (lambda x: (x.sum() - 2, np.ones_like(x)), [1.0, 2.0]),
    "one slope that is zero": (lambda x: (x[0] ** 2, np.array([2 * x[0], 0.0])), [3.0, 5.0]),
    "a stationary point": (lambda x: (x @ x, 2 * x), [0.0, 0.0]),
    "a nested structure": (tree, params(np.random.default_rng(0))),
    "a large constant beside it": (lambda x: (1e6 + x @ x, 2 * x), [1.0, 2.0]),
    "a steep wall": (lambda x: (np.exp(40 * x[0]), 40 * np.exp(40 * x)), [1.0]),
    "negative values": (lambda x: (-np.exp(-x @ x), 2 * x * np.exp(-x @ x)), [0.3, 1.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_gradient_is_right(name):
    fun, x = RIGHT[name]
    found = gd.check_gradient(fun, x)
    assert found.ok, repr(found)
    assert bool(found) is True
    assert found.order == np.inf or abs(found.order - 2) < 0.1
    assert found.worst[0].error < 1e-6
    assert not found.kinks


@pytest.mark.parametrize("name", ["a parabola", "Rosenbrock", "a nested structure"])
def test_differences_are_good_to_nine_digits(name):
    found = gd.check_gradient(*RIGHT[name])
    assert found.worst[0].error < 1e-9


@pytest.mark.parametrize("seed", range(2))
def test_scales_from_1e_8_to_1e8(seed):
    scale = np.array([1e-8, 1e-4, 1.0, 1e4, 1e8])
    at = scale * np.random.default_rng(seed).uniform(0.5, 2, 5)
    for fun in (
        lambda x: (np.log(x).sum(), 1 / x),
        lambda x: (np.cosh(x / scale).sum(), np.sinh(x / scale) / scale),
        lambda x: (np.sum((x / scale) ** 2), 2 * x / scale**2),
    ):
        found = gd.check_gradient(fun, at)
        assert found.ok, repr(found)
        for i in range(5):

            def wrong(x, fun=fun, i=i):
                f, g = fun(x)
                g[i] *= 1.001
                return f, g

            found = gd.check_gradient(wrong, at)
            bad = [c.name for c in found.worst if c.verdict == "wrong"]
            assert bad == [f"x[{i}]"], repr(found)


def test_a_jac_of_its_own_and_args():
    w = np.array([1.0, 2.0, 3.0])
    assert gd.check_gradient(
        lambda x, w: waves(x, w)[0], np.ones(3), jac=lambda x, w: waves(x, w)[1], args=(w,)
    )
    assert not gd.check_gradient(
        lambda x, w: waves(x, w)[0], np.ones(3), jac=lambda x, w: -waves(x, w)[1], args=w
    )
    with pytest.raises(ValueError, match="jac must be True or a callable"):
        gd.check_gradient(lambda x: x @ x, np.ones(3), jac=None)


def test_the_error_has_the_structure_of_x():
    x = params(np.random.default_rng(0))
    found = gd.check_gradient(tree, x)
    assert found.error["layers"][0]["w"].shape == (3, 2)
    assert np.all(found.error["layers"][1] < 1e-8)
    np.testing.assert_allclose(found.numeric["layers"][0]["w"], tree(x)[1]["layers"][0]["w"])


def broken(change):
    def fun(p):
        f, g = tree(p)
        change(g)
        return f, g

    return fun


def double(g):
    for part in (g["layers"][0]["w"], g["layers"][0]["b"], g["layers"][1]):
        part *= 2
    g["c"] = 2 * g["c"]


def flip(g):
    g["layers"][0]["b"][1] *= -1


def forget(g):
    g["layers"][0]["w"][2, 0] = 0


BUGS = {
    "a factor 2": (double, {"c", "layers.1[1]"}, "All of them are 2 times what they should be."),
    "a sign": (flip, {"layers.0.b[1]"}, "1 of 11 coordinates differs"),
    "one that is zero": (forget, {"layers.0.w[2, 0]"}, "layers.0.w[2, 0]: the gradient says 0,"),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_and_named(name):
    change, names, words = BUGS[name]
    found = gd.check_gradient(broken(change), params(np.random.default_rng(1)))
    assert not found
    bad = {c.name for c in found.worst if c.verdict == "wrong"}
    assert names <= bad
    assert len(bad) == (9 + 2 if name == "a factor 2" else 1)
    assert words in found.message
    assert abs(found.order - 1) < 0.1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [1e-3, 1.0])
def test_one_coordinate_of_thousands_is_found_by_halves(seed, size):
    rng = np.random.default_rng(seed)
    w, culprit = rng.normal(size=4000), int(rng.integers(4000))
    calls = []

    def fun(x):
        calls.append(1)
        f, g = waves(x, w)
        g[culprit] += size
        return f, g

    found = gd.check_gradient(fun, rng.normal(size=4000), random_state=seed)
    assert not found
    assert [c.name for c in found.worst if c.verdict == "wrong"] == [f"x[{culprit}]"]
    assert found.message.startswith("1 of 20")
    assert "drawn at random from 4,000" in found.message
    assert np.isnan(found.error).sum() >= 3799
    assert len(calls) < 2500


def test_many_right_coordinates_are_checked_in_part():
    found = gd.check_gradient(waves, np.ones(5000), args=np.linspace(0, 3, 5000))
    assert found.ok, repr(found)
    assert found.message.startswith("200 coordinates, drawn at random from 5,000,")
    few = gd.check_gradient(waves, np.ones(5000), args=np.linspace(0, 3, 5000), coordinates=10)
    assert np.isfinite(few.error).sum() == 10


def test_a_transposed_gradient_is_called_that():
    A = np.arange(9.0).reshape(3, 3)

    def fun(p):
        return float((A * np.sin(p["W"])).sum()), {"W": (A * np.cos(p["W"])).T, "b": 0 * p["b"]}

    found = gd.check_gradient(fun, {"W": np.ones((3, 3)), "b": np.ones(2)})
    assert not found
    assert found.message.endswith("That of W is transposed.")


def test_kinks_are_no_bugs():
    def l1(x):
        return np.abs(x).sum(), np.sign(x)

    found = gd.check_gradient(l1, [0.0, 1.0, -2.0, 0.0])
    assert found.ok, repr(found)
    assert [c.name for c in found.kinks] == ["x[0]", "x[3]"]
    assert "There is a kink at x[0], x[3]." in found.message

    relu = gd.check_gradient(lambda x: (np.maximum(x, 0).sum(), (x > 0) * 1.0), [0.0, 1.0])
    assert relu.ok
    assert len(relu.kinks) == 1
    for slope in (1.5, -0.5):  # outside of the slopes to the two sides, which are 0 and 1
        found = gd.check_gradient(
            lambda x, s=slope: (np.maximum(x, 0).sum(), np.where(x == 0, s, x > 0)), [0.0, 1.0]
        )
        assert [c.name for c in found.worst if c.verdict == "wrong"] == ["x[0]"]


@pytest.mark.parametrize("near", [1e-3, 1e-5, 1e-7])
def test_a_kink_nearby_is_none_at_x(near):
    def fun(x):
        return np.abs(x - 1).sum() + x @ x, np.sign(x - 1) + 2 * x

    found = gd.check_gradient(fun, [1 + near, 1 - near, 3.0])
    assert found.ok, repr(found)
    assert not found.kinks
    assert not gd.check_gradient(lambda x: (fun(x)[0], 1.01 * fun(x)[1]), [1 + near, 3.0])


def test_the_order_of_a_root_is_between():
    found = gd.check_gradient(lambda x: (np.abs(x[0]) ** 1.5, 1.5 * np.abs(x) ** 0.5), [0.0])
    assert found.ok
    assert abs(found.order - 1.5) < 0.05


def test_what_is_not_finite_is_named():
    def hole(x):
        g = 2 * x
        g[1] = np.nan
        return x @ x, g

    found = gd.check_gradient(hole, np.ones(3))
    assert not found
    assert found.message.startswith("At x[1] the gradient is nan.")
    assert found.worst[0].name == "x[1]"
    assert abs(found.worst[0].numeric - 2) < 1e-9
    many = gd.check_gradient(lambda x: (x @ x, np.where(x == 7, np.inf, 2 * x)), np.arange(900.0))
    assert many.message.startswith("At x[7] the gradient is inf.")
    with pytest.raises(ValueError, match=r"At x fun is nan\. Start where"):
        gd.check_gradient(lambda x: (np.nan, x), np.ones(2))


def test_a_function_that_ends_at_x_is_checked_from_one_side():
    with np.errstate(invalid="ignore"):
        found = gd.check_gradient(lambda x: (np.sum(x**2 + np.where(x < 0, np.nan, x)), 2 * x + 1),
                                  [0.0, 2.0])  # fmt: skip
    assert found.ok, repr(found)


def test_noise_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"another one at each call.*Fix the seed of its draws"):
        gd.check_gradient(lambda x: (x @ x + 0.1 * rng.normal(), 2 * x), np.ones(2))
    with pytest.raises(ValueError, match="another one at each call"):
        gd.check_gradient(lambda x: (x @ x, 2 * x + 0.1 * rng.normal(size=2)), np.ones(2))


def test_where_rounding_hides_everything_nothing_is_told():
    found = gd.check_gradient(lambda x: (1e15 + 1e-3 * x @ x, 2e-3 * x), np.ones(2))
    assert not found
    assert "Nothing can be told" in found.message


LINEAR = {
    "squared": (gd.LinearRegression(), line),
    "huber": (gd.LinearRegression(loss=gd.losses.Huber(0.5)), line),
    "quantile": (gd.LinearRegression(loss=gd.losses.Quantile(0.9)), line),
    "elastic net": (gd.LinearRegression(alpha=0.1, l1_ratio=0.5), line),
    "no intercept": (gd.LinearRegression(fit_intercept=False, standardize=False), line),
    "logistic": (gd.LogisticRegression(class_weight="balanced"), classes),
    "hinge": (gd.LinearClassifier(), classes),
    "squared hinge": (gd.LinearClassifier(loss="squared_hinge", alpha=0), classes),
    "L-BFGS's": (gd.LogisticRegression(optimizer="lbfgs"), classes),
    "mini-batches'": (gd.LogisticRegression(batch_size=16, optimizer=gd.optim.Adam()), classes),
}


@pytest.mark.parametrize("name", LINEAR)
def test_linear_models(name):
    model, make = LINEAR[name]
    X, y = make(np.random.default_rng(0))
    before = model.get_params()
    found = gd.check_gradient(model, X, y, np.linspace(1, 2, len(y)))
    assert found.ok, repr(found)
    assert found.worst[0].error < 1e-6
    assert found.numeric["coef"].shape == (1, X.shape[1])
    assert vars(model).keys() == before.keys()
    assert model.get_params() == before


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_counts(loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    assert gd.check_gradient(gd.LinearRegression(loss=loss), X, rng.poisson(3, 80) + 1.0)


def test_softmax_and_sparse_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 4)) * (rng.uniform(size=(90, 4)) < 0.5)
    found = gd.check_gradient(gd.LogisticRegression(), X, rng.integers(0, 3, 90))
    assert found.ok
    assert found.numeric["coef"].shape == (3, 4)
    sparse = gd.CSR.from_dense(X) if hasattr(gd.CSR, "from_dense") else None
    if sparse is not None:
        assert gd.check_gradient(gd.LogisticRegression(), sparse, rng.integers(0, 3, 90))


class LogCosh:
    """ℓ = log cosh(z − y), with a slope that is right, or not."""

    def __init__(self, times=1.0):
        self.times = times

    def value(self, z, y):
        return np.log(np.cosh(z[:, 0] - y))

    def slope(self, z, y):
        return self.times * np.tanh(z - y[:, None])


@pytest.mark.parametrize("kind", [gd.LinearRegression, gd.MLPRegressor])
def test_a_loss_of_ones_own(kind):
    X, y = line(np.random.default_rng(0), n=60)
    more = {"hidden_layer_sizes": (5,)} if kind is gd.MLPRegressor else {}
    assert gd.check_gradient(kind(loss=LogCosh(), **more), X, y)
    found = gd.check_gradient(kind(loss=LogCosh(0.5), alpha=0, **more), X, y)
    assert not found
    assert "All of them are 0.5 times what they should be." in found.message


NETWORKS = {
    "relu": gd.MLPClassifier(hidden_layer_sizes=(8,)),
    "deep": gd.MLPClassifier(hidden_layer_sizes=(6, 5), activation="gelu", alpha=0.1),
    "normalised, with dropout": gd.MLPClassifier(
        hidden_layer_sizes=(6,), normalization="batch", dropout=0.3, activation="tanh"
    ),
    "SGD's": gd.MLPClassifier(hidden_layer_sizes=(4,), optimizer="sgd", dtype="float32"),
    "L-BFGS's": gd.MLPClassifier(hidden_layer_sizes=(4,), optimizer="lbfgs", early_stopping=True),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    model = NETWORKS[name]
    X, y = classes(np.random.default_rng(0), n=100)
    before = model.get_params()
    found = gd.check_gradient(model, X, y)
    assert found.ok, repr(found)
    assert "0.weight" in found.error
    assert model.get_params() == before
    assert not hasattr(model, "theta_")


def test_a_fitted_estimator_is_left_as_it_is():
    X, y = classes(np.random.default_rng(0), n=100)
    draws = np.random.RandomState(3)
    model = gd.MLPClassifier(hidden_layer_sizes=(4,), max_epochs=3, tol=0, random_state=draws)
    model.fit(X, y)
    vector, state, known = model.theta_.vector.copy(), draws.get_state()[1].copy(), set(vars(model))
    result = copy.copy(model.result_)
    assert gd.check_gradient(model, X, y)
    assert set(vars(model)) == known
    assert np.array_equal(model.theta_.vector, vector)
    assert np.array_equal(draws.get_state()[1], state)
    assert model.result_ == result


def rescale(right):
    @L.layer(scale=lambda p: np.linspace(0.5, 2, p))
    def rescale(theta, x):
        y = theta["scale"] * x

        def backward(dy, g):
            g["scale"] += (dy * x).sum(axis=0) if right else (dy * x).mean(axis=0)
            return theta["scale"] * dy

        return y, backward

    return rescale


LAYERS = {
    "Dense": (L.Dense(3, "relu"), (4,)),
    "Dense gelu": (L.Dense(3, "gelu"), (4,)),
    "LayerNorm": (L.LayerNorm(), (6,)),
    "BatchNorm": (L.BatchNorm(), IMAGE),
    "Dropout": (L.Dropout(0.4), (6,)),
    "Conv2D": (L.Conv2D(3, activation="silu"), IMAGE),
    "MaxPool2D": (L.MaxPool2D(2), IMAGE),
    "MeanPool2D": (L.MeanPool2D(3, stride=1), IMAGE),
    "Sequential": (L.Sequential(L.Dense(5, "tanh"), L.LayerNorm(), L.Dense(2)), (4,)),
    "a user's own": (rescale(True), (4,)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    layer, shape = LAYERS[name]
    x = np.random.default_rng(3).normal(size=(3, *shape))
    found = gd.check_gradient(layer, x.astype(np.float32))
    assert found.ok, repr(found)
    assert found.error["x"].shape == x.shape
    assert set(found.error) == {*dict(L.named(layer, shape)), "x"}


def test_a_layer_of_ones_own_with_a_bug():
    x = np.random.default_rng(3).normal(size=(3, 4))
    found = gd.check_gradient(rescale(False), x)
    assert not found
    assert {c.name for c in found.worst[:4]} == {f"scale[{i}]" for i in range(4)}
    assert "All of them are 0.3333 times what they should be." in found.message
    found = gd.check_gradient(L.Sequential(L.Dense(4, "tanh"), rescale(False)), x)
    assert found.worst[0].name.startswith("1.scale[")

    def turned(theta, x):  # y = xA, whose slope is dy·Aᵀ
        A = np.arange(16.0).reshape(4, 4)
        return x @ A, lambda dy, g: dy @ A

    assert not gd.check_gradient(L.Sequential(turned), x)

    def short(theta, x):
        return 2 * x, lambda dy, g: dy[:, :2]

    with pytest.raises(ValueError, match=r"backward returns of shape \(3, 4\), and gives \(3, 2\)"):
        gd.check_gradient(L.Sequential(short), x)


def test_layers_of_ids():
    ids = np.random.default_rng(0).integers(0, 7, (3, 5))
    found = gd.check_gradient(L.Embedding(7, 4), ids)
    assert found.ok
    assert set(found.error) == {"weight"}
    assert gd.check_gradient(L.Embedding(7, 4), ids.astype(float))


def test_a_network_with_a_layer_of_ones_own():
    X, y = classes(np.random.default_rng(0), n=60)
    for right in (True, False):
        layers = [L.Dense(6, "tanh"), rescale(right), L.Dense(1)]
        found = gd.check_gradient(gd.MLPClassifier(layers=layers), X, y)
        assert found.ok is right
        bad = {c.name.partition("[")[0] for c in found.worst if c.verdict == "wrong"}
        assert bad == (set() if right else {"1.scale"})


def test_costs():
    X, y = line(np.random.default_rng(0))
    rows = Rows(X, y, np.ones(len(y)))
    family = gd.models.family.LinearFamily(gd.losses.Squared(), X.shape[1])
    lasso = gd.penalties.Penalty(np.full(5, 0.1), np.array([0.3] * 4 + [0.0]))
    cost = gd.Cost(family, rows, lasso)
    theta = np.array([1.0, 0.0, -2.0, 0.5, 1.0])
    kept = theta.copy()
    found = gd.check_gradient(cost, theta)
    assert found.ok, repr(found)
    assert [c.name for c in found.kinks] == ["coef[0, 1]"]
    assert np.array_equal(theta, kept)

    class Bowl(gd.cost.PlainCost):
        def value_and_gradient(self, theta, g):
            g[:] = theta
            return float(theta @ theta)

    found = gd.check_gradient(Bowl(), [1.0, 2.0])
    assert not found
    assert found.worst[0].name in ("theta[0]", "theta[1]")
    with pytest.raises(ValueError, match="a vector of 5 numbers, got shape"):
        gd.check_gradient(cost, np.ones(3))


def test_transformers():
    text = "the cat sat on the mat. " * 4
    gpt = gd.GPT(n_layer=1, n_head=2, n_embd=8, block_size=8, dropout=0.1)
    found = gd.check_gradient(gpt, text, coordinates=30)
    assert found.ok, repr(found)
    assert not hasattr(gpt, "theta_")
    assert gpt.dtype == "float32"
    net = L.Transformer(5, 8, 2, 1, 6, positions="rotary")
    model = LanguageModel(net)
    tokens = np.random.default_rng(0).integers(0, 5, 40)
    cost = LanguageCost(model, tokens, max_steps=1, round_steps=1, batch_size=2)
    assert gd.check_gradient(cost, model.init(0, np.float64), coordinates=30)


def test_the_result_prints_itself():
    found = gd.check_gradient(lambda x: (x @ x, x), np.arange(1.0, 9.0))
    lines = repr(found).splitlines()
    assert lines[0].startswith("The gradient is wrong. 8 of 8 coordinates differ, most of all x[")
    assert lines[1] == "order of the remainder: 1.00"
    assert len(lines) == 3 + 5
    at = lines[2].index("analytic")
    assert all(row[at - 1] == " " and row[at] != " " for row in lines[3:])
    page = found._repr_html_()
    assert page.count("<tr>") == 6
    assert "wrong" in page
    good = repr(gd.check_gradient(lambda x: (x.sum(), np.ones(2)), np.ones(2)))
    assert good.startswith("The gradient is right. 2 coordinates and 3 random directions agree")
    assert "order of the remainder: only rounding remains" in good


def test_the_same_seed_gives_the_same_check():
    args = waves, np.ones(1000)
    w = np.linspace(0, 3, 1000)
    one, two = (gd.check_gradient(*args, args=w, random_state=5) for _ in range(2))
    np.testing.assert_array_equal(one.error, two.error)
    other = gd.check_gradient(*args, args=w, random_state=6)
    assert not np.array_equal(np.isnan(one.error), np.isnan(other.error))


def test_what_is_refused():
    with pytest.raises(ValueError, match="fun must be a function, an estimator, a cost or a layer"):
        gd.check_gradient(3, np.ones(2))
    for name, value in {"directions": -1, "coordinates": 0, "tol": 0, "step": -1.0}.items():
        with pytest.raises(ValueError, match=name):
            gd.check_gradient(rosenbrock, np.ones(2), **{name: value})

    class Foreign:
        def fit(self, X, y):
            return self

    with pytest.raises(TypeError, match="Foreign is no linear model or network of gdcore"):
        gd.check_gradient(Foreign(), np.ones((2, 2)), np.ones(2))


def test_what_rounding_hides_is_unclear_and_not_wrong():
    found = gd.check_gradient(lambda x: (1e20 + x @ x, 2 * x), [1.0, 2.0])
    assert found.verdict == "unclear"
    assert repr(found).startswith("The gradient is unclear. Nothing can be told:")
    assert not found
