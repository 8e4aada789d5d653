"""Does a GPT learn what its twin in PyTorch learns? python benchmarks/learning.py [SEEDS] [STEPS]

Characters of `pydoc_data.topics`, 4 blocks, 4 heads, 128 wide, window 64, batch 12, AdamW with
warm-up and cosine, 2,000 steps. Both sides start from the same weights and see the same windows;
the held-out loss is the mean over all windows of the last tenth of the text that do not overlap.
Saves JSON under benchmarks/results/learning.
"""

import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import gdcore as gd  # noqa: E402
from benchmarks import gpt  # noqa: E402
from benchmarks.saved import save  # noqa: E402

FOLDER = ROOT / "benchmarks" / "results" / "learning"
SIZES = gpt.Sizes(features=128, blocks=4, heads=4, places=64, batch=12)
SHARE = 0.1  # held out
THREADS = 1  # of either side: nothing is timed here


def schedule(steps):
    return gd.schedules.WarmUpCosine(steps=steps, warmup=min(100, steps // 10), floor=0.1)


def ours(text, seed, steps):
    """(fitted GPT, seconds)."""
    model = gd.GPT(
        n_layer=SIZES.blocks, n_head=SIZES.heads, n_embd=SIZES.features,
        block_size=SIZES.places, random_state=seed, n_threads=THREADS,
    )  # fmt: skip
    started = time.perf_counter()
    model.fit(
        text, max_steps=steps, batch_size=SIZES.batch, learning_rate=gpt.LR, eval_every=steps,
        validation=SHARE, clip_norm=gpt.CLIP, schedule=schedule(steps),
    )  # fmt: skip
    return model, time.perf_counter() - started


def theirs(model, tokens, seed, steps):
    """(trained twin, seconds): from the weights and over the windows that ours began with."""
    problem = gpt.Problem(SIZES, tokens)
    problem.theta = problem.model.init(np.random.default_rng(seed))
    net = gpt.twin(problem)
    adam, factor = gpt.optimizer_of(net), schedule(steps)
    budgets = {
        "max_steps": steps, "eval_every": steps, "batch_size": SIZES.batch,
        "gradient_accumulation": 1,
    }  # fmt: skip
    cost = model._cost(tokens, budgets, gpt.CLIP)
    parameters, started = list(net.parameters()), time.perf_counter()
    for step in range(steps):
        for group in adam.param_groups:
            group["lr"] = gpt.LR * factor(step)
        adam.zero_grad()
        net.loss(*problem.batch(cost.windows(step))).backward()
        torch.nn.utils.clip_grad_norm_(parameters, gpt.CLIP)
        adam.step()
    return net, time.perf_counter() - started


@torch.no_grad()
def held_out(net, tokens):
    """Mean loss of the twin over windows that do not overlap, as GPT.evaluate has it."""
    starts = np.arange(0, len(tokens) - SIZES.places, SIZES.places)
    windows = torch.from_numpy(tokens[starts[:, None] + np.arange(SIZES.places + 1)])
    losses = [net.loss(part[:, :-1], part[:, 1:]) * len(part) for part in windows.split(64)]
    return float(sum(losses) / len(windows))


def main():
    seeds, steps = (int(n) for n in (sys.argv[1:] + ["3", "2000"][len(sys.argv) - 1 :])[:2])
    torch.set_num_threads(THREADS)
    text = "".join(topics[name] for name in sorted(topics))
    runs = []
    for seed in range(seeds):
        model, seconds = ours(text, seed, steps)
        tokens = model.tokenizer_.encode(text)
        cut = round(len(tokens) * (1 - SHARE))
        net, others = theirs(model, tokens[:cut], seed, steps)
        loss = model.evaluate(tokens[cut:])
        runs.append(
            {"seed": seed, "gdcore": loss, "torch": held_out(net, tokens[cut:]),
             "seconds": {"gdcore": round(seconds, 1), "torch": round(others, 1)}}
        )  # fmt: skip
        print(json.dumps(runs[-1]), flush=True)
    far = max(abs(run["gdcore"] - run["torch"]) for run in runs)
    report = {
        "what": f"held-out nats a character after {steps} steps of {SIZES}, pydoc_data.topics",
        "runs": runs, "largest difference": far, "threads": THREADS,
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("numpy", "torch")}
        | {"python": platform.python_version(), "gdcore": gd.__version__},
    }  # fmt: skip
    if (seeds, steps) == (3, 2000):
        save(FOLDER, report)
    print(f"largest difference {far:.4f}")


if __name__ == "__main__":
    main()
