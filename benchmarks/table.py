"""README's table of ratios from the newest saved run: python benchmarks/table.py [--check] [FILE].

So is its sentence about growth, from what benchmarks/growth.py saved last. --check changes nothing
and fails where README's blocks are not what the runs give.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.saved import newest  # noqa: E402

PEERS = (
    "NumPy",
    "SciPy",
    "scikit-learn",
    "torch",
    "thinc",
    "optax",
    "JAX",
    "River",
    "copy",
    "products",
)  # columns, where there is something in them
BEGIN, END = "<!-- {}:begin -->\n", "<!-- {}:end -->"


def block(run):
    """What stands between the two marks."""
    ours = [entry for entry in run["benchmarks"] if "ratios" in entry["extra_info"]]
    met = {split(name)[0] for entry in ours for name in entry["extra_info"]["ratios"]}
    peers = [*(peer for peer in PEERS if peer in met), *sorted(met.difference(PEERS))]
    header = ["what", "threads", "gdcore", *peers, "wanted"]
    aligned = ["---", "--:", "--:", *["--:"] * len(peers), "---"]
    lines = [header, aligned, *(row(entry, peers) for entry in ours)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{machine(run)}\n\n{table}\n"


def machine(run):
    info, versions = run["machine_info"], run["machine_info"]["versions"]
    cpu = info.get("cpu", {}).get("brand_raw") or info.get("processor") or info["machine"]
    named = {"numpy": "NumPy", "scipy": "SciPy", "scikit-learn": "scikit-learn", "torch": "torch",
             "thinc": "thinc", "optax": "optax", "jax": "JAX", "river": "River"}  # fmt: skip
    peers = ", ".join(f"{name} {versions[key]}" for key, name in named.items() if key in versions)
    return (
        f"{cpu.strip()}, {info['cores']} cores, {info['simd']}; gdcore {versions['gdcore']}, "
        f"Python {versions['python']}, {peers}; {run['datetime'][:10]}. × is the peer's time over "
        "gdcore's, above 1 where gdcore is faster: medians of turns taken in one process, every "
        "side held to the same threads. ✗ is less than what is wanted."
    )


def row(entry, peers):
    info = entry["extra_info"]
    variant = split(info["contender"])[1]
    label = f"{info['label']}; {variant}" if variant else info["label"]
    wanted = ", ".join(
        f"{name.replace(':', '')} {ratio:g}×" for name, ratio in info["wanted"].items()
    )
    cells = [cell(info, peer) for peer in peers]
    return [label, str(info["threads"]), duration(entry["stats"]["median"]), *cells, wanted]


def cell(info, peer):
    """One ratio as "2.3×", or one for each variant of the peer as "fused 1.1×, default 4×"."""
    parts = []
    for name, ratio in info["ratios"].items():
        if split(name)[0] == peer:
            short = ratio < info["wanted"].get(name, 0)
            parts.append(f"{split(name)[1]} {ratio:.3g}×{' ✗' if short else ''}".strip())
    return ", ".join(parts) or "–"


def split(name):
    """("torch", "fused") of "torch: fused"."""
    peer, _, variant = name.partition(": ")
    return peer, variant


def duration(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def part(folder):
    """The table of a run that was saved on its own; "" if there is none."""
    return block(newest(folder)) if any(folder.glob("*.json")) else ""


def growth(folder):
    """How time grows, a sentence and a picture, from what growth.py saved last; "" if nothing."""
    if not any(folder.glob("*.json")):
        return ""
    report = newest(folder)
    rows, newton, quasi = report["rows"], *map(report["crossing"].get, ("newton", "lbfgs"))
    sizes = list(report["columns"]["closed-form"])
    if newton == int(sizes[0]):
        overtakes = f"from the smallest number of columns measured, {newton}"
    else:
        overtakes = (
            f"for good from {newton:,} columns" if newton else f"nowhere up to {sizes[-1]} columns"
        )
    also = f", L-BFGS for good from {quasi:,}" if quasi else f", L-BFGS nowhere up to {sizes[-1]}"
    most = int(list(rows)[-1])
    return (
        f"`LogisticRegression(tol=1e-6)` takes {duration(rows[str(most)])} for {most:,} × 50; its "
        f"time grows as n^{report['exponent']:.2f} from {report['fitted_from']:,} rows on. For "
        f"least squares on {report['rows_of_columns']:,} rows Newton's method is faster than the "
        f"closed form {overtakes}{also}.\n\n![Time by rows and by columns](docs/growth.svg)\n"
    )


def slow(folder):
    """What the peers took that are too slow for a race, from what slow.py saved last."""
    if not any(folder.glob("*.json")):
        return ""
    found = []
    for size, rows in newest(folder)["problems"].items():
        each = [f"{name} {duration(row['seconds'])}{short(row)}" for name, row in rows.items()]
        found.append(f"{size} {', '.join(each)}")
    return (
        "One fit of each that is too slow for a race, one thread, to the same J − J* ≤ 1e-6·J* "
        f"(`python benchmarks/slow.py`): {'; '.join(found)}.\n"
    )


def short(row):
    """How far from the minimum a fit ended that did not reach the goal."""
    return "" if row["excess"] <= 1e-6 else f" (ends {row['excess']:.2g}·J* above)"


def disk(folder):
    """The memory of fits to files, from what disk.py saved last."""
    if not any(folder.glob("*.json")):
        return ""
    report = newest(folder)
    path, mixed = (report["fits"][name]["peak_anonymous_mb"] for name in ("path", "mini-batches"))
    return (
        f"Rows on disk, {report['gigabytes']:.0f} GB of {report['rows']:,} × {report['columns']} "
        f"(`python benchmarks/disk.py /tmp`): a fit by path peaks at {path:.0f} MB of memory of "
        f"the process's own, one by shuffled mini-batches at {mixed:.0f} MB.\n"
    )


def replaced(text, mark, content):
    """The text with this between its two marks."""
    opening, closing = BEGIN.format(mark), END.format(mark)
    before, begin, rest = text.partition(opening)
    _, end, after = rest.partition(closing)
    if not begin or not end:
        raise SystemExit(
            f"README.md lacks its marks. Put {opening.strip()} and {closing} on own lines."
        )
    return before + begin + content + end + after


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="a saved run; default: the newest")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args()
    folder = ROOT / "benchmarks" / "results"
    run = json.loads(options.file.read_text("utf-8")) if options.file else newest(folder)
    readme = ROOT / "README.md"
    text = readme.read_text("utf-8")
    wanted = replaced(text, "benchmarks", block(run))
    wanted = replaced(wanted, "linear", part(folder / "linear"))
    wanted = replaced(wanted, "growth", growth(folder / "growth"))
    wanted = replaced(wanted, "trace", part(folder / "trace"))
    wanted = replaced(wanted, "slow", slow(folder / "slow"))
    wanted = replaced(wanted, "disk", disk(folder / "disk"))
    if not options.check:
        readme.write_text(wanted, "utf-8")
    elif wanted != text:
        sys.exit("README is not what the saved runs give. Run: python benchmarks/table.py")


if __name__ == "__main__":
    main()
