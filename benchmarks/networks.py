"""One training step of a multi-layer perceptron by gdcore and its peers, on one batch in memory.

Rectified hidden layers, softmax cross-entropy, Adam, float32. Every side starts from the same
weights and sees the same batch; each is written as its users would.
"""

import shutil
import time
import warnings
from functools import partial
from itertools import pairwise

import numpy as np
import optax
import torch
from sklearn.neural_network import MLPClassifier

import gdcore as gd
from benchmarks.group import SelfTimed
from benchmarks.race import SETTLE, TURN, warm
from benchmarks.updates import BETA1, BETA2, EPS, LR, jax_on_one_core
from gdcore.data import Rows
from gdcore.models.network import Network
from gdcore.models.network_cost import NetworkCost
from gdcore.parameters import aligned_copy

COMPILES = shutil.which("g++") is not None  # what torch.compile needs


class Problem:
    """A batch, and the weights to start from, (inputs, outputs) and (outputs,) a layer."""

    def __init__(self, widths, batch):
        rng = np.random.default_rng(0)
        self.widths, self.batch = widths, batch
        self.X = rng.standard_normal((batch, widths[0]), dtype=np.float32)
        self.y = rng.integers(0, widths[-1], batch)
        self.y[: min(batch, widths[-1])] = np.arange(widths[-1])[:batch]
        hidden = [gd.layers.Dense(n, "relu") for n in widths[1:-1]]
        layers = [*hidden, gd.layers.Dense(widths[-1])]
        self.network = Network(layers, widths[:1], gd.losses.Softmax())
        self.theta = self.network.init(1)

    def weights(self):
        """[(W, b)], copies."""
        views = list(self.network.views(self.theta).values())
        return [(W.copy(), b.copy()) for W, b in zip(views[::2], views[1::2], strict=True)]


def ours(problem, setting):
    """(`NetworkCost.step`, which gathers the batch's rows, too; its cost)."""
    theta, adam = aligned_copy(problem.theta), gd.optim.Adam(LR, beta1=BETA1, beta2=BETA2, eps=EPS)
    rows = Rows(problem.X, problem.y.astype(float), np.ones(problem.batch))
    cost = NetworkCost(problem.network, rows, n_threads=setting.threads)
    step = partial(cost.step, theta, adam, adam.init(theta), np.arange(problem.batch), LR)
    step.parameters = lambda: theta
    if setting.threads == 1:
        setting.stack.enter_context(cost)
    return step, cost


def in_context(cost, step):
    """Seconds a step, of steps within a context of their own."""
    with cost:
        warm(step, SETTLE)
        began, calls = time.perf_counter(), 0
        while calls == 0 or time.perf_counter() - began < TURN:
            step()
            calls += 1
        return (time.perf_counter() - began) / calls


def together(setting, ours, cost, peers, near):
    """All contenders; those with a common start have come to the same place by three steps."""
    contenders = {"gdcore": ours} | peers
    for step in contenders.values():
        for _ in range(3):
            step()
    ends = {name: s.parameters() for name, s in contenders.items() if hasattr(s, "parameters")}
    for name, end in ends.items():
        apart = np.abs(end - ends["gdcore"])
        assert near(apart), (name, apart.mean(), apart.max())
    if setting.threads > 1:  # a context holds BLAS to one thread, which would hold the others back
        contenders["gdcore"] = SelfTimed(partial(in_context, cost, ours))
    return contenders


def torch_model(problem):
    modules = []
    for W, b in problem.weights():
        linear = torch.nn.Linear(*W.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T))
            linear.bias.copy_(torch.from_numpy(b))
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1])


def torch_step(problem, setting, compiled=False, fused=True):
    """Eager or compiled, Adam fused: the fastest that PyTorch has on a CPU."""
    model = torch_model(problem)
    adam = torch.optim.Adam(model.parameters(), LR, (BETA1, BETA2), EPS, fused=fused)
    loss = torch.nn.CrossEntropyLoss()
    X, y = torch.from_numpy(problem.X), torch.from_numpy(problem.y)

    def cost():
        return loss(model(X), y)

    forward = cost
    if compiled and not setting.smoke:  # a minute for each: not in a smoke run
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own modules
            forward = torch.compile(cost)
            forward().backward()

    def step():
        adam.zero_grad()
        forward().backward()
        adam.step()

    parts = [each for each in model if isinstance(each, torch.nn.Linear)]
    step.parameters = lambda: np.concatenate(
        [p.detach().numpy().ravel() for each in parts for p in (each.weight.T, each.bias)]
    )
    return step


def jax_step(problem, setting):
    """Loss, gradient and optax.adam in one jitted function, buffers donated, results waited for."""
    jax = jax_on_one_core()
    tx = optax.adam(LR, BETA1, BETA2, EPS)
    X, y = jax.numpy.array(problem.X), jax.numpy.array(problem.y)
    params = jax.tree.map(jax.numpy.array, problem.weights())
    state = tx.init(params)

    def cost(params, X, y):
        x = X
        for W, b in params[:-1]:
            x = jax.nn.relu(x @ W + b)
        z = x @ params[-1][0] + params[-1][1]
        return optax.softmax_cross_entropy_with_integer_labels(z, y).mean()

    @partial(jax.jit, donate_argnums=(0, 1))
    def advance(params, state, X, y):
        updates, state = tx.update(jax.grad(cost)(params, X, y), state, params)
        return optax.apply_updates(params, updates), state

    def step():
        nonlocal params, state
        params, state = jax.block_until_ready(advance(params, state, X, y))

    step.parameters = lambda: np.concatenate([np.ravel(each) for W, b in params for each in (W, b)])
    return step


def sklearn_step(problem, setting):
    """`partial_fit` on the batch, without penalty."""
    model = MLPClassifier(
        problem.widths[1:-1], alpha=0.0, batch_size=problem.batch, learning_rate_init=LR,
        beta_1=BETA1, beta_2=BETA2, epsilon=EPS,
    )  # fmt: skip
    classes = np.arange(problem.widths[-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.partial_fit(problem.X, problem.y, classes=classes)
    return partial(model.partial_fit, problem.X, problem.y)


def products(problem, setting):
    """The matrix products of a step alone: forward, to the inputs of all layers but the first,
    and the weights' gradients."""
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((problem.batch, n), dtype=np.float32) for n in problem.widths]
    d = [each.copy() for each in x]
    W = [rng.standard_normal(pair, dtype=np.float32) for pair in pairwise(problem.widths)]
    g = [np.empty_like(each) for each in W]
    layers = range(len(W))

    def run():
        for i in layers:
            np.matmul(x[i], W[i], out=x[i + 1])
        for i in reversed(layers[1:]):
            np.matmul(d[i + 1], W[i].T, out=d[i])
        for i in layers:
            np.matmul(x[i].T, d[i + 1], out=g[i])

    return run
