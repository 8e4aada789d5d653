"""Sample arguments of the kernels of a transformer."""

import numpy as np

from tests.kernels.twins import PLAIN

ROWS, COLUMNS = 37, 5


def attention(dtype, n=3, t=21, d=6, heads=2):
    """Sequences with bias, turns and dropout: every option that attention has."""
    rng = np.random.default_rng(0)
    angles = rng.normal(size=(t, d // 2))
    arrays = {
        "qkv": rng.normal(size=(n, t, 3 * heads * d)),
        "bias": rng.normal(size=3 * heads * d),
        "turns": np.concatenate([np.cos(angles), np.sin(angles)], axis=1),
        "out": np.zeros((n, t, heads * d)),
        "lse": np.zeros((n, heads, t)),
    }
    arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    return arrays | {"heads": heads, "rate": 0.3, "key": 2**63 + 12345, "first": 7}


def attention_backward(dtype):
    """The way back from what the twin in NumPy gave: no other out and lse fit qkv."""
    given = attention(dtype)
    PLAIN["attention"].causal_attention(**given)
    rng = np.random.default_rng(1)
    dout = rng.normal(size=given["out"].shape).astype(dtype)
    dbias = rng.normal(size=given["bias"].shape).astype(dtype)
    return given | {"dout": dout, "dqkv": np.zeros_like(given["qkv"]), "dbias": dbias}


def matrices(dtype, n=ROWS, m=COLUMNS, k=40):
    """Two factors and what their product is added to; more columns than one panel has."""
    rng = np.random.default_rng(0)
    A, B, C = (rng.normal(size=shape).astype(dtype) for shape in ((n, m), (m, k), (n, k)))
    return {"A": A, "B": B, "add": True, "C": C}


def packing(dtype):
    """One factor, and room for its panels."""
    B = matrices(dtype)["B"]
    panel = 128 // B.itemsize
    return {"B": B, "panels": np.full(len(B) * panel * -(-B.shape[1] // panel), 7, dtype)}


def packed(dtype):
    """The other factor, and the panels as the twin in NumPy packs them."""
    given, room = matrices(dtype), packing(dtype)
    PLAIN["products"].pack_panels(**room)
    return {"A": given["A"], "panels": room["panels"], "add": True, "C": given["C"]}


def one_place(dtype, r=3, t=9, d=6, heads=2):
    """One more token of each of three texts, with bias and turns."""
    rng = np.random.default_rng(0)
    qkv, bias, turns, out, *kept = (
        rng.normal(size=shape).astype(dtype)
        for shape in (
            (r, 3 * heads * d), 3 * heads * d, (t, d), (r, heads * d), (4, t, heads * d),
            (4, t, heads * d),
        )
    )  # fmt: skip
    given = {"qkv": qkv, "bias": bias, "turns": turns, "heads": heads, "out": out}
    given |= {"texts": np.array([3, 0, 1]), "places": np.array([8, 0, 4])}
    return given | {"keys": kept[0], "values": kept[1]}
