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


def sparse(dtype, n=37, p=5, twice=False, seed=0):
    """data, indices and indptr of random rows; int32 columns with float32 numbers. Rows name a
    column at most once, in any order, where `twice` does not say that they may."""
    rng = np.random.default_rng(seed)
    rows = [
        rng.integers(0, p, rng.integers(0, 3 * p))
        if twice
        else rng.permutation(p)[: rng.integers(0, p)]
        for _ in range(n)
    ]
    indices = np.concatenate([*rows, [0]]).astype(np.int32 if dtype == np.float32 else np.int64)
    indptr = np.cumsum([0, *map(len, rows), 1])
    return {
        "data": rng.normal(size=len(indices)).astype(dtype),
        "indices": indices,
        "indptr": indptr,
    }


def sparse_rows(dtype):
    """What check_csr takes."""
    given = sparse(dtype)
    return {"indices": given["indices"], "indptr": given["indptr"], "columns": 5}


def sparse_twice(dtype):
    """Rows that name columns more than once."""
    return sparse(dtype, twice=True)


def sparse_gathering(dtype):
    """Some rows, and room for them."""
    given = sparse(dtype)
    rows = np.random.default_rng(1).integers(0, 38, 20)
    entries = int(np.diff(given["indptr"])[rows].sum())
    return given | {
        "rows": rows,
        "new_data": np.zeros(entries, dtype),
        "new_indices": np.full(entries, -1, given["indices"].dtype),
        "new_indptr": np.zeros(21, np.int64),
    }


def sparse_moments(dtype):
    """Rows with weights, and room for the moments."""
    weights = np.random.default_rng(1).uniform(0.1, 2, 38)
    return sparse(dtype) | {"weights": weights, "mean": np.zeros(5), "deviation": np.zeros(5)}


def naming(dtype):
    """Rows of names, and room for their entries."""
    rows = [{"color": "red", "age": 31, "none": 0}, ["a", "b", "a"], [("ä", 2.5), (b"b", "x")], ()]
    arrays = {"data": np.zeros(8, dtype), "indices": np.zeros(8, np.int32)}
    numbers = {"first": 0, "columns": 2**18, "seed": 3, "sign": True}
    return {"rows": rows} | numbers | arrays | {"indptr": np.full(5, -1)}
