"""Writes the figures of docs/scale.md from the newest run of benchmarks/cluster.py.

`--latency` (seconds) and `--bandwidth` (bytes per second) set the network of the projection;
`--check` compares instead of writing.
"""

import argparse
import math
import sys
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.saved import newest  # noqa: E402
from gdcore.distributed.cluster import FANOUT  # noqa: E402

PAGE = ROOT / "docs" / "scale.md"
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"
LATENCY, BANDWIDTH = 50e-6, 1.25e9  # of a message one way; 10 Gbit/s
WORKERS = (1, 2, 10, 100, 1000)
TABLES = ((4_000_000, 50), (100_000_000, 100), (1_000_000_000, 1000))


def network(workers, columns, latency, bandwidth):
    """Seconds of a step on a network, beside what the loopback interface took: for each level of
    the tree θ goes down and a sum comes up, for each of the nodes below."""
    levels = math.ceil(math.log(workers, FANOUT)) if workers > 1 else 0
    return levels * (2 * latency + FANOUT * 2 * 8 * (columns + 1) / bandwidth)


def step(line, rows, columns, workers, latency=LATENCY, bandwidth=BANDWIDTH):
    """Seconds of a step by the model."""
    near = line["a"] + line["b"] * rows * columns * 8 / workers + line["c"] * math.log2(workers)
    return near + network(workers, columns, latency, bandwidth)


def ms(seconds):
    if seconds >= 100:
        return f"{seconds:,.0f} s"
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def measured(run):
    yield (
        "| rows × 50 | one thread | two threads | file, two threads | one worker | two workers "
        "| by two workers |"
    )
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for rows, by in run["steps"].items():
        here = run["one process"][rows]
        times = [here["n_threads=1"], here["n_threads=2"], here["memory map, n_threads=2"]]
        cells = " | ".join(map(ms, [*times, by["1"], by["2"]]))
        yield f"| {int(rows):,} | {cells} | {by['1'] / by['2']:.2f}× |"


def shared(run):
    """How near two workers come to what the memory gives two processes, turn by turn."""
    turns = run["turns"]["seconds"]
    yield (
        f"{run['turns']['rows']:,} rows, in each turn one after the other: the same sums by plain "
        "processes, which is what the memory gives, and by workers. (Fewer rows above: a quarter "
        "of the turns.)"
    )
    yield ""
    yield (
        "| turn | one process | two | by two | one worker | two | by two | two workers to two "
        "processes |"
    )
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for number, turn in enumerate(turns, 1):
        (p1, p2), (w1, w2) = ([turn[kind][n] for n in "12"] for kind in ("processes", "workers"))
        yield (
            f"| {number} | {ms(p1)} | {ms(p2)} | {p1 / p2:.2f}× | {ms(w1)} | {ms(w2)} "
            f"| {w1 / w2:.2f}× | {w2 / p2:.2f}× |"
        )
    yield ""
    gains = [[t[kind]["1"] / t[kind]["2"] for t in turns] for kind in ("processes", "workers")]
    over = median(t["workers"]["2"] / t["processes"]["2"] for t in turns)
    yield (
        f"Medians: two processes {median(gains[0]):.2f}×, two workers {median(gains[1]):.2f}× "
        f"({min(gains[1]):.2f} to {max(gains[1]):.2f}), who take {over:.2f}× the time of two "
        "processes. (What the memory gives two cores of a virtual machine changes with what else "
        "its host does.)"
    )


def modelled(run):
    line = run["model"]
    empty = run["overhead"]["seconds"]
    yield (
        f"A step over next to no rows, {run['overhead']['columns']:,} columns: {ms(empty['1'])} "
        f"with one worker, {ms(empty['2'])} with two."
    )
    yield ""
    yield (
        f"t = a + b·(bytes per worker) + c·log₂(workers): a = {1e3 * line['a']:.2f} ms, "
        f"b = {1e9 * line['b']:.3f} s/GB ({1e-9 / line['b']:.1f} GB/s a worker), "
        f"c = {1e3 * line['c']:.2f} ms, where a byte counts {line['crowd']:.2f} times if two "
        "workers read from this one memory, as for two processes above; off by at most "
        f"{100 * line['largest relative error']:.0f} % on the steps measured."
    )
    yield ""
    extra = line["a"] + line["c"] + network(2, 100, LATENCY, BANDWIDTH)
    least = f"{2 * extra / line['b'] / 1e6:.0f} MB"
    yield (
        f"So two machines, 10 Gbit/s between them, take less time for a step than one from about "
        f"{least} a core on: half of these bytes take {ms(extra)}, what a round over both costs. "
        "(Where rows are not on them yet, bringing them costs more than many steps.)"
    )


def projected(run, latency, bandwidth):
    yield (
        f"**Projected**, not measured: the model, and a network with {1e6 * latency:.0f} µs one "
        f"way and {8e-9 * bandwidth:.0f} Gbit/s, workers of one thread, {FANOUT} below each, whose "
        "memory holds their rows."
    )
    yield ""
    yield (
        "| rows × columns (float64) | "
        + " | ".join(f"{w:,} worker{'s' * (w > 1)}" for w in WORKERS)
        + " |"
    )
    yield "|---|" + "---:|" * len(WORKERS)
    for rows, columns in TABLES:
        size = rows * columns * 8 / 1e9
        cells = [ms(step(run["model"], rows, columns, w, latency, bandwidth)) for w in WORKERS]
        yield f"| {rows:,} × {columns:,}, {size:,.1f} GB | {' | '.join(cells)} |"


def peers(run):
    yield "| solver of dask-glm | its seconds | its cost | gdcore's seconds to that cost | |"
    yield "|---|---:|---:|---:|---:|"
    for name, found in run["dask-glm"].items():
        yield (
            f"| {name} | {found['theirs']:.2f} | {found['their cost']:.8f} | {found['ours']:.2f} | "
            f"{found['ratio']:.1f}× |"
        )


def figures(run, latency=LATENCY, bandwidth=BANDWIDTH):
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    lines = [
        f"{run['machine']}, {run['cores']} cores, {run['simd']}; {versions}; "
        f"{run['datetime'][:10]}. {run['what'][0].upper()}{run['what'][1:]}.",
        "", "### Steps", "", *measured(run), "", *shared(run), "",
        "### The model", "", *modelled(run), "",
        "### Projection", "", *projected(run, latency, bandwidth), "",
        "### Against dask-glm", "", *peers(run),
    ]  # fmt: skip
    return "\n".join(lines)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--latency", type=float)
    parser.add_argument("--bandwidth", type=float)
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args(arguments)
    run = newest(ROOT / "benchmarks" / "results" / "cluster")
    if asked.latency is not None or asked.bandwidth is not None:
        latency, bandwidth = asked.latency or LATENCY, asked.bandwidth or BANDWIDTH
        print("\n".join(projected(run, latency, bandwidth)))
        return 0
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    new = f"{before}{BEGIN}\n{figures(run)}\n{END}{after}"
    if asked.check:
        return int(new != text)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
