"""How often the doctor is right: python benchmarks/doctor.py [SEEDS]

Every made problem of tests/diagnose/problems.py, each with one planted illness or none, at so many
seeds (20). An illness is found where it is named, and a false alarm where another was planted.
Saves JSON under benchmarks/results/doctor and writes the table of docs/doctor.md, which
--table does from what was saved last.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import gdcore as gd  # noqa: E402
from benchmarks import saved  # noqa: E402
from tests.diagnose.problems import HEALTHY, ILL  # noqa: E402

FOLDER, PAGE = ROOT / "benchmarks" / "results" / "doctor", ROOT / "docs" / "doctor.md"
BEGIN, END = "<!-- table:begin -->", "<!-- table:end -->"


def examine(seeds):
    """({illness: (times planted, found, false alarms)}, runs of which all was right, runs)."""
    counts, right, runs = {}, 0, 0
    cases = [(name, *ILL[name]) for name in ILL] + [(n, None, HEALTHY[n]) for n in HEALTHY]
    for name, illness, make in cases:
        for seed in range(seeds):
            fitted, rows = make(seed)
            found = gd.doctor(fitted, rows) if hasattr(fitted, "fit") else gd.doctor(fitted)
            judged = found.illnesses == ([illness] if illness else [])
            runs, right = runs + 1, right + judged
            for each in {illness, *found.illnesses} - {None}:
                planted, met, false = counts.get(each, (0, 0, 0))
                told, true = each in found.illnesses, each == illness
                counts[each] = planted + true, met + (told and true), false + (told and not true)
            if not judged:
                print(f"{name}, seed {seed}: planted {illness}, found {found.verdict}", flush=True)
    return counts, right, runs


def main(seeds="20"):
    if seeds != "--table":
        save(int(seeds))
    write(json.loads(max(FOLDER.glob("*.json")).read_text()))


def save(seeds):
    """Examine, and keep what came of it."""
    counts, right, runs = examine(seeds)
    rows = [
        {"illness": name, "planted": planted, "found": met, "false alarms": false}
        for name, (planted, met, false) in sorted(counts.items())
    ]
    report = {
        "seeds": seeds, "healthy": len(HEALTHY), "ill": len(ILL), "rows": rows, "right": right,
        "runs": runs, "versions": {name: version(name) for name in ("gdcore", "numpy")},
    }  # fmt: skip
    path = saved.save(FOLDER, report)
    print(f"{right} of {runs} runs judged right in all. Saved {path.relative_to(ROOT)}.")


def write(saved):
    """The page's table, and what it is of."""
    lines = [
        f"Made problems, each with exactly one planted illness ({saved['ill']} kinds of run) or "
        f"none ({saved['healthy']} kinds), at {saved['seeds']} seeds each: {saved['runs']} runs, "
        f"of which {saved['right']} are judged right in all.",
        "",
        "| illness | planted | found | false alarms | precision | recall |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for row in saved["rows"]:
        met, false, planted = row["found"], row["false alarms"], row["planted"]
        cells = f"{met / max(1, met + false):.1%} | {met / planted:.1%}"
        lines.append(f"| {row['illness']} | {planted} | {met} | {false} | {cells} |")
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text("\n".join([before + BEGIN, *lines, END + after]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
