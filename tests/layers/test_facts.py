"""What mathematics says of layers, whatever computes them."""

import numpy as np
import pytest

import gdcore as gd

L = gd.layers
RNG = np.random.default_rng(0)


def test_layer_norm_gives_mean_zero_and_variance_one_whatever_the_scale():
    layer, x = L.LayerNorm(eps=1e-12), RNG.normal(size=(5, 40))
    theta = layer.scope((40,))
    y = layer(theta, x)[0]
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=1), 1, rtol=1e-9)
    np.testing.assert_allclose(layer(theta, 1e3 * x + 7)[0], y, atol=1e-8)


def test_batch_norm_in_use_is_affine():
    layer = L.BatchNorm()
    theta = layer.scope((3,))
    theta["running_mean"][:], theta["running_variance"][:] = [1, 2, 3], [4, 5, 6]
    a, b = RNG.normal(size=(2, 4, 3))
    middle = layer(theta, (a + b) / 2)[0]
    np.testing.assert_allclose(middle, (layer(theta, a)[0] + layer(theta, b)[0]) / 2, atol=1e-12)


def test_words_of_philox_are_those_of_its_authors():
    """The known answers of Random123: counter and key zero; then a key of ones."""
    for key, words in ((0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),):
        for word, known in enumerate(words):
            x, out = np.ones(4), np.empty(4)
            for rate, kept in ((known / 2**32, True), ((known + 1) / 2**32, False)):
                gd.kernels.dropout(x, rate, key, 0, out)
                assert (out[word] != 0) is np.bool_(kept)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cut", [1, 3, 63, 64, 65, 500])
def test_dropout_does_not_depend_on_how_rows_are_cut(cut, dtype):
    x, whole = np.ones(1000, dtype), np.empty(1000, dtype)
    gd.kernels.dropout(x, 0.3, 99, 5, whole)
    parts = np.empty_like(whole)
    for a in range(0, 1000, cut):
        part = parts[a : a + cut]
        gd.kernels.dropout(x[a : a + cut], 0.3, 99, 5 + a, part)
    assert parts.tobytes() == whole.tobytes()


def test_dropout_leaves_out_its_share_and_keeps_the_mean():
    x, out = np.ones(200_000), np.empty(200_000)
    for rate in (0.0, 0.1, 0.5, 0.9):
        gd.kernels.dropout(x, rate, 1, 0, out)
        deviation = np.sqrt(rate * (1 - rate) / len(x))
        assert abs((out == 0).mean() - rate) <= 4 * deviation
    gd.kernels.dropout(x, 0.5, 1, 0, out)
    other = np.empty_like(out)
    gd.kernels.dropout(x, 0.5, 2, 0, other)
    both = ((out == 0) & (other == 0)).mean()  # keys that are neighbours are independent
    assert abs(both - 0.25) < 0.005


@pytest.mark.parametrize("rows", [31, 40])
def test_a_product_takes_what_numpy_takes(rows):
    """Other dtypes, an out that is an input or lies in columns, stacks: however many rows."""
    theta = L.Dense(6).scope((6,), rng=0)
    W, whole = theta["weight"], RNG.integers(-9, 9, (rows, 6))
    for x in (whole, whole.astype(np.float32), whole.astype(float)):
        for out in (np.empty((rows, 6)), np.empty((6, rows)).T, np.empty((rows, 12))[:, ::2]):
            np.testing.assert_allclose(theta.matmul(x, W, out), whole @ W, atol=1e-12)
    record = np.zeros(rows, [("a", np.int16), ("b", float, 6)])
    record["b"] = whole
    np.testing.assert_allclose(theta.matmul(record["b"], W, out), whole @ W, atol=1e-12)
    x = whole.astype(float)
    np.testing.assert_allclose(theta.matmul(x, W, x), whole @ W, atol=1e-12)
    stack = np.stack([whole, 2 * whole]).astype(float)
    np.testing.assert_allclose(theta.matmul(stack, W, np.empty_like(stack)), stack @ W, atol=1e-12)


