"""Cost and gradient of logistic regression, intercept included: two reads of X, or one."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn._loss import HalfBinomialLoss
from sklearn.linear_model._linear_loss import LinearModelLoss
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.group import Group, each
from benchmarks.problem import cost_of, examples, numpy_cost
from benchmarks.replay import clock
from gdcore import kernels


def gdcore_contender(X, y, theta, setting):
    cost = setting.stack.enter_context(cost_of(X, y, threads=setting.threads))
    g = np.empty_like(theta)
    return lambda: (cost.value_and_gradient(theta, g), g)


def kernel_contender(X, y, theta):
    """The compiled call alone, sums instead of means."""
    cost = cost_of(X, y)
    weights, columns, g = cost.rows.weights, cost.model.columns, np.empty_like(theta)
    nowhere = np.empty((0, 0))

    def run():
        g.fill(0)
        data = (X, y, weights, columns, theta, g, nowhere)
        return kernels.linear_gradient("logistic", 0.0, 0.0, *data), g

    return run


def sklearn_contender(X, y, w, threads):
    loss = LinearModelLoss(base_loss=HalfBinomialLoss(), fit_intercept=True)
    return lambda: loss.loss_gradient(w, X, y, n_threads=threads)


def torch_contender(X, y, w):
    X, y, p = torch.from_numpy(X), torch.from_numpy(y), X.shape[1]
    coef = torch.tensor(w[:p], requires_grad=True)
    intercept = torch.tensor(w[p], requires_grad=True)

    def run():
        coef.grad = intercept.grad = None
        loss = binary_cross_entropy_with_logits(X @ coef + intercept, y)
        loss.backward()
        return loss, (coef.grad, intercept.grad)

    return run


def build(setting, n, p, dtype):
    X, y = examples(min(n, 2_000) if setting.smoke else n, p, dtype)
    theta = np.random.default_rng(1).normal(0, 0.1, p + 1)
    # The peers compute in X's precision; anything else would make them copy X.
    w, targets = theta.astype(dtype), y.astype(dtype)
    contenders = {
        "gdcore": gdcore_contender(X, y, theta, setting),
        "NumPy": lambda: numpy_cost(X, targets, w),
        "scikit-learn": sklearn_contender(X, targets, w, setting.threads),
        "torch": torch_contender(X, targets, w),
    }
    if setting.threads == 1:
        contenders["gdcore: the kernel alone"] = kernel_contender(X, y, theta)
    agree(contenders, len(X), 1e-9 if dtype is np.float64 else 1e-4)
    return contenders


def agree(contenders, n, tolerance):
    value, gradient = contenders["gdcore"]()
    for name, run in contenders.items():
        theirs, slope = run()
        if name == "torch":
            theirs, slope = theirs.item(), np.append(*(part.numpy() for part in slope))
        scale = n if name.endswith("alone") else 1
        np.testing.assert_allclose(theirs / scale, value, rtol=tolerance)
        np.testing.assert_allclose(
            slope / scale, gradient, rtol=tolerance, atol=tolerance * np.abs(gradient).max()
        )


PEERS = ("gdcore", "NumPy", "scikit-learn", "torch")
ALONE = (*PEERS, "gdcore: the kernel alone")
LABEL = "logistic cost + gradient, {}, {}"
large64 = partial(build, n=1_000_000, p=100, dtype=np.float64)
large32 = partial(build, n=1_000_000, p=100, dtype=np.float32)
small64 = partial(build, n=200, p=20, dtype=np.float64)
LARGE = {"NumPy": 2, "scikit-learn": 2, "torch": 1.4}
GROUPS = {
    "1Mx100-float64": Group(LABEL.format("1M × 100", "float64"), large64, ALONE, wanted=LARGE),
    "1Mx100-float64-2": Group(LABEL.format("1M × 100", "float64"), large64, PEERS, threads=2),
    "1Mx100-float32": Group(LABEL.format("1M × 100", "float32"), large32, ALONE),
    "1Mx100-float32-2": Group(LABEL.format("1M × 100", "float32"), large32, PEERS, threads=2),
    "200x20-float64": Group(
        LABEL.format("200 × 20", "float64"), small64, ALONE, wanted={"NumPy": 1}
    ),
}


@pytest.mark.benchmark(timer=clock)
@pytest.mark.parametrize(("group", "contender"), each(GROUPS))
def test_cost_and_gradient(contend, group, contender):
    contend(GROUPS[group], contender)
