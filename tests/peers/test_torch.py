"""gdcore against PyTorch and scikit-learn as installed, made live."""

import numpy as np
import pytest
import torch

import gdcore as gd
from gdcore import kernels

torch.set_num_threads(1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 5])
def test_cost_and_gradient_agree_with_autograd(dtype, classes):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 17)).astype(dtype), rng.integers(0, classes, 300)
    k = 1 if classes == 2 else classes
    theta, g = rng.normal(size=k * 18), np.zeros(k * 18)
    columns = np.zeros((2, 18))
    columns[1] = 1
    data, nowhere = (X, y.astype(float), np.ones(300)), np.empty((0, 0))
    name = "logistic" if k == 1 else "softmax"
    value = kernels.linear_gradient(name, 0.0, 0.0, *data, columns, theta, g, nowhere)
    W = torch.from_numpy(theta[: k * 17].reshape(k, 17)).requires_grad_()
    b = torch.from_numpy(theta[k * 17 :].copy()).requires_grad_()
    z = torch.from_numpy(X).double() @ W.T + b
    if k == 1:
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            z[:, 0], torch.from_numpy(y).double(), reduction="sum"
        )
    else:
        loss = torch.nn.functional.cross_entropy(z, torch.from_numpy(y), reduction="sum")
    loss.backward()
    near = 1e-12 if dtype == np.float64 else 1e-5
    assert value == pytest.approx(loss.item(), rel=near)
    theirs = np.concatenate([W.grad.numpy().ravel(), b.grad.numpy()])
    np.testing.assert_allclose(g, theirs, rtol=0, atol=near * np.abs(theirs).max())


def test_activations_agree():
    z = np.linspace(-30, 30, 1001)
    out = np.empty_like(z)
    kernels.sigmoid(z, out)
    np.testing.assert_allclose(out, torch.sigmoid(torch.from_numpy(z)).numpy(), rtol=2e-15)
    Z = np.random.default_rng(0).normal(size=(50, 7)) * 20
    P, total = np.empty_like(Z), np.empty(50)
    kernels.softmax(Z, P)
    kernels.logsumexp(Z, total)
    np.testing.assert_allclose(P, torch.softmax(torch.from_numpy(Z), 1).numpy(), rtol=1e-13)
    np.testing.assert_allclose(total, torch.logsumexp(torch.from_numpy(Z), 1).numpy(), rtol=1e-14)


def test_the_logistic_optimum_is_lbfgs_by_scikit_learn():
    from sklearn.datasets import make_classification
    from sklearn.linear_model import LogisticRegression

    X, y = make_classification(800, 12, n_informative=6, n_classes=4, random_state=0)
    X = (X - X.mean(0)) / X.std(0)
    theirs = LogisticRegression(C=1 / (0.01 * 800), tol=1e-10, max_iter=5000).fit(X, y)
    ours = gd.LogisticRegression(alpha=0.01, tol=1e-13, max_epochs=20_000).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
