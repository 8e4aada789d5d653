"""Peak memory of training steps, each side in a process of its own: python benchmarks/memory.py

784-1024-1024-10 on 256 rows with Adam, and two GPTs with AdamW and clipping, float32: what the
resident size grows by from after the imports to the peak. JSON under benchmarks/results/memory.
"""

import json
import platform
import resource
import subprocess
import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.saved import save

FOLDER = Path(__file__).resolve().parent / "results" / "memory"
WIDTHS, BATCH, STEPS = (784, 1024, 1024, 10), 256, 5
GPTS = {"GPT 128 wide": (128, 4, 4, 64, 12), "GPT 384 wide": (384, 6, 6, 256, 8)}  # as in gpt.Sizes


def peak():
    """Megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def data():
    """Rows and classes of the MLP."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((BATCH, WIDTHS[0]), dtype=np.float32)
    return X, rng.integers(0, 10, BATCH)


def mlp_gdcore(threads):
    import gdcore as gd
    from gdcore.data import Rows
    from gdcore.models.network import Network
    from gdcore.models.network_cost import NetworkCost

    X, y = data()
    np.ones((64, 64), np.float32) @ np.ones((64, 64), np.float32)  # BLAS takes its buffers
    before = peak()
    layers = [gd.layers.Dense(n, "relu") for n in WIDTHS[1:-1]] + [gd.layers.Dense(WIDTHS[-1])]
    net = Network(layers, WIDTHS[:1], gd.losses.Softmax())
    theta, adam = net.init(0), gd.optim.Adam(1e-3)
    state = adam.init(theta)
    with NetworkCost(net, Rows(X, y.astype(float), np.ones(BATCH)), n_threads=threads) as cost:
        for _ in range(STEPS):
            cost.step(theta, adam, state, np.arange(BATCH), adam.lr)
    return peak() - before


def mlp_torch(threads):
    import torch

    X, y = data()
    torch.set_num_threads(threads)
    torch.ones(64, 64) @ torch.ones(64, 64)
    before = peak()
    parts = []
    for p, k in pairwise(WIDTHS):
        parts += [torch.nn.Linear(p, k), torch.nn.ReLU()]
    net = torch.nn.Sequential(*parts[:-1])
    adam = torch.optim.Adam(net.parameters(), 1e-3, fused=True)
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    for _ in range(STEPS):
        adam.zero_grad()
        torch.nn.functional.cross_entropy(net(X), y).backward()
        adam.step()
    return peak() - before


def gpt_gdcore(threads, sizes):
    import gdcore as gd
    from gdcore.models.language import LanguageCost, LanguageModel

    features, blocks, heads, places, batch = GPTS[sizes]
    rng = np.random.default_rng(0)
    tokens, rows = rng.integers(0, 65, 20_000), rng.integers(0, 19_000, batch)
    np.ones((64, 64), np.float32) @ np.ones((64, 64), np.float32)
    before = peak()
    model = LanguageModel(gd.layers.Transformer(65, features, heads, blocks, places))
    theta, adam = model.init(0), gd.optim.AdamW(1e-3, decay=0.1)
    state = adam.init(theta)
    with LanguageCost(
        model, tokens, max_steps=1, round_steps=1, batch_size=batch, clip_norm=1.0,
        n_threads=threads,
    ) as cost:  # fmt: skip
        for _ in range(STEPS):
            cost.step(theta, adam, state, rows, adam.lr)
    return peak() - before


def gpt_torch(threads, sizes):
    import torch

    from benchmarks import gpt

    torch.set_num_threads(threads)
    features, blocks, heads, places, batch = GPTS[sizes]
    tokens = np.random.default_rng(0).integers(0, 65, 20_000)
    rows = np.random.default_rng(0).integers(0, 19_000, batch)
    windows = torch.from_numpy(tokens[rows[:, None] + np.arange(places + 1)])
    torch.ones(64, 64) @ torch.ones(64, 64)
    before = peak()
    net = gpt.Twin(gpt.Sizes(features, blocks, heads, places, batch), 65)
    adam, parameters = gpt.optimizer_of(net), list(net.parameters())
    for _ in range(STEPS):
        adam.zero_grad()
        net.loss(windows[:, :-1], windows[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(parameters, gpt.CLIP)
        adam.step()
    return peak() - before


def main():
    if len(sys.argv) > 2:
        side, threads, *sizes = sys.argv[1:]
        print(globals()[side](int(threads), *sizes))
        return
    found = {}
    for what, kind, sizes in (("MLP", "mlp", ()), *((name, "gpt", (name,)) for name in GPTS)):
        for threads in (1, 2):
            for side in ("gdcore", "torch"):
                command = [sys.executable, __file__, f"{kind}_{side}", str(threads), *sizes]
                runs = [float(subprocess.check_output(command)) for _ in range(3)]
                found[f"{what}, {side}, {threads} threads"] = sorted(runs)[1]
    report = {
        "what": f"MB grown in {STEPS} steps; MLP {WIDTHS}, batch {BATCH}; the middle of 3 runs",
        "megabytes": found,
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("numpy", "torch")}
        | {"python": platform.python_version()},
    }
    save(FOLDER, report)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
