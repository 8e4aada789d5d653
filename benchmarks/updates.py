"""One step of an optimizer by gdcore and by its peers, each in the form its users would write."""

import math
import os
from functools import partial

import numpy as np
import optax
import torch
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer
from thinc.api import NumpyOps

import gdcore as gd

LR, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8


def ours(name, thetas, gradients):
    """bind on an array, or on a list of them."""
    settings = {"Adam": {"beta1": BETA1, "beta2": BETA2, "eps": EPS}}.get(name, {})
    rule = getattr(gd.optim, name)(LR, **settings)
    if len(thetas) == 1:
        return partial(rule.bind(thetas[0]).step, gradients[0])
    return partial(rule.bind(thetas).step, gradients)


def numpy_adam(thetas, gradients):
    """In place, one scratch array for each, the bias corrections folded into two scalars."""
    state = [(np.zeros_like(x), np.zeros_like(x), np.empty_like(x)) for x in thetas]
    t = 0

    def step():
        nonlocal t
        t += 1
        root = math.sqrt(1 - BETA2**t)
        for theta, g, (m, v, scratch) in zip(thetas, gradients, state, strict=True):
            np.multiply(m, BETA1, out=m)
            np.multiply(g, 1 - BETA1, out=scratch)
            np.add(m, scratch, out=m)
            np.multiply(v, BETA2, out=v)
            np.multiply(g, g, out=scratch)
            np.multiply(scratch, 1 - BETA2, out=scratch)
            np.add(v, scratch, out=v)
            np.sqrt(v, out=scratch)
            np.add(scratch, EPS * root, out=scratch)
            np.divide(m, scratch, out=scratch)
            np.multiply(scratch, LR * root / (1 - BETA1**t), out=scratch)
            np.subtract(theta, scratch, out=theta)

    return step


def sklearn_adam(thetas, gradients):
    """What trains scikit-learn's networks; a private class."""
    adam = AdamOptimizer(thetas, LR, BETA1, BETA2, EPS)
    return lambda: adam.update_params(thetas, gradients)


def thinc_adam(thetas, gradients):
    """The compiled kernel of spaCy's optimizer; it overwrites gradients, so it is given a copy."""
    ops = NumpyOps()
    state = [(g.copy(), np.zeros_like(g), np.zeros_like(g)) for g in gradients]
    t = 0

    def step():
        nonlocal t
        t += 1
        fixed = math.sqrt(1 - BETA2**t) / (1 - BETA1**t)
        for theta, g, (work, m, v) in zip(thetas, gradients, state, strict=True):
            np.copyto(work, g)
            ops.adam(theta, work, m, v, BETA1, BETA2, EPS, LR * fixed)

    return step


def jax_on_one_core():
    """JAX, whose pool of threads takes its size from the cores there are when it starts."""
    import jax

    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        jax.devices()
    finally:
        os.sched_setaffinity(0, cores)
    return jax


def optax_adam(thetas, gradients):
    """Jitted, with buffers donated, so that it may work in place; results are waited for."""
    jax = jax_on_one_core()
    tx = optax.adam(LR, BETA1, BETA2, EPS)
    g = [jax.numpy.array(each) for each in gradients]
    params = [jax.numpy.array(each) for each in thetas]
    state = tx.init(params)

    @partial(jax.jit, donate_argnums=(0, 1))
    def advance(params, state, g):
        updates, state = tx.update(g, state, params)
        return optax.apply_updates(params, updates), state

    def step():
        nonlocal params, state
        params, state = jax.block_until_ready(advance(params, state, g))

    step.parameters = lambda: [np.asarray(each) for each in params]
    return step


def torch_rule(name, thetas, gradients, fused=None):
    """PyTorch's optimizer on tensors over the same memory."""
    parameters = [torch.nn.Parameter(torch.from_numpy(each)) for each in thetas]
    for parameter, g in zip(parameters, gradients, strict=True):
        parameter.grad = torch.from_numpy(g)
    settings = {"Adam": {"betas": (BETA1, BETA2), "eps": EPS}}.get(name, {})
    if fused is not None:
        settings["fused"] = fused
    return getattr(torch.optim, name)(parameters, LR, **settings).step


def torch_lion(thetas, gradients):
    """PyTorch has none: the lines of its authors' google/automl, tensor by tensor."""
    parameters = [torch.from_numpy(each) for each in thetas]
    slopes = [torch.from_numpy(each) for each in gradients]
    means = [torch.zeros_like(each) for each in parameters]

    def step():
        for p, g, m in zip(parameters, slopes, means, strict=True):
            update = m.clone().mul_(0.9).add_(g, alpha=0.1).sign_()
            p.add_(update, alpha=-LR)
            m.mul_(0.99).add_(g, alpha=0.01)

    return step


def copying(thetas):
    """A copy that moves the 28 bytes for each parameter that Adam must: 14 read, 14 written."""
    size = 14 * sum(theta.nbytes for theta in thetas) // 4 // 4
    source, target = np.ones(size, np.float32), np.zeros(size, np.float32)
    return partial(np.copyto, target, source)
