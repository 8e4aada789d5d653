"""Peak memory of training steps, each side in a process of its own: python benchmarks/memory.py

784-1024-1024-10 on 256 rows, Adam, float32: what the resident size grows by from after the imports
to the peak. Saves JSON under benchmarks/results/memory.
"""

import json
import platform
import resource
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent / "results" / "memory"
WIDTHS, BATCH, STEPS = (784, 1024, 1024, 10), 256, 5


def peak():
    """Megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def gdcore(X, y, threads):
    import gdcore as gd
    from gdcore.data import Rows
    from gdcore.models.network import Network
    from gdcore.models.network_cost import NetworkCost

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


def pytorch(X, y, threads):
    import torch

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


def main():
    if len(sys.argv) == 3:
        rng = np.random.default_rng(0)
        X = rng.standard_normal((BATCH, WIDTHS[0]), dtype=np.float32)
        print(globals()[sys.argv[1]](X, rng.integers(0, 10, BATCH), int(sys.argv[2])))
        return
    found = {}
    for threads in (1, 2):
        for side in ("gdcore", "pytorch"):
            command = [sys.executable, __file__, side, str(threads)]
            runs = [float(subprocess.check_output(command)) for _ in range(3)]
            found[f"{side}, {threads} threads"] = sorted(runs)[1]
    report = {
        "datetime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
        "what": f"MB grown in {STEPS} steps of {WIDTHS}, batch {BATCH}; the middle of 3 runs",
        "megabytes": found,
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("numpy", "torch")}
        | {"python": platform.python_version()},
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    path.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