def test_a_convolution_is_the_sum_that_defines_it():
    layer = L.Conv2D(2, size=3, stride=2, padding=1)
    theta, x = layer.scope((5, 4, 3), rng=0), RNG.normal(size=(2, 5, 4, 3))
    y = layer(theta, x)[0]
    W = theta["weight"].reshape(3, 3, 3, 2)
    padded = np.zeros((2, 7, 6, 3))
    padded[:, 1:6, 1:5] = x
    for n, i, j, k in np.ndindex(y.shape):
        window = padded[n, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        assert y[n, i, j, k] == pytest.approx((window * W[..., k]).sum(), rel=1e-12)


def test_a_convolution_moves_with_its_image():
    layer = L.Conv2D(3, padding="valid")
    theta, x = layer.scope((8, 8, 1), rng=0), RNG.normal(size=(1, 8, 8, 1))
    y, moved = layer(theta, x)[0], layer(theta, np.roll(x, 1, axis=2))[0]
    np.testing.assert_allclose(moved[:, :, 1:], y[:, :, :-1], atol=1e-12)


def test_pools():
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    largest, mean = [5, 7, 13, 15], [2.5, 4.5, 10.5, 12.5]
    for layer, values in ((L.MaxPool2D(), largest), (L.MeanPool2D(), mean)):
        assert layer(layer.scope((4, 4, 1)), x)[0].ravel().tolist() == values


def test_of_equal_numbers_the_first_is_the_largest():
    layer = L.MaxPool2D()
    y, backward = layer(layer.scope((2, 2, 1)), np.ones((1, 2, 2, 1)))
    assert backward(np.ones_like(y), None).ravel().tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("shape", [(40, 30), (30, 40)])
def test_initializers_have_the_variance_that_they_promise(shape):
    from gdcore.layers.initializers import INITIALIZERS

    rng = np.random.default_rng(0)
    p, k = shape
    wanted = {"glorot": 2 / (p + k), "he": 2 / p}
    for name, start in INITIALIZERS.items():
        sample = np.stack([start(rng, shape) for _ in range(50)])
        kind = name.partition("_")[0]
        if kind in wanted:
            assert sample.var() == pytest.approx(wanted[kind], rel=0.03)
            assert abs(sample.mean()) < 0.01
    q = INITIALIZERS["orthogonal"](rng, shape)
    small = q @ q.T if p < k else q.T @ q
    np.testing.assert_allclose(small, np.eye(min(shape)), atol=1e-12)


REFUSED = {
    "units must be a whole number": lambda: L.Dense(0),
    "Did you mean 'relu'": lambda: L.Dense(3, "rellu"),
    "Choose from": lambda: L.Dense(3, init="xx"),
    "rate must be below 1": lambda: L.Dropout(1.0),
    "at least one layer": lambda: L.Sequential(),
    "Put a Flatten before it": lambda: L.Dense(3).scope((2, 2)),
    "channels last": lambda: L.Conv2D(3).scope((5,)),
    "Use smaller windows": lambda: L.MaxPool2D(3).output((2, 2, 1)),
    "hold another number of numbers": lambda: L.Reshape((2, 2)).scope((5,)),
    "must be a callable of the shape": lambda: L.layer(scale=np.ones(3)),
}  # fmt: skip


@pytest.mark.parametrize("words", REFUSED)
def test_what_does_not_fit_is_refused(words):
    with pytest.raises(ValueError, match=words):
        REFUSED[words]()


def test_things_that_are_no_layers_are_refused():
    with pytest.raises(TypeError, match="Pass instances, as"):
        L.Sequential(L.Dense)
    with pytest.raises(TypeError, match="takes layers and functions"):
        L.Sequential(3)


def test_layers_are_values():
    import pickle

    net = L.Sequential(L.Dense(3, "relu"), L.Sequential(L.LayerNorm(), L.Dropout(0.1)))
    assert pickle.loads(pickle.dumps(net)) == net
    assert hash(L.Dense(3)) == hash(L.Dense(3)) != hash(L.Dense(4))
    assert "Dense(units=3" in repr(net)
