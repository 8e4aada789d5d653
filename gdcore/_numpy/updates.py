"""Parameter updates in NumPy. Compiled twins: src/updates.pyx.

Each rule walks its vectors in blocks that stay in the cache, with one block of scratch: no
temporary of the vectors' length, and the same operations in the same order as the compiled twin,
hence the same bits. Scalars are formed in double and cast once.
"""

import math
import operator

import numpy as np

from gdcore._numpy._require import (
    numbers,
    require_arrays,
    require_one_length,
    require_writeable,
)

__all__ = ["adagrad", "adam", "adamw", "momentum", "nesterov", "rmsprop", "sgd"]

BLOCK = 16384


def _blocks(*arrays):
    """Views of BLOCK elements of each array, and two blocks of scratch."""
    require_arrays(*arrays)
    require_one_length(*arrays)
    require_writeable(arrays[0], *arrays[2:])  # all but the gradient, which comes second
    size = min(BLOCK, len(arrays[0]))
    one, two = np.empty((2, size), arrays[0].dtype)
    for start in range(0, len(arrays[0]), BLOCK):
        views = [array[start : start + BLOCK] for array in arrays]
        yield *views, one[: len(views[0])], two[: len(views[0])]


def sgd(w, g, lr):
    """Step against the gradient: w ← w − lr·g. Changes w."""
    (lr,) = numbers(lr)
    for wb, gb, step, _ in _blocks(w, g):
        np.multiply(gb, w.dtype.type(lr), out=step)
        wb -= step


def momentum(w, g, b, lr, momentum):
    """Step along the running sum of gradients: b ← momentum·b + g, w ← w − lr·b. Changes w and b."""
    lr, momentum = numbers(lr, momentum)
    for wb, gb, bb, step, _ in _blocks(w, g, b):
        bb *= w.dtype.type(momentum)
        bb += gb
        np.multiply(bb, w.dtype.type(lr), out=step)
        wb -= step


def nesterov(w, g, b, lr, momentum):
    """Momentum with a look ahead: b ← momentum·b + g, w ← w − lr·(g + momentum·b). Changes w and b."""
    lr, momentum = numbers(lr, momentum)
    for wb, gb, bb, step, _ in _blocks(w, g, b):
        bb *= w.dtype.type(momentum)
        bb += gb
        np.multiply(bb, w.dtype.type(momentum), out=step)
        step += gb
        step *= w.dtype.type(lr)
        wb -= step


def adagrad(w, g, v, lr, eps):
    """Step by g over the root of its summed squares: v ← v + g², w ← w − lr·g/(√v + eps). Changes w and v."""
    lr, eps = numbers(lr, eps)
    for wb, gb, vb, step, root in _blocks(w, g, v):
        np.multiply(gb, gb, out=step)
        vb += step
        _divide_by_root(gb, vb, lr, eps, step, root)
        wb -= step


def rmsprop(w, g, v, lr, decay, eps):
    """Step by g over its running root mean square: v ← decay·v + (1−decay)·g², w ← w − lr·g/(√v + eps). Changes w and v."""
    lr, decay, eps = numbers(lr, decay, eps)
    for wb, gb, vb, step, root in _blocks(w, g, v):
        _running_square(vb, gb, decay, step)
        _divide_by_root(gb, vb, lr, eps, step, root)
        wb -= step


def adam(w, g, m, v, lr, beta1, beta2, eps, step):
    """Step by the bias-corrected mean over the bias-corrected root mean square of g. Changes w, m and v."""
    adamw(w, g, m, v, lr, beta1, beta2, eps, 0.0, step)


def adamw(w, g, m, v, lr, beta1, beta2, eps, decay, step):
    """Adam with decoupled decay: w ← (1 − lr·decay)·w, then Adam's step. Changes w, m and v."""
    lr, beta1, beta2, eps, decay = numbers(lr, beta1, beta2, eps, decay)
    step = operator.index(step)
    require_arrays(w, g, m, v)
    require_one_length(w, g, m, v)
    if step < 1:
        raise ValueError("step must count from 1, as the corrections need it. Pass 1 first.")
    root_c2 = math.sqrt(1 - beta2**step)
    rate, tiny = lr * root_c2 / (1 - beta1**step), eps * root_c2
    for wb, gb, mb, vb, move, root in _blocks(w, g, m, v):
        kind = w.dtype.type
        mb *= kind(beta1)
        np.multiply(gb, kind(1 - beta1), out=move)
        mb += move
        _running_square(vb, gb, beta2, move)
        _divide_by_root(mb, vb, rate, tiny, move, root)
        wb *= kind(1 - lr * decay)
        wb -= move


def _running_square(v, g, decay, scratch):
    v *= v.dtype.type(decay)
    np.multiply(g, v.dtype.type(1 - decay), out=scratch)
    scratch *= g
    v += scratch


def _divide_by_root(g, v, rate, eps, out, root):
    """out = rate·g / (√v + eps)."""
    np.sqrt(v, out=root)
    root += v.dtype.type(eps)
    np.multiply(g, v.dtype.type(rate), out=out)
    out /= root
