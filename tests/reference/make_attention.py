"""Make attention.npz: PyTorch's outputs and gradients for each kernel of a transformer.

Run by hand with PyTorch installed: python -m tests.reference.make_attention
`theirs` needs PyTorch; `ours` calls the kernels of either twin on the same numbers.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

PATH = Path(__file__).with_name("attention.npz")
DTYPES = {"f32": np.float32, "f64": np.float64}
EPS = 1e-5


@dataclass(frozen=True)
class Case:
    """What is given, PyTorch's (F, tensors) → {output: tensor}, and ours (kernels, arrays) → all.

    `given` makes arrays by name. Those named d… are gradients of the outputs so called; all others
    but whole numbers have one.
    """

    given: object
    theirs: object
    ours: object


def normal(**shapes):
    """Numbers that are the same everywhere."""
    rng = np.random.default_rng(20261124)
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def angles(t, d):
    """place·100^(−2j/d) for pairs (j, j + d/2), as rotary positions have them."""
    return np.arange(t)[:, None] * 100.0 ** (-2 * np.arange(d // 2) / d)


def attention(n, t, heads, d, bias=True, rotary=False):
    """Heads of a sequence side by side in the thirds of qkv."""
    width = heads * d

    def given():
        return normal(qkv=(n, t, 3 * width), bias=3 * width if bias else 0, dout=(n, t, width))

    def theirs(F, x):
        import torch

        qkv = x["qkv"] + x["bias"] if bias else x["qkv"]
        q, k, v = (p.reshape(n, t, heads, d).transpose(1, 2) for p in qkv.split(width, dim=2))
        if rotary:
            spin = torch.polar(torch.ones(t, d // 2).double(), torch.tensor(angles(t, d)))
            q, k = (spun(p, spin) for p in (q, k))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        scores = (q @ k.transpose(2, 3)) / d**0.5
        later = torch.ones(t, t).triu(1).bool()
        lse = scores.masked_fill(later, -torch.inf).logsumexp(dim=3)
        return {"out": out.transpose(1, 2).reshape(n, t, width), "lse": lse}

    def ours(kernels, x):
        turn = angles(t, d)
        turns = np.concatenate([np.cos(turn), np.sin(turn)], axis=1).astype(x["qkv"].dtype)
        shared = x["qkv"], x["bias"], turns if rotary else turns[:0], heads, 0.0, 0, 0
        found = {"out": np.zeros_like(x["dout"]), "lse": np.zeros((n, heads, t), turns.dtype)}
        kernels.causal_attention(*shared, *found.values())
        slopes = {"dqkv": np.zeros_like(x["qkv"]), "dbias": np.zeros_like(x["bias"])}
        kernels.causal_attention_backward(*shared, *found.values(), x["dout"], *slopes.values())
        return found | slopes

    return Case(given, theirs, ours)


def spun(x, spin):
    """Pairs (x_j, x_{j + d/2}) as complex numbers, times spin."""
    import torch

    a, b = x.double().chunk(2, dim=-1)
    z = torch.complex(a, b) * spin
    return torch.cat([z.real, z.imag], dim=-1).to(x.dtype)


def residual_norm(n, p):
    """The norm of D + X + bias, which goes on as a residual stream, too."""

    def given():
        return normal(D=(n, p), X=(n, p), bias=p, gain=p, shift=p, dY=(n, p), dsum=(n, p))

    def theirs(F, x):
        stream = x["D"] + (x["X"] + x["bias"])
        return {"sum": stream, "Y": F.layer_norm(stream, (p,), x["gain"], x["shift"], EPS)}

    def ours(kernels, x):
        D, Y, statistics = x["D"].copy(), np.zeros_like(x["D"]), np.zeros((n, 2), x["D"].dtype)
        kernels.residual_norm(D, x["X"], x["bias"], x["gain"], x["shift"], EPS, Y, statistics)
        dD, sums = np.zeros_like(D), {f"d{name}": np.zeros_like(D[0]) for name in SUMS}
        kernels.residual_norm_backward(
            D, x["gain"], statistics, x["dY"], x["dsum"], dD, *sums.values()
        )
        return {"sum": D, "Y": Y, "dD": dD, "dX": dD} | sums

    return Case(given, theirs, ours)


SUMS = ("gain", "shift", "bias")


def gelu(n, p):
    """With the bias before it."""

    def given():
        return normal(Z=(n, p), bias=p, dY=(n, p))

    def theirs(F, x):
        return {"Y": F.gelu(3 * x["Z"] + x["bias"], approximate="tanh")}

    def ours(kernels, x):
        Y, slope = 3 * x["Z"], np.zeros_like(x["Z"])
        kernels.activate("gelu_tanh", Y, x["bias"], slope)
        dZ, dbias = x["dY"].copy(), np.zeros_like(x["bias"])
        kernels.activate_backward("gelu_tanh", Y, slope, dZ, dbias)
        return {"Y": Y, "dZ": 3 * dZ, "dbias": dbias}

    return Case(given, theirs, ours)


def cross_entropy(n, k):
    """The mean over n places of a vocabulary of k."""

    def given():
        return normal(Z=(n, k)) | {"ids": np.random.default_rng(3).integers(0, k, n)}

    def theirs(F, x):
        return {"loss": F.cross_entropy(3 * x["Z"], x["ids"])}

    def ours(kernels, x):
        dZ, y = np.zeros_like(x["Z"]), x["ids"].astype(np.float64)
        loss = kernels.softmax_cross_entropy(3 * x["Z"], y, np.ones(n), 1 / n, dZ)
        return {"loss": np.array(loss / n), "dZ": 3 * dZ}

    return Case(given, theirs, ours)


def embedding(n, rows, p):
    """The gradient of a table whose rows are used more than once, or not at all."""

    def given():
        ids = np.random.default_rng(3).integers(0, rows, n)
        return normal(table=(rows, p), dY=(n, p)) | {"ids": ids}

    def theirs(F, x):
        return {"Y": F.embedding(x["ids"], x["table"])}

    def ours(kernels, x):
        dtable = np.zeros_like(x["table"])
        kernels.add_rows(dtable, x["ids"], x["dY"])
        return {"Y": x["table"][x["ids"]], "dtable": dtable}

    return Case(given, theirs, ours)


CASES = {
    "attention": attention(n=2, t=9, heads=3, d=4),
    "attention without bias": attention(n=2, t=5, heads=1, d=7, bias=False),
    "attention over two blocks": attention(n=1, t=67, heads=1, d=8),
    "rotary attention": attention(n=1, t=18, heads=2, d=6, rotary=True),
    "residual norm": residual_norm(5, 18),
    "gelu with bias": gelu(5, 9),
    "cross-entropy of tokens": cross_entropy(7, 19),
    "embedding": embedding(12, 8, 5),
}


def arrays(case, dtype):
    """What is given, in a precision; whole numbers as they are."""
    return {n: a if a.dtype == np.int64 else a.astype(dtype) for n, a in case.given().items()}


def theirs(case, dtype):
    """{what: array} of PyTorch: the outputs, and d… of all that has a gradient."""
    import torch

    tensors = {name: torch.tensor(array) for name, array in arrays(case, dtype).items()}
    leaves = {n: t for n, t in tensors.items() if n[0] != "d" and t.is_floating_point()}
    for tensor in leaves.values():
        tensor.requires_grad_()
    outputs = case.theirs(torch.nn.functional, tensors)
    total = sum((outputs[n] * tensors.get(f"d{n}", 1)).sum() for n in outputs if n != "lse")
    total.backward()
    slopes = {f"d{n}": torch.zeros(0) if t.grad is None else t.grad for n, t in leaves.items()}
    return {name: tensor.detach().numpy() for name, tensor in (outputs | slopes).items()}


def everything():
    """{"case-precision-what": array}."""
    return {
        f"{name}-{kind}-{what}": array
        for name, case in CASES.items()
        for kind, dtype in DTYPES.items()
        for what, array in theirs(case, dtype).items()
    }


if __name__ == "__main__":
    np.savez_compressed(PATH, **everything())
