"""One epoch of logistic regression, 32 examples a step, against loops in NumPy and PyTorch."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.epochs import LR, PERMUTED, SIZE, agree, data, ours
from benchmarks.group import Group, each
from benchmarks.replay import clock

BATCH = 32


def numpy_batches(X, y):
    rng, n, p = np.random.default_rng(0), *X.shape

    def run():
        w, b, order = np.zeros(p), 0.0, rng.permutation(n)
        for a in range(0, n, BATCH):
            rows = order[a : a + BATCH]
            x = X[rows]
            r = (1 / (1 + np.exp(-(x @ w + b))) - y[rows]) * (LR / len(rows))
            w -= r @ x
            b -= r.sum()
        return np.append(w, b)

    return run


def torch_batches(X, y):
    """Autograd and an update by hand, which costs less than torch.optim.SGD."""
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    n, p = X.shape

    def run():
        w = torch.zeros(p, dtype=X.dtype, requires_grad=True)
        b = torch.zeros((), dtype=X.dtype, requires_grad=True)
        for rows in torch.randperm(n).split(BATCH):
            loss = binary_cross_entropy_with_logits(X[rows] @ w + b, y[rows])
            slopes = torch.autograd.grad(loss, (w, b))
            with torch.no_grad():
                w.sub_(slopes[0], alpha=LR)
                b.sub_(slopes[1], alpha=LR)
        return np.append(w.detach().numpy(), b.item())

    return run


def build(setting):
    X, y = data(setting)
    contenders = ours(X, y, BATCH, ridge=0.0)
    contenders |= {"NumPy": numpy_batches(X, y), "torch": torch_batches(X, y)}
    agree(X, y, contenders.values())
    return contenders


GROUPS = {
    "batches": Group(
        f"SGD epoch, {BATCH} examples a step, {SIZE}", build, ("gdcore", PERMUTED, "NumPy", "torch")
    )
}


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_batches(contend, group, contender):
    contend(GROUPS[group], contender)
