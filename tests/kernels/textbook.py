"""Attention as the textbooks have it, in float64 and with all scores at once, and how to call ours.

Nothing is shared with the twins but the words of dropout. Turns are products of complex numbers.
"""

import numpy as np

from gdcore._numpy.sampling import dropout

KEY = 2**63 + 12345
OPTIONS = {
    "plain": {},
    "bias": {"bias": True},
    "turns": {"turns": True},
    "dropout": {"rate": 0.3, "first": 5},
    "everything": {"bias": True, "turns": True, "rate": 0.2, "first": 2**33 + 7},
}


def rotary(places, d):
    """Cosines and sines (t, d) for even d, which turn pairs of columns by place·10^−j."""
    angles = np.asarray(places)[:, None] * 10.0 ** -np.arange(d // 2)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def problem(dtype, n=2, t=17, d=8, heads=2, bias=False, turns=False, rate=0.0, first=0, seed=0):
    """The arguments that both ways share."""
    rng = np.random.default_rng(seed)
    arrays = {
        "qkv": rng.normal(size=(n, t, 3 * heads * d)),
        "bias": rng.normal(size=3 * heads * d if bias else 0),
        "turns": rotary(range(t), d) if turns and d % 2 == 0 else np.empty((0, 0)),
    }
    arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    return arrays | {"heads": heads, "rate": rate, "key": KEY, "first": first}


def slopes_for(given, seed=1):
    """Some gradient of the outputs."""
    n, t, width = given["qkv"].shape
    dout = np.random.default_rng(seed).normal(size=(n, t, width // 3))
    return dout.astype(given["qkv"].dtype)


def forward(kernels, given):
    """(out, lse) of a twin, into memory whose numbers are not to be seen."""
    n, t, width = given["qkv"].shape
    out = np.full((n, t, width // 3), np.nan, given["qkv"].dtype)
    lse = np.full((n, given["heads"], t), np.nan, out.dtype)
    kernels.causal_attention(**given, out=out, lse=lse)
    return out, lse


def backward(kernels, given, dout, dbias=None):
    """(dqkv, dbias) of a twin."""
    out, lse = forward(kernels, given)
    dqkv = np.full_like(given["qkv"], np.nan)
    dbias = np.zeros_like(given["bias"]) if dbias is None else dbias.copy()
    kernels.causal_attention_backward(**given, out=out, lse=lse, dout=dout, dqkv=dqkv, dbias=dbias)
    return dqkv, dbias


def kept(given):
    """1/(1 − rate) or zero for each weight: t² words a head, one sequence after another."""
    n, t, heads = *given["qkv"].shape[:2], given["heads"]
    factors = np.ones((n, heads, t, t))
    for i, h in np.ndindex(n, heads):
        number, mine = (given["first"] + i) * heads + h, factors[i, h].reshape(-1)
        dropout(mine.copy(), given["rate"], given["key"], number * t * t, mine)
    return factors


def split(given):
    """Q, K and V (n, heads, t, d) with bias and turns, and the turns as complex numbers."""
    qkv = given["qkv"].astype(np.float64)
    n, t, _ = qkv.shape
    if len(given["bias"]):
        qkv = qkv + given["bias"].astype(np.float64)
    q, k, v = qkv.reshape(n, t, 3, given["heads"], -1).transpose(2, 0, 3, 1, 4)
    turns = given["turns"].astype(np.float64)
    half = q.shape[-1] // 2
    spin = turns[:, :half] + 1j * turns[:, half:] if turns.size else None
    return turned(q, spin), turned(k, spin), v, spin


def turned(x, spin):
    """Pairs (x_j, x_{j + d/2}) as complex numbers, times spin."""
    if spin is None:
        return x
    half = x.shape[-1] // 2
    z = (x[..., :half] + 1j * x[..., half:]) * spin
    return np.concatenate([z.real, z.imag], axis=-1)


def softmax(given):
    """Weights (n, heads, t, t) before dropout, and log Σ e^score."""
    q, k, _, _ = split(given)
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    scores[..., np.triu(np.ones(scores.shape[-2:], bool), 1)] = -np.inf
    most = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - most)
    total = weights.sum(axis=-1, keepdims=True)
    return weights / total, (most + np.log(total))[..., 0]


def attention(given):
    """(out, lse)."""
    (weights, lse), v = softmax(given), split(given)[2]
    out = (weights * kept(given)) @ v
    return out.transpose(0, 2, 1, 3).reshape(*given["qkv"].shape[:2], -1), lse


def attention_backward(given, dout):
    """(dqkv, dbias), by the derivative of a softmax: ds = p·(dp − Σ p·dp)."""
    q, k, v, spin = split(given)
    n, heads, t, d = q.shape
    weights, factors = softmax(given)[0], kept(given)
    dy = dout.astype(np.float64).reshape(n, t, heads, d).transpose(0, 2, 1, 3)
    dweights = dy @ v.swapaxes(-1, -2) * factors
    ds = weights * (dweights - (weights * dweights).sum(axis=-1, keepdims=True)) / np.sqrt(d)
    back = None if spin is None else spin.conj()
    parts = (
        turned(ds @ k, back),
        turned(ds.swapaxes(-1, -2) @ q, back),
        (weights * factors).swapaxes(-1, -2) @ dy,
    )
    dqkv = np.stack(parts).transpose(1, 3, 0, 2, 4).reshape(n, t, -1)
    return dqkv, dqkv.sum(axis=(0, 1)) if len(given["bias"]) else np.zeros(0)
