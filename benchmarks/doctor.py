"""How often the doctor is right: python benchmarks/doctor.py [SEEDS]

Every made problem of tests/diagnose/problems.py, each with one planted illness or none, at so many
seeds (20). An illness is found where it is named, and a false alarm where another was planted.
Saves JSON under benchmarks/results/doctor and prints the table.
"""

import json
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import gdcore as gd  # noqa: E402
from tests.diagnose.problems import HEALTHY, ILL  # noqa: E402

FOLDER = ROOT / "benchmarks" / "results" / "doctor"


def examine(seeds):
    """({illness: (times planted, found, false alarms)}, runs of which all was right, runs)."""
    counts, right, runs = {}, 0, 0
    cases = [(name, *ILL[name]) for name in ILL] + [(n, None, HEALTHY[n]) for n in HEALTHY]
    for name, illness, make in cases:
        for seed in range(seeds):
            fitted, rows = make(seed)
            found = gd.doctor(fitted, rows) if hasattr(fitted, "fit") else gd.doctor(fitted)
            runs += 1
            right += found.illnesses == ([illness] if illness else [])
            for each in {illness, *found.illnesses} - {None}:
                planted, met, false = counts.get(each, (0, 0, 0))
                told, true = each in found.illnesses, each == illness
                counts[each] = planted + true, met + (told and true), false + (told and not true)
            if found.illnesses != ([illness] if illness else []):
                print(f"{name}, seed {seed}: planted {illness}, found {found.verdict}", flush=True)
    return counts, right, runs


def main(seeds=20):
    counts, right, runs = examine(int(seeds))
    rows = [
        {"illness": name, "planted": planted, "found": met, "false alarms": false}
        for name, (planted, met, false) in sorted(counts.items())
    ]
    for row in rows:
        told = row["found"] + row["false alarms"]
        precision = row["found"] / told if told else float("nan")
        recall = row["found"] / row["planted"] if row["planted"] else float("nan")
        rates = f"precision {precision:6.1%}  recall {recall:6.1%}"
        print(f"{row['illness']:22} {rates}  of {row['planted']}")
    print(f"{right} of {runs} runs judged right in all")
    saved = {
        "seeds": int(seeds), "healthy": len(HEALTHY), "ill": len(ILL), "rows": rows, "right": right,
        "runs": runs, "versions": {name: version(name) for name in ("gdcore", "numpy")},
    }  # fmt: skip
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    path.write_text(json.dumps(saved, indent=1) + "\n")
    print(f"Saved {path.relative_to(ROOT)}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
